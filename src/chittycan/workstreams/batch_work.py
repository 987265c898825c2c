"""What the engine does for a batch: looks through its file, has its pieces done, closes its books.

A few pieces are done at once; the end of each begins the next, in one transaction with what came of it. Every
function may be repeated after a death, at any point.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import ChittyError, NotFound, Unavailable
from chittycan.store import batches as rows
from chittycan.store.batches import Row
from chittycan.store.database import Database
from chittycan.workstreams import batch_input
from chittycan.workstreams.batch import ENDED, OPEN, Batch, Clerk, Problem, Reason, Status, from_row, moved
from chittycan.workstreams.batch_input import Survey
from chittycan.workstreams.batch_piece import Pass, Stopped, piece_lines
from chittycan.workstreams.engine import Engine, Function
from chittycan.workstreams.events import Event, batch_ended
from chittycan.workstreams.files import Files
from chittycan.workstreams.patience import Patience

BEGIN, PIECE, CLOSE = "begin_batch", "run_batch_piece", "close_batch"  # the engine's functions
PIECES_AT_ONCE = 4  # of one batch, over all workers
PRIORITY = -50  # tasks, which people wait for, go first
PAUSE_SECONDS = 2.0  # before a piece goes on that no model could answer; doubled each time
LONGEST_PAUSE = 60.0
MOST_MOVES = 3  # at once from region to region with nothing answered: those who sent it there differ about the rules
LOOK_SECONDS = 60.0  # between looks for pieces whose run was lost
MOST_LOOKED_AT = 500
OUTPUT_SECONDS = 30 * 86_400.0  # how long results are kept, where the client does not say

Tell = Callable[[Connection, Event, dict[str, Any] | None], None]


class BatchWork:
    """`tell` has an event told to a batch's own webhook and to whom the owner wants told, inside a transaction."""

    def __init__(
        self, database: Database, engine: Engine, files: Files, clock: Clock, clerk: Clerk, tell: Tell
    ) -> None:
        self._database, self._engine, self._files, self._clock = database, engine, files, clock
        self._clerk, self._tell = clerk, tell
        self._patience = Patience(database, clock)

    @property
    def functions(self) -> dict[str, Function]:
        return {BEGIN: self.begin, PIECE: self.piece, CLOSE: self.close}

    # the beginning

    async def begin(self, batch_id: str) -> None:
        """Looks through the file, cuts it, and has the first pieces done."""
        batch = await self._batch(batch_id)
        if batch is None or batch.status != "validating":
            return
        survey, size = await self._patience.until_made(lambda: self._surveyed(batch))
        cuts = [] if survey.problems else survey.pieces(size)
        await self._patience.run(self._begun, batch_id, survey, cuts)

    async def _surveyed(self, batch: Batch) -> tuple[Survey, int]:
        """What is in its file, and how many bytes that has."""
        survey = Survey(batch.endpoint)
        try:
            size = (await self._files.get(batch.input_file)).size
            await self._look_through(batch, survey)
        except NotFound as error:
            survey.problems.append(Problem(code="invalid_file", message=error.message, param="input_file_id"))
            return survey, 0
        if not survey.total and not survey.problems:
            survey.problems.append(Problem(code="empty_file", message="The file holds no requests."))
        return survey, size

    async def _look_through(self, batch: Batch, survey: Survey) -> None:
        number = 0
        async with (
            aclosing(self._files.stream(batch.input_file)) as data,
            aclosing(batch_input.lines(data)) as lines,
        ):
            try:
                async for offset, line in lines:
                    number += 1
                    if not batch_input.blank(line) and not survey.take(offset, line, number):
                        break
            except batch_input.TooLong:
                message = f"A line has at most {batch_input.LINE_BYTES >> 20} MB."
                survey.problems.append(Problem(code="line_too_long", message=message, line=number + 1))

    def _begun(self, connection: Connection, batch_id: str, survey: Survey, cuts: list[tuple[int, int, int]]) -> None:
        batch = _locked(connection, batch_id)
        if batch is None or batch.status != "validating":
            return
        now = self._clock.now()
        if survey.problems:
            rows.change(connection, batch.id, moved(batch, "failed", now, errors=tuple(survey.problems)))
            self._tell(connection, batch_ended(batch, "failed", now), batch.detail.webhook)
            return
        rows.change(connection, batch.id, {**moved(batch, "in_progress", now), "total": survey.total})
        rows.add_pieces(connection, batch.id, cuts)
        for _ in range(PIECES_AT_ONCE):
            self._next(connection, batch)

    # pieces

    async def piece(self, batch_id: str, number: int, run: int, idle: int = 0) -> None:
        """One pass over a piece. `idle`: how many before it could have nothing answered."""
        batch = await self._batch(batch_id)
        piece = await self._patience.run(rows.piece, batch_id, number)
        if batch is None or batch.status != "in_progress" or piece is None:
            return
        if piece["status"] != "running" or piece["run"] != run:
            return
        if self._clock.now() >= batch.expires:
            return  # `close` sees to it
        pass_ = Pass(self._database, self._files, self._clock, self._clerk, batch, piece)
        try:
            await pass_.go()
        except Stopped:
            return
        except Exception:  # its file cannot be read now, or a fault of ours: in either case not the end of the batch
            await self._patience.run(self._passed, batch, piece, pass_, idle)
            raise
        await self._patience.run(self._passed, batch, piece, pass_, idle)

    def _passed(self, connection: Connection, asked: Batch, piece: Row, pass_: Pass, idle: int) -> None:
        """What follows from a pass: the piece's next one, another piece, or the end of the batch."""
        batch = _locked(connection, asked.id)
        found = rows.piece(connection, asked.id, piece["number"])
        if batch is None or batch.status != "in_progress" or batch.run != asked.run:
            return
        if found is None or found["run"] != piece["run"] or found["status"] != "running":
            return
        number = piece["number"]
        if pass_.left:
            idle = 0 if pass_.progress else idle + 1
            run = piece["run"] + 1
            rows.change_piece(connection, batch.id, number, {"run": run})
            moves = pass_.region is not None and idle < MOST_MOVES
            pause = 0.0 if pass_.over or moves else self._pause(pass_, idle)
            self._enqueue(connection, batch, number, run, idle, pause, region=pass_.region)
            if pass_.over or not (pass_.progress or pass_.region):
                return  # it keeps its place: others would fare alike
        else:
            rows.change_piece(connection, batch.id, number, {"status": "done"})
        if not self._next(connection, batch) and not rows.open_pieces(connection, batch.id):
            now = self._clock.now()
            rows.change(connection, batch.id, moved(batch, "finalizing", now))
            enqueue_close(self._engine, connection, batch, "completed")

    def _pause(self, pass_: Pass, idle: int) -> float:
        longest = min(PAUSE_SECONDS * float(2 ** min(idle, 10)), LONGEST_PAUSE)
        return longest if pass_.until is None else min(max(pass_.until - self._clock.now(), 0.5), longest)

    def _next(self, connection: Connection, batch: Batch) -> bool:
        """Begins the first piece that nobody has begun; False where there is none."""
        number = rows.next_waiting(connection, batch.id)
        if number is None:
            return False
        rows.change_piece(connection, batch.id, number, {"status": "running"})
        self._enqueue(connection, batch, number, 1, 0, 0.0)
        return True

    def _enqueue(
        self, connection: Connection, batch: Batch, number: int, run: int, idle: int, delay: float,
        *, region: str | None = None,
    ) -> None:  # fmt: skip
        """For workers of the batch's region, or of `region` where it has none."""
        self._engine.enqueue(
            connection, PIECE, batch.id, number, run, idle, id=piece_name(batch.id, number, run), delay=delay,
            priority=PRIORITY, region=batch.region or region,
        )  # fmt: skip

    async def watch(self) -> None:
        """Looks for pieces whose run was lost, as long as the worker is at work."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            with suppress(Unavailable):
                await self.mend()

    async def mend(self) -> int:
        """Gives a new run to pieces that should have one and have none; says how many. Raises Unavailable."""
        found = await self._database.read(rows.running_pieces, MOST_LOOKED_AT)
        named = {piece_name(each["batch"], each["number"], each["run"]): each for each in found}
        kept = await self._engine.open(named)
        lost = [each for name, each in named.items() if name not in kept]
        return sum([await self._database.run(self._run_anew, each) for each in lost])

    def _run_anew(self, connection: Connection, seen: Row) -> bool:
        batch = _locked(connection, seen["batch"])
        piece = rows.piece(connection, seen["batch"], seen["number"])
        if batch is None or batch.status != "in_progress" or piece is None:
            return False
        if piece["status"] != "running" or piece["run"] != seen["run"]:
            return False
        rows.change_piece(connection, batch.id, piece["number"], {"run": piece["run"] + 1})
        self._enqueue(connection, batch, piece["number"], piece["run"] + 1, 0, 0.0)
        return True

    # the end

    async def close(self, batch_id: str, reason: Reason) -> None:
        """Closes the books: from now on no answer counts. Then writes the result files."""
        batch = await self._patience.run(self._closing, batch_id, reason)
        if batch is not None:
            closed = batch
            files = await self._patience.until_made(lambda: self._written(closed, reason))
            named = await self._patience.run(self._closed, batch_id, reason, files)
            for file in files.values():
                if file is not None and file not in named:
                    await self._discard(file)
        await self._tidy(batch_id)

    async def _tidy(self, batch_id: str) -> None:
        """Removes what only the work needed, once that is over."""
        batch = await self._batch(batch_id)
        if batch is None or batch.status not in ENDED:
            return
        for each in await self._patience.run(rows.pieces, batch_id):
            await self._patience.run(rows.clear, batch_id, each["number"])
        if batch.surface == "anthropic":  # nobody but us knows of this file
            await self._discard(batch.input_file)
        if batch.status != "expired":
            with suppress(ChittyError):
                await self._engine.drop([close_name(batch_id, "expired")])

    async def _discard(self, file_id: str) -> None:
        with suppress(ChittyError):
            await self._files.delete(file_id)

    def _closing(self, connection: Connection, batch_id: str, reason: Reason) -> Batch | None:
        """None where somebody else closes them, or there is nothing to be closed any more."""
        batch = _locked(connection, batch_id)
        if batch is None or batch.status in ENDED:
            return None
        if batch.detail.closing is not None:  # by us, in a try that died; or for another reason
            return batch if batch.detail.closing == reason else None
        if batch.status not in _CLOSED_FROM[reason]:
            return None
        status: Status = "cancelling" if reason == "cancelled" else "finalizing"
        now = batch.detail.times.get(status, self._clock.now())
        values = {**moved(batch, status, now, closing=reason), "run": batch.run + 1}
        rows.change(connection, batch_id, values)
        found = rows.get(connection, batch_id)
        return from_row(found)

    def _closed(
        self, connection: Connection, batch_id: str, reason: Reason, files: dict[str, str | None]
    ) -> set[str | None]:
        """The result files that the batch names from now on: those of whoever was first."""
        batch = _locked(connection, batch_id)
        if batch is None:
            return set()
        if batch.status in ENDED:
            return {batch.output_file, batch.error_file}
        now = self._clock.now()
        rows.change(connection, batch_id, {**moved(batch, reason, now), **files})
        self._tell(connection, batch_ended(batch, reason, now), batch.detail.webhook)
        return set(files.values())

    async def _written(self, batch: Batch, reason: Reason) -> dict[str, str | None]:
        """The ids of the result files; without any line there is no file."""
        pieces = await self._patience.run(rows.pieces, batch.id)
        undone = [each for each in pieces if int.from_bytes(each["done"]).bit_count() < each["lines"]]
        if batch.surface == "anthropic":
            both = self._results(batch, ("output", "errors"), undone, reason)
            return {"output_file": await self._file(batch, both, "results") if pieces else None}
        good = self._results(batch, ("output",), [], reason) if batch.completed else None
        bad = self._results(batch, ("errors",), undone, reason) if batch.failed or undone else None
        return {
            "output_file": await self._file(batch, good, "output") if good else None,
            "error_file": await self._file(batch, bad, "error") if bad else None,
        }

    async def _file(self, batch: Batch, data: AsyncIterator[bytes], what: str) -> str:
        kept = OUTPUT_SECONDS if batch.detail.output_seconds is None else batch.detail.output_seconds
        file = await self._files.create(
            data, name=f"{batch.id}_{what}.jsonl", purpose="batch_output", key_id=batch.key_id,
            expires=self._clock.now() + kept,
        )  # fmt: skip
        return file.id

    async def _results(
        self, batch: Batch, columns: tuple[str, ...], undone: list[Row], reason: Reason
    ) -> AsyncGenerator[bytes, None]:
        """Checkpoint by checkpoint, then the requests whose turn never came."""
        last = (-1, -1)
        while (found := await self._patience.run(rows.results_after, batch.id, last)) is not None:
            for column in columns:
                yield found[column]
            last = (found["piece"], found["number"])
        with suppress(NotFound):  # nobody knows any more what was to be asked
            for piece in undone:
                async with aclosing(piece_lines(self._files, batch, piece, piece["done"])) as lines:
                    async for line in lines:
                        yield self._clerk.unanswered(batch, line, reason) + b"\n"

    async def _batch(self, batch_id: str) -> Batch | None:
        found = await self._patience.run(rows.get, batch_id)
        return None if found is None else from_row(found)


_CLOSED_FROM: dict[Reason, tuple[str, ...]] = {
    "completed": ("finalizing",),
    "expired": OPEN,
    "cancelled": ("cancelling",),
}


def begin_name(batch_id: str) -> str:
    return f"{batch_id}.begin"


def piece_name(batch_id: str, number: int, run: int) -> str:
    return f"{batch_id}.{number}.{run}"


def close_name(batch_id: str, reason: Reason) -> str:
    return f"{batch_id}.{reason}"


def enqueue_close(engine: Engine, connection: Connection, batch: Batch, reason: Reason, delay: float = 0.0) -> None:
    name = close_name(batch.id, reason)
    engine.enqueue(connection, CLOSE, batch.id, reason, id=name, delay=delay, region=batch.region)


def _locked(connection: Connection, batch_id: str) -> Batch | None:
    found: Any = rows.lock(connection, batch_id)
    return None if found is None else from_row(found)
