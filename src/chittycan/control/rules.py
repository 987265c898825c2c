"""The owner's rules: made, shown, changed, and tried against what has come in, without doing anything."""

from collections import Counter
from collections.abc import Awaitable, Callable
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from chittycan.control.operation import operation
from chittycan.errors import InvalidRequest
from chittycan.routing.rules import actions, condition
from chittycan.routing.rules.book import Applied, Book, Rule, idle
from chittycan.routing.rules.condition import check_facts

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.catalogue import Catalogue
    from chittycan.config import Settings

LAST = 50  # mails that a rule is tried against
MOST = 1_000


class Hit(Struct, kw_only=True):
    """One mail, task or request that a rule, or all of them, would do something to. `values` is what would be done."""

    id: str
    subject: str
    sender: str
    values: dict[str, Any]
    rules: list[str]


class Tried(Struct, kw_only=True):
    """`against`: how many were looked at. Nothing was done to any of them.

    `notes`: why what a rule asks for is not known of some, where it asks who wrote a mail.
    """

    against: int
    hits: list[Hit]
    notes: list[str] = []


class RuleRow(Rule, frozen=True, kw_only=True):
    """`idle`: actions that never do anything, because what the condition asks about is nothing they are for.

    `unknown`: why what it asks for is never known; None where it is. `unreadable`: why it cannot be read, and is not
    used but for what it keeps in; None where it can. `nobody`: the models that it names and nobody here is called.
    """

    idle: list[str]
    unknown: str | None = None
    unreadable: str | None = None
    nobody: tuple[str, ...] = ()


@operation("GET", "/rules", owner=True)
async def listed(network: "Network", caller: "Key | None") -> list[RuleRow]:
    """Every rule, in the order in which they are looked at."""
    return [_row(network, each) for each in await network.rules.every()]


@operation("POST", "/rules", owner=True, status=201)
async def create(
    network: "Network",
    caller: "Key | None",
    *,
    condition: str,
    action: str,
    name: str = "",
    priority: int = 0,
    enabled: bool = True,
) -> RuleRow:
    """Make a rule, such as `priority:low` → `model:llama-scout`. The grammar is in docs/rules.md."""
    _check_addresses(network, action)
    made = Rule(id="", name=name, condition=condition, action=action, priority=priority, enabled=enabled)
    return _row(network, await network.rules.create(made))


@operation("PATCH", "/rules/{rule}", owner=True)
async def change(
    network: "Network",
    caller: "Key | None",
    *,
    rule: str,
    condition: str | None = None,
    action: str | None = None,
    priority: int | None = None,
    enabled: bool | None = None,
) -> RuleRow:
    """Change what is given of a rule; `rule` is its id or name."""
    given = {"condition": condition, "action": action, "priority": priority, "enabled": enabled}
    _check_addresses(network, action)
    changed = {name: value for name, value in given.items() if value is not None}
    return _row(network, await network.rules.change(rule, **changed))


@operation("DELETE", "/rules/{rule}", owner=True)
async def delete(network: "Network", caller: "Key | None", *, rule: str) -> Rule:
    """Delete a rule, by its id or name."""
    return await network.rules.delete(rule)


@operation("POST", "/rules/test", owner=True)
async def tried(
    network: "Network",
    caller: "Key | None",
    *,
    rule: str | None = None,
    condition: str | None = None,
    facts: dict[str, Any] | None = None,
    of: Literal["mails", "tasks", "requests"] = "mails",
    last: int = LAST,
) -> Tried:
    """What a rule, a condition, or all rules would do: to the `last` mails, tasks or requests, or to these `facts`.

    Nothing is done to anything. What came along with a task when it was submitted (branch, repo…) is not kept.
    """
    book = await _book(network, rule, condition)
    if facts is not None:
        check_facts(facts)
        seen = [("facts", "", "", facts)]
    else:
        seen = await _SEEN[of](network, min(max(last, 1), MOST))
    found = [(id, subject, sender, book.apply(each)) for id, subject, sender, each in seen]
    hits = [_hit(id, subject, sender, applied) for id, subject, sender, applied in found if applied.rules]
    notes = await _notes(network, last) if facts is None and of == "mails" and _authentication(book.fields) else []
    return Tried(against=len(seen), hits=hits, notes=notes)


Seen = tuple[str, str, str, dict[str, Any]]  # its id, what it is about, whose it is, its facts


async def _mails(network: "Network", last: int) -> list[Seen]:
    from chittycan.agents.acquaintance import FIELD, known
    from chittycan.agents.kept import restore
    from chittycan.agents.mail_facts import facts_of
    from chittycan.mailbox import auth_server
    from chittycan.store import inbox

    now = network.clock.now()
    return [
        (each.id, each.subject, each.sender,
         facts_of(restore(each), now=now, authserv=auth_server(network.settings, each.account),
                  category=each.category, level=each.level, account=each.account)
         | {FIELD: await network.database.read(known, restore(each))})
        for each in await network.database.read(inbox.latest, last)
    ]  # fmt: skip


async def _tasks(network: "Network", last: int) -> list[Seen]:
    from chittycan.workstreams import ruling

    tasks, _ = await network.tasks.list(limit=last)
    names = {each.id: each.name for each in await network.keys.list()}
    return [
        (each.id, each.title or each.type, names.get(each.key_id or "", ""),
         ruling.facts_of(each, {}) | {"key": names.get(each.key_id or "")})
        for each in tasks
    ]  # fmt: skip


async def _requests(network: "Network", last: int) -> list[Seen]:
    from chittycan.store import ledger

    names = {each.id: each.name for each in await network.keys.list()}
    found = []
    for attempts in await network.database.read(ledger.requests, last):
        each = attempts[0]
        region = next((need[7:] for need in (each.needs or "").split(",") if need.startswith("region=")), None)
        facts = {"source": "request", "kind": each.kind, "model": each.asked or each.model, "session": each.session,
                 "key": names.get(each.key_id), "private": each.label == "private", "region": region,
                 "tokens": max(attempt.input for attempt in attempts)}  # fmt: skip
        found.append((each.request_id, each.kind or "", names.get(each.key_id, ""), facts))
    return found


_SEEN: dict[str, Callable[["Network", int], Awaitable[list[Seen]]]] = {
    "mails": _mails, "tasks": _tasks, "requests": _requests,
}  # fmt: skip


def _check_addresses(network: "Network", action: str | None) -> None:
    """Raises Forbidden and InvalidRequest for a `webhook` that nothing may be sent to."""
    for each in actions.parse(action) if action is not None else ():
        if each.verb == "webhook":
            network.checked_webhook(each.value)


async def _book(network: "Network", rule: str | None, condition: str | None) -> Book:
    from chittycan.rulebook import readable

    if rule is not None and condition is not None:
        raise InvalidRequest("give a rule or a condition, not both", param="condition")
    if condition is not None:
        return Book([Rule(id="tried", name="tried", condition=condition, action="label:tried")])
    if rule is not None:
        return Book([await network.rules.get(rule)])
    return Book(filter(None, map(readable, await network.rules.every())))


def _hit(id: str, subject: str, sender: str, applied: Applied) -> Hit:
    return Hit(id=id, subject=subject, sender=sender, values=applied.values, rules=applied.rules)


def _row(network: "Network", rule: Rule) -> RuleRow:
    from chittycan.rulebook import cannot_read

    fields, why = msgspec.structs.asdict(rule), cannot_read(rule)
    if why is not None:
        return RuleRow(**fields, idle=[], unreadable=why)
    nobody = _nobody(rule, network.gateway.catalogue)
    return RuleRow(**fields, idle=idle(rule), unknown=unknown(network.settings, rule), nobody=nobody)


def to_mend(name: str, why: str) -> str:
    """The command that mends a rule which cannot be read; `why` begins with the part that is wrong."""
    return f'can router rules change {quote(name)} --{why.partition(",")[0]} "…", or --off'


def _nobody(rule: Rule, catalogue: "Catalogue") -> tuple[str, ...]:
    """The models of its actions that are no model, assignment or ensemble, and no name that leaves the choice to us."""
    from chittycan.routing.assignments import assigned_to_name
    from chittycan.routing.decide import CHOOSING, PRIVATE

    named = [str(each.value) for each in actions.parse(rule.action) if each.verb == "model"]
    known = {*CHOOSING, PRIVATE, *catalogue.ensembles}
    return tuple(
        name for name in named
        if name not in known and assigned_to_name(catalogue.assignments, name) is None
        and catalogue.resolve(name) is None and catalogue.why_unavailable(name) is None
    )  # fmt: skip


def unknown(settings: "Settings", rule: Rule) -> str | None:
    """Why nobody can know what the rule asks for, in words: who wrote a mail. Raises ConfigError."""
    from chittycan.integrations.email.authentication import UNSET
    from chittycan.mailbox import has_auth_server

    asked = _authentication(condition.fields_of(condition.parse(rule.condition)))
    if not asked or has_auth_server(settings):
        return None
    return f"it asks for {', '.join(asked)}, and {UNSET}"


def _authentication(fields: frozenset[str]) -> list[str]:
    """Those of the fields that are a server's word on who wrote a mail."""
    return sorted(fields & {"dkim", "spf", "dmarc"})


async def _notes(network: "Network", last: int) -> list[str]:
    """How many of the mails nobody says anything of, and why; and the server whose word it may be."""
    from chittycan.agents.kept import restore
    from chittycan.integrations.email.authentication import UNSET, likely, verdicts
    from chittycan.mailbox import auth_server
    from chittycan.store import inbox

    found = [(each, restore(each)) for each in await network.database.read(inbox.latest, min(max(last, 1), MOST))]
    servers = [auth_server(network.settings, each.account) for each, _ in found]
    whys = Counter(verdicts(mail, server).why for (_, mail), server in zip(found, servers, strict=True))
    notes = [f"{times} of {len(found)}: {why}" for why, times in whys.most_common(4) if why is not None]
    if UNSET in whys and (name := likely([mail for _, mail in found])) is not None:
        notes.append(f"most of them bear the word of {name}: if that is your server, set inbox.authServer to it")
    return notes
