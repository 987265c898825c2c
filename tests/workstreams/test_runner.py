"""One try at a task and what it comes to, without a worker: each run is called by hand, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.errors import ChittyError, InvalidRequest, Unavailable
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.record import RETRY_SECONDS, Recorder, run_id
from chittycan.workstreams.runner import LOOK_SECONDS, MOST_DEATHS, Runner
from chittycan.workstreams.task import Ask, Done, Failed, Later, Outcome, Task, WaitForModel
from chittycan.workstreams.tasks import Tasks
from serving import until


class Parts:
    """The parts of durable work, with a performer that does what the test says."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.engine = Engine(database.url)
        self.recorder = Recorder(self.engine, clock)
        self.tasks = Tasks(database, self.engine, self.recorder, clock)
        self.runner = self.worker("one")
        self.outcomes: list[Outcome | BaseException] = []
        self.performed: list[Task] = []

    def worker(self, name: str) -> Runner:
        return Runner(self.database, self.recorder, self.clock, name, {"task": self.perform})

    async def perform(self, task: Task) -> Outcome:
        self.performed.append(task)
        outcome = self.outcomes.pop(0) if self.outcomes else Done()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def submit(self, **fields: Any) -> Task:
        return await self.tasks.submit(Task(id="", **fields))

    async def run(self, task: Task) -> Task:
        """The valid run of the task, once."""
        current = await self.tasks.get(task.id)
        await self.runner.run(task.id, current.run)
        return await self.tasks.get(task.id)

    async def queued(self, task: Task) -> str | None:
        """What the engine knows of the valid run."""
        task = await self.tasks.get(task.id)
        return (await self.engine.statuses([run_id(task)])).get(run_id(task))


@pytest.fixture
async def parts(database: Database, clock: FakeClock) -> AsyncIterator[Parts]:
    parts = Parts(database, clock)
    yield parts
    await parts.engine.close()


async def test_a_done_task_has_its_result_and_is_never_done_again(parts: Parts) -> None:
    task = await parts.submit(spec={"prompt": "x"})
    assert await parts.queued(task) == "ENQUEUED"
    parts.outcomes = [Done(result={"text": "y"}, model="m", cost_nano=7)]
    done = await parts.run(task)
    assert (done.status, done.result, done.served_by, done.cost_nano) == ("done", {"text": "y"}, "m", 7)
    assert (done.tries, done.worker, done.ended) == (1, "one", parts.clock.now())
    await parts.runner.run(task.id, 1)
    assert len(parts.performed) == 1
    assert await parts.tasks.get(task.id) == done


async def test_only_the_first_of_two_workers_at_one_run_is_recorded(parts: Parts) -> None:
    """A worker that was frozen comes back after another has taken over."""
    task = await parts.submit()
    release = asyncio.Event()

    async def frozen(_: Task) -> Outcome:
        await release.wait()
        return Done(result={"text": "late"})

    slow = Runner(parts.database, parts.recorder, parts.clock, "frozen", {"task": frozen})
    running = asyncio.ensure_future(slow.run(task.id, 1))
    await until(lambda: slow.busy == 1)
    parts.outcomes = [Done(result={"text": "first"})]
    await parts.run(task)
    release.set()
    await running
    assert (await parts.tasks.get(task.id)).result == {"text": "first"}


async def test_waiting_for_a_model_is_a_further_run_later(parts: Parts) -> None:
    task = await parts.submit()
    waits = WaitForModel(models=("a", "b"), reason="a and b are down", cost_nano=3)
    parts.outcomes = [waits, replace(waits, until=parts.clock.now() + 60)]
    waiting = await parts.run(task)
    assert (waiting.status, waiting.waiting_for, waiting.chain) == ("waiting_for_model", "a and b are down", "a, b")
    assert (waiting.run, await parts.queued(task)) == (2, "DELAYED")
    since = waiting.since
    parts.clock.advance(60)
    again = await parts.run(task)
    assert (again.since, again.run, again.cost_nano, again.tries) == (since, 3, 6, 2)
    done = await parts.run(task)
    assert (done.status, done.waiting_for, done.chain) == ("done", None, None)


async def test_a_failure_is_tried_again_as_often_as_was_asked(parts: Parts) -> None:
    task = await parts.submit(retries=1)
    parts.outcomes = [Failed(error=ChittyError("no sense")), ChittyError("again no sense")]
    retried = await parts.run(task)
    assert (retried.status, retried.failures, await parts.queued(task)) == ("queued", 1, "DELAYED")
    assert retried.waiting_for == "another try after a failure: no sense"
    parts.clock.advance(RETRY_SECONDS)
    failed = await parts.run(task)
    assert failed.status == "failed"
    assert failed.error == {"code": "error", "message": "again no sense"}


FAULTS = (InvalidRequest("the prompt is missing"), Failed(error=ChittyError("no"), again=False))


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_no_further_try_can_mend_fails_at_once(parts: Parts, fault: Any) -> None:
    task = await parts.submit(retries=5)
    parts.outcomes = [fault]
    failed = await parts.run(task)
    assert (failed.status, failed.tries) == ("failed", 1)


async def test_every_try_counts_in_what_a_task_costs(parts: Parts) -> None:
    task = await parts.submit(retries=1)
    soon = parts.clock.now()
    parts.outcomes = [
        Later(reason="a limit", until=soon, cost_nano=1),
        WaitForModel(models=("m",), reason="away", cost_nano=10),
        Failed(error=ChittyError("no"), cost_nano=100),
        Done(cost_nano=1000),
    ]
    assert [(await parts.run(task)).cost_nano for _ in range(4)] == [1, 11, 111, 1111]


async def test_what_no_text_can_hold_is_left_out(parts: Parts) -> None:
    """A provider's error may hold anything."""
    task = await parts.submit(retries=1)
    parts.outcomes = [Failed(error=ChittyError("no\x00!")), WaitForModel(models=("m",), reason="a\x00way")]
    assert (await parts.run(task)).waiting_for == "another try after a failure: no!"
    assert (await parts.run(task)).waiting_for == "away"


async def test_what_cannot_be_written_down_is_not_done_again(parts: Parts) -> None:
    task = await parts.submit(retries=3)
    parts.outcomes = [Done(result={"text": "\ud800"}, cost_nano=7)]
    failed = await parts.run(task)
    assert (failed.status, failed.cost_nano, (failed.error or {})["code"]) == ("failed", 7, "unforeseen")


async def test_a_bug_fails_the_task_without_telling_what_it_was_about(parts: Parts) -> None:
    task = await parts.submit()
    parts.outcomes = [KeyError("a secret of the mail")]
    failed = await parts.run(task)
    assert failed.error is not None
    assert failed.error["code"] == "unforeseen"
    assert "secret" not in str(failed.error)


async def test_an_answer_that_comes_while_nobody_listens_yet_is_not_lost(parts: Parts) -> None:
    task = await parts.submit()

    async def answers_meanwhile(current: Task) -> Outcome:
        if current.answer is None:
            await parts.database.run(
                lambda connection: _set_answer(connection, current.id, '{"json": 5}'),
            )
            return Later(reason="the event arrived")
        return Done(result=current.answer)

    runner = Runner(parts.database, parts.recorder, parts.clock, "one", {"task": answers_meanwhile})
    await runner.run(task.id, 1)
    assert await parts.queued(task) == "ENQUEUED"
    await runner.run(task.id, 2)
    assert (await parts.tasks.get(task.id)).result == {"json": 5}


def _set_answer(connection: Any, task_id: str, answer: str) -> None:
    from chittycan.store import tasks

    tasks.move(connection, task_id, ("running",), {"answer": answer})


async def test_a_person_decides_and_the_task_goes_on(parts: Parts) -> None:
    task = await parts.submit()
    parts.outcomes = [Ask(question={"title": "Send it?"})]
    asking = await parts.run(task)
    assert (asking.status, asking.question) == ("waiting_for_approval", {"title": "Send it?"})
    assert await parts.queued(task) is None  # nothing is due before somebody decides
    decided = await parts.tasks.answer(task.id, {"decision": "approved"}, expected="waiting_for_approval")
    assert (decided.status, await parts.queued(task)) == ("queued", "ENQUEUED")
    await parts.run(task)
    assert parts.performed[-1].answer == {"decision": "approved"}
    with pytest.raises(InvalidRequest):
        await parts.tasks.answer(task.id, {"decision": "rejected"}, expected="waiting_for_approval")


async def test_what_is_cancelled_while_it_runs_is_stopped(parts: Parts) -> None:
    stopped = asyncio.Event()

    async def long(_: Task) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return Done()

    runner = Runner(parts.database, parts.recorder, parts.clock, "one", {"task": long})
    task = await parts.submit()
    running = asyncio.ensure_future(runner.run(task.id, 1))
    watching = asyncio.ensure_future(runner.watch())
    await until(lambda: runner.busy == 1)
    await parts.tasks.cancel(task.id)
    await parts.clock.until_asleep()
    parts.clock.advance(LOOK_SECONDS)
    await running
    assert stopped.is_set()
    assert (await parts.tasks.get(task.id)).status == "cancelled"
    watching.cancel()


async def test_a_void_run_is_stopped_though_the_valid_one_is_here_too(parts: Parts) -> None:
    begun: list[int] = []
    stopped: list[int] = []

    async def endless(task: Task) -> Outcome:
        begun.append(task.run)
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(task.run)
        return Done()

    runner = Runner(parts.database, parts.recorder, parts.clock, "one", {"task": endless})
    task = await parts.submit()
    working = [asyncio.create_task(runner.watch()), asyncio.create_task(runner.run(task.id, 1))]
    await until(lambda: begun == [1])
    await parts.tasks.cancel(task.id)
    await parts.tasks.retry(task.id)
    working.append(asyncio.create_task(runner.run(task.id, 2)))
    await until(lambda: begun == [1, 2])
    await parts.clock.until_asleep()
    parts.clock.advance(LOOK_SECONDS)
    await until(lambda: (stopped, runner.busy) == ([1], 1))
    for each in working:
        each.cancel()
    await asyncio.gather(*working, return_exceptions=True)


async def test_the_next_begins_when_the_one_before_is_done(parts: Parts) -> None:
    first = await parts.submit()
    second = await parts.tasks.submit(Task(id=""), after=[first.id])
    assert (second.waiting_for, await parts.queued(second)) == (f"{first.id} to be done", None)
    await parts.run(first)
    assert await parts.queued(second) == "ENQUEUED"


async def test_what_comes_after_a_failure_fails_too_and_says_why(parts: Parts) -> None:
    first = await parts.submit()
    second = await parts.tasks.submit(Task(id=""), after=[first.id])
    third = await parts.tasks.submit(Task(id=""), after=[second.id])
    parts.outcomes = [InvalidRequest("no")]
    await parts.run(first)
    for task in (second, third):
        failed = await parts.tasks.get(task.id)
        assert failed.status == "failed"
        assert failed.error is not None
        assert failed.error["code"] == "task_before_failed"


async def test_an_outcome_waits_for_a_database_that_is_away(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    task = await parts.submit()
    away = [2]
    real = parts.database.run

    async def run(fn: Any, *args: Any, **more: Any) -> Any:
        if away[0] and parts.performed:
            away[0] -= 1
            raise Unavailable("the database does not answer")
        return await real(fn, *args, **more)

    monkeypatch.setattr(parts.database, "run", run)
    running = asyncio.ensure_future(parts.runner.run(task.id, 1))
    for _ in range(2):
        await parts.clock.until_asleep()
        parts.clock.advance(10)
    await running
    assert (await parts.tasks.get(task.id)).status == "done"
    assert len(parts.performed) == 1


async def test_what_ends_every_worker_is_not_begun_for_ever(parts: Parts) -> None:
    task = await parts.submit()

    async def dies(_task: Task) -> Outcome:
        raise asyncio.CancelledError

    for number in range(MOST_DEATHS):
        doomed = Runner(parts.database, parts.recorder, parts.clock, f"worker {number}", {"task": dies})
        await doomed.run(task.id, task.run)
    found = await parts.run(task)
    assert parts.performed == []
    assert (found.status, found.tries) == ("failed", MOST_DEATHS + 1)
    assert found.error is not None
    assert (found.error["code"], found.error["message"]) == ("worker_died", "25 workers ended while they were at it")
    again = await parts.tasks.retry(task.id)
    assert (await parts.run(again)).status == "done"


async def test_what_is_bound_to_a_region_is_left_to_its_workers(parts: Parts) -> None:
    task = await parts.submit(options={"region": "eu-west"})
    found = await parts.run(task)
    assert parts.performed == []
    assert (found.status, found.waiting_for) == ("queued", "a worker of the region eu-west")
    parts.runner = Runner(parts.database, parts.recorder, parts.clock, "europe", {"task": parts.perform}, ("eu-west",))
    assert (await parts.run(task)).status == "done"
