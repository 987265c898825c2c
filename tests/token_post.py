"""A mail server that takes mail from whoever has a token of a `TokenServer`."""

import base64
import re
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Session

from peers import Inbox
from token_server import TokenServer


class Post(Inbox):
    """Takes mail from whoever has a token of `tokens` that it says is the user's."""

    def __init__(self, tokens: TokenServer, **more: Any) -> None:
        super().__init__(**more)
        self.tokens, self.shown = tokens, []  # type: tuple[TokenServer, list[str]]

    def authenticate(self, _server: SMTP, session: Session, _envelope: Any, _mechanism: str, said: bytes) -> AuthResult:
        found = re.fullmatch(
            rb"(?:user=|n,a=)([^\x01,]+)(?:,\x01host=localhost)?\x01auth=Bearer ([^\x01]+)\x01\x01", said
        )
        assert found
        user, token = found[1].decode(), found[2].decode()
        self.shown.append(token)
        return AuthResult(success=self.tokens.tokens.get(token) == user, handled=False)


class Tokens(SMTP):
    """A server that takes XOAUTH2, says why it refuses a token, and waits for an empty line (as Google's does)."""

    async def auth_XOAUTH2(self, _: SMTP, args: list[str]) -> AuthResult:
        said = base64.b64decode(args[1])
        result: AuthResult = self._authenticate("XOAUTH2", said)
        if not result.success:
            answer = await self.challenge_auth(b'{"status":"400","schemes":"bearer"}')
            assert answer == b""
        return result


class BearerTokens(SMTP):
    """As RFC 7628 has it: what follows a refusal is one byte."""

    async def auth_OAUTHBEARER(self, _: SMTP, args: list[str]) -> AuthResult:
        result: AuthResult = self._authenticate("OAUTHBEARER", base64.b64decode(args[1]))
        if not result.success:
            assert await self.challenge_auth(b'{"status":"invalid_token"}') == b"\1"
        return result
