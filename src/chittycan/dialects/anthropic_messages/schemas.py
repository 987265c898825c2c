"""Structured output: the vendor's own form where the model has it, else a forced tool that the model must fill in.

`output_config.format` takes a subset of JSON Schema: every object closed, no numeric, length or count limits. Older
models get one tool named `ANSWER_TOOL`; its input is the answer, and our parsers turn a call of it back into text, so
nothing has to be remembered between the request and the answer. Source: the page on structured outputs
(platform.claude.com).
"""

import re
from typing import Any

from chittycan.chat import Json, ResponseFormat
from chittycan.dialects.schemas import within
from chittycan.errors import InvalidRequest

ANSWER_TOOL = "chitty_json_answer"

_KEYWORDS = frozenset(
    {"$ref", "$defs", "definitions", "type", "enum", "const", "description", "title", "default", "anyOf", "allOf"}
    | {"properties", "required", "items"}
)
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_BEYOND_REGULAR = re.compile(r"\(\?[=!<]|\\[bB1-9]")  # look-around, back-references, word boundaries


def closed(schema: Any) -> Any:
    """`schema` in the subset that `output_config.format` takes."""
    return within(schema, _takes, close=True)


def _takes(key: str, value: Any) -> bool:
    match key:
        case "minItems":
            return value in (0, 1)
        case "format":
            return isinstance(value, str) and value in _FORMATS
        case "pattern":
            return isinstance(value, str) and _BEYOND_REGULAR.search(value) is None
        case "enum":
            return isinstance(value, list) and not any(isinstance(each, dict | list) for each in value)
    return key in _KEYWORDS


def output_format(wanted: ResponseFormat) -> Json:
    return {"type": "json_schema", "schema": closed(wanted.schema or {"type": "object"})}


def answer_tool(wanted: ResponseFormat) -> Json:
    """The tool that stands for the answer. Raises `InvalidRequest` where the answer would not be an object."""
    schema = wanted.schema or {"type": "object", "additionalProperties": True}
    if wanted.kind == "schema" and schema.get("type", "object") != "object":
        raise InvalidRequest(
            "response_format: this model can only answer with a JSON object, and the schema's root is not one",
            param="response_format",
            fix="Put the value into an object with one property.",
        )
    return {
        "name": ANSWER_TOOL,
        "description": "Gives the final answer to the user. The whole answer is this tool's input.",
        "input_schema": {"type": "object"} | schema,
    }
