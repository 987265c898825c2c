"""Reading a request: strict JSON, and the wishes in headers and in the body's own field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.api.http_request import Request
from chittycan.api.request import OFF_LOOP, keeps_answering, read_body, read_off_loop
from chittycan.auth.keys import ADMIN, Key
from chittycan.errors import InvalidRequest
from chittycan.gateway.call import NO_OPTIONS, Options
from chittycan.gateway.options import options_of


def wished(**given: str) -> dict[bytes, bytes]:
    return {f"x-chitty-{name.replace('_', '-')}".encode(): value.encode("latin-1") for name, value in given.items()}


ALL = Options(
    kind="email.triage", session="s1", task="t1", region="eu", private=True, max_cost_nano=5_000_000,
    models=("a", "b/c"), timeout=1.5, cache=True,
)  # fmt: skip


def test_every_wish_can_be_a_header() -> None:
    headers = wished(
        kind="email.triage", session="s1", task="t1", region="eu", private="true", max_cost_usd="0.005",
        models="a, b/c,", timeout="1.5", cache="yes",
    )  # fmt: skip
    assert options_of(headers, {}) == ALL


def test_every_wish_can_stand_in_the_body() -> None:
    chitty = {
        "kind": "email.triage", "session": "s1", "task": "t1", "region": "eu", "private": True,
        "max_cost_usd": 0.005, "models": ["a", "b/c"], "timeout": 1.5, "cache": True,
    }  # fmt: skip
    assert options_of({}, {"chitty": chitty}) == ALL


def test_the_body_wins() -> None:
    assert options_of(wished(kind="code", region="eu"), {"chitty": {"kind": "triage"}}) == Options(
        kind="triage", region="eu"
    )


def test_no_wishes() -> None:
    assert options_of({b"host": b"localhost", b"x-chitty-future": b"1"}, {}) is NO_OPTIONS
    assert options_of({}, {"chitty": {}}) is NO_OPTIONS


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        (wished(private="maybe"), "x-chitty-private"),
        (wished(timeout="soon"), "x-chitty-timeout"),
        (wished(timeout="0"), "x-chitty-timeout"),
        (wished(timeout="-1"), "x-chitty-timeout"),
        (wished(timeout="nan"), "x-chitty-timeout"),
        (wished(timeout="inf"), "x-chitty-timeout"),
        (wished(max_cost_usd="1e400"), "x-chitty-max-cost-usd"),
        (wished(kind="x" * 201), "x-chitty-kind"),
        (wished(kind=""), "x-chitty-kind"),
    ],
)
def test_a_header_that_makes_no_sense_is_named(headers: dict[bytes, bytes], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        options_of(headers, {})
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("chitty", "param"),
    [
        ([], "chitty"),
        ("kind", "chitty"),
        ({"knid": "x"}, "chitty.knid"),
        ({"kind": 7}, "chitty.kind"),
        ({"private": 1}, "chitty.private"),
        ({"private": "perhaps"}, "chitty.private"),
        ({"timeout": True}, "chitty.timeout"),
        ({"timeout": [1]}, "chitty.timeout"),
        ({"models": [1]}, "chitty.models"),
        ({"models": {"a": 1}}, "chitty.models"),
        ({"models": ["m"] * 33}, "chitty.models"),
        ({"max_cost_usd": "free"}, "chitty.max_cost_usd"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(chitty: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        options_of({}, {"chitty": chitty})
    assert raised.value.param == param


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists, max_leaves=3
)


@given(
    st.dictionaries(st.sampled_from(["kind", "private", "models", "timeout", "max-cost-usd", "cache"]), st.binary()),
    st.dictionaries(st.sampled_from(["kind", "private", "models", "timeout", "max_cost_usd", "cache", "x"]), values),
)
def test_no_wish_whatever_is_a_bug_of_ours(headers: dict[str, bytes], chitty: dict[str, Any]) -> None:
    try:
        options = options_of(
            {f"x-chitty-{name}".encode(): value for name, value in headers.items()}, {"chitty": chitty}
        )
    except InvalidRequest as error:
        named = error.param
    else:
        named = "chitty"
        assert options.timeout is None or options.timeout > 0
    assert named is not None


# The body


def test_a_body_is_a_json_object() -> None:
    assert read_body({}, b'{"model": "m"}') == {"model": "m"}
    assert read_body({b"content-encoding": b"identity"}, b"{}") == {}


def large(body: bytes) -> Request:
    request = Request(None)
    request.body = b" " * OFF_LOOP + body
    return request


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": "\\ud800"}', b'{"a": "\xff"}', b'{"a": 1e999}',
     b'{"a":' * 10_000 + b"1" + b"}" * 10_000],
)  # fmt: skip
async def test_a_body_that_is_none_is_refused_at_every_size(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_body({}, body)
    with pytest.raises(InvalidRequest):
        await read_off_loop(large(body))


async def test_a_large_body_is_read_like_a_small_one() -> None:
    assert await read_off_loop(large(b'{"text": "x"}')) == {"text": "x"}


def test_a_compressed_body_says_what_to_do() -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_body({b"content-encoding": b"gzip"}, b"\x1f\x8b")
    assert raised.value.param == "Content-Encoding"


def test_only_this_machines_own_command_may_keep_answering() -> None:
    wish = {b"x-chitty-keep-answering": b"true"}
    assert keeps_answering(ADMIN, wish)
    assert not keeps_answering(ADMIN, {})
    assert not keeps_answering(Key(id="k", name="k"), wish)
    assert not keeps_answering(None, wish)
