"""Wire formats. Each package in this one is a dialect, with the same files and the names of `Dialect` or a half of it.

Pure: bytes and dicts in, `chittycan.chat` out, and back. No I/O, no clock, no configuration.
A request that a dialect cannot express raises `errors.InvalidRequest` naming the field.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Protocol

from chittycan.chat import ChatEvent, ChatRequest, ChatResponse, Failed, Json, Tool, Usage
from chittycan.errors import ChittyError


class StreamParser(Protocol):
    """Turns one upstream stream into neutral events. One instance per attempt."""

    def feed(self, event: str, data: str) -> list[ChatEvent]:
        """One SSE event: its type ("" when unnamed) and its data. Never raises: what cannot be read is `Malformed`."""
        ...

    def plain(self, block: bytes) -> str | None:
        """The text of a block of whole events that are nothing but text of the first choice; it counts as fed.

        None for any other block, which must then be fed event by event.
        """
        ...


class StreamBuilder(Protocol):
    """Writes one stream for a client, from the events of one or more attempts. One instance per answer.

    Repeated `Started` events (a second attempt) are ignored after the first.
    """

    def build(self, event: ChatEvent) -> bytes:
        """The bytes to send for this event; may be empty."""
        ...

    def end(self) -> bytes:
        """The closing bytes after a `Finished`: usage where asked for, and the end marker."""
        ...

    def fail(self, error: ChittyError) -> bytes:
        """The in-band error that ends a broken stream: no end marker, no finish reason."""
        ...


class ClientDialect(Protocol):
    """What a module offers whose dialect our clients speak (the module itself is the implementation)."""

    name: str

    def parse_request(self, body: Json) -> ChatRequest: ...

    def build_response(self, response: ChatResponse, request: ChatRequest | None = None) -> Json:
        """`request`: the client's own, which some dialects repeat in their answer."""
        ...

    def stream_builder(
        self, request_id: str, model: str, created: int, include_usage: bool, request: ChatRequest | None = None
    ) -> StreamBuilder: ...

    def build_error(self, error: ChittyError, status: int) -> Json: ...


class ProviderDialect(Protocol):
    """What a module offers whose dialect providers speak."""

    name: str

    def build_request(self, chat: ChatRequest) -> Json: ...

    def parse_response(self, body: Json) -> ChatResponse: ...

    def stream_parser(self) -> StreamParser: ...

    def parse_error(self, status: int, body: bytes) -> Failed:
        """What an upstream's error answer says, whatever its shape (HTML, empty, JSON); never raises."""
        ...

    def path(self, upstream_model: str, stream: bool) -> str:
        """Where the call is posted, below the provider's endpoint."""
        ...

    def auth_headers(self, secret: str) -> Mapping[str, str]:
        """Names in lower case."""
        ...

    def wire_names(self, tools: Iterable[Tool]) -> dict[str, str]:
        """The stand-ins that `build_request` wrote for tool names, each with the client's own name."""
        ...


class Dialect(ClientDialect, ProviderDialect, Protocol):
    """A dialect on both sides: its bodies may pass from client to provider and back as they are."""

    def quick_usage(self, body: bytes) -> Usage | None:
        """The usage of a plainly good answer that is passed on as it is; None where only `parse_response` can tell."""
        ...


MODULES = {
    "openai": "openai_chat",
    "openai_completions": "openai_completions",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic_messages",
    "gemini": "gemini",
}


@cache
def load(name: str) -> Any:
    """The dialect module called `name` in `MODULES`, imported on first use."""
    import importlib

    return importlib.import_module(f"chittycan.dialects.{MODULES[name]}")
