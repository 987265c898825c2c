"""A budget that runs out is told once: in the log, in the metrics, by a webhook, by the doctor."""

import asyncio
import json
import logging
from typing import Any

import openai
import pytest

from bare_http import Json, fetch
from chittycan.gateway.admission import total_caps
from chittycan.integrations.webhooks import new_secret
from chittycan.testing.upstream import ScriptedUpstream
from peers import HttpPeer
from serving import PATIENCE, Processes, Serve, Served, config, proxy, until, write_config

SECRET = new_secret()
COST = (17 * 1000 + 40 * 2000) / 1e6  # of one plain answer
MODEL: Json = {"dear": {"proxy": "first", "upstream": "ok", "price": {"input": 1000, "output": 2000}}}


def alarms(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record.fields for record in caplog.records if record.getMessage() == "budget_alarm"]  # type: ignore[attr-defined]


async def office(serve: Serve, up: ScriptedUpstream, **sections: Any) -> Served:
    return await serve({"first": proxy(up.url, "openai")}, MODEL, **sections)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    logging.getLogger("chittycan").propagate = True
    caplog.set_level(logging.WARNING, logger="chittycan")
    return caplog


async def test_an_alarm_is_given_once_for_each_share(
    serve: Serve, up: ScriptedUpstream, said: pytest.LogCaptureFixture
) -> None:
    served = await office(serve, up, budgets={"day": 4 * COST, "alarm": [0.25, 0.5, 1]})
    await served.chat("dear", max_tokens=40)
    await until(lambda: len(alarms(said)) == 1)
    assert (alarms(said)[0]["share"], alarms(said)[0]["period"]) == (0.25, "day")
    assert alarms(said)[0]["spent_usd"] == pytest.approx(COST)
    for _ in range(2):
        await served.chat("dear", max_tokens=40)
    await until(lambda: len(alarms(said)) == 2)
    assert alarms(said)[1]["share"] == 0.5
    await served.network.budgets.look()
    assert len(alarms(said)) == 2
    metrics = (await served.fetch("GET", "/metrics")).body.decode()
    assert 'chitty_budget_spent{budget="all keys together",period="day"} 0.75' in metrics


async def test_a_budget_that_is_raised_is_another_one(
    serve: Serve, up: ScriptedUpstream, said: pytest.LogCaptureFixture
) -> None:
    served = await office(serve, up, budgets={"day": 2 * COST, "alarm": [0.5]})
    await served.chat("dear", max_tokens=40)
    await until(lambda: len(alarms(said)) == 1)
    served.network.admission.totals = total_caps(round(6 * COST * 1e9), None)
    await served.chat("dear", max_tokens=40)
    await served.network.budgets.look()
    assert len(alarms(said)) == 1
    await served.chat("dear", max_tokens=40)
    await until(lambda: len(alarms(said)) == 2)
    assert alarms(said)[1]["budget_usd"] == pytest.approx(6 * COST)
    await served.network.budgets.look()
    assert len(alarms(said)) == 2


async def test_a_keys_budget_that_refuses_calls_is_used_up(
    serve: Serve, up: ScriptedUpstream, said: pytest.LogCaptureFixture
) -> None:
    served = await office(serve, up, budgets={"alarm": [1]})
    secret = await served.key("laptop", budget=f"{COST * 10.6:.6f}/day")
    headers = {"authorization": f"Bearer {secret}"}
    for _ in range(10):
        assert (await served.chat("dear", headers=headers, max_tokens=40)).status == 200
    assert (await served.chat("dear", headers=headers, max_tokens=40)).status == 402
    await until(lambda: len(alarms(said)) == 1)
    (alarm,) = alarms(said)
    assert (alarm["share"], alarm["refusing"], "laptop" in alarm["budget"]) == (1.0, True, True)


async def test_who_subscribed_is_told_by_a_signed_webhook(
    serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer
) -> None:
    peer = await http_peer()
    hooks = [{"url": peer.url, "secret": SECRET}]
    served = await office(serve, up, budgets={"month": 1.2 * COST, "alarm": [0.2, 0.8]}, webhooks=hooks)
    await served.network.work()
    await served.chat("dear", max_tokens=40)
    async with asyncio.timeout(6 * PATIENCE):
        while not peer.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    event: Any = openai.OpenAI(api_key="any", webhook_secret=SECRET).webhooks.unwrap(body, headers)
    assert event.type == "budget.alarm"
    data = event.to_dict()["data"]
    assert (data["period"], data["share"], data["budget_usd"], data["key"]) == ("month", 0.8, 1.2 * COST, None)
    assert len(peer.requests) == 1  # 20 % was reached by the same call, and needs no word of its own


async def test_several_processes_give_it_once(processes: Processes, up: ScriptedUpstream) -> None:
    sections: Json = {"budgets": {"day": 2 * COST, "alarm": [0.5]}}
    write_config(processes.config, config({"first": proxy(up.url, "openai")}, **sections), {"models": MODEL})
    first, second = await processes.serve(), await processes.serve()
    body = {"model": "dear", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 40}
    assert (await fetch(first.port, "POST", "/v1/chat/completions", body)).status == 200

    def given() -> list[str]:
        lines = f"{first.said}\n{second.said}".splitlines()
        return [line for line in lines if line and json.loads(line)["event"] == "budget_alarm"]

    async def seen(port: int) -> bool:
        return b'period="day"} 0.5' in (await fetch(port, "GET", "/metrics")).body

    async with asyncio.timeout(6 * PATIENCE):
        while not (given() and await seen(first.port) and await seen(second.port)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert len(given()) == 1
