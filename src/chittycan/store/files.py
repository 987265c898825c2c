"""Rows of files and of the pieces that their bytes are kept in. A file whose status is `uploading` is not there yet."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from chittycan.store.work_tables import file_chunks, files

FileRow = Mapping[str, Any]
OF_A_TASK = "task"  # purpose of a file that came along with a task, and goes with it


def add(connection: Connection, row: FileRow) -> None:
    connection.execute(insert(files).values(dict(row)))


def append(connection: Connection, file: str, number: int, start: int, data: bytes) -> None:
    """The piece `number` (from 0), whose first byte is at `start` in the file."""
    connection.execute(insert(file_chunks).values(file=file, number=number, start=start, data=data))


def finish(connection: Connection, file: str, values: FileRow) -> bool:
    """All its bytes are there, and what is known of it now. False where the file was removed meanwhile."""
    same = (files.c.id == file, files.c.status == "uploading")
    return connection.execute(update(files).where(*same).values(**values)).rowcount == 1


def keep(connection: Connection, file: str, until: float) -> None:
    """The file does not expire before `until`."""
    sooner = (files.c.id == file, files.c.expires < until)
    connection.execute(update(files).where(*sooner).values(expires=until))


def keep_for_good(connection: Connection, ids: Collection[str]) -> None:
    """These files do not expire any more."""
    connection.execute(update(files).where(files.c.id.in_(ids)).values(expires=None))


def get(connection: Connection, file: str) -> FileRow | None:
    row = connection.execute(select(files).where(files.c.id == file)).one_or_none()
    return None if row is None else dict(row._mapping)


def listing(
    connection: Connection,
    now: float,
    *,
    key_id: str | None = None,
    purpose: str | None = None,
    after: tuple[float, str] | None = None,
    ascending: bool = False,
    limit: int = 50,
) -> list[FileRow]:
    """Whole files that have not expired. `after`: `created` and id of the last one seen."""
    conditions: list[ColumnElement[bool]] = [
        files.c.status == "processed",
        or_(files.c.expires.is_(None), files.c.expires > now),
    ]
    if key_id is not None:
        conditions.append(files.c.key_id == key_id)
    if purpose is not None:
        conditions.append(files.c.purpose == purpose)
    if after is not None:
        at, last = after
        if ascending:
            conditions.append(or_(files.c.created > at, and_(files.c.created == at, files.c.id > last)))
        else:
            conditions.append(or_(files.c.created < at, and_(files.c.created == at, files.c.id < last)))
    place = (files.c.created, files.c.id)
    order = place if ascending else tuple(column.desc() for column in place)
    query = select(files).where(*conditions).order_by(*order).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]


def place(connection: Connection, file: str, offset: int) -> int | None:
    """The number of the piece that holds the byte at `offset`; None past the end."""
    query = select(func.max(file_chunks.c.number)).where(file_chunks.c.file == file, file_chunks.c.start <= offset)
    found: int | None = connection.execute(query).scalar()
    return found


def piece(connection: Connection, file: str, number: int) -> tuple[int, bytes] | None:
    """Where the piece starts in the file, and its bytes."""
    same = (file_chunks.c.file == file, file_chunks.c.number == number)
    row = connection.execute(select(file_chunks.c.start, file_chunks.c.data).where(*same)).one_or_none()
    return None if row is None else (row.start, row.data)


def remove(connection: Connection, file: str) -> bool:
    """The file is gone for everyone. Its bytes go with `clear`."""
    return connection.execute(delete(files).where(files.c.id == file)).rowcount == 1


def clear(connection: Connection, file: str, most: int) -> int:
    """Removes at most so many pieces of what was a file, the first ones; says how many."""
    first = select(file_chunks.c.number).where(file_chunks.c.file == file).order_by(file_chunks.c.number).limit(most)
    same = (file_chunks.c.file == file, file_chunks.c.number.in_(first.scalar_subquery()))
    return connection.execute(delete(file_chunks).where(*same)).rowcount


def over(connection: Connection, now: float, begun_before: float, limit: int = 100) -> list[str]:
    """Files that have expired, and those whose upload began before `begun_before` and never ended."""
    abandoned = and_(files.c.status == "uploading", files.c.created < begun_before)
    query = select(files.c.id).where(or_(files.c.expires <= now, abandoned)).limit(limit)
    return list(connection.execute(query).scalars())


def strays(connection: Connection, limit: int = 100) -> list[str]:
    """What has pieces and is no file: somebody died while removing it."""
    query = select(file_chunks.c.file).where(file_chunks.c.file.not_in(select(files.c.id))).distinct().limit(limit)
    return list(connection.execute(query).scalars())
