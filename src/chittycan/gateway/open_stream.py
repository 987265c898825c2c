"""A stream that has begun, from its first content to its record.

Iterate `chunks` (a client's bytes) or `events` (neutral) to the end, or `close` it: whoever stops early stops the
upstream at once, and what was produced by then is accounted.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from chittycan.chat import ChatEvent, Usage
from chittycan.errors import ChittyError, StreamBroken
from chittycan.gateway.attempt import AttemptFailed
from chittycan.gateway.cache import ResponseCache
from chittycan.gateway.call import Call, Reply, Trace
from chittycan.gateway.chain import Tried
from chittycan.gateway.facts import input_tokens
from chittycan.gateway.relay import Continuation, Relay, estimated_usage
from chittycan.gateway.running import Running
from chittycan.gateway.stream import Live
from chittycan.routing.decide import Candidate


class Endings(Protocol):
    """What the gateway does for a stream under way."""

    async def take_up(self, running: Running, candidates: Sequence[Candidate], text: str) -> Continuation: ...

    def cut(self, running: Running, candidate: Candidate, failed: AttemptFailed, usage: Usage) -> Tried: ...

    def served(self, running: Running, candidate: Candidate, usage: Usage | None) -> Trace: ...

    def broken(self, running: Running, candidate: Candidate, error: ChittyError) -> Trace: ...

    def left(self, running: Running, candidate: Candidate, usage: Usage) -> Trace: ...


class OpenStream:
    """`trace` says what is known so far; after the end it is complete."""

    def __init__(
        self,
        endings: Endings | None,
        running: Running | None,
        relay: Relay | None,
        cache: ResponseCache | None,
        trace: Trace,
    ) -> None:
        self._endings, self._running, self._relay, self._cache = endings, running, relay, cache
        self._replay = b""
        self._error: ChittyError | None = None
        self._settled = False
        self._cut: Live | None = None  # broken off, and accounted for as such
        self.trace = trace

    @classmethod
    def begin(cls, endings: Endings, running: Running, live: Live, cache: ResponseCache, now: float) -> "OpenStream":
        """`now`: monotonic seconds."""
        stream = cls(endings, running, None, cache, running.trace(live.candidate, now))
        stream._relay = Relay(running.call, live, stream._recover)
        return stream

    @classmethod
    def replay(cls, reply: Reply) -> "OpenStream":
        """An answer that the cache kept as the stream it was."""
        stream = cls(None, None, None, None, reply.trace)
        stream._replay, stream._settled = reply.body, True
        return stream

    @property
    def error(self) -> ChittyError | None:
        """Why the answer broke off for good; the client was told so within the stream."""
        return self._error

    async def chunks(self) -> AsyncGenerator[bytes]:
        if self._relay is None or self._running is None or self._cache is None:
            yield self._replay
            return
        call = self._running.call
        kept: list[bytes] | None = [] if self._cache.wanted(call) else None
        try:
            async for chunk in self._relay.chunks(wants_usage(call)):
                if kept is not None:
                    kept.append(chunk)
                yield chunk
        finally:
            self.close()
        if kept is not None and self._error is None:
            await self._cache.keep(call, b"".join(kept), self.trace)

    async def events(self) -> AsyncGenerator[ChatEvent]:
        """Raises StreamBroken where the answer breaks off for good."""
        if self._relay is None:
            return
        try:
            async for event in self._relay.events():
                yield event
        finally:
            self.close()

    def close(self) -> None:
        """Records the end, whichever it is. Before the end of the answer it is the client that left."""
        if self._settled or self._relay is None or self._running is None or self._endings is None:
            return
        self._settled = True
        live, running = self._relay.live, self._running
        if self._error is not None:
            self.trace = self._endings.broken(running, live.candidate, self._error)
        elif live.seen.finished is not None or live.seen.done:
            if not live.over:  # the client left behind the last word
                live.close()
            usage = live.seen.usage or estimated_usage(None, live.seen.text, input_tokens(running.call))
            self.trace = self._endings.served(running, live.candidate, usage)
            if running.call.answered is not None:
                running.call.answered("".join(self._relay.sent), self.trace)
        else:
            live.close()
            usage = Usage()
            if live is not self._cut:
                usage = estimated_usage(live.seen.usage, live.seen.text, input_tokens(running.call))
            self.trace = self._endings.left(running, live.candidate, usage)

    async def _recover(self, relay: Relay, failed: AttemptFailed) -> Continuation:
        """How a broken stream is taken up by the next model of the chain. Raises StreamBroken."""
        assert self._running is not None
        assert self._endings is not None
        running, broken = self._running, relay.live
        self._cut = broken
        usage = estimated_usage(broken.seen.usage, broken.seen.text, input_tokens(running.call))
        self._endings.cut(running, broken.candidate, failed, usage)
        rest = [candidate for candidate in running.decision.chain if candidate not in running.trail.asked]
        try:
            if failed.by_caller or not relay.recoverable or not rest:
                raise StreamBroken("The answer broke off and could not be continued.", attempts=running.trail.public())
            return await self._endings.take_up(running, rest, "".join(relay.sent))
        except StreamBroken as error:
            self._error = error
            raise
        except ChittyError as error:
            self._error = StreamBroken(
                "The answer broke off and no other model could continue it.", attempts=running.trail.public()
            )
            raise self._error from error


def wants_usage(call: Call) -> bool:
    """In OpenAI's chat dialect usage is only streamed to a client that asked; elsewhere it is part of the stream."""
    if call.surface in ("openai", "openai_completions"):
        options = call.fields.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True
    return True
