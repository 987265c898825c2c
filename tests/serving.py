"""Plugin: a whole gateway on a loopback port, in front of a scripted upstream, as a client meets it.

`serve` starts one in the test's own loop; `processes` starts real `can serve` processes.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bare_http import Got, Json, Wire, fetch
from chittycan.api.app import App
from chittycan.api.http import HttpServer
from chittycan.api.server import listen
from chittycan.app import Network
from chittycan.auth.keys import NewKey
from chittycan.clock import Clock, SystemClock
from chittycan.dialects import load
from chittycan.store.database import Database
from chittycan.testing.upstream import Recorded, ScriptedUpstream
from official_clients import Clients

PACE = 20.0  # how much faster than the world a `QuickClock` goes
PATIENCE = 10.0  # seconds after which what should have happened has not
UPSTREAM_KEY = "sk-upstream-CANARY0123456789abcdef"
DIALECTS = ("openai", "openai_responses", "anthropic", "gemini")
# For tests of these deadlines. Others have none that a busy machine could miss.
QUICK: Json = {"timeouts": {"firstToken": 0.3, "idle": 0.3}}
SURFACES = ("openai", "openai_responses", "anthropic")
for _dialect in DIALECTS:
    load(_dialect)  # which takes longer than a quick deadline


class QuickClock(SystemClock):
    """Pauses, rests and cool-downs pass `PACE` times faster; the deadlines of sockets, which are loop time, do not."""

    def monotonic(self) -> float:
        return super().monotonic() * PACE

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / PACE)


class SkippingClock(QuickClock):
    """Quick, and `skipped` seconds ahead."""

    skipped = 0.0

    def now(self) -> float:
        return super().now() + self.skipped


def endpoint(upstream: str, dialect: str) -> str:
    """What the vendor's own SDK would take as base URL."""
    return f"{upstream}/v1" if dialect.startswith("openai") else upstream


def proxy(upstream: str, dialect: str, *keys: str, **more: Any) -> Json:
    """A provider's entry in config.json."""
    return {
        "endpoint": endpoint(upstream, dialect),
        "dialect": dialect,
        "apiKey": list(keys) or UPSTREAM_KEY,
        "timeouts": {"firstToken": 20, "idle": 20},
        **more,
    }


def config(proxies: Json, **sections: Any) -> Json:
    remote = {"type": "chittyconnect", "proxies": proxies}
    return {"remotes": {"connect": remote}, "embedded": {"enabled": False}, **sections}


def write_config(folder: Path, config_file: Json, models_file: Json) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("config.json", config_file), ("models.json", models_file)):
        file = folder / name
        file.write_text(json.dumps(content))
        file.chmod(0o600)


class Served:
    """A gateway that serves until its test ends."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.port = 0
        self.bugs: list[BaseException] = []
        network.telemetry.bug = lambda error, request_id: self.bugs.append(error)  # type: ignore[method-assign]
        self._server: HttpServer | None = None
        self._clients: list[Clients] = []

    async def start(self) -> None:
        self._server = HttpServer(App(self.network))
        listener = listen("127.0.0.1", 0)
        await self._server.listen(listener)
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        for clients in self._clients:
            await clients.close()
        if self._server is not None:
            await self._server.close(0)
        for bug in self.bugs:
            raise bug

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def clients(self, key: str = "any") -> Clients:
        clients = Clients(self.url, key)
        self._clients.append(clients)
        return clients

    async def fetch(
        self, method: str, path: str, body: bytes | Json | None = None, headers: Mapping[str, str] = {}
    ) -> Got:
        return await fetch(self.port, method, path, body, headers)

    async def chat(self, model: str, *, stream: bool = False, headers: Mapping[str, str] = {}, **more: Any) -> Got:
        """A bare chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream, **more}
        return await self.fetch("POST", "/v1/chat/completions", body, headers)

    async def connect(self) -> Wire:
        return await Wire.connect(self.port)

    async def key(self, name: str = "test", **limits: Any) -> str:
        """A new virtual key's secret."""
        return (await self.network.keys.create(NewKey(name=name, **limits)))[1]

    async def recorded(self, count: int) -> list[Json]:
        """The rows of the ledger, once there are so many."""
        await until(lambda: self.network.ledger.written + self.network.ledger.pending >= count)
        return await self.ledger()

    async def pushes_back(self) -> None:
        """Until a client reads more slowly than its answer comes."""
        await until(lambda: self._server is not None and any(each.paused for each in self._server.connections))

    async def ledger(self) -> list[Json]:
        """Every row so far, in order."""
        await self.network.ledger.flush()
        return await ledger_rows(self.network.database)


async def until(holds: Callable[[], bool]) -> None:
    """For what happens inside a server, which announces nothing. Fails after `PATIENCE`."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def finished(calls: Collection[asyncio.Task[Got]], count: int) -> None:
    """Until so many of the calls have their answer."""
    async with asyncio.timeout(PATIENCE):
        while sum(call.done() for call in calls) < count:
            await asyncio.wait([call for call in calls if not call.done()], return_when=asyncio.FIRST_COMPLETED)


async def ledger_rows(database: Database) -> list[Json]:
    def read(connection: Connection) -> list[Json]:
        found = connection.execute(text("SELECT * FROM ledger ORDER BY at, position"))
        return [dict(row._mapping) for row in found]

    return await database.read(read)


Serve = Callable[..., Awaitable[Served]]


class Upstream(ScriptedUpstream):
    """One that does not wait for ever for a request that never comes."""

    async def received(self, count: int, model: str | None = None) -> Recorded:
        async with asyncio.timeout(PATIENCE):
            return await super().received(count, model)


@pytest.fixture
async def up() -> AsyncIterator[ScriptedUpstream]:
    """The provider. Its delays pass as fast as a `QuickClock` goes."""
    async with Upstream(speed=1 / PACE) as upstream:
        yield upstream


@pytest.fixture
async def serve(tmp_path: Path, migrated_file: Path) -> AsyncIterator[Serve]:
    """`await serve(proxies, models, ...)`: a gateway with this configuration."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(
            proxies: Json,
            models: Json | None = None,
            fallbacks: Json | None = None,
            assignments: Json | None = None,
            *,
            clock: Clock | None = None,
            ensembles: Json | None = None,
            routing: Json | None = None,
            **sections: Any,
        ) -> Served:
            nonlocal count
            count += 1
            home = tmp_path / f"home{count}"
            folder = home / "config"
            written = {"models": models or {}, "fallbacks": fallbacks or {}, "assignments": assignments or {}}
            written |= {"ensembles": ensembles} if ensembles else {}
            written |= {"routing": routing} if routing else {}
            write_config(folder, config(proxies, **sections), written)
            file = home / "chitty.db"
            shutil.copy(migrated_file, file)
            network = Network(
                config_folder=folder,
                env={"HOME": str(home), "XDG_DATA_HOME": str(home / "data")},
                database=f"sqlite:///{file}",
                clock=clock or QuickClock(),
                look_around=False,
            )
            served = Served(await stack.enter_async_context(network), folder)
            await served.start()
            stack.push_async_callback(served.stop)
            return served

        yield start


class Process:
    """A real `can serve`."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: Path) -> None:
        self.process, self._stderr = process, stderr
        self.url = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def said(self) -> str:
        """Its standard error so far."""
        return self._stderr.read_text()

    async def ready(self) -> None:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, f"can serve ended: {self.said}"
        self.url = json.loads(line)["url"]

    async def end(self) -> int:
        """Its exit code, once it is over."""
        return await self.process.wait()


class Processes:
    """Starts `can` as a person would, in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.config = home, home / "config"
        self.database = home / "data" / "chitty" / "chitty.db"
        self._started: list[Process] = []

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "CHITTY_CONFIG_DIR": str(self.config), "XDG_DATA_HOME": str(self.home / "data")}

    async def can(self, *arguments: str, **environment: str) -> Process:
        stderr = self.home / f"stderr{len(self._started)}"
        with stderr.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "chittycan.cli.main", *arguments,
                stdout=asyncio.subprocess.PIPE, stderr=file, env=self.environment | environment,
            )  # fmt: skip
        started = Process(process, stderr)
        self._started.append(started)
        return started

    async def serve(self, *arguments: str, **environment: str) -> Process:
        """A server that is ready."""
        process = await self.can("serve", "--json", "--port", "0", *arguments, **environment)
        await process.ready()
        return process

    async def end_all(self) -> None:
        for started in self._started:
            with suppress(ProcessLookupError):
                started.process.kill()
            await started.process.wait()


@pytest.fixture
async def processes(tmp_path: Path, migrated_file: Path) -> AsyncIterator[Processes]:
    """Real processes on one database; those that still run are killed at the end."""
    started = Processes(tmp_path)
    started.database.parent.mkdir(parents=True)
    shutil.copy(migrated_file, started.database)
    yield started
    await started.end_all()
