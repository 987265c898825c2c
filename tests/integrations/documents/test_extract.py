"""Files of strangers are read in a child process, which they may ruin, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from chittycan.errors import NotFound
from chittycan.integrations.documents import extract as extraction
from chittycan.integrations.documents.extract import extract

Make = Callable[..., bytes]


def test_reads_each_kind(make_pdf: Make, make_docx: Make, para: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("# Notes")
    assert extract(path).text == "# Notes"
    assert extract(make_pdf("Rent: 900"), "a.pdf").text == "Rent: 900"
    assert extract(make_docx(para("Hello")), "a.docx").text == "Hello"
    page = extract(b"<meta charset=latin1><title>T</title><p>Gr\xfc\xdfe<p hidden>x", "a.html")
    assert (page.text, page.title, page.hidden_text, page.media_type) == ("Grüße", "T", True, "text/html")


def test_long_text_is_cut() -> None:
    document = extract(b"x" * 1000, "a.txt", max_chars=10)
    assert document.text == "x" * 10
    assert document.truncated


@pytest.mark.parametrize(
    ("data", "name", "says"),
    [
        (b"", "a.txt", "empty"),
        (b"%PDF-1.4", "a.pdf", "damaged"),
        (b"PK\x03\x04", "a.docx", "damaged"),
        (b"PK\x03\x04", "a.xlsx", "damaged"),
        (b"PK\x03\x04", "a.odt", r"of this kind \(\.odt\)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.doc", "save it as .docx"),
        (b"\x89PNG\r\n\x1a\n", "a.png", "is an image"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, name: str, says: str) -> None:
    document = extract(data, name)
    assert document.text == ""
    assert any(re.search(says, defect) for defect in document.defects)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.pdf cannot be read"):
        extract(tmp_path / "nothing.pdf")
    with pytest.raises(NotFound, match="cannot be read"):
        extract(tmp_path)


def test_a_huge_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(extraction.MAX_FILE + 1)
    assert "too large" in extract(path).defects[0]


def test_an_archive_bomb_is_refused(make_docx: Make) -> None:
    document = extract(make_docx("A" * (200 * 2**20)), "bomb.docx")
    assert document.text == ""
    assert "archive bombs" in document.defects[0]


def test_a_reader_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch, make_pdf: Make) -> None:
    monkeypatch.setattr(extraction, "WALL_SECONDS", 0.0)
    assert "took longer" in extract(make_pdf("x"), "a.pdf").defects[0]


def test_the_reader_gets_no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nos.write(1, str('OPENAI_API_KEY' in os.environ).encode()); os._exit(0)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert extract(b"hi", "a.txt").defects == ("the file made its reader fail",)
