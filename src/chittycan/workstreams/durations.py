"""Durations and times as people write them: "90s", "1h30m", "2d"; "2026-12-01T09:00+01:00"."""

import re
from datetime import datetime

SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
LONGEST = 10 * 366 * SECONDS["d"]

_DURATION = re.compile(r"(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")


def seconds(text: str) -> int:
    """The seconds in a duration. Raises ValueError, which says how to write one."""
    found = _DURATION.fullmatch(text.strip().lower().replace(" ", "")) if len(text) <= 40 else None
    counts = () if found is None else found.groups("0")
    total = sum(int(count) * unit for count, unit in zip(counts, SECONDS.values(), strict=False))
    if total <= 0:
        raise ValueError(f'{text[:40]!r} is no duration; write it like "90s", "15m", "24h", "1h30m" or "2d"')
    if total > LONGEST:
        raise ValueError(f"{text[:40]!r} is longer than ten years")
    return total


def moment(text: str) -> float:
    """Unix seconds of an ISO 8601 time with its offset. Raises ValueError, which says how to write one."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f'{text[:40]!r} is no time; write it like "2026-12-01T09:00+01:00"') from None
    if when.tzinfo is None:
        raise ValueError(f'{text[:40]!r} has no offset; add "Z" for UTC, or one like "+01:00"')
    try:
        return when.timestamp()
    except (OverflowError, ValueError):
        raise ValueError(f"{text[:40]!r} is beyond all calendars") from None
