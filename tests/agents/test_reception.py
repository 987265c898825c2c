"""Privileged mail: decided before its body is read, and where that cannot be decided, it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from chittycan.agents.pipeline import Terms, process
from chittycan.agents.reception import Reception
from chittycan.agents.report import Outcome
from chittycan.integrations.email.sources import RawMail
from chittycan.routing.rules.book import Book, Rule
from chittycan.store import inbox
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk

CANARY = "canary-5f2e91"
NOW = 1_000.0


@pytest.fixture
def ask(answers: dict[str, Callable[..., str]]) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


def rule(condition: str, action: str = "private") -> Book:
    return Book([Rule(id="r", name="privileged", condition=condition, action=action)])


def mail(text: str = CANARY, *, name: str = "1", attached: bool = False) -> RawMail:
    head = f"From: Ann <ann@bell.example>\nTo: us@firm.example\nMessage-ID: <{name}@bell.example>\nSubject: Hello\n"
    if not attached:
        return RawMail("folder:/mail", f"{name}.eml", f"{head}\n{text}\n".encode())
    part = f"--b\nContent-Disposition: attachment; filename={CANARY}.txt\n\n{text}\n--b--\n"
    body = f"--b\nContent-Type: text/plain\n\nHello\n{part}"
    return RawMail("folder:/mail", f"{name}.eml", f"{head}Content-Type: multipart/mixed; boundary=b\n\n{body}".encode())


def test_a_mail_that_nothing_keeps_back_is_open() -> None:
    found, privacy = Reception(rules=rule("from:bob")).open(mail(), NOW)
    assert (CANARY in found.text, privacy) == (True, None)


@pytest.mark.parametrize(
    "reception",
    [Reception(private=True), Reception(rules=rule("from:@bell.example")), Reception(rules=rule("body:canary-5f2e91"))],
    ids=["source", "headers", "words of the body"],
)
def test_privileged_mail_is_local_or_headers_only(reception: Reception) -> None:
    from msgspec.structs import replace

    found, privacy = reception.open(mail(), NOW)
    assert (CANARY in found.text, privacy) == (True, "local")
    found, privacy = replace(reception, privileged="metadata").open(mail(), NOW)
    assert (found.text, found.attachments, privacy) == ("", (), "metadata")
    assert (found.subject, found.sender.address) == ("Hello", "ann@bell.example")


def test_a_word_far_down_in_a_mail_is_read_too() -> None:
    long = mail("Dear all,\n" + "many words and more\n" * 2_000 + CANARY)
    assert Reception(rules=rule(f"body:{CANARY}")).open(long, NOW)[1] == "local"


def test_where_rules_cannot_be_looked_at_mail_is_privileged() -> None:
    class Broken(Book):
        def apply(self, facts: object) -> object:  # type: ignore[override]
            raise ValueError("no")

    broken = Broken([Rule(id="r", name="r", condition="from:x", action="private")])
    assert Reception(rules=broken).open(mail(), NOW)[1] == "local"
    assert Reception(rules=broken, privileged="metadata").open(mail(), NOW)[0].text == ""
    assert Reception(rules=broken).keeps(b"From: a@b.example\n\n", 10, NOW)


async def one(ask: ScriptedAsk, database: Database, terms: Terms, raw: RawMail) -> Outcome:
    (outcome,) = (await process([raw], ask, database, terms)).outcomes
    return outcome


async def test_of_metadata_mail_no_word_reaches_a_model_or_the_database(ask: ScriptedAsk, sqlite: Database) -> None:
    terms = Terms(rules=rule("from:@bell.example"), privileged="metadata", mode="auto")
    outcome = await one(ask, sqlite, terms, mail(attached=True))
    assert ask.requests == []
    assert (outcome.privacy, outcome.review, outcome.draft_id) == ("metadata", "pending", None)
    assert outcome.doubt == "only its headers were read"
    await sqlite.run(lambda connection: connection.exec_driver_sql("PRAGMA user_version"))
    place = Path(str(make_url(sqlite.url).database))
    kept = b"".join(each.read_bytes() for each in place.parent.glob(f"{place.name}*"))
    assert b"ann@bell.example" in kept
    assert CANARY.encode() not in kept


async def test_local_mail_stays_with_private_models_also_when_it_is_gone_on_with(
    ask: ScriptedAsk, sqlite: Database
) -> None:
    await one(ask, sqlite, Terms(rules=rule("from:@bell.example")), mail())
    assert ask.requests
    assert all(options.private for _, options in ask.requests)
    stored = (await sqlite.read(inbox.latest, 1))[0]
    assert stored.privacy == "local"
