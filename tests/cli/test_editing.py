"""Values in the person's own editor."""

from pathlib import Path

import pytest

from chittycan.cli.editing import edited
from chittycan.errors import UsageError

VALUES = {
    "letter": "Dear Ann,\n\nyes: #1 is fine.\n",
    "short": "no",
    "rating": 3,
    "who": ["a", "b"],
    "long": "word " * 40,
}


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of the test's own; it finds the file's path in $1."""
    file = tmp_path / "editor.sh"
    monkeypatch.setenv("VISUAL", f"sh {file}")
    return file


def test_what_is_left_as_it_is_is_no_change(editor: Path) -> None:
    editor.write_text("true")
    assert edited(VALUES, "Fine?") == {}


def test_only_what_changed_comes_back(editor: Path) -> None:
    editor.write_text("""sed -i -e 's/#1/#2/' -e 's/^rating: 3/rating: 4/' "$1" """)
    assert edited(VALUES, "Fine?") == {"letter": "Dear Ann,\n\nyes: #2 is fine.\n", "rating": 4}


def test_the_file_says_what_it_is_about_and_is_gone_afterwards(editor: Path, tmp_path: Path) -> None:
    editor.write_text(f'cp "$1" {tmp_path}/seen; ls -l "$1" > {tmp_path}/rights; echo "$1" > {tmp_path}/path')
    edited(VALUES, "Send\nit?")
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith("# Send it?\n")
    assert "\n  yes: #1 is fine.\n" in seen
    assert (tmp_path / "rights").read_text().startswith("-rw-------")
    assert not Path((tmp_path / "path").read_text().strip()).exists()


@pytest.mark.parametrize("program", ["false", "echo 'a: [' > \"$1\"", 'echo text > "$1"', ': > "$1"'])
def test_what_cannot_be_read_decides_nothing(editor: Path, program: str) -> None:
    editor.write_text(program)
    with pytest.raises(UsageError):
        edited(VALUES, "Fine?")


def test_without_an_editor_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "/nowhere/editor")
    with pytest.raises(UsageError) as refused:
        edited(VALUES, "Fine?")
    assert "--set" in str(refused.value.fix)
