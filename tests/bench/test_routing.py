"""The measurement of routing, on scores that were made up so that the outcome is known."""

import pytest
from bench.routing_curves import aiq
from bench.routing_pairs import Pair, measured, over_topics, plain_orders
from bench.routing_pools import Expected, Pool, pool_rows
from bench.routing_sets import MIDDLE, PRO, SMALL, Set
from bench.routing_tiers import tier_rows

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


def test_a_part_with_next_to_nothing_to_gain_does_not_decide_over_all(scored: Set) -> None:
    for place in range(20, SIZE):  # the second topic: one point is lost for each that is gained, but for one
        scored.topics[place] = "other"
        scored.score["strong"][place] = float(place == 20 or place % 4 in (0, 1))
        scored.score["weak"][place] = float(place != 20 and place % 4 in (0, 2))
    scored.test = list(range(SIZE))
    pair = Pair(scored, "weak", "strong")
    knows: list[float] = list(pair.gain)
    parts = [list(range(20)), list(range(20, SIZE))]
    rows = over_topics(pair, plain_orders(pair) | {"ours": knows}, parts)
    assert pair.apgr(knows, parts[1]) > 3  # as a share of a gap of one point
    assert 0.75 < rows["ours"]["apgr"] < 1.2
    assert rows["ours"]["difference"] == pytest.approx(
        rows["ours"]["apgr"] - rows[rows["ours"]["beyond"]]["apgr"], abs=1e-3
    )


def test_what_every_topic_says_alike_does_not_depend_on_the_topics(scored: Set) -> None:
    scored.topics = [f"topic {place // 4}" for place in range(SIZE)]
    scored.test = list(range(SIZE))
    pair = Pair(scored, "weak", "strong")
    knows = [1.0 - number % 2 for number in range(SIZE)]
    closed, samples = pair.closed(knows, [scored.test])
    assert closed == pytest.approx(pair.apgr(knows, scored.test))
    assert samples == pytest.approx([closed] * len(samples))


def test_the_mean_quality_for_the_money_is_the_area_under_the_hull() -> None:
    assert aiq([(1.0, 0.5), (3.0, 1.0)], 1.0, 3.0) == pytest.approx(0.75)  # any mixture of the two can be had
    assert aiq([(1.0, 0.5), (2.0, 1.0), (3.0, 0.9)], 1.0, 3.0) == pytest.approx((0.75 + 1.0) / 2)  # it never falls
    assert aiq([(1.0, 0.5), (2.0, 0.6), (3.0, 1.0)], 1.0, 3.0) == pytest.approx(0.75)  # under the hull: not missed
    assert aiq([(1.0, 0.5)], 1.0, 3.0) == pytest.approx(0.5)


def test_fixed_tiers_take_the_best_of_what_is_known(scored: Set) -> None:
    found = Set("three", (SMALL, MIDDLE, PRO), scored.texts, scored.topics)
    small = [float(place % 10 > 2) for place in range(SIZE)]  # fails three of ten: the middle solves two of them
    middle = [float(place % 10 != 2) for place in range(SIZE)]
    found.score, found.test = {SMALL: small, MIDDLE: middle, PRO: [1.0] * SIZE}, list(range(SIZE))
    found.cost = {SMALL: [0.0] * SIZE, MIDDLE: [0.5] * SIZE, PRO: [1.0] * SIZE}
    rows = tier_rows(found, [{}] * SIZE)
    assert rows["oracle"] == {"kept": 1.0, "saved": pytest.approx(0.8)}
    assert rows["random"]["kept"] < 0.9
    assert rows["random"]["saved"] == pytest.approx(0.8)
    assert rows[f"always {SMALL}"]["kept"] == pytest.approx(0.7)


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
