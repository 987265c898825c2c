"""Plugin: IMAP servers. `dovecot` is a real one with a mailbox of the test's own; `liar` does what a test says."""

import asyncio
import grp
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chittycan.integrations.email.imap import Account, Connection, Limits
from token_server import TokenServer

CHECKOUT = Path(__file__).resolve().parents[1]
TLS = CHECKOUT / "tests" / "data" / "tls"
PASSWORD = "opensesame"
SENT, ARCHIVE = "Outgoing", "Past"  # folders of every mailbox: what they are for only their attributes say
READY_SECONDS = 20.0


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dovecot", CHECKOUT / "tools" / "dovecot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Dovecot:
    """A Dovecot on loopback ports; every user name with `PASSWORD` has a mailbox."""

    def __init__(self, base: Path, program: Path, libraries: str) -> None:
        self.base, self._program = base, program
        # It refuses to run as root.
        self._owner = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self._env = {"PATH": os.environ["PATH"]} | ({"LD_LIBRARY_PATH": libraries} if libraries else {})
        self.port, self.tls_port = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._config = base / "dovecot.conf"
        for name in ("server.pem", "server.key"):
            shutil.copy(TLS / name, base / name)
        self.tokens = TokenServer()
        (base / "oauth2.conf").write_text(
            f"introspection_url = {self.tokens.url}/?token=\nintrospection_mode = get\nusername_attribute = user\n"
            "active_attribute = active\nactive_value = true\n"
        )
        self._config.write_text(_configuration(base, self.port, self.tls_port, self._owner, unpacked=bool(libraries)))
        self._give(base / "run", base / "oauth2.conf", base / "server.pem", base / "server.key", self._config)

    @property
    def authority(self) -> Path:
        return TLS / "ca.pem"

    def start(self) -> None:
        command = [str(self._program), "-F", "-c", str(self._config)]
        self._process = self._run(command)
        _await_greeting(self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()
        self.tokens.close()

    def maildir(self, user: str, folder: str = "INBOX") -> Path:
        place = self.base / "mail" / user / "Maildir"
        return place if folder == "INBOX" else place / f".{folder}"

    def deliver(self, user: str, name: str, raw: bytes, folder: str = "INBOX") -> None:
        """As a mail server delivers into a Maildir: written elsewhere, then moved."""
        place = self.maildir(user, folder)
        for part in ("tmp", "new", "cur"):
            (place / part).mkdir(parents=True, exist_ok=True)
        (place / "tmp" / name).write_bytes(raw)
        self._give(place / "tmp" / name, *(place / part for part in ("tmp", "new", "cur")))
        (place / "tmp" / name).rename(place / "new" / name)

    def number_anew(self, user: str) -> None:
        """Forgets all UIDs; the new UIDVALIDITY is ours: Dovecot's own is the second, which may be the same."""
        self.kick(user)  # a session would write back what it knows
        place = self.maildir(user)
        head = (place / "dovecot-uidlist").read_text().splitlines()[0]
        anew = re.sub(r" V(\d+) N\d+", lambda found: f" V{int(found[1]) + 1000} N1", head)
        for each in place.glob("dovecot.index*"):
            each.unlink(missing_ok=True)
        (place / "tmp" / "uidlist").write_text(anew + "\n")
        self._give(place / "tmp" / "uidlist")
        (place / "tmp" / "uidlist").rename(place / "dovecot-uidlist")

    def flags(self, user: str) -> set[str]:
        """The flags that any mail of the inbox has."""
        names = [each.name for each in (self.maildir(user) / "cur").iterdir()]
        return {flag for name in names for flag in name.partition(":2,")[2]}

    def kick(self, user: str) -> None:
        """Ends every session of a user."""
        doveadm = self._program.parents[1] / "bin" / "doveadm"
        self._run([str(doveadm), "-c", str(self._config), "kick", user]).wait()

    def _run(self, command: list[str]) -> "subprocess.Popen[bytes]":
        switch: dict[str, Any] = {}
        if os.getuid() == 0:
            switch = {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}
        return subprocess.Popen(
            command, env=self._env, cwd=self.base, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **switch
        )

    def _give(self, *places: Path) -> None:
        """Files and the folders that they are in, to whom Dovecot runs as."""
        if os.getuid() == 0:
            for each in {every for place in places for every in (place, *place.parents)}:
                if each.is_relative_to(self.base):
                    os.chown(each, self._owner.pw_uid, self._owner.pw_gid)


def _await_greeting(port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
                if probe.recv(4) == b"* OK":
                    return
        except OSError:
            pass
        assert time.monotonic() < until, "Dovecot did not start"
        time.sleep(0.02)


def _configuration(base: Path, port: int, tls_port: int, owner: pwd.struct_passwd, *, unpacked: bool) -> str:
    user, group = owner.pw_name, grp.getgrgid(owner.pw_gid).gr_name
    return f"""
base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{base}/server.pem
ssl_key = <{base}/server.key
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {owner.pw_uid}
mail_gid = {owner.pw_gid}
mail_location = maildir:{base}/mail/%u/Maildir
mail_max_userip_connections = 200
mail_fsync = never
{"import_environment = TZ LD_LIBRARY_PATH" if unpacked else ""}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {base}/oauth2.conf
}}
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={base}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox {SENT} {{
    special_use = \\Sent
    auto = create
  }}
  mailbox {ARCHIVE} {{
    special_use = \\Archive
    auto = create
  }}
}}
auth_failure_delay = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  user = {user}
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service imap {{
  process_limit = 256
}}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def dovecot_server() -> Iterator[Dovecot]:
    """One for the whole run. Without one: a reason to skip, and where `CI` is set it is fetched."""
    tool = _tool()
    program = tool.found()
    if program is None and os.environ.get("CI"):
        try:
            program = tool.install()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.fail(f"no Dovecot, and it cannot be fetched: {error}. Fix: {tool.FIX}")
    if program is None:
        pytest.skip(f"no Dovecot on this machine: {tool.FIX}")
    found = dovecot_program()
    assert found is not None
    with running_dovecot(*found) as server:
        yield server


def dovecot_program() -> tuple[Path, str] | None:
    """The program, and the folders of its libraries where it is not the system's; None where there is none."""
    tool = _tool()
    program = tool.found()
    return None if program is None else (program, "" if program == tool.SYSTEM else tool.libraries())


@contextmanager
def running_dovecot(program: Path, libraries: str) -> Iterator[Dovecot]:
    # A socket's path holds about 100 characters: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="imap", ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        base.chmod(0o755)
        (base / "run").mkdir()
        server = Dovecot(base, program, libraries)
        server.start()
        try:
            yield server
        finally:
            server.close()


FETCH = re.compile(r"UID FETCH (\d+)(:\*)? \((.*)\)$")
SECTION = re.compile(r"BODY\.PEEK\[(HEADER|TEXT)\]<(\d+)\.(\d+)>")

# Answers a command (its tag and the rest) in its own way and gives True, or leaves it to the server.
Misbehaviour = Callable[["Session", str, str], Awaitable[bool]]


class Liar:
    """An IMAP server of which a test says what it keeps and how it misbehaves. `said` is all that clients asked."""

    def __init__(self) -> None:
        self.mails: dict[int, bytes] = {}
        self.validity, self.next_uid = "7", None
        self.capabilities = "IMAP4rev1 IDLE"
        self.greeting = "* OK ready"
        self.sizes: dict[int, int] = {}  # what it says instead of the true size
        self.misbehave: Misbehaviour | None = None
        self.said: list[str] = []
        self.sessions: list[Session] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        self.sessions.append(session)
        with suppress(OSError, asyncio.IncompleteReadError):
            await session.run()
        writer.close()


class Session:
    """One connection to the liar."""

    def __init__(self, liar: Liar, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.liar, self.reader, self.writer = liar, reader, writer
        self.idling = asyncio.Event()

    def say(self, *lines: str) -> None:
        for line in lines:
            self.writer.write(line.encode("latin-1") + b"\r\n")

    def leave(self) -> None:
        self.writer.transport.abort()

    async def run(self) -> None:
        self.say(self.liar.greeting)
        while line := (await self.reader.readline()).decode().strip():
            tag, _, command = line.partition(" ")
            self.liar.said.append(command)
            if self.liar.misbehave is not None and await self.liar.misbehave(self, tag, command):
                await self.writer.drain()
                continue
            await self._obey(tag, command)
            await self.writer.drain()

    async def _obey(self, tag: str, command: str) -> None:
        liar = self.liar
        word = command.split(maxsplit=1)[0].upper()
        if word == "CAPABILITY":
            self.say(f"* CAPABILITY {liar.capabilities}")
        elif word == "EXAMINE":
            next_uid = max(liar.mails, default=0) + 1 if liar.next_uid is None else liar.next_uid
            self.say(
                f"* {len(liar.mails)} EXISTS",
                f"* OK [UIDVALIDITY {liar.validity}] hello",
                f"* OK [UIDNEXT {next_uid}] .",
            )
        elif word == "IDLE":
            self.say("+ waiting")
            self.idling.set()
            assert (await self.reader.readline()).strip() in (b"DONE", b"")
            self.idling.clear()
        elif found := FETCH.match(command):
            self.fetch(int(found[1]), every=bool(found[2]), what=found[3])
        self.say(f"{tag} OK done")

    def fetch(self, uid: int, *, every: bool, what: str) -> None:
        mails = self.liar.mails
        wanted = [each for each in mails if each == uid or (every and (each >= uid or each == max(mails)))]
        for number, each in enumerate(wanted, 1):
            section = SECTION.search(what)
            if section is None:
                size = self.liar.sizes.get(each, len(mails[each]))
                self.say(f"* {number} FETCH (UID {each} RFC822.SIZE {size})")
            else:
                self.literal(number, each, section[1], self.part(each, section[1], int(section[2]), int(section[3])))

    def part(self, uid: int, section: str, start: int, size: int) -> bytes:
        head, blank, text = self.liar.mails[uid].partition(b"\r\n\r\n")
        return (head + blank if section == "HEADER" else text)[start : start + size]

    def literal(self, number: int, uid: int, section: str, content: bytes, claimed: int | None = None) -> None:
        size = len(content) if claimed is None else claimed
        self.writer.write(
            f"* {number} FETCH (UID {uid} BODY[{section}]<0> {{{size}}}\r\n".encode() + content + b")\r\n"
        )


@asynccontextmanager
async def connected(
    port: int, *, limits: Limits | None = None, secret: str = PASSWORD, tls: Any = None, **settings: Any
) -> AsyncGenerator[Connection]:
    plain: dict[str, Any] = {"host": "127.0.0.1", "security": "none", "user": "anna", "port": port}
    connection = Connection(Account(name="office", **(plain | settings)), limits or Limits())
    try:
        await connection.open(secret, tls)
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    server = Liar()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    yield server
    for session in server.sessions:
        session.leave()
    listener.close()
    await listener.wait_closed()
