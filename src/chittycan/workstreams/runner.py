"""Tries tasks: takes the row, lets the performer of its type do it, records what it came to.

One `Runner` is in each worker process. `run` is what the engine calls; it returns only when the outcome is in the
database (however long that is away), and may be called any number of times for the same run.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import AccessError, ChittyError, ConfigError, DeadlinePassed, RequestError, Unavailable
from chittycan.store import tasks as rows
from chittycan.store.database import Database
from chittycan.workstreams.life import TERMINAL, before
from chittycan.workstreams.patience import Patience
from chittycan.workstreams.record import Recorder
from chittycan.workstreams.rows import from_row
from chittycan.workstreams.task import Failed, Outcome, Performers, Task

MOST_DEATHS = 25  # workers that may end while they are at one task: it may be what ends them
DIED_FIX = "It may need more memory than there is. `can tasks retry` begins it anew."
LOOK_SECONDS = 1.0  # how often it is looked whether what runs was cancelled

FINAL = (RequestError, AccessError, ConfigError)  # errors that no further try can mend


class Runner:
    """`worker` is this process's name in the rows that it works at, `regions` are those that it is in."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        worker: str,
        performers: Performers,
        regions: Collection[str] = (),
    ) -> None:
        self._database, self._recorder, self._clock = database, recorder, clock
        self._patience = Patience(database, clock)
        self.worker, self._performers, self._regions = worker, performers, frozenset(regions)
        self._running: dict[asyncio.Task[Outcome], Task] = {}  # a void run and the valid one may be here together

    @property
    def busy(self) -> int:
        """How many tasks this process is at."""
        return len(self._running)

    async def run(self, task_id: str, run: int) -> None:
        task = await self._begin(task_id, run)
        if task is None:
            return
        outcome = await self._outcome(task)
        if outcome is None:
            return
        try:
            await self._patience.run(self._recorder.record, task, outcome)
        except Exception as error:
            # What cannot be written down would else be done, and paid for, again and again.
            lost = Failed(error=_unforeseen(error), again=False, cost_nano=getattr(outcome, "cost_nano", None))
            await self._patience.run(self._recorder.record, task, lost)

    async def _begin(self, task_id: str, run: int) -> Task | None:
        """The task, now ours to do. None where it is over or another run is valid."""

        def claim(connection: Connection) -> Task | None:
            found = rows.lock(connection, task_id)  # no two tries have one number
            if found is None or found["run"] != run or found["status"] in TERMINAL:
                return None
            now = self._clock.now()
            task = from_row(found)
            if task.region is not None and task.region not in self._regions:
                # It was enqueued before it was bound to the region.
                waits = f"a worker of the region {task.region}"
                self._recorder.again(connection, task, "queued", now, waiting_for=waits)
                return None
            deaths = task.deaths + (task.status == "running")  # whoever was at it under this number is no more
            values = {"status": "running", "worker": self.worker, "tries": found["tries"] + 1, "updated": now,
                      "since": now, "started": found["started"] or now, "waiting_for": None, "due": None,
                      "deaths": deaths}  # fmt: skip
            if found["chain"] is not None:
                values["since"] = found["since"]
            if not rows.move(connection, task_id, before("running"), values, run=run):
                return None
            return from_row({**found, **values})

        return await self._patience.run(claim)

    async def _outcome(self, task: Task) -> Outcome | None:
        """None where the task was cancelled meanwhile."""
        performing = asyncio.ensure_future(self._perform(task))
        self._running[performing] = task
        try:
            return await performing
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                performing.cancel()
                raise  # the worker ends; whoever takes over does it again
            return None
        finally:
            del self._running[performing]

    async def _perform(self, task: Task) -> Outcome:
        perform = self._performers.get(task.type)
        if perform is None:
            return Failed(error=Unavailable(f"nothing here performs a task of the type {task.type!r}"), again=False)
        if task.deaths >= MOST_DEATHS:
            died = Unavailable(f"{task.deaths} workers ended while they were at it", code="worker_died", fix=DIED_FIX)
            return Failed(error=died, again=False)
        left = None if task.deadline is None else task.deadline - self._clock.now()
        if left is not None and left <= 0:
            cause = "it could begin" if task.chain is None else "a model could serve it"
            return Failed(error=DeadlinePassed(f"the task's deadline passed before {cause}"), again=False)
        try:
            async with asyncio.timeout(left) as limit:
                return await perform(task)
        except TimeoutError as error:
            if limit.expired():
                return Failed(error=DeadlinePassed("the task's deadline passed while it ran"), again=False)
            return Failed(error=_unforeseen(error))
        except ChittyError as error:
            return Failed(error=error, again=not isinstance(error, FINAL))
        except Exception as error:
            return Failed(error=_unforeseen(error))

    async def watch(self) -> None:
        """Stops what was cancelled or deleted while it ran here. Runs as long as the worker does."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            if not self._running:
                continue
            with suppress(Unavailable):
                seen = dict(self._running)
                found = await self._database.read(rows.standing, {each.id for each in seen.values()})
                standing = {each["id"]: each for each in found}
                for performing, task in seen.items():
                    if _void(task, standing.get(task.id)):
                        performing.cancel()


def _void(task: Task, standing: Mapping[str, object] | None) -> bool:
    """Whether nobody wants any more what the try comes to. `standing` is None where the task was deleted."""
    return standing is None or standing["status"] in TERMINAL or standing["run"] != task.run


def _unforeseen(error: Exception) -> ChittyError:
    # The message may hold what the task was about, which is the owner's; its type tells us enough.
    return ChittyError(f"unforeseen: {type(error).__name__}", code="unforeseen", fix="Report it with the task's id.")
