"""The SQL of limits: how much of a cap is used in its window, and which process holds a lease of it.

`meters.used` is what was spent plus what processes hold. A process draws a slice with one conditional UPDATE,
so that `used` never passes the cap however many processes draw at once.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import force_setattr
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, select, update

from chittycan.store.tables import leases, meters

# Windows that ended so long ago (seconds) are forgotten: clocks of several machines may differ by less.
FORGET_AFTER = 3_600


MEASURES = ("nano", "requests", "tokens")


class Cap(Struct, frozen=True):
    """An owner's limit: at most `limit` of a unit per period, for one key or in total.

    `label` names whom it limits in messages ("key 'laptop'"). `id` and `measure` (the unit's place in
    `MEASURES`) follow from the rest.
    """

    scope: str  # "key:<id>" | "total"
    unit: Literal["nano", "requests", "tokens"]
    period: Literal["minute", "day", "month"]
    limit: int
    label: str
    id: str = ""
    measure: int = 0

    def __post_init__(self) -> None:
        force_setattr(self, "id", f"{self.scope}/{self.unit}/{self.period}")
        force_setattr(self, "measure", MEASURES.index(self.unit))


class Meter(Struct, frozen=True):
    """One cap in one window: [start, ends) in Unix seconds."""

    scope: str
    unit: str
    period: str
    start: int
    ends: int


class Draw(Struct, frozen=True):
    """What a process asks of a meter whose cap is `cap`.

    `debt` was spent beyond earlier leases and is charged in any case. `need` is what the waiting call must have,
    `wanted` what all waiting calls want, `slice` what would spare the next trips; `near` is the level up to which
    slices are given out.
    """

    owner: str
    cap: int
    near: int
    debt: int
    need: int
    wanted: int
    slice: int
    expires: float


class Grant(Struct, frozen=True):
    """What was given: 0 with `room` (what is left of the cap) where it was less than the need."""

    amount: int
    room: int


def draw(connection: Connection, meter: Meter, ask: Draw) -> Grant:
    """Charge the debt and take a lease: a slice while the cap is far, else no more than calls wait for."""
    if ask.debt:
        _add(connection, meter, ask.debt, None)
    if not ask.need:
        return Grant(0, 0)
    for _ in range(8):
        amount = max(ask.slice, ask.wanted)
        if not _add(connection, meter, amount, ask.near):
            room = max(0, ask.cap - _used(connection, meter))
            if room < ask.need:
                return Grant(0, room)
            amount = min(ask.wanted, room)
            # On Postgres another process may have drawn since we looked; then we look again.
            if not _add(connection, meter, amount, ask.cap):
                continue
        _hold(connection, meter, ask.owner, amount, ask.expires)
        return Grant(amount, 0)
    return Grant(0, 0)


class Report(Struct, frozen=True):
    """What a process says of its lease: `unspent` goes back (negative: it was spent beyond the lease and is
    charged), `held` it keeps."""

    meter: Meter
    unspent: int
    held: int


def report(connection: Connection, owner: str, reports: Sequence[Report], expires: float) -> None:
    """Book what a process returns and renew its leases."""
    # Always in the same order, so that two processes never wait for each other's rows.
    for each in sorted(reports, key=lambda each: (each.meter.scope, each.meter.unit, each.meter.period)):
        _report(connection, owner, each.meter, each.unspent, each.held, expires)


def _report(connection: Connection, owner: str, meter: Meter, unspent: int, held: int, expires: float) -> None:
    if unspent:
        connection.execute(update(meters).where(_same(meters, meter)).values(used=meters.c.used - unspent))
    mine = and_(_same(leases, meter), leases.c.owner == owner)
    if held <= 0:
        connection.execute(delete(leases).where(mine))
    elif not connection.execute(update(leases).where(mine).values(amount=held, expires=expires)).rowcount:
        # Somebody took us for dead. What we hold is charged all the same; say again that we hold it.
        _hold(connection, meter, owner, held, expires)


def sweep(connection: Connection, now: float) -> int:
    """Forget leases whose owner is gone (they stay spent) and windows long over. The number of dead leases."""
    dead = connection.execute(delete(leases).where(leases.c.expires < now)).rowcount
    connection.execute(delete(meters).where(meters.c.ends < now - FORGET_AFTER))
    return dead


def standing(connection: Connection, scope: str, unit: str, period: str, start: int, now: float) -> tuple[int, int]:
    """Of one meter: what was spent, and what living processes hold beyond that."""
    meter = Meter(scope, unit, period, start, 0)
    held = select(func.coalesce(func.sum(leases.c.amount), 0)).where(_same(leases, meter), leases.c.expires >= now)
    reserved = int(connection.scalar(held) or 0)
    return _used(connection, meter) - reserved, reserved


def _used(connection: Connection, meter: Meter) -> int:
    return int(connection.scalar(select(meters.c.used).where(_same(meters, meter))) or 0)


def _add(connection: Connection, meter: Meter, amount: int, limit: int | None) -> bool:
    """Add to `used` unless that would pass `limit`: one conditional UPDATE, and the row's birth before it."""
    change = update(meters).where(_same(meters, meter)).values(used=meters.c.used + amount)
    if limit is not None:
        change = change.where(meters.c.used + amount <= limit)
    if connection.execute(change).rowcount:
        return True
    if limit is not None and amount > limit:
        return False
    born = _insert(connection, meters).values(
        scope=meter.scope, unit=meter.unit, period=meter.period, start=meter.start, ends=meter.ends, used=0
    )
    if not connection.execute(born.on_conflict_do_nothing()).rowcount:
        return False
    return bool(connection.execute(change).rowcount)


def _hold(connection: Connection, meter: Meter, owner: str, amount: int, expires: float) -> None:
    new = _insert(connection, leases).values(
        owner=owner,
        scope=meter.scope,
        unit=meter.unit,
        period=meter.period,
        start=meter.start,
        amount=amount,
        expires=expires,
    )
    more = {"amount": leases.c.amount + amount, "expires": expires}
    connection.execute(new.on_conflict_do_update(index_elements=list(leases.primary_key), set_=more))


def _insert(connection: Connection, table: Table) -> Any:
    """An INSERT that can say ON CONFLICT; only the dialect in use is imported."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def _same(table: Table, meter: Meter) -> ColumnElement[bool]:
    return and_(
        table.c.scope == meter.scope,
        table.c.unit == meter.unit,
        table.c.period == meter.period,
        table.c.start == meter.start,
    )
