"""Slots hold across tasks, processes and deaths, and are handed out in order."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chittycan.errors import Unavailable
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.usage.slots import LEASE_SECONDS, Slot, Slots

SCOPE = "model:m"
Open = Callable[[str], Slots]


@pytest.fixture
async def slots(database: Database, clock: FakeClock) -> AsyncIterator[Open]:
    """`slots("a")`: a process of that name."""
    opened: dict[str, Slots] = {}
    yield lambda owner: opened.setdefault(owner, Slots(database, clock, owner))
    for each in opened.values():
        await each.close()


async def get(process: Slots, limit: int = 2, seconds: float = 0.0) -> Slot | None:
    return process.take(SCOPE, limit) or await process.wait(SCOPE, limit, seconds)


async def got(process: Slots, limit: int = 2) -> Slot:
    slot = await get(process, limit)
    assert slot is not None
    return slot


def waiting(process: Slots, seconds: float = 60.0, limit: int = 2) -> "asyncio.Task[Slot | None]":
    return asyncio.create_task(process.wait(SCOPE, limit, seconds))


async def settle(clock: FakeClock, *processes: Slots, seconds: float = 2.0) -> None:
    """Let time pass as it does in processes that run."""
    for _ in range(int(seconds / 0.1)):
        await clock.run(0.1)
        for process in processes:
            await process.tick()
            await asyncio.sleep(0)


async def until(holds: Callable[[], bool], clock: FakeClock, *processes: Slots) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await settle(clock, *processes, seconds=0.1)


async def test_no_more_calls_are_open_than_the_limit_says(slots: Open) -> None:
    process = slots("a")
    first, second = await got(process), await got(process)
    assert await get(process) is None
    first.release()
    assert await get(process) is not None
    second.release()


async def test_releasing_twice_is_releasing_once(slots: Open) -> None:
    process = slots("a")
    first, _second = await got(process), await got(process)
    first.release()
    first.release()
    assert await get(process) is not None
    assert await get(process) is None


async def test_calls_that_wait_are_served_in_the_order_in_which_they_came(slots: Open, clock: FakeClock) -> None:
    process = slots("a")
    open_slots = [await got(process), await got(process)]
    order: list[int] = []

    async def call(number: int) -> None:
        slot = await process.wait(SCOPE, 2, 60)
        assert slot is not None
        order.append(number)
        slot.release()

    calls = [asyncio.create_task(call(number)) for number in range(5)]
    await asyncio.sleep(0)
    open_slots.pop().release()
    await asyncio.gather(*calls)
    assert order == [0, 1, 2, 3, 4]


async def test_nobody_overtakes_those_who_wait(slots: Open) -> None:
    process = slots("a")
    first, _second = await got(process), await got(process)
    third = waiting(process)
    await asyncio.sleep(0)
    first.release()
    assert process.take(SCOPE, 2) is None
    assert await third is not None


async def test_waiting_ends_in_time(slots: Open, clock: FakeClock) -> None:
    process = slots("a")
    _held = [await got(process), await got(process)]
    late = waiting(process, seconds=3)
    await settle(clock, process, seconds=2.8)
    assert not late.done()
    await until(late.done, clock, process)
    assert late.result() is None
    assert clock.monotonic() < 4
    assert process.waiting == 0


async def test_a_call_that_leaves_gives_its_place_to_the_next(slots: Open, clock: FakeClock) -> None:
    process = slots("a")
    first, _second = await got(process), await got(process)
    leaving, staying = waiting(process), waiting(process)
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    first.release()
    assert await staying is not None


async def test_a_call_that_leaves_as_it_is_served_keeps_nothing(slots: Open) -> None:
    process = slots("a")
    first, _second = await got(process), await got(process)
    leaving = waiting(process)
    await asyncio.sleep(0)
    first.release()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await get(process) is not None


async def test_most_calls_need_no_database(slots: Open, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    process, trips = slots("a"), 0
    run = database.run

    async def counted(*given: Any) -> Any:
        nonlocal trips
        trips += 1
        return await run(*given)

    monkeypatch.setattr(database, "run", counted)
    for _ in range(1_000):
        (await got(process)).release()
    assert trips == 1


async def test_an_idle_process_leaves_its_slots_to_others(slots: Open, clock: FakeClock) -> None:
    one, other = slots("a"), slots("b")
    for slot in [await got(one), await got(one)]:
        slot.release()
    assert await get(other) is None
    await settle(clock, one)
    assert await get(other) is not None
    assert await get(other) is not None


async def test_two_busy_processes_come_to_share(slots: Open, clock: FakeClock) -> None:
    one, other = slots("a"), slots("b")
    processes, limit = {one: "a", other: "b"}, 4
    open_now: dict[Slots, int] = {one: 0, other: 0}
    served: dict[Slots, int] = {one: 0, other: 0}
    most = 0

    async def work(process: Slots) -> None:
        nonlocal most
        while True:
            slot = process.take(SCOPE, limit) or await process.wait(SCOPE, limit, 600)
            assert slot is not None
            open_now[process] += 1
            served[process] += 1
            most = max(most, sum(open_now.values()))
            await clock.sleep(0.3)
            open_now[process] -= 1
            slot.release()

    busy = [asyncio.create_task(work(one)) for _ in range(10)]
    await settle(clock, *processes, seconds=1)
    assert open_now[one] == 4
    busy += [asyncio.create_task(work(other)) for _ in range(3)]
    await until(lambda: open_now == {one: 2, other: 2}, clock, one, other)
    assert most == 4
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def test_a_single_slot_goes_to_and_fro(slots: Open, clock: FakeClock) -> None:
    one, other = slots("a"), slots("b")
    served: dict[Slots, int] = {one: 0, other: 0}

    async def work(process: Slots) -> None:
        while True:
            slot = process.take(SCOPE, 1) or await process.wait(SCOPE, 1, 600)
            assert slot is not None
            served[process] += 1
            await clock.sleep(1)
            slot.release()

    busy = [asyncio.create_task(work(process)) for process in (one, one, one, other)]
    await until(lambda: sum(served.values()) >= 12, clock, one, other)
    assert abs(served[one] - served[other]) <= 4
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def test_a_dead_process_frees_its_slots_when_its_lease_ends(slots: Open, clock: FakeClock) -> None:
    dead, other = slots("dead"), slots("b")
    _lost = [await got(dead), await got(dead)]
    late = waiting(other)
    await settle(clock, other, seconds=LEASE_SECONDS - 1)
    assert not late.done()
    await until(late.done, clock, other)
    assert late.result() is not None
    assert clock.monotonic() <= 30


async def test_a_process_that_stood_still_hands_out_nothing_from_its_old_lease(slots: Open, clock: FakeClock) -> None:
    paused, other = slots("a"), slots("b")
    for slot in [await got(paused), await got(paused)]:
        slot.release()
    clock.advance(LEASE_SECONDS + 1)
    _taken = [await got(other), await got(other)]
    assert paused.take(SCOPE, 2) is None
    assert await get(paused) is None


async def test_a_lowered_limit_holds_as_calls_end_and_a_raised_one_at_once(slots: Open, clock: FakeClock) -> None:
    process = slots("a")
    first, second = await got(process, 3), await got(process, 3)
    first.release()
    assert await get(process, 1) is None
    second.release()
    assert await get(process, 1) is not None
    assert await get(process, 1) is None
    assert await get(process, 2) is not None


class Away:
    """A database that stops answering."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False

    async def run(self, *given: Any) -> Any:
        if self.away:
            raise Unavailable("the database did not answer")
        return await self._database.run(*given)


async def test_without_the_database_slots_in_hand_are_used_until_their_lease_ends(
    database: Database, clock: FakeClock
) -> None:
    away = Away(database)
    process = Slots(away, clock, "a")  # type: ignore[arg-type]
    (await got(process)).release()
    away.away = True
    assert process.take(SCOPE, 2) is not None
    with pytest.raises(Unavailable):
        await process.wait(SCOPE, 2, 0)
    await settle(clock, process, seconds=LEASE_SECONDS)
    with pytest.raises(Unavailable):
        await process.wait(SCOPE, 2, 0)
    away.away = False
    assert await get(process) is not None


async def test_who_leaves_gives_everything_back_and_sends_everybody_away(slots: Open, clock: FakeClock) -> None:
    one, other = slots("a"), slots("b")
    _open = [await got(one), await got(one)]
    late = waiting(one)
    await asyncio.sleep(0)
    await one.close()
    assert await late is None
    assert await get(other) is not None


step = st.tuples(st.integers(0, 2), st.sampled_from(["call", "call", "end", "tick", "leave"]))


@settings(max_examples=40)
@given(steps=st.lists(step, max_size=60))
async def test_processes_never_open_more_calls_than_the_limit(
    steps: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory, migrated_file: object
) -> None:
    import shutil

    file = tmp_path_factory.mktemp("shared") / "chitty.db"
    shutil.copy(str(migrated_file), file)
    database, clock, limit = Database(f"sqlite:///{file}"), FakeClock(), 3
    processes = [Slots(database, clock, str(number)) for number in range(3)]
    calls: list[list[asyncio.Task[Slot | None]]] = [[], [], []]

    def running() -> int:
        return sum(call.done() and call.result() is not None for of_one in calls for call in of_one)

    for who, action in steps:
        mine = calls[who]
        if action == "call":
            slot = processes[who].take(SCOPE, limit)
            call = waiting(processes[who], 600, limit)
            if slot is not None:
                slot.release()
            mine.append(call)
        elif action == "tick":
            clock.advance(0.5)
            await processes[who].tick()
        elif mine:
            call = mine.pop(0)
            call.cancel()
            slot = (await asyncio.gather(call, return_exceptions=True))[0]  # type: ignore[assignment]
            if isinstance(slot, Slot):
                slot.release()
        await asyncio.sleep(0)
        assert running() <= limit
    asked = sum(len(of_one) for of_one in calls)
    await until(lambda: running() == min(limit, asked), clock, *processes)
    for of_one in calls:
        for call in of_one:
            call.cancel()
    for process in processes:
        await process.close()
    database.close()


HOLDER = """
import asyncio, sys
from chittycan.clock import SystemClock
from chittycan.store.database import Database
from chittycan.usage.slots import Slots

async def main():
    database = Database(sys.argv[1])
    slots = Slots(database, SystemClock(), sys.argv[2])
    asyncio.create_task(slots.run())
    for _ in range(int(sys.argv[3])):
        assert await slots.wait("model:m", 2, 0) is not None
    print("holding", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@pytest.fixture
def holder(database_url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds both slots."""
    command = [sys.executable, "-c", HOLDER, database_url, "other", "2"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    yield process
    process.kill()
    process.communicate()


async def test_what_another_process_holds_is_not_given_out_until_it_is_long_dead(
    holder: subprocess.Popen[str], database: Database
) -> None:
    clock = FakeClock(start=time.time())
    process = Slots(database, clock, "a")
    assert await get(process) is None
    holder.kill()
    holder.wait()
    assert await get(process) is None
    clock.advance(LEASE_SECONDS + 5)
    assert await get(process) is not None
    await process.close()
