"""Rows of tasks. `workstreams.life` says what may follow what; the texts `spec`, `result`… are JSON."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from chittycan.store.upsert import insert as upsert
from chittycan.store.work_tables import dependencies, idempotency, tasks

TaskRow = Mapping[str, Any]
MOST_AT_ONCE = 500  # names in one statement


def add(connection: Connection, row: TaskRow) -> bool:
    """False where there is one of that id already."""
    new = upsert(connection, tasks).values(dict(row)).on_conflict_do_nothing().returning(tasks.c.id)
    return connection.execute(new).first() is not None


def get(connection: Connection, task_id: str) -> TaskRow | None:
    row = connection.execute(select(tasks).where(tasks.c.id == task_id)).one_or_none()
    return None if row is None else _mapping(row)


def lock(connection: Connection, task_id: str) -> TaskRow | None:
    """The task, which nobody else may change until this transaction is over. On SQLite a writer is alone anyway."""
    row = connection.execute(select(tasks).where(tasks.c.id == task_id).with_for_update()).one_or_none()
    return None if row is None else _mapping(row)


def hold(connection: Connection, ids: Collection[str]) -> None:
    """Lets nobody change these until this transaction is over, though others may hold them too."""
    connection.execute(select(tasks.c.id).where(tasks.c.id.in_(ids)).order_by(tasks.c.id).with_for_update(read=True))


def many(connection: Connection, ids: Collection[str]) -> list[TaskRow]:
    """Those of the ids that exist."""
    listed = list(ids)
    found: list[TaskRow] = []
    for start in range(0, len(listed), MOST_AT_ONCE):
        query = select(tasks).where(tasks.c.id.in_(listed[start : start + MOST_AT_ONCE]))
        found += [_mapping(row) for row in connection.execute(query)]
    return found


def standing(connection: Connection, ids: Collection[str]) -> list[TaskRow]:
    """`id`, `status` and `run` of those that exist."""
    columns = (tasks.c.id, tasks.c.status, tasks.c.run)
    return [_mapping(row) for row in connection.execute(select(*columns).where(tasks.c.id.in_(ids)))]


def of_workstream(connection: Connection, workstream: str) -> list[TaskRow]:
    """All steps that have begun, in the order in which they did."""
    query = select(tasks).where(tasks.c.workstream == workstream).order_by(tasks.c.created, tasks.c.id)
    return [_mapping(row) for row in connection.execute(query)]


def move(
    connection: Connection,
    task_id: str,
    came_from: Collection[str],
    values: Mapping[str, Any],
    *,
    run: int | None = None,
) -> bool:
    """Give the task `values` where its status is in `came_from`, and, with `run`, that run is the valid one."""
    same = [tasks.c.id == task_id, tasks.c.status.in_(came_from)]
    if run is not None:
        same.append(tasks.c.run == run)
    return connection.execute(update(tasks).where(*same).values(**values)).rowcount == 1


class Wanted(Struct, frozen=True, kw_only=True):
    """Which tasks: those that fit all that is given. `key_id` "" means the owner's own."""

    statuses: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    key_id: str | None = None
    session: str | None = None
    kind: str | None = None
    workstream: str | None = None


def listing(
    connection: Connection, wanted: Wanted, *, before: tuple[float, str] | None = None, limit: int = 50
) -> list[TaskRow]:
    """The newest first. `before`: `created` and id of the last one seen."""
    conditions: list[ColumnElement[bool]] = [
        tasks.c[name] == value
        for name in ("session", "kind", "workstream")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.key_id is not None:
        conditions.append(tasks.c.key_id == wanted.key_id if wanted.key_id else tasks.c.key_id.is_(None))
    if wanted.statuses:
        conditions.append(tasks.c.status.in_(wanted.statuses))
    if wanted.types:
        conditions.append(tasks.c.type.in_(wanted.types))
    if before is not None:
        at, last = before
        conditions.append(or_(tasks.c.created < at, and_(tasks.c.created == at, tasks.c.id < last)))
    query = select(tasks).where(*conditions).order_by(tasks.c.created.desc(), tasks.c.id.desc()).limit(limit)
    return [_mapping(row) for row in connection.execute(query)]


def counts(connection: Connection, *, key_id: str | None = None, statuses: Collection[str] = ()) -> dict[str, int]:
    """How many tasks there are of each status, or of each of `statuses` that any has."""
    query = select(tasks.c.status, func.count().label("count")).group_by(tasks.c.status)
    if statuses:
        query = query.where(tasks.c.status.in_(statuses))
    if key_id is not None:
        query = query.where(tasks.c.key_id == key_id)
    return {row.status: int(row[1]) for row in connection.execute(query)}


def late(connection: Connection, statuses: Collection[str], now: float, limit: int = 200) -> list[TaskRow]:
    """Those not at their end whose deadline has passed."""
    # Not the bare column: SQLite would go through all of these statuses rather than the few deadlines that passed.
    status = tasks.c.status.concat("")
    query = select(tasks).where(tasks.c.deadline <= now, tasks.c.ended.is_(None), status.in_(statuses))
    return [_mapping(row) for row in connection.execute(query.limit(limit))]


def hand_back(connection: Connection, worker: str, now: float) -> None:
    """What `worker` was at waits for another: it has stopped, and its runs are in the queue again."""
    values = {"status": "queued", "waiting_for": "a worker", "since": now, "updated": now, "due": now}
    connection.execute(update(tasks).where(tasks.c.status == "running", tasks.c.worker == worker).values(**values))


# what must be done before


def depend(connection: Connection, task: str, after: Iterable[str]) -> None:
    """`task` may not begin before each of `after` is done."""
    rows = [{"task": task, "after": each} for each in dict.fromkeys(after)]
    if rows:
        connection.execute(insert(dependencies), rows)


def before(connection: Connection, task: str) -> list[TaskRow]:
    """The tasks that `task` waits for or waited for, in the order in which they were submitted."""
    query = (
        select(tasks)
        .join(dependencies, dependencies.c.after == tasks.c.id)
        .where(dependencies.c.task == task)
        .order_by(tasks.c.created, tasks.c.id)
    )
    return [_mapping(row) for row in connection.execute(query)]


def following(connection: Connection, task: str) -> list[str]:
    """The tasks that wait for `task`."""
    return list(connection.execute(select(dependencies.c.task).where(dependencies.c.after == task)).scalars())


# what was submitted once


def claim_key(connection: Connection, key_id: str, idempotency_key: str, thing: str, digest: str) -> tuple[str, str]:
    """The thing and digest that the idempotency key stands for: those given, or those of whoever came first."""
    values = {"key_id": key_id, "idempotency_key": idempotency_key, "thing": thing, "digest": digest}
    connection.execute(upsert(connection, idempotency).values(values).on_conflict_do_nothing())
    same = (idempotency.c.key_id == key_id, idempotency.c.idempotency_key == idempotency_key)
    row = connection.execute(select(idempotency.c.thing, idempotency.c.digest).where(*same)).one()
    return row.thing, row.digest


def remove(connection: Connection, ids: Collection[str]) -> None:
    """The tasks and all that only they need."""
    for table, column in ((tasks, tasks.c.id), (dependencies, dependencies.c.task), (idempotency, idempotency.c.thing)):
        connection.execute(delete(table).where(column.in_(ids)))


def _mapping(row: Any) -> TaskRow:
    return dict(row._mapping)
