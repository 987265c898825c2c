"""Accounts that are looked after while the program runs, and how it stands with them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chittycan.config import Settings, settings_from
from chittycan.errors import AllFailed
from chittycan.mailroom import Mailroom, figures, standings
from chittycan.routing.rules.book import Rule
from chittycan.rulebook import RuleBook
from chittycan.store import claims, inbox
from chittycan.store import mailboxes as rows
from chittycan.store import rules as stored_rules
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.testing.ask import ScriptedAsk
from mail_servers import PASSWORD, Dovecot, Liar
from serving import PATIENCE, QuickClock

MAIL = b"From: Ann <ann@bell.example>\r\nMessage-ID: <1@bell.example>\r\nSubject: Hello\r\n\r\nWhat does it cost?\r\n"


def settings(folder: Path, port: int = 1, **accounts: Any) -> Settings:
    plain = {"type": "imap", "host": "127.0.0.1", "port": port, "security": "none", "user": "anna", "password": "env:M"}
    integrations = {name: plain | given for name, given in accounts.items()}
    return settings_from({"integrations": integrations}, {}, folder)


@pytest.fixture
def ask() -> ScriptedAsk:
    down = AllFailed("no model answered")
    return ScriptedAsk({f"email.{name}": [down] for name in ("triage", "priority", "response")})


async def test_watchers_come_and_go_with_the_configuration(
    liar: Liar, sqlite: Database, ask: ScriptedAsk, tmp_path: Path
) -> None:
    liar.mails = {1: MAIL}
    configured = settings(tmp_path, liar.port, office={})
    room = Mailroom(lambda: configured, {"M": "opensesame"}, ask, sqlite, QuickClock())
    running = asyncio.create_task(room.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.sleep(0.1)
            assert liar.sessions == []  # it is set up, and not watched
            configured = settings(tmp_path, liar.port, office={"watch": True, "poll": 1})
            while not any(each.state == "done" for each in await sqlite.read(inbox.latest, 1)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert 'LOGIN "anna" "opensesame"' in liar.said
            configured = settings(tmp_path, liar.port)
            while not all(session.reader.at_eof() for session in liar.sessions):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_rules_that_cannot_be_read_keep_all_mail_private(
    liar: Liar, sqlite: Database, ask: ScriptedAsk, tmp_path: Path
) -> None:
    book = RuleBook(sqlite, FakeClock())
    await book.create(Rule(id="", name="tax", condition="from:tax", action="private"))
    await sqlite.run(stored_rules.change, (await book.every())[0].id, {"condition": "colour:blue"})
    liar.mails = {1: MAIL}
    room = Mailroom(lambda: settings(tmp_path, liar.port, office={}), {"M": "x"}, ask, sqlite, QuickClock())
    await room.watcher("office").look()
    assert ask.requests
    assert all(options.private for _, options in ask.requests)


@pytest.mark.parametrize(
    ("watch", "succeeded", "failed", "state"),
    [
        (True, None, None, "never"),
        (True, 10.0, None, "fresh"),
        (True, 1_000.0, None, "stale"),
        (True, 10.0, 5.0, "failing"),
        (True, 1_000.0, 990.0, "stale"),
        (True, None, 10.0, "failing"),
        (True, None, 1_000.0, "stale"),
        (False, None, None, "never"),
        (False, 1_000.0, None, "fresh"),
        (False, None, 1_000.0, "failing"),
    ],
)
async def test_silence_is_told_from_a_mere_failure(
    sqlite: Database, tmp_path: Path, watch: bool, succeeded: float | None, failed: float | None, state: str
) -> None:
    """`succeeded` and `failed`: seconds ago. The alarm is due after 900."""
    now = FakeClock().now()
    if succeeded is not None:
        await sqlite.run(claims.claim, rows.mail_accounts, "office", "me", "{}", lambda *_: True)
        await sqlite.run(rows.went_well, "office", now - succeeded)
    if failed is not None:
        await sqlite.run(rows.went_wrong, "office", "it said goodbye", None, now - failed)
    configured = settings(tmp_path, office={"watch": watch})
    (found,) = await standings(configured, sqlite, now)
    assert (found.state, found.silent) == (state, succeeded)
    silent = float("inf") if succeeded is None else succeeded
    assert await figures(configured, sqlite, now) == ({"office": (silent, state == "stale")} if watch else {})


async def test_a_mailbox_on_this_machine_is_watched_too(sqlite: Database, ask: ScriptedAsk, tmp_path: Path) -> None:
    written = {"type": "maildir", "path": "box", "watch": True, "alarm": 1}
    configured = settings_from({"integrations": {"letters": written}}, {}, tmp_path)
    clock = FakeClock()
    (none,) = await standings(configured, sqlite, clock.now())
    assert (none.state, none.type, none.watched) == ("never", "maildir", True)
    room = Mailroom(lambda: configured, {}, ask, sqlite, QuickClock())
    running = asyncio.create_task(room.run())
    try:
        async with asyncio.timeout(PATIENCE):
            while not (found := await sqlite.read(rows.accounts)) or found[0].failing is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert "no mailbox at" in str(found[0].problem)
            (tmp_path / "box" / "cur").mkdir(parents=True)
            (tmp_path / "box" / "new").mkdir()
            (tmp_path / "box" / "new" / "1").write_bytes(MAIL)
            while not any(each.state == "done" for each in await sqlite.read(inbox.latest, 1)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while (await sqlite.read(rows.accounts))[0].succeeded is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    succeeded = (await sqlite.read(rows.accounts))[0].succeeded or 0.0
    assert await figures(configured, sqlite, succeeded) == {"letters": (0.0, False)}
    (silent,) = await standings(configured, sqlite, succeeded + 61)
    assert silent.state == "stale"


async def test_several_accounts_over_tls_do_not_hold_each_other_up(
    dovecot_server: Dovecot, database: Database, ask: ScriptedAsk, tmp_path: Path
) -> None:
    user = f"tls-{tmp_path.name}"
    for number, folder in enumerate(("INBOX", "Clients", "INBOX")):
        name = f"{user}-{number // 2}"
        dovecot_server.deliver(name, str(number), MAIL.replace(b"<1@", f"<{number}@".encode()), folder=folder)
    tls = {"host": "localhost", "security": "tls", "port": dovecot_server.tls_port, "watch": True}
    own = {"caFile": str(dovecot_server.authority)}
    configured = settings(
        tmp_path, dovecot_server.port,
        first=tls | own | {"user": f"{user}-0", "folders": ["INBOX", "Clients"]},
        second=tls | own | {"user": f"{user}-1", "security": "starttls", "port": dovecot_server.port},
        stranger=tls,  # whose certificate nobody vouches for
    )  # fmt: skip
    room = Mailroom(lambda: configured, {"M": PASSWORD}, ask, database, QuickClock())
    running = asyncio.create_task(room.run())
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                stored = await database.read(inbox.latest, 9)
                known = {each.account: each for each in await database.read(rows.accounts)}
                stranger = known.get("stranger")
                if [each.state for each in stored] == ["done"] * 3 and stranger is not None and stranger.problem:
                    break
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert sorted(each.source for each in stored) == ["imap:first", "imap:first", "imap:second"]
    assert "could not show that it is localhost" in str(stranger.problem)
    assert stranger.succeeded is None
