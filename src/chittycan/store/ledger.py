"""The SQL of the ledger: rows in by the batch, and what people ask of them."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import CTE, Connection, Row, Select, and_, case, func, literal, select

from chittycan.store.tables import ledger

# Rows per statement on SQLite: each statement lets go of Python's lock once, and a busy event loop takes its time
# to give it back. Beyond some dozens of rows nothing is gained.
SQLITE_ROWS = 50

_COLUMNS = [column.name for column in ledger.columns]
_ONE_ROW = f"({','.join('?' * len(_COLUMNS))})"
_SQLITE = f"INSERT INTO ledger ({','.join(_COLUMNS)}) VALUES {{}} ON CONFLICT DO NOTHING"  # noqa: S608 (own names)
_SQLITE_MANY = _SQLITE.format(",".join([_ONE_ROW] * SQLITE_ROWS))
_SQLITE_ONE = _SQLITE.format(_ONE_ROW)
_COPY = f"COPY ledger ({','.join(_COLUMNS)}) FROM STDIN"
_POSTGRES_ONE = (
    f"INSERT INTO ledger ({','.join(_COLUMNS)}) VALUES ({','.join(['%s'] * len(_COLUMNS))}) ON CONFLICT DO NOTHING"  # noqa: S608
)

MOST_PARTS = 64  # of a request, that `of_request` finds

# What a summary may be grouped by. An agent is the kind of its work without the domain: `email.triage` → `triage`.
GROUPS = ("provider", "model", "provider/model", "key", "kind", "agent", "session", "task", "decision", "all")


def insert(connection: Connection, attempts: Sequence[Struct]) -> None:
    """Add attempts, whose fields are the table's columns in order; one that is already there is left as it is."""
    rows = [astuple(attempt) for attempt in attempts]
    if connection.dialect.name == "sqlite":
        full = len(rows) - len(rows) % SQLITE_ROWS
        for start in range(0, full, SQLITE_ROWS):
            values = tuple(chain.from_iterable(rows[start : start + SQLITE_ROWS]))
            connection.exec_driver_sql(_SQLITE_MANY, values)
        if rest := rows[full:]:
            connection.exec_driver_sql(_SQLITE_ONE, rest)
    elif rows:
        _insert_postgres(connection, rows)


def _insert_postgres(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    # COPY costs a quarter of INSERT, but knows no ON CONFLICT: a batch that was already written (its commit's
    # answer was lost) is rare and goes the slow way.
    from psycopg.errors import UniqueViolation

    savepoint = connection.begin_nested()
    cursor: Any = connection.connection.cursor()
    try:
        with cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)
    except UniqueViolation:
        savepoint.rollback()
        connection.exec_driver_sql(_POSTGRES_ONE, rows)
    else:
        savepoint.commit()


def of_request(connection: Connection, request_id: str) -> Sequence[Row[Any]]:
    """Every attempt of a request and of the parts that it was split into (`ID_1`, `ID_2` …), in order."""
    ids = [request_id, *(f"{request_id}_{part}" for part in range(1, MOST_PARTS + 1))]
    found = connection.execute(select(ledger).where(ledger.c.request_id.in_(ids))).all()
    return sorted(found, key=lambda row: (ids.index(row.request_id), row.position))


def recent(
    connection: Connection, limit: int, kind: str | None, key_id: str | None, before: float | None
) -> Sequence[Row[Any]]:
    """The newest attempts first; `kind` also takes a prefix (`email` finds `email.triage`)."""
    found = select(ledger).order_by(ledger.c.at.desc(), ledger.c.request_id, ledger.c.position.desc()).limit(limit)
    if kind is not None:
        found = found.where((ledger.c.kind == kind) | ledger.c.kind.startswith(f"{kind}.", autoescape=True))
    if key_id is not None:
        found = found.where(ledger.c.key_id == key_id)
    if before is not None:
        found = found.where(ledger.c.at < before)
    return connection.execute(found).all()


def requests(connection: Connection, limit: int) -> list[list[Row[Any]]]:
    """The attempts of each of the newest requests, in their order; the newest request first."""
    newest = select(ledger.c.request_id).where(ledger.c.position == 0).order_by(ledger.c.at.desc()).limit(limit)
    found = select(ledger).where(ledger.c.request_id.in_(newest)).order_by(ledger.c.at.desc(), ledger.c.position.desc())
    rows: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(found):
        rows.setdefault(row.request_id, []).insert(0, row)
    return list(rows.values())


def spent(connection: Connection, since: float, until: float, key_id: str | None) -> int:
    """Nano-dollars of all attempts in [since, until), of one key or of all."""
    total = select(func.coalesce(func.sum(ledger.c.cost_nano), 0)).where(ledger.c.at >= since, ledger.c.at < until)
    if key_id is not None:
        total = total.where(ledger.c.key_id == key_id)
    return int(connection.scalar(total) or 0)


def spent_by_key(connection: Connection, since: float) -> dict[str | None, int]:
    """Nano-dollars per key since then; None is the work without a key."""
    total = select(ledger.c.key_id, func.sum(ledger.c.cost_nano)).where(ledger.c.at >= since).group_by(ledger.c.key_id)
    return {key_id: int(nano or 0) for key_id, nano in connection.execute(total)}


def saved(connection: Connection, since: float, key_id: str | None) -> int:
    """Answers that came only after another attempt had failed, of one key or of all."""
    found = select(func.count()).where(ledger.c.at >= since, ledger.c.outcome == "ok", ledger.c.position > 0)
    return int(connection.scalar(found if key_id is None else found.where(ledger.c.key_id == key_id)) or 0)


def summary(connection: Connection, since: float, until: float, by: str, key_id: str | None) -> Sequence[Row[Any]]:
    """One row per group: name, counts, tokens, cost, and the latencies at the 50th and 95th percentile."""
    # Groups are joined by name below, and NULL equals nothing.
    name = func.coalesce(_group(connection, by), "").label("name")
    asked = select(name, *ledger.columns).where(ledger.c.at >= since, ledger.c.at < until)
    rows = (asked if key_id is None else asked.where(ledger.c.key_id == key_id)).cte("asked")
    totals = _totals(rows).cte("totals")
    ms = _percentiles(rows, rows.c.ms, rows.c.outcome == "ok", "ms").cte("ms_ranks")
    token = _percentiles(rows, rows.c.first_token_ms, rows.c.first_token_ms.is_not(None), "first_token_ms").cte("token")
    return connection.execute(
        select(totals, ms.c.ms_p50, ms.c.ms_p95, token.c.first_token_ms_p50, token.c.first_token_ms_p95)
        .outerjoin(ms, ms.c.name == totals.c.name)
        .outerjoin(token, token.c.name == totals.c.name)
        .order_by(totals.c.calls.desc(), totals.c.name)
    ).all()


def _group(connection: Connection, by: str) -> Any:
    if by == "agent":
        dot = (func.instr if connection.dialect.name == "sqlite" else func.strpos)(ledger.c.kind, ".")
        return func.substr(ledger.c.kind, dot + 1)
    if by == "provider/model":
        return ledger.c.provider + "/" + ledger.c.model
    if by == "all":
        return literal("")
    return ledger.c["key_id" if by == "key" else by]


def _totals(rows: CTE) -> Select[Any]:
    def count(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    outcome = rows.c.outcome
    return select(
        rows.c.name,
        count(outcome.not_in(("absorbed", "hedged"))).label("calls"),
        count(outcome == "failed").label("errors"),
        count(outcome == "absorbed").label("absorbed"),
        count(outcome == "cancelled").label("cancelled"),
        count(outcome == "cached").label("cache_hits"),
        func.sum(rows.c.input).label("input"),
        func.sum(rows.c.output).label("output"),
        func.sum(rows.c.cached).label("cached"),
        func.sum(rows.c.cache_write).label("cache_write"),
        func.sum(rows.c.reasoning).label("reasoning"),
        func.coalesce(func.sum(rows.c.cost_nano), 0).label("cost_nano"),
        count(and_(rows.c.cost_nano.is_(None), outcome.in_(("ok", "cancelled", "hedged")))).label("unpriced"),
    ).group_by(rows.c.name)


def _percentiles(rows: CTE, value: Any, condition: Any, label: str) -> Select[Any]:
    # Nearest rank, by window functions: SQLite has no percentile_cont.
    ranked = (
        select(
            rows.c.name,
            value.label("value"),
            func.row_number().over(partition_by=rows.c.name, order_by=value).label("rank"),
            func.count().over(partition_by=rows.c.name).label("total"),
        )
        .where(condition)
        .subquery()
    )

    def at(percent: int) -> Any:
        # The smallest value with at least that share of values at or below it.
        reached = ranked.c.rank * 100 >= ranked.c.total * percent
        return func.min(case((reached, ranked.c.value))).label(f"{label}_p{percent}")

    return select(ranked.c.name, at(50), at(95)).group_by(ranked.c.name)
