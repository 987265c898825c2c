"""Drafts on their way out, against a real SMTP server, on a real database of each kind."""

import asyncio
import email
from collections.abc import Awaitable, Callable
from email import policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import Connection

from chittycan.agents.kept import draft_id, new_mail
from chittycan.agents.response import recipients, references, reply_subject
from chittycan.agents.sending import DAY, FIRST_PAUSE, Change, Limits, Sending
from chittycan.errors import ConfigError, InvalidRequest, NotDelivered, RateLimited, Unavailable, VersionConflict
from chittycan.integrations.email.message import Mail, parse
from chittycan.integrations.email.smtp import Limits as Patience
from chittycan.integrations.email.smtp import Mailer, Server
from chittycan.integrations.email.sources import RawMail
from chittycan.store import drafts, effects, inbox
from chittycan.store.database import Database
from chittycan.store.drafts import Draft
from chittycan.store.effects import StoredEffect
from chittycan.testing import FakeClock
from chittycan.workstreams.effects import TRANSITIONS, Effects
from peers import Inbox, MailPeer

NOW = 1_800_000_000.0


class Post:
    """One account's way out, and its folder of sent mail, as a test wants them."""

    def __init__(self) -> None:
        self.port = 0
        self.by = "Meyer & Okafor <office@meyer.example>"
        self.kept: list[bytes] = []
        self.folder: bool | None = True  # False: it cannot be reached; None: there is none
        self.room = Limits()
        self.patience = Patience()

    def sender(self, account: str | None) -> str:
        if not self.port:
            raise ConfigError("no mail server is set up", file="config.json", key="smtp")
        return self.by

    def mailer(self, account: str | None) -> Mailer:
        server = Server(host="127.0.0.1", port=self.port, security="none", sender=self.by)
        return Mailer(server, limits=self.patience)

    def own(self) -> frozenset[str]:
        return frozenset({"office@meyer.example"})

    def limits(self) -> Limits:
        return self.room

    def verified(self, mail: Mail, account: str | None) -> bool | None:
        return None

    async def in_sent(self, account: str | None, message_id: str) -> bool | None:
        return any(message_id.encode() in raw for raw in self.kept) if self.folder else None

    async def keep_copy(self, account: str | None, raw: bytes) -> bool | None:
        if self.folder is None:
            return None
        if not self.folder:
            raise Unavailable("the mail server does not answer")
        there = await self.in_sent(account, str(read(raw)["Message-ID"]))
        if not there:
            self.kept.append(raw)
        return not there


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


Make = Callable[..., Sending]


@pytest.fixture
def make(database: Database, post: Post, clock: FakeClock) -> Make:
    def made(owner: str = "one", alive: bool = False) -> Sending:
        async def lives(_owner: str) -> bool:
            return alive

        return Sending(database, Effects(database, owner=owner, clock=clock, alive=lives), post, clock)

    return made


@pytest.fixture
def sending(make: Make) -> Sending:
    return make()


@pytest.fixture
def write(database: Database, clock: FakeClock) -> Callable[..., Awaitable[Draft]]:
    """Stores a mail and the draft of its reply."""

    async def written(number: int = 1, **headers: str) -> Draft:
        fields = {
            "From": "Ann Bell <ann@bell.example>", "To": "office@meyer.example, Bob <bob@bell.example>",
            "Subject": f"Lease {number}", "Message-ID": f"<{number}@bell.example>",
            "References": "<0@bell.example>",
        } | {name.replace("_", "-"): value for name, value in headers.items()}  # fmt: skip
        head = "\n".join(f"{name}: {value}" for name, value in fields.items())
        mail = parse(f"{head}\n\nMay I keep\nthe cat?\n".encode())
        raw = RawMail("folder:/mail", f"{number}.eml", b"")
        stored, _ = await database.run(inbox.add, new_mail(raw, mail), clock.now())
        return await database.run(drafts.create, reply_to(mail, stored.id, clock.now()))

    return written


def reply_to(mail: Mail, mail_id: str, now: float) -> Draft:
    return Draft(
        id=draft_id(mail_id), mail_id=mail_id, idempotency_key=f"reply:{mail_id}",
        recipients=msgspec.json.encode(recipients(mail)).decode(), subject=reply_subject(mail.subject),
        body="Dear Ann Bell,\n\nyou may.\n", in_reply_to=mail.message_id,
        thread=msgspec.json.encode(references(mail)).decode(), template="standard", warnings="[]", by_model="small",
        created=now, changed=now,
    )  # fmt: skip


def read(raw: bytes | str | None) -> EmailMessage:
    message = email.message_from_bytes(raw if isinstance(raw, bytes) else b"", policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text(mail: EmailMessage) -> str:
    content: str = mail.get_content()
    return content.replace("\r\n", "\n")


def arrived(server: Inbox) -> list[EmailMessage]:
    return [read(each.original_content) for each in server.received]


Write = Callable[..., Awaitable[Draft]]
InDoubt = Callable[..., Awaitable[tuple[Inbox, list[Draft]]]]


@pytest.fixture
def in_doubt(sending: Sending, post: Post, write: Write, mail_peer: MailPeer) -> InDoubt:
    """Drafts of these numbers that were sent to a server which took them and hung up; and that server."""

    async def made(*numbers: int) -> tuple[Inbox, list[Draft]]:
        server = Inbox(drop=True)
        post.port = await mail_peer(server)
        written = [await write(number) for number in numbers]
        for draft in written:
            await sending.approve(draft.id, by="owner")
            assert (await sending.send(draft.id)).state == "unknown"
        return server, written

    return made


async def test_what_was_approved_goes_out_once_and_a_copy_is_kept(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, database: Database
) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    draft = await write()
    approved = await sending.approve(draft.id, by="owner")
    assert (approved.state, approved.decided_by, approved.decided_at) == ("approved", "owner", NOW)
    assert server.received == []

    sent = await sending.send(draft.id)
    again = await sending.send(draft.id)
    (mail,) = arrived(server)
    assert (sent.state, again.state, sent.copy) == ("sent", "sent", "kept")
    assert mail["From"] == post.by
    assert mail["To"] == "Ann Bell <ann@bell.example>"
    assert (mail["Subject"], mail["In-Reply-To"]) == ("Re: Lease 1", "<1@bell.example>")
    assert mail["References"].split() == ["<0@bell.example>", "<1@bell.example>"]
    assert mail["Message-ID"] == approved.message_id
    assert str(approved.message_id).endswith("@meyer.example>")
    assert mail["Auto-Submitted"] is None  # a person approved it
    assert text(mail) == "Dear Ann Bell,\n\nyou may.\n"
    assert [bytes(each) for each in post.kept] == [_as_sent(server.received[0])]
    stored = await database.read(inbox.get, draft.mail_id)
    assert (stored.answered, stored.read) == (NOW, True)


def _as_sent(envelope: Envelope) -> bytes:
    content = envelope.original_content
    assert isinstance(content, bytes)
    return content


async def test_nothing_is_sent_that_nobody_approved(sending: Sending, post: Post, write: Write) -> None:
    post.port = 1
    draft = await write()
    with pytest.raises(InvalidRequest, match="not approved: it is draft"):
        await sending.send(draft.id)
    await sending.reject(draft.id, by="owner", reason="She called.")
    with pytest.raises(InvalidRequest, match="not approved: it is rejected"):
        await sending.send(draft.id)
    assert (await sending.show(draft.id)).draft.reason == "She called."


async def test_an_edit_takes_the_approval_back(sending: Sending, post: Post, write: Write, mail_peer: MailPeer) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    draft = await write()
    first = await sending.approve(draft.id, by="owner")
    edited = await sending.edit(draft.id, Change(body="No cats."))
    assert (edited.draft.state, edited.draft.approval, edited.draft.edited) == ("draft", None, True)
    with pytest.raises(InvalidRequest):
        await sending.send(draft.id)
    second = await sending.approve(draft.id, by="owner")
    await sending.send(draft.id)
    assert text(arrived(server)[0]) == "No cats.\n"
    assert first.message_id != second.message_id
    assert second.original == draft.original  # what the agent wrote, for whoever learns from it


async def test_a_file_goes_along_and_with_the_copy_that_is_kept(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer
) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    draft = await write()
    plain = await sending.show(draft.id)
    shown = await sending.edit(draft.id, Change(attach={"Gutachten ä.pdf": b"%PDF\x00", "plan.txt": b"Plan\r.\n.\n"}))
    assert shown.fingerprint != plain.fingerprint
    await sending.approve(draft.id, by="anna", seen=shown.fingerprint)
    await sending.send(draft.id)
    (mail,) = arrived(server)
    found = [(each.get_filename(), each.get_payload(decode=True)) for each in mail.iter_attachments()]
    assert found == [("Gutachten ä.pdf", b"%PDF\x00"), ("plan.txt", b"Plan\r.\n.\n")]
    assert post.kept == [_as_sent(server.received[0])]


async def test_another_file_needs_another_approval(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, database: Database
) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    draft = await write()
    await sending.edit(draft.id, Change(attach={"a.txt": b"one"}))
    await sending.approve(draft.id, by="anna")
    await sending.edit(draft.id, Change(attach={"a.txt": b"two"}))
    with pytest.raises(InvalidRequest, match="not approved"):
        await sending.send(draft.id)
    await sending.approve(draft.id, by="anna")

    def tamper(connection: Connection) -> None:
        connection.execute(drafts.draft_files.update().values(content=b"three"))

    await database.run(tamper)
    with pytest.raises(InvalidRequest, match="as it was attached"):
        await sending.send(draft.id)
    assert (await sending.show(draft.id)).draft.state == "approved"
    assert server.received == []
    assert len(await database.read(drafts.contents, draft.id)) == 1  # what was replaced is forgotten
    await sending.edit(draft.id, Change(detach=("a.txt",)))
    assert await database.read(drafts.contents, draft.id) == {}


async def test_only_what_was_seen_is_approved(sending: Sending, post: Post, write: Write) -> None:
    post.port = 1
    draft = await write()
    seen = (await sending.show(draft.id)).fingerprint
    await sending.edit(draft.id, Change(subject="Re: Dogs"))
    with pytest.raises(VersionConflict):
        await sending.approve(draft.id, by="owner", seen=seen)
    with pytest.raises(VersionConflict):
        await sending.edit(draft.id, Change(body="x"), seen=seen)
    now = (await sending.show(draft.id)).fingerprint
    assert (await sending.approve(draft.id, by="owner", seen=now)).state == "approved"


async def test_of_two_edits_at_once_the_second_undoes_nothing(make: Make, post: Post, write: Write) -> None:
    post.port = 1
    draft = await write()
    edits = [make("one").edit(draft.id, Change(body="No cats.")), make("two").edit(draft.id, Change(subject="Re: Cat"))]
    done = await asyncio.gather(*edits, return_exceptions=True)
    assert [type(each) for each in done if isinstance(each, Exception)] in ([], [VersionConflict])
    kept = (await make().show(draft.id)).draft
    assert (kept.body == "No cats.") is not isinstance(done[0], Exception)
    assert (kept.subject == "Re: Cat") is not isinstance(done[1], Exception)


@pytest.mark.parametrize(
    "tampered",
    [
        {"body": "Wire the money."},
        {"subject": "Re: x"},
        {"recipients": '[{"name":"","address":"eve@evil.example"}]'},
        {"cc": '[{"name":"","address":"eve@evil.example"}]'},
        {"in_reply_to": None},
        {"thread": "[]"},
        {"automatic": True},
    ],
)
async def test_what_is_not_exactly_what_was_approved_stays_here(
    tampered: dict[str, Any], sending: Sending, post: Post, write: Write, mail_peer: MailPeer, database: Database
) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    draft = await write()
    await sending.approve(draft.id, by="owner")
    await database.run(lambda connection: drafts.put(connection, draft.id, **tampered))
    with pytest.raises(InvalidRequest, match="not what was approved"):
        await sending.send(draft.id)
    assert server.received == []


async def test_another_sender_in_the_configuration_needs_another_approval(
    sending: Sending, post: Post, write: Write
) -> None:
    post.port = 1
    draft = await write()
    await sending.approve(draft.id, by="owner")
    post.by = "eve@meyer.example"
    with pytest.raises(InvalidRequest, match="not what was approved"):
        await sending.send(draft.id)


async def test_without_a_server_it_says_what_to_set_up(sending: Sending, write: Write) -> None:
    draft = await write()
    shown = await sending.show(draft.id)
    assert isinstance(shown.problem, ConfigError)
    with pytest.raises(ConfigError):
        await sending.approve(draft.id, by="owner")


def _lost(connection: Connection, draft_id: str) -> None:
    """Whoever was sending it died, and nobody can tell what became of it."""
    begun = StoredEffect(
        key=draft_id, kind="send", state="unknown", detail="{}", owner="dead", created_at=NOW, updated_at=NOW
    )
    effects.begin(connection, begun)
    drafts.put(connection, draft_id, state="approved", effect=draft_id, message_id="<x@x.example>", dispatched=NOW)


async def test_many_that_nobody_can_help_do_not_keep_others_from_being_looked_after(
    sending: Sending, post: Post, write: Write, database: Database, clock: FakeClock, mail_peer: MailPeer
) -> None:
    post.folder = None
    for number in range(150):
        await database.run(_lost, (await write(number)).id)
    clock.advance(DAY)
    server = Inbox(data="451 greylisted")
    post.port, post.room = await mail_peer(server), Limits(per_address=1_000)
    last = await write(1000)
    await sending.approve(last.id, by="owner")
    with pytest.raises(NotDelivered):
        await sending.send(last.id)
    del server.actions["data"]
    clock.advance(FIRST_PAUSE + 1)
    await sending.round()
    assert (await sending.show(last.id)).draft.state == "sent"


async def test_what_breaks_one_does_not_keep_others_from_being_looked_after(
    sending: Sending, post: Post, write: Write, database: Database, clock: FakeClock, mail_peer: MailPeer
) -> None:
    server = Inbox(data="451 greylisted")
    post.port = await mail_peer(server)
    one, other = await write(1), await write(2)
    for draft in (one, other):
        await sending.approve(draft.id, by="owner")
        with pytest.raises(NotDelivered):
            await sending.send(draft.id)
        clock.advance(1)
    await database.run(lambda connection: drafts.put(connection, one.id, thread="{"))
    del server.actions["data"]
    clock.advance(FIRST_PAUSE)
    with pytest.raises(msgspec.DecodeError):
        await sending.round()
    assert (await sending.show(other.id)).draft.state == "sent"
    await sending.round()  # not at once again


# what servers do


async def test_a_refusal_is_certain_and_may_be_tried_again(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer
) -> None:
    server = Inbox(data="451 greylisted")
    post.port = await mail_peer(server)
    draft = await write()
    await sending.approve(draft.id, by="owner")
    with pytest.raises(NotDelivered, match="451 greylisted"):
        await sending.send(draft.id)
    assert (await sending.show(draft.id)).draft.state == "failed"
    del server.actions["data"]
    assert (await sending.send(draft.id)).state == "sent"


async def test_what_a_server_refused_for_now_is_tried_again_by_itself(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, clock: FakeClock
) -> None:
    server = Inbox(rcpt={"ann@bell.example": "450 later"})
    post.port = await mail_peer(server)
    draft = await write()
    await sending.approve(draft.id, by="owner")
    with pytest.raises(NotDelivered):
        await sending.send(draft.id)
    del server.actions["rcpt"]
    await sending.round()
    assert server.received == []  # not at once
    clock.advance(FIRST_PAUSE + 1)
    await sending.round()
    assert (await sending.show(draft.id)).draft.state == "sent"


async def test_who_was_answered_meanwhile_is_not_answered_again_by_mistake(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, database: Database, clock: FakeClock
) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    draft = await write()
    await sending.approve(draft.id, by="owner")
    await database.run(inbox.mark_answered, draft.mail_id, clock.now())
    with pytest.raises(VersionConflict, match="answered this mail already") as problem:
        await sending.send(draft.id)
    assert "--anyway" in (problem.value.fix or "")
    assert (server.received, (await sending.show(draft.id)).draft.state) == ([], "approved")
    assert (await sending.send(draft.id, anyway=True)).state == "sent"
    assert (await sending.send(draft.id)).state == "sent"  # and that is not asked again


@pytest.mark.parametrize("later", [True, False])
async def test_what_is_tried_again_by_itself_is_not_if_somebody_answered_since(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, database: Database, clock: FakeClock, later: bool
) -> None:
    server = Inbox(rcpt={"ann@bell.example": "450 later"})
    post.port = await mail_peer(server)
    draft = await write()
    await sending.approve(draft.id, by="owner")
    if not later:
        await database.run(inbox.mark_answered, draft.mail_id, clock.now())
    with pytest.raises(NotDelivered):
        await sending.send(draft.id, anyway=True)
    del server.actions["rcpt"]
    clock.advance(FIRST_PAUSE + 1)
    if later:
        await database.run(inbox.mark_answered, draft.mail_id, clock.now())
    await sending.round()
    clock.advance(FIRST_PAUSE + 1)
    await sending.round()
    assert (await sending.show(draft.id)).draft.state == ("failed" if later else "sent")
    assert len(server.received) == (0 if later else 1)


async def test_a_refusal_for_good_is_not_tried_again_by_itself(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, clock: FakeClock
) -> None:
    server = Inbox(rcpt={"ann@bell.example": "550 nobody of that name"})
    post.port = await mail_peer(server)
    draft = await write()
    await sending.approve(draft.id, by="owner")
    with pytest.raises(NotDelivered, match="nobody of that name"):
        await sending.send(draft.id)
    del server.actions["rcpt"]
    clock.advance(FIRST_PAUSE + 1)
    await sending.round()
    assert server.received == []
    changed = await sending.edit(draft.id, Change(to=("Ann <ann@other.example>",)))
    await sending.approve(draft.id, by="owner", seen=changed.fingerprint)
    assert (await sending.send(draft.id)).state == "sent"


@pytest.mark.parametrize("how", ["drop", "hang"])
async def test_a_mail_that_may_have_gone_out_is_never_sent_again_blindly(
    how: str, sending: Sending, post: Post, write: Write, mail_peer: MailPeer, clock: FakeClock
) -> None:
    hold = asyncio.Event()
    server = Inbox(**{"drop": True} if how == "drop" else {"hang": hold})
    post.port, post.patience = await mail_peer(server), Patience(answer=0.3, total=1.0)
    draft = await write()
    await sending.approve(draft.id, by="owner")
    assert (await sending.send(draft.id)).state == "unknown"
    hold.set()
    assert (await sending.send(draft.id)).state == "unknown"
    clock.advance(FIRST_PAUSE + 1)
    await sending.round()
    assert len(server.received) == 1
    for forbidden in (sending.edit(draft.id, Change(body="x")), sending.reject(draft.id, by="owner")):
        with pytest.raises(InvalidRequest, match="nobody knows"):
            await forbidden


async def test_the_folder_of_sent_mail_tells_that_it_went_out(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, clock: FakeClock
) -> None:
    server = Inbox(drop=True)
    post.port = await mail_peer(server)
    draft = await write()
    await sending.approve(draft.id, by="owner")
    assert (await sending.send(draft.id)).state == "unknown"
    post.kept.append(_as_sent(server.received[0]))  # the server does so by itself
    clock.advance(FIRST_PAUSE + 1)
    await sending.round()
    found = (await sending.show(draft.id)).draft
    assert (found.state, found.copy) == ("sent", "there")
    assert len(post.kept) == 1


async def test_a_person_who_looked_says_what_became_of_it(sending: Sending, in_doubt: InDoubt) -> None:
    server, (lost, gone) = await in_doubt(1, 2)
    assert (await sending.resolve(gone.id, "sent", by="owner")).state == "sent"
    assert (await sending.resolve(lost.id, "failed", by="owner")).state == "failed"
    del server.actions["drop"]
    assert (await sending.send(lost.id)).state == "sent"
    assert len(server.received) == 3


async def test_who_was_wrong_says_the_other(sending: Sending, in_doubt: InDoubt, database: Database) -> None:
    _, (lost, gone) = await in_doubt(1, 2)
    first = await sending.resolve(lost.id, "sent", by="anna")
    assert (first.state, first.copy) == ("sent", "kept")
    back = await sending.resolve(lost.id, "failed", by="anna")
    assert (back.state, back.approval, back.copy) == ("draft", None, None)
    assert (await database.read(inbox.get, lost.mail_id)).answered is None
    assert (await sending.resolve(gone.id, "failed", by="anna")).state == "failed"
    found = await sending.resolve(gone.id, "sent", by="anna")
    assert (found.state, found.copy) == ("sent", "kept")
    # Our copy of the first one bears its Message-ID: it must not pass for the second one's.
    await sending.approve(lost.id, by="anna")
    again = await sending.send(lost.id)
    assert (again.state, again.message_id != first.message_id) == ("unknown", True)
    assert (await sending.look(lost.id)).state == "unknown"


async def test_a_copy_that_comes_late_is_not_that_of_what_was_sent_meanwhile(
    sending: Sending, make: Make, post: Post, in_doubt: InDoubt, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, (draft,) = await in_doubt(1)
    keep, slow, other = post.keep_copy, [True], make()

    async def keep_late(account: str | None, raw: bytes) -> bool | None:
        if slow and slow.pop():
            await other.resolve(draft.id, "failed", by="bob")
            del server.actions["drop"]
            folder, post.folder = post.folder, None
            await other.approve(draft.id, by="bob")
            assert (await other.send(draft.id)).copy == "none"
            post.folder = folder
        return await keep(account, raw)

    monkeypatch.setattr(post, "keep_copy", keep_late)
    found = await sending.resolve(draft.id, "sent", by="anna")
    assert (found.state, found.decided_by, found.copy) == ("sent", "bob", "none")


async def test_what_lies_among_the_sent_mails_is_not_taken_back(
    sending: Sending, post: Post, in_doubt: InDoubt
) -> None:
    server, (draft,) = await in_doubt(1)
    post.kept.append(_as_sent(server.received[-1]))
    assert (await sending.resolve(draft.id, "sent", by="anna")).copy == "there"
    with pytest.raises(InvalidRequest, match="it went out"):
        await sending.resolve(draft.id, "failed", by="anna")


async def test_what_is_known_for_certain_is_not_taken_back(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer
) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    done, refused, found = await write(1), await write(2), await write(3)
    for draft in (done, refused, found):
        await sending.approve(draft.id, by="owner")
    await sending.send(done.id)
    with pytest.raises(InvalidRequest, match="nothing to find out"):
        await sending.resolve(done.id, "failed", by="anna")
    server.actions["data"] = "554 no"
    with pytest.raises(NotDelivered):
        await sending.send(refused.id)
    with pytest.raises(InvalidRequest, match="already known as failed"):
        await sending.resolve(refused.id, "sent", by="anna")
    del server.actions["data"]
    server.actions["drop"] = True
    await sending.send(found.id)
    post.kept.append(_as_sent(server.received[-1]))
    assert (await sending.look(found.id)).state == "sent"
    with pytest.raises(InvalidRequest, match="nothing to find out"):
        await sending.resolve(found.id, "failed", by="anna")


async def test_what_was_sent_again_is_not_spoken_of_any_more(sending: Sending, in_doubt: InDoubt) -> None:
    server, (draft,) = await in_doubt(1)
    await sending.resolve(draft.id, "failed", by="anna")
    server.actions = {"data": "554 no"}
    with pytest.raises(NotDelivered):
        await sending.send(draft.id)
    with pytest.raises(InvalidRequest, match="already known as failed"):
        await sending.resolve(draft.id, "sent", by="anna")


async def test_a_long_handover_leaves_one_copy(
    make: Make, post: Post, write: Write, mail_peer: MailPeer, clock: FakeClock
) -> None:
    """Another process looks while the first one keeps its copy, and somebody asks the first one again."""

    class Slow(Inbox):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            clock.advance(2 * FIRST_PAUSE)
            return await super().handle_DATA(server, session, envelope)

    post.port = await mail_peer(Slow())
    sending, other, keep = make(), make("two", alive=True), post.keep_copy
    draft = await write()
    await sending.approve(draft.id, by="owner")
    tries: list[bytes] = []

    async def meanwhile(account: str | None, raw: bytes) -> bool | None:
        tries.append(raw)
        if len(tries) == 1:
            await other.round()
            assert (await sending.send(draft.id)).state == "sent"
        return await keep(account, raw)

    post.keep_copy = meanwhile  # type: ignore[method-assign]
    assert (await sending.send(draft.id)).copy == "kept"
    assert len(tries) == 1


async def test_of_a_mail_whose_sender_died_it_is_unknown_whether_it_went_out(
    make: Make, post: Post, write: Write, database: Database
) -> None:
    class Killed(BaseException):
        pass

    post.port = 1
    draft = await write()
    dying = make("dying")
    await dying.approve(draft.id, by="owner")
    effects: Any = dying._effects

    async def die(*_: Any) -> None:  # what a killed process leaves: the effect is begun, and nobody is at it
        raise Killed

    effects._do = die
    with pytest.raises(Killed):
        await dying.send(draft.id)
    assert (await database.read(drafts.find, draft.id)).state == "sending"  # type: ignore[union-attr]
    assert (await make("other", alive=True).send(draft.id)).state == "sending"
    assert (await make("other").send(draft.id)).state == "unknown"


async def test_two_who_send_one_draft_send_it_once(make: Make, post: Post, write: Write, mail_peer: MailPeer) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    draft = await write()
    several = [make(str(number), alive=True) for number in range(4)]
    await several[0].approve(draft.id, by="owner")
    await asyncio.gather(*(each.send(draft.id) for each in several))
    assert len(server.received) == 1


async def test_an_edit_and_a_send_at_once_do_not_mix(
    make: Make, post: Post, write: Write, mail_peer: MailPeer, database: Database
) -> None:
    server = Inbox()
    post.port = await mail_peer(server)
    for number in range(8):
        draft = await write(number, Subject=f"Case {number}", References=f"<{number}@other.example>")
        one, other = make("one", alive=True), make("other", alive=True)
        await one.approve(draft.id, by="owner")
        results = await asyncio.gather(
            one.send(draft.id), other.edit(draft.id, Change(body="Changed.")), return_exceptions=True
        )
        state = (await one.show(draft.id)).draft.state
        sent = sum(isinstance(each, Draft) and each.state == "sent" for each in results)
        assert (state, sent) in {("sent", 1), ("draft", 0)}
    assert all(text(mail) == "Dear Ann Bell,\n\nyou may.\n" for mail in arrived(server))


# copies


async def test_a_copy_that_could_not_be_kept_is_kept_later(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, clock: FakeClock
) -> None:
    server = Inbox()
    post.port, post.folder = await mail_peer(server), False
    draft = await write()
    await sending.approve(draft.id, by="owner")
    assert (await sending.send(draft.id)).copy is None
    post.folder = True
    clock.advance(FIRST_PAUSE + 1)
    await sending.round()
    assert (await sending.show(draft.id)).draft.copy == "kept"
    assert post.kept == [_as_sent(server.received[0])]


async def test_an_account_without_a_folder_of_sent_mail_keeps_none(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer
) -> None:
    post.port, post.folder = await mail_peer(Inbox()), None
    draft = await write()
    await sending.approve(draft.id, by="owner")
    assert (await sending.send(draft.id)).copy == "none"


# to whom, and how often


async def test_a_reply_to_all_leaves_ourselves_out(sending: Sending, post: Post, write: Write) -> None:
    post.port = 1
    draft = await write(Cc="Office@Meyer.example, Ann <ann@bell.example>, carl@court.example")
    shown = await sending.edit(draft.id, Change(everyone=True, quote=True))
    assert [each.address for each in shown.letter.cc] == ["bob@bell.example", "carl@court.example"]
    assert shown.letter.text.endswith("you may.\n\nAnn Bell:\n> May I keep\n> the cat?\n")
    assert "goes to 3 people" in shown.cautions


@pytest.mark.parametrize("change", [Change(to=("office@meyer.example",)), Change(cc=("Us <OFFICE@meyer.example>",))])
async def test_nothing_goes_to_ourselves(change: Change, sending: Sending, post: Post, write: Write) -> None:
    post.port = 1
    draft = await write()
    await sending.edit(draft.id, change)
    with pytest.raises(InvalidRequest, match="your own address"):
        await sending.approve(draft.id, by="owner")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (Change(to=("ann",)), "to"),
        (Change(to=()), "to"),
        (Change(cc=("a@b.example, c@d.example",)), "cc"),
        (Change(to=("Eve\r\nBcc: x@y.example <eve@evil.example>",)), "to"),
        (Change(body=" \n"), "body"),
        (Change(subject="\r\n"), "subject"),
    ],
)
async def test_a_wrong_edit_names_the_field(change: Change, field: str, sending: Sending, write: Write) -> None:
    draft = await write()
    with pytest.raises(InvalidRequest) as caught:
        await sending.edit(draft.id, change)
    assert caught.value.param == field
    assert not (await sending.show(draft.id)).draft.edited


async def test_a_conversation_gets_only_so_many_replies_a_day(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer, clock: FakeClock
) -> None:
    server = Inbox()
    post.port, post.room = await mail_peer(server), Limits(per_thread=2)
    of_one = [await write(number) for number in range(3)]  # all answer <0@bell.example>
    other = await write(9, Subject="Another", References="<9@other.example>")
    for draft in (*of_one, other):
        await sending.approve(draft.id, by="owner")
    for draft in (of_one[0], of_one[1], other):
        await sending.send(draft.id)
    with pytest.raises(RateLimited, match="this thread"):
        await sending.send(of_one[2].id)
    assert (await sending.show(of_one[2].id)).draft.state == "approved"
    clock.advance(DAY)
    assert (await sending.send(of_one[2].id)).state == "sent"


async def test_an_address_gets_only_so_many_replies_a_day(
    sending: Sending, post: Post, write: Write, mail_peer: MailPeer
) -> None:
    post.port, post.room = await mail_peer(Inbox()), Limits(per_address=2)
    written = [await write(number, Subject=f"{number}", References=f"<{number}@x.example>") for number in range(3)]
    for draft in written:
        await sending.approve(draft.id, by="owner")
    await sending.send(written[0].id)
    await sending.send(written[1].id)
    with pytest.raises(RateLimited, match=r"ann@bell\.example"):
        await sending.send(written[2].id)


def test_the_life_of_a_draft_agrees_with_that_of_effects() -> None:
    for state, following in TRANSITIONS.items():
        of_drafts = set(drafts.TRANSITIONS[state])
        assert of_drafts & set(TRANSITIONS) == set(following)
