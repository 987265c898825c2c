"""The neutral shape of one model call, between every client dialect and every provider dialect.

A dialect parses its own wire form into these and builds its own wire form from them; no dialect knows
another. `extra` keeps the fields that have no neutral meaning; they are sent on only where the provider
speaks the dialect they came from (`ChatRequest.origin`).
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

Json = dict[str, Any]
Role = Literal["system", "user", "assistant", "tool"]  # OpenAI's "developer" is "system"


class Text(Struct, tag="text"):
    text: str
    cache: Json | None = None  # Anthropic `cache_control`, on any part
    extra: Json | None = None  # e.g. annotations, citations


class Image(Struct, tag="image"):
    """An image by `url` or inline as base64 `data` with its `media_type`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    cache: Json | None = None


class File(Struct, tag="file"):
    """A document by `url`, by the provider's `file_id`, or inline: base64 `data`, or plain `text`."""

    name: str | None = None
    media_type: str | None = None
    data: str | None = None
    text: str | None = None
    url: str | None = None
    file_id: str | None = None
    cache: Json | None = None


class Audio(Struct, tag="audio"):
    data: str  # base64
    format: str  # "wav", "mp3", …


class Thinking(Struct, tag="thinking"):
    """A reasoning block. Signed or redacted blocks are only ever replayed to the dialect that `signer` names."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    signer: str | None = None
    extra: Json | None = None


class Refusal(Struct, tag="refusal"):
    text: str


class ToolCall(Struct, tag="tool_call"):
    """`arguments` is JSON text as the model wrote it ("{}" when empty), possibly cut short."""

    id: str
    name: str
    arguments: str = "{}"
    cache: Json | None = None
    extra: Json | None = None  # e.g. Gemini thoughtSignature


class ToolResult(Struct, tag="tool_result"):
    call_id: str
    parts: list["Part"] = field(default_factory=list)
    is_error: bool = False
    cache: Json | None = None


class Opaque(Struct, tag="opaque"):
    """A block that only `dialect` understands (server tools, citations…), kept verbatim."""

    dialect: str
    block: Json


Part = Text | Image | File | Audio | Thinking | Refusal | ToolCall | ToolResult | Opaque


class Message(Struct):
    role: Role
    parts: list[Part]
    name: str | None = None
    extra: Json | None = None


class Tool(Struct):
    """A function the model may call; `raw` holds a tool of another type verbatim, for its own dialect only."""

    name: str
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None
    cache: Json | None = None
    raw: Json | None = None


class ToolChoice(Struct, frozen=True):
    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None


class ResponseFormat(Struct):
    kind: Literal["text", "json", "schema"]
    schema: Json | None = None
    name: str | None = None
    strict: bool | None = None


class Reasoning(Struct):
    """`effort` is OpenAI's scale, `budget` Anthropic's and Gemini's tokens; `off` says no thinking at all."""

    effort: str | None = None
    budget: int | None = None
    off: bool = False
    summary: str | None = None


class ChatRequest(Struct):
    """One call. A trailing assistant message is a prefill. `origin` is the dialect that `extra` belongs to."""

    model: str
    messages: list[Message]
    stream: bool = False
    include_usage: bool = False  # the client asked for usage in the stream
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    n: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    metadata: Json | None = None
    origin: str | None = None
    extra: Json = field(default_factory=dict)


MOST_TOKENS = 10**9  # that one answer can take: more than any window


class Usage(Struct):
    """Tokens of one answer. `input` includes `cached` and both cache writes; `output` includes `reasoning`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0  # written with the 5-minute lifetime
    cache_write_1h: int = 0
    reasoning: int = 0

    @property
    def plain(self) -> bool:
        """Input and output, and no part of them priced in another way."""
        return not (self.cached or self.cache_write or self.cache_write_1h or self.reasoning)

    @property
    def believable(self) -> bool:
        """Whether anybody could mean these numbers; others would give money back, or burst a database's columns."""
        return (
            0 <= self.input <= MOST_TOKENS
            and 0 <= self.output <= MOST_TOKENS
            and 0 <= self.cached <= MOST_TOKENS
            and 0 <= self.cache_write <= MOST_TOKENS
            and 0 <= self.cache_write_1h <= MOST_TOKENS
            and 0 <= self.reasoning <= MOST_TOKENS
        )


# `stop` natural end · `length` token limit · `tool_calls` · `content_filter` refused or filtered ·
# `stop_sequence` (its text in `stop_sequence`) · `pause` the provider wants to be called again.
# Anything else is a provider's own word, passed on as it is: a finish reason is never invented.
STOP_REASONS = ("stop", "length", "tool_calls", "content_filter", "stop_sequence", "pause")


class ChatResponse(Struct):
    id: str
    model: str  # as the provider said it
    parts: list[Part]
    stop_reason: str | None
    usage: Usage | None = None
    stop_sequence: str | None = None
    created: int | None = None  # Unix seconds
    extra: Json | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


# Stream events. `choice` is the index of the alternative where n > 1 (same dialect only).


class Started(Struct, tag="started"):
    """Metadata that precedes content; it does not count as content."""

    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: Usage | None = None


class TextDelta(Struct, tag="text_delta"):
    text: str
    choice: int = 0


class RefusalDelta(Struct, tag="refusal_delta"):
    text: str


class ThinkingDelta(Struct, tag="thinking_delta"):
    text: str


class ThinkingSigned(Struct, tag="thinking_signed"):
    """Closes the running thinking block, or stands alone (signature-only or redacted block)."""

    signature: str | None = None
    redacted: str | None = None
    signer: str | None = None
    extra: Json | None = None


class ToolStarted(Struct, tag="tool_started"):
    """`index` counts the tool calls of the answer from 0, whatever the provider's own numbering."""

    index: int
    id: str
    name: str
    extra: Json | None = None


class ToolDelta(Struct, tag="tool_delta"):
    index: int
    arguments: str


class OpaqueBlock(Struct, tag="opaque_block"):
    dialect: str
    block: Json


class Finished(Struct, tag="finished"):
    reason: str
    stop_sequence: str | None = None
    choice: int = 0


class UsageReported(Struct, tag="usage_reported"):
    """The usage so far: the last one counts, never the sum."""

    usage: Usage


class Failed(Struct, tag="failed"):
    """An error event inside the stream, as far as the provider told; `status` is the HTTP equivalent.

    `retry_after` is what the error itself says of when to come back, in seconds; most vendors say it in a header.
    """

    status: int
    kind: str | None
    code: str | None
    message: str
    retry_after: float | None = None


class Malformed(Struct, tag="malformed"):
    """An event that could not be read; it is counted and never forwarded."""

    reason: str


class Done(Struct, tag="done"):
    """The provider's own end marker ([DONE], message_stop, response.completed)."""


ChatEvent = (
    Started
    | TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ThinkingSigned
    | ToolStarted
    | ToolDelta
    | OpaqueBlock
    | Finished
    | UsageReported
    | Failed
    | Malformed
    | Done
)

CONTENT_EVENTS = (TextDelta, RefusalDelta, ThinkingDelta, ThinkingSigned, ToolStarted, ToolDelta, OpaqueBlock)


def user(text: str) -> Message:
    return Message("user", [Text(text)])


def system(text: str) -> Message:
    return Message("system", [Text(text)])


def collect(events: list[ChatEvent]) -> ChatResponse:
    """Fold a finished stream's events into the answer that a non-streamed call would have given.

    `stop_reason` stays None where the stream had none.
    """
    fold = _Fold()
    for event in events:
        fold.add(event)
    return fold.close()


class _Fold:
    """An answer in the making. Pieces are joined once, when their part ends: adding to a string copies it."""

    def __init__(self) -> None:
        self.response = ChatResponse(id="", model="", parts=[], stop_reason=None)
        self._last: Part | None = None  # the part that grows, where one does
        self._pieces: list[str] = []  # of its text
        self._calls: list[tuple[ToolCall, list[str]]] = []  # each with the pieces of its arguments
        self._arguments: dict[int, list[str]] = {}  # the same pieces, by the call's index

    def add(self, event: ChatEvent) -> None:
        response = self.response
        match event:
            case TextDelta() if event.choice == 0:
                self._grow(Text, event.text)
            case RefusalDelta():
                self._grow(Refusal, event.text)
            case ThinkingDelta():
                self._grow(Thinking, event.text)
            case ToolDelta() if event.index in self._arguments:
                self._arguments[event.index].append(event.arguments)
            case ToolStarted():
                call = ToolCall(event.id, event.name, extra=event.extra)
                self._arguments[event.index] = []
                self._calls.append((call, self._arguments[event.index]))
                self._append(call)
            case ThinkingSigned():
                self._sign(event)
            case OpaqueBlock():
                self._append(Opaque(event.dialect, event.block))
            case Started():
                response.id = event.id or response.id
                response.model = event.model or response.model
                response.created = event.created or response.created
                response.usage = event.usage or response.usage
            case Finished() if event.choice == 0:
                response.stop_reason, response.stop_sequence = event.reason, event.stop_sequence
            case UsageReported():
                response.usage = event.usage
            case _:
                pass

    def close(self) -> ChatResponse:
        self._settle()
        for call, pieces in self._calls:
            call.arguments = "".join(pieces) or "{}"
        return self.response

    def _grow(self, kind: type[Text | Refusal | Thinking], text: str) -> None:
        if not isinstance(self._last, kind):
            self._append(kind(text=""))
        self._pieces.append(text)

    def _append(self, part: Part) -> None:
        self._settle()
        self._last = part
        self.response.parts.append(part)

    def _sign(self, event: ThinkingSigned) -> None:
        """Ends the running thinking, or stands alone."""
        if event.redacted is not None or not isinstance(self._last, Thinking):
            self._append(Thinking(redacted=event.redacted))
        if isinstance(self._last, Thinking):
            self._last.signature, self._last.signer, self._last.extra = event.signature, event.signer, event.extra
        self._settle()

    def _settle(self) -> None:
        """Nothing more comes to the last part."""
        if isinstance(self._last, Text | Refusal | Thinking):
            self._last.text = "".join(self._pieces)
        self._pieces.clear()
        self._last = None


def copy(request: ChatRequest) -> ChatRequest:
    """A deep copy, so that each attempt is built from the untouched original."""
    return msgspec.convert(msgspec.to_builtins(request), ChatRequest)
