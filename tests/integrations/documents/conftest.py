"""Small files made by hand: a PDF after ISO 32000-1, a Word file after ECMA-376."""

import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO

import pytest

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def pdf_bytes(*pages: str, title: str | None = None) -> bytes:
    """A PDF with one line of text per line of each page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in pages:
        lines = " T* ".join(f"({line}) Tj" for line in page.split("\n"))
        content = f"BT /F1 12 Tf 14 TL 72 720 Td {lines} ET".encode("latin-1")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        kids.append(len(objects) + 1)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), listed)
    trailer = b"/Root 1 0 R"
    if title is not None:
        objects.append(b"<< /Title (%s) >>" % title.encode("latin-1"))
        trailer += b" /Info %d 0 R" % len(objects)
    return _with_table(objects, trailer)


def pdf_page_bytes(
    content: str, page: str = "", resources: str = "", more: tuple[str, ...] = (), catalog: str = ""
) -> bytes:
    """A PDF of one page with this content; the objects in `more` are numbered from 6, the font is /F1."""
    texts = (
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        "<< /Type /Pages /Count 1 /Kids [5 0 R] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        stream(content),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        f"/Resources << /Font << /F1 3 0 R >> /ExtGState << /Clear << /ca 0 >> >> {resources} >> {page} >>",
        *more,
    )
    return _with_table([text.encode("latin-1") for text in texts], b"/Root 1 0 R")


def stream(content: str, entries: str = "") -> str:
    return f"<< {entries} /Length {len(content)} >>\nstream\n{content}\nendstream"


def _with_table(objects: list[bytes], trailer: bytes) -> bytes:
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        table,
        size,
        trailer,
        len(out),
    )


S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def xlsx_bytes(
    *sheets: tuple[str, str], strings: str = "", styles: str = "", states: Mapping[str, str] = {}, book: str = ""
) -> bytes:
    """An Excel file of these sheets: name and what is in its `worksheet`. `states` by name, `book` stands before."""
    links = "".join(
        f'<sheet name="{name}" sheetId="{number}" state="{states.get(name, "visible")}" r:id="r{number}"/>'
        for number, (name, _) in enumerate(sheets, 1)
    )
    targets = "".join(
        f'<Relationship Id="r{number}" Target="worksheets/sheet{number}.xml"/>' for number in range(1, len(sheets) + 1)
    )
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{S}" xmlns:r="{R}">{book}<sheets>{links}</sheets></workbook>'
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="urn:x">{targets}</Relationships>')
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{S}">{strings}</sst>')
        archive.writestr("xl/styles.xml", f'<styleSheet xmlns="{S}">{styles}</styleSheet>')
        for number, (_, content) in enumerate(sheets, 1):
            archive.writestr(f"xl/worksheets/sheet{number}.xml", f'<worksheet xmlns="{S}">{content}</worksheet>')
    return packed.getvalue()


def docx_bytes(body: str, **parts: str) -> bytes:
    """A Word file with this `w:body`; further parts are named without `word/` and `.xml`."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>')
        for name, content in parts.items():
            root = name if name in ("styles", "comments") else "part"
            archive.writestr(f"word/{name}.xml", f'<w:{root} xmlns:w="{W}">{content}</w:{root}>')
    return packed.getvalue()


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r></w:p>"


@pytest.fixture
def make_pdf() -> Callable[..., bytes]:
    return pdf_bytes


@pytest.fixture
def make_pdf_page() -> Callable[..., bytes]:
    return pdf_page_bytes


@pytest.fixture
def pdf_stream() -> Callable[..., str]:
    return stream


@pytest.fixture
def make_docx() -> Callable[..., bytes]:
    return docx_bytes


@pytest.fixture
def para() -> Callable[..., str]:
    return paragraph


@pytest.fixture
def make_xlsx() -> Callable[..., bytes]:
    return xlsx_bytes
