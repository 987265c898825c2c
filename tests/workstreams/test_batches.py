"""Batches through the real engine, on both kinds of database, with a clerk that answers as the test says."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.errors import InvalidRequest, NotFound, Unavailable
from chittycan.store import batches as rows
from chittycan.store.database import Database
from chittycan.workstreams import batches
from chittycan.workstreams.batch import ENDED, Answered, Batch, Elsewhere, Line, Reason, Unserved
from chittycan.workstreams.batch_work import BatchWork
from chittycan.workstreams.files import File, Files

PATIENCE = 20.0
ENDPOINT = "/v1/messages"
Does = Callable[[int], Answered | Unserved | Elsewhere]


class Clerk:
    def __init__(self) -> None:
        self.does: Does = good
        self.asked: Counter[str] = Counter()

    def model(self, line: Line) -> str:
        return "m"

    async def answer(self, batch: Batch, line: Line) -> Answered | Unserved | Elsewhere:
        await asyncio.sleep(0)
        self.asked[line.custom_id] += 1
        return self.does(int(line.custom_id))

    def unanswered(self, batch: Batch, line: Line, reason: Reason) -> bytes:
        return f"{line.custom_id} {reason}".encode()


def good(number: int) -> Answered:
    return Answered(good=True, line=b"%d" % number)


def away(number: int) -> Unserved:
    return Unserved(failed=good(number), resting=True)


def lines(count: int) -> bytes:
    each = ({"custom_id": str(number), "url": ENDPOINT, "body": {}} for number in range(count))
    return b"".join(json.dumps(line).encode() + b"\n" for line in each)


class Office:
    def __init__(self, database: Database) -> None:
        self.clock, self.clerk = SystemClock(), Clerk()
        self.durable = Durable(database, self.clock)
        self.work = BatchWork(
            database, self.durable.engine, self.durable.files, self.clock, self.clerk, self.durable.recorder.tell
        )
        self.durable.functions |= self.work.functions
        self.database = database

    async def submit(self, data: bytes, key_id: str | None = None) -> Batch:
        file = await self.durable.files.create(data, name="in", purpose="batch", key_id=key_id)
        return await self.durable.batches.create(file.id, ENDPOINT, key_id=key_id)

    async def until(self, batch: Batch, holds: Callable[[Batch], bool]) -> Batch:
        async with asyncio.timeout(PATIENCE):
            while not holds(batch):
                await asyncio.sleep(0.02)
                batch = await self.durable.batches.get(batch.id)
        return batch

    async def ended(self, batch: Batch) -> Batch:
        return await self.until(batch, lambda batch: batch.status in ENDED)

    async def read(self, file_id: str | None) -> list[str]:
        assert file_id is not None
        return (await self.durable.files.read(file_id)).decode().splitlines()


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    made = Office(database)
    await made.durable.work(lambda _me: {}, "w")
    yield made
    await made.durable.close()


async def test_a_batch_of_many_pieces_is_done_and_leaves_only_its_files(office: Office) -> None:
    batch = await office.ended(await office.submit(lines(430)))
    assert (batch.status, batch.total, batch.completed, batch.failed) == ("completed", 430, 430, 0)
    assert sorted(map(int, await office.read(batch.output_file))) == list(range(430))
    assert batch.error_file is None
    assert set(office.clerk.asked.values()) == {1}
    await left_nothing(office)


async def left_nothing(office: Office) -> None:
    def count(connection: object) -> int:
        run = connection.exec_driver_sql  # type: ignore[attr-defined]
        return sum(run(f"SELECT count(*) FROM {name}").scalar_one() for name in ("batch_pieces", "batch_results"))

    async with asyncio.timeout(PATIENCE):
        while await office.database.read(count):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_an_outage_in_the_middle_is_waited_for(office: Office) -> None:
    office.clerk.does = lambda number: away(number) if number >= 100 else good(number)
    batch = await office.submit(lines(200))
    batch = await office.until(batch, lambda batch: batch.completed == 100)
    office.clerk.does = good
    batch = await office.ended(batch)
    assert (batch.status, batch.completed) == ("completed", 200)
    assert Counter(await office.read(batch.output_file)) == Counter(map(str, range(200)))


async def test_pieces_of_a_region_without_workers_keep_no_place(office: Office) -> None:
    """However many there are at the beginning: what is left to others does not hold up what can be done here."""
    office.clerk.does = lambda number: Elsewhere("nowhere") if number < 300 else good(number)
    batch = await office.submit(lines(430))
    batch = await office.until(batch, lambda batch: batch.completed == 130)
    assert batch.status == "in_progress"


async def test_a_piece_whose_run_was_lost_gets_another(office: Office) -> None:
    office.clerk.does = lambda number: away(number) if number >= 30 else good(number)
    batch = await office.submit(lines(60))
    await office.until(batch, lambda batch: batch.completed == 30)
    assert await office.work.mend() == 0

    async def lose() -> bool:
        found = await office.database.read(rows.running_pieces, 10)
        names = [f"{batch.id}.{each['number']}.{each['run']}" for each in found]
        await office.durable.engine.drop(names)
        return bool(await office.work.mend())

    async with asyncio.timeout(PATIENCE):
        while not await lose():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    office.clerk.does = good
    assert (await office.ended(batch)).completed == 60


@pytest.mark.parametrize("reason", ["cancelled", "expired"])
async def test_what_ends_early_keeps_what_it_has_and_names_the_rest(
    office: Office, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SETTLE_SECONDS", 0.0)
    office.clerk.does = lambda number: away(number) if number >= 30 else good(number)
    batch = await office.submit(lines(60))
    await office.until(batch, lambda batch: batch.completed == 30)
    if reason == "cancelled":
        assert (await office.durable.batches.cancel(batch.id)).status == "cancelling"
    else:
        await office.database.run(office.durable.engine.wake, [f"{batch.id}.expired"])
    batch = await office.ended(batch)
    assert batch.status == reason
    assert sorted(map(int, await office.read(batch.output_file))) == list(range(30))
    assert sorted(await office.read(batch.error_file)) == sorted(f"{number} {reason}" for number in range(30, 60))
    await left_nothing(office)


async def test_a_batch_cancelled_before_anyone_looked_at_it_ends_too(database: Database) -> None:
    office = Office(database)
    batch = await office.submit(lines(5))
    await office.durable.batches.cancel(batch.id)
    await office.durable.work(lambda _me: {}, "w")
    batch = await office.ended(batch)
    assert (batch.status, batch.output_file, office.clerk.asked) == ("cancelled", None, Counter())
    await office.durable.close()


async def test_closing_twice_makes_one_set_of_files(office: Office) -> None:
    batch = await office.ended(await office.submit(lines(3)))
    again = office.durable.functions["close_batch"]
    for reason in ("completed", "expired", "cancelled"):
        await again(batch.id, reason)
    assert await office.durable.batches.get(batch.id) == batch
    assert len((await office.durable.files.list(purpose="batch_output"))[0]) == 1


class Unheard(Database):
    """Makes a transaction, and loses the connection before it can say so: once for each function of these names."""

    def __init__(self, url: str, *names: str) -> None:
        super().__init__(url)
        self.names = set(names)

    async def run(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        made = await super().run(fn, *args, **kwargs)
        if fn.__name__ in self.names:
            self.names.remove(fn.__name__)
            raise Unavailable("the database does not answer")
        return made


async def test_results_stay_where_nobody_hears_that_the_books_are_closed(database_url: str) -> None:
    database = Unheard(database_url, "_begun", "record", "_passed", "_closing", "_closed")
    office = Office(database)
    batch = await office.submit(lines(3))
    await office.durable.work(lambda _me: {}, "w")
    batch = await office.ended(batch)
    await left_nothing(office)  # the last that is done
    assert (database.names, batch.status, batch.completed) == (set(), "completed", 3)
    assert Counter(await office.read(batch.output_file)) == Counter("012")
    await office.durable.close()
    database.close()


async def test_a_file_that_is_gone_fails_the_batch(database: Database) -> None:
    office = Office(database)
    batch = await office.submit(lines(5))
    await office.durable.files.delete(batch.input_file)
    await office.durable.work(lambda _me: {}, "w")
    batch = await office.ended(batch)
    assert [each.code for each in batch.detail.errors] == ["invalid_file"]
    await office.durable.close()


async def test_a_file_that_vanishes_in_the_middle_costs_what_was_not_asked_yet(office: Office) -> None:
    office.clerk.does = lambda number: away(number) if number >= 30 else good(number)
    batch = await office.submit(lines(60))
    await office.until(batch, lambda batch: batch.completed == 30)
    await office.durable.files.delete(batch.input_file)
    await office.database.run(office.durable.engine.wake, [f"{batch.id}.expired"])
    batch = await office.ended(batch)
    assert batch.status == "expired"
    assert sorted(map(int, await office.read(batch.output_file))) == list(range(30))


async def test_while_the_database_is_away_a_batch_waits(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = Files.get, 3

    async def get(self: Files, file_id: str, *, for_key: str | None = None) -> File:
        nonlocal failures
        if asyncio.current_task() is not mine and failures:
            failures -= 1
            raise Unavailable("the database does not answer")
        return await real(self, file_id, for_key=for_key)

    mine = asyncio.current_task()
    monkeypatch.setattr(Files, "get", get)
    batch = await office.ended(await office.submit(lines(60)))
    assert (batch.status, batch.completed, failures) == ("completed", 60, 0)


async def test_a_key_sees_its_own_batches(office: Office) -> None:
    mine, theirs = await office.submit(lines(1), "k1"), await office.submit(lines(1), "k2")
    found = office.durable.batches
    assert [each.id for each in (await found.list(for_key="k1"))[0]] == [mine.id]
    for refused in (found.get(theirs.id, for_key="k1"), found.cancel(theirs.id, for_key="k1")):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(NotFound):
        await found.create(theirs.input_file, ENDPOINT, key_id="k1")
    with pytest.raises(InvalidRequest, match="endpoint"):
        await found.create(mine.input_file, "/v1/images")
