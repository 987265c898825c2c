"""The measurement of ensembles, on answers that were made up so that the outcome is known."""

from typing import Any

import pytest
from bench.ensembles import STRONG, Answers, cascaded, chosen_pair, gain, halves, kept_and_cost, voted

# (the right letter, what three cheap models and the strong one said)
SAID = [
    ("A", "A", "A", "B", "A"),
    ("B", "B", "B", "B", "C"),
    ("C", "C", "A", "C", "C"),
    ("D", "A", "B", None, "D"),
    ("E", None, "E", "E", "A"),
]
CHEAP = ("one", "two", "three")


@pytest.fixture
def answers() -> Answers:
    rows: list[dict[str, Any]] = []
    for key, *letters in SAID:
        pred = dict(zip((*CHEAP, STRONG), letters, strict=True))
        rows.append(
            {"answer": key, "pred": pred, "quality": {model: said == key for model, said in pred.items()},
             "cost": {model: 10.0 if model == STRONG else 1.0 for model in pred}}
        )  # fmt: skip
    return Answers(rows)


def test_a_cascade_pays_for_the_strong_model_only_where_two_differ(answers: Answers) -> None:
    right, cost = cascaded(answers, ("one", "two"))
    assert right == [1, 1, 1, 1, 0]
    assert cost == [2, 2, 12, 12, 12]
    assert kept_and_cost(answers, (right, cost), range(5)) == pytest.approx((4 / 3, 40 / 50))


def test_the_cheapest_pair_that_keeps_enough_is_chosen(answers: Answers) -> None:
    pairs = [("one", "two"), ("one", "three"), ("two", "three")]
    outcomes = {pair: cascaded(answers, pair) for pair in pairs}
    assert chosen_pair(answers, outcomes, range(5)) == min(
        (pair for pair in pairs if kept_and_cost(answers, outcomes[pair], range(5))[0] >= 0.99),
        key=lambda pair: sum(outcomes[pair][1]),
    )


def test_votes_are_compared_with_the_best_member(answers: Answers) -> None:
    assert voted(answers, CHEAP, range(5), "vote", None) == [1, 1, 1, 0, 1]
    row = gain(answers, CHEAP, range(5))
    assert (row["quality"], row["gain"], row["cost_of_best"]) == (0.8, 20.0, 3.0)


def test_what_is_chosen_on_is_never_measured_on() -> None:
    for chosen_on, measured_on in halves(11, 3):
        assert not set(chosen_on) & set(measured_on)
        assert sorted([*chosen_on, *measured_on]) == list(range(11))
