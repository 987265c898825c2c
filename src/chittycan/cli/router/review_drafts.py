"""What keys do to the draft of a mail that is reviewed. What is approved is what was shown, to the letter."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from chittycan.cli.keyboard import ReadKey
from chittycan.cli.output import console, done, plain, warn

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.control.drafts import DraftDetail
    from chittycan.control.review import WaitingDraft

# The draft as it waits then; None where it waits no more.
Does = Callable[["Session", "WaitingDraft", ReadKey], Awaitable["WaitingDraft | None"]]


async def approve(network: "Session", waiting: "WaitingDraft", read: ReadKey) -> "WaitingDraft | None":
    """Shows it whole, then asks once more."""
    from chittycan.control import drafts

    found = await network.call(drafts.shown, draft=waiting.id)
    _whole(found)
    if found.problem:
        warn(plain(f"{found.problem}; {found.fix}" if found.fix else found.problem))
        return waiting
    console.print("[dim][b]a[/] approve  [b]s[/] approve and send  any other key: leave it[/]")
    key = (await read()).lower()
    if key not in ("a", "s"):
        return waiting
    # What somebody answered meanwhile was said with the draft.
    said = await network.call(drafts.approve, draft=found.id, hash=found.hash, send=key == "s", anyway=True)
    done(f"the draft is {plain(said.state)}")
    return None


async def edit(network: "Session", waiting: "WaitingDraft", read: ReadKey) -> "WaitingDraft | None":
    """In the person's own editor."""
    import click

    from chittycan.control import drafts

    found = await network.call(drafts.shown, draft=waiting.id)
    written = click.edit(found.body, extension=".txt")
    if written is None or written == found.body:
        console.print("[dim]nothing changed[/]")
        return waiting
    changed = await network.call(drafts.edit, draft=found.id, body=written, hash=found.hash)
    done("changed; it still waits for your approval")
    return replace(waiting, body=changed.body, warnings=changed.warnings, model=changed.model)


async def reject(network: "Session", waiting: "WaitingDraft", read: ReadKey) -> "WaitingDraft | None":
    from chittycan.control import drafts

    await network.call(drafts.reject, draft=waiting.id)
    done("the draft is rejected")
    return None


KEYS: Mapping[str, Does] = {"d": approve, "e": edit, "x": reject}


def _whole(found: "DraftDetail") -> None:
    console.print()
    for name, value in (("From", found.sender), ("To", ", ".join(found.to)), ("Cc", ", ".join(found.cc)),
                        ("Subject", found.subject)):  # fmt: skip
        if value:
            console.print(f"[dim]{name + ':':9}[/]{plain(value)}")
    console.print(f"\n{plain(found.body)}\n")
    for warning in found.warnings:
        console.print(f"[yellow]![/] {plain(warning)}")
