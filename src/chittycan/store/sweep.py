"""What is looked for among the rows of durable work: tasks that may have lost their run, and what is old enough to go.

Every question is answered from an index, and about no more rows than asked for.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, delete, exists, select, tuple_

from chittycan.store import tasks as task_rows
from chittycan.store.files import OF_A_TASK
from chittycan.store.work_tables import dependencies, files, idempotency, response_events, tasks, workstreams

Place = tuple[float, str]  # where a walk through rows has come to: `created` and id of the last one seen
FIRST: Place = (0.0, "")


def unmoved(connection: Connection, status: str, before: float, after: Place, limit: int) -> list[dict[str, Any]]:
    """Tasks of this status that nothing has happened to since `before`: id, run, tries, due, created. Oldest first."""
    columns = (tasks.c.id, tasks.c.run, tasks.c.tries, tasks.c.due, tasks.c.created)
    query = select(*columns).where(tasks.c.status == status, tasks.c.updated < before)
    return [dict(row._mapping) for row in connection.execute(_onward(query, tasks, after).limit(limit))]


def open_streams(connection: Connection, status: str, after: Place, limit: int) -> list[Place]:
    """Workstreams of this status, oldest first."""
    query = select(workstreams.c.created, workstreams.c.id).where(workstreams.c.status == status)
    return [(row.created, row.id) for row in connection.execute(_onward(query, workstreams, after).limit(limit))]


def old_tasks(connection: Connection, before: float, limit: int) -> list[str]:
    """Tasks that ended before then, are no step of a workstream, and that nothing open comes after."""
    later = tasks.alias()
    needed = exists().where(
        dependencies.c.after == tasks.c.id, later.c.id == dependencies.c.task, later.c.ended.is_(None)
    )
    query = select(tasks.c.id).where(tasks.c.ended < before, tasks.c.workstream.is_(None), ~needed)
    return list(connection.execute(query.order_by(tasks.c.ended).limit(limit)).scalars())


def old_streams(connection: Connection, before: float, limit: int) -> list[str]:
    """Workstreams that ended before then and of which nothing is open."""
    running = exists().where(tasks.c.workstream == workstreams.c.id, tasks.c.ended.is_(None))
    query = select(workstreams.c.id).where(workstreams.c.ended < before, ~running)
    return list(connection.execute(query.order_by(workstreams.c.ended).limit(limit)).scalars())


def remove_tasks(connection: Connection, ids: Collection[str]) -> None:
    """With the files that came along with them."""
    query = select(tasks.c.spec).where(tasks.c.id.in_(ids), tasks.c.type == "task", tasks.c.spec.contains('"file-'))
    read_along = [msgspec.json.decode(spec).get("files") or [] for spec in connection.execute(query).scalars()]
    brought = {each["id"] for entries in read_along for each in entries if isinstance(each, dict) and "id" in each}
    connection.execute(delete(files).where(files.c.id.in_(brought), files.c.purpose == OF_A_TASK))
    connection.execute(delete(response_events).where(response_events.c.response.in_(ids)))
    task_rows.remove(connection, ids)


def remove_streams(connection: Connection, ids: Collection[str]) -> None:
    """With their steps."""
    steps = list(connection.execute(select(tasks.c.id).where(tasks.c.workstream.in_(ids))).scalars())
    for start in range(0, len(steps), task_rows.MOST_AT_ONCE):
        remove_tasks(connection, steps[start : start + task_rows.MOST_AT_ONCE])
    connection.execute(delete(idempotency).where(idempotency.c.thing.in_(ids)))
    connection.execute(delete(workstreams).where(workstreams.c.id.in_(ids)))


def _onward(query: Select[Any], table: Any, after: Place) -> Select[Any]:
    beyond = tuple_(table.c.created, table.c.id) > tuple_(*after)
    return query.where(beyond).order_by(table.c.created, table.c.id)
