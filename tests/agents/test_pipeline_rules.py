"""The owner's rules over an inbox: looked at before any model reads a mail, and again when it is known what it is."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chittycan.agents.pipeline import Terms, process
from chittycan.agents.report import Outcome
from chittycan.agents.told import Tell
from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.integrations.email.sources import RawMail
from chittycan.routing.rules.book import Book, Rule
from chittycan.store.database import Database
from chittycan.store.tasks import Wanted
from chittycan.testing.ask import ScriptedAsk


@pytest.fixture
def ask(answers: dict[str, Callable[..., str]]) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


def book(*rules: tuple[str, str]) -> Book:
    return Book(
        Rule(id=condition, name=condition, condition=condition, action=action, created=float(place))
        for place, (condition, action) in enumerate(rules)
    )


async def one(
    ask: ScriptedAsk, database: Database, rules: Book, *, subject: str = "A question", tell: Tell | None = None
) -> Outcome:
    text = f"From: Ann <ann@bell.example>\nMessage-ID: <{len(subject)}@bell.example>\nSubject: {subject}\n\nHow much?\n"
    mail = RawMail("folder:/mail", "1.eml", text.encode())
    report = await process([mail], ask, database, Terms(rules=rules, tell=tell))
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


async def test_a_rule_says_which_kind_of_work_a_reply_is(
    answers: dict[str, Callable[..., str]], sqlite: Database
) -> None:
    script = {f"email.{name}": [answer()] for name, answer in answers.items()}
    ask = ScriptedAsk(script | {"email.legal-response": [answers["response"]()]})
    await one(ask, sqlite, book(("from:ann", "agent:legal-response")))
    assert [options.kind for _, options in ask.requests][-1] == "email.legal-response"
    assert not ask.asked("email.response")


class Told:
    """Durable work of a database, and what it tells whom."""

    def __init__(self, database: Database) -> None:
        self.durable = Durable(database, SystemClock())
        self.durable.recorder.audience = lambda event: ["https://all.example"] if event == "rule.matched" else []

    async def deliveries(self) -> list[tuple[str, dict[str, Any]]]:
        tasks, _ = await self.durable.tasks.list(Wanted(types=("deliver",)))
        found = [(each.spec["to"]["url"], each.spec["event"]["data"]) for each in tasks]
        return sorted(found, key=lambda each: (each[0], each[1]["id"]))


@pytest.fixture
async def told(database: Database) -> AsyncIterator[Told]:
    told = Told(database)
    await told.durable.engine.prepare()
    yield told
    await told.durable.close()


async def test_who_is_to_be_told_is_told_once_and_of_private_mail_neither_sender_nor_subject(
    ask: ScriptedAsk, database: Database, told: Told
) -> None:
    rules = book(("subject:question", "notify:partners, webhook:https://hook.example"), ("subject:divorce", "private"))
    outcome = await one(ask, database, rules, tell=told.durable.tell)
    data = {
        "id": outcome.id, "account": None, "category": outcome.category, "priority": outcome.level,
        "rules": ["subject:question"], "notify": ["partners"], "draft": outcome.draft_id,
    }  # fmt: skip
    seen = {"from": "Ann <ann@bell.example>", "subject": "A question"}
    assert await told.deliveries() == [("https://all.example", data | seen), ("https://hook.example", data | seen)]
    await one(ask, database, rules, tell=told.durable.tell)  # the same mail again
    assert len(await told.deliveries()) == 2
    secret = await one(ask, database, rules, subject="A question of divorce", tell=told.durable.tell)
    (found,) = [data for url, data in await told.deliveries() if data["id"] == secret.id and "hook" in url]
    assert not {"from", "subject"} & found.keys()


async def test_nobody_is_told_where_no_rule_says_so(ask: ScriptedAsk, database: Database, told: Told) -> None:
    await one(ask, database, book(("subject:question", "label:x")), tell=told.durable.tell)
    assert await told.deliveries() == []
