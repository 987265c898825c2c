"""The windows in which limits count: fixed, aligned to the UTC calendar."""

from datetime import UTC, datetime
from typing import Literal

Period = Literal["minute", "day", "month"]
PERIODS: tuple[Period, ...] = ("minute", "day", "month")


def window(period: Period, at: float) -> tuple[int, int]:
    """Start (included) and end (excluded) of the window that holds the moment `at`; Unix seconds."""
    if period == "month":
        moment = datetime.fromtimestamp(at, UTC)
        start = datetime(moment.year, moment.month, 1, tzinfo=UTC)
        following = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
        return int(start.timestamp()), int(following.timestamp())
    length = 60 if period == "minute" else 86_400
    start_second = int(at // length) * length
    return start_second, start_second + length


def moment(at: float) -> str:
    """A moment as people read it: `2026-12-01 00:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
