"""How the command line looks: tables and colours on a terminal, `--json` for scripts, times and money in one form."""

import os
import re
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, TextIO

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from chittycan.cli.widths import folded, shared

NUMBER = re.compile(r"\$?[\d,.]+ ?(ms|s|%)?|—")

GAP = 2  # between the columns of a table
PIPE_WIDTH = 250  # characters; a program that reads our tables wants whole lines


def _width(stream: TextIO) -> int | None:
    return None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH


# No emoji: `auto:cooking:worth` is a route, and the subject of a mail is its sender's.
console = Console(highlight=False, emoji=False, soft_wrap=True, width=_width(sys.stdout))
errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True, width=_width(sys.stderr))

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output, nothing else."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
    sys.stdout.flush()


def print_rows(value: dict[str, Any], name: str, rows: Iterable[bytes]) -> None:
    """As `print_json` of `value` with a list `name` behind it, whose entries, each JSON, need not be there at once."""
    head = msgspec.json.format(msgspec.json.encode(value), indent=2).decode().removesuffix("\n}")
    sys.stdout.write(f'{head},\n  "{name}": [')
    between = ""
    for row in rows:
        text = msgspec.json.format(row, indent=2).decode().replace("\n", "\n    ")
        sys.stdout.write(f"{between}\n    {text}")
        between = ","
    sys.stdout.write("\n  ]\n}\n" if between else "]\n}\n")
    sys.stdout.flush()


def print_line(value: Any) -> None:
    """One JSON document on one line, for pipes that read line by line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def progress(text: str) -> Any:
    """A spinner with this text while work goes on, on standard error and only on a terminal."""
    return errors.status(f"[dim]{text}[/]", spinner="dots")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    title: str | None = None,
    empty: str = "",
    *,
    cut: Collection[str] = (),
) -> None:
    """A plain table; `empty` is said where there are no rows. Numbers are aligned to the right.

    A column in which no row says anything is left out. Where a line is too long for the terminal it is
    folded, between words if that can be; or, where that is enough, the columns in `cut` end in … instead.
    """
    filled = [[_cell(value) for value in row] for row in rows]
    if not filled:
        console.print(f"[dim]{empty or 'nothing to show'}[/]")
        return
    grid = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    said = [place for place in range(len(columns)) if any(str(row[place]) not in ("", "—") for row in filled)]
    texts = [[columns[place], *(_text(row[place]).plain for row in filled)] for place in said]
    room = console.width - GAP * len(said)
    widths = _cut(texts, [columns[place] in cut for place in said], room)
    whole = bool(cut) and sum(widths) <= room
    widths = widths if whole else folded(texts, room)
    for place, width in zip(said, widths, strict=True):
        numeric = all(NUMBER.fullmatch(str(row[place])) for row in filled)
        grid.add_column(
            columns[place], no_wrap=numeric or whole, justify="right" if numeric else "left",
            overflow="ellipsis" if whole else "fold", width=width,
        )  # fmt: skip
    for row in filled:
        grid.add_row(*(row[place] for place in said))
    console.print(grid)


def _cut(texts: Sequence[Sequence[str]], cut: Sequence[bool], room: int) -> list[int]:
    """Only the columns in `cut` give way."""
    lengths = [max(map(cell_len, cells)) for cells in texts]
    shorter = [place for place, gives_way in enumerate(cut) if gives_way]
    room -= sum(length for length, gives_way in zip(lengths, cut, strict=True) if not gives_way)
    for place, width in zip(shorter, shared([lengths[place] for place in shorter], room), strict=True):
        lengths[place] = width
    return lengths


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text.from_markup(cell)


def _cell(value: object) -> str | Text:
    if isinstance(value, Text):
        return value
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


def date(at: float | None, clock: bool = False) -> str:
    """2026-11-23, with `clock` also the time; of this place."""
    if at is None:
        return "—"
    return time.strftime("%Y-%m-%d %H:%M" if clock else "%Y-%m-%d", time.localtime(at))


def count(number: int, one: str, several: str | None = None) -> str:
    """1 request; 1,200 requests."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def plain(text: str) -> str:
    """Text that is no markup, whatever brackets it holds."""
    return escape(text)


def done(text: str) -> None:
    console.print(f"[green]✓[/] {text}")


def warn(text: str) -> None:
    errors.print(f"[yellow]![/] {text}")
