"""Refresh tokens that a server handed out instead of the configured ones: in the database, for all who share it.

A server that gives a new refresh token may not take the old one again, and may revoke the grant where it is shown. So
one at a time asks with a grant, whatever process and machine it is in, and all go on with the newest token.

It is stored sealed with a key made of the configured refresh token: who has the database alone has no way into the
mailbox.
"""

import hashlib
import hmac
import logging
import secrets
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from chittycan.agents.claims import Claims
from chittycan.clock import Clock
from chittycan.errors import Unavailable
from chittycan.integrations.email.credentials import Grant
from chittycan.integrations.email.imap import AWAY
from chittycan.store import mail_grants as rows
from chittycan.store.database import Database

log = logging.getLogger(__name__)

WAIT_SECONDS, LONGEST_WAIT = 0.2, 120.0  # for another to get its token: between looks, and in all
KEEP_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds between tries to store what is known nowhere else
NONCE, TAG = 16, 32  # bytes


class RefreshTokens:
    """Of the configured grants: `Newer`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    @asynccontextmanager
    async def alone(self, grant: Grant) -> AsyncGenerator[None]:
        """Nobody else asks with the grant until the end of the block. Raises Unavailable."""
        claims, until = Claims(rows.mail_grants, self._database, self._clock), self._clock.monotonic() + LONGEST_WAIT
        while True:
            async with claims.held(_name(grant)) as other:
                if other is None:
                    yield
                    return
            if self._clock.monotonic() >= until:
                raise Unavailable(f"process {other.pid} on {other.host} has been getting a token for long", code=AWAY)
            await self._clock.sleep(WAIT_SECONDS)

    async def newest(self, grant: Grant) -> str | None:
        """None where the configured one is the newest. Raises Unavailable."""
        sealed = await self._database.read(rows.newest, _name(grant))
        return None if sealed is None else _opened(sealed, grant)

    async def keep(self, grant: Grant, token: str) -> bool:
        """Whether it will be found again."""
        sealed = _sealed(token, grant)
        for delay in (*KEEP_DELAYS, None):
            try:
                await self._database.run(rows.keep, _name(grant), sealed)
                return True
            except Unavailable as error:
                if delay is None:
                    log.warning("refresh_token_not_kept", extra={"fields": {"why": error.message}})
                    break
                await self._clock.sleep(delay)
        return False


def _name(grant: Grant) -> str:
    """Another configured token is another grant: the owner has signed in anew."""
    named = "\0".join((grant.token_url, grant.client_id, grant.refresh_token))
    return hashlib.sha256(named.encode()).hexdigest()


def _sealed(token: str, grant: Grant) -> str:
    """Encrypt, then authenticate: a keyed extendable output as the pad, used once, and HMAC over what comes of it."""
    nonce, written = secrets.token_bytes(NONCE), token.encode()
    hidden = bytes(a ^ b for a, b in zip(written, _pad(grant, nonce, len(written)), strict=True))
    return b64encode(nonce + _tag(grant, nonce + hidden) + hidden).decode()


def _opened(sealed: str, grant: Grant) -> str | None:
    """None for what was sealed with another key, or changed."""
    try:
        data = b64decode(sealed, validate=True)
    except ValueError:
        return None
    nonce, tag, hidden = data[:NONCE], data[NONCE : NONCE + TAG], data[NONCE + TAG :]
    if not hmac.compare_digest(tag, _tag(grant, nonce + hidden)):
        return None
    return bytes(a ^ b for a, b in zip(hidden, _pad(grant, nonce, len(hidden)), strict=True)).decode()


def _pad(grant: Grant, nonce: bytes, length: int) -> bytes:
    return hashlib.shake_256(_key(grant, b"pad") + nonce).digest(length)


def _tag(grant: Grant, data: bytes) -> bytes:
    return hmac.digest(_key(grant, b"tag"), data, "sha256")


def _key(grant: Grant, purpose: bytes) -> bytes:
    return hmac.digest(grant.refresh_token.encode(), b"chitty mail grant " + purpose, "sha256")
