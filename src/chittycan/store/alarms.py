"""Which budget alarms were given, so that each is given once, and what was spent of every budget's window."""

from sqlalchemy import BigInteger, Column, Connection, Double, Integer, Table, Text, delete, text

from chittycan.store.tables import metadata
from chittycan.store.upsert import insert

FORGET_AFTER = 40 * 86_400.0  # longer than the longest window

budget_alarms = Table(
    "budget_alarms",
    metadata,
    Column("scope", Text, primary_key=True),  # as in `meters`, and the budget: "total=5000000000"
    Column("period", Text, primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("per_mille", Integer, primary_key=True, autoincrement=False),  # of the budget
    Column("at", Double, nullable=False),
)

Window = tuple[str, str, int]  # scope, period, start


def claim(connection: Connection, window: Window, per_mille: int, now: float) -> bool:
    """Whether nobody has given this alarm yet; from now on somebody has."""
    scope, period, start = window
    values = {"scope": scope, "period": period, "start": start, "per_mille": per_mille, "at": now}
    statement = insert(connection, budget_alarms).values(values).on_conflict_do_nothing()
    new = connection.execute(statement.returning(budget_alarms.c.at)).first() is not None
    if new:
        connection.execute(delete(budget_alarms).where(budget_alarms.c.at < now - FORGET_AFTER))
    return new


def spending(connection: Connection, now: float) -> dict[Window, int]:
    """Nano-dollars spent in every window of a budget that is open now; what processes only hold is not spent."""
    found = connection.execute(_SPENT, {"now": now, "moment": int(now)})
    return {(scope, period, int(start)): int(used) for scope, period, start, used in found}


_SPENT = text(
    "SELECT m.scope, m.period, m.start, m.used - COALESCE(SUM(l.amount), 0) FROM meters m "
    "LEFT JOIN leases l ON l.scope = m.scope AND l.unit = m.unit AND l.period = m.period AND l.start = m.start "
    "AND l.expires >= :now "
    "WHERE m.unit = 'nano' AND m.start <= :moment AND m.ends > :moment GROUP BY m.scope, m.period, m.start, m.used"
)
