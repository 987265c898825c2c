"""One pass over a piece of a batch: asks for what has no answer yet, several lines at once, and writes answers down
in checkpoints, so that a death repeats only what was asked since the last one.

A line that nobody can answer now is passed over, with all others for the same model; a later pass finds it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from chittycan.clock import Clock
from chittycan.errors import Unavailable
from chittycan.store import batches as rows
from chittycan.store.batches import Checkpoint, Row
from chittycan.store.database import Database
from chittycan.workstreams import batch_input
from chittycan.workstreams.batch import COUNTING, Answered, Batch, Clerk, Elsewhere, Line
from chittycan.workstreams.files import Files
from chittycan.workstreams.patience import Patience

CALLS_AT_ONCE = 16  # of one piece
CHECKPOINT_LINES = 50
CHECKPOINT_BYTES = 1 << 20
CHECKPOINT_SECONDS = 2.0
LOOK_SECONDS = 1.0  # how often it is looked whether the batch goes on
LEAVE_SECONDS = 3.0  # for a worker that ends to write down what it has: the database may be away
TURN_SECONDS = 60.0  # after which a piece lets others of the queue have its place
AGAIN_SECONDS = (1.0, 3.0)  # before further tries of a line that fails though its model may be well


class Stopped(Exception):
    """The batch does not go on, or another run does this piece."""


class Pass:
    """`go` once. Then: `left` lines have no answer, `progress` were answered now, `over`: its turn was over, `until`:
    when a model that could not answer may be asked again, if one said so, `region`: whose workers alone can do what is
    left, where that is so."""

    def __init__(self, database: Database, files: Files, clock: Clock, clerk: Clerk, batch: Batch, piece: Row) -> None:
        self._database, self._files, self._clock, self._clerk = database, files, clock, clerk
        self._patience = Patience(database, clock)
        self._batch, self._piece = batch, piece
        self._done = bytearray(piece["done"])
        self._checkpoints: int = piece["checkpoints"]
        self._answers: list[tuple[int, Answered]] = []  # since the last checkpoint
        self._size = 0  # of them, in bytes
        self._written = 0.0  # when the last checkpoint was
        self._writing, self._reading = asyncio.Lock(), asyncio.Lock()
        self._served: Counter[str] = Counter()  # lines, by model
        self._resting: set[str] = set()  # models
        self._elsewhere: Counter[str] = Counter()  # lines, by region
        self.progress, self.over = 0, False
        self.until: float | None = None

    @property
    def left(self) -> int:
        return int(self._piece["lines"]) - int.from_bytes(self._done).bit_count()

    @property
    def region(self) -> str | None:
        bound = self._elsewhere.most_common(1)
        return bound[0][0] if bound and self._elsewhere.total() == self.left else None

    async def go(self) -> None:
        """Raises Stopped. What was answered until then is written down."""
        try:
            await self._ask_all()
        except asyncio.CancelledError:  # the worker ends: what it cannot write down is asked again
            with suppress(Stopped, TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._checkpoint()
            raise
        except BaseException:
            with suppress(Stopped):
                await self._checkpoint()
            raise
        await self._checkpoint()

    async def _ask_all(self) -> None:
        self._written = self._clock.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(self._look())
                async with aclosing(self._lines()) as lines, asyncio.TaskGroup() as asking:
                    for _ in range(min(CALLS_AT_ONCE, self.left)):
                        asking.create_task(self._ask(lines))
                looking.cancel()
        except* Stopped:
            raise Stopped from None

    async def _lines(self) -> AsyncGenerator[Line, None]:
        """Those without an answer, but for models that rest, until the turn is over."""
        until = self._clock.monotonic() + TURN_SECONDS
        async with aclosing(piece_lines(self._files, self._batch, self._piece, bytes(self._done))) as lines:
            async for line in lines:
                if self._clock.monotonic() >= until:
                    self.over = True
                    return
                if not self._resting or self._clerk.model(line) not in self._resting:
                    yield line

    async def _ask(self, lines: AsyncGenerator[Line, None]) -> None:
        while True:
            async with self._reading:
                line = await anext(lines, None)
            if line is None:
                return
            answered = await self._answer(line)
            if answered is None:
                continue
            self._answers.append((line.number, answered))
            self._size += len(answered.line)
            self.progress += 1
            if len(self._answers) >= CHECKPOINT_LINES or self._size >= CHECKPOINT_BYTES:
                await self._checkpoint()

    async def _answer(self, line: Line) -> Answered | None:
        """None where nobody can answer now. A failure is the line's own where its model answers others meanwhile."""
        answer = await self._clerk.answer(self._batch, line)
        model = self._clerk.model(line)
        before = self._served[model]
        for pause in AGAIN_SECONDS:
            if isinstance(answer, Answered | Elsewhere) or answer.resting:
                break
            await self._clock.sleep(pause)
            answer = await self._clerk.answer(self._batch, line)
        if isinstance(answer, Elsewhere):
            self._elsewhere[answer.region] += 1
            return None
        if isinstance(answer, Answered):
            self._served[model] += answer.good
            return answer
        if not answer.resting and self._served[model] > before:
            return answer.failed
        if answer.until is not None:
            self.until = answer.until if self.until is None else min(self.until, answer.until)
        self._resting.add(model)
        return None

    async def _look(self) -> None:
        """Ends the pass where the batch was cancelled, has expired, or has its books closed."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            with suppress(Unavailable):
                standing = await self._database.read(rows.standing, self._batch.id)
                if standing != ("in_progress", self._batch.run) or self._clock.now() >= self._batch.expires:
                    raise Stopped
            if self._clock.monotonic() - self._written >= CHECKPOINT_SECONDS:
                await self._checkpoint()

    async def _checkpoint(self) -> None:
        """Writes down what has been answered. Raises Stopped where it counts no more."""
        # A transaction that has begun is made whatever happens here, and what comes after must know of it.
        if not await asyncio.shield(self._write_down()):
            raise Stopped

    async def _write_down(self) -> bool:
        async with self._writing:
            answers, self._answers, self._size = self._answers, [], 0
            self._written = self._clock.monotonic()
            if not answers:
                return True
            done = bytearray(self._done)
            for number, _ in answers:
                done[number >> 3] |= 1 << (number & 7)
            new = Checkpoint(self._batch.id, self._piece["number"], self._piece["run"], self._checkpoints, bytes(done))
            good = [answer.line for _, answer in answers if answer.good]
            bad = [answer.line for _, answer in answers if not answer.good]
            new.output, new.completed = joined(good), len(good)
            new.errors, new.failed = joined(bad), len(bad)
            if not await self._patience.run(rows.record, self._batch.run, COUNTING, new):
                return False
            self._done, self._checkpoints = done, self._checkpoints + 1
            return True


def joined(lines: list[bytes]) -> bytes:
    """Lines of JSON as they stand in a file."""
    return b"".join(line + b"\n" for line in lines)


async def piece_lines(files: Files, batch: Batch, piece: Row, done: bytes) -> AsyncGenerator[Line, None]:
    """The requests of a piece that `done` does not mark."""
    number = 0
    stop: int = piece["stop"]
    async with (
        aclosing(files.stream(batch.input_file, piece["start"])) as data,
        aclosing(batch_input.lines(data, piece["start"])) as lines,
    ):
        async for offset, line in lines:
            if offset >= stop:
                return
            if batch_input.blank(line):
                continue
            if not done[number >> 3] >> (number & 7) & 1:
                written = batch_input.read(line)
                yield Line(piece=piece["number"], number=number, custom_id=written.custom_id, body=bytes(written.body))
            number += 1
