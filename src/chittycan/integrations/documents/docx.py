"""Word files (ECMA-376): the text that shows, from the parts of the archive, without building a tree."""

import re
import zipfile

from chittycan.integrations.documents.archive import RefusedError, opened, parse, title, unpacked
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Section

LONGEST_HEADING = 120  # characters

_MAIN = ("/wordprocessingml/2006/main", "/ooxml/wordprocessingml/main")
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_SKIPPED = {"instrText", "delText", "del", "moveFrom", "Fallback"}
_HEADING = re.compile(r"(?i)(?:heading|title|überschrift|berschrift)\s?\d?")  # ids of Word's own styles
_SHORT = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def read(data: bytes, max_chars: int) -> Document:
    """The document's text with its headers, notes and tables. A file that is broken or a trap has a defect."""
    return opened("docx", data, lambda archive: _read(archive, max_chars))


def _read(archive: zipfile.ZipFile, max_chars: int) -> Document:
    names = archive.namelist()
    if "word/document.xml" not in names:
        raise RefusedError("the file holds no Word document")
    texts: list[str] = []
    sections: list[Section] = []
    room, hidden, start = max_chars, False, 0
    for name in _in_reading_order(names):
        part = _Text(room)
        parse(unpacked(archive, name), part)
        shown, suspicious = visible_characters(part.text())
        hidden = hidden or part.hidden or suspicious
        if shown and shown not in texts:
            sections += _headed(shown, part.headings, start)
            texts.append(shown)
            room -= len(shown)
            start += len(shown) + 2
        if part.full or room <= 0:
            break
    text = "\n\n".join(texts)
    return Document(
        kind="docx",
        text=text,
        title=title(archive),
        truncated=room <= 0,
        defects=() if text else ("the document holds no text",),
        hidden_text=hidden,
        sections=tuple(sections),
    )


def _headed(text: str, headings: list[str], start: int) -> list[Section]:
    """Where each heading stands in the shown text, which begins at `start`."""
    found: list[Section] = []
    at = 0
    for heading in headings:
        shown = " ".join(visible_characters(heading)[0].split())
        place = text.find(shown, at) if shown else -1
        if place >= 0:
            found.append(Section(f"“{shown[:LONGEST_HEADING]}”", start + place))
            at = place + len(shown)
    return found


def _in_reading_order(names: list[str]) -> list[str]:
    def parts(kind: str) -> list[str]:
        return sorted(name for name in set(names) if name.startswith(f"word/{kind}") and name.endswith(".xml"))

    return [*parts("header"), "word/document.xml", *parts("footnotes"), *parts("endnotes"), *parts("footer")]


def _value(attributes: dict[str, str], default: str) -> str:
    return next((value for key, value in attributes.items() if key.rpartition(" ")[2] == "val"), default)


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
        self.headings: list[str] = []
        self._heading: list[str] | None = None  # the text of the paragraph, where its style is a heading's

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
            self._vanished = _value(attributes, "true") not in ("0", "false", "off")
        elif tag == "t":
            self._in_text = True
        elif tag == "pStyle" and _HEADING.fullmatch(_value(attributes, "")):
            self._heading = []
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
            if self._heading:
                self.headings.append("".join(self._heading))
            self._heading = None
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
        if self._heading is not None:
            self._heading.append(text)
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
