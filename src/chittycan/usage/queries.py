"""What people ask of the ledger: one request, the latest attempts, sums per group, money spent."""

from decimal import Decimal
from typing import Any, Literal, get_args

from msgspec import Struct

from chittycan.clock import Clock
from chittycan.errors import InvalidRequest
from chittycan.store import ledger as rows
from chittycan.store.database import Database
from chittycan.usage.ledger import Attempt, Ledger
from chittycan.usage.periods import Period, window

By = Literal["provider", "model", "provider/model", "key", "kind", "agent", "session", "task", "decision", "all"]


class RequestUsage(Struct, kw_only=True):
    """One request: its attempts in order and what they add up to.

    `outcome` is that of the last attempt. `cost_nano` is None where a part of the cost is unknown. A request that was
    split (an ensemble, several prompts at once) is the sum of its parts; `ms` is then from the first to the last.
    """

    request_id: str
    outcome: str
    model: str
    provider: str
    ms: float
    first_token_ms: float | None
    input: int
    output: int
    cost_nano: int | None
    attempts: list[Attempt]


class Group(Struct, kw_only=True):
    """What one provider, model, key, kind or agent did. `name` is None for work that has none.

    Absorbed attempts are neither calls nor errors. `unpriced` counts the calls whose cost is unknown and so
    missing from `cost_nano`. Latencies are milliseconds over successful calls, by nearest rank.
    """

    name: str | None
    calls: int
    errors: int
    absorbed: int
    cancelled: int
    cache_hits: int
    input: int
    output: int
    cached: int
    cache_write: int
    reasoning: int
    cost_nano: int
    unpriced: int
    ms_p50: float | None
    ms_p95: float | None
    first_token_ms_p50: float | None
    first_token_ms_p95: float | None


class Queries:
    """Reads the ledger. With `ledger`, what this process still holds in memory is written first."""

    def __init__(self, database: Database, clock: Clock, ledger: Ledger | None = None) -> None:
        self._database = database
        self._clock = clock
        self._ledger = ledger

    async def request(self, request_id: str) -> RequestUsage | None:
        """One request by its id; None where the ledger has no such request."""
        await self._written()
        found = await self._database.read(rows.of_request, request_id)
        attempts = [Attempt(**row._mapping) for row in found]
        return _add_up(request_id, attempts) if attempts else None

    async def recent(
        self, limit: int = 50, kind: str | None = None, *, key_id: str | None = None, before: float | None = None
    ) -> list[Attempt]:
        """The newest attempts first. `kind` also finds what is below it (`email`: `email.triage`)."""
        await self._written()
        found = await self._database.read(rows.recent, limit, kind, key_id, before)
        return [Attempt(**row._mapping) for row in found]

    async def summary(
        self, since: float, by: By = "provider", until: float | None = None, *, key_id: str | None = None
    ) -> list[Group]:
        """One group per provider (or `by`) for attempts since then (of one key), the busiest first.

        Raises `InvalidRequest` for a `by` that is none of `By`.
        """
        if by not in get_args(By):
            raise InvalidRequest(f"cannot group by {by!r}", param="by", fix=f"use one of {', '.join(get_args(By))}")
        await self._written()
        found = await self._database.read(rows.summary, since, float("inf") if until is None else until, by, key_id)
        return [_group(row._mapping) for row in found]

    async def saved(self, since: float, key_id: str | None = None) -> int:
        """Answers since then that came only after another attempt had failed, of one key or of all."""
        await self._written()
        return await self._database.read(rows.saved, since, key_id)

    async def spent(self, key_id: str | None, period: Period) -> int:
        """Nano-dollars of a key (None: of all work) in the current day or month."""
        await self._written()
        start, end = window(period, self._clock.now())
        return await self._database.read(rows.spent, start, end, key_id)

    async def spent_by_key(self, period: Period) -> dict[str | None, int]:
        """Nano-dollars per key id in the current day or month; None is the work without a key."""
        await self._written()
        return await self._database.read(rows.spent_by_key, window(period, self._clock.now())[0])

    async def _written(self) -> None:
        if self._ledger is not None and self._ledger.pending:
            await self._ledger.flush()


def _add_up(request_id: str, attempts: list[Attempt]) -> RequestUsage:
    last = next((attempt for attempt in reversed(attempts) if attempt.outcome != "hedged"), attempts[-1])
    aside = any(attempt.outcome == "hedged" for attempt in attempts)
    split = last.request_id != request_id
    together = split and (last.decision or "").startswith("ensemble")
    good = split and any(attempt.outcome == "ok" for attempt in attempts)
    first = min(attempt.at - attempt.ms / 1e3 for attempt in attempts)
    costs = [attempt.cost_nano for attempt in attempts]
    return RequestUsage(
        request_id=request_id,
        outcome="ok" if good else last.outcome,
        model=last.decision or last.model if together else last.model,
        provider="" if together else last.provider,
        ms=(max(each.at for each in attempts if each.outcome != "hedged") - first) * 1e3
        if split or aside
        else sum(each.ms for each in attempts),
        first_token_ms=None if split else last.first_token_ms,
        input=sum(attempt.input for attempt in attempts),
        output=sum(attempt.output for attempt in attempts),
        cost_nano=None if None in costs else sum(cost for cost in costs if cost is not None),
        attempts=attempts,
    )


def _group(row: Any) -> Group:
    # Postgres sums integers to Decimal.
    values: dict[str, Any] = {name: int(value) if isinstance(value, Decimal) else value for name, value in row.items()}
    values["name"] = values["name"] or None
    return Group(**values)
