"""`can router rules`: what the owner wants done with mails, tasks and requests of which something is true."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chittycan.cli.output import Json, console, done, plain, print_json, table, warn
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.control.rules import RuleRow

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True,
    help="Rules: create, list, change, test, delete.",
)  # fmt: skip

Named = Annotated[str, typer.Argument(metavar="RULE", help="Its id or name: can router rules list.")]
Condition = Annotated[str | None, typer.Option(help='Such as "priority:low" or "from:@court.example -has:attachment".')]
Action = Annotated[str | None, typer.Option(help='Such as "model:llama-scout" or "priority:high, label:court".')]
Priority = Annotated[int | None, typer.Option(help="Rules with a higher one are looked at first.")]


@app.command("create")
def create(
    called: Annotated[str, typer.Argument(metavar="[NAME]", help="What it is called; its id by default.")] = "",
    condition: Condition = None,
    action: Action = None,
    name: Annotated[str, typer.Option(help="The same.")] = "",
    priority: Annotated[int, typer.Option(help="Rules with a higher one are looked at first.")] = 0,
    off: Annotated[bool, typer.Option("--off", help="Keep it, but do not use it yet.")] = False,
    json: Json = False,
) -> None:
    """Make a rule. It holds from the next mail, task or request on."""
    from chittycan.cli.session import Session, run
    from chittycan.control import rules
    from chittycan.control.rules import RuleRow

    if condition is None or action is None:
        example = 'can router rules create --condition "priority:low" --action "model:llama-scout"'
        raise UsageError("a rule needs --condition and --action", fix=example)
    if called and name and called != name:
        raise UsageError(f"the rule has two names, {called} and {name}", fix="give one of them")

    async def work(network: Session) -> RuleRow:
        return await network.call(
            rules.create, condition=condition, action=action, name=called or name, priority=priority, enabled=not off
        )

    made = run(work)
    if json:
        print_json(made)
        return
    done(f"rule {plain(made.name)}: {plain(made.condition)} → {plain(made.action)}")
    _warn(made)
    console.print(f"  what it would have done: can router rules test {plain(made.name)} --against {_tried_on(made)}")


@app.command("list")
def list_(json: Json = False) -> None:
    """Every rule, in the order in which they are looked at."""
    from chittycan.cli.session import Session, run
    from chittycan.control import rules
    from chittycan.control.rules import RuleRow

    async def work(network: Session) -> list[RuleRow]:
        return await network.call(rules.listed)

    found = run(work)
    if json:
        print_json(found)
        return
    table(
        ("", "rule", "condition", "action", "priority"),
        [(_mark(each), each.name, each.condition, each.action, each.priority or None) for each in found],
        empty='no rules; can router rules create --condition "priority:low" --action "model:llama-scout"',
    )  # fmt: skip
    for each in found:
        if each.unreadable:
            mend = rules.to_mend(each.name, each.unreadable)
            warn(f"{plain(each.name)} is not used: {plain(each.unreadable)}; {plain(mend)}")


@app.command("change")
def change(
    rule: Named,
    condition: Condition = None,
    action: Action = None,
    priority: Priority = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Whether it is used.")] = None,
    json: Json = False,
) -> None:
    """Change a rule, or turn it on or off."""
    from chittycan.cli.session import Session, run
    from chittycan.control import rules
    from chittycan.control.rules import RuleRow

    async def work(network: Session) -> RuleRow:
        return await network.call(
            rules.change, rule=rule, condition=condition, action=action, priority=priority, enabled=enabled
        )

    changed = run(work)
    if json:
        print_json(changed)
        return
    state = "" if changed.enabled else " (off)"
    done(f"rule {plain(changed.name)}: {plain(changed.condition)} → {plain(changed.action)}{state}")
    _warn(changed)


@app.command("test")
def try_out(
    rule: Annotated[str | None, typer.Argument(metavar="[RULE]", help="Its id or name; all rules by default.")] = None,
    condition: Condition = None,
    against: Annotated[str, typer.Option(help="last:N mails, tasks:N or requests:N.")] = "last:50",
    fact: Annotated[
        list[str] | None, typer.Option("--fact", metavar="FIELD=VALUE", help="Instead of mails; repeat it.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what a rule would do, without doing it."""
    from chittycan.cli.session import Session, run
    from chittycan.control import rules
    from chittycan.control.rules import Tried

    of, last = _against(against)
    facts = None if not fact else dict(_fact(each) for each in fact)

    async def work(network: Session) -> Tried:
        return await network.call(rules.tried, rule=rule, condition=condition, facts=facts, of=of, last=last)

    found = run(work)
    if json:
        print_json(found)
        return
    table(
        (of.removesuffix("s"), "from", "about", "what would be done"),
        [(each.id, each.sender, each.subject, _done(each.values))
         for each in found.hits],
        empty="it holds for none of them", cut=("from", "about"),
    )  # fmt: skip
    console.print(f"[dim]{len(found.hits)} of {found.against}; nothing was done[/]")
    for note in found.notes:
        warn(plain(note))


@app.command("delete")
def delete(rule: Named, json: Json = False) -> None:
    """Delete a rule."""
    from chittycan.cli.session import Session, run
    from chittycan.control import rules
    from chittycan.routing.rules.book import Rule

    async def work(network: Session) -> Rule:
        return await network.call(rules.delete, rule=rule)

    gone = run(work)
    if json:
        print_json(gone)
        return
    done(f"rule {plain(gone.name)} is deleted")


def _against(written: str) -> tuple[str, int]:
    word, _, number = written.partition(":")
    of = "mails" if word == "last" else word
    if of not in ("mails", "tasks", "requests") or not number.isdecimal():
        raise UsageError(f"--against {written} is not understood", fix="--against last:50, tasks:50 or requests:50")
    return of, int(number)


def _tried_on(rule: "RuleRow") -> str:
    """What a rule like this is best tried on."""
    from chittycan.routing.rules.book import about

    things = about(rule) or {"mail"}
    return "last:50" if "mail" in things else "tasks:50" if "task" in things else "requests:50"


def _mark(rule: "RuleRow") -> str:
    if not rule.enabled:
        return "off"
    return "✗" if rule.unreadable else "!" if rule.idle or rule.nobody else "✓"


def _warn(rule: "RuleRow") -> None:
    if rule.nobody:
        warn(f"no model is called {plain(', '.join(rule.nobody))}: can router models list")
    if rule.idle:
        warn(f"{', '.join(rule.idle)} never does anything here: what the condition asks about has no such thing")
    if rule.unknown:
        warn(f"{rule.unknown}; can router rules test {plain(rule.name)} says which server it may be")


def _fact(text: str) -> tuple[str, object]:
    """A number or a flag only where the field is one: `session=7` and `branch=true` are texts."""
    from chittycan.routing.rules.fields import FIELDS, FLAGS

    written, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--fact {text} has no value", fix="--fact branch=main")
    name = written.strip().lower()
    kind = FIELDS.get(name)
    if kind == "flag":
        return name, FLAGS.get(value.casefold(), value)
    if kind not in ("number", "duration", "size"):
        return name, value
    try:
        return name, float(value)
    except ValueError:
        raise UsageError(f"--fact {text} is no number", fix=f"--fact {name}=1") from None


def _done(values: Mapping[str, Any]) -> str:
    """What a rule says, in the words of rules: `archive, label:Court, auto:false`."""
    said: list[str] = []
    for verb, value in values.items():
        every = value if isinstance(value, list | tuple) else [value]
        said += [verb if each is True else f"{verb}:{'false' if each is False else each}" for each in every]
    return ", ".join(said)
