"""Tasks as rows and back: JSON columns, and what the plan of a workstream sees of them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chittycan.errors import ChittyError
from chittycan.workstreams.plan import StepState
from chittycan.workstreams.task import Task

JSON_COLUMNS = ("spec", "options", "webhook", "question", "answer", "result", "error")
NUL = "\x00"  # no text of Postgres holds one


def to_row(task: Task) -> dict[str, Any]:
    return packed(msgspec.structs.asdict(task))


def packed(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` of some columns as they are stored."""
    return {
        name: None if value is None else encoded(value) if name in JSON_COLUMNS else storable(value)
        for name, value in values.items()
    }


def storable(value: Any) -> Any:
    """A value of a plain column. Providers' errors and people's words may hold what no text may."""
    return value.replace(NUL, "") if isinstance(value, str) else value


def encoded(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def from_row(row: Mapping[str, Any]) -> Task:
    values = {
        name: msgspec.json.decode(value) if value is not None and name in JSON_COLUMNS else value
        for name, value in row.items()
    }
    return Task(**values)


def step_state(task: Task) -> StepState:
    return StepState(
        path=task.path or task.id,
        status=task.status,
        result=task.result or {},
        error=None if task.error is None else task.error.get("message"),
        cost_nano=task.cost_nano,
        model=task.served_by,
        waiting_for=task.waiting_for,
        started_at=task.started,
        ended_at=task.ended,
    )


def described(error: ChittyError) -> dict[str, Any]:
    """An error as a task keeps it: `code`, `message`, and `fix` where there is one."""
    said = {"code": error.code, "message": error.message}
    return {**said, "fix": error.fix} if error.fix else said
