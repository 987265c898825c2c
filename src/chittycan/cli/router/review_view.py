"""How a mail that waits for a person's word looks on a terminal, and the keys that give it."""

import string
from typing import TYPE_CHECKING

from rich.text import Text

from chittycan.cli.output import console, date, dollars, plain, seconds
from chittycan.cli.router import mail

if TYPE_CHECKING:
    from chittycan.control.review import ReviewItem, ReviewQueue, WaitingDraft

LINES = 12  # of a mail's text, until the whole is asked for
WIDTH = 100  # characters of a line that are shown
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
            console.print(f"[dim]{name + ':':9}[/]{plain(value)}")
    _why(item)
    text(item, LINES)
    for each in item.proposed:
        what = f"{each.verb} {each.value}".strip()
        console.print(f"[cyan]→[/] {plain(what)} [dim]({plain(each.because)})[/]")
    if item.draft is not None:
        draft(item.draft, DRAFT_LINES)
    console.print(_by_whom(item))


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
    console.print("[dim]" + "  ".join(offered) + "[/]")


def text(item: "ReviewItem", lines: int | None) -> None:
    """The mail's own words; with `lines` only so many."""
    said = [line[:WIDTH] for line in item.text.splitlines() if line.strip()] if lines else item.text.splitlines()
    console.print()
    for line in said[:lines]:
        console.print(f"  {plain(line)}")
    if lines is not None and len(said) > lines:
        console.print(f"  [dim]… {len(said) - lines} more lines[/]")
    if not said:
        console.print("  [dim](no text)[/]")
    console.print()


def draft(waiting: "WaitingDraft", lines: int | None) -> None:
    console.print(f"[green]✎[/] draft to {plain(', '.join(waiting.to))}: {plain(waiting.subject)}")
    said = [line for line in waiting.body.splitlines() if line.strip()]
    for line in said[:lines]:
        console.print(f"  [dim]│[/] {plain(line)}")
    if lines is not None and len(said) > lines:
        console.print(f"  [dim]│ … {len(said) - lines} more lines[/]")
    for warning in waiting.warnings:
        console.print(f"  [yellow]![/] {plain(warning)}")


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
        console.print(f"[yellow]![/] {plain(item.doubt)}")
    if item.settled:
        console.print(f"[dim]– {mail.words(item.settled)}: no model was needed[/]")
    if item.privacy == "local":
        console.print("[dim]– privileged: only private models may see it[/]")
    for quote in item.evidence:
        console.print(f"[dim]  “{plain(quote.quote)}”[/]")
    if item.reasoning:
        console.print(f"[dim]  {plain(item.reasoning)}[/]")
    facts = [f"deadline {item.deadline}"] if item.deadline else []
    facts += ["waits for an answer"] if item.needs_reply else []
    if facts or item.factors:
        console.print(f"[dim]  {plain(' · '.join(dict.fromkeys([*facts, *item.factors])))}[/]")
    for line in item.conversation:
        console.print(f"[dim]  earlier: {plain(line)}[/]")


def _date(item: "ReviewItem") -> str:
    return "" if item.date is None else date(item.date, clock=True)


def _by_whom(item: "ReviewItem") -> str:
    if not item.models:
        return ""
    said = ", ".join(f"{agent} {model or 'rules'}" for agent, model in item.models.items())
    cost = dollars(None if item.cost_usd is None else round(item.cost_usd * 1e9))
    return f"[dim]{plain(said)} ({seconds(item.ms)}, {cost})[/]"
