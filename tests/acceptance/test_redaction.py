"""Placeholders go outside, the originals come back: on every surface, whole and streamed, whatever happens on the way.

The models' answers come in crumbs of three characters, so that every placeholder is cut through.
"""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bare_http import Got, Json
from chittycan.chat import ChatRequest, TextDelta, user
from chittycan.testing import Reply, Scenario, ToolUse
from chittycan.testing.upstream import ScriptedUpstream
from chittycan.testing.voices import anthropic, gemini, openai, responses
from serving import DIALECTS, PATIENCE, SURFACES, Serve, Served, proxy

MAIL, CARD = "zaunkoenig@canary.example", "4242 4242 4242 4242"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\n-----END PRIVATE KEY-----"
PROMPT = f"Write to {MAIL} about card {CARD}; cc eve@canary.example and {MAIL}"
HIDDEN = "Write to [EMAIL_1] about card [CARD_1]; cc [EMAIL_2] and [EMAIL_1]"
ANSWER = "Dear [EMAIL_1], your [CARD_1] is fine; [EMAIL_7] and [1] are not. [EMAIL_2"
TOLD = f"Dear {MAIL}, your {CARD} is fine; [EMAIL_7] and [1] are not. [EMAIL_2"
PATHS = {"openai": "/v1/chat/completions", "openai_responses": "/v1/responses", "anthropic": "/v1/messages"}
REDACT = {"x-chitty-redact": "true"}


@pytest.fixture(autouse=True)
def _in_crumbs(monkeypatch: pytest.MonkeyPatch) -> None:
    def crumbs(text: str) -> list[str]:
        return [text[place : place + 3] for place in range(0, len(text), 3)]

    for voice in (anthropic, gemini, openai, responses):
        monkeypatch.setattr(voice, "tokens", crumbs)


@pytest.fixture
async def house() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as upstream:
        yield upstream


async def outside(serve: Serve, up: ScriptedUpstream, dialect: str = "openai", **sections: Any) -> Served:
    for name in ("strong", "other"):
        up.script(name, [Scenario(does="answers", reply=Reply(text=ANSWER))])
    models: Json = {name: {"proxy": "cloud", "upstream": name, "vision": True} for name in ("strong", "other")}
    models |= sections.pop("models", {})
    proxies = {"cloud": proxy(up.url, dialect)} | sections.pop("proxies", {})
    return await serve(proxies, models, **sections)


def asked(surface: str, text: str = PROMPT, **more: Any) -> Json:
    match surface:
        case "openai_responses":
            return {"model": "strong", "input": text, **more}
        case "anthropic":
            return {"model": "strong", "max_tokens": 200, "messages": [{"role": "user", "content": text}], **more}
    return {"model": "strong", "messages": [{"role": "user", "content": text}], **more}


def said(surface: str, got: Got) -> str:
    """The text of an answer, whole or streamed."""
    if got.headers["content-type"].startswith("application/json"):
        match surface:
            case "openai_responses":
                return "".join(part["text"] for item in got.json["output"] for part in item["content"])
            case "anthropic":
                return "".join(part["text"] for part in got.json["content"])
        return str(got.json["choices"][0]["message"]["content"])
    match surface:
        case "openai_responses":
            return "".join(each["delta"] for each in got.events if each["type"] == "response.output_text.delta")
        case "anthropic":
            return "".join(each["delta"].get("text", "") for each in got.events if "delta" in each)
    return "".join(each["choices"][0]["delta"].get("content") or "" for each in got.events if each["choices"])


def no_original(up: ScriptedUpstream) -> bool:
    whole = b"".join(each.body for each in up.requests)
    return not any(each.encode() in whole for each in (MAIL, CARD, "eve@", "MC4CAQ"))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_model_outside_sees_placeholders_and_the_client_does_not(
    serve: Serve, up: ScriptedUpstream, surface: str, dialect: str, stream: bool
) -> None:
    served = await outside(serve, up, dialect)
    got = await served.fetch("POST", PATHS[surface], asked(surface, stream=stream), REDACT)
    assert (got.status, said(surface, got)) == (200, TOLD)
    assert got.headers["x-chitty-label"] == "redacted"
    assert no_original(up)
    assert json.dumps(HIDDEN).strip('"') in up.requests[-1].body.decode()
    assert [row["label"] for row in await served.recorded(1)] == ["redacted"]


@pytest.mark.parametrize("surface", SURFACES)
async def test_the_official_clients_take_it_for_any_stream(serve: Serve, up: ScriptedUpstream, surface: str) -> None:
    served = await outside(serve, up, {"openai": "openai"}.get(surface, surface), privacy={"redact": True})
    for stream in (False, True):
        body = {name: each for name, each in asked(surface).items() if name in ("messages", "input")}
        seen = await served.clients().ask(surface, "strong", stream=stream, **body)
        assert (seen.error, seen.text) == (None, TOLD)
    assert no_original(up)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_arguments_of_tools_are_put_back_as_json(
    serve: Serve, up: ScriptedUpstream, dialect: str, stream: bool
) -> None:
    served = await outside(serve, up, dialect)
    use = ToolUse("call_1", "store", json.dumps({"key": "[PRIVATE_KEY_1]", "for": "[EMAIL_1]"}))
    up.script("strong", [Scenario(does="calls", reply=Reply(text="", tools=(use,), stop="tool_calls"))])
    tool = {"type": "function", "function": {"name": "store", "parameters": {"type": "object", "properties": {}}}}
    body = asked("openai", f"{MAIL} has {KEY}", tools=[tool], stream=stream)
    got = await served.fetch("POST", PATHS["openai"], body, REDACT)
    if stream:
        deltas = [each["choices"][0]["delta"] for each in got.events if each["choices"]]
        calls = [call for delta in deltas for call in delta.get("tool_calls") or []]
        arguments = "".join(call["function"].get("arguments") or "" for call in calls)
    else:
        arguments = got.json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"key": KEY, "for": MAIL}
    assert no_original(up)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_structured_answers_stay_json(serve: Serve, up: ScriptedUpstream, stream: bool) -> None:
    served = await outside(serve, up)
    up.script("strong", [Scenario(does="answers", reply=Reply(text='{"key": "[PRIVATE_KEY_1]"}'))])
    schema = {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]}
    form = {"type": "json_schema", "json_schema": {"name": "found", "schema": schema}}
    body = asked("openai", f"Find the key in {KEY}", response_format=form, stream=stream)
    got = await served.fetch("POST", PATHS["openai"], body, REDACT)
    assert json.loads(said("openai", got)) == {"key": KEY}


async def test_tool_results_and_arguments_of_earlier_turns_are_hidden_as_json(
    serve: Serve, up: ScriptedUpstream
) -> None:
    served = await outside(serve, up, privacy={"terms": ["Café Blüte"]})
    call = {"id": "c1", "type": "function", "function": {
        "name": "find", "arguments": json.dumps({"who": "Café Blüte", "id": MAIL})}}  # fmt: skip
    messages = [
        {"role": "user", "content": "Look it up"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"found": "Café Blüte", "mail": MAIL})},
    ]
    got = await served.chat("strong", messages=messages, headers=REDACT)
    assert got.status == 200
    sent = json.loads(up.requests[-1].body)["messages"]
    assert json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {"who": "[TERM_1]", "id": "[EMAIL_1]"}
    assert json.loads(sent[2]["content"]) == {"found": "[TERM_1]", "mail": "[EMAIL_1]"}
    assert sent[1]["tool_calls"][0]["function"]["name"] == "find"


@pytest.mark.parametrize("prefill", [True, False], ids=["prefill", "restart"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_stream_that_breaks_off_is_continued(
    serve: Serve, up: ScriptedUpstream, surface: str, prefill: bool
) -> None:
    served = await outside(serve, up, fallbacks={"strong": ["other"]})
    cut = Scenario(does="breaks off", reply=Reply(text=ANSWER), keep=0.5, then="cut")
    up.script("strong", [cut])
    up.script("other", [Scenario(does="goes on", reply=Reply(text=ANSWER), prefill=prefill)])
    got = await served.fetch("POST", PATHS[surface], asked(surface, stream=True), REDACT)
    assert said(surface, got) == TOLD
    assert [each.model for each in up.requests][:2] == ["strong", "other"]
    assert no_original(up)


async def test_an_answer_that_nobody_continues_shows_all_that_came(serve: Serve, up: ScriptedUpstream) -> None:
    served = await outside(serve, up)
    up.script("strong", [Scenario(does="breaks off", reply=Reply(text="See [EMAIL_1]. [EMA"), then="error")])
    got = await served.fetch("POST", PATHS["openai"], asked("openai", stream=True), REDACT)
    assert got.events[-1]["error"]["code"] == "upstream_stream_incomplete"
    text = "".join(each["choices"][0]["delta"].get("content") or "" for each in got.events if each.get("choices"))
    assert text == f"See {MAIL}. [EMA"


async def test_fallbacks_and_ensembles_see_placeholders(serve: Serve, up: ScriptedUpstream) -> None:
    ensembles = {"two": {"models": ["strong", "other"], "mode": "vote"}}
    served = await outside(serve, up, fallbacks={"strong": ["other"]}, ensembles=ensembles)
    up.script("strong", ["s03-500"])
    got = await served.chat("strong", messages=asked("openai")["messages"], headers=REDACT)
    assert (got.headers["x-chitty-served-by"], said("openai", got)) == ("other", TOLD)
    up.script("strong", [Scenario(does="answers", reply=Reply(text=ANSWER))])
    for stream in (False, True):
        body = asked("openai", stream=stream) | {"model": "ensemble:two"}
        got = await served.fetch("POST", PATHS["openai"], body, REDACT)
        assert (said("openai", got), got.headers["x-chitty-label"]) == (TOLD, "redacted")
    assert no_original(up)


async def test_callers_in_this_process_get_the_originals_too(serve: Serve, up: ScriptedUpstream) -> None:
    served = await outside(serve, up)
    network, chat = served.network, ChatRequest(model="strong", messages=[user(PROMPT)])
    answer = await network.ask(chat, redact=True)
    assert (answer.text, answer.trace.label) == (TOLD, "redacted")
    stream = await network.stream(chat, redact=True)
    assert "".join([each.text async for each in stream.events() if isinstance(each, TextDelta)]) == TOLD
    found = await network.ensemble(chat, ["strong", "other"], redact=True)
    assert found.text == TOLD
    assert found.verdict.answer == TOLD
    assert {member.text for member in found.verdict.members} == {TOLD}
    assert network.explain(chat, redact=True).label == "redacted"
    assert no_original(up)


async def test_what_cannot_be_taken_out_stays_in_the_house(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    own = {"own": {"proxy": "house", "upstream": "own", "private": True, "vision": True}}
    served = await outside(serve, up, models=own, proxies={"house": proxy(house.url, "openai", "sk-house")})
    pixel = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    image = [{"type": "text", "text": "Who is this?"}, {"type": "image_url", "image_url": {"url": pixel}}]
    named = [{"role": "user", "content": "Hello", "name": MAIL}]
    for messages in ([{"role": "user", "content": image}], named):
        got = await served.chat("strong", messages=messages, headers=REDACT)
        assert (got.status, got.headers["x-chitty-served-by"]) == (200, "own")
    assert not up.requests


async def test_where_there_is_no_house_that_is_an_error(serve: Serve, up: ScriptedUpstream) -> None:
    served = await outside(serve, up)
    got = await served.chat("strong", messages=[{"role": "user", "content": "x", "name": MAIL}], headers=REDACT)
    assert (got.status, got.json["error"]["code"]) == (403, "privacy_no_model")
    assert not up.requests


async def test_the_configuration_may_choose_it_for_all_and_a_caller_may_not_want_it(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    house.script("own", [Scenario(does="answers", reply=Reply(text="in the house"))])
    own = {"own": {"proxy": "house", "upstream": "own", "private": True}}
    proxies = {"house": proxy(house.url, "openai", "sk-house")}
    served = await outside(serve, up, models=own, proxies=proxies, privacy={"redact": True})
    ask = asked("openai")["messages"]
    assert said("openai", await served.chat("strong", messages=ask)) == TOLD
    for model, headers in (
        ("strong", {"x-chitty-redact": "false"}),
        ("own", {}),
        ("strong", {"x-chitty-private": "1"}),
    ):
        got = await served.chat(model, messages=ask, headers=headers)
        assert (got.headers["x-chitty-label"], said("openai", got)) == ("private", "in the house")
    assert MAIL.encode() in house.requests[0].body  # nothing is taken out of what stays
    plain = await served.chat("strong")
    assert "x-chitty-label" not in plain.headers
    assert no_original(up)


async def test_neither_logs_nor_the_database_know_the_originals(
    serve: Serve, up: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served = await outside(serve, up)
    for stream in (False, True):
        body = asked("openai", stream=stream, chitty={"redact": True, "cache": True})
        for _ in range(2):
            got = await served.fetch("POST", PATHS["openai"], body)
            assert (said("openai", got), got.headers["x-chitty-cache"]) == (TOLD, "miss")
    await served.recorded(4)
    assert MAIL not in caplog.text
    assert MAIL in said("openai", got)  # so that it can be found
    files = Path(str(served.network.database.url.database)).parent.glob("chitty.db*")
    assert not any(MAIL.encode() in file.read_bytes() for file in files)
    await served.fetch("POST", PATHS["openai"], asked("openai", "nothing private", chitty={"cache": True}))
    files = Path(str(served.network.database.url.database)).parent.glob("chitty.db*")
    assert any(b"[EMAIL_7]" in file.read_bytes() for file in files)  # an answer that may be kept


@pytest.mark.parametrize("mode", ["warn", "enforce"])
async def test_batches_and_background_responses_are_redacted_by_whoever_performs_them(
    serve: Serve, up: ScriptedUpstream, mode: str
) -> None:
    served = await outside(serve, up, privacy={"mode": mode})
    await served.network.work()
    body = asked("openai_responses", background=True)
    created = (await served.fetch("POST", PATHS["openai_responses"], body, REDACT)).json
    params = {"custom_id": "a", "params": asked("anthropic")}
    batch = (await served.fetch("POST", "/v1/messages/batches", {"requests": [params]}, REDACT)).json
    async with asyncio.timeout(6 * PATIENCE):
        while created["status"] != "completed" or batch["processing_status"] != "ended":
            await asyncio.sleep(0.05)
            created = (await served.fetch("GET", f"/v1/responses/{created['id']}")).json
            batch = (await served.fetch("GET", f"/v1/messages/batches/{batch['id']}")).json
    assert "".join(part["text"] for item in created["output"] for part in item["content"]) == TOLD
    results = (await served.fetch("GET", f"/v1/messages/batches/{batch['id']}/results")).body
    assert json.loads(results)["result"]["message"]["content"][0]["text"] == TOLD
    assert no_original(up)


async def test_a_broken_off_background_stream_is_told_whole(serve: Serve, up: ScriptedUpstream) -> None:
    served = await outside(serve, up, fallbacks={"strong": ["other"]})
    await served.network.work()
    up.script("strong", [Scenario(does="breaks off", reply=Reply(text=ANSWER), keep=0.5, then="cut")])
    body = asked("openai_responses", background=True, stream=True)
    got = await served.fetch("POST", PATHS["openai_responses"], body, REDACT)
    assert said("openai_responses", got) == TOLD
    assert no_original(up)


async def test_what_a_session_keeps_of_a_redacted_answer_is_private(serve: Serve, up: ScriptedUpstream) -> None:
    served = await outside(serve, up)
    chitty = {"session": "case-7", "record": "letter", "redact": True}
    await served.fetch("POST", PATHS["openai"], asked("openai", chitty=chitty))
    await served.network.recall.close()  # waits for what is being recorded
    found = await served.network.context.retrieve("case-7")
    assert found.document["letter"] == TOLD
    assert found.labels["letter"].privacy == "private"
