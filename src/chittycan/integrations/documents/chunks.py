"""Long papers in pieces that a model can read, each with where it stands: "page 3", "sheet Costs, rows 1–20".

A piece ends at the end of a paragraph where it can, else of a line, a sentence, a word; only what has none of these is
cut in the middle.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from msgspec import Struct

from chittycan.integrations.documents.document import Document, Section

BYTES_PER_TOKEN = 4  # of UTF-8, about, over languages and models

# Where a text may be parted, the best first; each matches what ends a part.
_ENDS = [re.compile(end) for end in (r"\n{2,}", r"\n", r"[.!?…。！？][\"'”»)]*\s+", r"\s+")]


class Chunk(Struct, frozen=True, kw_only=True):
    """`text` stands in the document from character `start` on; `ref` says where that is, "" where nobody can tell."""

    text: str
    start: int
    ref: str


def chunks(document: Document, tokens: int, overlap: int = 0) -> list[Chunk]:
    """The document in pieces of at most about `tokens` each, in order; each repeats `overlap` tokens of the one before.

    An empty document has none. `overlap` must be less than half of `tokens`.
    """
    text, sections = document.text, document.sections
    most, again = tokens * BYTES_PER_TOKEN, overlap * BYTES_PER_TOKEN
    if not 0 <= again * 2 < most:
        raise ValueError("the overlap must be less than half of a chunk")
    starts = [each.start for each in sections]
    found: list[Chunk] = []
    for start, end in _spans(text, most - again):
        first = _back(text, start, again) if found else start
        piece = text[first:end]
        if piece.strip():
            found.append(Chunk(text=piece.strip(), start=first, ref=_ref(sections, starts, start, end)))
    return found


def _spans(text: str, most: int) -> Iterator[tuple[int, int]]:
    """One after the other, each of at most `most` bytes."""
    start = 0
    while start < len(text):
        end = _reach(text, start, most)
        if end < len(text):
            end = _best_end(text, start, end)
        yield start, end
        start = end


def _reach(text: str, start: int, most: int) -> int:
    """How far `most` bytes go, at least one character."""
    piece = text[start : start + most].encode("utf-8", "replace")[:most]
    return start + max(1, len(piece.decode("utf-8", "ignore")))


def _best_end(text: str, start: int, end: int) -> int:
    """The last good place to end at in the second half of the span, else anywhere in it, else its end."""
    for earliest in (start + (end - start) // 2, start):
        for pattern in _ENDS:
            last = max((found.end() for found in pattern.finditer(text, earliest, end)), default=0)
            if last > start:
                return last
    return end


def _back(text: str, start: int, again: int) -> int:
    """Where to begin so that about `again` bytes before `start` are repeated, from a word's beginning on."""
    if not again:
        return start
    earliest = max(0, start - again)
    space = re.compile(r"\s").search(text, earliest, start)
    return space.end() if space else start


def _ref(sections: tuple[Section, ...], starts: list[int], start: int, end: int) -> str:
    if not sections:
        return ""
    first = max(0, bisect_right(starts, start) - 1)
    last = max(first, bisect_right(starts, end - 1) - 1)
    one, other = sections[first].ref, sections[last].ref
    return one if one == other else f"{one} to {other}"


def place(document: Document, quote: str) -> str | None:
    """Where a quote stands in the document, white space and case apart: a section's name, "" where it has none.

    None: it does not stand there.
    """
    words = quote.split()
    if not words:
        return None
    found = re.search(r"\s+".join(map(re.escape, words)), document.text, re.IGNORECASE)
    if found is None:
        return None
    starts = [each.start for each in document.sections]
    return _ref(document.sections, starts, found.start(), found.start() + 1)
