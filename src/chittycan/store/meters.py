"""The SQL of limits: how much of a cap is used in its window, and which process holds a lease of it.

`meters.used` is what was spent plus what processes hold. A process draws a slice with one conditional UPDATE,
so that `used` never passes the cap however many processes draw at once.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict, astuple, force_setattr
from sqlalchemy import Connection, text

# Windows that ended so long ago (seconds) are forgotten: clocks of several machines may differ by less.
FORGET_AFTER = 3_600
UNLIMITED = 2**63 - 1


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
    place = asdict(meter)
    if ask.debt:
        _add(connection, place, ask.debt, UNLIMITED)
    if not ask.need:
        return Grant(0, 0)
    for _ in range(8):
        amount = max(ask.slice, ask.wanted)
        if not _add(connection, place, amount, ask.near):
            room = max(0, ask.cap - _used(connection, place))
            if room < ask.need:
                return Grant(0, room)
            amount = min(ask.wanted, room)
            # On Postgres another process may have drawn since we looked; then we look again.
            if not _add(connection, place, amount, ask.cap):
                continue
        connection.execute(_HOLD, place | {"owner": ask.owner, "amount": amount, "expires": ask.expires})
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
    for each in sorted(reports, key=lambda each: astuple(each.meter)):
        place = asdict(each.meter)
        if each.unspent:
            _add(connection, place, -each.unspent, UNLIMITED)
        mine = place | {"owner": owner, "amount": each.held, "expires": expires}
        if each.held <= 0:
            connection.execute(_RELEASE, mine)
        elif not connection.execute(_RENEW, mine).rowcount:
            # Somebody took us for dead. What we hold is charged all the same; say again that we hold it.
            connection.execute(_HOLD, mine)


def sweep(connection: Connection, now: float) -> int:
    """Forget leases whose owner is gone (they stay spent) and windows long over. The number of dead leases."""
    dead = connection.execute(text("DELETE FROM leases WHERE expires < :now"), {"now": now}).rowcount
    connection.execute(text("DELETE FROM meters WHERE ends < :moment"), {"moment": int(now) - FORGET_AFTER})
    return dead


def standing(connection: Connection, meter: Meter, now: float) -> tuple[int, int]:
    """Of one meter: what was spent, and what living processes hold beyond that."""
    place = asdict(meter)
    reserved = int(connection.scalar(_HELD, place | {"now": now}) or 0)
    return _used(connection, place) - reserved, reserved


# Written out, because calls wait for them: built by SQLAlchemy they cost 1 ms. Only our own names are pasted in.
_WHERE = "WHERE scope = :scope AND unit = :unit AND period = :period AND start = :start"
_USED = text(f"SELECT used FROM meters {_WHERE}")  # noqa: S608
_ADD = text(f"UPDATE meters SET used = used + :amount {_WHERE} AND used + :amount <= :limit")  # noqa: S608
_BEGIN = text(
    "INSERT INTO meters (scope, unit, period, start, ends, used) VALUES (:scope, :unit, :period, :start, :ends, 0) "
    "ON CONFLICT DO NOTHING"
)
_HOLD = text(
    "INSERT INTO leases (owner, scope, unit, period, start, amount, expires) "
    "VALUES (:owner, :scope, :unit, :period, :start, :amount, :expires) "
    "ON CONFLICT (owner, scope, unit, period, start) "
    "DO UPDATE SET amount = leases.amount + excluded.amount, expires = excluded.expires"
)
_RENEW = text(f"UPDATE leases SET amount = :amount, expires = :expires {_WHERE} AND owner = :owner")  # noqa: S608
_RELEASE = text(f"DELETE FROM leases {_WHERE} AND owner = :owner")  # noqa: S608
_HELD = text(f"SELECT SUM(amount) FROM leases {_WHERE} AND expires >= :now")  # noqa: S608


def _used(connection: Connection, place: dict[str, Any]) -> int:
    return int(connection.scalar(_USED, place) or 0)


def _add(connection: Connection, place: dict[str, Any], amount: int, limit: int) -> bool:
    """Add to `used` unless that would pass `limit`: one conditional UPDATE, and the row's birth before it."""
    change = place | {"amount": amount, "limit": limit}
    if connection.execute(_ADD, change).rowcount:
        return True
    if amount > limit or not connection.execute(_BEGIN, place).rowcount:
        return False
    return bool(connection.execute(_ADD, change).rowcount)
