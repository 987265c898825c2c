"""One model in several places, as models.json writes it."""

from pathlib import Path
from typing import Any

import pytest

from chittycan.catalogue import Catalogue, Hedging, Limits, PriceRow
from chittycan.config import settings_from
from chittycan.errors import ConfigError
from chittycan.providers.registry import build

SERVERS = {name: {"endpoint": f"http://127.0.0.1:9{number}/v1"} for number, name in enumerate(("east", "west"))}


def catalogue(models: dict[str, Any], routing: dict[str, Any] | None = None, **more: Any) -> Catalogue:
    config = {"remotes": {"connect": {"type": "chittyconnect", "proxies": SERVERS}}}
    document = {"models": models, "routing": routing or {}, **more}
    return build(settings_from(config, document, Path("/nowhere")), {})


def deployed(*deployments: Any, **model: Any) -> Catalogue:
    return catalogue({"gpt": {"deployments": list(deployments), **model}})


def test_what_a_deployment_does_not_say_is_as_the_model_says() -> None:
    found = deployed(
        {"proxy": "east", "upstream": "gpt-e", "weight": 3, "price": {"input": 1, "output": 2}, "private": True},
        {"proxy": "west", "regions": ["eu-west"], "contextWindow": 1000},
        upstream="gpt-4o", price={"input": 5, "output": 6}, regions=["us-east"], tools=False,
    )  # fmt: skip
    east, west = found.deployments["gpt"].models
    assert (east.name, east.place, east.weight) == ("gpt", ("east", "gpt-e"), 3)
    assert (east.price, east.private, east.regions) == (PriceRow(input=1, output=2), True, ("us-east",))
    assert (west.place, west.weight, west.private) == (("west", "gpt-4o"), 1, False)
    assert (west.price, west.regions, west.context_window) == (PriceRow(input=5, output=6), ("eu-west",), 1000)
    assert not east.tools
    assert not west.tools
    assert found.models["gpt"] == east
    assert found.deployments["gpt"].balance == "latency"


def test_a_deployment_without_a_name_of_its_own_has_the_models() -> None:
    (east,) = deployed({"proxy": "east"}).deployments["gpt"].models
    assert east.upstream == "gpt"


def test_limits_of_the_model_are_shared_and_those_of_a_place_are_its_own() -> None:
    found = deployed(
        {"proxy": "east", "limits": {"rpm": 10}}, {"proxy": "west", "limits": {"rpm": 20}}, limits={"concurrency": 5}
    )
    east, west = found.deployments["gpt"].models
    assert east.limits == west.limits == Limits(scope="model:gpt", concurrency=5)
    assert east.own_limits == Limits(scope="deployment:gpt@east/gpt", rpm=10)
    assert west.own_limits == Limits(scope="deployment:gpt@west/gpt", rpm=20)


def test_places_that_cannot_be_called_are_missing_with_their_reason() -> None:
    found = deployed({"proxy": "openai"}, {"proxy": "west"}).deployments["gpt"]
    assert [model.provider for model in found.models] == ["west"]
    assert found.missing == (("openai", "needs OPENAI_API_KEY"),)


def test_a_model_whose_places_cannot_be_called_is_unavailable() -> None:
    found = deployed({"proxy": "openai"}, {"proxy": "groq"})
    assert found.unavailable["gpt"] == "needs OPENAI_API_KEY; needs GROQ_API_KEY"
    assert "gpt" not in found.models
    assert found.places("gpt") == ()


@pytest.mark.parametrize(
    ("models", "warning"),
    [
        (
            {"gpt": {"deployments": [{"proxy": "easst"}, {"proxy": "west"}]}},
            "models.gpt.deployments.0.proxy: easst is not defined; did you mean east?",
        ),
        (
            {"gpt": {"deployments": [{"proxy": "west"}, {"proxy": "west"}]}},
            "models.gpt.deployments: west/gpt is written twice",
        ),
        (
            {"gpt": {"proxy": "east", "deployments": [{"proxy": "west"}]}},
            'models.gpt.proxy: not used, because its "deployments" say where',
        ),
        (
            {"gpt": {"deployments": [{"proxy": "west", "limits": {}}]}},
            'models.gpt.deployments.0.limits: limits nothing; write "concurrency", "rpm" or "tpm"',
        ),
        (
            {"gpt": {"deployments": [{"proxy": "west", "wieght": 2}]}},
            "models.gpt.deployments.0.wieght: unknown key, ignored (did you mean weight?)",
        ),
    ],
)
def test_what_makes_no_sense_is_said(models: dict[str, Any], warning: str) -> None:
    assert any(each.endswith(warning) for each in catalogue(models).warnings)


def test_a_deployment_has_to_say_where() -> None:
    with pytest.raises(ConfigError, match='"proxy" is missing') as wrong:
        deployed({"upstream": "gpt-e"})
    assert wrong.value.key == "models.gpt.deployments.0"


def test_a_wrong_balance_is_named_with_the_fix() -> None:
    with pytest.raises(ConfigError) as wrong:
        deployed({"proxy": "east"}, balance="lest-busy")
    assert (wrong.value.key, wrong.value.fix) == ("models.gpt.balance", 'Did you mean "least-busy"?')


def test_routing_says_who_is_equal_and_when_to_hedge() -> None:
    two = {name: {"proxy": "east"} for name in ("one", "two")}
    hedge = {"after": 1.5, "models": ["one"]}
    found = catalogue(two, {"equal": [["one", "two"]], "hedge": hedge, "order": "latency"})
    assert found.equal == (frozenset({"one", "two"}),)
    assert found.hedge == Hedging(1.5, frozenset({"one"}))
    assert found.quickest_first
    assert catalogue(two, {"hedge": {}}).hedge == Hedging()
    assert catalogue(two).hedge is None


def test_routing_that_names_nobody_is_said() -> None:
    found = catalogue({"one": {"proxy": "east"}}, {"equal": [["one", "oen"]], "hedge": {"models": ["noe"]}})
    assert any(each.startswith("routing.equal.0: no model is called oen") for each in found.warnings)
    assert any(each.startswith("routing.hedge.models: no model is called noe") for each in found.warnings)


def test_a_wrong_time_to_hedge_is_named() -> None:
    with pytest.raises(ConfigError, match="expected a number greater than 0 or one of p95") as wrong:
        catalogue({}, {"hedge": {"after": "soon"}})
    assert wrong.value.key == "routing.hedge.after"
