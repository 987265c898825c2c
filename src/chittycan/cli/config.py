"""`can config`: sets providers up step by step, shows what is configured, and checks the files.

It writes references to keys; a key that is pasted goes into a private file of its own.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from chittycan.cli.imports import import_
from chittycan.cli.output import Json, console, done, plain, print_json, progress, table
from chittycan.errors import ConfigError

if TYPE_CHECKING:
    from chittycan.config import Settings

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Set up remotes and providers, step by step; show, path, check, import.",
)

FIRST = ("openai", "anthropic")  # asked for whether or not a key was found
LOCAL = "local"
HIDDEN = "(hidden)"


class Surroundings(Struct, frozen=True):
    """What there is already, and what was found on this machine. `keys`: vendor → variable in the environment."""

    settings: Any
    keys: Mapping[str, str]
    servers: Mapping[str, Any]
    embedded: str | None  # why the embedded model cannot run, None where it can

    @property
    def folder(self) -> Path:
        folder: Path = self.settings.folder
        return folder


@app.callback(invoke_without_command=True)
def config(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take everything that is found.")] = False,
) -> None:
    """Set up remotes and providers, step by step. Without a terminal, everything that is found is taken."""
    if context.invoked_subcommand is not None:
        return
    with progress("looking around"):
        around = _look()
    _say_found(around)
    silent = yes or not sys.stdin.isatty()
    changed = _take_all(around) if silent else _ask(around)
    if changed is None:
        return
    _finish(around.folder, changed)


def _look() -> Surroundings:
    from chittycan.app import embedded_missing
    from chittycan.config import load
    from chittycan.providers.discovery import discover, environment_keys

    keys = {found.vendor: found.variable for found in environment_keys(os.environ)}
    settings = load()
    missing = embedded_missing() if settings.embedded.enabled else "the embedded model is switched off in config.json"
    return Surroundings(settings, keys, asyncio.run(discover()), missing)


def _say_found(around: Surroundings) -> None:
    from chittycan.providers.vendors import vendors

    console.print("[bold]Found on this machine[/]")
    for vendor, variable in around.keys.items():
        done(f"{plain(vendors()[vendor].name)} [dim]{variable} is set[/]")
    for server in around.servers.values():
        done(f"{plain(vendors()[server.vendor].name)} [dim]{plain(server.url)}, {len(server.models)} models[/]")
    if around.embedded is None:
        done("the embedded model smollm2 [dim]needs no key and no network[/]")
    else:
        console.print(f"[dim]– {plain(around.embedded)}[/]")
    for name, proxy in around.settings.proxies.items():
        state = "enabled" if proxy.enabled else "switched off"
        console.print(f"[dim]· {plain(name)} is in config.json, {state}[/]")
    console.print()


def _take_all(around: Surroundings) -> bool:
    """Everything found that config.json does not speak of yet."""
    from chittycan.config.editing import set_proxy

    changed = False
    for vendor, variable in around.keys.items():
        if vendor not in around.settings.proxies:
            changed |= set_proxy(around.folder, vendor, apiKey=f"env:{variable}")
    if LOCAL not in around.settings.proxies and (around.servers or around.embedded is None):
        changed |= set_proxy(around.folder, LOCAL)
    return changed


# step by step


def _ask(around: Surroundings) -> bool | None:
    """The steps; None where the user wants nothing."""
    has_remote = around.settings.server.configured or bool(around.settings.proxies)
    remote = "Change the remote ChittyConnect" if has_remote else "New remote"
    if _choose("What now?", (remote, "Quit")) == 1:
        return None
    if not has_remote:
        _choose("Which type of remote?", ("ChittyConnect: the models of all providers, through one gateway",))
    changed = _ask_server(around)
    others = [vendor for vendor in (*around.keys, *around.settings.proxies) if vendor not in (*FIRST, LOCAL)]
    for name in (*FIRST, *dict.fromkeys(others)):
        changed |= _ask_provider(around, name)
    changed |= _ask_local(around)
    while name := typer.prompt("Another provider? (its name; Enter for none)", default="", show_default=False).strip():
        changed |= _ask_provider(around, name, wanted=True)
    return changed


def _choose(question: str, choices: tuple[str, ...]) -> int:
    console.print(f"[bold]{question}[/]")
    for number, choice in enumerate(choices, start=1):
        console.print(f"  {number}) {choice}")
    while True:
        answer: str = typer.prompt("Number", default="1")
        if answer.isdigit() and 1 <= int(answer) <= len(choices):
            console.print()
            return int(answer) - 1
        console.print(f"[yellow]A number from 1 to {len(choices)}, please.[/]")


def _ask_server(around: Surroundings) -> bool:
    from chittycan.cli.session import is_local
    from chittycan.config.editing import set_server

    old = around.settings.server
    url = typer.prompt("Server (Enter: this machine)", default=old.base_url).strip().rstrip("/")
    while not url.startswith(("http://", "https://")):
        console.print("[yellow]An address like http://127.0.0.1:8787, please.[/]")
        url = typer.prompt("Server", default=old.base_url).strip().rstrip("/")
    token = old.api_token
    if not is_local(url) and token is None:
        token = _ask_key(around.folder, "connect", "A key of that server")
    return set_server(around.folder, url, token)


def _ask_provider(around: Surroundings, name: str, wanted: bool = False) -> bool:
    from chittycan.config.editing import set_proxy
    from chittycan.providers.vendors import vendor

    known, proxy, variable = vendor(name), around.settings.proxies.get(name), around.keys.get(name)
    title = known.name if known else name
    default = bool(variable) or bool(proxy and proxy.enabled)
    if not wanted and not typer.confirm(f"Enable {title}?", default=default):
        return set_proxy(around.folder, name, enabled=False) if default else False
    values: dict[str, Any] = {"enabled": True}
    if known is None and not (proxy and proxy.endpoint):
        values["endpoint"] = typer.prompt("  Its base URL, as its own SDK takes it").strip()
    if proxy is not None and proxy.api_keys:
        console.print("  [dim]keeps its key as it is[/]")
    elif variable:
        values["apiKey"] = f"env:{variable}"
        console.print(f"  [dim]key: env:{variable}[/]")
    elif known is None or known.keys:
        values["apiKey"] = _ask_key(around.folder, name, "  Its API key")
    old = (proxy.default_model if proxy else None) or (known.default_model if known else None)
    model = typer.prompt("  Default model", default=old or "", show_default=bool(old)).strip()
    if model and (known is None or model != known.default_model or proxy):
        values["defaultModel"] = model
    return set_proxy(around.folder, name, **values)


def _ask_key(folder: Path, name: str, question: str) -> str | None:
    """A reference; what is no reference is a key, which goes into a private file."""
    from chittycan.config import is_reference
    from chittycan.config.editing import keep_secret

    text = f"{question} (env:NAME, file:PATH, or paste it; not shown)"
    given: str = typer.prompt(text, default="", show_default=False, hide_input=True).strip()
    if not given:
        console.print("  [dim]none[/]")
        return None
    if is_reference(given):
        return given
    reference = keep_secret(folder, name, given)
    console.print(f"  [dim]kept in {plain(str(folder / reference.removeprefix('file:')))}, for your eyes only[/]")
    return reference


def _ask_local(around: Surroundings) -> bool:
    from chittycan.config.editing import set_proxy

    proxy = around.settings.proxies.get(LOCAL)
    names = [server.url for server in around.servers.values()]
    what = names[0] if names else "the embedded model" if around.embedded is None else "none found yet"
    default = proxy.enabled if proxy is not None else bool(names) or around.embedded is None
    if not typer.confirm(f"Enable local models ({what})?", default=default):
        return set_proxy(around.folder, LOCAL, enabled=False) if default else False
    if proxy is not None and proxy.endpoint is not None:
        return set_proxy(around.folder, LOCAL, enabled=True)
    endpoint = typer.prompt("  Endpoint (Enter: whichever answers)", default="", show_default=False).strip()
    return set_proxy(around.folder, LOCAL, enabled=True, **({"endpoint": endpoint} if endpoint else {}))


def _finish(folder: Path, changed: bool) -> None:
    """What the doctor makes of it: everything that is not well, and the count."""
    from chittycan.cli.doctor import examine, show
    from chittycan.config import CONFIG_FILE

    text = f"{plain(str(folder / CONFIG_FILE))} is written" if changed else "nothing had to be changed"
    done(f"{text}\n")
    with progress("looking whether it works"):
        checks, _ = asyncio.run(examine(os.environ, deep=False))
    show(checks, brief=True)


app.command("import")(import_)


# looking at it


@app.command("path")
def path(json: Json = False) -> None:
    """Where the configuration and the data are."""
    from chittycan.config import CONFIG_FILE, MODELS_FILE, folder

    place = folder()
    if json:
        print_json({"folder": str(place), "config": str(place / CONFIG_FILE), "models": str(place / MODELS_FILE),
                    "database": _database()})  # fmt: skip
    else:
        typer.echo(str(place))


@app.command("show")
def show_(json: Json = False) -> None:
    """What is configured, as the program reads it; secrets are never shown."""
    from chittycan.config import load

    settings = load()
    found = _shown(settings)
    if json:
        print_json(found)
        return
    console.print(f"[dim]{plain(found['folder'])} · {plain(found['database'])} · {plain(found['server'])}[/]\n")
    table(
        ("provider", "enabled", "key", "default model", "endpoint"),
        [(name, row["enabled"], ", ".join(row["apiKey"]) or None, row["defaultModel"], row["endpoint"])
         for name, row in found["proxies"].items()],
        empty="no provider in config.json; what is found on this machine is used all the same",
    )  # fmt: skip
    for title, rows in (("Assignments", found["assignments"]), ("Fallbacks", found["fallbacks"])):
        if rows:
            console.print(f"\n[bold]{title}[/]")
        for name, value in rows.items():
            shown = value if isinstance(value, str) else " → ".join(value)
            console.print(f"  {plain(name)}: {plain(shown)}")
    for warning in found["warnings"]:
        console.print(f"[yellow]![/] {plain(warning)}")


@app.command("check")
def check(json: Json = False) -> None:
    """Read both files and say what is wrong or odd in them. Exits with 1 where they are broken."""
    from chittycan.config import load

    try:
        settings = load()
    except ConfigError as error:
        if not json:
            raise
        print_json({"ok": False, "file": error.file, "line": error.line, "key": error.key, "message": error.message,
                    "fix": error.fix})  # fmt: skip
        raise typer.Exit(1) from None
    warnings = [str(warning) for warning in settings.warnings]
    if json:
        print_json({"ok": True, "warnings": warnings})
        return
    for warning in warnings:
        console.print(f"[yellow]![/] {plain(warning)}")
    done(f"the files in {plain(str(settings.folder))} can be read" + (", with remarks" if warnings else ""))


def _shown(settings: "Settings") -> dict[str, Any]:
    from chittycan.config import is_reference

    proxies = {
        name: {
            "enabled": proxy.enabled,
            "apiKey": [key if is_reference(key) else HIDDEN for key in proxy.api_keys],
            "endpoint": proxy.endpoint,
            "dialect": proxy.dialect,
            "defaultModel": proxy.default_model,
            "headers": {key: value if is_reference(value) else HIDDEN for key, value in proxy.headers.items()},
        }
        for name, proxy in settings.proxies.items()
    }
    return {
        "folder": str(settings.folder), "database": _database(), "server": settings.server.base_url,
        "proxies": proxies, "assignments": dict(settings.assignments),
        "fallbacks": {name: list(chain) for name, chain in settings.fallbacks.items()},
        "models": sorted(settings.models), "budgets": {"day": settings.budgets.day, "month": settings.budgets.month},
        "privacy": settings.privacy_mode, "warnings": [str(warning) for warning in settings.warnings],
    }  # fmt: skip


def _database() -> str:
    """The database's URL without its password."""
    from chittycan.config import database_url

    url = database_url()
    scheme, _, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}@{place}" if at else url
