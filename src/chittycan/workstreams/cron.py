"""Pure: the times that a crontab's five fields and a time zone name, also where clocks are changed.

A time that does not exist, because the clock was put forward over it, is the moment at which that happened. One that
exists twice, because the clock was put back, is the first; but what runs in every hour (hour `*` or `*/n`) runs in
both. So a daily time comes once on every day, and an interval goes on evenly.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from msgspec import Struct

_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_FIELDS: tuple[tuple[int, int, Mapping[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 7, _DAYS)
)  # fmt: skip
LONGEST_DAYS = 8 * 366 + 1  # 29 February may be eight years away
# From which time on it is looked for the last ones before now: first nearby, then further and further back.
_LOOKS = (3600.0, 86_400.0, 8 * 86_400.0, 32 * 86_400.0, 366 * 86_400.0, 8 * 366 * 86_400.0)


class Cron(Struct, frozen=True):
    """What the fields let through. Where both days and weekdays are restricted, either is enough, as cron has it."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either: bool
    hourly: bool  # it runs in every hour, or every n-th

    def on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week


def parse(text: str) -> Cron:
    """Five fields: minute, hour, day, month, weekday; numbers, ranges, steps, lists, names. Raises ValueError."""
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{text[:40]!r} is no schedule")
    minutes, hours, days, months, weekdays = (
        _field(field, *bounds, text) for field, bounds in zip(fields, _FIELDS, strict=True)
    )
    cron = Cron(
        minutes=tuple(sorted(minutes)), hours=tuple(sorted(hours)), days=frozenset(days), months=frozenset(months),
        weekdays=frozenset(each % 7 for each in weekdays),
        either=not fields[2].startswith("*") and not fields[4].startswith("*"), hourly=fields[1].startswith("*"),
    )  # fmt: skip
    if not cron.either and not any(_exists(day, month) for day in cron.days for month in cron.months):
        raise ValueError(f"{text[:40]!r} is on no day of any year")
    return cron


def times(cron: Cron, timezone: str, after: float) -> Iterator[float]:
    """Unix seconds of every time after `after`, in order, for ever."""
    zone = ZoneInfo(timezone)
    found: list[float] = []
    last = after
    # A clock is changed by at most a day at once.
    for wall in _walls(cron, (datetime.fromtimestamp(after, UTC).astimezone(zone) - timedelta(days=1)).date()):
        first, *more = _moments(wall, zone, twice=cron.hourly)
        while found and found[0] < first:  # none that comes later can be before it
            if (moment := heappop(found)) > last:
                last = moment
                yield moment
        for moment in (first, *more):
            heappush(found, moment)


def latest(cron: Cron, timezone: str, after: float, now: float, most: int) -> list[float]:
    """Of the times after `after` and not after `now`, the last ones, at most so many, in order."""
    found: list[float] = []
    for look in _LOOKS:
        found = []
        for moment in times(cron, timezone, max(after, now - look)):
            if moment > now:
                break
            found = [*found[-most + 1 :], moment] if most > 1 else [moment]
        if len(found) >= most or now - look <= after:
            break
    return found


def _walls(cron: Cron, day: date) -> Iterator[datetime]:
    """What a clock on the wall shows at the times, from this day on."""
    while day.year < date.max.year:
        if cron.on(day):
            for hour in cron.hours:
                for minute in cron.minutes:
                    yield datetime(day.year, day.month, day.day, hour, minute)
        day += timedelta(days=1)


def _moments(wall: datetime, zone: ZoneInfo, *, twice: bool) -> tuple[float, ...]:
    """When a clock there shows that: once; never, and then when it was put forward; or two times, in order."""
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return (first.timestamp(),)
    if (early := first.timestamp()) < (late := second.timestamp()):
        return (early, late) if twice else (early,)
    return (_jump(late, early, zone),)


def _jump(before: float, after: float, zone: ZoneInfo) -> float:
    """The second between two at which the clock was put forward."""
    low, high = int(before), int(after)
    old = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return float(high)


def _exists(day: int, month: int) -> bool:
    return day <= (29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31)


def _field(field: str, low: int, high: int, names: Mapping[str, int], text: str) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = re.fullmatch(r"(\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d{0,3}))?", part, re.ASCII)
        ends = [] if match is None else [str(names.get(each, each)) for each in match.group(2, 3) if each is not None]
        if match is None or not all(each.isdecimal() and len(each) < 4 and low <= int(each) <= high for each in ends):
            raise ValueError(f"{text[:40]!r} is no schedule")
        first = int(ends[0]) if ends else low
        # `5/15` starts at 5 and goes on to the end.
        last = int(ends[1]) if len(ends) == 2 else high if not ends or match[4] else first
        if first > last:
            raise ValueError(f"{text[:40]!r} is no schedule")
        found.update(range(first, last + 1, int(match[4] or 1)))
    return found
