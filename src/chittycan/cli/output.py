"""How the command line looks: tables and colours on a terminal, `--json` for scripts, times and money in one form."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

NUMBER = re.compile(r"\$?[\d,.]+ ?(ms|s|%)?|—")

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output, nothing else."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None, empty: str = "") -> None:
    """A plain table; `empty` is said where there are no rows. Numbers are aligned to the right."""
    filled = [[_cell(value) for value in row] for row in rows]
    if not filled:
        console.print(f"[dim]{empty or 'nothing to show'}[/]")
        return
    grid = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for place, column in enumerate(columns):
        numeric = all(NUMBER.fullmatch(row[place]) for row in filled)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in filled:
        grid.add_row(*row)
    console.print(grid)


def _cell(value: object) -> str:
    from rich.markup import escape

    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(str(value))


def seconds(ms: float | None) -> str:
    """127ms, 1.2s, 3m 20s."""
    if ms is None:
        return "—"
    if ms < 1000:
        return f"{ms:.0f}ms"
    if ms < 120_000:
        return f"{ms / 1000:.1f}s"
    return f"{ms / 60_000:.0f}m {ms / 1000 % 60:.0f}s"


def dollars(nano: int | None) -> str:
    """$0.0031; a price that nobody knows is said to be unknown."""
    if nano is None:
        return "price unknown"
    usd = nano / 1e9
    if usd == 0:
        return "$0"
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}" if usd >= 0.0001 else f"${usd:.7f}".rstrip("0")


def done(text: str) -> None:
    console.print(f"[green]✓[/] {text}")


def warn(text: str) -> None:
    errors.print(f"[yellow]![/] {text}")
