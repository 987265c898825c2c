"""A mailbox under a real server while sessions are dropped, mails numbered anew, and the program killed."""

import asyncio
import json
import os
import random
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from chittycan.store.database import Database
from chittycan.store.drafts import drafts
from chittycan.store.inbox import agent_runs, mails
from mail_servers import PASSWORD, Dovecot

MAILS = int(os.environ.get("CHITTY_CHAOS_MAILS", "300"))
AT_ONCE = 25
PATIENCE = 60.0 + MAILS * 0.2
USER = "chaos"


def mail(number: int) -> bytes:
    head = f"From: Client {number} <c{number}@bell.example>\r\nMessage-ID: <{number}@bell.example>\r\n"
    return f"{head}Subject: Question {number}\r\n\r\nWhat does a first talk cost? My number is {number}.\r\n".encode()


class Watching:
    """`can router inbox watch` as a process of its own; `news` reads what it says of mails."""

    def __init__(self, folder: Path, server: Dovecot, database: str) -> None:
        account = {"type": "imap", "host": "127.0.0.1", "port": server.port, "security": "none", "user": USER,
                   "password": "env:MAIL_PASSWORD", "poll": 1}  # fmt: skip
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
async def watching(dovecot_server: Dovecot, migrated_file: Path, tmp_path: Path) -> AsyncIterator[Watching]:
    file = tmp_path / "chitty.db"
    shutil.copy(migrated_file, file)
    watching = Watching(tmp_path / "config", dovecot_server, f"sqlite:///{file}")
    yield watching
    await watching.kill()


def _figures(connection: Connection) -> dict[str, Any]:
    states = connection.execute(select(mails.c.state, func.count()).group_by(mails.c.state))
    runs = select(func.count()).select_from(agent_runs).group_by(agent_runs.c.mail_id, agent_runs.c.agent)
    return {
        "states": dict(iter(states)),
        "subjects": set(connection.execute(select(mails.c.subject)).scalars()),
        "most runs of an agent on a mail": max(connection.execute(runs).scalars(), default=0),
        "drafts": connection.execute(select(func.count()).select_from(drafts)).scalar_one(),
    }


async def test_no_mail_is_lost_and_none_is_handled_twice(
    watching: Watching, dovecot_server: Dovecot, tmp_path: Path
) -> None:
    dice = random.Random(1976)
    database = Database(f"sqlite:///{tmp_path}/chitty.db")
    done: Counter[str] = Counter()
    await watching.start()
    for first in range(0, MAILS, AT_ONCE):
        for number in range(first, min(first + AT_ONCE, MAILS)):
            dovecot_server.deliver(USER, f"{number}", mail(number))
        dovecot_server.deliver(USER, f"copy-{first}", mail(dice.randrange(first + 1)))
        await watching.news(dice.randint(1, AT_ONCE - 1))
        what = ("kill", "drop", "number anew")[first // AT_ONCE % 3]
        done[what] += 1
        if what == "kill":
            await watching.kill()
            await watching.start()
        elif what == "drop":
            dovecot_server.kick(USER)
        else:
            dovecot_server.number_anew(USER)
    draining = asyncio.create_task(watching.drain())
    async with asyncio.timeout(PATIENCE):
        while (figures := await database.read(_figures))["states"] != {"done": MAILS}:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    draining.cancel()
    database.close()
    assert min(done.values()) >= 3
    assert figures["subjects"] == {f"Question {number}" for number in range(MAILS)}
    assert figures["most runs of an agent on a mail"] == 1
    assert figures["drafts"] == MAILS
    assert dovecot_server.flags(USER) == set()
