"""OpenAI Responses: requests, responses and errors, against neutral values and the official client's own types."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from chittycan import chat
from chittycan.chat import (
    ChatRequest,
    ChatResponse,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from chittycan.dialects import openai_responses as dialect
from chittycan.errors import (
    InvalidRequest,
)

Json = dict[str, Any]
PIXEL = "iVBORw0KGgo="


def parse(**fields: Any) -> ChatRequest:
    return dialect.parse_request({"model": "gpt-5", "input": "hi"} | fields)


def parts_of(*items: Json) -> list[Any]:
    return [part for message in parse(input=list(items)).messages for part in message.parts]


def output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def neutral(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest("gpt-5", list(messages) or [chat.user("hi")], **fields)


class TestParseRequest:
    def test_a_string_is_one_user_message(self) -> None:
        assert parse(input="hi").messages == [chat.user("hi")]

    def test_instructions_come_first_and_developer_messages_are_system_messages(self) -> None:
        request = parse(
            instructions="Be brief.", input=[{"role": "user", "content": "a"}, {"role": "developer", "content": "b"}]
        )
        assert [(m.role, m.parts[0].text) for m in request.messages if isinstance(m.parts[0], Text)] == [
            ("system", "Be brief."),
            ("user", "a"),
            ("system", "b"),
        ]

    def test_content_parts_of_every_type(self) -> None:
        content = [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            {"type": "input_image", "file_id": "file-1"},
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"},
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
            {"type": "input_hologram", "x": 1},
        ]
        assert parts_of({"role": "user", "content": content}) == [
            Text("look"),
            Image(data=PIXEL, media_type="image/png", detail="low"),
            Image(url="https://example.com/a.png"),
            File(file_id="file-1", media_type="image/*"),
            File(name="a.pdf", media_type="application/pdf", data=PIXEL),
            File(url="https://example.com/a.pdf"),
            chat.Audio(PIXEL, "wav"),
            Opaque("openai_responses", {"type": "input_hologram", "x": 1}),
        ]

    def test_what_the_model_said_in_one_turn_is_one_message(self) -> None:
        request = parse(
            input=[
                {"role": "user", "content": "weather in two cities"},
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "Two calls."}],
                    "encrypted_content": "e",
                },
                {"type": "message", "role": "assistant", "content": [output_text("Let me look.")]},
                {"type": "function_call", "call_id": "a", "name": "weather", "arguments": '{"city":"Oslo"}'},
                {"type": "function_call", "call_id": "b", "name": "weather", "arguments": ""},
                {"type": "function_call_output", "call_id": "a", "output": "rain"},
                {
                    "type": "function_call_output",
                    "call_id": "b",
                    "output": [{"type": "input_image", "image_url": "https://x/b.png"}],
                },
            ]
        )
        assert [message.role for message in request.messages] == ["user", "assistant", "tool", "tool"]
        thinking, text, first, second = request.messages[1].parts
        assert isinstance(thinking, Thinking)
        assert (thinking.text, thinking.signature, thinking.signer) == ("Two calls.", "e", "openai_responses")
        assert isinstance(text, Text)
        assert text.text == "Let me look."
        assert isinstance(first, ToolCall)
        assert isinstance(second, ToolCall)
        assert (first.id, first.arguments, second.id, second.arguments) == ("a", '{"city":"Oslo"}', "b", "{}")
        assert request.messages[2].parts == [ToolResult("a", [Text("rain")])]
        assert request.messages[3].parts == [ToolResult("b", [Image(url="https://x/b.png")])]

    def test_a_result_that_came_late_is_put_behind_its_call(self) -> None:
        request = parse(
            input=[
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
                {"role": "user", "content": "hurry"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
                {"role": "user", "content": "please"},
                {"type": "function_call_output", "call_id": "b", "output": "2"},
                {"type": "function_call_output", "call_id": "stored", "output": "3"},
            ]
        )
        assert [message.role for message in request.messages] == ["assistant", "tool", "tool", "user", "user", "tool"]
        assert [m.parts[0].call_id for m in request.messages if isinstance(m.parts[0], ToolResult)] == [
            "a",
            "b",
            "stored",
        ]

    def test_settings(self) -> None:
        request = parse(
            stream=True,
            max_output_tokens=50,
            temperature=1,
            top_p=0.5,
            tool_choice={"type": "function", "name": "f"},
            tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
            parallel_tool_calls=False,
            text={
                "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
                "verbosity": "low",
            },
            reasoning={"effort": "high", "summary": "auto"},
            user="u",
            metadata={"k": "v"},
            store=False,
            prompt_cache_key="p",
            client_metadata={"x": 1},
            include=["reasoning.encrypted_content"],
        )
        assert (request.stream, request.include_usage, request.max_tokens) == (True, True, 50)
        assert (request.temperature, request.top_p, request.user, request.metadata) == (1, 0.5, "u", {"k": "v"})
        assert request.tools == [Tool("f", None, {"type": "object"}, True)]
        assert (request.tool_choice, request.parallel_tool_calls) == (ToolChoice("tool", "f"), False)
        assert request.response_format == ResponseFormat("schema", {"type": "object"}, "n", True)
        assert request.reasoning == Reasoning(effort="high", summary="auto")
        assert request.extra["text"]["verbosity"] == "low"
        assert request.extra["client_metadata"] == {"x": 1}
        assert (request.extra["store"], request.extra["prompt_cache_key"]) == (False, "p")

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"model": 3}, "model"),
            ({"input": None}, "input"),
            ({"input": 5}, "input"),
            ({"input": [7]}, "input[0]"),
            ({"input": [{"content": "x"}]}, "input[0].type"),
            ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
            ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0]"),
            ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]}, "input[0].content[0].text"),
            ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
            ({"input": [{"type": "function_call", "name": "f"}]}, "input[0]"),
            ({"input": [{"type": "function_call_output", "call_id": 1}]}, "input[0].call_id"),
            ({"tools": [{"type": "function"}]}, "tools[0]"),
            ({"tools": [{"name": "f"}]}, "tools[0].type"),
            ({"tools": {}}, "tools"),
            ({"tools": [{"type": "function", "name": "f"}], "tool_choice": "maybe"}, "tool_choice"),
            ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
            ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
            ({"reasoning": "high"}, "reasoning"),
            ({"max_output_tokens": "many"}, "max_output_tokens"),
        ],
    )
    def test_a_wrong_field_is_named(self, fields: Json, param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            parse(**fields)
        assert caught.value.param == param
        assert param in caught.value.message

    def test_null_means_absent(self) -> None:
        assert parse(user=None, tools=None, temperature=None, text=None, reasoning=None, metadata=None) == parse()

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "type",
                            "role",
                            "content",
                            "text",
                            "input",
                            "tools",
                            "name",
                            "call_id",
                            "output",
                            "format",
                            "model",
                        ]
                    )
                    | st.text(max_size=4),
                    inner
                    | st.sampled_from(
                        [
                            "message",
                            "user",
                            "assistant",
                            "function",
                            "custom",
                            "namespace",
                            "function_call",
                            "reasoning",
                        ]
                    ),
                    max_size=4,
                )
            ),
            max_leaves=20,
        ),
        st.sampled_from(["input", "tools", "tool_choice", "text", "reasoning", "instructions", "include", "stream"]),
    )
    def test_any_json_is_a_request_or_refused(self, value: Any, field: str) -> None:
        try:
            request = parse(**{field: value})
        except InvalidRequest:
            return
        assert isinstance(dialect.build_request(request), dict)


class TestTools:
    CODEX: tuple[Json, ...] = (
        {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {}}, "strict": False},
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edit files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: PATCH"},
        },
        {
            "type": "namespace",
            "name": "mcp__files",
            "description": "d",
            "tools": [{"type": "function", "name": "read", "parameters": {}}],
        },
        {"type": "web_search", "external_web_access": False},
        {"type": "local_shell"},
    )

    def test_only_functions_are_offered_to_other_vendors(self) -> None:
        request = parse(tools=list(self.CODEX))
        offered = [tool for tool in request.tools if tool.raw is None]
        assert [tool.name for tool in offered] == ["shell", "apply_patch", "mcp__files__read"]
        assert [tool.raw for tool in request.tools if tool.raw] == [self.CODEX[3], self.CODEX[4]]
        schema = offered[1].schema or {}
        assert schema["required"] == ["input"]
        assert "start: PATCH" in schema["properties"]["input"]["description"]

    def test_the_callers_own_list_is_sent_to_its_own_dialect_as_it_came(self) -> None:
        request = parse(tools=list(self.CODEX), tool_choice="auto", parallel_tool_calls=True)
        body = dialect.build_request(request)
        assert (body["tools"], body["tool_choice"], body["parallel_tool_calls"]) == (list(self.CODEX), "auto", True)

    def test_without_functions_nobody_else_is_told_how_to_choose_one(self) -> None:
        request = parse(tools=[{"type": "web_search"}], tool_choice="auto", parallel_tool_calls=True)
        assert (request.tool_choice, request.parallel_tool_calls) == (None, None)

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            ("auto", ToolChoice("auto")),
            ("none", ToolChoice("none")),
            ("required", ToolChoice("required")),
            ({"type": "custom", "name": "apply_patch"}, ToolChoice("tool", "apply_patch")),
            ({"type": "web_search"}, None),
        ],
    )
    def test_tool_choice(self, choice: Any, expected: ToolChoice | None) -> None:
        assert parse(tools=list(self.CODEX), tool_choice=choice).tool_choice == expected

    def test_allowed_tools_narrow_what_is_offered(self) -> None:
        choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "shell"}]}
        request = parse(tools=list(self.CODEX), tool_choice=choice)
        assert [tool.name for tool in request.tools if tool.raw is None] == ["shell"]
        assert request.tool_choice == ToolChoice("required")
        assert dialect.build_request(request)["tool_choice"] == choice

    def test_calls_of_custom_and_namespaced_tools_come_back_as_the_client_knows_them(self) -> None:
        request = parse(tools=list(self.CODEX))
        calls: list[Any] = [
            ToolCall("c1", "apply_patch", '{"input": "*** Begin Patch"}'),
            ToolCall("c2", "mcp__files__read", '{"path": "a"}'),
            ToolCall("c3", "shell", "{}"),
        ]
        body = dialect.build_response(ChatResponse("x", "claude", calls, "tool_calls"), request)
        custom, namespaced, plain = body["output"]
        assert (custom["type"], custom["name"], custom["input"]) == (
            "custom_tool_call",
            "apply_patch",
            "*** Begin Patch",
        )
        assert (namespaced["type"], namespaced["namespace"], namespaced["name"]) == (
            "function_call",
            "mcp__files",
            "read",
        )
        assert (plain["name"], "namespace" in plain) == ("shell", False)
        Response.model_validate(body)

    def test_tools_declared_inside_the_conversation_count(self) -> None:
        tools = [{"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "run"}]}]
        item = {"type": "additional_tools", "role": "developer", "tools": tools}
        request = parse(input=[{"role": "user", "content": "a"}, item])
        assert [tool.name for tool in request.tools] == ["n__run"]
        call = ToolCall("c", "n__run", '{"input": "go"}')
        (built,) = dialect.build_response(ChatResponse("r", "m", [call], "tool_calls"), request)["output"]
        assert (built["type"], built["namespace"], built["name"]) == ("custom_tool_call", "n", "run")
        body = dialect.build_request(request)
        assert (body["input"][1], "tools" in body) == (item, False)

    def test_history_of_a_custom_tool_is_a_function_for_others_and_itself_for_its_own(self) -> None:
        items: list[Json] = [
            {"role": "user", "content": "fix"},
            {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": 'say "hi"'},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
        ]
        request = parse(input=items)
        call = request.messages[1].parts[0]
        assert isinstance(call, ToolCall)
        assert json.loads(call.arguments) == {"input": 'say "hi"'}
        assert dialect.build_request(request)["input"][1:] == items[1:]


class TestBuildRequest:
    def test_a_foreign_conversation(self) -> None:
        request = neutral(
            chat.system("Be brief."),
            Message("user", [Text("what is this"), Image(data=PIXEL, media_type="image/png")]),
            Message(
                "assistant", [Thinking("hm", "sig", signer="anthropic"), Text("A dot."), ToolCall("c", "f", '{"a":1}')]
            ),
            Message("tool", [ToolResult("c", [Text("no")], is_error=True)]),
            Message("user", [File(name="a.pdf", media_type="application/pdf", data=PIXEL)]),
            chat.system("Now in French."),
            tools=[Tool("f", "does", {"type": "object"})],
            tool_choice=ToolChoice("tool", "f"),
            max_tokens=100,
        )
        assert dialect.build_request(request) == {
            "model": "gpt-5",
            "instructions": "Be brief.",
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "what is this"},
                        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
                    ],
                },
                {"type": "message", "role": "assistant", "content": "A dot."},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
                {"type": "function_call_output", "call_id": "c", "output": "Error: no"},
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}
                    ],
                },
                {"type": "message", "role": "system", "content": "Now in French."},
            ],
            "max_output_tokens": 100,
            "tools": [
                {
                    "type": "function",
                    "name": "f",
                    "description": "does",
                    "parameters": {"type": "object"},
                    "strict": False,
                }
            ],
            "tool_choice": {"type": "function", "name": "f"},
            "store": False,
        }

    def test_fewer_tokens_than_the_api_takes_are_raised_to_its_minimum(self) -> None:
        assert dialect.build_request(neutral(max_tokens=1))["max_output_tokens"] == 16

    def test_reasoning_asks_for_what_a_stateless_caller_needs(self) -> None:
        body = dialect.build_request(neutral(reasoning=Reasoning(budget=8000)))
        assert (body["reasoning"], body["include"]) == ({"effort": "medium"}, ["reasoning.encrypted_content"])
        assert "reasoning" not in dialect.build_request(neutral(reasoning=Reasoning(off=True)))

    def test_structured_output(self) -> None:
        form = ResponseFormat("schema", {"type": "object"}, None, True)
        assert dialect.build_request(neutral(response_format=form))["text"] == {
            "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True}
        }

    def test_a_user_longer_than_the_api_takes_is_still_one_user(self) -> None:
        long = [dialect.build_request(neutral(user=name * 40))["user"] for name in ("ab", "ab", "cd")]
        assert len(long[0]) == 64
        assert long[0] == long[1] != long[2]

    @pytest.mark.parametrize(
        ("fields", "param"), [({"stop": ["x"]}, "stop"), ({"n": 2}, "n"), ({"logprobs": True}, "logprobs")]
    )
    def test_what_the_api_has_no_field_for_is_refused(self, fields: Json, param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            dialect.build_request(neutral(**fields))
        assert caught.value.param == param

    def test_an_image_from_the_assistant_is_refused_by_name(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            dialect.build_request(neutral(chat.user("a"), Message("assistant", [Image(url="https://x/a.png")])))
        assert caught.value.param == "messages[1].content"

    def test_our_own_callers_request_survives_translation(self) -> None:
        body = {
            "model": "gpt-5",
            "instructions": "Be brief.",
            "input": [
                {"type": "message", "role": "developer", "content": "d"},
                {"type": "message", "role": "user", "content": "u"},
                {
                    "id": "ws_1",
                    "type": "web_search_call",
                    "status": "completed",
                    "action": {"type": "search", "query": "q"},
                },
                {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
                {
                    "type": "message",
                    "role": "assistant",
                    "id": "msg_1",
                    "phase": "commentary",
                    "status": "completed",
                    "content": [output_text("one")],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "id": "msg_2",
                    "status": "completed",
                    "content": [output_text("two"), {"type": "refusal", "refusal": "no"}],
                },
                {
                    "type": "function_call",
                    "id": "fc_1",
                    "call_id": "c",
                    "name": "f",
                    "arguments": "{}",
                    "status": "completed",
                },
                {"type": "function_call_output", "call_id": "c", "output": "ok"},
                {"type": "item_reference", "id": "msg_9"},
            ],
            "stream": True,
            "max_output_tokens": 40,
            "tools": [{"type": "web_search"}],
            "tool_choice": {"type": "web_search"},
            "text": {"verbosity": "low"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "previous_response_id": "resp_0",
            "truncation": "auto",
            "service_tier": "flex",
            "field_from_the_future": {"x": 1},
        }
        assert dialect.build_request(dialect.parse_request(body)) == body


class TestStoredState:
    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"conversation": "conv_1"}, "conversation"),
            ({"prompt": {"id": "pmpt_1"}}, "prompt"),
            ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
            ({"input": [{"type": "compaction", "encrypted_content": "g"}]}, "input"),
        ],
    )
    def test_what_only_openai_can_look_up_is_refused_elsewhere(self, fields: Json, param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            dialect.require_no_stored_state(parse(**fields))
        assert caught.value.param == param

    def test_a_turn_is_stored_as_the_items_that_continue_it(self) -> None:
        output = [{"type": "message", "role": "assistant", "content": "hello"}]
        items = dialect.stored_items({"model": "m", "input": "hi", "instructions": "x"}, {"output": output})
        assert parse(input=items).messages == [chat.user("hi"), Message("assistant", [Text("hello")])]
        assert dialect.stored_items({"input": items}, {"output": output}) == items + output

    def test_a_whole_conversation_goes_anywhere(self) -> None:
        dialect.require_no_stored_state(parse(store=True))


def test_where_and_how_to_call() -> None:
    assert dialect.path("gpt-5", stream=True) == "/responses"
    assert dialect.auth_headers("k") == {"authorization": "Bearer k"}
