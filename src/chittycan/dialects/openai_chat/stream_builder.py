"""The chunks for our client. Source: OpenAI API reference, "The chat completion chunk object"."""

import msgspec

from chittycan.chat import (
    ChatEvent,
    ChatRequest,
    Finished,
    Json,
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
from chittycan.dialects import sse
from chittycan.dialects.extras import extra_content
from chittycan.dialects.openai_chat.errors import UNKNOWN_STATUS, build_error
from chittycan.dialects.openai_chat.response import build_detail, build_usage, finish_reason
from chittycan.errors import ChittyError

DONE = b"data: [DONE]\n\n"


class ChunkStream:
    """What all chunks of one answer have in common, and how their stream ends."""

    kind = "chat.completion.chunk"  # `object` on the wire

    def __init__(self, request_id: str, model: str, created: int, include_usage: bool) -> None:
        self._id, self._model, self._created = request_id, model, created
        self._given = (request_id, model, created)
        self._include_usage = include_usage
        self._usage: Usage | None = None

    def _envelope(self, choices: list[Json]) -> Json:
        return {
            "id": self._id,
            "object": self.kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }

    def end(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return DONE
        body = self._envelope([]) | {"usage": build_usage(self._usage)}
        return sse.encode(msgspec.json.encode(body)) + DONE

    def fail(self, error: ChittyError) -> bytes:
        return sse.encode(msgspec.json.encode(build_error(error, UNKNOWN_STATUS)))


class StreamBuilder(ChunkStream):
    """Writes one stream. See `dialects.StreamBuilder`. Nothing is written before the first content.

    The head (id, model, created) is that of the last `Started` before the first content, else the one given; a later
    one, of a model that goes on, only changes the model.
    """

    def __init__(self, request_id: str, model: str, created: int, include_usage: bool) -> None:
        super().__init__(request_id, model, created, include_usage)
        self._tail = (
            b'},"finish_reason":null}],"usage":null}\n\n' if include_usage else b'},"finish_reason":null}]}\n\n'
        )
        self._text_head = b""  # set with the first chunk
        self._silent_calls: list[int] = []  # tool calls that have no arguments yet
        self._thinking = ""  # of the running block, which its signature belongs to
        self._refused = False

    def build(self, event: ChatEvent) -> bytes:
        if type(event) is TextDelta:
            if event.choice == 0 and self._text_head:
                return self._text_head + msgspec.json.encode(event.text) + self._tail
            return self._chunk({"content": event.text}, choice=event.choice)
        return self._build_other(event)

    def _build_other(self, event: ChatEvent) -> bytes:
        match event:
            case Started():
                self._start(event)
            case UsageReported():
                self._usage = event.usage
            case ThinkingDelta():
                self._thinking += event.text
                return self._chunk({"reasoning_content": event.text})
            case ThinkingSigned():
                return self._signed(event)
            case RefusalDelta():
                self._refused = True
                return self._chunk({"refusal": event.text})
            case ToolStarted():
                self._silent_calls.append(event.index)
                function = {"name": event.name, "arguments": ""}
                call = {"index": event.index, "id": event.id, "type": "function", "function": function}
                return self._chunk({"tool_calls": [call | extra_content(event.extra)]})
            case ToolDelta() if event.arguments:
                if event.index in self._silent_calls:
                    self._silent_calls.remove(event.index)
                return self._arguments(event.index, event.arguments)
            case OpaqueBlock() if event.dialect == "openai":
                return self._chunk({"tool_calls": [event.block]})
            case Finished():
                return self._finish(event)
            case _:
                pass
        return b""

    def _start(self, event: Started) -> None:
        if self._text_head:
            self._model = event.model or self._model
            self._text_head = self._new_text_head()
            return
        request_id, model, created = self._given
        self._id, self._model, self._created = event.id or request_id, event.model or model, event.created or created
        self._usage = event.usage or self._usage

    def _arguments(self, index: int, arguments: str) -> bytes:
        return self._chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})

    def _signed(self, event: ThinkingSigned) -> bytes:
        text, self._thinking = self._thinking, ""
        thought = Thinking(text, event.signature, event.redacted, event.signer)
        detail = build_detail(thought)
        return self._chunk({"reasoning_details": [detail]}) if detail["format"] else b""

    def _finish(self, event: Finished) -> bytes:
        written = b""
        if event.choice == 0:
            written = b"".join(self._arguments(index, "{}") for index in self._silent_calls)
            self._silent_calls = []
        reason = finish_reason(event.reason, self._refused and event.choice == 0)
        return written + self._chunk({}, choice=event.choice, reason=reason)

    def _chunk(self, delta: Json, choice: int = 0, reason: str | None = None) -> bytes:
        """One chunk, with the chunk that names the role before the first."""
        written = b""
        if not self._text_head:
            self._text_head = self._new_text_head()
            written = self._text_head[: -len(b'"content":')] + b'"role":"assistant","content":""' + self._tail
        body = self._envelope([{"index": choice, "delta": delta, "finish_reason": reason}])
        if self._include_usage:
            body["usage"] = None
        return written + sse.encode(msgspec.json.encode(body))

    def _new_text_head(self) -> bytes:
        head = msgspec.json.encode(self._envelope([{"index": 0, "delta": {"content": ""}}]))
        return b"data: " + head[: head.rindex(b'""}')]


def stream_builder(
    request_id: str, model: str, created: int, include_usage: bool, request: ChatRequest | None = None
) -> StreamBuilder:
    return StreamBuilder(request_id, model, created, include_usage)
