"""A model's turn: which limits are waited for, how long, and what is given back where it does not come."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chittycan.catalogue import Limits
from chittycan.errors import RateLimited, Unavailable
from chittycan.gateway.slots import Turns
from chittycan.gateway.ticket import Ticket
from chittycan.routing.decide import Candidate
from chittycan.store.database import Database
from chittycan.store.meters import Cap
from chittycan.testing import FakeClock
from chittycan.usage.meters import Meters
from chittycan.usage.slots import Slots
from gateway_parts import candidate

FAR = 600.0


def asked(model: Limits | None = None, provider: Limits | None = None) -> Candidate:
    return candidate("m", limits=model, settings={"limits": provider})


def of_model(**limits: Any) -> Limits:
    return Limits(scope="model:m", **limits)


def of_provider(**limits: Any) -> Limits:
    return Limits(scope="provider:p", **limits)


def ticket() -> Ticket:
    return Ticket(100, 400, None, ())


@pytest.fixture
def meters(sqlite: Database, clock: FakeClock) -> Meters:
    return Meters(sqlite, clock)


@pytest.fixture
async def turns(sqlite: Database, clock: FakeClock, meters: Meters) -> AsyncIterator[Turns]:
    slots = Slots(sqlite, clock, "a")
    yield Turns(slots, meters, clock)
    await slots.close()


def test_what_is_not_limited_waits_for_nothing() -> None:
    assert not asked().limited
    assert asked(of_model(rpm=1)).limited
    assert asked(None, of_provider(rpm=1)).limited


async def test_a_model_that_waits_for_its_provider_gives_its_own_slot_back(turns: Turns) -> None:
    both = asked(of_model(concurrency=1, wait=0), of_provider(concurrency=1, wait=0))
    elsewhere = await turns.of(asked(None, of_provider(concurrency=1, wait=0)), ticket(), FAR)
    with pytest.raises(RateLimited, match="every slot of provider p is taken"):
        await turns.of(both, ticket(), FAR)
    elsewhere.release()
    turn = await turns.of(both, ticket(), FAR)
    with pytest.raises(RateLimited, match="model m"):
        await turns.of(both, ticket(), FAR)
    turn.release()
    await turns.of(both, ticket(), FAR)


async def test_a_refused_rate_gives_the_slots_back(turns: Turns) -> None:
    few = asked(of_model(concurrency=1, rpm=1, wait=0))
    (await turns.of(few, ticket(), FAR)).release()
    with pytest.raises(RateLimited, match="1 requests per minute") as refused:
        await turns.of(few, ticket(), FAR)
    assert refused.value.retry_after == 60
    await turns.of(asked(of_model(concurrency=1, wait=0)), ticket(), FAR)


async def test_a_rate_that_comes_in_time_is_waited_for(turns: Turns, clock: FakeClock) -> None:
    few = asked(of_model(rpm=1, wait=10))
    clock.advance(52)
    (await turns.of(few, ticket(), FAR)).release()
    second = asyncio.create_task(turns.of(few, ticket(), FAR))
    await clock.until_asleep()
    clock.advance(8)
    (await second).release()


async def test_nobody_waits_beyond_the_calls_own_deadline(turns: Turns, clock: FakeClock) -> None:
    few = asked(of_model(concurrency=1, wait=60))
    await turns.of(few, ticket(), FAR)
    late = asyncio.create_task(turns.of(few, ticket(), 2.0))
    while not late.done():
        await clock.run(0.1)
        await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await late
    assert clock.monotonic() < 30  # far from the 60 seconds that a slot may be waited for


async def test_a_second_attempt_gives_back_the_tokens_of_the_first(turns: Turns, meters: Meters) -> None:
    few, of_call = asked(of_model(tpm=1000, wait=0)), ticket()
    await turns.of(few, of_call, FAR)
    await turns.of(few, of_call, FAR)
    await turns.of(few, of_call, FAR)
    assert of_call.rates is not None
    (rates,) = of_call.rates.values()
    meters.settle(rates, 0, 123)
    await meters.close()
    assert await meters.standing(Cap("model:m", "tokens", "minute", 1000, "model m")) == (123, 0)


class Away:
    """A database that does not answer."""

    async def run(self, *_: object) -> object:
        raise Unavailable("the database did not answer")


@pytest.mark.parametrize("limits", [of_model(concurrency=1, wait=0), of_model(rpm=1, wait=0)])
async def test_without_the_database_a_limited_model_is_passed_over(limits: Limits, clock: FakeClock) -> None:
    away: Any = Away()
    turns = Turns(Slots(away, clock, "a"), Meters(away, clock), clock)
    with pytest.raises(RateLimited, match=r"limits of model m cannot be kept now: the database did not answer"):
        await turns.of(asked(limits), ticket(), FAR)
