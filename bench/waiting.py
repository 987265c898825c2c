"""What tasks that wait for a model cost a worker: `python -m bench.waiting [--quick] [--count N]`.

An idle worker on a SQLite database with 100,000 waiting tasks beside one with none. The tasks wait for a model that
is away, so one of them tries it now and then; what that costs is in the figures.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from bench.run import machine, save
from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.store.database import Database
from chittycan.store.migrations import migrate
from chittycan.store.work_tables import tasks
from chittycan.workstreams.rows import to_row
from chittycan.workstreams.task import Outcome, Task, WaitForModel

SECONDS, SETTLE_SECONDS = 30.0, 10.0
AT_ONCE = 5_000  # tasks in one transaction
MODELS = ("gpt-4", "claude-sonnet-4-5")
CPU_PERCENT, MEMORY_MB = 1.0, 10.0  # the most that they may cost, of one core and of memory


async def fill(file: Path, count: int) -> float:
    """A new database with so many tasks that wait; seconds that it took."""
    database, clock = Database(f"sqlite:///{file}"), SystemClock()
    migrate(database)
    durable = Durable(database, clock)
    await durable.engine.prepare()
    begun, spec = time.monotonic(), {"prompt": "Summarise the attached contract in five points."}
    schedule = durable.recorder.waves.schedule

    def add(connection: Connection, numbers: range) -> None:
        now = clock.now()
        waiting = [
            Task(
                id=f"task_{number:08d}", status="waiting_for_model", spec=spec, run=2, tries=1, chain=", ".join(MODELS),
                waiting_for="gpt-4: unreachable; claude-sonnet-4-5: unreachable", priority=number % 3, created=now,
                updated=now, since=now, due=now + schedule.asleep + number * schedule.apart,
            )
            for number in numbers
        ]  # fmt: skip
        connection.execute(insert(tasks), [to_row(each) for each in waiting])
        for each in waiting:
            durable.recorder.enqueue(connection, each, until=each.due)

    for start in range(0, count, AT_ONCE):
        await database.run(add, range(start, min(start + AT_ONCE, count)))
    await durable.close()
    database.close()
    return time.monotonic() - begun


async def worker(file: Path, seconds: float) -> dict[str, float]:
    """What a worker that finds no model uses: percent of a core, MB, and how often it tried."""
    tries = 0

    async def away(_: Task) -> Outcome:
        nonlocal tries
        tries += 1
        return WaitForModel(models=MODELS, reason="gpt-4: unreachable; claude-sonnet-4-5: unreachable")

    database = Database(f"sqlite:///{file}")
    durable = Durable(database, SystemClock())
    await durable.work(lambda _: {"task": away})
    await asyncio.sleep(SETTLE_SECONDS)
    tries, used, begun = 0, time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    percent = 100 * (time.process_time() - used) / (time.monotonic() - begun)
    resident = _resident()
    await durable.close()
    database.close()
    return {"cpu_percent": round(percent, 2), "memory_mb": round(resident, 1), "tries": tries}


def _resident() -> float:
    """MB of memory. Not the peak: a child's begins with what its parent had."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def measure(folder: Path, count: int, seconds: float) -> dict[str, float]:
    """Of a process of its own."""
    file = folder / f"{count}.db"
    took = asyncio.run(fill(file, count))
    command = [sys.executable, "-m", "bench.waiting", "--worker", str(file), "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return {"waiting": count, "filled_s": round(took, 1), "file_mb": round(file.stat().st_size / 1e6, 1), **measured}


def main(count: int, quick: bool) -> int:
    seconds = 10.0 if quick else SECONDS
    result: dict[str, Any] = {"machine": machine(), "seconds": seconds, "workers": []}
    with tempfile.TemporaryDirectory(prefix="chitty-waiting-") as folder:
        for waiting in (0, count):
            seen = measure(Path(folder), waiting, seconds)
            result["workers"].append(seen)
            print(json.dumps(seen), flush=True)
    none, many = result["workers"]
    more = {name: round(many[name] - none[name], 2) for name in ("cpu_percent", "memory_mb")}
    result["goals"] = [
        {"goal": f"{count:,} waiting tasks cost ≤ {most} {unit}", "measured": more[name], "holds": more[name] <= most}
        for name, most, unit in (("cpu_percent", CPU_PERCENT, "% of a core"), ("memory_mb", MEMORY_MB, "MB"))
    ]
    print(json.dumps(result["goals"], indent=1, ensure_ascii=False))
    print(f"raw numbers: {save('waiting', result, quick)}")
    return 0 if all(row["holds"] for row in result["goals"]) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 tasks for 10 seconds")
    parser.add_argument("--count", type=int, help="waiting tasks (100,000)")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(asyncio.run(worker(given.worker, given.seconds))))
        sys.exit(0)
    sys.exit(main(given.count or (2_000 if given.quick else 100_000), given.quick))
