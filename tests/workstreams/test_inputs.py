"""What is given at the start: checked, converted, and files and mails looked up."""

from pathlib import Path
from typing import Any

import pytest

from chittycan.errors import InvalidRequest
from chittycan.workstreams.inputs import bind, local_file, local_folder, resolve
from chittycan.workstreams.recipe_file import parse

RECIPE = parse("""
name: test
inputs:
  word: {type: text, description: any word}
  n: {type: number, default: 3}
  flag: {type: boolean, default: false}
  names: {type: list, required: false}
  facts: {type: object, required: false}
  doc: {type: file, required: false}
  docs: {type: folder, required: false}
  mail: {type: mail, required: false}
  mails: {type: inbox, required: false}
steps: [{id: a, task: Hi}]
""")


def test_defaults_fill_what_is_not_given() -> None:
    bound = bind(RECIPE, {"word": "x"})
    assert (bound["n"], bound["flag"], bound["names"], bound["mail"]) == (3, False, None, None)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("n", "4", 4),
        ("n", "4.5", 4.5),
        ("flag", "yes", True),
        ("flag", "False", False),
        ("names", "a, b", ["a", "b"]),
        ("names", '["a", 1]', ["a", 1]),
        ("facts", '{"a": 1}', {"a": 1}),
        ("doc", "x.pdf", "x.pdf"),
    ],
)
def test_what_comes_as_text_is_converted(name: str, given: str, expected: Any) -> None:
    assert bind(RECIPE, {"word": "x", name: given})[name] == expected


@pytest.mark.parametrize(
    ("name", "given"),
    [("word", 3), ("n", "four"), ("n", True), ("n", "inf"), ("flag", "maybe"), ("names", "[1"), ("names", 3),
     ("facts", "[1]"), ("facts", "x"), ("doc", 3), ("doc", {"path": "/etc/passwd"}), ("mail", ""), ("mails", [])],
)  # fmt: skip
def test_what_does_not_fit_is_refused(name: str, given: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bind(RECIPE, {"word": "x", name: given})
    assert caught.value.param == f"inputs.{name}"


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        bind(RECIPE, {"wrd": "x", "n": "four"})
    assert "wrd: there is no such input; did you mean 'word'?" in caught.value.message
    assert "word: is missing (text: any word)" in caught.value.message
    assert "n: a number is needed" in caught.value.message


class _Sources:
    def __init__(self, base: Path) -> None:
        self._base = base

    def file(self, named: str) -> dict[str, Any]:
        return local_file(named, self._base)

    def folder(self, named: str) -> list[dict[str, Any]]:
        return local_folder(named, self._base)

    async def mail(self, named: str) -> dict[str, Any]:
        return {"id": named}

    async def inbox(self, since: str) -> list[dict[str, Any]]:
        return [{"id": since}]


async def test_files_and_mails_are_looked_up(tmp_path: Path) -> None:
    for name in ("b.pdf", "a.txt", ".hidden"):
        (tmp_path / name).write_text("x")
    (tmp_path / "inner").mkdir()
    bound = bind(RECIPE, {"word": "x", "doc": "a.txt", "docs": ".", "mail": "m1", "mails": "24h"})
    found = await resolve(RECIPE, bound, _Sources(tmp_path))
    assert found["doc"] == {"name": "a.txt", "path": str(tmp_path / "a.txt")}
    assert [each["name"] for each in found["docs"]] == ["a.txt", "b.pdf"]
    assert (found["mail"], found["mails"], found["word"]) == ({"id": "m1"}, [{"id": "24h"}], "x")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no file at"):
        local_file("gone.pdf", tmp_path)
    with pytest.raises(InvalidRequest, match="no folder at"):
        local_folder("gone", tmp_path)
