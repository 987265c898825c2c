"""PDF files: their text layer, page by page, through PDFium."""

from typing import Any

from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Section

MAX_PAGES = 2_000
SCANNED = "the pages hold no text (they are probably scanned images)"
MISSING = "PDF files need a library that is not installed: pip install 'chittycan[documents]'"


def read(data: bytes, max_chars: int) -> Document:
    """The text of all pages, parted by blank lines. A file that is broken or locked has a defect."""
    try:
        import pypdfium2
    except ModuleNotFoundError:
        return Document(kind="pdf", defects=(MISSING,))
    try:
        pdf = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        return Document(kind="pdf", defects=("the file needs a password" if locked else "the file is damaged",))
    with pdf:
        texts: list[str] = []
        sections: list[Section] = []
        start = 0
        room, hidden, broken, total = max_chars, False, 0, len(pdf)
        for number in range(min(total, MAX_PAGES)):
            try:
                text = _page(pdf, number, room)
            except pypdfium2.PdfiumError:
                broken += 1
                continue
            shown, suspicious = visible_characters(text)
            hidden = hidden or suspicious
            if shown := shown.strip():
                texts.append(shown)
                sections.append(Section(f"page {number + 1}", start))
                start += len(shown) + 2
            room -= len(shown)
            if room <= 0:
                break
        title = " ".join(visible_characters(pdf.get_metadata_value("Title") or "")[0].split())[:500] or None
    text = "\n\n".join(texts)
    defects = [f"{broken} of {total} pages are damaged"] if broken else []
    if not text:
        defects.append(SCANNED)
    return Document(
        kind="pdf",
        text=text,
        title=title,
        pages=total,
        truncated=room <= 0 or total > MAX_PAGES,
        defects=tuple(defects),
        hidden_text=hidden,
        sections=tuple(sections),
    )


def _page(pdf: Any, number: int, room: int) -> str:
    page = pdf[number]
    text_page = page.get_textpage()
    count = min(text_page.count_chars(), room)
    text: str = text_page.get_text_range(0, count) if count else ""
    text_page.close()
    page.close()
    # PDFium marks a hyphen at a line's end by U+FFFE; the word goes on in the next line.
    return text.replace("\ufffe\r\n", "").replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "")
