"""What people write for limits: `10/day`, `30d`, `100000`."""

import re
from decimal import Decimal, InvalidOperation

from msgspec import Struct

from chittycan.errors import UsageError

NANO = 10**9
LARGEST_BUDGET = Decimal(1_000_000_000)  # dollars; also what 64 bits of nano-dollars can hold
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}


class Budget(Struct, frozen=True):
    """Nano-dollars per calendar day and month (UTC); None: no cap."""

    day: int | None = None
    month: int | None = None


def parse_budget(text: str | None) -> Budget:
    """`10/day`, `$100/month`, or both with a comma; dollars. Raises `UsageError`."""
    found: dict[str, int] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        amount, _, period = part.strip().partition("/")
        period = period.strip().lower()
        if period not in ("day", "month") or period in found:
            raise UsageError(f"'{text}' is no budget", fix="write 10/day, 100/month or 10/day,100/month")
        found[period] = _dollars(amount.strip().removeprefix("$"), str(text))
    return Budget(**found)


def _dollars(amount: str, text: str) -> int:
    try:
        value = Decimal(amount)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value <= LARGEST_BUDGET:
        raise UsageError(f"'{text}' has no amount in dollars", fix="write 10/day, 100/month or 10/day,100/month")
    return round(value * NANO)


def parse_duration(text: str) -> int:
    """Seconds in `30d`, `12h`, `2w`, `1y`. Raises `UsageError`."""
    match = re.fullmatch(r"([0-9]{1,6})([smhdwy])", text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise UsageError(f"'{text}' is no length of time", fix="write a number and one of s m h d w y, as in 30d")
    return int(match[1]) * SECONDS[match[2]]
