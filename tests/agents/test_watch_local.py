"""Mailboxes on this machine that are looked after."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chittycan.agents.look import Desk
from chittycan.agents.pipeline import Terms
from chittycan.agents.report import Outcome
from chittycan.agents.watch_local import Local, LocalWatcher
from chittycan.errors import ChittyError
from chittycan.integrations.email.sources import open_source
from chittycan.store import inbox
from chittycan.store import mailboxes as rows
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk
from serving import PATIENCE, SkippingClock

Answers = dict[str, Callable[..., str]]


class Office:
    """A Maildir and who looks after it."""

    def __init__(self, folder: Path, database: Database, ask: ScriptedAsk) -> None:
        self.folder, self.database, self.ask = folder, database, ask
        self.clock, self.outcomes = SkippingClock(), list[Outcome]()
        self.problems: list[str] = []
        (folder / "cur").mkdir(parents=True)
        (folder / "new").mkdir()

    def deliver(self, name: str) -> None:
        head = f"From: Ann <ann@bell.example>\nMessage-ID: <{name}@bell.example>\nSubject: {name}\n\nWhat is it?\n"
        (self.folder / "new" / name).write_text(head)

    def watcher(self, **settings: Any) -> LocalWatcher:
        async def terms() -> Terms:
            return Terms()

        def complain(_source: str, error: ChittyError) -> None:
            self.problems.append(error.message)

        here = Local(name="letters", type="maildir", path=str(self.folder), poll=20.0, **settings)
        desk = Desk(ask=self.ask, database=self.database, terms=terms, clock=self.clock)
        return LocalWatcher(
            here, lambda: open_source(self.folder), desk, on_outcome=self.outcomes.append, on_problem=complain
        )

    async def until(self, holds: Callable[[rows.AccountRow], bool]) -> rows.AccountRow:
        async with asyncio.timeout(PATIENCE):
            while not (found := [row for row in await self.database.read(rows.accounts) if holds(row)]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found[0]


@pytest.fixture
def office(tmp_path: Path, database: Database, answers: Answers) -> Office:
    ask = ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")
    return Office(tmp_path / "box", database, ask)


async def test_new_mail_is_processed_once(office: Office) -> None:
    office.deliver("one")
    watcher = office.watcher()
    assert [each.state for each in (await watcher.look()).outcomes] == ["processed"]
    calls = len(office.ask.requests)
    assert (await watcher.look()).mails == 0
    office.deliver("two")
    assert [each.subject for each in (await watcher.look()).outcomes] == ["two"]
    # Another process knows nothing of it, and the database all.
    assert [each.state for each in (await office.watcher().look()).outcomes] == ["known", "known"]
    assert len(office.ask.requests) == 2 * calls
    (one,) = [each for each in await office.database.read(inbox.latest, 9) if each.subject == "one"]
    assert one.source == f"maildir:{office.folder}"


async def test_mail_of_a_private_mailbox_is_seen_by_private_models_alone(office: Office) -> None:
    office.deliver("one")
    await office.watcher(private=True).look()
    assert office.ask.requests
    assert all(options.private for _, options in office.ask.requests)


async def test_a_mailbox_that_goes_away_is_said_and_looked_after_again(office: Office) -> None:
    office.deliver("one")
    running = asyncio.create_task(office.watcher().run())
    try:
        await office.until(lambda row: row.succeeded is not None)
        office.folder.rename(office.folder.with_name("elsewhere"))
        row = await office.until(lambda row: row.failing is not None)
        assert "no mailbox at" in str(row.problem)
        office.folder.with_name("elsewhere").rename(office.folder)
        office.deliver("two")
        await office.until(lambda row: row.failing is None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [each.subject for each in office.outcomes] == ["one", "two"]
    assert len(office.problems) == 1


async def test_a_mail_that_cannot_be_read_is_said_once_and_tried_again(office: Office) -> None:
    office.deliver("one")
    (office.folder / "new" / "one").rename(office.folder / "one")
    (office.folder / "new" / "one").mkdir()
    watcher = office.watcher()
    await watcher.look()
    await watcher.look()
    assert [each.state for each in office.outcomes] == ["unreadable"]
    (office.folder / "new" / "one").rmdir()
    (office.folder / "one").rename(office.folder / "new" / "one")
    await watcher.look()
    assert [each.state for each in office.outcomes] == ["unreadable", "processed"]


async def test_a_mail_that_was_answered_in_a_mail_program_is_known_to_be(office: Office) -> None:
    """Both have a draft; a mail program reads both, and answers one."""
    for name in ("one", "two"):
        office.deliver(name)
    watcher = office.watcher()
    await watcher.look()
    for name, flags in (("one", "RS"), ("two", "S")):
        (office.folder / "new" / name).rename(office.folder / "cur" / f"{name}:2,{flags}")
    await watcher.look()
    found = {each.subject: each.answered is not None for each in await office.database.read(inbox.latest, 10)}
    assert found == {"one": True, "two": False}
