"""Structured output: the vendor's own form where the model has it, else a forced tool that the model must fill in.

`output_config.format` takes a subset of JSON Schema: every object closed, no numeric, length or count limits; what it
does not take is said in the description instead, as the vendor's own SDKs do. Older models get one tool named
`ANSWER_TOOL`; its input is the answer, and our parsers turn a call of it back into text, so nothing has to be
remembered between the request and the answer. Source: the page on structured outputs (platform.claude.com).
"""

from typing import Any

from chittycan.chat import Json, ResponseFormat
from chittycan.errors import InvalidRequest

ANSWER_TOOL = "chitty_json_answer"

_DROPPED = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
    "uniqueItems", "minProperties", "maxProperties", "patternProperties", "propertyNames", "contains", "$schema",
)  # fmt: skip
_SILENT = ("$schema",)
_ONE = ("items", "not", "if", "then", "else")
_MANY = ("anyOf", "allOf", "oneOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions")


def closed(schema: Any) -> Any:
    """`schema` in the subset that `output_config.format` takes."""
    if not isinstance(schema, dict):
        return schema
    built: Json = {}
    said = []
    for key, value in schema.items():
        if key in _DROPPED or (key == "minItems" and value not in (0, 1)):
            if key not in _SILENT:
                said.append(f"{key}: {value}")
        elif key in _ONE:
            built[key] = closed(value)
        elif key in _MANY and isinstance(value, list):
            built["anyOf" if key == "oneOf" else key] = [closed(each) for each in value]
        elif key in _NAMED and isinstance(value, dict):
            built[key] = {name: closed(each) for name, each in value.items()}
        else:
            built[key] = value
    if said:
        built["description"] = f"{built.get('description', '')} ({', '.join(said)})".lstrip()
    if built.get("type") == "object" or "properties" in built:
        built["additionalProperties"] = False
    return built


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
