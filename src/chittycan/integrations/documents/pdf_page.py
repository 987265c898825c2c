"""One page of a PDF, through PDFium: the text that shows, with what was filled in, without what nobody sees.

Not seen is text in the colour of the paper with nothing painted behind it, text without size, transparent text, and
text beside the page. Invisible text over a picture is what a scanner's program read, and stays.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import pypdfium2.raw as pdfium
from msgspec import Struct

MAX_OBJECTS = 20_000  # of a page with more (a plan, a map) all text is taken for shown
MAX_NOTES = 500  # of a page that are looked at
SMALLEST = 1.0  # points: no printer prints less
_PAPER = 245  # of 255: this and more of red, green and blue is white
_CLEAR = 13  # of 255
_INVISIBLE = (3, 7)  # text rendering modes (ISO 32000-1, 9.3.6)
_FILLED_IN = (pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP)

_Box = tuple[float, float, float, float]  # left, bottom, right, top


class PageText(Struct, frozen=True):
    text: str
    hidden: bool = False  # more of it was there
    scanned: bool = False  # a picture, and no text


def read(pdf: Any, number: int, room: int) -> PageText:
    """At most `room` characters of a page. Raises PdfiumError where the page is damaged."""
    page = pdf[number]
    if _is_filled_in(page) and pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS:
        page.close()
        page = pdf[number]
    text_page = page.get_textpage()
    unseen, pictures = _unseen(page)
    count = min(text_page.count_chars(), room)
    text, dropped = _without(text_page, unseen, count) if unseen else (_text(text_page, 0, count), "")
    text_page.close()
    page.close()
    # PDFium marks a hyphen at a line's end by U+FFFE; the word goes on in the next line.
    text = text.replace("\ufffe\r\n", "").replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "")
    return PageText(text, hidden=any(map(str.isalnum, dropped)), scanned=pictures and not text.strip())


def _is_filled_in(page: Any) -> bool:
    """Whether it has fields, remarks or stamps, which are no part of the text until they are put into the page."""
    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page), MAX_NOTES)):
        note = pdfium.FPDFPage_GetAnnot(page, number)
        kind = pdfium.FPDFAnnot_GetSubtype(note) if note else None
        pdfium.FPDFPage_CloseAnnot(note)
        if kind in _FILLED_IN:
            return True
    return False


def _text(text_page: Any, start: int, count: int) -> str:
    found: str = text_page.get_text_range(start, count) if count > 0 else ""
    return found


def _without(text_page: Any, unseen: set[int], count: int) -> tuple[str, str]:
    """The text but for that of some objects, and that."""
    pieces: dict[bool, list[str]] = {True: [], False: []}
    start, kept = 0, True
    for index in range(count + 1):
        owner = pdfium.FPDFText_GetTextObject(text_page, index) if index < count else None
        keep = not owner or _address(owner) not in unseen
        if keep != kept or index == count:
            pieces[kept].append(_text(text_page, start, index - start))
            start, kept = index, keep
    return "".join(pieces[True]), "".join(pieces[False])


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _unseen(page: Any) -> tuple[set[int], bool]:
    """The text objects that a reader does not see, and whether the page has pictures."""
    count = pdfium.FPDFPage_CountObjects(page)
    if count > MAX_OBJECTS:
        return set(), False
    found = [pdfium.FPDFPage_GetObject(page, index) for index in range(count)]
    kinds = [pdfium.FPDFPageObj_GetType(each) for each in found]
    texts = [each for each, kind in zip(found, kinds, strict=True) if kind == pdfium.FPDF_PAGEOBJ_TEXT]
    others = [pair for pair in zip(found, kinds, strict=True) if pair[1] != pdfium.FPDF_PAGEOBJ_TEXT]
    # What a form holds is not looked into: it may be a picture, and painted.
    pictures = any(kind in (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM) for _, kind in others)
    area: _Box = page.get_cropbox()
    painted: list[_Box] | None = None
    unseen = set()
    for text in texts:
        if _is_white(text):
            painted = list(_painted(others)) if painted is None else painted
            box = _box(text)
            gone = box is not None and not any(_meet(box, each) for each in painted)
        else:
            gone = _is_gone(text, pictures, area)
        if gone:
            unseen.add(_address(text))
    return unseen, pictures


def _is_gone(text: Any, pictures: bool, area: _Box) -> bool:
    if pdfium.FPDFTextObj_GetTextRenderMode(text) in _INVISIBLE:
        return not pictures
    colour = _fill(text)
    if colour is not None and colour[3] < _CLEAR:
        return True
    size, matrix = ctypes.c_float(), pdfium.FS_MATRIX()
    if pdfium.FPDFTextObj_GetFontSize(text, size) and pdfium.FPDFPageObj_GetMatrix(text, matrix):
        scale = max(abs(matrix.a) + abs(matrix.b), abs(matrix.c) + abs(matrix.d))
        if 0 <= abs(size.value) * scale < SMALLEST:
            return True
    box = _box(text)
    return box is not None and not _meet(box, area)


def _is_white(text: Any) -> bool:
    colour = _fill(text)
    visible = pdfium.FPDFTextObj_GetTextRenderMode(text) == 0
    return visible and colour is not None and min(colour[:3]) >= _PAPER and colour[3] >= _CLEAR


def _painted(others: list[tuple[Any, int]]) -> Iterator[_Box]:
    """Where something stands that white text shows on."""
    for each, kind in others:
        colour = _fill(each) if kind == pdfium.FPDF_PAGEOBJ_PATH else None
        if (colour is None or min(colour[:3]) < _PAPER) and (box := _box(each)) is not None:
            yield box


def _fill(each: Any) -> tuple[int, int, int, int] | None:
    parts = [ctypes.c_uint() for _ in range(4)]
    known = pdfium.FPDFPageObj_GetFillColor(each, *parts)
    red, green, blue, alpha = (part.value for part in parts)
    return (red, green, blue, alpha) if known else None


def _box(each: Any) -> _Box | None:
    parts = [ctypes.c_float() for _ in range(4)]
    known = pdfium.FPDFPageObj_GetBounds(each, *parts)
    left, bottom, right, top = (part.value for part in parts)
    return (left, bottom, right, top) if known else None


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
