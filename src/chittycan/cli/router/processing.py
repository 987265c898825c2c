"""`can router inbox process`: the progress while it runs, and the report at its end."""

import os
from asyncio import CancelledError
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chittycan.cli.output import console, errors, plain, seconds
from chittycan.cli.router import mail
from chittycan.cli.router.lines import FRESH, Shown

if TYPE_CHECKING:
    from chittycan.agents.look import OnOutcome
    from chittycan.agents.mail_task import Submit
    from chittycan.agents.pipeline import Terms
    from chittycan.agents.report import Outcome, Report
    from chittycan.agents.told import Tell
    from chittycan.cli.session import Session
    from chittycan.config import Settings
    from chittycan.integrations.email.sources import Source
    from chittycan.routing.rules.book import Book

EMBEDDED = "smollm2"


def process_mail(mailbox: "Source", terms: "Terms", tell: "OnOutcome", *, detach: bool = False) -> "Report":
    """Process a mailbox, with a progress bar on a terminal; with `detach` hand its mails over. Raises ChittyError.

    What becomes of each mail `tell` is told; the report has totals alone.
    """
    from msgspec.structs import replace

    from chittycan.agents.pipeline import process
    from chittycan.cli.session import run
    from chittycan.clock import SystemClock
    from chittycan.rulebook import RuleBook

    async def work(network: "Session") -> "Report":
        async with network.database() as database:
            rules = RuleBook(database, SystemClock())
            await rules.refresh()
            # What cannot be read may be a rule that keeps mail private.
            how = replace(terms, rules=rules.book, private=terms.private or not rules.readable)
            async with _handing_over(network, how, detach) as submit, _telling(network, rules.book) as told:
                how = replace(how, tell=told)
                with Counter(len(mailbox), how, tell) as counter:
                    return await process(
                        mailbox, network.ask, database, how, on_progress=counter.add, submit=submit, keep=False
                    )

    return run(work)


def process_account(
    name: str, settings: "Settings", terms: "Terms", tell: "OnOutcome", *, detach: bool = False
) -> "Report":
    """As `process_mail`, what is new in an account on a server."""
    from chittycan.cli.session import run
    from chittycan.clock import SystemClock
    from chittycan.mailbox import of_account
    from chittycan.mailroom import Mailroom
    from chittycan.rulebook import RuleBook

    async def look(room: Mailroom) -> "Report":
        with Counter(None, terms, tell) as counter:
            watcher = room.watcher(name, base=terms, on_outcome=counter.add)
            return await watcher.look(limit=terms.limit, dry_run=terms.dry_run, keep=False)

    async def work(network: "Session") -> "Report":
        handing = _handing_over(network, of_account(settings, name, terms), detach)
        async with network.database() as database, handing as submit:
            rules = RuleBook(database, SystemClock())
            await rules.refresh()
            async with _telling(network, rules.book) as told:
                room = Mailroom(lambda: settings, os.environ, network.ask, database, SystemClock(), submit, told)
                return await look(room)

    return run(work)


@asynccontextmanager
async def _handing_over(network: "Session", terms: "Terms", detach: bool) -> "AsyncGenerator[Submit | None]":
    """Hands mails over with what was asked for them, where they are. Raises UsageError where nobody can take them."""
    from chittycan.errors import UsageError

    if not detach:
        yield None
        return
    async with network.durable() as durable:
        submit = await durable.mail_submitter(
            authserv=lambda _: terms.facts.authserv,
            model=terms.model,
            region=terms.region,
            private=terms.local,
            template=terms.template,
        )
        if submit is None:
            fix = "pip install 'chittycan[workstreams]', or process without --detach"
            raise UsageError("Durable work needs the extra `workstreams`.", fix=fix)
        yield submit


@asynccontextmanager
async def _telling(network: "Session", rules: "Book") -> "AsyncGenerator[Tell | None]":
    """Who a rule says is to be told, a server will tell; None where no rule says so, or durable work is not there."""
    from chittycan.agents.told import VERBS

    if not VERBS & rules.verbs:
        yield None
        return
    async with network.durable() as durable:
        yield durable.tell if await durable.prepared() else None


class Counter:
    """The bar: how many mails are done, and how many answers came from a model, from rules, from none."""

    def __init__(self, total: int | None, terms: "Terms", tell: "OnOutcome") -> None:
        self._tell = tell
        self._bar = Progress(
            TextColumn("[dim]reading mail[/]"), BarColumn(24), MofNCompleteColumn(), TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(), console=errors, transient=True, disable=not errors.is_terminal,
        )  # fmt: skip
        self._total, self._dry_run = _at_most(total, terms.limit), terms.dry_run
        self._task = self._bar.add_task("", total=self._total, said="")
        self._count = self._model = self._rules = self._settled = 0

    def __enter__(self) -> "Counter":
        self._bar.start()
        return self

    def __exit__(self, problem: object, *_: object) -> None:
        self._bar.stop()
        if problem is CancelledError:
            self._interrupted()

    def add(self, outcome: "Outcome") -> None:
        """One mail more."""
        by_model = sum(result.model is not None for result in outcome.results)
        self._model += by_model
        self._rules += len(outcome.results) - by_model
        self._settled += outcome.settled is not None
        said = f"[green]model {self._model}[/] · [yellow]rules {self._rules}[/] · [dim]settled {self._settled}[/]"
        self._count += 1
        self._bar.update(self._task, advance=1, said=said)
        self._tell(outcome)

    def _interrupted(self) -> None:
        of = "" if self._total is None else f" of {self._total}"
        errors.print(f"\n[yellow]![/] stopped after {self._count}{of} mails")
        if not self._dry_run:
            errors.print("  [cyan]→[/] what is done is kept, step by step; the same command goes on")


def _at_most(total: int | None, limit: int | None) -> int | None:
    return total if limit is None or total is None else min(total, limit)


def failed(report: "Report") -> bool:
    """Whether models were needed and none answered."""
    needed = sum(step.fallbacks for step in report.steps)
    return needed > 0 and report.answers_from_model == 0


def show(report: "Report", lines: Shown, where: "Source | str") -> None:
    """The report for people: the mails, the steps, and what to do next. `where` is a mailbox, or an account's name."""
    if not report.mails:
        if isinstance(where, str):
            console.print(f"[dim]nothing new in {plain(where)}[/]")
            return
        names = " (in a plain folder, files must end in .eml)" if where.kind == "folder" else ""
        console.print(f"[dim]no mail in {plain(str(where.path))}{names}[/]")
        return
    _mails(report, lines.fresh)
    _counts(report)
    _unreadable(report, lines.unreadable)
    if report.dry_run:
        console.print(f"\n[bold]{report.count('waiting')}[/] would need a model. Nothing was asked and nothing stored.")
        return
    _steps(report)
    if submitted := report.count("submitted"):
        console.print(f"[bold]{submitted}[/] wait for their turn; a server does the work: [bold]can tasks list[/]")
    if lines.drafted:
        wait = "1 draft waits" if report.drafts == 1 else f"{report.drafts} drafts wait"
        console.print(f"\n{wait} for you: [bold]can router drafts show {lines.drafted[0].draft_id}[/]")


def _mails(report: "Report", first: "list[Outcome]") -> None:
    if not first:
        return
    rows = [
        (mail.priority(each.level), _category(each), mail.who(each.sender), each.subject or "(no subject)",
         "yes" if each.draft_id else "")
        for each in first
    ]  # fmt: skip
    mail.mails(("priority", "category", "from", "subject", "draft"), rows, empty="")
    fresh = sum(report.count(state) for state in FRESH)
    if fresh > len(first):
        where = "" if report.dry_run else f": can router inbox list --limit {fresh}"
        console.print(f"[dim]… and {fresh - len(first)} more{where}[/]")
    console.print()


def _category(outcome: "Outcome") -> str:
    unsorted = {"waiting": "needs a model", "submitted": "in the queue"}
    return unsorted.get(outcome.state) or mail.words(outcome.category)


def _counts(report: "Report") -> None:
    """One line on each group of mails that needed no agent, or could not be read as a whole."""
    if report.settled:
        kinds = ", ".join(f"{count} {mail.words(kind)}" for kind, count in sorted(report.settled.items()))
        ms = report.prefilter_median_ms or 0
        time = f"in {ms:.1f}ms" if ms >= 0.1 else "in less than 0.1ms"
        console.print(f"[dim]– {sum(report.settled.values())} settled without a model {time} each: {kinds}[/]")
    known = report.count("known") + report.count("duplicate")
    if known:
        console.print(f"[dim]– {known} known already; each mail is processed once[/]")
    if elsewhere := report.count("elsewhere"):
        console.print(f"[dim]– {elsewhere} in the hands of another process, which asks models about them now[/]")
    if report.broken:
        console.print(f"[dim]– {report.broken} damaged, read as far as they could be[/]")


def _unreadable(report: "Report", first: "list[Outcome]") -> None:
    for each in first:
        console.print(f"[yellow]![/] {plain(each.key)} could not be read: {plain(each.problem or '')}")
    if (more := report.count("unreadable") - len(first)) > 0:
        console.print(f"[yellow]![/] … and {more} more that could not be read")


def _steps(report: "Report") -> None:
    """Who answered, how fast and for how much; then the sum, and how far the answers can be trusted."""
    if not any(step.runs for step in report.steps):
        return
    colours = {"✓": "green", "✗": "red", "–": "dim"}
    for line in report.lines:
        mark, _, rest = line.partition(" ")
        colour = colours.get(mark)
        console.print(f"[{colour}]{mark}[/] {plain(rest)}" if colour else f"[bold]{plain(line)}[/]")
    _note(report)
    if failed(report):
        reasons = sorted({reason for step in report.steps for reason in step.reasons})
        errors.print(f"\n[bold red]✗[/] no model answered ({plain(', '.join(reasons))}): all of this is by rules")
        errors.print("  [cyan]→[/] can doctor")


def _note(report: "Report") -> None:
    console.print(
        f"[dim]typical mail; all {report.worked} took {seconds(report.seconds * 1000)}"
        f"{'' if report.cost_nano == 0 else f' and {_dollars(report.cost_nano)}'}[/]\n"
    )
    console.print(
        f"[bold]{report.answers_from_model}[/] answers came from the model, "
        f"[bold]{report.answers_from_rules}[/] from rules"
    )
    if any(EMBEDDED in step.models for step in report.steps):
        console.print(
            f"[dim]{EMBEDDED} is a very small model (135 million parameters): it shows that everything works, and is "
            "no judge of a client's matter. A better one: can connect integration add NAME[/]"
        )


def _dollars(nano: int) -> str:
    from chittycan.agents.report import dollars

    return dollars(nano)
