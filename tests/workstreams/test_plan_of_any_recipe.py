"""Any recipe, with its steps ending in any order and way: it ends, each step starts once and never too early."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from chittycan.workstreams.fork import fork_states
from chittycan.workstreams.plan import TERMINAL, Plan, StepState, plan
from chittycan.workstreams.progress import progress
from chittycan.workstreams.recipe import LEAVES, Recipe, Step, every_step
from chittycan.workstreams.validate import validate
from chittycan.workstreams.values import expressions

Draw = Callable[[st.SearchStrategy[Any]], Any]
INPUTS = {"xs": ["p", "q", "r"]}
ITEM = re.compile(r"(\w+)\[(\d+)\]")
WAYS = ("done", "done", "done", "done", "failed", "cancelled")


class _Writer:
    """Draws a recipe that `validate` finds right."""

    def __init__(self, draw: Draw) -> None:
        self._draw, self._count = draw, 0

    def recipe(self) -> dict[str, Any]:
        return {"name": "any", "inputs": {"xs": {"type": "list"}}, "steps": self._steps([], 3)}

    def _steps(self, known: list[str], depth: int) -> list[dict[str, Any]]:
        made, known = [], list(known)
        for _ in range(self._draw(st.integers(1, 3))):
            step, names = self._step(known, depth)
            made.append(step)
            known += names
        return made

    def _step(self, known: list[str], depth: int) -> tuple[dict[str, Any], list[str]]:
        self._count += 1
        name = f"s{self._count}"
        step: dict[str, Any] = {"id": name}
        if self._draw(st.booleans()):
            step["on_failure"] = "continue"
        kind = self._draw(st.sampled_from(["task", "task", "approval", "steps", "parallel", "for_each", "when"]))
        names = [name]
        if depth == 0 or kind in ("task", "approval"):
            said = " ".join(f"${{{each}.status}}" for each in self._some(known))
            step |= {"approval": {"title": said}} if kind == "approval" else {"task": {"prompt": said}}
        elif kind == "steps":
            step["steps"] = self._steps(known, depth - 1)
        elif kind == "parallel":
            step["parallel"] = [self._step(known, depth - 1)[0] for _ in range(self._draw(st.integers(1, 3)))]
        elif kind == "for_each":
            items = self._draw(st.sampled_from(["${inputs.xs}", ["x"], []]))
            inside = {"in": items, "as": f"i{self._count}", "max_parallel": self._draw(st.integers(1, 3))}
            step["for_each"] = {**inside, "steps": self._steps(known, depth - 1)}
        else:
            about = self._some(known)
            holds = f'{about[0]}.status == "done"' if about else "1 == 2"
            cases = {"then": self._steps(known, depth - 1), "else": self._steps(known, 0)}
            step["when"] = {"if": holds, **cases}
        if kind in ("steps", "parallel", "when") and depth:
            names += _known_after(step)
        return step, names

    def _some(self, known: list[str]) -> list[str]:
        return self._draw(st.lists(st.sampled_from(known), max_size=2, unique=True)) if known else []


def _known_after(block: dict[str, Any]) -> list[str]:
    """The ids in a block, but for what is in loops."""
    steps = msgspec.convert({"name": "x", "steps": [block]}, Recipe).steps
    hidden = {each.id for step in every_step(steps) if step.for_each for each in every_step(step.for_each.steps)}
    return [step.id for step in every_step(steps) if step.id not in hidden | {block["id"]}]


@st.composite
def recipes(draw: Draw) -> Recipe:
    return msgspec.convert(_Writer(draw).recipe(), Recipe)


class _Run:
    """A workstream whose steps end as `draw` says."""

    def __init__(self, recipe: Recipe, draw: Draw, states: dict[str, StepState] | None = None) -> None:
        self.recipe, self._draw = recipe, draw
        self.states = dict(states or {})
        self.starts: Counter[str] = Counter()
        self._needs = {
            step.id: {name for text in _texts(step) for part in expressions(text) for name, _ in part.references}
            for step in every_step(recipe.steps)
            if step.kind in LEAVES
        }

    def plan(self) -> Plan:
        made = plan(self.recipe, INPUTS, {}, self.states, spent_nano=0, now=1.0, started_at=0.0)
        assert made == plan(self.recipe, INPUTS, {}, self.states, spent_nano=0, now=1.0, started_at=0.0)
        return made

    def go(self) -> Plan:
        """To the end. One open row ends at a time; rows that are to be cancelled may still end in another way."""
        for _ in range(2000):
            made = self.plan()
            if made.finish is not None:
                return made
            for start in made.start:
                self._not_too_early(start.path)
                self.starts[start.path] += 1
                self.states[start.path] = StepState(path=start.path, status="queued")
            self._items_at_once()
            progress(self.recipe, self.states)
            open_ = sorted(path for path, state in self.states.items() if state.status not in TERMINAL)
            assert open_, "nothing runs, nothing is to be started, and it is not the end"
            path = self._draw(st.sampled_from(open_))
            way = (
                "cancelled" if path in made.cancel and self._draw(st.booleans()) else self._draw(st.sampled_from(WAYS))
            )
            decided = {"decision": self._draw(st.sampled_from(["approved", "approved", "rejected"]))}
            self.states[path] = StepState(path=path, status=way, result=decided)
        raise AssertionError("it does not end")

    def _not_too_early(self, path: str) -> None:
        """No row of what the step refers to is open, in its own item of each loop."""
        mine = dict(ITEM.findall(path))
        for need in self._needs[path.rpartition(".")[2]]:
            inside = {each.id for each in every_step([self._step(need)])}
            for other, state in self.states.items():
                same = all(mine.get(loop, index) == index for loop, index in ITEM.findall(other))
                if other.rpartition(".")[2] in inside and same:
                    assert state.status in TERMINAL

    def _step(self, name: str) -> Step:
        return next(step for step in every_step(self.recipe.steps) if step.id == name)

    def _items_at_once(self) -> None:
        for step in every_step(self.recipe.steps):
            if step.for_each is None:
                continue
            running: dict[str, set[str]] = {}
            for path, state in self.states.items():
                if state.status not in TERMINAL and (found := re.match(rf"((?:.*\.)?{step.id})\[(\d+)\]\.", path)):
                    running.setdefault(found[1], set()).add(found[2])
            assert all(len(items) <= step.for_each.max_parallel for items in running.values())


def _texts(step: Any) -> list[str]:
    return [step.task.prompt] if step.task is not None else [step.approval.title]


@given(recipes())
def test_the_recipes_of_these_tests_are_right(recipe: Recipe) -> None:
    assert [each for each in validate(recipe) if each.level == "error"] == []


@settings(max_examples=150)
@given(st.data(), recipes())
def test_any_recipe_ends_and_starts_each_step_once_and_never_too_early(data: st.DataObject, recipe: Recipe) -> None:
    run = _Run(recipe, data.draw)
    made = run.go()
    assert made.finish is not None
    assert all(state.status in TERMINAL for state in run.states.values())
    assert set(run.starts.values()) <= {1}
    assert run.plan() == made


@settings(max_examples=60)
@given(st.data(), recipes())
def test_what_ends_well_has_no_failure_that_counts(data: st.DataObject, recipe: Recipe) -> None:
    run = _Run(recipe, data.draw)
    finish = run.go().finish
    assert finish is not None
    well = all(state.status == "done" and state.result["decision"] == "approved" for state in run.states.values())
    assert finish.status == "done" or not well
    assert (finish.reason is None) is (finish.status == "done")


@settings(max_examples=60)
@given(st.data(), recipes())
def test_a_fork_runs_what_comes_after_again_and_nothing_else(data: st.DataObject, recipe: Recipe) -> None:
    run = _Run(recipe, data.draw)
    run.go()
    begin = data.draw(st.sampled_from([step.id for step in every_step(recipe.steps)]))
    kept = fork_states(recipe, run.states, begin)
    again = _Run(recipe, data.draw, kept)
    again.go()
    assert not set(again.starts) & set(kept)
    assert begin not in {path.rpartition(".")[2] for path in kept}
