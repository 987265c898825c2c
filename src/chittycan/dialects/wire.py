"""Bodies as bytes: strict reading, editing in place, typed access to fields, data URLs, error answers."""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from chittycan.chat import Failed, Json
from chittycan.errors import InvalidRequest

MAX_DEPTH = 128  # levels of nesting; a generous JSON schema has about thirty
T = TypeVar("T")


class _Remove:
    """The type of `REMOVE`."""


REMOVE: Final = _Remove()


def read_json(body: bytes) -> Json:
    """The request body as a dict. InvalidRequest unless it is one strict JSON object.

    Refused: invalid UTF-8, NaN and Infinity, numbers that overflow, lone surrogates, trailing data, more than
    `MAX_DEPTH` levels, a key given twice in the same object (RFC 8259 §4 leaves its meaning open, so two parties
    may read two different requests), and anything but an object at the top.
    """
    try:
        value = msgspec.json.decode(body)
        if len(_KEY_ENDS.findall(body)) != _keys(value):
            _UNIQUE_KEYS.decode(body.decode())
    except UnicodeDecodeError:
        _refuse_encoding(body)
    except RecursionError:
        raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, ValueError) as error:
        if not body.strip():
            raise InvalidRequest("the body is empty; a JSON object is expected") from None
        raise InvalidRequest(f"the body is not valid JSON: {_why(body, error)}") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body is a JSON {_kind(value)}; an object is expected")
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH} levels")
    return value


# Behind every key, and sometimes in a string: as many of them as there are keys means that no key came twice.
_KEY_ENDS = re.compile(rb'"[ \t\r\n]*:')


def _keys(value: Any) -> int:
    """How many keys the objects in `value` have."""
    found, values = 0, [value]
    for each in values:
        if type(each) is dict:
            found += len(each)
            values += each.values()
        elif type(each) is list:
            values += each
    return found


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidRequest(f"the key {key[:80]!r} is given twice in one object", param=key[:80])
            seen.add(key)
    return found


_UNIQUE_KEYS = json.JSONDecoder(object_pairs_hook=_unique)


def _refuse_encoding(body: bytes) -> NoReturn:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not valid UTF-8 (byte {error.start})") from None
    raise InvalidRequest("the body holds a string that is not valid Unicode")


def _why(body: bytes, error: Exception) -> str:
    """A better message for what the standard library would have let through."""
    try:
        json.dumps(json.loads(body), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "a string holds half of a surrogate pair"
    except (ValueError, RecursionError):
        pass
    return str(error)


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        ]
    return any(isinstance(child, dict | list) for child in level)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


# Editing in place


_KEY = re.compile(rb'[\s,{]*("(?:[^"\\]|\\.)*")\s*:\s*')
_COMMA = re.compile(rb"\s*,\s*")
_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def splice(body: bytes, fields: Json, changes: dict[str, Any]) -> bytes:
    """`body` with other values for some top-level keys, and otherwise byte for byte the same.

    `body` is what `read_json` accepted and `fields` what it returned. A new key is added at the end; `REMOVE` as
    a value takes the key away (or leaves it absent). Keys of the same name further down are not touched.
    """
    for key, value in changes.items():
        if key in fields:
            body = _remove(body, key) if value is REMOVE else _replace(body, key, msgspec.json.encode(value))
        elif value is not REMOVE:
            body = _append(body, key, msgspec.json.encode(value))
    return body


@cache
def _string_member(key: str) -> tuple[bytes, re.Pattern[bytes]] | None:
    """A plain key as it is written, and with a string as its value; None for a key that may be written otherwise."""
    if not (key.isidentifier() and key.isascii()):
        return None
    written = b'"%b"' % key.encode()
    return written, re.compile(rb'%b\s*:\s*("[^"\\]*")' % written)


def _replace(body: bytes, key: str, value: bytes) -> bytes:
    # A plain key that occurs once and cannot be spelled with escapes elsewhere is the top-level one: no scan needed.
    member = _string_member(key)
    if member is not None and body.count(member[0]) == 1 and body.find(b"\\u") < 0:
        simple = member[1].search(body)
        if simple:
            start, end = simple.span(1)
            return body[:start] + value + body[end:]
    for name, _, start, end in _members(body):
        if name == key:
            return body[:start] + value + body[end:]
    raise KeyError(key)


def _remove(body: bytes, key: str) -> bytes:
    previous_end = None
    for name, key_start, _, end in _members(body):
        if name == key and previous_end is not None:
            return body[:previous_end] + body[end:]
        if name == key:
            after = _COMMA.match(body, end)
            return body[:key_start] + body[after.end() if after else end :]
        previous_end = end
    raise KeyError(key)


def _append(body: bytes, key: str, value: bytes) -> bytes:
    members = body[: body.rindex(b"}")].rstrip()
    comma = b"" if members.endswith(b"{") else b","
    return members + comma + msgspec.json.encode(key) + b":" + value + body[len(members) :]


def _members(body: bytes) -> list[tuple[str, int, int, int]]:
    """(key, start of the key, start of the value, end of the value) of every top-level member, in order."""
    found, position = [], 0
    for name, raw in _RAW_FIELDS.decode(body).items():
        key = _KEY.match(body, position)
        if key is None:
            raise ValueError("not a JSON object")
        position = key.end() + len(memoryview(raw))
        found.append((name, key.start(1), key.end(), position))
    return found


# Typed access


def field(fields: Json, key: str, kind: type[T], where: str = "") -> T | None:
    """`fields[key]` as `kind` (str, bool, int, float, list or dict), None where absent or null.

    An integer is a float too, a boolean is neither. InvalidRequest naming `where` + `key` for any other type.
    """
    value = fields.get(key)
    if value is None or (type(value) is kind):
        return value
    if kind is float and type(value) is int:
        return value  # type: ignore[return-value]
    raise wrong(where + key, _EXPECTED[kind], value)


def number(fields: Json, key: str, low: float, high: float) -> float | None:
    """A number between `low` and `high`, both included; None where absent or null."""
    value = field(fields, key, float)
    if value is not None and not low <= value <= high:
        raise InvalidRequest(f"{key} is {value}; it must be between {low:g} and {high:g}", param=key)
    return value


def required(fields: Json, key: str, kind: type[T], where: str = "") -> T:
    """As `field`, but InvalidRequest where absent or null."""
    value = field(fields, key, kind, where)
    if value is None:
        raise InvalidRequest(f"{where}{key} is missing; {_EXPECTED[kind]} is expected", param=where + key)
    return value


def convert(value: Any, kind: type[T], where: str = "") -> T:
    """`value` as `kind`, or InvalidRequest that names the field below `where` ("" is the body itself)."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        param = (where + path.rstrip("`")).lstrip(".") or None
        raise InvalidRequest(f"{param or 'body'}: {problem}", param=param) from None


def wrong(path: str, expected: str, value: Any) -> InvalidRequest:
    """The error for a value of the wrong type at `path`."""
    return InvalidRequest(f"{path} is a JSON {_kind(value)}; {expected} is expected", param=path)


_EXPECTED: dict[Any, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
}


# Media


def read_data_url(url: str) -> tuple[str | None, str | None]:
    """(media type, base64 data) of a base64 data URL (RFC 2397); (None, None) of any other."""
    if url[:5].lower() != "data:":
        return None, None
    head, comma, data = url.partition(",")
    media_type, *options = head[5:].split(";")
    if not comma or "base64" not in [option.strip().lower() for option in options]:
        return None, None
    return media_type or None, data


# Error answers


LONGEST_MESSAGE = 2000  # characters kept of what a provider says


def parse_error(status: int, body: bytes, failed_from: Callable[[Any], Failed]) -> Failed:
    """What an upstream's error answer says, whatever its shape (HTML, empty, JSON); never raises.

    `failed_from` reads the error itself, which stands alone, under `error`, or in a list.
    """
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = None
    if isinstance(value, list) and value:
        value = value[0]
    failed = failed_from(value.get("error", value) if isinstance(value, dict) else value)
    failed.status = status
    failed.message = failed.message or f"The provider answered with status {status}."
    return failed


def error_fields(error: Any) -> Json:
    """An error as an object; words alone are its message."""
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|key|hf|r8|nvapi|csk)[-_][A-Za-z0-9_\-*.]{8,}|\bAIza[\w-]{10,}|\bAKIA\w{12,}"
    r"|(?i:\bbearer\s+)[\w.~+/=-]{8,}"
)


def redact(text: str) -> str:
    """What a provider says, without anything that looks like an API key (they echo the key they refuse), and not
    longer than `LONGEST_MESSAGE`."""
    return _SECRETS.sub("[redacted]", text)[:LONGEST_MESSAGE]
