"""Effects: what was done to the world outside, or may have been. `workstreams.effects` says what may follow what.

`detail` is JSON text that only `workstreams.effects` reads.
"""

from collections.abc import Collection
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, select, update

from chittycan.store.upsert import insert
from chittycan.store.work_tables import effects

_NAMES = ("key", "kind", "state", "detail", "owner", "created_at", "updated_at")


class StoredEffect(Struct, frozen=True, kw_only=True):
    """A row of `effects`; times are Unix seconds."""

    key: str
    kind: str
    state: str
    detail: str
    owner: str
    created_at: float
    updated_at: float


def begin(connection: Connection, effect: StoredEffect) -> bool:
    """Store it; False where there is one of that key already."""
    values = {name: getattr(effect, name) for name in _NAMES}
    new = insert(connection, effects).values(values).on_conflict_do_nothing().returning(effects.c.key)
    return connection.execute(new).first() is not None


def get(connection: Connection, key: str) -> StoredEffect | None:
    row = connection.execute(select(effects).where(effects.c.key == key)).one_or_none()
    return None if row is None else _stored(row)


def move(
    connection: Connection, key: str, came_from: Collection[str], to: StoredEffect, *, of: str | None = None
) -> bool:
    """Give it the state, detail, owner and time of `to`; False where its state is not in `came_from` (any more).

    With `of` only an effect of that owner is moved.
    """
    same = [effects.c.key == key, effects.c.state.in_(came_from)]
    if of is not None:
        same.append(effects.c.owner == of)
    changed = {name: getattr(to, name) for name in ("state", "detail", "owner", "updated_at")}
    return connection.execute(update(effects).where(*same).values(changed)).rowcount == 1


def listing(connection: Connection, state: str, limit: int) -> list[StoredEffect]:
    """Those in a state, the longest there first."""
    query = select(effects).where(effects.c.state == state).order_by(effects.c.updated_at, effects.c.key).limit(limit)
    return [_stored(row) for row in connection.execute(query)]


def _stored(row: Row[Any]) -> StoredEffect:
    return StoredEffect(**row._mapping)
