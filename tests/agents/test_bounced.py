"""Mail of ours that came back is tied to its draft; a report that somebody made up gains nothing."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from chittycan.agents.bounced import BOUNCED
from chittycan.agents.kept import new_mail
from chittycan.agents.pipeline import Terms, process
from chittycan.agents.report import Outcome
from chittycan.agents.sending import Change, Sending
from chittycan.chat import ChatRequest
from chittycan.errors import InvalidRequest
from chittycan.gateway.call import Answer, Options
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import RawMail
from chittycan.store import drafts, inbox
from chittycan.store.database import Database
from chittycan.store.drafts import Draft
from chittycan.testing import FakeClock
from chittycan.workstreams.effects import Effects
from chittycan.workstreams.events import Event
from peers import Inbox, MailPeer
from way_out import WayOut

NOW = 1_800_000_000.0
TO = ("ann@bell.example", "bob@bell.example")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def server(mail_peer: MailPeer) -> tuple[Inbox, int]:
    inbox = Inbox()
    return inbox, await mail_peer(inbox)


@pytest.fixture
def sending(database: Database, clock: FakeClock, server: tuple[Inbox, int]) -> Sending:
    return Sending(database, Effects(database, owner="one", clock=clock), WayOut(server[1]), clock)


@pytest.fixture
def sent(database: Database, sending: Sending) -> Callable[[], Awaitable[Draft]]:
    async def made() -> Draft:
        mail = parse(b"From: Ann <ann@bell.example>\nMessage-ID: <1@bell.example>\nSubject: Hi\n\nHello?\n")
        stored, _ = await database.run(inbox.add, new_mail(RawMail("folder:/x", "1", b""), mail), NOW)
        people = msgspec.json.encode([{"name": "", "address": each} for each in TO]).decode()
        draft = Draft(
            id=f"re-{stored.id}", mail_id=stored.id, idempotency_key="k", recipients=people, subject="Re: Hi",
            body="Hello.", in_reply_to="<1@bell.example>", thread='["<1@bell.example>"]', template="standard",
            warnings="[]", by_model="m", created=NOW, changed=NOW,
        )  # fmt: skip
        await database.run(drafts.create, draft)
        await sending.approve(draft.id, by="owner")
        return await sending.send(draft.id)

    return made


def report(message_id: str | None, *to: str, action: str = "failed", why: str = "550 5.1.1 no such user") -> bytes:
    blocks = "\n".join(
        f"Final-Recipient: rfc822; {each}\nAction: {action}\nStatus: 5.1.1\nDiagnostic-Code: smtp; {why}\n"
        for each in to
    )
    return (
        "From: MAILER-DAEMON@mx.firm.example\nTo: us@firm.example\nSubject: Undelivered Mail Returned to Sender\n"
        "Auto-Submitted: auto-replied\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        f"--b\nContent-Type: text/plain\n\nSorry. {to}\n"
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.firm.example\n\n{blocks}\n"
        f"--b\nContent-Type: text/rfc822-headers\n\nSubject: Re: Hi\nMessage-ID: {message_id}\n--b--\n"
    ).encode()


async def nobody(_request: ChatRequest, _options: Options) -> Answer:
    raise AssertionError("no model is asked about a report")


@pytest.fixture
def receive(database: Database, clock: FakeClock) -> Callable[..., Awaitable[Outcome]]:
    async def received(raw: bytes, terms: Terms | None = None) -> Outcome:
        mail = RawMail("folder:/x", str(len(raw)), raw)
        (outcome,) = (await process([mail], nobody, database, terms or Terms(mode="auto"), clock=clock)).outcomes
        return outcome

    return received


Sent = Callable[[], Awaitable[Draft]]
Receive = Callable[..., Awaitable[Outcome]]


async def test_a_draft_that_came_back_says_so_and_a_person_is_told(
    database: Database, sending: Sending, sent: Sent, receive: Receive, server: tuple[Inbox, int]
) -> None:
    draft = await sent()
    told: list[Event] = []

    def tell(_connection: Connection, event: Event, _also: Any) -> None:
        told.append(event)

    raw = report(draft.message_id, "ann@bell.example")
    outcome = await receive(raw, Terms(mode="auto", tell=tell))
    found = (await sending.show(draft.id)).draft
    (back,) = drafts.bounces(found)
    assert (back.recipient, back.status, back.reason) == ("ann@bell.example", "5.1.1", "550 5.1.1 no such user")
    assert (back.mail, found.state) == (outcome.id, "sent")
    assert (outcome.level, outcome.review) == ("HIGH", "pending")
    assert outcome.doubt is not None
    assert f"your reply {draft.id} did not reach ann@bell.example: 550 5.1.1 no such user" in outcome.doubt
    assert [(each.type, each.thing) for each in told] == [(BOUNCED, draft.id)]
    assert told[0].data["failed"] == [{"to": "ann@bell.example", "status": "5.1.1", "reason": "550 5.1.1 no such user"}]

    await receive(raw)  # found again, in another folder, say
    await receive(report(draft.message_id, "ann@bell.example", "bob@bell.example", why="again"))
    assert [each.recipient for each in drafts.bounces((await sending.show(draft.id)).draft)] == list(TO)
    await sending.round()
    assert len(server[0].received) == 1  # nothing is sent again because of it


@pytest.mark.parametrize("forged", ["<1@bell.example>", "<0000@firm.example>", "", "*", "<%>"])
async def test_a_report_that_somebody_made_up_says_nothing_of_a_draft(
    sending: Sending, sent: Sent, receive: Receive, forged: str
) -> None:
    draft = await sent()
    outcome = await receive(report(forged, "ann@bell.example"))
    assert (await sending.show(draft.id)).draft.bounced is None
    assert (outcome.settled, outcome.level) == ("notification", "NORMAL")


async def test_what_is_only_late_did_not_come_back(sending: Sending, sent: Sent, receive: Receive) -> None:
    draft = await sent()
    await receive(report(draft.message_id, "ann@bell.example", action="delayed"))
    assert (await sending.show(draft.id)).draft.bounced is None


async def test_what_is_not_out_yet_cannot_come_back(
    database: Database, sending: Sending, sent: Sent, receive: Receive
) -> None:
    """Its identifier is known to nobody then; and what nobody knows of stays unknown."""
    draft = await sent()
    await receive(report(draft.message_id, "ann@bell.example"))
    again = await sending.resolve(draft.id, "failed", by="anna")
    assert (again.state, again.bounced, again.message_id) == ("draft", None, None)
    approved = await sending.approve(draft.id, by="anna")
    await receive(report(approved.message_id, "bob@bell.example"))
    await receive(report(draft.message_id, "bob@bell.example"))
    assert (await sending.show(draft.id)).draft.bounced is None


async def test_what_came_back_is_corrected_and_sent_again_by_a_persons_word_alone(
    sending: Sending, sent: Sent, receive: Receive, server: tuple[Inbox, int]
) -> None:
    draft = await sent()
    with pytest.raises(InvalidRequest):
        await sending.resolve(draft.id, "failed", by="anna")
    await receive(report(draft.message_id, "ann@bell.example"))
    with pytest.raises(InvalidRequest) as problem:
        await sending.edit(draft.id, Change(to=("anne@bell.example",)))
    assert problem.value.fix == f"can router drafts resolve {draft.id} --not-sent"
    assert (await sending.send(draft.id)).state == "sent"
    assert len(server[0].received) == 1
    await sending.resolve(draft.id, "failed", by="anna")
    await sending.edit(draft.id, Change(to=("anne@bell.example",)))
    with pytest.raises(InvalidRequest):
        await sending.send(draft.id)
    await sending.approve(draft.id, by="anna")
    assert (await sending.send(draft.id)).state == "sent"
    assert [each.rcpt_tos for each in server[0].received] == [list(TO), ["anne@bell.example"]]


async def test_what_a_report_says_is_shown_as_words_alone(sending: Sending, sent: Sent, receive: Receive) -> None:
    draft = await sent()
    await receive(report(draft.message_id, "ann@bell.example", why="no\x1b[31m \u202eway\u200b here"))
    (back,) = drafts.bounces((await sending.show(draft.id)).draft)
    assert back.reason.isprintable()


async def test_of_privileged_mail_nothing_is_told_outside(sent: Sent, receive: Receive) -> None:
    draft = await sent()
    told: list[Event] = []
    terms = Terms(private=True, tell=lambda _connection, event, _also: told.append(event))
    await receive(report(draft.message_id, "ann@bell.example"), terms)
    assert [each.type for each in told] == [BOUNCED]
    assert "ann@" not in str(told[0].data)
