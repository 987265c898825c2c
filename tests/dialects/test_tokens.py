"""The estimate of tokens: known texts within its stated accuracy, and never nonsense."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Opaque,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    user,
)
from chittycan.dialects import tokens

PART_VALUES = [
    Image(url="https://example.com/a.png"),
    File(data="JVBERi0x" * 100, media_type="application/pdf"),
    File(data="aGVsbG8g" * 100, media_type="text/plain"),
    File(text="hello " * 20),
    File(file_id="file_1"),
    Audio("UklGRg==" * 100, "mp3"),
    Thinking("let me think about it"),
    Thinking(redacted="Emwx" * 30),
    Refusal("I cannot help with that"),
    ToolCall("call_1", "weather", '{"city": "Oslo"}'),
    ToolResult("call_1", [Text("four degrees"), Image(data="aaaa")]),
    Opaque("anthropic", {"type": "server_tool_use", "input": {"query": "x"}}),
]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        # Counted with OpenAI's o200k_base (published examples of the tokenizer's page and cookbook).
        ("The quick brown fox jumps over the lazy dog", 9),
        ("How are you today? I hope that everything is going well with your new project.", 17),
    ],
)
def test_english_is_within_a_quarter_of_the_real_count(text: str, known: int) -> None:
    assert abs(tokens.estimate_text(text) - known) <= max(2, known * 0.25)


def test_chinese_counts_about_one_token_per_character() -> None:
    assert tokens.estimate_text("今天天气很好我们去公园吧") == 12


def test_empty_text_is_nothing() -> None:
    assert tokens.estimate_text("") == 0


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_between_a_quarter_and_twice_its_characters(text: str) -> None:
    assert len(text) / 4 <= tokens.estimate_text(text) <= 2 * len(text)


def test_a_lone_surrogate_is_counted_and_not_refused() -> None:
    assert tokens.estimate_text("a\ud800b") > 0


@pytest.mark.parametrize("part", PART_VALUES, ids=lambda part: type(part).__name__)
def test_every_kind_of_part_costs_something(part: object) -> None:
    alone = tokens.estimate_tokens(ChatRequest("m", [Message("user", [])]))
    holding = tokens.estimate_tokens(ChatRequest("m", [Message("user", [part])]))  # type: ignore[list-item]
    assert holding > alone


def test_a_picture_costs_the_same_however_large_its_data() -> None:
    small, large = Image(data="a" * 100), Image(data="a" * 4_000_000)
    counts = [tokens.estimate_tokens(ChatRequest("m", [Message("user", [each])])) for each in (small, large)]
    assert counts[0] == counts[1] == tokens.IMAGE + tokens.MESSAGE


def test_a_longer_document_costs_more() -> None:
    counts = [
        tokens.estimate_tokens(
            ChatRequest("m", [Message("user", [File(data="a" * size, media_type="application/pdf")])])
        )
        for size in (10_000, 1_000_000)
    ]
    assert counts[1] > 10 * counts[0]


def test_tools_count_with_their_schemas_and_the_vendors_instructions() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "Name of the city"}}}
    plain = tokens.estimate_tokens(ChatRequest("m", [user("hi")]))
    tooled = tokens.estimate_tokens(ChatRequest("m", [user("hi")], tools=[Tool("weather", "The weather", schema)]))
    assert tooled - plain >= tokens.TOOLS + len(msgspec.json.encode(schema)) // 4
