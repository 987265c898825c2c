"""One try: which deadlines it has, what a good status may hide, and what a transport error means."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.catalogue import Timeouts
from chittycan.chat import ChatRequest, Usage
from chittycan.dialects import load
from chittycan.gateway.attempt import (
    AttemptFailed,
    Deadlines,
    Line,
    deadlines,
    explain_json,
    output_limit,
    read_json,
    read_whole,
    translate,
)
from chittycan.gateway.facts import input_tokens
from chittycan.providers.connection import ConnectFailed, TimedOut
from chittycan.routing.failure import Failure
from chittycan.testing import FakeClock
from gateway_parts import CUT, SILENCE, ScriptedResponse, call, candidate

NOW = 1000.0
OWN = Timeouts(first_token=5.0, idle=30.0, total=300.0)

# Deadlines


@pytest.mark.parametrize(
    ("timeouts", "stream", "alone", "first", "total"),
    [
        (Timeouts(), True, False, NOW + 14, NOW + 600),
        (Timeouts(), True, True, None, NOW + 600),
        (OWN, True, False, NOW + 5, NOW + 300),
        (OWN, True, True, NOW + 5, NOW + 300),
        (OWN, False, False, NOW + 5, NOW + 300),
        # a whole answer comes when its last token is written: 1,024 of them where no limit is set
        (Timeouts(), False, False, NOW + 14 + 1024 / 20, NOW + 600),
        (Timeouts(), False, True, None, NOW + 600),
    ],
)
def test_deadlines(timeouts: Timeouts, stream: bool, alone: bool, first: float | None, total: float) -> None:
    limits = deadlines(call(stream=stream), timeouts, NOW, alone, left=1000.0)
    assert limits == Deadlines(first=first, total=total, idle=timeouts.idle, by_caller=False)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_short_whole_answer_has_less_time(name: str) -> None:
    limits = deadlines(call(fields={name: 100}), Timeouts(), NOW, alone=False, left=1000.0)
    assert limits.first == NOW + 14 + 100 / 20


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_left_of_the_whole_call_limits_everything(alone: bool) -> None:
    limits = deadlines(call(stream=True), Timeouts(), NOW, alone, left=2.0)
    assert (limits.first, limits.total) == (None if alone else NOW + 2, NOW + 2)
    assert limits.by_caller


def test_a_timer_that_fires_a_moment_early_is_still_the_callers() -> None:
    limits = deadlines(call(stream=True), Timeouts(), NOW, alone=False, left=0.001)
    assert limits.cut_short(NOW + 0.0005)
    assert not deadlines(call(stream=True), Timeouts(), NOW, alone=False, left=30.0).cut_short(NOW + 14)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [({}, 1024), ({"max_tokens": 10}, 10), ({"max_completion_tokens": 20}, 20), ({"max_tokens": -5}, 1024),
     ({"max_tokens": "many"}, 1024), ({"max_tokens": None}, 1024)],
)  # fmt: skip
def test_the_reservation_is_for_as_much_as_may_be_written(fields: dict[str, Any], limit: int) -> None:
    assert output_limit(call(fields=fields)) == limit
    chat = ChatRequest(model="m", messages=[], max_tokens=fields.get("max_tokens") if limit == 10 else None)
    assert output_limit(call(None, parsed=chat)) == (10 if limit == 10 else 1024)


@pytest.mark.parametrize(("n", "limit"), [(5, 50), (1, 10), (0, 10), (-3, 10), (True, 10), ("5", 10), (None, 10)])
def test_every_one_of_several_answers_may_be_as_long(n: Any, limit: int) -> None:
    assert output_limit(call(fields={"n": n, "max_tokens": 10})) == limit
    if type(n) is int:
        assert output_limit(call(None, parsed=ChatRequest(model="m", messages=[], max_tokens=10, n=n))) == limit


def test_embeddings_write_nothing() -> None:
    """Their models have no price for output, so that with any the most that they cost would be unknown."""
    assert output_limit(call(operation="embeddings", fields={"input": "hello"})) == 0


# Transport errors


@pytest.mark.parametrize(
    ("error", "failure", "status"),
    [(ConnectFailed("refused"), Failure.TRANSIENT, 502), (CUT, Failure.TRANSIENT, 502),
     (TimedOut("connect"), Failure.SILENT, 504), (SILENCE, Failure.SILENT, 504)],
)  # fmt: skip
async def test_transport_errors_are_rows_of_the_table(error: Exception, failure: Failure, status: int) -> None:
    failed = translate(error, Deadlines(first=None, total=float("inf"), idle=60.0, by_caller=True))
    assert (failed.failure, failed.failed.status, failed.by_caller) == (failure, status, False)


@pytest.mark.parametrize("stage", ["connect", "response", "read"])
async def test_a_callers_own_limit_is_the_callers_doing_at_every_stage(stage: str) -> None:
    limits = Deadlines(first=None, total=asyncio.get_running_loop().time(), idle=60.0, by_caller=True)
    assert translate(TimedOut(stage), limits).by_caller


# Whole answers

ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "up",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3},
}  # fmt: skip


def _fails(body: Any, **more: Any) -> AttemptFailed:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    with pytest.raises(AttemptFailed) as raised:
        read_whole(raw, candidate(dialect=more.pop("dialect", "openai")), call(more.pop("surface", "openai"), **more))
    return raised.value


@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
def test_a_whole_answer_is_read(surface: str) -> None:
    body = msgspec.json.encode(ANSWER)
    whole = read_whole(body, candidate(), call(surface))
    assert (whole.body, whole.usage) == (body, Usage(input=7, output=3))
    assert surface == "openai" or (whole.response is not None and whole.response.text == "Hi")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Welcome</html>", b"[]", b'"text"', b"null", b"{", b"\xff\xfe", b"[" * 100_000, {}, {"choices": 7},
     {"id": "x", "choices": []}, {"id": "x", "choices": [{"message": {}, "finish_reason": None}]}],
)  # fmt: skip
@pytest.mark.parametrize("surface", ["openai", "anthropic"])
def test_what_is_no_answer_is_the_providers_failure(body: Any, surface: str) -> None:
    assert _fails(body, surface=surface).failure is Failure.TRANSIENT


@pytest.mark.parametrize(
    ("error", "failure", "status"),
    [
        ({"message": "boom", "code": 503}, Failure.TRANSIENT, 503),
        ({"message": "slow down", "code": 429}, Failure.RATE_LIMIT, 429),
        ({"message": "Rate limit reached", "type": "rate_limit_error"}, Failure.RATE_LIMIT, 502),
        ({"message": "You exceeded your current quota", "code": "insufficient_quota"}, Failure.QUOTA, 502),
        ({"message": "Incorrect API key provided", "code": "invalid_api_key"}, Failure.CREDENTIAL, 502),
        ({"message": "This model's maximum context length is 8 tokens"}, Failure.CONTEXT, 502),
        ({"message": "no idea"}, Failure.TRANSIENT, 502),
        ("just words", Failure.TRANSIENT, 502),
        ({"message": "x", "code": True}, Failure.TRANSIENT, 502),
        ({"message": "x", "code": 99999}, Failure.TRANSIENT, 502),
    ],
)
@pytest.mark.parametrize("surface", ["openai", "anthropic"])
def test_an_error_under_a_good_status_is_classified(error: Any, failure: Failure, status: int, surface: str) -> None:
    failed = _fails({"error": error}, surface=surface)
    assert (failed.failure, failed.failed.status) == (failure, status)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7}, 7),
        ({"prompt_tokens": "many"}, None),
        ({"prompt_tokens": -7}, None),
        (None, None),
        ([], None),
    ],
)
def test_embeddings_are_not_translated_and_only_their_usage_is_read(usage: Any, tokens: int | None) -> None:
    """Where the provider does not say, it is estimated from the request."""
    body = msgspec.json.encode({"object": "list", "data": [], "usage": usage})
    asked = call(operation="embeddings")
    whole = read_whole(body, candidate(), asked)
    assert whole.body == body
    assert whole.usage is not None
    assert whole.usage.input == (tokens or input_tokens(asked))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "usage", "error", "code", "parts", "candidates", "output",
                         "tool_calls", "function", "id", "type", "text", "prompt_tokens"]), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(json_values, st.sampled_from(["openai", "anthropic", "gemini", "openai_responses"]))
def test_no_answer_whatever_is_a_bug_of_ours(body: Any, dialect: Any) -> None:
    try:
        read_whole(msgspec.json.encode(body), candidate(dialect=dialect), call())
    except AttemptFailed as failed:
        status = failed.failed.status
    else:
        status = 502
    assert 400 <= status < 600


# JSON where a stream was asked for


@pytest.mark.parametrize(
    ("pieces", "failure"),
    [
        ([b'{"error":{"message":"overloaded","code":529}}'], Failure.TRANSIENT),
        ([b'{"error":{"message":"You exceeded your current quota"}}'], Failure.QUOTA),
        ([msgspec.json.encode(ANSWER)], Failure.TRANSIENT),
        ([b"", CUT], Failure.TRANSIENT),
        ([SILENCE], Failure.SILENT),
    ],
)
async def test_json_instead_of_a_stream_is_a_failed_attempt(pieces: list[Any], failure: Failure) -> None:
    response = ScriptedResponse(*pieces)
    limits = Deadlines(first=None, total=float("inf"), idle=60.0, by_caller=False)
    with pytest.raises(AttemptFailed) as raised:
        await explain_json(response, load("openai"), limits)  # type: ignore[arg-type]
    assert raised.value.failure is failure
    assert response.closed == 1


def test_an_answer_is_an_object() -> None:
    assert read_json(b'{"error": null, "id": "x"}', load("openai")) == {"error": None, "id": "x"}


# a provider's refusal


class Refusing:
    """A transport whose every answer is the same refusal."""

    def __init__(self, status: int, message: str) -> None:
        self._status, self._body = status, msgspec.json.encode({"error": {"message": message}})

    def origin(self, *place: Any) -> None:
        return None

    async def send(self, *request: Any, **limits: Any) -> ScriptedResponse:
        return ScriptedResponse(self._body, status=self._status)


@pytest.mark.parametrize(
    ("operation", "embeddings", "failure"),
    [
        ("embeddings", False, Failure.CALLER_FAULT),  # that it makes none is no reason to rest its key
        ("embeddings", True, Failure.CREDENTIAL),
        ("chat", False, Failure.CREDENTIAL),
    ],
)
async def test_a_model_that_makes_no_embeddings_has_no_bad_key(
    clock: FakeClock, operation: str, embeddings: bool, failure: Failure
) -> None:
    line = Line(Refusing(403, "You are not allowed to generate embeddings from this model"), clock)  # type: ignore[arg-type]
    limits = Deadlines(first=None, total=float("inf"), idle=60.0, by_caller=False)
    asked = call(operation=operation)
    with pytest.raises(AttemptFailed) as raised:
        await line.post(asked, candidate(embeddings=embeddings), None, "http://upstream.test/v1", limits)
    assert (raised.value.failure, raised.value.failed.status) == (failure, 403)
