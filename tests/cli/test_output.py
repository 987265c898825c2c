"""How tables look where the terminal is narrow."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from chittycan.cli import output


@pytest.fixture
def narrow(monkeypatch: Any) -> io.StringIO:
    written = io.StringIO()
    console = Console(file=written, width=80, highlight=False, soft_wrap=True)
    monkeypatch.setattr(output, "console", console)
    return written


def _lines(narrow: io.StringIO) -> list[str]:
    return [line.rstrip() for line in narrow.getvalue().splitlines()]


def _words(rows: Sequence[Sequence[object]]) -> set[str]:
    return {word for row in rows for cell in row for word in str(cell).split()}


KEYS = [("laptop", "…WOny", "active", "$0.00 of $10", "$0.00 of $100", 60, "gpt-4o, gpt-4o-mini",
         "2026-11-23", "2026-12-23")]  # fmt: skip
KEY_COLUMNS = ("name", "key", "state", "today", "this month", "rpm", "models", "made", "expires")
MODELS = [("claude-sonnet-4-5", "anthropic", "ready", "310ms", "1.2s", "200,000", "default, private, eu-west")]
MODEL_COLUMNS = ("model", "provider", "status", "first token", "median", "window", "")


@pytest.mark.parametrize(("columns", "rows"), [(KEY_COLUMNS, KEYS), (MODEL_COLUMNS, MODELS)])
def test_a_table_that_is_too_wide_is_folded_between_words(
    narrow: io.StringIO, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    output.table(columns, rows)
    lines = _lines(narrow)
    assert max(map(len, lines)) <= 80
    assert _words(rows) <= {word for line in lines for word in line.split()}


def test_a_table_that_fits_has_a_line_for_each_row(narrow: io.StringIO) -> None:
    output.table(("request", "score", "said by", "model", "when"),
                 [("req_01a20aa205d0578dde9d66000001", "1", "person", "gpt-4", "2026-11-23 22:51")])  # fmt: skip
    assert len(_lines(narrow)) == 2


def test_a_column_that_gives_way_keeps_the_rows_on_their_lines(narrow: io.StringIO) -> None:
    rows = [("req_01a20aa205d0578dde9d66000001", "gpt-4", "no " * 40, "2026-11-23 22:51")] * 3
    output.table(("request", "model", "comment", "when"), rows, cut=("comment",))
    lines = _lines(narrow)
    assert len(lines) == 4
    assert all("…" in line and line.endswith("22:51") for line in lines[1:])


def test_where_that_is_not_enough_the_others_are_folded(narrow: io.StringIO) -> None:
    rows = [("req_01a20aa205d0578dde9d66000001", "a model with a long name " * 3, "no", "2026-11-23 22:51")]
    output.table(("request", "model", "comment", "when"), rows, cut=("comment",))
    assert max(map(len, _lines(narrow))) <= 80
    assert _words(rows) <= set(narrow.getvalue().split())


def test_where_words_do_not_fit_the_first_column_stays_whole(narrow: io.StringIO) -> None:
    """It is what people copy."""
    first, path = "req_01a20aa205d0578dde9d66000001", "a/" * 60
    output.table(("id", "path"), [(first, path)])
    lines = _lines(narrow)
    assert max(map(len, lines)) <= 80
    assert first in lines[1].split()
    assert "".join(line[len(first) :].strip() for line in lines[1:]) == path


def test_a_long_first_column_leaves_room_for_the_others(narrow: io.StringIO) -> None:
    output.table(("file", "kind", "what"), [("/a/very/long/path" * 5, "mail", "Looking for a lawyer")])
    assert max(map(len, _lines(narrow))) <= 80
    assert {"mail", "Looking", "lawyer"} <= set(narrow.getvalue().split())


def test_what_is_wider_than_the_terminal_by_itself_is_all_there(narrow: io.StringIO) -> None:
    output.table(("id", "n"), [("x" * 200, 7)])
    assert narrow.getvalue().count("x") == 200


@pytest.mark.parametrize(("number", "said"), [(0, "0 requests"), (1, "1 request"), (1200, "1,200 requests")])
def test_one_is_said_in_the_singular(number: int, said: str) -> None:
    assert output.count(number, "request") == said


def test_a_plural_of_its_own() -> None:
    assert output.count(2, "reply", "replies") == "2 replies"


def test_in_however_narrow_a_terminal_the_first_column_is_there(
    narrow: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "console", Console(file=narrow, width=20, highlight=False, soft_wrap=True))
    output.table([f"{place}" for place in range(8)], [["name"] * 8])
    assert "".join(line[:1] for line in _lines(narrow)[1:]) == "name"
