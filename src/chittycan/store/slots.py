"""The SQL of slots: how many calls each process may have open at once under a limit that all of them share.

A row per limit and process says what it holds and what it could use. Whoever changes a row sees all rows of its
limit and is alone with them, so that what living processes hold never passes the limit, but for calls that were
already open when it was lowered or when their process was taken for dead.
"""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Column, Connection, Double, Integer, Table, Text, text

from chittycan.store.tables import metadata

slots = Table(
    "slots",
    metadata,
    Column("scope", Text, primary_key=True),  # "model:<name>" | "provider:<name>"
    Column("owner", Text, primary_key=True),  # the process
    Column("held", Integer, nullable=False),
    Column("wanted", Integer, nullable=False),  # what it could use: calls open and calls waiting
    Column("since", Double),  # since when it holds nothing and wants something
    Column("expires", Double, nullable=False),  # what was not renewed by then belonged to a process that died
)


class Ask(Struct, frozen=True):
    """What a process says of one limit: `keep` it will not give up now, `wanted` it could use."""

    scope: str
    limit: int
    keep: int
    wanted: int


class Standing(Struct, frozen=True):
    """`held` is what the process has from now on. `quota` is its fair share: what it holds beyond, it should give
    back as its calls end."""

    held: int
    quota: int


class Holder(Struct):
    """One process's row."""

    owner: str
    held: int
    wanted: int
    since: float | None = None


def exchange(
    connection: Connection, owner: str, asks: Sequence[Ask], now: float, expires: float
) -> dict[str, Standing]:
    """Give back, take and renew. By scope, what the process holds afterwards. Times are Unix seconds."""
    # Always in the same order, so that two processes never wait for each other.
    return {ask.scope: _exchange(connection, owner, ask, now, expires) for ask in sorted(asks, key=_scope)}


def _exchange(connection: Connection, owner: str, ask: Ask, now: float, expires: float) -> Standing:
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(_ALONE, {"scope": ask.scope})
    rows = connection.execute(_ROWS, {"scope": ask.scope}).all()
    if any(row.expires < now for row in rows):
        connection.execute(_BURY, {"scope": ask.scope, "now": now})
    holders = [Holder(row.owner, row.held, row.wanted, row.since) for row in rows if row.expires >= now]
    others = [holder for holder in holders if holder.owner != owner]
    mine = next((holder for holder in holders if holder.owner == owner), Holder(owner, 0, 0))
    mine.wanted = max(ask.keep, ask.wanted)
    if mine.since is None and not mine.held and mine.wanted:
        mine.since = now
    quota = shares(ask.limit, [mine, *others])[owner]
    free = ask.limit - sum(holder.held for holder in others)
    mine.held = max(ask.keep, min(mine.wanted, quota, free))
    if mine.held:
        mine.since = None
    place = {"scope": ask.scope, "owner": owner}
    if mine.wanted:
        row = {"held": mine.held, "wanted": mine.wanted, "since": mine.since, "expires": expires}
        connection.execute(_HOLD, place | row)
    else:
        connection.execute(_DROP, place)
    return Standing(mine.held, quota)


def shares(limit: int, holders: Sequence[Holder]) -> dict[str, int]:
    """What is everybody's fair part of a limit: as equal as can be, and nobody gets more than it wants.

    What cannot be divided goes to those who have nothing, the longest waiting first, then to those who have most,
    so that it does not move about.
    """
    parts = {holder.owner: 0 for holder in holders}
    hungry = [holder for holder in holders if holder.wanted > 0]
    while limit and hungry:
        each = limit // len(hungry)
        if not each:
            hungry.sort(key=lambda one: (one.held > 0, one.since or 0.0, -one.held, one.owner))
            hungry, each = hungry[:limit], 1
        for holder in hungry:
            part = min(each, holder.wanted - parts[holder.owner])
            parts[holder.owner] += part
            limit -= part
        hungry = [holder for holder in hungry if holder.wanted > parts[holder.owner]]
    return parts


def surrender(connection: Connection, owner: str) -> None:
    """Give everything back: the process ends."""
    connection.execute(text("DELETE FROM slots WHERE owner = :owner"), {"owner": owner})


def held(connection: Connection, now: float) -> dict[str, int]:
    """By scope, how many slots living processes hold."""
    found = connection.execute(
        text("SELECT scope, SUM(held) AS held FROM slots WHERE expires >= :now GROUP BY scope"), {"now": now}
    )
    return {row.scope: int(row.held) for row in found}


def _scope(ask: Ask) -> str:
    return ask.scope


# Written out, because calls wait for them, as in `meters`.
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('slots/' || :scope, 0))")
_ROWS = text("SELECT owner, held, wanted, since, expires FROM slots WHERE scope = :scope")
_BURY = text("DELETE FROM slots WHERE scope = :scope AND expires < :now")
_HOLD = text(
    "INSERT INTO slots (scope, owner, held, wanted, since, expires) "
    "VALUES (:scope, :owner, :held, :wanted, :since, :expires) "
    "ON CONFLICT (scope, owner) DO UPDATE SET held = excluded.held, wanted = excluded.wanted, "
    "since = excluded.since, expires = excluded.expires"
)
_DROP = text("DELETE FROM slots WHERE scope = :scope AND owner = :owner")
