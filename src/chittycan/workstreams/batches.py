"""Batches: submit many requests as one job, look at it, cancel it, read what came of it.

`for_key` is the virtual key that asks: it sees and touches its own batches alone; None is the owner, who sees all.
"""

import secrets
from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import ChittyError, InvalidRequest, NotFound
from chittycan.store import batches as rows
from chittycan.store.database import Database
from chittycan.workstreams.batch import ENDED, ENDPOINTS, OPEN, Batch, Detail, Surface, from_row, moved, to_row
from chittycan.workstreams.batch_work import BEGIN, PRIORITY, begin_name, enqueue_close
from chittycan.workstreams.durations import seconds
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.files import Files
from chittycan.workstreams.ruling import Ruling, no_rules, ruled_batch

SETTLE_SECONDS = 3.0  # after a cancellation, until its books are closed: what is answered by then is in the output
SHORTEST_WINDOW, LONGEST_WINDOW = 60, 14 * 86_400  # seconds
KEPT_SECONDS = 30 * 86_400.0  # an ended batch
INPUT_SECONDS = 86_400.0  # its input is kept so long beyond its expiry
SWEEP_SECONDS = 3600.0
PREFIX: dict[Surface, str] = {"openai": "batch_", "anthropic": "msgbatch_"}


class Batches:
    """`ruling`: what the owner's rules say of a batch's calls."""

    def __init__(self, database: Database, engine: Engine, files: Files, clock: Clock) -> None:
        self.ruling: Ruling = no_rules
        self._database, self._engine, self._files, self._clock = database, engine, files, clock

    async def create(
        self,
        input_file: str,
        endpoint: str,
        *,
        surface: Surface = "openai",
        detail: Detail | None = None,
        key_id: str | None = None,
        total: int = 0,
    ) -> Batch:
        """Submits the requests of a file, each of which is for `endpoint`; `total` of them where that is known.

        Raises NotFound where there is no such file, InvalidRequest for an endpoint or a window that cannot be, and
        Forbidden where a rule binds it to another region.
        """
        detail = detail or Detail()
        if endpoint not in ENDPOINTS:
            raise InvalidRequest(f"The endpoint must be one of {', '.join(ENDPOINTS)}.", param="endpoint")
        window = _window(detail.window)
        await self._files.get(input_file, for_key=key_id)
        now = self._clock.now()
        batch = Batch(
            id=f"{PREFIX[surface]}{secrets.token_hex(12)}", surface=surface, endpoint=endpoint, status="validating",
            key_id=key_id, input_file=input_file, detail=detail, total=total, created=now, expires=now + window,
        )  # fmt: skip
        batch = ruled_batch(batch, self.ruling)

        def store(connection: Connection) -> None:
            rows.add(connection, to_row(batch))
            self._engine.enqueue(
                connection, BEGIN, batch.id, id=begin_name(batch.id), priority=PRIORITY, region=batch.region
            )
            enqueue_close(self._engine, connection, batch, "expired", window)

        await self._engine.prepare()
        await self._files.keep(input_file, batch.expires + INPUT_SECONDS)
        await self._database.run(store)
        return batch

    async def get(self, batch_id: str, *, surface: Surface = "openai", for_key: str | None = None) -> Batch:
        """Raises NotFound."""
        return await self._database.read(_found, batch_id, surface, for_key)

    async def list(
        self,
        *,
        surface: Surface = "openai",
        after: str | None = None,
        before: str | None = None,
        limit: int = 20,
        for_key: str | None = None,
    ) -> tuple[list[Batch], bool]:
        """Those older than the batch `after`, or newer than `before`, the newest first, and whether there are more.

        Raises NotFound for `after` and `before`.
        """

        def look(connection: Connection) -> tuple[list[Batch], bool]:
            ends = [None if each is None else _found(connection, each, surface, for_key) for each in (after, before)]
            older, newer = (None if each is None else (each.created, each.id) for each in ends)
            found = rows.listing(connection, surface, key_id=for_key, after=older, before=newer, limit=limit + 1)
            more = len(found) > limit
            shown = found[-limit:] if before is not None else found[:limit]
            return [from_row(each) for each in shown], more

        return await self._database.read(look)

    async def cancel(self, batch_id: str, *, surface: Surface = "openai", for_key: str | None = None) -> Batch:
        """Nothing more is asked, within seconds; what was answered is in the output. What has ended stays as it is."""

        def end(connection: Connection) -> Batch:
            _found(connection, batch_id, surface, for_key)
            batch = from_row(rows.lock(connection, batch_id))
            if batch.status in OPEN:
                rows.change(connection, batch_id, moved(batch, "cancelling", self._clock.now()))
                enqueue_close(self._engine, connection, batch, "cancelled", SETTLE_SECONDS)
            return _found(connection, batch_id, surface, for_key)

        await self._engine.prepare()
        return await self._database.run(end)

    async def delete(self, batch_id: str, *, surface: Surface = "openai", for_key: str | None = None) -> None:
        """An ended batch and its results. Raises InvalidRequest where it has not ended."""
        batch = await self.get(batch_id, surface=surface, for_key=for_key)
        if batch.status not in ENDED:
            raise InvalidRequest(f"{batch_id} has not ended; cancel it first.", param="id")
        await self._remove(batch)

    async def users(self, file_id: str) -> str | None:
        """The id of a batch that has not ended and reads this file."""
        return await self._database.read(rows.reading, file_id, ENDED)

    async def sweep(self) -> None:
        """Removes batches that ended long ago. Runs as long as the worker does."""
        while True:
            with suppress(ChittyError):
                for each in await self._database.read(rows.ended_before, self._clock.now() - KEPT_SECONDS):
                    await self._remove(from_row(each))
            await self._clock.sleep(SWEEP_SECONDS)

    async def _remove(self, batch: Batch) -> None:
        own = (batch.output_file,) if batch.surface == "anthropic" else ()
        for each in filter(None, own):
            with suppress(NotFound):
                await self._files.delete(each)
        await self._database.run(rows.remove, batch.id)


def _found(connection: Connection, batch_id: str, surface: Surface, for_key: str | None) -> Batch:
    found = rows.get(connection, batch_id)
    if found is None or found["surface"] != surface or (for_key is not None and found["key_id"] != for_key):
        raise NotFound(f"No batch found with id '{batch_id[:80]}'.", param="id")
    return from_row(found)


def _window(text: str) -> int:
    try:
        window = seconds(text)
    except ValueError as error:
        raise InvalidRequest(str(error), param="completion_window") from None
    if not SHORTEST_WINDOW <= window <= LONGEST_WINDOW:
        raise InvalidRequest('A batch has from "1m" to "14d".', param="completion_window", fix='Send "24h".')
    return window


def kept_options(options: Any) -> dict[str, Any]:
    """The fields of a `gateway.call.Options` that were given, as a batch keeps them."""
    given = msgspec.to_builtins(options).items()
    return {name: value for name, value in given if value not in (None, False, [], ()) and name != "task"}
