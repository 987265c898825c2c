"""What quality costs, where it is known because the prompts were made here."""

import random

import pytest

from chittycan.routing.quality.frontier import Foretold, Frontier, Kept, Paid, Step, frontier

COSTS = {"strong": 1000.0, "cheap": 100.0}


def _prompts(count: int, *, foreseen: bool = True) -> list[Foretold]:
    """`strong` can do nine in ten; `cheap` the even ones of them."""
    dice = random.Random(5)
    found = []
    for number in range(count):
        able = float(number % 2 == 0 and number % 10 != 9)
        expected = able if foreseen else dice.random()
        found.append(
            Foretold(
                {"strong": 0.9, "cheap": 0.9 * expected}, {"strong": float(number % 10 != 9), "cheap": able}, COSTS
            )
        )
    return found


def test_what_can_be_foreseen_is_saved_without_a_loss() -> None:
    found = frontier(_prompts(1000))
    assert found is not None
    kept = found.kept(1.0)
    assert kept is not None
    assert (kept.kept, kept.saved) == (1.0, 0.45)  # half of the prompts at a tenth of the price


def test_a_lower_target_never_saves_less() -> None:
    found = frontier(_prompts(1000, foreseen=False))
    assert found is not None
    several = [found.kept(target) for target in (0.99, 0.97, 0.95, 0.9, 0.8, 0.6)]
    saved = [each.saved for each in several if each is not None]
    assert saved == sorted(saved)
    assert saved[-1] > saved[0] > 0


def test_a_target_that_cannot_be_told_from_chance_is_held_with_a_margin() -> None:
    few, many = (frontier(_prompts(count, foreseen=False)) for count in (240, 4000))
    assert few is not None
    assert many is not None
    with_few, with_many = few.kept(0.9), many.kept(0.9)
    assert with_few is not None
    assert with_many is not None
    assert with_few.kept > with_many.kept > 0.9


@pytest.mark.parametrize(
    "prompts",
    [
        [],
        _prompts(150),
        [Foretold(each.expected, each.scored, {}) for each in _prompts(1000)],
        [Foretold(each.expected, each.scored, {"strong": 1.0}) for each in _prompts(1000)],
        [Foretold(each.expected, each.scored, {"strong": 0.0, "cheap": 0.0}) for each in _prompts(1000)],
        # each answered by one model: who would have done better, nobody knows
        [
            Foretold(each.expected, {name: each.scored[name]}, COSTS)
            for number, each in enumerate(_prompts(1000))
            for name in [("strong", "cheap")[number % 2]]
        ],
    ],
    ids=["none", "few", "no costs", "one cost", "all for nothing", "one answer each"],
)
def test_where_it_cannot_be_told_nothing_is_said(prompts: list[Foretold]) -> None:
    assert frontier(prompts) is None


def test_a_model_that_few_prompts_have_is_not_of_the_pool() -> None:
    prompts = _prompts(600)
    rare = Foretold(
        {**prompts[0].expected, "rare": 0.9}, {**prompts[0].scored, "rare": 1.0}, {**COSTS, "rare": 1.0}
    )  # fmt: skip
    found = frontier([rare] * 100 + prompts)
    assert found is not None
    assert set(found.models) == {"strong", "cheap"}


def test_nobody_is_missed_who_is_hardly_chosen() -> None:
    worse = [
        Foretold({**each.expected, "poor": 0.0}, {**each.scored, "poor": 0.0}, {**COSTS, "poor": 500.0})
        for each in _prompts(600)
    ]
    found = frontier(worse)
    assert found is not None
    assert found.used == {"strong", "cheap"}
    assert set(found.models) == {"strong", "cheap", "poor"}


TWO = Frontier(
    {"strong": Paid(0.8, 1000.0), "cheap": Paid(0.5, 100.0)},
    frozenset({"strong", "cheap"}),
    (Step(0.0001, 0.80, 0.80, 900.0), Step(0.0004, 0.70, 0.68, 500.0), Step(0.01, 0.50, 0.48, 100.0)),
)


@pytest.mark.parametrize(
    ("strong", "target", "price"),
    [
        ("strong", 1.0, 0.1),
        ("strong", 0.85, 0.4),
        ("strong", 0.925, 0.2),  # half way between the first two, on a scale of factors
        ("strong", 0.1, 10.0),  # even the cheapest is good enough
        ("cheap", 0.5, 1.0),
        ("strong", 1.01, None),
    ],
)
def test_between_the_steps_a_target_has_its_own_price(strong: str, target: float, price: float | None) -> None:
    step = TWO.at(strong, target)
    found = None if step is None else step.demand * TWO.models[strong].cost
    assert found == (None if price is None else pytest.approx(price))


def test_where_one_model_for_everything_is_better_and_cheaper_nothing_is_said() -> None:
    beaten = Frontier({**TWO.models, "other": Paid(0.75, 300.0)}, TWO.used, TWO.steps)
    assert beaten.kept(0.85) is None  # 0.70 for 500
    assert beaten.kept(1.0) is not None


@pytest.mark.parametrize(
    ("other", "alone"),
    [
        (Paid(0.70, 499.0, 0.69), "other"),
        (Paid(0.69, 504.0, 0.69), "other"),  # within a hundredth of the money
        (Paid(0.69, 506.0, 0.69), None),  # choosing saves something
        (Paid(0.69, 499.0, 0.67), None),  # it is not sure to be good enough
    ],
)
def test_where_choosing_saves_nothing_one_model_answers_everything(other: Paid, alone: str | None) -> None:
    step = Frontier({**TWO.models, "other": other}, TWO.used, TWO.steps).at("strong", 0.85)  # 0.70 for 500
    assert step is not None
    assert step.alone == alone
    assert (step.quality, step.cost) == ((other.quality, other.cost) if alone else (0.70, 500.0))


def test_what_is_promised_of_one_model_is_what_it_did() -> None:
    """The cheap one is as good: nothing is left to choose."""
    dice = random.Random(3)
    found = frontier([
        Foretold({name: dice.random() for name in COSTS}, {"strong": 0.8, "cheap": 0.79 + 0.01 * (number % 2)}, COSTS)
        for number in range(400)
    ])  # fmt: skip
    assert found is not None
    assert found.kept(0.9) == Kept(0.9, 0.9938, 0.9, "cheap")


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_expected_no_target_is_promised_that_was_not_kept(seed: int) -> None:
    dice = random.Random(seed)
    prompts = [
        Foretold(
            {name: dice.random() for name in COSTS}, {name: float(dice.random() < 0.6) for name in COSTS}, COSTS
        )
        for _ in range(210)
    ]  # fmt: skip
    found = frontier(prompts)
    assert found is not None
    for target in (0.5, 0.8, 0.95, 1.0):
        step, kept = found.at(found.best, target), found.kept(target)
        if step is not None and kept is not None:
            assert kept.kept >= target - 1e-3
            assert not [each for each in found.models.values() if each.quality > step.quality and each.cost < step.cost]
