"""`can config import`: another gateway's configuration as ours, with a finding for every line."""

from pathlib import Path
from typing import Annotated

import typer

from chittycan.cli.output import Json, console, done, plain, print_json, table

_COLOURS = {"exact": "green", "approximate": "yellow", "unsupported": "red"}


def import_(
    file: Annotated[Path, typer.Argument(help="LiteLLM's config.yaml")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there under the same name.")] = False,
    json: Json = False,
) -> None:
    """Take over models, keys, fallbacks and budgets from LiteLLM's config.yaml, and say what became of each line."""
    import msgspec

    from chittycan.config import folder
    from chittycan.control.imports.bring import read, write

    imported = read(file)
    stayed = [] if dry_run else write(folder(), imported, replace=replace)
    if json:
        print_json({
            "written": not dry_run, "models": imported.models, "fallbacks": imported.fallbacks,
            "proxies": sorted(imported.proxies), "budgets": imported.budgets, "stayed": stayed,
            "findings": [msgspec.to_builtins(each) for each in imported.findings],
        })  # fmt: skip
        return
    rows = [(each.line, each.level, each.key, each.message)
            for each in imported.findings]  # fmt: skip
    table(("line", "here", "there", "what became of it"), rows, empty="nothing in it means anything here")
    counts = {level: sum(each.level == level for each in imported.findings) for level in _COLOURS}
    console.print("\n" + " · ".join(f"[{_COLOURS[level]}]{count} {level}[/]" for level, count in counts.items()))
    for each in stayed:
        console.print(f"[yellow]![/] {plain(each)} is there already and stays as it is (--replace replaces it)")
    text = f"{len(imported.models)} models, {len(imported.proxies)} providers"
    if dry_run:
        console.print(f"{text}: nothing was written (--dry-run)")
    else:
        done(f"{text} are in {plain(str(folder()))}; `can router models test` tries them")
