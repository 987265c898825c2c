"""Sending one mail over SMTP, and knowing afterwards whether it was sent.

The server takes a mail over with its answer to the lone dot that ends DATA (RFC 5321, 4.1.1.4). Whatever fails
before that dot was certainly not sent; whatever is answered certainly was, or was refused; where the answer is
missing nobody knows, and whoever sends again may send twice.
"""

import asyncio
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Literal

from msgspec import Struct

from chittycan.errors import ConfigError, DeliveryUnknown, NotDelivered, Unavailable
from chittycan.integrations.email import sasl
from chittycan.integrations.email.compose import Mail, compose, message_id, sender
from chittycan.integrations.email.credentials import REVOKED, Credential

Security = Literal["tls", "starttls", "none"]
PORTS: dict[Security, int] = {"tls": 465, "starttls": 587, "none": 25}
# Who we say that we are: an address literal, as mail programs behind a router do. Our own name is nobody's business.
GREETING_NAME = "[127.0.0.1]"
AT_ONCE = 4  # mails under way


class Server(Struct, frozen=True, kw_only=True):
    """The `smtp` part of config.json, with the password itself. `allow`: whom mail goes to without a person's word."""

    host: str
    sender: str  # `from`
    port: int | None = None
    security: Security = "starttls"
    user: str | None = None
    password: str | None = None
    allow: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Server({self.host!r}, security={self.security!r})"


class Limits(Struct, frozen=True, kw_only=True):
    """Seconds: for any one answer of the server, and for the whole mail."""

    answer: float = 60.0
    total: float = 180.0


class Receipt(Struct, frozen=True):
    """A mail that the server has taken over: its Message-ID, and what the server said."""

    message_id: str
    answer: str


class Mailer:
    """Sends mails through one server, each on a connection of its own."""

    def __init__(
        self,
        server: Server,
        *,
        token: Credential | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`token`: gives what is shown at login instead of the password.

        Raises InvalidRequest for a `from` that is no address, ConfigError for a secret that would go in clear.
        """
        self.server = server
        self.token = token
        self._by = sender(server.sender)
        self._tls = tls
        self._limits = limits or Limits()
        # Threads of its own: on the loop's, a few slow mails would keep names of other servers from being looked up.
        self._threads = ThreadPoolExecutor(AT_ONCE, "chitty-smtp")
        if (server.password or token) and server.security == "none" and not _on_this_machine(server.host):
            raise ConfigError(
                f"the {'token' if token else 'password'} would cross the network unprotected",
                file="config.json",
                key="smtp.security",
                fix='Use "tls" or "starttls".',
            )

    async def send(self, mail: Mail, *, key: str, at: float) -> Receipt:
        """Hand a mail over to the server. `key` decides its Message-ID; `at` (Unix seconds) its date.

        All recipients or none. Raises InvalidRequest for a mail that cannot be, NotDelivered where the server did
        not take it, DeliveryUnknown where the connection was lost between the mail's last line and the answer.
        """
        id = message_id(key, self._by.domain)
        message = compose(mail, by=self._by, id=id, at=at)
        return Receipt(id, await self.hand_over(message, by=self._by.addr_spec, to=(*mail.to, *mail.cc)))

    async def hand_over(self, message: bytes, *, by: str, to: Sequence[str]) -> str:
        """Hand a composed message over; gives what the server said. `by` and `to`: bare addresses. Raises as `send`.

        Where the server refuses a token, a new one is tried once.
        """
        try:
            return await self._handed_over(message, by, to)
        except _TokenRefused:
            if self.token is None or not self.token.refused():
                raise
        return await self._handed_over(message, by, to)

    async def _handed_over(self, message: bytes, by: str, to: Sequence[str]) -> str:
        secret = self.server.password if self.token is None else await _shown(self.token)
        login = None if secret is None or not self.server.user else _Login(secret, token=self.token is not None)
        dialogue = _Dialogue(self.server, login, self._tls or ssl.create_default_context(), self._limits.answer)
        job = asyncio.get_running_loop().run_in_executor(self._threads, dialogue.run, by, to, message)
        job.add_done_callback(_retrieved)
        try:
            async with asyncio.timeout(self._limits.total):
                return await asyncio.shield(job)
        except TimeoutError:
            if dialogue.give_up():
                raise DeliveryUnknown(f"{self.server.host} took the mail and did not answer in time") from None
            raise NotDelivered(f"{self.server.host} did not take the mail in time") from None
        except asyncio.CancelledError:
            dialogue.give_up()
            raise

    def close(self) -> None:
        """No further mail; what is under way ends by itself."""
        self._threads.shutdown(wait=False)


class _TokenRefused(NotDelivered):
    """By the mail server: it may be too old, or not be for sending mail."""


class _Login(Struct, frozen=True):
    """A password, or a token."""

    secret: str
    token: bool

    def __repr__(self) -> str:
        return f"_Login(token={self.token})"


async def _shown(token: Credential) -> str:
    """Raises NotDelivered where there is none: nothing went out."""
    try:
        return await token.secret()
    except Unavailable as error:
        raise NotDelivered(error.message, temporary=error.code != REVOKED, fix=error.fix) from None


def _retrieved(job: "asyncio.Future[str]") -> None:
    # Nobody may be waiting any more; an exception that nobody looked at would be reported as lost.
    if not job.cancelled():
        job.exception()


def _on_this_machine(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


class _Dialogue:
    """One connection, from greeting to receipt, on a thread. `give_up` may be called from another."""

    def __init__(self, server: Server, login: _Login | None, tls: ssl.SSLContext, timeout: float) -> None:
        self._server, self._login, self._tls, self._timeout = server, login, tls, timeout
        self._lock = threading.Lock()
        self._given_up = self._handed_over = False
        self.smtp: smtplib.SMTP | None = None

    def give_up(self) -> bool:
        """End the connection; True where the mail had been handed over. If it had not, it never will be."""
        with self._lock:
            self._given_up = True
        sock = self.smtp and getattr(self.smtp, "sock", None)
        if sock:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return self._handed_over

    def run(self, by: str, to: Sequence[str], message: bytes) -> str:
        """What the server said when it took the mail over. Raises NotDelivered and DeliveryUnknown."""
        try:
            self._connect()
            self._say_who(by, to)
            return self._hand_over(message)
        except (OSError, ValueError) as error:  # smtplib's own errors are OSErrors
            if self._handed_over:
                raise DeliveryUnknown(f"{self._server.host} took the mail and gave no clear answer") from None
            raise _not_delivered(self._server.host, error, token=bool(self._login and self._login.token)) from None
        finally:
            if self.smtp is not None:
                self.smtp.close()

    def _connect(self) -> None:
        server = self._server
        if self._given_up:
            raise smtplib.SMTPServerDisconnected("given up")
        place = (server.host, server.port or PORTS[server.security], GREETING_NAME)
        smtp: smtplib.SMTP = (
            _OverTls(self, *place, timeout=self._timeout, context=self._tls)
            if server.security == "tls"
            else _Plain(self, *place, timeout=self._timeout)
        )
        smtp.ehlo_or_helo_if_needed()
        if server.security == "starttls":
            smtp.starttls(context=self._tls)
        if self._login is not None and server.user:
            smtp.ehlo_or_helo_if_needed()
            if self._login.token:
                self._show_token(smtp, server.user, self._login.secret)
            else:
                smtp.login(server.user, self._login.secret)

    def _show_token(self, smtp: smtplib.SMTP, user: str, token: str) -> None:
        way = sasl.mechanism(smtp.esmtp_features.get("auth", "").upper().split())
        if way is None:
            raise smtplib.SMTPNotSupportedError("it takes no token at login (XOAUTH2)")
        first = sasl.first_message(way, user=user, host=self._server.host, token=token)
        smtp.auth(way, lambda challenge=None: first if challenge is None else sasl.AFTER_REFUSAL[way])

    def _say_who(self, by: str, to: Sequence[str]) -> None:
        """Raises before anything is sent where the server refuses the sender or any recipient."""
        smtp = self._open()
        smtp.ehlo_or_helo_if_needed()
        _expect(250, smtp.mail(by))
        for each in to:
            _expect(25, smtp.rcpt(each))

    def _hand_over(self, message: bytes) -> str:
        smtp = self._open()
        _expect(354, smtp.docmd("DATA"))
        smtp.send(_dots_doubled(message))
        with self._lock:
            if self._given_up:
                raise smtplib.SMTPServerDisconnected("given up")
            self._handed_over = True
        smtp.send(b".\r\n")
        code, said = smtp.getreply()
        if 400 <= code < 600:
            self._handed_over = False  # it answered: the mail was refused, and that is certain
            raise smtplib.SMTPDataError(code, said)
        if not 200 <= code < 300:  # the first digit says yes or no (RFC 5321, 4.2.1)
            raise smtplib.SMTPServerDisconnected("no answer that means anything")
        with suppress(OSError):
            smtp.putcmd("QUIT")
        return f"{code} {_readable(said)}"

    def _open(self) -> smtplib.SMTP:
        if self.smtp is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        return self.smtp


class _Plain(smtplib.SMTP):
    """Makes itself known before it connects, so that a server that never greets can be left."""

    def __init__(self, dialogue: _Dialogue, *args: Any, **kwargs: Any) -> None:
        dialogue.smtp = self
        super().__init__(*args, **kwargs)


class _OverTls(smtplib.SMTP_SSL):
    def __init__(self, dialogue: _Dialogue, *args: Any, **kwargs: Any) -> None:
        dialogue.smtp = self
        super().__init__(*args, **kwargs)


def _expect(code: int, reply: tuple[int, bytes]) -> None:
    """`code` is a whole reply code or the beginning of one."""
    if not str(reply[0]).startswith(str(code)):
        raise smtplib.SMTPResponseException(*reply)


def _dots_doubled(message: bytes) -> bytes:
    """A dot at the beginning of a line stands for the end (RFC 5321, 4.5.2)."""
    whole = message if message.endswith(b"\r\n") else message + b"\r\n"
    doubled = whole.replace(b"\n.", b"\n..")
    return b"." + doubled if doubled.startswith(b".") else doubled


def _readable(said: bytes) -> str:
    return " ".join(said.decode("utf-8", "replace").split())[:200]


def _not_delivered(host: str, error: OSError | ValueError, *, token: bool) -> NotDelivered:
    match error:
        case smtplib.SMTPAuthenticationError() if token and error.smtp_code >= 500:
            fix = "May this token send mail as smtp.user? Look at the scope of its oauth, and sign in anew."
            return _TokenRefused(f"{host} refused the token: {error.smtp_code}", temporary=False, fix=fix)
        case smtplib.SMTPAuthenticationError():
            fix = "Check smtp.user and smtp.password in config.json."
            problem = f"{host} refused the login: {error.smtp_code}"
            return NotDelivered(problem, temporary=error.smtp_code < 500, fix=fix)
        case smtplib.SMTPResponseException():
            said = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
            problem = f"{host} refused the mail: {error.smtp_code} {_readable(said)}"
            return NotDelivered(problem, temporary=error.smtp_code < 500)
        case smtplib.SMTPNotSupportedError():
            fix = "Check smtp.security, smtp.user and the port in config.json."
            return NotDelivered(f"{host} does not offer what is asked of it: {error}", temporary=False, fix=fix)
        case ssl.SSLCertVerificationError():
            problem = f"{host} could not show that it is {host}: {error.verify_message}"
            return NotDelivered(problem, temporary=False, fix="Check smtp.host in config.json.")
        case UnicodeError():
            return NotDelivered("smtp.user or smtp.password holds characters that no login has", temporary=False)
        case ValueError():  # e.g. a challenge that is not base64
            return NotDelivered(f"{host} said something that makes no sense")
        case _:
            return NotDelivered(f"{host} could not be reached: {error.strerror or type(error).__name__}")
