"""What is measured: how each gateway is installed, configured, started on its core and stopped."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from bench.load import Target
from bench.upstream import ANTHROPIC_MODEL, OPENAI_MODEL

HERE = Path(__file__).resolve().parent
ENVS = HERE / "envs"
GATEWAY_CORE, LOAD_CORE = 0, 1
CROSS_MODEL = "claude"  # asked for in OpenAI's dialect, served by the Anthropic upstream


class CannotRunError(Exception):
    """This gateway cannot be run on this machine; the message says why."""


def pin(core: int) -> None:
    """Put this process on one core, where the machine has more than one."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


def pinned(core: int) -> list[str]:
    """The words before a command that keep it on one core."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > core else []


class Gateway:
    """One contestant. `key` is what clients send; `crosses` says whether it translates between dialects."""

    name: ClassVar[str]
    crosses: ClassVar[bool] = False
    ready_path: ClassVar[str | None] = None
    boot_seconds: ClassVar[float] = 90.0

    def __init__(self, port: int, upstream: int) -> None:
        self.port, self.upstream = port, upstream
        self.key = "sk-bench"
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.version = "?"

    def prepare(self) -> None:
        """Install what is missing and write the configuration; `CannotRunError` when that cannot be."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> float:
        """Start on the gateway's core; seconds until it answers."""
        self.prepare()
        log = (self.folder / "log.txt").open("wb")
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            [*pinned(GATEWAY_CORE), *self.command()],
            env=os.environ | self.environment(),
            cwd=self.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        while not self._answers():
            if self.process.poll() is not None or time.perf_counter() - begun > self.boot_seconds:
                raise CannotRunError(f"{self.name} did not start:\n{self.log()[-2000:]}")
            time.sleep(0.005)
        return time.perf_counter() - begun

    def stop(self) -> None:
        """Ask, wait, insist; then remove what it wrote."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        path = self.folder / "log.txt"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def target(self, *, stream: bool = False, cross: bool = False) -> Target:
        model = CROSS_MODEL if cross else OPENAI_MODEL
        return Target("127.0.0.1", self.port, key=self.key, model=model, stream=stream)

    def resident(self) -> float:
        """MB of memory of the process and its children (their RSS added up)."""
        assert self.process is not None
        return sum(_rss(pid) for pid in _tree(self.process.pid))

    def processor_seconds(self) -> float:
        """Processor time that the process and its children have used so far (user and system)."""
        assert self.process is not None
        return sum(_processor_seconds(pid) for pid in _tree(self.process.pid))

    def _answers(self) -> bool:
        url = f"http://127.0.0.1:{self.port}{self.ready_path or '/'}"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except urllib.error.HTTPError:
            return self.ready_path is None
        except OSError:
            return False


def _rss(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((each for each in text.splitlines() if each.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> Iterable[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def environment_with(name: str, *requirements: str) -> Path:
    """A virtual environment of its own under `envs/`, made on first use; its `bin` folder."""
    folder = ENVS / name
    if not (folder / "installed").exists():
        print(f"installing {' '.join(requirements)} into {folder} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *requirements], check=True)
        (folder / "installed").write_text("\n".join(requirements))
    return folder / "bin"


def distribution_version(bin_folder: Path, name: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run(
        [bin_folder / "python", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


class Direct(Gateway):
    """No gateway: what the load and the upstream can do by themselves."""

    name = "direct"

    def start(self) -> float:
        self.port, self.version = self.upstream, "-"
        return 0.0

    def resident(self) -> float:
        return 0.0

    def processor_seconds(self) -> float:
        return 0.0


class Nginx(Gateway):
    """A bare proxy, without keys, logs or any look into the body: the ceiling."""

    name = "nginx"

    def prepare(self) -> None:
        if shutil.which("nginx") is None:
            raise CannotRunError("nginx is not installed (apt-get install nginx)")
        banner = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
        self.version = banner.strip().rpartition("/")[2]
        config = f"""
            daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log crit;
            events {{ worker_connections 2048; }}
            http {{
              access_log off; keepalive_requests 100000000; client_body_temp_path {self.folder}/body;
              proxy_temp_path {self.folder}/proxy; fastcgi_temp_path {self.folder}/f; scgi_temp_path {self.folder}/s;
              uwsgi_temp_path {self.folder}/u;
              upstream up {{ server 127.0.0.1:{self.upstream}; keepalive 256; keepalive_requests 100000000; }}
              server {{
                listen 127.0.0.1:{self.port} backlog=1024;
                location / {{
                  proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
                }}
              }}
            }}"""
        (self.folder / "nginx.conf").write_text(config)

    def command(self) -> list[str]:
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]


class Rolter(Gateway):
    """A gateway in Rust, from PyPI; without keys or budgets, as its quickstart has it."""

    name = "rolter"
    crosses = True

    def prepare(self) -> None:
        bin_folder = environment_with("rolter", "rolter==0.1.0")
        self.version = distribution_version(bin_folder, "rolter")
        self._program = bin_folder / "rolter"
        config = f"""
            [server]
            host = "127.0.0.1"
            port = {self.port}
            [[providers]]
            name = "up"
            kind = "openai_compatible"
            api_base = "http://127.0.0.1:{self.upstream}"
            [[providers]]
            name = "claude"
            kind = "anthropic"
            api_base = "http://127.0.0.1:{self.upstream}"
            api_key = "sk-up"
            [[routes]]
            model = "{OPENAI_MODEL}"
            strategy = "round_robin"
            [[routes.targets]]
            provider = "up"
            model = "{OPENAI_MODEL}"
            [[routes]]
            model = "{CROSS_MODEL}"
            strategy = "round_robin"
            [[routes.targets]]
            provider = "claude"
            model = "{ANTHROPIC_MODEL}"
            """
        (self.folder / "r.toml").write_text(config)

    def command(self) -> list[str]:
        return [str(self._program), "gateway", "-c", str(self.folder / "r.toml")]

    def environment(self) -> dict[str, str]:
        return {"RUST_LOG": "error"}


class LiteLLM(Gateway):
    """The proxy of LiteLLM with one worker and a master key; no database, so no budgets and no ledger."""

    name = "litellm"
    crosses = True
    ready_path = "/health/liveliness"

    def prepare(self) -> None:
        bin_folder = environment_with("litellm", "litellm[proxy]")
        self.version = distribution_version(bin_folder, "litellm")
        self._program = bin_folder / "litellm"
        self.key = "sk-" + os.urandom(24).hex()
        base = f"http://127.0.0.1:{self.upstream}"
        models = [
            _litellm_model(OPENAI_MODEL, f"openai/{OPENAI_MODEL}", f"{base}/v1"),
            _litellm_model(CROSS_MODEL, f"anthropic/{ANTHROPIC_MODEL}", base),
        ]
        config: dict[str, Any] = {
            "model_list": models,
            "router_settings": {"num_retries": 0},
            "litellm_settings": {"callbacks": [], "request_timeout": 30},
            "general_settings": {"master_key": self.key},
        }
        (self.folder / "c.yaml").write_text(json.dumps(config))  # JSON is YAML

    def command(self) -> list[str]:
        options = ["--config", str(self.folder / "c.yaml"), "--host", "127.0.0.1", "--port", str(self.port)]
        return [str(self._program), *options, "--num_workers", "1", "--telemetry", "False"]

    def environment(self) -> dict[str, str]:
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "HF_HUB_OFFLINE": "1"}


def _litellm_model(name: str, model: str, base: str) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, "api_base": base, "api_key": "sk-up"}}


class ChittyCan(Gateway):
    """Ours with everything on: a virtual key with budget and limits, prices, fallbacks, the ledger, the decision."""

    name = "chittycan"
    crosses = True
    ready_path = "/ready"
    boot_seconds = 30.0
    role = "gateway"

    def prepare(self) -> None:
        self._program = Path(sys.executable).with_name("can")
        if not self._program.exists():
            raise CannotRunError(f"no command `can` beside {sys.executable}")
        self._write_configuration()
        self.version = distribution_version(self._program.parent, "chittycan")
        made = self._can("keys", "create", "--name", "bench", "--budget", "1000000/day", "--rpm", "100000000", "--json")
        self.key = json.loads(made)["key"]

    def _write_configuration(self) -> None:
        config = self.folder / "config"
        config.mkdir(exist_ok=True)
        base = f"http://127.0.0.1:{self.upstream}"
        proxies = {
            "up": {"enabled": True, "endpoint": f"{base}/v1", "dialect": "openai", "apiKey": "sk-up"},
            "claude": {"enabled": True, "endpoint": base, "dialect": "anthropic", "apiKey": "sk-up"},
        }
        remote = {"type": "chittyconnect", "baseUrl": f"http://127.0.0.1:{self.port}", "proxies": proxies}
        (config / "config.json").write_text(json.dumps({"remotes": {"connect": remote}}))
        price = {"input": 2.5, "output": 10.0}
        models = {
            OPENAI_MODEL: {"proxy": "up", "upstream": OPENAI_MODEL, "price": price, "contextWindow": 128000},
            "spare": {"proxy": "up", "upstream": "spare", "price": price},
            CROSS_MODEL: {"proxy": "claude", "upstream": ANTHROPIC_MODEL, "price": price},
        }
        fallbacks = {OPENAI_MODEL: ["spare"], CROSS_MODEL: ["spare"]}
        (config / "models.json").write_text(json.dumps({"models": models, "fallbacks": fallbacks}))
        for name in ("config.json", "models.json"):
            (config / name).chmod(0o600)

    def command(self) -> list[str]:
        return [str(self._program), "serve", "--port", str(self.port), "--role", self.role]

    def environment(self) -> dict[str, str]:
        return {
            "CHITTY_CONFIG_DIR": str(self.folder / "config"),
            "CHITTY_DATABASE_URL": f"sqlite:///{self.database}",
            "XDG_DATA_HOME": str(self.folder / "data"),
            "NO_COLOR": "1",
        }

    @property
    def database(self) -> Path:
        return self.folder / "chitty.db"

    def ledger_rows(self) -> int:
        """Attempts in the ledger; ask after `stop_serving`, when all is written."""
        with closing(sqlite3.connect(self.database)) as connection:
            return int(connection.execute("SELECT count(*) FROM ledger").fetchone()[0])

    def stop_serving(self) -> None:
        """End the server as a user would, and keep its files."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def _can(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, *arguments],
            env=os.environ | self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotRunError(f"`can {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}")
        return done.stdout


class AllInOne(ChittyCan):
    """Ours with every role in one process."""

    name = "chittycan-all"
    role = "all"


GATEWAYS: dict[str, type[Gateway]] = {each.name: each for each in (Direct, Nginx, ChittyCan, Rolter, LiteLLM)}
