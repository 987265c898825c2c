"""Submitting, looking, ending, trying again: on both databases, in the last tests with a real worker."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.errors import ChittyError, InvalidRequest, NotFound, Unavailable
from chittycan.store import sweep
from chittycan.store import tasks as rows
from chittycan.store.database import Database
from chittycan.store.tasks import Wanted
from chittycan.store.work_tables import dependencies, tasks
from chittycan.testing import FakeClock
from chittycan.workstreams.record import run_id
from chittycan.workstreams.rows import to_row
from chittycan.workstreams.runner import Runner
from chittycan.workstreams.task import Done, Failed, Later, Outcome, Task
from chittycan.workstreams.tasks import UNUSED_SECONDS
from serving import until

HOUR = 3600.0


class Parts:
    """Durable work without a worker: `run` does the valid run of a task, and it comes to what the test says."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.durable = Durable(database, clock)
        self.tasks = self.durable.tasks
        self.runner = Runner(database, self.durable.recorder, clock, "one", {"task": self._perform})
        self.outcomes: list[Outcome] = []

    async def _perform(self, task: Task) -> Outcome:
        return self.outcomes.pop(0) if self.outcomes else Done(result={"text": task.spec["prompt"]})

    async def run(self, task: Task, outcome: Outcome | None = None) -> Task:
        self.outcomes = [] if outcome is None else [outcome]
        await self.runner.run(task.id, (await self.tasks.get(task.id)).run)
        return await self.tasks.get(task.id)

    async def queued(self, task: Task) -> str | None:
        """What the engine knows of the valid run."""
        name = run_id(await self.tasks.get(task.id))
        return (await self.durable.engine.statuses([name])).get(name)

    async def every(self) -> list[Task]:
        return (await self.tasks.list(limit=200))[0]


@pytest.fixture
async def parts(database: Database, clock: FakeClock) -> AsyncIterator[Parts]:
    parts = Parts(database, clock)
    yield parts
    await parts.durable.close()


NO = Failed(error=ChittyError("no"), again=False)


# submitting


async def test_a_prompt_is_a_task_in_the_queue(parts: Parts) -> None:
    task = await parts.tasks.submit("Say hi", kind="code.review", priority=5, deadline="24h")
    assert (task.status, task.kind, task.priority) == ("queued", "code.review", 5)
    assert task.deadline == parts.clock.now() + 24 * HOUR
    assert await parts.queued(task) == "ENQUEUED"
    assert (await parts.run(task)).result == {"text": "Say hi"}


async def test_messages_are_a_task_too(parts: Parts) -> None:
    task = await parts.tasks.submit([{"role": "user", "content": "Hi"}])
    assert task.spec["messages"] == [{"role": "user", "content": "Hi"}]


async def test_a_later_time_is_waited_for(parts: Parts) -> None:
    task = await parts.tasks.submit("x", at="2h")
    assert (task.at, await parts.queued(task)) == (parts.clock.now() + 2 * HOUR, "DELAYED")


async def test_what_is_wrong_stores_nothing(parts: Parts) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await parts.tasks.submit("x", colour="red")
    assert refused.value.param == "colour"
    with pytest.raises(NotFound) as unknown:
        await parts.tasks.submit("x", after="task_none", idempotency_key="k")
    assert unknown.value.param == "after"
    assert await parts.every() == []
    await parts.tasks.submit("y", idempotency_key="k")  # the refused one did not take the key


# idempotency


async def test_the_same_key_gives_the_same_task_whenever_it_is_asked(parts: Parts) -> None:
    first = await parts.tasks.submit("x", idempotency_key="k", deadline="1h", at="1m")
    await parts.run(first)
    parts.clock.advance(HOUR * 2)
    again = await parts.tasks.submit("x", idempotency_key="k", deadline="1h", at="1m")
    assert again == await parts.tasks.get(first.id)
    assert again.status == "done"
    assert len(await parts.every()) == 1


@pytest.mark.parametrize("other", [{"model": "gpt-4"}, {"files": [{"name": "a", "data": b"2"}]}, {"retries": 1}])
async def test_a_key_is_for_one_task_only(parts: Parts, other: dict[str, Any]) -> None:
    await parts.tasks.submit("x", idempotency_key="k", files=[{"name": "a", "data": b"1"}])
    with pytest.raises(InvalidRequest) as refused:
        await parts.tasks.submit("x", idempotency_key="k", **{"files": [{"name": "a", "data": b"1"}], **other})
    assert refused.value.param == "idempotency_key"
    assert len((await parts.durable.files.list())[0]) == 1


async def test_two_submitters_may_use_the_same_key(parts: Parts) -> None:
    ids = {(await parts.tasks.submit("x", idempotency_key="k", key_id=each)).id for each in (None, "key_a", "key_b")}
    assert len(ids) == 3


async def test_of_many_at_once_one_is_stored(parts: Parts, database_url: str) -> None:
    other = Database(database_url)
    elsewhere = Durable(other, parts.clock)
    both = (parts.tasks, elsewhere.tasks)
    files = [{"name": "a", "data": b"1"}]
    found = await asyncio.gather(*(both[n % 2].submit("x", idempotency_key="k", files=files) for n in range(12)))
    assert len({task.id for task in found}) == len(await parts.every()) == 1
    (kept,) = (await parts.durable.files.list())[0]
    assert kept.id == found[0].spec["files"][0]["id"]
    await elsewhere.close()
    other.close()


# files


async def test_a_file_is_kept_as_it_was_when_the_task_was_submitted(parts: Parts, tmp_path: Path) -> None:
    contract = tmp_path / "contract.txt"
    contract.write_text("We agree.")
    task = await parts.tasks.submit("Summarise", files=[contract])
    contract.unlink()
    (file,) = task.spec["files"]
    assert file["name"] == "contract.txt"
    assert await parts.durable.files.read(file["id"]) == b"We agree."
    with pytest.raises(InvalidRequest):  # it is that task's own
        await parts.tasks.submit("Once more", files=[file["id"]])


async def test_a_file_outlives_an_answer_that_was_lost(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database went away when the task was stored, before it could say so."""
    run = parts.database.run

    async def lost(work: Any, *args: Any, **more: Any) -> Any:
        done = await run(work, *args, **more)
        if isinstance(done, Task):
            monkeypatch.undo()
            raise Unavailable("away")
        return done

    monkeypatch.setattr(parts.database, "run", lost)
    asked: dict[str, Any] = {"files": [{"name": "a.txt", "data": b"x"}], "idempotency_key": "k"}
    with pytest.raises(Unavailable):
        await parts.tasks.submit("Summarise", **asked)
    task = await parts.tasks.submit("Summarise", **asked)
    parts.clock.advance(2 * UNUSED_SECONDS)
    assert await parts.durable.files.read(task.spec["files"][0]["id"]) == b"x"
    assert len((await parts.durable.files.list())[0]) == 1


async def test_an_uploaded_file_serves_many_tasks(parts: Parts) -> None:
    file = await parts.durable.files.create(b"x", name="contract.txt", purpose="user_data")
    for _ in range(2):
        task = await parts.tasks.submit("Summarise", files=[file.id])
        assert task.spec["files"] == [{"name": "contract.txt", "id": file.id}]


async def test_what_came_along_goes_with_the_task_and_nothing_else(parts: Parts) -> None:
    uploaded = await parts.durable.files.create(b"x", name="a.txt", purpose="user_data")
    inline = {"name": "b.txt", "data": b"y"}
    old = await parts.tasks.submit("Summarise", files=[uploaded.id, inline])
    new = await parts.tasks.submit("Summarise", files=[inline])
    await parts.database.run(sweep.remove_tasks, [old.id])
    kept = {file.id for file in (await parts.durable.files.list())[0]}
    assert kept == {uploaded.id, new.spec["files"][0]["id"]}


async def test_a_file_that_is_not_there_is_named(parts: Parts, tmp_path: Path) -> None:
    theirs = await parts.durable.files.create(b"x", name="x", purpose="task", key_id="key_a")
    asked: list[tuple[Any, str | None]] = [(tmp_path / "none", None), ("file-none", None), (theirs.id, "key_b")]
    for file, key in asked:
        with pytest.raises(InvalidRequest) as refused:
            await parts.tasks.submit("x", files=[file], key_id=key)
        assert refused.value.param == "files"
    assert await parts.every() == []


# one after the other


async def test_a_chain_runs_in_its_order(parts: Parts) -> None:
    first = await parts.tasks.submit("1")
    parts.clock.advance(1)
    second = await parts.tasks.submit("2", after=first.id)
    both = await parts.tasks.submit("3", after=[first.id, second.id])
    assert both.waiting_for == f"{first.id}, {second.id} to be done"
    await parts.run(first)
    assert [await parts.queued(each) for each in (second, both)] == ["ENQUEUED", None]
    await parts.run(second)
    assert await parts.queued(both) == "ENQUEUED"


async def test_after_what_is_done_a_task_begins_at_once(parts: Parts) -> None:
    first = await parts.tasks.submit("1")
    await parts.run(first)
    assert await parts.queued(await parts.tasks.submit("2", after=first.id)) == "ENQUEUED"


async def test_somebody_elses_task_cannot_come_before(parts: Parts) -> None:
    theirs = await parts.tasks.submit("x", key_id="key_a")
    with pytest.raises(NotFound):
        await parts.tasks.submit("x", after=theirs.id, key_id="key_b")
    await parts.tasks.submit("x", after=theirs.id)  # the owner sees all


async def test_a_retry_brings_back_what_failed_only_because_of_it(parts: Parts) -> None:
    first = await parts.tasks.submit("1")
    second = await parts.tasks.submit("2", after=first.id)
    third = await parts.tasks.submit("3", after=second.id)
    other = await parts.tasks.submit("4", after=first.id)
    await parts.tasks.cancel(other.id)
    await parts.run(first, NO)
    assert (await parts.tasks.get(third.id)).status == "failed"
    with pytest.raises(InvalidRequest, match=first.id):
        await parts.tasks.retry(second.id)
    await parts.tasks.retry(first.id)
    now = [await parts.tasks.get(each.id) for each in (first, second, third, other)]
    assert [each.status for each in now] == ["queued", "queued", "queued", "cancelled"]
    for task in (first, second, third):
        assert await parts.queued(task) == "ENQUEUED"
        assert (await parts.run(task)).status == "done"


async def test_a_retry_tells_nobody_of_a_failure(parts: Parts) -> None:
    """What comes after two that are tried again waits for both of them."""
    first = await parts.tasks.submit("1")
    two = [await parts.tasks.submit("2", after=first.id) for _ in range(2)]
    last = await parts.tasks.submit("3", after=[each.id for each in two], webhook="https://example.org")
    await parts.run(first, NO)
    await parts.tasks.retry(first.id)
    assert (await parts.tasks.get(last.id)).status == "queued"
    assert len((await parts.tasks.list(Wanted(types=("deliver",))))[0]) == 1


async def test_a_chain_may_be_longer_than_functions_can_be_nested(parts: Parts) -> None:
    count = sys.getrecursionlimit() * 6 // 10
    chain = [
        Task(id=f"task_{number}", waiting_for=None if number == 0 else "the one before") for number in range(count)
    ]

    def store(connection: Connection) -> None:
        connection.execute(tasks.insert(), [to_row(each) for each in chain])
        pairs = [{"task": after.id, "after": before.id} for before, after in pairwise(chain)]
        connection.execute(dependencies.insert(), pairs)

    await parts.database.run(store)
    await parts.tasks.cancel("task_0")
    assert await parts.database.read(rows.counts) == {"cancelled": 1, "failed": count - 1}
    await parts.tasks.retry("task_0")
    assert await parts.database.read(rows.counts) == {"queued": count}


async def waits_for_a_lock(database: Database, other: "asyncio.Task[Any]") -> None:
    """Until the other transaction waits for ours, or is over."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    def waiting(connection: Connection) -> int:
        return int(connection.execute(query).scalar_one())

    async with asyncio.timeout(10):
        while not other.done() and not await database.read(waiting):  # noqa: ASYNC110 (the server announces nothing)
            await asyncio.sleep(0.01)


@pytest.fixture
def beside(database: Database, database_url: str) -> Iterator[Database]:
    """Another process's way to the same Postgres; on SQLite two transactions never meet."""
    if database.sqlite:
        pytest.skip("does not apply: a writer is alone on SQLite")
    other = Database(database_url)
    yield other
    other.close()


async def meanwhile(parts: Parts, beside: Database, ours: Callable[[Connection], Any], theirs: Any) -> None:
    """`theirs` begins when `ours` is done but not yet committed."""
    done, commit = threading.Event(), threading.Event()

    def held(connection: Connection) -> None:
        ours(connection)
        done.set()
        assert commit.wait(20)

    first = asyncio.ensure_future(parts.database.run(held))
    await until(done.is_set)
    second = asyncio.ensure_future(beside.run(theirs))
    await waits_for_a_lock(beside, second)
    commit.set()
    await first
    await second


async def test_two_that_end_at_once_release_what_comes_after_both(parts: Parts, beside: Database) -> None:
    one, two = await parts.tasks.submit("1"), await parts.tasks.submit("2")
    third = await parts.tasks.submit("3", after=[one.id, two.id])
    end = parts.durable.recorder.end
    await parts.database.run(all_running)
    await meanwhile(parts, beside, lambda c: end(c, one, "done"), lambda c: end(c, two, "done"))
    assert await parts.queued(third) == "ENQUEUED"


async def test_what_is_submitted_while_the_one_before_ends_is_released(parts: Parts, beside: Database) -> None:
    first = await parts.tasks.submit("1")
    await parts.database.run(all_running)
    now = parts.clock.now()
    second = Task(id="task_second", spec={"prompt": "2"}, created=now, updated=now, since=now)
    recorder = parts.durable.recorder
    await meanwhile(
        parts, beside, lambda c: recorder.add(c, second, [first.id]), lambda c: recorder.end(c, first, "done")
    )
    assert await parts.queued(second) == "ENQUEUED"


async def test_of_two_workers_at_one_run_that_end_at_once_the_first_counts(parts: Parts, beside: Database) -> None:
    task = await parts.tasks.submit("1")
    await parts.database.run(all_running)
    record, task = parts.durable.recorder.record, await parts.tasks.get(task.id)
    later = Later(reason="the event 'paid'")
    await meanwhile(parts, beside, lambda c: record(c, task, later), lambda c: record(c, task, NO))
    assert (await parts.tasks.get(task.id)).status == "queued"


def all_running(connection: Connection) -> None:
    connection.execute(text("UPDATE tasks SET status = 'running' WHERE waiting_for IS NULL"))


# ending and trying again


async def test_a_cancelled_task_is_out_of_the_queue_and_can_be_retried(parts: Parts) -> None:
    task = await parts.tasks.submit("x", deadline="1h")
    cancelled = await parts.tasks.cancel(task.id, reason="not needed")
    assert (cancelled.status, cancelled.error) == ("cancelled", {"code": "cancelled", "message": "not needed"})
    assert await parts.queued(task) == "CANCELLED"
    parts.clock.advance(2 * HOUR)
    again = await parts.tasks.retry(task.id)
    assert (again.status, again.error, again.deadline) == ("queued", None, None)  # a deadline that passed is void
    assert (await parts.run(task)).status == "done"


async def test_what_has_ended_stays_as_it_is(parts: Parts) -> None:
    task = await parts.tasks.submit("x")
    done = await parts.run(task)
    assert await parts.tasks.cancel(task.id) == done
    with pytest.raises(InvalidRequest, match="done"):
        await parts.tasks.retry(task.id)


async def test_a_retry_begins_from_the_beginning(parts: Parts) -> None:
    task = await parts.tasks.submit("x", retries=1)
    failing = Failed(error=ChittyError("no"), cost_nano=5)
    await parts.run(task, failing)
    assert (await parts.run(task, failing)).status == "failed"
    again = await parts.tasks.retry(task.id)
    assert (again.failures, again.error, again.ended, again.cost_nano) == (0, None, None, 10)
    await parts.run(task, failing)
    assert (await parts.tasks.get(task.id)).status == "queued"  # it has its further try again


async def test_each_end_tells_the_webhook_anew(parts: Parts) -> None:
    task = await parts.tasks.submit("x", webhook="https://example.org")
    await parts.run(task, NO)
    await parts.tasks.retry(task.id)
    await parts.run(task)
    told = (await parts.tasks.list(Wanted(types=("deliver",))))[0]
    assert {each.spec["event"]["type"] for each in told} == {"task.failed", "task.completed"}


async def test_a_step_is_tried_again_with_its_workstream(parts: Parts) -> None:
    step = await parts.tasks.submit(Task(id="ws_1.review", workstream="ws_1", path="review"))
    await parts.database.run(lambda c: c.execute(text("UPDATE tasks SET status = 'failed'")))
    with pytest.raises(InvalidRequest) as refused:
        await parts.tasks.retry(step.id)
    assert refused.value.fix == "can workstreams resume ws_1"


async def test_a_task_that_is_late_while_it_runs_fails(parts: Parts) -> None:
    async def endless(_: Task) -> Outcome:
        await asyncio.Event().wait()
        return Done()

    task = await parts.tasks.submit("x", deadline=parts.clock.now() + 0.05)
    await Runner(parts.database, parts.durable.recorder, parts.clock, "one", {"task": endless}).run(task.id, 1)
    late = await parts.tasks.get(task.id)
    assert late.status == "failed"
    assert late.error is not None
    assert late.error["code"] == "deadline_passed"


# looking


async def test_pages_have_every_task_once_the_newest_first(parts: Parts) -> None:
    made = []
    for number in range(8):  # three at each moment: the cursor must tell them apart
        made.append((await parts.tasks.submit(str(number))).id)
        parts.clock.advance(number % 3 // 2)
    seen: list[Task] = []
    cursor = None
    for _ in range(3):
        page, cursor = await parts.tasks.list(cursor=cursor, limit=3)
        seen += page
    assert cursor is None
    assert sorted(task.id for task in seen) == sorted(made)
    assert [task.created for task in seen] == sorted((task.created for task in seen), reverse=True)


async def test_a_page_that_is_just_full_is_the_last(parts: Parts) -> None:
    await parts.tasks.submit("x")
    assert (await parts.tasks.list(limit=1))[1] is None


@pytest.mark.parametrize("cursor", ["", "x", "1~", "nan~x", "inf~x", "~"])
async def test_a_strange_cursor_is_refused(parts: Parts, cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await parts.tasks.list(cursor=cursor)
    assert refused.value.param == "cursor"


async def test_what_no_database_can_hold_is_not_there(parts: Parts) -> None:
    await parts.tasks.submit("x\x00y", kind="a")  # a prompt may be anything
    assert await parts.tasks.list(Wanted(kind="a\x00")) == ([], None)
    assert await parts.tasks.list(cursor="1~\x00") == ([], None)
    with pytest.raises(NotFound):
        await parts.tasks.get("task_\x00")


async def test_filters_narrow_together(parts: Parts) -> None:
    wanted = await parts.tasks.submit("x", kind="a", session="s")
    await parts.tasks.submit("x", kind="a")
    await parts.tasks.submit("x", kind="b", session="s")
    found, _ = await parts.tasks.list(Wanted(kind="a", session="s", statuses=("queued", "running"), types=("task",)))
    assert found == [wanted]
    assert (await parts.tasks.list(Wanted(statuses=("done",))))[0] == []


async def test_a_key_sees_and_touches_its_own_alone(parts: Parts) -> None:
    mine, theirs = [await parts.tasks.submit("x", key_id=each) for each in ("key_a", "key_b")]
    for act in (parts.tasks.get, parts.tasks.cancel, parts.tasks.retry, parts.tasks.wait):
        with pytest.raises(NotFound):
            await act(theirs.id, for_key="key_a")
    assert (await parts.tasks.list(for_key="key_a"))[0] == [mine]
    assert len(await parts.every()) == 2


async def test_whoever_waits_hears_of_the_end(parts: Parts) -> None:
    task = await parts.tasks.submit("x")
    assert (await parts.tasks.wait(task.id, timeout=0)).status == "queued"
    waiting = asyncio.ensure_future(parts.tasks.wait(task.id))
    await parts.clock.until_asleep()
    await parts.run(task)
    parts.clock.advance(5)
    assert (await waiting).status == "done"


# with a worker


class AtWork:
    """A real worker, whose tasks end when the test says so."""

    def __init__(self, durable: Durable) -> None:
        self.tasks = durable.tasks
        self.begun: list[str] = []
        self.go = asyncio.Event()
        self.stopped: list[str] = []

    async def perform(self, task: Task) -> Outcome:
        self.begun.append(task.spec["prompt"])
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped.append(task.spec["prompt"])
            raise
        return Done(result={"text": "done"}, model="m", cost_nano=3)


@pytest.fixture
async def at_work(database: Database) -> AsyncIterator[AtWork]:
    durable = Durable(database, SystemClock())
    worker = AtWork(durable)
    await durable.work(lambda _: {"task": worker.perform})
    yield worker
    worker.go.set()
    await durable.close()


async def test_a_worker_does_a_chain_to_its_end(at_work: AtWork) -> None:
    first = await at_work.tasks.submit("1")
    last = await at_work.tasks.submit("2", after=first.id)
    at_work.go.set()
    done = await at_work.tasks.wait(last.id, timeout=20)
    assert (done.status, done.served_by, done.cost_nano, at_work.begun) == ("done", "m", 3, ["1", "2"])


async def test_what_a_worker_is_at_can_be_cancelled_and_done_again(at_work: AtWork) -> None:
    task = await at_work.tasks.submit("x")
    await until(lambda: at_work.begun == ["x"])
    assert (await at_work.tasks.get(task.id)).status == "running"
    await at_work.tasks.cancel(task.id)
    await until(lambda: at_work.stopped == ["x"])
    assert (await at_work.tasks.get(task.id)).status == "cancelled"
    at_work.go.set()
    await at_work.tasks.retry(task.id)
    done = await at_work.tasks.wait(task.id, timeout=20)
    assert (done.status, done.tries) == ("done", 2)
