"""Tasks that wait for a model, with the real engine and a worker, on both databases."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from chittycan.app import Network
from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.providers.discovery import Endpoint, FoundModel
from chittycan.store.database import Database
from chittycan.testing.upstream import ScriptedUpstream
from chittycan.workstreams import waiting
from chittycan.workstreams.record import run_id
from chittycan.workstreams.task import Done, Outcome, Task, WaitForModel
from chittycan.workstreams.waves import Schedule
from serving import PATIENCE, Serve, config, proxy, until, write_config

HOUR = 3600.0
QUICK = Schedule(first=0.5, longest=1.0)


class Model:
    """A model that is away until `back` is set."""

    def __init__(self) -> None:
        self.back = False
        self.refused: list[str] = []
        self.served: list[str] = []

    async def perform(self, task: Task) -> Outcome:
        if not self.back:
            self.refused.append(task.id)
            return WaitForModel(models=("m",), reason="m is unreachable")
        self.served.append(task.id)
        return Done(model="m")


@pytest.fixture
async def durable(database: Database) -> AsyncIterator[Durable]:
    durable = Durable(database, SystemClock())
    durable.recorder.waves.schedule = QUICK
    yield durable
    await durable.close()


async def waiting_tasks(durable: Durable, count: int) -> list[Task]:
    """So many tasks that a worker has tried and found no model for."""
    submitted = [await durable.tasks.submit(Task(id="")) for _ in range(count)]
    return [await waits(durable, each) for each in submitted]


async def waits(durable: Durable, task: Task) -> Task:
    async with asyncio.timeout(PATIENCE):
        async for seen in durable.tasks.watch(task.id):
            if seen.status == "waiting_for_model":
                return seen
    raise AssertionError(f"{task.id} has ended")


async def done(durable: Durable, tasks: Sequence[Task]) -> bool:
    return {(await durable.tasks.wait(each.id, timeout=PATIENCE)).status for each in tasks} == {"done"}


async def test_an_outage_costs_the_calls_of_one_task_and_ends_with_all_done(durable: Durable) -> None:
    model = Model()
    await durable.work(lambda _: {"task": model.perform})
    begun = time.monotonic()
    tasks = await waiting_tasks(durable, 30)
    await until(lambda: len(model.refused) >= 30 + 4)
    # Each the first time, one more when the worker looks around at its start, and then one by one.
    assert len(model.refused) <= 31 + (time.monotonic() - begun) / (0.8 * QUICK.first)
    model.back = True
    assert await done(durable, tasks)
    assert sorted(model.served) == sorted(each.id for each in tasks)


async def test_a_lost_run_of_the_one_that_tries_is_replaced(durable: Durable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LATE_SECONDS", 0.5)
    monkeypatch.setattr(waiting, "CHECK_SECONDS", 0.2)
    durable.recorder.waves.schedule = Schedule(first=2.0)
    model = Model()
    await durable.work(lambda _: {"task": model.perform})
    tasks = await waiting_tasks(durable, 5)
    canary = min(tasks, key=lambda each: each.due or 0)
    await durable.engine.drop([run_id(canary)])
    model.back = True
    assert await done(durable, tasks)


async def test_a_worker_that_starts_has_one_try_at_once(durable: Durable, database: Database) -> None:
    """Who was to try in an hour may have waited for what came back while the machine was off."""
    durable.recorder.waves.schedule = Schedule(first=HOUR, longest=HOUR)
    model = Model()
    await durable.work(lambda _: {"task": model.perform})
    tasks = await waiting_tasks(durable, 3)
    await durable.close()
    model.back = True
    again = Durable(database, SystemClock())
    await again.work(lambda _: {"task": model.perform})
    assert await done(again, tasks)
    await again.close()


LOCAL = {"nobody": proxy("http://127.0.0.1:9", "openai")}


async def submit_where_no_model_is(network: Network, name: str) -> Task:
    """A task that waits until the model `name` is configured, and says that an hour is soon enough to look."""

    async def perform(_: Task) -> Outcome:
        if name in network.gateway.catalogue.models:
            return Done(model=name)
        return WaitForModel(models=(name,), reason="it is not there", until=network.clock.now() + HOUR)

    await network.durable.work(lambda _: {"task": perform})
    task = await network.tasks.submit(Task(id=""))
    return await waits(network.durable, task)


async def test_a_model_that_the_owner_configures_is_tried_at_once(serve: Serve) -> None:
    served = await serve(LOCAL, models={})
    task = await submit_where_no_model_is(served.network, "fresh")
    write_config(served.folder, config(LOCAL), {"models": {"fresh": {"proxy": "nobody", "upstream": "x"}}})
    await served.network.reload()
    assert await done(served.network.durable, [task])


async def test_a_model_server_that_appears_is_tried_at_once(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = await serve(LOCAL, models={})
    server = Endpoint(vendor="ollama", url="http://127.0.0.1:9", models=(FoundModel(name="fresh"),))

    async def discover() -> dict[str, Endpoint]:
        return {"ollama": server}

    monkeypatch.setattr("chittycan.app.discover", discover)
    task = await submit_where_no_model_is(served.network, "fresh")
    await served.network.rediscover()
    assert await done(served.network.durable, [task])


async def test_tasks_of_one_chain_all_end_once_one_of_its_models_answers(serve: Serve, up: ScriptedUpstream) -> None:
    """The whole way, with a gateway that lets failing models rest. The one that comes back is the fallback."""
    models = {"first": {"proxy": "p", "upstream": "first"}, "second": {"proxy": "p", "upstream": "second"}}
    served = await serve({"p": proxy(up.url, "openai")}, models=models, fallbacks={"first": ["second"]})
    network = served.network
    for name in models:
        up.script(name, ["s03-500"])
    await network.work()
    submitted = [await network.tasks.submit(Task(id="", model="first", spec={"prompt": "Hello"})) for _ in range(8)]
    tasks = [await waits(network.durable, each) for each in submitted]
    assert {each.chain for each in tasks} == {"first, second"}
    up.script("second", ["ok"])
    assert await done(network.durable, tasks)
    assert {(await network.tasks.get(each.id)).served_by for each in tasks} == {"second"}
