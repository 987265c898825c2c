"""Contexts: the shared document of each session, and the changes that made it.

Documents, patches and labels are JSON text that only `context.sessions` reads.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, Row, delete, func, or_, select, update

from chittycan.store.tables import context_changes, contexts
from chittycan.store.upsert import insert


class StoredContext(Struct, frozen=True, kw_only=True):
    """A row of `contexts`."""

    session: str
    key_id: str | None
    version: int
    size: int
    created: float
    updated: float
    ttl: float | None
    expires: float | None
    labels: str
    written: str
    document: str


class StoredChange(Struct, frozen=True, kw_only=True):
    """A row of `context_changes`."""

    session: str
    version: int
    at: float
    kind: str
    name: str
    task: str | None
    replaced: bool
    size: int
    labels: str | None
    patch: str


class ListedContext(Struct, frozen=True, kw_only=True):
    """A session without its document."""

    session: str
    key_id: str | None
    version: int
    size: int
    created: float
    updated: float
    expires: float | None


_COLUMNS = [contexts.c[name] for name in StoredContext.__struct_fields__]


def get(connection: Connection, session: str, *, lock: bool = False) -> StoredContext | None:
    """The session's row, expired or not. `lock` keeps others from writing it until this transaction ends."""
    query = select(*_COLUMNS).where(contexts.c.session == session)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else StoredContext(**row._mapping)


def add(connection: Connection, context: StoredContext) -> bool:
    """False where another transaction was first."""
    statement = insert(connection, contexts).values(asdict(context)).on_conflict_do_nothing(index_elements=["session"])
    return connection.execute(statement.returning(contexts.c.session)).first() is not None


def replace(connection: Connection, context: StoredContext) -> None:
    """The row as it shall be now. Its reader must have locked it."""
    connection.execute(update(contexts).where(contexts.c.session == context.session).values(asdict(context)))


def remove(connection: Connection, session: str) -> None:
    """The session and its history."""
    connection.execute(delete(contexts).where(contexts.c.session == session))


def purge(connection: Connection, now: float) -> int:
    """Removes what has expired; returns how many sessions."""
    return connection.execute(delete(contexts).where(contexts.c.expires <= now)).rowcount


def count(connection: Connection, key_id: str, now: float) -> int:
    """The sessions of one key."""
    query = select(func.count()).select_from(contexts).where(contexts.c.key_id == key_id, _lives(now))
    return int(connection.execute(query).scalar_one())


def listing(connection: Connection, now: float, *, key_id: str | None = None, limit: int = 50) -> list[ListedContext]:
    """Sessions, last written first; with `key_id` only those of that key."""
    names = ListedContext.__struct_fields__
    query = select(*(contexts.c[name] for name in names)).where(_lives(now))
    if key_id is not None:
        query = query.where(contexts.c.key_id == key_id)
    rows = connection.execute(query.order_by(contexts.c.updated.desc(), contexts.c.session).limit(limit))
    return [ListedContext(**row._mapping) for row in rows]


def note(connection: Connection, change: StoredChange) -> None:
    """One more change in the session's history."""
    connection.execute(context_changes.insert().values(asdict(change)))


def history(connection: Connection, session: str, *, limit: int) -> list[StoredChange]:
    """The changes that are still known, newest first."""
    query = select(context_changes).where(context_changes.c.session == session)
    rows = connection.execute(query.order_by(context_changes.c.version.desc()).limit(limit))
    return [_change(row) for row in rows]


def forget(connection: Connection, session: str, *, keep: int, size: int) -> None:
    """Shortens the history to the last `keep` changes, and those to `size` bytes. The newest always stays."""
    c = context_changes.c
    query = select(c.version, c.size).where(c.session == session).order_by(c.version.desc())
    total = 0
    for place, row in enumerate(connection.execute(query.limit(keep + 1))):
        total += row.size
        if place and (place >= keep or total > size):
            connection.execute(delete(context_changes).where(c.session == session, c.version <= row.version))
            return


def _lives(now: float) -> Any:
    return or_(contexts.c.expires.is_(None), contexts.c.expires > now)


def _change(row: Row[Any]) -> StoredChange:
    return StoredChange(**row._mapping)
