"""The ledger: one row per attempt at one model, noted in memory and written in batches.

The hot path only appends to a list. A process that is killed loses at most the last quarter of a second of
rows; budgets do not depend on them (see `usage.meters`).
"""

import asyncio
import logging
from typing import Literal

from msgspec import Struct

from chittycan.clock import Clock
from chittycan.errors import ChittyError
from chittycan.store import ledger as rows
from chittycan.store.database import Database

log = logging.getLogger(__name__)

# `ok` served the caller · `absorbed` failed, and another attempt took over (cost 0, no error of ours) ·
# `failed` was the last one and failed · `cancelled` the client left · `cached` answered from the response cache ·
# `hedged` was asked beside another, which was quicker (behind the one that served)
Outcome = Literal["ok", "absorbed", "failed", "cancelled", "cached", "hedged"]

FLUSH_SECONDS = 0.25
MEMORY_ROWS = 200_000  # about 100 MB: while the database is away, more than these are dropped and counted
BATCH_ROWS = 5_000  # rows per transaction


class Attempt(Struct):
    """One try at one model. The fields are the table's columns, in its order; `at` is when the attempt ended.

    `position` counts the attempts of a request from 0. `input` includes `cached` and `cache_write`, `output`
    includes `reasoning`. `cost_nano` is nano-dollars, None where no price is known. `decision` is a short text,
    never a message's words. `asked` is the name that the client gave, `label` how private the work was, `needs` what
    the request asked of a model (`tools,vision,region=eu-west`).
    """

    request_id: str
    position: int
    at: float
    surface: str
    model: str
    provider: str
    upstream: str
    outcome: Outcome
    failure: str | None = None
    status: int | None = None
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cost_nano: int | None = None
    ms: float = 0.0
    first_token_ms: float | None = None
    key_id: str | None = None
    kind: str | None = None
    task: str | None = None
    session: str | None = None
    decision: str | None = None
    stream: bool = False
    asked: str | None = None
    label: str | None = None
    needs: str | None = None


class Ledger:
    """Buffers attempts and writes them. `dropped` counts rows lost because the database was away for too long,
    `rejected` rows that the database refused, `failures` flushes that failed and were tried again."""

    def __init__(self, database: Database, clock: Clock, *, memory_rows: int = MEMORY_ROWS) -> None:
        self._database = database
        self._clock = clock
        self._memory_rows = memory_rows
        self._buffer: list[Attempt] = []
        self._leaving = 0  # rows on their way to the database
        self._flushing = asyncio.Lock()
        self.written = 0
        self.dropped = 0
        self.rejected = 0
        self.failures = 0

    @property
    def pending(self) -> int:
        """Rows that are noted and not yet written."""
        return len(self._buffer) + self._leaving

    def note(self, attempt: Attempt) -> None:
        """Remember an attempt; it is in the database within about `FLUSH_SECONDS`."""
        if len(self._buffer) < self._memory_rows:
            self._buffer.append(attempt)
        else:
            self.dropped += 1

    async def run(self) -> None:
        """Flush until cancelled, then once more."""
        try:
            while True:
                await self._clock.sleep(FLUSH_SECONDS)
                await self._flush_or_keep()
        finally:
            await self._flush_or_keep()

    async def flush(self) -> None:
        """Write all that was noted before this call. Raises `Unavailable` (and keeps the rows) when it cannot."""
        async with self._flushing:
            while self._buffer:
                batch = self._buffer[:BATCH_ROWS]
                del self._buffer[: len(batch)]
                self._leaving = len(batch)
                try:
                    await self._write(batch)
                except BaseException:
                    # Writing a row twice does no harm, losing it would.
                    self._buffer[:0] = batch
                    raise
                finally:
                    self._leaving = 0

    async def _write(self, batch: list[Attempt]) -> None:
        try:
            await self._database.run(rows.insert, batch)
        except ChittyError:
            raise
        except Exception as error:
            # One row that the database will never take (odd characters in a session's name) must not hold up the
            # others: halve until it stands alone.
            if len(batch) == 1:
                self.rejected += 1
                log.warning("the ledger refused a row of request %s: %s", batch[0].request_id, type(error).__name__)
                return
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])
        else:
            self.written += len(batch)

    async def _flush_or_keep(self) -> None:
        try:
            await self.flush()
        except ChittyError as error:
            self.failures += 1
            if self.failures == 1 or self.failures % 40 == 0:
                log.warning("the ledger keeps %d rows in memory: %s", self.pending, error)
