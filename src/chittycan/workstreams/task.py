"""A task, and what a try at it can come to: the one signature that everything that does work satisfies.

A performer takes a `Task` and gives back an outcome. It knows nothing of queues: the runner records the outcome
and goes on from there. What it raises as a ChittyError is a failure.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from msgspec import Struct, field

from chittycan.errors import ChittyError
from chittycan.workstreams.life import Status

Type = Literal["task", "ensemble", "agent", "approval", "wait", "call", "send", "response", "deliver", "mail"]


PRIVATE = "private"  # the model that means private ones only, and the label of what they alone may see


class Task(Struct, frozen=True, kw_only=True):
    """One piece of work. Times are Unix seconds, money is nano-dollars; a name that is None was not given.

    `spec` is what is to be done, by `type`: for `task`, `ensemble`, `agent`, `approval`, `wait`, `call` and `send`
    the fields of the recipe's struct of that name (`recipe`, `start.Start`), for `response` the client's own
    body, for `deliver` an event and where it goes. `options`: private, region, models, max_cost_nano, recall,
    record, as in `gateway.call.Options`.
    """

    id: str
    type: str = "task"
    status: Status = "queued"
    title: str | None = None
    workstream: str | None = None  # whose step it is
    path: str | None = None
    kind: str | None = None  # kind of task: chooses the assignment
    model: str | None = None
    session: str | None = None
    key_id: str | None = None  # the virtual key that submitted it; None is the owner
    priority: int = 0  # higher goes first
    spec: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    at: float | None = None  # not before
    deadline: float | None = None
    budget_nano: int | None = None
    retries: int = 0  # further tries after a failure
    failures: int = 0
    store: str | None = None  # key of the session's document that gets the result
    webhook: dict[str, Any] | None = None
    run: int = 1  # the run that may act now; those before it are void
    tries: int = 0  # how often it was begun: `attempts` where people see it
    worker: str | None = None
    waiting_for: str | None = None
    chain: str | None = None
    since: float = 0.0
    due: float | None = None  # when its next run begins, where that is later
    question: dict[str, Any] | None = None
    answer: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    served_by: str | None = None
    cost_nano: int | None = None
    created: float = 0.0
    updated: float = 0.0
    started: float | None = None
    ended: float | None = None
    deaths: int = 0  # workers that ended while they were at it

    @property
    def private(self) -> bool:
        """Whether what it is about, or what came of it, is private."""
        return bool(self.options.get("private")) or PRIVATE in (self.model, (self.result or {}).get("label"))

    @property
    def region(self) -> str | None:
        """Where alone it may be worked on."""
        region = self.options.get("region")
        return region if isinstance(region, str) else None


def run_name(task_id: str, run: int) -> str:
    """What the engine calls this run of the task."""
    return f"{task_id}.{run}"


class Done(Struct, frozen=True, kw_only=True):
    """It is done. `result` is JSON; `model` is who served, `cost_nano` what this try cost (None: nobody knows)."""

    result: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    cost_nano: int | None = None


class WaitForModel(Struct, frozen=True, kw_only=True):
    """None of `models` can serve now. `until` is when it may be worth another look (a Retry-After), if known.

    By `latest` it is performed again, whether or not a model is there.
    """

    models: tuple[str, ...]
    reason: str  # in words: "openai and anthropic are unreachable"
    until: float | None = None
    latest: float | None = None
    cost_nano: int | None = None


class Later(Struct, frozen=True, kw_only=True):
    """Again at `until`; None: when an answer comes (an event, a webhook). `cost_nano`: what this try cost."""

    reason: str
    until: float | None = None
    cost_nano: int | None = None


class Ask(Struct, frozen=True, kw_only=True):
    """A person must decide. After `until` it is performed again, answered or not.

    The task's `answer` is then the one to this question; those to questions before it are gone.
    """

    question: dict[str, Any]
    until: float | None = None
    reason: str = "a person's decision"


class Failed(Struct, frozen=True, kw_only=True):
    """It went wrong. `again`: the same may go well another time, so `retries` apply."""

    error: ChittyError
    again: bool = True
    cost_nano: int | None = None


Outcome = Done | WaitForModel | Later | Ask | Failed
Performer = Callable[[Task], Awaitable[Outcome]]
Performers = Mapping[str, Performer]
