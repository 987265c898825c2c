"""What a model is told of earlier mails: dates, kinds, our replies; of the same sender alone, and no text."""

from collections.abc import Callable

import pytest

from chittycan.agents.conversation import told
from chittycan.agents.pipeline import Terms, process
from chittycan.integrations.email.sources import RawMail
from chittycan.store import inbox
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk


@pytest.fixture
def ask(answers: dict[str, Callable[..., str]]) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


def mail(number: int, sender: str, *, answers: int | None = None, more: str = "") -> RawMail:
    refs = f"References: <{answers}@x.example>\n" if answers else ""
    text = (
        f"From: {sender}\nMessage-ID: <{number}@x.example>\nDate: Mon, {number} Nov 2026 10:00:00 +0000\n"
        f"Subject: Lease\n{refs}{more}\nsecret word {number}: what is the price?\n"
    )
    return RawMail("folder:/mail", f"{number}.eml", text.encode())


async def test_a_reply_knows_the_conversation_but_not_its_words(ask: ScriptedAsk, sqlite: Database) -> None:
    thread = [
        mail(2, "ann@x.example"),
        mail(3, "eve@y.example", answers=2),
        mail(4, "Ann B <ann@x.example>", answers=2),
    ]
    for each in thread:
        await process([each], ask, sqlite, Terms())
    first, stranger, last = [str(request.messages[-1].parts) for request in ask.asked("email.response")]
    assert "earlier" not in first
    assert "earlier" not in stranger  # whoever writes a header learns nothing from it
    assert "2026-11-02: general inquiry, NORMAL; our reply: draft" in last
    assert "secret word 2" not in last


@pytest.mark.parametrize(
    ("first", "last", "known"),
    [
        ("", "Reply-To: eve@y.example\n", False),  # with Ann's From, and her own address
        ("", "Reply-To: Eve <eve@x.example>\n", False),
        ("Reply-To: desk@x.example\n", "Reply-To: Desk <DESK@x.example>\n", True),
        ("Cc: desk@x.example\n", "Reply-To: desk@x.example\n", True),
        ("", "Reply-To: ann@x.example\n", True),
    ],
    ids=["stranger", "stranger of the same domain", "the same address as before", "who got it", "herself"],
)
async def test_what_is_told_goes_to_nobody_new(
    ask: ScriptedAsk, sqlite: Database, first: str, last: str, known: bool
) -> None:
    for each in (mail(2, "ann@x.example", more=first), mail(3, "ann@x.example", answers=2, more=last)):
        await process([each], ask, sqlite, Terms())
    asked = [str(request.messages[-1].parts) for request in ask.asked("email.response")]
    assert ("2026-11-02: general inquiry" in asked[-1]) is known


async def test_who_has_no_address_has_no_past(ask: ScriptedAsk, sqlite: Database) -> None:
    for each in (mail(2, "Ann"), mail(3, "Ann", answers=2)):
        await process([each], ask, sqlite, Terms(drafts=False))
    stored = [each for each in await sqlite.read(inbox.latest, 5) if each.message_id == "<3@x.example>"]
    assert await sqlite.read(told, stored[0]) == ()
