"""The owner's rules: made, shown, changed, and tried against what has come in, without doing anything."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chittycan.agents.mail_facts import facts_of
from chittycan.agents.pipeline import restore
from chittycan.control.operation import operation
from chittycan.errors import InvalidRequest
from chittycan.routing.rules.book import Applied, Book, Rule
from chittycan.store import inbox

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key

LAST = 50  # mails that a rule is tried against
MOST = 1_000


class Hit(Struct, kw_only=True):
    """One mail that a rule, or all of them, would do something to. `values` is what would be done."""

    id: str
    subject: str
    sender: str
    values: dict[str, Any]
    rules: list[str]


class Tried(Struct, kw_only=True):
    """`against`: how many mails were looked at. Nothing was done to any of them."""

    against: int
    hits: list[Hit]


@operation("GET", "/rules", owner=True)
async def listed(network: "Network", caller: "Key | None") -> list[Rule]:
    """Every rule, in the order in which they are looked at."""
    return await network.rules.every()


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
) -> Rule:
    """Make a rule, such as `priority:low` → `model:llama-scout`. The grammar is in docs/rules.md."""
    made = Rule(id="", name=name, condition=condition, action=action, priority=priority, enabled=enabled)
    return await network.rules.create(made)


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
) -> Rule:
    """Change what is given of a rule; `rule` is its id or name."""
    given = {"condition": condition, "action": action, "priority": priority, "enabled": enabled}
    return await network.rules.change(rule, **{name: value for name, value in given.items() if value is not None})


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
    last: int = LAST,
) -> Tried:
    """What a rule, a condition, or all rules would do: to the `last` mails, or to the `facts` that are given.

    Nothing is done to anything.
    """
    book = await _book(network, rule, condition)
    if facts is not None:
        applied = book.apply(facts)
        hits = [_hit("facts", "", "", applied)] if applied.rules else []
        return Tried(against=1, hits=hits)
    now = network.clock.now()
    mails = await network.database.read(inbox.latest, min(max(last, 1), MOST))
    found = [(each, book.apply(_facts(each, now))) for each in mails]
    return Tried(
        against=len(mails),
        hits=[_hit(each.id, each.subject, each.sender, applied) for each, applied in found if applied.rules],
    )


def _facts(stored: inbox.StoredMail, now: float) -> dict[str, Any]:
    return facts_of(restore(stored), now=now, category=stored.category, level=stored.level)


async def _book(network: "Network", rule: str | None, condition: str | None) -> Book:
    if rule is not None and condition is not None:
        raise InvalidRequest("give a rule or a condition, not both", param="condition")
    if condition is not None:
        return Book([Rule(id="tried", name="tried", condition=condition, action="label:tried")])
    return Book([await network.rules.get(rule)] if rule is not None else await network.rules.every())


def _hit(id: str, subject: str, sender: str, applied: Applied) -> Hit:
    return Hit(id=id, subject=subject, sender=sender, values=applied.values, rules=applied.rules)
