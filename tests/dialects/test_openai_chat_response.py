"""What OpenAI chat answers mean, and what is written for clients that speak it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import ChatResponse, Text, Thinking, ToolCall, Usage
from chittycan.dialects import openai_chat
from chittycan.dialects.openai_chat.response import parse_usage

WORDS = (
    "id choices message content tool_calls function name arguments usage prompt_tokens finish_reason index type"
    " thinking text reasoning_details created completion_tokens_details"
)
KEYS = st.sampled_from(WORDS.split())
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "stop", "function", "x"])
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_any_answer_can_be_read_and_written_again(body: dict[str, Any]) -> None:
    response = openai_chat.parse_response(body)
    assert openai_chat.build_response(response)["choices"][0]["message"]["role"] == "assistant"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 1000,
                "completion_tokens": 5,
                "total_tokens": 1005,
                "prompt_tokens_details": {"cached_tokens": 800},
            },
            Usage(input=1000, output=5, cached=800),
        ),
        (  # xAI: reasoning beside the completion, given away by the total
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 45,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(input=10, output=35, reasoning=30),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 35,
                "total_tokens": 45,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(input=10, output=35, reasoning=30),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 12}, Usage(input=9)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, Usage(input=9, cached=4)),
        ({"prompt_tokens": 9, "cached_tokens": 3}, Usage(input=9, cached=3)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cache_write_tokens": 2}}, Usage(input=9, cache_write=2)),
        ({"prompt_tokens": None, "completion_tokens": "3", "prompt_tokens_details": []}, Usage()),
    ],
)
def test_usage_is_read_under_every_vendors_names(usage: dict[str, Any], expected: Usage) -> None:
    assert parse_usage(usage) == expected


def test_cache_writes_of_both_lifetimes_are_told_as_one() -> None:
    response = ChatResponse("r", "m", [Text("x")], "stop", Usage(input=20, output=1, cache_write=4, cache_write_1h=5))
    usage = openai_chat.build_response(response)["usage"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 9}


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("stop_sequence", "stop"),
        ("a_new_word", "a_new_word"),
        (None, None),
    ],
)
def test_finish_reasons_are_mapped_and_never_invented(reason: str | None, told: str | None) -> None:
    built = openai_chat.build_response(ChatResponse("r", "m", [Text("x")], reason))
    assert built["choices"][0]["finish_reason"] == told


def test_thinking_is_told_with_the_signature_that_a_client_can_hand_back() -> None:
    parts = [Thinking("hm", signature="sig", signer="anthropic"), Thinking(redacted="blob", signer="anthropic")]
    message = openai_chat.build_response(ChatResponse("r", "m", [*parts, Text("a")], "stop"))["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    replay = {"role": "assistant", "content": "a", "reasoning_details": message["reasoning_details"]}
    assert openai_chat.parse_request({"model": "m", "messages": [replay]}).messages[0].parts[:2] == parts


def test_what_another_dialect_keeps_for_itself_is_not_told() -> None:
    response = ChatResponse("r", "m", [Text("x")], "stop", extra={"container": {"id": "c"}})
    assert set(openai_chat.build_response(response)) == {"id", "object", "created", "model", "choices"}


def test_made_ids_stay_the_same_and_differ_between_calls() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    body = {"id": "r", "choices": [{"message": {"tool_calls": [call, call]}, "finish_reason": "stop"}]}
    first, second = (openai_chat.parse_response(body) for _ in range(2))
    ids = [part.id for part in first.parts if isinstance(part, ToolCall)]
    assert first == second
    assert len(set(ids)) == 2
    assert all(one.startswith("call_") for one in ids)
    assert first.stop_reason == "tool_calls"
