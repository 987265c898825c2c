"""JSON Schemas, as each vendor takes them.

Sources: Anthropic's page on structured outputs (JSON Schema limitations); OpenAI's guide "Structured model outputs"
(supported schemas); Google's definition of `GenerationConfig.responseJsonSchema`, and its limits on unrolled arrays as
reported in python-genai#2170.
"""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import ChatRequest, Json, ResponseFormat, Tool, user
from chittycan.dialects import load, schemas

# What our own agents ask with: limits and words to choose from, and no `strict`.
TRIAGE: Json = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["invoice", "other"]},
        "quotes": {"type": "array", "items": {"type": "string", "maxLength": 80}, "maxItems": 5},
    },
    "required": ["kind", "quotes"],
    "additionalProperties": False,
}
CLOSED: Json = {
    "type": "object",
    "properties": {"at": {"$ref": "#/$defs/Place", "description": "where"}, "n": {"type": "integer", "minimum": 1}},
    "required": ["at", "n"],
    "additionalProperties": False,
    "$defs": {"Place": {"type": "string", "minLength": 1, "format": "uri"}},
}


def answer_schema(
    provider: str, model: str, schema: Json, strict: bool | None = None, origin: str | None = None
) -> Any:
    """What the provider is asked to answer in."""
    wanted = ResponseFormat("schema", schema, "answer", strict)
    chat = ChatRequest(model, [user("x")], response_format=wanted, origin=origin)
    body = load(provider).build_request(chat)
    match provider:
        case "anthropic":
            return body["output_config"]["format"]["schema"]
        case "gemini":
            return body["generationConfig"]["responseJsonSchema"]
        case "openai":
            form = body["response_format"]["json_schema"]
        case _:
            form = body["text"]["format"]
    return form["schema"], form.get("strict") or False


def test_limits_that_anthropic_refuses_are_said_in_the_description() -> None:
    assert answer_schema("anthropic", "claude-sonnet-4-5", TRIAGE)["properties"] == {
        "kind": {"enum": ["invoice", "other"]},
        "quotes": {
            "type": "array",
            "items": {"type": "string", "description": "(maxLength: 80)"},
            "description": "(maxItems: 5)",
        },
    }


@pytest.mark.parametrize(
    ("given_schema", "taken"),
    [
        ({"type": "array", "minItems": 1, "items": {}}, {"type": "array", "minItems": 1, "items": {}}),
        ({"type": "array", "minItems": 2}, {"type": "array", "description": "(minItems: 2)"}),
        ({"type": "string", "format": "date", "pattern": "^a+$"}, None),
        ({"type": "string", "format": "phone"}, {"type": "string", "description": '(format: "phone")'}),
        ({"type": "string", "pattern": "(?=a)"}, {"type": "string", "description": '(pattern: "(?=a)")'}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"allOf": [{"$ref": "#/$defs/A"}], "title": "T"}, {"$ref": "#/$defs/A"}),
        ({"allOf": [{"type": "string"}], "title": "T"}, {"type": "string", "title": "T"}),
        (
            {"allOf": [{"$ref": "#/$defs/A"}], "required": ["b"]},
            {"allOf": [{"$ref": "#/$defs/A"}], "required": ["b"]},
        ),
        ({"type": ["object", "null"]}, {"type": ["object", "null"], "additionalProperties": False}),
        ({"type": "object", "$schema": "https://x"}, {"type": "object", "additionalProperties": False}),
        ({"not": {"const": 1}, "type": "integer"}, {"type": "integer", "description": '(not: {"const":1})'}),
        # names of properties are not keywords
        (
            {"properties": {"maxItems": {"type": "null"}}, "additionalProperties": True},
            {"properties": {"maxItems": {"type": "null"}}, "additionalProperties": False},
        ),
    ],
)
def test_what_anthropic_takes(given_schema: Json, taken: Json | None) -> None:
    assert answer_schema("anthropic", "claude-opus-4-7", given_schema) == (given_schema if taken is None else taken)


def test_gemini_hears_of_array_limits_in_words_and_takes_or_ignores_the_rest() -> None:
    quotes = {
        "type": "array",
        "items": {"type": "string", "maxLength": 80},
        "description": "(maxItems: 5)",
    }
    taken = answer_schema("gemini", "gemini-2.5-flash", TRIAGE)
    assert taken == TRIAGE | {"properties": TRIAGE["properties"] | {"quotes": quotes}}


def test_geminis_functions_have_the_same_limits_and_no_word_beside_a_reference() -> None:
    schema = CLOSED | {"properties": CLOSED["properties"] | {"tags": {"type": "array", "minItems": 30, "maxItems": 99}}}
    body = load("gemini").build_request(ChatRequest("gemini-3-pro", [user("x")], tools=[Tool("f", schema=schema)]))
    (function,) = body["tools"][0]["functionDeclarations"]
    properties = function["parametersJsonSchema"]["properties"]
    assert properties["at"] == {"$ref": "#/$defs/Place"}
    assert properties["tags"] == {"type": "array", "description": "(minItems: 30, maxItems: 99)"}


@pytest.mark.parametrize("provider", ["openai", "openai_responses"])
class TestOpenAI:
    def test_without_strict_a_schema_goes_as_it_is(self, provider: str) -> None:
        assert answer_schema(provider, "gpt-5", TRIAGE) == (TRIAGE, False)

    def test_strict_in_openais_own_words_goes_as_it_is(self, provider: str) -> None:
        for origin in ("openai", "openai_responses"):
            if origin != provider:
                assert answer_schema(provider, "gpt-5", TRIAGE, True, origin) == (TRIAGE, True)

    def test_anothers_strict_schema_is_written_in_openais_subset(self, provider: str) -> None:
        schema, strict = answer_schema(provider, "gpt-5", CLOSED, True, "anthropic")
        assert strict
        assert schema["properties"] == {"at": {"$ref": "#/$defs/Place"}, "n": {"type": "integer", "minimum": 1}}
        assert schema["$defs"] == {"Place": {"type": "string", "description": '(minLength: 1, format: "uri")'}}

    @pytest.mark.parametrize(
        "change",
        [
            {"required": ["at"]},
            {"additionalProperties": True},
            {"required": 5},
            {"anyOf": [{"type": "null"}]},
            {"$defs": {"Place": {"type": "object"}}},
            {"$defs": {"Place": {}}},
            {"type": "array", "properties": None},
        ],
    )
    def test_what_strict_mode_would_refuse_or_overdo_is_asked_for_without_it(self, provider: str, change: Json) -> None:
        schema = CLOSED | change
        assert answer_schema(provider, "gpt-5", schema, True, "anthropic") == (schema, False)

    def test_strict_tools_of_others_likewise(self, provider: str) -> None:
        tools = [Tool("all", schema=CLOSED, strict=True), Tool("some", schema=CLOSED | {"required": []}, strict=True)]
        chat = ChatRequest("gpt-5", [user("x")], tools=tools, origin="anthropic")
        sent = [tool.get("function", tool) for tool in load(provider).build_request(chat)["tools"]]
        assert [tool["strict"] for tool in sent] == [True, False]
        assert "minLength" not in sent[0]["parameters"]["$defs"]["Place"]


WORDS = (
    *("type", "properties", "required", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs", "enum", "format"),
    *("pattern", "maxLength", "minItems", "maxItems", "additionalProperties", "description", "not", "a"),
)
KEYS = st.sampled_from(WORDS)
VALUES = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["object", "array", "a", "#/$defs/a"])
SCHEMAS = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)


@given(st.dictionaries(KEYS, SCHEMAS, max_size=6))
def test_any_schema_is_taken_somehow_and_stays_as_it_was(schema: Json) -> None:
    before = copy.deepcopy(schema)
    answer_schema("anthropic", "claude-sonnet-4-5", schema)
    answer_schema("gemini", "gemini-3-pro", schema)
    _, strict = answer_schema("openai", "gpt-5", schema, True, "anthropic")
    assert schema == before
    assert not strict or schema.get("type") == "object" or "properties" in schema or "object" in schema["type"]


@given(st.dictionaries(KEYS, SCHEMAS, max_size=6))
def test_only_keywords_that_are_taken_are_left_wherever_a_schema_can_stand(schema: Json) -> None:
    taken = {"type", "properties", "items", "anyOf", "$defs", "description"}

    def look(inner: Any) -> None:
        if isinstance(inner, dict):
            assert inner.keys() <= taken
            look(inner.get("items"))
            for each in inner["anyOf"] if isinstance(inner.get("anyOf"), list) else ():
                look(each)
            for name in ("properties", "$defs"):
                for each in inner[name].values() if isinstance(inner.get(name), dict) else ():
                    look(each)

    look(schemas.within(schema, lambda key, _: key in taken))
