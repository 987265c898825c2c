"""Events of background responses: rows of one or several, under the number of their last one."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, func, select

from chittycan.store.upsert import insert
from chittycan.store.work_tables import response_events, tasks


def append(connection: Connection, response: str, run: int, tries: int, last: int, data: bytes) -> bool:
    """False where the try `tries` of `run` is not the one that may write (any more); then nothing is written."""
    valid = (tasks.c.id == response, tasks.c.run == run, tasks.c.tries == tries, tasks.c.status == "running")
    # Whoever takes the task over has to wait until this is written, and then sees it.
    if connection.execute(select(tasks.c.id).where(*valid).with_for_update()).first() is None:
        return False
    row = insert(connection, response_events).values(response=response, run=tries, sequence=last, data=data)
    # It is there already where an earlier write was done but its writer never heard so.
    connection.execute(row.on_conflict_do_nothing())
    return True


def after(connection: Connection, response: str, number: int, limit: int | None = None) -> list[tuple[int, bytes]]:
    """Rows with an event beyond `number`: the number of each one's last event, and its data.

    Rows may overlap: who never heard that a row was written writes its events again, with those that came since.
    """
    columns = (response_events.c.sequence, response_events.c.data)
    same = (response_events.c.response == response, response_events.c.sequence > number)
    query = select(*columns).where(*same).order_by(response_events.c.sequence).limit(limit)
    return [(row.sequence, bytes(row.data)) for row in connection.execute(query)]


def last(connection: Connection, response: str) -> int | None:
    """The number of the last event; None where there is none."""
    query = select(func.max(response_events.c.sequence)).where(response_events.c.response == response)
    found: int | None = connection.execute(query).scalar_one()
    return found


def remove(connection: Connection, responses: Collection[str]) -> None:
    connection.execute(delete(response_events).where(response_events.c.response.in_(responses)))
