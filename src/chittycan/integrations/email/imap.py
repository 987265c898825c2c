"""A connection to an IMAP server (RFC 3501; IDLE: RFC 2177; XOAUTH2: Google's and Microsoft's docs).

Mail is read from folders opened with EXAMINE, by BODY.PEEK: reading cannot change a mailbox. What does is in
`imap_change` and `imap_sent`, and nowhere else. Each command has one deadline from its first byte to the last of its
answer, and nothing that a server says may grow without limit.
"""

import asyncio
import base64
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from ipaddress import ip_address
from typing import Literal

from msgspec import Struct

from chittycan.errors import ConfigError, Unavailable
from chittycan.integrations.email import imap_wire as wire
from chittycan.integrations.email import sasl
from chittycan.integrations.email.imap_wire import Continue, Data, Garbled, Note, Response, Status

Security = Literal["tls", "starttls", "none"]
Auth = Literal["password", "xoauth2"]
PORTS: dict[Security, int] = {"tls": 993, "starttls": 143, "none": 143}

AWAY = "mailbox_away"  # the error's code: the connection failed, or what came over it made no sense
REFUSED = "mailbox_login_refused"  # trying again changes nothing before the owner does
NO_FOLDER = "mailbox_no_folder"
NO_MAIL = "mailbox_no_mail"  # this one mail is not given out
NOT_DONE = "mailbox_change_refused"  # the server did not change what it was asked to

READ = 16 * 1024  # bytes at once; others are let through in between
MOST_LISTED = 1_000  # mails at once
HIGHEST_UID = 2**32 - 1
# A server may leave who says nothing for half an hour; asked anew every 29 minutes at the latest (RFC 2177).
LONGEST_IDLE = 28 * 60.0


class Account(Struct, frozen=True, kw_only=True):
    """One account as the owner set it up. The secret is no part of it: it is looked up for each login.

    Raises ConfigError where a password would cross the network in clear.
    """

    name: str
    host: str
    user: str
    port: int | None = None
    security: Security = "tls"
    auth: Auth = "password"
    folders: tuple[str, ...] = ("INBOX",)
    ca_file: str | None = None
    insecure: bool = False  # in clear although the server is not on this machine
    private: bool = False  # only models marked private may see its mail
    allow: tuple[str, ...] = ()  # what may be done to its mails without a person's word: `mail_actions.Verb`
    poll: float = 120.0  # seconds between looks, also where the server promises to tell
    alarm: float = 900.0  # seconds without a look that succeeded, after which something is wrong

    def __post_init__(self) -> None:
        if self.security == "none" and not self.insecure and not on_this_machine(self.host):
            raise ConfigError(
                "the password and all mail would cross the network unprotected",
                file="config.json",
                key=f"integrations.{self.name}.security",
                fix='Use "tls" or "starttls"; "insecure": true if you know that network to be safe.',
            )

    @property
    def source(self) -> str:
        """How mails say where they came from."""
        return f"imap:{self.name}"


class Limits(Struct, frozen=True, kw_only=True):
    """Seconds: to connect and log in, and for any one command with all of its answer."""

    connect: float = 30.0
    command: float = 60.0


class Selected(Struct, frozen=True):
    """A folder as the server describes it. Where it gives no `validity` (0), its UIDs mean nothing tomorrow.

    `flags`: those that last, in lower case, with "\\*" where new ones may be made up.
    """

    validity: int
    next_uid: int | None
    exists: int
    writable: bool = False
    flags: frozenset[str] = frozenset()


class Listed(Struct, frozen=True):
    """A mail of which only this is known; the server's word for its `size` in bytes may be wrong."""

    uid: int
    size: int


LIMITS = Limits()


class Connection:
    """One session. After any error but that of `examine` for a missing folder it is of no use any more."""

    def __init__(self, account: Account, limits: Limits = LIMITS) -> None:
        self.account, self._limits = account, limits
        self._wire = wire.Reader()
        self._count = 0
        self._validity: int | None = None
        self._news = False  # of new mail, since it was last listed
        self.capabilities: frozenset[str] = frozenset()

    @property
    def can_idle(self) -> bool:
        return "IDLE" in self.capabilities

    async def open(self, secret: str, tls: ssl.SSLContext | None = None) -> None:
        """Connects and logs in with a password or a token. Raises Unavailable (AWAY, REFUSED), and is closed then."""
        try:
            async with asyncio.timeout(self._limits.connect):
                await self._connect(tls)
                await self._log_in(secret)
        except TimeoutError:
            await self.close()
            raise self._away("did not answer in time") from None
        except ssl.SSLCertVerificationError as error:
            await self.close()
            problem = f"could not show that it is {self.account.host}: {error.verify_message}"
            fix = "Check the host's name; for a server with a certificate of your own: caFile."
            raise self._away(problem, fix) from None
        except OSError as error:
            await self.close()
            raise self._away(f"could not be reached: {error.strerror or type(error).__name__}") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Leaves without waiting."""
        writer = getattr(self, "_writer", None)
        if writer is not None:
            with suppress(OSError):
                writer.transport.abort()

    async def examine(self, folder: str) -> Selected:
        """Opens a folder for reading. Raises Unavailable (AWAY, NO_FOLDER)."""
        return await self._open(b"EXAMINE ", folder)

    async def select(self, folder: str) -> Selected:
        """Opens a folder for changes; `writable` says whether they are possible. Raises Unavailable as `examine`."""
        return await self._open(b"SELECT ", folder)

    async def _open(self, verb: bytes, folder: str) -> Selected:
        found: dict[str, int] = {}
        flags: set[str] = set()

        def note(response: Response) -> None:
            if isinstance(response, Data) and response.name == "EXISTS" and response.number is not None:
                found["exists"] = response.number
            elif isinstance(response, Status) and response.code in ("UIDVALIDITY", "UIDNEXT"):
                found[response.code] = wire.number(response.value) or 0
            elif isinstance(response, Status) and response.code == "PERMANENTFLAGS":
                flags.update(response.value.strip("()").lower().split())

        self._validity = None
        answer = await self.command(verb + folder_argument(folder), note)
        if answer.state != "OK":
            fix = f"integrations.{self.account.name}.folders in config.json names it."
            problem = f"{self.account.host} opens no folder {folder!r}: {answer.text}"
            raise Unavailable(problem, fix=fix, code=NO_FOLDER)
        self._validity, self._news = found.get("UIDVALIDITY", 0), False
        writable = verb == b"SELECT " and answer.code != "READ-ONLY"
        next_uid = found.get("UIDNEXT") or None
        return Selected(self._validity, next_uid, found.get("exists", 0), writable, frozenset(flags))

    async def unseen(self, after: int, seen: Collection[int]) -> list[Listed]:
        """The mails beyond the UID `after` that are not in `seen`: those with the lowest UIDs, at most MOST_LISTED."""
        found: dict[int, int] = {}

        def note(response: Response) -> None:
            if not isinstance(response, Data) or response.name != "FETCH":
                return
            told = wire.fetched(response)
            uid = wire.number(told.get("UID"))
            # "9:*" always gives the last mail, even where its UID is 7.
            if uid is None or not after < uid <= HIGHEST_UID or uid in seen:
                return
            found[uid] = wire.number(told.get("RFC822.SIZE")) or 0
            if len(found) > 2 * MOST_LISTED:
                for excess in sorted(found)[MOST_LISTED:]:
                    del found[excess]

        self._news = False
        answer = await self.command(f"UID FETCH {after + 1}:* (UID RFC822.SIZE)".encode(), note)
        if answer.state != "OK":
            raise self._away(f"gives no list: {answer.text}")
        return [Listed(uid, found[uid]) for uid in sorted(found)[:MOST_LISTED]]

    async def part(self, uid: int, section: Literal["HEADER", "TEXT"], start: int, size: int) -> bytes | None:
        """At most `size` bytes of a mail's header or text from `start` on; None where the mail is gone.

        Fewer bytes mean the end, or a server that gives less than it has. Raises Unavailable (AWAY, NO_MAIL).
        """
        found: list[bytes] = []

        def note(response: Response) -> None:
            if not isinstance(response, Data) or response.name != "FETCH":
                return
            told = wire.fetched(response)
            if wire.number(told.get("UID")) == uid and f"BODY[{section}]" in told:
                given = told[f"BODY[{section}]"]
                found.append(given if isinstance(given, bytes) else b"")

        command = f"UID FETCH {uid} (UID BODY.PEEK[{section}]<{start}.{size}>)"
        answer = await self.command(command.encode(), note)
        if not found:
            if answer.state == "OK" or answer.code == "EXPUNGEISSUED":
                return None
            raise Unavailable(f"{self.account.host} does not give mail {uid} out: {answer.text}", code=NO_MAIL)
        if len(found[0]) > size:
            raise self._away("sent more than it was asked for")
        return found[0]

    async def told(self, uid: int, item: Literal["RFC822.SIZE", "FLAGS"]) -> wire.Word:
        """What the server says of a mail in the open folder; None where the mail is gone. Raises Unavailable (AWAY)."""
        found: list[wire.Word] = []

        def note(response: Response) -> None:
            if isinstance(response, Data) and response.name == "FETCH":
                told = wire.fetched(response)
                if wire.number(told.get("UID")) == uid and item in told:
                    found.append(told[item])

        await self.command(f"UID FETCH {uid} (UID {item})".encode(), note)
        return found[-1] if found else None

    async def idle(self, seconds: float) -> bool:
        """Waits for new mail at most so long; True where there is some. Does not wait where the server cannot idle."""
        if self._news:
            return True
        tag = await self._send(b"IDLE")
        answer = await self._until(lambda response: isinstance(response, Continue) or _answers(response, tag))
        if isinstance(answer, Status):  # it promised, and does not
            self.capabilities -= {"IDLE"}
            return False
        try:
            async with asyncio.timeout(0 if self._news else min(seconds, LONGEST_IDLE)):
                response = await self._receive_until(lambda each: _is_news(each) or _answers(each, tag))
                if isinstance(response, Status):
                    return self._news  # it ended the waiting by itself
        except TimeoutError:
            pass
        await self._write(b"DONE\r\n")
        await self._until(lambda response: _answers(response, tag))
        return self._news

    # the beginning of a session

    async def _connect(self, tls: ssl.SSLContext | None) -> None:
        account = self.account
        if tls is None and account.security != "none":
            tls = await asyncio.to_thread(self._context)
        port = account.port or PORTS[account.security]
        over = {"ssl": tls, "server_hostname": account.host} if account.security == "tls" else {}
        self._reader, self._writer = await asyncio.open_connection(account.host, port, **over)  # type: ignore[arg-type]
        greeting = await self._until(lambda response: isinstance(response, Status))
        assert isinstance(greeting, Status)
        self._learn(greeting)
        if account.security == "starttls":
            # Whoever is between us and the server could say that we are logged in already, and no TLS would follow.
            if greeting.state != "OK":
                raise self._away("does not begin with TLS")
            await self._start_tls(tls)
        if not self.capabilities:
            await self._ask_capabilities()

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.account.ca_file)
        except (OSError, ssl.SSLError) as error:
            place = f"integrations.{self.account.name}.caFile"
            raise ConfigError(f"cannot be read: {error.strerror}", file="config.json", key=place) from None

    async def _start_tls(self, tls: ssl.SSLContext | None) -> None:
        assert tls is not None
        answer = await self.command(b"STARTTLS")
        if answer.state != "OK" or len(self._wire):
            raise self._away(f"offers no TLS: {answer.text}", 'Use "tls" and its port, mostly 993.')
        # What came in clear after its answer is dropped with the old reader: it may be anybody's.
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(self._writer.transport, protocol, tls, server_hostname=self.account.host)
        assert transport is not None
        protocol.connection_made(transport)
        self._in_clear = self._writer  # a writer that nobody holds closes its connection
        self._reader, self._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)
        self._wire, self.capabilities = wire.Reader(), frozenset()

    async def _log_in(self, secret: str) -> None:
        account = self.account
        if account.auth == "xoauth2":
            offered = {each.removeprefix("AUTH=") for each in self.capabilities if each.startswith("AUTH=")}
            way = sasl.mechanism(offered) or "XOAUTH2"
            said = sasl.first_message(way, user=account.user, host=account.host, token=secret)
            after = base64.b64encode(sasl.AFTER_REFUSAL[way].encode()) + b"\r\n"
            answer = await self._authenticate(way.encode(), said, after)
        elif "AUTH=PLAIN" in self.capabilities:
            answer = await self._authenticate(b"PLAIN", f"\0{account.user}\0{secret}")
        elif "LOGINDISABLED" in self.capabilities:
            raise self._refused("takes no password on this connection")
        else:
            try:
                words = wire.quoted(account.user), wire.quoted(secret)
            except ValueError:
                raise self._refused("takes only ASCII names and passwords") from None
            answer = await self.command(b"LOGIN " + b" ".join(words))
        if answer.state != "OK":
            # Some say so when they are only busy.
            if answer.code in ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"):
                raise self._away(f"does not log us in now: {answer.text}")
            raise self._refused(f"refused the login: {answer.text}")
        self.capabilities = frozenset()
        self._learn(answer)
        if not self.capabilities:
            await self._ask_capabilities()

    async def _authenticate(self, mechanism: bytes, said: str, after: bytes = b"\r\n") -> Status:
        tag = await self._send(b"AUTHENTICATE " + mechanism)
        lines = [base64.b64encode(said.encode()) + b"\r\n"]
        while True:
            answer = await self._until(lambda response: isinstance(response, Continue) or _answers(response, tag))
            if isinstance(answer, Status):
                return answer
            # After our words it may explain, in an error of its own, and wait for a line that says nothing.
            await self._write(lines.pop() if lines else after)

    async def _ask_capabilities(self) -> None:
        await self.command(b"CAPABILITY", self._learn)

    def _learn(self, response: Response) -> None:
        if isinstance(response, Data) and response.name == "CAPABILITY":
            self.capabilities = frozenset(word.upper() for word in response.words if isinstance(word, str))
        elif isinstance(response, Status) and response.code == "CAPABILITY":
            self.capabilities = frozenset(response.value.upper().split())

    # commands and answers

    async def command(self, line: bytes, note: Note | None = None) -> Status:
        """The answer to a command; `note` gets what comes before it. Raises Unavailable (AWAY)."""
        return await self._answer(await self._send(line), note)

    async def command_with(self, line: bytes, literal: bytes, note: Note | None = None) -> Status:
        """A command that ends with `literal`. Raises Unavailable (AWAY).

        What is large is sent when the server agreed to it (RFC 7888 lets less than 4 KiB go at once).
        """
        at_once = len(literal) <= 4_096 and not self.capabilities.isdisjoint({"LITERAL+", "LITERAL-"})
        tag = await self._send(line + b" {%d%s}" % (len(literal), b"+" if at_once else b""))
        if not at_once:
            answer = await self._until(lambda response: isinstance(response, Continue) or _answers(response, tag), note)
            if isinstance(answer, Status):
                return answer
        for start in range(0, len(literal), READ):
            await self._write(literal[start : start + READ])
        await self._write(b"\r\n")
        return await self._answer(tag, note)

    async def _answer(self, tag: str, note: Note | None) -> Status:
        answer = await self._until(lambda response: _answers(response, tag), note)
        assert isinstance(answer, Status)
        return answer

    async def _send(self, line: bytes) -> str:
        self._count += 1
        tag = f"a{self._count}"
        await self._write(tag.encode() + b" " + line + b"\r\n")
        return tag

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._limits.command):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError:
            raise self._away("takes nothing any more") from None
        except OSError as error:
            raise self._away(f"is gone: {error.strerror or type(error).__name__}") from None

    async def _until(self, wanted: Callable[[Response], bool], note: Note | None = None) -> Response:
        try:
            async with asyncio.timeout(self._limits.command):
                return await self._receive_until(wanted, note)
        except TimeoutError:
            raise self._away("did not answer in time") from None

    async def _receive_until(self, wanted: Callable[[Response], bool], note: Note | None = None) -> Response:
        try:
            while True:
                response = await self._receive()
                self._check(response)
                self._news = self._news or _is_news(response)
                if wanted(response):
                    return response
                if note is not None:
                    note(response)
        except Garbled as error:
            raise self._away(f"sends what makes no sense: {error}") from None

    async def _receive(self) -> Response:
        while (response := self._wire.next()) is None:
            try:
                data = await self._reader.read(READ)
            except OSError as error:
                raise self._away(f"is gone: {error.strerror or type(error).__name__}") from None
            if not data:
                raise self._away("closed the connection")
            self._wire.feed(data)
            await asyncio.sleep(0)
        return response

    def _check(self, response: Response) -> None:
        if isinstance(response, Status) and response.tag == "*":
            if response.state == "BYE":
                raise self._away(f"said goodbye: {response.text}")
            changed = response.code == "UIDVALIDITY" and wire.number(response.value) != self._validity
            if self._validity is not None and changed:
                raise self._away("has numbered its mails anew")

    def _away(self, problem: str, fix: str | None = None) -> Unavailable:
        return Unavailable(f"{self.account.host} {problem}".rstrip(": "), fix=fix, code=AWAY)

    def _refused(self, problem: str) -> Unavailable:
        name = self.account.name
        fix = f"Check integrations.{name}.user and .password in config.json; many servers want an app password."
        return Unavailable(f"{self.account.host} {problem}".rstrip(": "), fix=fix, code=REFUSED)


def on_this_machine(host: str) -> bool:
    """Whether what is said to this host never leaves the machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def folder_argument(name: str) -> bytes:
    """A folder's name in a command. Raises Unavailable (NO_FOLDER)."""
    try:
        return wire.folder_name(name)
    except ValueError:
        raise Unavailable(f"no folder can be called {name!r}", code=NO_FOLDER) from None


def _answers(response: Response, tag: str) -> bool:
    return isinstance(response, Status) and response.tag == tag


def _is_news(response: Response) -> bool:
    return isinstance(response, Data) and response.name in ("EXISTS", "RECENT")
