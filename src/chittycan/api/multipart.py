"""Forms with files in them (`multipart/form-data`), read as the bytes come and without any I/O.

Sources: RFC 7578 (the form), RFC 2046 §5.1 (the parts), RFC 5987 as browsers and clients write it (names of files).
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from msgspec import Struct

from chittycan.errors import InvalidRequest

HEAD_BYTES = 16 << 10  # of one part's headers
PARTS = 100
BOUNDARY_CHARACTERS = 200  # RFC 2046 allows 70; there are clients that take more
_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;,\s]+))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([a-z*]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.IGNORECASE)
_ESCAPED = re.compile(r'\\(["\\])')


class Part(Struct, frozen=True):
    """A part begins: a field of the form, or with a `filename` a file."""

    name: str
    filename: str | None = None


class Data(Struct, frozen=True):
    """Bytes of the part that began last."""

    data: bytes


class End(Struct, frozen=True):
    """The part is over."""


Event = Part | Data | End


def boundary_of(content_type: str) -> bytes:
    """Raises InvalidRequest where the body is no form."""
    kind, _, rest = content_type.partition(";")
    found = _BOUNDARY.search(rest)
    if kind.strip().lower() != "multipart/form-data" or found is None:
        raise InvalidRequest("A form is expected: multipart/form-data with a boundary.", param="Content-Type")
    boundary = (found[1] or found[2]).encode("latin-1")
    if len(boundary) > BOUNDARY_CHARACTERS:
        raise InvalidRequest("The form's boundary is too long.", param="Content-Type")
    return boundary


class Form:
    """`feed` what comes; it yields what is certain by then. `end` raises where the form is not whole."""

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"\r\n--" + boundary
        self._held = b"\r\n"  # the first boundary has no line before it
        self._state = "preamble"  # → (boundary → head → data)* → epilogue
        self._parts = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """Raises InvalidRequest."""
        self._held += data
        while True:
            before = self._state, len(self._held)
            match self._state:
                case "preamble":
                    self._preamble()
                case "boundary":
                    self._boundary()
                case "head":
                    yield from self._head()
                case "data":
                    yield from self._data()
                case _:
                    self._held = b""
            if before == (self._state, len(self._held)):
                return

    def end(self) -> None:
        if self._state != "epilogue":
            raise InvalidRequest("The form breaks off before its end.")

    def _preamble(self) -> None:
        found = self._held.find(self._mark)
        if found < 0:
            self._held = self._held[-(len(self._mark) - 1) :]
        else:
            self._held, self._state = self._held[found + len(self._mark) :], "boundary"

    def _boundary(self) -> None:
        """After the mark: "--" ends the form, else the line ends and a part begins."""
        if self._held.startswith(b"--"):
            self._state = "epilogue"
            return
        line, ended, rest = self._held.partition(b"\r\n")
        if ended and line.strip(b" \t"):
            raise InvalidRequest("The form has a boundary that goes on where it should end.")
        if ended:
            self._held, self._state = rest, "head"
        elif len(line) > HEAD_BYTES:
            raise InvalidRequest("The form has a line that is too long.")

    def _head(self) -> Iterator[Event]:
        found = self._held.find(b"\r\n\r\n")
        if found > HEAD_BYTES or (found < 0 and len(self._held) > HEAD_BYTES):
            raise InvalidRequest("The headers of a part of the form are too long.")
        if found < 0:
            return
        self._parts += 1
        if self._parts > PARTS:
            raise InvalidRequest(f"The form has more than {PARTS} parts.")
        yield part_of(self._held[:found])
        self._held, self._state = self._held[found + 4 :], "data"

    def _data(self) -> Iterator[Event]:
        found = self._held.find(self._mark)
        certain = found if found >= 0 else len(self._held) - (len(self._mark) - 1)
        if certain > 0:
            yield Data(self._held[:certain])
            self._held = self._held[certain:]
        if found >= 0:
            yield End()
            self._held, self._state = self._held[len(self._mark) :], "boundary"


def part_of(head: bytes) -> Part:
    """The part that has these headers. Raises InvalidRequest where it has no name."""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        field, _, value = line.partition(":")
        if field.strip().lower() == "content-disposition":
            given = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(value)}
            if "name" in given:
                return Part(_ESCAPED.sub(r"\1", given["name"]), _file_name(given))
    raise InvalidRequest("A part of the form has no name.")


def _file_name(given: dict[str, str]) -> str | None:
    name = given.get("filename")
    if "filename*" in given:
        name = unquote(given["filename*"].rpartition("'")[2])
    # Some clients send the whole path.
    return None if name is None else re.split(r"[/\\]", _ESCAPED.sub(r"\1", name))[-1]
