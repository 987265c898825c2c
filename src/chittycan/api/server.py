"""Runs the HTTP front door until it is told to stop, and then lets streams in flight finish."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from chittycan.api.app import App
from chittycan.api.guard import is_loopback
from chittycan.api.http import HttpServer
from chittycan.api.probes import WorkerApp
from chittycan.app import Network
from chittycan.errors import Unavailable, UsageError

Role = Literal["gateway", "worker", "all"]
GRACE_SECONDS = 20.0  # for streams and tasks in flight when the server is stopped


def listen(host: str, port: int, shared: bool = False) -> socket.socket:
    """A listening socket. `shared`: several processes of ours may listen on the port. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}", fix="Stop the other program, or choose another --port."
        ) from error
    listener.set_inheritable(True)
    return listener


def check_bind(network: Network, host: str) -> None:
    """Beyond this machine only with keys. Raises UsageError."""
    if not is_loopback(host) and not network.keys.required:
        raise UsageError(
            f"Refusing to listen on {host} without keys: anyone who reaches this machine could spend your money.",
            fix="Create one first: can keys create --name NAME",
        )


async def serve(
    network: Network,
    listener: socket.socket | None,
    ready: Callable[[str, int], None] | None = None,
    *,
    leaving: Callable[[int], None] | None = None,
    role: Role = "gateway",
    worker: str | None = None,
) -> None:
    """Serves on `listener`, works, or both, until SIGINT or SIGTERM; a second signal does not wait for what runs.

    `ready` is called with the bound host and port once connections are accepted, or with "" and 0 without a
    `listener`; `leaving` with the number of tasks that a stop waits for. `worker` is the name to work under.
    Raises what `Network.serve_work` raises.
    """
    loop = asyncio.get_running_loop()
    server = HttpServer(WorkerApp(network) if role == "worker" else App(network))
    asked, insisted = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (insisted if asked.is_set() else asked).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        if listener is not None:
            await server.listen(listener)
        _settle_memory()
        stopping = loop.create_task(asked.wait())
        # After the door is open: the engine takes its time.
        work = loop.create_task(_nothing() if role == "gateway" else network.serve_work(worker, role=role))
        begun = loop.create_task(network.durable.begun.wait())
        mail = loop.create_task(_nothing() if role == "gateway" else network.watch_mail())
        if role == "worker":
            await asyncio.wait((begun, work, stopping), return_when=asyncio.FIRST_COMPLETED)
        if ready is not None and (role != "worker" or begun.done()):
            ready(*(("", 0) if listener is None else listener.getsockname()[:2]))
        begun.cancel()
        await network.warm()
        _settle_memory()  # the prices stay too
        await asyncio.wait((stopping, work), return_when=asyncio.FIRST_COMPLETED)
        if not (work.done() and work.exception()):
            await stopping
        mail.cancel()
        await asyncio.wait((mail,))
        if leaving is not None and network.durable.busy:
            leaving(network.durable.busy)
        await _close(network, server, insisted)
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))
        elif (error := work.exception()) is not None:
            raise error
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _close(network: Network, server: HttpServer, insisted: asyncio.Event) -> None:
    """Takes no more requests and no more work, and lets what runs come to its end unless somebody insists."""
    loop = asyncio.get_running_loop()
    closing = loop.create_task(server.close(GRACE_SECONDS))
    draining = loop.create_task(network.durable.drain(GRACE_SECONDS))
    impatient = loop.create_task(insisted.wait())
    quiet = loop.create_task(asyncio.wait((closing, draining)))
    await asyncio.wait((quiet, impatient), return_when=asyncio.FIRST_COMPLETED)
    for each in (impatient, quiet, draining):
        each.cancel()
    if not closing.done():
        closing.cancel()
        await server.close(0)


async def _nothing() -> None:
    """The durable work of a gateway."""


def _settle_memory() -> None:
    """What start-up made stays: the collector need not look at it again, nor run every few hundred objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def run_loop(main: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine on uvloop where it exists."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
