"""Streams: neutral events, as this dialect's client expects them.

Source: the streaming events of the Responses API reference. Every output item is announced, filled and closed under
one index and one id; sequence numbers are contiguous from 0; there is no `[DONE]` on this surface.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from chittycan.chat import (
    ChatEvent,
    ChatRequest,
    Finished,
    Json,
    OpaqueBlock,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ThinkingSigned,
    ToolCall,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
)
from chittycan.dialects.openai_responses.errors import build_stream_error
from chittycan.dialects.openai_responses.items import reasoning_item
from chittycan.dialects.openai_responses.response import (
    conclude,
    content_part,
    item_id,
    message_item,
    skeleton,
)
from chittycan.dialects.openai_responses.signatures import NAME
from chittycan.dialects.openai_responses.tools import Origin, call_item, origins
from chittycan.errors import ChittyError

encode = msgspec.json.encode


class Sent(Struct):
    """What an event says about its place."""

    sequence_number: int = -1
    item_id: str | None = None
    output_index: int | None = None


def _sent(raw: bytes) -> Sent:
    """The place of an event as it was sent; all unknown where that cannot be read."""
    try:
        return msgspec.json.decode(raw.rpartition(b"\ndata:")[2], type=Sent)
    except msgspec.DecodeError:
        return Sent()


class OpenCall:
    """A call whose arguments are still coming. Pieces are joined at the end: adding to a string copies it."""

    def __init__(self, index: int, given: str, call: ToolCall, origin: Origin | None) -> None:
        self.index = index
        self.id = given
        self.call = call
        self.origin = origin
        self.pieces: list[str] = []

    def item(self, status: str) -> Json:
        self.call.arguments = "".join(self.pieces)
        return call_item(self.call, self.origin, self.id, status)


class StreamBuilder:
    """Writes one response as it comes. One message or reasoning item is open at a time; calls stay open to the end,
    because some providers interleave the arguments of parallel calls."""

    def __init__(self, body: Json, names: dict[str, Origin]) -> None:
        self._body = body  # the response as it was created
        self._names = names
        self._sequence = 0
        self._started = False
        self._ids: dict[int, str] = {}  # of items that the provider announced itself, by output index
        self._output: list[Json] = []  # finished items and, until then, placeholders
        self._content: list[Json] = []  # finished parts of the open message
        self._message = -1  # output index of the open message, or -1
        self._part: type[Text | Refusal] | None = None  # kind of its open part
        self._pieces: list[str] = []  # text of the open part or reasoning item
        self._delta = b""  # an event of the open part, up to its text
        self._thinking: Thinking | None = None  # the open reasoning item
        self._reasoning = -1  # its output index
        self._calls: dict[int, OpenCall] = {}
        self._reason: str | None = None
        self._usage: Usage | None = None

    def build(self, event: ChatEvent) -> bytes:
        """The bytes to send for this event; may be empty."""
        if type(event) is TextDelta and self._part is Text and event.choice == 0:
            self._pieces.append(event.text)
            return self._text_delta(event.text, b',"logprobs":[]')
        handler = HANDLERS.get(type(event))
        return handler(self, event) if handler else b""

    def end(self) -> bytes:
        """Closes what is open and ends the response as its finish reason says."""
        closing = self._start() + self._close_all()
        output = [item for item in self._output if item]
        body = conclude(self._body, output, self._reason, self._usage)
        return closing + self._event(f"response.{body['status']}", {"response": body})

    def fail(self, error: ChittyError) -> bytes:
        """`response.failed`, with what was finished until then. Codex and the OpenAI clients stop at it."""
        opening = self._start()
        finished = [item for item in self._output if item]
        failed = {"status": "failed", "error": build_stream_error(error), "output": finished}
        body = conclude(self._body, finished, None, self._usage) | failed | {"incomplete_details": None}
        return opening + self._event("response.failed", {"response": body})

    def resume(self, response_id: str | None, text: str, raw: bytes) -> None:
        """Goes on under the ids and numbers of a provider's own stream: `raw` ends with its last event, `text` is all
        that it said."""
        last = _sent(raw)
        self._started = True
        self._body["id"] = response_id or self._body["id"]
        if text and last.item_id and last.output_index is not None:
            self._ids[last.output_index] = last.item_id
            self._output += [{}] * last.output_index
            self._on_text(TextDelta(text))
        self._sequence = last.sequence_number + 1

    # Writing

    def _event(self, kind: str, fields: Json) -> bytes:
        number = self._sequence
        self._sequence += 1
        data = encode({"type": kind, **fields, "sequence_number": number})
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def _text_delta(self, text: str, after: bytes = b"") -> bytes:
        number = self._sequence
        self._sequence += 1
        return b'%b%b%b,"sequence_number":%d}\n\n' % (self._delta, encode(text), after, number)

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        fields = {"response": self._body}
        return self._event("response.created", fields) + self._event("response.in_progress", fields)

    def _add(self, item: Json) -> bytes:
        """Announces an item at the next output index."""
        self._output.append({})
        return self._event("response.output_item.added", {"output_index": len(self._output) - 1, "item": item})

    def _done(self, index: int, item: Json) -> bytes:
        self._output[index] = item
        return self._event("response.output_item.done", {"output_index": index, "item": item})

    # Handlers, one per kind of event

    def _on_started(self, event: Started) -> bytes:
        self._body["model"] = event.model or self._body["model"]
        if self._started:  # another model goes on
            return b""
        self._usage = event.usage
        return self._start()

    def _on_text(self, event: TextDelta) -> bytes:
        if not event.text or event.choice != 0:
            return b""
        opening = self._open_part(Text)
        self._pieces.append(event.text)
        return opening + self._text_delta(event.text, b',"logprobs":[]')

    def _on_refusal(self, event: RefusalDelta) -> bytes:
        if not event.text:
            return b""
        opening = b"" if self._part is Refusal else self._open_part(Refusal)
        self._pieces.append(event.text)
        return opening + self._text_delta(event.text)

    def _on_thinking(self, event: ThinkingDelta) -> bytes:
        if not event.text:
            return b""
        thinking, opening = self._thinking, b""
        if thinking is None:
            thinking = Thinking()
            opening = self._open_reasoning(thinking)
        place = self._place(self._reasoning, "rs")
        if not self._pieces:
            part = {"summary_index": 0, "part": {"type": "summary_text", "text": ""}}
            opening += self._event("response.reasoning_summary_part.added", place | part)
        self._pieces.append(event.text)
        delta = place | {"summary_index": 0, "delta": event.text}
        return opening + self._event("response.reasoning_summary_text.delta", delta)

    def _on_signed(self, event: ThinkingSigned) -> bytes:
        thinking, opening = self._thinking, b""
        if thinking is None or event.redacted is not None:
            thinking = Thinking()
            opening = self._close_reasoning() + self._open_reasoning(thinking)
        thinking.signature, thinking.redacted, thinking.signer = event.signature, event.redacted, event.signer
        return opening + self._close_reasoning()

    def _on_tool_started(self, event: ToolStarted) -> bytes:
        opening = self._start() + self._close_message() + self._close_reasoning()
        origin = self._names.get(event.name)
        index = len(self._output)
        given = item_id("ctc" if origin and origin.custom else "fc", self._body["id"], index)
        extra = {key: value for key, value in (event.extra or {}).items() if key != NAME}
        call = OpenCall(index, given, ToolCall(event.id, event.name, "", extra=extra or None), origin)
        self._calls[event.index] = call
        announced = call.item("in_progress")
        announced |= {"input": ""} if announced["type"] == "custom_tool_call" else {"arguments": ""}
        return opening + self._add(announced)

    def _on_tool_delta(self, event: ToolDelta) -> bytes:
        open_call = self._calls.get(event.index)
        if open_call is None or not event.arguments:
            return b""
        open_call.pieces.append(event.arguments)
        if open_call.origin and open_call.origin.custom:
            return b""  # free text can be told from its JSON wrapping only when all of it is there
        fields = {"item_id": open_call.id, "output_index": open_call.index, "delta": event.arguments}
        return self._event("response.function_call_arguments.delta", fields)

    def _on_opaque(self, event: OpaqueBlock) -> bytes:
        if event.dialect != NAME:
            return b""
        opening = self._start() + self._close_message() + self._close_reasoning() + self._add(event.block)
        return opening + self._done(len(self._output) - 1, event.block)

    def _on_finished(self, event: Finished) -> bytes:
        if event.choice != 0:
            return b""
        self._reason = event.reason
        return self._start() + self._close_all()

    def _on_usage(self, event: UsageReported) -> bytes:
        self._usage = event.usage
        return b""

    # Opening and closing

    def _place(self, index: int, kind: str) -> Json:
        return {"item_id": self._id(kind, index), "output_index": index}

    def _id(self, kind: str, index: int) -> str:
        return self._ids.get(index) or item_id(kind, self._body["id"], index)

    def _open_part(self, part: type[Text | Refusal]) -> bytes:
        """Opens a part of the message, and the message itself where none is open."""
        opening = self._start() + self._close_reasoning() + self._close_part()
        if self._message < 0:
            self._message = len(self._output)
            given = self._id("msg", self._message)
            opening += self._add(message_item(given, "in_progress", []))
        self._part = part
        place = self._place(self._message, "msg") | {"content_index": len(self._content)}
        empty = content_part(part(""), {})
        opening += self._event("response.content_part.added", place | {"part": empty})
        kind = "response.output_text.delta" if part is Text else "response.refusal.delta"
        head = encode({"type": kind, **place})
        self._delta = b"event: " + kind.encode() + b"\ndata: " + head[:-1] + b',"delta":'
        return opening

    def _close_part(self) -> bytes:
        part, self._part = self._part, None
        if part is None:
            return b""
        place = self._place(self._message, "msg") | {"content_index": len(self._content)}
        text = self._take_pieces()
        whole = content_part(part(text), {})
        self._content.append(whole)
        if part is Text:
            closing = self._event("response.output_text.done", place | {"text": text, "logprobs": []})
        else:
            closing = self._event("response.refusal.done", place | {"refusal": text})
        return closing + self._event("response.content_part.done", place | {"part": whole})

    def _take_pieces(self) -> str:
        text = "".join(self._pieces)
        self._pieces.clear()
        return text

    def _close_message(self) -> bytes:
        if self._message < 0:
            return b""
        closing = self._close_part()
        index, self._message = self._message, -1
        content, self._content = self._content, []
        item = message_item(self._id("msg", index), self._status(), content)
        return closing + self._done(index, item)

    def _open_reasoning(self, thinking: Thinking) -> bytes:
        opening = self._start() + self._close_message()
        self._thinking = thinking
        self._reasoning = len(self._output)
        given = item_id("rs", self._body["id"], self._reasoning)
        return opening + self._add({"id": given, "type": "reasoning", "summary": [], "encrypted_content": None})

    def _close_reasoning(self) -> bytes:
        thinking, self._thinking = self._thinking, None
        if thinking is None:
            return b""
        place = self._place(self._reasoning, "rs")
        closing = b""
        thinking.text = self._take_pieces()
        if thinking.text:
            summary = place | {"summary_index": 0}
            part = {"type": "summary_text", "text": thinking.text}
            closing += self._event("response.reasoning_summary_text.done", summary | {"text": thinking.text})
            closing += self._event("response.reasoning_summary_part.done", summary | {"part": part})
        return closing + self._done(self._reasoning, reasoning_item(thinking, place["item_id"]))

    def _close_all(self) -> bytes:
        closing = self._close_reasoning() + self._close_message()
        for open_call in self._calls.values():
            closing += self._close_call(open_call)
        self._calls.clear()
        return closing

    def _close_call(self, open_call: OpenCall) -> bytes:
        item = open_call.item(self._status())
        place = {"item_id": open_call.id, "output_index": open_call.index}
        closing = b""
        if item["type"] == "custom_tool_call":
            text = item["input"]
            closing += self._event("response.custom_tool_call_input.delta", place | {"delta": text})
            closing += self._event("response.custom_tool_call_input.done", place | {"input": text})
        else:
            if not open_call.pieces:  # a tool without arguments, whose provider sent none
                delta = {"delta": item["arguments"]}
                closing += self._event("response.function_call_arguments.delta", place | delta)
            closing += self._event("response.function_call_arguments.done", place | {"arguments": item["arguments"]})
        return closing + self._done(open_call.index, item)

    def _status(self) -> str:
        return "incomplete" if self._reason == "length" else "completed"


HANDLERS: dict[type, Callable[[StreamBuilder, Any], bytes]] = {
    Started: StreamBuilder._on_started,
    TextDelta: StreamBuilder._on_text,
    RefusalDelta: StreamBuilder._on_refusal,
    ThinkingDelta: StreamBuilder._on_thinking,
    ThinkingSigned: StreamBuilder._on_signed,
    ToolStarted: StreamBuilder._on_tool_started,
    ToolDelta: StreamBuilder._on_tool_delta,
    OpaqueBlock: StreamBuilder._on_opaque,
    Finished: StreamBuilder._on_finished,
    UsageReported: StreamBuilder._on_usage,
}


def stream_builder(
    request_id: str, model: str, created: int, include_usage: bool, request: ChatRequest | None = None
) -> StreamBuilder:
    """`include_usage` makes no difference: on this surface the last event always carries the usage.

    `request` as in `build_response`.
    """
    return StreamBuilder(skeleton(request_id, model, created, request), origins(request))
