"""Requests of every client dialect to every provider dialect: what must hold whatever the pair.

The golden files say what exactly is written for chosen cases; here the claims are the same for all pairs: nothing a
person said gets lost, and every provider gets the order that it insists on. Answers: test_matrix_answers.
"""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan import chat, dialects
from chittycan.chat import (
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from chittycan.errors import InvalidRequest

Json = dict[str, Any]
CLIENTS = ("openai", "openai_responses", "anthropic")
PROVIDERS = (*CLIENTS, "gemini")
MODELS = {"openai": "gpt-4o", "openai_responses": "gpt-5", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro"}
PAIRS = list(itertools.product(CLIENTS, PROVIDERS))
PIXEL = "iVBORw0KGgo="
SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", "The weather of a city.", SCHEMA)


def user(*parts: Part) -> Message:
    return Message("user", list(parts))


def assistant(*parts: Part) -> Message:
    return Message("assistant", list(parts))


def results(*parts: Part) -> Message:
    return Message("tool", list(parts))


def call(call_id: str, city: str) -> ToolCall:
    return ToolCall(call_id, "weather", json.dumps({"city": city}))


CONVERSATIONS: dict[str, tuple[list[Message], Json]] = {
    "text": ([user(Text("words-1"))], {}),
    "several turns": ([user(Text("words-1")), assistant(Text("words-2")), user(Text("words-3"))], {"max_tokens": 50}),
    "system first": ([chat.system("words-1"), chat.system("words-2"), user(Text("words-3"))], {}),
    "system in odd places": (
        [
            user(Text("words-1")),
            chat.system("words-2"),
            assistant(Text("words-3")),
            chat.system("words-4"),
            user(Text("words-5")),
        ],
        {},
    ),
    "only system": ([chat.system("words-1")], {}),
    "same role twice": (
        [
            user(Text("words-1")),
            user(Text("words-2")),
            assistant(Text("words-3")),
            assistant(Text("words-4")),
            user(Text("words-5"), Text("words-6")),
        ],
        {},
    ),
    "begins with the assistant": ([assistant(Text("words-1")), user(Text("words-2"))], {}),
    "picture and document": (
        [
            user(
                Text("words-1"),
                Image(data=PIXEL, media_type="image/png"),
                File("a.pdf", "application/pdf", data="JVBERi0="),
                Text("words-2"),
            )
        ],
        {},
    ),
    "one call": (
        [user(Text("words-1")), assistant(call("a", "words-2")), results(ToolResult("a", [Text("words-3")]))],
        {"tools": [WEATHER]},
    ),
    "parallel calls": (
        [
            user(Text("words-1")),
            assistant(Text("words-2"), call("a", "words-3"), call("b", "words-4")),
            results(ToolResult("a", [Text("words-5")])),
            results(ToolResult("b", [Text("words-6")], is_error=True)),
            user(Text("words-7")),
        ],
        {"tools": [WEATHER], "tool_choice": ToolChoice("auto"), "parallel_tool_calls": True},
    ),
    "parallel results in one message": (
        [
            user(Text("words-1")),
            assistant(call("a", "words-2"), call("b", "words-3")),
            results(ToolResult("a", [Text("words-4")]), ToolResult("b", [Text("words-5")])),
            assistant(Text("words-6")),
            user(Text("words-7")),
        ],
        {"tools": [WEATHER], "tool_choice": ToolChoice("tool", "weather")},
    ),
    "picture in a result": (
        [
            user(Text("words-1")),
            assistant(call("a", "words-2")),
            results(ToolResult("a", [Text("words-3"), Image(data=PIXEL, media_type="image/png")])),
        ],
        {"tools": [WEATHER]},
    ),
    "call cut short": (
        [
            user(Text("words-1")),
            assistant(ToolCall("a", "weather", '{"city": "words-2')),
            results(ToolResult("a", [Text("words-3")])),
        ],
        {"tools": [WEATHER]},
    ),
    "no result text": (
        [user(Text("words-1")), assistant(ToolCall("a", "weather", "{}")), results(ToolResult("a", []))],
        {"tools": [WEATHER]},
    ),
    "calls but no tools any more": (
        [
            user(Text("words-1")),
            assistant(call("a", "words-2")),
            results(ToolResult("a", [Text("words-3")])),
            user(Text("words-4")),
        ],
        {},
    ),
    "thinking of another vendor": (
        [
            user(Text("words-1")),
            assistant(Thinking("thought", "c2ln", signer="anthropic"), Text("words-2")),
            user(Text("words-3")),
        ],
        {"reasoning": Reasoning(budget=4096), "max_tokens": 9000},
    ),
    "refusal": ([user(Text("words-1")), assistant(Refusal("words-2")), user(Text("words-3"))], {}),
    "structured": (
        [user(Text("words-1"))],
        {"response_format": ResponseFormat("schema", SCHEMA, "place", True)},
    ),
    "names that no provider takes": (
        [
            user(Text("words-1")),
            assistant(ToolCall("a", "files.read", "{}")),
            results(ToolResult("a", [Text("words-2")])),
        ],
        {"tools": [Tool("files.read", "Reads.", {"type": "object", "properties": {}}), Tool("x" * 80)]},
    ),
    "odd letters": ([user(Text('words-1 "quoted" \\ \u2028 👋 Grüße'))], {"stream": True}),
    "settings": (
        [user(Text("words-1"))],
        {"temperature": 0.5, "max_tokens": 100, "user": "u", "stream": True, "include_usage": True},
    ),
}


def request_for(messages: list[Message], fields: Json) -> ChatRequest:
    return chat.copy(ChatRequest("m", messages, **fields))


def translate(client: str, provider: str, request: ChatRequest) -> Json:
    """As a client would have written it in its own dialect, then for the provider."""
    spoken = dialects.load(client)
    parsed: ChatRequest = spoken.parse_request(json.loads(json.dumps(spoken.build_request(request))))
    assert parsed.origin == client
    parsed.model = MODELS[provider]
    return json.loads(json.dumps(dialects.load(provider).build_request(parsed)))  # type: ignore[no-any-return]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def said(messages: list[Message]) -> list[str]:
    """The marked words of a conversation, in order."""
    found = strings([part_text(part) for message in messages for part in message.parts])
    return [word.strip('"}') for text in found for word in text.split() if word.strip('{"}').startswith("words-")]


def part_text(part: Any) -> Any:
    match part:
        case Text() | Refusal():
            return part.text
        case ToolCall():
            return part.arguments
        case ToolResult():
            return [part_text(inner) for inner in part.parts]
    return None


# The order that each API insists on. Sources: the vendors' references, as in the dialects themselves.


def check_openai(body: Json) -> None:
    waiting: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] in waiting
            waiting.remove(message["tool_call_id"])
            assert message["content"] is not None
        else:
            assert not waiting, "a call without its result right after it"
            waiting = [each["id"] for each in message.get("tool_calls") or []]
            assert message.get("content") is not None or waiting or message.get("refusal")
    assert not waiting
    assert body.get("tools") != []
    assert "tool_choice" not in body or "tools" in body


def check_openai_responses(body: Json) -> None:
    called: list[str] = []
    for item in body["input"]:
        if item["type"] == "function_call":
            called.append(item["call_id"])
        elif item["type"] == "function_call_output":
            called.remove(item["call_id"])
            assert isinstance(item["output"], str | list)
        else:
            assert item["type"] == "message"
            assert item["content"]
    assert not called
    assert "tool_choice" not in body or "tools" in body


def check_anthropic(body: Json) -> None:
    roles = [message["role"] for message in body["messages"]]
    assert roles[0] == "user"
    spoken = [role for role in roles if role != "system"]
    assert all(before != after for before, after in itertools.pairwise(spoken))
    assert body["max_tokens"] >= 1
    waiting: list[str] = []
    for message in body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        assert message["content"], "an empty message is refused"
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        given = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert sorted(given) == sorted(waiting), "results follow their calls, all of them"
        assert [block["type"] for block in blocks[: len(given)]] == ["tool_result"] * len(given)
        uses = [block for block in blocks if block["type"] == "tool_use"]
        assert all(isinstance(block["input"], dict) for block in uses)
        waiting = [block["id"] for block in uses]
    assert not waiting
    if any("tool_use" in json.dumps(message) for message in body["messages"]):
        assert body.get("tools"), "a history with calls needs tools"


def check_gemini(body: Json) -> None:
    turns = body["contents"]
    assert turns[0]["role"] == "user"
    assert all(before["role"] != after["role"] for before, after in itertools.pairwise(turns))
    waiting: list[str] = []
    for turn in turns:
        assert turn["parts"]
        answered = [part["functionResponse"]["name"] for part in turn["parts"] if "functionResponse" in part]
        assert answered == waiting
        waiting = [part["functionCall"]["name"] for part in turn["parts"] if "functionCall" in part]
    assert not waiting


CHECKS = {
    "openai": check_openai,
    "openai_responses": check_openai_responses,
    "anthropic": check_anthropic,
    "gemini": check_gemini,
}


@pytest.mark.parametrize(("client", "provider"), PAIRS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_reaches_the_provider_whole_and_in_order(name: str, client: str, provider: str) -> None:
    messages, fields = CONVERSATIONS[name]
    assert said(messages)
    body = translate(client, provider, request_for(messages, fields))
    CHECKS[provider](body)
    sent = " ".join(strings(body))
    assert [word for word in said(messages) if word not in sent] == []
    assert sent.count(PIXEL) == sum(
        isinstance(inner, Image)
        for message in messages
        for part in message.parts
        for inner in (part.parts if isinstance(part, ToolResult) else [part])
    )


ROLES: dict[str, Role] = {"user": "user", "system": "system", "assistant": "assistant"}
SHAPES = st.lists(
    st.tuples(st.sampled_from([*ROLES, "calls"]), st.integers(1, 3), st.booleans()),
    max_size=6,
)


def conversation(shapes: list[tuple[str, int, bool]]) -> list[Message]:
    """Turns in any order, each text marked with a number of its own; every call gets its results."""
    marks = (f"words-{number}" for number in itertools.count(1))
    messages: list[Message] = []
    for kind, size, flag in shapes:
        if kind != "calls":
            messages.append(Message(ROLES[kind], [Text(next(marks)) for _ in range(size)]))
            continue
        calls = [call(f"call_{len(messages)}_{i}", next(marks)) for i in range(size)]
        given = [ToolResult(each.id, [Text(next(marks))], is_error=flag) for each in calls]
        messages.append(assistant(*([Text(next(marks))] if flag else []), *calls))
        messages += [results(each) for each in given] if flag else [results(*given)]
    return [*messages, user(Text(next(marks)))]


@given(SHAPES, st.sampled_from(PAIRS))
def test_any_order_of_turns_reaches_the_provider_whole_and_in_order(
    shapes: list[tuple[str, int, bool]], pair: tuple[str, str]
) -> None:
    messages = conversation(shapes)
    body = translate(*pair, request_for(messages, {"tools": [WEATHER]}))
    CHECKS[pair[1]](body)
    assert set(said(messages)) <= {word for text in strings(body) for word in re.findall(r"words-\d+", text)}


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "openai"])
@pytest.mark.parametrize(("fields", "param"), [({"n": 2}, "n"), ({"logprobs": True, "top_logprobs": 2}, "logprobs")])
def test_what_a_provider_cannot_do_is_refused_by_name(provider: str, fields: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        translate("openai", provider, request_for([user(Text("hi"))], fields))
    assert caught.value.param == param
