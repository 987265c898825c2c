"""The owner's own reply templates: a layout per language under one name."""

import json
from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy import Column, Connection, Double, Row, Table, Text, delete, select

from chittycan.store.tables import metadata
from chittycan.store.upsert import insert

templates = Table(
    "templates",
    metadata,
    Column("name", Text, primary_key=True),
    Column("layout", Text, nullable=False),  # JSON: language → text
    Column("created", Double, nullable=False),
    Column("changed", Double, nullable=False),
)


class StoredTemplate(Struct, frozen=True, kw_only=True):
    """A row of `templates`; times are Unix seconds."""

    name: str
    layout: Mapping[str, str]
    created: float
    changed: float


def listing(connection: Connection) -> list[StoredTemplate]:
    """All of them, by name."""
    return [_stored(row) for row in connection.execute(select(templates).order_by(templates.c.name))]


def get(connection: Connection, name: str) -> StoredTemplate | None:
    row = connection.execute(select(templates).where(templates.c.name == name)).one_or_none()
    return None if row is None else _stored(row)


def put(connection: Connection, name: str, layout: Mapping[str, str], now: float) -> None:
    """Store it, in the place of one of that name."""
    written = {"layout": json.dumps(dict(layout), ensure_ascii=False), "changed": now}
    new = insert(connection, templates).values(name=name, created=now, **written)
    connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=written))


def remove(connection: Connection, name: str) -> bool:
    """False where there was none."""
    return connection.execute(delete(templates).where(templates.c.name == name)).rowcount == 1


def _stored(row: Row[tuple[str, str, float, float]]) -> StoredTemplate:
    return StoredTemplate(name=row.name, layout=json.loads(row.layout), created=row.created, changed=row.changed)
