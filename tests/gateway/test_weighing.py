"""What a choice by cost and quality is told of a call."""

from typing import Any

import pytest

from chittycan import chat
from chittycan.auth.keys import Key
from chittycan.catalogue import Catalogue, Model, Provider
from chittycan.chat import ChatRequest, Image, Message, Text
from chittycan.gateway.call import Call, Options
from chittycan.gateway.decisions import Decisions
from chittycan.gateway.facts import facts_of
from chittycan.gateway.weighing import OTHER_OUTPUT, USUAL_OUTPUT, weighed, weighing, words_of
from chittycan.routing.cost.policy import Policy
from chittycan.routing.facts import Facts
from chittycan.routing.quality import features
from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.learnt import Learnt, Mean
from gateway_parts import call

LAB = Provider(name="lab", dialect="openai", endpoint="http://lab.test/v1", default_model="large")
CATALOGUE = Catalogue(
    providers={"lab": LAB},
    models={name: Model(name=name, provider="lab", upstream=name) for name in ("large", "small")},
)
TAUGHT = Quality(Learnt(models={"small": Mean(0.81234, 70)}, kinds={"maths": {"small": Mean(0.91234, 70)}}))
SUM = "What is 17 * 23? Calculate it, please."


def own(*messages: Message, model: str = "auto", **more: Any) -> Call:
    """A call of this process."""
    return call(None, model=model, parsed=ChatRequest(model=model, messages=list(messages)), **more)


def said(prompt: str, surface: str = "openai") -> Call:
    return call(surface, model="auto", fields={"messages": [{"role": "user", "content": prompt}]})


def told(asked: Call) -> Facts:
    return weighed(asked, facts_of(asked), weighing(CATALOGUE, Policy(quality=TAUGHT)))


@pytest.mark.parametrize(
    ("surface", "fields"),
    [
        ("openai", {"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": SUM}]}),
        ("openai", {"messages": [{"role": "user", "content": [{"type": "text", "text": SUM}]}]}),
        ("anthropic", {"messages": [{"role": "user", "content": [{"type": "text", "text": SUM}]}]}),
        ("openai_responses", {"input": SUM}),
        ("openai_responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": SUM}]}]}),
        ("openai_completions", {"messages": None, "prompt": SUM}),
        ("openai_completions", {"messages": None, "prompt": ["Hello", SUM]}),
    ],
)
def test_the_last_words_of_the_user_in_every_dialect(surface: str, fields: dict[str, Any]) -> None:
    assert words_of(call(surface, fields=fields)) == SUM


@pytest.mark.parametrize("content", [None, 7, [7], [{"text": 7}], {}, [], "", "  "])
def test_a_body_that_says_nothing_has_no_words(content: Any) -> None:
    assert words_of(call(fields={"messages": [{"role": "user", "content": content}]})) == ""
    assert words_of(call(fields={"messages": content})).strip() == ""


def test_a_terse_message_is_read_with_the_one_before() -> None:
    assert words_of(own(chat.user("a"), chat.user(SUM), Message("assistant", [Text("391")]), chat.user("sure?"))) == (
        f"{SUM}\nsure?"
    )
    assert words_of(own(chat.user("old"), chat.user(SUM))) == SUM


def test_a_long_message_is_read_at_its_ends() -> None:
    words = words_of(said("begin " + "x" * 100_000 + " end"))
    assert len(words) < 20_000
    assert words.startswith("begin ")
    assert words.endswith(" end")


def test_kind_difficulty_and_quality_are_told_from_the_words() -> None:
    facts = told(said(SUM))
    assert (facts.kind, facts.difficulty) == ("maths", "medium")
    assert (facts.inferred, facts.signals) == (True, "")
    name, estimate = facts.estimates[0]
    assert (name, estimate.quality, estimate.scored) == ("small", 0.91, 70)


def test_a_kind_that_was_given_is_kept() -> None:
    asked = said(SUM)
    asked.options = Options(kind="email.triage")
    facts = told(asked)
    assert (facts.kind, facts.inferred) == ("email.triage", False)


def test_images_are_a_kind() -> None:
    assert told(own(Message("user", [Text(SUM), Image(data="eA==")]))).kind == "vision"


def test_what_is_written_is_what_the_kind_usually_takes_or_what_the_caller_allows() -> None:
    assert told(said(SUM)).written <= USUAL_OUTPUT["maths"] < told(said(SUM)).written * 1.25
    assert told(said("hello there")).written <= OTHER_OUTPUT
    limited = call(model="auto", fields={"messages": [{"role": "user", "content": SUM}], "max_tokens": 8})
    assert told(limited).written == 8


def test_requests_of_about_the_same_size_share_a_decision() -> None:
    decisions = Decisions(CATALOGUE, Policy(quality=TAUGHT))
    one, other = said(f"{SUM} {'Give only the result. ' * 20}"), said(f"{SUM} {'Give only the result! ' * 20}!")
    assert decisions.of(one) is decisions.of(other)
    assert decisions.of(one).kind == "maths"


def test_nothing_is_read_where_nothing_depends_on_it() -> None:
    bare = weighing(CATALOGUE, Policy())
    assert not bare.concerns(said(SUM))
    assert not bare.concerns(call(model="large"))
    assert bare.concerns(call(model="auto:cheap"))
    assert bare.concerns(call(model="large", options=Options(max_cost_nano=1)))


@pytest.mark.parametrize(
    ("assignments", "reads"),
    [({"code.review": "small"}, True), ({"maths": "small"}, True), ({"email.triage": "small"}, False),
     ({"*": "small"}, False), ({"private": "small"}, False)],
)  # fmt: skip
def test_words_count_where_a_kind_that_can_be_told_is_assigned(assignments: dict[str, str], reads: bool) -> None:
    catalogue = Catalogue(providers=CATALOGUE.providers, models=CATALOGUE.models, assignments=assignments)
    assert weighing(catalogue, Policy()).reads is reads
    assert weighing(catalogue, Policy(tiered=frozenset({"small"}))).reads


def test_a_change_of_policy_is_effective_for_the_next_call() -> None:
    decisions = Decisions(CATALOGUE)
    assert decisions.of(said(SUM)).route == "auto"
    decisions.use(CATALOGUE, Policy(quality=TAUGHT, cost=lambda *_: 1))
    assert decisions.of(said(SUM)).route == "auto:maths:cheapest"


def test_a_choice_by_cost_follows_prices_that_have_a_time_of_day() -> None:
    prices = {"large": 2, "small": 1}
    equally_good = Quality(Learnt(models=dict.fromkeys(prices, Mean(0.8, 70))))
    decisions = Decisions(CATALOGUE, Policy(quality=equally_good, cost=lambda model, *_: prices[model.name]))
    asked = said(SUM)
    assert decisions.of(asked).chain[0].model.name == "small"
    prices["small"] = 3
    later = said(SUM)
    later.at = asked.at + 3600
    assert decisions.of(later).chain[0].model.name == "large"


def test_one_keys_decision_is_not_anothers() -> None:
    decisions = Decisions(CATALOGUE, Policy(quality=TAUGHT, cost=lambda *_: 1))
    limited = said(SUM)
    limited.key = Key(id="k", name="k", models=frozenset({"large"}))
    assert [each.model.name for each in decisions.of(said(SUM)).chain] == ["small", "large"]
    assert [each.model.name for each in decisions.of(limited).chain] == ["large"]


def test_of_private_work_no_word_is_looked_up_in_what_was_learnt() -> None:
    """Its chain does not depend on quality, and words that were looked up are remembered."""
    secret = "Calculate 17 * 23 for zyxwvut-4711"
    asked = call("openai", model="auto", fields={"messages": [{"role": "user", "content": secret}]})
    asked.options = Options(private=True)
    assert told(asked).estimates == ()
    assert "zyxwvut-4711" not in features._pieces
    asked.options = Options()
    assert told(asked).estimates
