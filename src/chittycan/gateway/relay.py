"""What the client of a stream gets, over one or more upstream streams: forwarded, translated, and mended.

An answer that breaks off is continued by the next model of the chain while it is plain text: from an assistant
prefill where the model supports that, else by a restart whose already-sent beginning is held back while it
matches. Anything else ends with an in-band error; a finish reason is never invented.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from chittycan.chat import (
    CONTENT_EVENTS,
    ChatEvent,
    ChatRequest,
    Finished,
    Message,
    Started,
    Text,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    Usage,
    UsageReported,
)
from chittycan.dialects import load
from chittycan.errors import InvalidRequest, StreamBroken
from chittycan.gateway.attempt import AttemptFailed
from chittycan.gateway.call import Call
from chittycan.gateway.placeholders import Retelling
from chittycan.gateway.stream import Batch, Live
from chittycan.routing.failure import Failure

Recover = Callable[["Relay", AttemptFailed], Awaitable["Continuation"]]


def continued(chat: ChatRequest, text: str) -> ChatRequest:
    """The same request with `text` as the started answer. Anthropic refuses trailing white space in a prefill."""
    prefill = Text(text.rstrip())
    messages = list(chat.messages)
    if messages and messages[-1].role == "assistant":
        messages[-1] = Message("assistant", [*messages[-1].parts, prefill])
    else:
        messages.append(Message("assistant", [prefill]))
    left = None if chat.max_tokens is None else max(1, chat.max_tokens - len(text) // 4)
    return msgspec.structs.replace(chat, messages=messages, max_tokens=left)


class Continuation:
    """A second stream that goes on where the first broke off; what the client already has is held back."""

    def __init__(self, live: Live, already: str, optional: bool = False) -> None:
        self.live = live
        self._already = already  # still expected at the beginning of this stream
        self._optional = optional  # the white space that a prefill lost may or may not come again

    async def next(self) -> Batch:
        while True:
            batch = await self.live.next()
            if not batch or not self._already:
                return batch
            kept = [(raw, fresh) for raw, events in batch if (fresh := self._fresh(events))]
            if kept:
                return kept

    def _fresh(self, events: list[ChatEvent]) -> list[ChatEvent]:
        """The events that the client does not have yet. Raises AttemptFailed where the two answers differ."""
        fresh = []
        for event in events:
            if isinstance(event, TextDelta):
                event.text = self._beyond(event.text)
                if not event.text:
                    continue
            elif self._already and not self._optional:
                if isinstance(event, ThinkingDelta | ThinkingSigned):
                    continue  # of the beginning of the answer, which the client has
                if isinstance(event, (Finished, *CONTENT_EVENTS)):
                    raise self._differs()
            fresh.append(event)
        return fresh

    def _beyond(self, text: str) -> str:
        shared = _shared(text, self._already)
        if self._optional and shared < len(text):
            self._already = ""
        elif shared < min(len(text), len(self._already)):
            raise self._differs()
        else:
            self._already = self._already[shared:]
        return text[shared:]

    def _differs(self) -> AttemptFailed:
        self.live.close()
        return AttemptFailed.here(Failure.TRUNCATED, 502, "the restarted answer differs from what was already sent")


def _shared(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


class Relay:
    """One stream to one client. `sent` is the text that the client has."""

    def __init__(self, call: Call, live: Live, recover: Recover) -> None:
        self.call = call
        self.source: Live | Continuation = live
        self.first = live
        self.sent: list[str] = []
        self.mended = False
        self.plain = True  # it has nothing but text: the only kind of answer that another model can continue
        self.finished = False
        self._recover = recover

    @property
    def live(self) -> Live:
        return self.source if isinstance(self.source, Live) else self.source.live

    @property
    def recoverable(self) -> bool:
        """Only plain text can be continued by another model."""
        if not self.plain or self.finished:
            return False
        chat = self.call.chat
        return (
            chat.n == 1 and not chat.logprobs and (chat.response_format is None or chat.response_format.kind == "text")
        )

    async def batches(self) -> AsyncIterator[Batch]:
        """All that the client gets, as it comes. Raises StreamBroken where it cannot be mended."""
        while True:
            try:
                batch = await self.source.next()
            except AttemptFailed as failed:
                self.source = await self._recover(self, failed)
                self.mended = True
                continue
            if not batch:
                return
            for _, events in batch:
                for event in events:
                    if type(event) is TextDelta:
                        self.sent.append(event.text)
                        if event.choice:
                            self.plain = False
                    elif isinstance(event, CONTENT_EVENTS):
                        self.plain = False
                    elif type(event) is Finished:
                        self.finished = True
            yield batch

    async def _told(self) -> AsyncIterator[Batch]:
        """As `batches`, with what is private back in its place; what is raw in them is then of no use."""
        if self.call.placeholders is None:
            async for batch in self.batches():
                yield batch
            return
        retelling = Retelling(self.call, self.call.placeholders)
        try:
            async for batch in self.batches():
                yield [(raw, retelling.events(events)) for raw, events in batch]
        except StreamBroken:
            yield [(b"", retelling.close())]
            raise
        yield [(b"", retelling.close())]

    async def events(self) -> AsyncIterator[ChatEvent]:
        """For a caller in this process."""
        async for batch in self._told():
            for _, events in batch:
                for event in events:
                    if not (self.mended and isinstance(event, Started)):
                        yield event

    async def chunks(self, include_usage: bool) -> AsyncIterator[bytes]:
        """For a client: bytes in its dialect, ending with its end marker, or with an in-band error."""
        call = self.call
        dialect: Any = load(call.surface or "openai")
        same = call.surface == self.live.candidate.provider.dialect and call.placeholders is None
        writer = Writer(call, dialect, self.first, include_usage, same)
        try:
            async for batch in self._told():
                if self.mended:
                    writer.translate(self.sent, batch)
                data = writer.write(batch)
                if data:
                    yield data
        except StreamBroken as error:
            writer.translate(self.sent, None)
            yield writer.fail(error)
            return
        tail = writer.end(self.live, self.sent)
        if tail:
            yield tail


class Writer:
    """Turns batches into the client's bytes: raw while both sides speak the same dialect, built otherwise."""

    def __init__(self, call: Call, dialect: Any, first: Live, include_usage: bool, same: bool) -> None:
        """`first`: the stream whose id the client knows the answer by."""
        self._call, self._dialect, self._include_usage = call, dialect, include_usage
        self._hides_usage = same and not include_usage and dialect.name == "openai"
        self._first = first
        self._last = b""  # the events that were forwarded raw last
        self._builder: Any = None if same else self._new_builder(include_usage)

    def _new_builder(self, include_usage: bool) -> Any:
        started = self._first.seen.started
        model = (started.model if started else None) or self._first.candidate.model.upstream
        call = self._call
        return self._dialect.stream_builder(call.request_id, model, int(call.at), include_usage, self._request())

    def _request(self) -> ChatRequest | None:
        try:
            return self._call.chat
        except InvalidRequest:  # passed through unread, and its provider understood it
            return None

    def translate(self, sent: list[str], batch: Batch | None) -> None:
        """From now on events are built, on top of what was forwarded raw. `sent` may already count `batch`."""
        if self._builder is not None:
            return
        fresh = sum(len(event.text) for _, events in batch or [] for event in events if type(event) is TextDelta)
        text = "".join(sent)
        text = text[: len(text) - fresh]
        started = self._first.seen.started or Started()
        builder = self._builder = self._new_builder(self._include_usage)
        if hasattr(builder, "resume"):  # a dialect that numbers its events and names their parts
            builder.resume(started.id, text, self._last)
        else:
            builder.build(started)
            builder.build(TextDelta(text))

    def write(self, batch: Batch) -> bytes:
        if self._builder is None:
            self._last = batch[-1][0]
            if not self._hides_usage:
                return b"".join([raw for raw, _ in batch])
            return b"".join([raw for raw, events in batch if not _only_usage(events)])
        build = self._builder.build
        return b"".join([build(event) for _, events in batch for event in events])

    def fail(self, error: StreamBroken) -> bytes:
        failure: bytes = self._builder.fail(error)
        return failure

    def end(self, live: Live, sent: list[str]) -> bytes:
        """What closes the stream: nothing where the provider's own end marker was forwarded."""
        if self._builder is not None:
            end: bytes = self._builder.end()
            return end
        if live.seen.done:
            return b""
        self._include_usage = False  # forwarded raw already, where it came
        self.translate(sent, None)
        builder: Any = self._builder
        if live.seen.finished is not None:
            builder.build(live.seen.finished)
        tail: bytes = builder.end()
        return tail


def _only_usage(events: list[ChatEvent]) -> bool:
    return len(events) == 1 and type(events[0]) is UsageReported


def estimated_usage(reported: Usage | None, text: list[str], input_tokens: int) -> Usage:
    """The usage of an answer that broke off: what the provider said, or about four characters to a token."""
    written = max(1, sum(map(len, text)) // 4) if text else 0
    if reported is None:
        return Usage(input=input_tokens, output=written)
    return msgspec.structs.replace(reported, output=max(reported.output, written))
