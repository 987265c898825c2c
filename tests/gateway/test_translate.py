"""What goes to a provider: the client's own bytes where both speak the same dialect, else a translation."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan import chat
from chittycan.chat import ChatRequest, ChatResponse, ResponseFormat, Text
from chittycan.errors import InvalidRequest
from chittycan.gateway.call import Call
from chittycan.gateway.translate import client_body, in_words, own_tool_names, passes_through, request_body
from gateway_parts import call, candidate

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
LONG_NAME = "mcp.server/" + "x" * 70


def sent(asked: Call, to: Any, ask_usage: bool = True) -> Any:
    return msgspec.json.decode(request_body(asked, to, ask_usage))


# The same dialect


def test_the_same_dialect_passes_byte_for_byte_but_for_the_models_name() -> None:
    body = b'{ "model" : "m",\n\t"messages":[{"role":"user","content":"caf\\u00e9 1e2"}], "unheard_of": [1.0, {}] }'
    asked = call()
    asked.body, asked.fields = body, msgspec.json.decode(body)
    assert request_body(asked, candidate("m"), True) == body.replace(b'"m"', b'"m-upstream"')
    assert request_body(asked, candidate("m", upstream="m"), True) == body


def test_our_own_field_never_leaves() -> None:
    assert "chitty" not in sent(call(fields={"chitty": {"kind": "code"}}), candidate())


@pytest.mark.parametrize(
    ("given_options", "ask_usage", "options"),
    [
        (None, True, {"include_usage": True}),
        ({"include_usage": False}, True, {"include_usage": True}),
        ({"include_usage": True, "include_obfuscation": False}, True,
         {"include_usage": True, "include_obfuscation": False}),
        ({"include_obfuscation": False}, True, {"include_usage": True, "include_obfuscation": False}),
        ({"include_usage": True}, False, None),
        (None, False, None),
    ],
)  # fmt: skip
def test_a_streams_usage_is_asked_for_where_the_provider_takes_that(
    given_options: Any, ask_usage: bool, options: Any
) -> None:
    fields = {} if given_options is None else {"stream_options": given_options}
    asked = call(stream=True, fields=fields)
    assert sent(asked, candidate(), ask_usage).get("stream_options") == options
    assert sent(call("anthropic", stream=True), candidate(), ask_usage).get("stream_options") == (
        {"include_usage": True} if ask_usage else None
    )


def test_a_whole_answer_is_not_asked_for_its_usage() -> None:
    assert "stream_options" not in sent(call(), candidate())


def test_embeddings_pass_to_whatever_provider_was_chosen() -> None:
    asked = call(operation="embeddings", fields={"input": "text", "dimensions": 8, "messages": None})
    assert sent(asked, candidate())["dimensions"] == 8


@given(st.dictionaries(st.text(max_size=8), st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=8), max_size=6))
def test_unknown_fields_survive(fields: dict[str, Any]) -> None:
    fields = {name: value for name, value in fields.items() if name not in ("model", "messages", "stream", "chitty")}
    assert sent(call(fields=fields), candidate()) == call(fields=fields).fields | {"model": "m-upstream"}


# Another dialect


@pytest.mark.parametrize("to", ["openai", "anthropic", "gemini", "openai_responses"])
@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
def test_the_question_arrives_in_every_dialect(surface: str, to: str) -> None:
    built = sent(call(surface, stream=True), candidate("m", to))
    assert "Hello" in msgspec.json.encode(built).decode()
    assert to == "gemini" or built["model"] == "m-upstream"
    assert to == "gemini" or built["stream"] is True


def test_each_attempt_is_built_from_the_untouched_original() -> None:
    asked = call(fields={"tools": [{"type": "function", "function": {"name": LONG_NAME, "parameters": SCHEMA}}]})
    first = request_body(asked, candidate("a", "anthropic"), True)
    request_body(asked, candidate("g", "gemini"), True)
    request_body(asked, candidate("weak", "gemini", json_schema=False), True)
    assert request_body(asked, candidate("a", "anthropic"), True) == first
    assert asked.chat.tools[0].name == LONG_NAME


def test_what_a_dialect_cannot_say_is_refused_by_name() -> None:
    asked = call("openai_responses", fields={"previous_response_id": "resp_1"})
    with pytest.raises(InvalidRequest) as raised:
        request_body(asked, candidate("c", "anthropic"), True)
    assert raised.value.param == "previous_response_id"
    assert sent(asked, candidate("m", "openai_responses"))["previous_response_id"] == "resp_1"


THINKING = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}


def test_a_fallback_of_the_same_vendor_is_not_given_thinking_parameters_meant_for_another_model() -> None:
    asked = call("anthropic", model="new", fields={"thinking": {"type": "enabled", "budget_tokens": 2048}})
    assert passes_through(asked, candidate("new", "anthropic"))
    assert not passes_through(asked, candidate("old", "anthropic"))


def test_a_signed_thought_of_the_same_vendor_passes_untouched() -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [THINKING]}]
    asked = call("anthropic", fields={"messages": history})
    assert passes_through(asked, candidate("m", "anthropic"))
    assert sent(asked, candidate("m", "anthropic"))["messages"] == history


# Tool names that a provider does not take


def test_stand_ins_are_known_where_a_name_is_not_taken() -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in (LONG_NAME, "plain")]
    asked = call(fields={"tools": tools})
    names = own_tool_names(asked, candidate("a", "anthropic"))
    assert list(names.values()) == [LONG_NAME]
    (stand_in,) = names
    assert [tool["name"] for tool in sent(asked, candidate("a", "anthropic"))["tools"]] == [stand_in, "plain"]
    assert own_tool_names(asked, candidate("o", "openai")) == {}, "the client's own bytes are sent"


# Schemas in words


def test_a_model_without_schemas_gets_the_schema_as_an_instruction() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    asked = call("openai", fields={"response_format": wanted})
    built = sent(asked, candidate("weak", "anthropic", json_schema=False))
    assert '"integer"' in str(built["system"])
    assert asked.chat.response_format is not None


def test_in_words_leaves_everything_else_alone() -> None:
    asked = ChatRequest(model="m", messages=[chat.user("Hi")])
    assert in_words(asked) is asked
    plain = msgspec.structs.replace(asked, response_format=ResponseFormat("json"))
    assert in_words(plain) is plain


# The way back


@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
def test_a_translated_answer_has_the_time_of_the_call_where_the_provider_named_none(surface: str) -> None:
    body = msgspec.json.decode(client_body(call(surface), ChatResponse("id", "up", [Text("Hi")], "stop")))
    assert "Hi" in str(body)
    stamps = {"openai": "created", "openai_responses": "created_at"}
    assert surface == "anthropic" or body[stamps[surface]] == 1_800_000_000
