"""Several models, one answer: through a real server, in every dialect, with members that fail."""

import asyncio
import json
from typing import Any

import openai
import pytest

from bare_http import Json
from chittycan.testing import Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from serving import DIALECTS, SURFACES, Serve, Served, proxy, until

PRICE = {"input": 1000, "output": 2000}  # a thousandth and two thousandths of a dollar per token
ONE_WORD = 17 * 1_000_000 + 1 * 2_000_000  # nano-dollars of an answer of one word


def says(up: ScriptedUpstream, model: str, text: str, **more: Any) -> None:
    up.script(model, [Scenario(does=f"says {text}", reply=Reply(text=text), **more)])


ENSEMBLES: Json = {
    "risk": {"models": ["seven", "eight", "nine"], "mode": "median", "extract": "number"},
    "vote": {"models": ["seven", "sevens", "nine"], "mode": "vote", "extract": "number"},
    "cheap": {"models": ["seven", "sevens", "nine"], "extract": "number"},
    "torn": {"models": ["seven", "eight", "nine"], "extract": "number"},
    "failing": {"models": ["seven", "broken", "nine"], "mode": "mean", "extract": "number"},
    "failed": {"models": ["seven", "broken"], "mode": "vote", "extract": "number"},
    "slow": {"models": ["seven", "sevens", "hanging"], "mode": "vote", "extract": "number", "timeout": 40},
    "judged": {"models": ["seven", "eight"], "mode": "judge", "judge": "judge"},
    "fused": {"models": ["seven", "eight"], "mode": "fuse", "judge": "nine"},
    "whole": {"models": ["object", "objects"], "mode": "median", "extract": "json:risk"},
    "poor": {"models": ["seven", "eight", "grand"], "extract": "number", "budget": 4.5},
    "odd": {"models": ["seven", "ensemble:risk"]},
}


@pytest.fixture
async def served(up: ScriptedUpstream, serve: Serve) -> Served:
    words = {"seven": "7", "sevens": "**Answer:** 7/10", "eight": "8", "nine": "9", "judge": "Answer: A"}
    for name, text in words.items():
        says(up, name, text)
    says(up, "object", '{"risk": 4, "why": "clause"}')
    says(up, "objects", '```json\n{"risk": 6, "why": "term"}\n```')
    homes = ["first", "second"]
    models: Json = {
        name: {"proxy": homes[place % 2], "upstream": name, "price": PRICE}
        for place, name in enumerate([*words, "object", "objects"])
    }
    models["grand"] = {"proxy": "first", "upstream": "nine", "price": {"input": 3000, "output": 6000}}
    models["broken"] = {"proxy": "first", "upstream": "s03-500", "price": PRICE}
    models["hanging"] = {"proxy": "second", "upstream": "s04-hang", "price": PRICE}
    proxies = {"first": proxy(up.url, "openai"), "second": proxy(up.url, "anthropic", "sk-second")}
    return await serve(proxies, models, ensembles=ENSEMBLES)


async def posted(served: Served, body: Json, secret: str | None = None) -> Any:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    return await served.fetch("POST", "/api/v1/ensembles", body, headers)


# any client


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_any_client_gets_one_answer(up: ScriptedUpstream, served: Served, surface: str, stream: bool) -> None:
    seen = await served.clients().ask(surface, "ensemble:risk", stream=stream)
    assert seen.error is None
    assert (seen.text, seen.model) == ("8", "ensemble:risk")
    assert seen.finish in ("stop", "end_turn", "completed")
    assert seen.headers["x-chitty-served-by"] == "ensemble:risk"
    assert seen.headers["x-chitty-route"] == "median:median:1/3"
    assert seen.headers["x-chitty-attempts"] == "3"
    spent = seen.usage.prompt_tokens if surface == "openai" else seen.usage.input_tokens
    assert spent == 3 * 17
    if not stream:
        assert float(seen.headers["x-chitty-cost-usd"]) == pytest.approx(3 * ONE_WORD / 1e9)
    assert sorted(request.json["model"] for request in up.requests) == ["eight", "nine", "seven"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_members_speak_any_dialect(up: ScriptedUpstream, serve: Serve, dialect: str) -> None:
    for name in ("one", "two"):
        says(up, name, "Answer: Paris.")
    models = {name: {"proxy": "home", "upstream": name} for name in ("one", "two")}
    served = await serve({"home": proxy(up.url, dialect)}, models, ensembles={"e": {"models": ["one", "two"]}})
    seen = await served.clients().ask("openai", "ensemble:e", stream=True)
    assert seen.text == "Answer: Paris."
    assert seen.headers["x-chitty-route"] == "cascade:agreement:2/2"


async def test_ensembles_are_listed_like_models(served: Served) -> None:
    listed = [model.id async for model in served.clients().gpt.models.list()]
    assert "ensemble:risk" in listed
    assert "ensemble:odd" not in listed
    found = await served.clients().gpt.models.retrieve("ensemble:risk")
    assert found.owned_by == "chittycan"


async def test_an_unknown_ensemble_is_an_unknown_model_with_a_suggestion(served: Served) -> None:
    got = await served.chat("ensemble:rsk")
    assert got.status == 404
    assert got.json["error"]["code"] == "model_not_found"
    assert "ensemble:risk" in got.body.decode()
    assert (await served.clients().ask("anthropic", "ensemble:none", stream=True)).status == 404


async def test_an_ensemble_within_an_ensemble_says_what_is_wrong(served: Served) -> None:
    got = await served.chat("ensemble:odd")
    assert got.status == 404
    assert "ensemble:risk is an ensemble itself" in got.json["error"]["message"]
    assert any("ensembles.odd.models" in each for each in served.network.gateway.catalogue.warnings)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "tools"),
        ({"n": 2}, "n"),
        ({"chitty": {"models": ["seven"]}}, "models"),
    ],
)
async def test_what_several_cannot_do_together_is_refused(served: Served, more: Json, param: str) -> None:
    got = await served.chat("ensemble:risk", **more)
    assert got.status == 400
    assert got.json["error"]["param"] == param


async def test_a_kind_of_task_may_be_assigned_to_an_ensemble(up: ScriptedUpstream, serve: Serve) -> None:
    for name in ("one", "two"):
        says(up, name, "yes")
    models = {name: {"proxy": "home", "upstream": name} for name in ("one", "two")}
    written = {"e": {"models": ["one", "two"]}}
    served = await serve(
        {"home": proxy(up.url, "openai")}, models, None, {"contract.risk": "ensemble:e"}, ensembles=written
    )
    assert (await served.chat("contract.risk")).headers["x-chitty-served-by"] == "ensemble:e"
    got = await served.chat("auto", chitty={"kind": "contract.risk"})
    assert got.headers["x-chitty-served-by"] == "ensemble:e"


async def test_an_edit_of_models_json_counts_at_once(served: Served) -> None:
    file = served.folder / "models.json"
    written = json.loads(file.read_text())
    written["ensembles"]["risk"]["mode"] = "mean"
    written["ensembles"]["new"] = {"models": ["seven", "nine"], "mode": "mean"}
    file.write_text(json.dumps(written))
    await served.network.reload()
    assert (await served.chat("ensemble:new")).json["choices"][0]["message"]["content"] == "8"
    assert (await served.chat("ensemble:risk")).headers["x-chitty-route"].startswith("mean:")


# who decides


async def test_a_cascade_asks_the_strong_model_only_where_the_cheap_ones_differ(
    up: ScriptedUpstream, served: Served
) -> None:
    got = await served.chat("ensemble:cheap")
    assert got.headers["x-chitty-route"] == "cascade:agreement:2/2"
    assert {request.json["model"] for request in up.requests} == {"seven", "sevens"}
    up.requests.clear()
    got = await served.chat("ensemble:torn")
    assert got.json["choices"][0]["message"]["content"] == "9"
    assert got.headers["x-chitty-route"] == "cascade:strong:1/3"
    assert {request.json["model"] for request in up.requests} == {"seven", "eight", "nine"}


async def test_a_judge_sees_no_names_and_only_quoted_answers(up: ScriptedUpstream, served: Served) -> None:
    got = await served.chat("ensemble:judged")
    (asked,) = [request.json for request in up.requests if request.json["model"] == "judge"]
    data = json.loads(asked["messages"][-1]["content"])
    assert data["conversation"] == "user: Hello"
    assert set(data["answers"].values()) == {"7", "8"}
    assert got.json["choices"][0]["message"]["content"] == data["answers"]["A"]
    assert "seven" not in json.dumps(asked)
    assert got.headers["x-chitty-route"].startswith("judge:judge:")


async def test_the_fuser_gets_the_conversation_and_the_drafts(up: ScriptedUpstream, served: Served) -> None:
    got = await served.chat("ensemble:fused")
    (asked,) = [request.json for request in up.requests if request.json["model"] == "nine"]
    said = json.dumps(asked["messages"])
    assert "Hello" in said
    assert '[\\"7\\", \\"8\\"]' in said or '[\\"8\\", \\"7\\"]' in said
    assert got.json["choices"][0]["message"]["content"] == "9"


async def test_a_value_inside_json_comes_in_its_whole_object(served: Served) -> None:
    got = await served.chat("ensemble:whole")
    answer = json.loads(got.json["choices"][0]["message"]["content"])
    assert answer["risk"] == 5
    assert answer["why"] in ("clause", "term")


# members that fail


async def test_a_member_that_fails_abstains(served: Served) -> None:
    got = await posted(served, {"prompt": "Rate it", "name": "failing"})
    assert got.status == 200, got.body
    assert (got.json["text"], got.json["value"], got.json["model"]) == ("8", 8, "ensemble:failing")
    broken = next(each for each in got.json["members"] if each["model"] == "broken")
    assert broken["error"]
    assert broken["value"] is None
    assert got.json["cost_usd"] == pytest.approx(2 * ONE_WORD / 1e9)


async def test_too_few_answers_are_an_error_that_says_who_failed_and_why(served: Served) -> None:
    for stream in (False, True):
        got = await served.chat("ensemble:failed", stream=stream)
        assert got.status == 502
        error = got.json["error"]
        assert error["code"] == "ensemble_quorum_missed"
        assert "1 of 2" in error["message"]
        assert "broken" in error["message"]
        assert {attempt["model"] for attempt in error["attempts"]} == {"broken"}


async def test_a_straggler_is_stopped_and_abstains(up: ScriptedUpstream, served: Served) -> None:
    got = await posted(served, {"prompt": "Rate it", "name": "slow"})
    assert got.json["text"] == "7"
    (hanging,) = [each for each in got.json["members"] if each["model"] == "hanging"]
    assert hanging["error"] == "no answer within 40 s"
    (request,) = up.calls("s04-hang")
    await until(lambda: request.closed_at is not None)
    outcomes = {row["model"]: row["outcome"] for row in await served.recorded(3)}
    assert outcomes == {"seven": "ok", "sevens": "ok", "hanging": "cancelled"}


async def test_a_client_that_leaves_stops_every_member(up: ScriptedUpstream, served: Served) -> None:
    gate_one, gate_two = up.gate("seven"), up.gate("eight")
    call = asyncio.create_task(served.chat("ensemble:torn"))
    await up.received(2)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await until(lambda: all(request.closed_at is not None for request in up.requests))
    rows = await served.recorded(2)
    assert [row["outcome"] for row in rows] == ["cancelled", "cancelled"]
    await gate_one.open()
    await gate_two.open()


async def test_a_slow_member_keeps_the_stream_alive(
    up: ScriptedUpstream, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chittycan.api.inference.HOLD_SECONDS", 0.02)
    gate, clients = up.gate("seven"), served.clients()
    stream = asyncio.create_task(clients.ask("openai", "ensemble:risk", stream=True))
    await until(lambda: b": keepalive" in clients.tape)
    await gate.open()
    assert (await stream).text == "8"


# money, keys, privacy


async def test_the_ledger_has_a_row_per_member_and_usage_adds_them_up(served: Served) -> None:
    got = await served.chat("ensemble:risk")
    request_id = got.headers["x-chitty-request-id"]
    rows = await served.recorded(3)
    assert {row["request_id"] for row in rows} == {f"{request_id}_{number}" for number in (1, 2, 3)}
    assert {(row["task"], row["decision"]) for row in rows} == {(request_id, "ensemble:risk")}
    usage = await served.fetch("GET", f"/api/v1/usage/{request_id}")
    assert usage.json["cost_usd"] == pytest.approx(3 * ONE_WORD / 1e9)
    assert (usage.json["model"], usage.json["outcome"], len(usage.json["attempts"])) == ("ensemble:risk", "ok", 3)


async def test_the_strong_model_is_not_asked_where_the_budget_does_not_cover_it(
    up: ScriptedUpstream, served: Served
) -> None:
    got = await posted(served, {"prompt": "Hello", "name": "poor"})  # the cheap ones may cost 4.2 dollars, it 6.2
    assert (got.json["text"], got.json["decided_by"], got.json["agreement"]) == ("8", "tie", 0.5)
    assert [each["model"] for each in got.json["members"] if each["error"]] == ["grand"]
    assert "of the budget is left" in got.json["members"][-1]["error"]
    assert "nine" not in {request.json["model"] for request in up.requests}
    up.requests.clear()
    got = await served.chat("ensemble:torn", chitty={"max_cost_usd": 0.0001})
    assert got.status == 502
    assert not up.requests


async def test_a_key_s_models_count_for_the_members(up: ScriptedUpstream, served: Served) -> None:
    some = await served.key("some", models=("seven", "eight"))
    bearer = {"authorization": f"Bearer {some}"}
    got = await served.chat("ensemble:risk", headers=bearer)
    assert got.json["choices"][0]["message"]["content"] == "7.5"
    assert "nine" not in {request.json["model"] for request in up.requests}
    none = await served.key("none", models=("object",))
    assert (await served.chat("ensemble:risk", headers={"authorization": f"Bearer {none}"})).status == 403
    named = await served.key("named", models=("ensemble:risk",))
    got = await served.chat("ensemble:risk", headers={"authorization": f"Bearer {named}"})
    assert got.json["choices"][0]["message"]["content"] == "8"
    # … as it is, and not with others in it
    changed = await posted(served, {"prompt": "Hello", "name": "risk", "models": ["object", "objects"]}, named)
    assert changed.status == 403


async def test_a_key_s_budget_counts_for_the_members(up: ScriptedUpstream, served: Served) -> None:
    secret = await served.key(budget="0.001/day")
    got = await served.chat("ensemble:risk", headers={"authorization": f"Bearer {secret}"})
    assert got.status == 402
    assert got.json["error"]["code"] == "budget_exceeded"
    assert not up.requests


async def test_a_key_for_one_route_or_kind_is_for_no_other(served: Served) -> None:
    routed = await served.key("routed", routes=("openai",))
    body = {"prompt": "Hello", "name": "risk"}
    assert (await posted(served, body, routed)).status == 403
    kind = await served.key("kind", kinds=("email.triage",))
    assert (await posted(served, body, kind)).status == 403
    assert (await posted(served, body | {"kind": "email.triage"}, kind)).status == 200


async def test_private_work_stays_with_members_marked_private(up: ScriptedUpstream, serve: Serve) -> None:
    for name in ("mine", "also", "cloud"):
        says(up, name, "yes")
    models = {
        name: {"proxy": "home", "upstream": name, "private": name != "cloud"} for name in ("mine", "also", "cloud")
    }
    written = {
        "mixed": {"models": ["mine", "cloud"], "mode": "vote", "quorum": 1},
        "cloudy": {"models": ["cloud", "also"], "mode": "judge", "judge": "cloud"},
        "none": {"models": ["cloud"], "mode": "vote"},
    }
    served = await serve({"home": proxy(up.url, "openai")}, models, ensembles=written)
    got = await served.chat("ensemble:mixed", chitty={"private": True})
    assert got.headers["x-chitty-label"] == "private"
    await served.chat("ensemble:cloudy", chitty={"private": True})
    assert {request.json["model"] for request in up.requests} == {"mine", "also"}
    got = await served.chat("ensemble:none", chitty={"private": True})
    assert (got.status, got.json["error"]["code"]) == (403, "privacy_no_model")


async def test_a_kept_answer_costs_nothing(up: ScriptedUpstream, served: Served) -> None:
    for stream in (False, True):
        up.requests.clear()
        first = await served.chat("ensemble:risk", stream=stream, chitty={"cache": True})
        again = await served.chat("ensemble:risk", stream=stream, chitty={"cache": True})
        assert len(up.requests) == 3
        assert again.headers["x-chitty-cache"] == "hit"
        assert again.body == first.body


# over HTTP and in Python


async def test_the_whole_result_over_http(served: Served) -> None:
    got = await posted(
        served, {"prompt": "Rate it", "models": ["seven", "sevens", "nine"], "mode": "vote", "extract": "number"}
    )
    assert got.status == 200
    found = got.json
    assert (found["text"], found["agreement"], found["dissent"]) == ("7", 0.6667, ["nine"])
    assert (found["decided_by"], found["mode"], found["model"]) == ("majority", "vote", "ensemble")
    assert [(each["model"], each["value"], each["cost_usd"]) for each in found["members"]] == [
        ("seven", 7, pytest.approx(ONE_WORD / 1e9)),
        ("sevens", 7, pytest.approx((17 * 1_000_000 + 2 * 2_000_000) / 1e9)),
        ("nine", 9, pytest.approx(ONE_WORD / 1e9)),
    ]
    listed = await served.fetch("GET", "/api/v1/ensembles")
    assert listed.json[0] == {
        "model": "ensemble:risk", "models": ["seven", "eight", "nine"], "mode": "median", "extract": "number",
        "quorum": 2, "why": None,
    }  # fmt: skip
    assert "is an ensemble itself" in listed.json[-1]["why"]


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"models": ["seven", "eight"]}, 400, "There is no prompt."),
        ({"prompt": "Hello"}, 400, "Name the models"),
        ({"prompt": "Hello", "models": ["sevn", "eight"]}, 404, "did you mean seven?"),
        ({"prompt": "Hello", "models": ["seven", "eight"], "mode": "cascad"}, 400, "did you mean cascade?"),
        ({"prompt": "Hello", "models": ["seven", "eight"], "weights": {"nine": 2}}, 400, "weights.nine"),
        ({"prompt": "Hello", "models": ["seven", "eight"], "timeout": 0}, 400, "timeout"),
        ({"prompt": "Hello", "models": ["seven", "eight"], "quorum": 3}, 400, "quorum"),
        ({"prompt": "Hello", "name": "rsk"}, 404, "ensemble:risk"),
    ],
)
async def test_what_is_wrong_is_named(served: Served, body: Json, status: int, word: str) -> None:
    got = await posted(served, body)
    assert got.status == status
    error = got.json["error"]
    assert word in f"{error['message']} {error['fix']}"


async def test_from_python(served: Served) -> None:
    net = served.network
    found = await net.ensemble("Rate it", ["seven", "first", "nine"], mode="median", extract="number", timeout=30)
    assert found.text == "8"
    assert found.cost_nano == 2 * ONE_WORD
    named = await net.ensemble("Rate it", name="risk", mode="mean")
    assert named.verdict.decided_by == "mean"
    asked = await net.ask("Rate it", model="ensemble:risk")
    assert (asked.text, asked.model) == ("8", "ensemble:risk")
    stream = await net.stream("Rate it", model="ensemble:risk")
    assert "".join([getattr(event, "text", "") async for event in stream.events()]) == "8"
    assert stream.trace.cost_nano == 3 * ONE_WORD


async def test_it_is_explained_without_asking_anyone(up: ScriptedUpstream, served: Served) -> None:
    got = await served.fetch("POST", "/api/v1/explain", {"model": "ensemble:risk", "prompt": "Hello"})
    assert got.json["route"] == "ensemble:risk"
    assert got.json["chain"] == ["seven", "eight", "nine"]
    assert not up.requests


async def test_an_openai_client_gets_a_typed_error(served: Served) -> None:
    with pytest.raises(openai.NotFoundError):
        await served.clients().gpt.chat.completions.create(
            model="ensemble:nothing", messages=[{"role": "user", "content": "Hello"}]
        )
