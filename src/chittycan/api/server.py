"""Runs the HTTP front door until it is told to stop, and then lets streams in flight finish."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import uvicorn

from chittycan.api.app import App
from chittycan.api.guard import is_loopback
from chittycan.api.protocol import LimitedProtocol
from chittycan.app import Network
from chittycan.errors import Unavailable, UsageError

GRACE_SECONDS = 20.0  # for streams in flight when the server is stopped
KEEP_ALIVE_SECONDS = 75


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


class Server(uvicorn.Server):
    """uvicorn without its own logging and signal handling."""

    def __init__(self, network: Network, grace: float = GRACE_SECONDS) -> None:
        config = uvicorn.Config(
            App(network), http=LimitedProtocol, ws="none", loop="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, date_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(grace), backlog=2048,
        )  # fmt: skip
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # `serve` below takes the signals

    def stop(self) -> None:
        self.should_exit = True


async def serve(network: Network, listener: socket.socket, ready: Any = None) -> None:
    """Serves on `listener` until SIGINT or SIGTERM; a second signal does not wait for streams.

    `ready` is called with the bound (host, port) once connections are accepted.
    """
    server = Server(network)
    loop = asyncio.get_running_loop()

    def asked_to_stop() -> None:
        if server.should_exit:
            server.force_exit = True
        server.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop)
    serving = loop.create_task(server.serve([listener]))
    while not server.started and not serving.done():  # uvicorn has no event for it
        await asyncio.sleep(0.005)  # noqa: ASYNC110
    if ready is not None and not serving.done():
        ready(*listener.getsockname()[:2])
    try:
        await serving
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def run_loop(main: Any) -> Any:
    """Runs a coroutine on uvloop where it exists."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
