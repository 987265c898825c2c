"""What is started, ended and cancelled, from what the steps have come to."""

from collections.abc import Mapping
from typing import Any

import pytest

from chittycan.workstreams.plan import Plan, StepState, plan
from chittycan.workstreams.recipe_file import parse

DONE: Mapping[str, Any] = {"text": "said"}


def states(**given: str | StepState) -> dict[str, StepState]:
    """`a="done"` and the like; `__` in a name stands for what is between loop and step: `each__0__a`."""
    made = {}
    for name, state in given.items():
        loop, *rest = name.split("__")
        path = f"{loop}[{rest[0]}].{rest[1]}" if rest else loop
        made[path] = StepState(path=path, status=state, result=DONE) if isinstance(state, str) else state
    return made


def done(path: str, **result: Any) -> StepState:
    return StepState(path=path, status="done", result=result)


def planned(steps: str, inputs: Mapping[str, Any] | None = None, *, context: Mapping[str, Any] | None = None,
            spent: int = 0, now: float = 1000.0, **given: str | StepState) -> Plan:  # fmt: skip
    recipe = parse(f"name: test\n{steps}")
    return plan(recipe, inputs or {}, context or {}, states(**given), spent_nano=spent, now=now, started_at=900.0)


def started(made: Plan) -> list[str]:
    return [each.path for each in made.start]


TWO = """
steps:
  - {id: a, task: Say hi}
  - {id: b, task: "Then ${a.text}", model: gpt-4}
outputs: {said: "${b.text}"}
"""


def test_steps_go_one_after_the_other() -> None:
    assert started(planned(TWO)) == ["a"]
    assert planned(TWO, a="running") == Plan()
    assert started(planned(TWO, a="done")) == ["b"]


def test_a_start_has_its_work_with_all_values_filled_in() -> None:
    (start,) = planned(TWO, a="done").start
    assert (start.type, start.model, start.spec["prompt"]) == ("task", "gpt-4", "Then said")


def test_the_end_has_the_outputs() -> None:
    finish = planned(TWO, a="done", b="done").finish
    assert finish is not None
    assert (finish.status, finish.outputs) == ("done", {"said": "said"})


def test_a_failed_step_ends_the_workstream_and_says_which() -> None:
    finish = planned(TWO, a=StepState(path="a", status="failed", error="no model")).finish
    assert finish is not None
    assert (finish.status, finish.reason) == ("failed", "a: no model")


def test_a_step_that_somebody_cancelled_ends_the_workstream() -> None:
    finish = planned(TWO, a="cancelled").finish
    assert finish is not None
    assert finish.reason == "a: was cancelled"


def test_after_a_failure_that_may_be_the_rest_goes_on_and_sees_it() -> None:
    steps = """
steps:
  - {id: a, task: Hi, on_failure: continue}
  - {id: b, task: "${a.status}, ${a.error}, ${a.text}"}
"""
    (start,) = planned(steps, a=StepState(path="a", status="failed", error="no model")).start
    assert start.spec["prompt"] == "failed, a: no model, "


def test_a_value_that_is_not_there_fails_its_step() -> None:
    steps = "steps: [{id: a, task: Hi}, {id: b, task: '${a.json.risk}'}]"
    finish = planned(steps, a=done("a", json={"rsk": 3})).finish
    assert finish is not None
    assert finish.reason == "b: prompt: a.json has no 'risk'; did you mean 'rsk'?"


PARALLEL = """
steps:
  - id: both
    parallel: [{id: a, task: Hi}, {id: b, task: Ho}]
  - {id: c, task: "${a.text} ${b.text}"}
"""


def test_parallel_steps_start_together_and_the_next_waits_for_all() -> None:
    assert started(planned(PARALLEL)) == ["a", "b"]
    assert planned(PARALLEL, a="done", b="waiting_for_model") == Plan()
    assert started(planned(PARALLEL, a="done", b="done")) == ["c"]


def test_the_failure_of_one_cancels_the_others_before_it_ends_the_workstream() -> None:
    made = planned(PARALLEL, a="failed", b="running")
    assert (made.cancel, made.finish, made.start) == (["b"], None, [])
    finish = planned(PARALLEL, a="failed", b="cancelled").finish
    assert finish is not None
    assert finish.reason == "a: failed"


def test_where_a_block_may_fail_its_other_steps_go_on() -> None:
    steps = PARALLEL.replace("- id: both", "- id: both\n    on_failure: continue")
    assert planned(steps, a="failed", b="running") == Plan()
    assert started(planned(steps, a="failed", b="done")) == ["c"]


def test_a_branch_of_several_steps_is_a_block_of_its_own() -> None:
    steps = """
steps:
  - id: both
    parallel:
      - id: left
        steps: [{id: a, task: Hi}, {id: b, task: "${a.text}"}]
      - {id: c, task: Ho}
"""
    assert started(planned(steps)) == ["a", "c"]
    assert started(planned(steps, a="done", c="running")) == ["b"]


EACH = """
inputs: {words: list}
steps:
  - id: each
    for_each:
      in: ${inputs.words}
      as: word
      max_parallel: 2
      collect: "${word}: ${b.text}"
      steps: [{id: a, task: "${word}"}, {id: b, task: "${word} ${a.text}"}]
  - {id: end, task: "${each.results}"}
"""
WORDS = {"words": ["x", "y", "z"]}


def test_a_loop_begins_no_more_items_than_may_run_at_once() -> None:
    made = planned(EACH, WORDS)
    assert started(made) == ["each[0].a", "each[1].a"]
    assert [each.spec["prompt"] for each in made.start] == ["x", "y"]


def test_items_go_on_without_waiting_for_each_other() -> None:
    assert started(planned(EACH, WORDS, each__0__a="running", each__1__a="done")) == ["each[1].b"]
    after = planned(EACH, WORDS, each__0__a="running", each__1__a="done", each__1__b="done")
    assert started(after) == ["each[2].a"]


def test_items_that_were_left_half_done_take_their_turn() -> None:
    given: dict[str, Any] = {f"each__{index}__a": "done" for index in range(3)}
    assert started(planned(EACH, WORDS, **given)) == ["each[0].b", "each[1].b"]
    assert started(planned(EACH, WORDS, **given, each__2__b="running")) == ["each[0].b"]


def test_what_is_collected_of_all_items_is_known_after_the_loop() -> None:
    given: dict[str, Any] = {f"each__{index}__{step}": "done" for index in range(3) for step in "ab"}
    (start,) = planned(EACH, WORDS, **given).start
    assert start.spec["prompt"] == '["x: said", "y: said", "z: said"]'


def test_a_loop_over_nothing_is_over_at_once() -> None:
    (start,) = planned(EACH, {"words": []}).start
    assert start.spec["prompt"] == "[]"


@pytest.mark.parametrize(("words", "says"), [("x", "a list is needed, this is text"), ([0] * 1001, "at most 1000")])
def test_a_loop_over_what_is_no_list_fails(words: Any, says: str) -> None:
    finish = planned(EACH, {"words": words}).finish
    assert finish is not None
    assert says in (finish.reason or "")


def test_a_failed_item_ends_the_loop_unless_the_loop_may_fail() -> None:
    given: dict[str, Any] = {"each__0__a": "failed", "each__1__a": "running"}
    assert planned(EACH, WORDS, **given).cancel == ["each[1].a"]
    lenient = EACH.replace("- id: each", "- id: each\n    on_failure: continue")
    assert started(planned(lenient, WORDS, **given)) == ["each[2].a"]
    given = {"each__0__a": "failed", **{f"each__{index}__{step}": "done" for index in (1, 2) for step in "ab"}}
    (start,) = planned(lenient, WORDS, **given).start
    assert start.spec["prompt"] == '[{"error": "each[0].a: failed"}, "y: said", "z: said"]'


WHEN = """
steps:
  - {id: a, task: {prompt: Rate it, json: true}}
  - id: risky
    when: {if: a.json.risk > 5, then: [{id: strong, task: Look}], else: [{id: weak, task: Glance}]}
  - {id: b, task: "${risky.chosen} ${strong.text}${weak.text}"}
"""


def test_one_of_two_cases_is_taken() -> None:
    assert started(planned(WHEN, a=done("a", json={"risk": 9}))) == ["strong"]
    assert started(planned(WHEN, a=done("a", json={"risk": 1}))) == ["weak"]


def test_what_was_not_taken_is_nothing() -> None:
    (start,) = planned(WHEN, a=done("a", json={"risk": 1}), weak="done").start
    assert start.spec["prompt"] == "else said"


def test_a_condition_about_what_is_not_there_fails() -> None:
    finish = planned(WHEN, a=done("a", text="no json")).finish
    assert finish is not None
    assert finish.reason == "risky: a.json is null, so it has no 'risk'"


APPROVAL = """
steps:
  - {id: a, task: Draft}
  - {id: ok, approval: {title: "Send?", show: {text: "${a.text}"}, edit: true, timeout: 2h}}
  - {id: b, task: "${ok.values.text}"}
"""


def test_an_approval_shows_values_until_its_time_is_over() -> None:
    (start,) = planned(APPROVAL, a="done").start
    assert (start.type, start.spec["show"], start.spec["until"]) == ("approval", {"text": "said"}, 1000 + 7200)


def test_what_a_person_edited_is_passed_on() -> None:
    decided = done("ok", decision="approved", by="Ann", values={"text": "better"})
    (start,) = planned(APPROVAL, a="done", ok=decided).start
    assert start.spec["prompt"] == "better"


def test_a_rejection_ends_the_workstream_with_who_and_why() -> None:
    decided = done("ok", decision="rejected", by="Ann", comment="too long")
    finish = planned(APPROVAL, a="done", ok=decided).finish
    assert finish is not None
    assert (finish.status, finish.reason) == ("failed", "ok: rejected by Ann: too long")


def test_a_rejection_may_be_looked_at() -> None:
    steps = APPROVAL.replace("timeout: 2h}", "timeout: 2h}, on_failure: continue").replace(
        "ok.values.text", "ok.decision"
    )
    (start,) = planned(steps, a="done", ok=done("ok", decision="rejected")).start
    assert start.spec["prompt"] == "rejected"


def test_durations_count_from_the_start_of_their_step() -> None:
    assert planned("steps: [{id: w, wait: 2h}]").start[0].spec["until"] == 1000 + 7200
    until = "steps: [{id: w, wait: {until: '2026-12-01T09:00Z'}}]"
    assert planned(until).start[0].spec["until"] == 1_796_115_600
    event = planned("steps: [{id: w, wait: {event: signed}, deadline: 1d}]").start[0]
    assert (event.spec["until"], event.spec["event"], event.deadline) == (None, "signed", 1000 + 86_400)


def test_a_time_from_an_input_must_be_one() -> None:
    finish = planned("inputs: {t: text}\nsteps: [{id: w, wait: {until: '${inputs.t}'}}]", {"t": "soon"}).finish
    assert finish is not None
    assert "w: 'soon' is no time" in (finish.reason or "")


def test_the_context_is_filled_in_as_it_is_when_a_step_starts() -> None:
    steps = "steps: [{id: a, task: '${context.facts.court}|${context.nowhere.near}'}]"
    (start,) = planned(steps, context={"facts": {"court": "Vienna"}}).start
    assert start.spec["prompt"] == "Vienna|"


BUDGET = "budget_usd: 0.5\n" + PARALLEL.replace("{id: b, task: Ho}", "{id: b, task: Ho, budget_usd: 0.1}")


def test_a_step_may_spend_what_is_left_and_no_more_than_its_own_budget() -> None:
    made = planned(BUDGET, spent=200_000_000)
    assert [each.budget_nano for each in made.start] == [300_000_000, 100_000_000]


def test_when_the_budget_is_spent_what_runs_may_end_and_nothing_begins() -> None:
    one = BUDGET.replace("parallel: [", "parallel: [{id: w, wait: 1h}, ")
    spent = 600_000_000
    made = planned(one, spent=spent, a="running", w="waiting")
    assert (made.cancel, made.start, made.finish) == (["w"], [], None)
    finish = planned(one, spent=spent, a="done", w="cancelled").finish
    assert finish is not None
    assert finish.status == "failed"


def test_the_end_says_that_the_budget_is_spent() -> None:
    finish = planned(BUDGET, spent=600_000_000, a="done", b="done").finish
    assert finish is not None
    assert finish.reason == "the budget of $0.5 is spent"


def test_steps_that_cost_nothing_go_on_without_a_budget() -> None:
    steps = "budget_usd: 0.5\nsteps: [{id: a, task: Hi}, {id: ok, approval: Fine}]"
    assert started(planned(steps, spent=900_000_000, a="done")) == ["ok"]


def test_no_step_has_longer_than_the_workstream() -> None:
    steps = "deadline: 5m\nsteps: [{id: a, task: Hi, deadline: 1h}]"
    assert planned(steps).start[0].deadline == 900 + 300


def test_after_the_deadline_all_is_cancelled_and_then_it_is_over() -> None:
    steps = "deadline: 1m\n" + PARALLEL.removeprefix("\n")
    assert planned(steps, a="running", b="done").cancel == ["a"]
    finish = planned(steps, a="cancelled", b="done").finish
    assert finish is not None
    assert finish.status == "failed"


def test_what_is_done_by_the_deadline_is_done() -> None:
    finish = planned("deadline: 1m\nsteps: [{id: a, task: Hi}]", a="done").finish
    assert finish is not None
    assert finish.status == "done"


def test_assignments_policies_and_models_say_who_answers() -> None:
    steps = """
inputs: {who: text}
steps:
  - id: all
    parallel:
      - {id: a, task: Hi, assignment: code.review}
      - {id: b, task: Hi, policy: "auto:cheap"}
      - {id: c, task: Hi, model: "${inputs.who}", retries: 2, store: hi, title: Say hi}
"""
    a, b, c = planned(steps, {"who": "gpt-4"}).start
    assert [(each.model, each.kind) for each in (a, b, c)] == [
        (None, "code.review"),
        ("auto:cheap", None),
        ("gpt-4", None),
    ]
    assert (c.retries, c.store, c.title) == (2, "hi", "Say hi")


def test_a_folder_among_the_files_becomes_its_files() -> None:
    steps = """
inputs: {all: folder, one: file}
steps: [{id: a, task: {prompt: Hi, files: ["${inputs.all}", "${inputs.one}"]}}]
"""
    files = [{"name": name, "path": f"/{name}"} for name in "abc"]
    (start,) = planned(steps, {"all": files[:2], "one": files[2]}).start
    assert start.spec["files"] == files


def test_text_fields_are_text_and_other_fields_keep_their_kind() -> None:
    steps = """
inputs: {n: number}
steps:
  - {id: a, call: {url: "https://x.test", headers: {n: "${inputs.n}"}, json: {n: "${inputs.n}"}}}
"""
    (start,) = planned(steps, {"n": 3}).start
    assert (start.spec["headers"], start.spec["json"]) == ({"n": "3"}, {"n": 3})


def test_rows_that_the_recipe_no_longer_has_are_cancelled_before_the_end() -> None:
    given: dict[str, Any] = {"a": "done", "gone": "running"}
    assert planned("steps: [{id: a, task: Hi}]", **given).cancel == ["gone"]
