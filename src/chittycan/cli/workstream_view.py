"""Workstreams on the terminal: one picture of a run, still or live, and plain lines where no terminal can draw it."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from chittycan.cli.following import following
from chittycan.cli.output import console, date, dollars, plain, seconds, table
from chittycan.cli.task_view import span
from chittycan.workstreams.life import TERMINAL

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.control.workstreams import StepRow, StreamDetail, StreamRow, WaitingRow

MOST_ITEMS = 8  # of a loop that are drawn one by one
LONGEST_VALUE = 2000  # characters of a value in the picture
BAR = 24
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

MARKS = {
    "pending": ("·", "dim"), "skipped": ("·", "dim"), "queued": ("◦", "cyan"), "running": ("▸", "blue"),
    "waiting_for_model": ("◷", "yellow"), "waiting_for_approval": ("?", "bold magenta"), "paused": ("‖", "yellow"),
    "done": ("✓", "green"), "failed": ("✗", "bold red"), "cancelled": ("–", "dim"),
}  # fmt: skip


# one workstream


def drawn(found: "StreamDetail", *, live: bool = False, now: float | None = None) -> Group:
    """The picture of one workstream: its steps, what it waits for, and what is to be done about that.

    `live`: it is drawn again and again, so each value that a person sees has one line.
    """
    now = time.time() if now is None else now
    parts: list[RenderableType] = [_head(found, now), Text(), _steps(found, live, now)]
    for each in found.waiting:
        parts += [Text(), _waiting(found, each, now, short=live)]
    if found.error:
        parts += [Text(), Text.assemble(("✗ ", "bold red"), found.error)]
    if found.status in ("failed", "cancelled"):
        parts.append(_command(f"can workstreams resume {found.id}", "tries again what failed"))
    if found.status == "paused":
        parts += [Text(), _command(f"can workstreams resume {found.id}", "goes on")]
    if found.idle and found.ended is None:
        parts += [Text(), Text.assemble(("! ", "yellow"), "no worker is running: ", ("can serve", "bold"), " is one")]
    return Group(*parts)


def _head(found: "StreamDetail", now: float) -> RenderableType:
    mark, style = MARKS[found.status]
    money = dollars(round(found.spent_usd * 1e9))
    budget = f" of {dollars(round(found.budget_usd * 1e9))}" if found.budget_usd else ""
    facts = [f"{found.over} of {found.total} steps", f"{money}{budget}", span((found.ended or now) - found.created)]
    facts += ["private"] if found.private else []
    facts += [f"forked from {found.forked_from}"] if found.forked_from else []
    done = round(BAR * found.over / max(found.total, 1))
    title = Text.assemble((found.name, "bold"), "  ", (f"{mark} {found.status}", style), "  ", (found.id, "dim"))
    bar = Text.assemble(("━" * done, style), ("─" * (BAR - done), "dim"), "  ", (" · ".join(facts), "dim"))
    return Group(title, bar)


def _steps(found: "StreamDetail", live: bool, now: float) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, justify in (("step", "left"), ("model", "left"), ("time", "right"), ("cost", "right")):
        grid.add_column(name, no_wrap=True, overflow="ellipsis", justify=justify)  # type: ignore[arg-type]
    grid.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    frame = SPINNER[int(now * 10) % len(SPINNER)]
    for depth, step in _lines(found.steps, 0):
        spins = live and step.status == "running" and not step.steps
        mark = Text(frame, style="blue") if spins else _mark(step.status)
        faded = step.status in ("pending", "skipped", "cancelled")
        title = Text.assemble("  " * depth, mark, " ", (step.title, "dim" if faded else ""))
        grid.add_row(title, _model(step), _took(step, now), _cost(step), _why(step))
    return grid


def _lines(steps: "list[StepRow]", depth: int) -> "Iterator[tuple[int, StepRow]]":
    """The steps with their depths; of a long loop the items that are of interest, and how many are done."""
    items = [each for each in steps if each.type == "item"]
    shown = steps
    if len(items) > MOST_ITEMS:
        over = [each for each in items if each.status in ("done", "skipped")]
        shown = [each for each in items if each not in over][:MOST_ITEMS]
        yield depth, _counted(over, len(items))
    for step in shown:
        yield depth, step
        yield from _lines(step.steps, depth + 1)


def _counted(over: "list[StepRow]", total: int) -> "StepRow":
    from chittycan.control.workstreams import StepRow

    return StepRow(
        path="", title=f"{len(over)} of {total} items are done", type="items", status="done" if over else "pending",
        task=None, model=None, instead_of=None, waiting_for=None, error=None, started=None, ended=None,
        cost_usd=sum(each.cost_usd for each in over), steps=[],
    )  # fmt: skip


def _mark(status: str) -> Text:
    return Text(*MARKS.get(status, ("◦", "")))


def _model(step: "StepRow") -> Text:
    if step.type not in ("task", "agent", "ensemble") or step.model is None:
        return Text()
    if step.instead_of:
        return Text.assemble(step.model, (f" for {step.instead_of}", "dim yellow"))
    return Text(step.model, style="" if step.status in TERMINAL else "dim")


def _took(step: "StepRow", now: float) -> Text:
    if step.started is None or step.type == "item":
        return Text()
    if step.ended is not None:
        return Text(seconds((step.ended - step.started) * 1000), style="dim")
    return Text(span(now - step.started), style="dim")


def _cost(step: "StepRow") -> Text:
    return Text(dollars(round(step.cost_usd * 1e9)) if step.cost_usd else "", style="dim")


def _why(step: "StepRow") -> Text:
    if step.steps:
        return Text()
    if step.status == "failed" and step.error:
        return Text(" ".join(step.error.split()), style="red")
    if step.status == "waiting_for_approval":
        return Text("waits for a decision", style="magenta")
    if step.waiting_for and step.status not in TERMINAL:
        return Text(f"waits for {step.waiting_for}", style="yellow")
    if step.status == "queued":
        return Text("waits for a worker", style="dim")
    return Text("skipped" if step.status == "skipped" else "", style="dim")


def _waiting(found: "StreamDetail", asked: "WaitingRow", now: float, *, short: bool = False) -> RenderableType:
    """What somebody has to say, with the commands that say it."""
    until = f"  {span(asked.until - now)} left" if asked.until else ""
    if asked.type == "event":
        how = _command(f"can workstreams event {found.id} {asked.event}", "[KEY=VALUE…]")
        return Group(Text.assemble(("◷ ", "yellow"), asked.title, (until, "dim")), how)
    if asked.type == "webhook":
        return Group(Text.assemble(("◷ ", "yellow"), asked.title, (until, "dim")), _command(f"POST {asked.url}"))
    several = sum(each.type == "approval" for each in found.waiting) > 1
    named = f"{found.id} {asked.path}" if several else found.id
    parts: list[RenderableType] = [values(asked.show, LONGEST_VALUE, short=short), Text()] if asked.show else []
    parts.append(_command(f"can workstreams approve {named}"))
    parts.append(_command(f"can workstreams reject {named}", "--comment WHY"))
    parts += [_command(f"can workstreams edit {named}", "changes it in $EDITOR and approves")] if asked.edit else []
    whose = f"  for {', '.join(asked.who)}" if asked.who else ""
    title = Text.assemble((f"? {asked.title}", "bold magenta"), (f"{whose}{until}", "dim"))
    if not console.is_terminal:
        return Group(title, *parts)
    return Panel(Group(*parts), title=title, title_align="left", border_style="magenta", padding=(0, 1))


def values(shown: dict[str, Any], longest: int | None = None, *, short: bool = False) -> Table:
    """Names and values, one below the other; `short`: with one line each."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="ellipsis" if short else "fold", no_wrap=short, ratio=1 if short else None)
    for name, value in shown.items():
        said = _said(value, longest)
        grid.add_row(name, Text(" ".join(said.split()) if short else said))
    return grid


def _said(value: Any, longest: int | None) -> str:
    import msgspec

    text = value if isinstance(value, str) else "—" if value is None else msgspec.json.encode(value).decode()
    text = text.strip()
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def _command(text: str, more: str = "") -> Text:
    return Text.assemble(("→ ", "cyan"), text, (f"  {more}" if more else "", "dim"))


def show(found: "StreamDetail") -> None:
    """All of one workstream."""
    console.print(drawn(found))
    show_outputs(found)


def show_outputs(found: "StreamDetail") -> None:
    """What came of it."""
    if not found.outputs:
        return
    console.print()
    if console.is_terminal:
        console.print(values(found.outputs))
        return
    for name, value in found.outputs.items():
        console.print(plain(f"{name}: {_said(value, None)}"))


# many


def show_rows(rows: "list[StreamRow]") -> None:
    now = time.time()
    table(
        ("workstream", "recipe", "status", "steps", "waits for", "since", "cost"),
        [(row.id, row.name, Text(row.status, style=MARKS[row.status][1]), _counts(row), _waits(row),
          date(row.created, clock=True) if row.ended else span(now - row.created),
          dollars(round(row.spent_usd * 1e9))) for row in rows],
        empty="no workstream: can workstreams run FILE", cut=("recipe", "waits for"),
    )  # fmt: skip


def _counts(row: "StreamRow") -> str:
    done, begun = row.tasks.get("done", 0), sum(row.tasks.values())
    return f"{done} done" if done == begun else f"{done} done, {begun - done} more"


def _waits(row: "StreamRow") -> str:
    if row.ended is not None:
        return row.error or ""
    said = [
        f"{count} {'decision' if count == 1 else 'decisions'}"
        for count in [row.tasks.get("waiting_for_approval", 0)] if count
    ]  # fmt: skip
    return ", ".join(said + (["a model"] if row.tasks.get("waiting_for_model") else []))


# following


def changes(session: "Session", workstream: str) -> "AsyncIterator[StreamDetail]":
    """The workstream now, and again whenever it has changed, until it has ended."""
    from chittycan.control.workstreams import shown

    return following(lambda: session.call(shown, workstream=workstream), lambda found: found.ended is not None)


async def follow(session: "Session", workstream: str) -> "StreamDetail":
    """The workstream once it has ended; meanwhile it is drawn, or told in lines."""
    latest: list[StreamDetail] = []

    def picture() -> RenderableType:
        return drawn(latest[-1], live=True) if latest else Text()

    told: dict[str, Any] = {}
    live = Live(get_renderable=picture, console=console, refresh_per_second=8, vertical_overflow="ellipsis")
    with live if console.is_terminal else nullcontext():
        async for found in changes(session, workstream):
            latest[:] = [found]
            if not console.is_terminal:
                tell(found, told)
    return latest[-1]


def tell(found: "StreamDetail", told: dict[str, Any]) -> None:
    """What has changed since, as plain lines; `told` remembers what was said."""
    for _, step in _all(found.steps):
        standing = (step.status, step.waiting_for)
        if step.task is None or told.get(step.path) == standing:
            continue
        told[step.path] = standing
        took = seconds((step.ended - step.started) * 1000) if step.ended and step.started else None
        stood_in = f"{step.model} for {step.instead_of}" if step.instead_of else step.model
        said = [step.path, step.status.replace("_", " "), stood_in if step.status == "done" else None, took,
                dollars(round(step.cost_usd * 1e9)) if step.cost_usd else None, _why(step).plain]  # fmt: skip
        _line("  ".join(each for each in said if each))
    for asked in found.waiting:
        if f"? {asked.path}" not in told:
            told[f"? {asked.path}"] = True
            console.print(_waiting(found, asked, time.time(), short=True))
    if told.get("") != found.status and found.status != "running":
        told[""] = found.status
        _line(f"{found.id}  {found.status}" + (f"  {found.error}" if found.error else ""))


def _all(steps: "list[StepRow]") -> "Iterator[tuple[int, StepRow]]":
    for step in steps:
        yield 0, step
        yield from _all(step.steps)


def _line(text: str) -> None:
    console.print(plain(f"{time.strftime('%H:%M:%S')}  {text}"))


def outward(old: "list[StepRow]", new: "list[StepRow]") -> "list[StepRow]":
    """The mails and calls that were done in the old workstream and will be done again in the new one."""
    kept = {step.path for _, step in _all(new) if step.status == "done"}
    return [
        step for _, step in _all(old)
        if step.type in ("send", "call") and step.status == "done" and step.path not in kept
    ]  # fmt: skip
