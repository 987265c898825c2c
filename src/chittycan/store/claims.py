"""Rows that one process at a time has: `nonce`, `holder` and `beat` of a row say which, and when it was last heard of.

A table of such rows has these three columns and a key of one column. Times are the database's own, so that no host's
clock matters. A claim says nothing for good: it is gone with its process.
"""

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, Table, delete, update

from chittycan.store.moment import now
from chittycan.store.upsert import insert


def claim(
    connection: Connection, table: Table, key: str, nonce: str, holder: str, gone: Callable[[str, float], bool]
) -> str | None:
    """Makes `nonce` the one that has the row of that key; gives the holder instead, where another has it.

    `gone(holder, seconds since it was last heard of)` says whether that one is no more.
    """
    mine = {"nonce": nonce, "holder": holder, "beat": now(connection)}
    (column,) = table.primary_key
    new = insert(connection, table).values({column.name: key, **mine})
    # What changes nothing gives the row that is there, and keeps others from it until the transaction ends.
    same = new.on_conflict_do_update(index_elements=[column.name], set_={column.name: key})
    silence = (now(connection) - table.c.beat).label("silence")
    row = connection.execute(same.returning(table.c.nonce, table.c.holder, silence)).one()
    if row.nonce not in (None, nonce) and not gone(row.holder, row.silence):
        return str(row.holder)
    connection.execute(update(table).where(column == key).values(mine))
    return None


def beat(connection: Connection, table: Table, nonce: str) -> None:
    """Whoever has rows as `nonce` is there."""
    connection.execute(update(table).where(table.c.nonce == nonce).values(beat=now(connection)))


def release(connection: Connection, table: Table, key: str, nonce: str) -> None:
    """Nobody has the row then; one that says nothing else goes too."""
    (column,) = table.primary_key
    held: tuple[ColumnElement[bool], ...] = (column == key, table.c.nonce == nonce)
    if table.c.nonce.nullable:
        connection.execute(update(table).where(*held).values(nonce=None, holder=None, beat=None))
    else:
        connection.execute(delete(table).where(*held))
