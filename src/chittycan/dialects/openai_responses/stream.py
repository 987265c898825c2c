"""Streams: what a provider of this dialect sends, as neutral events.

Source: the streaming events of the Responses API reference. Writing is in `stream_builder`.
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
    Opaque,
    OpaqueBlock,
    Part,
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
    UsageReported,
)
from chittycan.dialects.openai_responses.errors import failed_from
from chittycan.dialects.openai_responses.response import (
    Incomplete,
    UsageBody,
    parse_output,
    parse_output_item,
    parse_usage,
    stop_reason,
)
from chittycan.dialects.openai_responses.signatures import NAME
from chittycan.errors import InvalidRequest


class Named(Struct):
    type: str = ""


class Delta(Struct):
    delta: str


class ItemDelta(Struct):
    delta: str
    item_id: str | None = None
    output_index: int | None = None


class ItemText(Struct):
    """The `done` events: each carries its text under its own name."""

    text: str = ""
    refusal: str = ""
    arguments: str = ""
    input: str = ""
    item_id: str | None = None
    output_index: int | None = None


class ItemEvent(Struct):
    item: Json
    output_index: int | None = None


class SummaryPart(Struct):
    summary_index: int = 0


class Head(Struct):
    id: str | None = None
    model: str | None = None
    created_at: float | None = None


class HeadEvent(Struct):
    response: Head


class Final(Struct):
    status: str | None = None
    error: Any = None
    incomplete_details: Incomplete | None = None
    output: list[Any] | None = None
    usage: UsageBody | None = None


class FinalEvent(Struct):
    response: Final


class Call:
    """One running call: how much of its arguments has been passed on, to see what only the `done` event holds."""

    def __init__(self, index: int, custom: bool) -> None:
        self.index = index
        self.custom = custom
        self.opened = False
        self.sent = 0
        self.closed = False


_named = msgspec.json.Decoder(Named)
_delta = msgspec.json.Decoder(Delta)
_item_delta = msgspec.json.Decoder(ItemDelta)
_item_text = msgspec.json.Decoder(ItemText)
_item_event = msgspec.json.Decoder(ItemEvent)
_summary_part = msgspec.json.Decoder(SummaryPart)
_head = msgspec.json.Decoder(HeadEvent)
_final = msgspec.json.Decoder(FinalEvent)


class StreamParser:
    """One upstream stream. Text goes through `feed` alone; the rest is dispatched by the event's name."""

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._said = False  # any content of the running message
        self._answered = False  # any content before that
        self._sent = 0  # characters of the running text or refusal that were passed on
        self._thought = ""  # which kind of reasoning delta came first: the other would say it twice
        self._calls: dict[int | str, Call] = {}
        self._count = 0
        self._refused = False

    def plain(self, block: bytes) -> str | None:
        """See `dialects.StreamParser`: here events are read one by one."""
        return None

    def feed(self, event: str, data: str) -> list[ChatEvent]:
        """One SSE event; never raises. Events that say nothing neutral give none."""
        if self._ended or data == "[DONE]":
            return []
        try:
            kind = event or _named.decode(data).type
            if kind == "response.output_text.delta":
                text = _delta.decode(data).delta
                self._sent += len(text)
                self._said = True
                return [TextDelta(text)]
            handler = HANDLERS.get(kind)
            return handler(self, data) if handler else []
        except (msgspec.MsgspecError, InvalidRequest, UnicodeError, RecursionError) as error:
            return [Malformed(f"{event or 'event'}: {type(error).__name__}")]

    def _head(self, data: str) -> list[ChatEvent]:
        if self._started:
            return []
        head = _head.decode(data).response
        self._started = True
        created = None if head.created_at is None else int(head.created_at)
        return [Started(head.id, head.model, created)]

    def _text_done(self, data: str) -> list[ChatEvent]:
        rest = _item_text.decode(data).text[self._sent :]
        self._sent = 0
        self._said = self._said or bool(rest)
        return [TextDelta(rest)] if rest else []

    def _refusal_delta(self, data: str) -> list[ChatEvent]:
        text = _delta.decode(data).delta
        self._sent += len(text)
        self._said = self._refused = True
        return [RefusalDelta(text)]

    def _refusal_done(self, data: str) -> list[ChatEvent]:
        rest = _item_text.decode(data).refusal[self._sent :]
        self._sent = 0
        if not rest:
            return []
        self._said = self._refused = True
        return [RefusalDelta(rest)]

    def _part_added(self, data: str) -> list[ChatEvent]:
        self._sent = 0
        return []

    def _summary_part(self, data: str) -> list[ChatEvent]:
        separate = self._thought == "summary" and _summary_part.decode(data).summary_index > 0
        return [ThinkingDelta("\n\n")] if separate else []

    def _summary_delta(self, data: str) -> list[ChatEvent]:
        return self._think("summary", data)

    def _reasoning_delta(self, data: str) -> list[ChatEvent]:
        return self._think("content", data)

    def _think(self, kind: str, data: str) -> list[ChatEvent]:
        text = _delta.decode(data).delta
        if self._thought not in ("", kind):
            return []
        self._thought = kind
        self._answered = True
        return [ThinkingDelta(text)]

    def _item_added(self, data: str) -> list[ChatEvent]:
        added = _item_event.decode(data)
        self._sent, self._thought = 0, ""
        if added.item.get("type") not in ("function_call", "custom_tool_call"):
            return []
        return self._start_call(added)

    def _start_call(self, added: ItemEvent) -> list[ChatEvent]:
        parts = parse_output_item(added.item, "item")
        call = Call(self._count, added.item["type"] == "custom_tool_call")
        self._count += 1
        for key in (added.output_index, added.item.get("id")):
            if isinstance(key, int | str):
                self._calls[key] = call
        self._answered = True
        return [ToolStarted(call.index, part.id, part.name, part.extra) for part in parts if isinstance(part, ToolCall)]

    def _running(self, event: ItemDelta | ItemText) -> Call | None:
        for key in (event.output_index, event.item_id):
            if key is not None and key in self._calls:
                return self._calls[key]
        return None

    def _arguments_delta(self, data: str) -> list[ChatEvent]:
        event = _item_delta.decode(data)
        call = self._running(event)
        if call is None:
            return [Malformed("arguments of a call that was not announced")]
        return call_delta(call, event.delta)

    def _arguments_done(self, data: str) -> list[ChatEvent]:
        event = _item_text.decode(data)
        call = self._running(event)
        return close_call(call, event.arguments or event.input) if call else []

    def _item_done(self, data: str) -> list[ChatEvent]:
        done = _item_event.decode(data)
        kind = done.item.get("type")
        if kind in ("function_call", "custom_tool_call"):
            return self._call_done(done)
        parts = parse_output_item(done.item, "item")
        thought, self._thought = self._thought, ""
        if kind == "reasoning":
            self._answered = self._answered or bool(parts)
            return [event for part in parts for event in reasoning_events(part, streamed=bool(thought))]
        if kind == "message":
            said, self._said, self._sent = self._said, False, 0
            self._answered = self._answered or said
            return [] if said else self._unstreamed(parts)
        self._answered = True
        return [OpaqueBlock(NAME, done.item)]

    def _call_done(self, done: ItemEvent) -> list[ChatEvent]:
        key = ItemText(item_id=_text(done.item.get("id")), output_index=done.output_index)
        call = self._running(key)
        started = [] if call else self._start_call(done)
        call = call or self._running(key)
        if call is None:
            return started
        return started + close_call(call, _text(done.item.get("input" if call.custom else "arguments")) or "")

    def _unstreamed(self, parts: list[Part]) -> list[ChatEvent]:
        """Content that came whole, without deltas."""
        events: list[ChatEvent] = []
        for part in parts:
            match part:
                case Text():
                    events.append(TextDelta(part.text))
                case Refusal():
                    self._refused = True
                    events.append(RefusalDelta(part.text))
                case Thinking():
                    events += reasoning_events(part, streamed=False)
                case ToolCall():
                    events += [ToolStarted(self._count, part.id, part.name, part.extra)]
                    events += [ToolDelta(self._count, part.arguments)]
                    self._count += 1
                case Opaque():
                    events.append(OpaqueBlock(part.dialect, part.block))
        self._answered = self._answered or bool(events)
        return events

    def _completed(self, data: str) -> list[ChatEvent]:
        return self._finish(data, "completed")

    def _incomplete(self, data: str) -> list[ChatEvent]:
        return self._finish(data, "incomplete")

    def _finish(self, data: str, named: str) -> list[ChatEvent]:
        final = _final.decode(data).response
        if final.status == "failed":
            return self._failed(data)
        events: list[ChatEvent] = []
        if not (self._answered or self._said):
            events = self._unstreamed(parse_output(final.output or []))
        # Some servers leave the status as it was when the response began: the event's own name is surer.
        status = named if final.status in (None, "in_progress", "queued") else final.status
        seen: list[Part] = [ToolCall("", "")] if self._count else [Refusal("")] if self._refused else []
        usage = parse_usage(final.usage)
        if usage is not None:
            events.append(UsageReported(usage))
        reason = stop_reason(status, final.incomplete_details, seen)
        self._ended = True
        return [*events, Finished(reason or named), Done()]

    def _failed(self, data: str) -> list[ChatEvent]:
        final = _final.decode(data).response
        failed = failed_from(final.error)
        return self._end_with(failed, final.usage)

    def _error(self, data: str) -> list[ChatEvent]:
        body = msgspec.json.decode(data, type=Json)
        return self._end_with(failed_from(body.get("error") or body), None)

    def _end_with(self, failed: Failed, usage: UsageBody | None) -> list[ChatEvent]:
        self._ended = True
        failed.message = failed.message or "The provider reported an error without a message."
        known = parse_usage(usage)
        return [UsageReported(known), failed] if known else [failed]


def call_delta(call: Call, text: str) -> list[ChatEvent]:
    """A piece of a call's arguments. Free text becomes the JSON of its one argument as it comes."""
    call.sent += len(text)
    if call.custom:
        opening = "" if call.opened else '{"input":"'
        call.opened = True
        text = opening + msgspec.json.encode(text)[1:-1].decode()
    return [ToolDelta(call.index, text)] if text else []


def close_call(call: Call, whole: str) -> list[ChatEvent]:
    """The part of the arguments that no delta brought: all of it from providers that send none."""
    if call.closed:
        return []
    if not whole and not call.custom:
        return []
    call.closed = True
    events = call_delta(call, whole[call.sent :])
    return [*events, ToolDelta(call.index, '"}')] if call.custom else events


def reasoning_events(part: Part, streamed: bool) -> list[ChatEvent]:
    """The end of a reasoning item, or all of it where no delta came."""
    if not isinstance(part, Thinking):
        return []
    events: list[ChatEvent] = [ThinkingDelta(part.text)] if part.text and not streamed else []
    if part.signature is not None or part.redacted is not None:
        events.append(ThinkingSigned(part.signature, part.redacted, part.signer, part.extra))
    return events


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


HANDLERS = {
    "response.created": StreamParser._head,
    "response.queued": StreamParser._head,
    "response.in_progress": StreamParser._head,
    "response.output_text.done": StreamParser._text_done,
    "response.refusal.delta": StreamParser._refusal_delta,
    "response.refusal.done": StreamParser._refusal_done,
    "response.content_part.added": StreamParser._part_added,
    "response.reasoning_summary_part.added": StreamParser._summary_part,
    "response.reasoning_summary_text.delta": StreamParser._summary_delta,
    "response.reasoning_text.delta": StreamParser._reasoning_delta,
    "response.function_call_arguments.delta": StreamParser._arguments_delta,
    "response.function_call_arguments.done": StreamParser._arguments_done,
    "response.custom_tool_call_input.delta": StreamParser._arguments_delta,
    "response.custom_tool_call_input.done": StreamParser._arguments_done,
    "response.output_item.added": StreamParser._item_added,
    "response.output_item.done": StreamParser._item_done,
    "response.completed": StreamParser._completed,
    "response.incomplete": StreamParser._incomplete,
    "response.failed": StreamParser._failed,
    "error": StreamParser._error,
}


def stream_parser() -> StreamParser:
    return StreamParser()
