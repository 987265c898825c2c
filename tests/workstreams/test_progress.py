"""How far a workstream has come, for whoever watches."""

from typing import Any

from chittycan.workstreams.plan import StepState
from chittycan.workstreams.progress import Node, Progress, progress
from chittycan.workstreams.recipe_file import parse

RECIPE = parse("""
name: test
steps:
  - {id: a, title: Begin, task: Hi, model: gpt-4}
  - {id: w, when: {if: a.text == "x", then: [{id: b, task: Hi}], else: [{id: c, task: Hi}]}}
  - {id: each, for_each: {in: [1, 2], steps: [{id: d, task: Hi}]}}
  - {id: e, parallel: [{id: f, task: Hi}, {id: g, approval: Fine}]}
""")


def come(ended: bool = False, **given: str | StepState) -> Progress:
    states = {}
    for name, state in given.items():
        path = name.replace("each_", "each[").replace("__", "].")
        states[path] = StepState(path=path, status=state) if isinstance(state, str) else state
    return progress(RECIPE, states, ended=ended)


def statuses(nodes: list[Node]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in nodes:
        found |= {node.path: node.status, **statuses(node.children)}
    return found


def test_before_it_begins_all_is_pending_and_says_who_would_answer() -> None:
    found = come()
    assert set(statuses(found.steps).values()) == {"pending"}
    assert (found.steps[0].title, found.steps[0].model) == ("Begin", "gpt-4")
    assert found.over == 0


def test_a_block_runs_while_anything_in_it_does() -> None:
    assert statuses(come(a="done", c="running").steps) | {} == {
        "a": "done", "w": "running", "b": "skipped", "c": "running", "each": "pending", "e": "pending", "f": "pending",
        "g": "pending",
    }  # fmt: skip


def test_a_case_that_was_passed_over_is_skipped() -> None:
    found = statuses(come(a="done", each_0__d="running").steps)
    assert (found["w"], found["b"], found["c"]) == ("skipped", "skipped", "skipped")


def test_items_are_shown_once_they_have_begun() -> None:
    found = come(a="done", c="done", each_0__d="done", each_1__d="waiting_for_model")
    assert [child.title for child in found.steps[2].children] == ["each[0]", "each[1]"]
    assert statuses(found.steps)["each"] == "running"


def test_what_never_ran_is_skipped_once_it_is_over() -> None:
    found = come(ended=True, a="failed")
    assert statuses(found.steps)["e"] == "skipped"
    assert found.over == found.total


def test_times_and_costs_add_up() -> None:
    one = StepState(path="each[0].d", status="done", cost_nano=5, started_at=10.0, ended_at=11.0)
    two = StepState(path="each[1].d", status="failed", error="no", cost_nano=7, started_at=12.0, ended_at=14.0)
    found = come(a=StepState(path="a", status="done", cost_nano=1, model="gpt-3"), each_0__d=one, each_1__d=two)
    each = found.steps[2]
    assert (each.status, each.cost_nano, each.started_at, each.ended_at, each.error) == ("failed", 12, 10.0, 14.0, "no")
    assert (found.cost_nano, found.steps[0].model) == (13, "gpt-3")


def test_what_a_step_waits_for_is_shown() -> None:
    waiting = StepState(path="a", status="waiting_for_model", waiting_for="gpt-4: cooling")
    assert come(a=waiting).steps[0].waiting_for == "gpt-4: cooling"
