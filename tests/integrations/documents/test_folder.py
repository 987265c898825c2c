"""Which files a person means by a folder."""

import os
from pathlib import Path

import pytest

from chittycan.errors import NotFound
from chittycan.integrations.documents import folder as folders
from chittycan.integrations.documents.folder import listed


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    for name in ("b.txt", "a.txt", ".hidden", "inner/c.txt", ".git/d.txt", "inner/deep/e.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "inner" / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    return folder


def test_a_folder_shows_its_files_and_says_what_it_leaves_out(papers: Path) -> None:
    found = listed([papers])
    assert [str(path.relative_to(papers)) for path in found.files] == [
        "a.txt",
        "b.txt",
        "inner/c.txt",
        "inner/deep/e.txt",
    ]
    assert found.left_out == ["2 hidden", "2 links", "1 that are no files or cannot be opened"]
    assert not found.more


def test_what_is_named_is_taken(papers: Path) -> None:
    assert [path.name for path in listed([papers / ".hidden", papers / "link.txt"]).files] == [".hidden", "link.txt"]
    with pytest.raises(NotFound, match=r"none\.txt is not there"):
        listed([papers / "none.txt"])


def test_a_file_that_is_named_twice_is_read_once(papers: Path) -> None:
    assert len(listed([papers / "a.txt", papers, papers]).files) == 4


def test_a_huge_folder_is_read_up_to_a_limit(papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = listed([papers], most=2)
    assert (len(found.files), found.more) == (2, True)
    assert not listed([papers], most=4).more
    monkeypatch.setattr(folders, "MOST_ENTRIES", 8)
    assert listed([papers]).more


def test_a_deep_folder_is_read_up_to_a_limit(papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_DEPTH", 1)
    found = listed([papers])
    assert [path.name for path in found.files] == ["a.txt", "b.txt", "c.txt"]
    assert found.others == 2
