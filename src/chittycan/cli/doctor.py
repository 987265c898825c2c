"""`can doctor`: what works, what does not, and the fix for each."""

import asyncio
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, count, plain, print_json, progress, seconds

if TYPE_CHECKING:
    from chittycan.config import Settings
    from chittycan.control.checks import Check
    from chittycan.control.server import ServerStatus

MARKS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}
SUMMARY_SECONDS = 10.0  # for a local model to sum up
DEEP_SECONDS = 90.0


def doctor(
    json: Json = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also ask every provider a tiny real question.")] = False,
) -> None:
    """What works, what does not, and the fix for each. Exits with 1 only where something failed."""
    from chittycan.control.checks import counted

    with progress("looking"):
        checks, local = asyncio.run(examine(os.environ, deep))
    totals = counted(checks)
    said = asyncio.run(_summed_up(checks, local)) if local is not None else None
    if json:
        print_json({"checks": checks, "summary": totals} | ({"local_model": said} if said else {}))
    else:
        show(checks)
        if said:
            console.print(f"\n[dim]{plain(said['model'])} sums up (a model may err; the lines above count):[/]")
            console.print(plain(said["text"]))
    if totals["failed"]:
        raise typer.Exit(1)


def show(checks: "list[Check]", brief: bool = False) -> None:
    """The checks as lines, the fix below each, and the summary; `brief` leaves out what is well."""
    from chittycan.control.checks import counted

    for check in checks:
        if brief and check.status == "ok":
            continue
        console.print(f"{MARKS[check.status]} {plain(check.name)}: {plain(check.message)}")
        if check.fix:
            console.print(f"    [cyan]→[/] {plain(check.fix)}")
    totals = counted(checks)
    console.print(
        f"\nSummary: {totals['passed']} passed, {count(totals['warnings'], 'warning')}, {totals['failed']} failed",
        style="bold",
    )


async def examine(env: Mapping[str, str], deep: bool) -> "tuple[list[Check], tuple[str, str] | None]":
    """Every check in order, and a local model that runs now: its server's endpoint and its name there."""
    from chittycan.app import embedded_missing
    from chittycan.control import checks
    from chittycan.providers.discovery import discover
    from chittycan.providers.registry import build

    found = [checks.python()]
    about_files, settings = checks.configuration(env)
    found += [*about_files, *checks.file_modes(env), *checks.database(env, time.time())]
    if settings is None:
        return [*found, checks.disk(env)], None
    servers = await discover()
    missing = embedded_missing()
    catalogue = build(settings, env, servers, missing)
    found += [*checks.providers(catalogue, settings), *checks.local_servers(servers)]
    found += checks.embedded(settings, missing)
    found += await checks.choices(catalogue, settings, env)
    found += await checks.budgets(settings, env, time.time())
    found += await checks.mail(settings, env, time.time())
    found += checks.sending(settings, env)
    found += await checks.rules(settings, env)
    about_server, own = await _server(settings, env)
    found += [*about_server, checks.disk(env)]
    if deep:
        found += await _probed()
    others = [(each.url, each.models[0].name) for each in servers.values() if each.models]
    return found, next(iter([*others, *own]), None)


async def _server(settings: "Settings", env: Mapping[str, str]) -> "tuple[list[Check], list[tuple[str, str]]]":
    """The running server, and the embedded model where it runs there (its endpoint and name)."""
    from chittycan.cli.remote import RemoteSession, exchange
    from chittycan.cli.session import LOCAL_SECONDS, find_server, is_local
    from chittycan.control.checks import Check
    from chittycan.control.server import status
    from chittycan.errors import ChittyError
    from chittycan.providers.registry import SMOLLM2

    url = settings.server.base_url
    server = await find_server(settings, env)
    if server is None:
        health = await exchange("GET", f"{url}/health", None, LOCAL_SECONDS)
        if health is not None:
            what = "a ChittyCan with other data" if health.get("name") == "chittycan" else "another program"
            fix = "Stop it, give it the same CHITTY_DATABASE_URL and configuration, or set baseUrl in config.json."
            return [Check("Server", "warn", f"{what} answers at {url}; commands do not use it", fix)], []
        if is_local(url):
            return [Check("Server", "ok", f"not running at {url}; commands work without it (can serve)")], []
        return [Check("Server", "warn", f"{url} does not answer", "Start it, or correct baseUrl in config.json.")], []
    found = [Check("Server", "ok", f"version {server.version} answers at {url}")]
    if not server.owner:
        return found, []
    session = RemoteSession(server)
    own: list[tuple[str, str]] = []
    try:
        said = await session.call(status)
        found += _about(said)
        own += [(said.embedded_endpoint, SMOLLM2)] if said.embedded_endpoint else []
    except ChittyError as error:
        found.append(Check("Server", "warn", error.message, error.fix))
    finally:
        session.close()
    return found, own


def _about(status: "ServerStatus") -> "Iterator[Check]":
    from chittycan.control.checks import Check

    if status.config_error:
        fix = "Correct the file; until then the server works with what it read before."
        yield Check("Server", "fail", f"it keeps an older configuration: {status.config_error}", fix)
    if status.ledger_dropped:
        fix = "Was the database away, or the disk full?"
        yield Check("Server", "fail", f"{status.ledger_dropped} calls are missing from its ledger", fix)
    if status.embedded_endpoint:
        yield Check("Server", "ok", f"the embedded model runs in it ({status.embedded_memory_mb or 0:.0f} MB)")


async def _probed() -> "list[Check]":
    """A real question to each provider, all at once, under one deadline."""
    from chittycan.cli.session import open_session
    from chittycan.control.checks import Check
    from chittycan.control.integrations import probe
    from chittycan.errors import ChittyError

    try:
        async with asyncio.timeout(DEEP_SECONDS), open_session() as session:
            results = await session.call(probe)
    except TimeoutError:
        return [Check("Answers", "fail", f"not all providers answered within {DEEP_SECONDS:.0f} s")]
    except ChittyError as error:
        return [Check("Answers", "fail", error.message, error.fix)]
    return [
        Check(f"Answer from {each.provider}", "ok", f"{each.model} in {seconds(each.latency_ms)}")
        if each.success
        else Check(f"Answer from {each.provider or each.model}", "fail", each.problem or "failed", each.fix)
        for each in results
    ]


async def _summed_up(checks: "list[Check]", local: tuple[str, str]) -> dict[str, str] | None:
    """What a model that runs on this machine makes of it; nothing leaves the machine, and nobody waits long."""
    from chittycan.cli.remote import exchange
    from chittycan.control.checks import report

    ask = f"Rewrite this health report of a computer program in two short, friendly sentences: {report(checks)}"
    endpoint, model = local
    body = {"model": model, "messages": [{"role": "user", "content": ask}], "max_tokens": 100, "temperature": 0.2}
    answer = await exchange("POST", f"{endpoint}/chat/completions", body, SUMMARY_SECONDS)
    try:
        text = str(answer["choices"][0]["message"]["content"]).strip() if answer else ""
    except (LookupError, TypeError):
        return None
    sentences = re.findall(r"[^.!?]+[.!?](?=\s|$)", " ".join(text.split()))[:2]
    return {"model": model, "text": "".join(sentences).strip()} if sentences else None
