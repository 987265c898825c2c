"""Mails with HTML and files in them, made by hand, so that anything at all can stand in them."""

import base64
import zipfile
from io import BytesIO

EDGE = "edge-of-a-part"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
EXCEL = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "docx-hidden": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf", "html": "text/html", "txt": "text/plain", "ics": "text/calendar", "eml": "message/rfc822",
}  # fmt: skip

Paper = tuple[str, bytes]  # media type, content


def mixed(text: str, attached: tuple[str, Paper] | None = None) -> bytes:
    """The rest of a mail from its Content-Type on: a text, and perhaps a file of this name."""
    if attached is None:
        return _plain(text)
    name, (media_type, content) = attached
    # A mail within the mail may not be encoded (RFC 2046, 5.2.1).
    plain = media_type.startswith("message/")
    head = f'Content-Type: {media_type}\r\nContent-Disposition: attachment; filename="{name}"\r\n'
    head += "" if plain else "Content-Transfer-Encoding: base64\r\n"
    body = content if plain else base64.encodebytes(content)
    return _parts("mixed", _plain(text), head.encode() + b"\r\n" + body)


def html_body(html: str, text: str | None = None) -> bytes:
    """As `mixed`, a text in HTML, and perhaps beside it what should be the same without."""
    page = f"Content-Type: text/html; charset=utf-8\r\n\r\n<html><body>{html}</body></html>".encode()
    return page if text is None else _parts("alternative", _plain(text), page)


def _plain(text: str) -> bytes:
    return b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()


def _parts(kind: str, *parts: bytes) -> bytes:
    head = f'Content-Type: multipart/{kind}; boundary="{EDGE}"\r\n\r\n'.encode()
    return head + b"".join(f"--{EDGE}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{EDGE}--\r\n".encode()


def paper(kind: str, text: str) -> Paper:
    """A file that holds the text; `docx-hidden` in a run that Word does not show."""
    match kind:
        case "docx" | "docx-hidden":
            mark = "<w:rPr><w:vanish/></w:rPr>" if kind == "docx-hidden" else ""
            runs = f"<w:p><w:r><w:t>An agreement.</w:t></w:r></w:p><w:p><w:r>{mark}<w:t>{_xml(text)}</w:t></w:r></w:p>"
            content = _packed({
                "[Content_Types].xml": "<Types/>",
                "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{runs}</w:body></w:document>',
            })  # fmt: skip
        case "xlsx":
            cell = f'<row r="1"><c r="A1" t="inlineStr"><is><t>{_xml(text)}</t></is></c></row>'
            content = _packed({
                "[Content_Types].xml": "<Types/>",
                "xl/workbook.xml": f'<workbook xmlns="{EXCEL}" xmlns:r="{LINKS}">'
                                   '<sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
                "xl/_rels/workbook.xml.rels": '<Relationships xmlns="urn:x">'
                                              '<Relationship Id="r1" Target="worksheets/sheet1.xml"/></Relationships>',
                "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{EXCEL}"><sheetData>{cell}</sheetData></worksheet>',
            })  # fmt: skip
        case "pdf":
            content = _pdf(text)
        case _:
            content = text.encode()
    return TYPES[kind], content


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _packed(files: dict[str, str]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # which has a date of its own: the same bytes every time
    return packed.getvalue()


def _pdf(text: str) -> bytes:
    """One page and one line, after ISO 32000-1."""
    line = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("latin-1", "replace")
    drawn = b"BT /F1 10 Tf 20 700 Td (" + line + b") Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 2000 792] /Contents 5 0 R "
        b"/Resources << /Font << /F1 3 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
    )
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
