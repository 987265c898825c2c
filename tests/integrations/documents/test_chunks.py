"""Long papers in pieces: nothing is lost, and each piece says where it stands."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.documents.chunks import BYTES_PER_TOKEN, Chunk, chunks, place
from chittycan.integrations.documents.document import Document, Section
from chittycan.integrations.documents.extract import extract

PAGES = Document(
    kind="pdf",
    text="First page. It is short.\n\nSecond page, which says more.\n\nThird.",
    sections=(Section("page 1", 0), Section("page 2", 26), Section("page 3", 57)),
)


def test_a_short_paper_is_one_piece_that_names_all_of_its_pages() -> None:
    assert chunks(PAGES, 100) == [Chunk(text=PAGES.text, start=0, ref="page 1 to page 3")]


def test_a_piece_ends_where_a_paragraph_does() -> None:
    assert [(each.ref, each.text) for each in chunks(PAGES, 8)] == [
        ("page 1", "First page. It is short."),
        ("page 2", "Second page, which says more."),
        ("page 3", "Third."),
    ]


def test_else_a_sentence_else_a_word_else_anywhere() -> None:
    def pieces(text: str, tokens: int) -> list[str]:
        return [each.text for each in chunks(Document(kind="text", text=text), tokens)]

    assert pieces("One two three. Four five six. Seven.", 8) == ["One two three. Four five six.", "Seven."]
    assert pieces("one two three four five", 3) == ["one two", "three four", "five"]
    assert pieces("x" * 20, 2) == ["x" * 8, "x" * 8, "x" * 4]


def test_an_overlap_repeats_what_came_before() -> None:
    text = " ".join(f"w{number:02}" for number in range(40))
    found = chunks(Document(kind="text", text=text), 10, overlap=2)
    assert all(later.text.split()[0] in earlier.text for earlier, later in pairwise(found))
    assert {word for each in found for word in each.text.split()} == set(text.split())
    with pytest.raises(ValueError, match="less than half"):
        chunks(PAGES, 10, overlap=5)


def test_a_quote_is_found_on_its_page_whatever_its_white_space() -> None:
    assert place(PAGES, "second  page,\nwhich") == "page 2"
    assert place(PAGES, "fourth page") is None
    assert place(PAGES, " ") is None
    assert place(Document(kind="text", text="a b"), "A B") == ""


def test_pages_of_a_pdf_and_headings_of_a_word_file(
    make_pdf: Callable[..., bytes], make_docx: Callable[..., bytes], para: Callable[..., str]
) -> None:
    paper = extract(make_pdf("Lease of a flat.", "The rent is 900.", "Signed in Bonn."), "lease.pdf")
    assert [each.ref for each in chunks(paper, 6)] == ["page 1", "page 2", "page 3"]
    assert place(paper, "the rent is 900") == "page 2"
    style = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    heading = f"<w:p>{style}<w:r><w:t>2. </w:t></w:r><w:r><w:t>Rent</w:t></w:r></w:p>"
    word = extract(make_docx(para("Preamble") + heading + para("It is 900.")), "lease.docx")
    assert place(word, "It is 900") == "“2. Rent”"


@given(st.text(max_size=400), st.integers(1, 30))
def test_nothing_is_lost_and_nothing_is_too_large(text: str, tokens: int) -> None:
    found = chunks(Document(kind="text", text=text), tokens)
    assert "".join("".join(each.text.split()) for each in found) == "".join(text.split())
    for each in found:
        size = len(each.text.encode("utf-8", "replace"))
        assert size <= tokens * BYTES_PER_TOKEN or len(each.text) == 1
