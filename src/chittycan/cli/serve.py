"""`can serve` and `can up`: run the server."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Annotated

import typer

from chittycan.cli.output import Json, console, done, print_line, warn
from chittycan.errors import UsageError

ROLES = ("gateway", "all")

Host = Annotated[str, typer.Option(help="Address to listen on. Beyond this machine only with keys.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
Workers = Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=64)]
LogLevel = Annotated[str, typer.Option(help="warning, or info for a line per request.")]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8787,
    role: Annotated[str, typer.Option(help="gateway or all; the same until there are workers and a console.")] = "all",
    workers: Workers = 1,
    log: LogLevel = "warning",
    json: Json = False,
) -> None:
    """Serve the OpenAI- and Anthropic-compatible HTTP API until stopped."""
    if role not in ROLES:
        raise UsageError(f"--role {role} is unknown", fix=f"Use one of: {', '.join(ROLES)}.")
    if workers > 1:
        raise typer.Exit(_supervise(host, port, role, workers, log))
    from chittycan.api.server import run_loop

    worker = os.environ.get(SHARED)  # its number, where this process is one of several
    run_loop(_serve(host, port, log, json, shared=worker is not None, quiet=worker not in (None, "0")))


def up(port: Port = 8787, log: LogLevel = "warning") -> None:
    """Find providers, start the local model and the server."""
    from chittycan.api.server import run_loop

    run_loop(_serve("127.0.0.1", port, log, as_json=False, first_run=True))


async def _serve(
    host: str, port: int, log: str, as_json: bool, *, shared: bool = False, quiet: bool = False, first_run: bool = False
) -> None:
    from chittycan.api.server import check_bind, listen, serve
    from chittycan.app import Network
    from chittycan.telemetry import setup_logging

    setup_logging(log)
    listener = listen(host, port, shared) if port else None
    async with Network() as network:
        check_bind(network, host)
        if first_run:
            await _first_run(network)

        def ready(bound_host: str, bound_port: int) -> None:
            if quiet:
                return
            if as_json:
                print_line({"url": f"http://{bound_host}:{bound_port}", "pid": os.getpid()})
            else:
                _announce(network, bound_host, bound_port)

        await serve(network, listener or listen(host, port, shared), ready)
    if not as_json:
        console.print("stopped")


async def _first_run(network: object) -> None:
    """Makes sure that the local model is there, with its progress, before the first question."""
    from chittycan.app import Network
    from chittycan.providers import model_files
    from chittycan.providers.registry import EMBEDDED

    assert isinstance(network, Network)
    if EMBEDDED not in network.gateway.catalogue.providers:
        warn(f"local model: {network.gateway.catalogue.skipped.get(EMBEDDED, 'not available')}")
        return
    if network.settings.embedded.model is None and model_files.find() is None:
        with console.status("fetching the local model") as status:
            await asyncio.to_thread(model_files.ensure, status.update)
    with console.status("starting the local model"):
        await network.embedded.endpoint()
    done(f"local model smollm2 is up ({network.embedded.memory_mb() or 0:.0f} MB)")


def _announce(network: object, host: str, port: int) -> None:
    from chittycan.app import Network

    assert isinstance(network, Network)
    catalogue = network.gateway.catalogue
    for warning in catalogue.warnings:
        warn(warning)
    for provider in catalogue.providers.values():
        if provider.name == "local" and provider.source != "config":
            continue
        keys = f", {len(provider.keys)} key{'s' if len(provider.keys) != 1 else ''}" if provider.keys else ""
        done(f"{provider.name} [dim]({provider.source}{keys})[/] {provider.default_model or ''}")
    for name, why in catalogue.skipped.items():
        console.print(f"[dim]– {name}: {why}[/]")
    url = f"http://{'localhost' if host == '127.0.0.1' else host}:{port}"
    console.print(f"\nListening on [bold]{url}[/]. Point any client at it:\n")
    console.print(f"  export OPENAI_BASE_URL={url}/v1 ANTHROPIC_BASE_URL={url}")
    if not network.keys.required:
        console.print("  [dim]no key needed on this machine until you create one: can keys create --name NAME[/]")


SHARED = "CHITTY_SHARED_PORT"


def _supervise(host: str, port: int, role: str, workers: int, log: str) -> int:
    """Runs several servers on one port; ends them all with itself, and itself when one fails to start."""
    if port == 0:
        raise UsageError("--workers needs a fixed --port")
    command = [sys.executable, "-m", "chittycan.cli.main", "serve", "--host", host, "--port", str(port)]
    command += ["--role", role, "--log", log]
    # In sessions of their own: Ctrl-C would else reach them twice, from the terminal and from here, and a second
    # signal means not to wait for streams.
    children = [
        subprocess.Popen(command, env=os.environ | {SHARED: str(number)}, start_new_session=True)  # noqa: S603 (ours)
        for number in range(workers)
    ]
    left = {child.pid for child in children}
    asked = False

    def stop(number: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    failed = False
    while left:
        pid, status = os.wait()
        left.discard(pid)
        code = os.waitstatus_to_exitcode(status)
        # Whoever was stopped before it could listen to signals died of one, as it was asked to.
        if code > 0 or (code < 0 and not asked):
            failed = True
            stop(signal.SIGTERM, None)
    return int(failed)
