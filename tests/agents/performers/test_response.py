"""Telling a response as it comes: in batches, through outages of the database, and never two tries at once."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from chittycan.agents.performers.response import TELL_BYTES, response
from chittycan.auth.keys import Key
from chittycan.chat import ChatEvent, ChatRequest, Finished, Started, TextDelta, user
from chittycan.dialects.openai_responses import stream_builder
from chittycan.dialects.openai_responses.background import begun
from chittycan.dialects.sse import Splitter
from chittycan.errors import AllFailed, ChittyError, StreamBroken, Unauthenticated, Unavailable
from chittycan.gateway.call import Call, Reply, Trace
from chittycan.routing.decide import Decision
from chittycan.testing.clock import FakeClock
from chittycan.workstreams.task import Done, Failed, Outcome, Task, WaitForModel

TASK = Task(
    id="resp_1", type="response", tries=1, key_id="key_1", kind="legal", options={"models": ["a", "b"]},
    spec={
        "body": {"model": "m", "input": "Hi", "stream": True},
        "response": begun("resp_1", 1, ChatRequest(model="m", messages=[user("Hi")])),
        "forward": [["openai-beta", "x"]],
    },
)  # fmt: skip


MIDDLE = 5  # the block of a stream before which it can be held


class Audience:
    """Keeps what it is told; `away` times it cannot be reached; beyond `until` events another try has taken over."""

    def __init__(self, away: int = 0, until: int = 10**9) -> None:
        self.rows: list[Sequence[bytes]] = []
        self._away, self._until = away, until

    @property
    def events(self) -> list[Any]:
        return [json.loads(each) for row in self.rows for each in row]

    async def shown(self, response: str) -> list[bytes]:
        return []

    async def tell(self, task: Task, events: Sequence[bytes], last: int) -> bool:
        if self._away:
            self._away -= 1
            raise Unavailable("the database is away")
        if len(self.events) + len(events) > self._until:
            return False
        self.rows.append(events)
        assert self.events[-1]["sequence_number"] == last
        return True


class Stream:
    """An answer of these words, which come at once; `error`: it broke off."""

    def __init__(self, call: Call, words: Sequence[str], error: ChittyError | None, goes_on: asyncio.Event) -> None:
        self.trace = Trace(request_id=call.request_id, model="m", cost_nano=7)
        self.error, self.closed, self._goes_on = error, False, goes_on
        builder = stream_builder(call.request_id, "m", 1, True)
        events: list[ChatEvent] = [Started(), *(TextDelta(word) for word in words), Finished("stop")]
        data = b"".join(builder.build(event) for event in events) + (builder.fail(error) if error else builder.end())
        self._blocks = [event.raw for event in Splitter().feed(data)]

    async def chunks(self) -> AsyncGenerator[bytes]:
        try:
            for place, block in enumerate(self._blocks):
                if place == MIDDLE:
                    await self._goes_on.wait()
                await asyncio.sleep(0)
                yield block
        finally:
            self.closed = True


class Gateway:
    def __init__(self, words: Sequence[str], error: ChittyError | None = None, refuses: bool = False) -> None:
        self._words, self._error, self._refuses = words, error, refuses
        self.calls: list[Call] = []
        self.stream: Stream | None = None
        self.goes_on = asyncio.Event()  # past the middle of its stream
        self.goes_on.set()

    def decide(self, call: Call) -> Decision:
        return Decision((), (), "as named")

    async def complete(self, call: Call) -> Reply:
        raise AssertionError("nobody asked for a whole answer")

    async def open(self, call: Call) -> Stream:
        self.calls.append(call)
        if self._refuses and self._error is not None:
            raise self._error
        self.stream = Stream(call, self._words, self._error, self.goes_on)
        return self.stream


class SlowAudience(Audience):
    """Has written at once, and says so only when the whole answer has come: as a database on a thread may."""

    def __init__(self, gateway: "Gateway") -> None:
        super().__init__()
        self._gateway = gateway

    async def tell(self, task: Task, events: Sequence[bytes], last: int) -> bool:
        written = await super().tell(task, events, last)
        self._gateway.goes_on.set()
        while self._gateway.stream is None or not self._gateway.stream.closed:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return written


async def perform(gateway: Gateway, audience: Audience, task: Task = TASK, key: Key | None = None) -> Outcome:
    """The outcome, while time passes."""
    clock = FakeClock()

    async def key_of(key_id: str) -> Key:
        if key is None:
            raise Unauthenticated("the key was revoked")
        assert key.id == key_id
        return key

    performing = asyncio.ensure_future(response(gateway, audience, clock, key_of)(task))
    while not performing.done():
        await clock.run(0.3)
    return await performing


KEY = Key(id="key_1", name="a key")


async def test_the_call_is_the_submitters_own_with_all_that_was_asked() -> None:
    gateway = Gateway(["Hi"])
    outcome = await perform(gateway, Audience(), key=KEY)
    [call] = gateway.calls
    assert (call.key, call.model, call.stream, call.surface) == (KEY, "m", True, "openai_responses")
    assert (call.options.kind, call.options.models, call.options.task) == ("legal", ("a", "b"), "resp_1")
    assert call.forward == (("openai-beta", "x"),)
    assert msgspec.json.decode(call.body) == call.fields == TASK.spec["body"]
    assert isinstance(outcome, Done)
    assert (outcome.result["text"], outcome.model, outcome.cost_nano) == ("Hi", "m", 7)


async def test_a_key_that_was_revoked_meanwhile_asks_nothing() -> None:
    gateway = Gateway(["Hi"])
    with pytest.raises(Unauthenticated):
        await perform(gateway, Audience())
    assert not gateway.calls


async def test_what_is_told_waits_out_an_absence_of_the_database() -> None:
    audience = Audience(away=5)
    outcome = await perform(Gateway(["One ", "two ", "three."]), audience, key=KEY)
    assert isinstance(outcome, Done)
    deltas = [event["delta"] for event in audience.events if event["type"] == "response.output_text.delta"]
    assert deltas == ["One ", "two ", "three."]
    numbers = [event["sequence_number"] for event in audience.events]
    assert numbers == list(range(2, 2 + len(numbers)))


async def test_an_answer_that_ends_while_its_beginning_is_written_is_told_once() -> None:
    gateway = Gateway(["One ", "two ", "three."])
    gateway.goes_on.clear()
    audience = SlowAudience(gateway)
    await perform(gateway, audience, key=KEY)
    numbers = [event["sequence_number"] for event in audience.events]
    assert numbers == list(range(2, 2 + len(numbers)))
    assert len(audience.rows) == 2


async def test_a_fast_stream_is_stored_in_large_pieces() -> None:
    audience = Audience()
    word = "w" * (TELL_BYTES // 8)
    await perform(Gateway([word] * 64), audience, key=KEY)
    assert 8 <= len(audience.rows) <= 24
    assert sum(event["type"] == "response.output_text.delta" for event in audience.events) == 64


async def test_a_try_that_was_taken_over_ends_without_an_outcome() -> None:
    gateway, audience = Gateway(["w" * TELL_BYTES] * 9), Audience(until=4)
    with suppress(asyncio.CancelledError):
        raise AssertionError(await perform(gateway, audience, key=KEY))
    assert gateway.stream is not None
    assert gateway.stream.closed
    assert len(audience.events) <= 4


async def test_a_broken_answer_may_be_tried_again_and_has_its_price() -> None:
    outcome = await perform(Gateway(["One "], StreamBroken("it broke off")), Audience(), key=KEY)
    assert isinstance(outcome, Failed)
    assert outcome.again
    assert outcome.cost_nano == 7


async def test_a_chain_that_cannot_answer_now_is_waited_for() -> None:
    error = AllFailed("nobody", attempts=[{"model": "a", "class": "transient", "status": 503, "ms": 1}])
    outcome = await perform(Gateway([], error, refuses=True), Audience(), key=KEY)
    assert isinstance(outcome, WaitForModel)
