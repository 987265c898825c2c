"""ScriptedUpstream is understood by the vendors' own Python clients: what it speaks is the real dialect."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from chittycan.testing import ANSWER
from chittycan.testing.upstream import ScriptedUpstream

TOOLS = {"get_weather": {"city": "Paris", "unit": "celsius"}, "get_time": {"zone": "Europe/Paris"}}


@pytest.fixture
async def up() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
async def gpt(up: ScriptedUpstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{up.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(up: ScriptedUpstream) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=up.url, api_key="sk-test", max_retries=0) as client:
        yield client


def hello(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}]}


async def test_chat_completions(gpt: openai.AsyncOpenAI) -> None:
    whole = await gpt.chat.completions.create(**hello("ok"))
    assert whole.choices[0].message.content == ANSWER
    async with gpt.chat.completions.stream(**hello("ok")) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == ANSWER
    assert final.choices[0].finish_reason == "stop"


async def test_chat_completions_tools(gpt: openai.AsyncOpenAI) -> None:
    import json

    async with gpt.chat.completions.stream(**hello("tools")) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    calls = [call.function for call in message.tool_calls or [] if call.type == "function"]
    assert {call.name: json.loads(call.arguments) for call in calls} == TOOLS


async def test_responses(gpt: openai.AsyncOpenAI) -> None:
    whole = await gpt.responses.create(model="ok", input="Hello")
    assert whole.output_text == ANSWER
    async with gpt.responses.stream(model="thinking", input="Hello") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == ANSWER
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


async def test_messages(claude: anthropic.AsyncAnthropic) -> None:
    whole = await claude.messages.create(**hello("ok"), max_tokens=100)
    assert [block.text for block in whole.content if block.type == "text"] == [ANSWER]
    async with claude.messages.stream(**hello("thinking"), max_tokens=100) as stream:
        final = await stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.stop_reason == "end_turn"


async def test_messages_tools(claude: anthropic.AsyncAnthropic) -> None:
    async with claude.messages.stream(**hello("tools"), max_tokens=100) as stream:
        final = await stream.get_final_message()
    assert {block.name: block.input for block in final.content if block.type == "tool_use"} == TOOLS
    assert final.stop_reason == "tool_use"


async def test_errors_are_raised_as_what_they_are(gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        await gpt.chat.completions.create(**hello("s01-429-retry-after"))
    assert limited.value.response.headers["retry-after"] == "2"
    with pytest.raises(openai.AuthenticationError):
        await gpt.responses.create(model="s16-bad-key", input="Hello")
    with pytest.raises(anthropic.BadRequestError, match="credit balance"):
        await claude.messages.create(**hello("s15-quota"), max_tokens=100)
    with pytest.raises(anthropic.InternalServerError):
        await claude.messages.create(**hello("529"), max_tokens=100)


async def test_embeddings_and_models(gpt: openai.AsyncOpenAI) -> None:
    vectors = await gpt.embeddings.create(model="any", input=["a", "b"])
    assert [len(row.embedding) for row in vectors.data] == [8, 8]
    assert "s08-cut-middle" in [model.id async for model in gpt.models.list()]
