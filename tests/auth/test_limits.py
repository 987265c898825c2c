"""Limits as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.auth.limits import Budget, parse_budget, parse_duration
from chittycan.errors import UsageError

USD = 10**9


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("10/day", Budget(day=10 * USD)),
        ("$0.05/day", Budget(day=50_000_000)),
        ("10/day, 100.5/month", Budget(day=10 * USD, month=100_500_000_000)),
        (" 7 / Month ", Budget(month=7 * USD)),
        ("0/day", Budget(day=0)),
        (None, Budget()),
        ("", Budget()),
    ],
)
def test_a_budget_is_dollars_per_day_and_month(text: str | None, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["10", "10/week", "ten/day", "-1/day", "nan/day", "inf/month", "1e30/day", "1/day,2/day", "/day", "1/day/2"]
)
def test_what_is_no_budget_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_budget(text)
    assert "10/day" in str(refused.value.fix)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("90s", 90), ("15m", 900), ("2W", 1_209_600)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "9999999d", "30 days", "٣d"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_duration(text)
    assert "30d" in str(refused.value.fix)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_budget, parse_duration):
        try:
            parse(text)
        except UsageError:
            pass
