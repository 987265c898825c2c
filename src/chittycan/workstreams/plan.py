"""Pure: from a recipe and what its steps have come to, what is to be started, cancelled, or ended now.

The same states give the same plan, whoever asks and however often; so a plan may be made anew after any
crash, and carried out twice without harm (each start has its own path).
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from chittycan.workstreams.recipe import Recipe

Status = Literal[
    "queued", "waiting_for_model", "running", "waiting_for_approval", "waiting", "done", "failed", "cancelled"
]
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


class Start(Struct, frozen=True, kw_only=True):
    """A task row to be inserted and enqueued. `type` is one of `recipe.LEAVES`.

    `spec` is the step's work by the names of the recipe, with every `${…}` filled in. `model` is the model or
    virtual model, None where `kind` (the assignment) or the performer decides. `deadline` is Unix seconds.
    """

    path: str
    type: str
    spec: dict[str, Any]
    model: str | None = None
    kind: str | None = None
    deadline: float | None = None
    budget_nano: int | None = None
    retries: int = 0
    store: str | None = None
    title: str | None = None


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
    raise NotImplementedError
