"""Whether a value fits a JSON Schema that somebody else wrote: the keywords by which answers are described.

Keywords that are not known here say nothing, as the specification has it (draft 2020-12, core §4.3.1). Among them
are `format`, references to other documents, and `pattern`: somebody else's regular expression may run for ever.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

MOST_CHECKS = 20_000  # of one value: schemas that refer to themselves can ask for more than anybody can do


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _number,
    "integer": lambda value: _number(value) and (isinstance(value, int) or value.is_integer()),
}
_BOUNDS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minimum": (operator.ge, "is less than"),
    "maximum": (operator.le, "is more than"),
    "exclusiveMinimum": (operator.gt, "is not more than"),
    "exclusiveMaximum": (operator.lt, "is not less than"),
}
_SIZES: Mapping[str, tuple[type[str] | type[list[Any]], Callable[[Any, Any], bool], str]] = {
    "minLength": (str, operator.ge, "is shorter than"),
    "maxLength": (str, operator.le, "is longer than"),
    "minItems": (list, operator.ge, "has fewer than"),
    "maxItems": (list, operator.le, "has more than"),
}


def misfit(value: Any, schema: Any) -> str | None:
    """The first thing about `value` that does not fit, with its place ("$.risk is not an integer"); None: it fits."""
    try:
        return _Fitting(schema).problem(value, schema, "$")
    except RecursionError:
        return "$ is nested too deep"


def cut(value: Any, schema: Any) -> Any:
    """`value` with texts and lists no longer than the schema says: too long an answer is a good one all the same."""
    if not isinstance(schema, dict):
        return value
    if isinstance(value, dict):
        properties = schema.get("properties")
        inner = properties if isinstance(properties, dict) else {}
        return {name: cut(each, inner.get(name)) for name, each in value.items()}
    limit = schema.get("maxItems" if isinstance(value, list) else "maxLength")
    if isinstance(value, str | list) and isinstance(limit, int) and limit >= 0:
        value = value[:limit]
    return [cut(each, schema.get("items")) for each in value] if isinstance(value, list) else value


class _Fitting:
    def __init__(self, root: Any) -> None:
        self._root, self._left = root, MOST_CHECKS

    def problem(self, value: Any, schema: Any, place: str) -> str | None:
        if schema is False:
            return f"{place} should not be there"
        if not isinstance(schema, dict):
            return None
        self._left -= 1
        if self._left < 0:
            return f"{place} is too much to be checked"
        for check in (self._plain, self._referred, self._choices, self._object, self._array):
            found = check(value, schema, place)
            if found is not None:
                return found
        return None

    def _plain(self, value: Any, schema: Mapping[str, Any], place: str) -> str | None:
        wanted = schema.get("type")
        types = [wanted] if isinstance(wanted, str) else _names(schema, "type")
        if types and not any(_TYPES[each](value) for each in types if each in _TYPES):
            return f"{place} is not {' or '.join(map(_a, types))}"
        if "const" in schema and not _same(value, schema["const"]):
            return f"{place} is not {schema['const']!r}"
        if isinstance(schema.get("enum"), list) and not any(_same(value, each) for each in schema["enum"]):
            return f"{place} is none of {', '.join(map(repr, schema['enum'][:20]))}"
        for keyword, (holds, says) in _BOUNDS.items():
            if _number(limit := schema.get(keyword)) and _number(value) and not holds(value, limit):
                return f"{place} {says} {limit}"
        for keyword, (kind, holds, says) in _SIZES.items():
            if _number(limit := schema.get(keyword)) and isinstance(value, kind) and not holds(len(value), limit):
                return f"{place} {says} {limit}"
        return None

    def _referred(self, value: Any, schema: Mapping[str, Any], place: str) -> str | None:
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self._root
        for name in filter(None, reference[1:].split("/")):
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return self.problem(value, found, place)

    def _choices(self, value: Any, schema: Mapping[str, Any], place: str) -> str | None:
        for each in _list(schema, "allOf"):
            if (found := self.problem(value, each, place)) is not None:
                return found
        for keyword in ("anyOf", "oneOf"):
            choices = _list(schema, keyword)
            fitting = sum(self.problem(value, each, place) is None for each in choices)
            if choices and (fitting == 0 or (keyword == "oneOf" and fitting > 1)):
                return f"{place} fits {'none' if fitting == 0 else 'more than one'} of its {len(choices)} forms"
        if "not" in schema and self.problem(value, schema["not"], place) is None:
            return f"{place} is what it should not be"
        return None

    def _object(self, value: Any, schema: Mapping[str, Any], place: str) -> str | None:
        if not isinstance(value, dict):
            return None
        missing = next((each for each in _names(schema, "required") if each not in value), None)
        if missing is not None:
            return f"{place}.{missing} is missing"
        written = schema.get("properties")
        properties = written if isinstance(written, dict) else {}
        # Names that a pattern may allow are not refused.
        others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        for name, each in value.items():
            if (found := self.problem(each, properties.get(name, others), f"{place}.{name}")) is not None:
                return found
        return None

    def _array(self, value: Any, schema: Mapping[str, Any], place: str) -> str | None:
        if not isinstance(value, list):
            return None
        first = _list(schema, "prefixItems")
        for number, each in enumerate(value):
            wanted = first[number] if number < len(first) else schema.get("items")
            if (found := self.problem(each, wanted, f"{place}[{number}]")) is not None:
                return found
        return None


def _list(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    found = schema.get(keyword)
    return found if isinstance(found, list) else []


def _names(schema: Mapping[str, Any], keyword: str) -> list[str]:
    return [each for each in _list(schema, keyword) if isinstance(each, str)]


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but no true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return bool(one == other)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "aeio" else kind if kind == "null" else f"a {kind}"
