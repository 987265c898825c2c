"""Recipes that begin by themselves: each time once, whoever does it and whatever died, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chittycan.durable import Durable
from chittycan.errors import ConfigError, InvalidRequest, NotFound
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.workstreams.recipe import Schedule
from chittycan.workstreams.schedules import LOOK_SECONDS, LOST_SECONDS, MOST_MISSED, Scheduled
from serving import PATIENCE

RECIPE = {"name": "digest", "steps": [{"id": "one", "task": "Sum up"}]}
HOURLY = Schedule(cron="0 * * * *")
HOUR = 3600.0


class Office:
    """Durable work without a worker, at 8:00 UTC."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.clock, self.durable = clock, Durable(database, clock)
        self.schedules, self.streams = self.durable.schedules, self.durable.streams

    async def put(self, when: Schedule = HOURLY, **more: Any) -> Scheduled:
        return await self.schedules.put(more.pop("recipe", RECIPE), more.pop("inputs", None), when, **more)

    async def fire(self, name: str = "digest") -> None:
        found = await self.schedules.get(name)
        await self.schedules.fire(name, found.pending or "")

    async def begun(self, name: str = "digest") -> int:
        streams, _ = await self.streams.list(limit=1000)
        return sum(each.schedule == name for each in streams)

    async def due(self, name: str = "digest") -> str | None:
        found = await self.schedules.get(name)
        return None if found.due is None else f"{datetime.fromtimestamp(found.due, UTC):%m-%d %H:%M}"

    async def queued(self, name: str = "digest") -> str | None:
        pending = (await self.schedules.get(name)).pending or ""
        return (await self.durable.engine.statuses([pending])).get(pending)


@pytest.fixture
async def office(database: Database, clock: FakeClock) -> AsyncIterator[Office]:
    office = Office(database, clock)
    yield office
    await office.durable.close()


async def test_a_schedule_waits_for_its_time_and_then_for_the_next(office: Office) -> None:
    await office.put()
    assert (await office.due(), await office.queued(), await office.begun()) == ("01-15 09:00", "DELAYED", 0)
    office.clock.advance(HOUR)
    await office.fire()
    assert (await office.due(), await office.queued(), await office.begun()) == ("01-15 10:00", "DELAYED", 1)
    [stream] = (await office.streams.list())[0]
    assert (stream.name, stream.schedule, stream.status) == ("digest", "digest", "running")


async def test_a_time_is_begun_for_once_however_often_it_is_fired(office: Office) -> None:
    found = await office.put()
    office.clock.advance(HOUR)
    pending = found.pending or ""
    await asyncio.gather(*(office.schedules.fire("digest", pending) for _ in range(4)))
    await office.schedules.fire("digest", pending)
    assert await office.begun() == 1


async def test_a_run_that_comes_a_moment_early_is_on_time(office: Office) -> None:
    await office.put()
    office.clock.advance(HOUR - 0.5)
    await office.fire()
    assert (await office.begun(), await office.due()) == (1, "01-15 10:00")


@pytest.mark.parametrize(("catch_up", "late", "begun"), [
    ("none", 5, 1), ("none", 90, 0), ("none", 5 * HOUR + 90, 0), ("none", 5 * HOUR + 30, 1),
    ("latest", 5 * HOUR + 90, 1), ("all", 5 * HOUR + 90, 6), ("all", 300 * HOUR, MOST_MISSED),
])  # fmt: skip
async def test_what_was_missed_is_made_up_for_as_the_schedule_says(
    office: Office, catch_up: Any, late: float, begun: int
) -> None:
    await office.put(Schedule(cron="0 * * * *", catch_up=catch_up))
    office.clock.advance(HOUR + late)
    await office.fire()
    assert await office.begun() == begun
    found = await office.schedules.get("digest")
    assert found.due is not None
    assert office.clock.now() < found.due <= office.clock.now() + HOUR


async def test_a_pause_is_not_made_up_for(office: Office) -> None:
    await office.put(Schedule(cron="0 * * * *", catch_up="all"))
    paused = await office.schedules.pause("digest")
    assert (paused.paused, paused.due, paused.pending) == (True, None, None)
    office.clock.advance(5 * HOUR)
    await office.schedules.fire("digest", "schedule.0")
    assert await office.begun() == 0
    await office.schedules.resume("digest")
    assert await office.due() == "01-15 14:00"
    office.clock.advance(HOUR)
    await office.fire()
    assert await office.begun() == 1


async def test_the_run_of_a_changed_or_deleted_schedule_is_void(office: Office) -> None:
    first = await office.put()
    await office.put(Schedule(cron="30 * * * *"))
    assert await office.due() == "01-15 08:30"
    office.clock.advance(HOUR)
    await office.schedules.fire("digest", first.pending or "")
    assert await office.begun() == 0
    await office.fire()
    assert await office.begun() == 1
    last = await office.schedules.get("digest")
    await office.schedules.delete("digest")
    await office.schedules.fire("digest", last.pending or "")
    assert await office.begun() == 1
    with pytest.raises(NotFound):
        await office.schedules.get("digest")


async def test_the_same_again_forgets_nothing_that_was_missed(office: Office) -> None:
    await office.put(Schedule(cron="0 * * * *", catch_up="all"))
    office.clock.advance(3 * HOUR)
    await office.put(Schedule(cron="0 * * * *", catch_up="all"))
    assert await office.queued() == "ENQUEUED"
    await office.fire()
    assert await office.begun() == 3


async def test_a_schedule_that_is_deleted_and_made_anew_repeats_no_time(office: Office) -> None:
    await office.put(Schedule(cron="0 * * * *", catch_up="all"))
    office.clock.advance(HOUR)
    await office.fire()
    await office.schedules.delete("digest")
    office.clock.advance(-1)
    await office.put()
    office.clock.advance(1)
    await office.fire()
    assert await office.begun() == 1


async def test_the_time_zone_is_that_of_the_schedule(office: Office) -> None:
    await office.put(Schedule(cron="0 6 * * *", timezone="America/New_York"))
    assert await office.due() == "01-15 11:00"


async def test_inputs_are_looked_up_anew_each_time_and_a_failure_stops_nothing(office: Office, tmp_path: Path) -> None:
    recipe = {"name": "digest", "inputs": {"paper": "file"}, "steps": [{"id": "one", "task": "Read it"}]}
    await office.put(recipe=recipe, inputs={"paper": "today.txt"}, base=tmp_path)
    office.clock.advance(HOUR)
    await office.fire()
    assert (await office.begun(), await office.due()) == (0, "01-15 10:00")
    assert "no file at" in ((await office.schedules.get("digest")).error or "")
    (tmp_path / "today.txt").write_text("news")
    office.clock.advance(HOUR)
    await office.fire()
    assert (await office.begun(), (await office.schedules.get("digest")).error) == (1, None)


async def test_it_can_be_run_besides_its_times(office: Office) -> None:
    await office.put()
    stream = await office.schedules.run_now("digest")
    assert (stream.schedule, await office.due()) == ("digest", "01-15 09:00")
    await office.schedules.run_now("digest")
    assert await office.begun() == 2


async def test_the_recipes_own_schedule_is_used_where_none_is_given(office: Office) -> None:
    found = await office.schedules.put("nightly-digest")
    assert (found.name, found.cron, found.catch_up, await office.due("nightly-digest")) == (
        "nightly-digest", "0 6 * * *", "latest", "01-16 06:00")  # fmt: skip
    with pytest.raises(InvalidRequest, match="no schedule"):
        await office.schedules.put(RECIPE)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"when": Schedule(cron="hourly")}, ConfigError),
        ({"when": Schedule(cron="* * * * *", timezone="Mars")}, ConfigError),
        ({"inputs": {"x": "1"}}, InvalidRequest), ({"recipe": "nowhere"}, NotFound),
    ],
)  # fmt: skip
async def test_what_could_never_run_is_refused(office: Office, change: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await office.put(**change)
    assert await office.schedules.list() == []


async def test_a_key_reaches_its_own_schedules_alone(office: Office) -> None:
    await office.put(key_id="one")
    assert [each.name for each in await office.schedules.list(for_key="one")] == ["digest"]
    assert await office.schedules.list(for_key="two") == []
    for method in (office.schedules.get, office.schedules.pause, office.schedules.delete, office.schedules.run_now):
        with pytest.raises(NotFound):
            await method("digest", for_key="two")
    with pytest.raises(InvalidRequest, match="another schedule"):
        await office.put(key_id="two")
    office.clock.advance(HOUR)
    await office.fire()
    [stream] = (await office.streams.list(for_key="one"))[0]
    assert stream.key_id == "one"


async def test_a_lost_run_is_made_up_for(office: Office) -> None:
    """Where the engine's rows were removed, for instance."""
    await office.put()
    office.clock.advance(HOUR + LOST_SECONDS)
    watching = asyncio.create_task(office.schedules.watch())
    await office.clock.until_asleep()
    office.clock.advance(LOOK_SECONDS)
    async with asyncio.timeout(PATIENCE):
        while await office.begun() == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    watching.cancel()
    assert await office.begun() == 1


async def test_a_worker_begins_what_is_due(database: Database, started: Callable[[Durable], Any]) -> None:
    """With the engine's own timer: the recipe was due an hour ago, as the machine was off."""
    clock = FakeClock(datetime.now(UTC).timestamp() - 2 * HOUR)
    durable = await started(Durable(database, clock))
    await durable.schedules.put(RECIPE, None, Schedule(cron="* * * * *", catch_up="latest"))
    await durable.schedules.pause("digest")
    clock.advance(HOUR)
    await durable.schedules.resume("digest")
    clock.advance(HOUR)
    await durable.schedules.put(RECIPE, None, Schedule(cron="* * * * *", catch_up="latest"))
    async with asyncio.timeout(PATIENCE):
        while not (await durable.streams.list())[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    [stream] = (await durable.streams.list())[0]
    assert stream.schedule == "digest"


@pytest.fixture
async def started() -> AsyncIterator[Callable[[Durable], Any]]:
    """Workers that do nothing with what was begun."""
    running: list[Durable] = []

    async def start(durable: Durable) -> Durable:
        running.append(durable)
        await durable.work(lambda _: {}, "one")
        return durable

    yield start
    for each in running:
        await each.close()
