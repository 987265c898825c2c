"""`net.durable.responses`: answers made while nobody waits, and their events for whoever comes to look.

A background response is a task of the type `response`; its id is the task's. `spec`: `body`, the client's request
without what only we understand; `response`, the response object as it was given to the client; `forward`, headers
that the provider of the same dialect should see. `result`: `text`, and the whole `response`.

Events are numbered from `first` of the surface; those before it and the last one, which tells the end, are not
stored: they follow from the task's row, so that nobody is ever told an end that was not recorded.
"""

import secrets
from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import NotFound
from chittycan.store import response_events as rows
from chittycan.store import tasks as task_rows
from chittycan.store.database import Database
from chittycan.workstreams.life import TERMINAL, Status
from chittycan.workstreams.rows import from_row
from chittycan.workstreams.task import Task
from chittycan.workstreams.tasks import Tasks

TYPE = "response"
LOOK_SECONDS = 0.15  # between two looks of whoever follows what is being made
IDLE_SECONDS = 1.0  # and, at length, of what nobody is at
ROWS_AT_ONCE = 64  # of events in one look


class News(Struct, frozen=True, kw_only=True):
    """What a look brought: the JSON of `events`, the last of which has the number `last`. `ended`: the task, once it
    is over and no more will come; `last` is then that of the last event ever stored (-1: none was)."""

    events: list[bytes]
    last: int
    status: Status
    ended: Task | None = None


class Responses:
    """`for_key` is the virtual key that asks: it sees its own alone; None is the owner, who sees all."""

    def __init__(self, database: Database, tasks: Tasks, clock: Clock) -> None:
        self._database, self._tasks, self._clock = database, tasks, clock

    async def create(self, task: Task, *, idempotency_key: str | None = None) -> Task:
        """Stores it for the next free worker. Raises InvalidRequest, Unavailable."""
        return await self._tasks.submit(replace(task, type=TYPE), idempotency_key=idempotency_key)

    async def find(self, response: str, *, for_key: str | None = None) -> Task | None:
        return await self._database.read(_find, response, for_key)

    async def get(self, response: str, *, for_key: str | None = None) -> Task:
        """Raises NotFound."""
        return await self._database.read(_found, response, for_key)

    async def cancel(self, response: str, *, for_key: str | None = None) -> Task:
        """One that has ended stays as it is. Raises NotFound."""
        await self.get(response, for_key=for_key)
        return await self._tasks.cancel(response, for_key=for_key)

    async def delete(self, response: str, *, for_key: str | None = None) -> None:
        """With all its events; one that has not ended is stopped. Raises NotFound."""
        await self.cancel(response, for_key=for_key)

        def remove(connection: Connection) -> None:
            task_rows.remove(connection, [response])
            rows.remove(connection, [response])

        await self._database.run(remove)

    async def follow(self, response: str, after: int, *, for_key: str | None = None) -> AsyncGenerator[News]:
        """What comes after the event `after`, look by look, until the end. Raises NotFound, also once it is deleted."""
        await self.get(response, for_key=for_key)
        pause = LOOK_SECONDS
        while True:
            news = await self._database.read(_look, response, after)
            yield news
            if news.ended is not None:
                return
            after = news.last
            if news.events or news.status == "running":
                pause = LOOK_SECONDS
            if not news.events:
                await self._clock.sleep(pause)
                pause = min(pause * 1.2, IDLE_SECONDS)

    # for whoever makes it

    async def shown(self, response: str) -> list[bytes]:
        """All events so far."""
        return _beyond(-1, await self._database.read(rows.after, response, -1))

    async def tell(self, task: Task, events: Sequence[bytes], last: int) -> bool:
        """Stores events (without line ends), the last of which has the number `last`.

        False where another try has taken over, or the task is over: nobody must be told what this one says.
        """
        return await self._database.run(rows.append, task.id, task.run, task.tries, last, b"\n".join(events))


def new_response_id() -> str:
    return f"resp_{secrets.token_hex(16)}"


def _find(connection: Connection, response: str, for_key: str | None) -> Task | None:
    row = task_rows.get(connection, response)
    if row is None or row["type"] != TYPE or (for_key is not None and row["key_id"] != for_key):
        return None
    return from_row(row)


def _found(connection: Connection, response: str, for_key: str | None) -> Task:
    task = _find(connection, response, for_key)
    if task is None:
        raise NotFound(
            f"Response with id '{response[:80]}' not found.", param="response_id",
            fix="Only background responses are kept, for the key that created them.",
        )  # fmt: skip
    return task


def _look(connection: Connection, response: str, after: int) -> News:
    """Only the end is worth reading the whole task, whose request may be large."""
    standing = task_rows.standing(connection, [response])  # first: once it is over, all its events are there
    if not standing:
        raise NotFound(f"Response with id '{response}' not found.", param="response_id")
    status: Status = standing[0]["status"]
    found = rows.after(connection, response, after, ROWS_AT_ONCE)
    events = _beyond(after, found)
    last = found[-1][0] if found else after
    if status not in TERMINAL or len(found) == ROWS_AT_ONCE:
        return News(events=events, last=last, status=status)
    stored = rows.last(connection, response)
    task = _found(connection, response, None)
    return News(events=events, last=-1 if stored is None else stored, status=status, ended=task)


def _beyond(number: int, found: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """The events of these rows beyond `number`, each once."""
    events: list[bytes] = []
    for last, data in found:
        each = data.split(b"\n")
        events += each[max(0, number - (last - len(each))) :]
        number = last
    return events
