"""Limits of models and providers: what a client meets, and that they hold over real processes."""

import asyncio
import sqlite3
from typing import Any

import pytest

from bare_http import Got, Json, fetch
from chittycan.testing import Scenario
from chittycan.testing.upstream import Recorded, ScriptedUpstream
from chittycan.testing.wire import Connection
from serving import PACE, Process, Processes, Serve, Served, Upstream, config, finished, proxy, until, write_config

HELLO = [{"role": "user", "content": "Hello"}]


def model(upstream: str = "m", **limits: Any) -> Json:
    return {"proxy": "first", "upstream": upstream, "limits": limits}


async def limited(serve: Serve, up: ScriptedUpstream, more: Json | None = None, **limits: Any) -> Served:
    """A gateway whose model `few` is limited; what `more` says of other models has no limits of its own."""
    models = {"few": model(**limits), **(more or {})}
    return await serve({"first": proxy(up.url, "openai")}, models, {"few": list(more or {})})


def begun(served: Served, name: str = "few", **more: Any) -> "asyncio.Task[Got]":
    return asyncio.create_task(served.chat(name, **more))


async def test_a_call_waits_for_its_turn(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, concurrency=1, wait=200)
    gate = up.gate("m")
    first, second = begun(served), begun(served)
    await up.received(1)
    await until(lambda: served.network.slots.waiting == 1)
    assert len(up.calls("m")) == 1
    await gate.open()
    assert [(await call).status for call in (first, second)] == [200, 200]


async def test_where_no_turn_comes_the_answer_is_429_and_nothing_rests(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, concurrency=1, wait=1)
    gate = up.gate("m")
    first = begun(served)
    await up.received(1)
    refused = await served.chat("few")
    assert refused.status == 429
    assert refused.json["error"]["code"] == "rate_limit_exceeded"
    assert "every slot of model few is taken (its limits.concurrency is 1)" in refused.json["error"]["message"]
    assert int(refused.headers["retry-after"]) >= 1
    await gate.open()
    assert (await first).status == 200
    assert (await served.chat("few")).status == 200
    assert [row["outcome"] for row in await served.recorded(3)].count("ok") == 2
    assert served.network.gateway.health.snapshot() == {}


async def test_where_no_turn_comes_the_next_model_answers(up: ScriptedUpstream, serve: Serve) -> None:
    other = {"proxy": "first", "upstream": "ok"}
    served = await limited(serve, up, {"other": other}, concurrency=1, wait=0)
    up.gate("m")
    first = begun(served)
    await up.received(1, "m")
    instead = await served.chat("few")
    assert (instead.status, instead.headers["x-chitty-served-by"]) == (200, "other")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_frees_its_slot(up: ScriptedUpstream, serve: Serve, stream: bool) -> None:
    served = await limited(serve, up, concurrency=1, wait=0)
    gate = up.gate("m")
    wire = await served.connect()
    wire.send("POST", "/v1/chat/completions", {"model": "few", "messages": HELLO, "stream": stream})
    request = await up.received(1)
    if stream:
        await gate.release(3)
        assert (await wire.head()).status == 200
    assert (await served.chat("few")).status == 429
    wire.close()
    await asyncio.wait_for(request.ended(), 5)
    await gate.open()
    assert (await served.chat("few")).status == 200


async def test_a_client_that_leaves_while_it_waits_takes_no_slot(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, concurrency=1, wait=200)
    gate = up.gate("m")
    first = begun(served)
    await up.received(1)
    wire = await served.connect()
    wire.send("POST", "/v1/chat/completions", {"model": "few", "messages": HELLO})
    await until(lambda: served.network.slots.waiting == 1)
    wire.close()
    await until(lambda: served.network.slots.waiting == 0)
    await gate.open()
    assert (await first).status == 200
    assert (await served.chat("few")).status == 200
    assert len(up.calls("m")) == 2


async def test_a_stream_holds_its_slot_until_its_end(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, concurrency=1, wait=0)
    gate = up.gate("m")
    stream = begun(served, stream=True)
    await up.received(1)
    await gate.release(5)
    await gate.reached(5)
    assert (await served.chat("few")).status == 429
    await gate.open()
    assert (await stream).status == 200
    assert (await served.chat("few")).status == 200


async def test_a_failed_attempt_frees_its_slot(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, concurrency=1, wait=0)
    up.script("m", ["400-bad-field", "s03-500", "ok"])
    assert [(await served.chat("few")).status for _ in range(3)] == [400, 200, 200]


async def test_a_limit_of_a_provider_counts_all_its_models(up: ScriptedUpstream, serve: Serve) -> None:
    limits = {"concurrency": 1, "wait": 0}
    models = {name: {"proxy": "first", "upstream": name} for name in ("one", "two")}
    served = await serve({"first": proxy(up.url, "openai", limits=limits)}, models)
    gate = up.gate("one")
    first = begun(served, "one")
    await up.received(1)
    refused = await served.chat("two")
    assert (refused.status, "provider first" in refused.json["error"]["message"]) == (429, True)
    await gate.open()
    assert (await first).status == 200
    assert (await served.chat("two")).status == 200


async def test_another_name_of_the_model_shares_its_limits(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, concurrency=1, wait=0)
    up.gate("m")
    first = begun(served)
    await up.received(1)
    assert (await served.chat("first/few")).status == 429
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_requests_per_minute(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, rpm=3, wait=0)
    gots = [await served.chat("few") for _ in range(4)]
    assert [got.status for got in gots] == [200, 200, 200, 429]
    assert "model few may have 3 requests per minute" in gots[3].json["error"]["message"]
    assert 1 <= int(gots[3].headers["retry-after"]) <= 60
    assert len(up.calls("m")) == 3


async def test_tokens_per_minute_are_those_that_were_used(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, tpm=1000, wait=0)
    # Each may take 500 and takes 57: seventeen in, forty out.
    gots = [await served.chat("few", max_tokens=500) for _ in range(20)]
    statuses = [got.status for got in gots]
    assert statuses == sorted(statuses)
    assert 8 <= statuses.count(200) <= 9


async def test_a_call_larger_than_a_minutes_tokens_is_not_refused_for_ever(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, tpm=100, wait=0)
    assert (await served.chat("few", max_tokens=5000)).status == 200


async def test_a_full_model_is_worth_waiting_for_where_the_others_cannot(up: ScriptedUpstream, serve: Serve) -> None:
    small = {"proxy": "first", "upstream": "400-context"}
    up.script("400-context", [Scenario(does="", fault="context")])
    served = await limited(serve, up, {"small": small}, concurrency=1, wait=0)
    up.gate("m")
    first = begun(served)
    await up.received(1)
    assert (await served.chat("few")).status == 429
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_an_edited_limit_counts_for_the_next_call(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, concurrency=1, wait=0)
    gate = up.gate("m")
    first = begun(served)
    await up.received(1)
    assert (await served.chat("few")).status == 429
    models = {"models": {"few": model(concurrency=2, wait=0)}}
    write_config(served.folder, config({"first": proxy(up.url, "openai")}), models)
    await served.network.reload()
    second = begun(served)
    await up.received(2)
    await gate.open()
    assert [(await call).status for call in (first, second)] == [200, 200]


async def test_the_owner_sees_limits_and_what_is_taken_of_them(up: ScriptedUpstream, serve: Serve) -> None:
    served = await limited(serve, up, concurrency=4, rpm=100)
    gate = up.gate("m")
    calls = [begun(served), begun(served)]
    await up.received(2)
    rows = (await served.fetch("GET", "/api/v1/models")).json
    (row,) = [row for row in rows if row["name"] == "few"]
    assert row["limits"] == [{"scope": "model:few", "concurrency": 4, "held": 2, "rpm": 100, "tpm": None}]
    await gate.open()
    await asyncio.gather(*calls)


class Counting(Upstream):
    """Knows how many calls were open at once."""

    open_now = most = 0

    async def _answer(self, request: Recorded, connection: Connection) -> None:
        self.open_now += 1
        self.most = max(self.most, self.open_now)
        try:
            await super()._answer(request, connection)
        finally:
            self.open_now -= 1


async def chat(server: Process, name: str = "few") -> Got:
    return await fetch(server.port, "POST", "/v1/chat/completions", {"model": name, "messages": HELLO})


def configure(processes: Processes, up: ScriptedUpstream, **limits: Any) -> None:
    write_config(processes.config, config({"first": proxy(up.url, "openai")}), {"models": {"few": model(**limits)}})


async def test_two_processes_keep_one_limit_and_share_it(processes: Processes) -> None:
    async with Counting(speed=1 / PACE) as up:
        configure(processes, up, concurrency=3, wait=60)
        up.script("m", [Scenario(does="", wait=0.3)])
        one, two = await asyncio.gather(processes.serve(), processes.serve())
        calls = [asyncio.create_task(chat(server)) for server in (one, two) for _ in range(60)]
        gots = await asyncio.gather(*calls)
        assert {got.status for got in gots} == {200}
        assert up.most == 3
        assert len(up.calls("m")) == 120


async def test_a_killed_process_leaves_its_slots_to_the_other(processes: Processes) -> None:
    async with Counting(speed=1 / PACE) as up:
        configure(processes, up, concurrency=2, wait=0.5)
        dying, living = await asyncio.gather(processes.serve(), processes.serve())
        gate = up.gate("m")
        lost = [asyncio.create_task(chat(dying)) for _ in range(2)]
        await up.received(2)
        assert (await chat(living)).status == 429
        dying.process.kill()
        await asyncio.gather(*lost, return_exceptions=True)
        assert (await chat(living)).status == 429  # nobody knows yet that it is dead
        with sqlite3.connect(processes.database) as database:  # thirty seconds later
            (held,) = database.execute("SELECT SUM(held) FROM slots").fetchone()
            database.execute("UPDATE slots SET expires = expires - 30")
        assert held == 2
        calls = [asyncio.create_task(chat(living)) for _ in range(2)]
        await up.received(4)
        await gate.open()
        await finished(calls, 2)
        assert [call.result().status for call in calls] == [200, 200]


async def test_a_process_that_ends_leaves_no_slot_behind(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up, concurrency=2)
    server = await processes.serve()
    assert (await chat(server)).status == 200
    server.process.terminate()
    assert await server.end() == 0
    with sqlite3.connect(processes.database) as database:
        assert database.execute("SELECT COUNT(*) FROM slots").fetchone() == (0,)
