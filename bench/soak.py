"""Kills servers and workers at random moments while tasks and workstreams run: `python -m bench.soak`, `make soak`.

On SQLite and on Postgres: a server that does both, and two workers, share a database; a seeded choice of them is
killed with SIGKILL, group and all, and started again. A kill counts only where a call of the victim's was under way.
Afterwards: nothing is lost or stuck, each task and each workstream has come to its end exactly once, and each mail has
arrived at most once. Of a mail whose sender was killed in the middle a person must say whether it arrived: here a
stand-in looks it up at the mail server. How many model calls had to be repeated is counted.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import text

from bench.crew import MODELS, Audit, MailServer, Member, SlowProvider, more_than_once, write_config
from bench.durable import Databases
from bench.run import free_port, machine, save
from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.errors import ChittyError, Unavailable
from chittycan.store.database import Database
from chittycan.store.migrations import migrate
from chittycan.store.tasks import Wanted

PAUSE = (0.3, 2.5)  # seconds from one start to the next kill
CALL_PATIENCE = 60.0  # seconds until anybody has a call under way
AFTER = 120.0  # seconds for what is left, once nobody is killed any more
TOGETHER = 9  # tasks that are kept under way, about as many as end from one kill to the next
MAILS = 5  # of one workstream
RECIPE = """
name: soak
inputs: {number: number, to: list}
steps:
  - id: both
    parallel:
      - {id: one, task: "Stream ${inputs.number} one", model: first/slow-2}
      - {id: two, task: "Stream ${inputs.number} two", model: first/slow-3}
  - id: mails
    for_each:
      in: ${inputs.to}
      max_parallel: 2
      steps:
        - {id: mail, send: {to: "${item}", subject: Once, body: "${one.text}"}}
  - {id: last, task: "Stream ${inputs.number} last", model: first/slow-1}
outputs: {text: "${last.text}"}
"""


class Shape(Struct, frozen=True, kw_only=True):
    """How much of it: `restarts` is how often the database itself is stopped for a while."""

    kills: int
    tasks: int
    streams: int
    seed: int = 1
    workers: int = 2
    restarts: int = 0
    speed: float = 1.0  # of all that the provider takes its time for: less is quicker


class Outcome(Struct, kw_only=True):
    """What was seen. `wrong` says in words whatever should not have been."""

    kills: int = 0
    kills_without_a_call: int = 0
    restarts: int = 0
    seconds: float = 0.0
    tasks: int = 0
    streams: int = 0
    calls: int = 0
    calls_repeated: int = 0
    mails: int = 0
    mails_in_doubt: int = 0  # asked of the stand-in
    wrong: list[str] = []


class Soak:
    """One run on one database. `bounce` stops the database for a moment and starts it again."""

    def __init__(self, url: str, home: Path, shape: Shape, bounce: Callable[[], Awaitable[None]] | None = None) -> None:
        self._url, self._home, self._shape, self._bounce = url, home, shape, bounce
        self._random = random.Random(shape.seed)
        self._database = Database(url)
        self._durable = Durable(self._database, SystemClock())
        self._port = free_port()
        self._crew = [Member("server", home, url, "--port", str(self._port))]
        self._crew += [
            Member(f"worker-{number}", home, url, "--role", "worker", "--worker-id", f"worker-{number}")
            for number in range(1, shape.workers + 1)
        ]
        self._tasks: dict[str, int] = {}  # id → number
        self._streams: list[str] = []
        self._outcome = Outcome()
        self._quiet = asyncio.Event()  # nobody is killed any more

    async def run(self) -> Outcome:
        begun = time.monotonic()
        async with AsyncExitStack() as stack:
            self._upstream = await stack.enter_async_context(SlowProvider(speed=self._shape.speed))
            self._mail = await stack.enter_async_context(MailServer())
            write_config(self._home, self._upstream.url, self._mail.port)
            await asyncio.to_thread(migrate, self._database)
            audit = Audit(self._database)
            audit.install()
            try:
                for member in self._crew:
                    await member.start()
                for member in self._crew:
                    await member.ready()
                person = asyncio.create_task(self._person())
                await asyncio.gather(self._submit_tasks(), self._run_streams(), self._kill())
                await self._ended()
                person.cancel()
                await asyncio.gather(person, return_exceptions=True)
                await self._judge(audit)
            finally:
                for member in self._crew:
                    await member.stop()
                await self._durable.close()
                self._database.close()
        self._outcome.seconds = round(time.monotonic() - begun, 1)
        return self._outcome

    # what goes on

    async def _submit_tasks(self) -> None:
        """Keeps some under way as long as somebody is killed; what is then left of them comes all at once."""
        for number in itertools.count():
            if number >= self._shape.tasks and self._quiet.is_set():
                return
            while not self._quiet.is_set() and await self._open() >= TOGETHER:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            model = list(MODELS)[number % len(MODELS)]
            answer = await self._post(
                "/tasks", {"prompt": f"Task {number}", "model": f"first/{model}"}, f"task-{number}"
            )
            self._tasks[answer["id"]] = number

    async def _run_streams(self) -> None:
        for number in range(self._shape.streams):
            to = [f"stream-{number}-{mail}@example.org" for mail in range(MAILS)]
            key = f"stream-{number}"
            stream = await _patiently(
                lambda given={"number": number, "to": to}, key=key: self._durable.streams.run(  # type: ignore[misc]
                    RECIPE, given, idempotency_key=key, base=None
                )
            )
            self._streams.append(stream.id)
            target = self._shape.kills * (number + 1) / self._shape.streams
            while self._outcome.kills < target and not self._quiet.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    async def _kill(self) -> None:
        shape, out = self._shape, self._outcome
        bounces = {shape.kills * (number + 1) // (shape.restarts + 1) for number in range(shape.restarts)}
        while out.kills < shape.kills:
            await asyncio.sleep(self._random.uniform(*PAUSE))
            offset = self._random.uniform(0, 0.5)
            victim = await self._busy()
            await asyncio.sleep(offset)
            counts = self._upstream.busy_for(victim.name)
            await victim.kill()
            out.kills += counts
            out.kills_without_a_call += not counts
            if self._bounce is not None and out.kills in bounces:
                bounces.remove(out.kills)
                await self._bounce()
                out.restarts += 1
            await victim.start()
        self._quiet.set()

    async def _busy(self) -> Member:
        """One of those with a call under way, as soon as there are any."""
        async with asyncio.timeout(CALL_PATIENCE):
            while True:
                for each in self._crew:
                    if not each.alive and (each.served or not self._outcome.restarts):
                        raise RuntimeError(f"{each.name} ended by itself:\n{each.said[-2000:]}")
                    if not each.alive:  # it found no database when it started
                        await each.start()
                busy = [each for each in self._crew if self._upstream.busy_for(each.name)]
                if busy:
                    return self._random.choice(busy)
                await asyncio.sleep(0.05)

    async def _person(self) -> None:
        """Says of mails in doubt whether they arrived."""
        while True:
            await asyncio.sleep(1.0)
            try:
                waiting, _ = await self._durable.tasks.list(Wanted(statuses=("waiting_for_approval",)))
                for task in waiting:
                    to = task.spec["to"][0] if isinstance(task.spec["to"], list) else task.spec["to"]
                    said = "approved" if self._mail.arrived[to] else "rejected"
                    answer = {"decision": said, "by": "a person"}
                    await self._durable.tasks.answer(task.id, answer, expected="waiting_for_approval")
                    self._outcome.mails_in_doubt += 1
            except ChittyError:
                pass  # the database is away, or the task has gone on

    # afterwards

    async def _ended(self) -> None:
        """Until nothing is open any more, or for long enough."""
        until = time.monotonic() + AFTER
        while time.monotonic() < until and (await self._open() or await self._open("workstreams")):  # noqa: ASYNC110
            await asyncio.sleep(0.5)

    async def _open(self, table: str = "tasks") -> int:
        query = text(f"SELECT count(*) FROM {table} WHERE ended IS NULL")
        return int(await _patiently(lambda: self._database.read(lambda c: c.execute(query).scalar_one())))

    async def _judge(self, audit: Audit) -> None:
        out, wrong = self._outcome, self._outcome.wrong
        out.tasks, out.streams = len(self._tasks), len(self._streams)
        ends = audit.ends()
        query = text("SELECT id, type, status, waiting_for, error FROM tasks")
        rows = {row.id: row for row in await self._database.read(lambda c: c.execute(query).all())}
        streams = text("SELECT id, status, error FROM workstreams")
        rows |= {row.id: row for row in await self._database.read(lambda c: c.execute(streams).all())}
        for name in (*self._tasks, *self._streams):
            if name not in rows:
                wrong.append(f"lost: {name}")
        for name, row in rows.items():
            if row.status != "done":
                wrong.append(f"{row.status}: {name} {row.error or getattr(row, 'waiting_for', '')}")
            if ends.get(name) != ["done"]:
                wrong.append(f"ended {ends.get(name, [])}: {name}")
        steps = 3 + MAILS
        if len(rows) != out.tasks + out.streams * (1 + steps):
            wrong.append(f"{len(rows)} rows, not {out.tasks + out.streams * (1 + steps)}")
        asked = self._upstream.asked()
        out.calls, out.calls_repeated = asked.total(), sum(times - 1 for times in asked.values())
        out.mails = self._mail.arrived.total()
        wrong += [f"mail twice: {to}" for to in more_than_once(self._mail.arrived.items())]
        if len(self._mail.arrived) != out.streams * MAILS:
            wrong.append(f"{len(self._mail.arrived)} of {out.streams * MAILS} mails arrived")

    async def _post(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        """Tries until the server, which may be dead, has taken it in."""

        def once() -> dict[str, Any]:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            try:
                headers = {"content-type": "application/json", "idempotency-key": key}
                connection.request("POST", f"/api/v1{path}", json.dumps(body), headers)
                response = connection.getresponse()
                said = response.read()
            finally:
                connection.close()
            if response.status != 202:
                if response.status < 500:
                    raise AssertionError(f"{response.status}: {said[:500]!r}")
                raise ConnectionError(response.status)
            answer: dict[str, Any] = json.loads(said)
            return answer

        while True:
            try:
                return await asyncio.to_thread(once)
            except (OSError, http.client.HTTPException):
                await asyncio.sleep(0.2)


async def _patiently(work: Callable[[], Awaitable[Any]]) -> Any:
    """While the database is away."""
    while True:
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(0.5)


def main(given: argparse.Namespace) -> int:
    result: dict[str, Any] = {"machine": machine(), "what": __doc__, "runs": {}}
    wrong = 0
    with Databases() as databases:
        for kind in given.databases.split(","):
            restarts = 3 if kind == "postgres" else 0
            shape = Shape(
                kills=given.kills, tasks=given.tasks, streams=given.streams, seed=given.seed, restarts=restarts
            )
            with tempfile.TemporaryDirectory(prefix="soak") as folder:
                soak = Soak(databases.make(kind), Path(folder), shape, databases.bounce if restarts else None)
                outcome = asyncio.run(soak.run())
            result["runs"][kind] = msgspec.to_builtins(outcome)
            wrong += len(outcome.wrong)
            print(f"{kind}: {outcome}", flush=True)
    print(f"raw numbers: {save('soak', result, given.quick)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 kills, 100 tasks, 3 workstreams")
    parser.add_argument("--kills", type=int, default=None, help="default 200")
    parser.add_argument("--tasks", type=int, default=None, help="default 1,000")
    parser.add_argument("--streams", type=int, default=None, help="default 20")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--databases", default="sqlite,postgres")
    asked = parser.parse_args()
    asked.kills = asked.kills or (10 if asked.quick else 200)
    asked.tasks = asked.tasks or (100 if asked.quick else 1_000)
    asked.streams = asked.streams or (3 if asked.quick else 20)
    sys.exit(main(asked))
