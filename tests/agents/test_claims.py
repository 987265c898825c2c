"""Of several processes one has what it claimed, whatever their clocks say, on both databases."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import Connection, Table, func, select, update

from chittycan.agents.claims import Claims
from chittycan.agents.duty import Duty
from chittycan.errors import Unavailable
from chittycan.store import inbox, mailboxes
from chittycan.store.database import Database
from chittycan.store.mail_claims import mail_claims
from chittycan.store.workers import Worker
from chittycan.testing.clock import START, FakeClock
from chittycan.workstreams.workers import BEAT_SECONDS, SILENT_SECONDS, default_id, this_process

APART = 3_600.0  # seconds between the clocks of two hosts
MAIL = "m1"


@pytest.fixture(params=[mail_claims, mailboxes.mail_accounts], ids=lambda table: str(table.name))
async def table(request: pytest.FixtureRequest, database: Database) -> Table:
    new = inbox.NewMail(
        id=MAIL, dedupe_key=MAIL, source="s", source_key="k", sender="", subject="", date=None, mail="{}"
    )
    await database.run(inbox.add, new, START)
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process is on a host of its own: whether one is gone tells its silence alone."""
    from chittycan.agents import claims

    def somewhere(worker_id: str, role: str) -> Worker:
        me = this_process(worker_id, role)
        return Worker(
            id=me.id, nonce=me.nonce, host=default_id(), boot="", pid=1, birth=1, version="", role=role, region=None
        )

    monkeypatch.setattr(claims, "this_process", somewhere)


def silenced(connection: Connection, table: Table, seconds: float) -> None:
    connection.execute(update(table).values(beat=table.c.beat - seconds))


def holders(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count(table.c.nonce))).scalar_one()


def silence_of(connection: Connection, table: Table) -> float:
    from chittycan.store.moment import now

    return float(connection.execute(select(now(connection) - table.c.beat)).scalar_one())


async def until(condition: Callable[[], "asyncio.Future[bool]"]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("apart", [APART, -APART])
async def test_hosts_whose_clocks_are_an_hour_apart_do_not_take_it_from_each_other(
    database: Database, table: Table, apart: float
) -> None:
    here = Claims(table, database, FakeClock())
    there = Claims(table, database, FakeClock(START + apart))
    async with here.held(MAIL) as other:
        assert other is None
        async with there.held(MAIL) as holder:
            assert holder is not None
            assert holder.nonce == here.nonce
    async with there.held(MAIL) as other:
        assert other is None
        async with here.held(MAIL) as holder:
            assert holder is not None


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("apart", [APART, -APART])
async def test_a_mailbox_is_looked_after_once_by_hosts_whose_clocks_are_an_hour_apart(
    database: Database, apart: float
) -> None:
    here, there = (Duty("office", database, FakeClock(START + each)) for each in (0, apart))
    async with here.held():
        with pytest.raises(Unavailable) as refused:
            async with there.held():
                pass
    assert refused.value.code == mailboxes.LOST


@pytest.mark.usefixtures("elsewhere")
async def test_who_is_silent_by_the_databases_clock_loses_it_and_who_beats_does_not(
    database: Database, table: Table
) -> None:
    clock = FakeClock()
    here, there = Claims(table, database, clock), Claims(table, database, FakeClock(START + APART))
    async with here.held(MAIL):
        await database.run(silenced, table, SILENT_SECONDS - 5)
        await clock.until_asleep()
        clock.advance(BEAT_SECONDS)

        async def heard() -> bool:
            return await database.read(silence_of, table) < 5

        await until(lambda: asyncio.ensure_future(heard()))
        async with there.held(MAIL) as holder:
            assert holder is not None
        await database.run(silenced, table, SILENT_SECONDS + 1)
        async with there.held(MAIL) as holder:
            assert holder is None


async def test_who_is_stopped_as_it_claims_leaves_nothing_behind(database: Database, table: Table) -> None:
    claims = Claims(table, database, FakeClock())

    async def work() -> None:
        async with claims.held(MAIL):
            await asyncio.Event().wait()

    for turns in range(6):  # before, while and after the row is written
        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await database.read(holders, table) == 0


async def test_one_beat_says_that_all_of_its_rows_are_held(database: Database) -> None:
    clock = FakeClock()
    claims = Claims(mailboxes.mail_accounts, database, clock)
    async with AsyncExitStack() as stack:
        for name in ("a", "b"):
            assert await stack.enter_async_context(claims.held(name)) is None
        assert clock.sleepers <= 1
        assert await database.read(holders, mailboxes.mail_accounts) == 2
    assert await database.read(holders, mailboxes.mail_accounts) == 0
