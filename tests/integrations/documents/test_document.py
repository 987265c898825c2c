"""The kind of a file is told from its bytes before its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.documents.document import Kind, sniff


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.pdf", b"%PDF-1.7\n", "pdf"),
        ("a.txt", b"\xef\xbb\xbfjunk\n%PDF-1.4", "pdf"),
        ("a.docx", b"PK\x03\x04....", "docx"),
        ("noname", b"PK\x03\x04....word/document.xml", "docx"),
        ("a.xlsx", b"PK\x03\x04....", "xlsx"),
        ("noname", b"PK\x03\x04....xl/workbook.xml", "xlsx"),
        ("a.odt", b"PK\x03\x04....mimetype", "unknown"),
        ("a.pdf", b"\x89PNG\r\n\x1a\n....", "png"),
        ("photo", b"\xff\xd8\xff\xe0", "jpeg"),
        ("a.gif", b"GIF89a...", "gif"),
        ("a.webp", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        ("a.html", b"<p>hi", "html"),
        ("page", b"\n <!DOCTYPE HTML><p>", "html"),
        ("a.md", b"# <b>", "text"),
        ("a.csv", "a;ü".encode("latin-1"), "text"),
        ("a.txt", "hi".encode("utf-16"), "text"),
        ("a.txt", b"", "text"),
        ("a.txt", b"\x00\x01\x02", "unknown"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "unknown"),
        ("a.eml", b"whatever", "mail"),
        (
            "Re: lease",
            b"Return-Path: <a@b.example>\r\nReceived: from x\r\n by y\r\nFrom: a@b.example\r\n\r\nHi",
            "mail",
        ),
        ("notes.txt", b"From: the office\nTo: do\n\nMessage-ID: none", "text"),
        ("notes.txt", b"Dear all,\nFrom: me\nMIME-Version: 1.0\n", "text"),
    ],
)
def test_sniff(name: str, head: bytes, kind: Kind) -> None:
    assert sniff(name, head) == kind


@given(st.text(), st.binary(max_size=100))
def test_sniff_always_answers(name: str, head: bytes) -> None:
    assert sniff(name, head)
