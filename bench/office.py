"""A law office on simulated time: the same mails through one strong model, and through the workstream.

`Script` is what somebody writes in an afternoon: the steps of the recipe, each asked of one model at its provider, with
the two retries that vendors' own clients make. `Workstreams` is this program: the recipe as it is shipped, the planner,
the rows and their recording (on SQLite), the runner, how tasks wait for models, and the gateway with its decisions,
chains, circuits and prices. What stands in for the program: `Queue` for DBOS (a run begins within a polling interval
of its time, at most 64 at once), and performers that do not read files.
"""

import asyncio
import json
import random
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from bench.simulation import STEP, LoopClock, SimulatedTransport, World
from chittycan import chat
from chittycan.agents import agent as agents
from chittycan.agents.performers.calls import Calls, Held
from chittycan.agents.performers.parts import Parts
from chittycan.agents.triage import TRIAGE
from chittycan.agents.wording import Wording
from chittycan.catalogue import Catalogue
from chittycan.config import load as load_settings
from chittycan.dialects import load as load_dialect
from chittycan.gateway.admission import Admission
from chittycan.gateway.cache import ResponseCache
from chittycan.gateway.record import Recorder as CallRecorder
from chittycan.gateway.service import Gateway
from chittycan.integrations.email.message import Mail
from chittycan.providers.connection import ConnectionCut, TimedOut
from chittycan.providers.registry import build
from chittycan.store import workstreams as stream_rows
from chittycan.store.database import Database
from chittycan.store.migrations import migrate
from chittycan.usage.ledger import Ledger
from chittycan.usage.meters import Meters
from chittycan.usage.prices import Prices
from chittycan.workstreams.advance import Advancer
from chittycan.workstreams.engine import CONCURRENCY, POLL_SECONDS
from chittycan.workstreams.plan import StepState, plan
from chittycan.workstreams.recipe import Recipe
from chittycan.workstreams.record import Recorder
from chittycan.workstreams.runner import Runner
from chittycan.workstreams.task import Ask, Done, Outcome, Task
from chittycan.workstreams.workstream import Workstream, from_stream_row, to_stream_row

# Of one call, as vendors' own clients have it.
SCRIPT_RETRIES, SCRIPT_CONNECT, SCRIPT_TIMEOUT = 2, 5.0, 600.0


class Case(Struct, frozen=True):
    """One mail with its contract, and when it arrives."""

    id: str
    at: float
    mail: Mail
    contract: str

    @property
    def inputs(self) -> dict[str, Any]:
        sender = self.mail.sender.address if self.mail.sender else "nobody@example.org"
        return {
            "mail": {"id": self.id, "from": sender, "name": "", "reply_to": sender, "subject": self.mail.subject,
                     "date": None, "message_id": self.mail.message_id},
            "office": "Our law office", "send": False,
        }  # fmt: skip


class Handled(Struct, kw_only=True):
    """What became of one mail. It is answered when letter and acknowledgement wait for the lawyer's approval."""

    case: Case
    ready: float | None = None
    cost_nano: int = 0
    waited: bool = False  # a step had to wait until some model came back
    by: dict[str, str | None] = {}  # step → the model that served it
    lost: str | None = None  # why it was given up


def catalogue_of(config: dict[str, Any], models: dict[str, Any], env: dict[str, str]) -> Catalogue:
    """What the registry makes of these files; the embedded model counts as installed."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("config.json", config), ("models.json", models)):
            file = Path(folder) / name
            file.write_text(json.dumps(content))
            file.chmod(0o600)
        return build(load_settings(Path(folder), env), env, {}, None)


def request_of(spec: dict[str, Any], case: Case, model: str) -> chat.ChatRequest:
    """A step's call, with the contract where the step is given files."""
    prompt = str(spec["prompt"])
    if spec.get("files"):
        prompt += f"\n\n<mail>\n{case.mail.text}\n</mail>\n<document>\n{case.contract}\n</document>"
    system = [chat.system(str(spec["system"]))] if spec.get("system") else []
    return chat.ChatRequest(model=model, messages=[*system, chat.user(prompt)], max_tokens=spec.get("max_tokens"))


def result_of(spec: dict[str, Any], text: str) -> dict[str, Any]:
    return {"text": text, "json": json.loads(text)} if spec.get("schema") else {"text": text}


class UnansweredError(Exception):
    """The script gave up."""


class Script:
    """One strong model. `at_once` mails are in work at the same time."""

    def __init__(self, catalogue: Catalogue, world: World, recipe: Recipe, model: str, at_once: int, seed: int) -> None:
        resolved = catalogue.resolve(model)
        assert resolved is not None
        self._model, self._provider = resolved, catalogue.providers[resolved.provider]
        self._transport, self._recipe = SimulatedTransport(world, seed), recipe
        self._prices, self._turn = Prices(LoopClock()), asyncio.Semaphore(at_once)

    async def handle(self, case: Case) -> Handled:
        handled = Handled(case=case)
        async with self._turn:
            states: dict[str, StepState] = {}
            try:
                while handled.ready is None:
                    step = plan(self._recipe, case.inputs, {}, states, spent_nano=0, now=0.0, started_at=0.0)
                    for each in step.start:
                        if each.type == "approval":
                            handled.ready = asyncio.get_running_loop().time()
                            break
                        request = (
                            TRIAGE.request(Wording(case.mail), self._model.name) if each.type == "agent"
                            else request_of(each.spec, case, self._model.name)
                        )  # fmt: skip
                        text, cost = await self._patiently(each.path, request)
                        handled.cost_nano += cost
                        handled.by[each.path] = self._model.name
                        result = {"json": json.loads(text)} if each.type == "agent" else result_of(each.spec, text)
                        states[each.path] = StepState(path=each.path, status="done", result=result)
            except UnansweredError as error:
                handled.lost = str(error)
        return handled

    async def _patiently(self, step: str, request: chat.ChatRequest) -> tuple[str, int]:
        STEP.set(step)
        for retry in range(SCRIPT_RETRIES + 1):
            try:
                return await self._ask(request)
            except (ConnectionCut, TimedOut):
                if retry < SCRIPT_RETRIES:
                    await asyncio.sleep(0.5 * 2**retry)
        raise UnansweredError("outage")

    async def _ask(self, request: chat.ChatRequest) -> tuple[str, int]:
        dialect = load_dialect(self._provider.dialect)
        body = msgspec.json.encode(dialect.build_request(replace(request, model=self._model.upstream)))
        response = await self._transport.send(
            self._transport.origin(self._provider.endpoint), "POST", dialect.path(self._model.upstream, False), b"",
            body, connect_timeout=SCRIPT_CONNECT, deadline=self._transport.now() + SCRIPT_TIMEOUT,
        )  # fmt: skip
        content = json.loads(await response.body())
        if response.status == 400:
            raise UnansweredError("too long")
        if response.status != 200:
            raise ConnectionCut("refused")
        answer = dialect.parse_response(content)
        return answer.text, self._prices.cost_nano(self._model, self._provider, answer.usage) or 0


class Queue:
    """Takes the engine's place. A run begins at its time, up to a polling interval later."""

    def __init__(self, seed: int) -> None:
        self._random, self._free = random.Random(f"queue {seed}"), asyncio.Semaphore(CONCURRENCY)
        self._loop, self._runs = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        self.run: Callable[[str, int], Awaitable[None]] | None = None

    def enqueue(
        self, _connection: Connection, _function: str, *args: Any, id: str, delay: float = 0.0, priority: int = 0,
        region: str | None = None,
    ) -> None:  # fmt: skip
        # The database's one writing thread: the run's own transaction comes after this one is committed.
        self._loop.call_soon_threadsafe(self._later, delay + self._random.uniform(0, POLL_SECONDS), *args)

    def _later(self, delay: float, task_id: str, run: int) -> None:
        self._loop.call_later(delay, self._begin, task_id, run)

    def _begin(self, task_id: str, run: int) -> None:
        task = self._loop.create_task(self._take(task_id, run))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    async def close(self) -> None:
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)

    async def _take(self, task_id: str, run: int) -> None:
        assert self.run is not None
        async with self._free:
            await self.run(task_id, run)


class Workstreams:
    """The program, as far as it can run on simulated time."""

    def __init__(self, catalogue: Catalogue, world: World, recipe: Recipe, folder: Path, seed: int) -> None:
        self._database = Database(f"sqlite:///{folder}/office.db")
        migrate(self._database)
        self._recipe, self._clock = recipe, LoopClock()
        nothing: Any = None  # what the steps of this recipe have no use for
        self._parts = Parts(
            gateway=self._gateway_of(catalogue, SimulatedTransport(world, seed)), database=self._database,
            clock=self._clock, enforcing=lambda: False, sessions=nothing, key_of=nothing, files=nothing, acts=nothing,
            effects=nothing, terms=nothing, audience=nothing, mail_terms=nothing, reread=nothing,
        )  # fmt: skip
        self._queue = Queue(seed)
        self._recorder = Recorder(cast(Any, self._queue), self._clock)
        self._advancer = Advancer(self._recorder, self._clock)
        self._recorder.advance = self._advance
        performers = {"agent": self._agent, "task": self._task, "approval": self._approval}
        self._runner = Runner(self._database, self._recorder, self._clock, "office", performers)
        self._queue.run = self._runner.run
        self._open: dict[str, tuple[Handled, asyncio.Event]] = {}
        self._loop = asyncio.get_running_loop()

    def _gateway_of(self, catalogue: Catalogue, transport: SimulatedTransport) -> Gateway:
        class Embedded:
            async def endpoint(self) -> str:
                return "http://embedded"

        prices, meters = Prices(self._clock), Meters(self._database, self._clock)
        return Gateway(
            catalogue, clock=self._clock, transport=cast(Any, transport), admission=Admission(meters, prices, ()),
            recorder=CallRecorder(Ledger(self._database, self._clock), prices, self._clock),
            cache=ResponseCache(self._database, self._clock), embedded=Embedded(),
        )  # fmt: skip

    async def handle(self, case: Case) -> Handled:
        handled, over = self._open[case.id] = Handled(case=case), asyncio.Event()
        now = self._clock.now()
        stream = Workstream(id=case.id, name=self._recipe.name, recipe=self._recipe, inputs=case.inputs,
                            created=now, updated=now)  # fmt: skip

        def begin(connection: Connection) -> None:
            stream_rows.add(connection, to_stream_row(stream))
            self._advance(connection, stream.id)

        await self._database.run(begin)
        await over.wait()
        row = await self._database.read(stream_rows.get, case.id)
        assert row is not None
        handled.cost_nano = from_stream_row(row).spent_nano
        return handled

    def _advance(self, connection: Connection, stream: str) -> None:
        self._advancer.advance(connection, stream)
        row = stream_rows.get(connection, stream)
        if row is not None and row["ended"] is not None:
            self._loop.call_soon_threadsafe(self._open[stream][1].set)

    async def _agent(self, task: Task) -> Outcome:
        handled = self._begun(task)
        calls = await Calls.of(self._parts, task)
        try:
            result = await agents.run(TRIAGE, Wording(handled.case.mail), calls.ask, model=task.model)
        except Held as held:
            return self._held(handled, held)
        handled.by[str(task.path)] = result.model or "rules"
        return Done(result={"json": result.output}, model=result.model, cost_nano=calls.cost_nano)

    async def _task(self, task: Task) -> Outcome:
        handled = self._begun(task)
        calls = await Calls.of(self._parts, task)
        try:
            answer = await calls.ask(request_of(task.spec, handled.case, task.model or "auto"))
        except Held as held:
            return self._held(handled, held)
        handled.by[str(task.path)] = answer.model
        return Done(result=result_of(task.spec, answer.text), model=answer.model, cost_nano=calls.cost_nano)

    def _held(self, handled: Handled, held: Held) -> Outcome:
        handled.waited = True
        return held.outcome

    async def _approval(self, task: Task) -> Outcome:
        handled = self._begun(task)
        handled.ready = self._clock.monotonic()
        self._open[str(task.workstream)][1].set()
        return Ask(question=dict(task.spec))

    def _begun(self, task: Task) -> Handled:
        STEP.set(str(task.path))
        return self._open[str(task.workstream)][0]

    async def close(self) -> None:
        await self._queue.close()
        self._database.close()
