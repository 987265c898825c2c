"""The ledger in sums: alike attempts together, small enough to reckon with, however many there were."""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Integer, case, cast, func, select

from chittycan.store.tables import ledger

SIZE = 4_096  # input tokens: attempts of about the same size stand together
HOUR = 3_600
# Bound, width and start, in milliseconds, of the steps in which latencies are counted: no coarser than a tenth.
STEPS = ((100, 1, 0), (1_000, 10, 100), (10_000, 100, 1_000), (100_000, 1_000, 10_000), (None, 10_000, 100_000))
STEP = 1_000_000  # apart are the numbers of the steps of one width from those of the next


class Flow(Struct, frozen=True, kw_only=True):
    """So many attempts that are alike, and what they add up to; `count` of them.

    `size` is a step of `SIZE` input tokens, `hour` counts hours since 1970 (0 where hours were not asked for).
    `unpriced`: their cost is unknown, for all of them.
    """

    asked: str | None
    kind: str | None
    label: str | None
    needs: str | None
    decision: str | None
    key_id: str | None
    surface: str
    model: str
    provider: str
    outcome: str
    failure: str | None
    size: int
    hour: int
    count: int
    unpriced: bool
    cost_nano: int
    input: int
    output: int
    cached: int
    cache_write: int
    reasoning: int

    @property
    def gone(self) -> bool:
        """The client left before anybody answered: `model` is what it had asked for."""
        return self.outcome == "cancelled" and not self.provider


_ALIKE = ("asked", "kind", "label", "needs", "decision", "key_id", "surface", "model", "provider", "outcome", "failure")
_SUMS = ("input", "output", "cached", "cache_write", "reasoning")


def flows(connection: Connection, since: float, until: float, key_id: str | None, *, hours: bool = False) -> list[Flow]:
    """What happened in [since, until), of one key's requests or of all."""
    alike: list[Any] = [ledger.c[name].label(name) for name in _ALIKE]
    alike += [(ledger.c.input // SIZE).label("size"), ledger.c.cost_nano.is_(None).label("unpriced")]
    if hours:
        alike.append(_floor(connection, ledger.c.at / HOUR).label("hour"))
    sums = [func.sum(ledger.c[name]).label(name) for name in _SUMS]
    query = select(
        *alike,
        func.count().label("count"),
        func.coalesce(func.sum(ledger.c.cost_nano), 0).label("cost_nano"),
        *sums,
    ).where(ledger.c.at >= since, ledger.c.at < until)
    if key_id is not None:
        query = query.where(ledger.c.key_id == key_id)
    numbers = ("count", "unpriced", "cost_nano", *_SUMS)
    rows = (row._asdict() for row in connection.execute(query.group_by(*alike)))
    # Postgres sums integers to Decimal.
    return [Flow(**{"hour": 0, **row, **{name: int(row[name]) for name in numbers}}) for row in rows]


def latencies(connection: Connection, since: float, until: float) -> dict[str, dict[float, int]]:
    """Per model how many answers took how long: milliseconds (the middle of a step) → count."""
    places = [
        _floor(connection, (ledger.c.ms - start) / width) + number * STEP
        for number, (_, width, start) in enumerate(STEPS)
    ]
    bounds = [ledger.c.ms < bound for bound, _, _ in STEPS[:-1]]
    step = case(*zip(bounds, places, strict=False), else_=places[-1]).label("step")
    query = select(ledger.c.model, step, func.count()).where(
        ledger.c.at >= since, ledger.c.at < until, ledger.c.outcome == "ok"
    )
    found: dict[str, dict[float, int]] = {}
    for model, place, count in connection.execute(query.group_by(ledger.c.model, step)):
        found.setdefault(model, {})[_middle(int(place))] = count
    return found


def _middle(place: int) -> float:
    number, steps = divmod(place, STEP)
    _, width, start = STEPS[number]
    return start + (steps + 0.5) * width


def _floor(connection: Connection, value: Any) -> Any:
    """The whole part of what is not negative: a cast cuts it off on SQLite and rounds it on Postgres."""
    return cast(value if connection.dialect.name == "sqlite" else func.floor(value), Integer)
