"""The event stream of a provider. Source: the page on streaming messages, which announces that new types may come."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from chittycan.chat import (
    ChatEvent,
    Done,
    Finished,
    Json,
    Malformed,
    OpaqueBlock,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
    UsageReported,
)
from chittycan.dialects.anthropic_messages.blocks import CITATION, arguments_object
from chittycan.dialects.anthropic_messages.errors import failed_from
from chittycan.dialects.anthropic_messages.response import UsageBody, as_object, stop_reason
from chittycan.dialects.anthropic_messages.schemas import ANSWER_TOOL
from chittycan.dialects.anthropic_messages.signatures import NAME, unseal
from chittycan.dialects.extras import keep


class Delta(Struct):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Any = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Start(Struct):
    id: str | None = None
    model: str | None = None
    usage: UsageBody | None = None


class Wire(Struct):
    """Every event at once: only the fields of its `type` are there."""

    type: str
    index: int = 0
    delta: Delta | None = None
    content_block: Json | None = None
    message: Start | None = None
    usage: UsageBody | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(Wire)


# An event that is text and nothing else: whatever does not fit is read one by one.


class PlainDelta(Struct, gc=False):
    type: Literal["text_delta"]
    text: str


class PlainEvent(Struct, gc=False):
    type: Literal["content_block_delta"]
    delta: PlainDelta


_PLAIN = msgspec.json.Decoder(list[PlainEvent])
_HEAD = b"event: content_block_delta\ndata: "
_SEAM = b"\n\n" + _HEAD


class Open(Struct):
    """A block of the upstream that has not stopped yet. `call` counts the tool calls of the answer."""

    kind: str
    call: int | None = None
    block: Json | None = None  # what is kept whole
    written: bool = False  # something of a tool's input has come
    json: str = ""  # input of a kept block


class StreamParser:
    """One upstream stream into neutral events."""

    def __init__(self) -> None:
        self._blocks: dict[int, Open] = {}
        self._calls = 0
        self._usage = UsageBody()

    def feed(self, event: str, data: str) -> list[ChatEvent]:
        try:
            wire = _DECODER.decode(data)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return [Malformed("not an event of the Messages API")]
        kind = wire.type
        if kind == "content_block_delta":
            delta = wire.delta
            if delta is None:
                return [Malformed("a content_block_delta without its delta")]
            if delta.type == "text_delta" and delta.text:
                return [TextDelta(delta.text)]
            return self._delta(wire.index, delta)
        if kind == "content_block_start":
            return self._start(wire.index, wire.content_block or {})
        if kind == "content_block_stop":
            return self._stop(self._blocks.pop(wire.index, None))
        if kind == "message_start":
            return self._message_start(wire.message or Start())
        if kind == "message_delta":
            return self._message_delta(wire)
        if kind == "message_stop":
            return [Done()]
        if kind == "error" or (wire.error is not None and kind != "ping"):
            failed = failed_from(wire.error)
            failed.message = failed.message or "The provider reported an error in the stream."
            return [failed]
        return []

    def plain(self, block: bytes) -> str | None:
        """See `dialects.StreamParser`: one decoding for all events that came together."""
        if not block.startswith(_HEAD):
            return None
        try:
            events = _PLAIN.decode(b"[%b]" % block[len(_HEAD) : -2].replace(_SEAM, b","))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if len(events) != block.count(_SEAM) + 1:  # broken events must not mend each other
            return None
        return "".join([event.delta.text for event in events])

    def _message_start(self, message: Start) -> list[ChatEvent]:
        if message.usage is not None:
            self._usage.update(message.usage)
        return [Started(message.id, message.model, usage=self._usage.neutral() if message.usage else None)]

    def _message_delta(self, wire: Wire) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        if wire.usage is not None:
            self._usage.update(wire.usage)
            events.append(UsageReported(self._usage.neutral()))
        if wire.delta is not None and wire.delta.stop_reason is not None:
            reason = stop_reason(wire.delta.stop_reason, self._calls > 0)
            events.append(Finished(reason or "", wire.delta.stop_sequence))
        return events

    def _start(self, index: int, block: Json) -> list[ChatEvent]:
        kind = block.get("type")
        opened = Open(kind if isinstance(kind, str) else "")
        self._blocks[index] = opened
        match block:
            case {"type": "text"}:
                return _text(block.get("text"))
            case {"type": "thinking"}:
                return _thinking(block.get("thinking")) + _signed(block.get("signature"))
            case {"type": "redacted_thinking", "data": str(data)}:
                redacted, signer = unseal(data)
                return [ThinkingSigned(redacted=redacted or "", signer=signer)]
            case {"type": "tool_use", "name": name} if name == ANSWER_TOOL:
                opened.kind = ANSWER_TOOL
                return _text(_given_input(block))
            case {"type": "tool_use", "id": str(call_id), "name": str(name)}:
                opened.call, self._calls = self._calls, self._calls + 1
                rest = {key: value for key, value in block.items() if key not in ("type", "id", "name", "input")}
                events: list[ChatEvent] = [ToolStarted(opened.call, call_id, name, keep(NAME, rest))]
                if given := _given_input(block):
                    opened.written = True
                    events.append(ToolDelta(opened.call, given))
                return events
            case {"type": str()} if kind not in ("tool_use", "redacted_thinking"):
                opened.block = block
                return []
        return [Malformed("a content block that is not what its type says")]

    def _delta(self, index: int, delta: Delta) -> list[ChatEvent]:
        opened = self._blocks.get(index)
        match delta.type:
            case "input_json_delta":
                return self._input(opened, delta.partial_json or "")
            case "thinking_delta":
                return _thinking(delta.thinking)
            case "signature_delta":
                return _signed(delta.signature)
            case "citations_delta":
                return [OpaqueBlock(NAME, {"type": CITATION, "citation": delta.citation})]
        return []

    def _input(self, opened: Open | None, text: str) -> list[ChatEvent]:
        if opened is None:
            return [Malformed("input for a block that was not started")]
        if not text:
            return []
        if opened.kind == ANSWER_TOOL:
            return [TextDelta(text)]
        if opened.call is None:
            opened.json += text
            return []
        opened.written = True
        return [ToolDelta(opened.call, text)]

    def _stop(self, opened: Open | None) -> list[ChatEvent]:
        if opened is None:
            return []
        if opened.call is not None and not opened.written:
            return [ToolDelta(opened.call, "{}")]
        if opened.block is not None:
            block = opened.block | ({"input": arguments_object(opened.json)} if opened.json else {})
            return [OpaqueBlock(NAME, block)]
        return []


def _text(text: Any) -> list[ChatEvent]:
    return [TextDelta(text)] if isinstance(text, str) and text else []


def _thinking(text: Any) -> list[ChatEvent]:
    return [ThinkingDelta(text)] if isinstance(text, str) and text else []


def _signed(sealed: Any) -> list[ChatEvent]:
    if not isinstance(sealed, str) or not sealed:
        return []
    signature, signer = unseal(sealed)
    return [ThinkingSigned(signature, signer=signer)] if signature else []


def _given_input(block: Json) -> str:
    """Input that a compatible server gave at the start of the block, whole."""
    given = as_object(block.get("input"))
    return msgspec.json.encode(given).decode() if given else ""


def stream_parser() -> StreamParser:
    return StreamParser()
