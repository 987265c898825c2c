"""Another models.json, tried on the calls that really happened."""

from typing import Any

from bare_http import Got, Json
from chittycan.auth.admin import read_or_create
from chittycan.testing.upstream import ScriptedUpstream
from serving import Serve, Served, proxy

BIG = {"proxy": "one", "upstream": "ok", "price": {"input": 1000, "output": 2000}}
SMALL = {"proxy": "two", "upstream": "ok", "price": {"input": 10, "output": 20}}
FILE: Json = {"models": {"big": BIG, "small": SMALL}, "assignments": {"code": "big"}, "fallbacks": {"*": ["big"]}}
COST = (17 * 1000 + 40 * 2000) / 1e6  # of one plain answer of `big`


async def worked(serve: Serve, up: ScriptedUpstream) -> Served:
    """Three calls for code and one that names its model."""
    proxies = {"one": proxy(up.url, "openai"), "two": proxy(up.url, "openai", "sk-two")}
    office = await serve(proxies, FILE["models"], FILE["fallbacks"], FILE["assignments"])
    for _ in range(3):
        await office.chat("auto", headers={"x-chitty-kind": "code"})
    await office.chat("small")
    return office


async def simulate(office: Served, file: Json) -> Got:
    headers = {"authorization": f"Bearer {read_or_create(office.network.data)}"}
    return await office.fetch("POST", "/api/v1/simulate", {"models": file, "since": "24h"}, headers)


async def test_the_same_file_changes_nothing(serve: Serve, up: ScriptedUpstream) -> None:
    office = await worked(serve, up)
    asked = len(up.requests)
    found = (await simulate(office, FILE)).json
    assert (found["requests"], found["changes"], found["left"]) == (4, [], {})
    assert found["now"] == found["then"]
    assert found["now"]["answered_share"] == 1.0
    assert len(up.requests) == asked  # nobody was asked again


async def test_another_assignment_changes_choices_and_cost(serve: Serve, up: ScriptedUpstream) -> None:
    office = await worked(serve, up)
    found = (await simulate(office, FILE | {"assignments": {"code": "small"}})).json
    (change,) = found["changes"]
    assert (change["before"], change["after"], change["count"]) == ("big", "small", 3)
    assert round(change["cost_usd"], 9) == round(-3 * COST * 0.99, 9)
    assert (found["now"]["models"], found["then"]["models"]) == ({"big": 3.0, "small": 1.0}, {"small": 4.0})
    assert round(found["then"]["cost_usd"], 9) == round(4 * COST / 100, 9)
    assert found["then"]["untried"] == 0


async def test_a_model_that_is_gone_answers_nobody(serve: Serve, up: ScriptedUpstream) -> None:
    office = await worked(serve, up)
    found = (await simulate(office, FILE | {"models": {"big": BIG}})).json
    (change,) = found["changes"]
    assert (change["before"], change["after"], change["count"]) == ("small", None, 1)
    assert "does not exist" in change["why"]
    assert (found["now"]["answered_share"], found["then"]["answered_share"]) == (1.0, 0.75)


async def test_what_is_wrong_with_the_file_is_said_as_always(serve: Serve, up: ScriptedUpstream) -> None:
    office = await worked(serve, up)
    wrong = await simulate(office, {"models": {"big": BIG | {"contextWindow": "large"}}})
    assert wrong.status == 400
    assert "models.big.contextWindow" in wrong.json["error"]["message"]
    odd = (await simulate(office, FILE | {"fallbacks": {"big": ["smal"]}})).json
    assert any("smal" in warning for warning in odd["warnings"])


async def test_it_is_for_the_owner(serve: Serve, up: ScriptedUpstream) -> None:
    office = await worked(serve, up)
    key = await office.key()
    fields: Any = {"models": FILE}
    got = await office.fetch("POST", "/api/v1/simulate", fields, {"authorization": f"Bearer {key}"})
    assert got.status == 403
