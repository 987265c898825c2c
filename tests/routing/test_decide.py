"""Who may answer, in which order, and why everyone else may not."""

from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from chittycan.catalogue import Catalogue, Model, Provider
from chittycan.errors import ChittyError, Forbidden, InvalidRequest, NoPrivateModel, Unavailable, UnknownModel
from chittycan.routing.decide import Decision, decide
from chittycan.routing.facts import Facts


def _provider(name: str, dialect: Any = "openai", **more: Any) -> Provider:
    return Provider(name=name, dialect=dialect, endpoint=f"http://{name}.test/v1", **more)


def _model(name: str, provider: str, **more: Any) -> Model:
    return Model(name=name, provider=provider, upstream=more.pop("upstream", name), **more)


PROVIDERS = [
    _provider("openai", default_model="gpt-4"),
    _provider("anthropic", "anthropic", default_model="claude"),
    _provider("cloudflare"),
    _provider("embedded", embedded=True, local=True, default_model="smollm2"),
]
MODELS = [
    _model("gpt-4", "openai", context_window=8192),
    _model("gpt-4o", "openai", context_window=128_000, regions=("us-east", "eu")),
    _model("claude", "anthropic", context_window=200_000, prefill=True),
    _model("llama", "cloudflare", vision=False, tools=False, regions=("us-east",)),
    _model("vectors", "openai", embeddings=True),
    _model("mistral", "cloudflare", private=True),
    _model("smollm2", "embedded", private=True, json_schema=False, context_window=2048),
]


def _catalogue(**more: Any) -> Catalogue:
    return Catalogue(
        providers={each.name: each for each in PROVIDERS}, models={each.name: each for each in MODELS}, **more
    )


def _names(decision: Decision) -> list[str]:
    return [candidate.model.name for candidate in decision.chain]


def _why(decision: Decision) -> dict[str, str]:
    return {reason.model: reason.why for reason in decision.reasons}


# Names


def test_a_named_model_and_its_fallbacks_in_order() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("claude", "llama"), "claude": ("gpt-4o",)})
    decision = decide(Facts(model="gpt-4", surface="openai"), catalogue)
    assert _names(decision) == ["gpt-4", "claude", "llama"]
    assert decision.route == "named"
    assert _why(decision) == {
        "gpt-4": "named by the caller", "claude": "fallback of gpt-4", "llama": "fallback of gpt-4",
    }  # fmt: skip


def test_a_clients_named_model_never_ends_in_the_default_chain() -> None:
    catalogue = _catalogue(fallbacks={"*": ("llama", "smollm2")})
    assert _names(decide(Facts(model="gpt-4", surface="openai"), catalogue)) == ["gpt-4"]


def test_agents_and_the_command_keep_answering_with_the_default_chain() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("claude",), "*": ("claude", "smollm2")})
    decision = decide(Facts(model="gpt-4", keep_answering=True), catalogue)
    assert _names(decision) == ["gpt-4", "claude", "smollm2"]


def test_fallbacks_that_point_back_are_tried_once() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("claude", "gpt-4", "claude"), "claude": ("gpt-4",)})
    assert _names(decide(Facts(model="gpt-4"), catalogue)) == ["gpt-4", "claude"]


def test_two_names_of_the_same_upstream_model_are_tried_once() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("openai/gpt-4", "claude")})
    decision = decide(Facts(model="gpt-4"), catalogue)
    assert _names(decision) == ["gpt-4", "claude"]
    assert _why(decision)["openai/gpt-4"] == "the same model as gpt-4"


def test_an_undefined_fallback_is_skipped_with_a_suggestion() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("claud", "claude", "claud")})
    decision = decide(Facts(model="gpt-4"), catalogue)
    assert _names(decision) == ["gpt-4", "claude"]
    assert _why(decision)["claud"] == "unknown model; did you mean claude?"
    assert len(decision.reasons) == 3


def test_provider_slash_model_needs_no_row() -> None:
    decision = decide(Facts(model="cloudflare/@cf/new"), _catalogue())
    assert decision.chain[0].model.upstream == "@cf/new"
    assert decision.chain[0].provider.name == "cloudflare"


def test_the_callers_own_list_replaces_the_fallbacks() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("llama",)})
    decision = decide(Facts(model="gpt-4", models=("claude", "gpt-4o")), catalogue)
    assert (_names(decision), decision.route) == (["gpt-4", "claude", "gpt-4o"], "listed")
    assert _names(decide(Facts(model="auto", models=("claude", "gpt-4")), catalogue)) == ["claude", "gpt-4"]
    assert _names(decide(Facts(model="gpt-4", models=("claude", "gpt-4")), catalogue)) == ["claude", "gpt-4"]


# auto and assignments


def test_auto_is_the_written_default_chain() -> None:
    decision = decide(Facts(model="auto"), _catalogue(fallbacks={"*": ("llama", "gpt-4")}))
    assert (_names(decision), decision.route) == (["llama", "gpt-4"], "auto")


def test_auto_without_a_written_chain_is_every_providers_default_the_embedded_one_last() -> None:
    assert _names(decide(Facts(model="auto"), _catalogue())) == ["gpt-4", "claude", "smollm2"]


def test_auto_follows_the_kind_of_task() -> None:
    catalogue = _catalogue(
        assignments={"email.triage": "llama", "*": "gpt-4o"}, fallbacks={"llama": ("gpt-4",), "*": ("smollm2",)}
    )
    decision = decide(Facts(model="auto", kind="email.triage"), catalogue)
    assert (_names(decision), decision.route) == (["llama", "gpt-4", "smollm2"], "assignment:email.triage")
    assert _names(decide(Facts(model="auto", kind="docs.generation"), catalogue)) == ["gpt-4o", "smollm2"]
    assert _names(decide(Facts(model="auto"), catalogue)) == ["gpt-4o", "smollm2"]


def test_an_assignment_is_a_model_name() -> None:
    catalogue = _catalogue(assignments={"code.review": "claude"}, fallbacks={"*": ("smollm2",)})
    decision = decide(Facts(model="code.review", surface="openai"), catalogue)
    assert (_names(decision), decision.route) == (["claude", "smollm2"], "assignment:code.review")


def test_a_model_of_that_name_counts_before_an_assignment() -> None:
    catalogue = _catalogue(assignments={"gpt-4": "claude"})
    assert _names(decide(Facts(model="gpt-4", surface="openai"), catalogue)) == ["gpt-4"]


# What cannot be called


def test_an_unknown_model_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UnknownModel, match="'cluade' does not exist") as raised:
        decide(Facts(model="cluade"), _catalogue())
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert str(raised.value.fix).startswith("Did you mean claude")
    with pytest.raises(UnknownModel) as raised:
        decide(Facts(model="zzz"), _catalogue())
    assert "can router models list" in str(raised.value.fix)


def test_a_known_model_without_its_key_says_what_it_needs() -> None:
    catalogue = _catalogue(unavailable={"grok-4": "needs XAI_API_KEY", "gemini-*": "needs GEMINI_API_KEY"})
    for name, needs in (("grok-4", "XAI_API_KEY"), ("gemini-2.5-pro", "GEMINI_API_KEY")):
        with pytest.raises(UnknownModel, match=needs):
            decide(Facts(model=name), catalogue)


def test_a_known_model_without_its_key_still_has_its_fallbacks() -> None:
    catalogue = _catalogue(unavailable={"grok-4": "needs XAI_API_KEY"}, fallbacks={"grok-4": ("gpt-4",)})
    decision = decide(Facts(model="grok-4"), catalogue)
    assert _names(decision) == ["gpt-4"]
    assert _why(decision)["grok-4"] == "needs XAI_API_KEY"


def test_a_model_of_a_skipped_provider_says_why() -> None:
    with pytest.raises(UnknownModel, match="the file is missing"):
        decide(Facts(model="groq/llama"), _catalogue(skipped={"groq": "the file is missing"}))


def test_nothing_at_all_says_how_to_begin() -> None:
    with pytest.raises(Unavailable) as raised:
        decide(Facts(model="auto"), Catalogue(providers={}, models={}))
    assert "OPENAI_API_KEY" in str(raised.value.fix)


# Rules


def test_a_key_sees_only_its_models() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("claude", "llama")})
    decision = decide(Facts(model="gpt-4", allowed=frozenset({"gpt-4", "llama"})), catalogue)
    assert _names(decision) == ["gpt-4", "llama"]
    assert _why(decision)["claude"] == "not allowed for this key"
    with pytest.raises(Forbidden) as raised:
        decide(Facts(model="gpt-4", allowed=frozenset({"mistral"})), catalogue)
    assert raised.value.code == "model_not_allowed"


def test_a_key_may_not_name_another_models_upstream_either() -> None:
    with pytest.raises(Forbidden):
        decide(Facts(model="openai/gpt-4o", allowed=frozenset({"gpt-4"})), _catalogue())


def test_a_key_that_may_use_auto_may_use_what_auto_chooses_and_nothing_by_name() -> None:
    catalogue = _catalogue(assignments={"*": "gpt-4"})
    assert _names(decide(Facts(model="auto", allowed=frozenset({"auto"})), catalogue))[0] == "gpt-4"
    with pytest.raises(Forbidden):
        decide(Facts(model="gpt-4", allowed=frozenset({"auto"})), catalogue)


def test_a_key_that_may_use_auto_may_not_list_what_it_likes() -> None:
    catalogue = _catalogue(assignments={"*": "gpt-4"})
    with pytest.raises(Forbidden):
        decide(Facts(model="auto", models=("claude",), allowed=frozenset({"auto"})), catalogue)
    listed = Facts(model="auto", models=("claude", "gpt-4"), allowed=frozenset({"auto", "gpt-4"}))
    assert _names(decide(listed, catalogue)) == ["gpt-4"]
    kept_in = Facts(model="auto", models=("gpt-4",), allowed=frozenset({"auto"}), private=True)
    assert _names(decide(kept_in, catalogue)) == ["mistral", "smollm2"]  # our choice again
    preferred = Facts(model="auto", models=("smollm2",), allowed=frozenset({"auto"}), private=True)
    assert _names(decide(preferred, catalogue)) == ["mistral", "smollm2"]


def test_a_key_that_may_use_auto_may_use_what_the_owners_rule_chooses_for_it() -> None:
    ruled = Facts(model="gpt-4", rule="night", keep_answering=True, allowed=frozenset({"auto"}))
    assert _names(decide(ruled, _catalogue()))[0] == "gpt-4"
    with pytest.raises(Forbidden):
        decide(Facts(model="gpt-4", rule="night", allowed=frozenset({"claude"})), _catalogue())


def test_the_route_of_what_is_assigned_to_everything_says_so() -> None:
    assert decide(Facts(model="auto"), _catalogue(assignments={"*": "gpt-4"})).route == "assignment:*"


@pytest.mark.parametrize("name", ["smolm2", "claud", "gpt4", "gtp-4.1", "qwen2.5:3b", "no/such", "triage"])
def test_what_is_assigned_to_every_kind_of_work_does_not_answer_for_a_name_that_is_none(name: str) -> None:
    """Else a slip of the pen is answered, and paid for, by a model that nobody asked for."""
    with pytest.raises(UnknownModel, match=name):
        decide(Facts(model=name), _catalogue(assignments={"*": "gpt-4"}))


@pytest.mark.parametrize("name", ["code", "maths", "docs.generation", "email.response_draft"])
def test_what_is_assigned_to_every_kind_of_work_answers_for_a_kind_that_is_named_as_model(name: str) -> None:
    decision = decide(Facts(model=name), _catalogue(assignments={"*": "gpt-4"}))
    assert (_names(decision)[0], decision.route) == ("gpt-4", f"assignment:{name}")


@pytest.mark.parametrize("kind", ["smolm2", "my own kind", "triage"])
def test_a_kind_that_is_said_to_be_one_may_be_any_word(kind: str) -> None:
    decision = decide(Facts(model="auto", kind=kind), _catalogue(assignments={"*": "gpt-4"}))
    assert _names(decision)[0] == "gpt-4"


def test_private_work_goes_to_private_models_only_whatever_was_named() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("claude",)}, assignments={"private": "mistral"})
    decision = decide(Facts(model="gpt-4", private=True), catalogue)
    assert (_names(decision), decision.route, decision.label) == (["mistral", "smollm2"], "private", "private")
    assert {"gpt-4", "claude"} <= {reason.model for reason in decision.reasons if not reason.kept}


def test_auto_asks_one_that_makes_embeddings_where_they_are_wanted_and_nobody_else() -> None:
    catalogue = _catalogue(fallbacks={"*": ("gpt-4", "llama")}, quickest_first=True)
    decision = decide(Facts(model="auto", surface="openai", embeddings=True), catalogue)
    assert (_names(decision), decision.equals) == (["vectors"], ())
    chosen = decide(Facts(model="auto:best", embeddings=True, size=10, written=10, difficulty="complex"), catalogue)
    assert _names(chosen) == ["vectors"]
    other = Facts(model="auto", embeddings=True, allowed=frozenset({"llama"}))
    assert _names(decide(other, catalogue)) == ["llama"]  # nobody knows that it makes none


def test_the_virtual_model_private_is_private_work() -> None:
    decision = decide(Facts(model="private"), _catalogue())
    assert (_names(decision), decision.label) == (["mistral", "smollm2"], "private")


def test_an_assignment_cannot_make_a_model_private() -> None:
    decision = decide(Facts(model="private"), _catalogue(assignments={"private": "gpt-4"}))
    assert _names(decision) == ["mistral", "smollm2"]


def test_a_named_private_model_comes_first() -> None:
    assert _names(decide(Facts(model="smollm2", private=True), _catalogue())) == ["smollm2", "mistral"]


def test_private_work_keeps_to_the_order_of_the_chain_that_it_was_asked_with() -> None:
    catalogue = _catalogue(
        fallbacks={"gpt-4": ("smollm2", "claude", "mistral"), "*": ("gpt-4", "smollm2")},
        assignments={"email.triage": "gpt-4", "private": "mistral"},
    )
    of_the_kind = decide(Facts(model="auto", kind="email.triage", private=True), catalogue)
    assert _names(of_the_kind) == ["smollm2", "mistral"]
    assert _why(of_the_kind) == {
        "gpt-4": "private work, and the model is not marked private",
        "smollm2": "fallback of gpt-4, private",
        "claude": "private work, and the model is not marked private",
        "mistral": "fallback of gpt-4, private",
    }
    for asked in (
        Facts(model="gpt-4", private=True),
        Facts(model="email.triage", private=True),
        Facts(model="auto", models=("claude", "smollm2"), private=True),
    ):
        assert _names(decide(asked, catalogue)) == ["smollm2", "mistral"]
    for asked in (
        Facts(model="auto", kind="code", private=True),
        Facts(model="private", kind="email.triage"),
        Facts(model="auto:cheap", kind="email.triage", private=True),
    ):
        assert _names(decide(asked, catalogue)) == ["mistral", "smollm2"]


def test_what_is_assigned_to_everything_does_not_stand_before_what_is_assigned_to_private_work() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("smollm2",)}, assignments={"*": "gpt-4", "private": "mistral"})
    assert _names(decide(Facts(model="auto", kind="code", private=True), catalogue)) == ["mistral", "smollm2"]


def test_private_work_with_no_private_model_fails_and_never_leaks() -> None:
    public = {each.name: each for each in MODELS if not each.private}
    catalogue = Catalogue(providers={each.name: each for each in PROVIDERS}, models=public)
    for facts in (Facts(model="gpt-4", private=True), Facts(model="private"), Facts(model="auto", private=True)):
        with pytest.raises(NoPrivateModel):
            decide(facts, catalogue)


def test_a_model_without_regions_is_out_of_region_bound_work() -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("gpt-4o", "llama")})
    assert _names(decide(Facts(model="gpt-4", region="us-east"), catalogue)) == ["gpt-4o", "llama"]
    assert _names(decide(Facts(model="gpt-4", region="eu"), catalogue)) == ["gpt-4o"]
    with pytest.raises(InvalidRequest, match="not in region mars") as refused:
        decide(Facts(model="gpt-4", region="mars"), catalogue)
    assert '"regions": ["mars"]' in (refused.value.fix or "")


@pytest.mark.parametrize(
    ("need", "left"),
    [
        ({"vision": True}, ["gpt-4", "claude", "smollm2"]),
        ({"tools": True}, ["gpt-4", "claude", "smollm2"]),
        ({"schema": True}, ["gpt-4", "llama", "claude"]),
        ({"tokens": 10_000}, ["llama", "claude"]),
        ({"tokens": 300_000}, ["llama"]),
        ({"same_dialect": "n"}, ["gpt-4", "llama", "smollm2"]),
        ({"same_dialect": "logprobs", "surface": "anthropic"}, ["claude"]),
        ({"prefill": True}, ["gpt-4", "llama", "claude", "smollm2"]),
        ({"prefill": True, "surface": "anthropic"}, ["claude"]),
        ({"embeddings": True}, ["gpt-4", "llama", "smollm2"]),
    ],
)
def test_models_that_cannot_do_it_are_passed_over(need: dict[str, Any], left: list[str]) -> None:
    catalogue = _catalogue(fallbacks={"gpt-4": ("llama", "claude", "smollm2")})
    decision = decide(Facts(**{"model": "gpt-4", "surface": "openai", **need}), catalogue)
    assert _names(decision) == left
    assert all(reason.why for reason in decision.reasons)


def test_a_model_for_embeddings_does_not_chat() -> None:
    assert _names(decide(Facts(model="vectors", surface="openai", embeddings=True), _catalogue())) == ["vectors"]
    with pytest.raises(InvalidRequest, match="makes embeddings"):
        decide(Facts(model="vectors", surface="openai"), _catalogue())


@pytest.mark.parametrize(
    ("need", "code", "param"),
    [
        ({"tokens": 10_000}, "context_length_exceeded", "messages"),
        ({"same_dialect": "n", "surface": "anthropic"}, "unsupported", "n"),
        ({"same_dialect": "logprobs", "surface": "anthropic"}, "unsupported", "logprobs"),
    ],
)
def test_the_refusal_names_the_field(need: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        decide(Facts(**{"model": "gpt-4", "surface": "openai", **need}), _catalogue())
    assert (raised.value.code, raised.value.param) == (code, param)


# Properties

NAMES = [*(each.name for each in MODELS), "auto", "private", "email.triage", "openai/gpt-4", "cloudflare/x", "nobody"]
some_names = st.lists(st.sampled_from([*NAMES, "gone"]), max_size=5).map(tuple)
catalogues = st.builds(
    _catalogue,
    fallbacks=st.dictionaries(st.sampled_from([*NAMES, "*"]), some_names, max_size=5),
    assignments=st.dictionaries(st.sampled_from(["private", "email.triage", "email.*", "*"]), st.sampled_from(NAMES)),
    unavailable=st.just({"gone": "needs GONE_API_KEY"}),
)
rarely = st.sampled_from([False, False, False, False, True])
all_facts = st.builds(
    Facts,
    model=st.sampled_from(NAMES),
    surface=st.sampled_from([None, "openai", "anthropic"]),
    kind=st.none() | st.just("email.triage"),
    region=st.sampled_from([None, None, None, "us-east"]),
    private=rarely,
    models=some_names,
    allowed=st.none() | st.frozensets(st.sampled_from(NAMES)),
    keep_answering=rarely,
    tokens=st.sampled_from([0, 0, 10_000, 1_000_000]),
    vision=rarely,
    tools=rarely,
    schema=rarely,
    prefill=rarely,
    same_dialect=st.sampled_from([None, None, None, "n"]),
    embeddings=rarely,
)


@given(all_facts, catalogues)
def test_every_decision_holds_to_the_rules(facts: Facts, catalogue: Catalogue) -> None:
    try:
        decision = decide(facts, catalogue)
    except ChittyError:
        reject()
    places = [(candidate.model.provider, candidate.model.upstream) for candidate in decision.chain]
    assert places
    assert len(places) == len(set(places)), "a model is tried once"
    considered = [reason.model for reason in decision.reasons]
    assert len(considered) == len(set(considered)), "one reason each"
    assert [reason.model for reason in decision.reasons if reason.kept] == _names(decision)
    for model, provider in ((candidate.model, candidate.provider) for candidate in decision.chain):
        assert provider.name == model.provider
        assert model.private or not (facts.private or facts.model == "private")
        chosen_for_it = facts.model in (facts.allowed or ()) and catalogue.resolve(facts.model) is None
        assert facts.allowed is None or model.name in facts.allowed or chosen_for_it
        assert facts.region is None or facts.region in model.regions
        assert not facts.vision or model.vision
        assert not facts.tools or model.tools
        assert not facts.schema or model.json_schema
        assert facts.same_dialect is None or provider.dialect == facts.surface
        assert model.embeddings <= facts.embeddings
        assert model.context_window is None or facts.tokens <= model.context_window
