"""FakeClock: time moves only when told, and sleepers wake in the order of their due time."""

import asyncio

import pytest

from chittycan.testing import FakeClock


def test_time_stands_still_until_advanced(clock: FakeClock) -> None:
    before = clock.now()
    assert clock.now() == before
    clock.advance(2.5)
    assert clock.now() == before + 2.5
    assert clock.monotonic() == 2.5


async def test_sleepers_wake_in_order_of_due_time(clock: FakeClock) -> None:
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(*each)) for each in [("late", 3.0), ("early", 1.0), ("never", 9.0)]]
    await clock.until_asleep(3)
    clock.advance(3)
    await asyncio.gather(*tasks[:2])
    assert woken == ["early", "late"]
    assert clock.sleepers == 1
    tasks[2].cancel()


async def test_run_wakes_a_loop_at_each_of_its_moments(clock: FakeClock) -> None:
    moments: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            moments.append(clock.monotonic())

    task = asyncio.create_task(tick())
    await clock.run(3.5)
    task.cancel()
    assert moments == [1, 2, 3]
    assert clock.monotonic() == 3.5


async def test_a_cancelled_sleeper_is_forgotten(clock: FakeClock) -> None:
    task = asyncio.create_task(clock.sleep(5))
    await clock.until_asleep()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleepers == 0
    clock.advance(10)


async def test_sleeping_no_time_returns_at_once(clock: FakeClock) -> None:
    await clock.sleep(0)
    assert clock.sleepers == 0
