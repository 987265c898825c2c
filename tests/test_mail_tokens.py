"""Refresh tokens that a server replaced: the newest is found by all who log in with the grant, and by nobody else."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, select, update

from chittycan.agents.claims import Claims
from chittycan.errors import Unavailable
from chittycan.integrations.email.credentials import REVOKED, Grant, OAuth
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList
from chittycan.mail_tokens import RefreshTokens
from chittycan.store.database import Database
from chittycan.store.mail_grants import mail_grants
from chittycan.testing.clock import FakeClock
from serving import SkippingClock
from token_server import TokenServer

Login = Callable[..., OAuth]


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    """A server that takes each refresh token once, and ends the grant where one is shown again."""
    server = TokenServer()
    server.users["refresh"] = "anna"
    server.rotates = server.strict = True
    yield server
    server.close()


@pytest.fixture
def login(tokens: TokenServer, database: Database) -> Login:
    """Somebody who logs in with the configured refresh token, and knows of nobody else but by the database."""

    def made(configured: str = "refresh", clock: FakeClock | None = None, kept: Database = database) -> OAuth:
        grant = Grant(token_url=f"{tokens.url}/token", client_id="client", refresh_token=configured)
        out = Outbound(AllowList([tokens.url]))
        newer = RefreshTokens(kept, SkippingClock())
        return OAuth("integrations.office", lambda: grant, out, clock or FakeClock(), newer)

    return made


def shown(tokens: TokenServer) -> list[str]:
    return [each["refresh_token"] for each in tokens.asked]


async def test_many_at_once_share_a_grant_whose_tokens_are_taken_once(login: Login, tokens: TokenServer) -> None:
    clock = FakeClock()
    several = [login(clock=clock) for _ in range(5)]
    for _ in range(3):
        found = await asyncio.gather(*(each.secret() for each in several))
        assert len(set(found)) == 5
        clock.advance(4_000)
    assert len(shown(tokens)) == len(set(shown(tokens))) == 15


async def test_several_machines_share_it(login: Login, tokens: TokenServer, database_url: str) -> None:
    elsewhere = Database(database_url)
    try:
        here, there = login(), login(kept=elsewhere)
        assert len(set(await asyncio.gather(here.secret(), there.secret()))) == 2
    finally:
        elsewhere.close()
    assert shown(tokens) == ["refresh", "refresh-1"]


async def test_reading_and_sending_do_not_cut_each_other_off(login: Login) -> None:
    clock = FakeClock()
    reading, sending = login(clock=clock), login(clock=clock)
    for _ in range(3):
        assert await reading.secret() != await sending.secret()
        clock.advance(4_000)


async def test_a_restart_goes_on_with_the_newest(login: Login, tokens: TokenServer) -> None:
    for _ in range(3):
        await login().secret()
    assert shown(tokens) == ["refresh", "refresh-1", "refresh-2"]


async def test_who_signed_in_anew_is_not_held_to_what_was_before(login: Login, tokens: TokenServer) -> None:
    await login().secret()
    tokens.users = {"signed in anew": "anna"}
    with pytest.raises(Unavailable, match="invalid_grant"):
        await login().secret()
    assert await login("signed in anew").secret()


async def test_a_grant_that_was_revoked_is_not_asked_for_again_and_a_newer_token_of_another_is(
    login: Login, tokens: TokenServer
) -> None:
    late = login()
    await login().secret()
    tokens.users.clear()
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await late.secret()
        assert caught.value.code == REVOKED
    assert len(tokens.asked) == 2
    tokens.users["refresh-1"] = "anna"
    await login().secret()  # the server has thought better of it, and another went on
    assert await late.secret()


async def test_who_is_stopped_while_a_token_is_on_its_way_leaves_it_to_the_next(
    login: Login, tokens: TokenServer
) -> None:
    stopped = asyncio.create_task(login().secret())
    async with asyncio.timeout(20):
        while not tokens.asked:  # noqa: ASYNC110
            await asyncio.sleep(0)
    stopped.cancel()
    await asyncio.gather(stopped, return_exceptions=True)
    assert await login().secret()
    assert shown(tokens) == ["refresh", "refresh-1"]


async def test_a_token_that_comes_while_the_database_is_away_is_kept_as_soon_as_it_is_back(
    login: Login, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chittycan.store import mail_grants as rows

    keep, tries = rows.keep, []

    def away(connection: Connection, grant: str, token: str) -> None:
        tries.append(grant)
        if len(tries) < 3:
            raise Unavailable("away")
        keep(connection, grant, token)

    monkeypatch.setattr(rows, "keep", away)
    await login().secret()
    await login().secret()
    assert shown(tokens) == ["refresh", "refresh-1"]


async def test_where_it_could_not_be_kept_the_process_goes_on_with_it(
    login: Login, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chittycan.store import mail_grants as rows

    def away(_connection: Connection, _grant: str, _token: str) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(rows, "keep", away)
    clock = FakeClock()
    one = login(clock=clock)
    for _ in range(3):
        await one.secret()
        clock.advance(4_000)
    assert shown(tokens) == ["refresh", "refresh-1", "refresh-2"]


async def test_nobody_waits_for_ever_for_one_who_is_getting_a_token(login: Login, database: Database) -> None:
    await login().secret()

    def name(connection: Connection) -> str:
        return str(connection.execute(select(mail_grants.c.grant)).scalar_one())

    claims = Claims(mail_grants, database, FakeClock())
    async with claims.held(await database.read(name)):
        with pytest.raises(Unavailable, match="getting a token for long"):
            await login().secret()
    assert await login().secret()


async def test_the_database_alone_is_no_way_in(login: Login, database: Database) -> None:
    """The tokens lie there sealed: with the configured one as the key, and unlike each time."""
    await login().secret()

    def row(connection: Connection) -> str:
        return str(connection.execute(select(mail_grants)).one())

    first = await database.read(row)
    await login().secret()
    assert "refresh" not in first + await database.read(row)


async def test_what_somebody_changed_in_the_database_is_not_shown_to_the_server(
    login: Login, tokens: TokenServer, database: Database
) -> None:
    await login().secret()

    def change(connection: Connection, token: str) -> None:
        connection.execute(update(mail_grants).values(token=token))

    for odd in ("", "refresh-9", "AAAA", "A" * 100):
        await database.run(change, odd)
        with pytest.raises(Unavailable):
            await login().secret()
    assert set(shown(tokens)) == {"refresh"}
