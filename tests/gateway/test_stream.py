"""One upstream stream, from reads written by hand: when its content begins, what it says, and how it ends."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import Finished, TextDelta, Usage
from chittycan.gateway.attempt import AttemptFailed, Deadlines
from chittycan.gateway.stream import Live
from chittycan.routing.failure import Failure
from gateway_parts import (
    CUT,
    DONE,
    FINISH,
    LIMITS,
    ROLE,
    SILENCE,
    USAGE,
    ScriptedResponse,
    candidate,
    chunk,
    cut,
    event,
    live,
    settle,
)

ERROR = event({"error": {"message": "The server had an error", "type": "server_error"}})
RATE_LIMITED = event({"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}})
MALFORMED = event('{"choices":[{"index":0,"delta":{"content":"never show thi')
WHOLE = ROLE + chunk("Hel") + chunk("lo") + FINISH + USAGE + DONE


async def read(stream: Live) -> tuple[bytes, AttemptFailed | None]:
    """Everything that the stream gives, and how it broke off."""
    raw = b""
    try:
        while batch := await stream.next():
            raw += b"".join(piece for piece, _ in batch)
    except AttemptFailed as failed:
        return raw, failed
    return raw, None


async def begun(*pieces: bytes | Exception, **more: Any) -> tuple[Live, ScriptedResponse]:
    response = ScriptedResponse(*pieces)
    stream = live(response, **more)
    await stream.begin()
    return stream, response


async def failed_to_begin(*pieces: bytes | Exception, **more: Any) -> AttemptFailed:
    response = ScriptedResponse(*pieces)
    with pytest.raises(AttemptFailed) as raised:
        await live(response, **more).begin()
    assert response.closed
    return raised.value


# Whole answers


@pytest.mark.parametrize("forwarded", [True, False])
async def test_a_whole_answer(forwarded: bool) -> None:
    stream, response = await begun(WHOLE, forwarded=forwarded)
    assert await read(stream) == (WHOLE, None)
    seen = stream.seen
    assert ("".join(seen.text), seen.done, seen.malformed) == ("Hello", True, 0)
    assert seen.finished == Finished("stop")
    assert seen.usage == Usage(input=7, output=3)
    assert seen.started is not None
    assert (seen.started.id, seen.started.model) == ("chatcmpl-up", "up")
    await settle()
    assert response.closed == 1


@given(cuts=st.lists(st.integers(1, len(WHOLE) - 1), max_size=15), forwarded=st.booleans())
async def test_an_answer_reads_the_same_wherever_the_network_cuts_it(cuts: list[int], forwarded: bool) -> None:
    stream, _ = await begun(*cut(WHOLE, cuts), forwarded=forwarded)
    assert await read(stream) == (WHOLE, None)
    assert "".join(stream.seen.text) == "Hello"
    assert stream.seen.usage == Usage(input=7, output=3)


@given(cuts=st.lists(st.integers(1, 400), max_size=10), forwarded=st.booleans())
async def test_characters_cut_in_the_middle_stay_whole(cuts: list[int], forwarded: bool) -> None:
    text = "京都 👩‍🚀 é"
    whole = ROLE + chunk(text) + chunk(text) + FINISH + DONE
    stream, _ = await begun(*cut(whole, cuts), forwarded=forwarded)
    assert await read(stream) == (whole, None)
    assert "".join(stream.seen.text) == 2 * text


async def test_comments_are_never_forwarded() -> None:
    stream, _ = await begun(b": keepalive\n\n" + ROLE, b": OPENROUTER PROCESSING\n\n" + WHOLE)
    assert await read(stream) == (ROLE + WHOLE, None)


@pytest.mark.parametrize("forwarded", [True, False])
async def test_an_event_that_cannot_be_read_is_skipped_and_counted(forwarded: bool) -> None:
    stream, _ = await begun(
        ROLE + chunk("a") + chunk("b") + MALFORMED + chunk("c") + FINISH + DONE, forwarded=forwarded
    )
    assert await read(stream) == (ROLE + chunk("a") + chunk("b") + chunk("c") + FINISH + DONE, None)
    assert (stream.seen.malformed, "".join(stream.seen.text)) == (1, "abc")


async def test_an_answer_without_content_is_an_answer_when_it_says_that_it_is_finished() -> None:
    stream, _ = await begun(ROLE, FINISH, DONE)
    assert await read(stream) == (ROLE + FINISH + DONE, None)


async def test_usage_in_every_chunk_counts_once() -> None:
    pieces = [chunk("x", usage={"prompt_tokens": 7, "completion_tokens": count}) for count in (1, 2, 3)]
    stream, _ = await begun(ROLE, *pieces, FINISH, DONE)
    await read(stream)
    assert stream.seen.usage == Usage(input=7, output=3)


# Before content


@pytest.mark.parametrize(
    ("pieces", "failure"),
    [
        ([b""], Failure.TRANSIENT),
        ([ROLE], Failure.TRANSIENT),
        ([ROLE, DONE], Failure.TRANSIENT),
        ([DONE], Failure.TRANSIENT),
        ([USAGE], Failure.TRANSIENT),
        ([ROLE, CUT], Failure.TRANSIENT),
        ([SILENCE], Failure.SILENT),
        ([ROLE, b": ping\n\n", SILENCE], Failure.SILENT),
        ([ERROR], Failure.TRANSIENT),
        ([ROLE, ERROR], Failure.TRANSIENT),
        ([ROLE + RATE_LIMITED], Failure.RATE_LIMIT),
        ([ROLE + b'data: {"choices":[{"delta":{"con'], Failure.TRANSIENT),
        ([b"<html>Welcome to the captive portal</html>"], Failure.TRANSIENT),
    ],
)
@pytest.mark.parametrize("forwarded", [True, False])
async def test_before_content_every_end_is_a_failed_attempt(
    pieces: list[bytes | Exception], failure: Failure, forwarded: bool
) -> None:
    assert (await failed_to_begin(*pieces, forwarded=forwarded)).failure is failure


async def test_the_first_content_has_a_deadline_that_comments_do_not_move() -> None:
    response = ScriptedResponse(b": ping\n\n", ROLE, b": ping\n\n", chunk("x"))
    await live(response, limits=Deadlines(first=100.0, total=900.0, idle=60.0, by_caller=False)).begin()
    assert response.deadlines == [100.0] * 4


async def test_with_no_other_model_only_the_total_limits_the_first_content() -> None:
    response = ScriptedResponse(chunk("x"))
    await live(response, limits=Deadlines(first=None, total=900.0, idle=60.0, by_caller=False)).begin()
    assert response.deadlines == [900.0]


# After content


@pytest.mark.parametrize(
    "end",
    [[CUT], [SILENCE], [b""], [ERROR], [ROLE, ERROR], [b'data: {"choices":[{"del', b""], [MALFORMED, b""]],
    ids=["cut", "stall", "clean end", "error", "role and error", "half an event", "malformed"],
)
@pytest.mark.parametrize("forwarded", [True, False])
async def test_after_content_an_end_without_finish_is_truncated(end: list[bytes | Exception], forwarded: bool) -> None:
    stream, response = await begun(ROLE, chunk("a"), chunk("b"), *end, forwarded=forwarded)
    raw, failed = await read(stream)
    assert raw.startswith(ROLE + chunk("a") + chunk("b"))
    assert b"error" not in raw
    assert b'finish_reason":"stop' not in raw
    assert failed is not None
    assert failed.failure is Failure.TRUNCATED
    assert response.closed == 1


@pytest.mark.parametrize("forwarded", [True, False])
async def test_content_that_comes_together_with_an_error_is_still_given(forwarded: bool) -> None:
    stream, _ = await begun(ROLE + chunk("a") + chunk("b") + ERROR, forwarded=forwarded)
    raw, failed = await read(stream)
    assert raw == ROLE + chunk("a") + chunk("b")
    assert failed is not None
    assert failed.failure is Failure.TRUNCATED


async def test_an_event_without_its_blank_line_at_the_end_still_counts() -> None:
    stream, response = await begun(ROLE, chunk("a"), FINISH.rstrip(b"\n"))
    assert await read(stream) == (ROLE + chunk("a") + FINISH, None)
    assert response.closed == 1


async def test_content_in_the_very_last_unfinished_event_does_not_hide_that_the_answer_broke_off() -> None:
    stream, _ = await begun(ROLE, chunk("a").rstrip(b"\n"), b"")
    raw, failed = await read(stream)
    assert raw == ROLE + chunk("a")
    assert failed is not None
    assert failed.failure is Failure.TRUNCATED


@pytest.mark.parametrize("end", [b"", CUT, SILENCE])
async def test_after_the_finish_no_end_is_missing(end: bytes | Exception) -> None:
    stream, response = await begun(ROLE, chunk("a"), FINISH, USAGE, end)
    assert await read(stream) == (ROLE + chunk("a") + FINISH + USAGE, None)
    assert not stream.seen.done
    assert response.closed == 1


async def test_the_end_marker_alone_is_the_providers_word_that_all_was_sent() -> None:
    stream, _ = await begun(ROLE, chunk("a"), DONE)
    assert await read(stream) == (ROLE + chunk("a") + DONE, None)
    assert stream.seen.finished is None, "and no finish reason is invented"


@pytest.mark.parametrize("forwarded", [True, False])
async def test_what_follows_the_end_marker_is_not_read(forwarded: bool) -> None:
    stream, _ = await begun(ROLE + chunk("a") + FINISH + DONE + ERROR, forwarded=forwarded)
    assert await read(stream) == (ROLE + chunk("a") + FINISH + DONE, None)


async def test_a_socket_that_stays_open_behind_the_end_marker_is_not_waited_for() -> None:
    class Open(ScriptedResponse):
        async def read(self, deadline: float | None = None) -> bytes:
            if self.pieces:
                return await super().read(deadline)
            await asyncio.Event().wait()
            raise AssertionError

    response = Open(ROLE + chunk("a") + FINISH + DONE)
    stream = live(response)
    await stream.begin()
    assert (await read(stream))[1] is None
    assert stream.over


async def test_every_sign_of_life_begins_the_idle_time_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0

    class Ticking(ScriptedResponse):
        async def read(self, deadline: float | None = None) -> bytes:
            nonlocal now
            now += 50.0
            return await super().read(deadline)

    response = Ticking(chunk("a"), b": ping\n\n", chunk("b")[:9], chunk("b")[9:], FINISH, DONE)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    stream = live(response, limits=Deadlines(first=1014.0, total=1260.0, idle=60.0, by_caller=False))
    await stream.begin()
    await read(stream)
    assert response.deadlines[:6] == [1014.0, 1110.0, 1160.0, 1210.0, 1260.0, 1260.0]


async def test_a_stall_that_the_callers_own_limit_ends_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 900.0)
    limits = Deadlines(first=None, total=900.0, idle=60.0, by_caller=True)
    stream, _ = await begun(chunk("a"), SILENCE, limits=limits)
    _, failed = await read(stream)
    assert failed is not None
    assert failed.by_caller


# Anthropic


def _anthropic(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)


STARTED = _anthropic("message_start", message={"id": "msg_1", "model": "up", "usage": {"input_tokens": 7}})
PING = _anthropic("ping")
OVERLOADED = _anthropic("error", error={"type": "overloaded_error", "message": "Overloaded"})
HI = _anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""}) + _anthropic(
    "content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}
)
ENDING = (
    _anthropic("content_block_stop", index=0)
    + _anthropic("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3})
    + _anthropic("message_stop")
)


async def test_start_and_pings_are_not_content() -> None:
    claude = candidate("c", "anthropic")
    failed = await failed_to_begin(STARTED, PING, PING, PING, OVERLOADED, served=claude)
    assert (failed.failure, failed.failed.status) == (Failure.TRANSIENT, 529)


@given(cuts=st.lists(st.integers(1, 900), max_size=10))
async def test_an_anthropic_stream_reads_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    whole = STARTED + PING + HI + ENDING
    stream, _ = await begun(*cut(whole, cuts), served=candidate("c", "anthropic"))
    assert await read(stream) == (whole, None)
    assert "".join(stream.seen.text) == "Hi"
    assert stream.seen.finished == Finished("stop")


async def test_batches_carry_the_neutral_events() -> None:
    stream, _ = await begun(STARTED + HI + ENDING, served=candidate("c", "anthropic"), limits=LIMITS)
    events = [each for _, found in await stream.next() for each in found]
    assert "".join(each.text for each in events if isinstance(each, TextDelta)) == "Hi"
