"""Who is known: those to whom a person wrote, or whose mail a person looked at."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from chittycan.agents.acquaintance import known
from chittycan.agents.kept import draft_id, new_mail
from chittycan.agents.pipeline import Terms, process
from chittycan.agents.review import Said, judge
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import RawMail
from chittycan.routing.rules.book import Book, Rule
from chittycan.store import drafts, inbox
from chittycan.store.database import Database
from chittycan.store.drafts import Draft
from chittycan.store.work_tables import effects
from chittycan.testing.ask import ScriptedAsk

ANN = "Ann <Ann@bell.example>"
OURS = "office@meyer.example"
STRANGERS = Book(
    [
        Rule(id="r1", name="r1", condition="sender-known:false", action="private, label:stranger"),
        Rule(id="r2", name="r2", condition="sender-known:true", action="label:known"),
    ]
)


def raw(number: int, sender: str = ANN, more: str = "") -> RawMail:
    head = f"From: {sender}\nMessage-ID: <{number}@x.example>\nSubject: Mail {number}\n"
    return RawMail("imap:office", str(number), f"{head}{more}\nHow much is a talk?\n".encode())


async def kept(database: Database, mail: RawMail, settled: str | None = None, category: str = "general_inquiry") -> str:
    stored, _ = await database.run(inbox.add, new_mail(mail, parse(mail.raw)), 1.0)
    found = inbox.Finding(category=category, level="NORMAL", rank=2, settled=settled)
    await database.run(inbox.finish, stored.id, found, 1.0)
    return stored.id


async def is_known(database: Database, mail: RawMail) -> bool:
    return await database.read(known, parse(mail.raw))


async def sent(database: Database, mail_id: str, state: str = "sent", *, automatic: bool = False) -> None:
    to = '[{"name":"Ann","address":"ann@bell.example"}]'
    made = Draft(
        id=draft_id(mail_id), mail_id=mail_id, idempotency_key=mail_id, recipients=to, subject="Re", body="Hello.",
        in_reply_to=None, thread="[]", template="standard", warnings="[]", by_model=None, created=2.0, changed=2.0,
        automatic=automatic,
    )  # fmt: skip
    await database.run(drafts.create, made)
    row = {
        "key": "e1",
        "kind": "send",
        "state": state,
        "detail": "{}",
        "owner": "",
        "created_at": 2.0,
        "updated_at": 2.0,
    }

    def tried(connection: Connection) -> None:
        connection.execute(effects.insert().values(row))
        drafts.put(connection, made.id, effect="e1", dispatched=2.0)

    await database.run(tried)


async def test_whom_nobody_ever_wrote_to_is_a_stranger(database: Database) -> None:
    await kept(database, raw(1))
    assert not await is_known(database, raw(2))
    assert not await is_known(database, raw(3, sender="undisclosed"))


@pytest.mark.parametrize(("said", "holds"), [("general_inquiry", True), ("newsletter", True), ("spam", False)])
async def test_whose_mail_a_person_looked_at_is_known(database: Database, said: str, holds: bool) -> None:
    first = await kept(database, raw(1))
    await database.run(judge, first, Said(category=said, actions=False), by="anna", now=2.0)
    assert await is_known(database, raw(2)) is holds
    assert not await is_known(database, raw(1)), "by its own review"
    assert not await is_known(database, raw(2, sender="Ann <ann@bell.example.evil.example>"))


async def test_the_last_word_counts(database: Database) -> None:
    for number, category in enumerate(("general_inquiry", "spam"), start=1):
        mail_id = await kept(database, raw(number))
        await database.run(judge, mail_id, Said(category=category, actions=False), by="anna", now=float(number))
    await sent(database, "another")
    assert not await is_known(database, raw(3))


async def test_to_whom_a_reply_was_sent_is_known(database: Database) -> None:
    first = await kept(database, raw(1))
    await sent(database, first)
    assert await is_known(database, raw(2))
    assert not await is_known(database, raw(1)), "by the reply to itself"


@pytest.mark.parametrize(("state", "automatic"), [("sending", False), ("failed", False), ("sent", True)])
async def test_what_did_not_go_out_by_a_persons_word_makes_nobody_known(
    database: Database, state: str, automatic: bool
) -> None:
    await sent(database, await kept(database, raw(1)), state, automatic=automatic)
    assert not await is_known(database, raw(2))


@pytest.mark.parametrize(
    ("settled", "to", "holds"),
    [("own", "ann@bell.example", True), (None, "ann@bell.example", False), ("own", "bob@bell.example", False)],
)
async def test_who_answers_a_mail_of_ours_is_known(
    database: Database, settled: str | None, to: str, holds: bool
) -> None:
    await kept(database, raw(1, sender=OURS, more=f"To: {to}\n"), settled)
    assert await is_known(database, raw(2, more="In-Reply-To: <1@x.example>\n")) is holds
    assert not await is_known(database, raw(3))


async def test_rules_are_told_from_the_reception_to_a_persons_word(
    database: Database, answers: dict[str, Callable[..., str]]
) -> None:
    ask = ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")
    terms = Terms(rules=STRANGERS, drafts=False)
    (first,) = (await process([raw(1)], ask, database, terms)).outcomes
    assert (first.privacy, first.labels) == ("local", ("stranger",))
    assert all(options.private for _, options in ask.requests)
    await database.run(judge, first.id or "", Said(actions=False), STRANGERS, by="anna", now=2.0)
    (second,) = (await process([raw(2)], ask, database, terms)).outcomes
    assert (second.privacy, second.labels) == (None, ("known",))
