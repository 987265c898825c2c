"""How a command reaches the network: through the configured server where it runs, else in this process.

Both ways have the same face, `Session`, on the same database and configuration. A server on this machine has to
prove that it is this owner's before it is trusted with anything (`auth.admin.proof`).
"""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from chittycan.chat import ChatEvent, ChatRequest
from chittycan.cli.output import warn
from chittycan.config import Missing, Settings, data_folder, database_url, load, resolve_secret
from chittycan.control.operation import Operation

if TYPE_CHECKING:
    from chittycan.cli.remote import Found
    from chittycan.durable import Durable
    from chittycan.gateway.call import Answer, Options, Trace
    from chittycan.store.database import Database

T = TypeVar("T")
LOCAL_SECONDS = 2.0  # for a server on this machine to say that it is there; where there is none that is known at once
REMOTE_SECONDS = 3.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Stream(Protocol):
    """An answer as it is written; `trace` is complete after the last event."""

    trace: "Trace"

    def events(self) -> AsyncGenerator[ChatEvent]: ...


class Session(Protocol):
    """The network, as a command sees it. Everything raises `ChittyError`."""

    @property
    def url(self) -> str | None:
        """The server's address; None in this process."""
        ...

    async def ask(self, chat: ChatRequest, options: "Options") -> "Answer":
        """One answer; whatever model is named, the default chain stands in where it fails."""
        ...

    async def stream(self, chat: ChatRequest, options: "Options") -> Stream: ...

    async def call(self, operation: Operation[T], **given: Any) -> T:
        """One operation of the control API."""
        ...

    async def work(self) -> None:
        """Sees to it that somebody does durable work while this command waits for it."""
        ...

    @property
    def here(self) -> bool:
        """Whether this is the network's own machine: the paths that a person names mean the same to both."""
        ...

    def database(self) -> "AbstractAsyncContextManager[Database]":
        """The network's state, for work that this command does itself. Only on the network's own machine."""
        ...

    def durable(self) -> "AbstractAsyncContextManager[Durable]":
        """Durable work, for what names files of this machine. Only on the network's own machine."""
        ...


def run(work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    """Runs a command's work with a session open around it."""

    async def main() -> T:
        async with open_session() as session:
            return await work(session)

    return asyncio.run(main())


@asynccontextmanager
async def open_session(env: Mapping[str, str] | None = None) -> AsyncIterator[Session]:
    """The configured server where it runs, else a network in this process."""
    env = os.environ if env is None else env
    settings = load(None, env)
    server = await find_server(settings, env)
    if server is not None:
        from chittycan.cli.remote import RemoteSession

        remote = RemoteSession(server, database_url(env), settings.listeners)
        try:
            yield remote
        finally:
            remote.close()
        return
    if not is_local(settings.server.base_url):
        warn(f"{settings.server.base_url} does not answer; working on this machine instead")
    from chittycan.app import Network
    from chittycan.telemetry import LOGGER

    log, aloud = logging.getLogger(LOGGER), Aloud(logging.WARNING)
    log.addHandler(aloud)
    try:
        async with Network(env=env) as network:
            yield HereSession(network)
    finally:
        log.removeHandler(aloud)


class Aloud(logging.Handler):
    """What a server would write to its log, for the person who typed the command."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        told = ", ".join(f"{name} {value}" for name, value in fields.items())
        warn(": ".join(filter(None, (record.getMessage().replace("_", " "), told))))


class HereSession:
    """The network in this process."""

    url, here = None, True

    def __init__(self, network: Any) -> None:
        self._network = network

    async def ask(self, chat: ChatRequest, options: "Options") -> "Answer":
        answer: Answer = await self._network.gateway.ask(chat, options)
        return answer

    async def stream(self, chat: ChatRequest, options: "Options") -> Stream:
        stream: Stream = await self._network.gateway.stream(chat, options)
        return stream

    async def call(self, operation: Operation[T], **given: Any) -> T:
        return await operation(self._network, None, **given)

    async def work(self) -> None:
        await self._network.ensure_worker()

    def database(self) -> "AbstractAsyncContextManager[Database]":
        return nullcontext(self._network.database)

    def durable(self) -> "AbstractAsyncContextManager[Durable]":
        return nullcontext(self._network.durable)


def is_local(url: str) -> bool:
    """Whether this address is one of this machine's own."""
    return (urlsplit(url).hostname or "") in LOOPBACK


async def find_server(settings: Settings, env: Mapping[str, str]) -> "Found | None":
    """The server that the command should talk to, if it answers."""
    from chittycan.cli.remote import Found, exchange

    url = settings.server.base_url.rstrip("/")
    local, challenge = is_local(url), secrets.token_hex(16)
    health = await exchange(
        "GET", f"{url}/health?challenge={challenge}", None, LOCAL_SECONDS if local else REMOTE_SECONDS
    )
    if health is None or health.get("name") != "chittycan":
        return None
    version = str(health.get("version", ""))
    if local and (credential := _proven(str(health.get("proof", "")), challenge, settings, env)):
        return Found(url, version, credential, owner=True)
    reference = settings.server.api_token
    token = resolve_secret(reference, env, settings.folder) if reference else Missing("no token")
    if isinstance(token, Missing):
        # Somebody else's server on this port, or one that keeps its data elsewhere, is not ours to use.
        return None if local else Found(url, version, None, owner=False)
    return Found(url, version, token.value, owner=False)


def _proven(proof: str, challenge: str, settings: Settings, env: Mapping[str, str]) -> str | None:
    """The owner's credential, if the server has shown that it holds it too and serves the same things."""
    import hmac

    from chittycan.auth.admin import proof as expected
    from chittycan.auth.admin import read_or_create
    from chittycan.errors import Unavailable

    try:
        credential = read_or_create(data_folder(env))
    except Unavailable:
        return None
    port = urlsplit(settings.server.base_url).port or 80
    right = expected(credential, challenge, str(port), database_url(env), str(settings.folder.resolve()))
    return credential if hmac.compare_digest(right, proof) else None
