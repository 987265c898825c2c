"""Files that came along within a file: their text below its own, each under its name."""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import IMAGES, Document, Kind, Section, sniff

MAX_FILES = 20  # that are read
MAX_DEPTH = 3  # files within files within files

Read = Callable[[Kind, bytes, int], Document]


def with_files(
    document: Document, own: str, files: Iterable[tuple[str, bytes]], max_chars: int, read: Read
) -> Document:
    """The document, whose own text is called `own`, with the text of `files` (name, content), and what of them was not
    read. Pictures, of which every signature has one, are passed over in silence."""
    text, hidden = document.text, document.hidden_text
    sections = [Section(own, 0), *document.sections]
    defects = list(document.defects)
    truncated = document.truncated
    for number, (named, data) in enumerate(files):
        name = visible_characters(named)[0]
        kind = sniff(name, data[:8192])
        if kind in IMAGES:
            continue
        room = max_chars - len(text) - len(name) - 5
        if kind == "unknown" or number >= MAX_FILES or room <= 0:
            defects.append(f"{name} was not read")
            continue
        inner = read(kind, data, room)
        if inner.text:
            heading = f"\n\n# {name}\n"
            start = len(text) + len(heading)
            sections.append(Section(name, len(text) + 2))
            sections += [Section(f"{name}, {each.ref}", start + each.start) for each in inner.sections]
            text += heading + inner.text
        defects += [f"{name}: {each}" for each in inner.defects]
        hidden, truncated = hidden or inner.hidden_text, truncated or inner.truncated
    return replace(
        document, text=text, sections=tuple(sections) if text != document.text else document.sections,
        defects=tuple(defects), hidden_text=hidden, truncated=truncated,
    )  # fmt: skip
