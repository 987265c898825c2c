"""What OpenAI chat requests mean, and what is written for providers that speak it."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import (
    ChatRequest,
    File,
    Image,
    Json,
    Message,
    Opaque,
    Part,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    system,
    user,
)
from chittycan.dialects import openai_chat
from chittycan.errors import InvalidRequest

WORDS = (
    *("model", "messages", "role", "user", "assistant", "tool", "function", "developer", "content", "type", "text"),
    *("image_url", "url", "data:image/png;base64,AA", "file", "file_data", "input_audio", "tool_calls", "name", "id"),
    *("tool_call_id", "tools", "tool_choice", "parameters", "response_format", "json_schema", "stop", "reasoning"),
    *("reasoning_details", "format", "anthropic-claude-v1", "function_call", "functions", "stream_options", "custom"),
    *("temperature", "max_tokens", "n", "reasoning_effort", "extra_content", "google", "cache_control", "refusal"),
)


def json_of(words: tuple[str, ...]) -> st.SearchStrategy[Any]:
    known = st.sampled_from(words)
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | known
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known, inner, max_size=5),
        max_leaves=20,
    )


def build(messages: list[Message], origin: str = "anthropic", model: str = "gpt-4o", **fields: Any) -> Json:
    return openai_chat.build_request(ChatRequest(model, messages, origin=origin, **fields))


def assistant(*parts: Part) -> Message:
    return Message("assistant", list(parts))


@given(st.dictionaries(st.sampled_from(WORDS), json_of(WORDS), max_size=8), st.lists(json_of(WORDS), max_size=3))
def test_any_json_is_a_request_or_names_what_is_wrong(body: Json, messages: list[Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        chat = openai_chat.parse_request({"model": "m", **body, "messages": messages})
        openai_chat.build_request(chat)


PARTS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text(min_size=1, max_size=9)})
    | st.just({"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}),
    min_size=2,
    max_size=4,
)
CONTENT = st.text(min_size=1, max_size=9) | PARTS
CALLS = st.lists(st.sampled_from(["f", "g"]), min_size=1, max_size=3).map(
    lambda names: [
        {"id": f"c{place}", "type": "function", "function": {"name": name, "arguments": '{"x":1}'}}
        for place, name in enumerate(names)
    ]
)
MESSAGES = (
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user"]), "content": CONTENT})
    | st.fixed_dictionaries(
        {"role": st.just("user"), "content": CONTENT, "name": st.just("ann"), "x_field": st.just(1)}
    )
    | st.fixed_dictionaries({"role": st.just("assistant"), "content": st.text(max_size=9)})
    | st.fixed_dictionaries({"role": st.just("assistant"), "content": st.just(None), "tool_calls": CALLS})
    | st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": st.just("c0"), "content": st.text(max_size=9)})
)


@given(
    st.lists(MESSAGES, min_size=1, max_size=5),
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 2),
            "max_completion_tokens": st.integers(1, 99),
            "stop": st.lists(st.text(max_size=3), min_size=1, max_size=3),
            "n": st.integers(2, 5),
            "tools": st.just([{"type": "function", "function": {"name": "f", "parameters": {}}}]),
            "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
            "reasoning_effort": st.sampled_from(["none", "low", "xhigh"]),
            "prediction": st.just({"type": "content", "content": "x"}),
            "top_k": st.integers(1, 9),
        },
    ),
)
def test_a_request_survives_the_way_through_the_neutral_form(messages: list[Json], fields: Json) -> None:
    body = {"model": "m", "messages": messages, **fields}
    assert openai_chat.build_request(openai_chat.parse_request(body)) == body


def test_a_chitty_field_and_the_extras_of_another_dialect_never_reach_the_provider() -> None:
    own = openai_chat.parse_request({"model": "m", "messages": [{"role": "user", "content": "x"}], "chitty": {"a": 1}})
    assert openai_chat.build_request(own) == {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    foreign = build([user("x")], extra={"thinking": {}}, metadata={"user_id": "u"}, top_k=5)
    assert foreign == {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    ("origin", "model", "extra", "name"),
    [
        ("anthropic", "gpt-4o", {}, "max_tokens"),
        ("anthropic", "o3-mini", {}, "max_completion_tokens"),
        ("anthropic", "openai/gpt-5.1", {}, "max_completion_tokens"),
        ("anthropic", "olmo-7b", {}, "max_tokens"),
        ("openai", "o3", {}, "max_tokens"),
        ("openai", "llama", {"max_completion_tokens": True}, "max_completion_tokens"),
    ],
)
def test_the_limit_has_the_name_the_model_knows_or_the_client_used(
    origin: str, model: str, extra: Json, name: str
) -> None:
    body = build([user("x")], origin, model, max_tokens=9, extra=extra)
    assert {key: body[key] for key in body if key.startswith("max_")} == {name: 9}


def test_lm_studios_minus_one_means_no_limit() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": -1}
    assert openai_chat.parse_request(body).max_tokens is None


@pytest.mark.parametrize(
    ("reasoning", "model", "effort"),
    [
        (Reasoning(budget=1024), "gpt-5", "low"),
        (Reasoning(budget=10000), "gpt-5", "medium"),
        (Reasoning(budget=32000), "o3", "high"),
        (Reasoning(effort="minimal"), "gpt-5-mini", "minimal"),
        (Reasoning(effort="high"), "gpt-4o", None),
        (Reasoning(effort="high"), "gpt-5-chat-latest", None),
        (Reasoning(off=True), "gpt-5", None),
    ],
)
def test_effort_of_another_dialect_goes_only_to_models_that_take_it(
    reasoning: Reasoning, model: str, effort: str | None
) -> None:
    assert build([user("x")], model=model, reasoning=reasoning).get("reasoning_effort") == effort


def test_openrouters_reasoning_is_understood_and_kept() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning": {"effort": "high"}}
    chat = openai_chat.parse_request(body)
    assert chat.reasoning == Reasoning(effort="high")
    assert openai_chat.build_request(chat) == body


def test_results_come_first_and_their_images_move_to_the_next_user_message() -> None:
    turn = Message(
        "user",
        [
            ToolResult("a", [Text("seen"), Image(data="AA", media_type="image/png")]),
            ToolResult("b", [Text("no such file")], is_error=True),
            Text("go"),
        ],
    )
    calls = assistant(ToolCall("a", "shot"), ToolCall("b", "read"))
    assert build([user("x"), calls, turn])["messages"][2:] == [
        {"role": "tool", "tool_call_id": "a", "content": "seen"},
        {"role": "tool", "tool_call_id": "b", "content": "Error: no such file"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Result of tool call a:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "text", "text": "go"},
            ],
        },
    ]


def test_images_of_results_wait_for_the_last_result_even_at_the_end() -> None:
    results = [Message("tool", [ToolResult(key, [Image(url="https://example.org/i.png")])]) for key in "ab"]
    built = build([user("x"), *results])["messages"]
    assert [message["role"] for message in built] == ["user", "tool", "tool", "user"]
    assert [part["type"] for part in built[-1]["content"]] == ["text", "image_url"] * 2
    assert all(message["content"] for message in built)


def test_text_of_another_dialect_is_written_as_a_plain_string() -> None:
    messages = [
        Message("system", [Text("a", cache={"type": "ephemeral"}), Text("b")]),
        user("c"),
        assistant(Text("cut mid-"), Text("sentence")),
        system(""),
    ]
    messages[-1].parts = []
    assert build(messages)["messages"] == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "cut mid-sentence"},
    ]


def test_signed_thinking_of_others_is_dropped_and_their_blocks_too() -> None:
    turn = assistant(
        Thinking("secret", signature="s", signer="anthropic"),
        Thinking(redacted="r", signer="anthropic"),
        Opaque("anthropic", {"type": "server_tool_use"}),
        Text("answer"),
    )
    for origin in ("anthropic", "openai"):
        assert build([turn], origin)["messages"] == [{"role": "assistant", "content": "answer"}]


@pytest.mark.parametrize(("model", "sent"), [("gpt-4o", False), ("deepseek-v4", True), ("moonshotai/Kimi-K2", True)])
def test_unsigned_thinking_goes_back_to_the_vendors_that_want_it(model: str, sent: bool) -> None:
    (message,) = build([assistant(Thinking("hm"), ToolCall("a", "f"))], model=model)["messages"]
    assert message.get("reasoning_content") == ("hm" if sent else None)


def test_openrouters_signed_details_become_the_signers_thinking() -> None:
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "sig", "format": "anthropic-claude-v1"},
        {"type": "reasoning.encrypted", "data": "blob", "format": "anthropic-claude-v1"},
    ]
    message = {"role": "assistant", "content": "a", "reasoning": "hm", "reasoning_details": details}
    chat = openai_chat.parse_request({"model": "m", "messages": [message]})
    assert chat.messages[0].parts == [
        Thinking("hm", signature="sig", signer="anthropic"),
        Thinking(redacted="blob", signer="anthropic"),
        Text("a"),
    ]


def test_a_gemini_thought_signature_makes_the_round_trip() -> None:
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "sig"}},
    }
    body = {"model": "m", "messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
    chat = openai_chat.parse_request(body)
    assert chat.messages[0].parts == [ToolCall("a", "f", "{}", extra={"thoughtSignature": "sig"})]
    assert openai_chat.build_request(chat) == body


def test_tool_names_that_openai_refuses_are_shortened_and_can_be_restored() -> None:
    long, dotted = "mcp__server__" + "x" * 80, "files.read"
    tools = [Tool(long, schema={}), Tool(dotted), Tool("plain")]
    chat = ChatRequest("m", [assistant(ToolCall("a", long))], tools=tools, tool_choice=ToolChoice("tool", dotted))
    body = openai_chat.build_request(chat)
    sent = [tool["function"]["name"] for tool in body["tools"]]
    assert all(len(name) <= 64 and "." not in name for name in sent)
    assert openai_chat.wire_names(chat.tools) == {sent[0]: long, sent[1]: dotted}
    assert body["messages"][0]["tool_calls"][0]["function"]["name"] == sent[0]
    assert body["tool_choice"]["function"]["name"] == sent[1]
    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_tools_of_other_types_and_choices_without_tools_stay_behind() -> None:
    tools = [Tool("web_search", raw={"type": "web_search_20250305"})]
    body = build([user("x")], tools=tools, tool_choice=ToolChoice("auto"), parallel_tool_calls=False)
    assert set(body) == {"model", "messages"}


@pytest.mark.parametrize(
    ("choice", "mode"),
    [("any", ToolChoice("required")), ({"type": "custom", "custom": {"name": "s"}}, ToolChoice("tool", "s"))],
)
def test_other_ways_to_choose_a_tool(choice: Any, mode: ToolChoice) -> None:
    chat = openai_chat.parse_request(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "tool_choice": choice}
    )
    assert chat.tool_choice == mode


def test_allowed_tools_are_kept_for_openai() -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function"}]}}
    chat = openai_chat.parse_request(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "tool_choice": choice}
    )
    assert chat.tool_choice == ToolChoice("required")
    assert openai_chat.build_request(chat)["tool_choice"] == choice


def test_documents_inline_as_text_or_by_id_and_never_by_url() -> None:
    notes = Message("user", [File("n.txt", text="hello"), Text("sum up")])
    assert build([notes])["messages"] == [{"role": "user", "content": "n.txt:\nhello\n\nsum up"}]
    scan = Message("user", [File("s.png", "image/png", "AA"), File(file_id="file-1")])
    assert build([scan])["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    with pytest.raises(InvalidRequest) as caught:
        build([user("x"), Message("user", [File(url="https://example.org/c.pdf")])])
    assert caught.value.param == "messages[1]"


def test_a_schema_from_another_dialect_gets_a_name() -> None:
    schema = {"type": "object"}
    body = build([user("x")], response_format=ResponseFormat("schema", schema))
    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}


def test_a_stream_always_asks_for_usage() -> None:
    assert build([user("x")], stream=True)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("stop", [1], "stop[0]"),
        ("stop", 1, "stop"),
        ("n", 0, "n"),
        ("max_tokens", 0, "max_tokens"),
        ("stream", "yes", "stream"),
        ("tools", [{"type": "function"}], "tools[0].function"),
        ("tools", [{"type": "function", "function": {}}], "tools[0].function.name"),
        ("tool_choice", "maybe", "tool_choice"),
        ("response_format", {"type": "xml"}, "response_format.type"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
        ("top_p", 1.1, "top_p"),
        ("temperature", float("nan"), "temperature"),
        ("messages", ["hi"], "messages[0]"),
        ("messages", [{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0].type"),
        (
            "messages",
            [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]}],
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        openai_chat.parse_request({"model": "m", "messages": [{"role": "user", "content": "x"}], field: value})
    assert caught.value.param == param
    assert param.rpartition(".")[2] in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"), [({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"top_logprobs": 3}, "logprobs")]
)
def test_what_only_a_client_of_this_dialect_could_receive_is_refused_to_others(fields: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build([user("x")], origin="openai_responses", **fields)
    assert caught.value.param == param
    sent = build([user("x")], origin="openai", **fields)
    assert {name: sent[name] for name in fields} == fields
