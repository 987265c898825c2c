"""Answers of every provider dialect to every client dialect: they mean the same, whole or streamed.

What exactly is written is in the golden files; requests are in test_matrix.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from chittycan import chat, dialects
from chittycan.chat import (
    ChatEvent,
    ChatResponse,
    Done,
    Finished,
    Malformed,
    Part,
    Refusal,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ThinkingSigned,
    ToolCall,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
)

Json = dict[str, Any]
CLIENTS = ("openai", "openai_responses", "anthropic")
PROVIDERS = (*CLIENTS, "gemini")
PAIRS = list(itertools.product(CLIENTS, PROVIDERS))
MODELS = {"openai": "gpt-4o", "openai_responses": "gpt-5", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-3-pro"}
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def call(call_id: str, city: str) -> ToolCall:
    return ToolCall(call_id, "weather", json.dumps({"city": city}))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


ANSWERS: dict[str, ChatResponse] = {
    "text": ChatResponse("id-1", "m-1", [Text("Hello 👋 \"you\"\n")], "stop", Usage(10, 5)),
    "cut short": ChatResponse("id-1", "m-1", [Text("Once upon")], "length", Usage(10, 5, cached=4)),
    "one call": ChatResponse("id-1", "m-1", [call("a", "Oslo")], "tool_calls", Usage(10, 5, reasoning=3)),
    "text and calls": ChatResponse(
        "id-1", "m-1", [Text("Let me see."), call("a", "Oslo"), call("b", "Rome")], "tool_calls", Usage(10, 5)
    ),
    "call without arguments": ChatResponse("id-1", "m-1", [ToolCall("a", "now", "{}")], "tool_calls", Usage(10, 5)),
    "filtered": ChatResponse("id-1", "m-1", [Text("Well")], "content_filter", Usage(10, 5)),
    "thinking": ChatResponse(
        "id-1", "m-1", [Thinking("hm", "c2ln", signer="anthropic"), Text("Yes.")], "stop", Usage(10, 5)
    ),
    "empty": ChatResponse("id-1", "m-1", [], "stop", Usage(10, 0)),
}  # fmt: skip
FINISH = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


def gemini_parts(response: ChatResponse) -> list[Json]:
    built: list[Json] = []
    for part in response.parts:
        match part:
            case Text():
                built.append({"text": part.text})
            case Thinking():
                built.append({"text": part.text, "thought": True})
            case ToolCall():
                built.append({"functionCall": {"id": part.id, "name": part.name, "args": json.loads(part.arguments)}})
    return built


def gemini_answer(response: ChatResponse, parts: list[Json], ends: bool = True) -> Json:
    usage = response.usage or Usage()
    candidate: Json = {"index": 0, "content": {"role": "model", "parts": parts}}
    if ends:
        candidate["finishReason"] = FINISH[response.stop_reason or ""]
    return {
        "responseId": response.id,
        "modelVersion": response.model,
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": usage.input,
            "candidatesTokenCount": usage.output - usage.reasoning,
            "cachedContentTokenCount": usage.cached,
            "thoughtsTokenCount": usage.reasoning,
        },
    }


def whole(provider: str, response: ChatResponse) -> Json:
    """The provider's answer to a call that was not streamed."""
    if provider == "gemini":
        return gemini_answer(response, gemini_parts(response))
    return json.loads(json.dumps(dialects.load(provider).build_response(response)))  # type: ignore[no-any-return]


def streamed(provider: str, response: ChatResponse) -> list[tuple[str, str]]:
    """The same answer as the provider's stream."""
    if provider == "gemini":
        pieces = [gemini_answer(response, [part], ends=False) for part in gemini_parts(response)]
        return [("", json.dumps(each)) for each in [*pieces, gemini_answer(response, [])]]
    builder = dialects.load(provider).stream_builder(response.id, response.model, 1700000000, True)
    written = b"".join(builder.build(event) for event in as_events(response))
    return split(written + builder.end())


def as_events(response: ChatResponse) -> list[ChatEvent]:
    events: list[ChatEvent] = [Started(response.id, response.model)]
    count = 0
    for part in response.parts:
        match part:
            case Text():
                half = len(part.text) // 2
                events += [TextDelta(part.text[:half]), TextDelta(part.text[half:])]
            case Thinking():
                events += [ThinkingDelta(part.text), ThinkingSigned(part.signature, part.redacted, part.signer)]
            case ToolCall():
                half = len(part.arguments) // 2
                events.append(ToolStarted(count, part.id, part.name))
                events += [ToolDelta(count, part.arguments[:half]), ToolDelta(count, part.arguments[half:])]
                count += 1
    return [*events, UsageReported(response.usage or Usage()), Finished(response.stop_reason or "")]


def split(written: bytes) -> list[tuple[str, str]]:
    events = []
    for block in written.decode().split("\n\n"):
        lines = block.split("\n")
        name = next((line[7:] for line in lines if line.startswith("event: ")), "")
        data = [line[6:] for line in lines if line.startswith("data: ")]
        if data:
            events.append((name, "\n".join(data)))
    return events


def read_stream(dialect: str, events: list[tuple[str, str]]) -> list[ChatEvent]:
    parser = dialects.load(dialect).stream_parser()
    read = [out for name, data in events for out in parser.feed(name, data)]
    assert not [event for event in read if isinstance(event, Malformed)]
    return read


def meaning(response: ChatResponse) -> Json:
    """What a person or program would notice of an answer."""
    calls = [part for part in response.parts if isinstance(part, ToolCall)]
    return {
        "text": response.text,
        "thinking": "".join(part.text for part in response.parts if isinstance(part, Thinking)),
        "refusal": "".join(part.text for part in response.parts if isinstance(part, Refusal)),
        "calls": [(each.id, each.name, json.loads(each.arguments)) for each in calls],
        "stop": response.stop_reason,
        "model": response.model,
        "usage": response.usage,
    }


@pytest.mark.parametrize(("client", "provider"), PAIRS)
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_means_the_same_to_the_client(name: str, client: str, provider: str) -> None:
    given, spoken = ANSWERS[name], dialects.load(client)
    parsed = dialects.load(provider).parse_response(whole(provider, given))
    received = spoken.parse_response(json.loads(json.dumps(spoken.build_response(parsed))))
    assert meaning(received) == meaning(given)


@pytest.mark.parametrize(("client", "provider"), PAIRS)
@pytest.mark.parametrize("name", ANSWERS)
def test_a_streamed_answer_means_the_same_to_the_client(name: str, client: str, provider: str) -> None:
    given, spoken = ANSWERS[name], dialects.load(client)
    builder = spoken.stream_builder("abc", "asked", 1700000000, True)
    upstream = [event for event in read_stream(provider, streamed(provider, given)) if not isinstance(event, Done)]
    written = b"".join(builder.build(event) for event in upstream)
    received = chat.collect(read_stream(client, split(written + builder.end())))
    assert meaning(received) == meaning(given)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", ANSWERS)
def test_streamed_and_whole_answers_are_read_alike(name: str, provider: str) -> None:
    given = ANSWERS[name]
    read = chat.collect(read_stream(provider, streamed(provider, given)))
    assert meaning(read) == meaning(dialects.load(provider).parse_response(whole(provider, given)))


@pytest.mark.parametrize(("client", "provider"), PAIRS)
def test_a_refusal_is_never_taken_for_an_answer(client: str, provider: str) -> None:
    if provider == "gemini":
        body: Json = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m-1"}
    else:
        body = whole(provider, ChatResponse("id-1", "m-1", [Refusal("I won't.")], "content_filter", Usage(1, 1)))
    spoken = dialects.load(client)
    received = spoken.parse_response(spoken.build_response(dialects.load(provider).parse_response(body)))
    assert received.stop_reason == "content_filter"
    refused = received.text + "".join(part.text for part in received.parts if isinstance(part, Refusal))
    assert refused == ("" if provider == "gemini" else "I won't.")


@pytest.mark.parametrize(("client", "provider"), PAIRS)
def test_signed_thinking_comes_back_to_the_vendor_that_signed_it(client: str, provider: str) -> None:
    """A turn with a tool: the client replays what it was given, and the provider's next request holds the signature."""
    if provider == "openai":
        pytest.skip("does not apply: chat completions sign nothing")
    if (client, provider) == ("openai", "openai_responses"):
        pytest.skip("does not apply: chat clients have no form for OpenAI's own encrypted reasoning")
    signed: list[Part] = [Thinking("hm", "c2ln", signer=provider), call("a", "Oslo")]
    if provider == "gemini":
        parts = [{"functionCall": {"id": "a", "name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"}]
        body = gemini_answer(ChatResponse("id-1", "m-1", [], "tool_calls"), parts)
    else:
        body = whole(provider, ChatResponse("id-1", "m-1", signed, "tool_calls", Usage(1, 1)))
    answer = dialects.load(client).build_response(dialects.load(provider).parse_response(body))
    request = dialects.load(client).parse_request(replay(client, json.loads(json.dumps(answer))))
    request.model = MODELS[provider]
    assert "c2ln" in " ".join(strings(dialects.load(provider).build_request(request)))


def replay(client: str, answer: Json) -> Json:
    """The client's next request: its question, the answer as it came, and the tool's result."""
    asked: Json = {"role": "user", "content": "hi"}
    result: Json
    if client == "openai":
        result = {"role": "tool", "tool_call_id": "a", "content": "rain"}
        tool: Json = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
        return {"model": "m", "messages": [asked, answer["choices"][0]["message"], result], "tools": [tool]}
    if client == "anthropic":
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "rain"}]}
        turns = [asked, {"role": "assistant", "content": answer["content"]}, result]
        thinking = {"type": "enabled", "budget_tokens": 2000}
        tool = {"name": "weather", "input_schema": SCHEMA}
        return {"model": "m", "messages": turns, "max_tokens": 9000, "thinking": thinking, "tools": [tool]}
    result = {"type": "function_call_output", "call_id": "a", "output": "rain"}
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA}
    return {"model": "m", "input": [asked, *answer["output"], result], "tools": [tool]}
