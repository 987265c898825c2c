"""The official OpenAI and Anthropic clients, with nothing but a base URL and a key."""

import json
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from bare_http import Json
from chittycan.testing import ANSWER, Reply, Scenario
from chittycan.testing.lookups import vector_of
from chittycan.testing.upstream import ScriptedUpstream
from serving import SURFACES, Serve, Served, proxy

DIALECTS = ["openai", "anthropic", "openai_responses", "gemini"]
HELLO: Any = [{"role": "user", "content": "Hello"}]
CALLS = {"get_weather": {"city": "Paris", "unit": "celsius"}, "get_time": {"zone": "Europe/Paris"}}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "zone": {"type": "string"}}}
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": name, "parameters": PARAMETERS}} for name in CALLS]
RESPONSES_TOOLS: Any = [{"type": "function", "name": name, "parameters": PARAMETERS, "strict": False} for name in CALLS]
MESSAGES_TOOLS: Any = [{"name": name, "input_schema": PARAMETERS} for name in CALLS]

pytestmark = pytest.mark.parametrize("dialect", DIALECTS)


class Label(BaseModel):
    label: str
    score: float


@pytest.fixture
async def served(up: ScriptedUpstream, serve: Serve, dialect: str) -> Served:
    return await serve({"first": proxy(up.url, dialect)})


# OpenAI Chat Completions


async def test_chat(served: Served, up: ScriptedUpstream) -> None:
    answer = await served.clients().gpt.chat.completions.create(model="first/ok", messages=HELLO)
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (17, 40)
    assert up.requests[0].key == "sk-upstream-CANARY0123456789abcdef"


async def test_chat_stream(served: Served) -> None:
    async with served.clients().gpt.chat.completions.stream(model="first/ok", messages=HELLO) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == ANSWER
    assert final.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_case_19_parallel_tools_in_chat(served: Served, stream: bool) -> None:
    completions = served.clients().gpt.chat.completions
    asked: Json = {"model": "first/tools", "messages": HELLO, "tools": CHAT_TOOLS}
    if stream:
        async with completions.stream(**asked) as events:
            answer: Any = await events.get_final_completion()
    else:
        answer = await completions.create(**asked)
    calls = answer.choices[0].message.tool_calls or []
    assert {
        call.function.name: json.loads(call.function.arguments) for call in calls if call.type == "function"
    } == CALLS
    assert len({call.id for call in calls}) == 2
    assert answer.choices[0].finish_reason == "tool_calls"
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    after = await completions.create(**asked | {"messages": [*HELLO, answer.choices[0].message, *results]})
    assert after.choices[0].message.content == ANSWER


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_case_20_a_tool_without_arguments_in_chat(served: Served, stream: bool) -> None:
    completions = served.clients().gpt.chat.completions
    asked: Json = {"model": "first/tools-empty", "messages": HELLO, "tools": CHAT_TOOLS}
    if stream:
        async with completions.stream(**asked) as events:
            answer: Any = await events.get_final_completion()
    else:
        answer = await completions.create(**asked)
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert json.loads(call.function.arguments or "{}") == {}
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("scenario", ["tools-index-0", "tools-same-id"])
async def test_case_23_calls_that_cannot_be_told_apart_are_told_apart(
    served: Served, scenario: str, dialect: str
) -> None:
    if scenario == "tools-same-id" and dialect in ("anthropic", "openai_responses"):
        pytest.skip("does not apply: these vendors number their calls themselves")
    async with served.clients().claude.messages.stream(
        model=f"first/{scenario}", messages=HELLO, max_tokens=100, tools=MESSAGES_TOOLS
    ) as stream:
        final = await stream.get_final_message()
    calls = [block for block in final.content if block.type == "tool_use"]
    assert {call.name: call.input for call in calls} == CALLS
    assert len({call.id for call in calls}) == 2


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_case_24_arguments_that_break_off_at_the_limit_are_still_an_answer(
    served: Served, surface: str, stream: bool
) -> None:
    if surface == "anthropic" and stream:
        # The Anthropic client's helper parses the arguments; the plain stream shows that the answer is well-formed.
        raw = await served.clients().claude.messages.create(
            model="first/tools-cut", messages=HELLO, max_tokens=10, tools=MESSAGES_TOOLS, stream=True
        )
        events = [event async for event in raw]
        assert [event.delta.stop_reason for event in events if event.type == "message_delta"] == ["max_tokens"]
        return
    tools = {"openai": CHAT_TOOLS, "anthropic": MESSAGES_TOOLS, "openai_responses": RESPONSES_TOOLS}[surface]
    seen = await served.clients().ask(surface, "first/tools-cut", stream=stream, tools=tools)
    assert seen.error is None
    assert seen.finish in ("length", "max_tokens", "incomplete")


async def test_structured_output(served: Served) -> None:
    answer = await served.clients().gpt.chat.completions.parse(
        model="first/json", messages=HELLO, response_format=Label
    )
    assert answer.choices[0].message.parsed == Label(label="x", score=0)
    response = await served.clients().gpt.responses.parse(model="first/json", input="Hello", text_format=Label)
    assert response.output_parsed == Label(label="x", score=0)
    message = await served.clients().claude.messages.parse(
        model="first/json", messages=HELLO, max_tokens=100, output_format=Label
    )
    assert message.parsed_output == Label(label="x", score=0)


async def test_case_32_refusals(served: Served, dialect: str) -> None:
    clients = served.clients()
    if dialect == "gemini":  # which gives a reason and no words
        answer = await clients.gpt.chat.completions.create(model="first/refusal", messages=HELLO)
        assert answer.choices[0].finish_reason == "content_filter"
        return
    answer = await clients.gpt.chat.completions.create(model="first/refusal", messages=HELLO)
    message = answer.choices[0].message
    assert "I will not help" in (message.refusal or message.content or "")
    for stream in (False, True):
        seen = await clients.ask("anthropic", "first/refusal", stream=stream)
        assert seen.finish == "refusal"
        assert "I will not help" in seen.text


# OpenAI Responses


async def test_responses(served: Served) -> None:
    response = await served.clients().gpt.responses.create(model="first/ok", input="Hello", instructions="Be brief")
    assert response.output_text == ANSWER
    assert response.status == "completed"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (17, 40)


async def test_responses_stream(served: Served) -> None:
    async with served.clients().gpt.responses.stream(model="first/thinking", input="Hello") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == ANSWER
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert [item.type for item in final.output][:2] == ["reasoning", "message"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_case_22_tools_in_responses(served: Served, stream: bool) -> None:
    responses = served.clients().gpt.responses
    asked: Json = {"model": "first/tools", "input": "Hello", "tools": RESPONSES_TOOLS}
    if stream:
        async with responses.stream(**asked) as events:
            final: Any = await events.get_final_response()
    else:
        final = await responses.create(**asked)
    calls = [item for item in final.output if item.type == "function_call"]
    assert {call.name: json.loads(call.arguments) for call in calls} == CALLS
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    history = [
        {"role": "user", "content": "Hello"},
        *(item.model_dump(exclude={"parsed_arguments"}) for item in final.output),
    ]
    after = await responses.create(**asked | {"input": [*history, *results]})
    assert after.output_text == ANSWER


# Anthropic Messages


async def test_messages(served: Served) -> None:
    message = await served.clients().claude.messages.create(
        model="first/ok", messages=HELLO, max_tokens=100, system="Be brief"
    )
    assert [block.text for block in message.content if block.type == "text"] == [ANSWER]
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (17, 40)


async def test_case_33_thinking_comes_before_the_text(served: Served, dialect: str) -> None:
    asked: Json = {"model": "first/thinking", "messages": HELLO, "max_tokens": 4000}
    asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    async with served.clients().claude.messages.stream(**asked) as stream:
        final = await stream.get_final_message()
    # Gemini signs its text, so that more signatures may follow.
    assert [block.type for block in final.content if dialect != "gemini"] in ([], ["thinking", "text"])
    assert final.content[0].type == "thinking"
    assert final.content[0].thinking.startswith("First I consider")
    if dialect == "anthropic":
        assert final.content[0].signature
    history = [*HELLO, {"role": "assistant", "content": final.content}, {"role": "user", "content": "And?"}]
    again = await served.clients().claude.messages.create(**asked | {"messages": history})
    assert again.stop_reason == "end_turn"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_case_21_tools_in_messages(served: Served, stream: bool) -> None:
    messages = served.clients().claude.messages
    asked: Json = {"model": "first/tools", "messages": HELLO, "max_tokens": 100, "tools": MESSAGES_TOOLS}
    if stream:
        async with messages.stream(**asked) as events:
            final: Any = await events.get_final_message()
    else:
        final = await messages.create(**asked)
    calls = [block for block in final.content if block.type == "tool_use"]
    assert {call.name: call.input for call in calls} == CALLS
    assert final.stop_reason == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    history = [*HELLO, {"role": "assistant", "content": final.content}, {"role": "user", "content": results}]
    after = await messages.create(**asked | {"messages": history})
    assert [block.text for block in after.content if block.type == "text"] == [ANSWER]


async def test_case_35_a_limit_that_anthropic_needs_is_filled_in(
    served: Served, up: ScriptedUpstream, dialect: str
) -> None:
    await served.clients().gpt.chat.completions.create(model="first/ok", messages=HELLO)
    assert ("max_tokens" in up.requests[0].json) == (dialect == "anthropic")


@pytest.mark.parametrize("surface", SURFACES)
async def test_case_36_cached_tokens_are_told_as_each_dialect_counts_them(served: Served, surface: str) -> None:
    for stream in (False, True):
        seen = await served.clients().ask(surface, "first/cached", stream=stream)
        match surface:
            case "openai":
                counted = (seen.usage.prompt_tokens, seen.usage.prompt_tokens_details.cached_tokens)
            case "anthropic":
                cached = seen.usage.cache_read_input_tokens
                counted = (seen.usage.input_tokens + cached, cached)
            case _:
                counted = (seen.usage.input_tokens, seen.usage.input_tokens_details.cached_tokens)
        assert counted == (1000, 800)
    assert {(row["input"], row["cached"]) for row in await served.ledger()} == {(1000, 800)}


async def test_legacy_completions(served: Served) -> None:
    completions = served.clients().gpt.completions
    answer = await completions.create(model="first/ok", prompt="Hello")
    assert answer.choices[0].text == ANSWER
    several = await completions.create(model="first/ok", prompt=["Hello", "Good day"], echo=True)
    assert [choice.text for choice in several.choices] == ["Hello" + ANSWER, "Good day" + ANSWER]
    assert [choice.index for choice in several.choices] == [0, 1]
    with pytest.raises(openai.InternalServerError):
        await completions.create(model="first/s03-500", prompt=["Hello", "Good day"])
    stream = await completions.create(model="first/ok", prompt="Hello", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == ANSWER


async def test_errors_are_what_each_client_calls_them(served: Served, up: ScriptedUpstream) -> None:
    gpt, claude = served.clients().gpt, served.clients().claude
    with pytest.raises(openai.BadRequestError):
        await gpt.chat.completions.create(model="first/400-bad-field", messages=HELLO)
    with pytest.raises(openai.NotFoundError) as missing:
        await gpt.responses.create(model="nobody", input="Hello")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.RateLimitError) as limited:
        await gpt.chat.completions.create(model="first/429-hour", messages=HELLO)
    assert limited.value.response.headers["retry-after"] == "3600"
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.create(model="nobody", messages=HELLO, max_tokens=10)
    with pytest.raises(anthropic.InternalServerError):
        await claude.messages.create(model="first/529", messages=HELLO, max_tokens=10)
    with pytest.raises(anthropic.BadRequestError) as bad:
        await claude.messages.create(model="first/400-bad-field", messages=HELLO, max_tokens=10)
    assert bad.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]


async def test_prefill(served: Served, dialect: str) -> None:
    """Where the model's dialect knows it, it goes on; elsewhere the caller is told, and nothing is dropped."""
    messages: Any = [*HELLO, {"role": "assistant", "content": "A gateway"}]
    create = served.clients().claude.messages.create
    if dialect == "anthropic":
        message = await create(model="first/ok", messages=messages, max_tokens=100)
        assert message.content[0].type == "text"
        assert "A gateway" + message.content[0].text == ANSWER
    else:
        with pytest.raises(anthropic.BadRequestError, match="prefill"):
            await create(model="first/ok", messages=messages, max_tokens=100)


async def test_unknown_fields_of_a_dialect_reach_its_own_providers(
    served: Served, up: ScriptedUpstream, dialect: str
) -> None:
    clients = served.clients()
    await clients.gpt.chat.completions.create(model="first/echo", messages=HELLO, extra_body={"vendor_field": [1]})
    await clients.claude.messages.create(
        model="first/echo", messages=HELLO, max_tokens=10, extra_body={"context_management": {"edits": []}},
        extra_headers={"anthropic-beta": "one-2026,two-2026"},
    )  # fmt: skip
    chat, messages = up.requests
    assert ("vendor_field" in chat.json) == (dialect == "openai")
    assert ("context_management" in messages.json) == (dialect == "anthropic")
    assert (messages.headers.get("anthropic-beta") == "one-2026,two-2026") == (dialect == "anthropic")


async def test_case_31_cache_control_goes_only_where_it_is_known(
    served: Served, up: ScriptedUpstream, dialect: str
) -> None:
    part: Any = {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}
    await served.clients().claude.messages.create(
        model="first/ok",
        max_tokens=10,
        messages=[{"role": "user", "content": [part]}],
    )
    assert (b"cache_control" in up.requests[0].body) == (dialect == "anthropic")


async def test_embeddings(served: Served, dialect: str) -> None:
    embeddings = served.clients().gpt.embeddings
    if dialect != "openai":
        with pytest.raises(openai.BadRequestError, match="embeddings"):
            await embeddings.create(model="first/any", input="a")
        return
    for form in ("float", "base64"):
        vectors: Any = await embeddings.create(model="first/any", input=["a", "b"], encoding_format=form)
        assert [row.index for row in vectors.data] == [0, 1]
    assert isinstance(vectors.data[0].embedding, str)
    asked_for_none = await embeddings.create(model="first/any", input="a")
    assert asked_for_none.data[0].embedding == vector_of("a")
    assert {row["input"] for row in await served.ledger()} == {6, 3}


async def test_prompts_with_a_length_that_fits_nowhere(served: Served, up: ScriptedUpstream) -> None:
    up.script("m", [Scenario(does="", reply=Reply("Hi"))])
    answer = await served.clients().gpt.chat.completions.create(
        model="first/m", messages=[{"role": "user", "content": "word " * 100_000}]
    )
    assert answer.choices[0].message.content == "Hi"
    assert len(up.requests[0].body) > 500_000
