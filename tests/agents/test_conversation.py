"""What a model is told of earlier mails: dates, kinds, our replies; of the same sender alone, and no text."""

from collections.abc import Callable

import pytest

from chittycan.agents.pipeline import Terms, process
from chittycan.integrations.email.sources import RawMail
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk


@pytest.fixture
def ask(answers: dict[str, Callable[..., str]]) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


def mail(number: int, sender: str, *, answers: int | None = None) -> RawMail:
    refs = f"References: <{answers}@x.example>\n" if answers else ""
    text = (
        f"From: {sender}\nMessage-ID: <{number}@x.example>\nDate: Mon, {number} Nov 2026 10:00:00 +0000\n"
        f"Subject: Lease\n{refs}\nsecret word {number}: what is the price?\n"
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
