"""An answer that breaks off after it has begun: nothing is held back, and nothing is made up."""

import json
from typing import Any

import pytest

from bare_http import Got, Json
from chittycan.testing import ANSWER, Reply, Scenario
from chittycan.testing.scenarios import OTHER_ANSWER, tokens
from chittycan.testing.upstream import ScriptedUpstream
from serving import QUICK, Serve, Served, proxy

PATHS = [
    ("openai", "openai"),
    ("openai", "anthropic"),
    ("openai", "gemini"),
    ("anthropic", "anthropic"),
    ("anthropic", "openai"),
    ("openai_responses", "openai_responses"),
    ("openai_responses", "openai"),
]
FIRST, SECOND = tokens(ANSWER)[:2]


def request(surface: str, model: str, **more: Any) -> tuple[str, Json]:
    """Path and body of a streamed question."""
    messages = [{"role": "user", "content": "Hello"}]
    if surface == "openai_responses":
        return "/v1/responses", {"model": model, "input": "Hello", "stream": True, **more}
    if surface == "anthropic":
        return "/v1/messages", {"model": model, "max_tokens": 500, "messages": messages, "stream": True, **more}
    return "/v1/chat/completions", {"model": model, "messages": messages, "stream": True, **more}


def text_of(got: Got) -> str:
    """All text of a stream, whatever its dialect."""
    found = ""
    for event in got.events:
        match event:
            case {"choices": [{"delta": {"content": str(text)}}, *_]}:
                found += text
            case {"type": "content_block_delta", "delta": {"text": text}}:
                found += text
            case {"type": "response.output_text.delta", "delta": text}:
                found += text
    return found


def assert_broken(got: Got) -> None:
    """It says that it broke off, at the end, and pretends nothing."""
    body = got.body.decode()
    assert got.status == 200
    assert "upstream_stream_incomplete" in got.data[-1]
    for end in ("[DONE]", "message_stop", "response.completed", "response.incomplete", '"finish_reason":"', "end_turn"):
        assert end not in body


async def two(serve: Serve, up: ScriptedUpstream, first: str, second: str, **spare: Any) -> Served:
    """A gateway with the model `asked` of one dialect, and `spare` of another to turn to."""
    return await serve(
        {"first": proxy(up.url, first), "second": proxy(up.url, second, "sk-second")},
        {"asked": {"proxy": "first", "upstream": "asked"}, "spare": {"proxy": "second", "upstream": "spare", **spare}},
        {"asked": ["spare"]},
    )


async def ask(served: Served, surface: str, **more: Any) -> Got:
    return await served.fetch("POST", *request(surface, "asked", **more))


@pytest.mark.parametrize(("surface", "dialect"), PATHS)
async def test_the_first_token_reaches_the_client_before_the_second_is_sent(
    up: ScriptedUpstream, serve: Serve, surface: str, dialect: str
) -> None:
    served = await two(serve, up, dialect, "openai")
    gate = up.gate("asked")
    wire = await served.connect()
    wire.send("POST", *request(surface, "asked"))
    await up.received(1)
    await gate.release()
    assert (await wire.head()).headers["x-chitty-served-by"] == "asked"
    seen = b""
    while f'"{FIRST}"'.encode() not in seen:
        seen += await wire.chunk()
    assert gate.written == 1
    assert f'"{SECOND}"'.encode() not in seen
    await gate.open()
    while chunk := await wire.chunk():
        seen += chunk
    assert text_of(Got(200, {}, seen)) == ANSWER
    wire.close()


@pytest.mark.parametrize(("surface", "dialect"), PATHS)
async def test_tokens_of_a_continuation_are_not_held_back_either(
    up: ScriptedUpstream, serve: Serve, surface: str, dialect: str
) -> None:
    served = await two(serve, up, dialect, "openai", prefill=True)
    up.script("asked", ["s08-cut-middle"])
    gate = up.gate("spare")
    wire = await served.connect()
    wire.send("POST", *request(surface, "asked"))
    await wire.head()
    seen = b""
    await up.received(1, "spare")
    await gate.release()
    while "or" not in text_of(Got(200, {}, seen)):
        seen += await wire.chunk()
        if text_of(Got(200, {}, seen)).endswith(" off"):
            break
    assert gate.written == 1
    await gate.open()
    while chunk := await wire.chunk():
        seen += chunk
    assert text_of(Got(200, {}, seen)) == ANSWER
    wire.close()


@pytest.mark.parametrize("spare", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
@pytest.mark.parametrize("broken", ["s08-cut-middle", "eof-no-finish", "error-middle"])
async def test_a_broken_answer_is_continued_from_its_last_word(
    up: ScriptedUpstream, serve: Serve, surface: str, spare: str, broken: str
) -> None:
    served = await two(serve, up, "openai", spare, prefill=True)
    up.script("asked", [broken])
    got = await ask(served, surface)
    assert text_of(got) == ANSWER
    (continued,) = up.calls("spare")
    already = "".join(tokens(ANSWER)[:20])
    assert json.dumps(already, ensure_ascii=False) in continued.body.decode()
    assert continued.tokens == len(tokens(ANSWER)) - 20


@pytest.mark.parametrize("spare", ["openai", "anthropic", "gemini", "openai_responses"])
@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
async def test_a_model_that_continues_nothing_begins_again_and_its_repetition_is_held_back(
    up: ScriptedUpstream, serve: Serve, surface: str, spare: str
) -> None:
    served = await two(serve, up, "openai", spare)
    up.script("asked", ["s08-cut-middle"])
    up.script("spare", ["ok-noprefill"])
    got = await ask(served, surface)
    assert text_of(got) == ANSWER
    (restarted,) = up.calls("spare")
    assert "assistant" not in restarted.body.decode()
    assert restarted.tokens == len(tokens(ANSWER))


@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
async def test_a_model_that_refuses_to_continue_begins_again(up: ScriptedUpstream, serve: Serve, surface: str) -> None:
    served = await two(serve, up, "openai", "openai", prefill=True)
    up.script("asked", ["s08-cut-middle"])
    up.script("spare", ["ok-noprefill"])
    assert text_of(await ask(served, surface)) == ANSWER
    assert [call.tokens for call in up.calls("spare")] == [0, len(tokens(ANSWER))]


@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
async def test_another_answer_is_never_glued_to_the_first(up: ScriptedUpstream, serve: Serve, surface: str) -> None:
    served = await two(serve, up, "openai", "openai")
    up.script("asked", ["s08-cut-middle"])
    up.script("spare", ["ok-other"])
    got = await ask(served, surface)
    assert_broken(got)
    assert ANSWER.startswith(text_of(got))
    assert OTHER_ANSWER[:5] not in got.body.decode()


async def test_a_continuation_may_break_off_too(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve(
        {
            "first": proxy(up.url, "openai"),
            "second": proxy(up.url, "anthropic", "sk-second"),
            "third": proxy(up.url, "openai", "sk-third"),
        },
        {
            "asked": {"proxy": "first", "upstream": "s08-cut-middle"},
            "spare": {"proxy": "second", "upstream": "s08-cut-middle", "prefill": True},
            "last": {"proxy": "third", "upstream": "ok-noprefill"},
        },
        {"asked": ["spare", "last"]},
    )  # fmt: skip
    got = await ask(served, "openai")
    assert text_of(got) == ANSWER
    assert got.body.count(b"[DONE]") == 1
    rows = await served.ledger()
    assert [(row["model"], row["outcome"]) for row in rows] == [
        ("asked", "absorbed"), ("spare", "absorbed"), ("last", "ok")
    ]  # fmt: skip


async def test_every_model_breaks_off(up: ScriptedUpstream, serve: Serve) -> None:
    served = await two(serve, up, "openai", "anthropic", prefill=True)
    up.script("asked", ["s08-cut-middle"])
    up.script("spare", ["s08-cut-middle"])
    got = await ask(served, "openai")
    assert_broken(got)
    assert len(text_of(got)) > len(ANSWER) / 2
    attempts = json.loads(got.data[-1])["error"]["attempts"]
    assert [(each["model"], each["class"]) for each in attempts] == [("asked", "truncated"), ("spare", "truncated")]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
@pytest.mark.parametrize("scenario", ["tools-cut-middle", "thinking"])
async def test_never_continued_after_tool_calls_or_thinking(
    up: ScriptedUpstream, serve: Serve, surface: str, dialect: str, scenario: str
) -> None:
    served = await two(serve, up, dialect, "openai", prefill=True)
    thinking = Scenario(does="", keep=0.6, then="cut", reply=Reply(thinking="First I consider the question itself."))
    up.script("asked", [thinking if scenario == "thinking" else scenario])
    assert_broken(await ask(served, surface))
    assert not up.calls("spare")


@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
async def test_never_continued_in_structured_output(up: ScriptedUpstream, serve: Serve, surface: str) -> None:
    served = await two(serve, up, "openai", "openai", prefill=True)
    up.script("asked", [Scenario(does="", keep=0.5, then="cut", reply=Reply('{"a": "b and c and d"}'))])
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    wanted: dict[str, Json] = {
        "openai": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}},
        "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        "openai_responses": {"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}},
    }
    assert_broken(await ask(served, surface, **wanted[surface]))
    assert not up.calls("spare")


@pytest.mark.parametrize("field", [{"n": 2}, {"logprobs": True}], ids=["n", "logprobs"])
async def test_never_continued_where_a_prefix_is_not_the_whole_story(
    up: ScriptedUpstream, serve: Serve, field: Json
) -> None:
    served = await two(serve, up, "openai", "openai", prefill=True)
    up.script("asked", ["s08-cut-middle"])
    assert_broken(await ask(served, "openai", **field))
    assert not up.calls("spare")


async def test_a_started_answer_of_the_caller_is_kept_in_front(up: ScriptedUpstream, serve: Serve) -> None:
    served = await two(serve, up, "anthropic", "anthropic", prefill=True)
    up.script("asked", ["s08-cut-middle"])
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "A gateway"}]
    got = await ask(served, "anthropic", messages=messages)
    assert "A gateway" + text_of(got) == ANSWER
    assert [message["role"] for message in up.calls("spare")[0].json["messages"]] == ["user", "assistant"]


async def test_a_continuation_gets_what_is_left_of_the_token_limit(up: ScriptedUpstream, serve: Serve) -> None:
    served = await two(serve, up, "openai", "openai", prefill=True)
    up.script("asked", ["s08-cut-middle"])
    await ask(served, "openai", max_tokens=100)
    (continued,) = up.calls("spare")
    (limit,) = [value for name, value in continued.json.items() if name.startswith("max_")]
    assert 50 < limit < 100


@pytest.mark.parametrize("surface", ["openai", "anthropic"])
async def test_silence_after_the_finish_reason_is_an_end(up: ScriptedUpstream, serve: Serve, surface: str) -> None:
    served = await serve({"first": proxy(up.url, surface, **QUICK)}, {"asked": {"proxy": "first"}})
    up.script("asked", [Scenario(does="", done=False, stay_open=True)])
    got = await ask(served, surface)
    assert text_of(got) == ANSWER
    assert got.data[-1] in ("[DONE]", '{"type":"message_stop"}')
    assert not up.calls("spare")


async def test_what_a_broken_answer_cost_is_paid_and_what_is_absorbed_is_no_error(
    up: ScriptedUpstream, serve: Serve
) -> None:
    price = {"input": 1000, "output": 2000}
    served = await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "openai", "sk-second")},
        {
            "asked": {"proxy": "first", "upstream": "s08-cut-middle", "price": price},
            "spare": {"proxy": "second", "upstream": "ok", "prefill": True, "price": price},
        },
        {"asked": ["spare"]},
    )
    await ask(served, "openai")
    broken, whole = await served.ledger()
    assert (broken["outcome"], whole["outcome"]) == ("absorbed", "ok")
    assert broken["output"] > 0
    assert broken["cost_nano"] == broken["input"] * 1_000_000 + broken["output"] * 2_000_000
