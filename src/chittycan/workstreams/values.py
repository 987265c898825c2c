"""Texts with `${…}` in them: taken apart, filled in, and looked through for what they refer to.

A text that is nothing but one `${…}` becomes its value, of whatever kind; else the values are written into the
text: null as nothing, lists and objects as JSON. `$${` stands for `${`.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from chittycan.workstreams.expressions import Expression, ExpressionError, parse


@lru_cache(maxsize=512)
def pieces(text: str) -> tuple[str | Expression, ...]:
    """The text and the expressions in it, in order. Raises ExpressionError."""
    found: list[str | Expression] = []
    plain, at = "", 0
    while (start := text.find("${", at)) >= 0:
        if start and text[start - 1] == "$" and start > at:
            plain, at = plain + text[at : start - 1] + "${", start + 2
            continue
        plain += text[at:start]
        if plain:
            found.append(plain)
        end = _end(text, start + 2)
        found.append(parse(text[start + 2 : end]))
        plain, at = "", end + 1
    if plain + text[at:]:
        found.append(plain + text[at:])
    return tuple(found)


def _end(text: str, at: int) -> int:
    quote = ""
    for place in range(at, len(text)):
        letter = text[place]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "}":
            return place
    raise ExpressionError(f"${{ without its }}: {text[at - 2 : at + 40]!r}; write $${{ for the signs themselves")


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """`value` with every `${…}` in its texts filled in. Raises ExpressionError."""
    if isinstance(value, str):
        parts = pieces(value)
        if len(parts) == 1 and isinstance(parts[0], Expression):
            return parts[0].evaluate(scope)
        return "".join(part if isinstance(part, str) else as_text(part.evaluate(scope)) for part in parts)
    if isinstance(value, Mapping):
        return {key: render(entry, scope) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [render(entry, scope) for entry in value]
    return value


def as_text(value: Any) -> str:
    """How a value is written into a text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def condition(text: str, scope: Mapping[str, Any]) -> bool:
    """Whether a condition holds; it may be written with or without `${…}`. Raises ExpressionError."""
    return bool(as_condition(text).evaluate(scope))


def as_condition(text: str) -> Expression:
    """The one expression of a condition. Raises ExpressionError."""
    if "${" not in text:
        return parse(text)
    parts = pieces(text.strip())
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return parts[0]
    raise ExpressionError("a condition is one expression; write the whole of it inside one ${…}, or without")


def texts(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text in a JSON value, with its place."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from texts(entry, (*at, key))
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from texts(entry, (*at, index))


def expressions(text: str) -> Iterator[Expression]:
    """The expressions in a text. Raises ExpressionError."""
    return (part for part in pieces(text) if isinstance(part, Expression))
