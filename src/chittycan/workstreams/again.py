"""Workstreams that go on after their end, or begin anew from one of their steps. Inside a transaction."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.errors import InvalidRequest
from chittycan.store import tasks as task_rows
from chittycan.store import workstreams as rows
from chittycan.workstreams.fork import fork_states
from chittycan.workstreams.life import stream_before
from chittycan.workstreams.plan import StepState, plan
from chittycan.workstreams.recipe import Recipe, every_step
from chittycan.workstreams.rows import encoded, from_row, step_state, to_row
from chittycan.workstreams.task import Task
from chittycan.workstreams.workstream import Workstream, from_stream_row, to_stream_row


def resume(connection: Connection, stream: Workstream, now: float, budget_usd: float | None = None) -> None:
    """Lets a paused workstream go on; of one that failed or was cancelled, what failed is tried again.

    `budget_usd`: what all of it may cost from now on, all that was spent included. The caller advances.
    """
    if stream.status not in stream_before("running"):
        fix = "To do a part of it again: can workstreams fork."
        raise InvalidRequest(f"{stream.id} is {stream.status}", param="workstream", fix=fix)
    recipe = stream.recipe if budget_usd is None else replace(stream.recipe, budget_usd=budget_usd)
    values: dict[str, Any] = {"status": "running", "updated": now, "recipe": encoded(recipe)}
    if stream.status != "paused":
        tasks = [from_row(each) for each in task_rows.of_workstream(connection, stream.id)]
        again = [each for each in tasks if _again(recipe, each)]
        kept = stream.options.kept_nano + sum(each.cost_nano or 0 for each in again)
        options = replace(
            stream.options, kept_nano=kept, resumes=stream.options.resumes + 1, since=now,
            events=_unheard(stream, again),
        )  # fmt: skip
        task_rows.remove(connection, [each.id for each in again])
        values |= {"options": encoded(options), "error": None, "outputs": None, "ended": None}
    rows.move(connection, stream.id, (stream.status,), values)


def _unheard(stream: Workstream, again: list[Task]) -> dict[str, list[Any]]:
    """The events that are kept, with those that steps were told of which were cancelled before they could hear."""
    events = dict(stream.options.events)
    for each in again:
        if each.type == "wait" and each.answer is not None and (name := each.spec.get("event")):
            events[name] = [each.answer.get("json"), *events.get(name, [])]
    return events


def fork(connection: Connection, stream: Workstream, new: Workstream, from_step: str) -> None:
    """Adds `new`, which keeps what `stream` has done up to `from_step`. The caller advances. Raises NotFound."""
    tasks = {each.path or each.id: each for each in map(from_row, task_rows.of_workstream(connection, stream.id))}
    states = {path: step_state(each) for path, each in tasks.items()}
    kept = fork_states(stream.recipe, states, from_step)
    over = {path: state for path, state in kept.items() if state.status in ("done", "failed")}
    if _fails(new, over):  # what failed beside the step is tried again too
        over = {path: state for path, state in over.items() if not _again(stream.recipe, tasks[path])}
    rows.add(connection, to_stream_row(new))
    for path in over:
        task_rows.add(connection, to_row(_copy(tasks[path], new)))


def _again(recipe: Recipe, task: Task) -> bool:
    """Whether the row stands for nothing that was done: cancelled, or failed (rejected) where that ended all."""
    if task.status == "cancelled":
        return True
    rejected = task.status == "done" and task.type == "approval" and (task.result or {}).get("decision") != "approved"
    return (task.status == "failed" or rejected) and not _tolerated(recipe, task.path or "")


def _tolerated(recipe: Recipe, path: str) -> bool:
    """Whether the step, or a block around it, lets the rest go on after its failure."""
    name = path.rpartition(".")[2]
    return any(
        step.on_failure == "continue"
        for step in every_step(recipe.steps)
        if step.id == name or any(each.id == name for block in step.blocks for each in every_step(block))
    )


def _fails(new: Workstream, states: Mapping[str, StepState]) -> bool:
    step = plan(new.recipe, new.inputs, {}, states, spent_nano=0, now=new.created, started_at=new.created)
    return step.finish is not None and step.finish.status == "failed"


def _copy(task: Task, new: Workstream) -> Task:
    where = {"id": f"{new.id}.{task.path}", "workstream": new.id, "session": new.session, "key_id": new.key_id}
    return replace(task, **where, tries=0)  # it was not begun here


def locked(connection: Connection, workstream: str) -> Workstream | None:
    """The workstream, which nobody else can change before the transaction ends."""
    row = rows.lock(connection, workstream)
    return None if row is None else from_stream_row(row)
