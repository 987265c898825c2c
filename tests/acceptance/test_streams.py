"""Edge cases of streams, as clients see them (numbers as in the list of edge cases that this gateway answers for)."""

import json
from typing import Any

import pytest

from bare_http import SSE_HEAD, Json, speaking, spoken_chunk
from chittycan.api import inference
from chittycan.testing import ANSWER, Reply, Scenario
from chittycan.testing.scenarios import MULTILINGUAL
from chittycan.testing.upstream import ScriptedUpstream
from serving import QUICK, SURFACES, Serve, Served, proxy

DIALECTS = ["openai", "anthropic", "openai_responses", "gemini"]
# Each surface over its own dialect, where bytes pass through, and over another.
PAIRS = [
    ("openai", "openai"),
    ("openai", "gemini"),
    ("anthropic", "anthropic"),
    ("anthropic", "openai"),
    ("openai_responses", "openai_responses"),
    ("openai_responses", "anthropic"),
]
HELLO = [{"role": "user", "content": "Hello"}]


async def one(serve: Serve, up: ScriptedUpstream, dialect: str = "openai", **more: Any) -> Served:
    """A gateway with one provider; its models are called `first/NAME`."""
    return await serve({"first": proxy(up.url, dialect, **more)})


async def pair(serve: Serve, first: str, up: ScriptedUpstream, dialect: str = "openai", **more: Any) -> Served:
    """A gateway whose model `asked` lives at the URL `first`; `spare` is there for it."""
    return await serve(
        {"first": proxy(first, dialect, **more), "second": proxy(up.url, "openai", "sk-second")},
        {"asked": {"proxy": "first", "upstream": "asked"}, "spare": {"proxy": "second", "upstream": "ok"}},
        {"asked": ["spare"]},
    )


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_case_01_characters_split_between_packets(
    up: ScriptedUpstream, serve: Serve, surface: str, dialect: str
) -> None:
    seen = await (await one(serve, up, dialect)).clients().ask(surface, "first/utf8-split", stream=True)
    assert seen.text == MULTILINGUAL


@pytest.mark.parametrize(("surface", "dialect"), PAIRS)
@pytest.mark.parametrize("scenario", ["no-space", "crlf", "cr", "comments", "noise", "gzip", "usage-everywhere"])
async def test_case_02_03_17_every_way_to_write_a_stream(
    up: ScriptedUpstream, serve: Serve, surface: str, dialect: str, scenario: str
) -> None:
    seen = await (await one(serve, up, dialect)).clients().ask(surface, f"first/{scenario}", stream=True)
    assert seen.error is None
    assert seen.text == ANSWER
    assert seen.finish in ("stop", "end_turn", "completed")
    assert b"keepalive" not in seen.raw or surface == dialect


async def test_case_03_comments_do_not_count_as_a_first_token(up: ScriptedUpstream, serve: Serve) -> None:
    comments = [piece for _ in range(40) for piece in (b": OPENROUTER PROCESSING\n\n", 0.05)]
    async with speaking(SSE_HEAD, *comments) as url:
        served = await pair(serve, url, up, **QUICK)
        got = await served.chat("asked", stream=True)
    assert got.headers["x-chitty-served-by"] == "spare"
    assert (await served.ledger())[0]["failure"] == "silent"


async def test_case_03_comments_show_that_a_stream_is_alive(up: ScriptedUpstream, serve: Serve) -> None:
    comments = [piece for _ in range(12) for piece in (b": keepalive\n\n", 0.05)]
    begin, end = spoken_chunk({"content": "Hello"}), spoken_chunk({"content": " you"}) + spoken_chunk({}, "stop")
    async with speaking(SSE_HEAD, begin, *comments, end, b"data: [DONE]\n\n") as url:
        served = await pair(serve, url, up, **QUICK)
        got = await served.chat("asked", stream=True)
    assert [event["choices"][0]["delta"].get("content") for event in got.events] == ["Hello", " you", None]
    assert not up.requests


@pytest.mark.parametrize("surface", SURFACES)
async def test_case_04_a_missing_end_marker_is_added(up: ScriptedUpstream, serve: Serve, surface: str) -> None:
    dialect = "openai" if surface == "openai_responses" else surface
    seen = await (await one(serve, up, dialect)).clients().ask(surface, "first/s11-no-done", stream=True)
    assert seen.text == ANSWER
    assert seen.usage is not None
    ends = {"openai": b"data: [DONE]\n\n", "anthropic": b"message_stop", "openai_responses": b"response.completed"}
    assert seen.raw.count(ends[surface]) == 1 + (surface != "openai")  # named in the event and in its data


@pytest.mark.parametrize("surface", SURFACES)
async def test_case_05_the_stream_ends_at_its_marker_whatever_the_socket_does(
    up: ScriptedUpstream, serve: Serve, surface: str
) -> None:
    served = await one(serve, up, "openai")
    clients = served.clients()
    for _ in range(2):
        seen = await clients.ask(surface, "first/open-after-done", stream=True)
        assert seen.text == ANSWER
    assert up.connections == 2  # the first was not used again


async def test_case_05_nothing_behind_the_marker_is_passed_on(up: ScriptedUpstream, serve: Serve) -> None:
    chunks = spoken_chunk({"content": "Hello"}) + spoken_chunk({}, "stop")
    async with speaking(SSE_HEAD, chunks, b"data: [DONE]\n\n" + spoken_chunk({"content": "more"})) as url:
        got = await (await pair(serve, url, up)).chat("asked", stream=True)
    assert got.complete
    assert b"more" not in got.body
    assert got.body.count(b"[DONE]") == 1


SHAPES = {
    "openai": {"error": {"type": "upstream_stream_incomplete"}},
    "anthropic": {"type": "error"},
    "openai_responses": {"type": "response.failed"},
}


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("scenario", ["eof-no-finish", "s08-cut-middle", "error-middle"])
async def test_case_06_07_a_stream_without_finish_reason_is_an_error(
    up: ScriptedUpstream, serve: Serve, surface: str, dialect: str, scenario: str
) -> None:
    served = await one(serve, up, dialect)
    seen = await served.clients().ask(surface, f"first/{scenario}", stream=True)
    last = json.loads(seen.raw.decode().rstrip().rpartition("data: ")[2])
    shape: Any = SHAPES[surface]
    assert all(last[name] == value or last[name]["type"] == value["type"] for name, value in shape.items())
    for end in (b"[DONE]", b"message_stop", b"response.completed", b'"stop"', b"end_turn"):
        assert end not in seen.raw
    (row,) = await served.ledger()
    assert (row["outcome"], row["failure"]) == ("failed", "truncated")
    assert row["output"] > 0


@pytest.mark.parametrize("scenario", ["s12-200-error", "200-error-late"])
@pytest.mark.parametrize(("surface", "dialect"), PAIRS)
async def test_case_08_an_error_as_first_event_is_a_real_status(
    up: ScriptedUpstream, serve: Serve, surface: str, dialect: str, scenario: str
) -> None:
    seen = await (await one(serve, up, dialect)).clients().ask(surface, f"first/{scenario}", stream=True)
    assert seen.status is not None
    assert seen.status >= 500
    assert seen.headers["content-type"] == "application/json"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_case_09_11_metadata_and_pings_before_an_error_do_not_leak(
    up: ScriptedUpstream, serve: Serve, surface: str, dialect: str
) -> None:
    served = await pair(serve, up.url, up, dialect)
    up.script("asked", ["200-error-late"])
    seen = await served.clients().ask(surface, "asked", stream=True)
    assert seen.text == ANSWER
    for trace in (b'chatcmpl-1"', b'fp_1"', b'msg_1"', b'resp_1"'):
        assert trace not in seen.raw
    assert seen.raw.count(b"event: message_start") == (surface == "anthropic")
    assert seen.raw.count(b"event: response.created") == (surface == "openai_responses")


async def test_case_10_quota_inside_a_responses_stream(up: ScriptedUpstream, serve: Serve) -> None:
    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    response = {"id": "resp_broken", "object": "response", "model": "m", "status": "in_progress", "output": []}
    error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your current quota"}
    events = [event("response.created", response=response), event("response.in_progress", response=response)]
    async with speaking(SSE_HEAD, *events, event("error", error=error, sequence_number=2)) as url:
        served = await pair(serve, url, up, "openai_responses")
        seen = await served.clients().ask("openai_responses", "asked", stream=True)
    assert seen.text == ANSWER
    assert seen.raw.count(b"event: response.created") == 1
    assert b"resp_broken" not in seen.raw
    assert [row["failure"] for row in await served.ledger()] == ["quota", None]


@pytest.mark.parametrize("surface", SURFACES)
async def test_case_11_when_the_fallback_fails_too_it_is_a_real_status(
    up: ScriptedUpstream, serve: Serve, surface: str
) -> None:
    served = await serve(
        {"first": proxy(up.url, "anthropic"), "second": proxy(up.url, "anthropic", "sk-second")},
        {
            "asked": {"proxy": "first", "upstream": "200-error-late"},
            "spare": {"proxy": "second", "upstream": "529"},
        },
        {"asked": ["spare"]},
    )
    seen = await served.clients().ask(surface, "asked", stream=True)
    assert seen.status in (502, 529)
    assert [attempt["model"] for attempt in seen.detail["attempts"]] == ["asked"] * 2 + ["spare"] * 3


async def test_case_12_healthy_after_a_stall(up: ScriptedUpstream, serve: Serve) -> None:
    served = await one(serve, up, **QUICK)
    assert "upstream_stream_incomplete" in (await served.chat("first/s09-stall", stream=True)).data[-1]
    (request,) = up.requests
    await request.ended()
    assert request.closed_at is not None  # nothing goes on in the background
    assert (await served.chat("first/ok", stream=True)).data[-1] == "[DONE]"


@pytest.mark.parametrize("surface", SURFACES)
async def test_case_13_a_lone_slow_model_is_waited_for_with_keepalives(
    up: ScriptedUpstream, serve: Serve, surface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "HOLD_SECONDS", 0.1)
    served = await one(serve, up, timeouts={})
    up.script("slow", [Scenario(does="", first_token=7.0)])
    seen = await served.clients().ask(surface, "first/slow", stream=True)
    assert seen.text == ANSWER
    assert seen.raw.startswith(b": keepalive\n\n: keepalive\n\n")
    assert seen.headers["x-chitty-request-id"].startswith("req_")


@pytest.mark.parametrize("surface", SURFACES)
async def test_case_13_a_failure_behind_keepalives_is_told_in_band(
    up: ScriptedUpstream, serve: Serve, surface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "HOLD_SECONDS", 0.1)
    served = await one(serve, up, timeouts={"firstToken": 0.4})
    seen = await served.clients().ask(surface, "first/s04-hang", stream=True)
    assert b": keepalive\n\n" in seen.raw
    last = json.loads(seen.raw.decode().rstrip().rpartition("data: ")[2])
    assert "upstream_timeout" in json.dumps(last)
    for end in (b"[DONE]", b"message_stop", b"response.completed"):
        assert end not in seen.raw
    (row,) = await served.ledger()
    assert (row["outcome"], row["failure"]) == ("failed", "silent")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_case_16_usage_comes_once_and_last_where_it_was_asked_for(
    up: ScriptedUpstream, serve: Serve, dialect: str
) -> None:
    served = await one(serve, up, dialect)
    for scenario in ("ok", "usage-everywhere"):
        up.script("asked", [scenario])
        got = await served.chat("first/asked", stream=True, stream_options={"include_usage": True})
        last = got.events[-1]
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == 40
        assert got.data[-1] == "[DONE]"
        assert sum(not event["choices"] for event in got.events) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_case_16_usage_that_was_not_asked_for_is_hidden_and_billed(
    up: ScriptedUpstream, serve: Serve, dialect: str
) -> None:
    served = await one(serve, up, dialect)
    got = await served.chat("first/ok", stream=True)
    assert all(event["choices"] and not event.get("usage") for event in got.events)
    if dialect == "openai":
        assert up.requests[0].json["stream_options"] == {"include_usage": True}
    (row,) = await served.ledger()
    assert (row["input"], row["output"]) == (17, 40)


async def test_case_16_a_provider_without_stream_options_is_remembered(up: ScriptedUpstream, serve: Serve) -> None:
    served = await one(serve, up)
    for _ in range(2):
        got = await served.chat("first/no-stream-options", stream=True)
        assert got.status == 200
        assert got.headers["x-chitty-attempts"] == "1"
    assert ["stream_options" in request.json for request in up.requests] == [True, False, False]
    assert {row["outcome"] for row in await served.ledger()} == {"ok"}
    assert all(row["output"] > 0 for row in await served.ledger())  # estimated


async def test_case_18_alternatives_keep_their_index_and_finish(up: ScriptedUpstream, serve: Serve) -> None:
    chunks = b"".join(
        spoken_chunk({}, choices=[choice])
        for choice in (
            {"index": 0, "delta": {"role": "assistant", "content": "a"}, "logprobs": {"content": []}},
            {"index": 1, "delta": {"role": "assistant", "content": "b"}, "logprobs": {"content": []}},
            {"index": 1, "delta": {}, "finish_reason": "length"},
            {"index": 0, "delta": {}, "finish_reason": "stop"},
        )
    )
    async with speaking(SSE_HEAD, chunks, b"data: [DONE]\n\n") as url:
        got = await (await pair(serve, url, up)).chat("asked", stream=True, n=2)
    choices = [choice for event in got.events for choice in event["choices"]]
    assert [(each["index"], each.get("finish_reason")) for each in choices] == [
        (0, None), (1, None), (1, "length"), (0, "stop")
    ]  # fmt: skip
    assert "logprobs" in choices[0]


@pytest.mark.parametrize("field", [{"n": 2}, {"logprobs": True}], ids=["n", "logprobs"])
async def test_case_18_alternatives_across_dialects_are_refused(
    up: ScriptedUpstream, serve: Serve, field: Json
) -> None:
    got = await (await one(serve, up, "anthropic")).chat("first/ok", **field)
    assert got.status == 400
    assert got.json["error"]["param"] == next(iter(field))
    assert not up.requests


async def test_what_a_client_does_not_read_waits_at_the_provider(up: ScriptedUpstream, serve: Serve) -> None:
    served = await one(serve, up)
    up.script("asked", [Scenario(does="", reply=Reply(" ".join(["x" * 500_000] * 80)))])
    wire = await served.connect()
    wire.send("POST", "/v1/chat/completions", {"model": "first/asked", "messages": HELLO, "stream": True})
    await wire.head()
    wire.pause()
    await served.pushes_back()
    assert up.requests[0].answered_at is None
    wire.resume()
    body = bytearray()
    while chunk := await wire.chunk():
        body += chunk
    assert body.count(b"x" * 500_000) == 80
    assert body.endswith(b"data: [DONE]\n\n")
    wire.close()
