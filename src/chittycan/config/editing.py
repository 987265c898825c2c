"""Changes to the configuration files: atomic, private to the owner, and nothing else in the file moves."""

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chittycan.config.reading import CONNECT, read_document, settings_from
from chittycan.config.references import FILE, is_reference
from chittycan.config.settings import CONFIG_FILE, DEFAULT_SERVER, MODELS_FILE
from chittycan.errors import ConfigError, UsageError

Change = Callable[[dict[str, Any]], None]


def update(file: Path, change: Change) -> bool:
    """Apply `change` to the JSON object in `file` (config.json or models.json) and write it back; True if it differs.

    Unknown keys and the order of keys stay. Raises ConfigError, and leaves the file alone, where it is broken
    now or would be wrong afterwards.
    """
    folder = file.parent
    _make_private_folder(folder)
    with _locked(folder):
        document = read_document(file)
        _check(file, document)
        before = json.dumps(document)
        change(document)
        if json.dumps(document) == before and file.exists():
            return False
        _check(file, document)
        write_private(file, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return True


def _check(file: Path, document: dict[str, Any]) -> None:
    config, models = (document, {}) if file.name == CONFIG_FILE else ({}, document)
    settings_from(config, models, file.parent)


def set_proxy(folder: Path, name: str, **values: Any) -> bool:
    """Create the proxy `name`, or change the given keys of it (as they are called in the file; None removes one).

    Raises UsageError where `apiKey` is a literal: configuration that we write holds references only.
    """
    for reference in _references(values.get("apiKey")):
        if not is_reference(reference):
            raise UsageError(
                "A key is not written into config.json as it is.",
                fix="Give env:NAME or file:PATH, or keep it in a private file with `keep_secret`.",
            )

    def change(document: dict[str, Any]) -> None:
        _apply(_inside(_proxies(document, name), name, {"enabled": True}), values)

    return update(folder / CONFIG_FILE, change)


def set_default_model(folder: Path, proxy: str, model: str) -> bool:
    """Make `model` the proxy's default."""
    return set_proxy(folder, proxy, defaultModel=model)


def remove_proxy(folder: Path, name: str) -> bool:
    return update(folder / CONFIG_FILE, lambda document: _proxies(document, name).pop(name, None))


def set_server(folder: Path, base_url: str, api_token: str | None = None) -> bool:
    """Say which server the command talks to; `api_token` is a reference."""
    if api_token is not None and not is_reference(api_token):
        raise UsageError("A token is not written into config.json as it is.", fix="Give env:NAME or file:PATH.")

    def change(document: dict[str, Any]) -> None:
        _apply(_connect_remote(document), {"baseUrl": base_url, "apiToken": api_token})

    return update(folder / CONFIG_FILE, change)


def set_assignment(folder: Path, kind: str, model: str | None) -> bool:
    """Assign a kind of task to a model in models.json; None removes the assignment."""

    def change(document: dict[str, Any]) -> None:
        _apply(_inside(document, "assignments"), {kind: model})

    return update(folder / MODELS_FILE, change)


def set_fallbacks(folder: Path, name: str, models: Iterable[str]) -> bool:
    """The models that stand in for `name` (`*`: the default chain), in order; none removes the entry."""
    chain = list(dict.fromkeys(models)) or None

    def change(document: dict[str, Any]) -> None:
        _apply(_inside(document, "fallbacks"), {name: chain})

    return update(folder / MODELS_FILE, change)


def set_model(folder: Path, name: str, **values: Any) -> bool:
    """Define the model `name` in models.json, or change the given keys of it (as called in the file)."""

    def change(document: dict[str, Any]) -> None:
        _apply(_inside(_inside(document, "models"), name), values)

    return update(folder / MODELS_FILE, change)


def keep_secret(folder: Path, name: str, value: str) -> str:
    """Keep a secret in a 0600 file below `folder`; returns the reference to write into the configuration."""
    name = re.sub(r"[^\w.-]", "_", name).lstrip(".") or "key"
    _make_private_folder(folder)
    _make_private_folder(folder / "secrets")
    write_private(folder / "secrets" / name, value.strip() + "\n")
    return f"{FILE}secrets/{name}"


def write_private(file: Path, text: str) -> None:
    """Replace `file` in one step, readable by its owner only. A symbolic link stays one; its target is replaced."""
    target = file.resolve()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # created 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems refuse this on a folder
        pass
    finally:
        os.close(descriptor)


def _make_private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}", file=str(folder), fix="Choose another folder.") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time, over processes: the server and a command may both be editing."""
    try:
        import fcntl
    except ImportError:  # Windows: the atomic replace still keeps the file whole
        yield
        return
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _connect_remote(document: dict[str, Any], proxy: str | None = None) -> dict[str, Any]:
    """The remote of type `chittyconnect`: the one that has `proxy`, else the first, else a new one."""
    remotes = _inside(document, "remotes")
    connects = [
        remote
        for remote in remotes.values()
        if isinstance(remote, dict) and remote.get("type", CONNECT if "proxies" in remote else "") == CONNECT
    ]
    having = [remote for remote in connects if proxy in (remote.get("proxies") or ())]
    if connects:
        return (having or connects)[0]
    free = "connect" if remotes.get("connect") is None else CONNECT
    return _inside(remotes, free, {"type": CONNECT, "baseUrl": DEFAULT_SERVER})


def _proxies(document: dict[str, Any], name: str) -> dict[str, Any]:
    return _inside(_connect_remote(document, name), "proxies")


def _inside(document: dict[str, Any], key: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object at `key`, made where it is missing."""
    if document.get(key) is None:
        document[key] = dict(default or {})
    inner: dict[str, Any] = document[key]
    return inner


def _apply(target: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value


def _references(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
