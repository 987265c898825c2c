"""Files of strangers are read in a child process, which they may ruin, and nothing else."""

import os
import re
import zipfile
from collections.abc import Callable
from io import BytesIO
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


@pytest.fixture
def reader_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts these lines in the place of the reader, as a file might that took it over."""

    def put(lines: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(f"import os, sys, time\n{lines}\nos._exit(0)")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return put


def test_a_reader_that_talks_without_end_is_ended(
    reader_that: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "MAX_OUTPUT", 1_000_000)
    reader_that("while True: os.write(1, b'x' * 65536)")
    assert extract(b"hi", "a.txt").defects == ("the file made its reader say more than a document can hold",)


def test_a_reader_that_does_not_listen_is_no_trouble(reader_that: Callable[[str], None]) -> None:
    reader_that("os.close(0)")
    assert extract(b"x" * 5_000_000, "a.txt").defects == ("the file made its reader fail",)


def _is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_a_reader_leaves_running_is_ended_with_it(
    reader_that: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process of its own that keeps the pipe open holds nobody up."""
    monkeypatch.setattr(extraction, "WALL_SECONDS", 1.0)
    reader_that(
        f"if os.fork() == 0:\n    open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n    time.sleep(60)"
    )
    assert "took longer" in extract(b"hi", "a.txt").defects[0]
    left = int((tmp_path / "pid").read_text())
    while _is_running(left):
        os.sched_yield()


def test_a_locked_pdf_needs_its_password(make_pdf: Make) -> None:
    password = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (b"00" * 32, b"00" * 32)
    locked = make_pdf("x").replace(b"/Root 1 0 R", b"/Root 1 0 R /ID [<00><00>] " + password)
    assert extract(locked, "a.pdf").defects == ("the file needs a password",)


def test_a_pdf_of_pictures_is_said_to_be_scanned(make_pdf: Make) -> None:
    assert "scanned" in extract(make_pdf(""), "a.pdf").defects[0]


def test_a_pdf_that_claims_pages_without_end_has_those_it_has(make_pdf: Make) -> None:
    claimed = make_pdf("The one page").replace(b"/Count 1", b"/Count 2000000000")
    assert extract(claimed, "a.pdf").text == "The one page"


def test_bombs_in_a_workbook_are_refused(make_xlsx: Make) -> None:
    rows = "<sheetData>" + "<row><c><v>1</v></c></row>" * 2_000_000 + "</sheetData>"
    assert "archive bombs" in extract(make_xlsx(("A", rows)), "a.xlsx").defects[0]
    laughs = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", f"{laughs}<workbook>&b;</workbook>")
    assert "entity bombs" in extract(packed.getvalue(), "a.xlsx").defects[0]


def test_a_workbook_that_repeats_itself_is_cut(make_xlsx: Make) -> None:
    """A few KB that would be 12 GB of text."""
    row = "<row>" + '<c t="s"><v>0</v></c>' * 16_000 + "</row>"
    document = extract(
        make_xlsx(("A", f"<sheetData>{row}</sheetData>"), strings=f"<si><t>{'ab c' * 200_000}</t></si>"), "a.xlsx"
    )
    assert document.truncated
    assert 0 < len(document.text) <= extraction.MAX_CHARS
