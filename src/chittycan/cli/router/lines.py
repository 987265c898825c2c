"""What is printed of each mail of a run: for people the most urgent ones, for scripts all of them.

A run may go through a hundred thousand mails. Of each only that is held which will be printed, and where that is a line
for each it waits on disk, because the most urgent come first.
"""

import sqlite3
from bisect import insort
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from chittycan.agents.report import Outcome, State

SHOWN = 40  # mails in the table, and of those that could not be read; the rest is a command away
FRESH: "tuple[State, ...]" = ("processed", "settled", "waiting", "submitted")


class Shown:
    """For people: the first mails of each kind that is shown, the most urgent first."""

    def __init__(self) -> None:
        self.fresh: list[Outcome] = []
        self.unreadable: list[Outcome] = []
        self.drafted: list[Outcome] = []

    def add(self, outcome: "Outcome") -> None:
        if outcome.state in FRESH:
            _among(self.fresh, outcome, SHOWN)
        if outcome.state == "unreadable":
            _among(self.unreadable, outcome, SHOWN)
        if outcome.draft_id:
            _among(self.drafted, outcome, 1)


class Rows:
    """For scripts: a JSON object for each mail, the most urgent first. To be closed."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a file in the folder for such, which goes with it
        self._database.execute("CREATE TABLE mail (place INTEGER, key BLOB, row BLOB)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, outcome: "Outcome") -> None:
        place, key = _rank(outcome)
        values = place, _utf8(key).encode(), msgspec.json.encode(_row(outcome))
        self._database.execute("INSERT INTO mail VALUES (?, ?, ?)", values)

    def __iter__(self) -> Iterator[bytes]:
        for (row,) in self._database.execute("SELECT row FROM mail ORDER BY place, key"):
            yield row


def _among(first: "list[Outcome]", outcome: "Outcome", most: int) -> None:
    insort(first, outcome, key=_rank)
    del first[most:]


def _rank(outcome: "Outcome") -> tuple[int, str]:
    from chittycan.agents.words import LEVELS

    return (LEVELS.index(outcome.level) if outcome.level in LEVELS else len(LEVELS)), outcome.key


def _row(outcome: "Outcome") -> dict[str, object]:
    return {
        "id": outcome.id, "key": _utf8(outcome.key), "state": outcome.state, "priority": outcome.level,
        "category": outcome.category, "from": outcome.sender, "subject": outcome.subject, "settled": outcome.settled,
        "draft": outcome.draft_id, "account": outcome.account, "message_id": outcome.message_id,
        "review": outcome.review, "doubt": outcome.doubt, "privacy": outcome.privacy,
        "defects": list(outcome.defects), "problem": outcome.problem and _utf8(outcome.problem),
    }  # fmt: skip


def _utf8(path: str) -> str:
    """A path as text: names that are no UTF-8 show their odd bytes."""
    return path.encode("utf-8", "backslashreplace").decode()
