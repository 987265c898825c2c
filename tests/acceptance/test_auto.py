"""`auto` and its kin as clients meet them: who answers, and the reason that comes with the answer."""

from typing import Any

import pytest
from msgspec.structs import replace

from bare_http import Got
from chittycan.config.settings import RoutingSettings
from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.learnt import Learnt, Mean
from chittycan.testing.upstream import ScriptedUpstream
from serving import SURFACES, Serve, Served, proxy

SUM = "What is 17 * 23? Calculate it."
POEM = "Write a short poem about the sea"
CODE = "Write a function that removes duplicates from a list"
FACT = "What is the capital of France?"


def _price(per_token: float) -> dict[str, float]:
    return {"input": per_token, "output": per_token}


MODELS: dict[str, Any] = {
    "large": {"proxy": "lab", "upstream": "ok", "price": _price(100)},
    "small": {"proxy": "lab", "upstream": "echo", "price": _price(1), "vision": False},
    "own": {"proxy": "house", "upstream": "ok", "price": _price(0), "private": True},
}
DEFAULT = {"*": ["large"]}


@pytest.fixture
async def lab(up: ScriptedUpstream, serve: Serve) -> Any:
    async def start(models: dict[str, Any] = MODELS, **more: Any) -> Served:
        proxies = {"lab": proxy(up.url, "openai"), "house": proxy(up.url, "openai", "sk-house")}
        return await serve(proxies, models, DEFAULT, more.pop("assignments", None), **more)

    return start


async def ask(served: Served, prompt: str, model: str = "auto", **headers: str) -> Got:
    messages = [{"role": "user", "content": prompt}]
    named = {f"x-chitty-{name.replace('_', '-')}": value for name, value in headers.items()}
    return await served.chat(model, messages=messages, headers=named)


def who(got: Got) -> tuple[str, str]:
    assert got.status == 200, got.body
    return got.headers["x-chitty-served-by"], got.headers["x-chitty-route"]


# Sums are easy for the small one, poems are not; of other things nothing is known.
SCORES = Quality(
    Learnt(
        models={"large": Mean(0.92, 600), "small": Mean(0.65, 600)},
        kinds={
            "maths": {"large": Mean(0.80, 300), "small": Mean(0.9, 300)},
            "writing": {"large": Mean(0.92, 300), "small": Mean(0.4, 300)},
        },
        familiar=1.0,
    )
)


def learn(served: Served, scores: Quality = SCORES, **wishes: Any) -> None:
    network = served.network
    network.settings = replace(network.settings, routing=RoutingSettings(**wishes))
    network.policy.quality = scores
    network.policy.use(network.settings)


async def test_without_tiers_and_scores_auto_is_the_default_chain(lab: Any) -> None:
    served = await lab()
    assert who(await ask(served, SUM)) == ("large", "auto")


@pytest.mark.parametrize("surface", SURFACES)
async def test_the_kind_told_from_the_prompt_leads_to_its_assignment(lab: Any, surface: str) -> None:
    """In every dialect, from old short names and new dotted ones."""
    served = await lab(assignments={"code.review": "small", "writing": "own"})
    paths = {"openai": "/v1/chat/completions", "openai_responses": "/v1/responses", "anthropic": "/v1/messages"}
    for prompt, model in ((CODE, "small"), (POEM, "own"), (FACT, "large")):
        body: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "max_tokens": 50}
        if surface == "openai_responses":
            body = {"model": "auto", "input": [{"role": "user", "content": [{"type": "input_text", "text": prompt}]}]}
        got = await served.fetch("POST", paths[surface], body)
        assert who(got)[0] == model, prompt


async def test_a_kind_that_was_given_is_never_guessed(lab: Any) -> None:
    served = await lab(assignments={"code": "small", "law": "own"})
    assert who(await ask(served, CODE, kind="law")) == ("own", "assignment:law")
    assert who(await ask(served, CODE)) == ("small", "assignment:code")


async def test_a_kind_told_from_the_prompt_grants_a_key_nothing(lab: Any) -> None:
    served = await lab(assignments={"code": "small"})
    secret = await served.key(kinds=("code",))
    body = {"model": "auto", "messages": [{"role": "user", "content": CODE}]}
    headers = {"authorization": f"Bearer {secret}"}
    refused = await served.fetch("POST", "/v1/chat/completions", body, headers)
    assert (refused.status, refused.json["error"]["code"]) == (403, "kind_not_allowed")
    named = await served.fetch("POST", "/v1/chat/completions", body, headers | {"x-chitty-kind": "code"})
    assert who(named)[0] == "small"


async def test_what_was_learnt_decides_for_auto(lab: Any) -> None:
    served = await lab()
    learn(served, strong="large")
    assert who(await ask(served, SUM)) == ("small", "auto:maths:cheapest")
    assert who(await ask(served, POEM)) == ("large", "auto:writing:cheapest")
    assert who(await ask(served, POEM, "auto:cheap")) == ("large", "auto:cheap:writing:cheapest")
    assert who(await ask(served, POEM, "auto:best")) == ("large", "auto:best:writing:best")
    assert who(await ask(served, FACT)) == ("large", "auto:strong")  # unlike anything seen


async def test_the_target_is_the_owners(lab: Any) -> None:
    served = await lab()
    learn(served, strong="large", target=0.4)
    assert who(await ask(served, POEM)) == ("small", "auto:writing:cheapest")


async def test_the_owners_tiers_where_nothing_was_learnt(lab: Any) -> None:
    tiers = {"large": "complex", "small": "simple"}
    served = await lab({name: {**model, "tier": tiers[name]} for name, model in MODELS.items() if name in tiers})
    assert who(await ask(served, FACT)) == ("small", "auto:simple")
    assert who(await ask(served, CODE)) == ("large", "auto:code:complex")


async def test_a_limit_on_the_cost_leaves_the_dear_ones_out(lab: Any) -> None:
    served = await lab()
    assert who(await ask(served, FACT, max_cost_usd="0.002")) == ("small", "auto:affordable")
    assert who(await ask(served, FACT, max_cost_usd="0.5")) == ("large", "auto")
    dear = await ask(served, FACT, "large", max_cost_usd="0.002")
    assert (dear.status, dear.json["error"]["code"]) == (402, "budget_exceeded")
    assert "may cost $0.10" in dear.json["error"]["message"]


async def test_private_work_stays_in_the_house_whatever_is_cheapest(lab: Any, up: ScriptedUpstream) -> None:
    served = await lab()
    learn(served, strong="large")
    for model in ("auto", "auto:cheap", "auto:best"):
        assert who(await ask(served, SUM, model, private="true"))[0] == "own"


async def test_a_session_with_something_private_in_it_is_explained_as_it_is_served(lab: Any) -> None:
    served = await lab(context={"recall": True})
    await served.network.context.store("case-1", {"client": "ACME"}, labels={"client": {"privacy": "private"}})
    explained = await served.fetch("POST", "/api/v1/explain", {"prompt": SUM, "session": "case-1"})
    assert explained.json["chain"] == ["own"]
    assert explained.json["label"] == "private"
    assert who(await ask(served, SUM, session="case-1"))[0] == "own"


async def test_an_explanation_has_a_line_for_every_model(lab: Any) -> None:
    served = await lab()
    learn(served, strong="large")
    body = {"prompt": SUM, "max_cost_usd": 5, "named_only": True}
    said = (await served.fetch("POST", "/api/v1/explain", body)).json
    assert (said["route"], said["kind"], said["chain"]) == ("auto:maths:cheapest", "maths", ["small", "large"])
    rows = {row["model"]: row for row in said["considered"]}
    assert set(rows) == {"large", "small", "own"}
    assert rows["small"]["why"] == "the cheapest that reaches 0.76 (maths, 300 scored calls of other words)"
    assert rows["small"]["quality"] == 0.9
    assert 0 < rows["small"]["cost_usd"] < rows["large"]["cost_usd"]
    assert (rows["own"]["kept"], rows["own"]["left_out"]) == (False, True)
    assert rows["own"]["why"] == "nobody scored it, and it is not in the default chain"


async def test_a_request_may_bring_its_own_wishes_to_be_explained(lab: Any) -> None:
    served = await lab(assignments={"law": "small"})
    request = {"messages": [{"role": "user", "content": "x"}], "chitty": {"kind": "law"}}
    said = (await served.fetch("POST", "/api/v1/explain", {"request": request})).json
    assert said["route"] == "assignment:law"
    wrong = await served.fetch("POST", "/api/v1/explain", {"request": {**request, "chitty": {"knd": "law"}}})
    assert wrong.status == 400


async def test_the_list_of_models_names_what_can_be_asked_for(lab: Any) -> None:
    served = await lab(assignments={"email.triage": "small"})
    listed = (await served.fetch("GET", "/v1/models")).json["data"]
    assert [row["id"] for row in listed][:5] == ["auto", "auto:cheap", "auto:best", "private", "email.triage"]


async def test_a_model_that_is_dearer_and_worse_is_pointed_out(lab: Any) -> None:
    served = await lab()
    scores = {"maths": {"large": Mean(0.6, 300), "small": Mean(0.8, 300)}}
    learn(served, Quality(Learnt(models=scores["maths"], kinds=scores)))
    listed = (await served.fetch("GET", "/api/v1/models")).json
    said = {row["name"]: row["dominated"] for row in listed}
    assert said["large"] == "dearer and worse than small: 0.60 at $140, 0.80 at $1.4 per 1,000 calls"
    assert said["small"] is None
    explained = (await served.fetch("POST", "/api/v1/explain", {"prompt": SUM})).json["considered"]
    assert next(row["why"] for row in explained if row["model"] == "large").endswith(said["large"])
