"""Runs the HTTP front door until it is told to stop, and then lets streams in flight finish."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from chittycan.api.app import App
from chittycan.api.guard import is_loopback
from chittycan.api.http import HttpServer
from chittycan.app import Network
from chittycan.errors import Unavailable, UsageError

GRACE_SECONDS = 20.0  # for streams in flight when the server is stopped


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


async def serve(network: Network, listener: socket.socket, ready: Callable[[str, int], None] | None = None) -> None:
    """Serves on `listener` until SIGINT or SIGTERM; a second signal does not wait for streams.

    `ready` is called with the bound host and port once connections are accepted.
    """
    loop = asyncio.get_running_loop()
    server = HttpServer(App(network))
    asked, insisted = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (insisted if asked.is_set() else asked).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await server.listen(listener)
        _settle_memory()
        if ready is not None:
            ready(*listener.getsockname()[:2])
        await network.warm()
        await asked.wait()
        closing = loop.create_task(server.close(GRACE_SECONDS))
        impatient = loop.create_task(insisted.wait())
        await asyncio.wait((closing, impatient), return_when=asyncio.FIRST_COMPLETED)
        impatient.cancel()
        if not closing.done():
            closing.cancel()
            await server.close(0)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


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
