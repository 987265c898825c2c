"""Plain text of any kind (notes, Markdown, CSV, code), whatever its character set."""

import codecs

from chittycan.integrations.documents import charsets

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """`data` as text, and what was wrong with it. Never raises.

    A byte order mark decides, then what was declared, then UTF-8, then Windows-1252, in which every web
    browser reads what says nothing better. Line ends become "\\n".
    """
    marked = [name for mark, name in _MARKS if data.startswith(mark)][:1]
    for charset in marked or [charsets.codec(declared or "") or "utf-8", "utf-8"]:
        try:
            return _lines(data.decode(charset).removeprefix("\ufeff")), ()
        except (LookupError, UnicodeError, ValueError):
            continue
    text = data.decode("cp1252", "replace")
    lost = text.count("\ufffd")
    return _lines(text), ((f"{lost} characters could not be read",) if lost else ())


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
