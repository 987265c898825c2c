"""Pure: what the owner's rules say of a task, put into it when it is submitted.

Whoever wires the parts hands in a `Ruling`: facts in, what is to be done out (`routing.rules`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from chittycan.errors import region_conflict
from chittycan.workstreams.batch import Batch
from chittycan.workstreams.task import Task
from chittycan.workstreams.workstream import Workstream


class Said(Protocol):
    """What follows from the rules: verb → value, and the rule of each."""

    values: dict[str, Any]
    why: dict[str, str]


Ruling = Callable[[Mapping[str, Any]], Said]

LEVELS = {"low": -10, "normal": 0, "high": 10, "critical": 50}  # as priorities of tasks


def facts_of(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """What rules can ask of a task; `given` came along with it (repo, branch, event, author…)."""
    level = next((name for name in ("critical", "high", "normal") if task.priority >= LEVELS[name]), "low")
    return {
        **given, "source": "task", "kind": task.kind, "model": task.model, "session": task.session, "key": task.key_id,
        "region": task.options.get("region"), "private": bool(task.options.get("private")), "priority": level,
    }  # fmt: skip


def ruled(task: Task, given: Mapping[str, str], ruling: Ruling) -> Task:
    """The task as the rules want it: priority and model where they were left open, private, its region and labels.

    Raises Forbidden where it asks for another region than the one that a rule binds it to.
    """
    said = ruling(facts_of(task, given))
    values = said.values
    if "priority" in values and task.priority == 0:
        task = replace(task, priority=LEVELS[values["priority"]])
    if "model" in values and task.model in (None, "auto"):
        task = replace(task, model=values["model"])
    if "agent" in values and task.kind is None:
        task = replace(task, kind=values["agent"])
    more = {"private": True} if values.get("private") else {}
    more |= {"labels": values["label"]} if "label" in values else {}
    return replace(task, options={**task.options, **more, **_region(task.region, said)})


def ruled_stream(stream: Workstream, ruling: Ruling) -> Workstream:
    """The same for a workstream, of which rules can ask what its inputs say (repo, branch, event, author…)."""
    given = {name: each for name, each in stream.inputs.items() if isinstance(each, str) or _are_texts(each)}
    asked = Task(
        id="", session=stream.session, key_id=stream.key_id, priority=stream.priority, kind=stream.name,
        options={"private": stream.options.private, "region": stream.options.region},
    )  # fmt: skip
    said = ruling(facts_of(asked, given))
    if "priority" in said.values and stream.priority == 0:
        stream = replace(stream, priority=LEVELS[said.values["priority"]])
    private = stream.options.private or bool(said.values.get("private"))
    region = _region(stream.options.region, said).get("region", stream.options.region)
    return replace(stream, options=replace(stream.options, private=private, region=region))


def ruled_batch(batch: Batch, ruling: Ruling) -> Batch:
    """The batch as rules over calls want all of its lines: private, and in its region.

    Of a line's own model and size nothing is known yet. Raises Forbidden as `ruled` does.
    """
    options = batch.detail.options
    said = ruling({
        "source": "request", "kind": options.get("kind"), "session": options.get("session"), "key": batch.key_id,
        "region": batch.region, "private": bool(options.get("private")),
    })  # fmt: skip
    more = {"private": True} if said.values.get("private") else {}
    return replace(batch, detail=replace(batch.detail, options={**options, **more, **_region(batch.region, said)}))


def _region(asked: str | None, said: Said) -> dict[str, str]:
    bound = said.values.get("region")
    if bound is None:
        return {}
    if asked not in (None, bound):
        raise region_conflict(said.why["region"], bound, str(asked))
    return {"region": bound}


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def no_rules(_facts: Mapping[str, Any]) -> Said:
    return _Nothing()


class _Nothing(Struct):
    values: dict[str, Any] = {}
    why: dict[str, str] = {}
