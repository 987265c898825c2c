"""The JSON schema of an answer, from its msgspec type; and the reading of a model's text against that type.

A constraint that only bounds length is applied, not refused: a quote of 90 characters where 80 were asked
for is a good answer. A wrong type, a missing field or a word outside an enum is a problem that the model is
told about.
"""

import json
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

Json = dict[str, Any]
S = TypeVar("S", bound=Struct)

_DECODER = json.JSONDecoder()


class AnswerError(Exception):
    """The text is not an answer; the message is fit to be sent back to the model."""


@cache
def schema_of(answer: type[Struct]) -> Json:
    """Draft 2020-12 schema without references: all fields required, no others allowed, in the order of the type.

    The order matters to a small model: it writes the fields in it.
    """
    top = msgspec.json.schema(answer)
    inlined = _inline(top, top.get("$defs", {}))
    assert isinstance(inlined, dict)
    inlined.pop("$defs", None)
    return inlined


def _inline(node: Any, definitions: Json) -> Any:
    if isinstance(node, list):
        return [_inline(entry, definitions) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inline(definitions[node["$ref"].rpartition("/")[2]], definitions)
    made = {name: _inline(value, definitions) for name, value in node.items() if name not in ("title", "default")}
    if made.get("type") == "object" and "properties" in made:
        made["properties"] = {name: _inline(value, definitions) for name, value in node["properties"].items()}
        made["required"] = list(made["properties"])
        made["additionalProperties"] = False
        made.pop("description", None)
    return made


def read_answer(text: str, answer: type[S]) -> S:
    """The answer in a model's text: the first JSON object in it, bare or in a fence or after a sentence.

    Raises `AnswerError` with the place and the reason.
    """
    start = text.find("{")
    if start < 0:
        raise AnswerError("there is no JSON object in it")
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError) as error:
        raise AnswerError(f"the JSON is broken or cut short ({getattr(error, 'msg', 'nested too deep')})") from error
    try:
        return msgspec.convert(_fit(value, schema_of(answer)), answer, strict=False)
    except msgspec.ValidationError as error:
        raise AnswerError(str(error)) from error


def _fit(value: Any, schema: Json) -> Any:
    """`value` cut to the schema's lengths, with enum words in the schema's own case."""
    if isinstance(value, dict) and "properties" in schema:
        return {name: _fit(value[name], part) for name, part in schema["properties"].items() if name in value}
    if isinstance(value, list):
        return [_fit(entry, schema.get("items", {})) for entry in value[: schema.get("maxItems")]]
    if isinstance(value, str):
        words = {str(word).lower(): word for word in schema.get("enum", ())}
        return words.get(value.strip().lower(), value.strip())[: schema.get("maxLength")]
    return value
