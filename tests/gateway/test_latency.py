"""Averages of what was seen, and the order of equals that follows from them."""

import random
from collections.abc import Callable
from itertools import cycle

import pytest

from chittycan.gateway.latency import (
    ENOUGH,
    EXPLORE,
    FAILED_SECONDS,
    FORGET_SECONDS,
    Latency,
)
from chittycan.routing.decide import Candidate
from chittycan.routing.equals import Equals
from chittycan.testing import FakeClock
from gateway_parts import candidate

A, B, C = candidate("a"), candidate("b"), candidate("c")
ALL = [A, B, C]
QUICKEST, LEAST_BUSY = Equals(0, 3, "latency"), Equals(0, 3, "least-busy")


def never() -> float:
    """A chance that never takes another than the best, and no side."""
    return 0.5


@pytest.fixture
def latency(clock: FakeClock) -> Latency:
    return Latency(clock, never)


def names(chain: tuple[Candidate, ...]) -> str:
    return "".join(each.model.name for each in chain)


def order(latency: Latency, equals: Equals = QUICKEST, *, stream: bool = True) -> str:
    return names(latency.ordered(ALL, [equals], stream=stream))


def chances(*values: float) -> Callable[[], float]:
    given = cycle(values)
    return lambda: next(given)


# averages


def test_nothing_is_known_of_a_place_before_its_first_answer(latency: Latency) -> None:
    assert latency.first_token(A.model.place) is None
    assert latency.per_token(A.model.place) is None
    assert latency.open(A.model.place) == 0


def test_the_first_answer_is_the_average(latency: Latency) -> None:
    latency.streamed(A.model.place, 0.4)
    assert latency.first_token(A.model.place) == pytest.approx(0.4)
    assert latency.averages() == {A.model.place: pytest.approx(0.4)}


def test_one_answer_among_many_moves_the_average_a_little(latency: Latency) -> None:
    latency.streamed(A.model.place, 0.4)
    latency.streamed(A.model.place, 4.4)
    assert latency.first_token(A.model.place) == pytest.approx(0.6)


def test_after_a_silence_an_answer_counts_for_much(latency: Latency, clock: FakeClock) -> None:
    latency.streamed(A.model.place, 0.4)
    clock.advance(120)
    latency.streamed(A.model.place, 4.4)
    assert latency.first_token(A.model.place) == pytest.approx(4.33, abs=0.01)


def test_what_is_old_is_forgotten(latency: Latency, clock: FakeClock) -> None:
    latency.streamed(A.model.place, 0.4)
    clock.advance(FORGET_SECONDS)
    assert latency.first_token(A.model.place) is None
    assert latency.averages() == {}


def test_whole_answers_are_measured_by_their_tokens(latency: Latency) -> None:
    latency.answered(A.model.place, 10.0, 1000)
    assert latency.per_token(A.model.place) == pytest.approx(0.01)
    assert latency.first_token(A.model.place) is None


def test_a_failure_counts_as_a_slow_answer(latency: Latency) -> None:
    latency.failed(A.model.place)
    assert latency.first_token(A.model.place) == FAILED_SECONDS


def test_who_was_overtaken_is_at_least_as_slow_as_it_was_until_then(latency: Latency) -> None:
    latency.overtaken(A.model.place, 3.0, stream=True)
    assert latency.first_token(A.model.place) == 3.0
    latency.overtaken(A.model.place, 0.1, stream=True)  # cut short, which says nothing good of it
    assert latency.first_token(A.model.place) == 3.0


def test_a_percentile_needs_enough_answers(latency: Latency) -> None:
    for number in range(ENOUGH - 1):
        latency.streamed(A.model.place, float(number + 1))
    assert latency.slow(A.model.place, stream=True) is None
    latency.streamed(A.model.place, 20.0)
    assert latency.slow(A.model.place, stream=True) == 19.0
    assert latency.slow(A.model.place, stream=False) is None


# order


def test_the_quickest_goes_first_and_the_others_follow_by_their_time(latency: Latency) -> None:
    for each, seconds in ((A, 2.0), (B, 0.5), (C, 1.0)):
        latency.streamed(each.model.place, seconds)
    assert order(latency) == "bca"


def test_nobody_moves_who_is_no_equal(latency: Latency) -> None:
    for each, seconds in ((A, 2.0), (B, 0.5), (C, 0.1)):
        latency.streamed(each.model.place, seconds)
    assert order(latency, Equals(0, 2, "latency")) == "bac"


def test_a_place_that_fails_goes_last(latency: Latency) -> None:
    for each in ALL:
        latency.streamed(each.model.place, 0.5)
    latency.failed(A.model.place)
    assert order(latency) == "bca"


def test_who_is_nearly_as_quick_goes_by_the_calls_that_are_open(latency: Latency) -> None:
    for each, seconds in ((A, 0.50), (B, 0.55), (C, 3.0)):
        latency.streamed(each.model.place, seconds)
    ended = latency.began(A.model.place)
    assert order(latency) == "bac"
    ended()
    assert order(latency) == "abc"


def test_who_is_not_known_yet_is_taken_for_as_good_as_the_best(latency: Latency) -> None:
    latency.streamed(A.model.place, 0.5)
    latency.began(A.model.place)
    assert order(latency) == "bca"


def test_whole_answers_are_ordered_by_time_per_token_and_else_by_first_tokens(latency: Latency) -> None:
    for each, seconds in ((A, 0.1), (B, 0.5), (C, 1.0)):
        latency.streamed(each.model.place, seconds)
    assert order(latency, stream=False) == "abc"
    for each, seconds in ((A, 30.0), (B, 3.0), (C, 10.0)):
        latency.answered(each.model.place, seconds, 100)
    assert order(latency, stream=False) == "bca"
    assert order(latency, stream=True) == "abc"


def test_the_least_busy_goes_first_whoever_is_quicker(latency: Latency) -> None:
    latency.streamed(A.model.place, 0.1)
    for _ in range(2):
        latency.began(A.model.place)
    latency.began(B.model.place)
    assert order(latency, LEAST_BUSY) == "cba"


def test_weights_share_out_what_is_open(clock: FakeClock) -> None:
    latency = Latency(clock, never)
    heavy, light = candidate("heavy", weight=3.0), candidate("light")
    equals = [Equals(0, 2, "least-busy")]
    counts = {"heavy": 0, "light": 0}
    for _ in range(40):
        first = latency.ordered([light, heavy], equals, stream=True)[0]
        counts[first.model.name] += 1
        latency.began(first.model.place)
    assert counts == {"heavy": 30, "light": 10}


def test_now_and_then_another_than_the_best_is_tried(clock: FakeClock) -> None:
    # The last two chances are whether, and whom; the others decide between those that are as busy.
    latency = Latency(clock, chances(0.5, EXPLORE / 2, 0.9))
    for each, seconds in ((A, 0.1), (B, 0.5), (C, 1.0)):
        latency.streamed(each.model.place, seconds)
    assert order(latency) == "cab"


def test_what_is_shown_to_people_leaves_nothing_to_chance(clock: FakeClock) -> None:
    latency = Latency(clock, lambda: 0.0)
    for each, seconds in ((A, 0.1), (B, 0.5), (C, 1.0)):
        latency.streamed(each.model.place, seconds)
    assert names(latency.ordered(ALL, [QUICKEST], stream=True, explore=False)) == "abc"


def test_a_share_of_calls_finds_out_that_the_slow_one_has_recovered(clock: FakeClock) -> None:
    latency = Latency(clock, random.Random(7).random)
    for _ in range(5):
        latency.failed(A.model.place)
    asked = []
    for _ in range(3000):
        first = latency.ordered([A, B], [Equals(0, 2, "latency")], stream=True)[0]
        asked.append(first.model.name)
        latency.streamed(first.model.place, 0.5)
        clock.advance(0.1)
    assert asked[:100].count("a") < 30
    assert 500 < asked[1000:].count("a") < 1500  # both are as quick by then, and share
