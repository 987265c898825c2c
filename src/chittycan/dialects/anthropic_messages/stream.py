"""The event stream, both ways.

Source: the page on streaming messages (event types, their order, "new event types may be added") and the vendor's own
clients: Claude Code shows a block when it stops, so a block is never written to after its stop.
"""

from typing import Any

import msgspec
from msgspec import Struct

from chittycan.chat import (
    ChatEvent,
    Done,
    Failed,
    Finished,
    Json,
    Malformed,
    OpaqueBlock,
    RefusalDelta,
    Started,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
)
from chittycan.dialects.anthropic_messages.blocks import CITATION, arguments_object
from chittycan.dialects.anthropic_messages.errors import build_stream_error, failed_from
from chittycan.dialects.anthropic_messages.own import NAME, keep, kept, seal, thinking_block, unseal
from chittycan.dialects.anthropic_messages.response import UsageBody, as_object, build_usage, stop_reason, stop_word
from chittycan.dialects.anthropic_messages.schemas import ANSWER_TOOL
from chittycan.errors import ChittyError


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
                events: list[ChatEvent] = [ToolStarted(opened.call, call_id, name, keep(rest))]
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


def _event(data: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), msgspec.json.encode(data))


class StreamBuilder:
    """One stream for a client of this API, from the events of one or more attempts."""

    def __init__(self, request_id: str, model: str) -> None:
        self._id, self._model = f"msg_{request_id}", model
        self._begun = False
        self._next = 0  # index of the next block
        self._open: str | None = None  # kind of the block that is open; its index is `_next - 1`
        self._lead = b""  # what precedes the value in a delta of the open block
        self._tools: dict[int, int] = {}  # the answer's tool calls: their blocks
        self._refused = False
        self._finished = Finished("")
        self._usage: Usage | None = None

    def build(self, event: ChatEvent) -> bytes:
        match event:
            case TextDelta():
                return self._append("text", event.text) if event.text and event.choice == 0 else b""
            case ToolDelta():
                return self._tool_delta(event)
            case ThinkingDelta():
                return self._append("thinking", event.text) if event.text else b""
            case Started():
                return self._start(event)
            case ToolStarted():
                return self._tool_start(event)
            case ThinkingSigned():
                return self._signed(event)
            case RefusalDelta():
                self._refused = True
                return self._append("text", event.text) if event.text else b""
            case OpaqueBlock():
                return self._opaque(event.block) if event.dialect == NAME else b""
            case UsageReported():
                self._usage = event.usage
                return b""
            case Finished() if event.choice == 0:
                self._finished = event
                return self._close()
            case Finished() | Failed() | Malformed() | Done():
                return b""

    def end(self) -> bytes:
        word = stop_word(self._finished.reason, bool(self._tools), self._refused)
        delta = {"stop_reason": word, "stop_sequence": self._finished.stop_sequence}
        usage = build_usage(self._usage or Usage())
        last = {"type": "message_delta", "delta": delta, "usage": usage}
        return self._begin() + self._close() + _event(last) + _event({"type": "message_stop"})

    def fail(self, error: ChittyError) -> bytes:
        return _event(build_stream_error(error))

    def _start(self, event: Started) -> bytes:
        if self._begun:
            return b""
        self._id, self._model = event.id or self._id, event.model or self._model
        self._usage = event.usage
        return self._begin()

    def _begin(self) -> bytes:
        """`message_start`, once."""
        if self._begun:
            return b""
        self._begun = True
        message: Json = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": build_usage(self._usage or Usage()),
        }
        return _event({"type": "message_start", "message": message})

    def _append(self, kind: str, text: str) -> bytes:
        """A piece of text or thinking, in a block of its kind."""
        head = b""
        if self._open != kind:
            empty = (
                {"type": "text", "text": ""}
                if kind == "text"
                else {"type": "thinking", "thinking": "", "signature": ""}
            )
            head = self._open_block(kind, empty)
        return head + self._lead + msgspec.json.encode(text) + b"}}\n\n"

    def _open_block(self, kind: str, block: Json) -> bytes:
        head = self._begin() + self._close()
        index, self._next, self._open = self._next, self._next + 1, kind
        self._lead = _lead(index, kind)
        return head + _event({"type": "content_block_start", "index": index, "content_block": block})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        # Thinking that nobody signed is marked as such, like in `build_response`.
        head = self._signature(ThinkingSigned()) if self._open == "thinking" else b""
        return head + self._stop()

    def _stop(self) -> bytes:
        self._open = None
        return _event({"type": "content_block_stop", "index": self._next - 1})

    def _tool_start(self, event: ToolStarted) -> bytes:
        block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}} | kept(event.extra)
        head = self._open_block("tool_use", block)
        self._tools[event.index] = self._next - 1
        return head

    def _tool_delta(self, event: ToolDelta) -> bytes:
        index = self._tools.get(event.index)
        if index is None or not event.arguments:
            return b""
        lead = self._lead if index == self._next - 1 and self._open else _lead(index, "tool_use")
        return lead + msgspec.json.encode(event.arguments) + b"}}\n\n"

    def _signed(self, event: ThinkingSigned) -> bytes:
        if self._open == "thinking" and event.redacted is None:
            return self._signature(event) + self._stop()
        block = thinking_block(Thinking("", event.signature, event.redacted, event.signer))
        if event.redacted is not None:
            return self._open_block("redacted_thinking", block) + self._close()
        block["signature"] = ""
        return self._open_block("thinking", block) + self._signature(event) + self._stop()

    def _signature(self, event: ThinkingSigned) -> bytes:
        delta = {"type": "signature_delta", "signature": seal(event.signature, event.signer)}
        return _event({"type": "content_block_delta", "index": self._next - 1, "delta": delta})

    def _opaque(self, block: Json) -> bytes:
        if block.get("type") == CITATION:
            if self._open != "text":
                return b""
            return _event({"type": "content_block_delta", "index": self._next - 1, "delta": block})
        given = block.get("input")
        if not isinstance(given, dict):
            return self._open_block("opaque", block) + self._close()
        head = self._open_block("tool_use", block | {"input": {}})
        text = msgspec.json.encode(given).decode()
        return head + self._lead + msgspec.json.encode(text) + b"}}\n\n" + self._close()


_FIELDS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}


def _lead(index: int, kind: str) -> bytes:
    """Everything of a delta event up to its value."""
    delta, field = _FIELDS.get(kind, ("input_json_delta", "partial_json"))
    return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":' % (
        index,
        delta.encode(),
        field.encode(),
    )
