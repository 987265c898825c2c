"""Reading request bodies strictly and editing them in place."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.dialects import wire
from chittycan.errors import InvalidRequest

KEYS = st.sampled_from(["model", "messages", "stream", "a", 'q"uote', "back\\", "é", ""])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(['"model"', 'x"model":"y', "model"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=6)
STYLES = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 2}, {"indent": 1, "separators": (" ,", " : ")}])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":-Infinity}', "not valid JSON"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":' + b"9" * 6000 + b"}", "not valid JSON"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":"\\ud800\\ud800"}', "surrogate"),
        (b'{"a":"\xff"}', "UTF-8 (byte 6)"),
        (b'{"a":"\xed\xa0\x80"}', "UTF-8 (byte 6)"),
        (b'{"a":1,"b":2,"a":3}', "'a' is given twice"),
        (b'{"x":[{"b":1,"\\u0062":3}]}', "'b' is given twice"),
        (b'{"x":"\\":","b":1, "b"\t:3}', "'b' is given twice"),
        (b'{"x":{"":1,"":{}}}', "'' is given twice"),
        (b'{"a":1} {', "not valid JSON"),
        (b"[1]", "array"),
        (b"null", "null"),
        (b'"x"', "string"),
        (b"  ", "empty"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested deeper"),
        (b'{"a":' * 10_000, "nested deeper"),
        (b'{"a":' + b"[" * wire.MAX_DEPTH + b"]" * wire.MAX_DEPTH + b"}", "nested deeper"),
    ],
)
def test_a_body_that_two_parsers_could_read_differently_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wire.read_json(body)
    assert says in caught.value.message


@given(st.lists(st.sampled_from(["a", "b", 'a"', "a:", '":', "\\"]), max_size=4), st.text('":\\\\ {}', max_size=6))
def test_a_key_given_twice_is_found_whatever_the_strings_hold(keys: list[str], text: str) -> None:
    members = ", ".join(f"{json.dumps(key)} : [{json.dumps(text)}]" for key in keys)
    body = f'{{"outer":{{{members}}}}}'.encode()
    if len(set(keys)) == len(keys):
        assert wire.read_json(body) == {"outer": {key: [text] for key in keys}}
    else:
        with pytest.raises(InvalidRequest, match="given twice"):
            wire.read_json(body)


def test_nesting_up_to_the_limit_is_read() -> None:
    levels = wire.MAX_DEPTH - 1
    assert wire.read_json(b'{"a":' + b"[" * levels + b"]" * levels + b"}")["a"]


@given(OBJECTS, STYLES, st.booleans())
def test_every_strict_object_is_read_as_the_standard_library_reads_it(value: Any, style: Any, ascii_only: bool) -> None:
    assert wire.read_json(json.dumps(value, ensure_ascii=ascii_only, **style).encode()) == value


@given(st.binary(max_size=60) | st.text('{}[]",:\\ua0tnfe1.-NI ', max_size=40).map(str.encode))
def test_any_bytes_are_an_object_or_an_invalid_request(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(wire.read_json(body), dict)


@given(OBJECTS, STYLES, st.booleans(), KEYS, JSON | st.just(wire.REMOVE))
def test_splice_changes_one_top_level_key_and_no_other_byte(
    value: Any, style: Any, ascii_only: bool, key: str, new: Any
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, **style).encode()
    edited = wire.splice(body, value, {key: new})
    expected = {k: v for k, v in value.items() if k != key} if new is wire.REMOVE else {**value, key: new}
    assert list(wire.read_json(edited).items()) == list(expected.items())
    if new is wire.REMOVE and key not in value:
        assert edited == body


@given(OBJECTS, STYLES, st.booleans())
def test_splice_leaves_every_other_byte_as_it_was(value: Any, style: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, **style).encode()
    for key, old in value.items():
        before, _, after = wire.splice(body, value, {key: "a new value"}).partition(b'"a new value"')
        assert body.startswith(before)
        assert body.endswith(after)
        assert json.loads(body[len(before) : len(body) - len(after)]) == old


def test_splice_keeps_white_space_escapes_and_nested_keys() -> None:
    body = (
        b'\n{ "messages" : [{"model":"x","content":"say \\"model\\": \\u00e9"}] ,\n\t"model"  :  "gpt-4" , "n":1.0 }\n'
    )
    edited = wire.splice(body, wire.read_json(body), {"model": "llama", "n": wire.REMOVE, "stream": True})
    assert edited == body.replace(b'"gpt-4" , "n":1.0', b'"llama","stream":true')


def test_splice_finds_a_key_written_with_escapes() -> None:
    body = b'{"mod\\u0065l":"a","x":"model"}'
    assert wire.splice(body, wire.read_json(body), {"model": "b"}) == b'{"mod\\u0065l":"b","x":"model"}'


def test_splice_removes_the_first_and_the_only_key() -> None:
    assert wire.splice(b'{"a":1, "b":2}', {"a": 1, "b": 2}, {"a": wire.REMOVE}) == b'{"b":2}'
    assert wire.splice(b'{ "a":1 }', {"a": 1}, {"a": wire.REMOVE}) == b"{  }"
    assert wire.splice(b"{}", {}, {"a": [1]}) == b'{"a":[1]}'


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        ("1", int, "integer"),
        (True, int, "integer"),
        (1, bool, "true or false"),
        (1.5, int, "integer"),
        ([], str, "string"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(value: Any, kind: Any, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wire.field({"x": value}, "x", kind, "a[0].")
    assert (caught.value.param, says in caught.value.message) == ("a[0].x", True)


def test_what_looks_like_a_key_is_redacted() -> None:
    text = "Incorrect API key: sk-proj-abc***********xyz1, Authorization: Bearer abcdefgh12345 and AIzaSyA1234567890"
    assert wire.redact(text) == "Incorrect API key: [redacted], Authorization: [redacted] and [redacted]"
    assert wire.redact("the risk-averse key was not found") == "the risk-averse key was not found"
