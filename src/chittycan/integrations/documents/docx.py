"""Word files (ECMA-376): the text that shows, from the parts of the archive, without building a tree.

Every limit holds against what the archive really holds, not against what it says of itself.
"""

import zipfile
from io import BytesIO
from typing import Any
from xml.parsers import expat

from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document

MAX_PARTS = 5_000  # files in the archive
MAX_PART = 40 * 2**20  # bytes of one part, unpacked; a book of 1,000 pages has a tenth of it
MAX_RATIO = 200  # how far a part above 1 MiB may be packed; prose packs 20-fold at most
_MAIN = ("/wordprocessingml/2006/main", "/ooxml/wordprocessingml/main")
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_SKIPPED = {"instrText", "delText", "del", "moveFrom", "Fallback"}
_SHORT = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


class RefusedError(Exception):
    """The file is not what it should be; the message is for a person."""


def read(data: bytes, max_chars: int) -> Document:
    """The document's text with its headers, notes and tables. A file that is broken or a trap has a defect."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            return _read(archive, max_chars)
    except RefusedError as error:
        return Document(kind="docx", defects=(str(error),))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        return Document(kind="docx", defects=(f"the file is damaged or protected ({type(error).__name__})",))
    except expat.ExpatError as error:
        return Document(kind="docx", defects=(f"the file's XML is damaged (line {error.lineno})",))


def _read(archive: zipfile.ZipFile, max_chars: int) -> Document:
    names = archive.namelist()
    if len(names) > MAX_PARTS:
        raise RefusedError(f"the archive holds {len(names)} files")
    if "word/document.xml" not in names:
        raise RefusedError("the file holds no Word document")
    texts: list[str] = []
    room, hidden = max_chars, False
    for name in _in_reading_order(names):
        part = _Text(room)
        _parse(_unpacked(archive, name), part)
        shown, suspicious = visible_characters(part.text())
        hidden = hidden or part.hidden or suspicious
        if shown and shown not in texts:
            texts.append(shown)
            room -= len(shown)
        if part.full or room <= 0:
            break
    text = "\n\n".join(texts)
    return Document(
        kind="docx",
        text=text,
        title=_title(archive, names),
        truncated=room <= 0,
        defects=() if text else ("the document holds no text",),
        hidden_text=hidden,
    )


def _in_reading_order(names: list[str]) -> list[str]:
    def parts(kind: str) -> list[str]:
        return sorted(name for name in set(names) if name.startswith(f"word/{kind}") and name.endswith(".xml"))

    return [*parts("header"), "word/document.xml", *parts("footnotes"), *parts("endnotes"), *parts("footer")]


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    packed = max(1, info.compress_size)
    if info.file_size > MAX_PART or (info.file_size > 2**20 and info.file_size / packed > MAX_RATIO):
        raise RefusedError(
            f"the file unpacks to {info.file_size / 2**20:,.0f} MiB from {packed / 2**20:.1f} MiB, as archive bombs do"
        )
    with archive.open(info) as part:
        content = part.read(MAX_PART + 1)
    if len(content) > MAX_PART:
        raise RefusedError("the file unpacks to more than it says, as archive bombs do")
    return content


def _parse(xml: bytes, handler: Any) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.characters
    # OPC (ECMA-376 part 2, 8.2.5) forbids document type declarations: nothing but attacks has them.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.Parse(xml, True)


def _refuse_doctype(*_: object) -> None:
    raise RefusedError("the file declares XML entities, which no Word file does (as entity bombs do)")


class _Text:
    """Collects the shown text of one part, up to `room` characters."""

    def __init__(self, room: int) -> None:
        self.hidden = False
        self._room = room
        self._out: list[str] = []
        self._skipping = 0  # depth within an element that does not show
        self._in_text = False
        self._vanished = False
        self._cells: list[int] = []  # for each open table row: how many cells it has had

    @property
    def full(self) -> bool:
        return self._room <= 0

    def text(self) -> str:
        lines = (line.rstrip() for line in "".join(self._out).split("\n"))
        return "\n".join(line for line in lines if line)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        ours = namespace.endswith(_MAIN)
        if self._skipping or (tag in _SKIPPED and (ours or namespace == _COMPATIBILITY)):
            self._skipping += 1
        elif not ours:
            return
        elif tag == "r":
            self._vanished = False
        elif tag in ("vanish", "webHidden"):
            value = next((value for key, value in attributes.items() if key.rpartition(" ")[2] == "val"), "true")
            self._vanished = value not in ("0", "false", "off")
        elif tag == "t":
            self._in_text = True
        elif tag in _SHORT:
            self._add(_SHORT[tag])
        elif tag == "tr":
            self._cells.append(0)
        elif tag == "tc" and self._cells:
            if self._cells[-1]:
                self._join_cell()
            self._cells[-1] += 1
        elif tag == "numPr":
            self._add("- ")

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
            return
        namespace, _, tag = name.rpartition(" ")
        if not namespace.endswith(_MAIN):
            return
        if tag == "t":
            self._in_text = False
        elif tag == "r":
            self._vanished = False
        elif tag == "p":
            self._add("\n")
        elif tag == "tr" and self._cells:
            self._cells.pop()
            self._add("\n")

    def characters(self, text: str) -> None:
        if not self._in_text or self._skipping:
            return
        if self._vanished:
            self.hidden = self.hidden or any(char.isalnum() for char in text)
            return
        self._add(text)

    def _add(self, text: str) -> None:
        if self._room > 0:
            self._out.append(text[: self._room])
            self._room -= len(text)

    def _join_cell(self) -> None:
        # The paragraph that ended the cell before left a line end; in a row the cells stand side by side.
        while self._out and self._out[-1] == "\n":
            self._out.pop()
        self._add(" | ")


class _Title:
    def __init__(self) -> None:
        self.value = ""
        self._inside = False

    def start(self, name: str, _: dict[str, str]) -> None:
        self._inside = name == "http://purl.org/dc/elements/1.1/ title"

    def end(self, _: str) -> None:
        self._inside = False

    def characters(self, text: str) -> None:
        if self._inside and len(self.value) < 500:
            self.value += text


def _title(archive: zipfile.ZipFile, names: list[str]) -> str | None:
    if "docProps/core.xml" not in names:
        return None
    found = _Title()
    try:
        _parse(_unpacked(archive, "docProps/core.xml"), found)
    except (RefusedError, expat.ExpatError):
        return None
    return " ".join(visible_characters(found.value)[0].split())[:500] or None
