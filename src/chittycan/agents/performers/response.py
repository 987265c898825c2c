"""Background responses: the client's own request, made by whichever worker is free, told as it comes.

A try that is repeated (the worker died, or no model could finish) goes on after what was told before;
`dialects.openai_responses.background` says how.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from chittycan.agents.performers.waits import LONGEST_PAUSE, outcome_of
from chittycan.auth.keys import Key
from chittycan.chat import Json
from chittycan.clock import Clock
from chittycan.dialects.openai_responses.background import Told, ended
from chittycan.errors import ChittyError, Unavailable
from chittycan.gateway.call import Call, Options, Reply, Trace
from chittycan.routing.decide import PRIVATE, Decision
from chittycan.routing.privacy.placeholders import REDACTED
from chittycan.workstreams.task import Done, Outcome, Performer, Task

SURFACE = "openai_responses"
CALL_SECONDS = 3600.0  # a whole try, where the caller sets no limit; of each model, its provider's timeouts count
TELL_SECONDS = 0.2  # what has come is stored this often
TELL_BYTES = 32 << 10  # or when it is so much
AWAY_SECONDS = 1.0  # between tries to store it while the database is away


class Stream(Protocol):
    trace: Trace

    @property
    def error(self) -> ChittyError | None: ...
    def chunks(self) -> AsyncGenerator[bytes]: ...


class Gateway(Protocol):
    def decide(self, call: Call) -> Decision: ...
    async def complete(self, call: Call) -> Reply: ...
    async def open(self, call: Call) -> Stream: ...


class Audience(Protocol):
    """Where the events go, for whoever follows (`workstreams.responses`)."""

    async def shown(self, response: str) -> list[bytes]: ...
    async def tell(self, task: Task, events: Sequence[bytes], last: int) -> bool: ...


def response(
    gateway: Gateway,
    audience: Audience,
    clock: Clock,
    key_of: Callable[[str], Awaitable[Key]],
    enforcing: Callable[[], bool] = lambda: False,
) -> Performer:
    """`key_of` finds a key by its id (raises AccessError where it may not be used any more); `enforcing` is that of
    `Parts`."""

    def done(answer: Json, trace: Trace) -> Done:
        marks = {"label": PRIVATE} if enforcing() and trace.label in (PRIVATE, REDACTED) else {}
        result = {"text": _text(answer), "response": answer, **marks}
        return Done(result=result, model=trace.model, cost_nano=trace.cost_nano)

    async def perform(task: Task) -> Outcome:
        call = _call(task, None if task.key_id is None else await key_of(task.key_id), clock)
        try:
            if not call.stream:
                reply = await gateway.complete(call)
                answer = ended(task.spec["response"], msgspec.json.decode(reply.body))
                return done(answer, reply.trace)
            told = Told(task.spec["response"], await audience.shown(task.id))
            stream = await gateway.open(call)
        except ChittyError as error:
            return outcome_of(error, _chain(gateway, call), clock.now())
        teller = Teller(audience, task, clock)
        await teller.relay(stream, told)
        if stream.error is not None:
            return outcome_of(stream.error, _chain(gateway, call), clock.now(), cost_nano=stream.trace.cost_nano)
        assert told.answer is not None
        return done(told.answer, stream.trace)

    return perform


class Teller:
    """Stores events in batches while they come. Another try's are not to be mixed with ours: then it ends."""

    def __init__(self, audience: Audience, task: Task, clock: Clock) -> None:
        self._audience, self._task, self._clock = audience, task, clock
        self._waiting: list[bytes] = []
        self._size = 0
        self._last = 0
        self._telling = asyncio.Lock()
        self._void = False

    async def relay(self, stream: Stream, told: Told) -> None:
        """Raises CancelledError where another try has taken over: what this one comes to is nobody's business."""
        telling = asyncio.create_task(self._tell_regularly())
        chunks = stream.chunks()
        try:
            async for chunk in chunks:
                events = told.take(chunk)
                self._waiting += events
                self._size += sum(map(len, events))
                self._last = told.last
                if self._size >= TELL_BYTES:
                    with suppress(Unavailable):
                        await self._tell()
                if self._void:
                    break
        finally:
            await chunks.aclose()
            async with self._telling:  # what is being written is done, and said to be
                telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        while self._waiting and not self._void:
            try:
                await self._tell()
            except Unavailable:
                await self._clock.sleep(AWAY_SECONDS)
        if self._void:
            raise asyncio.CancelledError

    async def _tell_regularly(self) -> None:
        while not self._void:
            await self._clock.sleep(TELL_SECONDS)
            with suppress(Unavailable):
                await self._tell()

    async def _tell(self) -> None:
        async with self._telling:
            events, last = self._waiting[:], self._last
            if not events:
                return
            self._void = not await self._audience.tell(self._task, events, last)
            del self._waiting[: len(events)]
            self._size = sum(map(len, self._waiting))


def _call(task: Task, key: Key | None, clock: Clock) -> Call:
    fields: Json = task.spec["body"]
    wishes: Mapping[str, Any] = {
        "timeout": CALL_SECONDS, "kind": task.kind, "session": task.session, **task.options, "task": task.id
    }  # fmt: skip
    return Call(
        # A try's own: its items must not have the ids of another's.
        request_id=f"req_{task.id.removeprefix('resp_')}_{task.tries}",
        model=fields["model"], stream=fields.get("stream") is True, surface=SURFACE,
        options=msgspec.convert(wishes, Options), key=key, body=msgspec.json.encode(fields), fields=fields,
        forward=tuple((name, value) for name, value in task.spec.get("forward", ())),
        keep_answering=task.spec.get("keep_answering", False), longest_pause=LONGEST_PAUSE,
        at=clock.now(), started=clock.monotonic(),
    )  # fmt: skip


def _chain(gateway: Gateway, call: Call) -> dict[str, str]:
    """Who might have answered, each with its provider."""
    try:
        return {each.model.name: each.provider.name for each in gateway.decide(call).chain}
    except ChittyError:
        return {}


def _text(answer: Json) -> str:
    items = [item for item in answer.get("output") or [] if item.get("type") == "message"]
    parts = [part for item in items for part in item.get("content") or []]
    return "".join(part.get("text", "") for part in parts if part.get("type") == "output_text")
