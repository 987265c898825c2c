"""Word files (ECMA-376): the text that shows, from the parts of the archive, without building a tree."""

import re
import zipfile

from msgspec import Struct

from chittycan.integrations.documents.archive import Handler, RefusedError, attribute, opened, parse, title, unpacked
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Section

LONGEST_HEADING = 120  # characters

_MAIN = ("/wordprocessingml/2006/main", "/ooxml/wordprocessingml/main")
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_SKIPPED = {"instrText", "delText", "del", "moveFrom", "Fallback"}
_HEADING = re.compile(r"(?i)(?:heading|title|überschrift|berschrift)\s?\d?")  # ids of Word's own styles
_OFF = ("0", "false", "off", "none")
_WHITE = re.compile(r"(?i)f[5-9a-f]f[5-9a-f]f[5-9a-f]|white")
_TINY = ("0", "1", "2", "3")  # half points
_LOOKS = frozenset(("vanish", "webHidden", "rStyle", "pStyle", "sz", "color", "shd", "highlight"))
_GROUNDS = frozenset(("tbl", "txbxContent", "background"))
_SHORT = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def read(data: bytes, max_chars: int) -> Document:
    """The document's text with its headers, notes and tables. A file that is broken or a trap has a defect."""
    return opened("docx", data, lambda archive: _read(archive, max_chars))


def _read(archive: zipfile.ZipFile, max_chars: int) -> Document:
    names = archive.namelist()
    if "word/document.xml" not in names:
        raise RefusedError("the file holds no Word document")
    styles, remarks = _Styles(), _Remarks()
    for name, handler in (("word/styles.xml", styles), ("word/comments.xml", remarks)):
        if name in names:
            parse(unpacked(archive, name), handler)
    texts: list[str] = []
    sections: list[Section] = []
    room, hidden, start, deleted = max_chars, False, 0, 0
    for name in _in_reading_order(names):
        part = _Text(room, styles.hidden)
        parse(unpacked(archive, name), part)
        deleted += part.deleted
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
    counts = ((deleted, "deletion", " (tracked changes)"), (remarks.count, "remark", ""))
    defects = [f"{count} {what}{'s' * (count > 1)}{how} left out" for count, what, how in counts if count]
    return Document(
        kind="docx",
        text=text,
        title=title(archive),
        truncated=room <= 0,
        defects=tuple(defects if text else [*defects, "the document holds no text"]),
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


class _Styles(Handler):
    """The styles whose text is hidden."""

    def __init__(self) -> None:
        self.hidden: set[str] = set()
        self._style = ""
        self._based_on: list[tuple[str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "style":
            self._style = attribute(attributes, "styleId")
        elif tag == "vanish" and self._style and attribute(attributes, "val", "true") not in _OFF:
            self.hidden.add(self._style)
        elif tag == "basedOn":
            self._based_on.append((self._style, attribute(attributes, "val")))

    def end(self, name: str) -> None:
        if name.endswith(" styles"):
            for _ in range(10):
                self.hidden |= {style for style, other in self._based_on if other in self.hidden}


class _Remarks(Handler):
    def __init__(self) -> None:
        self.count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += name.endswith(" comment")


class _Look(Struct):
    """How a paragraph or a run looks, as far as it can hide its text."""

    vanished: bool = False
    tiny: bool = False
    white: bool = False
    ground: bool = False  # a colour of its own behind the text

    def take(self, tag: str, attributes: dict[str, str], hidden_styles: set[str]) -> None:
        value = attribute(attributes, "val", "true")
        if tag in ("vanish", "webHidden"):
            self.vanished = value not in _OFF
        elif tag in ("rStyle", "pStyle"):
            self.vanished = self.vanished or value in hidden_styles
        elif tag == "sz":
            self.tiny = value in _TINY
        elif tag == "color":
            self.white = _WHITE.fullmatch(value) is not None
        elif tag in ("shd", "highlight"):
            fill = attribute(attributes, "fill", value)
            self.ground = fill != "auto" and _WHITE.fullmatch(fill) is None and fill != "none"


class _Text(Handler):
    """Collects the shown text of one part, up to `room` characters.

    White text is taken for hidden where nothing says what is behind it; in tables, text boxes and on a coloured page
    something may.
    """

    def __init__(self, room: int, hidden_styles: set[str]) -> None:
        self.hidden = False
        self.deleted = 0
        self._hidden_styles = hidden_styles
        self._runs: list[_Look] = []  # that are open: a text box stands within a run and holds others
        self._paragraphs: list[_Look] = []
        self._of_paragraph = False  # within a paragraph's properties
        self._grounds = 0  # depth within tables and text boxes
        self._room = room
        self._out: list[str] = []
        self._skipping = 0  # depth within an element that does not show
        self._in_text = False
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
            self.deleted += tag == "del" and not self._skipping
            self._skipping += 1
        elif not ours:
            return
        elif tag == "r":
            self._runs.append(_Look())
        elif tag == "p":
            self._paragraphs.append(_Look())
        elif tag == "pPr":
            self._of_paragraph = bool(self._paragraphs)
        elif tag in _LOOKS:
            self._takes(tag, attributes)
        elif tag in _GROUNDS:
            self._grounds += 1
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

    def _takes(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in ("pStyle", "shd") and self._of_paragraph:
            self._paragraphs[-1].take(tag, attributes, self._hidden_styles)
        elif self._runs and not self._of_paragraph:  # what a paragraph says of letters is about its mark alone
            self._runs[-1].take(tag, attributes, self._hidden_styles)
        if tag == "pStyle" and _HEADING.fullmatch(attribute(attributes, "val")):
            self._heading = []

    def _unseen(self) -> bool:
        run = self._runs[-1] if self._runs else _Look()
        paragraph = self._paragraphs[-1] if self._paragraphs else _Look()
        white = run.white and not (run.ground or paragraph.ground or self._grounds)
        return run.vanished or paragraph.vanished or run.tiny or white

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
            return
        namespace, _, tag = name.rpartition(" ")
        if not namespace.endswith(_MAIN):
            return
        if tag == "t":
            self._in_text = False
        elif tag == "pPr":
            self._of_paragraph = False
        elif tag == "r" and self._runs:
            self._runs.pop()
        elif tag in _GROUNDS and tag != "background":
            self._grounds -= 1
        elif tag == "p":
            self._paragraphs.pop()
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
        if self._unseen():
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
