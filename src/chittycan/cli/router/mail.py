"""How mail looks on a terminal: one line per mail, the urgent ones first and in colour."""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from chittycan.cli.output import console, dollars, plain, seconds, table

if TYPE_CHECKING:
    from chittycan.control.inbox import AgentRun

STYLES = {"CRITICAL": "bold white on red", "HIGH": "bold red", "NORMAL": "", "LOW": "dim"}


def priority(level: str | None) -> Text:
    """The level in its colour."""
    return Text(level or "—", STYLES.get(level or "", ""))


def words(category: str | None) -> str:
    """`court_notice` as people write it."""
    return (category or "—").replace("_", " ")


def who(sender: str) -> str:
    """The name of a sender, or the address where there is none."""
    return sender.partition(" <")[0] or sender


def day(at: float | None) -> str:
    """`23 Nov`, with the year where it is not this one."""
    if at is None:
        return "—"
    moment, now = time.localtime(at), time.localtime()
    return time.strftime("%d %b" if moment.tm_year == now.tm_year else "%d %b %Y", moment)


def mails(columns: tuple[str, ...], rows: Iterable[tuple[object, ...]], empty: str) -> None:
    """A table with one line per mail: what is long is cut, never folded; ids stay whole."""
    table(columns, rows, empty=empty, cut=("category", "from", "subject", "look at"))


def run_line(run: "AgentRun") -> str:
    """`✓ Triage: smollm2 (1.2s, $0)`, or why rules answered."""
    name = run.agent.capitalize()
    if run.model is None:
        why = f": {run.reason}" if run.reason else ""
        mark = "[yellow]![/]" if run.fallback else "[dim]–[/]"
        return f"{mark} {name}: by rules[dim]{plain(why)}[/]"
    cost = dollars(None if run.cost_usd is None else round(run.cost_usd * 1e9))
    again = ", second try" if run.repaired else ""
    return f"[green]✓[/] {name}: {plain(run.model)} [dim]({seconds(run.ms)}, {cost}{again})[/]"


def values(output: Mapping[str, Any], indent: str = "  ") -> None:
    """What an agent said, one value per line; what it left empty is left out."""
    for name, value in output.items():
        if shown := _value(value):
            label = name.replace("_", " ")
            console.print(f"{indent}[dim]{label}:[/] {plain(shown)}")


def _value(value: Any) -> str:
    if value is None or value in ("", [], (), {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_value(each) for each in value)
    if isinstance(value, dict):
        if "quote" in value:
            return f"“{value['quote']}”"
        if "address" in value:
            return f"{value['name']} <{value['address']}>" if value["name"] else str(value["address"])
        return ", ".join(f"{name.replace('_', ' ')}: {_value(each) or '—'}" for name, each in value.items())
    return str(value)
