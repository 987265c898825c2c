"""How a scripted upstream speaks: one module per wire format, all with the same names.

Written apart from `chittycan.dialects` on purpose: a mistake there must not be mirrored here.

`read(path, body, serial)` what the request says · `unary(reply, ask)` the JSON answer · `stream(reply, ask)`
the events · `error(fault, key)` status and JSON of an error · `error_events(fault, ask)` the error inside a
stream.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from chittycan.testing.faults import Fault
from chittycan.testing.scenarios import Ask, Reply, Scenario

Json = dict[str, Any]


class Event(NamedTuple):
    """One SSE event; `data` is sent as JSON unless it is text already."""

    name: str
    data: Json | str


@dataclass
class Script:
    """A stream: `opening` is metadata, each item of `content` one token, `closing` the finish and usage,
    `end` the marker that nothing follows."""

    opening: list[Event] = field(default_factory=list)
    content: list[list[Event]] = field(default_factory=list)
    closing: list[Event] = field(default_factory=list)
    end: list[Event] = field(default_factory=list)


class Voice(Protocol):
    def read(self, path: str, body: Json, serial: int) -> Ask: ...

    def unary(self, reply: Reply, ask: Ask) -> Json: ...

    def stream(self, reply: Reply, ask: Ask, scenario: Scenario) -> Script: ...

    def error(self, fault: Fault, key: str) -> tuple[int, Json]: ...

    def error_events(self, fault: Fault, ask: Ask) -> list[Event]: ...


def plain(content: object) -> str:
    """The text of a message's content: a string, or the texts of its parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Iterable):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return ""
