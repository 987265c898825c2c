"""Reads both files of a configuration folder into `Settings`."""

import json
import os
import stat
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from chittycan.config.parsing import Reader, join, parse
from chittycan.config.places import folder as default_folder
from chittycan.config.references import is_reference
from chittycan.config.settings import (
    CONFIG_FILE,
    DEFAULT_SERVER,
    MODELS_FILE,
    ConfigFile,
    ConnectRemote,
    Finding,
    ModelsFile,
    ProxySettings,
    Region,
    Server,
    Settings,
    listed,
)
from chittycan.errors import ConfigError

CONNECT = "chittyconnect"
REMOTE_TYPES = (
    "notion-database", "notion-page", "notion-view", "github-project", "rclone", "mcp-server", "cloudflare", "neon",
    "ssh", "ai-platform", "api", "sdk", CONNECT, "chittyrouter", "chittyregistry",
)  # fmt: skip
REGION_SOURCE = "CHITTY_REGION"
SECTIONS = ("nudges", "sync", "extensions", "mcp", "cleanup", "cache")


def load(folder: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """The settings in `folder` (default: `config.folder(env)`). A missing file is an empty one.

    Raises ConfigError where a file is unreadable, broken, or holds a value of a wrong type. Never writes.
    """
    env = os.environ if env is None else env
    folder = default_folder(env) if folder is None else folder
    config, models = (read_document(folder / name) for name in (CONFIG_FILE, MODELS_FILE))
    settings = settings_from(config, models, folder)
    if named := env.get(REGION_SOURCE):
        settings = msgspec.structs.replace(settings, regions=_regions(named))
    exposed = tuple(_exposed(folder / name, document) for name, document in ((CONFIG_FILE, config),))
    return msgspec.structs.replace(settings, warnings=settings.warnings + tuple(filter(None, exposed)))


def _regions(named: str) -> tuple[str, ...]:
    regions = tuple(each.strip() for each in named.split(",") if each.strip())
    try:
        return msgspec.convert(regions, tuple[Region, ...])
    except msgspec.ValidationError:
        fix = "Letters, digits, dots and dashes, several with commas between: eu-west,eu-central."
        raise ConfigError(f"'{named[:100]}' names no regions", file=REGION_SOURCE, fix=fix) from None


def read_document(file: Path) -> dict[str, Any]:
    """The JSON object in `file`; {} where there is none. Raises ConfigError."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        fix = "Make it a file that you may read (chmod 600)."
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(file), fix=fix) from None
    return parse(data, str(file))


def read_models(file: Path) -> dict[str, Any]:
    """The document of a models.json of any name. Raises ConfigError where it is missing, broken, or of a wrong type."""
    if not file.exists():
        raise ConfigError("there is no such file", file=str(file), fix="Name a file like models.json.")
    document = read_document(file)
    Reader(str(file), {}).read(document, ModelsFile)
    return document


def settings_from(config: Mapping[str, Any], models: Mapping[str, Any], folder: Path) -> Settings:
    """Both documents, checked and merged. Raises ConfigError on a wrong type."""
    config_reader, models_reader = readers(folder)
    own = config_reader.read(config, ConfigFile)
    others = models_reader.read(models, ModelsFile)
    _look_at_webhooks(own, config_reader)
    server, proxies = _connect(own, config_reader)
    assignments = {**others.assignments}
    for kind, model in own.model_assignments.items():
        assignments.setdefault(kind, model)
    return Settings(
        folder=folder,
        server=server,
        proxies=proxies,
        assignments=assignments,
        fallbacks={name: listed(chain) for name, chain in others.fallbacks.items()},
        models=others.models,
        ensembles=others.ensembles,
        routing=others.routing,
        budgets=own.budgets,
        privacy=own.privacy,
        embedded=own.embedded,
        outbound=own.outbound,
        webhooks=own.webhooks,
        smtp=own.smtp,
        context=own.context,
        tasks=own.tasks,
        regions=own.regions,
        remotes=own.remotes,
        inbox=own.inbox,
        integrations=own.integrations,
        sections={name: getattr(own, name) for name in SECTIONS},
        warnings=(*config_reader.findings, *models_reader.findings),
    )


def readers(folder: Path) -> tuple[Reader, Reader]:
    """The readers of config.json and models.json; each knows which keys belong to the other."""
    keys = {
        name: {each.encode_name: name for each in msgspec.structs.fields(shape)}
        for name, shape in ((CONFIG_FILE, ConfigFile), (MODELS_FILE, ModelsFile))
    }
    return (
        Reader(str(folder / CONFIG_FILE), keys[MODELS_FILE]),
        Reader(str(folder / MODELS_FILE), keys[CONFIG_FILE]),
    )


def _connect(config: ConfigFile, reader: Reader) -> tuple[Server, dict[str, ProxySettings]]:
    """The server and the proxies of all `chittyconnect` remotes; the first one to name something wins."""
    server = Server()
    proxies: dict[str, ProxySettings] = {}
    for name, remote in config.remotes.items():
        at = join("remotes", name)
        if not _is_connect(remote, at, reader):
            continue
        connect = reader.read({"type": CONNECT, **remote}, ConnectRemote, at)
        if not server.configured and (connect.base_url or connect.api_token):
            base_url = (connect.base_url or DEFAULT_SERVER).rstrip("/")
            server = Server(base_url=base_url, api_token=connect.api_token, configured=True)
        for proxy, settings in connect.proxies.items():
            if proxy in proxies:
                reader.note(join(f"{at}.proxies", proxy), "already set by another remote, ignored")
            else:
                proxies[proxy] = settings
    return server, proxies


def _look_at_webhooks(config: ConfigFile, reader: Reader) -> None:
    """Raises ConfigError for a URL that cannot be one."""
    for place, each in enumerate(config.webhooks):
        at = f"webhooks.{place}"
        if not each.url.lower().startswith(("https://", "http://")):
            fix = "Write it like https://hooks.example.com/path."
            raise ConfigError("expected an http or https address", file=reader.file, key=f"{at}.url", fix=fix)
        if not each.secret and not config.outbound.webhook_secret:
            reader.note(at, "has no secret, and nothing is sent unsigned", "set its secret, or outbound.webhookSecret")


def _is_connect(remote: Mapping[str, Any], at: str, reader: Reader) -> bool:
    kind = remote.get("type")
    if kind == CONNECT:
        return True
    if kind is None and "proxies" in remote:
        reader.note(join(at, "type"), "missing", f'taken as "{CONNECT}", because it has proxies')
        return True
    if kind not in REMOTE_TYPES:
        near = get_close_matches(str(kind), REMOTE_TYPES, n=1, cutoff=0.6) if kind else []
        reader.note(join(at, "type"), "unknown type, remote ignored", f'did you mean "{near[0]}"?' if near else None)
    return False


def _exposed(file: Path, document: Mapping[str, Any]) -> Finding | None:
    """A warning where a file that holds literal secrets can be read by others."""
    if os.name != "posix" or not file.exists() or not stat.S_IMODE(file.stat().st_mode) & 0o077:
        return None
    if not _holds_literal(document):
        return None
    return Finding(str(file), "apiKey", "holds secrets and can be read by others", f"chmod 600 {json.dumps(str(file))}")


def _holds_literal(value: Any, key: str = "") -> bool:
    if isinstance(value, dict):
        return any(_holds_literal(inner, name) for name, inner in value.items())
    if isinstance(value, list):
        return any(_holds_literal(inner, key) for inner in value)
    secret = key.lower().endswith(("apikey", "apitoken", "token", "password", "secret"))
    return secret and isinstance(value, str) and bool(value) and not is_reference(value)
