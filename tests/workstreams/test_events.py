"""Who is told of what: on both databases, with each run of a task done by hand."""

from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from chittycan.agents.bounced import BOUNCED
from chittycan.agents.told import MATCHED
from chittycan.budgets import EVENT as BUDGET_ALARM
from chittycan.config.settings import WebhookEvent, WebhookSettings
from chittycan.durable import Durable
from chittycan.errors import ChittyError
from chittycan.store.database import Database
from chittycan.store.tasks import Wanted
from chittycan.testing import FakeClock
from chittycan.workstreams import events
from chittycan.workstreams.batch import Batch, Detail
from chittycan.workstreams.life import TERMINAL
from chittycan.workstreams.runner import Runner
from chittycan.workstreams.task import Ask, Done, Failed, Outcome, Task

OWNER = "https://owner.example.com/T0K3N"
LETTER = {
    "name": "letter",
    "steps": [{"id": "draft", "task": "Write"}, {"id": "decision", "approval": {"title": "Send it?"}}],
    "outputs": {"letter": "${draft.text}"},
}
NO = Failed(error=ChittyError("no"), again=False)


class Office:
    """Durable work without a worker, whose owner wants to be told of `wanted`."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.durable, self.clock, self.database = Durable(database, clock), clock, database
        self.tasks, self.streams = self.durable.tasks, self.durable.streams
        self.durable.recorder.audience = self._audience
        self.wanted: tuple[Any, ...] = WebhookSettings(url=OWNER).events
        self.outcome: Outcome = Done(result={"text": "the answer"}, model="m", cost_nano=1_000_000_000)
        performers = {"task": self._perform, "response": self._perform, "approval": self._decide}
        self.runner = Runner(database, self.durable.recorder, clock, "one", performers)

    def _audience(self, event: str) -> list[str]:
        return [OWNER] if WebhookSettings(url=OWNER, events=self.wanted).wants(event) else []

    async def _perform(self, _task: Task) -> Outcome:
        return self.outcome

    async def _decide(self, task: Task) -> Outcome:
        return Done(result=task.answer) if task.answer else Ask(question={"title": "Send it?"})

    async def work(self) -> None:
        """All that can be done now."""
        while found := [each for each in (await self.tasks.list(limit=200))[0] if each.type != "deliver"
                        and each.status == "queued"]:  # fmt: skip
            for each in found:
                await self.runner.run(each.id, each.run)

    async def told(self) -> list[Task]:
        """The deliveries, by what they tell of."""
        found = (await self.tasks.list(Wanted(types=("deliver",)), limit=200))[0]
        return sorted(found, key=lambda each: (each.created, each.spec["event"]["type"], each.id))

    async def types(self) -> list[str]:
        return [each.spec["event"]["type"] for each in await self.told()]


@pytest.fixture
async def office(database: Database, clock: FakeClock) -> AsyncIterator[Office]:
    made = Office(database, clock)
    yield made
    await made.durable.close()


async def test_the_owner_is_told_of_a_task_but_not_what_it_said(office: Office) -> None:
    task = await office.tasks.submit("x", key_id="key_1", kind="k", session="s", title="T")
    await office.work()
    (told,) = await office.told()
    assert told.id == f"{task.id}.1.webhook.1"
    assert (told.spec["to"], told.key_id, told.status) == ({"url": OWNER}, None, "queued")
    assert told.spec["event"] == {
        "type": "task.completed",
        "data": {
            "id": task.id, "status": "done", "type": "task", "title": "T", "kind": "k", "session": "s", "model": "m",
            "error": None, "cost_usd": 1.0,
        },
    }  # fmt: skip
    assert told.title == f"tell owner.example.com: task.completed of {task.id}"


async def test_whoever_submitted_it_is_told_too_and_an_address_once(office: Office) -> None:
    await office.tasks.submit("x", key_id="key_1", webhook={"url": "https://clerk.example.com", "result": True})
    await office.tasks.submit("x", key_id="key_1", webhook=OWNER)
    await office.work()
    found = [(each.spec["to"]["url"], each.key_id, "result" in each.spec["event"]["data"])
             for each in await office.told()]  # fmt: skip
    theirs, owners = ("https://clerk.example.com", "key_1", True), (OWNER, None, False)
    assert sorted(found, key=str) == [theirs, owners, owners]


async def test_a_run_that_is_recorded_twice_is_told_once(office: Office) -> None:
    task = await office.tasks.submit("x")
    for _ in range(2):
        await office.runner.run(task.id, 1)
    assert len(await office.told()) == 1


async def test_each_end_is_an_event_of_its_own(office: Office) -> None:
    office.outcome = NO
    task = await office.tasks.submit("x")
    follower = await office.tasks.submit("y", after=task.id)
    await office.runner.run(task.id, 1)
    assert await office.types() == ["task.failed", "task.failed"]
    office.clock.advance(1)
    await office.tasks.retry(task.id)
    await office.tasks.cancel(follower.id)
    assert (await office.types())[2:] == ["task.cancelled"]
    assert len({each.id for each in await office.told()}) == 3


async def test_nobody_is_told_of_what_only_tells(office: Office) -> None:
    await office.tasks.submit("x")
    await office.work()
    (told,) = await office.told()
    await office.tasks.cancel(told.id)
    assert len(await office.told()) == 1


async def test_who_wants_nothing_of_it_is_not_told(office: Office) -> None:
    office.wanted = ("task.failed",)
    await office.tasks.submit("x")
    await office.work()
    assert await office.types() == []


async def test_a_workstream_asks_and_ends_and_its_steps_keep_quiet(office: Office) -> None:
    stream = await office.streams.run(LETTER)
    await office.work()
    (asked,) = await office.told()
    assert asked.spec["event"]["type"] == "task.waiting_for_approval"
    assert asked.spec["event"]["data"].items() >= {
        "id": f"{stream.id}.decision", "status": "waiting_for_approval", "type": "approval", "workstream": stream.id,
        "path": "decision",
    }.items()  # fmt: skip
    office.clock.advance(1)
    await office.streams.approve(stream.id)
    await office.work()
    (_, ended) = await office.told()
    assert ended.spec["event"] == {
        "type": "workstream.completed",
        "data": {"id": stream.id, "name": "letter", "status": "done", "error": None, "cost_usd": 1.0},
    }


async def test_steps_tell_where_they_are_asked_for(office: Office) -> None:
    office.wanted = ("step.*",)
    stream = await office.streams.run(LETTER)
    await office.work()
    office.clock.advance(1)
    await office.streams.cancel(stream.id)
    assert await office.types() == ["step.completed", "step.cancelled"]


async def test_a_workstream_that_is_resumed_tells_of_each_end(office: Office) -> None:
    office.outcome, office.wanted = NO, ("workstream.*",)
    stream = await office.streams.run(LETTER, webhook={"url": "https://clerk.example.com", "result": True})
    await office.work()
    office.clock.advance(1)
    office.outcome = Done(result={"text": "the answer"})
    await office.streams.resume(stream.id)
    await office.work()
    office.clock.advance(1)
    await office.streams.cancel(stream.id)
    found = await office.told()
    assert await office.types() == ["workstream.failed"] * 2 + ["workstream.cancelled"] * 2
    assert len({each.id for each in found}) == 4
    assert [each.spec["event"]["data"].get("outputs", "none") for each in found].count("none") == 2


@pytest.mark.parametrize(
    ("response", "event"),
    [({"status": "completed"}, "completed"), ({"status": "incomplete"}, "incomplete"), ({}, "completed")],
)
async def test_a_response_tells_how_it_ended_as_openai_does(office: Office, response: Any, event: str) -> None:
    office.outcome = Done(result={"text": "t", "response": response})
    task = await office.durable.responses.create(Task(id="resp_1", spec={"body": {}, "response": {}}))
    await office.work()
    (told,) = await office.told()
    assert told.spec["event"] == {"type": f"response.{event}", "data": {"id": task.id}}


async def test_a_response_that_failed_or_was_cancelled_tells_so(office: Office) -> None:
    office.outcome = NO
    for each in ("resp_1", "resp_2"):
        await office.durable.responses.create(Task(id=each, spec={"body": {}, "response": {}}))
    await office.durable.responses.cancel("resp_2")
    await office.work()
    assert await office.types() == ["response.cancelled", "response.failed"]


def test_what_may_be_asked_for_is_what_is_told() -> None:
    """The configuration, the code and the page know the same events."""
    assert {each for each in get_args(WebhookEvent) if not each.endswith(".*")} == set(every_type())
    page = (Path(__file__).resolve().parents[2] / "docs/webhooks.md").read_text("utf-8")
    assert not [each for each in every_type() if f"`{each}`" not in page]


def every_type() -> Collection[str]:
    stop = [Task(id="t", status=each) for each in TERMINAL]
    found = [events.task_ended(replace(each, **more)) for each in stop for more in ({}, {"workstream": "w"})]
    answers = ("completed", "incomplete", "failed")
    responses = [Task(id="r", type="response", status="cancelled")]
    responses += [
        Task(id="r", type="response", status="done", result={"response": {"status": each}}) for each in answers
    ]
    found += [events.task_ended(each) for each in responses]
    found.append(events.task_asks(Task(id="t")))
    batch = Batch(id="b", surface="openai", endpoint="e", status="completed", key_id=None, input_file="f",
                  detail=Detail(), created=0, expires=0)  # fmt: skip
    found += [events.batch_ended(batch, each, 0) for each in ("completed", "failed", "expired", "cancelled")]
    types = {each.type for each in found if each is not None}
    return types | {f"workstream.{each}" for each in events.ENDS.values()} | {BUDGET_ALARM, MATCHED, BOUNCED}


async def test_of_private_work_only_the_end_is_told(office: Office) -> None:
    office.outcome = Done(result={"text": "the secret"})
    webhook = {"url": OWNER, "result": True}
    await office.tasks.submit("x", private=True, title="About Bluebird", webhook=webhook)
    await office.work()
    told = [each.spec["event"] for each in await office.told()]
    assert [each["data"]["result"] for each in told if "result" in each["data"]] == [{"withheld": "private"}]
    assert not any(word in str(told) for word in ("Bluebird", "secret"))


def test_of_a_mail_that_came_to_nothing_neither_title_nor_error_is_told() -> None:
    """Whether it was private nobody has found out."""
    error = {"code": "unknown_model", "message": "about Bluebird"}
    failed = events.task_ended(Task(id="t", type="mail", status="failed", title="mail: Bluebird", error=error))
    assert failed is not None
    assert (failed.data["title"], failed.data["error"]["code"]) == (None, "unknown_model")
    assert "Bluebird" not in str(failed)
