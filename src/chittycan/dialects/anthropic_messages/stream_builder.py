"""The event stream for a client of ours.

Source: the page on streaming messages (event types and their order) and the vendor's own clients. Claude Code takes a
block as finished when it stops, so blocks come one after the other and nothing is written to a block after its stop;
where a provider mixes the arguments of several calls, the later calls wait until the earlier one is complete.
"""

import msgspec

from chittycan.chat import (
    ChatEvent,
    ChatRequest,
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
from chittycan.dialects.anthropic_messages.blocks import CITATION
from chittycan.dialects.anthropic_messages.errors import build_stream_error
from chittycan.dialects.anthropic_messages.response import build_usage, stop_word
from chittycan.dialects.anthropic_messages.signatures import NAME, seal, thinking_block
from chittycan.dialects.extras import kept
from chittycan.errors import ChittyError


def _event(data: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), msgspec.json.encode(data))


class StreamBuilder:
    """One stream for a client of this API, from the events of one or more attempts."""

    def __init__(self, request_id: str, model: str) -> None:
        self._given = self._id, self._model = f"msg_{request_id}", model
        self._begun = False
        self._next = 0  # index of the next block
        self._open: str | None = None  # kind of the block that is open; its index is `_next - 1`
        self._lead = b""  # what precedes the value in a delta of the open block
        self._call: int | None = None  # the tool call whose block is open
        self._arguments = ""  # of that call, so far
        self._held: list[ToolStarted | ToolDelta] = []  # later calls, while that one is not complete
        self._called = False
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
                return self._settle()
            case Finished() | Failed() | Malformed() | Done():
                return b""

    def end(self) -> bytes:
        word = stop_word(self._finished.reason, self._called, self._refused)
        delta = {"stop_reason": word, "stop_sequence": self._finished.stop_sequence}
        usage = build_usage(self._usage or Usage())
        last = {"type": "message_delta", "delta": delta, "usage": usage}
        return self._begin() + self._settle() + _event(last) + _event({"type": "message_stop"})

    def fail(self, error: ChittyError) -> bytes:
        return _event(build_stream_error(error))

    def _start(self, event: Started) -> bytes:
        """Held until there is content: an attempt that fails before leaves nothing behind."""
        if not self._begun:
            self._id, self._model = event.id or self._given[0], event.model or self._given[1]
            self._usage = event.usage
        return b""

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
        head = self._begin() + self._settle()
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
        self._open = self._call = None
        return _event({"type": "content_block_stop", "index": self._next - 1})

    def _settle(self) -> bytes:
        """Closes whatever is open, after the calls that waited for it."""
        written = b""
        while self._held:
            written += self._close() + self._release()
        return written + self._close()

    def _release(self) -> bytes:
        held, self._held = self._held, []
        return b"".join(self.build(event) for event in held)

    def _tool_start(self, event: ToolStarted) -> bytes:
        if self._call is not None and not _complete(self._arguments):
            self._held.append(event)
            return b""
        block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}} | kept(NAME, event.extra)
        written = self._close() + self._open_block("tool_use", block)
        self._call, self._arguments, self._called = event.index, "", True
        return written

    def _tool_delta(self, event: ToolDelta) -> bytes:
        if event.index != self._call:
            if self._held:
                self._held.append(event)
            return b""
        if not event.arguments:
            return b""
        self._arguments += event.arguments
        written = self._lead + msgspec.json.encode(event.arguments) + b"}}\n\n"
        return written + self._release() if self._held and _complete(self._arguments) else written

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


def _complete(arguments: str) -> bool:
    try:
        msgspec.json.decode(arguments)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _lead(index: int, kind: str) -> bytes:
    """Everything of a delta event up to its value."""
    delta, field = _FIELDS.get(kind, ("input_json_delta", "partial_json"))
    return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":' % (
        index,
        delta.encode(),
        field.encode(),
    )


def stream_builder(
    request_id: str, model: str, created: int, include_usage: bool, request: ChatRequest | None = None
) -> StreamBuilder:
    """`created` has no place in this API, and every stream of it reports usage."""
    return StreamBuilder(request_id, model)
