"""What is held of each mail of a run until it is printed."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chittycan.agents.report import Outcome, State
from chittycan.cli.output import print_json, print_rows
from chittycan.cli.router.lines import SHOWN, Rows, Shown

LEVELS = ("LOW", "HIGH", None, "CRITICAL", "NORMAL")
RANKED = ["CRITICAL", "HIGH", "NORMAL", "LOW", None]


def outcomes(count: int, state: State = "processed") -> list[Outcome]:
    """In no order: keys fall, levels change from one to the next."""
    return [Outcome(key=f"{count - each:05}", state=state, level=LEVELS[each % 5]) for each in range(count)]


def ranked(found: list[tuple[str | None, str]]) -> list[tuple[str | None, str]]:
    return sorted(found, key=lambda each: (RANKED.index(each[0]), each[1]))


def test_people_see_the_most_urgent_mails_whenever_they_came() -> None:
    shown, mails = Shown(), outcomes(5 * SHOWN)
    for each in mails:
        shown.add(each)
    expected = ranked([(each.level, each.key) for each in mails])[:SHOWN]
    assert [(each.level, each.key) for each in shown.fresh] == expected
    assert shown.drafted == shown.unreadable == []


def test_mails_that_are_known_are_in_no_table_and_of_those_unread_there_are_so_many() -> None:
    shown = Shown()
    for each in outcomes(9, "known") + outcomes(3 * SHOWN, "unreadable"):
        shown.add(each)
    assert shown.fresh == []
    assert [each.key for each in shown.unreadable if each.level == "CRITICAL"] == sorted(
        each.key for each in outcomes(3 * SHOWN) if each.level == "CRITICAL"
    )
    assert len(shown.unreadable) == SHOWN


def test_scripts_get_every_mail_the_most_urgent_first() -> None:
    mails = outcomes(300)
    with Rows() as rows:
        for each in mails:
            rows.add(each)
        found = [msgspec.json.decode(row) for row in rows]
    assert [(row["priority"], row["key"]) for row in found] == ranked([(each.level, each.key) for each in mails])


@pytest.mark.parametrize("rows", [[], [{"a": 1}], [{"a": "x\ny", "b": []}, {"c": {"d": [1, "é"]}}, {}]])
def test_rows_are_printed_as_the_list_would_be(rows: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    head = {"processed": 3, "steps": [{"agent": "triage"}]}
    print_json(head | {"mails": rows})
    whole = capsys.readouterr().out
    print_rows(head, "mails", iter([msgspec.json.encode(row) for row in rows]))
    assert capsys.readouterr().out == whole


def test_a_file_whose_name_is_no_text_is_one_row_among_others(can: Any, office: Any, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "mail")
    os.mkdir(folder)
    for name in (b"caf\xe9.eml", b"tea.eml"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"From: Ann <ann@bell.example>\nMessage-ID: <" + name[:3] + b"@bell.example>\n\nGood day?\n")
    said = can("router", "inbox", "process", "--source", os.fsdecode(folder), "--dry-run", "--json")
    assert [row["key"] for row in said.json["mails"]] == ["caf\\udce9.eml", "tea.eml"]
