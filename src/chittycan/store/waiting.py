"""Chains of models that tasks wait for, and the tasks that wait. `workstreams.waves` says what is to be done.

A chain's row is locked before anything is decided about those who wait for it, and after every other row that the
transaction needs; under that lock only tasks that wait, and that nobody else is at, are touched.
"""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update

from chittycan.store.upsert import insert
from chittycan.store.work_tables import chains, tasks

WAITING = "waiting_for_model"
Waiter = Mapping[str, Any]  # id, run, due


class Chain(Struct, frozen=True, kw_only=True):
    """`due`: when one of its tasks tries next, or was to; `failed`: when a try failed last. Unix seconds."""

    chain: str
    tries: int = 0
    failed: float = 0.0
    due: float = 0.0


def lock(connection: Connection, chain: str) -> Chain:
    """The chain's row, made where it is missing, which nobody else can lock before the transaction ends."""
    new = insert(connection, chains).values(chain=chain, tries=0, failed=0.0, due=0.0)
    # An update that changes nothing waits for whoever is removing the row, and then makes it anew.
    kept = new.on_conflict_do_update(index_elements=[chains.c.chain], set_={"chain": chain}).returning(chains)
    return _chain(connection.execute(kept).one())


def put(connection: Connection, chain: Chain) -> None:
    values = {"tries": chain.tries, "failed": chain.failed, "due": chain.due}
    connection.execute(update(chains).where(chains.c.chain == chain.chain).values(values))


def all_chains(connection: Connection) -> list[Chain]:
    """Those that tasks wait for, or did until shortly."""
    return [_chain(row) for row in connection.execute(select(chains).order_by(chains.c.chain))]


def remove(connection: Connection, chain: str) -> None:
    connection.execute(delete(chains).where(chains.c.chain == chain))


def waited_for(connection: Connection) -> list[str]:
    """The chains of all tasks that wait, or waited and are at it. One look into the index for each."""
    found: list[str] = []
    query = select(func.min(tasks.c.chain)).where(tasks.c.chain.is_not(None))
    chain = connection.execute(query).scalar()
    while chain is not None:
        found.append(chain)
        chain = connection.execute(query.where(tasks.c.chain > chain)).scalar()
    return found


def at_it(connection: Connection, chain: str, since: float) -> bool:
    """Whether one that waited is being done, and was begun after `since`."""
    here = (tasks.c.chain == chain, tasks.c.status == "running", tasks.c.updated >= since)
    return connection.execute(select(tasks.c.id).where(*here).limit(1)).first() is not None


def first(connection: Connection, chain: str, *, after: float = 0.0, hold: bool = False) -> Waiter | None:
    """Who is due first of those that wait, later than `after`. `hold`: and nobody else is at it, or will be."""
    query = select(*_SEEN).where(*_waits(chain), tasks.c.due > after).order_by(tasks.c.due).limit(1)
    row = connection.execute(query.with_for_update(skip_locked=True) if hold else query).one_or_none()
    return None if row is None else dict(row._mapping)


def last_due(connection: Connection, chain: str) -> float | None:
    return connection.execute(select(func.max(tasks.c.due)).where(*_waits(chain))).scalar()


def overdue(connection: Connection, chain: str, now: float, limit: int) -> list[Waiter]:
    """Those that still wait though their time came before `now`."""
    query = select(*_SEEN).where(*_waits(chain), tasks.c.due < now).order_by(tasks.c.due).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]


def awake(connection: Connection, chain: str, now: float, limit: int) -> int:
    """How many of those that wait are due, counted up to `limit`."""
    # In order of time, though it does not matter here: it keeps the database to the index by time.
    due = select(tasks.c.id).where(*_waits(chain), tasks.c.due <= now).order_by(tasks.c.due).limit(limit).subquery()
    return connection.execute(select(func.count()).select_from(due)).scalar_one()


def in_line(connection: Connection, chain: str, now: float, limit: int) -> list[Waiter]:
    """Of those that are not due yet, who goes first: the highest priority, then who has waited longest."""
    # The sum keeps the database from looking at all of them by time and sorting: in their order few are looked at.
    asleep = (*_waits(chain), tasks.c.due + 0 > now)
    query = select(*_SEEN).where(*asleep).order_by(tasks.c.priority.desc(), tasks.c.since).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query.with_for_update(skip_locked=True))]


def set_due(connection: Connection, ids: Collection[str], due: float) -> None:
    connection.execute(update(tasks).where(tasks.c.id.in_(ids)).values(due=due))


_SEEN = (tasks.c.id, tasks.c.run, tasks.c.due)


def _waits(chain: str) -> tuple[ColumnElement[bool], ...]:
    return (tasks.c.chain == chain, tasks.c.status == WAITING)


def _chain(row: Row[Any]) -> Chain:
    return Chain(**row._mapping)
