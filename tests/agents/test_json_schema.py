"""Answers against schemas that others wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.agents.json_schema import cut, misfit

OBJECT: Any = {
    "type": "object",
    "properties": {
        "risk": {"type": "integer", "minimum": 1, "maximum": 10},
        "level": {"enum": ["low", "high", None]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "maxItems": 2},
    },
    "required": ["risk"],
    "additionalProperties": False,
    "$defs": {"part": {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}}},
}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"risk": 3, "level": None, "parts": [{"name": "a", "more": 1}]}, None),
        ({"risk": 3.0}, None),
        ({"risk": 0}, "$.risk is less than 1"),
        ({"risk": 10**400}, "$.risk is more than 10"),
        ({"risk": True}, "$.risk is not an integer"),
        ({"risk": 2.5}, "$.risk is not an integer"),
        ({}, "$.risk is missing"),
        ([], "$ is not an object"),
        ({"risk": 3, "x": 1}, "$.x should not be there"),
        ({"risk": 3, "level": "middle"}, "$.level is none of 'low', 'high', None"),
        ({"risk": 3, "parts": [{}, {"name": ""}]}, "$.parts[1].name is shorter than 1"),
        ({"risk": 3, "parts": [{}, {}, {}]}, "$.parts has more than 2"),
    ],
)
def test_the_first_misfit_is_named_with_its_place(value: Any, problem: str | None) -> None:
    assert misfit(value, OBJECT) == problem


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, 1),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, 6.5, 6),
        ({"allOf": [{"type": "number"}, {"exclusiveMinimum": 0}]}, 1, 0),
        ({"not": {"const": "no"}}, "yes", "no"),
        ({"type": ["string", "number"]}, 1.5, []),
        ({"const": {"a": [1]}}, {"a": [1.0]}, {"a": [True]}),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1], ["a", "b"]),
        ({"additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": "b"}),
        ({"properties": {"a": False}}, {"b": 1}, {"a": 1}),
        ({"type": "boolean"}, False, 0),
    ],
)
def test_the_keywords_by_which_answers_are_described(schema: Any, good: Any, bad: Any) -> None:
    assert misfit(good, schema) is None
    assert misfit(bad, schema) is not None


def test_what_is_only_too_long_is_cut() -> None:
    """Not every provider can hold its model to a length."""
    schema: Any = {
        "properties": {"why": {"type": "string", "maxLength": 3}, "parts": {"maxItems": 1, "items": {"maxLength": 1}}},
        "required": ["why"],
    }
    long = {"why": "because", "parts": ["ab", "c"], "more": "because"}
    assert cut(long, schema) == {"why": "bec", "parts": ["a"], "more": "because"}
    assert misfit(cut(long, schema), schema) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "required", "enum", "anyOf", "$ref", "minimum", "not", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything, anything)
def test_a_schema_that_makes_no_sense_does_no_harm(value: Any, schema: Any) -> None:
    found = misfit(cut(value, schema), schema)
    assert found is None or found.startswith("$")


@pytest.mark.parametrize(
    "schema", [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, {"items": {"$ref": "#"}, "not": {"$ref": "#"}}]
)
def test_a_schema_that_refers_to_itself_comes_to_an_end(schema: Any) -> None:
    misfit([[1, [2, [3]]], 4], schema)
