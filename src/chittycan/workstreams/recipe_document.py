"""Pure: from a JSON value to a `Recipe`, with every wrong key and kind of value found at once.

The structs of `recipe` are the table of what is allowed. What `validate` looks at (names, expressions,
durations) comes after this.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from chittycan.workstreams.expressions import kind as called
from chittycan.workstreams.problems import Problems, Where
from chittycan.workstreams.recipe import KINDS, SHORTHANDS, Recipe, Step

DEEPEST = 24  # blocks within blocks

_CALLED = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list",
           dict: "an object"}  # fmt: skip


def read(document: Any, problems: Problems) -> Recipe | None:
    """The recipe in `document`; None where `problems` got errors."""
    before = len(problems.errors)
    whole = _Reader(problems).struct(document, Recipe, ())
    if len(problems.errors) > before:
        return None
    try:
        return msgspec.convert(whole, Recipe)
    except (msgspec.ValidationError, RecursionError) as error:  # nothing that the reader does not find first
        problems.add((), str(error), "Correct the value.")
        return None


class _Reader:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._depth = 0

    def struct(self, value: Any, shape: type[Struct], at: Where) -> Any:
        """`value` with shorthands written out, checked against `shape`."""
        if not isinstance(value, dict):
            self._wrong(at, "an object", value)
            return value
        if at.count("steps") > DEEPEST:
            self._problems.add(at, "nested too deeply", f"Put at most {DEEPEST} blocks into each other.")
            return value
        fields = {each.encode_name: each for each in msgspec.structs.fields(shape)}
        made = {}
        for key, entry in value.items():
            if key in fields:
                made[key] = self.value(entry, fields[key].type, (*at, key))
            elif not key.startswith("_") and key != "$schema":
                self._unknown(key, list(fields), at, shape)
        for key, each in fields.items():
            if each.required and key not in value:
                self._problems.add(at, f"{key!r} is missing", f"Add `{key}:`.")
        if shape is Step:
            self._one_kind(value, at)
        return made

    def value(self, value: Any, declared: Any, at: Where) -> Any:
        kinds, limits = _kinds(declared)
        if Any in kinds or (value is None and type(None) in kinds):
            return value
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Struct):
                return self.struct(_long(value, at), kind, at)
            origin, inner = get_origin(kind), get_args(kind)
            if origin is list and isinstance(value, list):
                self._bounds(value, limits, at)
                return [self.value(each, inner[0], (*at, index)) for index, each in enumerate(value)]
            if origin is dict and isinstance(value, dict):
                return {key: self.value(each, inner[1], (*at, key)) for key, each in value.items()}
            if origin is Literal:
                self._choice(value, [str(each) for each in inner], at)
                return value
            if _is(value, kind):
                self._bounds(value, limits, at)
                return value
        names = [_CALLED.get(get_origin(kind) or kind, "nothing") for kind in kinds if kind is not type(None)]
        self._wrong(at, " or ".join(names), value)
        return value

    def _one_kind(self, step: Mapping[str, Any], at: Where) -> None:
        given = [kind for kind in KINDS if kind in step]
        if not given:
            self._problems.add(at, "the step has no work", f"Give it one of: {', '.join(KINDS)}.")
        elif len(given) > 1:
            fix = "Make a step of its own of each; those in `parallel` run at once."
            self._problems.add(at, f"the step has {len(given)} kinds of work: {', '.join(given)}", fix)
        elif step[given[0]] is None:
            self._problems.add((*at, given[0]), "nothing is given", "Write what is to be done.")

    def _choice(self, value: Any, choices: list[str], at: Where) -> None:
        if not isinstance(value, str) or value not in choices:
            close = get_close_matches(str(value), choices, 1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            self._problems.add(at, f"{str(value)[:40]!r} is not a choice", f"{hint}Use one of: {', '.join(choices)}.")

    def _unknown(self, key: str, fields: list[str], at: Where, shape: type[Struct]) -> None:
        close = get_close_matches(key, fields, 1)
        fix = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(fields)}."
        if shape is Recipe and key in KINDS:
            fix = "Put it into a step, under `steps:`."
        self._problems.add((*at, key), f"unknown key {key[:40]!r}", fix)

    def _wrong(self, at: Where, wanted: str, value: Any) -> None:
        found = called(value)
        article = f"Write {wanted}."
        if wanted == "text" and found in ("a number", "true/false"):
            article = 'Write it in quotes, "like this".'
        self._problems.add(at, f"{wanted} is needed, this is {found}", article)

    def _bounds(self, value: Any, limits: list[msgspec.Meta], at: Where) -> None:
        for limit in limits:
            if limit.pattern is not None and isinstance(value, str) and not re.match(limit.pattern, value):
                fix = "Use small letters, digits and _, with a letter first; at most 64."
                self._problems.add(at, f"{value[:40]!r} cannot be a name", fix)
            elif (what := _beyond(value, limit)) is not None:
                self._problems.add(at, what, "Correct the value.")


def _beyond(value: Any, limit: msgspec.Meta) -> str | None:
    """How `value` breaks its bounds; None where it does not."""
    if isinstance(value, str | list):
        if len(value) < (limit.min_length or 0):
            return "there is nothing in it"
        return None if limit.max_length is None or len(value) <= limit.max_length else f"longer than {limit.max_length}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if limit.gt is not None and not value > limit.gt:
        return f"must be more than {limit.gt}"
    if limit.ge is not None and not value >= limit.ge:
        return f"must be at least {limit.ge}"
    return None if limit.le is None or value <= limit.le else f"must be at most {limit.le}"


def _kinds(declared: Any) -> tuple[list[Any], list[msgspec.Meta]]:
    """The types that a field allows, and their bounds."""
    if get_origin(declared) is Annotated:
        inner, *metas = get_args(declared)
        kinds, limits = _kinds(inner)
        return kinds, limits + [each for each in metas if isinstance(each, msgspec.Meta)]
    if get_origin(declared) in (Union, UnionType):
        parts = [_kinds(each) for each in get_args(declared)]
        return [kind for kinds, _ in parts for kind in kinds], [limit for _, limits in parts for limit in limits]
    return [declared], []


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _long(value: Any, at: Where) -> Any:
    """A shorthand written out: `task: "Hi"` is `task: {prompt: "Hi"}`."""
    if isinstance(value, str) and at:
        key = "inputs" if len(at) == 2 and at[0] == "inputs" else at[-1]
        if isinstance(key, str) and key in SHORTHANDS:
            return {SHORTHANDS[key]: value}
    return value
