"""The paths, lists and small answers around the models, for every client that expects them where its maker put them."""

import json
from typing import Any

import anthropic
import openai
import pytest

from bare_http import Json
from chittycan.testing import ANSWER
from chittycan.testing.upstream import ScriptedUpstream
from serving import SURFACES, Serve, Served, proxy

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def served(up: ScriptedUpstream, serve: Serve) -> Served:
    return await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "anthropic", "sk-second")},
        {
            "gpt-x": {"proxy": "first", "upstream": "ok"},
            "claude-x": {"proxy": "second", "upstream": "ok"},
            "llama-scout": {"proxy": "first", "upstream": "ok"},
        },
        {"*": ["gpt-x"]},
        {"email.triage": "claude-x"},
    )


@pytest.mark.parametrize("base", ["", "/v1"])
async def test_base_urls_with_and_without_v1(served: Served, base: str) -> None:
    async with openai.AsyncOpenAI(base_url=served.url + base, api_key="any", max_retries=0) as gpt:
        assert (await gpt.responses.create(model="gpt-x", input="Hello")).output_text == ANSWER
    async with anthropic.AsyncAnthropic(base_url=served.url + base, api_key="any", max_retries=0) as claude:
        message = await claude.messages.create(model="claude-x", messages=HELLO, max_tokens=9)
        assert message.content[0].type == "text"


async def test_models_in_both_shapes(served: Served) -> None:
    clients = served.clients()
    names = [model.id async for model in clients.gpt.models.list()]
    assert {"auto", "auto:cheap", "auto:best", "gpt-x", "claude-x", "email.triage"} <= set(names)
    assert len(names) == len(set(names))
    assert [model.id async for model in clients.claude.models.list(limit=1000)] == names
    assert (await clients.gpt.models.retrieve("gpt-x")).owned_by == "first"
    assert (await clients.claude.models.retrieve("claude-x")).type == "model"
    with pytest.raises(openai.NotFoundError):
        await clients.gpt.models.retrieve("nobody")


async def test_a_key_sees_only_the_models_that_it_may_call(served: Served) -> None:
    secret = await served.key(models=("gpt-x",))
    assert [model.id async for model in served.clients(secret).gpt.models.list()] == ["gpt-x"]


@pytest.mark.parametrize("model", ["auto", "email.triage", "first/ok"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_virtual_models_answer_on_every_surface(served: Served, surface: str, model: str) -> None:
    assert (await served.clients().ask(surface, model, stream=True)).text == ANSWER


async def test_tokens_are_counted_without_asking_anyone(served: Served, up: ScriptedUpstream) -> None:
    count = served.clients().claude.messages.count_tokens
    few = await count(model="claude-x", messages=HELLO)
    many = await count(model="claude-x", messages=[{"role": "user", "content": "several words " * 100}])
    assert 0 < few.input_tokens < 20
    assert 150 < many.input_tokens < 600
    assert not up.requests


async def test_what_says_that_it_is_alive(served: Served) -> None:
    for method, path in (("HEAD", "/"), ("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics"), ("GET", "/")):
        assert (await served.fetch(method, path)).status == 200


async def test_metrics_count_what_happened(served: Served) -> None:
    await served.chat("gpt-x")
    await served.chat("nobody")
    text = (await served.fetch("GET", "/metrics")).body.decode()
    counted = [line for line in text.split("\n") if not line.startswith("#") and "gpt-x" in line]
    assert any('status="200"' in line and line.endswith(" 1.0") for line in counted)
    assert any("token" in line and line.endswith(" 40.0") for line in counted)
    assert 'status="404"' in text


async def test_what_is_not_there_is_said_in_the_callers_dialect(served: Served) -> None:
    missing = await served.fetch("POST", "/v1/nothing", {})
    assert (missing.status, missing.json["error"]["code"]) == (404, "not_found")
    wrong = await served.fetch("GET", "/v1/chat/completions")
    assert wrong.status == 405
    assert wrong.headers["allow"] == "POST"
    theirs = await served.fetch("POST", "/v1/nothing", {}, {"anthropic-version": "2023-06-01"})
    assert theirs.json["type"] == "error"
    assert theirs.json["error"]["type"] == "not_found_error"


async def test_an_unknown_model_comes_with_a_suggestion(served: Served) -> None:
    got = await served.chat("lama-scout")
    assert (got.status, got.json["error"]["code"]) == (404, "model_not_found")
    assert "llama-scout" in got.json["error"]["message"]


async def test_what_a_call_took_stands_in_its_headers(served: Served) -> None:
    got = await served.chat("gpt-x")
    for name in ("request-id", "served-by", "attempts", "fallbacks", "overhead-ms", "cache", "route"):
        assert f"x-chitty-{name}" in got.headers
    usage = await served.fetch("GET", f"/api/v1/usage/{got.headers['x-chitty-request-id']}")
    assert (usage.json["model"], usage.json["output"], usage.json["outcome"]) == ("gpt-x", 40, "ok")
    stream = await served.chat("gpt-x", stream=True)
    usage = await served.fetch("GET", f"/api/v1/usage/{stream.headers['x-chitty-request-id']}")
    assert usage.json["first_token_ms"] > 0


async def test_wishes_in_headers_or_body_are_taken_and_stripped(served: Served, up: ScriptedUpstream) -> None:
    wished: list[Json] = [
        {"headers": {"x-chitty-kind": "email.triage", "x-chitty-session": "s1", "x-chitty-models": "claude-x, gpt-x"}},
        {"chitty": {"kind": "email.triage", "session": "s1", "models": ["claude-x", "gpt-x"]}},
    ]
    for wish in wished:
        assert (await served.chat("auto", **wish)).headers["x-chitty-served-by"] == "claude-x"
    assert all("chitty" not in request.json for request in up.requests)
    assert {(row["kind"], row["session"], row["decision"]) for row in await served.ledger()} == {
        ("email.triage", "s1", "listed")
    }
    await served.chat("gpt-x", chitty={"kind": "code"})
    assert up.requests[-1].json.keys() == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    "wish",
    [{"timeout": -1}, {"timeout": "soon"}, {"private": "perhaps"}, {"models": [1]}, {"kind": ""}, {"nothing": 1}, 5],
    ids=str,
)
async def test_wishes_that_cannot_be_read_are_named(served: Served, up: ScriptedUpstream, wish: Any) -> None:
    got = await served.chat("gpt-x", chitty=wish)
    assert got.status == 400
    assert got.json["error"]["param"].startswith("chitty")
    assert not up.requests


async def test_a_request_as_claude_code_sends_it(served: Served, up: ScriptedUpstream) -> None:
    body = {
        "model": "claude-x",
        "max_tokens": 32000,
        "stream": True,
        "system": [{"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "metadata": {"user_id": "user_1"},
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
    }
    headers = {
        "x-api-key": "k",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
    }
    got = await served.fetch("POST", "/v1/messages?beta=true", body, headers)
    assert got.status == 200
    assert "".join(event["delta"].get("text", "") for event in got.events if "delta" in event) == ANSWER
    (request,) = up.requests
    assert request.json == body | {"model": "ok"}
    assert request.headers["anthropic-beta"] == headers["anthropic-beta"]
    other = await served.fetch("POST", "/v1/messages?beta=true", body | {"model": "gpt-x"}, headers)
    assert other.status == 200


@pytest.mark.parametrize("model", ["gpt-x", "claude-x"])
async def test_a_request_as_codex_sends_it(served: Served, up: ScriptedUpstream, model: str) -> None:
    body = {
        "model": model,
        "instructions": "You are Codex.",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "tools": [
            {"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "apply_patch", "description": "Patch", "format": {"type": "text"}},
            {"type": "web_search"},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "x",
        "client_metadata": {"a": "b"},
    }
    got = await served.fetch("POST", "/v1/responses", body)
    assert got.status == 200, got.body
    assert got.events[-1]["type"] == "response.completed"
    assert json.loads(up.requests[0].body)["model"] == "ok"
