"""Times of a crontab, also on the days on which clocks are changed."""

from datetime import UTC, datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chittycan.workstreams.cron import latest, parse, times


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def following(fields: str, zone: str, after: str, count: int) -> list[str]:
    """What a clock there shows at the next times, with its offset."""
    found = islice(times(parse(fields), zone, at(after)), count)
    return [f"{datetime.fromtimestamp(each, ZoneInfo(zone)):%m-%d %H:%M %z}" for each in found]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("0 6 * * *", ["11-24 06:00 +0000", "11-25 06:00 +0000"]),
        ("*/20 9-10 * * *", ["11-24 09:00 +0000", "11-24 09:20 +0000"]),
        ("0 0 1 jan,jul *", ["01-01 00:00 +0000", "07-01 00:00 +0000"]),
        ("0 9 * * mon-fri/2", ["11-25 09:00 +0000", "11-27 09:00 +0000"]),
        ("0 9 * * 7", ["11-29 09:00 +0000", "12-06 09:00 +0000"]),
        ("0 9 1 * sun", ["11-29 09:00 +0000", "12-01 09:00 +0000"]),  # either day is enough
        ("0 9 */10 * sun", ["01-31 09:00 +0000", "02-21 09:00 +0000"]),  # both, for * restricts nothing
        ("0 0 29 2 *", ["02-29 00:00 +0000", "02-29 00:00 +0000"]),
        ("50/5 * * * *", ["11-23 12:50 +0000", "11-23 12:55 +0000"]),
    ],
)
def test_times_are_those_of_a_crontab(fields: str, expected: list[str]) -> None:
    assert following(fields, "UTC", "2026-11-23T12:00+00:00", 2) == expected


def test_a_time_that_is_skipped_is_when_the_clock_was_put_forward() -> None:
    """In Vienna there is no 02:30 on 29 March 2026."""
    assert following("30 2 * * *", "Europe/Vienna", "2026-03-28T00:00Z", 3) == [
        "03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"]  # fmt: skip


def test_a_time_that_comes_twice_is_the_first() -> None:
    """In Vienna 02:30 comes twice on 25 October 2026."""
    assert following("30 2 * * *", "Europe/Vienna", "2026-10-24T00:00Z", 3) == [
        "10-24 02:30 +0200", "10-25 02:30 +0200", "10-26 02:30 +0100"]  # fmt: skip
    assert following("30 2 * * *", "Europe/Vienna", "2026-10-25T00:30Z", 1) == ["10-26 02:30 +0100"]


def test_an_interval_goes_on_evenly_through_both() -> None:
    for fields, minutes in (("*/30 * * * *", 30), ("0 * * * *", 60)):
        for day in ("2026-03-28T22:00Z", "2026-10-24T22:00Z"):
            found = list(islice(times(parse(fields), "Europe/Vienna", at(day)), 12))
            assert {b - a for a, b in pairwise(found)} == {minutes * 60}


def test_a_day_that_a_country_left_out_is_the_end_of_the_day_before() -> None:
    """Samoa had no 30 December 2011."""
    assert following("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00Z", 3) == [
        "12-29 12:00 -1000", "12-31 00:00 +1400", "12-31 12:00 +1400"]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *",
     "*/0 * * * *", "a * * * *", "@daily", "0 0 31 2 *", "0 0 30,31 feb *", "0 0 31 4,6 *", "1-2-3 * * * *"],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(fields: str) -> None:
    with pytest.raises(ValueError, match="is"):
        parse(fields)


FIELD = st.sampled_from(["*", "*/7", "3", "1,5", "2-6", "4/3"])
ZONES = st.sampled_from(["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
MOMENTS = st.integers(int(at("2020-01-01T00:00Z")), int(at("2030-01-01T00:00Z")))


@given(FIELD, FIELD, FIELD, FIELD, ZONES, MOMENTS)
def test_times_go_forward_and_fit_their_fields(
    minute: str, hour: str, day: str, month: str, zone: str, after: int
) -> None:
    fields = f"{minute} {hour} {day} {month} *"
    cron = parse(fields)
    found = list(islice(times(cron, zone, after), 5))
    assert found == sorted(set(found))
    assert found[0] > after
    # From any time in between the next ones are the same.
    assert list(islice(times(cron, zone, found[1]), 3)) == found[2:]
    for each in found:
        wall = datetime.fromtimestamp(each, ZoneInfo(zone))
        assert wall.month in cron.months
        skipped = wall.utcoffset() != datetime.fromtimestamp(each - 1, ZoneInfo(zone)).utcoffset()
        assert skipped or (wall.minute in cron.minutes and wall.hour in cron.hours and wall.day in cron.days)


@given(FIELD, FIELD, FIELD, MOMENTS)
def test_in_utc_nothing_is_left_out(minute: str, hour: str, weekday: str, after: int) -> None:
    """Compared with an implementation of others."""
    croniter = pytest.importorskip("croniter", reason="comes with the extra `workstreams`")
    assume("4/3" not in (minute, hour, weekday))  # which it reads otherwise
    fields = f"{minute} {hour} * * {weekday}"
    others = croniter.croniter(fields, datetime.fromtimestamp(after, UTC))
    assert list(islice(times(parse(fields), "UTC", after), 5)) == [others.get_next(float) for _ in range(5)]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_latest_are_the_last_before_now(most: int) -> None:
    cron, after, now = parse("0 */6 * * *"), at("2026-11-01T00:00Z"), at("2026-11-05T06:00Z")
    everything = [each for each in islice(times(cron, "UTC", after), 100) if each <= now]
    assert latest(cron, "UTC", after, now, most) == everything[-most:]
    assert len(everything) == 17
    assert latest(cron, "UTC", now, now, most) == []
    assert latest(cron, "UTC", 0, now, 2) == everything[-2:]
