"""A second model beside one that is late: who answers, what the loser's provider sees, and what it costs."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from bare_http import Got, Json
from chittycan.testing import ANSWER
from chittycan.testing.upstream import ScriptedUpstream
from serving import Serve, Served, proxy, until

SECONDS = 0.1  # within these the loser's provider is left
MESSAGES = [{"role": "user", "content": "Hello"}]
PRICE = {"input": 1000, "output": 2000}  # dollars per million tokens: a thousandth of a dollar for a token
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
SOON = {"x-chitty-hedge": "0.5"}


async def pair(serve: Serve, up: ScriptedUpstream, first: str, second: str, **more: Any) -> Served:
    """`asked`, and `spare` to turn to; the words are their upstreams' scenarios."""
    return await serve(
        {"one": proxy(up.url, "openai"), "two": proxy(up.url, more.pop("dialect", "openai"), "sk-second")},
        {
            "asked": {"proxy": "one", "upstream": first, "price": PRICE},
            "spare": {"proxy": "two", "upstream": second, "price": PRICE},
        },
        {"asked": ["spare"]},
        **more,
    )


def begun(served: Served, *, stream: bool = False, **headers: str) -> "asyncio.Task[Got]":
    return asyncio.create_task(served.chat("asked", stream=stream, headers=SOON | headers))


def spent(rows: list[Json]) -> int:
    return sum(row["input"] * 1_000_000 + row["output"] * 2_000_000 for row in rows)


@STREAM
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_the_quicker_one_answers_and_the_other_is_left(
    up: ScriptedUpstream, serve: Serve, stream: bool, dialect: str
) -> None:
    served = await pair(serve, up, "s04-hang", "ok", dialect=dialect)
    secret = await served.key(budget="100/day")
    (key,) = await served.network.keys.list()
    seen = await served.clients(secret).ask("openai", "asked", stream=stream, extra_headers=SOON)
    assert (seen.text, seen.finish) == (ANSWER, "stop")
    names = ("served-by", "attempts", "fallbacks", "hedged")
    assert [seen.headers[f"x-chitty-{name}"] for name in names] == ["spare", "2", "0", "1"]
    loser, winner = up.calls("s04-hang")[0], up.calls("ok")[0]
    await loser.ended()
    assert loser.closed_at is not None
    if not stream:
        assert winner.answered_at is not None
        assert loser.closed_at - winner.answered_at < SECONDS
    rows = await served.recorded(2)
    assert [(row["model"], row["outcome"], row["position"]) for row in rows] == [
        ("spare", "ok", 0), ("asked", "hedged", 1),
    ]  # fmt: skip
    served_row, lost = rows
    assert lost["failure"] is None
    assert lost["input"] > 0
    assert lost["output"] == (0 if stream else served_row["output"])  # nobody knows: as much as the one that won
    assert lost["cost_nano"] == spent([lost])
    await served.network.meters.close()
    assert await served.network.meters.standing(key.budget_caps[0]) == (spent(rows), 0)
    if not stream:
        assert float(seen.headers["x-chitty-cost-usd"]) == pytest.approx(spent(rows) / 1e9)
    assert served.network.gateway.health.snapshot() == {}
    path = f"/api/v1/usage/{seen.headers['x-chitty-request-id']}"
    usage = (await served.fetch("GET", path, headers={"authorization": f"Bearer {secret}"})).json
    assert (usage["outcome"], usage["model"]) == ("ok", "spare")


@STREAM
async def test_the_first_may_still_win(up: ScriptedUpstream, serve: Serve, stream: bool) -> None:
    served = await pair(serve, up, "m", "s04-hang")
    gate = up.gate("m")
    call = begun(served, stream=stream)
    loser = await up.received(1, "s04-hang")
    await gate.open()
    got = await call
    assert got.status == 200
    assert (got.headers["x-chitty-served-by"], got.headers["x-chitty-hedged"]) == ("asked", "1")
    await loser.ended()
    assert [(row["model"], row["outcome"]) for row in await served.recorded(2)] == [
        ("asked", "ok"), ("spare", "hedged"),
    ]  # fmt: skip


@STREAM
async def test_whoever_is_in_time_is_asked_alone(up: ScriptedUpstream, serve: Serve, stream: bool) -> None:
    served = await pair(serve, up, "ok", "never")
    got = await served.chat("asked", stream=stream, headers={"x-chitty-hedge": "100"})
    assert (got.status, len(up.requests)) == (200, 1)
    assert "x-chitty-hedged" not in got.headers


@STREAM
async def test_where_both_fail_it_is_said_as_always(up: ScriptedUpstream, serve: Serve, stream: bool) -> None:
    served = await pair(serve, up, "m", "no-model")
    up.script("m", ["s03-500"])
    up.script("no-model", ["s05-dead-host"])
    got = await served.chat("asked", stream=stream, headers={"x-chitty-hedge": "0.01"})
    assert got.status == 502
    assert {each["model"] for each in got.json["error"]["attempts"]} == {"asked", "spare"}
    assert "hedged" not in [row["outcome"] for row in await served.ledger()]


@STREAM
async def test_the_first_fails_when_the_second_is_under_way(up: ScriptedUpstream, serve: Serve, stream: bool) -> None:
    served = await serve(
        {"one": proxy(up.url, "openai", timeouts={"firstToken": 0.3}), "two": proxy(up.url, "openai", "sk-second")},
        {"asked": {"proxy": "one", "upstream": "s04-hang"}, "spare": {"proxy": "two", "upstream": "m"}},
        {"asked": ["spare"]},
    )
    gate = up.gate("m")
    call = begun(served, stream=stream)
    await up.received(1, "m")
    await up.calls("s04-hang")[0].ended()  # its time for a first token is over
    await gate.open()
    got = await call
    assert (got.status, got.headers["x-chitty-served-by"]) == (200, "spare")
    assert (got.headers["x-chitty-fallbacks"], got.headers.get("x-chitty-hedged")) == ("1", None)
    assert [row["outcome"] for row in await served.recorded(2)] == ["absorbed", "ok"]
    assert len(up.calls("m")) == 1


@STREAM
async def test_a_client_that_leaves_ends_both(up: ScriptedUpstream, serve: Serve, stream: bool) -> None:
    served = await pair(serve, up, "s04-hang", "s07-slow-first-token")
    wire = await served.connect()
    wire.send("POST", "/v1/chat/completions", {"model": "asked", "messages": MESSAGES, "stream": stream}, SOON)
    second = await up.received(1, "s07-slow-first-token")
    wire.close()
    for request in (up.calls("s04-hang")[0], second):
        await asyncio.wait_for(request.ended(), 5)
        assert request.closed_at is not None
    assert abs(up.calls("s04-hang")[0].closed_at - second.closed_at) < SECONDS  # type: ignore[operator]
    assert [row["outcome"] for row in await served.recorded(1)] == ["cancelled"]
    await until(lambda: served.network.slots.waiting == 0)


async def test_a_refusal_of_the_first_is_the_answer(up: ScriptedUpstream, serve: Serve) -> None:
    served = await pair(serve, up, "m", "s04-hang")
    up.script("m", ["s14-content-filter"])
    got = await served.chat("asked", headers={"x-chitty-hedge": "0.01"})
    assert got.status == 400


async def test_both_have_to_be_paid_for(up: ScriptedUpstream, serve: Serve) -> None:
    served = await pair(serve, up, "s07-slow-first-token", "never")
    secret = await served.key(budget="3/day")  # either of them, and not both: 1,024 tokens cost $2.05
    got = await served.chat("asked", headers=SOON | {"authorization": f"Bearer {secret}"})
    assert (got.status, got.headers["x-chitty-served-by"]) == (200, "asked")
    assert not up.calls("never")


async def test_the_loser_is_paid_for_also_where_nobody_knows_what_the_winner_costs(
    up: ScriptedUpstream, serve: Serve
) -> None:
    served = await serve(
        {"one": proxy(up.url, "openai"), "two": proxy(up.url, "openai", "sk-second")},
        {
            "asked": {"proxy": "one", "upstream": "s04-hang", "price": PRICE},
            "spare": {"proxy": "two", "upstream": "ok"},
        },
        {"asked": ["spare"]},
    )
    gateway = served.network.gateway
    away = {name: replace(each, local=False) for name, each in gateway.catalogue.providers.items()}
    gateway.catalogue = replace(gateway.catalogue, providers=away)  # what runs on this machine is free
    secret = await served.key(budget="100/day")
    (key,) = await served.network.keys.list()
    await served.clients(secret).ask("openai", "asked", stream=False, extra_headers=SOON)
    winner, lost = await served.recorded(2)
    assert winner["cost_nano"] is None
    await served.network.meters.close()
    assert await served.network.meters.standing(key.budget_caps[0]) == (spent([lost]), 0)


async def test_what_a_caller_pays_at_most_counts_for_both(up: ScriptedUpstream, serve: Serve) -> None:
    served = await pair(serve, up, "s07-slow-first-token", "never")
    got = await served.chat("asked", headers=SOON | {"x-chitty-max-cost-usd": "3"})
    assert (got.status, got.headers["x-chitty-served-by"]) == (200, "asked")
    assert not up.calls("never")


async def test_private_work_is_hedged_among_private_models(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve(
        {"one": proxy(up.url, "openai")},
        {
            "asked": {"proxy": "one", "upstream": "s04-hang", "private": True},
            "spare": {"proxy": "one", "upstream": "never"},
            "house": {"proxy": "one", "upstream": "ok", "private": True},
        },
        {"asked": ["spare", "house"]},
    )
    got = await served.chat("asked", headers=SOON | {"x-chitty-private": "true"})
    assert (got.status, got.headers["x-chitty-served-by"]) == (200, "house")
    assert not up.calls("never")


async def test_a_broken_answer_is_taken_up_by_the_one_that_was_overtaken(up: ScriptedUpstream, serve: Serve) -> None:
    served = await pair(serve, up, "m", "n")
    up.script("m", ["s08-cut-middle"])
    up.script("n", ["s04-hang", "ok"])
    gate = up.gate("m")
    call = begun(served, stream=True)
    await up.received(1, "n")
    await gate.open()
    got = await call
    text = "".join(
        choice["delta"].get("content") or "" for event in got.events for choice in event.get("choices") or []
    )
    assert (got.status, text) == (200, ANSWER)
    rows = await served.recorded(3)
    assert [(row["model"], row["outcome"]) for row in rows] == [
        ("asked", "absorbed"), ("spare", "ok"), ("spare", "hedged"),
    ]  # fmt: skip


async def test_the_owner_hedges_some_models(up: ScriptedUpstream, serve: Serve) -> None:
    served = await pair(serve, up, "s04-hang", "ok", routing={"hedge": {"after": 0.5, "models": ["asked"]}})
    got = await served.chat("asked")
    assert (got.headers["x-chitty-served-by"], got.headers["x-chitty-hedged"]) == ("spare", "1")
    metrics = (await served.fetch("GET", "/metrics")).body.decode()
    assert 'chitty_hedged_total{model="spare"} 1.0' in metrics


async def test_the_body_may_ask_for_it_and_a_wrong_wish_is_named(up: ScriptedUpstream, serve: Serve) -> None:
    served = await pair(serve, up, "s04-hang", "ok")
    got = await served.chat("asked", chitty={"hedge": 0.5})
    assert got.headers["x-chitty-hedged"] == "1"
    wrong = await served.chat("asked", headers={"x-chitty-hedge": "soon"})
    assert wrong.status == 400
    assert "x-chitty-hedge" in wrong.json["error"]["message"]
