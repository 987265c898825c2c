"""A home of its own for each test, a provider that runs beside it, and `can` as a person calls it."""

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from chittycan.cli.main import run
from chittycan.testing.scenarios import Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream

Json = dict[str, Any]
KEY = "sk-upstream-CANARY"


@dataclass
class Said:
    """What one call of `can` came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Home:
    """A person's machine: configuration, data, and the working folder."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.path / ".config" / "chitty"

    @property
    def data(self) -> Path:
        return self.path / ".local" / "share" / "chitty"

    def write(self, config: Json, models: Json | None = None) -> None:
        """Both files. The embedded model stays off: no test here is about it."""
        self.config.mkdir(parents=True, exist_ok=True)
        for name, content in (("config.json", {"embedded": {"enabled": False}} | config), ("models.json", models)):
            if content is not None:
                (self.config / name).write_text(json.dumps(content))
                (self.config / name).chmod(0o600)

    def proxies(self, proxies: Json, models: Json | None = None, **remote: Any) -> None:
        self.write({"remotes": {"connect": {"type": "chittyconnect", "proxies": proxies, **remote}}}, models)

    def read(self, name: str = "config.json") -> Any:
        return json.loads((self.config / name).read_text())


@pytest.fixture
def home(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """This process's home for one test: nothing of the real one is seen."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN")) or name.startswith(("CHITTY_", "XDG_", "AZURE_", "AWS_", "GOOGLE_")):
            monkeypatch.delenv(name)
    found = Home(tmp_path / "home", {"HOME": str(tmp_path / "home")})
    monkeypatch.setenv("HOME", str(found.path))
    found.data.mkdir(parents=True)
    (found.path / "work").mkdir()
    monkeypatch.chdir(found.path / "work")
    shutil.copy(migrated_file, found.data / "chitty.db")
    (found.data / "chitty.db").chmod(0o600)
    return found


@pytest.fixture
def can(home: Home, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """`can("ask", "hello", stdin="…")`: the real command line, in this process."""

    def call(*arguments: str, stdin: str | None = None) -> Said:
        with _standard_input(home.path / "stdin", stdin) as file:
            monkeypatch.setattr(sys, "stdin", file)
            capfd.readouterr()
            with pytest.raises(SystemExit) as stop:
                run(list(arguments))
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return Said(int(stop.value.code or 0), said.out, said.err)

    return call


def _standard_input(path: Path, text: str | None) -> io.TextIOWrapper:
    if text is None:
        return open(os.devnull)
    path.write_text(text)
    return path.open()


@pytest.fixture
def shell(home: Home) -> Callable[..., Said]:
    """`can` as a process of its own, as a shell starts it."""

    def call(*arguments: str, **environment: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "chittycan.cli.main", *arguments], env=home.environment | environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    return call


class Beside:
    """An upstream with a thread and a loop of its own, because each call of `can` has its own loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.upstream = ScriptedUpstream()
        self._wait(self.upstream.listen())

    @property
    def url(self) -> str:
        return self.upstream.url

    def script(self, model: str, *steps: str | Scenario) -> None:
        self._loop.call_soon_threadsafe(self.upstream.script, model, steps)

    def asked(self) -> Sequence[str]:
        """The models that were asked for, in order."""
        return [request.model for request in self.upstream.requests]

    def proxies(self, **more: Any) -> Json:
        """config.json's entries for both vendors, answered by this upstream."""
        return {
            "openai": {"endpoint": f"{self.url}/v1", "apiKey": KEY, "defaultModel": "gpt-4o", **more},
            "anthropic": {"endpoint": self.url, "apiKey": KEY, "defaultModel": "claude-sonnet-4-5", **more},
        }

    def end(self) -> None:
        self._wait(self.upstream.vanish())
        self.upstream._closed_port.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@pytest.fixture
def upstream() -> Iterator[Beside]:
    """Both vendors, as one scripted upstream."""
    beside = Beside()
    yield beside
    beside.end()


@pytest.fixture
def server(home: Home, upstream: Beside) -> Iterator[str]:
    """A real `can serve` on this home; its address."""
    home.proxies(upstream.proxies())
    with subprocess.Popen(
        [sys.executable, "-m", "chittycan.cli.main", "serve", "--port", "0", "--json"], env=home.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


class Impostor:
    """Something on a port that calls itself ChittyCan; it keeps what it is sent.

    With `relay` it passes questions on to a real server and answers with what that says.
    """

    def __init__(self) -> None:
        requests: list[tuple[str, dict[str, str]]] = []
        self.requests = requests
        self.relay: str | None = None
        this = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append((self.path, dict(self.headers)))
                body = b'{"status": "ok", "name": "chittycan", "version": "9", "proof": "0123"}'
                if this.relay is not None:
                    with urlopen(this.relay + self.path) as answer:
                        body = answer.read()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    found = Impostor()
    thread = threading.Thread(target=found.http.serve_forever)
    thread.start()
    yield found
    found.http.shutdown()
    thread.join()
    found.http.server_close()


# mail

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "inbox"
LETTER = {
    "about": "your message",
    "body": "Thank you for your message. The lawyer in charge will read it and come back to you soon.",
}


@pytest.fixture
def open_office(home: Home, upstream: Beside) -> Callable[..., Home]:
    """A home whose models read mail (`reader`) and write letters (`writer`)."""

    def opened(**remote: Any) -> Home:
        upstream.script("letters", Scenario(does="a letter", reply=Reply(text=json.dumps(LETTER))))
        models = {
            "reader": {"proxy": "openai", "upstream": "json", "price": {"input": 100, "output": 100}},
            "writer": {"proxy": "openai", "upstream": "letters", "price": {"input": 1000, "output": 1000}},
        }
        assignments = {"email.*": "reader", "email.response": "writer"}
        written = {"models": models, "assignments": assignments, "fallbacks": {"*": ["reader"]}}
        home.proxies(upstream.proxies(), written, **remote)
        return home

    return opened


@pytest.fixture
def office(open_office: Callable[..., Home]) -> Home:
    """Such a home, without a server."""
    return open_office()


@dataclass
class Inbox:
    """What processing the sample inbox came to."""

    report: Any

    def id(self, start: str) -> str:
        """The id of the mail whose file begins so."""
        found: str = next(row["id"] for row in self.report["mails"] if row["key"].startswith(start))
        return found


@pytest.fixture
def processed(can: Callable[..., Said], office: Home) -> Inbox:
    """The sample inbox, processed."""
    return Inbox(can("router", "inbox", "process", "--source", str(SAMPLE), "--json").json)
