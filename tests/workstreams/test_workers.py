"""Workers: who is alive, who has which name, and what becomes of what the dead were at. Both databases."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, update

from chittycan.errors import Unavailable, UsageError
from chittycan.store import workers as rows
from chittycan.store.database import Database
from chittycan.store.work_tables import workers
from chittycan.store.workers import Worker
from chittycan.testing import FakeClock
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.workers import BEAT_SECONDS, SILENT_SECONDS, Presence, living, this_process
from serving import until

ELSEWHERE = {"host": "elsewhere", "boot": "another", "pid": 4711}


class Office:
    """Some workers on one database."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.clock, self.engine = database, clock, Engine(database.url)
        self.lost: list[str] = []

    async def begins(self, name: str, **facts: Any) -> Presence:
        me = replace(this_process(name, "all"), **facts)

        async def lost() -> None:
            self.lost.append(name)

        presence = Presence(self.database, self.engine, self.clock, me, lost)
        await presence.register()
        return presence

    async def silent(self, name: str, seconds: float = SILENT_SECONDS + 1) -> None:
        """Nothing was heard of this worker for so long."""

        def back(connection: Connection) -> None:
            connection.execute(update(workers).where(workers.c.id == name).values(beat=workers.c.beat - seconds))

        await self.database.run(back)

    async def known(self) -> list[str]:
        return [each.id for each in await self.database.read(rows.listing)]

    async def row(self, name: str) -> Worker:
        found = await self.database.read(rows.get, name)
        assert found is not None
        return found


@pytest.fixture
async def office(database: Database, clock: FakeClock) -> AsyncIterator[Office]:
    office = Office(database, clock)
    await office.engine.prepare()
    yield office
    await office.engine.close()


def gone_process() -> dict[str, Any]:
    """A process of this machine that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return {"pid": ended.pid, "birth": 1}


# names


async def test_a_second_worker_of_a_name_is_refused_and_told_who_has_it(office: Office) -> None:
    await office.begins("desk", **ELSEWHERE)
    with pytest.raises(UsageError) as refused:
        await office.begins("desk")
    assert "process 4711 on elsewhere" in refused.value.message
    assert "--worker-id" in str(refused.value.fix)
    assert (await office.row("desk")).host == "elsewhere"


async def test_the_name_of_a_silent_worker_is_free(office: Office) -> None:
    await office.begins("desk", **ELSEWHERE)
    await office.silent("desk", SILENT_SECONDS - 5)
    with pytest.raises(UsageError):
        await office.begins("desk")
    await office.silent("desk", 6)
    await office.begins("desk")
    assert (await office.row("desk")).host != "elsewhere"


@pytest.mark.skipif(sys.platform != "linux", reason="does not apply: only Linux tells when a process began")
@pytest.mark.parametrize("how", ["gone", "its number is another's now"])
async def test_the_name_of_a_process_that_is_gone_is_free_at_once(office: Office, how: str) -> None:
    await office.begins("desk", **(gone_process() if how == "gone" else {"birth": 1}))
    assert await living(office.database) == []
    await office.begins("desk")
    assert [each.id for each in await living(office.database)] == ["desk"]


async def test_of_two_that_begin_at_once_one_gets_the_name(office: Office) -> None:
    asked = await asyncio.gather(*(office.begins("desk") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, Presence) for each in asked) == 1
    assert sum(isinstance(each, UsageError) for each in asked) == 4


async def test_who_was_replaced_notices_and_says_so_once(office: Office) -> None:
    frozen = await office.begins("desk")
    beats = asyncio.ensure_future(frozen.beat())
    await office.clock.until_asleep()
    await office.silent("desk")
    await office.begins("desk")
    office.clock.advance(BEAT_SECONDS)
    await asyncio.wait_for(beats, 10)
    assert office.lost == ["desk"]
    assert (await office.row("desk")).nonce != frozen.me.nonce


async def test_who_was_taken_for_dead_but_not_replaced_goes_on(office: Office) -> None:
    frozen = await office.begins("desk")
    beats = asyncio.ensure_future(frozen.beat())
    await office.clock.until_asleep()
    await office.database.run(rows.remove, [frozen.me.nonce])
    office.clock.advance(BEAT_SECONDS)
    await office.clock.until_asleep()
    assert (await office.row("desk")).nonce == frozen.me.nonce
    assert office.lost == []
    beats.cancel()


# the dead


async def test_what_a_dead_worker_was_at_goes_back_and_its_row_goes(office: Office) -> None:
    dead = await office.begins("dead", **ELSEWHERE)
    living_one = await office.begins("living")
    await left_by(office, "dead")
    await office.silent("dead")
    office.clock.advance(SILENT_SECONDS)
    found = await asyncio.gather(living_one.recover(), living_one.recover())  # two that notice at once
    assert {"dead"} in found
    assert await office.engine.statuses(["job"]) == {"job": "ENQUEUED"}
    assert await office.known() == ["living"]
    assert await office.engine.recover([dead.me.id]) == 0


async def test_nobody_is_dead_because_the_database_was_away(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.begins("other", **ELSEWHERE)
    back = await office.begins("back")
    office.clock.advance(SILENT_SECONDS)
    beats = asyncio.ensure_future(back.beat())
    run = office.database.run

    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(office.database, "run", away)
    await office.clock.until_asleep()
    office.clock.advance(BEAT_SECONDS)
    await office.clock.until_asleep()
    monkeypatch.setattr(office.database, "run", run)
    await office.silent("other")
    office.clock.advance(BEAT_SECONDS)
    await office.clock.until_asleep()
    assert await office.known() == ["other", "back"]
    for _ in range(3):
        office.clock.advance(BEAT_SECONDS)
        await office.clock.until_asleep()
    assert await office.known() == ["back"]
    beats.cancel()


async def test_what_is_with_nobody_goes_back_too(office: Office) -> None:
    """A worker that was taken for dead began something before it said that it lives, and died."""
    one = await office.begins("one")
    await left_by(office, "nobody")
    assert await one.recover() == {"nobody"}
    assert await office.engine.statuses(["job"]) == {"job": "ENQUEUED"}


async def test_who_begins_while_the_others_look_is_not_dead(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await office.begins("first")

    async def executors() -> set[str]:
        await office.begins("late")
        return {"first", "late"}

    monkeypatch.setattr(office.engine, "executors", executors)
    assert await first.recover() == set()
    assert first.living == {"first", "late"}


async def test_what_a_worker_took_and_never_began_it_finds_again(office: Office) -> None:
    await left_by(office, "one")
    now = time.time()
    assert await office.engine.find("one", now - 60) == []
    assert await office.engine.find("two", now + 60) == []
    assert await office.engine.find("one", now + 60) == ["job"]
    assert await office.engine.statuses(["job"]) == {"job": "ENQUEUED"}


async def test_the_longest_at_work_leads(office: Office) -> None:
    first, second = await office.begins("first", **ELSEWHERE), await office.begins("second")
    await first.recover()
    await second.recover()
    assert (first.leads, second.leads) == (True, False)
    await office.silent("first")
    office.clock.advance(SILENT_SECONDS)
    await second.recover()
    assert second.leads
    assert second.living == {"second"}


async def test_who_leaves_hands_back_what_it_was_at(office: Office) -> None:
    one = await office.begins("one")
    await left_by(office, "one")
    await one.leave()
    assert await office.engine.statuses(["job"]) == {"job": "ENQUEUED"}
    assert await office.known() == []


async def left_by(office: Office, worker: str) -> None:
    """Something that `worker` had begun when it died."""
    begun = asyncio.Event()

    async def hangs() -> None:
        begun.set()
        await asyncio.Event().wait()

    await office.database.run(lambda connection: office.engine.enqueue(connection, "hang", id="job"))
    await office.engine.start(worker, {"hang": hangs})
    await asyncio.wait_for(begun.wait(), 10)
    await office.engine.stop()
    assert await office.engine.statuses(["job"]) == {"job": "PENDING"}


# versions


async def test_what_waited_for_an_older_version_is_done_by_a_newer_one(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chittycan.workstreams.engine.WORK_VERSION", "0")
    await left_by(office, "old")
    await office.database.run(lambda connection: office.engine.enqueue(connection, "note", "queued", id="queued"))
    await office.database.run(
        lambda connection: office.engine.enqueue(connection, "note", "delayed", id="delayed", delay=0.5)
    )
    monkeypatch.undo()
    made: list[str] = []

    async def note(what: str) -> None:
        made.append(what)

    async def hang() -> None:
        made.append("begun")

    new = await office.begins("new")
    await new.recover()
    assert await office.engine.adopt() == 3
    await office.engine.start("new", {"note": note, "hang": hang})
    await until(lambda: sorted(made) == ["begun", "delayed", "queued"])


async def test_what_a_newer_version_put_there_is_left_alone(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chittycan.workstreams.engine.WORK_VERSION", "99")
    await left_by(office, "new")
    monkeypatch.undo()
    old = await office.begins("old")
    await old.recover()
    assert await office.engine.adopt() == 0
    assert await office.engine.statuses(["job"]) == {"job": "PENDING"}
