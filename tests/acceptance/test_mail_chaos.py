"""A mailbox under a real server while sessions are dropped, mails numbered anew, and the program killed.

Every so often a mail comes that a rule wants labelled and moved.
"""

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from chittycan.routing.rules.book import Rule
from chittycan.store import rules
from chittycan.store.database import Database
from chittycan.store.drafts import drafts
from chittycan.store.inbox import agent_runs, mails
from chittycan.store.mail_actions import mail_actions as actions
from mail_servers import ARCHIVE, PASSWORD, Dovecot, connected

MAILS = int(os.environ.get("CHITTY_CHAOS_MAILS", "300"))
AT_ONCE, AWAY = 25, 3  # questions, and automatic replies, which a rule moves away
PATIENCE = 60.0 + MAILS * 0.2


def mail(number: int) -> bytes:
    head = f"From: Client {number} <c{number}@bell.example>\r\nMessage-ID: <{number}@bell.example>\r\n"
    return f"{head}Subject: Question {number}\r\n\r\nWhat does a first talk cost? My number is {number}.\r\n".encode()


def reply(name: str) -> bytes:
    head = f"From: Client <c@bell.example>\r\nMessage-ID: <{name}@bell.example>\r\nAuto-Submitted: auto-replied\r\n"
    return f"{head}Subject: Away {name}\r\n\r\nI am back on Monday.\r\n".encode()


class Watching:
    """`can router inbox watch` as a process of its own; `news` reads what it says of mails."""

    def __init__(self, folder: Path, server: Dovecot, user: str, database: str) -> None:
        self.user = user
        account = {"type": "imap", "host": "127.0.0.1", "port": server.port, "security": "none", "user": user,
                   "password": "env:MAIL_PASSWORD", "poll": 1, "allow": ["label", "move"]}  # fmt: skip
        folder.mkdir()
        config = {"embedded": {"enabled": False}, "integrations": {"office": account}}
        (folder / "config.json").write_text(json.dumps(config))
        self._env = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "CHITTY_CONFIG_DIR": str(folder),
            "CHITTY_DATA_DIR": str(folder), "CHITTY_DATABASE_URL": database, "MAIL_PASSWORD": PASSWORD,
        }  # fmt: skip
        self.process: Process | None = None
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1
        command = [sys.executable, "-m", "chittycan.cli.main", "router", "inbox", "watch", "--json"]
        self.process = await asyncio.create_subprocess_exec(*command, env=self._env, stdout=PIPE, stderr=PIPE)

    async def news(self, count: int) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            for _ in range(count):
                assert await self.process.stdout.readline(), (await self.process.stderr.read()).decode()  # type: ignore[union-attr]

    async def drain(self) -> None:
        """A program whose words nobody takes stops in the middle of one."""
        assert self.process is not None
        assert self.process.stdout is not None
        while await self.process.stdout.readline():
            pass

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()


@pytest.fixture
async def watching(
    dovecot_server: Dovecot, database: Database, database_url: str, tmp_path: Path
) -> AsyncIterator[Watching]:
    rule = Rule(id="away", name="away", condition="subject:away", action=f"label:Away,move:{ARCHIVE},auto")
    await database.run(rules.add, msgspec.structs.asdict(rule))
    user = f"chaos-{database_url.partition(':')[0]}"
    watching = Watching(tmp_path / "config", dovecot_server, user, database_url)
    yield watching
    await watching.kill()


def _figures(connection: Connection) -> dict[str, Any]:
    states = connection.execute(select(mails.c.state, func.count()).group_by(mails.c.state))
    runs = select(func.count()).select_from(agent_runs).group_by(agent_runs.c.mail_id, agent_runs.c.agent)
    return {
        "states": dict(iter(states)),
        "actions": dict(iter(connection.execute(select(actions.c.state, func.count()).group_by(actions.c.state)))),
        "subjects": set(connection.execute(select(mails.c.subject)).scalars()),
        "most runs of an agent on a mail": max(connection.execute(runs).scalars(), default=0),
        "drafts": connection.execute(select(func.count()).select_from(drafts)).scalar_one(),
    }


async def kept(server: Dovecot, user: str, folder: str) -> Counter[tuple[str, bool]]:
    """The subjects in a folder, and whether each mail has the label."""
    found: Counter[tuple[str, bool]] = Counter()
    async with connected(server.port, user=user) as connection:
        await connection.examine(folder)
        after = 0
        while listed := await connection.unseen(after, ()):
            after = listed[-1].uid
            for each in listed:
                header, flags = (
                    await connection.part(each.uid, "HEADER", 0, 1000),
                    await connection.told(each.uid, "FLAGS"),
                )
                assert header is not None
                assert isinstance(flags, list)
                found[header.decode().partition("Subject: ")[2].strip(), "Away" in flags] += 1
    return found


async def test_no_mail_is_lost_and_none_is_handled_twice(
    watching: Watching, dovecot_server: Dovecot, database: Database
) -> None:
    dice, user = random.Random(1976), watching.user
    done: Counter[str] = Counter()
    copies, away = 0, 0
    await watching.start()
    for first in range(0, MAILS, AT_ONCE):
        for number in range(first, min(first + AT_ONCE, MAILS)):
            dovecot_server.deliver(user, f"{number}", mail(number))
        for number in range(AWAY):
            dovecot_server.deliver(user, f"away-{first}-{number}", reply(f"{first}-{number}"))
        dovecot_server.deliver(user, f"copy-{first}", mail(dice.randrange(first + 1)))
        copies, away = copies + 1, away + AWAY
        await watching.news(dice.randint(1, AT_ONCE - 1))
        what = ("kill", "drop", "number anew")[first // AT_ONCE % 3]
        done[what] += 1
        if what == "kill":
            await watching.kill()
            await watching.start()
        elif what == "drop":
            dovecot_server.kick(user)
        else:
            dovecot_server.number_anew(user)
    draining = asyncio.create_task(watching.drain())
    settled = {"done": MAILS + away}, {"done": 2 * away}
    async with asyncio.timeout(PATIENCE):
        while ((figures := await database.read(_figures))["states"], figures["actions"]) != settled:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    draining.cancel()
    assert min(done.values()) >= 3
    assert {each for each in figures["subjects"] if each.startswith("Q")} == {
        f"Question {each}" for each in range(MAILS)
    }
    assert figures["most runs of an agent on a mail"] == 1
    assert figures["drafts"] == MAILS
    assert dovecot_server.flags(user) == set()
    inbox, past = await kept(dovecot_server, user, "INBOX"), await kept(dovecot_server, user, ARCHIVE)
    assert (sum(inbox.values()), {label for _, label in inbox}) == (MAILS + copies, {False})
    names = {f"Away {first}-{number}" for first in range(0, MAILS, AT_ONCE) for number in range(AWAY)}
    assert past == Counter({(name, True): 1 for name in names})
