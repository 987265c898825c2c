"""The chunks of a provider. Source: OpenAI API reference, "The chat completion chunk object".

Vendors differ most here: tool calls without index or id or all at index 0, usage in every chunk, errors inside a
chunk (OpenRouter) or as a named event (Groq), arguments as objects, content as lists. All of it is read.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from chittycan.chat import (
    ChatEvent,
    Done,
    Failed,
    Finished,
    Json,
    Malformed,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
    UsageReported,
)
from chittycan.dialects.extras import read_extra_content
from chittycan.dialects.openai_chat.errors import UNKNOWN_STATUS, read_error
from chittycan.dialects.openai_chat.messages import parse_details
from chittycan.dialects.openai_chat.response import (
    CallIds,
    arguments_text,
    neutral_reason,
    parse_usage,
    plain_content,
)

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    extra_content: Any = None


class _Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    reasoning_details: Any = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int | None = None


class _Chunk(Struct):
    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[_Choice] | None = None
    usage: Json | None = None
    error: Any = None
    x_groq: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)


# A chunk that is text and nothing else: whatever does not fit is read one by one.


class _PlainDelta(Struct, forbid_unknown_fields=True, gc=False):
    content: str
    role: str | None = None
    refusal: None = None
    tool_calls: None = None
    reasoning_content: None = None


class _PlainChoice(Struct, forbid_unknown_fields=True, gc=False):
    delta: _PlainDelta
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None


class _PlainChunk(Struct, gc=False):
    choices: tuple[_PlainChoice]
    usage: None = None
    error: None = None
    x_groq: None = None


_PLAIN = msgspec.json.Decoder(list[_PlainChunk])
_HEAD, _SEAM = b"data: ", b"\n\ndata: "


class StreamParser:
    """Reads one stream. See `dialects.StreamParser`."""

    def __init__(self) -> None:
        self._started = False
        self._calls = _Calls()
        self._finished: set[int] = set()
        self._refused = False

    def feed(self, event: str, data: str) -> list[ChatEvent]:
        if data[:1] != "{" or event == "error":
            return self._feed_other(event, data)
        try:
            chunk = _CHUNK.decode(data)
        except UNREADABLE:
            return self._feed_odd(data)
        choices = chunk.choices
        if self._started and choices and len(choices) == 1 and chunk.usage is None and chunk.error is None:
            choice = choices[0]
            delta = choice.delta
            if (
                delta is not None
                and delta.content
                and not choice.finish_reason
                and delta.tool_calls is None
                and delta.reasoning_content is None
                and delta.reasoning is None
            ):
                return [TextDelta(delta.content, choice.index or 0)]
        return self._read(chunk, data)

    def plain(self, block: bytes) -> str | None:
        """See `dialects.StreamParser`: one decoding for all chunks that came together."""
        if not self._started or not block.startswith(_HEAD):
            return None
        try:
            chunks = _PLAIN.decode(b"[%b]" % block[len(_HEAD) : -2].replace(_SEAM, b","))
        except UNREADABLE:
            return None
        if len(chunks) != block.count(_SEAM) + 1:  # broken events must not mend each other
            return None
        return "".join([chunk.choices[0].delta.content for chunk in chunks])

    def _feed_other(self, event: str, data: str) -> list[ChatEvent]:
        if data.strip() == "[DONE]":
            return [Done()]
        if event == "error":
            try:
                return [read_error(msgspec.json.decode(data))]
            except UNREADABLE:
                return [read_error(data or None)]
        if not data.strip():
            return []
        if data[:1].isspace():
            return self.feed(event, data.strip())
        return [Malformed("not a JSON object")]

    def _feed_odd(self, data: str) -> list[ChatEvent]:
        """A chunk with fields of unexpected types."""
        try:
            value = msgspec.json.decode(data)
        except UNREADABLE:
            return [Malformed("not valid JSON")]
        return self._read(_lenient_chunk(value), data)

    def _read(self, chunk: _Chunk, data: str) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        if chunk.error:
            return [read_error({"error": chunk.error})]
        if chunk.choices is None and chunk.usage is None:
            return _bare_error(data)
        if not self._started and (chunk.id or chunk.model):
            self._started = True
            self._calls.ids = CallIds(chunk.id or "")
            events.append(Started(chunk.id, chunk.model, chunk.created))
        for choice in chunk.choices or ():
            self._read_choice(choice, events)
        usage = chunk.usage
        if usage is None and isinstance(chunk.x_groq, dict):
            usage = chunk.x_groq.get("usage")
        if usage and isinstance(usage, dict):
            events.append(UsageReported(parse_usage(usage)))
        return events

    def _read_choice(self, choice: _Choice, events: list[ChatEvent]) -> None:
        index, delta = choice.index or 0, choice.delta
        if delta is not None:
            thinking = delta.reasoning_content or delta.reasoning
            if index == 0:
                if thinking:
                    events.append(ThinkingDelta(thinking))
                if delta.reasoning_details:
                    events += _signatures(delta.reasoning_details)
            if delta.content:
                events.append(TextDelta(delta.content, index))
            if index == 0:
                self._read_rest(delta, events)
        reason = choice.finish_reason
        if not reason or index in self._finished:
            return
        if reason == "error":
            events.append(Failed(UNKNOWN_STATUS, None, None, "the provider ended the answer with an error"))
            return
        self._finished.add(index)
        neutral = neutral_reason(reason, index == 0 and self._calls.any, index == 0 and self._refused)
        events.append(Finished(neutral or reason, choice=index))

    def _read_rest(self, delta: _Delta, events: list[ChatEvent]) -> None:
        if delta.refusal:
            self._refused = True
            events.append(RefusalDelta(delta.refusal))
        for call in delta.tool_calls or ():
            events += self._calls.read(call)
        if delta.function_call is not None:
            events += self._calls.read(_Call(index=0, function=delta.function_call))


class _Open(Struct):
    index: int  # ours
    given_id: str
    name: str
    arguments: str = ""


class _Calls:
    """Tells apart the tool calls of one stream, whatever numbering the provider uses."""

    def __init__(self) -> None:
        self.ids = CallIds("")
        self.any = False
        self._by_place: dict[tuple[int | None, str], _Open] = {}
        self._latest: dict[int | None, _Open] = {}  # by the provider's index; None holds the last of all
        self._count = 0

    def read(self, call: _Call) -> list[ChatEvent]:
        function = call.function or _Function()
        name, given = function.name or "", call.id or ""
        arguments = function.arguments or ""
        events: list[ChatEvent] = []
        current = self._find(call.index, given, name)
        if current is None:
            if not name:
                return [Malformed("a piece of a tool call that never began")]
            current = self._open(call.index, given, name)
            extra = read_extra_content(call.extra_content)
            events.append(ToolStarted(current.index, self.ids.give(given, name), name, extra))
        if arguments:
            current.arguments += arguments
            events.append(ToolDelta(current.index, arguments))
        return events

    def _find(self, index: int | None, given: str, name: str) -> _Open | None:
        """The call that this piece continues; None when it begins a new one.

        A piece without a name continues. One with a name begins a call unless it repeats the head of a call whose
        arguments are still incomplete.
        """
        current = self._by_place.get((index, given)) if given else None
        if current is None:
            if given and name:
                return None
            current = self._latest.get(index)
        if current is None or not name:
            return current
        return None if name != current.name or _complete(current.arguments) else current

    def _open(self, index: int | None, given: str, name: str) -> _Open:
        self.any = True
        opened = _Open(self._count, given, name)
        self._count += 1
        self._by_place[index, given] = self._latest[index] = self._latest[None] = opened
        return opened


def _complete(arguments: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except UNREADABLE:
        return False


def _signatures(details: Any) -> list[ChatEvent]:
    return [
        ThinkingSigned(thought.signature, thought.redacted, thought.signer)
        for thought in parse_details(details)
        if thought.signature or thought.redacted
    ]


def _bare_error(data: str) -> list[ChatEvent]:
    """vLLM and some proxies send the error without an `error` around it; anything else says nothing."""
    try:
        value = msgspec.json.decode(data)
    except UNREADABLE:
        return [Malformed("not valid JSON")]
    says_error = value.get("object") == "error" or value.get("type") == "error" or "detail" in value
    return [read_error(value)] if says_error else []


def _lenient_chunk(value: Json) -> _Chunk:
    choices = value.get("choices")
    created, usage = value.get("created"), value.get("usage")
    return _Chunk(
        id=_string(value.get("id")),
        model=_string(value.get("model")),
        created=int(created) if isinstance(created, int | float) and abs(created) < 1e15 else None,
        choices=[_lenient_choice(c) for c in choices if isinstance(c, dict)] if isinstance(choices, list) else None,
        usage=usage if isinstance(usage, dict) else None,
        error=value.get("error"),
        x_groq=value.get("x_groq"),
    )


def _lenient_choice(choice: Json) -> _Choice:
    delta, index = choice.get("delta"), choice.get("index")
    return _Choice(
        _lenient_delta(delta) if isinstance(delta, dict) else None,
        _string(choice.get("finish_reason")),
        index if isinstance(index, int) else None,
    )


def _lenient_delta(delta: Json) -> _Delta:
    text, thinking = plain_content(delta.get("content"))
    calls, function = delta.get("tool_calls"), delta.get("function_call")
    return _Delta(
        content=text,
        reasoning_content=_string(delta.get("reasoning_content")) or thinking or None,
        reasoning=_string(delta.get("reasoning")),
        refusal=_string(delta.get("refusal")),
        tool_calls=[_lenient_call(c) for c in calls if isinstance(c, dict)] if isinstance(calls, list) else None,
        function_call=_lenient_function(function) if isinstance(function, dict) else None,
        reasoning_details=delta.get("reasoning_details"),
    )


def _lenient_call(call: Json) -> _Call:
    function, index = call.get("function"), call.get("index")
    return _Call(
        index if isinstance(index, int) else None,
        _string(call.get("id")),
        _lenient_function(function) if isinstance(function, dict) else None,
        call.get("extra_content"),
    )


def _lenient_function(function: Json) -> _Function:
    return _Function(_string(function.get("name")), arguments_text(function.get("arguments")))


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def stream_parser() -> StreamParser:
    return StreamParser()
