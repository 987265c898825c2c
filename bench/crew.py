"""What a crash test is made of: real servers and workers that can be killed, a slow provider, a mail server, an audit.

Each process has a credential of its own for the provider, so that the provider knows whose call it is that is cut off
when somebody is killed.
"""

import asyncio
import email
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import text

from chittycan.store.database import Database
from chittycan.testing.scenarios import Scenario
from chittycan.testing.upstream import ScriptedUpstream

READY_SECONDS = 60.0
MODELS = {f"slow-{number}": wait for number, wait in enumerate((0.5, 1.5, 4.0, 8.0), 1)}  # seconds that each takes
MAIL_PAUSE = 0.3  # seconds between the steps of taking a mail, so that there is a middle to be killed in


class Member:
    """One `can serve` process in a group of its own, with the arguments with which it is started again."""

    def __init__(self, name: str, home: Path, database: str, *arguments: str) -> None:
        self.name, self._home, self._arguments = name, home, arguments
        # Nothing of ours but where programs are.
        self._environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        self._environment |= {
            "HOME": str(home), "CHITTY_CONFIG_DIR": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"), "CHITTY_DATABASE_URL": database, "UPSTREAM_KEY": f"sk-{name}",
        }  # fmt: skip
        self.process: asyncio.subprocess.Process | None = None
        self._saying: asyncio.Task[bytes] | None = None

    async def start(self) -> None:
        """Begins it; `ready` waits for it."""
        with (self._home / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "chittycan.cli.main", "serve", "--json", *self._arguments,
                stdout=asyncio.subprocess.PIPE, stderr=log, env=self._environment, start_new_session=True,
            )  # fmt: skip

        assert self.process.stdout is not None
        self._saying = asyncio.create_task(self.process.stdout.readline())

    async def ready(self) -> None:
        """Until it serves. Raises RuntimeError with what it said where it ended instead."""
        assert self._saying is not None
        async with asyncio.timeout(READY_SECONDS):
            if not await asyncio.shield(self._saying):
                raise RuntimeError(f"{self.name} did not start:\n{self.said[-2000:]}")

    @property
    def served(self) -> bool:
        """Whether it came as far as to serve, in this life."""
        return self._saying is not None and self._saying.done() and bool(self._saying.result())

    @property
    def said(self) -> str:
        """Its standard error, over all its lives."""
        return (self._home / f"{self.name}.log").read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def kill(self) -> None:
        """SIGKILL to the whole group: no handler runs, no file is closed in order."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()

    async def stop(self) -> None:
        """SIGTERM, as a service manager does; SIGKILL after ten seconds."""
        if self.process is None or self.process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(10):
                await self.process.wait()
        except TimeoutError:
            await self.kill()


class SlowProvider(ScriptedUpstream):
    """Answers each model after its own time."""

    async def __aenter__(self) -> "SlowProvider":
        await super().__aenter__()
        for model, wait in MODELS.items():
            self.script(model, [Scenario(does="answers slowly", wait=wait)])
        return self

    def busy_for(self, name: str) -> bool:
        """Whether a call of that process is under way."""
        return any(each.key == f"sk-{name}" and not each.over.is_set() for each in self.requests[-500:])

    def asked(self) -> Counter[str]:
        """How often each prompt came."""
        return Counter(str(each.json["messages"][-1]["content"]) for each in self.requests if each.json)


class SmtpServer:
    """Listens on a free port, as aiosmtpd's handlers of its subclass say."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, hostname="mail.test", loop=loop), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


class MailServer(SmtpServer):
    """Takes every mail, slowly. `arrived` counts what it said yes to, or would have, by recipient."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: Counter[str] = Counter()

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        await asyncio.sleep(MAIL_PAUSE)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.arrived[str(email.message_from_bytes(envelope.original_content or b"")["To"])] += 1
        await asyncio.sleep(MAIL_PAUSE)
        return "250 queued"


class Audit:
    """Notes in the database itself each time that a task or a workstream comes to an end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def install(self) -> None:
        statements = ["CREATE TABLE audit (thing TEXT, came_to TEXT)"]
        if self._database.sqlite:
            statements += [
                f"CREATE TRIGGER audit_{table} AFTER UPDATE OF status ON {table} "
                "WHEN NEW.status IN ('done', 'failed', 'cancelled') "
                "BEGIN INSERT INTO audit VALUES (NEW.id, NEW.status); END"
                for table in ("tasks", "workstreams")
            ]
        else:
            statements += [
                "CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN INSERT INTO audit VALUES (NEW.id, NEW.status); RETURN NEW; END $$"
            ]
            statements += [
                f"CREATE TRIGGER audit_{table} AFTER UPDATE OF status ON {table} FOR EACH ROW "
                "WHEN (NEW.status IN ('done', 'failed', 'cancelled')) EXECUTE FUNCTION note_end()"
                for table in ("tasks", "workstreams")
            ]
        for statement in statements:
            self._database.run_sync(lambda c, one=statement: c.execute(text(one)))  # type: ignore[misc]

    def ends(self) -> dict[str, list[str]]:
        """What each thing came to, each time that it did."""
        found: dict[str, list[str]] = {}
        rows = self._database.run_sync(lambda c: c.execute(text("SELECT thing, came_to FROM audit")).all())
        for thing, came_to in rows:
            found.setdefault(thing, []).append(came_to)
        return found


def write_config(home: Path, upstream: str, mail_port: int) -> None:
    """The files of an owner who has one provider and one mail server."""
    folder = home / "config"
    folder.mkdir(parents=True)
    proxy = {"endpoint": f"{upstream}/v1", "dialect": "openai", "apiKey": "env:UPSTREAM_KEY"}
    smtp = {"host": "127.0.0.1", "port": mail_port, "security": "none", "from": "soak@example.com", "allow": ["*"]}
    config = {
        "remotes": {"connect": {"type": "chittyconnect", "proxies": {"first": proxy}}},
        "embedded": {"enabled": False}, "smtp": smtp,
    }  # fmt: skip
    for name, content in (("config.json", config), ("models.json", {})):
        file = folder / name
        file.write_text(json.dumps(content))
        file.chmod(0o600)


def more_than_once(counted: Iterable[tuple[str, int]]) -> list[str]:
    return sorted(name for name, times in counted if times > 1)
