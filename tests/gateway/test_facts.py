"""What routing is told about a call."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan import chat
from chittycan.auth.keys import Key
from chittycan.chat import ChatRequest, Image, Message, ResponseFormat, Tool, ToolResult
from chittycan.errors import InvalidRequest
from chittycan.gateway.call import Options
from chittycan.gateway.facts import SMALL_BODY, facts_of, input_tokens, plain_facts
from chittycan.routing.facts import Facts
from gateway_parts import call

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
LONG = [{"role": "user", "content": "word " * 20_000}]
PREFILL = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Sure:"}]


@pytest.mark.parametrize(
    ("surface", "fields", "facts"),
    [
        ("openai", {}, {}),
        ("openai", {"n": 1, "logprobs": False, "tools": []}, {}),
        ("openai", {"n": 2}, {"same_dialect": "n"}),
        ("openai", {"n": "two"}, {}),
        ("openai", {"logprobs": True}, {"same_dialect": "logprobs"}),
        ("openai", {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tools": True}),
        ("openai", {"response_format": {"type": "json_schema", "json_schema": {}}}, {"schema": True}),
        ("openai", {"response_format": {"type": "json_object"}}, {}),
        ("openai_responses", {"text": {"format": {"type": "json_schema"}}}, {"schema": True}),
        ("openai_responses", {"text": {"format": {"type": "text"}}}, {}),
        ("anthropic", {"output_format": {"type": "json_schema", "schema": {}}}, {"schema": True}),
        ("anthropic", {"messages": PREFILL}, {"prefill": True}),
        ("openai", {"messages": PREFILL}, {}),
        ("anthropic", {"messages": "nonsense"}, {}),
        ("anthropic", {"messages": [7]}, {}),
        ("openai", {"messages": [{"role": "user", "content": [PICTURE]}]}, {"vision": True}),
        ("openai", {"messages": [{"role": "user", "content": "an image of a cat"}]}, {}),
        ("openai", {"messages": LONG}, {"tokens": 16384}),
    ],
)
def test_what_a_body_needs(surface: str, fields: dict[str, Any], facts: dict[str, Any]) -> None:
    assert facts_of(call(surface, fields=fields)) == Facts(model="m", surface=surface, **facts)


@pytest.mark.parametrize(
    ("more", "facts"),
    [
        ({}, {}),
        ({"n": 2}, {"same_dialect": "n"}),
        ({"logprobs": True}, {"same_dialect": "logprobs"}),
        ({"tools": [Tool("f")]}, {"tools": True}),
        ({"response_format": ResponseFormat("schema", {})}, {}),  # put into words where need be
        ({"messages": [chat.user("Hi"), Message("assistant", [chat.Text("Sure:")])]}, {"prefill": True}),
        ({"messages": [Message("user", [Image(data="eA==")])]}, {"vision": True}),
        ({"messages": [Message("tool", [ToolResult("c", [Image(data="eA==")])])]}, {"vision": True}),
        ({"messages": [chat.user("word " * 20_000)]}, {"tokens": 16384}),
        ({"messages": []}, {}),
    ],
)
def test_what_a_caller_in_this_process_needs(more: dict[str, Any], facts: dict[str, Any]) -> None:
    parsed = ChatRequest(**{"model": "m", "messages": [chat.user("Hi")], **more})
    assert facts_of(call(None, parsed=parsed)) == Facts(model="m", **facts)


def test_wishes_and_the_key_are_passed_on() -> None:
    options = Options(kind="code", region="eu", private=True, models=("a", "b"))
    key = Key(id="k", name="k", models=frozenset({"a"}))
    assert facts_of(call(options=options, key=key, keep_answering=True)) == Facts(
        model="m", surface="openai", kind="code", region="eu", private=True, models=("a", "b"),
        allowed=frozenset({"a"}), keep_answering=True,
    )  # fmt: skip


def test_embeddings_are_no_chat() -> None:
    asked = call(operation="embeddings", fields={"input": "image " * SMALL_BODY})
    assert facts_of(asked) == Facts(model="m", surface="openai", embeddings=True)


def test_a_large_body_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        facts_of(call(fields={"messages": "x" * SMALL_BODY}))


def test_a_window_counts_as_too_small_only_where_an_error_of_the_estimate_cannot_save_it() -> None:
    estimate = input_tokens(call(fields={"messages": LONG}))
    assert facts_of(call(fields={"messages": LONG})).tokens <= estimate * 2 // 3
    assert facts_of(call(fields={"messages": LONG})).tokens % 4096 == 0


def test_input_tokens_of_small_bodies_need_no_translation() -> None:
    asked = call(fields={"messages": "no conversation at all"})
    assert input_tokens(asked) == len(asked.body) // 4
    assert asked.parsed is None


values = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.lists(st.just({"type": "image"}))


@given(
    st.sampled_from(["openai", "anthropic", "openai_responses"]),
    st.dictionaries(
        st.sampled_from(["n", "logprobs", "tools", "temperature", "max_tokens", "stop", "seed", "text", "user",
                         "response_format", "functions", "stream_options", "output_format"]), values, max_size=4),
    st.none() | st.just(frozenset({"m"})),
    st.booleans(),
)  # fmt: skip
def test_the_glance_at_usual_requests_sees_what_a_closer_look_does(
    surface: str, fields: dict[str, Any], models: Any, keep_answering: bool
) -> None:
    key = None if models is None else Key(id="k", name="k", models=models)
    asked = call(surface, fields=fields, key=key, keep_answering=keep_answering)
    plain = plain_facts(asked)
    if plain is not None:
        assert facts_of(asked) == Facts(model=plain[0], surface=plain[1], allowed=plain[2])


def test_the_usual_request_needs_only_a_glance() -> None:
    assert plain_facts(call(stream=True, fields={"temperature": 0.5, "max_tokens": 5})) == ("m", "openai", None)
