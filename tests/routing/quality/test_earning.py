"""Whether knowing more buys more quality for the same dollars, where it was made so that it does or does not."""

import random

import pytest

from chittycan.routing.quality.checking import check
from chittycan.routing.quality.earning import Judged, earns
from chittycan.routing.quality.prompts import Prompt

KINDS = ("law", "chess", "cooking", "history", "music", "sport", "travel", "poetry")
PLAIN = {"strong": 0.7, "weak": 0.5}
PARTS = 4


def _parts(knows: float, *, count: int = 800, dear: float = 10.0) -> list[list[Judged]]:
    """The strong model gains at every second prompt, where its answer costs `dear`, else 10.

    `knows`: the gain that is expected there, and elsewhere not.
    """
    dice = random.Random(5)
    judged = []
    for number in range(count):
        hard = dice.random() < 0.5
        scores = {"strong": (float(dice.random() < 0.8), 1), "weak": (float(dice.random() < (0.3 if hard else 0.7)), 1)}
        costs = {"strong": dear if hard else 10.0, "weak": 1.0}
        features = tuple(range(dice.randrange(40, 60)))
        more = {"strong": 0.7 + (knows if hard else -knows) / 2, "weak": 0.5}
        judged.append(Judged(Prompt(features, "chess", scores, number, costs), PLAIN, more))
    return [judged[part::PARTS] for part in range(PARTS)]


@pytest.mark.parametrize(
    ("knows", "dear", "expected"),
    [(0.3, 10.0, True), (-0.3, 10.0, False), (0.0, 10.0, False), (0.3, 200.0, False), (-0.3, 200.0, True)],
    ids=["right", "wrong", "nothing", "right where it costs more than it is worth", "wrong, but cheap"],
)
def test_what_is_known_counts_where_the_same_dollars_buy_more(knows: float, dear: float, expected: bool) -> None:
    assert earns(_parts(knows, dear=dear)) is expected


def test_nothing_can_be_said_without_prices_or_with_too_few_prompts_or_one_model() -> None:
    assert earns(_parts(0.3, count=100)) is None
    free = [[Judged(Prompt((1,), "chess", {"strong": (1.0, 1)}, 1), PLAIN, PLAIN)] * 300]
    assert earns(free) is None
    assert earns(_parts(0.3), pool={"strong"}) is None


def _prompts(dear: float | None) -> list[Prompt]:
    """Of whatever kind: the strong model gains where feature 1 is, and its answer costs `dear` there."""
    dice = random.Random(8)
    found = []
    for number in range(1_600):
        hard = dice.random() < 0.5
        weak = float(dice.random() < (0.2 if hard else 0.7))
        scores = {"strong": (float(dice.random() < 0.8), 1), "weak": (weak, 1)}
        costs = {} if dear is None else {"strong": dear if hard else 10.0, "weak": 1.0}
        features = (1 if hard else 2, *sorted(dice.sample(range(10, 40), dice.randrange(4, 8))))
        found.append(Prompt(features, KINDS[number // PARTS % len(KINDS)], scores, number, costs))
    return found


def test_words_that_hold_for_new_kinds_are_trusted_there_only_where_that_earns_money() -> None:
    assert check(_prompts(10.0)).transfer > 0.5
    assert check(_prompts(200.0)).transfer == 0.0
    assert check(_prompts(None)).transfer > 0.5  # no price is known: that they hold is enough
