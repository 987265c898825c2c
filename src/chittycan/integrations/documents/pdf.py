"""PDF files: their text layer, page by page, through PDFium."""

from collections.abc import Iterator
from typing import Any

from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Section

MAX_PAGES = 2_000
MAX_ATTACHED = 5  # files in the file that are named
FORMTYPE_XFA_FULL = 2
SCANNED = "the pages hold no text (they are probably scanned images)"
MISSING = "PDF files need a library that is not installed: pip install 'chittycan[documents]'"


def read(data: bytes, max_chars: int) -> Document:
    """The text of all pages, parted by blank lines. A file that is broken or locked has a defect."""
    try:
        import pypdfium2

        from chittycan.integrations.documents import pdf_page
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
        room, hidden, broken, scanned, total = max_chars, False, 0, 0, len(pdf)
        for number in range(min(total, MAX_PAGES)):
            try:
                page = pdf_page.read(pdf, number, room)
            except pypdfium2.PdfiumError:
                broken += 1
                continue
            shown, suspicious = visible_characters(page.text)
            hidden = hidden or suspicious or page.hidden
            scanned += page.scanned
            if shown := shown.strip():
                texts.append(shown)
                sections.append(Section(f"page {number + 1}", start))
                start += len(shown) + 2
            room -= len(shown)
            if room <= 0:
                break
        title = " ".join(visible_characters(pdf.get_metadata_value("Title") or "")[0].split())[:500] or None
        text = "\n\n".join(texts)
        defects = [*_left_out(pdf, scanned if text else 0, broken), *([] if text else [SCANNED])]
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


def _left_out(pdf: Any, scanned: int, broken: int) -> Iterator[str]:
    """What of a file is not in its text."""
    if broken:
        yield f"{broken} of {len(pdf)} pages are damaged"
    if scanned:
        yield f"{scanned} of {len(pdf)} pages hold no text (they are probably scanned images)"
    names = [pdf.get_attachment(number).get_name() for number in range(min(pdf.count_attachments(), MAX_ATTACHED))]
    # Invoices carry themselves once more as XML (EN 16931): that is no file to tell of.
    if files := [visible_characters(name)[0][:100] for name in names if not name.lower().endswith(".xml")]:
        yield f"files within it were not read: {', '.join(files)}"
    if pdf.get_formtype() == FORMTYPE_XFA_FULL:
        yield "its form (XFA) shows in Adobe Reader alone; save it as a plain PDF"
