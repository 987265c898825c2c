"""How a mail that waits for a person's word looks on a terminal, and the keys that give it."""

import string
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.padding import Padding
from rich.text import Text

from chittycan.cli.output import console, date, dollars, plain, seconds
from chittycan.cli.router import mail

if TYPE_CHECKING:
    from chittycan.control.review import ReviewItem, ReviewQueue, WaitingDraft

LINES = 12  # of a mail's text, until the whole is asked for
WIDTH = 100  # characters of a line: more nobody likes to read, however wide the terminal is
DRAFT_LINES = 8

LEVEL_KEYS = {"c": "CRITICAL", "h": "HIGH", "n": "NORMAL", "l": "LOW"}


def category_keys() -> dict[str, str]:
    """A letter for each category, in their order."""
    from chittycan.agents.words import CATEGORIES

    return dict(zip(string.ascii_lowercase, CATEGORIES, strict=False))


def show(item: "ReviewItem", place: int, total: int) -> None:
    """One mail: what it is, why, what it says, what would be done."""
    console.print(f"\n[bold]{place} of {total}[/]  [dim]{plain(item.id)}  {plain(item.account or '')}[/]")
    console.print(_headline(item))
    for name, value in (("From", item.sender), ("Subject", item.subject or "(no subject)"), ("Date", _date(item)),
                        ("With", ", ".join(item.attachments))):  # fmt: skip
        if value:
            _say(f"[dim]{name + ':':9}[/]{plain(value)}")
    _why(item)
    text(item.text, LINES)
    for each in item.proposed:
        what = f"{each.verb} {each.value}".strip()
        _say(f"[cyan]→[/] {plain(what)} [dim]({plain(each.because)})[/]")
    if item.draft is not None:
        draft(item.draft, DRAFT_LINES)
    _say(_by_whom(item))


def keys(item: "ReviewItem") -> None:
    """What may be pressed."""
    offered = ["[b]enter[/] right", "[b]c[/] category", "[b]p[/] priority"]
    if item.proposed:
        offered.append("[b]k[/] right, keep the mailbox as it is")
    if item.draft is not None:
        offered += ["[b]d[/] approve draft", "[b]e[/] edit draft", "[b]x[/] reject draft"]
    if item.settled:
        offered.append("[b]g[/] all such mail is right")
    offered += ["[b]t[/] text", "[b]s[/] skip", "[b]q[/] quit"]
    for line in _rows(offered):
        console.print(f"[dim]{line}[/]")


def text(said: str, lines: int | None) -> None:
    """The mail's own words; with `lines` only so many, without those that are empty."""
    shown = said.splitlines()
    folded = _folded((line for line in shown if line.strip()) if lines else shown, margin=2)
    console.print()
    for line in folded[:lines]:
        console.print(f"  {plain(line)}")
    if lines is not None and len(folded) > lines:
        console.print(f"  [dim]… {len(folded) - lines} more: t[/]")
    if not folded:
        console.print("  [dim](no text)[/]")
    console.print()


def draft(waiting: "WaitingDraft", lines: int | None) -> None:
    _say(f"[green]✎[/] draft to {plain(', '.join(waiting.to))}: {plain(waiting.subject)}")
    folded = _folded((line for line in waiting.body.splitlines() if line.strip()), margin=4)
    for line in folded[:lines]:
        console.print(f"  [dim]│[/] {plain(line)}")
    if lines is not None and len(folded) > lines:
        console.print(f"  [dim]│ … {len(folded) - lines} more: t[/]")
    for warning in waiting.warnings:
        _say(f"  [yellow]![/] {plain(warning)}")


def _say(line: str, indent: int = 0) -> None:
    """Broken between words where the terminal ends."""
    console.print(Padding(line, (0, 0, 0, indent), expand=False), soft_wrap=False)


def _folded(lines: Iterable[str], margin: int) -> list[str]:
    """No wider than the terminal, less `margin`."""
    width = max(20, min(console.width, WIDTH) - margin)
    return [part.plain.rstrip() for line in lines for part in Text(line).wrap(console, width) or [Text()]]


def _rows(offered: Iterable[str]) -> list[str]:
    """As many in a row as the terminal holds; none is broken."""
    rows: list[str] = []
    for each in offered:
        longer = f"{rows[-1]}  {each}" if rows else each
        if rows and cell_len(Text.from_markup(longer).plain) <= console.width:
            rows[-1] = longer
        else:
            rows.append(each)
    return rows


def letters(choices: dict[str, str], now: str) -> None:
    """A key for each choice; the one that holds now is marked."""
    for key, choice in choices.items():
        mark = "[green]●[/]" if choice == now else " "
        console.print(f"  [b]{key}[/] {mark} {plain(mail.words(choice))}")
    console.print("[dim]  any other key: as it was[/]")


def chosen(choice: str) -> None:
    console.print(f"[green]●[/] {plain(mail.words(choice))} [dim](not said yet: enter)[/]")


def listing(found: "ReviewQueue") -> None:
    """For who reads no keys: one line per mail."""
    mail.mails(
        ("id", "priority", "category", "from", "subject", "draft", "look at"),
        [(item.id, mail.priority(item.priority), mail.words(item.category), mail.who(item.sender),
          item.subject or "(no subject)", "yes" if item.draft else "", item.doubt or "") for item in found.mails],
        empty="nothing waits for your word",
    )  # fmt: skip
    if found.open > len(found.mails):
        console.print(f"[dim]… and {found.open - len(found.mails)} more[/]")


def _headline(item: "ReviewItem") -> Text:
    line = Text.assemble(mail.priority(item.priority), "  ", (mail.words(item.category), "bold"))
    if item.confidence is not None:
        line.append(f"  {item.confidence:.0%}", "dim")
    said = (item.said_category, item.said_priority)
    if said != (item.category, item.priority):
        line.append(f"  (agents said: {mail.words(said[0])}, {said[1]})", "dim")
    return line


def _why(item: "ReviewItem") -> None:
    if item.doubt:
        _say(f"[yellow]![/] {plain(item.doubt)}")
    if item.settled:
        _say(f"[dim]– {mail.words(item.settled)}: no model was needed[/]")
    if item.privacy == "local":
        _say("[dim]– privileged: only private models may see it[/]")
    for quote in item.evidence:
        _say(f"[dim]“{plain(quote.quote)}”[/]", indent=2)
    if item.reasoning:
        _say(f"[dim]{plain(item.reasoning)}[/]", indent=2)
    facts = [f"deadline {item.deadline}"] if item.deadline else []
    if item.answered is not None:
        facts.append(f"answered {date(item.answered, clock=True)}")
    elif item.needs_reply:
        facts.append("waits for an answer")
    facts += [each for each in item.factors if each not in item.reasoning]
    if facts:
        _say(f"[dim]{plain(' · '.join(dict.fromkeys(facts)))}[/]", indent=2)
    for line in item.conversation:
        _say(f"[dim]earlier: {plain(line)}[/]", indent=2)


def _date(item: "ReviewItem") -> str:
    return "" if item.date is None else date(item.date, clock=True)


def _by_whom(item: "ReviewItem") -> str:
    if not item.models:
        return ""
    said = ", ".join(f"{agent} {model or 'rules'}" for agent, model in item.models.items())
    cost = dollars(None if item.cost_usd is None else round(item.cost_usd * 1e9))
    return f"[dim]{plain(said)} ({seconds(item.ms)}, {cost})[/]"
