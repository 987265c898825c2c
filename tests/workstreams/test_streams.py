"""Workstreams from their first step to their end: each run of a task is done by hand, on both databases."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.agents.given import Given
from chittycan.context.labels import Label
from chittycan.context.sessions import Sessions
from chittycan.errors import ChittyError, ConfigError, Forbidden, InvalidRequest, NotFound
from chittycan.routing.rules.book import Book, Rule
from chittycan.store.database import Database
from chittycan.store.tasks import Wanted
from chittycan.testing import FakeClock
from chittycan.workstreams.advance import Advancer
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.recipe import Recipe, Step
from chittycan.workstreams.recipe import Task as Prompt
from chittycan.workstreams.record import Recorder, run_id
from chittycan.workstreams.runner import Runner
from chittycan.workstreams.streams import Streams
from chittycan.workstreams.task import Ask, Done, Failed, Later, Outcome, Task
from chittycan.workstreams.tasks import Tasks
from chittycan.workstreams.workstream import Workstream

Say = Callable[[Task], Outcome]

LETTER = """
name: letter
inputs: {who: text}
steps:
  - {id: draft, task: "Write to ${inputs.who}"}
  - {id: decision, approval: {title: "Send it?", show: {letter: "${draft.text}"}, edit: true, who: [lawyer]}}
  - {id: sent, task: "Sent: ${decision.values.letter}"}
outputs: {letter: "${decision.values.letter}", by: "${decision.by}"}
"""
TWO = """
name: two
budget_usd: 1
steps:
  - {id: one, task: first}
  - {id: two, task: "second, after ${one.text}"}
outputs: {text: "${two.text}"}
"""
NEWS = """
name: news
steps:
  - {id: paid, wait: {event: paid}}
  - {id: thanks, task: "Thank for ${paid.json.amount}"}
outputs: {thanks: "${thanks.text}"}
"""


class Office:
    """The parts of durable work, with models that say what the test says."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.engine = Engine(database.url)
        self.recorder = Recorder(self.engine, clock)
        advancer = Advancer(self.recorder, clock)
        self.recorder.advance = advancer.advance
        self.tasks = Tasks(database, self.engine, self.recorder, clock)
        self.context = Sessions(database, clock)
        self.streams = Streams(
            database, self.engine, self.recorder, advancer, clock, lambda base: Given(database, base, clock)
        )
        performers = {"task": self._ask, "approval": self._approval, "wait": self._wait}
        self.runner = Runner(database, self.recorder, clock, "one", performers, ("eu",))
        self.asked: list[Task] = []
        self.says: dict[str, Say] = {}  # by the step's path

    async def _ask(self, task: Task) -> Outcome:
        self.asked.append(task)
        say = self.says.get(task.path or "")
        return say(task) if say else Done(result={"text": f"<{task.spec['prompt']}>"}, model="m", cost_nano=1000)

    async def _approval(self, task: Task) -> Outcome:
        return Done(result=task.answer) if task.answer else Ask(question=task.spec, until=task.spec["until"])

    async def _wait(self, task: Task) -> Outcome:
        return Done(result=task.answer) if task.answer else Later(reason="news")

    async def run(self, recipe: Any, inputs: Any = None, **setting: Any) -> Workstream:
        """Begun, and all done that can be done at once."""
        stream = await self.streams.run(recipe, inputs, **setting)
        return await self.work(stream)

    async def work(self, stream: Workstream) -> Workstream:
        """Every run in the queue that is due, until nothing is left to do."""
        while due := [each for each in await self.steps(stream) if await self._due(each)]:
            for each in due:
                await self.runner.run(each.id, each.run)
        return await self.streams.get(stream.id)

    async def steps(self, stream: Workstream) -> list[Task]:
        return (await self.tasks.list(Wanted(workstream=stream.id), limit=1000))[0]

    async def step(self, stream: Workstream, path: str) -> Task:
        return await self.tasks.get(f"{stream.id}.{path}")

    async def _due(self, task: Task) -> bool:
        if task.status != "queued":
            return False
        return (await self.engine.statuses([run_id(task)])).get(run_id(task)) == "ENQUEUED"


@pytest.fixture
async def office(database: Database, clock: FakeClock) -> AsyncIterator[Office]:
    office = Office(database, clock)
    yield office
    await office.engine.close()


def failing(message: str = "no") -> Say:
    return lambda _: Failed(error=InvalidRequest(message), again=False, cost_nano=500)


# from beginning to end


async def test_steps_pass_values_on_until_the_outputs_are_there(office: Office) -> None:
    stream = await office.run(TWO)
    assert (stream.status, stream.outputs) == ("done", {"text": "<second, after <first>>"})
    assert (stream.spent_nano, stream.ended) == (2000, office.clock.now())
    assert stream.id.startswith("ws_")


async def test_a_recipe_is_a_text_a_document_a_file_a_struct_or_one_of_ours(office: Office, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(TWO)
    document = {"name": "d", "steps": [{"id": "one", "task": "x"}]}
    struct = Recipe(name="s", steps=[Step(id="one", task=Prompt(prompt="x"))])
    for recipe, name in ((TWO, "two"), (document, "d"), (struct, "s"), (tmp_path / "r.yaml", "two"), ("r.yaml", "two")):
        assert (await office.streams.run(recipe, base=tmp_path)).name == name
    assert (await office.streams.run("nightly-digest")).name == "nightly-digest"


async def test_without_a_base_no_file_of_this_machine_is_read(office: Office, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(TWO)
    with pytest.raises(NotFound, match="legal-pipeline"):
        await office.streams.run(str(tmp_path / "r.yaml"), base=None)
    recipe = {"name": "d", "inputs": {"paper": "file"}, "steps": [{"id": "one", "task": "x"}]}
    with pytest.raises(InvalidRequest, match="would be a path of the server"):
        await office.streams.run(recipe, {"paper": str(tmp_path / "r.yaml")}, base=None)


@pytest.mark.parametrize(
    ("recipe", "inputs", "error", "match"),
    [
        ({"name": "d", "steps": [{"id": "one", "tusk": "x"}]}, {}, ConfigError, "tusk"),
        (Recipe(name="s", steps=[Step(id="a", task=Prompt(prompt="${b.text}"))]), {}, ConfigError, "'b'"),
        (LETTER, {}, InvalidRequest, "who: is missing"),
        (LETTER, {"who": "x", "whom": "y"}, InvalidRequest, "whom: there is no such input"),
        ("nightly-digset", {}, NotFound, "nightly-digest"),
    ],
)
async def test_what_cannot_run_is_refused_and_leaves_nothing(
    office: Office, recipe: Any, inputs: Any, error: type[ChittyError], match: str
) -> None:
    with pytest.raises(error, match=match):
        await office.streams.run(recipe, inputs)
    assert await office.streams.list() == ([], None)


async def test_an_idempotency_key_begins_one_workstream(office: Office) -> None:
    first = await office.streams.run(LETTER, {"who": "Ann"}, idempotency_key="k")
    again = await office.streams.run(LETTER, {"who": "Ann"}, idempotency_key="k")
    assert again.id == first.id
    assert len(await office.steps(first)) == 1
    with pytest.raises(InvalidRequest, match="another workstream"):
        await office.streams.run(LETTER, {"who": "Bob"}, idempotency_key="k")
    other = await office.streams.run(LETTER, {"who": "Bob"}, idempotency_key="k", key_id="key_1")
    assert other.id != first.id


async def test_a_listing_is_the_newest_first_in_pages(office: Office) -> None:
    made = []
    for number in range(5):
        office.clock.advance(1)
        made.append((await office.streams.run(TWO, key_id="k" if number % 2 else None)).id)
    page, cursor = await office.streams.list(limit=3)
    assert [each.id for each in page] == made[:1:-1]
    rest, end = await office.streams.list(limit=3, cursor=cursor)
    assert ([each.id for each in rest], end) == (made[1::-1], None)
    assert {each.id for each in (await office.streams.list(for_key="k"))[0]} == {made[1], made[3]}
    assert (await office.streams.list(statuses=("done",)))[0] == []


async def test_a_key_reaches_its_own_workstreams_alone(office: Office) -> None:
    stream = await office.streams.run(LETTER, {"who": "Ann"}, key_id="one")
    assert (await office.streams.get(stream.id, for_key="one")).key_id == "one"
    everything = (office.streams.get, office.streams.progress, office.streams.pause, office.streams.resume,
                  office.streams.cancel, office.streams.approve, office.streams.reject)  # fmt: skip
    for method in everything:
        with pytest.raises(NotFound):
            await method(stream.id, for_key="two")
    with pytest.raises(NotFound):
        await office.streams.fork(stream.id, "draft", for_key="two")
    with pytest.raises(NotFound):
        await office.streams.event(stream.id, "paid", for_key="two")
    assert (await office.step(stream, "draft")).key_id == "one"


# sessions and privacy


async def test_the_session_is_the_given_one_the_recipes_or_its_own(office: Office) -> None:
    recipe = {"name": "s", "inputs": {"case": "text"}, "session": "case-${inputs.case}",
              "steps": [{"id": "one", "task": "${context.court}"}]}  # fmt: skip
    await office.context.store("case-7", {"court": "Graz"})
    stream = await office.run(recipe, {"case": "7"})
    assert stream.session == "case-7"
    assert office.asked[0].spec["prompt"] == "Graz"
    assert office.asked[0].session == "case-7"
    assert (await office.streams.run(recipe, {"case": "7"}, session="mine")).session == "mine"
    own = await office.streams.run(TWO)
    assert own.session == own.id
    with pytest.raises(InvalidRequest, match="session"):
        await office.streams.run(recipe, {"case": "a/b"})


async def test_somebody_elses_session_cannot_be_used_nor_read(office: Office) -> None:
    recipe = {"name": "s", "session": "secret", "steps": [{"id": "one", "task": "first"},
                                                          {"id": "two", "task": "Say ${context.code}"}]}  # fmt: skip
    stream = await office.streams.run(recipe, key_id="one")
    await office.context.store("secret", {"code": "1234"})  # the owner's, and only after that
    await office.work(stream)
    assert [each.spec["prompt"] for each in office.asked] == ["first", "Say "]
    with pytest.raises(Forbidden):
        await office.streams.run(recipe, key_id="one")


@pytest.mark.parametrize("how", ["recipe", "setting", "context", "result"])
async def test_private_work_stays_private_to_its_end(office: Office, how: str) -> None:
    recipe = {"name": "p", "session": "s", "private": how == "recipe",
              "steps": [{"id": "one", "task": "x"}, {"id": "two", "task": "y"}]}  # fmt: skip
    if how == "context":
        await office.context.store("s", {"name": "Ann"}, labels={"name": Label("private")})
    if how == "result":
        office.says["one"] = lambda _: Done(result={"text": "x", "label": "private"})
    await office.run(recipe, private=how == "setting")
    assert office.asked[-1].options == {"private": True}
    assert office.asked[0].options == ({} if how == "result" else {"private": True})


async def test_a_session_that_becomes_private_makes_the_rest_private(office: Office) -> None:
    recipe = {"name": "p", "session": "s", "steps": [{"id": id_, "task": id_} for id_ in ("one", "two", "three")]}
    await office.context.store("s", {"a": 1})
    stream = await office.streams.run(recipe, region="eu")
    await office.context.update("s", {"a": 2}, labels={"a": Label("private")})
    one = await office.step(stream, "one")
    await office.runner.run(one.id, one.run)
    await office.context.delete("s")
    await office.work(stream)
    assert [each.options for each in office.asked] == [{"region": "eu"}] + [{"private": True, "region": "eu"}] * 2


# approvals


async def test_an_approval_shows_what_it_is_about_and_goes_on_when_approved(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    assert stream.status == "running"
    [asked] = (await office.streams.progress(stream.id)).waiting
    assert (asked.path, asked.title, asked.show, asked.edit) == (
        "decision", "Send it?", {"letter": "<Write to Ann>"}, True)  # fmt: skip
    await office.streams.approve(stream.id, by="Eva", comment="fine")
    stream = await office.work(stream)
    assert stream.outputs == {"letter": "<Write to Ann>", "by": "Eva"}
    with pytest.raises(InvalidRequest, match="waits for a decision"):
        await office.streams.approve(stream.id)


async def test_an_approval_may_be_given_before_a_worker_has_looked_at_it(office: Office) -> None:
    stream = await office.streams.run(LETTER, {"who": "Ann"})
    draft = await office.step(stream, "draft")
    await office.runner.run(draft.id, draft.run)
    assert (await office.step(stream, "decision")).status == "queued"
    await office.streams.approve(stream.id)
    assert (await office.work(stream)).status == "done"


async def test_of_two_decisions_the_first_counts(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    await office.streams.reject(stream.id, comment="too long")
    with pytest.raises(InvalidRequest):
        await office.streams.approve(stream.id)
    stream = await office.work(stream)
    assert stream.status == "failed"
    assert "rejected by owner: too long" in (stream.error or "")


async def test_words_that_no_text_can_hold_end_it_all_the_same(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    await office.streams.reject(stream.id, comment="too\x00 long")
    assert "too long" in ((await office.work(stream)).error or "")
    assert (await office.streams.cancel((await office.run(NEWS)).id, reason="no\x00pe")).error == "nope"
    for look in (office.streams.get, office.streams.hook, office.streams.cancel):
        with pytest.raises(NotFound):
            await look("ws_\x00~x")


async def test_what_is_shown_can_be_changed_where_the_recipe_says_so(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    with pytest.raises(InvalidRequest, match="'lettre'"):
        await office.streams.edit(stream.id, {"lettre": "Dear Ann"})
    await office.streams.edit(stream.id, {"letter": "Dear Ann"})
    assert (await office.work(stream)).outputs == {"letter": "Dear Ann", "by": "owner"}
    fixed = await office.run(LETTER.replace("edit: true, ", ""), {"who": "Ann"})
    with pytest.raises(InvalidRequest, match="not changed"):
        await office.streams.edit(fixed.id, {"letter": "Dear Ann"})


async def test_several_approvals_at_once_are_named(office: Office) -> None:
    both = [{"id": id_, "approval": {"title": f"Is {id_} fine?"}} for id_ in ("left", "right")]
    stream = await office.run({"name": "p", "steps": [{"id": "both", "parallel": both}]})
    with pytest.raises(InvalidRequest, match="2 steps") as refused:
        await office.streams.approve(stream.id)
    assert "left (Is left fine?)" in str(refused.value.fix)
    await office.streams.approve(stream.id, "left")
    await office.streams.approve(stream.id, f"{stream.id}.right")
    assert (await office.work(stream)).status == "done"
    with pytest.raises(NotFound):
        await office.streams.approve(stream.id, "middle")


async def test_a_key_decides_only_where_it_is_named(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"}, key_id="k")
    with pytest.raises(Forbidden, match="lawyer"):
        await office.streams.approve(stream.id, by="intern", for_key="k")
    await office.streams.approve(stream.id, by="lawyer", for_key="k")
    assert (await office.work(stream)).status == "done"


# events and webhooks


async def test_an_event_wakes_the_step_that_waits_for_it(office: Office) -> None:
    stream = await office.run(NEWS)
    assert [each.event for each in (await office.streams.progress(stream.id)).waiting] == ["paid"]
    assert await office.streams.event(stream.id, "paid", {"amount": 7})
    assert (await office.work(stream)).outputs == {"thanks": "<Thank for 7>"}
    with pytest.raises(InvalidRequest, match="is done"):
        await office.streams.event(stream.id, "paid", {"amount": 8})


async def test_an_event_that_comes_too_early_is_kept(office: Office) -> None:
    recipe = {"name": "n", "steps": [{"id": "first", "task": "x"}, {"id": "one", "wait": {"event": "paid"}},
                                     {"id": "two", "wait": {"event": "paid"}}],
              "outputs": {"both": ["${one.json}", "${two.json}"]}}  # fmt: skip
    stream = await office.streams.run(recipe)
    assert not await office.streams.event(stream.id, "paid", 1)
    assert not await office.streams.event(stream.id, "paid", 2)
    assert (await office.work(stream)).outputs == {"both": [1, 2]}


async def test_an_event_is_not_lost_with_the_step_that_was_told_of_it(office: Office) -> None:
    steps = [{"parallel": [{"id": "paid", "wait": {"event": "paid"}}, {"id": "other", "task": "x"}], "id": "both"}]
    stream = await office.streams.run({"name": "both", "steps": steps, "outputs": {"paid": "${paid.json}"}})
    office.says["other"] = failing()
    assert await office.streams.event(stream.id, "paid", 7)
    await office.runner.run(f"{stream.id}.other", 1)
    assert (await office.streams.get(stream.id)).status == "failed"
    office.says.clear()
    await office.streams.resume(stream.id)
    assert (await office.work(stream)).outputs == {"paid": 7}


async def test_a_webhook_has_an_address_of_its_own(office: Office) -> None:
    recipe = {"name": "h", "steps": [{"id": "signed", "wait": {"webhook": True}}], "outputs": {"x": "${signed.json}"}}
    stream, other = await office.run(recipe), await office.run(recipe)
    [waits] = (await office.streams.progress(stream.id)).waiting
    assert waits.token is not None
    for wrong in ("", "x", f"{stream.id}.signed~", f"{other.id}.signed~{waits.token.rpartition('~')[2]}"):
        with pytest.raises(NotFound):
            await office.streams.hook(wrong, {})
    await office.streams.hook(waits.token, {"by": "Ann"})
    with pytest.raises(NotFound):
        await office.streams.hook(waits.token, {"by": "Bob"})
    assert (await office.work(stream)).outputs == {"x": {"by": "Ann"}}
    assert (await office.streams.get(other.id)).status == "running"


# pause, resume, cancel


async def test_a_pause_starts_nothing_new(office: Office) -> None:
    stream = await office.streams.run(TWO)
    await office.streams.pause(stream.id)
    assert (await office.work(stream)).status == "paused"
    assert [each.path for each in await office.steps(stream)] == ["one"]
    await office.streams.resume(stream.id)
    assert (await office.work(stream)).status == "done"
    with pytest.raises(InvalidRequest, match="is done"):
        await office.streams.pause(stream.id)


async def test_what_ends_while_it_is_paused_ends_it_when_it_goes_on(office: Office) -> None:
    stream = await office.streams.run({"name": "one", "steps": [{"id": "one", "task": "x"}]})
    await office.streams.pause(stream.id)
    assert (await office.work(stream)).status == "paused"
    assert (await office.streams.resume(stream.id)).status == "done"


async def test_resuming_tries_again_what_failed_and_keeps_what_is_done(office: Office) -> None:
    office.says["two"] = failing()
    stream = await office.run(TWO)
    assert (stream.status, stream.spent_nano) == ("failed", 1500)
    del office.says["two"]
    await office.streams.resume(stream.id)
    stream = await office.work(stream)
    assert (stream.status, stream.error, stream.outputs) == ("done", None, {"text": "<second, after <first>>"})
    assert [each.path for each in office.asked] == ["one", "two", "two"]
    assert stream.spent_nano == 2500  # what the failure cost is not forgotten
    with pytest.raises(InvalidRequest, match="is done") as refused:
        await office.streams.resume(stream.id)
    assert "fork" in str(refused.value.fix)


async def test_it_can_be_resumed_again_and_again(office: Office) -> None:
    office.says["two"] = failing()
    stream = await office.run(TWO)
    for _ in range(3):
        await office.streams.resume(stream.id)
        assert (await office.work(stream)).status == "failed"
    assert [each.path for each in office.asked] == ["one", *["two"] * 4]


async def test_resuming_asks_again_what_was_rejected(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    await office.streams.reject(stream.id)
    assert (await office.work(stream)).status == "failed"
    await office.streams.resume(stream.id)
    await office.work(stream)
    await office.streams.approve(stream.id)
    assert (await office.work(stream)).status == "done"


async def test_a_failure_that_was_allowed_is_not_tried_again(office: Office) -> None:
    recipe = {"name": "c", "steps": [{"id": "maybe", "task": "x", "on_failure": "continue"},
                                     {"id": "told", "task": "It is ${maybe.status}"}]}  # fmt: skip
    office.says |= {"maybe": failing(), "told": failing()}
    stream = await office.run(recipe)
    office.says.clear()
    await office.streams.resume(stream.id)
    assert (await office.work(stream)).status == "done"
    assert [each.spec["prompt"] for each in office.asked] == ["x", "It is failed", "It is failed"]


async def test_a_deadline_begins_anew_with_the_resumption(office: Office) -> None:
    stream = await office.run(LETTER.replace("name: letter", "name: letter\ndeadline: 1h"), {"who": "Ann"})
    office.clock.advance(3601)
    decision = await office.step(stream, "decision")
    assert decision.deadline is not None
    await office.database.run(lambda connection: office.recorder.end(connection, decision, "failed"))
    assert (await office.streams.get(stream.id)).status == "failed"
    await office.streams.resume(stream.id)
    await office.work(stream)
    again = await office.step(stream, "decision")
    assert again.deadline == office.clock.now() + 3600
    await office.streams.approve(stream.id)
    assert (await office.work(stream)).status == "done"


async def test_a_spent_budget_can_be_raised(office: Office) -> None:
    stream = await office.run(TWO.replace("budget_usd: 1", "budget_usd: 0.000001"))
    assert (stream.status, stream.error) == ("failed", "the budget of $1e-06 is spent")
    await office.streams.resume(stream.id)
    assert (await office.work(stream)).status == "failed"
    await office.streams.resume(stream.id, budget_usd=1)
    assert (await office.work(stream)).status == "done"


async def test_cancelling_ends_every_open_step(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    cancelled = await office.streams.cancel(stream.id, reason="wrong Ann")
    assert (cancelled.status, cancelled.error, cancelled.ended) == ("cancelled", "wrong Ann", office.clock.now())
    assert {each.path: each.status for each in await office.steps(stream)} == {"draft": "done", "decision": "cancelled"}
    office.clock.advance(1)
    assert await office.streams.cancel(stream.id) == cancelled
    await office.streams.resume(stream.id)
    await office.work(stream)
    await office.streams.approve(stream.id)
    assert (await office.work(stream)).status == "done"


async def test_every_end_is_told_to_the_webhook_once(office: Office) -> None:
    office.says["two"] = failing()
    stream = await office.run(TWO, webhook="https://example.com/told")
    del office.says["two"]
    await office.streams.resume(stream.id)
    await office.work(stream)
    told = [each.spec for each in (await office.tasks.list(Wanted(types=("deliver",))))[0]]
    assert sorted(each["event"]["type"] for each in told) == ["workstream.completed", "workstream.failed"]
    assert told[0]["to"] == {"url": "https://example.com/told"}
    with pytest.raises(InvalidRequest, match=r"webhook\.url"):
        await office.streams.run(TWO, webhook="nowhere")


# fork


async def test_a_fork_keeps_what_was_done_before_its_step(office: Office) -> None:
    stream = await office.run(TWO)
    office.says["two"] = lambda task: Done(result={"text": "better"}, cost_nano=1000)
    fork = await office.streams.fork(stream.id, "two")
    fork = await office.work(fork)
    assert (fork.outputs, fork.forked_from, fork.session) == ({"text": "better"}, stream.id, stream.session)
    assert [each.path for each in office.asked] == ["one", "two", "two"]
    assert fork.spent_nano == 2000  # within the same budget
    assert [(await office.step(fork, path)).tries for path in ("one", "two")] == [0, 1]
    assert (await office.streams.get(stream.id)).outputs == {"text": "<second, after <first>>"}


async def test_a_fork_may_have_other_inputs(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    fork = await office.streams.fork(stream.id, "draft", {"who": "Bob"})
    assert (await office.step(await office.work(fork), "decision")).spec["show"] == {"letter": "<Write to Bob>"}
    for inputs, error in (({"whom": "Bob"}, InvalidRequest), ({}, None)):
        if error is not None:
            with pytest.raises(error):
                await office.streams.fork(stream.id, "draft", inputs)
    with pytest.raises(NotFound, match="draft"):
        await office.streams.fork(stream.id, "drift")


async def test_rules_are_asked_of_what_a_fork_is_given(office: Office) -> None:
    recipe = LETTER.replace("who: text", "who: text, repo: text")
    stream = await office.streams.run(recipe, {"who": "Ann", "repo": "o/web"})
    rule = Rule(id="r", name="court", condition="repo:court", action="private, region:eu-west")
    office.streams.ruling = Book([rule]).apply
    assert not (await office.streams.fork(stream.id, "draft")).options.private
    fork = await office.streams.fork(stream.id, "draft", {"repo": "o/court"})
    assert (fork.options.private, fork.options.region) == (True, "eu-west")


async def test_a_fork_of_what_still_runs_leaves_it_alone(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    fork = await office.work(await office.streams.fork(stream.id, "decision"))
    await office.streams.approve(fork.id)
    assert (await office.work(fork)).status == "done"
    assert (await office.streams.get(stream.id)).status == "running"
    assert (await office.step(stream, "decision")).status == "waiting_for_approval"


async def test_a_fork_tries_again_what_failed_beside_its_step(office: Office) -> None:
    both = [{"id": id_, "task": id_} for id_ in ("left", "right")]
    office.says |= {"left": failing(), "right": failing()}
    stream = await office.run({"name": "p", "steps": [{"id": "both", "parallel": both}]})
    assert stream.status == "failed"
    office.says.clear()
    fork = await office.work(await office.streams.fork(stream.id, "left"))
    assert fork.status == "done"


# watching


async def test_progress_shows_the_whole_recipe(office: Office) -> None:
    stream = await office.run(LETTER, {"who": "Ann"})
    view = await office.streams.progress(stream.id)
    assert [(node.path, node.status) for node in view.progress.steps] == [
        ("draft", "done"), ("decision", "waiting_for_approval"), ("sent", "pending")]  # fmt: skip
    assert (view.progress.over, view.progress.total, view.progress.cost_nano) == (1, 3, 1000)


async def test_watching_tells_of_every_change_until_the_end(office: Office) -> None:
    stream = await office.streams.run(TWO)
    seen = []
    async for view in office.streams.watch(stream.id):
        seen.append([node.status for node in view.progress.steps])
        for each in await office.steps(stream):
            if each.status == "queued":
                await office.runner.run(each.id, each.run)
    assert seen[0] == ["queued", "pending"]
    assert ["done", "queued"] in seen
    assert seen[-1] == ["done", "done"]


async def test_watching_gives_up_after_its_time(office: Office) -> None:
    stream = await office.streams.run(TWO)
    waiting = office.streams.wait(stream.id, timeout=0)
    assert replace(await waiting, updated=0) == replace(stream, updated=0)
    with pytest.raises(NotFound):
        await office.streams.wait("ws_0")
