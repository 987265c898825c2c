"""Charset names as the programs that show text take them (WHATWG's Encoding Standard, "names and labels")."""

import codecs
import re

# A name often stands for the larger set that programs write under it: "€" in what calls itself iso-8859-1.
_MEANT = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932", "big5": "big5hkscs",
}  # fmt: skip
_UNKNOWN_TO_PYTHON = {"ansi": "cp1252", "x-sjis": "cp932", "unicode-1-1-utf-7": "utf-7", "x-mac-roman": "mac-roman"}
_DIRECTION = re.compile(r"-[ie]$")  # of Hebrew and Arabic: who puts the letters in order (RFC 1556)
# Python's codecs that are not charsets, two of them with quadratic cost.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
_ONE_BYTE = re.compile(r"cp(125\d|874|4\d\d|8\d\d)|iso8859|koi8|mac|ptcp|kz1048|hp-roman")
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)


def codec(name: str) -> str | None:
    """The Python codec for a charset's name; None where nobody knows it."""
    name = name.strip().lower()
    try:
        known = codecs.lookup(_UNKNOWN_TO_PYTHON.get(name, _DIRECTION.sub("", name))).name
    except (LookupError, ValueError):
        return None
    return None if known in _NO_CHARSETS else _MEANT.get(known, known)


def may_be_utf8(known: str, data: bytes) -> bool:
    """Whether UTF-8 is worth a try first: of a set with one byte a letter, text is never UTF-8 by accident."""
    return _ONE_BYTE.match(known) is not None and not data.isascii()


def of_page(data: bytes) -> str | None:
    """The charset that an HTML page names in itself."""
    found = _META.search(data[:4096])
    return found.group(1).decode("ascii") if found else None
