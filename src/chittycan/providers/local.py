"""The embedded model: a small language model that runs on this machine, with no key and no network.

`EmbeddedModel` owns one child process (`local_server`), started when first asked for and started again when
it died. Each process that uses it has its own child; a command that finds a running server talks to that
server instead and so shares its child.

Memory with SmolLM2 and the defaults: about 530 MB while it works, 70 MB after five idle minutes (it loads
again in half a second). The model is weak: it shows that the machinery works and answers when nothing else
can; do not take its answers for quality.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from chittycan.clock import Clock, SystemClock
from chittycan.errors import Unavailable
from chittycan.providers import model_files

NAME = "smollm2"
START_SECONDS = 60.0
STOP_SECONDS = 5.0
PAUSE_AFTER_FAILURE = 5.0  # seconds in which a failed start is not tried again

# llama.cpp's threads wait for each other by spinning. Where other programs want the cores too, the one that is
# waited for does not get to run meanwhile: two answers at once took 270 s on two cores with two busy programs
# beside it, and 30 to 60 s with this. On idle cores it makes no difference. (libgomp's manual, GOMP_SPINCOUNT)
_PATIENCE = {"GOMP_SPINCOUNT": "1000"}

_INSTALL = 'install it: python -m pip install "chittycan[local]"'


def default_threads() -> tuple[int, int]:
    """Threads that write one answer, and threads that read prompts or write several answers at once.

    llama.cpp's threads wait for each other many times per token. Where one answer is written by as many
    threads as there are cores and the cores have other work as well, that takes ten times as long as with
    one thread less; reading and batches suffer little. Measured with SmolLM2 on two cores, idle / busy with
    two other programs: writing 89 / below 5 tokens/s with two threads, 52 / 26 with one; reading 250 / 66
    tokens/s with two, 135 / 99 with one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(4, cores - 1)), min(8, cores)


class ServerSettings(Struct, frozen=True, kw_only=True):
    """How the child runs. `threads` None: `default_threads()`."""

    context: int = 8192  # tokens per request; what SmolLM2 was trained for
    threads: int | None = None
    parallel: int = 2  # requests that run at the same time; others queue
    idle: int = 300  # seconds without work after which the child gives its memory back
    max_tokens: int = 1024  # the length of an answer whose request set no limit


class EmbeddedModel:
    """One embedded model. `model_path` None: SmolLM2, fetched on the first start (`model_files.ensure`).

    Closing a request's connection stops its generation.
    """

    def __init__(
        self,
        model_path: Path | None = None,
        *,
        settings: ServerSettings | None = None,
        clock: Clock | None = None,
        log_file: Path | None = None,
    ) -> None:
        self._model_path = model_path
        self._settings = settings or ServerSettings()
        self._clock = clock or SystemClock()
        self._log_file = log_file or model_files.cache_folder().parent / "embedded-model.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._endpoint = ""
        self._starting: asyncio.Task[str] | None = None
        self._failure: tuple[float, Unavailable] | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None and bool(self._endpoint)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self.running else None

    async def endpoint(self) -> str:
        """The base URL of a live server in OpenAI's dialect, such as `http://127.0.0.1:40123/v1`.

        Starts the child, or starts it again when it died. Callers at the same time share one start, and a
        caller that gives up does not stop it for the others. Raises `Unavailable` with the fix.
        """
        if self.running:
            return self._endpoint
        if self._starting is None or self._starting.done():
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(_retrieved)
        return await asyncio.shield(self._starting)

    start = endpoint

    async def stop(self) -> None:
        """End the child and wait until it is gone. A later `endpoint()` starts a new one."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        child, self._child, self._endpoint = self._child, None, ""
        if child is not None:
            await asyncio.to_thread(_end, child)

    async def __aenter__(self) -> "EmbeddedModel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def memory_mb(self) -> float | None:
        """Resident memory of the child in MB (10⁶ bytes), or None while it does not run."""
        return _resident_mb(self.pid) if self.pid is not None else None

    async def _start(self) -> str:
        if self._failure is not None:
            when, failure = self._failure
            if self._clock.monotonic() - when < PAUSE_AFTER_FAILURE:
                raise failure
        try:
            self._endpoint = await self._launch()
        except Unavailable as error:
            self._failure = (self._clock.monotonic(), error)
            raise
        self._failure = None
        return self._endpoint

    async def _launch(self) -> str:
        if self._model_path is None:
            model = await asyncio.to_thread(model_files.ensure)
        else:
            model = model_files.checked(self._model_path)
        if self._child is not None:
            await asyncio.to_thread(_end, self._child)
        self._child, self._endpoint = None, ""
        # Not in a worker thread: Linux ends the child with the thread that started it.
        child = self._spawn(model)
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await asyncio.to_thread(_first_line, child)
        except asyncio.CancelledError:
            _kill(child)
            raise
        except TimeoutError as error:
            _kill(child)
            raise Unavailable(
                f"the embedded model did not start in {START_SECONDS:.0f} s", fix=f"see {self._log_file}"
            ) from error
        report = _report(line)
        if "endpoint" not in report:
            await asyncio.to_thread(_end, child)
            raise self._failed(report, child.returncode)
        self._child = child
        return str(report["endpoint"])

    def _spawn(self, model: Path) -> subprocess.Popen[bytes]:
        alias = NAME if self._model_path is None else model.stem
        command = [sys.executable, "-m", "chittycan.providers.local_server", "--model", str(model), "--alias", alias]
        command += ["--parent", str(os.getpid()), *_flags(self._settings)]
        with _opened(self._log_file) as log:
            # In a session of its own, so that Ctrl-C at the terminal lets answers in flight be finished.
            return subprocess.Popen(  # noqa: S603 -- our own interpreter; no shell
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_PATIENCE | os.environ,
                start_new_session=True,
            )

    def _failed(self, report: dict[str, Any], status: int) -> Unavailable:
        if report.get("error") == "missing":
            return Unavailable("the embedded model needs the extra `local` (xllamacpp is not installed)", fix=_INSTALL)
        detail = report.get("detail") or f"its process ended with status {status}"
        return Unavailable(f"the embedded model could not start: {detail}", fix=f"see {self._log_file}")


def _flags(settings: ServerSettings) -> list[str]:
    threads, batch_threads = (settings.threads, settings.threads) if settings.threads else default_threads()
    return [
        *("--context", str(settings.context)),
        *("--threads", str(threads)),
        *("--batch-threads", str(batch_threads)),
        *("--parallel", str(settings.parallel)),
        *("--idle", str(settings.idle)),
        *("--max-tokens", str(settings.max_tokens)),
    ]


def _retrieved(task: "asyncio.Task[str]") -> None:
    # Every caller may have left before the start failed; the failure is kept in `_failure` all the same.
    if not task.cancelled():
        task.exception()


def _opened(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
    except OSError:
        return open(os.devnull, "wb")  # a log that cannot be written is no reason not to start


def _first_line(child: subprocess.Popen[bytes]) -> bytes:
    assert child.stdout is not None
    with child.stdout as out:
        return out.readline()


def _report(line: bytes) -> dict[str, Any]:
    try:
        report = json.loads(line)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    _end(child)


def _resident_mb(pid: int) -> float | None:
    statm = Path(f"/proc/{pid}/statm")  # Linux; elsewhere `ps` knows
    try:
        if statm.exists():
            pages = int(statm.read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        listed = subprocess.run(  # noqa: S603 -- a number and constants
            ["ps", "-o", "rss=", "-p", str(pid)],  # noqa: S607 -- where `ps` lies differs between systems
            capture_output=True,
            text=True,
            check=False,
        )
        return int(listed.stdout) * 1024 / 1e6
    except (OSError, ValueError, IndexError):
        return None
