"""Whom another policy would choose for the requests of the ledger."""

from typing import Any

from chittycan.catalogue import Catalogue, Model, PriceRow, Provider
from chittycan.control.simulation import chooser
from chittycan.routing.cost.policy import NO_POLICY, Policy
from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.learnt import Learnt, Mean
from chittycan.store.traffic import Flow
from chittycan.usage.simulate import Chosen


def model(name: str, **fields: Any) -> Model:
    return Model(name=name, provider="one", upstream=name, price=PriceRow(input=1.0, output=1.0), **fields)


MODELS = {
    "big": model("big"),
    "blunt": model("blunt", tools=False, context_window=8_192),
    "europe": model("europe", regions=("eu-west",)),
    "own": model("own", private=True),
}
CATALOGUE = Catalogue(
    providers={"one": Provider(name="one", dialect="openai", endpoint="https://one.invalid/v1")}, models=MODELS,
    assignments={"code": "big"}, fallbacks={"*": ("blunt", "big", "europe"), "big": ("blunt",)},
)  # fmt: skip


def chosen(
    policy: Policy = NO_POLICY, allowed: dict[str, frozenset[str] | None] | None = None, **fields: Any
) -> Chosen:
    values: dict[str, Any] = {
        "asked": "auto", "kind": None, "label": "public", "needs": None, "decision": "auto", "key_id": None,
        "surface": "openai", "model": "big", "provider": "one", "outcome": "ok", "failure": None, "size": 0, "hour": 0,
        "count": 2, "unpriced": False, "cost_nano": 2, "input": 200, "output": 20, "cached": 0, "cache_write": 0,
        "reasoning": 0, **fields,
    }  # fmt: skip
    return chooser(CATALOGUE, policy, allowed or {})(Flow(**values))


def test_what_the_ledger_knows_of_a_request_decides_again() -> None:
    assert chosen().chain == ("blunt", "big", "europe")
    assert chosen(kind="code").chain[0] == "big"
    assert chosen(asked="big").chain == ("big", "blunt")
    assert chosen(needs="tools").chain == ("big", "europe")
    assert chosen(needs="tools,region=eu-west").chain == ("europe",)
    assert chosen(size=3).chain == ("big", "europe")  # 12,288 tokens do not fit the other's window
    assert chosen(needs="n", surface="anthropic").refused is not None


def test_private_work_stays_private_and_what_was_only_marked_stays_where_it_was() -> None:
    assert chosen(label="private", decision="private").chain == ("own",)
    assert chosen(label="private").chain == ("blunt", "big", "europe")


def test_a_key_gets_only_its_own_models() -> None:
    found = chosen(asked="big", key_id="key_1", allowed={"key_1": frozenset({"blunt"})})
    assert found.chain == ("blunt",)
    assert chosen(asked="nobody").refused is not None


def test_quality_is_that_of_the_recorded_kind_of_work() -> None:
    learnt = Learnt(
        models={"big": Mean(0.9, 50), "blunt": Mean(0.4, 50)},
        kinds={"maths": {"big": Mean(0.9, 20), "blunt": Mean(0.89, 20)}},
    )
    policy = Policy(quality=Quality(learnt), cost=lambda model, *_: {"big": 100, "blunt": 10}.get(model.name))
    assert chosen(policy, kind="maths").chain[0] == "blunt"
    assert chosen(policy).chain[0] == "big"
