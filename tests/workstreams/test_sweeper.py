"""What is late, lost or old. The queue is real, nobody works; both databases."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text

from chittycan.durable import Durable
from chittycan.store import tasks as rows
from chittycan.store.database import Database
from chittycan.store.tables import metadata
from chittycan.store.work_tables import response_events, tasks, workstreams
from chittycan.testing import FakeClock
from chittycan.workstreams.recipe_file import parse
from chittycan.workstreams.record import run_id
from chittycan.workstreams.sweeper import ENGINE_SECONDS, LOST_SECONDS, Sweeper
from chittycan.workstreams.task import Ask, Done, Failed, Later, Outcome, Task
from chittycan.workstreams.workstream import Workstream, to_stream_row

DAY = 86_400.0
KEPT = 30 * DAY
STEP = "name: one\nsteps:\n  - {id: only, task: hi}\n"


class Desk:
    """Durable work without a worker: each try ends as the test says."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.durable = Durable(database, clock)
        self.durable.retention = KEPT
        self.sweeper: Sweeper = self.durable.sweeper
        self.engine, self.tasks, self.recorder = self.durable.engine, self.durable.tasks, self.durable.recorder

    async def submit(self, *after: Task, **fields: Any) -> Task:
        return await self.tasks.submit(Task(id="", **fields), after=[each.id for each in after])

    async def begin(self, task: Task, worker: str = "one") -> Task:
        """A worker is at it."""
        values = {"status": "running", "worker": worker, "tries": task.tries + 1, "due": None}
        begun = tasks.update().where(tasks.c.id == task.id).values(**values, updated=self.clock.now())
        await self.database.run(lambda connection: connection.execute(begun))
        return await self.tasks.get(task.id)

    async def comes_to(self, task: Task, outcome: Outcome) -> Task:
        running = await self.begin(await self.tasks.get(task.id))
        assert await self.database.run(self.recorder.record, running, outcome)
        return await self.tasks.get(task.id)

    async def engine_has(self, task: Task) -> str | None:
        """What the engine knows of the valid run."""
        current = await self.tasks.get(task.id)
        return (await self.engine.statuses([run_id(current)])).get(run_id(current))

    async def lose(self, task: Task) -> None:
        """The engine knows nothing of the valid run any more."""
        await self.engine.forget([run_id(await self.tasks.get(task.id))])

    async def stream(self, recipe: str = STEP, **fields: Any) -> str:
        now = self.clock.now()
        values = {"id": "ws_one", "name": "one", "recipe": parse(recipe), "inputs": {}, "created": now, "updated": now}
        row = to_stream_row(Workstream(**{**values, **fields}))

        def store(connection: Connection) -> None:
            connection.execute(workstreams.insert().values(**row))
            self.durable.advancer.advance(connection, row["id"])

        await self.engine.prepare()
        await self.database.run(store)
        return str(row["id"])

    async def stream_status(self, stream: str) -> str | None:
        query = select(workstreams.c.status).where(workstreams.c.id == stream)
        found: str | None = await self.database.read(lambda connection: connection.execute(query).scalar_one_or_none())
        return found

    async def count(self, table: str) -> int:
        query = select(func.count()).select_from(metadata.tables[table])
        return int(await self.database.read(lambda connection: connection.execute(query).scalar_one()))

    async def exists(self, task: Task) -> bool:
        query = select(tasks.c.id).where(tasks.c.id == task.id)
        return await self.database.read(lambda connection: connection.execute(query).first()) is not None


@pytest.fixture
async def desk(database: Database, clock: FakeClock) -> AsyncIterator[Desk]:
    desk = Desk(database, clock)
    await desk.engine.prepare()
    yield desk
    await desk.durable.close()


# deadlines


async def test_a_deadline_ends_what_waits_and_what_comes_after(desk: Desk) -> None:
    until = desk.clock.now() + 60
    queued = await desk.submit(deadline=until)
    following = await desk.submit(queued)
    asked = await desk.comes_to(await desk.submit(deadline=until), Ask(question={"text": "May I?"}))
    later = await desk.submit(deadline=until + 1)
    assert await desk.sweeper.late(set()) == 0
    desk.clock.advance(60)
    assert await desk.sweeper.late(set()) == 2
    ended = await desk.tasks.get(queued.id)
    assert (ended.status, (ended.error or {})["code"]) == ("failed", "deadline_passed")
    assert "a person's decision" in ((await desk.tasks.get(asked.id)).error or {})["message"]
    assert (await desk.tasks.get(following.id)).status == "failed"
    assert (await desk.tasks.get(later.id)).status == "queued"
    assert await desk.engine_has(queued) == "CANCELLED"
    assert await desk.sweeper.late(set()) == 0


async def test_what_a_living_worker_is_at_it_ends_itself(desk: Desk) -> None:
    task = await desk.begin(await desk.submit(deadline=desk.clock.now() + 60), "one")
    desk.clock.advance(61)
    assert await desk.sweeper.late({"one"}) == 0
    assert await desk.sweeper.late({"two"}) == 1
    assert (await desk.tasks.get(task.id)).status == "failed"


async def test_a_step_that_is_late_ends_its_workstream(desk: Desk) -> None:
    stream = await desk.stream(STEP + "deadline: 1h\n")
    desk.clock.advance(3601)
    assert await desk.sweeper.late(set()) == 1
    assert await desk.stream_status(stream) == "failed"


async def test_a_paused_workstream_ends_at_its_deadline_too(desk: Desk) -> None:
    stream = await desk.stream(STEP + "deadline: 1h\n", status="paused")
    await desk.sweeper.streams()
    assert await desk.stream_status(stream) == "paused"
    desk.clock.advance(3601)
    await desk.sweeper.streams()
    assert await desk.stream_status(stream) == "failed"


# lost runs


@pytest.mark.parametrize("at_work", [False, True])
async def test_a_task_whose_run_is_lost_gets_another(desk: Desk, at_work: bool) -> None:
    task = await desk.submit()
    if at_work:
        await desk.begin(task)
    await desk.lose(task)
    assert await desk.sweeper.lost() == 0
    desk.clock.advance(LOST_SECONDS + 1)
    assert await desk.sweeper.lost() == 1
    found = await desk.tasks.get(task.id)
    assert (found.status, found.run) == ("queued", 2)
    assert await desk.engine_has(task) == "ENQUEUED"
    assert await desk.sweeper.lost() == 0


@pytest.mark.parametrize("handed_back", [True, False])
async def test_so_does_one_that_was_tried_before(desk: Desk, handed_back: bool) -> None:
    """Its worker stopped, or somebody wanted it tried again: in either case it waits for no event."""
    task = await desk.submit(await desk.comes_to(await desk.submit(), Done()))
    await desk.begin(task)
    if handed_back:
        await desk.database.run(rows.hand_back, "one", desk.clock.now())
    else:
        await desk.tasks.cancel(task.id)
        await desk.tasks.retry(task.id)
    await desk.lose(task)
    desk.clock.advance(LOST_SECONDS + 1)
    assert await desk.sweeper.lost() == 1


async def test_a_run_that_the_engine_gave_up_counts_as_lost(desk: Desk) -> None:
    task = await desk.submit()
    await desk.engine.drop([run_id(task)])
    desk.clock.advance(LOST_SECONDS + 1)
    assert await desk.sweeper.lost() == 1


async def test_what_rightly_has_no_run_gets_none(desk: Desk) -> None:
    first = await desk.submit(at=desk.clock.now() + DAY)
    await desk.submit(first)
    event = await desk.comes_to(await desk.submit(type="wait"), Later(reason="the event `paid`"))
    approval = await desk.comes_to(await desk.submit(type="approval"), Ask(question={}))
    over = await desk.comes_to(await desk.submit(), Done())
    desk.clock.advance(LOST_SECONDS + 1)
    assert await desk.sweeper.lost() == 0
    for each in (event, approval, over):
        assert await desk.tasks.get(each.id) == each


async def test_every_task_is_looked_at_in_turn(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chittycan.workstreams.sweeper.UNMOVED", 2)
    submitted = [await desk.tasks.submit(Task(id=f"task_{number}")) for number in range(5)]
    await desk.lose(submitted[3])
    desk.clock.advance(LOST_SECONDS + 1)
    assert [await desk.sweeper.lost() for _ in range(4)] == [0, 1, 0, 0]


async def test_one_that_cannot_be_read_keeps_nothing_from_the_others(desk: Desk) -> None:
    """A later version wrote it."""
    bugs: list[BaseException] = []
    desk.durable.bug = bugs.append
    now = desk.clock.now()
    unread = await desk.stream(id="ws_new")
    late = await desk.submit(workstream=unread, path="only", deadline=now + 60)
    paused = await desk.stream(STEP + "deadline: 1m\n", id="ws_paused", status="paused", created=now)
    await desk.database.run(
        lambda c: c.execute(workstreams.update().where(workstreams.c.id == unread).values(recipe="{}"))
    )
    other = await desk.submit(deadline=now + 60)
    desk.clock.advance(61)
    assert await desk.sweeper.late(set()) == 1
    await desk.sweeper.streams()
    assert (await desk.tasks.get(late.id)).status == "queued"
    assert (await desk.tasks.get(other.id)).status == "failed"
    assert await desk.stream_status(paused) == "failed"
    assert len(bugs) == 2


# what is old


async def test_what_ended_long_ago_is_removed_with_all_that_belongs_to_it(desk: Desk) -> None:
    old = await desk.tasks.submit(Task(id=""), idempotency_key="once")
    after = await desk.submit(old)
    await desk.database.run(
        lambda c: c.execute(response_events.insert().values(response=old.id, run=1, sequence=1, data=b"x"))
    )
    await desk.comes_to(old, Done())
    await desk.comes_to(after, Failed(error=_error(), again=False))
    desk.clock.advance(KEPT - 1)
    recent = await desk.comes_to(await desk.submit(), Done())
    await desk.sweeper.old()
    assert await desk.exists(old)
    desk.clock.advance(2)
    await desk.sweeper.old()
    assert not await desk.exists(old)
    assert not await desk.exists(after)
    assert await desk.exists(recent)
    assert [await desk.count(each) for each in ("dependencies", "idempotency", "response_events")] == [0, 0, 0]


async def test_nothing_goes_that_something_open_needs(desk: Desk) -> None:
    done = await desk.comes_to(await desk.submit(), Done(result={"text": "needed"}))
    await desk.submit(done, at=desk.clock.now() + 2 * KEPT)
    stream = await desk.stream(STEP + "  - {id: then, task: go}\n")
    await desk.comes_to(await desk.tasks.get(f"{stream}.only"), Done())
    desk.clock.advance(KEPT + 1)
    await desk.sweeper.old()
    assert await desk.exists(done)
    assert (await desk.tasks.get(f"{stream}.only")).status == "done"


async def test_an_old_workstream_goes_with_its_steps(desk: Desk) -> None:
    stream = await desk.stream()
    await desk.comes_to(await desk.tasks.get(f"{stream}.only"), Done())
    assert await desk.stream_status(stream) == "done"
    desk.clock.advance(KEPT + 1)
    await desk.sweeper.old()
    assert await desk.stream_status(stream) is None
    assert await desk.count("tasks") == 0


async def test_without_a_limit_nothing_is_removed(desk: Desk) -> None:
    desk.durable.retention = None
    task = await desk.comes_to(await desk.submit(), Done())
    desk.clock.advance(100 * KEPT)
    await desk.sweeper.old()
    assert await desk.exists(task)


async def test_the_engine_soon_forgets_what_is_over(desk: Desk) -> None:
    over, waits = await desk.submit(), await desk.submit()
    await desk.engine.drop([run_id(over)])
    desk.clock.advance(max(0.0, time.time() - desk.clock.now()) + 2 * ENGINE_SECONDS)  # the engine's clock is real
    await desk.sweeper.old()
    assert await desk.engine_has(over) is None
    assert await desk.engine_has(waits) == "ENQUEUED"
    table = "workflow_input" if desk.database.sqlite else "dbos.workflow_input"
    left = await desk.database.read(lambda c: c.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())
    assert left == 1


def _error() -> Any:
    from chittycan.errors import ChittyError

    return ChittyError("it went wrong")
