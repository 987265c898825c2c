"""The race of two models: when the second one starts, who wins, and what the others leave behind."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from chittycan.catalogue import Catalogue, Hedging, Secret
from chittycan.chat import Usage
from chittycan.errors import AllFailed, BudgetExceeded, ChittyError, UpstreamRefused
from chittycan.gateway.attempt import Whole
from chittycan.gateway.call import Options
from chittycan.gateway.chain import Chain, Walk
from chittycan.gateway.health import CONSECUTIVE, Health
from chittycan.gateway.hedge import LATE_SECONDS, Race, late
from chittycan.gateway.latency import ENOUGH, Latency
from chittycan.gateway.running import Running
from chittycan.gateway.ticket import Ticket
from chittycan.routing.decide import Candidate, Decision
from chittycan.routing.failure import Failure
from chittycan.testing import FakeClock
from gateway_parts import ScriptedResponse, call, candidate, chunk, failing, live

A, B, C = candidate("a"), candidate("b"), candidate("c")
FAR = 600.0

# what a model does: after so many seconds, this answer or failure
Script = Mapping[str, tuple[float, Any]]


class Raced:
    """One race that is let run to its end. `log` says who was asked and cancelled, and when."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.latency = Latency(clock, lambda: 0.5)
        self.health = Health(clock)
        self.log: list[tuple[str, str, float]] = []
        self.racing: list[tuple[str, ...]] = []  # who was paid for beside whom, as each attempt began
        self.result: Any = None
        self.error: Any = None

    def begin(self, script: Script, chain: Sequence[Candidate], after: float = 2.0) -> "asyncio.Task[Any]":
        asked = call()
        self.running = Running(asked, Decision(tuple(chain), (), "named"), Ticket(5, 5, None, ()), FAR)
        walk = Walk(
            Chain(self.health, self.clock, lambda: 0.5, self.latency), chain, self._attempt(script),
            self.running.trail, FAR,
        )  # fmt: skip
        race = Race(walk, self.running, lambda candidate: after, self.clock, self.latency)
        return asyncio.create_task(race.run())

    async def __call__(self, script: Script, *chain: Candidate, after: float = 2.0) -> "Raced":
        race = self.begin(script, chain, after)
        await self.clock.run(0)
        while not race.done():
            await self.clock.run(0.5)
        try:
            self.result = race.result()
        except ChittyError as error:
            self.error = error
        return self

    def _attempt(self, script: Script) -> Callable[..., Any]:
        async def attempt(asked: Candidate, key: Secret | None, alone: bool) -> Any:
            name, (seconds, outcome) = asked.model.name, script[asked.model.name]
            self.log.append((name, "asked", self.clock.monotonic()))
            place = len(self.racing)
            self.racing.append(tuple(each.model.name for each in self.running.ticket.racing))
            assert self.running.sent is not None
            self.running.sent.add(asked.model.place)
            try:
                await self.clock.sleep(seconds)
            except asyncio.CancelledError:
                self.log.append((name, "cancelled", self.clock.monotonic()))
                raise
            outcome = outcome(self.racing[place]) if callable(outcome) else outcome
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return attempt

    @property
    def lost(self) -> list[tuple[str, float]]:
        return [(each.candidate.model.name, each.ms) for each in self.running.trail.lost]


@pytest.fixture
def race(clock: FakeClock) -> Raced:
    return Raced(clock)


# when there is a second


async def test_who_is_in_time_is_asked_alone(race: Raced) -> None:
    await race({"a": (1.5, "fine"), "b": (0, "never asked")}, A, B)
    assert race.result == "fine"
    assert race.log == [("a", "asked", 0)]
    assert (race.running.trail.started, race.lost) == (1, [])


async def test_who_is_late_gets_a_second_beside_it_and_the_first_answer_wins(race: Raced) -> None:
    await race({"a": (10, "slow"), "b": (1, "quick")}, A, B)
    assert race.result == "quick"
    assert race.log == [("a", "asked", 0), ("b", "asked", 2), ("a", "cancelled", 3)]
    assert race.lost == [("a", 3000.0)]
    assert race.running.trail.started == 2
    assert race.running.trail.began == 2  # of the one that won


async def test_the_first_may_still_win(race: Raced) -> None:
    await race({"a": (4, "at last"), "b": (9, "slow")}, A, B)
    assert race.result == "at last"
    assert race.log[-1] == ("b", "cancelled", 4.0)
    assert race.lost == [("b", 2000.0)]
    assert race.running.trail.began == 0


async def test_where_both_come_at_once_the_first_of_the_chain_wins(race: Raced) -> None:
    await race({"a": (4, "one"), "b": (2, "two")}, A, B)
    assert race.result == "one"
    assert [name for name, _ in race.lost] == ["b"]


async def test_no_more_than_two_are_asked_at_once(race: Raced) -> None:
    await race({"a": (30, "slow"), "b": (30, "slow"), "c": (1, "never asked")}, A, B, C)
    assert race.result == "slow"
    assert [name for name, what, _ in race.log if what == "asked"] == ["a", "b"]


async def test_a_lone_model_has_no_second(race: Raced) -> None:
    await race({"a": (30, "slow")}, A)
    assert race.result == "slow"
    assert race.running.trail.started == 1


async def test_a_resting_model_is_no_second(race: Raced) -> None:
    for _ in range(CONSECUTIVE):
        race.health.failed(B.model, None, Failure.TRANSIENT)
    race.clock.advance(0.1)
    await race({"a": (30, "slow"), "b": (0, "no"), "c": (1, "quick")}, A, B, C)
    assert race.result == "quick"
    assert race.running.trail.skipped == {"b": "cooling down"}


# failures


async def test_where_the_first_fails_the_second_goes_on(race: Raced) -> None:
    await race({"a": (3, failing(Failure.SILENT)), "b": (1.5, "fine"), "c": (0, "never asked")}, A, B, C)
    assert race.result == "fine"
    assert [name for name, what, _ in race.log if what == "asked"] == ["a", "b"]
    assert [tried.model for tried in race.running.trail.tried] == ["a"]
    assert race.lost == []


async def test_where_the_first_fails_before_it_is_late_the_next_gets_its_own_time(race: Raced) -> None:
    await race({"a": (1, failing(Failure.SILENT)), "b": (30, "slow"), "c": (1, "quick")}, A, B, C)
    assert race.result == "quick"
    assert [(name, at) for name, what, at in race.log if what == "asked"] == [("a", 0), ("b", 1), ("c", 3)]


async def test_where_the_second_fails_a_third_starts(race: Raced) -> None:
    await race({"a": (30, "slow"), "b": (1, failing(Failure.SILENT)), "c": (1, "quick")}, A, B, C)
    assert race.result == "quick"
    assert [(name, at) for name, what, at in race.log if what == "asked"] == [("a", 0), ("b", 2), ("c", 3)]


async def test_where_all_fail_it_is_said_as_without_a_race(race: Raced) -> None:
    await race({"a": (4, failing(Failure.SILENT)), "b": (1, failing(Failure.MODEL_GONE, 404))}, A, B)
    assert [tried["model"] for tried in race.error.attempts] == ["b", "a"]


async def test_both_fail_at_the_same_moment(race: Raced) -> None:
    await race({"a": (4, failing(Failure.MODEL_GONE, 404)), "b": (2, failing(Failure.MODEL_GONE, 404))}, A, B)
    assert isinstance(race.error, AllFailed)
    assert [tried["model"] for tried in race.error.attempts] == ["a", "b"]


async def test_where_the_first_refuses_that_is_the_answer(race: Raced) -> None:
    await race({"a": (3, failing(Failure.CONTENT, 400)), "b": (30, "slow"), "c": (0, "no")}, A, B, C)
    assert isinstance(race.error, UpstreamRefused)
    assert race.error.status == 400
    assert race.log[-1] == ("b", "cancelled", 3.0)
    assert race.lost == [("b", 1000.0)]  # what it did has to be paid for


async def test_where_the_second_refuses_the_first_is_waited_for(race: Raced) -> None:
    await race({"a": (9, "fine"), "b": (1, failing(Failure.CALLER_FAULT, 400)), "c": (0, "never asked")}, A, B, C)
    assert race.result == "fine"
    assert [name for name, what, _ in race.log if what == "asked"] == ["a", "b"]


async def test_where_the_second_refuses_and_the_first_fails_nobody_else_is_asked(race: Raced) -> None:
    script = {"a": (9, failing(Failure.SILENT)), "b": (1, failing(Failure.CALLER_FAULT, 422)), "c": (0, "never asked")}
    await race(script, A, B, C)
    assert isinstance(race.error, UpstreamRefused)
    assert race.error.status == 422


async def test_where_two_cannot_be_paid_for_the_first_is_waited_for_alone(race: Raced) -> None:
    await race({"a": (9, "fine"), "b": (0, BudgetExceeded("too dear")), "c": (0, "never asked")}, A, B, C)
    assert race.result == "fine"
    assert [name for name, what, _ in race.log if what == "asked"] == ["a", "b"]
    assert (race.running.trail.asked, race.running.trail.started) == ([A], 1)


async def test_a_second_that_cannot_be_paid_for_beside_the_first_is_asked_alone_when_that_fails(race: Raced) -> None:
    def dear(beside: tuple[str, ...]) -> Any:
        return BudgetExceeded("too dear together") if len(beside) > 1 else "fine"

    await race({"a": (9, failing(Failure.SILENT)), "b": (0, dear), "c": (0, dear)}, A, B, C)
    assert race.result == "fine"
    assert [name for name, what, _ in race.log if what == "asked"] == ["a", "b", "b"]
    assert race.running.trail.skipped == {}
    assert race.running.trail.asked == [A, B]


# what is left behind


async def test_both_are_paid_for_as_long_as_both_are_asked(race: Raced) -> None:
    await race({"a": (9, failing(Failure.SILENT)), "b": (1, failing(Failure.SILENT)), "c": (30, "fine")}, A, B, C)
    assert race.racing == [(), ("a", "b"), ("a", "c")]
    assert race.running.ticket.racing == ()


async def test_a_client_that_leaves_ends_both(race: Raced) -> None:
    running = race.begin({"a": (30, "slow"), "b": (30, "slow")}, [A, B])
    await race.clock.run(5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(race.log[-2:]) == [("a", "cancelled", 5), ("b", "cancelled", 5)]


async def test_a_client_that_leaves_while_the_slower_one_is_stopped_leaves_nothing_open(race: Raced) -> None:
    response = ScriptedResponse(chunk("fine"))
    won = live(response, B)
    await won.begin()

    async def attempt(asked: Candidate, key: Secret | None, alone: bool) -> Any:
        if asked is B:
            return won
        try:
            await race.clock.sleep(30)
        finally:
            await race.clock.sleep(1)  # it takes a moment to let go

    race._attempt = lambda script: attempt  # type: ignore[method-assign]
    running = race.begin({}, [A, B])
    await race.clock.run(2.5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert response.closed


async def test_who_was_overtaken_counts_as_slow_and_not_as_failed(race: Raced) -> None:
    await race({"a": (10, "slow"), "b": (1, "quick")}, A, B)
    assert (race.latency.per_token(A.model.place) or 0) > 0
    assert race.health.rests_for(A.model, A.provider) == 0
    assert race.running.trail.tried == []


async def test_a_broken_stream_may_still_turn_to_who_was_overtaken(race: Raced) -> None:
    await race({"a": (10, "slow"), "b": (1, "quick")}, A, B)
    assert race.running.trail.asked == [B]


async def test_two_waits_at_once_are_one(race: Raced) -> None:
    async def waiting(asked: Candidate, key: Secret | None, alone: bool) -> Any:
        await race.clock.sleep(10)
        race.running.upstream += 10
        return "fine"

    race._attempt = lambda script: waiting  # type: ignore[method-assign]
    await race({}, A, B)
    assert race.running.upstream == 10


# who is hedged


def when(
    clock: FakeClock, hedge: Hedging | None = None, *, latency: Latency | None = None, **asked: Any
) -> float | None:
    """After how many seconds A is late; None: it is not hedged."""
    catalogue = Catalogue(providers={}, models={}, hedge=hedge)
    found = late(call(**asked), catalogue, latency or Latency(clock))
    return None if found is None else found(A)


def test_nobody_is_hedged_unasked(clock: FakeClock) -> None:
    assert when(clock) is None


def test_the_caller_says_when(clock: FakeClock) -> None:
    assert when(clock, options=Options(hedge=1.5)) == 1.5
    assert when(clock, Hedging(9.0), options=Options(hedge=1.5)) == 1.5
    assert when(clock, Hedging(9.0), options=Options(hedge=True)) == 9.0
    assert when(clock, Hedging(9.0), options=Options(hedge=False)) is None


def test_the_owner_says_for_which_models(clock: FakeClock) -> None:
    some = Hedging(2.0, frozenset({"m"}))
    assert when(clock, some, model="m") == 2.0
    assert when(clock, some, model="other") is None
    assert when(clock, some, model="other", options=Options(hedge=True)) == 2.0


def test_work_that_can_wait_is_not_hedged_unasked(clock: FakeClock) -> None:
    assert when(clock, Hedging(2.0), longest_pause=30.0) is None
    assert when(clock, Hedging(2.0), longest_pause=30.0, options=Options(hedge=1.0)) == 1.0


def test_embeddings_are_never_hedged(clock: FakeClock) -> None:
    assert when(clock, Hedging(2.0), operation="embeddings", options=Options(hedge=1.0)) is None


def test_late_is_what_the_slowest_take_where_that_is_known(clock: FakeClock) -> None:
    latency = Latency(clock)
    assert when(clock, Hedging(), latency=latency) == LATE_SECONDS
    for _ in range(ENOUGH):
        latency.streamed(A.model.place, 0.7)
    assert when(clock, Hedging(), latency=latency, stream=True) == 0.7
    assert when(clock, Hedging(), latency=latency) == LATE_SECONDS  # whole answers take their own time


async def test_a_whole_answer_that_came_too_late_is_billed_as_it_says(race: Raced) -> None:
    whole = Whole(b"", B, Usage(input=5, output=7))
    await race({"a": (4, Whole(b"", A, Usage(input=1, output=1))), "b": (2, whole)}, A, B)
    (lost,) = race.running.trail.lost
    assert lost.usage == Usage(input=5, output=7)
