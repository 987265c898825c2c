"""The control API: who may do what, what it answers, and that its document tells the truth."""

from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.control.table import OPERATIONS
from serving import Serve, Served, proxy


def owner(served: Served) -> dict[str, str]:
    """The headers of this machine's own command."""
    return {"authorization": f"Bearer {(served.network.data / 'admin.key').read_text().strip()}"}


@pytest.fixture
async def served(serve: Serve, up: Any) -> Served:
    """A gateway with two models of one provider."""
    price = {"input": 1000, "output": 1000}
    models = {
        name: {"proxy": "openai", "upstream": upstream, "price": price}
        for name, upstream in (("dear", "ok"), ("other", "ok-noprefill"))
    }
    return await serve({"openai": proxy(up.url, "openai", defaultModel="dear")}, models, {"dear": ["other"]})


async def test_a_request_is_found_by_its_id_with_its_cost(served: Served) -> None:
    answer = await served.chat("dear")
    usage = await served.fetch("GET", f"/api/v1/usage/{answer.headers['x-chitty-request-id']}")
    assert usage.status == 200
    assert usage.json["model"] == "dear"
    assert usage.json["cost_usd"] == pytest.approx(0.057)
    assert (usage.json["input"], usage.json["output"]) == (17, 40)
    assert [each["outcome"] for each in usage.json["attempts"]] == ["ok"]


async def test_a_request_says_whether_the_embedded_model_answered(served: Served) -> None:
    answer = await served.chat("dear")
    path, gateway = f"/api/v1/usage/{answer.headers['x-chitty-request-id']}", served.network.gateway
    assert (await served.fetch("GET", path)).json["embedded"] is False
    providers = {name: replace(each, embedded=True) for name, each in gateway.catalogue.providers.items()}
    gateway.catalogue = replace(gateway.catalogue, providers=providers)
    assert (await served.fetch("GET", path)).json["embedded"] is True


async def test_a_stream_is_found_too(served: Served) -> None:
    answer = await served.chat("dear", stream=True)
    usage = await served.fetch("GET", f"/api/v1/usage/{answer.headers['x-chitty-request-id']}")
    assert usage.json["cost_usd"] == pytest.approx(0.057)
    assert usage.json["first_token_ms"] > 0


async def test_an_unknown_request_is_404(served: Served) -> None:
    got = await served.fetch("GET", "/api/v1/usage/req_nobody")
    assert got.status == 404
    assert got.json["error"]["code"] == "not_found"


async def test_a_key_sees_its_own_work_only(served: Served) -> None:
    mine, theirs = await served.key("mine"), await served.key("theirs")
    bearer = {"authorization": f"Bearer {mine}"}
    await served.chat("dear", headers=bearer)
    other = await served.chat("dear", headers={"authorization": f"Bearer {theirs}"})
    usage = await served.fetch("GET", "/api/v1/usage", headers=bearer)
    assert [row["calls"] for row in usage.json] == [1]
    everything = await served.fetch("GET", "/api/v1/usage?by=key", headers=owner(served))
    assert [row["calls"] for row in everything.json] == [1, 1]
    foreign = await served.fetch("GET", f"/api/v1/usage/{other.headers['x-chitty-request-id']}", headers=bearer)
    assert foreign.status == 404
    agents = await served.fetch("GET", "/api/v1/analytics/routing", headers=bearer)
    assert agents.json["total_routed"] == 1


async def test_a_key_sees_the_models_that_it_may_call(served: Served) -> None:
    key = await served.key("narrow", models=("other",))
    got = await served.fetch("GET", "/api/v1/models", headers={"authorization": f"Bearer {key}"})
    assert [row["name"] for row in got.json] == ["other"]


@pytest.mark.parametrize("each", [each for each in OPERATIONS if each.owner], ids=lambda each: each.name)
async def test_what_changes_something_is_for_the_owner_alone(served: Served, each: Any) -> None:
    path = "/api/v1" + each.path.replace("{", "").replace("}", "")
    body = {"name": "x", "chain": ["dear"]} if each.at("field", "body") else None
    body = {name: value for name, value in (body or {}).items() if name in each.parameters} if body else None
    nobody = await served.fetch(each.method, path, body)
    assert (nobody.status, nobody.json["error"]["code"]) == (401, "invalid_api_key")
    key = {"authorization": f"Bearer {await served.key()}"}
    somebody = await served.fetch(each.method, path, body, key)
    assert (somebody.status, somebody.json["error"]["code"]) == (403, "forbidden")
    assert "owner" in somebody.json["error"]["message"]


async def test_from_the_first_key_on_reading_needs_one(served: Served) -> None:
    assert (await served.fetch("GET", "/api/v1/models")).status == 200
    await served.key()
    assert (await served.fetch("GET", "/api/v1/models")).status == 401
    assert (await served.fetch("GET", "/openapi.json")).status == 401
    assert (await served.fetch("GET", "/api/v1/models", headers=owner(served))).status == 200


async def test_a_foreign_page_may_not_even_read(served: Served) -> None:
    got = await served.fetch("GET", "/api/v1/models", headers={"origin": "https://evil.example"})
    assert got.status == 403
    got = await served.fetch("GET", "/api/v1/models", headers={"host": "evil.example"})
    assert got.status == 403


async def test_keys_are_made_used_and_revoked(served: Served) -> None:
    made = await served.fetch("POST", "/api/v1/keys", {"name": "x", "budget": "10/day"}, owner(served))
    assert (made.status, made.json["budget_day_usd"]) == (200, 10.0)
    bearer = {"authorization": f"Bearer {made.json['key']}"}
    assert (await served.chat("dear", headers=bearer)).status == 200
    listed = await served.fetch("GET", "/api/v1/keys", headers=owner(served))
    assert [(row["name"], row["spent_day_usd"]) for row in listed.json] == [("x", pytest.approx(0.057))]
    assert made.json["key"] not in listed.body.decode()
    assert (await served.fetch("DELETE", "/api/v1/keys/x", headers=owner(served))).status == 204
    assert (await served.chat("dear", headers=bearer)).status == 401


async def test_an_integration_is_usable_at_once(served: Served, up: Any) -> None:
    new = {"name": "mine", "endpoint": f"{up.url}/v1", "model": "echo"}
    added = await served.fetch("POST", "/api/v1/integrations", new, owner(served))
    assert (added.json["status"], added.json["default_model"]) == ("ready", "echo")
    assert (await served.chat("mine/echo")).status == 200
    probed = await served.fetch("POST", "/api/v1/integrations/test", {"names": ["mine"]}, owner(served))
    assert [row["success"] for row in probed.json] == [True]
    assert (await served.fetch("DELETE", "/api/v1/integrations/mine", headers=owner(served))).status == 204
    assert (await served.chat("mine/echo")).status == 404


async def test_a_test_without_a_body_asks_every_provider(served: Served, up: Any) -> None:
    probed = await served.fetch("POST", "/api/v1/models/test", None, owner(served))
    assert [row["model"] for row in probed.json] == ["dear"]


async def test_a_resting_model_is_seen_and_the_owners_test_wakes_it(serve: Serve, up: Any) -> None:
    served = await serve({"openai": proxy(up.url, "openai", defaultModel="m")}, {"m": {"proxy": "openai"}})
    up.script("m", ["s16-bad-key", "ok"])
    assert (await served.chat("m")).status == 502
    rows = {row["name"]: row for row in (await served.fetch("GET", "/api/v1/models")).json}
    assert (rows["m"]["status"], rows["m"]["why"]) == ("resting", "its key was refused")
    probed = await served.fetch("POST", "/api/v1/models/test", {"names": ["m"]}, owner(served))
    assert probed.json[0]["success"] is True
    assert (await served.chat("m")).status == 200


async def test_a_chain_is_read_and_written(served: Served) -> None:
    got = await served.fetch("GET", "/api/v1/models/fallback-chain?model=dear")
    assert (got.json["chain"], got.json["written"]) == (["dear", "other"], True)
    written = await served.fetch("PUT", "/api/v1/models/fallback-chain", {"chain": ["other"]}, owner(served))
    assert written.json["chain"] == ["other"]
    auto = await served.chat("auto")
    assert auto.headers["x-chitty-served-by"] == "other"


async def test_explain_says_who_would_answer(served: Served, up: Any) -> None:
    got = await served.fetch("POST", "/api/v1/explain", {"prompt": "hello", "model": "dear", "named_only": True})
    assert (got.json["chain"], got.json["route"]) == (["dear", "other"], "named")
    assert not up.requests
    key = {"authorization": f"Bearer {await served.key('narrow', models=('other',))}"}
    narrow = await served.fetch("POST", "/api/v1/explain", {"model": "dear"}, key)
    assert narrow.json["chain"] == ["other"]


async def test_status_and_circuits(served: Served) -> None:
    status = await served.fetch("GET", "/api/v1/status", headers=owner(served))
    assert (status.json["providers"], status.json["config_error"]) == (["openai"], None)
    assert (await served.fetch("GET", "/api/v1/circuits")).json == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("POST", "/api/v1/keys", b"", 400, "body"),
        ("POST", "/api/v1/keys", {"budget": "1/day"}, 400, "name"),
        ("POST", "/api/v1/keys", {"name": "x", "bugdet": "1/day"}, 400, "bugdet"),
        ("POST", "/api/v1/keys", {"name": 3}, 400, "name"),
        ("POST", "/api/v1/keys", b'{"name": "x", "name": "y"}', 400, None),
        ("POST", "/api/v1/keys", b'{"name": NaN}', 400, None),
        ("POST", "/api/v1/keys", b'{"name": "x", "cache": ' + b"[" * 10_000, 400, None),
        ("POST", "/api/v1/keys", {"name": "x", "budget": "ten"}, 400, None),
        ("GET", "/api/v1/usage?by=colour", None, 400, "by"),
        ("GET", "/api/v1/usage?since=long", None, 400, None),
        ("GET", "/api/v1/nothing", None, 404, None),
        ("DELETE", "/api/v1/usage", None, 405, None),
        ("DELETE", "/api/v1/keys/nobody", None, 404, None),
    ],
)
async def test_bad_input_is_named(
    served: Served, method: str, path: str, body: Any, status: int, param: str | None
) -> None:
    got = await served.fetch(method, path, body, owner(served))
    assert got.status == status
    assert set(got.json["error"]) >= {"message", "type", "code", "param", "fix"}
    if param is not None:
        assert got.json["error"]["param"] == param


async def test_any_content_type_is_json(served: Served) -> None:
    headers = owner(served) | {"content-type": "application/x-www-form-urlencoded"}
    got = await served.fetch("POST", "/api/v1/keys", {"name": "curl"}, headers)
    assert got.status == 200


async def test_the_document_describes_what_there_is(served: Served) -> None:
    document = (await served.fetch("GET", "/openapi.json")).json
    for each in OPERATIONS:
        entry = document["paths"]["/api/v1" + each.path][each.method.lower()]
        assert entry["summary"]
        key: list[Any] = [{"key": []}]
        assert entry["security"] == ([] if each.open else key if each.owner else [*key, {}])
    for name in _references(document):
        assert name in document["components"]["schemas"]
    usage = document["components"]["schemas"]["RequestUsage"]["properties"]
    answer = await served.chat("dear")
    found = await served.fetch("GET", f"/api/v1/usage/{answer.headers['x-chitty-request-id']}")
    assert set(usage) == set(found.json)


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()
