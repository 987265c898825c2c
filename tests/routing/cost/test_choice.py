"""Who is chosen where the choice is ours: by quality, by tier, by money, and never against what a request needs."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from msgspec.structs import replace

from chittycan.catalogue import Catalogue, Model, Provider
from chittycan.errors import BudgetExceeded, ChittyError, Forbidden
from chittycan.routing.cost.choice import Option, bar, by_worth, ranked, weighed
from chittycan.routing.cost.policy import NO_POLICY, Policy
from chittycan.routing.decide import Decision, decide, objection
from chittycan.routing.facts import Facts
from chittycan.routing.quality.estimate import Estimate, Quality
from chittycan.routing.quality.frontier import Frontier, Paid, Step
from chittycan.routing.quality.learnt import Learnt, Mean

PROVIDERS = {
    "lab": Provider(name="lab", dialect="openai", endpoint="http://lab.test/v1", default_model="large"),
    "own": Provider(name="own", dialect="openai", endpoint="http://own.test/v1", embedded=True, default_model="tiny"),
}


def _model(name: str, **more: Any) -> Model:
    return Model(name=name, provider="own" if name == "tiny" else "lab", upstream=name, **more)


MODELS = {
    each.name: each
    for each in (
        _model("large", tier="complex"),
        _model("middle", tier="medium", tools=False),
        _model("small", tier="simple", vision=False),
        _model("rare", tier="simple"),  # nobody knows its price
        _model("tiny", tier="simple", private=True),
    )
}
CATALOGUE = Catalogue(providers=PROVIDERS, models=MODELS)
PRICES = {"large": 100, "middle": 10, "small": 1, "tiny": 0}  # nano-dollars per token, in or out
OWNERS_TIERS = frozenset(MODELS) - {"tiny"}


def _cost(model: Model, provider: Provider, given: int, written: int) -> int | None:
    price = PRICES.get(model.name)
    return None if price is None else price * (given + written)


TAUGHT = Quality(Learnt(models={"large": Mean(0.9, 300)}))  # what of it fits a request is in its facts
LEARNT = Policy(quality=TAUGHT, strong="large", cost=_cost, worst=_cost)
TIERED = Policy(tiered=OWNERS_TIERS, cost=_cost, worst=_cost)
PRICED = Policy(cost=_cost, worst=_cost)


def _facts(model: str = "auto", qualities: Mapping[str, float] | None = None, **more: Any) -> Facts:
    given: dict[str, Any] = {
        "size": 100,
        "written": 100,
        "at_most": (100, 100),
        "difficulty": "simple",
        "kind": "maths",
    } | more
    estimates = tuple(
        (name, Estimate(quality, 230, "maths, 230 scored")) for name, quality in (qualities or {}).items()
    )
    return Facts(model=model, estimates=estimates, **given)


def _chain(decision: Decision) -> list[str]:
    return [candidate.model.name for candidate in decision.chain]


def _why(decision: Decision) -> dict[str, str]:
    return {reason.model: reason.why for reason in decision.reasons}


ALL = {"large": 0.90, "middle": 0.87, "small": 0.75, "rare": 0.95}


@pytest.mark.parametrize(
    ("model", "qualities", "chain", "route"),
    [
        # 0.95 of 0.90 is 0.855: the middle one is enough, and cheaper than the large one
        ("auto", ALL, ["middle", "large", "rare", "small", "tiny"], "auto:maths:cheapest"),
        # 0.8 of 0.90 is 0.72: the small one is enough
        ("auto:cheap", ALL, ["small", "middle", "large", "rare", "tiny"], "auto:cheap:maths:cheapest"),
        ("auto:best", ALL, ["rare", "large", "middle", "small", "tiny"], "auto:best:maths:best"),
        # the strong one is no better than the small one
        ("auto", {"large": 0.7, "small": 0.7}, ["small", "large", "tiny"], "auto:maths:cheapest"),
        # only one without a price is able: it is not cheap, but it can do it
        ("auto", {"rare": 0.9, "small": 0.1}, ["rare", "small", "large", "tiny"], "auto:maths:able"),
        # as good as each other: the cheaper one
        ("auto:best", {"large": 0.9, "middle": 0.9}, ["middle", "large", "tiny"], "auto:best:maths:best"),
        # unlike anything seen
        ("auto", {}, ["large", "tiny"], "auto:maths:strong"),
        ("auto:best", {}, ["large", "tiny"], "auto:best:maths:strong"),
    ],
)
def test_the_cheapest_that_is_good_enough(
    model: str, qualities: dict[str, float], chain: list[str], route: str
) -> None:
    decision = decide(_facts(model, qualities), CATALOGUE, LEARNT)
    assert (_chain(decision), decision.route) == (chain, route)


def test_a_few_scores_choose_nobody() -> None:
    few = Quality(Learnt(models={"large": Mean(0.9, 300), "small": Mean(1.0, 9)}))
    qualities = {"large": 0.9, "small": 1.0}
    decision = decide(_facts(qualities=qualities), CATALOGUE, replace(LEARNT, quality=few))
    assert _chain(decision) == ["large", "tiny"]
    enough = Quality(Learnt(models={"large": Mean(0.9, 300), "small": Mean(1.0, 10)}))
    assert _chain(decide(_facts(qualities=qualities), CATALOGUE, replace(LEARNT, quality=enough)))[0] == "small"


def test_where_nobody_was_scored_often_tiers_decide_as_before() -> None:
    few = Quality(Learnt(models={"tiny": Mean(1.0, 1)}))
    policy = Policy(quality=few, tiered=OWNERS_TIERS, cost=_cost)
    assert decide(_facts(qualities={"tiny": 1.0}), CATALOGUE, policy).route == "auto:maths:simple"
    assert _chain(decide(_facts(qualities={"tiny": 1.0}), CATALOGUE, Policy(quality=few, cost=_cost)))[0] == "large"


def test_without_a_strong_model_an_unlikely_prompt_goes_to_the_default_chain() -> None:
    decision = decide(_facts("auto"), CATALOGUE, Policy(quality=TAUGHT, cost=_cost, tiered=OWNERS_TIERS))
    assert (_chain(decision), decision.route) == (["large", "tiny"], "auto")
    assert _why(decision)["large"] == "default chain: this is unlike anything scored"


def test_where_who_was_scored_may_not_do_it_the_prompt_is_not_called_unlikely() -> None:
    asked = _facts(qualities={"small": 0.9}, vision=True)  # it sees nothing
    decision = decide(asked, CATALOGUE, LEARNT)
    assert _why(decision)["large"] == "the strong model: nobody who was scored often enough can do this"
    decision = decide(asked, CATALOGUE, replace(LEARNT, strong=None))
    assert _why(decision)["large"] == "default chain: nobody who was scored often enough can do this"


def test_the_measure_is_the_best_that_may_do_it_where_the_strong_one_may_not() -> None:
    catalogue = Catalogue(providers=PROVIDERS, models=MODELS | {"large": _model("large", tools=False)})
    qualities = {"large": 0.9, "small": 0.5, "rare": 0.4}
    decision = decide(_facts(qualities=qualities, tools=True), catalogue, LEARNT)
    assert _chain(decision)[0] == "small"


def test_every_choice_says_what_is_expected_of_it() -> None:
    decision = decide(_facts(qualities=ALL), CATALOGUE, LEARNT)
    said = {reason.model: (reason.cost_nano, reason.quality) for reason in decision.reasons}
    assert said["middle"] == (2000, 0.87)
    assert said["rare"] == (None, 0.95)
    assert said["tiny"] == (0, None)
    why = _why(decision)
    assert why["middle"] == "the cheapest that reaches 0.85 (maths, 230 scored)"
    assert why["rare"] == "reaches 0.85, price unknown (maths, 230 scored)"
    assert why["small"] == "below 0.85 (maths, 230 scored)"
    assert why["tiny"] == "default model of own"


# Where it is known what quality costs: an answer of the large model has to add so much, to keep such a share

PRICES_OF_QUALITY = {1.0: 0.02, 0.95: 0.06, 0.9: 0.2, 0.8: 0.6}
FRONTIER = Frontier(
    {"large": Paid(0.9, 1e6), "middle": Paid(0.7, 1e5), "small": Paid(0.6, 1e4), "poor": Paid(0.1, 5e5)},
    frozenset({"large", "middle", "small"}),
    tuple(
        Step(price / 1e6, kept * 0.9, kept * 0.9, 1e6 * kept**9) for kept, price in PRICES_OF_QUALITY.items()
    ),
)  # fmt: skip
WEIGHING = Policy(quality=Quality(Learnt(frontier=FRONTIER)), strong="large", cost=_cost)
CLOSE = {"large": 0.90, "middle": 0.83, "small": 0.78}


@pytest.mark.parametrize(
    ("target", "qualities", "chain"),
    [
        # 0.07 more is worth nine tenths of the large one's price only where much is to be kept
        (1.0, CLOSE, ["large", "middle", "small"]),
        (0.95, CLOSE, ["large", "middle", "small"]),
        (0.9, CLOSE, ["middle", "small", "large"]),
        (0.8, CLOSE, ["small", "middle", "large"]),
        # a target between two that are known: 0.2 → 0.06 of an answer's price
        (0.93, CLOSE, ["middle", "large", "small"]),
        # below 0.95 of the large one for this prompt, and yet not worth paying for
        (0.95, {"large": 0.50, "middle": 0.46, "small": 0.44}, ["middle", "large", "small"]),
        # a rival without a price comes last, one that was not priced with the others goes by its price
        (0.9, CLOSE | {"rare": 0.99}, ["middle", "small", "large", "rare"]),
        (0.9, CLOSE | {"tiny": 0.79}, ["middle", "tiny", "small", "large"]),
    ],
)
def test_quality_that_is_worth_its_price(target: float, qualities: dict[str, float], chain: list[str]) -> None:
    decision = decide(_facts("auto", qualities), CATALOGUE, replace(WEIGHING, target=target))
    assert decision.route == "auto:maths:worth"
    assert [name for name in _chain(decision) if name in qualities] == chain
    assert _why(decision)[chain[0]] == f"most worth its price at {target:.0%} of large (maths, 230 scored)"
    assert _why(decision)[chain[1]] == "less worth its price (maths, 230 scored)"


def test_auto_cheap_asks_for_what_its_lower_bar_is_worth() -> None:
    decision = decide(_facts("auto:cheap", CLOSE | {"small": 0.6}), CATALOGUE, WEIGHING)
    assert (_chain(decision)[0], decision.route) == ("middle", "auto:cheap:maths:worth")
    assert _why(decision)["middle"] == "most worth its price at 80% of large (maths, 230 scored)"


def test_one_model_answers_everything_where_choosing_would_save_nothing() -> None:
    models = {**FRONTIER.models, "middle": Paid(0.85, 1e5, 0.84)}
    policy = replace(WEIGHING, quality=Quality(Learnt(frontier=replace(FRONTIER, models=models))), target=0.9)
    hard = CLOSE | {"large": 0.99, "middle": 0.79}  # so that choosing by what is expected would take the large one
    assert _chain(decide(_facts(qualities=hard), CATALOGUE, replace(WEIGHING, target=0.9)))[0] == "large"
    decision = decide(_facts(qualities=hard), CATALOGUE, policy)
    assert (_chain(decision)[0], decision.route) == ("middle", "auto:maths:alone")
    assert _why(decision)["middle"] == "as good for everything as choosing, at 90% of large (maths, 230 scored)"
    assert _why(decision)["large"] == "less worth its price (maths, 230 scored)"
    for other in (replace(policy, target=1.0), policy):  # it does not keep that much; a cheaper one is better here
        qualities = hard if other.target == 1.0 else hard | {"middle": 0.5}
        assert decide(_facts(qualities=qualities), CATALOGUE, other).route == "auto:maths:worth"


STRANGE = {name: Estimate(quality, 230, "all kinds", foreign=True) for name, quality in CLOSE.items()}


@pytest.mark.parametrize(
    ("policy", "facts"),
    [
        (WEIGHING, _facts(qualities={"large": 0.9, "middle": 0.86})),
        (WEIGHING, _facts(qualities=CLOSE | {"tiny": 0.1, "rare": 0.1})),
        (replace(WEIGHING, strong="tiny"), _facts(qualities=CLOSE | {"tiny": 0.9})),
        (replace(WEIGHING, target=1.01), _facts(qualities=CLOSE)),
        (WEIGHING, replace(_facts(), estimates=tuple(STRANGE.items()))),
        (replace(WEIGHING, cost=lambda *_: None), _facts(qualities=CLOSE)),
        (replace(WEIGHING, cost=lambda *_: 0), _facts(qualities=CLOSE)),
    ],
    ids=["one is missing", "two are new", "another strong one", "too much to ask", "a kind never scored", "no prices",
         "nothing costs anything"],
)  # fmt: skip
def test_elsewhere_the_target_counts_for_each_prompt(policy: Policy, facts: Facts) -> None:
    assert decide(facts, CATALOGUE, policy).route in ("auto:maths:cheapest", "auto:maths:able")


def test_who_is_never_chosen_is_not_missed_and_who_may_not_do_it_is() -> None:
    assert weighed(_options(CLOSE), WEIGHING, 0.95) is not None  # without the poor one
    seeing = decide(_facts(qualities=CLOSE, vision=True), CATALOGUE, WEIGHING)  # the small one sees nothing
    assert seeing.route == "auto:maths:cheapest"


def _options(qualities: Mapping[str, float]) -> list[Option]:
    return [Option(_model(name), PRICES[name], Estimate(each, 9, "")) for name, each in qualities.items()]


@pytest.mark.parametrize(
    ("model", "difficulty", "chain", "route"),
    [
        ("auto", "simple", ["small", "rare", "middle", "large", "tiny"], "auto:maths:simple"),
        ("auto", "medium", ["middle", "large", "tiny"], "auto:maths:medium"),
        ("auto", "complex", ["large", "tiny"], "auto:maths:complex"),
        ("auto:cheap", "complex", ["middle", "large", "tiny"], "auto:cheap:maths:medium"),
        ("auto:cheap", "medium", ["small", "rare", "middle", "large", "tiny"], "auto:cheap:maths:simple"),
        ("auto:best", "simple", ["large", "middle", "small", "rare", "tiny"], "auto:best:maths:complex"),
    ],
)
def test_the_owners_tiers_where_nothing_was_learnt(model: str, difficulty: str, chain: list[str], route: str) -> None:
    decision = decide(_facts(model, difficulty=difficulty), CATALOGUE, TIERED)
    assert (_chain(decision), decision.route) == (chain, route)


def test_no_chain_goes_through_the_whole_catalogue() -> None:
    many = {f"m{count}": _model(f"m{count}", tier=("simple", "medium")[count % 2]) for count in range(40)}
    catalogue = Catalogue(providers=PROVIDERS, models=MODELS | many)
    assert len(_chain(decide(_facts("auto:cheap"), catalogue, PRICED))) < 12
    assert len(_chain(decide(_facts("auto", dict.fromkeys(many, 0.9)), catalogue, LEARNT))) < 12


def test_the_best_that_nothing_is_known_of_is_the_strong_model() -> None:
    decision = decide(_facts("auto:best"), CATALOGUE, Policy(strong="middle", cost=_cost))
    assert (_chain(decision)[0], decision.route) == ("middle", "auto:best:maths:strong")


def test_the_tiers_that_models_come_with_do_not_change_auto() -> None:
    assert _chain(decide(_facts("auto"), CATALOGUE, PRICED)) == ["large", "tiny"]
    assert _chain(decide(_facts("auto"), CATALOGUE, NO_POLICY)) == ["large", "tiny"]
    assert _chain(decide(_facts("auto:cheap"), CATALOGUE, PRICED))[0] == "small"


def test_a_model_that_is_there_for_the_worst_case_is_not_chosen_for_costing_nothing() -> None:
    bare = {name: _model(name, private=name == "tiny") for name in ("large", "small", "tiny")}
    catalogue = Catalogue(providers=PROVIDERS, models=bare, fallbacks={"*": ("tiny", "large", "small")})
    decision = decide(_facts("auto:cheap"), catalogue, PRICED)
    assert _chain(decision) == ["small", "large", "tiny"]
    assert decision.route == "auto:cheap"


def test_an_assignment_wins_over_auto_but_not_over_its_kin() -> None:
    catalogue = Catalogue(providers=PROVIDERS, models=MODELS, assignments={"maths": "rare"})
    told = decide(_facts("auto", ALL, inferred=True, signals="a sum"), catalogue, LEARNT)
    assert (_chain(told)[0], told.route) == ("rare", "assignment:maths")
    assert _why(told)["rare"] == "assigned to maths, told from the request (a sum)"
    assert _chain(decide(_facts("auto:cheap", ALL), catalogue, LEARNT))[0] == "small"


def test_what_costs_more_than_the_caller_allows_is_out() -> None:
    decision = decide(_facts("auto", ALL, max_cost_nano=2000), CATALOGUE, LEARNT)
    assert _chain(decision) == ["middle", "small", "tiny"]  # nor is one chosen whose price nobody knows
    assert _why(decision)["large"] == "may cost $0.000020; the caller allows $0.000002"
    with pytest.raises(BudgetExceeded, match="cheap enough"):
        decide(_facts("large", max_cost_nano=10), CATALOGUE, LEARNT)


def test_a_limit_on_the_cost_leads_beyond_the_default_chain_but_not_for_a_task() -> None:
    facts = _facts("auto", max_cost_nano=2000, private=False)
    catalogue = Catalogue(providers=PROVIDERS, models=MODELS, fallbacks={"*": ("large",)})
    decision = decide(facts, catalogue, PRICED)
    assert (_chain(decision)[:2], decision.route) == (["middle", "small"], "auto:maths:affordable")
    with pytest.raises(BudgetExceeded):
        decide(_facts("auto", max_cost_nano=2000, of_task=True), catalogue, PRICED)


def test_what_counts_is_the_most_that_it_may_cost() -> None:
    facts = _facts("auto", ALL, max_cost_nano=10_000, at_most=(100, 1000))
    assert _chain(decide(facts, CATALOGUE, LEARNT)) == ["small", "tiny"]
    assert _why(decide(facts, CATALOGUE, LEARNT))["large"].startswith("may cost $0.000110")


def test_a_kind_of_work_goes_to_whoever_is_cheap_enough_where_nobody_of_its_chain_is() -> None:
    written: dict[str, Any] = {"assignments": {"maths": "large"}, "fallbacks": {"*": ("large",)}}
    catalogue = Catalogue(providers=PROVIDERS, models=MODELS, **written)
    for name in ("auto", "maths"):
        decision = decide(_facts(name, max_cost_nano=2000), catalogue, PRICED)
        assert (_chain(decision), decision.route) == (["middle", "small", "tiny"], "assignment:maths")
        assert _why(decision)["middle"] == "affordable, as nobody of the chain is"
        with pytest.raises(BudgetExceeded):
            decide(_facts(name, max_cost_nano=2000, of_task=True), catalogue, PRICED)
    assert _chain(decide(_facts("maths", max_cost_nano=20_000), catalogue, PRICED)) == ["large"]


def test_a_key_without_the_name_gets_only_its_own_models() -> None:
    decision = decide(_facts("auto", ALL, allowed=frozenset({"small"})), CATALOGUE, LEARNT)
    assert _chain(decision) == ["small"]
    with pytest.raises(Forbidden):
        decide(_facts("auto:best", ALL, allowed=frozenset({"gone"})), CATALOGUE, LEARNT)


# What holds whatever was learnt

FACTS = st.builds(
    _facts,
    st.sampled_from(["auto", "auto:cheap", "auto:best"]),
    st.dictionaries(st.sampled_from(sorted(MODELS)), st.floats(0, 1)),
    vision=st.booleans(),
    tools=st.booleans(),
    private=st.booleans(),
    difficulty=st.sampled_from(["simple", "medium", "complex", None]),
    max_cost_nano=st.none() | st.integers(0, 50_000),
)
POLICIES = st.builds(
    Policy,
    quality=st.sampled_from([NO_POLICY.quality, LEARNT.quality]),
    target=st.floats(0.1, 1),
    strong=st.sampled_from([None, "large", "small", "gone"]),
    tiered=st.frozensets(st.sampled_from(sorted(MODELS))),
    cost=st.just(_cost),
    worst=st.just(_cost),
)


@given(FACTS, POLICIES)
def test_whatever_the_policy_nobody_answers_who_may_not(facts: Facts, policy: Policy) -> None:
    try:
        decision = decide(facts, CATALOGUE, policy)
    except ChittyError:
        reject()
    for candidate in decision.chain:
        assert objection(facts, candidate.model, candidate.provider, CATALOGUE) is None
        assert candidate.model.private or not facts.private
    for reason in decision.reasons:
        if reason.kept and facts.max_cost_nano is not None and reason.cost_nano is not None:
            assert reason.cost_nano <= facts.max_cost_nano
    assert len({candidate.model.name for candidate in decision.chain}) == len(decision.chain)


OPTIONS = st.lists(
    st.builds(
        lambda name, cost, quality: Option(_model(name), cost, Estimate(quality, 9, "")),
        st.sampled_from(["a", "b", "c", "d", "e"]),
        st.none() | st.integers(0, 100),
        st.floats(0, 1),
    ),
    min_size=1,
    unique_by=lambda option: option.name,
)


@given(OPTIONS, POLICIES, st.sampled_from(["auto", "auto:cheap"]))
def test_nobody_is_chosen_who_is_dearer_and_worse_than_another(
    options: list[Option], policy: Policy, model: str
) -> None:
    chosen = ranked(options, bar(_facts(model), options, policy))[0]
    assert not [each for each in options if each.price < chosen.price and each.quality > chosen.quality]


@given(OPTIONS, st.floats(1e-9, 10))
def test_nobody_is_worth_more_who_is_dearer_and_worse_than_another(options: list[Option], asked: float) -> None:
    order = by_worth(options, asked)
    for place, chosen in enumerate(order):
        assert not [each for each in order[place:] if each.price < chosen.price and each.quality > chosen.quality]
