"""Plugin: a whole gateway on a loopback port, in front of a scripted upstream, as a client meets it.

`serve` starts one in the test's own loop; `processes` starts real `can serve` processes.
"""

import asyncio
import inspect
import json
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, text

from chittycan.api.app import App
from chittycan.api.http import HttpServer
from chittycan.api.server import listen
from chittycan.app import Network
from chittycan.auth.keys import NewKey
from chittycan.clock import Clock, SystemClock
from chittycan.dialects import load
from chittycan.store.database import Database
from chittycan.testing.upstream import Recorded, ScriptedUpstream

if TYPE_CHECKING:
    import anthropic
    import openai

Json = dict[str, Any]
PACE = 20.0  # how much faster than the world a `QuickClock` goes
PATIENCE = 10.0  # seconds after which what should have happened has not
UPSTREAM_KEY = "sk-upstream-CANARY0123456789abcdef"
DIALECTS = ("openai", "openai_responses", "anthropic", "gemini")
QUICK = {"firstToken": 0.3, "idle": 0.3}
SURFACES = ("openai", "openai_responses", "anthropic")
for _dialect in DIALECTS:
    load(_dialect)  # which takes longer than a quick deadline


class QuickClock(SystemClock):
    """Pauses, rests and cool-downs pass `PACE` times faster; the deadlines of sockets, which are loop time, do not."""

    def monotonic(self) -> float:
        return super().monotonic() * PACE

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / PACE)


def endpoint(upstream: str, dialect: str) -> str:
    """What the vendor's own SDK would take as base URL."""
    return f"{upstream}/v1" if dialect.startswith("openai") else upstream


def proxy(upstream: str, dialect: str, *keys: str, **more: Any) -> Json:
    """A provider's entry in config.json."""
    return {
        "endpoint": endpoint(upstream, dialect),
        "dialect": dialect,
        "apiKey": list(keys) or UPSTREAM_KEY,
        "timeouts": QUICK,
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


@dataclass
class Got:
    """One HTTP answer, read to its end. `complete`: it ended as HTTP says it must."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of each server-sent event."""
        found = []
        for block in self.body.decode().split("\n\n"):
            lines = [line[5:].strip() for line in block.split("\n") if line.startswith("data:")]
            if lines:
                found.append("\n".join(lines))
        return found

    @property
    def events(self) -> list[Any]:
        return [json.loads(data) for data in self.data if data != "[DONE]"]


class Wire:
    """A bare connection to a port: what no client library would send, and when exactly what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> "Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 26))

    def send(self, method: str, path: str, body: bytes | Json | None = None, headers: Mapping[str, str] = {}) -> None:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"host": "127.0.0.1", **headers}
        if body is not None:
            lines |= {"content-length": str(len(data)), "content-type": "application/json"}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data)

    async def head(self) -> Got:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in raw[1:] if line)}
        return Got(int(raw[0].split(" ")[1]), headers, b"")

    async def chunk(self) -> bytes:
        """The next HTTP chunk; b"" is the end. Raises IncompleteReadError where the connection is cut."""
        size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def read(self, *, without_body: bool = False) -> Got:
        got = await self.head()
        if without_body:
            return got
        try:
            if "content-length" in got.headers:
                got.body = await self.reader.readexactly(int(got.headers["content-length"]))
            elif "transfer-encoding" in got.headers:
                while chunk := await self.chunk():
                    got.body += chunk
            else:
                got.body = await self.reader.read()
        except asyncio.IncompleteReadError as cut:
            got.complete = False
            got.body += cut.partial
        return got

    def pause(self) -> None:
        """Read nothing more, until `resume`."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    def close_one_side(self) -> None:
        """Send nothing more, as some clients that leave do."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()


async def fetch(
    port: int, method: str, path: str, body: bytes | Json | None = None, headers: Mapping[str, str] = {}
) -> Got:
    wire = await Wire.connect(port)
    try:
        wire.send(method, path, body, headers)
        return await wire.read(without_body=method == "HEAD")
    finally:
        wire.close()


@dataclass
class Seen:
    """What a person's program got, whichever client library it uses. `error`: the exception that it raised."""

    text: str = ""
    finish: str | None = None
    model: str | None = None
    usage: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    raw: bytes = b""  # all that came over the wire

    @property
    def status(self) -> int | None:
        return getattr(self.error, "status_code", None)

    @property
    def detail(self) -> Json:
        """The `error` object of the body."""
        body = json.loads(self.raw)
        found: Json = body["error"]
        return found


class Clients:
    """The official clients of one server, with what comes over the wire recorded in `tape`."""

    def __init__(self, url: str, key: str = "any") -> None:
        import httpx2

        self.tape = bytearray()
        self._http = httpx2.AsyncClient(
            transport=_recording(self.tape), base_url=url, timeout=httpx2.Timeout(30.0), trust_env=False
        )
        self.url, self.key = url, key

    @property
    def gpt(self) -> "openai.AsyncOpenAI":
        import openai

        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, http_client=self._http)

    @property
    def claude(self) -> "anthropic.AsyncAnthropic":
        import anthropic

        return anthropic.AsyncAnthropic(base_url=self.url, api_key=self.key, max_retries=0, http_client=self._http)

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, surface: str, model: str, *, stream: bool, **more: Any) -> Seen:
        """One question on a surface, as its vendor's client asks it."""
        self.tape.clear()
        seen = Seen()
        ways = {"openai": self._chat, "anthropic": self._messages, "openai_responses": self._responses}
        import anthropic
        import openai

        try:
            await ways[surface](seen, model, stream, more)
        except (openai.APIError, anthropic.APIError) as error:
            seen.error = error
            response = getattr(error, "response", None)
            if response is not None and not seen.headers:
                seen.headers = response.headers
        seen.raw = bytes(self.tape)
        return seen

    async def _chat(self, seen: Seen, model: str, stream: bool, more: Json) -> None:
        create = self.gpt.chat.completions.with_raw_response.create
        asked: Json = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
        if not stream:
            whole = await create(**asked)
            seen.headers, answer = whole.headers, await _parsed(whole)
            seen.text, seen.finish = answer.choices[0].message.content or "", answer.choices[0].finish_reason
            seen.model, seen.usage = answer.model, answer.usage
            return
        raw = await create(**asked, stream=True, stream_options={"include_usage": True})
        seen.headers = raw.headers
        async for chunk in await _parsed(raw):
            seen.model, seen.usage = chunk.model, chunk.usage or seen.usage
            for choice in chunk.choices:
                seen.text += (choice.delta.content or "") if choice.delta else ""
                seen.finish = choice.finish_reason or seen.finish

    async def _messages(self, seen: Seen, model: str, stream: bool, more: Json) -> None:
        create = self.claude.messages.with_raw_response.create
        messages = [{"role": "user", "content": "Hello"}]
        asked: Json = {"model": model, "max_tokens": 1000, "messages": messages, **more}
        if not stream:
            whole = await create(**asked)
            seen.headers, answer = whole.headers, await _parsed(whole)
            seen.text = "".join(block.text for block in answer.content if block.type == "text")
            seen.finish, seen.model, seen.usage = answer.stop_reason, answer.model, answer.usage
            return
        raw = await create(**asked, stream=True)
        seen.headers = raw.headers
        async for event in await _parsed(raw):
            if event.type == "message_start":
                seen.model = event.message.model
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                seen.text += event.delta.text
            elif event.type == "message_delta":
                seen.finish, seen.usage = event.delta.stop_reason, event.usage

    async def _responses(self, seen: Seen, model: str, stream: bool, more: Json) -> None:
        create = self.gpt.responses.with_raw_response.create
        asked: Json = {"model": model, "input": "Hello", **more}
        if not stream:
            whole = await create(**asked)
            seen.headers, answer = whole.headers, await _parsed(whole)
            seen.text, seen.finish = answer.output_text, answer.status
            seen.model, seen.usage = answer.model, answer.usage
            return
        raw = await create(**asked, stream=True)
        seen.headers = raw.headers
        async for event in await _parsed(raw):
            if event.type == "response.output_text.delta":
                seen.text += event.delta
            elif event.type in ("response.completed", "response.incomplete"):
                seen.finish, seen.usage, seen.model = event.response.status, event.response.usage, event.response.model


async def _parsed(raw: Any) -> Any:
    """One vendor's client parses at once, the other's is awaited."""
    parsed = raw.parse()
    return await parsed if inspect.isawaitable(parsed) else parsed


def _recording(tape: bytearray) -> Any:
    import httpx2

    class Stream(httpx2.AsyncByteStream):
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for data in self._inner:
                tape.extend(data)
                yield data

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Recording(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            response.stream = Stream(response.stream)
            return response

    return Recording(verify=False)


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
            **sections: Any,
        ) -> Served:
            nonlocal count
            count += 1
            home = tmp_path / f"home{count}"
            folder = home / "config"
            written = {"models": models or {}, "fallbacks": fallbacks or {}, "assignments": assignments or {}}
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


@asynccontextmanager
async def speaking(*pieces: bytes | float | list[bytes], ends: bool = True) -> AsyncIterator[str]:
    """The root URL of a provider that answers every request with exactly these bytes, with pauses in between.

    What a list holds may change from request to request. It then closes the connection, unless `ends` is false.
    """
    open_connections: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_connections.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            for piece in pieces:
                if not isinstance(piece, float):
                    writer.write(piece if isinstance(piece, bytes) else b"".join(piece))
                    await writer.drain()
                else:
                    await asyncio.sleep(piece)
            if not ends:
                await reader.read()
        writer.close()
        open_connections.discard(task)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in open_connections:
            task.cancel()


SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def spoken_chunk(delta: Json, finish: str | None = None, **more: Any) -> bytes:
    """One chunk of OpenAI's chat dialect."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "chatcmpl-spoken", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return f"data: {json.dumps(body | more)}\n\n".encode()
