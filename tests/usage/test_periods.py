"""Windows follow the UTC calendar."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.usage.periods import PERIODS, Period, moment, window


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "now", "start", "end"),
    [
        ("minute", "2026-11-23T10:20:59.999", "2026-11-23T10:20", "2026-11-23T10:21"),
        ("day", "2026-11-23T00:00:00", "2026-11-23", "2026-11-24"),
        ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_a_window_is_the_calendars(period: Period, now: str, start: str, end: str) -> None:
    assert window(period, at(now)) == (at(start), at(end))


@given(st.sampled_from(PERIODS), st.floats(0, 4e9))
def test_windows_neither_overlap_nor_leave_gaps(period: Period, now: float) -> None:
    start, end = window(period, now)
    assert start <= now < end
    assert window(period, end)[0] == end
    assert window(period, start) == (start, end)


def test_a_moment_reads_as_utc() -> None:
    assert moment(at("2026-12-01")) == "2026-12-01 00:00 UTC"
