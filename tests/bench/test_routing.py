"""The measurement of routing, on scores that were made up so that the outcome is known."""

import pytest
from bench.routing_pairs import Pair, measured, plain_orders
from bench.routing_pools import Expected, Pool, pool_rows
from bench.routing_sets import Set

from chittycan.routing.quality.estimate import Estimate
from chittycan.routing.quality.prompts import Prompt

SIZE = 40


@pytest.fixture
def scored() -> Set:
    """The strong model gains one point at every second prompt, none at the others; it costs ten times as much."""
    found = Set("made up", ("weak", "strong"))
    found.texts = [f"prompt {number} " * (1 + number % 7) for number in range(SIZE)]
    found.topics = ["topic"] * SIZE
    found.score = {"weak": [float(number % 2) for number in range(SIZE)], "strong": [1.0] * SIZE}
    found.cost = {"weak": [0.1] * SIZE, "strong": [1.0] * SIZE}
    found.prompts = [Prompt((), "topic", {}, number) for number in range(SIZE)]  # nothing to find out here
    found.choose, found.test = list(range(SIZE // 2)), list(range(SIZE // 2, SIZE))
    return found


def test_an_order_that_knows_everything_gains_twice_as_much_as_chance(scored: Set) -> None:
    pair = Pair(scored, "weak", "strong")
    knows = [1.0 - number % 2 for number in range(SIZE)]
    assert pair.apgr(knows, scored.test) == pytest.approx(0.75)
    assert pair.apgr([-each for each in knows], scored.test) == pytest.approx(0.25)
    assert pair.apgr(knows, scored.test, [1] * 20) == pytest.approx(0.75)


def test_the_threshold_is_chosen_on_one_half_and_reported_on_the_other(scored: Set) -> None:
    for place in scored.test:
        scored.score["strong"][place] = 0.8  # the other half turns out differently
    pair = Pair(scored, "weak", "strong")
    knows = [1.0 - number % 2 for number in range(SIZE)]
    kept, saved = pair.at(pair.threshold(knows, 0.99), knows, scored.test)
    assert kept == pytest.approx((10 * 1.0 + 10 * 0.8) / (20 * 0.8))
    assert saved == pytest.approx(0.45)


def test_chance_is_half_and_every_order_has_its_row(scored: Set) -> None:
    pair = Pair(scored, "weak", "strong")
    rows = measured(pair, plain_orders(pair))
    assert rows["random"]["apgr"] == pytest.approx(0.5, abs=0.06)
    assert rows["oracle"]["apgr"] == pytest.approx(0.75)
    assert {"length", "hand rule", "least extra cost first"} < set(rows)


def test_auto_takes_the_cheap_model_where_enough_is_expected_of_it(scored: Set) -> None:
    pool = Pool(scored)
    assert (pool.strong, pool.cheap) == ("strong", "weak")
    expected: Expected = [
        {"weak": Estimate(float(number % 2), 9, ""), "strong": Estimate(1.0, 9, "")} if number < 30 else {}
        for number in range(SIZE)
    ]
    chosen = pool.auto(expected)
    assert chosen[:4] == ["strong", "weak", "strong", "weak"]
    assert set(chosen[30:]) == {"strong"}  # nothing is known of these
    row = pool_rows(pool, {"ours": expected})["ours, auto as shipped"]
    assert (row["kept"], row["saved"]) == (1.0, pytest.approx(5 * 0.9 / 20))
    assert not row["worse_and_dearer_than_cheap"]
