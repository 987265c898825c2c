"""Logging in with tokens: against a server that gives them, and a Dovecot that asks whose they are."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chittycan.errors import ConfigError, Forbidden, Unavailable
from chittycan.integrations.email.credentials import REVOKED, Credential, Grant, OAuth, Password, log_in
from chittycan.integrations.email.imap import AWAY, REFUSED, Account
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList
from chittycan.testing.clock import FakeClock
from mail_servers import PASSWORD, Dovecot, Liar, Session
from token_server import TokenServer

BOTH_LOOPS = True


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    server.users["refresh"] = "anna"
    yield server
    server.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def oauth(tokens: TokenServer, clock: FakeClock, refresh: str | Callable[[], str] = "refresh", **more: Any) -> OAuth:
    """`refresh` may be a callable that is asked for each login."""
    out = Outbound(AllowList([tokens.url]))

    def grant() -> Grant:
        value = refresh() if callable(refresh) else refresh
        return Grant(token_url=f"{tokens.url}/token", client_id="client", refresh_token=value, **more)

    return OAuth("integrations.office", grant, out, clock)


def account(port: int, user: str) -> Account:
    return Account(name="office", host="127.0.0.1", security="none", user=user, port=port, auth="xoauth2")


async def opened(port: int, credential: Credential, user: str = "anna") -> None:
    connection = await log_in(account(port, user), credential)
    await connection.close()


async def test_a_real_server_lets_in_who_has_a_token(dovecot_server: Dovecot, clock: FakeClock) -> None:
    tokens = dovecot_server.tokens
    tokens.users["refresh"] = "anna"
    before = len(tokens.asked)
    credential = oauth(tokens, clock, client_secret="s3cret", scope="mail")
    await opened(dovecot_server.port, credential)
    await opened(dovecot_server.port, credential)
    assert tokens.asked[before:] == [
        {"grant_type": "refresh_token", "refresh_token": "refresh", "client_id": "client", "client_secret": "s3cret",
         "scope": "mail"}
    ]  # fmt: skip
    with pytest.raises(Unavailable) as caught:
        await opened(dovecot_server.port, Password(lambda: "no token"))
    assert caught.value.code == REFUSED


async def test_a_token_that_a_real_server_refuses_is_replaced_once(dovecot_server: Dovecot, clock: FakeClock) -> None:
    tokens = dovecot_server.tokens
    tokens.users["refresh"] = "anna"
    credential = oauth(tokens, clock)
    await opened(dovecot_server.port, credential)
    before = len(tokens.asked)
    tokens.expire()
    await opened(dovecot_server.port, credential)
    assert len(tokens.asked) == before + 1
    tokens.users["refresh"] = "somebody else"
    tokens.expire()
    with pytest.raises(Unavailable) as caught:
        await opened(dovecot_server.port, credential, "anna")
    assert caught.value.code == REFUSED
    assert len(tokens.asked) == before + 2


async def test_the_other_way_to_show_a_token(dovecot_server: Dovecot, liar: Liar, clock: FakeClock) -> None:
    """OAUTHBEARER, where the server knows nothing else; Dovecot is asked in its words."""
    liar.capabilities = "IMAP4rev1 AUTH=OAUTHBEARER"
    said: list[bytes] = []

    async def relay(session: Session, tag: str, command: str) -> bool:
        if not command.startswith("AUTHENTICATE"):
            return False
        session.say("+ ")
        said.append(await session.reader.readline())
        reader, writer = await asyncio.open_connection("127.0.0.1", dovecot_server.port)
        await reader.readline()
        writer.write(b"a AUTHENTICATE OAUTHBEARER\r\n")
        await reader.readline()
        writer.write(said[-1])
        answer = await reader.readline()
        if answer.startswith(b"+"):
            session.say(answer.decode().strip())
            writer.write(await session.reader.readline())
            answer = await reader.readline()
        session.say(f"{tag} {answer.decode().partition(' ')[2].strip()}")
        writer.close()
        return True

    liar.misbehave = relay
    dovecot_server.tokens.users["refresh"] = "anna"
    await opened(liar.port, oauth(dovecot_server.tokens, clock))
    with pytest.raises(Unavailable) as caught:
        await opened(liar.port, Password(lambda: "no token"), "a,b=c")
    assert caught.value.code == REFUSED
    shown = base64.b64decode(said[-1])
    assert shown == b"n,a=a=2Cb=3Dc,\1host=127.0.0.1\1auth=Bearer no token\1\1"


async def test_a_token_is_used_until_shortly_before_its_end(tokens: TokenServer, clock: FakeClock) -> None:
    credential = oauth(tokens, clock)
    first = await credential.secret()
    clock.advance(3_500)
    assert await credential.secret() == first
    clock.advance(60)
    assert await credential.secret() != first


@pytest.mark.parametrize(
    ("life", "seconds"), [("3600", 3_530), (None, 3_530), (-5, 55), ("soon", 3_530), (1e300, 80_000)]
)
async def test_whatever_life_a_server_promises(
    tokens: TokenServer, clock: FakeClock, life: Any, seconds: float
) -> None:
    tokens.life = life
    credential = oauth(tokens, clock)
    first = await credential.secret()
    clock.advance(seconds)
    assert await credential.secret() == first
    clock.advance(86_400)
    assert await credential.secret() != first


async def test_a_new_refresh_token_is_used_from_then_on(tokens: TokenServer, clock: FakeClock) -> None:
    tokens.rotates = True
    credential = oauth(tokens, clock)
    for _ in range(3):
        await credential.secret()
        clock.advance(4_000)
    assert [each["refresh_token"] for each in tokens.asked] == ["refresh", "refresh-1", "refresh-2"]


async def test_a_grant_that_was_revoked_is_not_asked_for_again(tokens: TokenServer, clock: FakeClock) -> None:
    """Before it is another one."""
    current = ["old"]
    credential = oauth(tokens, clock, refresh=lambda: current[0])
    for _ in range(3):
        with pytest.raises(Unavailable, match="400 invalid_grant") as caught:
            await credential.secret()
        clock.advance(900)
    assert caught.value.code == REVOKED
    assert "integrations.office.oauth.refreshToken" in (caught.value.fix or "")
    assert len(tokens.asked) == 1
    current[0] = "refresh"
    assert await credential.secret() == "token-2"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (503, b"later", AWAY), (429, b"{}", AWAY), (200, b"<html>", AWAY), (200, b"{}", AWAY),
        (200, b'{"access_token": 7}', AWAY), (401, b'{"error": "invalid_client"}', REVOKED),
        (400, b'["unexpected"]', REVOKED), (403, b'{"error": "s3cret\\u0000 <b>"}', REVOKED), (400, b"\xff", REVOKED),
    ],
)  # fmt: skip
async def test_what_may_go_well_later_is_told_from_what_may_not(
    tokens: TokenServer, clock: FakeClock, status: int, body: bytes, code: str
) -> None:
    tokens.failing = (status, body)
    credential = oauth(tokens, clock)
    with pytest.raises(Unavailable) as caught:
        await credential.secret()
    assert caught.value.code == code
    assert "<" not in caught.value.message
    tokens.failing = None
    if code == AWAY:
        assert await credential.secret()


async def test_tokens_are_asked_for_nowhere_else(tokens: TokenServer, clock: FakeClock) -> None:
    grant = Grant(token_url=f"{tokens.url}/token", client_id="client", refresh_token="refresh")
    assert "refresh" not in repr(grant)
    credential = OAuth("integrations.office", lambda: grant, Outbound(AllowList(["https://oauth2.example"])), clock)
    with pytest.raises(Forbidden):
        await credential.secret()
    assert tokens.asked == []


async def test_a_server_that_is_not_there(tokens: TokenServer, clock: FakeClock, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    grant = Grant(token_url=url, client_id="client", refresh_token="refresh")
    with pytest.raises(Unavailable) as caught:
        await OAuth("integrations.office", lambda: grant, Outbound(AllowList([url])), clock).secret()
    assert caught.value.code == AWAY


async def test_a_wrong_password_is_not_tried_twice(dovecot_server: Dovecot) -> None:
    tries: list[str] = []

    def look_up() -> str:
        tries.append(PASSWORD)
        return "wrong"

    plain = Account(name="office", host="127.0.0.1", security="none", user="anna", port=dovecot_server.port)
    with pytest.raises(Unavailable) as caught:
        await log_in(plain, Password(look_up))
    assert (caught.value.code, len(tries)) == (REFUSED, 1)


async def test_what_cannot_be_looked_up_is_said_before_anybody_is_asked(tokens: TokenServer, clock: FakeClock) -> None:
    def missing() -> str:
        raise ConfigError("the environment variable REFRESH is not set", file="config.json")

    with pytest.raises(ConfigError, match="REFRESH"):
        await oauth(tokens, clock, refresh=missing).secret()
    assert tokens.asked == []
