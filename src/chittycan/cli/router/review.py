"""`can router review`: what waits for a person's word, one mail after the other, one key each; and `corrections`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.keyboard import END, ReadKey, keyboard
from chittycan.cli.output import Json, console, date, done, print_json, table, warn
from chittycan.cli.router import review_drafts
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.control.inbox import Level
    from chittycan.control.review import Correction, Forgotten, ReviewItem, ReviewQueue

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    invoke_without_command=True,
    help="Walk through the mail that waits for your word, one key each.",
)
corrections = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="What was learnt from you: list, forget."
)

ENTER = ("\r", "\n", "y")
QUIT = ("q", "\x03", END)


@app.callback()
def review(
    account: Annotated[str | None, typer.Option(help="Only mail of this account.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many mails.", min=1, max=200)] = 50,
    json: Json = False,
) -> None:
    """Go through the mail that waits for a word, the most urgent first. Without a terminal: list it."""
    from chittycan.cli.router import review_view
    from chittycan.cli.session import Session, run
    from chittycan.control.review import queue

    walks = sys.stdin.isatty() and console.is_terminal and not json

    async def work(network: Session) -> "ReviewQueue":
        found = await network.call(queue, account=account, limit=limit)
        if walks and found.mails:
            async with keyboard() as read:
                await Walk(network, found, read, account=account).go()
        return found

    found = run(work)
    if json:
        print_json(found)
    elif not walks or not found.mails:
        review_view.listing(found)


class Walk:
    """From mail to mail. `read` gives one key; what was said is said at once, so that it may end anywhere."""

    def __init__(self, network: "Session", found: "ReviewQueue", read: ReadKey, *, account: str | None = None) -> None:
        self._network, self._found, self._read, self._account = network, found, read, account
        self._said = self._skipped = 0

    async def go(self) -> None:
        mails = self._found.mails
        for place, item in enumerate(mails, 1):
            if not await self._at(item, place):
                break
        left = max(0, self._found.open - self._said)
        done(f"{self._said} reviewed, {self._skipped} skipped, {left} left")

    async def _at(self, item: "ReviewItem", place: int) -> bool:
        """One mail, until there is a word on it; False for the end."""
        from chittycan.cli.router import review_view
        from chittycan.errors import ChittyError

        was = item.category, item.priority
        review_view.show(item, place, len(self._found.mails))
        while True:
            review_view.keys(item)
            try:
                goes_on = await self._pressed((await self._read()).lower(), item, was)
            except ChittyError as error:
                warn(f"{error.message}; {error.fix}" if error.fix else error.message)
                continue
            if goes_on is not None:
                return goes_on

    async def _pressed(self, key: str, item: "ReviewItem", was: tuple[str, str]) -> bool | None:
        """What a key does: True for the next mail, False for the end, None to stay."""
        from chittycan.cli.router import review_view

        if key in ENTER or (key == "k" and item.proposed):
            await self._judge(item, was, actions=key != "k")
            return True
        if key == "s":
            self._skipped += 1
            return True
        if key in QUIT:
            return False
        if key == "g" and item.settled:
            return await self._all_settled()
        if key == "c":
            item.category = await self._choice(review_view.category_keys(), item.category)
        elif key == "p":
            item.priority = _level(await self._choice(review_view.LEVEL_KEYS, item.priority))
        elif key == "t":
            review_view.text(await self._whole(item), None)
            if item.draft is not None:
                review_view.draft(item.draft, None)
        elif item.draft is not None and key in review_drafts.KEYS:
            item.draft = await review_drafts.KEYS[key](self._network, item.draft, self._read)
        return None

    async def _whole(self, item: "ReviewItem") -> str:
        """Its text as far as it is kept: a queue has only the beginning of each."""
        from chittycan.control.inbox import shown

        return (await self._network.call(shown, email=item.id)).text

    async def _choice(self, choices: dict[str, str], now: str) -> str:
        from chittycan.cli.router import review_view

        review_view.letters(choices, now)
        chosen = choices.get((await self._read()).lower(), now)
        review_view.chosen(chosen)
        return chosen

    async def _judge(self, item: "ReviewItem", was: tuple[str, str], *, actions: bool) -> None:
        """Category and priority are named where they were changed."""
        from chittycan.control.review import judged

        category = item.category if item.category != was[0] else None
        priority = item.priority if item.priority != was[1] else None
        await self._network.call(judged, email=item.id, category=category, priority=priority, actions=actions)
        self._said += 1

    async def _all_settled(self) -> bool:
        """They come last: nothing is left after them."""
        from chittycan.control.review import settled

        found = await self._network.call(settled, account=self._account)
        self._said += found.approved
        return False


def _level(word: str) -> "Level":
    from chittycan.control.inbox import level_of

    return level_of(word)


@corrections.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
    json: Json = False,
) -> None:
    """Where you said otherwise than the agents, the newest first."""
    from chittycan.cli.router import mail
    from chittycan.cli.session import Session, run
    from chittycan.control.review import corrections as operation

    async def work(network: Session) -> "list[Correction]":
        return await network.call(operation, limit=limit)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("number", "mail", "of", "agents said", "you said", "when", "by"),
        [(row.id, row.mail, "priority" if row.field == "level" else row.field, mail.words(row.said),
          mail.words(row.label), date(row.at, clock=True), row.by) for row in rows],
        empty="nothing was corrected yet; can router review",
    )  # fmt: skip


@corrections.command("forget")
def forget(
    number: Annotated[int | None, typer.Argument(help="The correction's number: can router corrections list.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that was ever learnt.")] = False,
    json: Json = False,
) -> None:
    """Take back what was learnt of a correction, or with --all of all of them. Mails stay as they are."""
    from chittycan.cli.session import Session, run
    from chittycan.control.review import forget as one
    from chittycan.control.review import forget_all

    if (number is None) != every:
        raise UsageError("Name one correction, or say --all.", fix="`can router corrections list` shows the numbers.")

    async def work(network: Session) -> "Forgotten":
        return await (network.call(forget_all) if number is None else network.call(one, correction=number))

    found = run(work)
    print_json(found) if json else done(f"{found.forgotten} forgotten")
