"""One database, SQLite or Postgres, behind two calls: `run` for transactions that write, `read` for the others.

SQLAlchemy Core is synchronous here on purpose: transactions are few and short (usage is flushed in batches,
budgets are leased in slices), so a small executor costs less than an asynchronous driver per database.
"""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from chittycan.errors import ConfigError, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

AWAY = "database_unavailable"  # the error's code where the database does not answer
# How long SQLite waits for another process's transaction. Ours last milliseconds; a migration may last seconds.
BUSY_MS = 5_000
# How long (seconds) a Postgres that says nothing is waited for, unless the URL has a `connect_timeout` of its own:
# psycopg would wait for two minutes, and so would a call that asks for its budget, and whoever ends the server.
CONNECT_SECONDS = 10
# How long Postgres lets a process that says nothing more hold its locks: it was frozen, or its machine is gone.
FROZEN_MS = 15_000
# libpq: a Postgres whose network was cut says nothing at all. It is given up after 25 seconds, not when TCP would.
CUT_OFF = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "25000"}
# Seconds before each further try of a transaction that the database rolled back because of another one.
RETRY_DELAYS = (0.02, 0.1, 0.4)
# Postgres: serialization failure, deadlock, lock not available, silent for too long. Nothing of such a transaction
# has happened.
RETRY_STATES = frozenset({"40001", "40P01", "55P03", "25P03"})
URL_SOURCE = "CHITTY_DATABASE_URL"


class Database:
    """A pool of connections to `url` and the threads that use them.

    Functions given to `run`, `read` and `run_sync` take a SQLAlchemy `Connection` first, run inside one
    transaction and may run again after a rollback: they must change nothing but the database.

    Raises `ConfigError` for a URL that cannot be used and `Unavailable` where psycopg is missing; calls raise
    `Unavailable` when the database does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = _parse(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _sqlite_engine(self.url) if self.sqlite else _postgres_engine(self.url)
        # SQLite has one writer at a time anyway: one thread queues them without waiting on locks.
        self._writers = ThreadPoolExecutor(1 if self.sqlite else 4, "chitty-db")
        self._readers = ThreadPoolExecutor(2, "chitty-db-read") if self.sqlite else self._writers

    async def run(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`fn(connection, …)` in one transaction that may write, on a thread.

        Who is cancelled meanwhile leaves once the transaction is over, so that what they do next comes after it; they
        do not hear whether it was made.
        """
        return await to_its_end(_on(self._writers, lambda: self._transact(False, lambda c: fn(c, *args, **kwargs))))

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `run`, for what only reads: on SQLite it never waits for a writer."""
        return await _on(self._readers, lambda: self._transact(True, lambda c: fn(c, *args, **kwargs)))

    def run_sync(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `run`, on the calling thread: for start-up and the command line."""
        return self._transact(False, lambda c: fn(c, *args, **kwargs))

    def close(self) -> None:
        """Finish what is under way and close every connection."""
        self._writers.shutdown()
        self._readers.shutdown()
        self._engine.dispose()

    def _transact(self, read_only: bool, fn: Callable[[Connection], T]) -> T:
        for delay in (*RETRY_DELAYS, None):
            try:
                with self._engine.connect() as connection:
                    connection.execution_options(chitty_read=read_only)
                    with connection.begin():
                        return fn(connection)
            except DBAPIError as error:
                if delay is not None and _worth_retrying(error):
                    time.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 (spreads retries, hides nothing)
                    continue
                # Of the class itself, not a subclass: the file is no database, or is damaged.
                if isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError:
                    raise self._unavailable(error) from error
                raise
        raise AssertionError("the last try returns or raises")

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self.url.database) if self.sqlite else self.url.render_as_string(hide_password=True)

    def _unavailable(self, error: DBAPIError) -> Unavailable:
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        message = f"the database {self.place} did not answer: {reason}"
        return Unavailable(message, fix=f"check {URL_SOURCE} and the server", code=AWAY)


def _on(executor: ThreadPoolExecutor, job: Callable[[], T]) -> "asyncio.Future[T]":
    return asyncio.get_running_loop().run_in_executor(executor, job)


async def to_its_end(work: Awaitable[T]) -> T:
    """What `work` gives. Who is cancelled meanwhile leaves once it is over: it is never left half done."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((working,))
        raise


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigError("this is no database URL", file=URL_SOURCE, fix=EXAMPLES) from error
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(f"{backend} is not supported", file=URL_SOURCE, fix=EXAMPLES)
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("SQLite needs a file: several processes share it", file=URL_SOURCE, fix=EXAMPLES)
    return parsed


EXAMPLES = "use sqlite:////absolute/path/chitty.db or postgresql://user:password@host/database"


def _worth_retrying(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state in RETRY_STATES or "database is locked" in str(error.orig)


# What has no adapter is asked for one anew with every value, and each refusal is written out: a third of the cost of
# a ledger row, which has many such values.
sqlite3.register_adapter(NoneType, {None: None}.__getitem__)
sqlite3.register_adapter(bool, int)


def _sqlite_engine(url: URL) -> Engine:
    create_private_file(Path(str(url.database)))
    engine = create_engine(url, pool_size=4, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Python's sqlite3 must not begin transactions by itself: ours are begun below.
        connection.isolation_level = None
        cursor = connection.cursor()
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _switch_to_wal(cursor)
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that first reads and then writes fails at once when another one wrote in between,
        # unless it took the write lock at its beginning.
        read_only = connection.get_execution_options().get("chitty_read", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _switch_to_wal(cursor: Any) -> None:
    # The switch needs the file for itself and does not wait for others: two processes that create it meet here.
    for delay in (0.01, 0.05, 0.2, 0.5, 1.0):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            time.sleep(delay)
        else:
            return
    cursor.execute("PRAGMA journal_mode = WAL")


def _postgres_engine(url: URL) -> Engine:
    patience = {"connect_timeout": str(CONNECT_SECONDS)} | CUT_OFF
    url = url.update_query_dict({name: value for name, value in patience.items() if name not in url.query})
    try:
        engine = create_engine(url, pool_size=4, max_overflow=2, pool_pre_ping=True, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise Unavailable(f"Postgres needs {error.name}", fix="pip install 'chittycan[postgres]'") from error

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {FROZEN_MS}")
        connection.commit()

    return engine


def create_private_file(path: Path) -> None:
    """Create `path` (0600) and its missing folders (0700); what exists is left as it is.

    SQLite gives the files that it puts beside the database the same mode.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise Unavailable(
            f"cannot write {path}: {error.strerror}", fix=f"set {URL_SOURCE} to a place you own"
        ) from error
