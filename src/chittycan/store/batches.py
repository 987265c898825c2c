"""Rows of batches, of the pieces of their input, and of what came of their lines.

Whoever changes a batch or one of its pieces locks the batch's row first. `run` of a batch says whose results count:
once its books are closed it is raised, and checkpoints of those who have not noticed come to nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from chittycan.store.work_tables import batch_pieces, batch_results, batches

Row = Mapping[str, Any]


def add(connection: Connection, row: Row) -> None:
    connection.execute(insert(batches).values(dict(row)))


def get(connection: Connection, batch: str) -> Row | None:
    row = connection.execute(select(batches).where(batches.c.id == batch)).one_or_none()
    return None if row is None else dict(row._mapping)


def lock(connection: Connection, batch: str) -> Row | None:
    """The row, which nobody else changes before this transaction ends. SQLite's transactions lock everything."""
    row = connection.execute(select(batches).where(batches.c.id == batch).with_for_update()).one_or_none()
    return None if row is None else dict(row._mapping)


def change(connection: Connection, batch: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(batches).where(batches.c.id == batch).values(**values))


def standing(connection: Connection, batch: str) -> tuple[str, int] | None:
    """Status and run."""
    row = connection.execute(select(batches.c.status, batches.c.run).where(batches.c.id == batch)).one_or_none()
    return None if row is None else (row.status, row.run)


def listing(
    connection: Connection,
    surface: str,
    *,
    key_id: str | None = None,
    after: tuple[float, str] | None = None,
    before: tuple[float, str] | None = None,
    limit: int = 50,
) -> list[Row]:
    """The newest first; `after` and `before`: `created` and id of a batch, older and newer than which they are."""
    conditions: list[ColumnElement[bool]] = [batches.c.surface == surface]
    created, last = batches.c.created, batches.c.id
    if key_id is not None:
        conditions.append(batches.c.key_id == key_id)
    if after is not None:
        conditions.append(or_(created < after[0], and_(created == after[0], last < after[1])))
    if before is not None:
        conditions.append(or_(created > before[0], and_(created == before[0], last > before[1])))
    query = select(batches).where(*conditions).limit(limit)
    query = query.order_by(created, last) if before is not None else query.order_by(created.desc(), last.desc())
    found = [dict(row._mapping) for row in connection.execute(query)]
    if before is not None:
        found.reverse()
    return list[Row](found)


def remove(connection: Connection, batch: str) -> None:
    """Its pieces are removed with `clear`."""
    connection.execute(delete(batches).where(batches.c.id == batch))


def ended_before(connection: Connection, when: float, limit: int = 100) -> list[Row]:
    query = select(batches).where(batches.c.ended < when).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]


def reading(connection: Connection, file: str, ended: Collection[str]) -> str | None:
    """A batch of this input file whose status is none of `ended`."""
    query = select(batches.c.id).where(batches.c.input_file == file, batches.c.status.not_in(ended)).limit(1)
    found: str | None = connection.execute(query).scalar()
    return found


# pieces


def add_pieces(connection: Connection, batch: str, cuts: Iterable[tuple[int, int, int]]) -> int:
    """`cuts`: start, stop and number of lines of each. Says how many there are."""
    rows = [
        {"batch": batch, "number": number, "start": start, "stop": stop, "lines": lines, "status": "waiting",
         "run": 1, "checkpoints": 0, "done": bytes((lines + 7) // 8)}
        for number, (start, stop, lines) in enumerate(cuts)
    ]  # fmt: skip
    connection.execute(insert(batch_pieces), rows)
    return len(rows)


def piece(connection: Connection, batch: str, number: int) -> Row | None:
    row = connection.execute(select(batch_pieces).where(*_same(batch, number))).one_or_none()
    return None if row is None else dict(row._mapping)


def pieces(connection: Connection, batch: str) -> list[Row]:
    query = select(batch_pieces).where(batch_pieces.c.batch == batch).order_by(batch_pieces.c.number)
    return [dict(row._mapping) for row in connection.execute(query)]


def running_pieces(connection: Connection, limit: int) -> list[Row]:
    """Pieces that somebody is at, or is to be."""
    query = select(batch_pieces).join(batches, batches.c.id == batch_pieces.c.batch)
    query = query.where(batches.c.status == "in_progress", batch_pieces.c.status == "running").limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]


def change_piece(connection: Connection, batch: str, number: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(batch_pieces).where(*_same(batch, number)).values(**values))


def next_waiting(connection: Connection, batch: str) -> int | None:
    """The first piece that nobody has begun."""
    query = select(func.min(batch_pieces.c.number))
    found: int | None = connection.execute(
        query.where(batch_pieces.c.batch == batch, batch_pieces.c.status == "waiting")
    ).scalar()
    return found


def open_pieces(connection: Connection, batch: str) -> int:
    """How many are not done."""
    query = select(func.count()).where(batch_pieces.c.batch == batch, batch_pieces.c.status != "done")
    return int(connection.execute(query).scalar_one())


# what came of lines


class Checkpoint:
    """What some lines of a piece came to. `done` is the piece's whole map with them."""

    __slots__ = ("batch", "completed", "done", "errors", "failed", "number", "output", "piece", "run")

    def __init__(self, batch: str, piece: int, run: int, number: int, done: bytes) -> None:
        """`number`: how many checkpoints the piece has before this one."""
        self.batch, self.piece, self.run, self.number, self.done = batch, piece, run, number, done
        self.output = self.errors = b""
        self.completed = self.failed = 0


def record(connection: Connection, batch_run: int, open_in: Collection[str], new: Checkpoint) -> bool:
    """False where the books are closed or somebody else does this piece; a checkpoint made before counts as made."""
    found = lock(connection, new.batch)
    if found is None or found["status"] not in open_in or found["run"] != batch_run:
        return False
    values = {"checkpoints": new.number + 1, "done": new.done}
    valid = (*_same(new.batch, new.piece), batch_pieces.c.run == new.run, batch_pieces.c.checkpoints == new.number)
    if connection.execute(update(batch_pieces).where(*valid).values(**values)).rowcount != 1:
        now = piece(connection, new.batch, new.piece)
        return now is not None and all(now[name] == value for name, value in {**values, "run": new.run}.items())
    connection.execute(
        insert(batch_results).values(
            batch=new.batch, piece=new.piece, number=new.number, output=new.output, errors=new.errors
        )
    )
    completed, failed = found["completed"] + new.completed, found["failed"] + new.failed
    change(connection, new.batch, {"completed": completed, "failed": failed})
    return True


def results_after(connection: Connection, batch: str, last: tuple[int, int]) -> Row | None:
    """The checkpoint after the one of this piece and number, over all pieces in order."""
    piece, number = last
    later = or_(batch_results.c.piece > piece, and_(batch_results.c.piece == piece, batch_results.c.number > number))
    order = (batch_results.c.piece, batch_results.c.number)
    query = select(batch_results).where(batch_results.c.batch == batch, later).order_by(*order).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else dict(row._mapping)


def clear(connection: Connection, batch: str, number: int) -> None:
    """Removes a piece, and what came of its lines."""
    connection.execute(delete(batch_results).where(batch_results.c.batch == batch, batch_results.c.piece == number))
    connection.execute(delete(batch_pieces).where(*_same(batch, number)))


def _same(batch: str, number: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return batch_pieces.c.batch == batch, batch_pieces.c.number == number
