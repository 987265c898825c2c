"""RTF files (Microsoft's Rich Text Format 1.9.1), which WordPad, old Word and many programs of trades write.

The text that shows, with cells parted by " | ". Groups that hold no text, and those that say of themselves that a
reader who does not know them may leave them out, are left out.
"""

import re

from msgspec import Struct
from msgspec.structs import replace

from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document

MAX_DEPTH = 1_000  # groups within groups
TINY = 3  # half points, of a font that nobody can read

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|[\r\n\x00]+|([^\\{}\r\n\x00]+)",
    re.DOTALL,
)
_NO_TEXT = frozenset(
    b"fonttbl colortbl stylesheet info pict object themedata colorschememapping datastore fldinst listtable "
    b"listoverridetable revtbl rsidtbl generator xmlnstbl datafield filetbl bkmkstart bkmkend formfield nonshppict "
    b"latentstyles pgptbl atnid atnauthor annotation".split()
)
_SHORT = {
    b"par": "\n", b"line": "\n", b"sect": "\n\n", b"page": "\n\n", b"row": "\n", b"cell": " | ", b"nestcell": " | ",
    b"tab": "\t", b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“",
    b"rdblquote": "”", b"emspace": " ", b"enspace": " ",
}  # fmt: skip
_SIGNS = {b"~": " ", b"_": "-", b"{": "{", b"}": "}", b"\\": "\\", b"\r": "\n", b"\n": "\n"}
_OF_FONT = {
    0: "cp1252", 128: "cp932", 129: "cp949", 134: "gb18030", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258",
    177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip


class _Group(Struct, frozen=True):
    skipped: bool = False
    fonts: bool = False  # the table of fonts
    vanished: bool = False  # hidden, or deleted with its change tracked
    tiny: bool = False
    font: int | None = None
    instead: int = 1  # bytes that stand after a Unicode character for those who do not know it


def read(data: bytes, max_chars: int) -> Document:
    """The document's text; a file that is cut gives what is there."""
    reader = _Reader(max_chars)
    for token in _TOKEN.finditer(data):
        reader.take(token)
        if reader.full:
            break
    lines = (line.strip(" |") for line in reader.text().split("\n"))
    text, suspicious = visible_characters(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip())
    return Document(
        kind="rtf", text=text[:max_chars], truncated=reader.full, hidden_text=reader.hidden or suspicious,
        defects=() if text else ("the document holds no text",),
    )  # fmt: skip


class _Reader:
    def __init__(self, room: int) -> None:
        self.hidden = False
        self._room = room
        self._out: list[str] = []
        self._bytes = bytearray()  # of letters that a charset makes of several
        self._groups = [_Group()]
        self._charset = "cp1252"
        self._charsets: dict[int, str] = {}  # by number of the font
        self._skip = 0  # bytes to come that stand for a Unicode character
        self._until = 0  # where binary data ends
        self._optional = False  # after \*: the group's word may be left out by who does not know it

    @property
    def full(self) -> bool:
        return self._room < 0

    def text(self) -> str:
        self._flush()
        return "".join(self._out)

    def take(self, token: re.Match[bytes]) -> None:
        if token.start() < self._until:
            return
        word, number, code, sign, brace, plain = token.groups()
        if brace:
            self._brace(brace)
        elif word:
            self._word(word, int(number) if number else None, token.end())
        elif sign == b"*":
            self._optional = True
        elif sign in _SIGNS:
            self._add(_SIGNS[sign])
        elif code:
            self._letters(bytes([int(code, 16)]))
        elif plain:
            self._letters(plain)

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._skip, self._optional = 0, False
        if brace == b"{" and len(self._groups) < MAX_DEPTH:
            self._groups.append(self._groups[-1])
        elif brace == b"}" and len(self._groups) > 1:
            self._groups.pop()

    def _word(self, word: bytes, number: int | None, end: int) -> None:
        self._flush()
        group = self._groups[-1]
        on = number != 0
        if word == b"bin":
            self._until = end + max(0, number or 0)
        elif word in _NO_TEXT or self._optional:
            group = replace(group, skipped=True, fonts=word == b"fonttbl")
        elif word == b"u" and number is not None:
            self._unicode(number % 0x10000, group)
        elif word in _SHORT:
            self._add(_SHORT[word])
        elif word in (b"v", b"deleted"):
            group = replace(group, vanished=on)
        elif word == b"plain":
            group = replace(group, vanished=False, tiny=False)
        elif word == b"fs" and number is not None:
            group = replace(group, tiny=number <= TINY)
        elif word == b"uc" and number is not None:
            group = replace(group, instead=max(0, min(number, 20)))
        elif word in (b"f", b"deff") and number is not None:
            group = replace(group, font=number)
        elif word == b"fcharset" and group.fonts and group.font is not None and number in _OF_FONT:
            self._charsets[group.font] = _OF_FONT[number]
        elif word == b"ansicpg" and number is not None:
            self._charset = "utf-8" if number == 65001 else f"cp{number}"
        self._groups[-1] = group
        self._optional = False

    def _unicode(self, number: int, group: _Group) -> None:
        # Two of them make one character beyond the first 65,536.
        last = self._out[-1] if self._out else ""
        if 0xDC00 <= number < 0xE000 and len(last) == 1 and "\ud800" <= last < "\udc00":
            self._out[-1] = (last + chr(number)).encode("utf-16", "surrogatepass").decode("utf-16")
        else:
            self._add(chr(number))
        self._skip = group.instead

    def _letters(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._bytes += data[skipped:]

    def _flush(self) -> None:
        if self._bytes:
            data, self._bytes = bytes(self._bytes), bytearray()
            charset = self._charsets.get(self._groups[-1].font or 0, self._charset)
            try:
                text = data.decode(charset, "replace")
            except LookupError:
                text = data.decode("cp1252", "replace")
            self._add(text)

    def _add(self, text: str) -> None:
        if self._bytes:
            self._flush()
        group = self._groups[-1]
        if group.skipped:
            return
        if group.vanished or group.tiny:
            self.hidden = self.hidden or any(map(str.isalnum, text))
            return
        self._out.append(text)
        self._room -= len(text)
