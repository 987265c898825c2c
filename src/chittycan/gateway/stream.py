"""One upstream stream: read it, know when content has begun, and say how it ended.

`Live` wraps a response whose first content has been seen. Its batches are what came with one network read:
for each server-sent event its raw bytes and its neutral events. How it breaks off is an `AttemptFailed`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from chittycan.chat import (
    CONTENT_EVENTS,
    ChatEvent,
    Done,
    Failed,
    Finished,
    Malformed,
    Started,
    TextDelta,
    Usage,
    UsageReported,
)
from chittycan.dialects.names import restore_event
from chittycan.dialects.sse import Event, Splitter
from chittycan.gateway.attempt import AttemptFailed, Deadlines, translate
from chittycan.providers.connection import ConnectionCut, TimedOut
from chittycan.providers.transport import Response
from chittycan.routing.decide import Candidate
from chittycan.routing.failure import Failure, classify

LAST_EVENTS = 4  # finish, usage and end marker come together with the last text
DRAIN_SECONDS = 0.5  # how long a finished stream's connection may take to end cleanly and be used again

Batch = list[tuple[bytes, list[ChatEvent]]]


class Seen(Struct):
    """What a stream has shown so far."""

    started: Started | None = None
    content: bool = False
    text: list[str] = []
    finished: Finished | None = None
    done: bool = False
    usage: Usage | None = None
    malformed: int = 0


class Live:
    """An upstream stream, from its headers to its end."""

    def __init__(
        self,
        candidate: Candidate,
        response: Response,
        dialect: Any,
        limits: Deadlines,
        names: Mapping[str, str],
        forwarded: bool,
    ) -> None:
        """`names`: stand-ins of tool names → the client's own. `forwarded`: the client gets the raw bytes, so that
        text that came together may stay together."""
        self.candidate = candidate
        self.seen = Seen()
        self._response = response
        self._parser = dialect.stream_parser()
        self._splitter = Splitter()
        self._limits = limits
        self._names = names
        self._forwarded = forwarded
        self._held: Batch = []  # what came before and with the first content
        self._ended = False  # the body has; whether well is another question
        self._over = False
        self._broken: AttemptFailed | None = None  # found behind events that are still to be forwarded

    @property
    def over(self) -> bool:
        """Read to its end, and the response is closed or about to be."""
        return self._over

    async def begin(self) -> None:
        """Reads until content, or a complete answer without any. Raises AttemptFailed; the response is then closed."""
        try:
            while not (self.seen.content or self.seen.done or self._ended):
                self._held += await self._pull(self._limits.first or self._limits.total, "first")
            if not self.seen.content and self.seen.finished is None:
                raise AttemptFailed.here(Failure.TRANSIENT, 502, "the stream ended before any content")
        except BaseException:
            self._response.close()
            raise

    async def next(self) -> Batch:
        """The next batch; an empty list at the clean end. Raises AttemptFailed where the stream breaks."""
        batch, self._held = self._held, []
        while not (batch or self._broken or self.seen.done or self._ended):
            idle = asyncio.get_running_loop().time() + self._limits.idle
            try:
                batch = await self._pull(min(idle, self._limits.total), "idle")
            except BaseException:
                self._response.close()
                raise
        if batch:
            return batch
        if self._broken is None and self.seen.finished is None and not self.seen.done:
            self._broken = AttemptFailed.here(Failure.TRUNCATED, 502, "the stream ended without a finish reason")
        if self._broken is not None:
            self._response.close()
            raise self._broken
        self._finish()
        return []

    def close(self) -> None:
        """Stops the upstream at once."""
        self._response.close()

    def _finish(self) -> None:
        """After the end marker the connection is given back once its body has ended too, or dropped."""
        if self._ended:
            self._response.close()
        else:
            task = asyncio.get_running_loop().create_task(_drain(self._response))
            _draining.add(task)
            task.add_done_callback(_draining.discard)
        self._ended = self._over = True

    async def _pull(self, deadline: float, stage: str) -> Batch:
        """One network read; it may bring nothing to forward, yet shows that the provider is alive. An error event
        inside the stream raises."""
        try:
            data = await self._response.read(deadline)
        except (ConnectionCut, TimedOut) as error:
            if self.seen.finished is not None and stage == "idle":
                self._ended = True
                return []
            failed = translate(error, self._limits)
            if stage == "idle":
                failed.failure = Failure.TRUNCATED
            raise failed from error
        batch: Batch = []
        try:
            block = self._splitter.block(data) if self._forwarded and data else None
            if block is not None:
                self._forward(block, batch)
            else:
                self._take(self._splitter.feed(data) if data else self._splitter.close(), batch)
        except ValueError as error:
            raise AttemptFailed.here(Failure.TRANSIENT, 502, str(error)) from error
        self._ended = not data
        return batch

    def _forward(self, block: bytes, batch: Batch) -> None:
        """Whole events whose raw bytes the client gets: text that came together is read in one piece.

        Singly read are the events before the first content and, where the end of the answer is among them, the last.
        """
        start = 0
        while start < len(block) and not (self.seen.content or self.seen.done):
            end = block.find(b"\n\n", start) + 2
            self._take(self._splitter.cut(block[start:end]), batch)
            start = end
        rest = block[start:]
        if not rest or self._broken is not None or self.seen.done:
            return
        last = rest.rfind(b"\n\n", 0, -2) + 2
        length = len(rest) if self._parser.plain(rest[last:]) is not None else _before_the_last(rest)
        text = self._parser.plain(rest[:length]) if length else None
        if text is not None:
            self.seen.text.append(text)
            batch.append((rest[:length], [TextDelta(text)]))
            rest = rest[length:]
        self._take(self._splitter.cut(rest), batch)

    def _take(self, events: list[Event], batch: Batch) -> None:
        """Reads single events; what may be forwarded goes to `batch`."""
        feed = self._parser.feed
        for event in events:
            if event.comment:
                continue
            parsed = feed(event.event, event.data)
            if self._names:
                parsed = [restore_event(each, self._names) for each in parsed]
            try:
                if self._note(parsed):
                    batch.append((event.raw, parsed))
            except AttemptFailed as failed:
                if not batch or not self.seen.content:
                    raise
                self._broken = failed
                return
            if self.seen.done:
                return

    def _note(self, events: list[ChatEvent]) -> bool:
        """Takes notice of one event's meaning; False where it must not be forwarded."""
        seen = self.seen
        for event in events:
            if type(event) is TextDelta:
                seen.content = True
                seen.text.append(event.text)
            elif isinstance(event, Malformed):
                seen.malformed += 1
                return False
            elif isinstance(event, Failed):
                self._raise(event)
            elif isinstance(event, Finished):
                seen.finished = event
            elif isinstance(event, UsageReported):
                if event.usage.believable:
                    seen.usage = event.usage
            elif isinstance(event, Started):
                seen.started = seen.started or event
                if event.usage is not None and event.usage.believable:
                    seen.usage = event.usage
            elif isinstance(event, Done):
                seen.done = True
            elif isinstance(event, CONTENT_EVENTS):
                seen.content = True
        return True

    def _raise(self, failed: Failed) -> None:
        if self.seen.content:
            raise AttemptFailed(Failure.TRUNCATED, failed)
        raise AttemptFailed(classify(failed), failed)


def _before_the_last(block: bytes) -> int:
    """Where the last few events of a block begin; 0 where there are no more than those."""
    place = len(block)
    for _ in range(LAST_EVENTS + 1):
        place = block.rfind(b"\n\n", 0, place)
        if place < 0:
            return 0
    return place + 2


_draining: set[asyncio.Task[None]] = set()


async def _drain(response: Response) -> None:
    deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
    try:
        while await response.read(deadline):
            pass
    except (ConnectionCut, TimedOut):
        pass
    response.close()
