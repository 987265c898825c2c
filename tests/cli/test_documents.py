"""`can documents`."""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import mutant_files

    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "lease.pdf").write_bytes(mutant_files.pdf())
    (folder / "budget.xlsx").write_bytes(mutant_files.xlsx())
    (folder / "notes.txt").write_text("This agreement is between Ann Bell and Tor Ltd.\n\n" * 40)
    (folder / ".secret").write_text("no")
    return folder


def test_a_folder_is_read_into_a_table(can: Any, home: Any, papers: Path) -> None:
    home.write({})
    said = can("documents", "read", str(papers))
    assert said.code == 0
    assert [word in said.out for word in ("lease.pdf", "pdf", "budget.xlsx", "notes.txt")] == [True] * 4
    assert ".secret" not in said.out
    assert "left out: 1 hidden" in said.err


def test_a_file_that_cannot_be_read_says_why_and_exits_with_1(can: Any, home: Any, papers: Path) -> None:
    home.write({})
    (papers / "broken.pdf").write_bytes(b"%PDF-1.4")
    said = can("documents", "read", str(papers))
    assert said.code == 1
    assert "the file is damaged" in said.out
    assert "lease.pdf" in said.out


def test_json_holds_the_text_and_where_it_stands(can: Any, home: Any, papers: Path) -> None:
    home.write({})
    (row,) = can("documents", "read", "--json", str(papers / "lease.pdf")).json
    assert (row["kind"], row["pages"], row["defects"]) == ("pdf", 3, [])
    assert [each["ref"] for each in row["sections"]] == ["page 1", "page 2", "page 3"]
    assert "Rent: 900" in row["text"]


def test_pieces_say_their_page(can: Any, home: Any, papers: Path) -> None:
    home.write({})
    (row,) = can("documents", "read", "--json", "--chunks", "16", str(papers / "lease.pdf")).json
    assert "text" not in row
    assert [each["ref"] for each in row["chunks"]] == ["page 1 to page 2", "page 3"]
    said = can("documents", "read", "--chunks", "16", str(papers / "budget.xlsx"))
    assert "sheet A, rows 1–20" in said.out
    assert "1: Rent | 1" in said.out


def test_text_alone_can_be_piped(can: Any, home: Any, papers: Path) -> None:
    home.write({})
    assert can("documents", "read", "--text", str(papers / "notes.txt")).out.startswith("This agreement")


def test_nothing_there_is_a_failure(can: Any, home: Any, tmp_path: Path) -> None:
    home.write({})
    assert can("documents", "read", str(tmp_path / "none")).code == 1
    (tmp_path / "empty").mkdir()
    assert can("documents", "read", str(tmp_path / "empty")).code == 1
    assert can("documents", "read", "--ask", "--text", str(tmp_path)).code == 2


def test_the_agent_says_what_is_in_a_paper(can: Any, home: Any, papers: Path) -> None:
    """No model is there: rules stand in, which is said, and is no success."""
    home.write({})
    said = can("documents", "read", "--ask", "--json", str(papers / "notes.txt"))
    assert said.code == 1
    (row,) = said.json
    assert (row["fallback"], row["model"], row["finding"]["document_type"]) == (True, None, "contract")
    assert "text" not in row
    assert "by rules" in can("documents", "read", "--ask", str(papers / "notes.txt")).out


def test_a_workbook_that_a_prompt_names_is_read(can: Any, home: Any, papers: Path, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can("ask", "--model", "openai/echo", "--json", f"sum up {papers}/budget.xlsx")
    assert said.code == 0
    assert "29: Rent | 29" in said.out


def test_a_workbook_that_a_task_is_given_is_read(can: Any, home: Any, papers: Path, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    said = can(
        "tasks",
        "submit",
        "sum it up",
        "--model",
        "openai/echo",
        "--file",
        str(papers / "budget.xlsx"),
        "--wait",
        "--json",
    )
    assert said.code == 0
    assert "29: Rent | 29" in said.out


def test_files_of_one_folder_stand_with_their_names_alone(can: Any, home: Any) -> None:
    folder = home.path / "work" / "a-folder-with-a-rather-long-name-that-nobody-needs-on-every-line"
    folder.mkdir(parents=True)
    for name in ("lease.txt", "note.txt"):
        (folder / name).write_text("Some words.")
    shown = can("documents", "read", str(folder)).lines
    assert [line.split()[0] for line in shown[1:3]] == ["lease.txt", "note.txt"]
    assert can("documents", "read", str(folder / "note.txt")).lines[1].startswith(str(folder))
