"""Mail of ours: told from what only says that it is, and asked no model about."""

from collections.abc import Callable

import pytest

from chittycan.agents.own_mail import settle
from chittycan.agents.pipeline import Terms, process
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import RawMail
from chittycan.store import inbox
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk

OWN = frozenset({"office@meyer.example"})
MX = "mx.meyer.example"
PASSED = f"Authentication-Results: {MX}; dmarc=pass header.from=meyer.example\n"
ANSWER = "In-Reply-To: <1@bell.example>\nTo: Ann <ann@bell.example>\n"


def letter(head: str, sender: str = "Office <Office@Meyer.example>") -> RawMail:
    text = f"{head}From: {sender}\nMessage-ID: <2@meyer.example>\nSubject: Re: The lease\n\nYes, on Monday.\n"
    return RawMail("imap:office", "Sent/1/1", text.encode())


def settled(head: str, *, sent: bool = False, authserv: str | None = MX) -> bool:
    return settle(parse(letter(head).raw), OWN, sent=sent, authserv=authserv) is not None


def test_what_lies_among_our_sent_mails_is_ours() -> None:
    assert settled("To: ann@bell.example\n", sent=True)
    assert settle(parse(letter("", "Ann <ann@bell.example>").raw), OWN, sent=True, authserv=MX) is None


def test_our_address_alone_is_no_proof() -> None:
    assert not settled(ANSWER)
    assert not settled(PASSED + ANSWER, authserv=None)
    assert not settled(PASSED.replace(MX, "mx.evil.example") + ANSWER)
    assert settled(PASSED + ANSWER)


@pytest.mark.parametrize(
    "head",
    [
        "To: office@meyer.example\n",
        "In-Reply-To: <1@bell.example>\nTo: office@meyer.example\n",
        "To: kanzlei@meyer.example\n",
        ANSWER + "Reply-To: new.client@web.example\n",
    ],
    ids=["to ourselves", "an answer to ourselves", "from a form to an alias", "a form with its author in Reply-To"],
)
def test_what_a_form_on_our_own_site_sends_is_not_hidden(head: str) -> None:
    assert not settled(PASSED + head)


@pytest.mark.parametrize("sent", [True, False])
async def test_only_what_is_not_ours_is_asked_about(
    database: Database, answers: dict[str, Callable[..., str]], sent: bool
) -> None:
    ask = ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")
    terms = Terms(own_addresses=OWN, sent=sent)
    report = await process([letter("To: ann@bell.example\n")], ask, database, terms)
    (mail,) = await database.read(inbox.latest, 10)
    assert (mail.settled, mail.read, mail.review) == (
        ("own", True, "auto_approved") if sent else (None, False, "pending")
    )
    assert bool(ask.requests) is not sent
    assert report.mails == 1


async def test_a_copy_to_ourselves_is_ours_once_it_shows_among_the_sent(
    database: Database, answers: dict[str, Callable[..., str]]
) -> None:
    ask = ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")
    for sent in (False, True):
        await process([letter("To: ann@bell.example\n")], ask, database, Terms(own_addresses=OWN, sent=sent))
    (mail,) = await database.read(inbox.latest, 10)
    assert mail.settled == "own"
