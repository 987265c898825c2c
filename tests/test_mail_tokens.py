"""Refresh tokens that a server replaced: the newest is found by all who log in with the grant, and by nobody else."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chittycan.errors import Unavailable
from chittycan.integrations.email.credentials import Grant, OAuth
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList
from chittycan.mail_tokens import FOLDER, RefreshTokens
from chittycan.testing.clock import FakeClock
from token_server import TokenServer

Login = Callable[..., OAuth]


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    server.users["refresh"] = "anna"
    server.rotates = True
    yield server
    server.close()


@pytest.fixture
def login(tokens: TokenServer, tmp_path: Path) -> Login:
    """Somebody who logs in with the configured refresh token, and knows of nobody else."""

    def made(configured: str = "refresh", clock: FakeClock | None = None) -> OAuth:
        grant = Grant(token_url=f"{tokens.url}/token", client_id="client", refresh_token=configured)
        out = Outbound(AllowList([tokens.url]))
        return OAuth("integrations.office", lambda: grant, out, clock or FakeClock(), RefreshTokens(tmp_path))

    return made


async def test_reading_and_sending_do_not_cut_each_other_off(login: Login) -> None:
    clock = FakeClock()
    reading, sending = login(clock=clock), login(clock=clock)
    for _ in range(3):
        assert await reading.secret() != await sending.secret()
        clock.advance(4_000)


async def test_a_restart_goes_on_with_the_newest(login: Login, tokens: TokenServer) -> None:
    for _ in range(3):
        await login().secret()
    assert [each["refresh_token"] for each in tokens.asked] == ["refresh", "refresh-1", "refresh-2"]


async def test_who_signed_in_anew_is_not_held_to_what_was_before(login: Login, tokens: TokenServer) -> None:
    await login().secret()
    tokens.users = {"signed in anew": "anna"}
    with pytest.raises(Unavailable, match="invalid_grant"):
        await login().secret()
    assert await login("signed in anew").secret()


async def test_what_another_got_at_the_same_moment_is_tried(
    login: Login, tokens: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked for the newest, and somebody else was sooner."""
    newest, looks = RefreshTokens.newest, []

    def late(self: RefreshTokens, grant: Grant) -> str | None:
        looks.append(grant)
        return None if len(looks) == 1 else newest(self, grant)

    await login().secret()
    monkeypatch.setattr(RefreshTokens, "newest", late)
    await login().secret()
    assert [each["refresh_token"] for each in tokens.asked] == ["refresh", "refresh", "refresh-1"]


async def test_what_another_keeps_a_moment_later_is_tried_at_the_next_login(
    login: Login, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = login()
    with monkeypatch.context() as before:
        await login().secret()
        before.setattr(RefreshTokens, "newest", lambda *_: None)
        for _ in range(2):
            with pytest.raises(Unavailable, match="invalid_grant"):
                await late.secret()
    assert len(tokens.asked) == 2
    assert await late.secret()


async def test_only_the_owner_reads_them(login: Login, tmp_path: Path) -> None:
    await login().secret()
    (file,) = (tmp_path / FOLDER).iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "refresh" not in file.name


async def test_what_others_may_have_written_is_not_used(login: Login, tokens: TokenServer, tmp_path: Path) -> None:
    await login().secret()
    (file,) = (tmp_path / FOLDER).iterdir()
    file.chmod(0o666)
    with pytest.raises(Unavailable, match="invalid_grant"):
        await login().secret()
    assert tokens.asked[-1]["refresh_token"] == "refresh"


async def test_where_nothing_can_be_kept_it_works_as_long_as_the_program(
    login: Login, tokens: TokenServer, tmp_path: Path
) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    clock = FakeClock()
    one = login(clock=clock)
    for _ in range(3):
        await one.secret()
        clock.advance(4_000)
    assert [each["refresh_token"] for each in tokens.asked] == ["refresh", "refresh-1", "refresh-2"]
