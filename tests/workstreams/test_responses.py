"""Events of background responses: kept in pieces, read from any place, written by the valid try alone."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.errors import NotFound
from chittycan.store import tasks as rows
from chittycan.store.database import Database
from chittycan.workstreams.responses import ROWS_AT_ONCE, News, Responses, new_response_id
from chittycan.workstreams.task import Done, Task


@pytest.fixture
async def durable(database: Database) -> AsyncIterator[Durable]:
    durable = Durable(database, SystemClock())
    yield durable
    await durable.close()


async def begun(durable: Durable, database: Database, key_id: str | None = None) -> Task:
    """A response that a worker is at, for the first time."""
    task = await durable.responses.create(Task(id=new_response_id(), key_id=key_id, spec={"body": {}}))
    return await begin(database, task)


async def begin(database: Database, task: Task) -> Task:
    values: dict[str, Any] = {"status": "running", "tries": task.tries + 1}
    assert await database.run(rows.move, task.id, ("queued", "running"), values)
    return replace(task, status="running", tries=task.tries + 1)


async def end(durable: Durable, database: Database, task: Task) -> None:
    assert await database.run(durable.recorder.record, task, Done())


async def followed(responses: Responses, response: str, after: int) -> list[News]:
    return [news async for news in responses.follow(response, after)]


def said(looks: list[News]) -> list[bytes]:
    return [event for news in looks for event in news.events]


async def test_every_event_is_there_from_whichever_on(durable: Durable, database: Database) -> None:
    task = await begun(durable, database)
    pieces = [([b"2", b"3", b"4"], 4), ([b"5"], 5), ([b"6", b"7"], 7)]
    for events, last in pieces:
        assert await durable.responses.tell(task, events, last)
    await end(durable, database, task)
    for after in range(-1, 9):
        looks = await followed(durable.responses, task.id, after)
        assert said(looks) == [b"%d" % number for number in range(max(2, after + 1), 8)]
        assert looks[-1].ended is not None
        assert looks[-1].ended.status == looks[-1].status == "done"
        assert looks[-1].last == 7
    assert await durable.responses.shown(task.id) == [b"%d" % number for number in range(2, 8)]


async def test_events_that_were_written_twice_are_read_once(durable: Durable, database: Database) -> None:
    task = await begun(durable, database)
    for events, last in [([b"2", b"3"], 3), ([b"2", b"3"], 3), ([b"2", b"3", b"4"], 4), ([b"4", b"5"], 5)]:
        assert await durable.responses.tell(task, events, last)
    await end(durable, database, task)
    for after in range(-1, 6):
        expected = [b"%d" % number for number in range(max(2, after + 1), 6)]
        assert said(await followed(durable.responses, task.id, after)) == expected
    assert await durable.responses.shown(task.id) == [b"2", b"3", b"4", b"5"]


async def test_a_long_stream_comes_in_several_looks_and_then_ends(durable: Durable, database: Database) -> None:
    task = await begun(durable, database)
    for number in range(2 * ROWS_AT_ONCE):
        await durable.responses.tell(task, [b"%d" % number], number)
    await end(durable, database, task)
    looks = await followed(durable.responses, task.id, -1)
    assert said(looks) == [b"%d" % number for number in range(2 * ROWS_AT_ONCE)]
    assert [news.ended is None for news in looks] == [True, True, False]


async def test_one_without_any_event_ends_too(durable: Durable, database: Database) -> None:
    task = await begun(durable, database)
    await end(durable, database, task)
    [news] = await followed(durable.responses, task.id, -1)
    assert (news.events, news.last, news.status) == ([], -1, "done")


async def test_only_the_newest_try_is_heard(durable: Durable, database: Database) -> None:
    first = await begun(durable, database)
    assert await durable.responses.tell(first, [b"2"], 2)
    second = await begin(database, first)
    assert not await durable.responses.tell(first, [b"3"], 3)
    assert await durable.responses.tell(second, [b"3 of the second"], 3)
    await durable.responses.cancel(first.id)
    assert not await durable.responses.tell(second, [b"4"], 4)
    assert await durable.responses.shown(first.id) == [b"2", b"3 of the second"]


async def test_another_key_finds_nothing(durable: Durable, database: Database) -> None:
    task = await begun(durable, database, key_id="key_1")
    assert (await durable.responses.get(task.id, for_key="key_1")).id == task.id
    assert await durable.responses.find(task.id, for_key="key_2") is None
    for call in (durable.responses.get, durable.responses.cancel, durable.responses.delete):
        with pytest.raises(NotFound):
            await call(task.id, for_key="key_2")


async def test_what_is_deleted_leaves_no_event(durable: Durable, database: Database) -> None:
    task = await begun(durable, database)
    await durable.responses.tell(task, [b"2"], 2)
    await durable.responses.delete(task.id)
    assert await durable.responses.shown(task.id) == []
    with pytest.raises(NotFound):
        await followed(durable.responses, task.id, -1)
