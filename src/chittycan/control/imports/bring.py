"""Brings a foreign configuration file in: reads it, converts it, and writes what it says into ours."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from chittycan.config import CONFIG_FILE, MODELS_FILE, settings_from
from chittycan.config.editing import keep_secret, set_proxy, update
from chittycan.config.reading import read_document
from chittycan.control.imports.findings import Imported, Where
from chittycan.control.imports.litellm import convert
from chittycan.errors import ConfigError, Unavailable

LARGEST = 5_000_000  # bytes of a configuration file
MOST_NODES = 200_000


def read(path: Path) -> Imported:
    """What LiteLLM's configuration in `path` means here. Raises ConfigError where it cannot be read."""
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"larger than {LARGEST:,} bytes", file=str(path), fix="Is it the right file?")
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path), fix="Check the path.") from None
    except UnicodeDecodeError:
        raise ConfigError("is no text in UTF-8", file=str(path), fix="Is it the right file?") from None
    document, lines = parse(text, str(path))
    if not isinstance(document, Mapping) or "model_list" not in document:
        raise ConfigError("has no `model_list`", file=str(path), fix="Give the file that LiteLLM's proxy starts with.")
    return convert(document, lines)


def write(folder: Path, imported: Imported, *, replace: bool = False) -> list[str]:
    """Writes it into config.json and models.json of `folder`; what is there under the same name stays.

    With `replace` it is replaced. Says what stayed. Nothing is written where the outcome would be no configuration:
    raises ConfigError.
    """
    config, models = read_document(folder / CONFIG_FILE), read_document(folder / MODELS_FILE)
    before = settings_from(config, models, folder)
    stayed = [] if replace else [
        *(f"proxy {name}" for name in imported.proxies if name in before.proxies),
        *(f"model {name}" for name in imported.models if name in before.models),
        *(f"fallbacks of {name}" for name in imported.fallbacks if name in before.fallbacks),
    ]  # fmt: skip
    for name, proxy in imported.proxies.items():
        if f"proxy {name}" not in stayed:
            set_proxy(folder, name, **_with_secrets(folder, name, proxy, imported.secrets.get(name, [])))
    if imported.budgets:
        update(folder / CONFIG_FILE, lambda document: _merge(document, "budgets", imported.budgets, replace))

    def change(document: dict[str, Any]) -> None:
        _merge(document, "models", imported.models, replace)
        _merge(document, "fallbacks", {name: chain for name, chain in imported.fallbacks.items() if chain}, replace)

    update(folder / MODELS_FILE, change)
    return stayed


def parse(text: str, name: str) -> tuple[Any, dict[Where, int]]:
    """The value of a YAML text, and the line of every place in it. Raises ConfigError, Unavailable."""
    try:
        import yaml
    except ImportError:
        fix = "pip install 'chittycan[workstreams]'"
        raise Unavailable("reading YAML needs the extra `workstreams`, which is not installed", fix=fix) from None
    try:
        document = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "cannot be read"
        line = None if mark is None else mark.line + 1
        raise ConfigError(f"broken YAML: {what}", file=name, line=line, fix="Correct the text near it.") from None
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", file=name, fix="Correct the file.") from None
    lines: dict[Where, int] = {}
    for at, line in _places(node, ()):
        lines.setdefault(at, line)
        if len(lines) > MOST_NODES:
            raise ConfigError("too many entries", file=name, fix="Is it the right file?")
    return document, lines


def _places(node: Any, at: Where) -> Iterable[tuple[Where, int]]:
    if node is None or len(at) > 50:  # an alias may contain itself
        return
    yield at, node.start_mark.line + 1
    if node.id == "mapping":
        for key, value in node.value:
            place = (*at, str(key.value))
            yield place, key.start_mark.line + 1
            yield from _places(value, place)
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            yield from _places(value, (*at, number))


def _with_secrets(folder: Path, name: str, proxy: Mapping[str, Any], secrets: list[str]) -> dict[str, Any]:
    keys = [
        keep_secret(folder, f"{name}-{number}" if number else name, secrets[number])
        if (number := _secret(key)) is not None
        else key
        for key in proxy.get("apiKey", [])
    ]
    return {**proxy, **({"apiKey": keys if len(keys) > 1 else keys[0]} if keys else {})}


def _secret(key: str) -> int | None:
    kind, _, number = key.partition(":")
    return int(number) if kind == "secret" else None


def _merge(document: dict[str, Any], key: str, values: Mapping[str, Any], replace: bool) -> None:
    if values:
        there = document.setdefault(key, {})
        there.update({name: value for name, value in values.items() if replace or name not in there})
