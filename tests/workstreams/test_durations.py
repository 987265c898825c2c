"""Durations and times, as people write them."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.workstreams.durations import moment, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("15m", 900), ("24h", 86_400), ("2d", 172_800), ("1w", 604_800), ("1h30m", 5400), (" 1H 30M ", 5400)],
)
def test_a_duration_is_read(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "2x", "0s", "-1h", "1.5h", "30m1h", "h", "999999999d", "9" * 50 + "s", "٣h"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|longer than"):
        seconds(text)


@given(st.text(max_size=50))
def test_no_text_breaks_the_readers(text: str) -> None:
    for read in (seconds, moment):
        with suppress(ValueError):
            assert isinstance(read(text), int | float)


def test_a_time_is_read_with_its_offset() -> None:
    assert moment("2026-12-01T09:00+01:00") == datetime(2026, 12, 1, 8, tzinfo=UTC).timestamp()
    assert moment("2026-12-01T08:00Z") == moment("2026-12-01T09:00+01:00")


def test_a_time_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no offset"):
        moment("2026-12-01T09:00")
