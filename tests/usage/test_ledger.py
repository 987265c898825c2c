"""Attempts reach the database, whatever happens on the way."""

import asyncio
from typing import Any

import pytest

from chittycan.errors import Unavailable
from chittycan.store.database import Database
from chittycan.store.tables import ledger as table
from chittycan.testing import FakeClock
from chittycan.usage.ledger import Attempt, Ledger
from chittycan.usage.queries import Queries


def attempt(request: int | str = 1, position: int = 0, **fields: Any) -> Attempt:
    basics = {
        "at": 1_800_000_000.0,
        "surface": "openai",
        "model": "gpt-4",
        "provider": "openai",
        "upstream": "gpt-4-0613",
        "outcome": "ok",
    }
    return Attempt(**{"request_id": f"req_{request}", "position": position, **basics, **fields})


class FailingDatabase:
    """A database that is away for the first so many transactions."""

    def __init__(self, database: Database, failures: int) -> None:
        self._database, self.failures = database, failures

    async def run(self, fn: Any, *args: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the database did not answer")
        return await self._database.run(fn, *args)


def test_an_attempt_has_the_tables_columns_in_order() -> None:
    assert list(Attempt.__struct_fields__) == [column.name for column in table.columns]


async def test_every_field_comes_back_as_it_was_noted(database: Database, clock: FakeClock) -> None:
    full = attempt(
        outcome="failed", failure="quota", status=402, input=12307, output=550, cached=100, cache_write=12304,
        reasoning=40, cost_nano=54_399_000, ms=1234.5, first_token_ms=210.25, key_id="k1", kind="email.triage",
        task="t1", session="s1", decision="gpt-4: named", stream=True,
    )  # fmt: skip
    ledger = Ledger(database, clock)
    ledger.note(full)
    await ledger.flush()
    usage = await Queries(database, clock).request("req_1")
    assert usage is not None
    assert usage.attempts == [full]
    assert ledger.pending == 0


@pytest.mark.parametrize("rows", [1, 49, 50, 51, 1000])
async def test_no_row_is_lost_or_doubled_at_the_edges_of_a_statement(
    database: Database, clock: FakeClock, rows: int
) -> None:
    ledger = Ledger(database, clock)
    for number in range(rows):
        ledger.note(attempt(number))
    await ledger.flush()
    assert ledger.written == rows
    [group] = await Queries(database, clock).summary(0)
    assert group.calls == rows


async def test_rows_are_flushed_while_the_loop_runs_and_once_more_at_its_end(
    database: Database, clock: FakeClock
) -> None:
    ledger = Ledger(database, clock)
    running = asyncio.create_task(ledger.run())
    ledger.note(attempt(1))
    await clock.until_asleep()
    clock.advance(0.25)
    while ledger.written == 0:  # noqa: ASYNC110 (a thread writes)
        await asyncio.sleep(0)
    ledger.note(attempt(2))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(await Queries(database, clock).recent()) == 2


async def test_rows_wait_for_a_database_that_is_away(database: Database, clock: FakeClock) -> None:
    away: Any = FailingDatabase(database, failures=1)
    ledger = Ledger(away, clock)
    ledger.note(attempt(1))
    ledger.note(attempt(2))
    with pytest.raises(Unavailable):
        await ledger.flush()
    assert ledger.pending == 2
    await ledger.flush()
    assert [each.request_id for each in await Queries(database, clock).recent()] == ["req_1", "req_2"]


async def test_memory_is_bounded_and_what_is_lost_is_counted(database: Database, clock: FakeClock) -> None:
    ledger = Ledger(database, clock, memory_rows=3)
    for number in range(5):
        ledger.note(attempt(number))
    assert (ledger.pending, ledger.dropped) == (3, 2)


async def test_a_batch_that_was_already_written_is_not_doubled(database: Database, clock: FakeClock) -> None:
    ledger = Ledger(database, clock)
    for rows in (range(3), range(5)):
        for number in rows:
            ledger.note(attempt(number))
        await ledger.flush()
    assert len(await Queries(database, clock).recent()) == 5


async def test_a_row_that_cannot_be_stored_does_not_hold_up_the_others(database: Database, clock: FakeClock) -> None:
    ledger = Ledger(database, clock)
    for number in range(100):
        # A lone surrogate is no text.
        ledger.note(attempt(number, session="\ud800" if number in (0, 63) else "s"))
    await ledger.flush()
    assert (ledger.written, ledger.rejected, ledger.pending) == (98, 2, 0)
    found = {each.request_id for each in await Queries(database, clock).recent(200)}
    assert found == {f"req_{number}" for number in range(100)} - {"req_0", "req_63"}


async def test_who_asks_waits_for_rows_that_are_on_their_way(database: Database, clock: FakeClock) -> None:
    go = asyncio.Event()

    class SlowDatabase(FailingDatabase):
        async def run(self, fn: Any, *args: Any) -> Any:
            await go.wait()
            return await super().run(fn, *args)

    ledger = Ledger(SlowDatabase(database, 0), clock)  # type: ignore[arg-type]
    ledger.note(attempt())
    writing = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0)
    assert ledger.pending == 1
    asking = asyncio.create_task(Queries(database, clock, ledger).request("req_1"))
    await asyncio.sleep(0)
    go.set()
    assert await asking is not None
    await writing
    assert ledger.pending == 0
