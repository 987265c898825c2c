"""Where configuration and state live on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path


def folder(env: Mapping[str, str] | None = None) -> Path:
    """The configuration folder: `$CHITTY_CONFIG_DIR`, else `$XDG_CONFIG_HOME/chitty`, else `~/.config/chitty`."""
    env = os.environ if env is None else env
    if named := env.get("CHITTY_CONFIG_DIR"):
        return _absolute(named, env)
    return _base(env, "XDG_CONFIG_HOME", ".config") / "chitty"


def data_folder(env: Mapping[str, str] | None = None) -> Path:
    """The folder of the database and of models: `$XDG_DATA_HOME/chitty`, else `~/.local/share/chitty`."""
    env = os.environ if env is None else env
    return _base(env, "XDG_DATA_HOME", ".local/share") / "chitty"


def database_url(env: Mapping[str, str] | None = None) -> str:
    """`$CHITTY_DATABASE_URL`, else SQLite in the data folder (an absolute path, hence four slashes)."""
    env = os.environ if env is None else env
    return env.get("CHITTY_DATABASE_URL") or f"sqlite:///{data_folder(env) / 'chitty.db'}"


def _base(env: Mapping[str, str], variable: str, default: str) -> Path:
    # The XDG specification: a relative path in these variables is invalid and to be ignored.
    named = env.get(variable, "")
    return Path(named) if Path(named).is_absolute() else _home(env) / default


def _home(env: Mapping[str, str]) -> Path:
    return Path(env["HOME"]) if env.get("HOME") else Path.home()


def _absolute(path: str, env: Mapping[str, str]) -> Path:
    if path == "~" or path.startswith("~/"):
        return _home(env) / path[2:]
    return Path(path).absolute()
