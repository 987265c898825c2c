"""A draft whose mail somebody answered meanwhile says so."""

import pytest

from chittycan.agents.answered import caution
from chittycan.agents.kept import draft_id, new_mail
from chittycan.agents.prefilter import OWN
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import RawMail
from chittycan.store import drafts, inbox
from chittycan.store.database import Database
from chittycan.store.drafts import Draft

SAID = ["somebody answered this mail already, without this draft"]


OFFICE = "Office <Office@meyer.example>"


async def stored(database: Database, sender: str, number: int, answers: str = "", settled: str | None = None) -> str:
    head = f"From: {sender}\nMessage-ID: <{number}@x.example>\nDate: Mon, 23 Nov 2026 1{number}:00:00 +0000\n"
    raw = RawMail("imap:office", str(number), f"{head}{answers}Subject: The lease\n\nText {number}\n".encode())
    mail, _ = await database.run(inbox.add, new_mail(raw, parse(raw.raw)), float(number))
    if settled is not None:
        found = inbox.Finding(category="general_inquiry", level="LOW", rank=1, settled=settled)
        await database.run(inbox.finish, mail.id, found, float(number))
    return mail.id


@pytest.fixture
async def draft(database: Database) -> Draft:
    mail_id = await stored(database, "Ann <ann@bell.example>", 1, "In-Reply-To: <0@x.example>\n")
    made = Draft(
        id=draft_id(mail_id), mail_id=mail_id, idempotency_key=f"reply:{mail_id}", recipients="[]",
        subject="Re: The lease", body="Hello.", in_reply_to="<1@x.example>", thread="[]", template="standard",
        warnings="[]", by_model=None, created=2.0, changed=2.0,
    )  # fmt: skip
    return await database.run(drafts.create, made)


async def test_nothing_is_said_while_nobody_answered(database: Database, draft: Draft) -> None:
    await stored(database, "Ann <ann@bell.example>", 2, "In-Reply-To: <1@x.example>\n")  # she wrote once more
    assert await database.read(caution, draft) == []


async def test_a_mail_of_ours_that_followed_is_an_answer(database: Database, draft: Draft) -> None:
    await stored(database, OFFICE, 2, "In-Reply-To: <1@x.example>\n", OWN)
    assert await database.read(caution, draft) == SAID


async def test_an_answer_to_an_earlier_mail_of_the_conversation_is_none_to_this_one(
    database: Database, draft: Draft
) -> None:
    await stored(database, OFFICE, 2, "In-Reply-To: <0@x.example>\nReferences: <1@y.example>\n", OWN)
    await stored(database, OFFICE, 3, "In-Reply-To: <2@x.example>\nReferences: <0@x.example>\n", OWN)
    assert await database.read(caution, draft) == []


async def test_that_our_address_stands_in_a_mail_is_no_answer(database: Database, draft: Draft) -> None:
    """Anybody can write it there, and so keep a draft from being sent."""
    await stored(database, OFFICE, 2, "In-Reply-To: <1@x.example>\n")
    await stored(database, OFFICE, 3, "In-Reply-To: <1@x.example>\n", "notification")
    assert await database.read(caution, draft) == []


async def test_what_the_mail_server_marked_is_an_answer(database: Database, draft: Draft) -> None:
    await database.run(inbox.mark_answered, draft.mail_id, 5.0)
    assert await database.read(caution, draft) == SAID
