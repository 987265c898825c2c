"""Rows of workstreams, and of the schedules that begin them. `recipe`, `inputs`, `outputs`… are JSON texts."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, update

from chittycan.store.upsert import insert
from chittycan.store.work_tables import tasks, workstreams

StreamRow = Mapping[str, Any]


def add(connection: Connection, row: StreamRow) -> bool:
    """False where there is one of that id already."""
    new = insert(connection, workstreams).values(dict(row)).on_conflict_do_nothing().returning(workstreams.c.id)
    return connection.execute(new).first() is not None


def get(connection: Connection, workstream_id: str) -> StreamRow | None:
    return _one(connection.execute(select(workstreams).where(workstreams.c.id == workstream_id)).one_or_none())


def lock(connection: Connection, workstream_id: str) -> StreamRow | None:
    """The row, which nobody else can lock or change before the transaction ends.

    Whoever records the end of one of its steps holds it, so that of two that end at once the second sees the first.
    """
    query = select(workstreams).where(workstreams.c.id == workstream_id).with_for_update()
    return _one(connection.execute(query).one_or_none())


def move(connection: Connection, workstream_id: str, came_from: Collection[str], values: Mapping[str, Any]) -> bool:
    """Give the workstream `values` where its status is in `came_from`."""
    same = (workstreams.c.id == workstream_id, workstreams.c.status.in_(came_from))
    return connection.execute(update(workstreams).where(*same).values(**values)).rowcount == 1


def listing(
    connection: Connection,
    *,
    statuses: Collection[str] = (),
    key_id: str | None = None,
    name: str | None = None,
    before: tuple[float, str] | None = None,
    limit: int = 50,
) -> list[StreamRow]:
    """The newest first. `before`: `created` and id of the last one seen."""
    wanted: list[ColumnElement[bool]] = []
    if statuses:
        wanted.append(workstreams.c.status.in_(statuses))
    if key_id is not None:
        wanted.append(workstreams.c.key_id == key_id)
    if name is not None:
        wanted.append(workstreams.c.name == name)
    if before is not None:
        at, last = before
        older = and_(workstreams.c.created == at, workstreams.c.id < last)
        wanted.append(or_(workstreams.c.created < at, older))
    query = select(workstreams).where(*wanted).order_by(workstreams.c.created.desc(), workstreams.c.id.desc())
    return [dict(row._mapping) for row in connection.execute(query.limit(limit))]


def stamp(connection: Connection, workstream_id: str) -> tuple[object, ...]:
    """What is another whenever the workstream or one of its tasks has changed; cheap, however many those are."""
    own = select(workstreams.c.updated, workstreams.c.status).where(workstreams.c.id == workstream_id)
    # A clock may stand still between two changes: what is counted goes on.
    counted = (func.count(), func.count(tasks.c.ended), func.sum(tasks.c.run), func.sum(tasks.c.tries))
    theirs = select(func.max(tasks.c.updated), *counted)
    whole = (own, theirs.where(tasks.c.workstream == workstream_id))
    return tuple(value for query in whole for row in connection.execute(query) for value in row)


def standing(connection: Connection, ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Of each workstream, how many of its tasks have each status."""
    count = func.count().label("count")
    query = select(tasks.c.workstream, tasks.c.status, count).where(tasks.c.workstream.in_(ids))
    found: dict[str, dict[str, int]] = {each: {} for each in ids}
    for workstream, status, number in connection.execute(query.group_by(tasks.c.workstream, tasks.c.status)):
        found[workstream][status] = number
    return found


def remove(connection: Connection, ids: Collection[str]) -> None:
    connection.execute(delete(workstreams).where(workstreams.c.id.in_(ids)))


def _one(row: Row[Any] | None) -> StreamRow | None:
    return None if row is None else dict(row._mapping)
