"""The owner's rules over an inbox: looked at before any model reads a mail, and again when it is known what it is."""

from collections.abc import Callable

import pytest

from chittycan.agents.pipeline import Terms, process
from chittycan.agents.report import Outcome
from chittycan.integrations.email.sources import RawMail
from chittycan.routing.rules.book import Book, Rule
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk


@pytest.fixture
def ask(answers: dict[str, Callable[..., str]]) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


def book(*rules: tuple[str, str]) -> Book:
    return Book(
        Rule(id=condition, name=condition, condition=condition, action=action, created=float(place))
        for place, (condition, action) in enumerate(rules)
    )


async def one(ask: ScriptedAsk, database: Database, rules: Book) -> Outcome:
    text = b"From: Ann <ann@bell.example>\nMessage-ID: <1@bell.example>\nSubject: A question\n\nWhat is the price?\n"
    report = await process([RawMail("folder:/mail", "1.eml", text)], ask, database, Terms(rules=rules))
    (outcome,) = report.outcomes
    return outcome


async def test_without_rules_that_hold_nothing_changes(ask: ScriptedAsk, sqlite: Database) -> None:
    outcome = await one(ask, sqlite, book(("from:bob", "private, draft:false")))
    assert outcome.rules == ()
    assert outcome.draft_id is not None
    assert not any(options.private for _, options in ask.requests)


async def test_private_holds_from_the_first_call_on(ask: ScriptedAsk, sqlite: Database) -> None:
    await one(ask, sqlite, book(("from:@bell.example", "private")))
    assert {options.kind for _, options in ask.requests} == {"email.triage", "email.priority", "email.response"}
    assert all(options.private for _, options in ask.requests)


async def test_what_agents_found_chooses_the_model_of_the_reply(ask: ScriptedAsk, sqlite: Database) -> None:
    plain = await one(ask, sqlite, book())
    assert plain.level is not None
    level = plain.level.lower()
    ask.requests.clear()
    rules = book((f"priority:{level} category:{plain.category}", "model:llama-scout"))
    text = b"From: Ann <ann@bell.example>\nMessage-ID: <2@bell.example>\nSubject: Another\n\nWhat is the price?\n"
    await process([RawMail("folder:/mail", "2.eml", text)], ask, sqlite, Terms(rules=rules))
    models = {options.kind: request.model for request, options in ask.requests}
    assert models["email.response"] == "llama-scout"
    assert models["email.triage"] != "llama-scout"


async def test_a_rule_may_raise_label_and_keep_from_drafting(ask: ScriptedAsk, sqlite: Database) -> None:
    rules = book(("subject:question", "priority:critical, label:court"), ("from:ann", "draft:false, label:ann"))
    outcome = await one(ask, sqlite, rules)
    assert (outcome.level, outcome.labels, outcome.draft_id) == ("CRITICAL", ("court", "ann"), None)
    assert not ask.asked("email.response")
