"""Limits hold across tasks, processes and deaths."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chittycan.errors import BudgetExceeded, LimitError, RateLimited, Unavailable
from chittycan.store.database import Database
from chittycan.store.meters import Cap
from chittycan.testing import FakeClock
from chittycan.usage.meters import Meters

USD = 10**9
DIME = USD // 10


def budget(dollars: float = 1, period: str = "day", scope: str = "key:k1") -> Cap:
    return Cap(scope, "nano", period, int(dollars * USD), "key 'laptop'")  # type: ignore[arg-type]


RPM = Cap("key:k1", "requests", "minute", 3, "key 'laptop'")
TPM = Cap("key:k1", "tokens", "minute", 1_000, "key 'laptop'")


@pytest.fixture
def meters(database: Database, clock: FakeClock) -> Meters:
    return Meters(database, clock)


async def admitted(meters: Meters, caps: list[Cap], calls: int, nano: int = DIME, cost: int | None = None) -> int:
    """How many of so many concurrent calls get through; each costs what it reserved, or `cost`."""

    async def call() -> bool:
        try:
            reservation = meters.reserve(caps, nano, 10) or await meters.refill(caps, nano, 10)
        except LimitError:
            return False
        await asyncio.sleep(0)
        meters.settle(reservation, nano if cost is None else cost, 10)
        return True

    return sum(await asyncio.gather(*(call() for _ in range(calls))))


async def quiet(meters: Meters, clock: FakeClock) -> None:
    """Let an idle process give back what it holds."""
    for _ in range(3):
        clock.advance(1)
        await meters.tick()


async def test_a_budget_admits_exactly_what_it_covers(meters: Meters) -> None:
    assert await admitted(meters, [budget(1)], calls=50) == 10


async def test_what_was_spent_is_known_and_nothing_stays_reserved(meters: Meters, clock: FakeClock) -> None:
    await admitted(meters, [budget(10)], calls=7)
    await quiet(meters, clock)
    assert await meters.standing(budget(10)) == (7 * DIME, 0)


async def test_a_cheap_call_gives_back_the_rest_of_its_worst_case(meters: Meters) -> None:
    assert await admitted(meters, [budget(1)], calls=1, nano=USD, cost=DIME) == 1
    assert await admitted(meters, [budget(1)], calls=20) == 9


async def test_what_a_call_cost_beyond_its_reservation_is_charged(
    database: Database, meters: Meters, clock: FakeClock
) -> None:
    assert await admitted(meters, [budget(1)], calls=1, cost=USD) == 1
    with pytest.raises(BudgetExceeded):
        await meters.refill([budget(1)], DIME, 0)
    await quiet(meters, clock)
    other = Meters(database, clock)
    with pytest.raises(BudgetExceeded):
        await other.refill([budget(1)], DIME, 0)


async def test_a_call_that_reserved_nothing_is_charged_what_it_cost(
    database: Database, meters: Meters, clock: FakeClock
) -> None:
    reservation = await meters.refill([budget(1)], 0, 0)
    meters.settle(reservation, USD, 0)
    await quiet(meters, clock)
    assert await meters.standing(budget(1)) == (USD, 0)
    assert await admitted(Meters(database, clock), [budget(1)], calls=1) == 0


@pytest.mark.parametrize("hours", [0, 16], ids=["the day it began", "the day after"])
async def test_a_call_that_reserved_nothing_is_charged_however_long_it_took(
    meters: Meters, clock: FakeClock, hours: int
) -> None:
    """As where a model on this machine is asked first, and one that costs money at last."""
    first = await meters.refill([budget(1)], 0, 0)
    clock.advance(hours * 3600)
    await quiet(meters, clock)
    last = await meters.refill([budget(1)], DIME, 0)
    meters.settle(first, DIME, 0)
    meters.settle(last, 0, 0)
    await quiet(meters, clock)
    clock.advance(-hours * 3600)
    assert await meters.standing(budget(1)) == (DIME, 0)


async def test_a_refusal_names_the_budget_its_cap_and_its_reset(meters: Meters, clock: FakeClock) -> None:
    await admitted(meters, [budget(1)], calls=10)
    with pytest.raises(BudgetExceeded) as refused:
        await meters.refill([budget(1)], DIME, 0)
    text = str(refused.value)
    for part in ("key 'laptop'", "$1.00 a day", "up to $0.10", "$0.00 is left", "2027-01-16 00:00 UTC"):
        assert part in text
    assert refused.value.retry_after == 16 * 3600  # the clock starts at 08:00


async def test_a_budget_begins_anew_with_its_window(meters: Meters, clock: FakeClock) -> None:
    assert await admitted(meters, [budget(1)], calls=20) == 10
    clock.advance(16 * 3600)
    assert await admitted(meters, [budget(1)], calls=20) == 10


async def test_a_call_that_outlasts_its_window_is_charged_to_the_one_it_began_in(
    database: Database, meters: Meters, clock: FakeClock
) -> None:
    reservation = await meters.refill([budget(1)], DIME, 0)
    clock.advance(16 * 3600)
    assert await admitted(meters, [budget(1)], calls=20) == 10
    meters.settle(reservation, DIME // 2, 0)
    await quiet(meters, clock)
    clock.advance(-24 * 3600)
    assert await meters.standing(budget(1)) == (DIME // 2, 0)


async def test_requests_per_minute_are_counted_and_come_back(meters: Meters, clock: FakeClock) -> None:
    clock.advance(20)
    assert await admitted(meters, [RPM], calls=10) == 3
    with pytest.raises(RateLimited, match="3 requests per minute") as refused:
        await meters.refill([RPM], 0, 0)
    assert refused.value.retry_after == 40
    clock.advance(40)
    assert await admitted(meters, [RPM], calls=10) == 3


async def test_tokens_per_minute_count_what_was_really_used(meters: Meters) -> None:
    reservation = await meters.refill([TPM], 0, 900)
    with pytest.raises(RateLimited, match="1,000 tokens per minute"):
        await meters.refill([TPM], 0, 200)
    meters.settle(reservation, 0, 100)
    assert (await meters.refill([TPM], 0, 900)).open


async def test_a_call_needs_room_under_every_cap_and_takes_nothing_where_one_refuses(
    meters: Meters, clock: FakeClock
) -> None:
    assert await admitted(meters, [RPM, budget(1)], calls=10) == 3
    assert await admitted(meters, [budget(1)], calls=20) == 7


async def test_a_free_call_passes_an_exhausted_budget(meters: Meters) -> None:
    await admitted(meters, [budget(1)], calls=10)
    assert await admitted(meters, [budget(1)], calls=1, nano=0) == 1


async def test_settling_twice_is_settling_once(meters: Meters, clock: FakeClock) -> None:
    reservation = await meters.refill([budget(1)], USD, 0)
    for _ in range(2):
        meters.settle(reservation, DIME, 0)
    assert await admitted(meters, [budget(1)], calls=20) == 9


async def test_a_raised_cap_counts_at_once(meters: Meters) -> None:
    assert await admitted(meters, [budget(1)], calls=20) == 10
    assert await admitted(meters, [budget(2)], calls=20) == 10


async def test_a_caller_who_leaves_while_waiting_takes_nothing_along(meters: Meters, clock: FakeClock) -> None:
    waiting = asyncio.create_task(meters.refill([budget(1)], USD, 0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await admitted(meters, [budget(1)], calls=20) == 10


async def test_an_idle_process_leaves_its_slice_to_others(database: Database, meters: Meters, clock: FakeClock) -> None:
    other = Meters(database, clock)
    for _ in range(30):  # calls in quick succession draw ahead
        await admitted(meters, [budget(1)], calls=1, nano=DIME // 100)
    await quiet(meters, clock)
    assert await admitted(other, [budget(1)], calls=20, nano=USD * 97 // 100) == 1


async def test_most_calls_need_no_database(database: Database, clock: FakeClock) -> None:
    meters = Meters(database, clock)
    trips = 0
    for _ in range(1_000):
        reservation = meters.reserve([budget(1_000)], DIME, 0)
        if reservation is None:
            trips += 1
            reservation = await meters.refill([budget(1_000)], DIME, 0)
        meters.settle(reservation, DIME, 0)
    assert trips <= 20


async def test_calls_at_a_steady_pace_need_the_database_about_once_a_second(
    database: Database, clock: FakeClock
) -> None:
    meters = Meters(database, clock)
    trips = 0
    for _ in range(4_000):  # 20 seconds
        clock.advance(0.005)
        reservation = meters.reserve([budget(1_000_000)], DIME, 0)
        if reservation is None:
            trips += 1
            reservation = await meters.refill([budget(1_000_000)], DIME, 0)
        meters.settle(reservation, DIME, 0)
    assert trips <= 35


class Away:
    """A database that does not answer."""

    async def run(self, *_: object) -> object:
        raise Unavailable("the database did not answer")


async def test_without_the_database_nothing_is_admitted(clock: FakeClock) -> None:
    meters = Meters(Away(), clock)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await meters.refill([budget(1)], DIME, 0)


async def test_leaving_gives_everything_back(database: Database, meters: Meters, clock: FakeClock) -> None:
    running = asyncio.create_task(meters.run())
    await clock.until_asleep()
    reservation = await meters.refill([budget(1)], USD, 0)
    meters.settle(reservation, DIME, 0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await meters.standing(budget(1)) == (DIME, 0)


async def test_leaving_gives_back_what_was_drawn_for_a_call_that_left(database: Database, meters: Meters) -> None:
    leaving = asyncio.create_task(meters.refill([budget(1)], USD, 0))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait((leaving,))
    await meters.close()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})  # nothing comes afterwards
    assert await meters.standing(budget(1)) == (0, 0)


# Three processes of one database, each with calls of any size in any order: what was spent is what was counted.
step = st.tuples(
    st.integers(0, 2), st.sampled_from(["reserve", "settle", "tick"]), st.integers(0, 40), st.integers(0, 45)
)


@settings(max_examples=40)
@given(steps=st.lists(step, max_size=60))
async def test_processes_never_admit_more_than_the_cap(
    steps: list[tuple[int, str, int, int]], tmp_path_factory: pytest.TempPathFactory, migrated_file: object
) -> None:
    import shutil

    file = tmp_path_factory.mktemp("shared") / "chitty.db"
    shutil.copy(str(migrated_file), file)
    database, clock, cap = Database(f"sqlite:///{file}"), FakeClock(), Cap("total", "nano", "day", 100, "all work")
    processes = [Meters(database, clock, owner=str(number)) for number in range(3)]
    open_calls: list[list[tuple[object, int]]] = [[], [], []]
    reserved = spent = beyond = 0
    for who, action, amount, cost in steps:
        if action == "tick":
            clock.advance(1)
            await processes[who].tick()
        elif action == "settle" and open_calls[who]:
            reservation, size = open_calls[who].pop(0)
            processes[who].settle(reservation, cost, 0)  # type: ignore[arg-type]
            reserved, spent, beyond = reserved - size, spent + cost, beyond + max(0, cost - size)
        elif action == "reserve":
            try:
                open_calls[who].append((await processes[who].refill([cap], amount, 0), amount))
            except BudgetExceeded:
                continue
            reserved += amount
        assert reserved + spent <= 100 + beyond
    for process in processes:
        await process.close()
    assert await processes[0].standing(cap) == (spent + reserved, 0)
    database.close()


SPENDER = """
import asyncio, sys
from chittycan.clock import SystemClock
from chittycan.errors import BudgetExceeded
from chittycan.store.database import Database
from chittycan.store.meters import Cap
from chittycan.usage.meters import Meters

url, calls, then = sys.argv[1], int(sys.argv[2]), sys.argv[3]
caps = [Cap("key:k1", "nano", "month", 10**9, "key 'laptop'")]

async def main():
    database = Database(url)
    meters = Meters(database, SystemClock())
    print("ready", flush=True)
    sys.stdin.readline()

    async def call():
        try:
            reservation = meters.reserve(caps, 10**8, 0) or await meters.refill(caps, 10**8, 0)
        except BudgetExceeded:
            return 0
        if then == "settle":
            await asyncio.sleep(0)
            meters.settle(reservation, 10**8, 0)
        return 1

    print(sum(await asyncio.gather(*(call() for _ in range(calls)))), flush=True)
    if then == "hang":
        sys.stdin.readline()
    await meters.close()
    database.close()

asyncio.run(main())
"""


@pytest.fixture
def spenders(database_url: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Two more processes on the same database, ready to spend."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def spender(url: str, calls: int, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SPENDER, url, str(calls), then]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


async def test_two_processes_share_one_budget_to_the_cent(
    database: Database, database_url: str, spenders: list[subprocess.Popen[str]]
) -> None:
    spenders += [spender(database_url, 25, "settle") for _ in range(2)]
    assert [line(process) for process in spenders] == ["ready", "ready"]
    for process in spenders:
        go(process)
    assert sum(int(line(process)) for process in spenders) == 10
    for process in spenders:
        assert process.wait(timeout=30) == 0
    month = budget(1, "month")
    assert await Meters(database, FakeClock(time.time())).standing(month) == (USD, 0)


async def test_what_a_killed_process_held_is_spent_once(
    database: Database, database_url: str, spenders: list[subprocess.Popen[str]]
) -> None:
    victim = spender(database_url, 4, "hang")
    spenders.append(victim)
    assert line(victim) == "ready"
    go(victim)
    assert line(victim) == "4"
    victim.send_signal(signal.SIGKILL)
    victim.wait(timeout=30)

    clock, month = FakeClock(time.time()), budget(1, "month")
    survivor = Meters(database, clock)
    assert await survivor.standing(month) == (0, 4 * DIME)
    assert await admitted(survivor, [month], calls=25) == 6
    clock.advance(30)
    await quiet(survivor, clock)
    assert await survivor.standing(month) == (USD, 0)
    assert await admitted(survivor, [month], calls=5) == 0
