"""`winmail.dat`: what Outlook sends instead of attachments (MS-OXTNEF), its text and its files.

Of the many properties only the plain text, the names and the contents are read.
"""

from collections.abc import Iterator

from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document

MAX_ATTRIBUTES = 20_000
# Attributes (MS-OXTNEF 2.1.3.2) and MAPI properties.
_BODY, _RENDERING, _TITLE, _DATA, _PROPERTIES = 0x800C, 0x9002, 0x8010, 0x800F, 0x9005
_LONG_NAME = 0x3707
_FIXED = {0x02: 4, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8, 0x48: 16}
_UNICODE, _COUNTED = 0x1F, (0x1E, 0x1F, 0x0D, 0x102)


def read(data: bytes, max_chars: int) -> Document:
    """The plain text, where there is one; what came along gives `files`."""
    text = next((_string(content) for number, content in _attributes(data) if number == _BODY), "")
    shown, suspicious = visible_characters(text.replace("\r\n", "\n").strip())
    return Document(kind="tnef", text=shown[:max_chars], truncated=len(shown) > max_chars, hidden_text=suspicious)


def files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each file; what is broken ends them."""
    name, content = "", b""
    for number, value in _attributes(data):
        if number == _RENDERING:  # a file begins
            if content:
                yield name or "file", content
            name, content = "", b""
        elif number == _TITLE:
            name = name or _string(value)
        elif number == _DATA:
            content = value
        elif number == _PROPERTIES:
            name = _long_name(value) or name
    if content:
        yield name or "file", content


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content; each is a level, number, type, length, content and a checksum."""
    at = 6  # after the signature and a key
    for _ in range(MAX_ATTRIBUTES):
        length = int.from_bytes(data[at + 5 : at + 9], "little")
        content = data[at + 9 : at + 9 + length]
        if len(data) < at + 9 or len(content) < length:
            return
        yield int.from_bytes(data[at + 1 : at + 3], "little"), content
        at += length + 11


def _string(value: bytes) -> str:
    return value.rstrip(b"\x00").decode("cp1252", "replace")


def _long_name(properties: bytes) -> str:
    """The name in full: the attribute beside it may be one of DOS. "" where a property before it is of another form."""
    count = int.from_bytes(properties[:4], "little")
    at = 4
    for _ in range(min(count, 200)):
        kind = int.from_bytes(properties[at : at + 2], "little")
        number = int.from_bytes(properties[at + 2 : at + 4], "little")
        at += 4
        if number >= 0x8000:
            return ""  # it has a name of its own, which is written before it
        if kind in _FIXED:
            at += _FIXED[kind]
            continue
        if kind not in _COUNTED or int.from_bytes(properties[at : at + 4], "little") != 1:
            return ""
        length = int.from_bytes(properties[at + 4 : at + 8], "little")
        value = properties[at + 8 : at + 8 + length]
        if number == _LONG_NAME:
            return value.decode("utf-16-le", "replace").rstrip("\x00") if kind == _UNICODE else _string(value)
        at += 8 + (length + 3) // 4 * 4
    return ""
