"""What an account's server is shown at login: a password, or a token that is fetched with a refresh token.

Tokens: RFC 6749, 6 (refreshing). What Google and Microsoft call XOAUTH2 takes such a token, and so does OAUTHBEARER
(RFC 7628).
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Protocol
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from chittycan.clock import Clock
from chittycan.errors import DeliveryUnknown, NotDelivered, Unavailable
from chittycan.integrations.email.imap import AWAY, LIMITS, REFUSED, Account, Connection, Limits
from chittycan.integrations.outbound import Answer, Outbound

REVOKED = "mailbox_grant_revoked"  # the error's code: nobody gets in before a person signs in anew
EARLY = 60.0  # seconds before its end a token is not used any more
SHORTEST = 60.0  # seconds that one is used, whatever the server says
LONGEST_CODE = 40
LONGEST_FAREWELL = 10.0  # seconds that whoever stops waits for a token that is on its way


class Credential(Protocol):
    async def secret(self) -> str:
        """What to show now. Raises ChittyError."""
        ...

    def refused(self) -> bool:
        """The server did not take it; whether `secret` gives another one now."""
        ...


class Password:
    """Looked up for each login. Also a token that others renew."""

    def __init__(self, look_up: Callable[[], str]) -> None:
        self._look_up = look_up

    async def secret(self) -> str:
        return self._look_up()

    def refused(self) -> bool:
        return False


class Grant(Struct, frozen=True, kw_only=True):
    """What gets tokens. `refresh_token` is for this client alone."""

    token_url: str
    client_id: str
    refresh_token: str
    client_secret: str | None = None
    scope: str | None = None

    def __repr__(self) -> str:
        return f"Grant({self.token_url!r})"


class Newer(Protocol):
    """Where refresh tokens are kept that replaced the configured one of a grant, for all who use it."""

    def alone(self, grant: Grant) -> AbstractAsyncContextManager[None]:
        """As long as nobody else asks with the grant. Raises Unavailable."""
        ...

    async def newest(self, grant: Grant) -> str | None:
        """None where none did. Raises Unavailable."""
        ...

    async def keep(self, grant: Grant, token: str) -> bool:
        """Whether `newest` will give it."""
        ...


class _Given(Struct):
    access_token: str
    expires_in: float | str | None = None
    refresh_token: str | None = None


class OAuth:
    """Tokens of one login, each used until shortly before its end. `grant` is looked up for each login.

    `place` is its key in the configuration, such as `integrations.office`.

    A grant that was revoked is not asked for again before it is another one. Where the server gives a new refresh
    token with a token, that one is used from then on: by this object, and by all others with the same `newer`.
    """

    def __init__(
        self, place: str, grant: Callable[[], Grant], out: Outbound, clock: Clock, newer: Newer | None = None
    ) -> None:
        self._place, self._look_up, self._out, self._clock, self._kept = place, grant, out, clock, newer
        self._grant: Grant | None = None
        self._newer: str | None = None  # refresh token that could be kept nowhere else
        self._token, self._until = "", 0.0
        self._revoked: Unavailable | None = None
        self._refused = ""  # the refresh token for which it was

    async def secret(self) -> str:
        """Raises Unavailable (AWAY, REVOKED), ConfigError, and Forbidden for an address that nothing may go to."""
        grant = self._look_up()
        if grant != self._grant:
            self._grant, self._newer, self._token, self._until, self._revoked = grant, None, "", 0.0, None
        if self._revoked is not None and await self._newest(grant) == self._refused:
            raise self._revoked
        if self._clock.now() >= self._until:
            await self._fetch(grant)
        return self._token

    def refused(self) -> bool:
        """A token may be refused before its end; one that is new is not refused for its age."""
        had, self._until = self._token, 0.0
        self._token = ""
        return bool(had)

    async def _fetch(self, grant: Grant) -> None:
        """Whoever waits may go, but what was begun is ended: a token that came and was not kept is lost to all."""
        fetching = asyncio.ensure_future(self._exchange(grant))
        fetching.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting any more
        try:
            await asyncio.shield(fetching)
        except asyncio.CancelledError:
            await asyncio.wait((fetching,), timeout=LONGEST_FAREWELL)
            raise

    async def _exchange(self, grant: Grant) -> None:
        """One refresh token for an access token, and for the next refresh token where the server gives one."""
        async with nullcontext() if self._kept is None else self._kept.alone(grant):
            used = await self._newest(grant)
            answer = await self._ask(grant, used)
            if not answer.ok:
                self._refused = used
                raise self._problem(answer)
            self._revoked = None
            try:
                given = msgspec.json.decode(answer.body, type=_Given)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                raise Unavailable("no token: the answer of the token's server makes no sense", code=AWAY) from None
            if given.refresh_token and given.refresh_token != used:
                self._newer = given.refresh_token
                if self._kept is not None and await self._kept.keep(grant, given.refresh_token):
                    self._newer = None
            self._token = given.access_token
            self._until = self._clock.now() + max(SHORTEST, _seconds(given.expires_in) - EARLY)

    async def _newest(self, grant: Grant) -> str:
        kept = None if self._kept is None else await self._kept.newest(grant)
        return self._newer or kept or grant.refresh_token

    async def _ask(self, grant: Grant, refresh_token: str) -> Answer:
        """Raises Unavailable (AWAY), Forbidden."""
        fields = {
            "grant_type": "refresh_token", "refresh_token": refresh_token,
            "client_id": grant.client_id, "client_secret": grant.client_secret, "scope": grant.scope,
        }  # fmt: skip
        body = urlencode({name: value for name, value in fields.items() if value is not None}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        try:
            return await self._out.send("POST", grant.token_url, headers=headers, body=body)
        except (NotDelivered, DeliveryUnknown) as error:
            raise Unavailable(f"no token: {error.message}", code=AWAY) from None

    def _problem(self, answer: Answer) -> Unavailable:
        said = ""
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
            said = str(msgspec.json.decode(answer.body).get("error", ""))
        said = "".join(each for each in said if each.isalnum() or each in "_-")[:LONGEST_CODE]
        what = f"no token: the token's server answered {answer.status} {said}".rstrip()
        key = f"{self._place}.oauth"
        if answer.status >= 500 or answer.status in (408, 429):
            return Unavailable(what, code=AWAY)
        fix = f"Sign in anew and set {key}.refreshToken; or check clientId, clientSecret and scope there."
        self._revoked = Unavailable(what, fix=fix, code=REVOKED)
        return self._revoked


def _seconds(told: float | str | None) -> float:
    """A token's life; an hour, where the server does not say."""
    try:
        return min(float(3_600.0 if told is None else told), 86_400.0)
    except ValueError:
        return 3_600.0


async def log_in(
    account: Account, credential: Credential, limits: Limits = LIMITS, tls: ssl.SSLContext | None = None
) -> Connection:
    """A session that is open. Where a token is refused, a new one is tried once. Raises ChittyError."""
    try:
        return await _opened(account, await credential.secret(), limits, tls)
    except Unavailable as error:
        if error.code != REFUSED or not credential.refused():
            raise
    return await _opened(account, await credential.secret(), limits, tls)


async def _opened(account: Account, secret: str, limits: Limits, tls: ssl.SSLContext | None) -> Connection:
    connection = Connection(account, limits)
    await connection.open(secret, tls)
    return connection
