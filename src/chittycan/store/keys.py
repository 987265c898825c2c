"""The SQL of virtual keys. Every change raises the revision `keys`, which other processes poll."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from chittycan.store.revisions import current, raise_revision
from chittycan.store.tables import keys

REVISION = "keys"


def load(connection: Connection) -> tuple[int, Sequence[Row[Any]]]:
    """The revision and every key, revoked ones too, in order of creation."""
    # The revision first: a change between the two reads is then only loaded once more.
    revision = current(connection, REVISION)
    return revision, connection.execute(select(keys).order_by(keys.c.created, keys.c.id)).all()


def add(connection: Connection, values: Mapping[str, Any]) -> bool:
    """Add a key; False where its name is in use."""
    try:
        with connection.begin_nested():
            connection.execute(insert(keys).values(values))
    except IntegrityError:
        return False
    raise_revision(connection, REVISION)
    return True


def revoke(connection: Connection, name_or_id: str, now: float) -> int:
    """Revoke the key of this name or id; the number of keys that it was."""
    change = (
        update(keys)
        .where(or_(keys.c.name == name_or_id, keys.c.id == name_or_id), keys.c.revoked.is_(None))
        .values(revoked=now)
    )
    revoked = connection.execute(change).rowcount
    if revoked:
        raise_revision(connection, REVISION)
    return revoked
