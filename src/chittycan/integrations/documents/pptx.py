"""PowerPoint files (ECMA-376 part 1, §19): the text of the slides that show, in order, without speakers' notes."""

import posixpath
import re
import zipfile

from chittycan.integrations.documents.archive import Handler, Links, RefusedError, opened, parse, title, unpacked
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Section

MAX_SLIDES = 2_000
_BOOK = "ppt/presentation.xml"


def read(data: bytes, max_chars: int) -> Document:
    """The slides' text. A file that is broken or a trap has a defect."""
    return opened("pptx", data, lambda archive: _read(archive, max_chars))


def _read(archive: zipfile.ZipFile, max_chars: int) -> Document:
    names = set(archive.namelist())
    if _BOOK not in names:
        raise RefusedError("the file holds no presentation")
    order, links = _Order(), Links()
    parse(unpacked(archive, _BOOK), order)
    if "ppt/_rels/presentation.xml.rels" in names:
        parse(unpacked(archive, "ppt/_rels/presentation.xml.rels"), links)
    parts = [posixpath.normpath(posixpath.join("/ppt", links.targets.get(each, "")))[1:] for each in order.links]
    texts: list[str] = []
    sections: list[Section] = []
    start, hidden, left_out = 0, False, 0
    for number, part in enumerate(parts[:MAX_SLIDES], 1):
        if part not in names or start >= max_chars:
            continue
        slide = _Slide()
        parse(unpacked(archive, part), slide)
        shown, suspicious = visible_characters(slide.text())
        hidden = hidden or suspicious or slide.hidden
        if slide.hidden:
            left_out += 1
        elif shown:
            texts.append(shown)
            sections.append(Section(f"slide {number}", start))
            start += len(shown) + 2
    defects = [f"{left_out} hidden slide{'s' * (left_out > 1)} left out"] if left_out else []
    if not texts:
        defects.append("the slides hold no text")
    return Document(
        kind="pptx", text="\n\n".join(texts)[:max_chars], title=title(archive), pages=len(parts) or None,
        truncated=start > max_chars + 2 or len(parts) > MAX_SLIDES, defects=tuple(defects), hidden_text=hidden,
        sections=tuple(sections),
    )  # fmt: skip


class _Order(Handler):
    def __init__(self) -> None:
        self.links: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name.endswith(" sldId"):
            self.links += [value for key, value in attributes.items() if key.endswith("/relationships id")]


class _Slide(Handler):
    def __init__(self) -> None:
        self.hidden = False
        self._out: list[str] = []
        self._in_text, self._cells = False, 0

    def text(self) -> str:
        lines = (line.strip() for line in "".join(self._out).split("\n"))
        return re.sub(r"\n{2,}", "\n", "\n".join(lines)).replace("  | ", " | ").strip()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "sld":
            self.hidden = attributes.get("show") in ("0", "false")
        elif tag == "t":
            self._in_text = True
        elif tag == "br":
            self._out.append("\n")
        elif tag == "tr":
            self._cells = 0
        elif tag == "tc":
            self._out.append(" | " if self._cells else "")
            self._cells += 1

    def end(self, name: str) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "t":
            self._in_text = False
        elif tag == "p":
            self._out.append(" " if self._cells else "\n")
        elif tag == "tbl":
            self._cells = 0
        elif tag == "tr":
            self._out.append("\n")

    def characters(self, text: str) -> None:
        if self._in_text:
            self._out.append(text)
