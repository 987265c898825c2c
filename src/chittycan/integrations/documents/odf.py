"""OpenDocument files (ISO/IEC 26300), as LibreOffice writes them: texts, tables and slides.

The text that shows, without deleted text and remarks. A heading, a sheet or a slide begins a section.
"""

import zipfile

from chittycan.integrations.documents.archive import Handler, RefusedError, attribute, opened, parse, title, unpacked
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Kind, Section

MAX_SPACES = 100
_SKIPPED = frozenset(("tracked-changes", "annotation", "forms", "notes", "hidden-text", "hidden-paragraph", "scripts"))


def read(kind: Kind, data: bytes, max_chars: int) -> Document:
    """The document's text. A file that is broken, locked or a trap has a defect."""
    return opened(kind, data, lambda archive: _read(kind, archive, max_chars))


def _read(kind: Kind, archive: zipfile.ZipFile, max_chars: int) -> Document:
    names = archive.namelist()
    if "META-INF/manifest.xml" in names and b"encryption-data" in unpacked(archive, "META-INF/manifest.xml"):
        raise RefusedError("the file needs a password")
    if "content.xml" not in names:
        raise RefusedError("the file holds no document")
    styles = _Styles()
    for name in ("styles.xml", "content.xml"):
        if name in names:
            parse(unpacked(archive, name), styles)
    body = _Body(styles.hidden, max_chars)
    parse(unpacked(archive, "content.xml"), body)
    defects = [f"{body.remarks} remark{'s' * (body.remarks > 1)} left out"] if body.remarks else []
    text = body.text()
    if not text:
        defects.append("the document holds no text")
    return Document(
        kind=kind, text=text[:max_chars], title=title(archive, "meta.xml"), truncated=body.full,
        defects=tuple(defects), hidden_text=body.hidden, sections=tuple(body.sections),
    )  # fmt: skip


class _Styles(Handler):
    """The styles whose text does not show."""

    def __init__(self) -> None:
        self.hidden: set[str] = set()
        self._style = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "style":
            self._style = attribute(attributes, "name")
        gone = attribute(attributes, "display") in ("none", "false") and tag in ("text-properties", "table-properties")
        if self._style and (gone or attribute(attributes, "font-size") in ("0pt", "1pt")):
            self.hidden.add(self._style)

    def end(self, name: str) -> None:
        if name.endswith(" style"):
            self._style = ""


class _Body(Handler):
    def __init__(self, hidden_styles: set[str], room: int) -> None:
        self.hidden = False
        self.remarks = 0
        self.sections: list[Section] = []
        self._hidden_styles = hidden_styles
        self._room = room
        self._out: list[str] = []
        self._line: list[str] = []
        self._at = 0
        self._skipping = 0  # depth within what is left out
        self._hiding = 0  # depth within what does not show
        self._inside = False
        self._paragraphs = 0
        self._slides = 0
        self._heading = False

    @property
    def full(self) -> bool:
        return self._at >= self._room

    def text(self) -> str:
        return "".join(self._out).rstrip()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if self._skipping or tag in _SKIPPED:
            self._skipping += 1
            self.remarks += tag == "annotation"
            return
        collapsed = attribute(attributes, "visibility") in ("collapse", "filter")
        if self._hiding or collapsed or attribute(attributes, "style-name") in self._hidden_styles:
            self._hiding += 1
        if tag in ("p", "h"):
            self._paragraphs += 1
            self._heading = tag == "h"
        elif tag in ("tab", "line-break"):
            self._add(" " if tag == "tab" else "\n")
        elif tag == "s":
            spaces = attribute(attributes, "c")
            self._add(" " * min(int(spaces) if spaces.isascii() and spaces.isdecimal() else 1, MAX_SPACES))
        elif tag == "table-cell":
            self._add(" | " if self._inside else "")
            self._inside = True
        elif tag == "table-row":
            self._inside = False
        elif tag == "table" and (sheet := attribute(attributes, "name")):
            self._section(f"table {sheet[:100]}")
        elif tag == "page":
            self._slides += 1
            self._section(f"slide {self._slides}")

    def end(self, name: str) -> None:
        tag = name.rpartition(" ")[2]
        if self._skipping:
            self._skipping -= 1
            return
        if tag in ("p", "h"):
            self._paragraphs -= 1
            if self._heading and (heading := "".join(self._line).strip()):
                self._section(f"“{heading[:120]}”")
            self._heading = False
            self._add(" " if self._inside else "\n")
        elif tag == "table-row":
            self._inside = False
            self._add("\n")
        if self._hiding:
            self._hiding -= 1

    def characters(self, text: str) -> None:
        if self._paragraphs and not self._skipping:
            self._add(text)

    def _section(self, ref: str) -> None:
        self.sections.append(Section(ref, self._at))

    def _add(self, text: str) -> None:
        if self._hiding:
            self.hidden = self.hidden or any(map(str.isalnum, text))
            return
        if text != "\n":
            self._line.append(text)
            return
        shown, suspicious = visible_characters("".join(self._line))
        self._line = []
        self.hidden = self.hidden or suspicious
        if (shown := shown.replace("  | ", " | ").strip(" |")) and not self.full:
            self._out.append(shown + "\n")
            self._at += len(shown) + 1
