"""The one place that knows DBOS: what is to be run is put into its queue, workers take it out, the dead are recovered.

A workflow here is a name and JSON arguments, looked up in the table of functions that the worker was started with.
It has no steps in DBOS's sense: what it came to is in our own rows, recorded by the function itself, so that no
replay depends on the code that ran before. Functions must be idempotent: a worker's death repeats them.

Source: https://docs.dbos.dev/python/reference (DBOS Transact 3.4).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, update
from sqlalchemy.exc import DBAPIError

from chittycan.errors import Unavailable
from chittycan.store.database import to_its_end
from chittycan.workstreams import engine_rows as rows

QUEUE = "work"  # for any worker; what is bound to a region has that region's own queue beside it
CONCURRENCY = 64  # workflows at once in one worker
POLL_SECONDS = 0.2
# Changes only with a migration after which older workers must not touch what newer ones wrote: recovery and
# dequeuing look at equal versions alone.
WORK_VERSION = "1"
APPLICATION = "chittycan"
_WORKFLOW = "chittycan.run"
# Priorities of ours are higher first and centred on 0, DBOS's lower first and from 1.
MOST_PRIORITY = 1_000_000

Function = Callable[..., Awaitable[None]]
T = TypeVar("T")

_functions: Mapping[str, Function] = {}
_owner: "Engine | None" = None  # DBOS is one per process
_at_work: dict["asyncio.Task[Any]", str] = {}  # and the id of what each does
_registered: Any = None


class Engine:
    """The queue on the database at `url`. Submitting needs no worker; `start` makes this process one.

    Everything raises Unavailable where the extra `workstreams` is not installed or the database is away.
    """

    def __init__(self, url: URL) -> None:
        self._url = url.render_as_string(hide_password=False)
        self._client: Any = None
        self._dbos: Any = None
        self._preparing = asyncio.Lock()

    @staticmethod
    def check() -> None:
        """Raises Unavailable where the extra is missing."""
        _dbos()

    @property
    def prepared(self) -> bool:
        return self._client is not None

    @property
    def running(self) -> bool:
        """Whether this process takes work."""
        return self._dbos is not None

    async def prepare(self) -> None:
        """Makes the engine's own tables where they are missing. Must have been called before anything is submitted."""
        async with self._preparing:
            if self._client is None:
                await to_its_end(asyncio.to_thread(self._connect))

    def _connect(self) -> None:
        dbos = _dbos()
        dbos.DBOS.migrate(self._url)
        self._client = dbos.DBOSClient(
            system_database_url=self._url,
            serializer=dbos.DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            retry_connection_errors=False,
        )

    async def close(self) -> None:
        await self.stop()
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.destroy)

    # submitting: within a transaction of ours

    def enqueue(
        self,
        connection: Connection,
        function: str,
        *args: Any,
        id: str,
        delay: float = 0.0,
        priority: int = 0,
        region: str | None = None,
    ) -> None:
        """Run `function(*args)` once `connection`'s transaction is committed, not before `delay` seconds.

        `id` is unique for ever: what was enqueued under it before stays as it is. With `region` only a worker of that
        region takes it.
        """
        options = {
            "workflow_name": _WORKFLOW,
            "queue_name": queue_of(region),
            "workflow_id": id,
            "app_version": WORK_VERSION,
            "application_name": APPLICATION,
            "priority": MOST_PRIORITY - max(-MOST_PRIORITY + 1, min(priority, MOST_PRIORITY - 1)),
        }
        if delay > 0:
            options["delay_seconds"] = delay
        self._ready().enqueue_in_transaction(connection, options, function, *args)

    def wake(self, connection: Connection, ids: Collection[str], delay: float = 0.0) -> None:
        """Those that are delayed are due in `delay` seconds, once `connection`'s transaction is committed.

        Harmless for all others.
        """
        if not ids:
            return
        known = self._ready()._sys_db
        known._apply_caller_schema(connection)
        table = known.tables.workflow_status
        values: dict[str, Any] = {"status": "ENQUEUED"}
        if delay > 0:
            values = {"delay_until_epoch_ms": int((time.time() + delay) * 1000)}
        delayed = (table.c.workflow_uuid.in_(ids), table.c.status == "DELAYED")
        connection.execute(update(table).where(*delayed).values(values))

    async def drop(self, ids: Collection[str]) -> None:
        """Those that have not begun never will; what runs is not stopped."""
        if ids:
            await _ask(lambda: self._ready().cancel_workflows(list(ids)))

    async def forget(self, ids: Collection[str]) -> None:
        """Removes what is known of workflows that are over."""
        if ids:
            await _ask(lambda: self._ready().delete_workflows(list(ids)))

    async def statuses(self, ids: Collection[str]) -> dict[str, str]:
        """PENDING (being run), ENQUEUED, DELAYED, SUCCESS, ERROR, CANCELLED… of those that are known."""

        def look() -> dict[str, str]:
            found = self._ready().list_workflows(workflow_ids=list(ids), load_input=False, load_output=False)
            return {each.workflow_id: each.status for each in found}

        return await _ask(look) if ids else {}

    def _ready(self) -> Any:
        if self._client is None:
            raise Unavailable("durable work is not prepared", fix="call `prepare` first")
        return self._client

    # working

    async def start(self, worker: str, functions: Mapping[str, Function], regions: Collection[str] = ()) -> None:
        """Take work from the queue, as the executor `worker`, until `stop`. What `worker` left undone is taken up.

        Of what is bound to a region, only that of `regions`.
        """
        global _owner, _functions
        if _owner is not None:
            raise Unavailable("this process is a worker already", fix="start another process")
        await self.prepare()
        dbos = _dbos()
        _owner, _functions = self, dict(functions)
        try:
            _quiet()
            self._dbos = dbos.DBOS(
                config={
                    "name": APPLICATION,
                    "system_database_url": self._url,
                    "executor_id": worker,
                    "serializer": dbos.DBOSPortableJSONSerializer(),  # the default one is pickle
                    "application_version": WORK_VERSION,
                    "log_level": "CRITICAL",
                    "notification_listener_polling_interval_sec": 1.0,
                }
            )
            _register(dbos)
            # Before the launch, which looks for queues: the next look is a second later.
            queues = [queue_of(region) for region in (None, *regions)]
            for queue in queues:
                await asyncio.to_thread(
                    self._client.register_queue,
                    queue,
                    worker_concurrency=CONCURRENCY,
                    polling_interval_sec=POLL_SECONDS,
                    on_conflict="always_update",
                )
            dbos.DBOS.listen_queues(queues)
            # Asynchronous workflows run in this loop, which the launch, many statements long, must not stop.
            self._dbos._background_event_loop.set_main_loop()
            await to_its_end(asyncio.to_thread(dbos.DBOS.launch))  # half launched, it could not be destroyed
        except BaseException:
            await self.stop()
            raise

    async def drain(self, seconds: float) -> bool:
        """Take no more work, and let what runs come to its end for so long; whether it did. `stop` comes after it."""
        if self._dbos is None:
            return True
        for event in self._dbos.background_thread_stop_events:
            event.set()
        if _at_work:
            await asyncio.wait(list(_at_work), timeout=seconds)
        return not _at_work

    async def stop(self) -> None:
        """Take no more work. What runs is abandoned: another worker, or this one when it starts again, repeats it."""
        global _owner, _functions
        if _owner is not self:
            return
        try:
            await asyncio.to_thread(_dbos().DBOS.destroy, workflow_completion_timeout_sec=0)
            for task in _at_work:  # DBOS writes nothing down of what is cancelled like this
                task.cancel()
            await asyncio.gather(*_at_work, return_exceptions=True)
        finally:
            self._dbos, _owner, _functions = None, None, {}

    async def recover(self, workers: Collection[str]) -> int:
        """Puts what these dead workers were at back into the queue; says how many workflows that was.

        Harmless at any time and for several at once, but for a worker that is not dead: what it does is done twice.
        """

        return await _ask(lambda: rows.give_back(self._known, workers, QUEUE, WORK_VERSION)) if workers else 0

    async def executors(self) -> set[str]:
        """The workers that something is with."""
        return await _ask(lambda: rows.executors(self._known))

    async def adopt(self) -> int:
        """Takes over what waits for a worker of an older `WORK_VERSION`; says how many workflows that was."""
        return await _ask(lambda: rows.adopt(self._known, WORK_VERSION))

    async def find(self, worker: str, before: float) -> list[str]:
        """What `worker`, this process, has had since `before` (Unix seconds) without doing it goes back; its ids.

        So it is where the database went away between taking a workflow and reading what it is.
        """

        def mislaid() -> list[str]:
            found = rows.mislaid(self._known, worker, set(_at_work.values()), before)
            return [each for each in found if self._known.reenqueue_for_recovery(each, [worker], QUEUE)]

        return await _ask(mislaid)

    async def open(self, ids: Collection[str]) -> set[str]:
        """Those of `ids` (hundreds, not thousands) that are to be run yet, or are being run."""
        return await _ask(lambda: rows.open_of(self._known, ids)) if ids else set()

    async def forget_over(self, before: float, limit: int) -> int:
        """Removes what is known of workflows that were over before then, `limit` of them; says how many there were."""

        def remove() -> int:
            ids = rows.over(self._known, before, limit)
            if ids:
                self._ready().delete_workflows(ids)
            return len(ids)

        return await _ask(remove)

    @property
    def _known(self) -> Any:
        return self._ready()._sys_db


def queue_of(region: str | None) -> str:
    """The name of the queue of a region, or of what is bound to none."""
    return QUEUE if region is None else f"{QUEUE}@{region}"


async def _ask(look: Callable[[], T]) -> T:
    """What the database says, on a thread. Raises Unavailable."""
    try:
        return await asyncio.to_thread(look)
    except DBAPIError as error:
        raise Unavailable("the database does not answer") from error


async def _run(function: str, *args: Any) -> None:
    found = _functions.get(function)
    if found is None:
        raise Unavailable(f"this worker does not know {function!r}")
    task = asyncio.current_task()
    assert task is not None
    _at_work[task] = _dbos().DBOS.workflow_id
    try:
        await found(*args)
    finally:
        del _at_work[task]


def _register(dbos: Any) -> None:
    global _registered  # noqa: PLW0603
    if _registered is None:
        _registered = dbos.DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=None)(_run)


def _quiet() -> None:
    # What concerns a person is said by us; its own lines go to whoever turns this logger on. Without a handler of ours
    # DBOS adds one for standard error as it is when it begins, and breaks where that is closed later.
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.CRITICAL)


def _dbos() -> Any:
    try:
        import dbos
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"durable work needs {error.name}, which is not installed", fix="pip install 'chittycan[workstreams]'"
        ) from error
    return dbos
