"""Plugin: servers of other people, as scripted by a test: `http_peer` answers requests, `mail_peer` takes mails."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

TLS = Path(__file__).resolve().parent / "data" / "tls"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HttpPeer = Callable[..., Awaitable["Peer"]]
MailPeer = Callable[..., Awaitable[int]]


class Peer:
    """A server that answers with what the test says, and remembers what it was asked."""

    def __init__(self, answers: Sequence[bytes | Behaviour]) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.requests.append(head + await reader.readexactly(length))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(reader, writer)
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
async def http_peer() -> AsyncIterator[HttpPeer]:
    servers: list[asyncio.Server] = []

    async def begin(*answers: bytes | Behaviour, tls: ssl.SSLContext | None = None) -> Peer:
        peer = Peer(answers or [OK])
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        peer.port = server.sockets[0].getsockname()[1]
        return peer

    yield begin
    for server in servers:
        server.close()
        await server.wait_closed()


class Inbox:
    """Takes mails, or does what a test says instead, at the moment that the test names."""

    def __init__(self, **actions: Any) -> None:
        self.received: list[Envelope] = []
        self.actions = actions

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return str(self.actions.get("rcpt", {}).get(address, "250 OK"))

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.received.append(envelope)
        if self.actions.get("drop"):
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        if "hang" in self.actions:
            await self.actions["hang"].wait()
        return str(self.actions.get("data", "250 queued as 7"))


@pytest.fixture
async def mail_peer() -> AsyncIterator[MailPeer]:
    servers: list[asyncio.Server] = []

    async def started(inbox: Inbox, *, over_tls: bool = False, smtp: type[SMTP] = SMTP, **options: Any) -> int:
        loop = asyncio.get_running_loop()
        tls = server_tls() if over_tls else None
        server = await loop.create_server(
            lambda: smtp(inbox, hostname="mail.example.com", loop=loop, **options), "127.0.0.1", 0, ssl=tls
        )
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield started
    for server in servers:
        server.close()


class Killer(Inbox):
    """Takes mails, and kills their sender with SIGKILL: recipient → `before` or `after` it was handed over."""

    def __init__(self, kills: Mapping[str, str]) -> None:
        super().__init__()
        self.sender: asyncio.subprocess.Process | None = None
        self.left = dict(kills)

    def strike(self, address: str, moment: str) -> None:
        if self.left.get(address) == moment and self.sender is not None:
            del self.left[address]
            self.sender.send_signal(signal.SIGKILL)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.strike(address, "before")
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.strike(envelope.rcpt_tos[0], "after")
        return await super().handle_DATA(server, session, envelope)


def server_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    return context


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "ca.pem"))
