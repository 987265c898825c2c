"""PDF files: their text layer, page by page."""

from collections.abc import Callable

from chittycan.integrations.documents import pdf

Make = Callable[..., bytes]


def test_text_title_and_pages(make_pdf: Make) -> None:
    document = pdf.read(make_pdf("Lease agreement\nMonthly rent: 900", "Signed", title="Lease 17"), 1000)
    assert document.text == "Lease agreement\nMonthly rent: 900\n\nSigned"
    assert (document.title, document.pages, document.truncated, document.defects) == ("Lease 17", 2, False, ())


def test_a_long_file_is_cut(make_pdf: Make) -> None:
    document = pdf.read(make_pdf("x" * 80, "y" * 80), 50)
    assert document.text == "x" * 50
    assert document.truncated


def test_pages_without_text_are_taken_for_scans(make_pdf: Make) -> None:
    assert pdf.read(make_pdf(""), 100).defects == (pdf.SCANNED,)


def test_a_damaged_file_has_a_defect() -> None:
    assert pdf.read(b"%PDF-1.4\nnothing", 100).defects == ("the file is damaged",)


def test_a_file_cut_in_the_middle_gives_text_or_a_defect(make_pdf: Make) -> None:
    whole = make_pdf("Hello", "World")
    for cut in range(0, len(whole), 61):
        document = pdf.read(whole[:cut], 100)
        assert document.text or document.defects
