"""The schema a model is given, and the reading of what it says."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from chittycan.agents.invoke import AGENTS
from chittycan.agents.schema import AnswerError, read_answer, schema_of

Colour = Literal["red", "green"]


class Inner(Struct):
    word: Annotated[str, Meta(max_length=5)]


class Outer(Struct):
    colour: Colour
    amount: float
    words: Annotated[list[Annotated[str, Meta(max_length=3)]], Meta(max_length=2)] = []
    inner: list[Inner] = []


def test_schema_is_flat_closed_and_in_order() -> None:
    assert schema_of(Outer) == {
        "type": "object",
        "properties": {
            "colour": {"enum": ["green", "red"]},
            "amount": {"type": "number"},
            "words": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
            "inner": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"word": {"type": "string", "maxLength": 5}},
                    "required": ["word"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["colour", "amount", "words", "inner"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_every_agent_has_a_schema_without_references(name: str) -> None:
    assert "$ref" not in str(AGENTS[name].schema)
    assert list(AGENTS[name].schema["properties"]) == AGENTS[name].schema["required"]


@pytest.mark.parametrize(
    "text",
    [
        '{"colour": "red", "amount": 1}',
        '```json\n{"colour": "red", "amount": 1}\n```',
        'Here it is: {"colour": "RED", "amount": "1"} and {"colour": "blue"}',
        '{"colour": " red ", "amount": 1.0, "unasked": true}',
    ],
)
def test_answer_is_read_from_bare_fenced_or_surrounded_json(text: str) -> None:
    assert read_answer(text, Outer) == Outer("red", 1.0)


def test_what_is_too_long_is_cut_and_not_refused() -> None:
    text = '{"colour": "red", "amount": 1, "words": ["abcdef", "b", "c"], "inner": [{"word": "longer than five"}]}'
    assert read_answer(text, Outer) == Outer("red", 1.0, ["abc", "b"], [Inner("longe")])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I cannot do that.", "no JSON object"),
        ('{"colour": "red", "am', "broken or cut short"),
        ('{"colour": "blue", "amount": 1}', "colour"),
        ('{"amount": 1}', "colour"),
        ('{"colour": "red", "amount": "lots"}', "amount"),
        ('{"colour": ["red"], "amount": 1}', "colour"),
        ("[1, 2]", "no JSON object"),
        ("", "no JSON object"),
        ('{"a":' * 100_000, "broken or cut short"),
    ],
    ids=lambda text: text[:20],
)
def test_bad_answer_is_refused_with_the_place(text: str, problem: str) -> None:
    with pytest.raises(AnswerError, match=problem):
        read_answer(text, Outer)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["colour", "amount", "words", "inner", "word", "x"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    import json

    try:
        read = read_answer(json.dumps(value), Outer)
    except AnswerError:
        return
    assert read.colour in ("red", "green")
    assert all(len(word) <= 3 for word in read.words)
