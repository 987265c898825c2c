"""The exact-match cache: who gets whose answer, for how long, and that it never makes a call fail."""

from typing import Any

import pytest

from chittycan.auth.keys import Key
from chittycan.gateway.cache import LARGEST, ResponseCache
from chittycan.gateway.call import Call, Options, Trace
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from gateway_parts import call

BODY = b'{"choices": []}'
TRACE = Trace(request_id="req_0", model="gpt-4", cost_nano=5)
ALICE, BOB = Key(id="key_a", name="alice", cache=True), Key(id="key_b", name="bob", cache=True)


@pytest.fixture
def cache(sqlite: Database, clock: FakeClock) -> ResponseCache:
    return ResponseCache(sqlite, clock, models=["always"], ttl=100.0)


async def test_a_hit_is_the_same_answer_and_costs_nothing(cache: ResponseCache) -> None:
    await cache.keep(call(), BODY, TRACE)
    hit = await cache.find(call())
    assert hit is not None
    assert hit.body == BODY
    assert (hit.trace.model, hit.trace.cached, hit.trace.cost_nano, hit.trace.route) == ("gpt-4", True, 0, "cache")
    assert hit.trace.request_id == "req_1"


async def test_an_answer_is_kept_for_its_time(cache: ResponseCache, clock: FakeClock) -> None:
    await cache.keep(call(), BODY, TRACE)
    clock.advance(99)
    assert await cache.find(call()) is not None
    clock.advance(1)
    assert await cache.find(call()) is None


@pytest.mark.parametrize(
    "other",
    [
        call(key=BOB),
        call(),
        call("anthropic", key=ALICE),
        call(key=ALICE, stream=True),
        call(key=ALICE, operation="embeddings"),
        call(key=ALICE, model="other"),
        call(key=ALICE, fields={"temperature": 0}),
        call(key=ALICE, fields={"tools": [{"type": "function"}]}),
        call(key=ALICE, options=Options(kind="code")),
        call(key=ALICE, options=Options(region="eu")),
        call(key=ALICE, options=Options(private=True)),
        call(key=ALICE, options=Options(models=("a", "b"))),
        call(key=ALICE, options=Options(session="s")),
        call(key=ALICE, options=Options(max_cost_nano=1)),
    ],
)
async def test_another_key_or_another_question_is_no_hit(cache: ResponseCache, other: Call) -> None:
    await cache.keep(call(key=ALICE), BODY, TRACE)
    assert await cache.find(other) is None
    assert await cache.find(call(key=ALICE)) is not None


@pytest.mark.parametrize(
    "same",
    [
        call(options=Options(task="another")),
        call(options=Options(timeout=3.0)),
        call(options=Options(cache=True)),
        call(fields={"chitty": {"cache": True}}),
    ],
)
async def test_what_does_not_shape_the_answer_does_not_count(cache: ResponseCache, same: Call) -> None:
    await cache.keep(call(), BODY, TRACE)
    assert await cache.find(same) is not None


async def test_the_order_of_fields_does_not_count(cache: ResponseCache) -> None:
    await cache.keep(call(fields={"top_p": 1, "seed": 2}), BODY, TRACE)
    assert await cache.find(call(fields={"seed": 2, "top_p": 1})) is not None


async def test_what_is_too_large_is_not_kept(cache: ResponseCache) -> None:
    await cache.keep(call(), bytes(LARGEST + 1), TRACE)
    assert await cache.find(call()) is None


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, False),
        ({"key": ALICE}, True),
        ({"key": Key(id="k", name="k")}, False),
        ({"model": "always"}, True),
        ({"options": Options(cache=True)}, True),
        ({"key": ALICE, "model": "always", "options": Options(cache=False)}, False),
    ],
)
def test_the_caller_decides_before_the_key_and_the_key_before_the_model(
    cache: ResponseCache, asked: dict[str, Any], wanted: bool
) -> None:
    assert cache.wanted(call(**asked)) is wanted


def test_callers_in_this_process_are_never_answered_from_it(cache: ResponseCache) -> None:
    assert not cache.wanted(call(None, options=Options(cache=True)))


async def test_no_call_fails_because_the_cache_is_away(clock: FakeClock) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    cache = ResponseCache(away, clock)
    await cache.keep(call(), BODY, TRACE)
    assert await cache.find(call()) is None
    away.close()
