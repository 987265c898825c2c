"""Tasks on the terminal: how one is shown, and how it is followed until it has ended."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from chittycan.cli.following import following
from chittycan.cli.output import console, date, dollars, errors, plain, seconds, table
from chittycan.errors import ChittyError
from chittycan.workstreams.life import TERMINAL

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.control.tasks import TaskDetail, TaskRow

LONGEST_PROMPT = 300
COLOURS = {
    "queued": "cyan", "running": "blue", "waiting_for_model": "yellow", "waiting_for_approval": "magenta",
    "done": "green", "failed": "red", "cancelled": "dim",
}  # fmt: skip
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def span(length: float) -> str:
    """12s, 4m, 2h 5m, 3d 4h."""
    if length < MINUTE:
        return f"{max(length, 0):.0f}s"
    if length < HOUR:
        return f"{length // MINUTE:.0f}m"
    if length < DAY:
        return f"{length // HOUR:.0f}h {length % HOUR // MINUTE:.0f}m"
    return f"{length // DAY:.0f}d {length % DAY // HOUR:.0f}h"


def coloured(status: str) -> Text:
    return Text(status.replace("_", " "), style=COLOURS.get(status, ""))


def money(row: "TaskRow") -> str | None:
    """What it cost so far; a task that was never begun cost nothing and says nothing."""
    if row.cost_usd is None:
        return dollars(None) if row.status == "done" and row.model else None
    return dollars(round(row.cost_usd * 1e9))


def reason(row: "TaskRow") -> str | None:
    """Why it stands where it does: what it waits for, or what went wrong."""
    return row.waiting_for or (str(row.error.get("message", "")) if row.error else None)


def cells(row: "TaskRow", now: float) -> tuple[object, ...]:
    """One line of a table of tasks; see `COLUMNS`. `time`: since when it stands so, or how long it took."""
    took = row.ended - row.started if row.ended and row.started else None
    stands = span(now - row.since) if row.status not in TERMINAL else seconds(took * 1000) if took else None
    return (row.id, coloured(row.status), row.title, reason(row), stands, row.model or row.asked_model, money(row))


COLUMNS = ("task", "status", "title", "waits for, or why", "time", "model", "cost")
LONG = ("title", "waits for, or why")  # columns that give way on a narrow terminal


def show_rows(rows: Sequence["TaskRow"]) -> None:
    now = time.time()
    table(COLUMNS, [cells(row, now) for row in rows], empty='no such task: can tasks submit "…"', cut=LONG)


def show_task(row: "TaskDetail") -> None:
    """All of one task."""
    console.print(Text.assemble((row.id, "bold"), "  ", coloured(row.status)))
    took = span(row.ended - row.started) if row.ended and row.started else None
    asked = f" (asked: {row.asked_model})" if row.model and row.asked_model and row.asked_model != row.model else ""
    lines = (
        ("waits for", row.waiting_for and f"{row.waiting_for} [dim]({span(time.time() - row.since)})[/]"),
        ("error", row.error and plain(str(row.error.get("message")))),
        ("fix", row.error and row.error.get("fix") and plain(str(row.error["fix"]))),
        ("type", row.type if row.type != "task" else None),
        ("kind", row.kind), ("session", row.session), ("workstream", row.workstream and f"{row.workstream} {row.path}"),
        ("model", (row.model or row.asked_model or "") + asked), ("cost", money(row)),
        ("submitted", date(row.created, clock=True)), ("not before", row.at and date(row.at, clock=True)),
        ("deadline", row.deadline and date(row.deadline, clock=True)), ("took", took),
        ("attempts", row.attempts if row.attempts != 1 else None), ("priority", row.priority or None),
        ("worker", row.worker if row.status == "running" else None), ("asked", row.prompt and _short(row.prompt)),
    )  # fmt: skip
    for name, value in lines:
        if value:
            text = str(value) if name in ("waits for", "error", "fix") else plain(str(value))
            console.print(f"  [dim]{name:<11}[/] {text}")
    if row.question:
        console.print(f"\n[bold]{plain(str(row.question.get('title') or row.question.get('question') or ''))}[/]")
        for name, value in (row.question.get("show") or {}).items():
            console.print(f"  [dim]{plain(str(name))}[/]  {plain(str(value))}")
        console.print(f"  [cyan]→[/] can tasks approve {row.id}, or can tasks reject {row.id}")
    if row.result is not None:
        console.print()
        show_result(row)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_PROMPT else line[: LONGEST_PROMPT - 1] + "…"


def show_result(row: "TaskDetail") -> None:
    """What came of it, on standard output alone: a text as it is, anything else as JSON."""
    result = {name: value for name, value in (row.result or {}).items() if name not in ("model", "cost_usd")}
    if isinstance(text := result.get("text"), str):
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    else:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    sys.stdout.flush()


def show_end(row: "TaskDetail") -> None:
    """How it ended: its answer on standard output, all else beside it."""
    if row.status == "done":
        show_result(row)
        took = f"{seconds((row.ended - row.started) * 1000)}, " if row.ended and row.started else ""
        where = console if console.is_terminal else errors
        tries = f" [dim]at attempt {row.attempts}[/]" if row.attempts > 1 else ""
        where.print(f"[green]✓[/] {plain(row.model or row.id)} [dim]({took}{money(row) or '$0'})[/]{tries}")
        return
    errors.print(f"[bold red]✗[/] {row.id} {'is ' if row.status != 'failed' else ''}{row.status}: "
                 f"{plain(reason(row) or 'nobody said why')}")  # fmt: skip
    if row.error and row.error.get("fix"):
        errors.print(f"  [cyan]→[/] {plain(str(row.error['fix']))}")


# following


def changes(session: "Session", task: str) -> AsyncIterator["TaskDetail"]:
    """The task now, and again whenever it has changed, until it has ended."""
    from chittycan.control.tasks import shown

    return following(lambda: session.call(shown, task=task), lambda row: row.status in TERMINAL)


async def follow(session: "Session", task: str) -> "TaskDetail":
    """The task once it has ended; meanwhile, on a terminal, what it is at."""
    with errors.status(f"[dim]{task}[/]", spinner="dots") as status:
        async for row in changes(session, task):
            status.update(f"[dim]{plain(standing(row))}[/]")
    return row


def standing(row: "TaskRow") -> str:
    """Where it stands, in a few words: waiting for model: openai is unreachable."""
    words = row.status.replace("_", " ")
    return f"{words}: {row.waiting_for}" if row.waiting_for else words


async def watch(
    session: "Session", tasks: Sequence[str], told: "Callable[[TaskDetail], None]", *, live: bool
) -> list["TaskDetail"]:
    """All of them once they have ended. `told` hears of every change; `live`: they are drawn, on a terminal."""
    rows: dict[str, TaskDetail] = {}

    async def one(task: str) -> None:
        async for row in changes(session, task):
            rows[task] = row
            told(row)

    def picture() -> Group:
        return drawn([rows[each] for each in tasks if each in rows])

    drawing = live and console.is_terminal
    with Live(get_renderable=picture, console=console, refresh_per_second=8) if drawing else nullcontext():
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(one(task))
        except ExceptionGroup as several:
            raise next((each for each in several.exceptions if isinstance(each, ChittyError)), several) from None
    return [rows[task] for task in tasks]


def tell(row: "TaskDetail") -> None:
    """One change as a plain line, where no terminal can draw it."""
    if not console.is_terminal:
        model, cost = row.model or "", money(row) or ""
        line = " ".join(each for each in (time.strftime("%H:%M:%S"), row.id, standing(row), model, cost) if each)
        console.print(plain(f"{line}: {reason(row)}" if row.error else line))


def drawn(rows: Sequence["TaskDetail"]) -> Group:
    """One picture of tasks at work."""
    now = time.time()
    lines = [[each if isinstance(each, Text) else Text(str(each or "")) for each in cells(row, now)] for row in rows]
    grid = Table("", box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(COLUMNS):
        gives_way, needed = name in LONG, max((line[place].cell_len for line in lines), default=0)
        grid.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1 if gives_way else None,
                        min_width=None if gives_way else max(needed, len(name)),
                        justify="right" if name == "cost" else "left")  # fmt: skip
    for row, line in zip(rows, lines, strict=True):
        grid.add_row(_MARKS.get(row.status) or _SPINNER, *line)
    return Group(grid)


_SPINNER = Spinner("dots", style="blue")
_MARKS = {
    "queued": Text("·", style="cyan"), "waiting_for_model": Text("◷", style="yellow"),
    "waiting_for_approval": Text("?", style="magenta"), "done": Text("✓", style="green"),
    "failed": Text("✗", style="red"), "cancelled": Text("–", style="dim"),
}  # fmt: skip
