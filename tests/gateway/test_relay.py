"""What the client of a stream gets: raw, translated, or mended by a second model; never an invented end."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan import chat
from chittycan.chat import Finished, Started, Text, TextDelta, Usage
from chittycan.errors import StreamBroken
from chittycan.gateway.attempt import AttemptFailed
from chittycan.gateway.call import Call
from chittycan.gateway.relay import Continuation, Relay, continued, estimated_usage
from gateway_parts import (
    CUT,
    DONE,
    FINISH,
    ROLE,
    USAGE,
    ScriptedResponse,
    call,
    candidate,
    chunk,
    cut,
    data_of,
    event,
    live,
    texts,
)

Pieces = Sequence[bytes | Exception]
WHOLE = ROLE + chunk("Hel") + chunk("lo") + FINISH + USAGE + DONE
BROKEN: Pieces = [ROLE + chunk("Hello ") + chunk("wor"), CUT]


async def no_recovery(relay: Relay, failed: AttemptFailed) -> Continuation:
    raise StreamBroken("The answer broke off and could not be continued.")


class Recovery:
    """Continues with the next of these streams; `prefilled` says that each goes on from the text sent."""

    def __init__(self, *streams: Pieces, dialect: str = "openai", prefilled: bool = False) -> None:
        self._streams, self._dialect, self._prefilled = list(streams), dialect, prefilled
        self.responses: list[ScriptedResponse] = []
        self.failed: list[AttemptFailed] = []

    async def __call__(self, relay: Relay, failed: AttemptFailed) -> Continuation:
        self.failed.append(failed)
        if not relay.recoverable or not self._streams:
            raise StreamBroken("The answer broke off and could not be continued.")
        response = ScriptedResponse(*self._streams.pop(0))
        self.responses.append(response)
        source = live(response, candidate("second", self._dialect), forwarded=False)
        await source.begin()
        sent = "".join(relay.sent)
        if self._prefilled:
            return Continuation(source, sent[len(sent.rstrip()) :], optional=True)
        return Continuation(source, sent)


async def relayed(
    asked: Call, pieces: Pieces, recover: Recovery | None = None, *, usage: bool = True
) -> tuple[bytes, Relay]:
    """All that the client gets of a stream from an OpenAI-speaking provider."""
    source = live(ScriptedResponse(*pieces), forwarded=asked.surface == "openai")
    await source.begin()
    relay = Relay(asked, source, recover or no_recovery)
    return b"".join([data async for data in relay.chunks(usage)]), relay


def finishes(stream: bytes) -> list[str]:
    return [
        choice["finish_reason"]
        for data in data_of(stream)
        if data != "[DONE]"
        for choice in data.get("choices", [])
        if choice.get("finish_reason")
    ]


# The same dialect on both sides


async def test_the_same_dialect_passes_byte_for_byte() -> None:
    assert (await relayed(call(stream=True), [WHOLE]))[0] == WHOLE


async def test_usage_that_the_client_did_not_ask_for_is_hidden() -> None:
    got, _ = await relayed(call(stream=True), [WHOLE], usage=False)
    assert got == WHOLE.replace(USAGE, b"")


async def test_chunks_that_carry_more_than_usage_are_never_hidden() -> None:
    pieces = [chunk(word, usage={"prompt_tokens": 7, "completion_tokens": 1}) for word in ("Hel", "lo")]
    last = chunk(finish="stop", usage={"prompt_tokens": 7, "completion_tokens": 2})
    got, _ = await relayed(call(stream=True), [ROLE, *pieces, last, DONE], usage=False)
    assert texts(got) == "Hello"
    assert finishes(got) == ["stop"]


async def test_a_missing_end_marker_is_added_after_a_finish() -> None:
    got, _ = await relayed(call(stream=True), [ROLE + chunk("Hello") + FINISH])
    assert got.startswith(ROLE + chunk("Hello") + FINISH)
    assert got.endswith(DONE)
    assert finishes(got) == ["stop"], "and the finish is not repeated"


async def test_a_body_that_only_its_provider_understands_still_gets_a_proper_end() -> None:
    asked = call(stream=True, fields={"messages": [{"role": "oracle", "content": {"new": "shape"}}]})
    got, _ = await relayed(asked, [ROLE + chunk("Hello") + FINISH])
    assert got.endswith(DONE)


# Translated


@pytest.mark.parametrize("surface", ["anthropic", "openai_responses", "openai_completions"])
@given(places=st.lists(st.integers(1, 900), max_size=8))
async def test_translation_is_the_same_wherever_the_network_cuts(surface: str, places: list[int]) -> None:
    asked = call(surface, stream=True, fields={"prompt": "Hello"} if surface == "openai_completions" else {})
    whole, _ = await relayed(asked, [WHOLE])
    pieces, _ = await relayed(asked, cut(WHOLE, places))
    assert pieces == whole
    assert b"Hel" in whole


async def test_an_anthropic_client_reads_an_openai_stream() -> None:
    got, _ = await relayed(call("anthropic", stream=True), [WHOLE])
    kinds = [data["type"] for data in data_of(got)]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert "".join(data["delta"]["text"] for data in data_of(got) if data["type"] == "content_block_delta") == "Hello"


# Broken for good


@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
async def test_a_broken_answer_ends_with_an_error_and_nothing_invented(surface: str) -> None:
    got, _ = await relayed(call(surface, stream=True), BROKEN)
    events = data_of(got)
    assert "[DONE]" not in events
    assert finishes(got) == []
    assert b"message_stop" not in got
    assert b"response.completed" not in got
    assert "upstream_stream_incomplete" in str(events[-1])


async def test_an_error_event_of_the_upstream_is_not_passed_on() -> None:
    secret = event({"error": {"message": "node 10.0.0.7 crashed", "type": "server_error"}})
    got, _ = await relayed(call(stream=True), [ROLE + chunk("Hello"), secret])
    assert b"10.0.0.7" not in got
    assert texts(got) == "Hello"


# Mended

SURFACES = ["openai", "anthropic"]


def _text(surface: str, got: bytes) -> str:
    if surface == "openai":
        return texts(got)
    return "".join(data["delta"]["text"] for data in data_of(got) if data["type"] == "content_block_delta")


@pytest.mark.parametrize("surface", SURFACES)
@given(places=st.lists(st.integers(1, 700), max_size=8))
async def test_a_restarted_answer_shows_only_what_is_new(surface: str, places: list[int]) -> None:
    again = ROLE + chunk("He") + chunk("llo wo") + chunk("rld, at") + chunk(" last.") + FINISH + DONE
    got, relay = await relayed(call(surface, stream=True), BROKEN, Recovery(cut(again, places)))
    assert _text(surface, got) == "Hello world, at last."
    assert relay.mended
    if surface == "openai":
        assert finishes(got) == ["stop"]
        assert got.endswith(DONE)
        assert got.count(DONE) == 1
    else:
        assert [data["type"] for data in data_of(got)].count("message_start") == 1


async def test_a_mended_answer_keeps_its_id() -> None:
    other = event({"id": "chatcmpl-other", "model": "up2", "choices": [{"index": 0, "delta": {"role": "assistant"}}]})
    got, _ = await relayed(call(stream=True), BROKEN, Recovery([other + chunk("Hello world") + FINISH + DONE]))
    assert {data["id"] for data in data_of(got) if data != "[DONE]"} == {"chatcmpl-up"}


async def test_a_continuation_from_a_prefill_goes_on_behind_the_last_word() -> None:
    recovery = Recovery([ROLE + chunk("ld") + chunk("!") + FINISH + DONE], prefilled=True)
    got, _ = await relayed(call(stream=True), BROKEN, recovery)
    assert texts(got) == "Hello world!"


@pytest.mark.parametrize(
    ("sent", "more", "text"),
    [
        ("One.\n\n", ["\n\nTwo"], "One.\n\nTwo"),
        ("One.\n\n", ["\n", "\n", "Two"], "One.\n\nTwo"),
        ("One.\n\n", ["Two"], "One.\n\nTwo"),
        ("One.\n\n", ["\nTwo"], "One.\n\nTwo"),
        ("One.\n\n", ["\n\n\nTwo"], "One.\n\n\nTwo"),
        ("One. ", ["\nTwo"], "One. \nTwo"),
        ("One. ", [" ", "Two"], "One. Two"),
        ("One.", [" Two"], "One. Two"),
        ("  ", ["  One"], "  One"),
    ],
)
async def test_white_space_at_the_seam_of_a_prefill_is_there_once(sent: str, more: list[str], text: str) -> None:
    recovery = Recovery([ROLE + b"".join(map(chunk, more)) + FINISH + DONE], prefilled=True)
    got, _ = await relayed(call(stream=True), [ROLE, chunk(sent), CUT], recovery)
    assert texts(got) == text


async def test_a_restart_that_differs_goes_to_the_next_model() -> None:
    recovery = Recovery([ROLE + chunk("Hello there") + FINISH + DONE], [ROLE + chunk("Hello world") + FINISH + DONE])
    got, _ = await relayed(call(stream=True), BROKEN, recovery)
    assert texts(got) == "Hello world"
    assert len(recovery.failed) == 2
    assert recovery.responses[0].closed


async def test_a_restart_that_ends_before_the_point_of_the_break_is_no_continuation() -> None:
    got, _ = await relayed(call(stream=True), BROKEN, Recovery([ROLE + chunk("Hello") + FINISH + DONE]))
    assert texts(got) == "Hello wor"
    assert finishes(got) == []
    assert "upstream_stream_incomplete" in str(data_of(got)[-1])


CALL = event({"id": "x", "choices": [{"index": 0, "delta": {
    "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}}]})  # fmt: skip
THOUGHT = event({"id": "x", "choices": [{"index": 0, "delta": {"reasoning_content": "Again, from the start."}}]})


async def test_a_restart_that_calls_a_tool_instead_differs() -> None:
    recovery = Recovery([ROLE + CALL + DONE], [ROLE + chunk("Hello world") + FINISH + DONE])
    got, _ = await relayed(call(stream=True), BROKEN, recovery)
    assert texts(got) == "Hello world"
    assert b"tool_calls" not in got


async def test_what_a_restart_thinks_before_its_text_is_not_shown_behind_it() -> None:
    recovery = Recovery([ROLE + THOUGHT + chunk("Hello world") + FINISH + DONE])
    got, _ = await relayed(call(stream=True), BROKEN, recovery)
    assert texts(got) == "Hello world"
    assert b"Again" not in got


async def test_a_continuation_may_call_a_tool_after_its_text() -> None:
    recovery = Recovery([ROLE + chunk("Hello world.") + CALL + chunk(finish="tool_calls") + DONE])
    got, relay = await relayed(call(stream=True), BROKEN, recovery)
    assert texts(got) == "Hello world."
    assert finishes(got) == ["tool_calls"]
    assert not relay.recoverable


async def test_a_continuation_may_break_off_and_be_continued_itself() -> None:
    recovery = Recovery(
        [ROLE + chunk("Hello world"), CUT], [ROLE + chunk("Hello wor") + chunk("ld again.") + FINISH + DONE]
    )
    got, _ = await relayed(call(stream=True), BROKEN, recovery)
    assert texts(got) == "Hello world again."
    assert finishes(got) == ["stop"]


@pytest.mark.parametrize(
    ("fields", "extra"),
    [
        ({"n": 2}, b""),
        ({"logprobs": True}, b""),
        ({"response_format": {"type": "json_object"}}, b""),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, b""),
        ({}, event({"id": "x", "choices": [{"index": 0, "delta": {"reasoning_content": "Hm"}}]})),
        ({}, event({"id": "x", "choices": [{"index": 0, "delta": {"refusal": "No."}}]})),
        ({}, event({"id": "x", "choices": [{"index": 1, "delta": {"content": "another"}}]})),
        ({}, event({"id": "x", "choices": [{"index": 0, "delta": {
            "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]}}]})),
        ({}, FINISH),
    ],
)  # fmt: skip
async def test_only_plain_unfinished_text_is_continued(fields: dict[str, object], extra: bytes) -> None:
    _, relay = await relayed(call(stream=True, fields=fields), [ROLE + chunk("Hello") + extra, CUT])
    assert not relay.recoverable
    _, plain = await relayed(call(stream=True), [ROLE + chunk("Hello"), CUT])
    assert plain.recoverable


async def test_a_caller_in_this_process_sees_one_answer_too() -> None:
    source = live(ScriptedResponse(*BROKEN))
    await source.begin()
    recovery = Recovery([ROLE + chunk("Hello world") + FINISH + DONE])
    events = [each async for each in Relay(call(None, stream=True), source, recovery).events()]
    assert "".join(each.text for each in events if isinstance(each, TextDelta)) == "Hello world"
    assert len([each for each in events if isinstance(each, Started)]) == 1
    assert len([each for each in events if isinstance(each, Finished)]) == 1


# The request of a continuation


def test_a_continuation_asks_with_the_text_as_the_started_answer() -> None:
    asked = chat.ChatRequest(model="m", messages=[chat.user("Hi")], max_tokens=100)
    more = continued(asked, "One. Two.\n ")
    assert [message.role for message in more.messages] == ["user", "assistant"]
    assert more.messages[-1].parts == [Text("One. Two.")], "Anthropic refuses white space at the end"
    assert more.max_tokens == 98
    assert len(asked.messages) == 1


def test_a_continuation_extends_the_callers_own_prefill() -> None:
    own = chat.Message("assistant", [Text("Sure: ")])
    asked = chat.ChatRequest(model="m", messages=[chat.user("Hi"), own])
    more = continued(asked, "one")
    assert more.messages[-1].parts == [Text("Sure: "), Text("one")]
    assert own.parts == [Text("Sure: ")]


def test_at_least_one_token_is_left_to_write() -> None:
    asked = chat.ChatRequest(model="m", messages=[chat.user("Hi")], max_tokens=2)
    assert continued(asked, "x" * 1000).max_tokens == 1


# Usage of what broke off


@pytest.mark.parametrize(
    ("reported", "text", "usage"),
    [
        (None, [], Usage(input=9, output=0)),
        (None, ["x"], Usage(input=9, output=1)),
        (None, ["x" * 40, "y" * 40], Usage(input=9, output=20)),
        (Usage(input=7, output=1), ["x" * 40], Usage(input=7, output=10)),
        (Usage(input=7, output=50, cached=3), ["x" * 40], Usage(input=7, output=50, cached=3)),
    ],
)
def test_what_broke_off_is_counted_from_what_was_said_or_written(
    reported: Usage | None, text: list[str], usage: Usage
) -> None:
    assert estimated_usage(reported, text, 9) == usage
