"""Sending a mail to a real SMTP server, and being sure afterwards of what happened to it."""

import asyncio
import email
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session
from msgspec.structs import replace

from chittycan.errors import ConfigError, DeliveryUnknown, InvalidRequest, NotDelivered
from chittycan.integrations.email.compose import Mail
from chittycan.integrations.email.credentials import Credential, Grant, OAuth, Password
from chittycan.integrations.email.smtp import Limits, Mailer, Server
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList
from chittycan.testing.clock import FakeClock
from peers import Inbox, MailPeer, server_tls, trusting
from token_post import BearerTokens, Post, Tokens
from token_server import TokenServer

MAIL = Mail(to=("anna@example.org", "bob@example.net"), subject="Grüße", text="First\n.\n..dots\nlast")
AT = 1_800_000_000.0


def mailer(port: int, *, limits: Limits | None = None, tls: ssl.SSLContext | None = None, **options: Any) -> Mailer:
    options = {"host": "127.0.0.1", "security": "none", "sender": "Office <office@example.com>", **options}
    return Mailer(Server(port=port, **options), limits=limits, tls=tls)


async def test_a_mail_arrives_whole_and_the_answer_says_so(mail_peer: MailPeer) -> None:
    inbox = Inbox()
    receipt = await mailer(await mail_peer(inbox)).send(MAIL, key="task-1", at=AT)
    assert receipt.answer == "250 queued as 7"
    (envelope,) = inbox.received
    assert (envelope.mail_from, envelope.rcpt_tos) == ("office@example.com", list(MAIL.to))
    message = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
    assert message["Message-ID"] == receipt.message_id
    assert message.get_content().replace("\r\n", "\n") == MAIL.text + "\n"


async def test_one_refused_recipient_keeps_the_mail_from_all(mail_peer: MailPeer) -> None:
    inbox = Inbox(rcpt={"bob@example.net": "550 no such user"})
    with pytest.raises(NotDelivered, match="550 no such user") as caught:
        await mailer(await mail_peer(inbox)).send(MAIL, key="k", at=AT)
    assert not caught.value.temporary
    assert inbox.received == []


@pytest.mark.parametrize(("answer", "temporary"), [("451 later", True), ("554 spam", False)])
async def test_a_refusal_after_the_text_is_certain(mail_peer: MailPeer, answer: str, temporary: bool) -> None:
    with pytest.raises(NotDelivered, match=answer) as caught:
        await mailer(await mail_peer(Inbox(data=answer))).send(MAIL, key="k", at=AT)
    assert caught.value.temporary is temporary


@pytest.mark.parametrize("answer", ["251 taken for another", "299 Danke", "200 ok"])
async def test_any_answer_that_says_yes_is_one(mail_peer: MailPeer, answer: str) -> None:
    """RFC 5321, 4.2.1: the first digit tells. What counted as refused would be sent again."""
    receipt = await mailer(await mail_peer(Inbox(data=answer))).send(MAIL, key="k", at=AT)
    assert receipt.answer == answer


@pytest.mark.parametrize("answer", ["354 go on", "150 one moment", "999 what", "042 x", "well, yes", "45"])
async def test_an_answer_that_is_neither_yes_nor_no_leaves_it_unknown(mail_peer: MailPeer, answer: str) -> None:
    with pytest.raises(DeliveryUnknown):
        await mailer(await mail_peer(Inbox(data=answer))).send(MAIL, key="k", at=AT)


async def test_a_connection_that_breaks_after_the_last_dot_leaves_it_unknown(mail_peer: MailPeer) -> None:
    inbox = Inbox(drop=True)
    with pytest.raises(DeliveryUnknown):
        await mailer(await mail_peer(inbox)).send(MAIL, key="k", at=AT)
    assert len(inbox.received) == 1


async def test_an_answer_that_never_comes_leaves_it_unknown(mail_peer: MailPeer) -> None:
    hang = asyncio.Event()
    port = await mail_peer(Inbox(hang=hang))
    with pytest.raises(DeliveryUnknown):
        await mailer(port, limits=Limits(total=0.3)).send(MAIL, key="k", at=AT)


async def test_a_server_that_never_greets_has_certainly_taken_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(NotDelivered) as caught:
            await mailer(server.getsockname()[1], limits=Limits(total=0.2)).send(MAIL, key="k", at=AT)
        assert caught.value.temporary


async def test_a_server_that_drips_lines_is_left_after_the_time_for_all() -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in range(1_000_000):
            writer.write(b"220-still here %d\r\n" % line)
            try:
                await writer.drain()
            except ConnectionError:
                break
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    with pytest.raises(NotDelivered):
        await mailer(server.sockets[0].getsockname()[1], limits=Limits(total=0.2)).send(MAIL, key="k", at=AT)
    server.close()
    await server.wait_closed()


async def test_a_mail_given_up_before_its_last_dot_is_never_sent_later() -> None:
    """The server lets the text pass only after the client has given up: the dot must not follow."""
    heard: list[bytes] = []
    go_on, ended = threading.Event(), threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as file:
            file.write(b"220 hello\r\n")
            file.flush()
            for line in file:
                heard.append(line)
                if line.startswith(b"DATA"):
                    go_on.wait()
                try:
                    file.write(b"354 go on\r\n" if line.startswith(b"DATA") else b"250 OK\r\n")
                    file.flush()
                except OSError:
                    break
        ended.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        with pytest.raises(NotDelivered):
            await mailer(server.getsockname()[1], limits=Limits(total=0.3)).send(MAIL, key="k", at=AT)
        go_on.set()
        await asyncio.to_thread(ended.wait)
    assert b"DATA\r\n" in heard
    assert b".\r\n" not in heard


async def test_nobody_listens(free_port: int) -> None:
    with pytest.raises(NotDelivered) as caught:
        await mailer(free_port).send(MAIL, key="k", at=AT)
    assert caught.value.temporary


async def test_starttls_protects_the_login(mail_peer: MailPeer) -> None:
    seen: list[Any] = []

    def authenticate(_server: SMTP, session: Session, *_: Any) -> AuthResult:
        data = _[-1]
        seen.append((session.ssl is not None, data))
        return AuthResult(success=isinstance(data, LoginPassword) and data.password == b"s3cret", handled=False)

    inbox = Inbox()
    port = await mail_peer(
        inbox, tls_context=server_tls(), require_starttls=True, authenticator=authenticate, auth_require_tls=True
    )
    options: dict[str, Any] = {"host": "localhost", "security": "starttls", "user": "office", "tls": trusting()}
    await mailer(port, password="s3cret", **options).send(MAIL, key="k", at=AT)
    assert len(inbox.received) == 1
    with pytest.raises(NotDelivered, match="refused the login") as caught:
        await mailer(port, password="wrong", **options).send(MAIL, key="k", at=AT)
    assert not caught.value.temporary
    assert "wrong" not in str(caught.value)
    assert all(protected for protected, _ in seen)


async def test_a_challenge_that_makes_no_sense_certainly_takes_nothing() -> None:
    async def challenge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        async for line in reader:
            greeted = line.upper().startswith(b"EHLO")
            writer.write(b"250-here\r\n250 AUTH CRAM-MD5\r\n" if greeted else b"334 YQ\r\n")
        writer.close()

    server = await asyncio.start_server(challenge, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(NotDelivered, match="makes no sense") as caught:
        await mailer(port, user="office", password="s3cret").send(MAIL, key="k", at=AT)
    assert caught.value.temporary
    server.close()
    await server.wait_closed()


async def test_tls_from_the_first_byte(mail_peer: MailPeer) -> None:
    inbox = Inbox()
    port = await mail_peer(inbox, over_tls=True)
    await mailer(port, host="localhost", security="tls", tls=trusting()).send(MAIL, key="k", at=AT)
    assert len(inbox.received) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_server_with_a_strange_certificate_gets_nothing(mail_peer: MailPeer, security: str) -> None:
    inbox = Inbox()
    port = (
        await mail_peer(inbox, over_tls=True) if security == "tls" else await mail_peer(inbox, tls_context=server_tls())
    )
    for host, tls in (("localhost", None), ("127.0.0.1", trusting())):  # a strange authority, another's name
        with pytest.raises(NotDelivered, match="could not show") as caught:
            await mailer(port, host=host, security=security, tls=tls).send(MAIL, key="k", at=AT)
        assert not caught.value.temporary
    assert inbox.received == []


async def test_a_server_without_starttls_gets_nothing(mail_peer: MailPeer) -> None:
    inbox = Inbox()
    with pytest.raises(NotDelivered, match="does not offer") as caught:
        await mailer(await mail_peer(inbox), security="starttls").send(MAIL, key="k", at=AT)
    assert not caught.value.temporary
    assert inbox.received == []


async def test_a_mail_that_cannot_be_is_refused_before_anyone_is_asked(free_port: int) -> None:
    with pytest.raises(InvalidRequest):
        await mailer(free_port).send(Mail(to=("anna@example.org",), subject="a\nb", text=""), key="k", at=AT)


def test_a_password_never_crosses_a_network_in_clear() -> None:
    with pytest.raises(ConfigError, match=r"smtp\.security"):
        Mailer(Server(host="mail.example.com", sender="a@example.com", security="none", user="a", password="s3cret"))


def test_a_server_does_not_show_its_password() -> None:
    assert "s3cret" not in repr(Server(host="mail.example.com", sender="a@example.com", password="s3cret"))


# tokens


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    server.users["refresh"] = "anna@firm.example"
    yield server
    server.close()


def oauth(tokens: TokenServer, clock: FakeClock, refresh: str = "refresh") -> OAuth:
    grant = Grant(token_url=f"{tokens.url}/token", client_id="client", refresh_token=refresh)
    return OAuth("integrations.gmail", lambda: grant, Outbound(AllowList([tokens.url])), clock)


def with_token(port: int, token: Credential, **options: Any) -> Mailer:
    server = Server(host="127.0.0.1", port=port, security="none", sender="a@firm.example", user="anna@firm.example")
    return Mailer(replace(server, **options), token=token)


async def started(mail_peer: MailPeer, post: Post) -> int:
    return await mail_peer(post, smtp=Tokens, authenticator=post.authenticate, auth_require_tls=False)


async def test_a_token_is_fetched_once_and_sends_several_mails(mail_peer: MailPeer, tokens: TokenServer) -> None:
    post = Post(tokens)
    sending = with_token(await started(mail_peer, post), oauth(tokens, FakeClock()))
    for key in ("1", "2"):
        await sending.send(MAIL, key=key, at=AT)
    assert (len(post.received), len(tokens.asked), post.shown) == (2, 1, ["token-1", "token-1"])


async def test_a_token_that_ended_early_is_replaced_once(mail_peer: MailPeer, tokens: TokenServer) -> None:
    post = Post(tokens)
    sending = with_token(await started(mail_peer, post), oauth(tokens, FakeClock()))
    await sending.send(MAIL, key="1", at=AT)
    tokens.expire()
    await sending.send(MAIL, key="2", at=AT)
    assert (len(post.received), post.shown) == (2, ["token-1", "token-1", "token-2"])


@pytest.mark.parametrize("smtp", [Tokens, BearerTokens])
async def test_over_tls_both_ways_of_showing_a_token_work(
    mail_peer: MailPeer, tokens: TokenServer, smtp: type[SMTP]
) -> None:
    post = Post(tokens)
    secured = {"tls_context": server_tls(), "require_starttls": True, "auth_require_tls": True}
    port = await mail_peer(post, smtp=smtp, authenticator=post.authenticate, **secured)
    server = Server(host="localhost", port=port, sender="a@firm.example", user="anna@firm.example")
    sending = Mailer(server, token=oauth(tokens, FakeClock()), tls=trusting())
    await sending.send(MAIL, key="1", at=AT)
    tokens.expire()
    await sending.send(MAIL, key="2", at=AT)
    assert (len(post.received), post.shown) == (2, ["token-1", "token-1", "token-2"])


async def test_a_token_past_its_life_is_replaced_before_it_is_shown(mail_peer: MailPeer, tokens: TokenServer) -> None:
    post, clock = Post(tokens), FakeClock()
    sending = with_token(await started(mail_peer, post), oauth(tokens, clock))
    await sending.send(MAIL, key="1", at=AT)
    clock.advance(3_600)
    await sending.send(MAIL, key="2", at=AT)
    assert post.shown == ["token-1", "token-2"]


async def test_a_token_of_somebody_else_is_refused_for_certain(mail_peer: MailPeer, tokens: TokenServer) -> None:
    tokens.users["refresh"] = "bob@firm.example"
    post = Post(tokens)
    with pytest.raises(NotDelivered, match="refused the token: 535") as caught:
        await with_token(await started(mail_peer, post), oauth(tokens, FakeClock())).send(MAIL, key="1", at=AT)
    assert not caught.value.temporary
    assert "scope" in (caught.value.fix or "")
    assert (post.received, post.shown) == ([], ["token-1", "token-2"])
    assert "token-" not in str(caught.value)


async def test_a_token_that_others_renew_is_tried_once(mail_peer: MailPeer, tokens: TokenServer) -> None:
    post = Post(tokens)
    port = await started(mail_peer, post)
    with pytest.raises(NotDelivered, match="refused the token"):
        await with_token(port, Password(lambda: "old")).send(MAIL, key="1", at=AT)
    assert post.shown == ["old"]
    tokens.tokens["new"] = "anna@firm.example"
    await with_token(port, Password(lambda: "new")).send(MAIL, key="1", at=AT)
    assert len(post.received) == 1


async def test_without_a_token_nothing_goes_out_and_it_says_whether_to_try_again(
    free_port: int, tokens: TokenServer
) -> None:
    credential = oauth(tokens, FakeClock())
    tokens.failing = (503, b"")
    with pytest.raises(NotDelivered, match="no token: the token's server answered 503") as caught:
        await with_token(free_port, credential).send(MAIL, key="1", at=AT)
    assert caught.value.temporary
    tokens.failing = (400, b'{"error": "invalid_grant"}')
    with pytest.raises(NotDelivered, match="invalid_grant") as caught:
        await with_token(free_port, credential).send(MAIL, key="1", at=AT)
    assert not caught.value.temporary
    assert "integrations.gmail.oauth.refreshToken" in (caught.value.fix or "")


async def test_a_server_that_takes_no_tokens_is_named(mail_peer: MailPeer, tokens: TokenServer) -> None:
    port = await mail_peer(Inbox(), auth_require_tls=False)
    with pytest.raises(NotDelivered, match="takes no token at login") as caught:
        await with_token(port, oauth(tokens, FakeClock())).send(MAIL, key="1", at=AT)
    assert not caught.value.temporary


def test_a_token_never_crosses_a_network_in_clear(tokens: TokenServer) -> None:
    with pytest.raises(ConfigError, match="the token would cross the network"):
        with_token(25, oauth(tokens, FakeClock()), host="mail.firm.example")
