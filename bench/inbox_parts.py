"""What can go wrong around an inbox, made to order: a line to the IMAP server, and a server that takes mail."""

import asyncio
import email
import random
import re
from collections import Counter
from typing import Literal, Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from bench.crew import SmtpServer

SIZE = re.compile(rb"RFC822\.SIZE (\d+)")
LITERAL = re.compile(rb"\{(\d+)\}\r\n")
STALL = 4.0  # seconds

LineMood = Literal["plain", "slow", "wrong sizes"]
PostMood = Literal["plain", "slow", "breaks off"]


class Line:
    """A line to a server on a loopback port, which can be cut, is slow, or lies about sizes."""

    def __init__(self, port: int, dice: random.Random, mood: LineMood = "plain") -> None:
        self._far, self._dice, self.mood = port, dice, mood
        self.port = 0
        self.lies = self.cuts = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Every connection breaks off, whatever is under way."""
        self.cuts += bool(self._open)
        for each in self._open:
            each.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._open |= both
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, answers=False), self._pump(far_reader, writer, answers=True)
            )
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while data := await source.read(65536):
                if self.mood == "slow":
                    await asyncio.sleep(STALL if self._dice.random() < 0.01 else self._dice.uniform(0, 0.05))
                to.write(self._lied(data) if answers and self.mood == "wrong sizes" else data)
                await to.drain()
        except OSError:
            pass
        finally:
            to.close()

    def _lied(self, data: bytes) -> bytes:
        """A third of the sizes of mails are wrong, and one in 300 counts of bytes: that breaks the protocol."""
        dice = self._dice

        def size(found: re.Match[bytes]) -> bytes:
            if dice.random() > 0.33:
                return found[0]
            self.lies += 1
            true = int(found[1])
            return b"RFC822.SIZE %d" % dice.choice((0, 1, true // 2, true + 1, true * 1000, 4_000_000_000))

        def literal(found: re.Match[bytes]) -> bytes:
            if dice.random() > 0.003:
                return found[0]
            self.lies += 1
            return b"{%d}\r\n" % max(0, int(found[1]) + dice.choice((-7, 5, 90)))

        return LITERAL.sub(literal, SIZE.sub(size, data))


class Post(SmtpServer):
    """Takes mails, and counts those whose text it got, by Message-ID and by recipient.

    When it `breaks off`: of ten mails it takes two and hangs up without a word, refuses one for now, and hangs up on
    one before its text.
    """

    def __init__(self, dice: random.Random, mood: PostMood = "plain") -> None:
        super().__init__()
        self._dice, self.mood = dice, mood
        self.by_id: Counter[str] = Counter()
        self.by_recipient: Counter[str] = Counter()
        self.broke_off = 0

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        await self._pause()
        if self.mood == "breaks off" and self._dice.random() < 0.1:
            self._hang_up(server)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        chance = self._dice.random() if self.mood == "breaks off" else 1.0
        if chance < 0.1:
            return "451 later"
        message = email.message_from_bytes(envelope.original_content or b"")
        self.by_id[str(message["Message-ID"])] += 1
        self.by_recipient[envelope.rcpt_tos[0]] += 1
        await self._pause()
        if chance < 0.3:
            self._hang_up(server)
        return "250 queued"

    async def _pause(self) -> None:
        if self.mood == "slow":
            await asyncio.sleep(self._dice.uniform(0, 0.5))

    def _hang_up(self, server: SMTP) -> None:
        self.broke_off += 1
        assert isinstance(server.transport, asyncio.Transport)
        server.transport.abort()
