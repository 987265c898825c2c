"""A stream under way, from its first content to its record: every ending is recorded once, and nothing leaks."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from chittycan.chat import TextDelta, Usage
from chittycan.errors import AllFailed, ChittyError, StreamBroken
from chittycan.gateway.attempt import AttemptFailed
from chittycan.gateway.cache import ResponseCache
from chittycan.gateway.call import Call, Options, Reply, Trace
from chittycan.gateway.chain import Tried
from chittycan.gateway.open_stream import OpenStream, wants_usage
from chittycan.gateway.relay import Continuation
from chittycan.gateway.running import Running
from chittycan.gateway.ticket import Ticket
from chittycan.routing.decide import Candidate, Decision
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from gateway_parts import CUT, DONE, FINISH, ROLE, USAGE, ScriptedResponse, call, candidate, chunk, live, settle, texts

FIRST, SECOND = candidate("first"), candidate("second")
WHOLE = ROLE + chunk("Hel") + chunk("lo") + FINISH + USAGE + DONE


class Endings:
    """Remembers what it is told; goes on with `more` where a stream breaks."""

    def __init__(self, more: Sequence[bytes | Exception] | ChittyError | None = None) -> None:
        self.told: list[tuple[str, Any]] = []
        self.asked: list[str] = []
        self.text = ""
        self._more = more

    async def take_up(self, running: Running, candidates: Sequence[Candidate], text: str) -> Continuation:
        self.asked, self.text = [each.model.name for each in candidates], text
        if self._more is None or isinstance(self._more, ChittyError):
            raise self._more or AllFailed("nobody")
        source = live(ScriptedResponse(*self._more), SECOND)
        await source.begin()
        running.trail.asked.append(SECOND)
        return Continuation(source, text)

    def cut(self, running: Running, candidate: Candidate, failed: AttemptFailed, usage: Usage) -> Tried:
        self.told.append(("cut", usage))
        return Tried(candidate, failed, 1.0)

    def served(self, running: Running, candidate: Candidate, usage: Usage | None) -> Trace:
        self.told.append(("served", usage))
        return running.trace(candidate, 2.0)

    def broken(self, running: Running, candidate: Candidate, error: ChittyError) -> Trace:
        self.told.append(("broken", type(error)))
        return running.trace(candidate, 2.0)

    def left(self, running: Running, candidate: Candidate, usage: Usage) -> Trace:
        self.told.append(("left", usage))
        return running.trace(candidate, 2.0)


@pytest.fixture
def cache(sqlite: Database, clock: FakeClock) -> ResponseCache:
    return ResponseCache(sqlite, clock)


async def opened(
    cache: ResponseCache, endings: Endings, *pieces: bytes | Exception, asked: Call | None = None
) -> tuple[OpenStream, ScriptedResponse]:
    asked = asked or call(stream=True)
    running = Running(asked, Decision((FIRST, SECOND), (), "named"), Ticket(5, 5, None, ()), 600.0)
    running.trail.asked.append(FIRST)
    response = ScriptedResponse(*pieces)
    source = live(response, FIRST)
    await source.begin()
    return OpenStream.begin(endings, running, source, cache, 1.0), response


async def read(stream: OpenStream) -> bytes:
    return b"".join([data async for data in stream.chunks()])


async def test_a_whole_answer_is_recorded_with_its_usage(cache: ResponseCache) -> None:
    endings = Endings()
    stream, response = await opened(cache, endings, WHOLE)
    assert stream.trace.model == "first"
    assert texts(await read(stream)) == "Hello"
    stream.close()
    await settle()
    assert endings.told == [("served", Usage(input=7, output=3))]
    assert response.closed == 1


async def test_usage_that_nobody_reported_is_estimated(cache: ResponseCache) -> None:
    endings = Endings()
    asked = call(stream=True)
    stream, _ = await opened(cache, endings, ROLE + chunk("x" * 40) + FINISH + DONE, asked=asked)
    await read(stream)
    assert endings.told == [("served", Usage(input=len(asked.body) // 4, output=10))]


async def test_a_client_that_leaves_stops_the_upstream_at_once_and_pays_for_what_came(cache: ResponseCache) -> None:
    endings = Endings()
    stream, response = await opened(cache, endings, ROLE, chunk("x" * 40), chunk("y" * 40), FINISH, DONE)
    chunks = stream.chunks()
    await anext(chunks)
    await chunks.aclose()
    assert response.closed
    ((ending, usage),) = endings.told
    assert ending == "left"
    assert usage.output == 10


async def test_a_client_that_leaves_behind_the_last_word_has_been_served(cache: ResponseCache) -> None:
    endings = Endings()
    stream, response = await opened(cache, endings, ROLE + chunk("Hello") + FINISH, DONE)
    chunks = stream.chunks()
    await anext(chunks)
    await chunks.aclose()
    assert [ending for ending, _ in endings.told] == ["served"]
    assert response.closed


async def test_an_answer_without_content_is_closed_though_nobody_reads_its_end(cache: ResponseCache) -> None:
    endings = Endings()
    stream, response = await opened(cache, endings, ROLE + FINISH, b"")
    stream.close()
    assert response.closed == 1
    assert endings.told[0][0] == "served"


async def test_a_stream_that_is_never_read_is_closed_too(cache: ResponseCache) -> None:
    endings = Endings()
    stream, response = await opened(cache, endings, WHOLE[:400])
    stream.close()
    stream.close()
    assert response.closed
    assert [ending for ending, _ in endings.told] == ["left"]


async def test_a_broken_answer_is_taken_up_by_the_models_that_were_not_asked_yet(cache: ResponseCache) -> None:
    endings = Endings([ROLE + chunk("Hello again") + FINISH + USAGE + DONE])
    stream, response = await opened(cache, endings, ROLE, chunk("Hello"), CUT)
    assert texts(await read(stream)) == "Hello again"
    assert (endings.asked, endings.text) == (["second"], "Hello")
    assert [ending for ending, _ in endings.told] == ["cut", "served"]
    assert stream.trace.model == "second"
    assert response.closed == 1


@pytest.mark.parametrize("error", [AllFailed("no"), StreamBroken("no")])
async def test_an_answer_that_nobody_continues_is_broken(cache: ResponseCache, error: ChittyError) -> None:
    endings = Endings(error)
    stream, _ = await opened(cache, endings, ROLE, chunk("Hello"), CUT)
    got = await read(stream)
    assert texts(got) == "Hello"
    assert b"upstream_stream_incomplete" in got
    assert [ending for ending, _ in endings.told] == ["cut", "broken"]


async def test_what_cannot_be_continued_asks_nobody(cache: ResponseCache) -> None:
    endings = Endings([WHOLE])
    asked = call(stream=True, fields={"response_format": {"type": "json_object"}})
    stream, _ = await opened(cache, endings, ROLE, chunk("Hello"), CUT, asked=asked)
    assert b"upstream_stream_incomplete" in await read(stream)
    assert endings.asked == []


async def test_a_caller_in_this_process_gets_the_error_raised(cache: ResponseCache) -> None:
    endings = Endings()
    stream, _ = await opened(cache, endings, ROLE, chunk("Hello"), CUT, asked=call(None, stream=True))
    text = ""

    async def listen() -> None:
        nonlocal text
        async for event in stream.events():
            text += event.text if isinstance(event, TextDelta) else ""

    with pytest.raises(StreamBroken):
        await listen()
    assert text == "Hello"
    assert [ending for ending, _ in endings.told] == ["cut", "broken"]


async def test_a_client_that_leaves_during_the_recovery_leaves_nothing_behind(cache: ResponseCache) -> None:
    class Slow(Endings):
        async def take_up(self, running: Running, candidates: Sequence[Candidate], text: str) -> Continuation:
            await asyncio.Event().wait()
            raise AssertionError

    endings = Slow()
    stream, response = await opened(cache, endings, ROLE, chunk("Hello"), CUT)
    reading = asyncio.create_task(read(stream))
    await settle()
    reading.cancel()
    await settle()
    assert [ending for ending, _ in endings.told] == ["cut", "left"]
    assert endings.told[1] == ("left", Usage()), "what came before the break was counted with the break"
    assert response.closed


CACHED = Options(cache=True)


async def test_a_whole_answer_is_kept_and_replayed_as_the_stream_it_was(cache: ResponseCache) -> None:
    asked = call(stream=True, options=CACHED)
    stream, _ = await opened(cache, Endings(), WHOLE, asked=asked)
    got = await read(stream)
    reply = await cache.find(asked)
    assert reply is not None
    replay = OpenStream.replay(reply)
    assert await read(replay) == got
    assert replay.trace.cached


@pytest.mark.parametrize("end", [CUT, b""])
async def test_a_broken_answer_is_never_kept(cache: ResponseCache, end: bytes | Exception) -> None:
    asked = call(stream=True, options=CACHED)
    stream, _ = await opened(cache, Endings(), ROLE, chunk("Hello"), end, asked=asked)
    await read(stream)
    assert await cache.find(asked) is None


async def test_an_answer_that_the_client_did_not_wait_for_is_never_kept(cache: ResponseCache) -> None:
    asked = call(stream=True, options=CACHED)
    stream, _ = await opened(cache, Endings(), ROLE, chunk("Hello"), FINISH, DONE, asked=asked)
    chunks = stream.chunks()
    await anext(chunks)
    await chunks.aclose()
    assert await cache.find(asked) is None


async def test_closing_a_replay_is_nothing() -> None:
    replay = OpenStream.replay(Reply(body=b"data", trace=Trace(request_id="r")))
    replay.close()
    assert await read(replay) == b"data"


@pytest.mark.parametrize(
    ("surface", "fields", "wants"),
    [
        ("openai", {}, False),
        ("openai", {"stream_options": {"include_usage": True}}, True),
        ("openai", {"stream_options": {"include_usage": False}}, False),
        ("openai", {"stream_options": "nonsense"}, False),
        ("openai_completions", {}, False),
        ("anthropic", {}, True),
        ("openai_responses", {}, True),
    ],
)
def test_who_wants_usage_in_the_stream(surface: str, fields: dict[str, Any], wants: bool) -> None:
    assert wants_usage(call(surface, stream=True, fields=fields)) is wants
