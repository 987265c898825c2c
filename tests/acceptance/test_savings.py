"""What was saved, over HTTP: from real calls, with what was said of the answers."""

import json
from typing import Any

from bare_http import Json
from chittycan.testing.upstream import ScriptedUpstream
from serving import Serve, Served, proxy

USAGE = (17, 40)  # tokens of one plain answer


def models(**more: Json) -> Json:
    return {
        "big": {"proxy": "one", "upstream": "ok", "price": {"input": 1000, "output": 2000}},
        "small": {"proxy": "two", "upstream": "ok", "price": {"input": 10, "output": 20}},
        **more,
    }


def cost(given: float, written: float) -> float:
    return (USAGE[0] * given + USAGE[1] * written) / 1e6


async def served(serve: Serve, up: ScriptedUpstream, **more: Any) -> Served:
    proxies = {"one": proxy(up.url, "openai"), "two": proxy(up.url, "openai", "sk-two")}
    return await serve(proxies, models(**more.pop("models", {})), **more)


async def savings(office: Served, query: str = "", key: str | None = None) -> Any:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return (await office.fetch("GET", f"/api/v1/savings{query}", headers=headers)).json


async def test_what_was_saved_stands_beside_what_was_said_of_the_answers(serve: Serve, up: ScriptedUpstream) -> None:
    office = await served(serve, up)
    for model in ("small", "small", "small", "big"):
        answer = await office.chat(model, headers={"x-chitty-kind": "code"})
        score = 1 if model == "big" else 0.5
        fields = {"request_id": answer.headers["x-chitty-request-id"], "score": score}
        await office.fetch("POST", "/api/v1/feedback", fields)
    found = await savings(office)
    assert found["answers"] == 4
    assert found["cost_usd"] == round(3 * cost(10, 20) + cost(1000, 2000), 9)
    assert (found["baseline"]["model"], found["baseline"]["cost_usd"]) == ("big", round(4 * cost(1000, 2000), 9))
    assert found["baseline"]["quality"] == {"mean": 1.0, "scored": 1}
    assert (found["best_cheap"]["model"], found["best_cheap"]["quality"]["mean"]) == ("small", 0.5)
    assert found["best_cheap"]["saved_usd"] < 0  # the best cheap model alone would have cost less still
    assert found["quality"] == {"mean": 0.625, "scored": 4}
    (code,) = found["kinds"]
    assert (code["name"], code["quality"]["scored"], code["baseline_quality"]["mean"]) == ("code", 4, 1.0)


async def test_the_baseline_of_the_configuration_and_that_of_the_caller(serve: Serve, up: ScriptedUpstream) -> None:
    office = await served(serve, up, models={"never": {"proxy": "one", "price": {"input": 1, "output": 1}}})
    await office.chat("small")
    assert (await savings(office))["baseline"]["model"] == "small"
    assert (await savings(office, "?baseline=never"))["baseline"]["cost_usd"] == 57 / 1e6
    # A vendor's model can be compared with before there is a key for it.
    found = await savings(office, "?baseline=gpt-4")
    assert found["baseline"]["cost_usd"] > found["cost_usd"]
    unknown = await office.fetch("GET", "/api/v1/savings?baseline=smal")
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "model_not_found")
    assert "small" in json.dumps(unknown.json)


async def test_a_failed_attempts_cost_is_included_and_cache_hits_stand_apart(
    serve: Serve, up: ScriptedUpstream
) -> None:
    office = await served(serve, up, fallbacks={"broken": ["small"]}, models={
        "broken": {"proxy": "one", "upstream": "s03-500", "price": {"input": 1000, "output": 2000}}
    })  # fmt: skip
    assert (await office.chat("broken")).status == 200
    for _ in range(3):
        await office.chat("small", headers={"x-chitty-cache": "true"})
    found = await savings(office, "?baseline=big")
    assert (found["answers"], found["cache_hits"]) == (2, 2)
    assert found["cache_usd"] == round(2 * cost(10, 20), 9)
    assert [line["name"] for line in found["models"]] == ["small"]


async def test_a_key_sees_its_own(serve: Serve, up: ScriptedUpstream) -> None:
    office = await served(serve, up)
    mine, others = await office.key("mine"), await office.key("others")
    await office.chat("small", headers={"authorization": f"Bearer {mine}"})
    assert (await savings(office, key=mine))["answers"] == 1
    assert (await savings(office, key=others))["answers"] == 0


async def test_what_was_asked_for_is_in_the_ledger(serve: Serve, up: ScriptedUpstream) -> None:
    office = await served(serve, up, fallbacks={"*": ["small"]}, models={
        "europe": {"proxy": "one", "upstream": "ok", "regions": ["eu-west"]}
    })  # fmt: skip
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    await office.chat("auto", tools=[tool])
    await office.chat("europe", headers={"x-chitty-region": "eu-west"})
    await office.chat("small")
    rows = await office.recorded(3)
    assert [(row["asked"], row["label"], row["needs"]) for row in rows] == [
        ("auto", "public", "tools"),
        ("europe", "public", "region=eu-west"),
        ("small", "public", None),
    ]
