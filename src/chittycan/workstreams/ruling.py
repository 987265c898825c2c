"""Pure: what the owner's rules say of a task, put into it when it is submitted.

Whoever wires the parts hands in a `Ruling`: facts in, what is to be done out (`routing.rules`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from chittycan.workstreams.task import Task

Ruling = Callable[[Mapping[str, Any]], Mapping[str, Any]]

LEVELS = {"low": -10, "normal": 0, "high": 10, "critical": 50}  # as priorities of tasks


def facts_of(task: Task, given: Mapping[str, str]) -> dict[str, Any]:
    """What rules can ask of a task; `given` came along with it (repo, branch, event, author…)."""
    level = next((name for name in ("critical", "high", "normal") if task.priority >= LEVELS[name]), "low")
    return {
        **given, "source": "task", "kind": task.kind, "model": task.model, "session": task.session, "key": task.key_id,
        "region": task.options.get("region"), "private": bool(task.options.get("private")), "priority": level,
    }  # fmt: skip


def ruled(task: Task, given: Mapping[str, str], ruling: Ruling) -> Task:
    """The task as the rules want it: its priority where none was given, its model where that was left open, private."""
    said = ruling(facts_of(task, given))
    if "priority" in said and task.priority == 0:
        task = replace(task, priority=LEVELS[said["priority"]])
    if "model" in said and task.model in (None, "auto"):
        task = replace(task, model=said["model"])
    if said.get("private"):
        task = replace(task, options={**task.options, "private": True})
    return task


def no_rules(_facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}
