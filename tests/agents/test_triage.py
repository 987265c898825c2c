"""Whose word counts: rules, a model, and a small model beside rules."""

import json
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from chittycan.agents import agent, rules
from chittycan.agents.priority import PRIORITY, Prioritized
from chittycan.agents.triage import TRIAGE, Triage
from chittycan.agents.wording import Wording
from chittycan.chat import ChatRequest
from chittycan.gateway.call import Answer, Options, Trace
from chittycan.integrations.email.message import Mail
from chittycan.testing.ask import ScriptedAsk

Letter = Callable[..., Mail]
COURT = "Notice of hearing: the district court has listed the case, courtroom 4."


def said(category: str, *, needs_reply: bool = True) -> str:
    return json.dumps({"category": category, "confidence": 0.95, "needs_reply": needs_reply, "deadline": "",
                       "urgency": [], "keywords": [], "evidence": [], "reasoning": "So."})  # fmt: skip


LARGE, EMBEDDED = Trace(request_id="c", model="large"), Trace(request_id="c", model="tiny", embedded=True)


def by(trace: Trace, ask: ScriptedAsk) -> agent.Ask:
    async def asked(request: ChatRequest, options: Options) -> Answer:
        answer = await ask(request, options)
        return replace(answer, trace=replace(answer.trace, model=trace.model, embedded=trace.embedded))

    return asked


async def triage(mail: Mail, category: str, trace: Trace) -> Triage:
    ask = ScriptedAsk({"email.triage": [said(category)]})
    return (await agent.run(TRIAGE, Wording(mail), by(trace, ask))).value


@pytest.mark.parametrize(
    ("model", "small"),
    [
        ("qwen2.5:3b", True),
        ("ollama/llama3.2:1b-instruct-q4_K_M", True),
        ("SmolLM2-360M-Instruct", True),
        ("gemma-3-4b-it", True),
        ("qwen3-30b-a3b", False),
        ("mixtral-8x7b", False),
        ("qwen2.5-7b-instruct-1m", False),
        ("claude-sonnet-4-5-1m", False),
        ("gpt-4o-mini", False),
        ("phi3:mini", False),
        ("our-3beta", False),
    ],
)
def test_small_is_what_says_so_in_its_name(model: str, small: bool) -> None:
    assert agent.is_small(Trace(request_id="c", model=model)) is small


def test_the_embedded_model_is_small_whatever_it_is_called() -> None:
    assert agent.is_small(EMBEDDED)


async def test_rules_do_not_hold_back_a_model(letter: Letter) -> None:
    found = await triage(letter(COURT), "newsletter", LARGE)
    assert (found.category, found.confidence) == ("newsletter", 0.95)


async def test_the_embedded_model_does_not_overrule_clear_words(letter: Letter) -> None:
    found = await triage(letter(COURT), "newsletter", EMBEDDED)
    assert found.category == "court_notice"
    assert "newsletter" in found.reasoning


async def test_the_embedded_model_tips_the_scales_where_words_are_even(letter: Letter) -> None:
    mail = letter("It is about the invoice and the tenant.", Subject="Hello")
    assert {each.category for each in rules.candidates(Wording(mail))[:2]} == {"billing_matter", "tenant_communication"}
    for category in ("billing_matter", "tenant_communication"):
        assert (await triage(mail, category, EMBEDDED)).category == category


async def test_confidence_is_that_of_the_words_where_the_model_is_small(letter: Letter) -> None:
    mail = letter("We spoke about an invoice.", Subject="Hello")
    found = await triage(mail, "billing_matter", EMBEDDED)
    assert rules.category(Wording(mail)).confidence < found.confidence < 0.95


@pytest.mark.parametrize("level", ["LOW", "NORMAL", "CRITICAL"])
async def test_the_embedded_model_neither_plays_down_a_court_nor_makes_it_critical(level: str, letter: Letter) -> None:
    mail = letter(COURT)
    answer = json.dumps({"level": level, "score": 0.1, "factors": [], "reasoning": "So."})
    ask = by(EMBEDDED, ScriptedAsk({"email.priority": [answer]}))
    value = Prioritized(Wording(mail), TRIAGE.rules(Wording(mail)))
    assert (await agent.run(PRIORITY, value, ask)).value.level == "HIGH"


def test_quotes_of_rules_stand_in_the_mail(letter: Letter) -> None:
    mail = letter(COURT)
    found = TRIAGE.rules(Wording(mail)).evidence
    assert found
    assert all(mail.text[each.offset :].startswith(each.quote) for each in found)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Please pay the invoice by 27 November.", "HIGH"),
        ("Please pay the invoice by 27 February.", "NORMAL"),
        ("URGENT, asap, today, right now: what does an invoice look like?", "NORMAL"),
        ("There is no heating and my baby is cold, I am a tenant.", "HIGH"),
        ("Everything is down, production is down, nobody can work.", "HIGH"),
        ("The scheduled maintenance is over. No action is required.", "LOW"),
        ("Letzte Mahnung: zahlen Sie die Rechnung.", "HIGH"),
        ("I want to say no action is required, but when is the hearing in court? Notice of hearing.", "HIGH"),
        ("Unser Newsletter: die Themen der Woche, Abmelden jederzeit.", "LOW"),
    ],
)
def test_deadlines_and_harm_press_and_haste_alone_does_not(text: str, level: str, letter: Letter) -> None:
    mail = letter(text, Subject="Hello", Date="Mon, 23 Nov 2026 09:00:00 +0000")
    assert PRIORITY.rules(Prioritized(Wording(mail), TRIAGE.rules(Wording(mail)))).level == level


@pytest.mark.parametrize(("trace", "needs_reply"), [(LARGE, False), (EMBEDDED, True)])
async def test_a_small_model_overlooks_no_question(letter: Letter, trace: Trace, needs_reply: bool) -> None:
    mail = letter("Which hours does your invoice of May cover?", Subject="Your invoice")
    ask = ScriptedAsk({"email.triage": [said("billing_matter", needs_reply=False)]})
    assert (await agent.run(TRIAGE, Wording(mail), by(trace, ask))).value.needs_reply is needs_reply
