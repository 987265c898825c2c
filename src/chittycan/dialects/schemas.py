"""JSON Schema, within what a vendor takes of it.

A vendor that holds its model to a schema takes a subset of JSON Schema, and refuses the whole request for a word more.
What the subset lacks is said in the description instead, as the vendors' own SDKs do: the model still hears of it. The
subsets of Anthropic and Gemini are in their packages; OpenAI's is here, because two dialects send it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from chittycan.chat import Json

Takes = Callable[[str, Any], bool]  # whether a keyword is taken with this value

_ONE = frozenset(
    {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
_MANY = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
# Of these no model needs to hear.
_SILENT = frozenset({"$schema", "$id", "$comment", "$anchor", "additionalProperties", "deprecated", "readOnly"})
_TEXT = frozenset({"description", "title", "default"})


def within(schema: Any, takes: Takes, close: bool = False) -> Any:
    """`schema` with the keywords that are taken, everywhere in it. `close`: objects have no other properties.

    A `$ref` stands alone (all three vendors refuse other words beside it), an `allOf` of one schema is that schema,
    and `oneOf` is `anyOf` where only that is taken.
    """
    if not isinstance(schema, dict):
        return schema
    if "allOf" in schema:
        schema = _merged(schema)
    built: Json = {}
    said = []
    alone = isinstance(schema.get("$ref"), str)

    def change(inner: Any) -> Any:
        return within(inner, takes, close)

    for key, value in schema.items():
        if alone and not key.startswith("$") and key != "definitions":
            continue
        name = "anyOf" if key == "oneOf" and "anyOf" not in schema and not takes(key, value) else key
        if takes(name, value):
            built[name] = _inside(name, value, change) if isinstance(value, dict | list) else value
        elif name not in _SILENT:
            said.append(f"{name}: {msgspec.json.encode(value).decode()}")
    if said and not alone:
        built["description"] = f"{built.get('description', '')} ({', '.join(said)})".lstrip()
    if close and _is_object(built):
        built["additionalProperties"] = False
    return built


def _merged(schema: Json) -> Json:
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    match schema.get("allOf"):
        case [{"$ref": str()} as only] if all(key in _TEXT or key.startswith("$") for key in rest):
            return {**only, **rest}
        case [dict(only)] if "$ref" not in only and not (only.keys() - _TEXT) & rest.keys():
            return only | rest
    return schema


def _inside(key: str, value: Any, change: Callable[[Any], Any]) -> Any:
    """The value of a keyword with `change` made to every schema that it holds."""
    if key in _ONE and isinstance(value, dict):
        return change(value)
    if (key in _MANY or key == "items") and isinstance(value, list):
        return [change(each) for each in value]
    if key in _NAMED and isinstance(value, dict):
        return {name: change(each) for name, each in value.items()}
    return value


def _is_object(schema: Json) -> bool:
    kind = schema.get("type")
    return kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind)


# OpenAI's strict mode. Source: the guide "Structured model outputs", supported schemas. `minLength` and `maxLength` are
# not on its list; the API takes them by now, other servers of its dialects do not.

_STRICT_KEYWORDS = frozenset(
    {"$ref", "$defs", "definitions", "type", "enum", "const", "description", "title", "properties", "required"}
    | {"additionalProperties", "items", "minItems", "maxItems", "anyOf", "pattern", "format"}
    | {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)
_STRICT_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
# Origins of requests whose `strict` means OpenAI's; None is ourselves.
_OPENAI = (None, "openai", "openai_completions", "openai_responses")


def openai_schema(schema: Json | None, strict: bool | None, origin: str | None) -> tuple[Json | None, bool | None]:
    """Schema and `strict` for OpenAI, of a request that came from a client of the dialect `origin`.

    Strict mode wants every property required and every object closed. Where another vendor's strict schema says less,
    strict mode would make the model invent what it may leave out: such a schema is sent without.
    """
    if not strict or schema is None or origin in _OPENAI:
        return schema, strict
    held = within(schema, _strict_takes)
    return (held, True) if _is_object(held) and "anyOf" not in held and _holds(held) else (schema, False)


def _strict_takes(key: str, value: Any) -> bool:
    if key == "format":
        return isinstance(value, str) and value in _STRICT_FORMATS
    return key in _STRICT_KEYWORDS


def _holds(schema: Any) -> bool:
    """Whether strict mode takes this schema, which is in its keywords, and all inside it."""
    if not isinstance(schema, dict) or not schema.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
        return False
    if _is_object(schema):
        named, required = schema.get("properties", {}), schema.get("required", [])
        if schema.get("additionalProperties") is not False or not isinstance(named, dict):
            return False
        if not isinstance(required, list) or any(name not in required for name in named):
            return False
    return all(_holds(inner) for inner in _inner(schema))


def _inner(schema: Json) -> Iterator[Any]:
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, dict):
            yield from value.values()
        elif (key in _MANY or key == "items") and isinstance(value, list):
            yield from value
        elif key in _ONE and isinstance(value, dict):
            yield value
