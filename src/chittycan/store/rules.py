"""Rows of rules, as their owner wrote them. Every change raises the revision "rules"."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Double, Index, Integer, Table, Text, delete, insert, select, update

from chittycan.store.revisions import raise_revision
from chittycan.store.tables import metadata

REVISION = "rules"

rules = Table(
    "rules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("priority", Integer, nullable=False),  # higher is looked at first
    Column("enabled", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    Index(None, "name", unique=True),
)


def every(connection: Connection) -> list[dict[str, Any]]:
    """In the order in which they are looked at."""
    query = select(rules).order_by(rules.c.priority.desc(), rules.c.created, rules.c.id)
    return [dict(row._mapping) for row in connection.execute(query)]


def named(connection: Connection, name: str) -> dict[str, Any] | None:
    """By its id or its name."""
    row = connection.execute(select(rules).where((rules.c.id == name) | (rules.c.name == name))).first()
    return None if row is None else dict(row._mapping)


def add(connection: Connection, row: Mapping[str, Any]) -> None:
    connection.execute(insert(rules).values(**row))
    raise_revision(connection, REVISION)


def change(connection: Connection, rule_id: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(rules).where(rules.c.id == rule_id).values(**values))
    raise_revision(connection, REVISION)


def remove(connection: Connection, rule_id: str) -> None:
    connection.execute(delete(rules).where(rules.c.id == rule_id))
    raise_revision(connection, REVISION)
