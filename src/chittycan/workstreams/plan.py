"""Pure: from a recipe and what its steps have come to, what is to be started, cancelled, or ended now.

The same states give the same plan, whoever asks and however often; so a plan may be made anew after any
crash, and carried out twice without harm (each start has its own path).
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from chittycan.workstreams import start, values
from chittycan.workstreams.durations import seconds
from chittycan.workstreams.expressions import NOTHING, ExpressionError, Lenient, kind
from chittycan.workstreams.recipe import ASKS_MODELS, LEAVES, OF_ALL, RESULTS, ForEach, Recipe, Step, every_step
from chittycan.workstreams.start import Start

__all__ = ["TERMINAL", "Finished", "Plan", "Start", "StepState", "plan"]

_ITEM = re.compile(r"\[\d+\]\.")
MOST_ITEMS = 1000  # of one for_each: each advance looks at all of them

TERMINAL = frozenset({"done", "failed", "cancelled"})


class StepState(Struct, frozen=True, kw_only=True):
    """What one task row of the workstream has come to. Times are Unix seconds, cost is nano-dollars.

    `path` is its step's id, with the item of each loop around it: `review`, `each[3].review`. `result` has
    what the step's kind gives (see `recipe`), such as `text`, `json`, `model`.
    """

    path: str
    status: str
    result: Mapping[str, Any] = {}
    error: str | None = None
    cost_nano: int | None = None
    model: str | None = None
    waiting_for: str | None = None
    started_at: float | None = None
    ended_at: float | None = None


class Finished(Struct, frozen=True, kw_only=True):
    """The end of the workstream; every row is terminal by then. `reason` names the step that failed."""

    status: Literal["done", "failed"]
    outputs: dict[str, Any] = {}
    reason: str | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """What to do now. Nothing at all: wait for what runs. `cancel` names rows that are not terminal yet."""

    start: list[Start] = []
    finish: Finished | None = None
    cancel: list[str] = []


def plan(
    recipe: Recipe,
    inputs: Mapping[str, Any],
    context: Mapping[str, Any],
    states: Mapping[str, StepState],
    *,
    spent_nano: int,
    now: float,
    started_at: float,
) -> Plan:
    """What is to be done now. `inputs` are bound (`inputs.bind`), `context` is the session's document, {} without.

    Never raises for a recipe that `validate` found right: what goes wrong with a value fails its step.
    """
    walk = _Walk(recipe, inputs, context, states, now)
    found = walk.sequence(recipe.steps, "", walk.scope)
    limit = None if recipe.deadline is None else started_at + seconds(recipe.deadline)
    left = None if recipe.budget_usd is None else round(recipe.budget_usd * 1e9) - spent_nano
    rows = {path: state.status for path, state in states.items() if state.status not in TERMINAL}
    if found.open and limit is not None and now >= limit:
        late = Finished(status="failed", reason=f"the deadline of {recipe.deadline} has passed")
        return _ended(late, rows, list(rows))
    if left is not None and left <= 0 and any(each.type in ASKS_MODELS for each in found.start):
        spent = Finished(status="failed", reason=f"the budget of ${recipe.budget_usd:g} is spent")
        return _ended(spent, rows, [path for path, status in rows.items() if status != "running"])
    if found.open:
        return Plan(start=[start.bounded(each, limit, left) for each in found.start], cancel=walk.cancel)
    return _ended(_result(recipe, walk.scope, found), rows, list(rows))


def _ended(finished: Finished, rows: Mapping[str, str], cancel: list[str]) -> Plan:
    """Nothing more is started; it is the end as soon as no row is open any more."""
    return Plan(cancel=cancel) if rows else Plan(finish=finished)


def _result(recipe: Recipe, scope: Mapping[str, Any], found: "_Found") -> Finished:
    if found.error is not None:
        return Finished(status="failed", reason=found.error)
    try:
        return Finished(status="done", outputs=values.render(recipe.outputs, scope))
    except ExpressionError as error:
        return Finished(status="failed", reason=f"outputs: {error}")


class _Found(Struct, kw_only=True):
    """What a step, or several, have come to. Open while anything is to be started or runs; else done, or failed.

    `cancelled`: the error is no more than that somebody cancelled it.
    """

    start: list[Start] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    error: str | None = None
    cancelled: bool = False

    @property
    def open(self) -> bool:
        return bool(self.start or self.running)


class _Walk:
    """One look at all steps, in their order."""

    def __init__(
        self,
        recipe: Recipe,
        inputs: Mapping[str, Any],
        context: Mapping[str, Any],
        states: Mapping[str, StepState],
        now: float,
    ) -> None:
        self._states, self._now = states, now
        self._begun = {path[: found.end()] for path in states for found in _ITEM.finditer(path)}
        self.cancel: list[str] = []
        # What has not run is nothing, so that a name that `validate` let through is never unknown.
        self.scope: dict[str, Any] = {step.id: NOTHING for step in every_step(recipe.steps)}
        self.scope |= {"inputs": inputs, "context": Lenient(context)}

    def sequence(self, steps: list[Step], at: str, scope: dict[str, Any]) -> _Found:
        """`at` goes before the ids of the steps: "", or "each[3]." for those of an item."""
        for step in steps:
            found = self._step(step, at, scope)
            if found.open or found.error is not None:
                return found
        return _Found()

    def _step(self, step: Step, at: str, scope: dict[str, Any]) -> _Found:
        """What `step` has come to; once it is over, its value is in `scope`."""
        value: dict[str, Any] = dict.fromkeys((*OF_ALL, *RESULTS[step.kind]))
        try:
            found = self._leaf(step, at, scope, value) if step.kind in LEAVES else self._block(step, at, scope, value)
        except ExpressionError as error:
            found = _Found(error=f"{at}{step.id}: {error}")
        if found.open:
            return found
        value["status"], value["error"] = "done" if found.error is None else "failed", found.error
        scope[step.id] = value
        if found.error is not None and step.on_failure == "continue":
            return _Found()
        return found

    def _leaf(self, step: Step, at: str, scope: dict[str, Any], value: dict[str, Any]) -> _Found:
        path = at + step.id
        state = self._states.get(path)
        if state is None:
            return _Found(start=[start.made(step, path, scope, self._now)])
        if state.status not in TERMINAL:
            return _Found(running=[path])
        value |= {"model": state.model, "cost_usd": None if state.cost_nano is None else state.cost_nano / 1e9}
        value |= state.result
        return _Found(error=_failure(step, state), cancelled=state.status == "cancelled")

    def _block(self, step: Step, at: str, scope: dict[str, Any], value: dict[str, Any]) -> _Found:
        if step.steps is not None:
            return self.sequence(step.steps, at, scope)
        if step.parallel is not None:
            return self._together([self._step(each, at, scope) for each in step.parallel], step)
        if step.for_each is not None:
            return self._each(step, step.for_each, at, scope, value)
        assert step.when is not None
        holds = values.condition(step.when.if_, scope)
        value["chosen"] = "then" if holds else "else"
        return self.sequence(step.when.then if holds else step.when.else_, at, scope)

    def _each(self, step: Step, loop: ForEach, at: str, scope: dict[str, Any], value: dict[str, Any]) -> _Found:
        items = values.render(loop.in_, scope)
        if not isinstance(items, list | tuple):
            raise ExpressionError(f"in: a list is needed, this is {kind(items)}")
        if len(items) > MOST_ITEMS:
            raise ExpressionError(f"in: {len(items)} items; at most {MOST_ITEMS} go into one for_each")
        scopes = [{**scope, loop.as_: item} for item in items]
        paths = [f"{at}{step.id}[{index}]." for index in range(len(items))]
        begun = {
            path: self.sequence(loop.steps, path, inner)
            for path, inner in zip(paths, scopes, strict=True)
            if path in self._begun
        }
        room = loop.max_parallel - sum(bool(each.running) for each in begun.values())
        found: list[_Found] = []
        results: list[Any] = []
        for path, inner in zip(paths, scopes, strict=True):
            if path not in begun and room <= 0:
                continue
            each = begun[path] if path in begun else self.sequence(loop.steps, path, inner)
            if not each.open:
                each = _collect(loop, inner, each, results)
            elif not each.running:
                room -= 1
                if room < 0:
                    continue  # its next step waits until another item is over
            found.append(each)
        value |= {"results": results, "failed": sum(each.error is not None for each in found)}
        return self._together(found, step)

    def _together(self, found: list[_Found], step: Step) -> _Found:
        """All of a block at once. Where the block must not fail, the failure of one ends the others."""
        running = [path for each in found for path in each.running]
        failed = sorted((each for each in found if each.error is not None), key=lambda each: each.cancelled)
        if failed and step.on_failure == "fail":
            self.cancel += running
            return replace(failed[0], running=running)
        first = failed[0] if failed else _Found()
        begin = [each for one in found for each in one.start]
        return _Found(start=begin, running=running, error=first.error, cancelled=first.cancelled)


def _failure(step: Step, state: StepState) -> str | None:
    """Why a terminal row counts as failed. A rejection is a failure, though its row is done."""
    if state.status == "cancelled":
        return f"{state.path}: was cancelled"
    if state.status == "failed":
        return f"{state.path}: {state.error or 'failed'}"
    if step.approval is None or state.result.get("decision") == "approved":
        return None
    by, comment = state.result.get("by"), state.result.get("comment")
    return f"{state.path}: rejected" + (f" by {by}" if by else "") + (f": {comment}" if comment else "")


def _collect(loop: ForEach, scope: Mapping[str, Any], found: _Found, results: list[Any]) -> _Found:
    """Adds the result of a finished item."""
    try:
        if found.error is None:
            made = scope[loop.steps[-1].id] if loop.collect is None else values.render(loop.collect, scope)
            results.append(None if made is NOTHING else made)
            return found
    except ExpressionError as error:
        found = _Found(error=f"collect: {error}")
    results.append({"error": found.error})
    return found
