"""When a budget's alarm is due."""

from chittycan.store.meters import Cap
from chittycan.usage.alarms import Standing, standings

DAY = Cap("total", "nano", "day", 1_000, "all keys together")
NOON = 43_200.0
SHARES = (0.5, 0.8, 1.0)


def standing(spent: int, *, refused: bool = False, limit: int = 1_000) -> Standing:
    return Standing(Cap("total", "nano", "day", limit, "all keys together"), 0, 86_400, spent, refused)


def test_a_share_is_reached_when_it_is_spent() -> None:
    assert standing(499).reached(SHARES) == []
    assert standing(500).reached(SHARES) == [500]
    assert standing(1_001).reached(SHARES) == [500, 800, 1000]


def test_all_of_it_is_reached_when_calls_are_refused_for_want_of_the_rest() -> None:
    assert standing(950).reached(SHARES) == [500, 800]
    assert standing(950, refused=True).reached(SHARES) == [500, 800, 1000]


def test_a_call_that_was_merely_too_large_is_no_alarm() -> None:
    assert standing(100, refused=True).reached(SHARES) == []


def test_a_budget_of_nothing_is_used_up_when_it_refuses() -> None:
    assert standing(0, limit=0).reached(SHARES) == []
    assert standing(0, limit=0, refused=True).reached((1.0,)) == [1000]


def test_only_money_and_only_the_window_that_is_open_counts() -> None:
    rate = Cap("total", "requests", "minute", 5, "all keys together")
    spent = {("total", "day", 0): 800, ("total", "day", 86_400): 1}
    (today,) = standings([DAY, rate], spent, {DAY.id: 0}, NOON)
    assert (today.spent, today.share, today.refused, today.ends) == (800, 0.8, True, 86_400)
    (tomorrow,) = standings([DAY], spent, {DAY.id: 0}, NOON + 86_400)
    assert (tomorrow.spent, tomorrow.refused) == (1, False)
