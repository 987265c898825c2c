"""One model in several places: who is asked, what the client sees, and that each place has its own health, limits
and price."""

import asyncio
from typing import Any

import pytest

from bare_http import Got, Json
from chittycan.testing import ANSWER
from chittycan.testing.upstream import ScriptedUpstream
from serving import Serve, Served, proxy, until


async def placed(
    serve: Serve, up: ScriptedUpstream, *deployments: Json, balance: str = "written", **model: Any
) -> Served:
    """The model `gpt`, at the proxies `east` and `west`."""
    return await serve(
        {"east": proxy(up.url, "openai"), "west": proxy(up.url, "openai", "sk-west")},
        {"gpt": {"deployments": list(deployments), "balance": balance, **model}},
    )


def at(proxy_name: str, upstream: str, **more: Any) -> Json:
    return {"proxy": proxy_name, "upstream": upstream, **more}


def begun(served: Served, **more: Any) -> "asyncio.Task[Got]":
    return asyncio.create_task(served.chat("gpt", **more))


async def test_the_client_knows_the_model_and_the_ledger_the_place(up: ScriptedUpstream, serve: Serve) -> None:
    served = await placed(
        serve, up,
        at("east", "gpt-e", price={"input": 1000, "output": 0}), at("west", "gpt-w"),
        price={"input": 2000, "output": 0},
    )  # fmt: skip
    up.script("gpt-e", ["ok", "s05-dead-host"])
    first, second = await served.chat("gpt"), await served.chat("gpt")
    assert [got.headers["x-chitty-served-by"] for got in (first, second)] == ["gpt", "gpt"]
    assert [got.headers["x-chitty-fallbacks"] for got in (first, second)] == ["0", "1"]
    rows = [row for row in await served.recorded(3) if row["outcome"] == "ok"]
    assert [(row["model"], row["provider"], row["upstream"]) for row in rows] == [
        ("gpt", "east", "gpt-e"), ("gpt", "west", "gpt-w"),
    ]  # fmt: skip
    assert [row["cost_nano"] // row["input"] for row in rows] == [1_000_000, 2_000_000]


async def test_each_place_rests_by_itself(up: ScriptedUpstream, serve: Serve) -> None:
    served = await placed(serve, up, at("east", "gpt-e"), at("west", "gpt-w"))
    up.script("gpt-e", ["429-hour"])
    for _ in range(3):
        assert (await served.chat("gpt")).status == 200
    assert len(up.calls("gpt-e")) == 1
    (row,) = [each for each in (await served.fetch("GET", "/api/v1/models")).json if each["name"] == "gpt"]
    assert [(each["provider"], each["status"]) for each in row["deployments"]] == [
        ("east", "resting"), ("west", "ready"),
    ]  # fmt: skip


async def test_a_broken_answer_is_taken_up_at_another_place(up: ScriptedUpstream, serve: Serve) -> None:
    served = await placed(serve, up, at("east", "s08-cut-middle"), at("west", "ok"))
    seen = await served.clients().ask("openai", "gpt", stream=True)
    assert (seen.error, seen.text) == (None, ANSWER)


async def test_the_least_busy_is_asked(up: ScriptedUpstream, serve: Serve) -> None:
    served = await placed(serve, up, at("east", "gpt-e"), at("west", "gpt-w"), balance="least-busy")
    gates = [up.gate("gpt-e"), up.gate("gpt-w")]
    calls = []
    for number in range(4):
        calls.append(begun(served, stream=number % 2 == 0))
        await up.received(number + 1)
    assert [len(up.calls(name)) for name in ("gpt-e", "gpt-w")] == [2, 2]
    for gate in gates:
        await gate.open()
    assert [(await call).status for call in calls] == [200] * 4
    latency = served.network.gateway.latency
    await until(lambda: latency.open(("east", "gpt-e")) == latency.open(("west", "gpt-w")) == 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_quicker_place_is_asked_once_both_are_known(up: ScriptedUpstream, serve: Serve, stream: bool) -> None:
    served = await placed(serve, up, at("east", "gpt-e"), at("west", "gpt-w"), balance="latency")
    latency = served.network.gateway.latency
    latency._chance = lambda: 0.5  # as written among those that are as busy, and nobody else is tried
    gate = up.gate("gpt-e")
    call = begun(served, stream=stream)
    await up.received(1, "gpt-e")
    assert (await served.chat("gpt", stream=stream)).status == 200  # east is busy
    await gate.open()
    assert (await call).status == 200
    before = len(up.calls("gpt-e"))
    for _ in range(5):
        assert (await served.chat("gpt", stream=stream)).status == 200
    assert len(up.calls("gpt-e")) == before
    explained = (await served.fetch("POST", "/api/v1/explain", {"model": "gpt", "request": {
        "messages": [{"role": "user", "content": "Hello"}], "stream": stream}})).json  # fmt: skip
    rows = [row for row in explained["considered"] if row["kept"]]
    assert [row["place"] for row in rows][:2] == ["west/gpt-w", "east/gpt-e"]
    assert "1. of 2 equals: " in rows[0]["why"]
    assert ("first token in" if stream else "ms per token") in rows[0]["why"]


async def test_a_full_place_is_not_waited_for_while_another_has_room(up: ScriptedUpstream, serve: Serve) -> None:
    full = {"concurrency": 1, "wait": 1000}
    served = await placed(
        serve, up, at("east", "gpt-e", limits=full), at("west", "gpt-w", limits=full), balance="latency"
    )
    served.network.gateway.latency._chance = lambda: 0.5
    gates = [up.gate("gpt-e"), up.gate("gpt-w")]
    calls = [begun(served), begun(served)]
    await up.received(1, "gpt-e")
    await up.received(1, "gpt-w")
    third = begun(served)
    await until(lambda: served.network.slots.waiting == 1)  # at the last of them
    for gate in gates:
        await gate.open()
    assert [(await call).status for call in (*calls, third)] == [200, 200, 200]


async def test_private_work_and_regions_choose_among_the_places(up: ScriptedUpstream, serve: Serve) -> None:
    served = await placed(
        serve, up, at("east", "gpt-e", regions=["us-east"]), at("west", "gpt-w", regions=["eu-west"], private=True)
    )
    for headers in ({"x-chitty-region": "eu-west"}, {"x-chitty-private": "true"}):
        assert (await served.chat("gpt", headers=headers)).status == 200
    assert (len(up.calls("gpt-e")), len(up.calls("gpt-w"))) == (0, 2)
    assert served.network.settings.privacy_mode == "enforce"
    refused = await served.chat("gpt", headers={"x-chitty-region": "us-east", "x-chitty-private": "true"})
    assert refused.status == 403


async def test_a_place_without_its_key_is_left_out_with_a_reason(up: ScriptedUpstream, serve: Serve) -> None:
    served = await placed(serve, up, at("openai", "gpt-o"), at("west", "gpt-w"))
    assert (await served.chat("gpt")).status == 200
    explained = (await served.fetch("POST", "/api/v1/explain", {"model": "gpt"})).json
    (missing,) = [row for row in explained["considered"] if row["place"] == "openai"]
    assert not missing["kept"]
    assert "OPENAI_API_KEY" in missing["why"]


async def test_equal_models_are_ordered_and_others_are_not(up: ScriptedUpstream, serve: Serve) -> None:
    models = {name: {"proxy": "east", "upstream": name} for name in ("one", "two", "three")}
    served = await serve(
        {"east": proxy(up.url, "openai")}, models, {"one": ["two", "three"]}, routing={"equal": [["one", "two"]]}
    )
    latency = served.network.gateway.latency
    latency._chance = lambda: 0.5
    for name, seconds in (("one", 2.0), ("two", 1.0), ("three", 0.1)):
        latency.answered(("east", name), seconds, 100)
    got = await served.chat("one")
    assert got.headers["x-chitty-served-by"] == "two"
    chain = (await served.fetch("POST", "/api/v1/explain", {"model": "one", "named_only": True})).json["chain"]
    assert chain == ["two", "one", "three"]


async def test_the_chain_of_auto_may_go_by_latency(up: ScriptedUpstream, serve: Serve) -> None:
    models = {name: {"proxy": "east", "upstream": name} for name in ("one", "two")}
    served = await serve({"east": proxy(up.url, "openai")}, models, {"*": ["one", "two"]}, routing={"order": "latency"})
    latency = served.network.gateway.latency
    latency._chance = lambda: 0.5
    for name, seconds in (("one", 2.0), ("two", 1.0)):
        latency.answered(("east", name), seconds, 100)
    assert (await served.chat("auto")).headers["x-chitty-served-by"] == "two"
    assert (await served.chat("one")).headers["x-chitty-served-by"] == "one"
