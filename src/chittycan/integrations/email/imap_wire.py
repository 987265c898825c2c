"""IMAP on the wire (RFC 3501), as far as it is needed: bytes into responses, words into commands. Pure.

A server is believed in nothing that costs memory: a line, a literal, a response, its depth and its words have limits,
and a server that goes beyond one is left (`Garbled`).
"""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

LONGEST_LINE = 64 * 1024  # bytes without a line's end in sight
LARGEST_LITERAL = 1024 * 1024  # bytes; whoever asks for pieces asks for less
LARGEST_RESPONSE = 2 * LARGEST_LITERAL
DEEPEST = 8  # lists within lists
MOST_WORDS = 5_000

Word = str | bytes | None | list["Word"]  # atom | string or literal | NIL | list

_LITERAL = re.compile(rb"\{(\d{1,20})\+?\}$")
_ATOM = re.compile(rb"[^\s()\"{\[]+(?:\[[^\]]*\](?:<\d+>)?)?|\[[^\]]*\]")
_STATES = ("OK", "NO", "BAD", "BYE", "PREAUTH")
_CODE = re.compile(rb"\[([^\s\]]+)(?: ([^\]]*))?\]")

State = Literal["OK", "NO", "BAD", "BYE", "PREAUTH"]


class Garbled(Exception):
    """What the server sent is no IMAP, or is too large to be."""


class Status(Struct, frozen=True):
    """OK, NO, BAD, BYE or PREAUTH. `code` is the word in brackets ("UIDVALIDITY"), `value` what follows it there."""

    tag: str  # "*" where it answers no command
    state: State
    code: str = ""
    value: str = ""
    text: str = ""


class Data(Struct, frozen=True):
    """Any other untagged response: "* 12 EXISTS" is `number` 12, `name` EXISTS. `words` is what follows."""

    name: str
    number: int | None = None
    words: tuple[Word, ...] = ()


class Continue(Struct, frozen=True):
    """The server waits for the rest of a command."""

    text: bytes = b""


Response = Status | Data | Continue
Note = Callable[[Response], None]


class Reader:
    """Gathers bytes and gives the responses in them: `feed`, then `next` until it gives None."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._looked = 0  # bytes of `_buffer` known to hold no line's end
        self._pieces: list[bytes] = []  # lines and literals of the response that is not complete, by turns
        self._size = 0
        self._literal = -1  # bytes of the literal that comes next

    def __len__(self) -> int:
        """Bytes that are no whole response yet."""
        return len(self._buffer) + self._size

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Response | None:
        """The next whole response. Raises Garbled."""
        while True:
            piece = self._line() if self._literal < 0 else self._take(self._literal)
            if piece is None:
                return None
            self._size += len(piece)
            if self._size > LARGEST_RESPONSE or len(self._pieces) > MOST_WORDS:
                raise Garbled("a response without end")
            self._pieces.append(piece)
            if self._literal >= 0:
                self._literal = -1
                continue
            announced = _LITERAL.search(piece)
            if announced is None:
                pieces, self._pieces, self._size = self._pieces, [], 0
                return response(pieces)
            self._literal = int(announced[1])
            if self._literal > LARGEST_LITERAL:
                raise Garbled(f"{self._literal} bytes at once")

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._looked)
        if end < 0:
            self._looked = len(self._buffer)
            if self._looked > LONGEST_LINE:
                raise Garbled("a line without end")
            return None
        line = self._take(end + 1)
        assert line is not None
        if len(line) > LONGEST_LINE:
            raise Garbled("a line without end")
        return line.rstrip(b"\r\n")

    def _take(self, size: int) -> bytes | None:
        if len(self._buffer) < size:
            return None
        taken = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._looked = 0
        return taken


def response(pieces: list[bytes]) -> Response:
    """One response from its lines and literals, which come by turns. Raises Garbled."""
    first = pieces[0]
    if first.startswith(b"+"):
        return Continue(first[1:].strip())
    tag, _, rest = first.partition(b" ")
    word, _, after = rest.partition(b" ")
    state = word.decode("latin-1").upper()
    if state in _STATES:
        # What a server says to people may hold anything, even what looks like a list.
        said = b"".join([after, *pieces[1:]])
        return _status(tag.decode("latin-1"), state, said)
    if tag != b"*":
        raise Garbled("neither an answer nor news")
    words = _structure([rest, *pieces[1:]])
    number = int(state) if state.isascii() and state.isdecimal() and len(state) <= 10 else None
    name = words[0 if number is None else 1] if len(words) > (number is not None) else None
    if not isinstance(name, str):
        raise Garbled("news without a name")
    return Data(name.upper(), number, tuple(words[1 if number is None else 2 :]))


def _status(tag: str, state: str, said: bytes) -> Status:
    found = _CODE.match(said)
    code, value = (found[1], found[2] or b"") if found else (b"", b"")
    text = said[found.end() :] if found else said
    return Status(tag, state, code.decode("latin-1").upper(), value.decode("latin-1"), _readable(text))  # type: ignore[arg-type]


def _readable(text: bytes) -> str:
    return "".join(each for each in text.decode("utf-8", "replace").strip() if each.isprintable())[:200]


def _structure(pieces: list[bytes]) -> list[Word]:
    """Raises Garbled."""
    whole: list[Word] = []
    open_lists = [whole]
    for count, word in enumerate(_words(pieces)):
        if count > MOST_WORDS:
            raise Garbled("a response without end")
        if word == "(":
            inner: list[Word] = []
            open_lists[-1].append(inner)
            open_lists.append(inner)
            if len(open_lists) > DEEPEST:
                raise Garbled("lists nested too deeply")
        elif word == ")":
            if len(open_lists) == 1:
                raise Garbled("a list ends that never began")
            open_lists.pop()
        else:
            open_lists[-1].append(None if word == "NIL" else word)
    if len(open_lists) > 1:
        raise Garbled("a list without end")
    return whole


def _words(pieces: list[bytes]) -> Iterator[str | bytes]:
    """Atoms and brackets as text, strings and literals as bytes."""
    for number, piece in enumerate(pieces):
        if number % 2:
            yield piece
            continue
        line = _LITERAL.sub(b"", piece) if number + 1 < len(pieces) else piece
        place = 0
        while place < len(line):
            start = line[place : place + 1]
            if start.isspace():
                place += 1
            elif start in (b"(", b")"):
                yield start.decode()
                place += 1
            elif start == b'"':
                text, place = _quoted(line, place)
                yield text
            else:
                atom = _ATOM.match(line, place)
                if atom is None:
                    raise Garbled("a word that is none")
                yield atom[0].decode("latin-1")
                place = atom.end()


def _quoted(line: bytes, start: int) -> tuple[bytes, int]:
    """The string that begins at `start`, and the place after it."""
    found = bytearray()
    place = start + 1
    while place < len(line):
        byte = line[place : place + 1]
        if byte == b'"':
            return bytes(found), place + 1
        if byte == b"\\":
            place += 1
            byte = line[place : place + 1]
        found += byte
        place += 1
    raise Garbled("a string without end")


def fetched(data: Data) -> dict[str, Word]:
    """What a FETCH response tells of a mail: "UID", "RFC822.SIZE", "BODY[HEADER]"… (without "<0>"). Raises Garbled."""
    items = data.words[0] if data.words else None
    if not isinstance(items, list):
        raise Garbled("a FETCH that tells nothing")
    found: dict[str, Word] = {}
    for name, value in zip(items[::2], items[1::2], strict=False):
        if isinstance(name, str):
            found[name.upper().partition("<")[0]] = value
    return found


def number(word: Word) -> int | None:
    """A number below 2^63, else None."""
    text = word.decode("latin-1") if isinstance(word, bytes) else word
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 18 else None


def quoted(text: str) -> bytes:
    """A string for a command. Raises ValueError where it holds what no quoted string may (RFC 3501, 9)."""
    if not text.isascii() or any(each in text for each in "\r\n\0"):
        raise ValueError("only ASCII without line breaks")
    return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


def folder_name(name: str) -> bytes:
    """A folder's name in modified UTF-7 (RFC 3501, 5.1.3), quoted. Raises ValueError."""
    encoded = re.sub(r"[^\x20-\x7e]+", lambda found: "&" + _base64(found[0]) + "-", name.replace("&", "&-"))
    return quoted(encoded)


def readable_folder(word: Word) -> str | None:
    """The name of a folder as a server writes it; None where it is none, as it stands where its UTF-7 is broken."""
    text = word.decode("latin-1") if isinstance(word, bytes) else word
    if not isinstance(text, str) or not text:
        return None
    try:
        return re.sub(r"&([^-]*)-", lambda found: _from_base64(found[1]) if found[1] else "&", text)
    except ValueError:
        return text


def _from_base64(text: str) -> str:
    padded = text.replace(",", "/") + "=" * (-len(text) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
