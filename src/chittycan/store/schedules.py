"""Rows of schedules: when to begin a workstream by itself. `recipe` and `inputs` are JSON."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from chittycan.store.work_tables import schedules

ScheduleRow = Mapping[str, Any]


def add(connection: Connection, row: ScheduleRow) -> None:
    connection.execute(insert(schedules).values(dict(row)))


def lock(connection: Connection, name: str) -> ScheduleRow | None:
    """The row, which nobody else can lock or change before the transaction ends."""
    row = connection.execute(select(schedules).where(schedules.c.name == name).with_for_update()).one_or_none()
    return None if row is None else dict(row._mapping)


def get(connection: Connection, name: str) -> ScheduleRow | None:
    row = connection.execute(select(schedules).where(schedules.c.name == name)).one_or_none()
    return None if row is None else dict(row._mapping)


def change(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(schedules).where(schedules.c.name == name).values(dict(values)))


def listing(connection: Connection, *, key_id: str | None = None) -> list[ScheduleRow]:
    """By name; with `key_id` those of that virtual key."""
    query = select(schedules).order_by(schedules.c.name)
    query = query if key_id is None else query.where(schedules.c.key_id == key_id)
    return [dict(row._mapping) for row in connection.execute(query)]


def overdue(connection: Connection, before: float) -> list[tuple[str, str]]:
    """Names and pending runs of those whose time came before that."""
    query = select(schedules.c.name, schedules.c.pending).where(schedules.c.due < before)
    return [(name, pending) for name, pending in connection.execute(query)]


def remove(connection: Connection, name: str) -> None:
    connection.execute(delete(schedules).where(schedules.c.name == name))
