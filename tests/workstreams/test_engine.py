"""The queue: within our transactions, by priority, delayed, woken, recovered. Real DBOS, both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chittycan.errors import Unavailable
from chittycan.store.database import Database
from chittycan.workstreams.engine import Engine
from serving import until

HOUR = 3600.0


class Calls:
    """What the engine called, in order."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []

    async def note(self, *args: Any) -> None:
        self.made.append(args)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    engine = Engine(database.url)
    await engine.prepare()
    yield engine
    await engine.close()


async def put(database: Database, engine: Engine, id: str, *args: Any, **options: Any) -> None:
    await database.run(lambda connection: engine.enqueue(connection, "note", *args, id=id, **options))


async def test_who_leaves_while_it_is_prepared_leaves_it_prepared(database: Database) -> None:
    engine = Engine(database.url)
    leaving = asyncio.create_task(engine.prepare())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait((leaving,))
    assert engine.prepared
    await engine.close()


async def test_what_a_rolled_back_transaction_enqueued_never_runs(database: Database, engine: Engine) -> None:
    calls = Calls()

    def fails(connection: Any) -> None:
        engine.enqueue(connection, "note", "lost", id="lost")
        raise RuntimeError("after enqueueing")

    with pytest.raises(RuntimeError):
        await database.run(fails)
    await put(database, engine, "kept", "kept", {"nested": [1, None]})
    await engine.start("one", {"note": calls.note})
    await until(lambda: calls.made == [("kept", {"nested": [1, None]})])
    assert await engine.statuses(["lost"]) == {}


async def test_an_id_runs_once_however_often_it_is_enqueued(database: Database, engine: Engine) -> None:
    calls = Calls()
    await engine.start("one", {"note": calls.note})
    for _ in range(3):
        await put(database, engine, "same", "same")
    await put(database, engine, "other", "other")
    await until(lambda: ("other",) in calls.made)
    assert sorted(calls.made) == [("other",), ("same",)]


async def test_what_has_priority_goes_first(database: Database, engine: Engine) -> None:
    calls = Calls()
    for priority in (0, -5, 5, 100, -100):
        await put(database, engine, f"p{priority}", priority, priority=priority)
    await engine.start("one", {"note": calls.note})
    await until(lambda: len(calls.made) == 5)
    assert [priority for (priority,) in calls.made] == [100, 5, 0, -5, -100]


async def test_what_is_delayed_waits_until_it_is_woken(database: Database, engine: Engine) -> None:
    calls = Calls()
    await engine.start("one", {"note": calls.note})
    for name in ("late", "later"):
        await put(database, engine, name, name, delay=HOUR)
    await put(database, engine, "now", "now")
    await until(lambda: calls.made == [("now",)])
    assert await engine.statuses(["late", "later"]) == {"late": "DELAYED", "later": "DELAYED"}
    await database.run(engine.wake, ["late", "now", "unknown"])
    await until(lambda: ("late",) in calls.made)
    await database.run(engine.wake, ["late"])
    await engine.drop(["later"])
    assert await engine.statuses(["later"]) == {"later": "CANCELLED"}
    assert calls.made == [("now",), ("late",)]


async def test_a_delay_can_be_shortened(database: Database, engine: Engine) -> None:
    calls = Calls()
    await put(database, engine, "soon", "soon", delay=HOUR)
    await database.run(engine.wake, ["soon"], 0.5)
    assert await engine.statuses(["soon"]) == {"soon": "DELAYED"}
    await engine.start("one", {"note": calls.note})
    await until(lambda: calls.made == [("soon",)])


async def test_what_a_stopped_worker_left_is_taken_up_by_another_name(database: Database, engine: Engine) -> None:
    begun, calls = asyncio.Event(), Calls()

    async def hangs(*_: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    await put(database, engine, "job", "job")
    await engine.start("one", {"note": hangs})
    await asyncio.wait_for(begun.wait(), 10)
    await engine.stop()
    await engine.start("two", {"note": calls.note})
    assert await engine.recover(["one"]) == 1
    await until(lambda: calls.made == [("job",)])


async def test_one_process_is_one_worker(database: Database, engine: Engine) -> None:
    await engine.start("one", {})
    second = Engine(database.url)
    with pytest.raises(Unavailable, match="a worker already"):
        await second.start("two", {})
    await second.close()
    assert engine.running


async def test_the_database_holds_arguments_as_json(database: Database, engine: Engine) -> None:
    from sqlalchemy import text

    await put(database, engine, "plain", "some text", 7, delay=HOUR)
    table = "workflow_input" if database.sqlite else "dbos.workflow_input"
    query = text(f"SELECT inputs FROM {table} WHERE workflow_uuid = 'plain'")
    stored = await database.read(lambda connection: connection.execute(query).scalar_one())
    assert '"some text"' in stored
    assert "7" in stored


def test_an_absent_extra_is_named(monkeypatch: pytest.MonkeyPatch, sqlite: Database) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "dbos", None)
    check: Callable[[], Any] = Engine(sqlite.url).prepare
    with pytest.raises(Unavailable) as caught:
        asyncio.run(check())
    assert caught.value.fix == "pip install 'chittycan[workstreams]'"
