"""A workstream as a value: one run of a recipe, its inputs and what came of it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from chittycan.workstreams.life import StreamStatus
from chittycan.workstreams.recipe import Recipe
from chittycan.workstreams.rows import encoded
from chittycan.workstreams.task import Task


class Workstream(Struct, frozen=True, kw_only=True):
    """Times are Unix seconds, money is nano-dollars. `options`: private, region; they hold for every step.

    `kept_nano` is what the steps cost that a fork took over; it is within the budget but in no row of its own.
    """

    id: str
    name: str
    recipe: Recipe
    inputs: dict[str, Any]
    status: StreamStatus = "running"
    session: str | None = None
    key_id: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
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

    @property
    def kept_nano(self) -> int:
        return int(self.options.get("kept_nano", 0))


_JSON = ("inputs", "options", "webhook", "outputs")


def to_stream_row(stream: Workstream) -> dict[str, Any]:
    values = msgspec.structs.asdict(stream)
    packed = {name: None if values[name] is None else encoded(values[name]) for name in _JSON}
    return {**values, **packed, "recipe": encoded(stream.recipe)}


def from_stream_row(row: Mapping[str, Any]) -> Workstream:
    parsed = {name: None if row[name] is None else msgspec.json.decode(row[name]) for name in _JSON}
    return Workstream(**{**row, **parsed, "recipe": msgspec.json.decode(row["recipe"], type=Recipe)})


def stream_delivery(stream: Workstream, status: str, now: float) -> Task:
    """The task that tells the webhook of `stream` how it ended."""
    what = {"type": f"workstream.{'completed' if status == 'done' else status}", "workstream": stream.id}
    return Task(
        id=f"{stream.id}.webhook", type="deliver", title=f"tell of {stream.id}",
        spec={"to": stream.webhook, "event": what}, key_id=stream.key_id, created=now, updated=now, since=now,
    )  # fmt: skip
