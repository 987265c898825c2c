"""Keys, limits, prices and the cache, as callers and owners see them."""

import asyncio
import json
from typing import Any

import openai
import pytest

from bare_http import Got, Json
from chittycan.testing import ANSWER, Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from serving import SURFACES, Serve, Served, finished, proxy

PRICE = {"input": 1000, "output": 2000}  # a thousandth and two thousandths of a dollar per token
COST = 17 * 1_000_000 + 40 * 2_000_000  # nano-dollars of one plain answer


@pytest.fixture
async def served(up: ScriptedUpstream, serve: Serve) -> Served:
    return await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "anthropic", "sk-second")},
        {
            "dear": {"proxy": "first", "upstream": "ok", "price": PRICE},
            "cheap": {"proxy": "second", "upstream": "ok", "price": {"input": 1, "output": 2}},
            "failing": {"proxy": "first", "upstream": "s03-500", "price": PRICE},
            "echo": {"proxy": "first", "upstream": "echo"},
        },
    )


def bearer(secret: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}", **{name.replace("_", "-"): value for name, value in more.items()}}


async def chat(served: Served, secret: str, model: str = "dear", **more: Any) -> Got:
    return await served.chat(model, headers=bearer(secret), **{"max_tokens": 40, **more})


# Keys


async def test_the_first_key_closes_the_server_and_works_at_once(served: Served) -> None:
    assert (await served.chat("dear")).status == 200
    secret = await served.key()
    assert (await served.chat("dear")).status == 401
    assert (await chat(served, secret)).status == 200
    await served.network.keys.revoke("test")
    assert (await chat(served, secret)).status == 401
    assert (await served.chat("dear")).status == 401  # revoking the last key does not open it again


@pytest.mark.parametrize("surface", SURFACES)
async def test_what_a_key_may_not_call_is_forbidden(up: ScriptedUpstream, served: Served, surface: str) -> None:
    secret = await served.key(models=("cheap",))
    seen = await served.clients(secret).ask(surface, "dear", stream=False)
    assert seen.status == 403
    assert "model_not_allowed" in seen.raw.decode()
    assert not up.requests
    assert (await served.clients(secret).ask(surface, "cheap", stream=True)).text == ANSWER


async def test_a_key_for_one_route_or_kind_is_for_no_other(served: Served) -> None:
    routed = await served.key("routed", routes=("anthropic",))
    assert (await chat(served, routed)).status == 403
    assert (await served.clients(routed).ask("anthropic", "dear", stream=False)).text == ANSWER
    kind = await served.key("kind", kinds=("email.triage",))
    assert (await chat(served, kind)).status == 403
    assert (await chat(served, kind, chitty={"kind": "email.triage"})).status == 200


async def test_an_expired_key_is_none(served: Served) -> None:
    secret = await served.key(expires="1s")
    assert (await chat(served, secret)).status == 200
    await asyncio.sleep(1.05)
    got = await chat(served, secret)
    assert got.status == 401
    assert "expired" in got.json["error"]["message"]


# Limits


async def test_requests_per_minute(up: ScriptedUpstream, served: Served) -> None:
    secret = await served.key(rpm=3)
    gots = await asyncio.gather(*(chat(served, secret) for _ in range(10)))
    assert sorted(got.status for got in gots) == [200] * 3 + [429] * 7
    refused = next(got for got in gots if got.status == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json["error"]["code"] == "rate_limit_exceeded"
    assert len(up.requests) == 3
    with pytest.raises(openai.RateLimitError):
        await served.clients(secret).gpt.responses.create(model="dear", input="Hello")


async def test_tokens_per_minute(up: ScriptedUpstream, served: Served) -> None:
    secret = await served.key(tpm=1000)
    assert (await chat(served, secret, max_tokens=2000)).status == 429
    gate = up.gate("ok")
    calls = [asyncio.create_task(chat(served, secret, max_tokens=300)) for _ in range(6)]
    await finished(calls, 3)
    await gate.open()
    assert sorted([(await call).status for call in calls]) == [200] * 3 + [429] * 3


async def test_a_budget_is_never_passed(up: ScriptedUpstream, served: Served) -> None:
    gate = up.gate("ok")
    secret = await served.key(budget="1/day")  # each answer may cost 0.1
    calls = [asyncio.create_task(chat(served, secret)) for _ in range(50)]
    await finished(calls, 40)
    await gate.open()
    gots = await asyncio.gather(*calls)
    admitted = sum(got.status == 200 for got in gots)
    assert 1 <= admitted <= 10
    assert {got.status for got in gots} == {200, 402}
    assert len(up.requests) == admitted
    refused = next(got for got in gots if got.status == 402)
    assert refused.json["error"]["code"] == "budget_exceeded"
    rows = [row for row in await served.ledger() if row["outcome"] == "ok"]
    assert sum(row["cost_nano"] for row in rows) <= 10**9


async def test_what_a_call_did_not_need_is_given_back(served: Served) -> None:
    secret = await served.key(budget="1/day")
    done = 0
    while (await chat(served, secret, max_tokens=200)).status == 200:  # reserves 0.4, costs 0.097
        done += 1
    assert done >= 6


async def test_failures_cost_nothing(served: Served) -> None:
    secret = await served.key(budget="0.15/day")
    for _ in range(5):
        assert (await chat(served, secret, "failing")).status in (500, 503)
    assert (await chat(served, secret)).status == 200


async def test_all_keys_together_have_a_budget_too(up: ScriptedUpstream, serve: Serve) -> None:
    model = {"dear": {"proxy": "first", "upstream": "ok", "price": PRICE}}
    served = await serve({"first": proxy(up.url, "openai")}, model, budgets={"day": 0.22})
    assert (await served.chat("dear", max_tokens=40)).status == 200
    one, two = await served.key("one"), await served.key("two")
    statuses = [(await chat(served, secret)).status for secret in (one, two, one)]
    assert statuses == [200, 402, 402]


async def test_a_model_that_the_money_left_does_not_cover_is_passed_over(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve(
        {"first": proxy(up.url, "openai"), "second": proxy(up.url, "openai", "sk-second")},
        {
            "dear": {"proxy": "first", "upstream": "ok-other", "price": PRICE},
            "cheap": {"proxy": "second", "upstream": "ok", "price": {"input": 1, "output": 2}},
        },
        {"dear": ["cheap"]},
    )
    secret = await served.key(budget="0.01/day")
    got = await chat(served, secret)
    assert got.headers["x-chitty-served-by"] == "cheap"
    assert not up.calls("ok-other")


@pytest.mark.parametrize(("limit", "status"), [("0.001", 402), ("1", 200)])
async def test_the_callers_own_limit(up: ScriptedUpstream, served: Served, limit: str, status: int) -> None:
    for more in ({"headers": {"x-chitty-max-cost-usd": limit}}, {"chitty": {"max_cost_usd": float(limit)}}):
        assert (await served.chat("dear", max_tokens=40, **more)).status == status
    assert bool(up.requests) == (status == 200)


# Prices


async def test_what_it_cost_is_said(served: Served) -> None:
    got = await served.chat("dear")
    assert got.headers["x-chitty-cost-usd"] == f"{COST / 1e9:.9f}"
    stream = await served.chat("dear", stream=True)
    usage = (await served.fetch("GET", f"/api/v1/usage/{stream.headers['x-chitty-request-id']}")).json
    assert usage["cost_usd"] == pytest.approx(COST / 1e9)


async def test_case_36_each_kind_of_token_at_its_own_price(up: ScriptedUpstream, serve: Serve) -> None:
    price = {"input": 3, "cacheWrite": 3.75, "cached": 0.30, "output": 15}
    served = await serve({"first": proxy(up.url, "anthropic")}, {"m": {"proxy": "first", "price": price}})
    text = " ".join(["word"] * 550)
    up.script("m", [Scenario(does="", reply=Reply(text, input_tokens=12307, cache_write_tokens=12304))])
    for stream in (False, True):
        assert (await served.chat("m", stream=stream)).status == 200
    assert [row["cost_nano"] for row in await served.ledger()] == [54_399_000] * 2


@pytest.mark.parametrize(
    "usage", [None, {"prompt_tokens": -5, "completion_tokens": -900}, {"completion_tokens": 2**70}]
)
async def test_usage_that_is_missing_or_absurd_is_estimated(up: ScriptedUpstream, served: Served, usage: Any) -> None:
    choices = [{"index": 0, "message": {"role": "assistant", "content": "word " * 400}, "finish_reason": "stop"}]
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage}
    up.script("ok", [Scenario(does="", raw=(200, "application/json", json.dumps(body).encode()))])
    secret = await served.key(budget="5/day")
    assert (await chat(served, secret)).status == 200
    (row,) = await served.ledger()
    assert 400 <= row["output"] <= 600
    assert row["cost_nano"] == row["input"] * 1_000_000 + row["output"] * 2_000_000


async def test_a_price_that_nobody_knows_is_not_guessed(up: ScriptedUpstream, serve: Serve) -> None:
    # Written like this it does not count as this machine's own provider, which costs nothing.
    url = up.url.replace("127.0.0.1", "0x7f.1")
    served = await serve({"first": proxy(url, "openai")})
    got = await served.chat("first/ok")
    assert got.status == 200
    assert "x-chitty-cost-usd" not in got.headers
    (row,) = await served.ledger()
    assert row["cost_nano"] is None


# The cache


async def test_a_hit_is_the_same_answer_and_costs_nothing(up: ScriptedUpstream, served: Served) -> None:
    secret = await served.key()
    for surface in SURFACES:
        for stream in (False, True):
            before = len(up.requests)
            clients = served.clients(secret)
            first, second = [
                await clients.ask(surface, "dear", stream=stream, extra_headers={"x-chitty-cache": "true"})
                for _ in range(2)
            ]
            assert (first.headers["x-chitty-cache"], second.headers["x-chitty-cache"]) == ("miss", "hit")
            assert (second.text, second.raw) == (first.text, first.raw)
            assert second.headers["content-type"] == first.headers["content-type"]
            assert len(up.requests) == before + 1
    rows = [row for row in await served.ledger() if row["outcome"] == "cached"]
    assert len(rows) == 6
    assert {row["cost_nano"] for row in rows} == {0}


async def test_case_46_nobody_gets_what_was_kept_for_another(up: ScriptedUpstream, served: Served) -> None:
    one, two = await served.key("one", cache=True), await served.key("two", cache=True)
    for secret in (one, two):
        assert [(await chat(served, secret)).headers["x-chitty-cache"] for _ in range(2)] == ["miss", "hit"]
    assert len(up.requests) == 2


async def test_case_46_every_difference_counts(served: Served) -> None:
    secret = await served.key(cache=True)
    different: list[Json] = [
        {},
        {"temperature": 0.5},
        {"max_tokens": 41},
        {"stream": True},
        {"messages": [{"role": "user", "content": "hello"}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"model": "cheap"},
        {"chitty": {"kind": "code"}},
    ]
    for more in different:
        assert (await chat(served, secret, **more)).headers["x-chitty-cache"] == "miss"
    assert (await chat(served, secret, chitty={"cache": False})).headers["x-chitty-cache"] == "miss"
    assert (await chat(served, secret)).headers["x-chitty-cache"] == "hit"


@pytest.mark.parametrize("scenario", ["s03-500", "400-bad-field", "s08-cut-middle", "200-empty"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_case_46_what_failed_is_never_kept(
    up: ScriptedUpstream, serve: Serve, scenario: str, stream: bool
) -> None:
    served = await serve({"first": proxy(up.url, "openai")}, cache={"models": ["first/m"]})
    up.script("m", [scenario] * 3 + ["ok"])
    while (
        "[DONE]" not in (got := await served.chat("first/m", stream=stream)).body.decode() and b'"stop"' not in got.body
    ):
        assert got.headers.get("x-chitty-cache") != "hit"
    assert got.headers["x-chitty-cache"] == "miss"
    assert (await served.chat("first/m", stream=stream)).headers["x-chitty-cache"] == "hit"


async def test_without_being_asked_nothing_is_kept(up: ScriptedUpstream, served: Served) -> None:
    for _ in range(2):
        assert (await served.chat("echo")).headers["x-chitty-cache"] == "miss"
    assert len(up.requests) == 2
