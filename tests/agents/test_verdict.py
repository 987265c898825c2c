"""Who has to look at a mail: a person at all of it in onboarding, and at what is in doubt where `auto` holds."""

from collections.abc import Callable

import pytest

from chittycan.agents import verdict
from chittycan.agents.pipeline import Terms, process
from chittycan.agents.priority import Facts, Priority
from chittycan.agents.report import Outcome
from chittycan.agents.review import Said, judge
from chittycan.agents.verdict import ONLY_HEADERS
from chittycan.errors import AllFailed
from chittycan.integrations.email.message import ENCRYPTED
from chittycan.integrations.email.sources import Place, RawMail
from chittycan.routing.rules.book import Applied, Book, Rule
from chittycan.store import claims, inbox, mail_actions, mailboxes
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk

Answers = dict[str, Callable[..., str]]


@pytest.fixture
def ask(answers: Answers) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


def book(*rules: tuple[str, str]) -> Book:
    return Book(
        Rule(id=str(place), name=condition, condition=condition, action=action, created=float(place))
        for place, (condition, action) in enumerate(rules)
    )


def mail(text: str = "What is the price?", *, more: str = "") -> RawMail:
    head = f"From: Ann <ann@bell.example>\nMessage-ID: <1@bell.example>\nSubject: A question\n{more}"
    place = Place("office", "INBOX", 1, 1, "me")
    return RawMail("imap:office", place.key, f"{head}\n{text}\n".encode(), place=place)


async def one(ask: ScriptedAsk, database: Database, terms: Terms, raw: RawMail | None = None) -> Outcome:
    await database.run(claims.claim, mailboxes.mail_accounts, "office", "me", "{}", lambda holder, silence: False)
    (outcome,) = (await process([raw or mail()], ask, database, terms)).outcomes
    return outcome


async def asked(database: Database) -> list[tuple[str, str]]:
    return [(each.verb, each.value) for each in await database.read(mail_actions.listing)]


async def test_in_onboarding_everything_waits_and_what_rules_want_is_only_proposed(
    ask: ScriptedAsk, sqlite: Database
) -> None:
    outcome = await one(ask, sqlite, Terms(rules=book(("subject:question", "label:intake, move:Clients"))))
    assert (outcome.review, outcome.doubt) == ("pending", None)
    assert await asked(sqlite) == []
    stored = await sqlite.read(inbox.get, outcome.id)
    assert "intake" in (stored.proposed or "")
    assert "Clients" in (stored.proposed or "")


@pytest.mark.parametrize(
    ("mode", "action"), [("onboarding", "auto, label:intake, archive"), ("auto", "label:intake, archive")]
)
async def test_with_auto_it_is_done_at_once(ask: ScriptedAsk, sqlite: Database, mode: str, action: str) -> None:
    terms = Terms(mode=mode, rules=book(("subject:question", action)))  # type: ignore[arg-type]
    outcome = await one(ask, sqlite, terms)
    assert outcome.review == "auto_approved"
    assert sorted(await asked(sqlite)) == [("archive", ""), ("label", "intake")]


async def test_a_rule_can_keep_its_mail_for_a_person(ask: ScriptedAsk, sqlite: Database) -> None:
    outcome = await one(ask, sqlite, Terms(mode="auto", rules=book(("subject:question", "auto:false, archive"))))
    assert outcome.review == "pending"
    assert await asked(sqlite) == []


async def test_doubts_go_to_a_person_whatever_the_mode(answers: Answers, sqlite: Database) -> None:
    unsure = ScriptedAsk(
        {
            "email.triage": [answers["triage"](confidence=0.3)],
            "email.priority": [answers["priority"]()],
            "email.response": [AllFailed("no model", attempts=[])],
        }
    )
    outcome = await one(unsure, sqlite, Terms(mode="auto"))
    assert outcome.review == "pending"
    assert "rules answered instead of a model" in (outcome.doubt or "")
    assert "unsure: 30%" in (outcome.doubt or "")


async def test_rules_see_mail_that_needs_no_model_too(ask: ScriptedAsk, sqlite: Database) -> None:
    newsletter = mail(more="List-Id: <news.x.example>\nList-Unsubscribe: <mailto:u@x.example>\n")
    outcome = await one(ask, sqlite, Terms(rules=book(("category:newsletter", "auto, archive"))), newsletter)
    assert (outcome.settled, outcome.review) == ("newsletter", "auto_approved")
    assert await asked(sqlite) == [("archive", "")]
    assert ask.requests == []


MASS = "List-Id: <w.court.example>\nList-Unsubscribe: <mailto:u@court.example>\nDelivered-To: urgent@firm.example\n"


async def test_what_is_verified_to_be_critical_is_settled_by_no_form_of_its_headers(
    ask: ScriptedAsk, sqlite: Database
) -> None:
    facts = Facts(critical_recipients=frozenset({"urgent@firm.example"}))
    outcome = await one(ask, sqlite, Terms(facts=facts), mail(more=MASS))
    assert (outcome.settled, outcome.level) == (None, "CRITICAL")


async def test_of_what_only_the_headers_were_read_a_person_looks_even_where_they_settle_it(
    ask: ScriptedAsk, sqlite: Database
) -> None:
    outcome = await one(ask, sqlite, Terms(mode="auto", private=True, privileged="metadata"), mail(more=MASS))
    assert (outcome.settled, outcome.review, outcome.doubt) == ("newsletter", "pending", ONLY_HEADERS)


async def test_a_persons_word_outlasts_a_process_that_was_at_the_same_mail(
    ask: ScriptedAsk, database: Database
) -> None:
    """Two processes read the same mailbox; the second ends when a person has spoken already."""
    outcome = await one(ask, database, Terms())
    said = Said(category="spam", level="LOW")
    await database.run(judge, outcome.id, said, by="owner", now=1.0)
    high = Priority(level="HIGH", score=1, numeric_score=3)
    late = verdict.finding("general_inquiry", high, Applied(), "auto", (), None)
    await database.run(verdict.finish, outcome.id, late, 2.0)
    stored = await database.read(inbox.get, outcome.id)
    assert (stored.category, stored.level, stored.review) == ("spam", "LOW", "corrected")


async def test_encrypted_mail_is_for_a_person(ask: ScriptedAsk, sqlite: Database) -> None:
    more = 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"\n'
    outcome = await one(ask, sqlite, Terms(mode="auto"), mail("MIIB", more=more))
    assert (outcome.review, outcome.doubt) == ("pending", ENCRYPTED)
    assert outcome.draft_id is None


async def test_a_mail_of_ours_that_did_not_arrive_is_not_the_last_to_be_looked_at(
    ask: ScriptedAsk, sqlite: Database
) -> None:
    more = "Auto-Submitted: auto-replied\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n"
    outcome = await one(ask, sqlite, Terms(), mail("--b\n\nNo such user.\n--b--", more=more))
    assert (outcome.settled, outcome.level, ask.requests) == ("notification", "NORMAL", [])
