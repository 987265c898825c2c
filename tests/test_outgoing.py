"""Mail that goes out as it is configured: which server, which sender, which folder of sent mail."""

import asyncio
import json
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from chittycan.agents.kept import new_mail
from chittycan.chat import ChatRequest
from chittycan.config import Settings, settings_from
from chittycan.errors import ConfigError, NotDelivered
from chittycan.gateway.call import Answer, Options
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import RawMail
from chittycan.mailroom import Mailroom
from chittycan.outgoing import Office, Outgoing
from chittycan.store import drafts, inbox
from chittycan.store.database import Database
from chittycan.store.drafts import Draft
from chittycan.testing import FakeClock
from mail_servers import PASSWORD, Dovecot
from peers import Inbox, MailPeer
from token_post import Post, Tokens

MAIL = b"From: Ann <ann@bell.example>\r\nMessage-ID: <1@bell.example>\r\nSubject: Hi\r\n\r\nHello.\r\n"
ENV = {"M": PASSWORD}


def smtp(port: int, by: str) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "security": "none", "from": by}


def imap(port: int, user: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "imap",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "user": user,
        "password": "env:M",
    } | more


async def approved(database: Database, outgoing: Outgoing, account: str | None, now: float) -> Draft:
    stored, _ = await database.run(
        inbox.add, new_mail(RawMail("folder:/x", "1", b""), parse(MAIL), account=account), now
    )
    people = json.dumps([{"name": "Ann", "address": "ann@bell.example"}])
    draft = Draft(
        id=f"re-{stored.id}", mail_id=stored.id, idempotency_key="k", recipients=people, subject="Re: Hi", body="Hi.",
        in_reply_to="<1@bell.example>", thread='["<1@bell.example>"]', template="standard", warnings="[]",
        by_model=None, account=account, created=now, changed=now,
    )  # fmt: skip
    await database.run(drafts.create, draft)
    return await outgoing.sending.approve(draft.id, by="owner")


def office(config: dict[str, Any], folder: Path) -> Office:
    settings = settings_from(config, {}, folder)
    return Office(lambda: settings, ENV)


def test_each_account_has_its_own_sender_and_server(tmp_path: Path) -> None:
    accounts = {
        "anna": imap(1, "anna", smtp=smtp(26, "Anna <anna@x.example>")),
        "bob": imap(1, "bob", **{"from": "Bob <bob@x.example>"}),
        "old": {"type": "maildir", "path": "/mail", "from": "old@x.example"},
        "plain": imap(1, "plain"),
    }
    ways = office({"smtp": smtp(25, "office@x.example"), "integrations": accounts}, tmp_path)
    found = {name: (ways.sender(name), ways.mailer(name).server.port) for name in (*accounts, None, "/home/x/Maildir")}
    assert found == {
        "anna": ("Anna <anna@x.example>", 26),
        "bob": ("Bob <bob@x.example>", 25),
        "old": ("old@x.example", 25),
        "plain": ("office@x.example", 25),
        None: ("office@x.example", 25),
        "/home/x/Maildir": ("office@x.example", 25),
    }
    assert ways.own() == {"office@x.example", "anna@x.example", "bob@x.example", "old@x.example"}


def test_a_wrong_key_of_an_account_is_named(tmp_path: Path) -> None:
    ways = office({"integrations": {"anna": imap(1, "anna", smtp={"host": "h"})}}, tmp_path)
    with pytest.raises(ConfigError, match=r"integrations\.anna\.smtp"):
        ways.sender("anna")
    with pytest.raises(ConfigError) as caught:
        office({}, tmp_path).sender(None)
    assert '"smtp": {"host":' in (caught.value.fix or "")


def test_a_changed_configuration_counts_at_once(tmp_path: Path) -> None:
    now = [settings_from({"smtp": smtp(25, "a@x.example")}, {}, tmp_path)]
    ways = Office(lambda: now[0], ENV)
    assert ways.sender(None) == "a@x.example"
    now[0] = settings_from({"smtp": smtp(25, "b@x.example")}, {}, tmp_path)
    assert ways.sender(None) == "b@x.example"


async def test_a_copy_lies_among_the_sent_mails_of_the_account(
    dovecot_server: Dovecot, sqlite: Database, tmp_path: Path, mail_peer: MailPeer
) -> None:
    server = Inbox()
    port = await mail_peer(server)
    user = f"out-{tmp_path.name}".lower()
    accounts = {
        "office": imap(dovecot_server.port, user),
        "other": imap(dovecot_server.port, f"{user}-2", saveSent=False),
    }
    settings = settings_from({"smtp": smtp(port, "office@x.example"), "integrations": accounts}, {}, tmp_path)
    outgoing = Outgoing(lambda: settings, ENV, sqlite, FakeClock(1_800_000_000.0))
    draft = await approved(sqlite, outgoing, "office", 1_800_000_000.0)
    sent = await outgoing.sending.send(draft.id)
    assert (sent.state, sent.copy) == ("sent", "kept")
    ways = Office(lambda: settings, ENV)
    assert await ways.in_sent("office", str(sent.message_id)) is True
    assert await ways.keep_copy("office", bytes(server.received[0].original_content or b"")) is False
    assert await ways.keep_copy("other", b"x") is None
    assert await ways.in_sent("nobody", "<x@y>") is None


async def test_a_mail_that_comes_back_to_the_account_is_said_of_its_draft(
    dovecot_server: Dovecot, sqlite: Database, tmp_path: Path, mail_peer: MailPeer
) -> None:
    server, clock = Inbox(), FakeClock(1_800_000_000.0)
    port = await mail_peer(server)
    user = f"back-{tmp_path.name}".lower()
    settings = settings_from(
        {"smtp": smtp(port, "office@x.example"), "integrations": {"office": imap(dovecot_server.port, user)}},
        {},
        tmp_path,
    )
    outgoing = Outgoing(lambda: settings, ENV, sqlite, clock)
    sent = await outgoing.sending.send((await approved(sqlite, outgoing, "office", clock.now())).id)
    returned = bytes(server.received[0].original_content or b"")
    report = (
        b"From: MAILER-DAEMON@x.example\r\nMessage-ID: <back@x.example>\r\nSubject: Returned\r\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.example\r\n\r\n"
        b"Final-Recipient: rfc822; ann@bell.example\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + returned + b"\r\n--b--\r\n"
    )
    dovecot_server.deliver(user, "1.back", report)

    async def nobody(_request: ChatRequest, _options: Options) -> Answer:
        raise AssertionError("no model is asked about a report")

    await Mailroom(lambda: settings, ENV, nobody, sqlite, clock).watcher("office").look()
    back = drafts.bounces((await outgoing.sending.show(sent.id)).draft)
    assert [(each.recipient, each.status) for each in back] == [("ann@bell.example", "5.2.2")]


async def test_a_copy_of_nobodys_mail_goes_where_its_sender_is_at_home(dovecot_server: Dovecot, tmp_path: Path) -> None:
    user = f"home-{tmp_path.name}@x.example".lower()
    accounts = {"a": imap(dovecot_server.port, "a@x.example"), "b": imap(dovecot_server.port, user)}
    ways = office({"smtp": smtp(1, f"B <{user}>"), "integrations": accounts}, tmp_path)
    raw = b"Message-ID: <q@x.example>\r\nSubject: x\r\n\r\nx\r\n"
    assert await ways.keep_copy("/home/x/Maildir", raw) is True
    assert await ways.in_sent("b", "<q@x.example>") is True


def test_dmarc_counts_only_where_the_own_server_is_named(tmp_path: Path) -> None:
    head = b"Authentication-Results: mx.x.example; dmarc=pass header.from=bell.example\r\n"
    mail = parse(head + MAIL)
    assert office({}, tmp_path).verified(mail, None) is None
    assert office({"inbox": {"authServer": "mx.x.example"}}, tmp_path).verified(mail, None) is True
    assert office({"inbox": {"authServer": "mx.y.example"}}, tmp_path).verified(mail, None) is False


async def test_while_a_server_runs_new_mail_of_listed_senders_is_acknowledged(
    sqlite: Database, tmp_path: Path, mail_peer: MailPeer
) -> None:
    server = Inbox()
    config: dict[str, Any] = {
        "smtp": smtp(await mail_peer(server), "office@x.example"),
        "inbox": {"acknowledge": [{"to": "@bell.example", "unverified": True}], "signature": "The office"},
    }
    known: Settings = settings_from(config, {}, tmp_path)
    clock = FakeClock(1_800_000_000.0)
    stored, _ = await sqlite.run(inbox.add, new_mail(RawMail("folder:/x", "1", b""), parse(MAIL)), clock.now())
    finding = inbox.Finding(category="general_inquiry", level="NORMAL", rank=2)
    await sqlite.run(inbox.finish, stored.id, finding, clock.now())
    running = asyncio.create_task(Outgoing(lambda: known, {}, sqlite, clock).run())
    try:
        async with asyncio.timeout(20):
            while not server.received:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
    said = message_from_bytes(bytes(server.received[0].original_content or b""))
    assert (said["To"], said["Auto-Submitted"]) == ("Ann <ann@bell.example>", "auto-replied")


async def test_an_account_with_tokens_sends_and_keeps_its_copy_with_them(
    sqlite: Database, tmp_path: Path, mail_peer: MailPeer, dovecot_server: Dovecot
) -> None:
    user, tokens = f"tokens-{tmp_path.name}@x.example".lower(), dovecot_server.tokens
    tokens.users[f"r-{user}"] = user
    post = Post(tokens)
    port = await mail_peer(post, smtp=Tokens, authenticator=post.authenticate, auth_require_tls=False)
    login = {"tokenUrl": f"{tokens.url}/token", "clientId": "c", "refreshToken": "env:R"}
    account = imap(dovecot_server.port, user, oauth=login, smtp=smtp(port, f"Anna <{user}>") | {"auth": "xoauth2"})
    del account["password"]
    settings = settings_from({"integrations": {"gmail": account}}, {}, tmp_path)
    env, clock = {"R": f"r-{user}"}, FakeClock()
    outgoing = Outgoing(lambda: settings, env, sqlite, clock)
    draft = await approved(sqlite, outgoing, "gmail", clock.now())
    env["R"] = "revoked"
    with pytest.raises(NotDelivered, match="invalid_grant") as caught:
        await outgoing.sending.send(draft.id)
    assert "integrations.gmail.oauth.refreshToken" in (caught.value.fix or "")
    failed = (await outgoing.sending.show(draft.id)).draft
    assert (failed.state, post.received) == ("failed", [])
    env["R"] = f"r-{user}"  # signed in anew
    sent = await outgoing.sending.send(draft.id)
    assert (sent.state, sent.copy, len(post.received)) == ("sent", "kept", 1)
    tokens.tokens.clear()
    assert (await outgoing.sending.look(draft.id)).state == "sent"
    outgoing.close()
