"""`can serve` and `can up`: run the server."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, cast

import typer
from msgspec import Struct

from chittycan.cli.output import Json, console, done, print_line, warn
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.api.server import Role

ID, REGION = "CHITTY_WORKER_ID", "CHITTY_REGION"
ROLES = ("gateway", "worker", "all")
PORT = 8787

Host = Annotated[str, typer.Option(help="Address to listen on. Beyond this machine only with keys.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
RolePort = Annotated[
    int | None,
    typer.Option(help="Port to listen on; 0 takes a free one. Default: 8787, and none for a worker.", min=0, max=65535),
]
Workers = Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=64)]
LogLevel = Annotated[str, typer.Option(help="warning, or info for a line per request.")]


def serve(
    host: Host = "127.0.0.1",
    port: RolePort = None,
    role: Annotated[str, typer.Option(help="gateway answers, worker does durable work, all does both.")] = "all",
    workers: Workers = 1,
    worker_id: Annotated[
        str | None, typer.Option(help="Name of this worker, no other's. Default: the host and a number.", envvar=ID)
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Where this machine stands; several with commas between.", envvar=REGION)
    ] = None,
    log: LogLevel = "warning",
    json: Json = False,
) -> None:
    """Serve the OpenAI- and Anthropic-compatible HTTP API until stopped."""
    if region is not None:
        os.environ[REGION] = region  # for this process and those that it starts
    if role not in ROLES:
        raise UsageError(f"--role {role} is unknown", fix=f"Use one of: {', '.join(ROLES)}.")
    if port is None and role != "worker":
        port = PORT
    if workers > 1:
        raise typer.Exit(_supervise(host, port, role, workers, worker_id, log))
    from chittycan.api.server import run_loop

    number = os.environ.get(SHARED)  # where this process is one of several
    _end_with_supervisor()
    wanted = Service(
        host=host,
        port=port,
        role=cast("Role", role),
        worker=worker_id,
        shared=number is not None,
        quiet=number not in (None, "0"),
    )
    run_loop(_serve(wanted, log, as_json=json))


def up(port: Port = PORT, log: LogLevel = "warning") -> None:
    """Find providers, start the local model and the server."""
    from chittycan.api.server import run_loop

    run_loop(_serve(Service(host="127.0.0.1", port=port, first_run=True), log, as_json=False))


class Service(Struct, frozen=True, kw_only=True):
    """What a process is to do. Without a `port` it listens nowhere; `shared`: it is one of several on that port."""

    host: str
    port: int | None
    role: "Role" = "all"
    worker: str | None = None
    shared: bool = False
    quiet: bool = False
    first_run: bool = False


async def _serve(wanted: Service, log: str, *, as_json: bool) -> None:
    from chittycan.api.server import check_bind, listen, serve
    from chittycan.app import Network
    from chittycan.telemetry import setup_logging

    setup_logging(log)
    listener = listen(wanted.host, wanted.port, wanted.shared) if wanted.port else None
    async with Network() as network:
        if wanted.port is not None:
            check_bind(network, wanted.host)
        if wanted.first_run:
            await _first_run(network)

        def ready(bound_host: str, bound_port: int) -> None:
            if wanted.quiet:
                return
            if as_json:
                url = f"http://{bound_host}:{bound_port}" if bound_port else None
                print_line({"url": url, "pid": os.getpid()})
            elif wanted.role == "worker":
                done(f"taking work from {network.database.place}")
            else:
                _announce(network, bound_host, bound_port)

        if wanted.port == 0:
            listener = listen(wanted.host, 0, wanted.shared)
        await serve(network, listener, ready, leaving=_leave, role=wanted.role, worker=wanted.worker)
    if not as_json:
        console.print("stopped")


def _leave(busy: int) -> None:
    tasks = "1 task comes" if busy == 1 else f"{busy} tasks come"
    warn(f"{tasks} to an end first; Ctrl-C again does not wait, and leaves them to another worker or the next start")


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


SHARED, SUPERVISOR = "CHITTY_SHARED_PORT", "CHITTY_SUPERVISOR"
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _end_with_supervisor() -> None:
    """Nobody would end this process, or start it again, once its supervisor was killed."""
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None or sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):
        raise typer.Exit(1)  # it died before we asked to be told


def _named(worker_id: str | None, number: int) -> dict[str, str]:
    """The name of one of several workers."""
    return {} if worker_id is None else {ID: f"{worker_id}-{number}"}


def _supervise(host: str, port: int | None, role: str, workers: int, worker_id: str | None, log: str) -> int:
    """Runs several servers on one port; ends them all with itself, and itself when one fails to start."""
    if port == 0:
        raise UsageError("--workers needs a fixed --port")
    command = [sys.executable, "-m", "chittycan.cli.main", "serve", "--host", host, "--role", role, "--log", log]
    command += [] if port is None else ["--port", str(port)]
    environment = os.environ | {SUPERVISOR: str(os.getpid())}
    # In sessions of their own: Ctrl-C would else reach them twice, from the terminal and from here, and a second
    # signal means not to wait for streams.
    children = [
        subprocess.Popen(  # noqa: S603 (ours)
            command, env=environment | {SHARED: str(number)} | _named(worker_id, number), start_new_session=True
        )
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
