"""From the bytes of a JSON file to a checked struct: every error names file, key, what was found, and the fix.

Pure. The structs of `settings` are the table of what is allowed; unknown keys become findings, not errors.
"""

import json
import re
import types
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from chittycan.config.settings import Finding
from chittycan.errors import ConfigError

T = TypeVar("T")
BROKEN = "Correct the file by hand, or move it aside; it was not changed."

# What a person calls each JSON type, and how it is written.
WORDS: dict[Any, tuple[str, str]] = {
    str: ("text", 'Write it in double quotes, like "this".'),
    bool: ("true or false", "Write true or false, without quotes."),
    int: ("a whole number", "Write a whole number, without quotes."),
    float: ("a number", "Write a number, without quotes."),
    tuple: ("a list of texts", 'Write a list, like ["a", "b"].'),
    dict: ("an object", "Write an object, like {…}."),
}
FOUND = {
    str: "text",
    bool: "true/false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def parse(data: bytes, file: str) -> dict[str, Any]:
    """The JSON object in `data`. Raises ConfigError with line and column where it is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode("utf-8", "replace"))
        raise ConfigError("not UTF-8 text", file=file, line=line, column=column, fix=BROKEN) from None
    try:
        document = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
        # What cannot be written again must not be read: half characters, numbers beyond all bounds.
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        message = "the file is empty" if not text.strip() else f"broken JSON: {error.msg}"
        raise ConfigError(message, file=file, line=error.lineno, column=error.colno, fix=BROKEN) from None
    except RecursionError:
        raise ConfigError("nested too deeply", file=file, fix=BROKEN) from None
    except UnicodeEncodeError:
        raise ConfigError("a text holds half a character (a lone \\ud8xx escape)", file=file, fix=BROKEN) from None
    except ValueError as error:
        raise ConfigError(f"broken JSON: {error}", file=file, fix=BROKEN) from None
    if not isinstance(document, dict):
        message = f"expected an object, found {_found(document)}"
        raise ConfigError(message, file=file, line=1, column=1, fix="The file must start with { and end with }.")
    return document


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {json.dumps(twice)} is written twice in one object")
    return values


class Reader:
    """Checks one document against a struct and collects what is odd in `findings`.

    `elsewhere` maps keys that belong to another file to that file's name, for the suggestion.
    """

    def __init__(self, file: str, elsewhere: Mapping[str, str] | None = None) -> None:
        self.file = file
        self.findings: list[Finding] = []
        self._elsewhere = elsewhere or {}

    def read(self, document: Any, shape: type[T], at: str = "") -> T:
        """`document` as a `shape`. Raises ConfigError naming the key, what was found there, and the fix."""
        result: T = self._read(document, shape, at)
        return result

    def note(self, key: str, message: str, suggestion: str | None = None) -> None:
        self.findings.append(Finding(self.file, key, message, suggestion))

    def _read(self, value: Any, kind: Any, at: str) -> Any:
        kind = _without_none(kind)
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self._struct(value, kind, at)
        if get_origin(kind) is Mapping:
            return self._mapping(value, get_args(kind)[1], at)
        if kind is Any:
            return value
        if _is_list(kind) and isinstance(value, list):
            return tuple(self._read(inner, get_args(kind)[0], f"{at}.{place}") for place, inner in enumerate(value))
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            raise self._wrong(value, kind, at) from None

    def _struct(self, value: Any, kind: type[Struct], at: str) -> Any:
        if not isinstance(value, dict):
            raise self._wrong(value, dict, at)
        fields = {each.encode_name: each for each in msgspec.structs.fields(kind)}
        given = {}
        for key, inner in value.items():
            known = fields.get(key)
            if known is None:
                self._unknown(key, fields, at)
            elif inner is None or (inner == "" and known.default is None):
                continue  # written but empty: as if absent
            else:
                given[known.name] = self._read(inner, known.type, join(at, key))
        for key, known in fields.items():
            if known.required and known.name not in given:
                fix = f'Add "{key}" there.'
                raise ConfigError(f'"{key}" is missing', file=self.file, key=at or None, fix=fix)
        return kind(**given)

    def _mapping(self, value: Any, kind: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(value, dict, at)
        read = {key: self._read(inner, kind, join(at, key)) for key, inner in value.items() if inner is not None}
        return value if kind is Any else read

    def _unknown(self, key: str, fields: Mapping[str, Any], at: str) -> None:
        if key.startswith(("//", "_")):  # the customary ways to write a comment in JSON
            return
        near = get_close_matches(key, fields, n=1, cutoff=0.6) or _same_but_case(key, fields)
        suggestion = f"did you mean {near[0]}?" if near else None
        if not at and key in self._elsewhere:
            suggestion = f"it belongs in {self._elsewhere[key]}"
        self.note(join(at, key), "unknown key, ignored", suggestion)

    def _wrong(self, value: Any, kind: Any, at: str) -> ConfigError:
        expected, fix = _expected(kind)
        found = _found(value)
        if get_origin(kind) is Literal and isinstance(value, str):
            near = get_close_matches(value, get_args(kind), n=1, cutoff=0.5)
            found, fix = f"{json.dumps(value[:40])}", f'Did you mean "{near[0]}"?' if near else fix
        return ConfigError(f"expected {expected}, found {found}", file=self.file, key=at or None, fix=fix)


def join(at: str, key: str) -> str:
    """The path of `key` inside `at`: `models["gpt-4.1"].price`."""
    if re.fullmatch(r"[\w$@/:-]+", key):
        return f"{at}.{key}" if at else key
    shown = key if len(key) <= 60 else key[:60] + "…"
    return f"{at}[{json.dumps(shown, ensure_ascii=False)}]"


def _same_but_case(key: str, fields: Mapping[str, Any]) -> list[str]:
    plain = key.replace("_", "").replace("-", "").lower()
    return [name for name in fields if name.lower() == plain]


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        rest = tuple(each for each in get_args(kind) if each is not type(None))
        return rest[0] if len(rest) == 1 else Union[rest]  # noqa: UP007 - built at run time
    return kind


def _is_list(kind: Any) -> bool:
    """Of what each has something to say about itself; lists of texts are read as a whole."""
    inner = get_args(kind)[0] if get_origin(kind) is tuple else None
    return get_origin(inner) is Literal or (isinstance(inner, type) and issubclass(inner, Struct))


def _expected(kind: Any) -> tuple[str, str]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        words, fix = _expected(inner[0])
        range_ = next((each for each in inner[1:] if isinstance(each, Meta)), Meta())
        bound = " greater than 0" if range_.gt is not None else " of at least 0" if range_.ge is not None else ""
        most = f" and at most {range_.le:g}" if range_.le is not None else ""
        return words + bound + most, fix
    if origin is Literal:
        names = ", ".join(map(str, inner))
        return f"one of {names}", f"Write one of: {names}."
    if origin in (Union, types.UnionType):
        parts = [_expected(each) for each in inner]
        return " or ".join(words for words, _ in parts), parts[0][1]
    if _is_list(kind) and get_origin(inner[0]) is not Literal:
        return "a list of objects", "Write a list, like [{…}]."
    return WORDS.get(origin or kind, ("another value", "See config.schema.json."))


def _found(value: Any) -> str:
    # Never the value itself: it may be a secret.
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"the number {str(value)[:20]}"
    return FOUND.get(type(value), "something else")
