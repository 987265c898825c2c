"""Who sits in an ensemble, and why others do not."""

from typing import Any

import pytest

from chittycan.catalogue import Catalogue, Ensemble, Model, Provider
from chittycan.errors import Forbidden, InvalidRequest, NoPrivateModel, Unavailable, UnknownModel
from chittycan.routing.decide import decide
from chittycan.routing.ensembles.seating import Seating, asked_for, chosen, member_of, seat
from chittycan.routing.facts import Facts

RISK = Ensemble(models=("gpt-4o", "claude", "llama"), mode="vote")


def model(name: str, provider: str, **more: Any) -> Model:
    return Model(name=name, provider=provider, upstream=more.pop("upstream", name), **more)


MODELS = [
    model("gpt-4o", "openai"),
    model("gpt-4o-mini", "openai", vision=False),
    model("same", "openai", upstream="gpt-4o"),
    model("claude", "anthropic"),
    model("llama", "local", private=True, regions=("eu",)),
]
CATALOGUE = Catalogue(
    providers={
        "openai": Provider(name="openai", dialect="openai", endpoint="x", default_model="gpt-4o-mini"),
        "anthropic": Provider(name="anthropic", dialect="anthropic", endpoint="x", default_model="claude"),
        "local": Provider(name="local", dialect="openai", endpoint="x"),
    },
    models={each.name: each for each in MODELS},
    unavailable={"gemini/*": "needs GEMINI_API_KEY", "gemini-pro": "needs GEMINI_API_KEY"},
    ensembles={"ensemble:risk": RISK},
    assignments={"contract.risk": "ensemble:risk", "code": "gpt-4o"},
)


def seated(ensemble: Ensemble = RISK, **facts: Any) -> Seating:
    return seat(Facts(model="ensemble:risk", **facts), "ensemble:risk", ensemble, CATALOGUE)


def vacant(seating: Seating) -> dict[str, str]:
    return {each.name: each.why for each in seating.seats if each.candidate is None}


def test_everyone_sits_in_the_order_of_the_names() -> None:
    seating = seated()
    assert [(each.model, each.role) for each in seating.seats] == [
        ("gpt-4o", "member"), ("claude", "member"), ("llama", "member"),
    ]  # fmt: skip
    assert (seating.route, seating.label) == ("ensemble:risk", "public")


def test_a_provider_stands_for_its_default_model() -> None:
    seating = seated(Ensemble(models=("openai", "anthropic", "local"), mode="vote"))
    assert [each.model for each in seating.seats] == ["gpt-4o-mini", "claude", "local"]
    assert vacant(seating) == {"local": "this provider has no default model"}
    assert member_of("openai", CATALOGUE) == CATALOGUE.models["gpt-4o-mini"]


@pytest.mark.parametrize(
    ("facts", "left_out"),
    [
        ({"private": True}, {"gpt-4o", "claude"}),
        ({"region": "eu"}, {"gpt-4o", "claude"}),
        ({"allowed": frozenset({"claude"})}, {"gpt-4o", "llama"}),
        ({"allowed": frozenset({"ensemble:risk"})}, set()),
    ],
)
def test_the_rules_of_any_call_hold_for_each_member(facts: dict[str, Any], left_out: set[str]) -> None:
    assert set(vacant(seated(**facts))) == left_out


def test_why_a_name_has_no_seat() -> None:
    ensemble = Ensemble(models=("gpt-4o", "same", "gemini", "gemini-pro", "claud", "xyz"), mode="vote")
    assert vacant(seated(ensemble)) == {
        "same": "the same model as gpt-4o",
        "gemini": "needs GEMINI_API_KEY",
        "gemini-pro": "needs GEMINI_API_KEY",
        "claud": "unknown model; did you mean claude?",
        "xyz": "unknown model",
    }


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"allowed": frozenset({"other"})}, Forbidden),
        ({"private": True, "region": "us"}, NoPrivateModel),
        ({"region": "us"}, Unavailable),
        ({"tools": True}, InvalidRequest),
        ({"same_dialect": "n"}, InvalidRequest),
        ({"embeddings": True}, InvalidRequest),
        ({"models": ("gpt-4o",)}, InvalidRequest),
    ],
)
def test_where_nobody_may_sit_it_says_why(facts: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        seated(**facts)


def test_the_last_of_three_is_a_cascade_s_strong_model() -> None:
    three = seated(Ensemble(models=("gpt-4o-mini", "llama", "claude")))
    assert [each.role for each in three.seats] == ["member", "member", "strong"]
    two = seated(Ensemble(models=("gpt-4o-mini", "llama")))
    assert [each.role for each in two.seats] == ["member", "member"]
    named = seated(Ensemble(models=("gpt-4o-mini", "llama"), strong="claude"))
    assert [(each.model, each.role) for each in named.seats][-1] == ("claude", "strong")


def test_the_judge_is_of_no_member_s_family_where_that_can_be() -> None:
    judge = seated(Ensemble(models=("gpt-4o", "llama"), mode="judge")).seats[-1]
    assert (judge.role, judge.model) == ("judge", "claude")
    judge = seated(Ensemble(models=("gpt-4o", "llama", "claude"), mode="judge")).seats[-1]
    assert judge.model == "gpt-4o"
    judge = seated(Ensemble(models=("gpt-4o", "llama"), mode="fuse", judge="llama")).seats[-1]
    assert judge.model == "llama"


def test_private_work_is_judged_in_private() -> None:
    judge = seated(Ensemble(models=("gpt-4o", "llama"), mode="judge", judge="claude"), private=True).seats[-1]
    assert judge.candidate is None


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (Facts(model="ensemble:risk"), "ensemble:risk"),
        (Facts(model="contract.risk"), "ensemble:risk"),
        (Facts(model="auto", kind="contract.risk"), "ensemble:risk"),
        (Facts(model="auto", kind="code"), None),
        (Facts(model="auto"), None),
        (Facts(model="gpt-4o", kind="contract.risk"), None),
        (Facts(model="contract.risk", private=True), None),
        (Facts(model="gemini-pro"), None),
    ],
)
def test_what_leads_to_an_ensemble(facts: Facts, name: str | None) -> None:
    assert asked_for(facts, CATALOGUE) == name


def test_an_ensemble_is_no_model() -> None:
    with pytest.raises(UnknownModel) as caught:
        decide(Facts(model="ensemble:rsk"), CATALOGUE)
    assert caught.value.fix == "Did you mean ensemble:risk?"


def test_an_ensemble_of_the_moment() -> None:
    shape: dict[str, Any] = {"mode": "weighted", "weights": {"claude": 2}, "extract": None}
    found = chosen(CATALOGUE, None, ["openai", "claude"], shape)
    assert found == Ensemble(models=("openai", "claude"), mode="weighted", weights={"claude": 2.0})
    changed = chosen(CATALOGUE, "risk", (), {"mode": "judge", "judge": "llama"})
    assert changed == Ensemble(models=RISK.models, mode="judge", judge="llama")
    assert chosen(CATALOGUE, "ensemble:risk", (), {}) == RISK


@pytest.mark.parametrize(
    ("name", "models", "shape", "param"),
    [
        (None, [], {}, "models"),
        (None, ["gpt-4o", "gpt-4o"], {}, "models"),
        (None, ["gpt-4o"], {}, "models"),
        (None, ["gpt-4o", "ensemble:risk"], {}, "models"),
        (None, [f"gpt-{n}" for n in range(17)], {"mode": "vote"}, "models"),
        (None, ["gpt-4o", "claude"], {"mode": "majority"}, "mode"),
        (None, ["gpt-4o", "claude"], {"mode": "mean", "extract": "text"}, "extract"),
        (None, ["gpt-4o", "claude"], {"extract": "number:3"}, "extract"),
        (None, ["gpt-4o", "claude"], {"extract": "json:"}, "extract"),
        (None, ["gpt-4o", "claude"], {"judge": "llama"}, "judge"),
        (None, ["gpt-4o", "claude"], {"mode": "vote", "strong": "llama"}, "strong"),
        (None, ["gpt-4o", "claude"], {"quorum": 0}, "quorum"),
        (None, ["gpt-4o", "claude"], {"timeout": float("nan")}, "timeout"),
        (None, ["gpt-4o", "claude"], {"tolerance": -1.0}, "tolerance"),
        (None, ["gpt-4o", "claude"], {"budget_nano": -1}, "budget"),
        (None, ["gpt-4o", "claude"], {"weights": {"claude": 0}}, "weights.claude"),
        (None, ["gpt-4o", "claude"], {"weights": {"claude": "two"}}, "weights[...]"),
        (None, ["gpt-4o", "claude"], {"quorum": "all"}, "quorum"),
        (None, ["gpt-4o", "claud"], {}, "models"),
        ("rsk", [], {}, "model"),
    ],
)
def test_what_makes_no_sense_is_named(name: str | None, models: list[str], shape: dict[str, Any], param: str) -> None:
    with pytest.raises((InvalidRequest, UnknownModel)) as caught:
        chosen(CATALOGUE, name, models, shape)
    assert caught.value.param == param
