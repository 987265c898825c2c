"""A workstream as a value: one run of a recipe, its inputs and what came of it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from chittycan.workstreams.life import StreamStatus
from chittycan.workstreams.recipe import Recipe
from chittycan.workstreams.rows import encoded


class Standing(Struct, frozen=True, kw_only=True):
    """What holds for a workstream besides its recipe. Money is nano-dollars, times are Unix seconds.

    `kept_nano` is what steps cost whose rows were taken away because they are tried again. `resumes` counts how often
    that happened; since the last time, `since`, its deadline runs. `events`: those that came before anyone waited
    for them, by name, oldest first.
    """

    private: bool = False
    region: str | None = None
    kept_nano: int = 0
    resumes: int = 0
    since: float | None = None
    events: dict[str, list[Any]] = {}


class Workstream(Struct, frozen=True, kw_only=True):
    """Times are Unix seconds, money is nano-dollars. `session` names the document that its steps share."""

    id: str
    name: str
    recipe: Recipe
    inputs: dict[str, Any]
    status: StreamStatus = "running"
    session: str | None = None
    key_id: str | None = None  # the virtual key that began it; None is the owner
    options: Standing = field(default_factory=Standing)
    priority: int = 0
    webhook: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    error: str | None = None
    spent_nano: int = 0
    forked_from: str | None = None
    schedule: str | None = None
    created: float = 0.0
    updated: float = 0.0
    ended: float | None = None


_JSON = ("inputs", "options", "webhook", "outputs")


def to_stream_row(stream: Workstream) -> dict[str, Any]:
    values = msgspec.structs.asdict(stream)
    packed = {name: None if values[name] is None else encoded(values[name]) for name in _JSON}
    return {**values, **packed, "recipe": encoded(stream.recipe)}


def from_stream_row(row: Mapping[str, Any]) -> Workstream:
    parsed = {name: None if row[name] is None else msgspec.json.decode(row[name]) for name in _JSON}
    parsed["options"] = msgspec.json.decode(row["options"], type=Standing)
    return Workstream(**{**row, **parsed, "recipe": msgspec.json.decode(row["recipe"], type=Recipe)})
