"""A person's word on a mail: kept, learnt from, and leave enough for what rules want done."""

from collections.abc import Callable

import pytest

from chittycan.agents.pipeline import Terms, process
from chittycan.agents.report import Outcome
from chittycan.agents.review import Said, judge
from chittycan.errors import InvalidRequest
from chittycan.integrations.email.sources import Place, RawMail
from chittycan.routing.rules.book import NO_RULES, Book, Rule
from chittycan.store import claims, drafts, inbox, judgements, mail_actions, mailboxes, review
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk

Answers = dict[str, Callable[..., str]]
NOW = 5_000.0


@pytest.fixture
def ask(answers: Answers) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


def book(condition: str, action: str) -> Book:
    return Book([Rule(id="r", name="mine", condition=condition, action=action)])


def mail(number: int, sender: str = "clerk@court.example", *, text: str = "Kindly note this.") -> RawMail:
    place = Place("office", "INBOX", 1, number, "me")
    head = f"From: {sender}\nMessage-ID: <{number}@x.example>\nSubject: Matter {number}\n"
    return RawMail("imap:office", place.key, f"{head}\n{text}\n".encode(), place=place)


async def read(ask: ScriptedAsk, database: Database, raw: RawMail, rules: Book = NO_RULES) -> Outcome:
    await database.run(claims.claim, mailboxes.mail_accounts, "office", "me", "{}", lambda holder, silence: False)
    (outcome,) = (await process([raw], ask, database, Terms(rules=rules))).outcomes
    return outcome


async def correct(database: Database, outcome: Outcome, **said: str) -> inbox.StoredMail:
    return await database.run(judge, outcome.id, Said(**said), by="anna", now=NOW)  # type: ignore[arg-type]


async def test_what_is_right_is_approved_and_what_was_proposed_is_allowed(ask: ScriptedAsk, sqlite: Database) -> None:
    outcome = await read(ask, sqlite, mail(1), book("subject:matter", "label:intake"))
    found = await sqlite.run(judge, outcome.id[:6], Said(), by="anna", now=NOW)
    assert (found.review, found.reviewed_by, found.reviewed_at, found.proposed) == ("approved", "anna", NOW, None)
    (action,) = await sqlite.read(mail_actions.of_mail, found.id)
    assert (action.verb, action.value, action.state, action.allowed_by) == ("label", "intake", "allowed", "anna")
    assert await sqlite.read(judgements.corrections) == []


async def test_a_person_may_leave_the_mailbox_as_it_is(ask: ScriptedAsk, sqlite: Database) -> None:
    outcome = await read(ask, sqlite, mail(1), book("subject:matter", "archive"))
    found = await sqlite.run(judge, outcome.id, Said(actions=False), by=None, now=NOW)
    assert found.review == "approved"
    assert await sqlite.read(mail_actions.of_mail, found.id) == []


async def test_what_is_wrong_is_corrected_and_rules_look_again(ask: ScriptedAsk, sqlite: Database) -> None:
    outcome = await read(ask, sqlite, mail(1), book("category:general_inquiry", "label:inquiry"))
    court = book("category:court_notice", "move:Court")
    found = await sqlite.run(judge, outcome.id, Said(category="court notice", level="high"), court, by="anna", now=NOW)
    assert (found.category, found.level, found.rank, found.review) == ("court_notice", "HIGH", 3, "corrected")
    assert found.said_category == "general_inquiry"
    assert [each.verb for each in await sqlite.read(mail_actions.of_mail, found.id)] == ["move"]
    kept = {each.field: (each.said, each.label) for each in await sqlite.read(judgements.corrections)}
    assert kept == {"category": ("general_inquiry", "court_notice"), "level": ("NORMAL", "HIGH")}


async def test_words_that_there_are_not_are_named(ask: ScriptedAsk, sqlite: Database) -> None:
    outcome = await read(ask, sqlite, mail(1))
    with pytest.raises(InvalidRequest, match="no category 'nonsense'") as caught:
        await correct(sqlite, outcome, category="nonsense")
    assert "court_notice" in (caught.value.fix or "")
    with pytest.raises(InvalidRequest, match="no priority 'urgent'"):
        await correct(sqlite, outcome, level="urgent")


async def test_after_two_corrections_the_sender_s_next_mails_come_out_right(ask: ScriptedAsk, sqlite: Database) -> None:
    for number in (1, 2):
        await correct(sqlite, await read(ask, sqlite, mail(number)), category="court_notice", level="HIGH")
    taught = [await read(ask, sqlite, mail(number)) for number in (3, 4)]
    assert [(each.category, each.level) for each in taught] == [("court_notice", "HIGH")] * 2
    for each in taught:  # to agree with it does not undo it
        await correct(sqlite, each)
    later = [await read(ask, sqlite, mail(number)) for number in range(5, 12)]
    assert {each.category for each in later} == {"court_notice"}
    stranger = await read(ask, sqlite, mail(20, "ann@bell.example"))
    assert (stranger.category, stranger.level) == ("general_inquiry", "NORMAL")
    assert "court.example" not in str(ask.requests[-1][0].messages)


async def test_one_correction_changes_no_other_mail(ask: ScriptedAsk, sqlite: Database) -> None:
    await correct(sqlite, await read(ask, sqlite, mail(1)), category="spam")
    for raw in (mail(2), mail(3, "ann@bell.example")):
        found = await read(ask, sqlite, raw)
        assert (found.category, found.doubt) == ("general_inquiry", None)


async def test_mass_mail_that_was_taught_costs_no_call(ask: ScriptedAsk, sqlite: Database) -> None:
    for number in (1, 2):
        await correct(sqlite, await read(ask, sqlite, mail(number)), category="newsletter")
    asked = len(ask.requests)
    found = await read(ask, sqlite, mail(3))
    assert (found.settled, found.category, found.review) == ("newsletter", "newsletter", "pending")
    assert len(ask.requests) == asked


async def test_what_was_taken_for_mass_mail_is_read_once_corrected(ask: ScriptedAsk, sqlite: Database) -> None:
    def digest(number: int) -> RawMail:
        head = f"From: bar@x.example\nMessage-ID: <{number}@x.example>\nSubject: Bar digest {number}\n"
        marks = "List-Id: <bar.x.example>\nList-Unsubscribe: <mailto:u@x.example>\n"
        return RawMail("folder:/m", f"{number}.eml", f"{head}{marks}\nRead on.\n".encode())

    for number in (1, 2):
        first = await read(ask, sqlite, digest(number))
        assert first.settled == "newsletter"
        await correct(sqlite, first, category="compliance_notice")
    found = await read(ask, sqlite, digest(3))
    assert (found.settled, found.category) == (None, "compliance_notice")


async def test_nobody_is_taught_critical(ask: ScriptedAsk, sqlite: Database) -> None:
    for number in (1, 2, 3):
        await correct(sqlite, await read(ask, sqlite, mail(number)), level="CRITICAL")
    assert (await read(ask, sqlite, mail(4))).level == "NORMAL"


async def test_a_mail_whose_draft_waits_stays_open(ask: ScriptedAsk, sqlite: Database) -> None:
    outcome = await read(ask, sqlite, mail(1, "ann@bell.example", text="What does it cost? Please reply."))
    assert outcome.draft_id is not None
    await correct(sqlite, outcome)
    assert [each.id for each in await sqlite.read(review.waiting)] == [outcome.id]
    counts = await sqlite.read(review.counts)
    assert (counts.open, counts.approved) == (1, 1)
    assert (await sqlite.read(drafts.get, outcome.draft_id)).state == "draft"
