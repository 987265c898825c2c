"""Who tries when a model is away, and when it is back. Time is the test's, runs are called by hand; both databases."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from chittycan.errors import ChittyError
from chittycan.store import waiting as rows
from chittycan.store.database import Database
from chittycan.store.work_tables import tasks as table
from chittycan.testing import FakeClock
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.record import Recorder, run_id
from chittycan.workstreams.runner import Runner
from chittycan.workstreams.task import Done, Failed, Outcome, Task, WaitForModel
from chittycan.workstreams.tasks import Tasks
from chittycan.workstreams.waiting import LATE_SECONDS, Waiting
from chittycan.workstreams.waves import SCHEDULE, Schedule, Waves

HOUR = 3600.0
DOWN = WaitForModel(models=("a", "b"), reason="a and b are down")


class World:
    """Tasks that ask models `a` and `b`, which are there or not, and a worker that does at once what is due."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.engine = Engine(database.url)
        self.recorder = Recorder(self.engine, clock)
        self.recorder.waves = Waves(self.engine, clock, jitter=lambda: 0.0)
        self.tasks = Tasks(database, self.engine, self.recorder, clock)
        self.waiting = Waiting(database, self.engine, self.recorder, clock)
        self.runner = Runner(database, self.recorder, clock, "worker", {"task": self.perform})
        self.outcome: Outcome | None = DOWN
        self.broken: set[str | None] = set()  # titles of those that find no model, whoever is there
        self.performed: list[tuple[float, str | None]] = []

    async def perform(self, task: Task) -> Outcome:
        self.performed.append((self.clock.now(), task.title))
        if task.title in self.broken:
            return DOWN
        return self.outcome or Done(model="a")

    async def submit(self, **fields: Any) -> Task:
        return await self.tasks.submit(Task(id="", **fields))

    async def run(self, task: Task) -> Task:
        current = await self.tasks.get(task.id)
        await self.runner.run(task.id, current.run)
        return await self.tasks.get(task.id)

    async def round(self) -> int:
        """All that is due now, each once; how many that were."""

        def due(connection: Connection) -> list[tuple[str, int]]:
            open_ = table.c.status.in_(("queued", "waiting_for_model"))
            query = select(table.c.id, table.c.run).where(
                open_, table.c.due.is_(None) | (table.c.due <= self.clock.now())
            )
            order = (table.c.priority.desc(), table.c.since, table.c.id)
            return [(row.id, row.run) for row in connection.execute(query.order_by(*order))]

        found = await self.database.read(due)
        for task_id, run in found:
            await self.runner.run(task_id, run)
        return len(found)

    async def away(self, count: int, **fields: Any) -> list[Task]:
        """So many tasks that have found no model, and what they did is forgotten."""
        tried = [await self.submit(title=f"{number}", **fields) for number in range(count)]
        await self.round()
        self.performed.clear()
        return [await self.tasks.get(each.id) for each in tried]

    async def pass_(self, seconds: float) -> None:
        """So much time, in which everything happens when it is due."""
        end = self.clock.now() + seconds

        def next_due(connection: Connection) -> float | None:
            query = select(table.c.due).where(table.c.status == "waiting_for_model").order_by(table.c.due).limit(1)
            return connection.execute(query).scalar()

        while (due := await self.database.read(next_due)) is not None and due <= end:
            self.clock.advance(max(0.0, due - self.clock.now()))
            await self.round()
        self.clock.advance(max(0.0, end - self.clock.now()))

    async def due(self, tasks: Sequence[Task]) -> list[float]:
        """In how many seconds each is due, the soonest first."""
        found = [(await self.tasks.get(each.id)).due for each in tasks]
        return sorted(round(each - self.clock.now(), 3) for each in found if each is not None)

    async def statuses(self, tasks: Sequence[Task]) -> list[str]:
        return [(await self.tasks.get(each.id)).status for each in tasks]


@pytest.fixture
async def world(database: Database, clock: FakeClock) -> AsyncIterator[World]:
    world = World(database, clock)
    yield world
    await world.engine.close()


@given(tries=st.integers(0, 10_000), jitter=st.floats(0, 1))
def test_pauses_grow_to_half_a_minute_and_after_an_hour_to_a_minute(tries: int, jitter: float) -> None:
    schedule = Schedule()
    pause = schedule.pause(tries, jitter)
    assert 0.8 * schedule.first < pause <= (30 if tries < schedule.patient else 60)
    assert schedule.pause(tries + 1, jitter) >= pause


async def test_one_tries_soon_and_the_others_sleep(world: World) -> None:
    tried = await world.away(5)
    assert await world.due(tried) == [2, 3600, 3660, 3720, 3780]
    assert {(each.status, each.waiting_for, each.chain) for each in tried} == {
        ("waiting_for_model", "a and b are down", "a, b")
    }


async def test_hours_without_models_cost_a_try_a_minute(world: World) -> None:
    tried = await world.away(10)
    await world.pass_(4 * HOUR)
    begun = [at for at, _ in world.performed]
    assert max(later - earlier for earlier, later in itertools.pairwise(begun)) <= 60
    assert len(begun) < 4 * 60 + 100  # in the first hour two a minute; the sleepers' own hours never come
    assert {(await world.tasks.get(each.id)).since for each in tried} == {tried[0].since}


async def test_when_a_model_is_back_waves_that_grow_wake_all(world: World) -> None:
    tried = await world.away(100)
    await world.pass_(100)
    tries, world.outcome = len(world.performed), None
    await world.pass_(30)
    begun = [title for _, title in world.performed[tries:]]
    assert len(begun) == len(tried)
    assert set(begun) == {each.title for each in tried}
    assert set(await world.statuses(tried)) == {"done"}


async def test_each_success_wakes_four(world: World) -> None:
    await world.away(100)
    world.clock.advance(2)
    world.outcome = None
    assert [await world.round() for _ in range(5)] == [1, 4, 16, 64, 15]


async def test_no_more_are_awake_at_once_than_the_schedule_says(world: World) -> None:
    world.recorder.waves.schedule = Schedule(awake=10)
    await world.away(40)
    world.clock.advance(2)
    world.outcome = None
    assert [await world.round() for _ in range(6)] == [1, 4, 10, 10, 10, 5]


async def test_high_priority_is_woken_first_then_who_has_waited_longest(world: World) -> None:
    for title, priority in (("canary", 0), ("early", 0), ("low", -5), ("late", 0), ("high", 7), ("higher", 9)):
        await world.submit(title=title, priority=priority)
        await world.round()
        world.clock.advance(0.1)
    world.recorder.waves.schedule = Schedule(wave=1)
    world.performed.clear()
    world.clock.advance(2)
    world.outcome = None
    while await world.round():
        pass
    canary, *others = [title for _, title in world.performed]
    assert others == [each for each in ("higher", "high", "canary", "early", "late", "low") if each != canary]


async def test_a_failure_stops_the_waves_and_one_goes_on_trying(world: World) -> None:
    tried = await world.away(50)
    world.clock.advance(2)
    world.outcome = None
    assert [await world.round() for _ in range(2)] == [1, 4]
    world.outcome = DOWN
    assert await world.round() == 16
    assert await world.round() == 0
    left = [each for each in tried if (await world.tasks.get(each.id)).status != "done"]
    assert len(left) == 45
    assert [each for each in await world.due(left) if each < 60] == [2]


async def test_a_success_that_began_before_a_failure_wakes_nobody(world: World) -> None:
    tried = await world.away(10)
    begun, answer = asyncio.Event(), asyncio.Event()

    async def slow(_: Task) -> Outcome:
        begun.set()
        await answer.wait()
        return Done(model="a")

    task = await world.submit()
    running = asyncio.ensure_future(
        Runner(world.database, world.recorder, world.clock, "slow", {"task": slow}).run(task.id, 1)
    )
    await begun.wait()
    world.clock.advance(1)
    await world.run(await world.submit())  # finds nobody
    before = await world.due(tried)
    answer.set()
    await running
    assert (await world.tasks.get(task.id)).status == "done"
    assert await world.due(tried) == before


async def test_whoever_asked_a_model_shows_that_it_is_back(world: World) -> None:
    """Chains that have a model in common; others are left alone."""
    chains = {"mine": ("a", "b"), "theirs": ("b", "c"), "other": ("c", "bb")}
    waiting = {}
    for name, models in chains.items():
        world.outcome = WaitForModel(models=models, reason="down", until=world.clock.now() + 600)
        waiting[name] = await world.run(await world.submit())
    world.outcome = Done(model="b")
    await world.run(await world.submit())
    due = {name: await world.due([each]) for name, each in waiting.items()}
    assert due == {"mine": [0], "theirs": [0], "other": [600]}


async def test_what_a_provider_says_about_when_to_ask_again_holds(world: World) -> None:
    world.outcome = WaitForModel(models=("a",), reason="rate limit", until=world.clock.now() + 90)
    tried = await world.away(20)
    assert (await world.due(tried))[:2] == [90, 3600]
    await world.pass_(89)
    assert world.performed == []
    world.outcome = None
    await world.pass_(2)
    assert set(await world.statuses(tried)) == {"done"}


@pytest.mark.parametrize(("says", "waits"), [(-5.0, 2.0), (0.1, 2.0), (30.0, 30.0), (200 * HOUR, HOUR)])
async def test_nobody_is_asked_all_the_time_nor_left_alone_for_days(world: World, says: float, waits: float) -> None:
    world.outcome = WaitForModel(models=("a",), reason="rate limit", until=world.clock.now() + says)
    task = await world.run(await world.submit())
    assert await world.due([task]) == [waits]


async def test_tasks_that_a_quota_serves_in_part_go_on_with_the_next_one(world: World) -> None:
    """Twenty a minute, and each refusal says when the next minute begins."""
    asked: Counter[int] = Counter()

    async def limited(_: Task) -> Outcome:
        minute = int(world.clock.now() // 60)
        asked[minute] += 1
        if asked[minute] > 20:
            return WaitForModel(models=("a",), reason="rate limit", until=(minute + 1) * 60.0)
        return Done(model="a")

    world.runner = Runner(world.database, world.recorder, world.clock, "worker", {"task": limited})
    tried = [await world.submit() for _ in range(80)]
    await world.round()
    await world.pass_(200)
    assert set(await world.statuses(tried)) == {"done"}
    first, *later = asked.values()
    assert first == 80  # nobody knew
    assert max(later) <= 20 + 1 + 4 + 16 + 64


async def test_a_deadline_comes_before_the_next_try(world: World) -> None:
    soon, later = world.clock.now() + 1, world.clock.now() + 100
    tried = [await world.run(await world.submit(deadline=each)) for each in (soon, later, later)]
    assert await world.due(tried) == [1, 100, 100]
    await world.pass_(101)
    assert set(await world.statuses(tried)) == {"failed"}


async def test_one_that_no_model_can_serve_does_not_keep_the_others_waiting(world: World) -> None:
    tried = await world.away(6)
    world.broken, world.outcome = {tried[0].title}, None
    await world.pass_(20)
    assert sorted(await world.statuses(tried)) == ["done"] * 5 + ["waiting_for_model"]


async def test_after_one_that_fails_the_next_tries_at_once(world: World) -> None:
    """A fault of the request says that its model is there."""
    tried = await world.away(3)
    world.outcome = Failed(error=ChittyError("no such thing"), again=False)
    await world.pass_(3)
    assert await world.statuses(tried) == ["failed"] * 3


# what no end of a try shows


async def test_a_chain_whose_canary_was_cancelled_is_tried_by_another(world: World) -> None:
    await world.waiting.check()
    tried = await world.away(3)
    await world.waiting.check()
    assert await world.due(tried) == [2, 3600, 3660]
    canary = next(each for each in tried if each.due == world.clock.now() + 2)
    await world.tasks.cancel(canary.id)
    await world.waiting.check()
    assert (await world.due(tried))[0] == 2  # no sooner than was said


async def test_who_is_at_it_is_the_canary(world: World) -> None:
    tried = await world.away(3)
    await world.waiting.check()
    world.clock.advance(1)
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(_: Task) -> Outcome:
        begun.set()
        await release.wait()
        return DOWN

    world.runner = Runner(world.database, world.recorder, world.clock, "worker", {"task": slow})
    running = asyncio.ensure_future(world.round())
    await begun.wait()
    await world.waiting.check()
    assert (await world.due(tried))[0] > 3000
    world.clock.advance(SCHEDULE.very_longest + 1)  # if that takes long, another one tries
    await world.waiting.check()
    assert (await world.due(tried))[0] == 0
    release.set()
    await running


async def test_a_task_whose_run_was_lost_gets_another(world: World) -> None:
    task = await world.run(await world.submit())
    await world.engine.drop([run_id(task)])
    world.clock.advance(2 + LATE_SECONDS)
    await world.waiting.check()
    assert (await world.tasks.get(task.id)).run == task.run  # a moment ago it was only asked to try at once
    world.clock.advance(LATE_SECONDS + 1)
    await world.waiting.check()
    renewed = await world.tasks.get(task.id)
    assert (renewed.run, renewed.status, renewed.since) == (task.run + 1, "waiting_for_model", task.since)
    assert renewed.waiting_for == "a and b are down"
    assert await world.engine.statuses([run_id(renewed)]) == {run_id(renewed): "ENQUEUED"}


async def test_a_task_that_is_only_late_keeps_its_run(world: World) -> None:
    """Its worker has other things to do."""
    task = await world.run(await world.submit())
    await world.waiting.check()
    world.clock.advance(10 * LATE_SECONDS)
    await world.waiting.check()
    assert (await world.tasks.get(task.id)).run == task.run


async def test_a_change_has_one_of_each_chain_try_again(world: World) -> None:
    await world.waiting.check()
    tried = {}
    for models in (("a",), ("b", "c")):
        world.outcome = WaitForModel(models=models, reason="down", until=world.clock.now() + 600)
        tried[models] = await world.away(3)
    await world.waiting.check()
    assert [(await world.due(each))[0] for each in tried.values()] == [600, 600]
    world.waiting.look_again()
    await world.waiting.check()
    assert [[due == 0 for due in await world.due(each)] for each in tried.values()] == [[True, False, False]] * 2


async def test_a_chain_that_nobody_waits_for_is_forgotten(world: World) -> None:
    task = await world.run(await world.submit())
    await world.waiting.check()
    assert [each.chain for each in await world.database.read(rows.all_chains)] == ["a, b"]
    await world.tasks.cancel(task.id)
    await world.waiting.check()
    assert await world.database.read(rows.all_chains) == []
