"""The owner's rules: kept in the database, known in memory to every process within a second of a change."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import InvalidRequest, NotFound
from chittycan.routing.rules import actions, condition
from chittycan.routing.rules.actions import Action
from chittycan.routing.rules.book import NO_RULES, Applied, Book, Rule, kept_in
from chittycan.routing.rules.condition import Facts, RuleError
from chittycan.store import rules as rows
from chittycan.store.database import Database
from chittycan.store.revisions import current, kept_fresh

log = logging.getLogger(__name__)

LONGEST_NAME = 100
MOST_RULES = 1_000
KEEPING = ("private", "region")  # the actions that keep something in
ANYTHING = "source:mail OR source:task OR source:request OR source:event"


class RuleBook:
    """`book` is what to apply. `refresh` before it is used first; `run` keeps it fresh.

    `key_name`: what the owner calls the virtual key of this id; rules know keys by their names.
    """

    def __init__(self, database: Database, clock: Clock, key_name: Callable[[str], str | None] | None = None) -> None:
        self._database, self._clock, self._key_name = database, clock, key_name
        self._revision = -1
        self._refreshing = asyncio.Lock()
        self.book = NO_RULES
        # Whether it is known what each rule does. In `book` stands what those keep in of which it is not known when.
        self.readable = True

    def apply(self, facts: Facts) -> Applied:
        """What the rules say of something now; its `key` is an id."""
        key = facts.get("key")
        if key is not None and self._key_name is not None:
            facts = {**facts, "key": self._key_name(key)}
        return self.book.apply(facts)

    async def every(self) -> list[Rule]:
        """In the order in which they are looked at."""
        return [Rule(**row) for row in await self._database.read(rows.every)]

    async def get(self, name: str) -> Rule:
        """By id or name. Raises NotFound."""
        row = await self._database.read(rows.named, name)
        if row is None:
            raise NotFound(f"no rule {name[:80]!r}", param="rule", fix="`can router rules list` shows them.")
        return Rule(**row)

    async def create(self, written: Rule) -> Rule:
        """Stores a rule; its id is made here. Raises RuleError, and InvalidRequest for a name that is taken."""
        check(written)
        made = replace(written, id=f"rule_{secrets.token_hex(4)}", created=self._clock.now())
        made = replace(made, name=made.name or made.id)

        def store(connection: Connection) -> None:
            if len(made.name) > LONGEST_NAME or rows.named(connection, made.name) is not None:
                raise InvalidRequest(f"there is a rule {made.name[:80]!r} already, or it is too long", param="name")
            if len(rows.every(connection)) >= MOST_RULES:
                raise InvalidRequest(f"at most {MOST_RULES:,} rules", fix="Delete some first.")
            rows.add(connection, _row(made))

        await self._database.run(store)
        await self.refresh()
        return made

    async def change(self, name: str, **values: Any) -> Rule:
        """Changes what is given of condition, action, priority, enabled, name. Raises NotFound, RuleError."""
        changed = replace(await self.get(name), **values)
        if changed.enabled or values.keys() & {"condition", "action"}:  # what cannot be read can be turned off
            check(changed)
        await self._database.run(rows.change, changed.id, values)
        await self.refresh()
        return changed

    async def delete(self, name: str) -> Rule:
        """Raises NotFound."""
        found = await self.get(name)
        await self._database.run(rows.remove, found.id)
        await self.refresh()
        return found

    async def refresh(self) -> None:
        """Takes up what was changed, by whomever."""
        async with self._refreshing:
            revision = await self._database.read(current, rows.REVISION)
            if revision == self._revision:
                return
            rules = await self.every()
            wrong = {each.name: why for each in rules if each.enabled and (why := unreadable(each)) is not None}
            self.book = Book(filter(None, map(readable, rules)))
            self.readable = all(_does(each) is not None for each in rules if each.enabled)
            for name, why in wrong.items():  # written by another version: the others are used all the same
                log.warning("rule_unreadable", extra={"fields": {"rule": name, "error": why}})
            self._revision = revision

    async def run(self) -> None:
        """Keeps `book` fresh, as long as it runs."""
        await kept_fresh(self.refresh, self._clock)


def check(rule: Rule) -> None:
    """Raises RuleError where the rule cannot be read."""
    condition.parse(rule.condition)
    actions.parse(rule.action)


def unreadable(rule: Rule) -> str | None:
    """Why this version cannot read a rule, or None."""
    try:
        check(rule)
    except RuleError as error:
        return error.message
    return None


def readable(rule: Rule) -> Rule | None:
    """The rule; of one that cannot be read what it may keep in, if anything, for everything: nobody can tell what it is
    about."""
    if not rule.enabled or unreadable(rule) is None:
        return rule
    does = _does(rule)
    if does is None:
        action = "private" if any(verb in rule.action.lower() for verb in KEEPING) else ""
    else:
        action = ", ".join(map(_written, kept_in(does)))
    return replace(rule, condition=ANYTHING, action=action) if action else None


def _does(rule: Rule) -> tuple[Action, ...] | None:
    """Its actions; None where they cannot be read."""
    try:
        return actions.parse(rule.action)
    except RuleError:
        return None


def _written(action: Action) -> str:
    if action.value is True:
        return action.verb
    return f"{action.verb}:false" if action.value is False else f'{action.verb}:"{action.value}"'


def cannot_read(rule: Rule) -> str | None:
    """As `unreadable`, in words for the owner: what holds meanwhile, and what to do."""
    why = unreadable(rule)
    if why is None:
        return None
    kept = readable(rule) if rule.enabled else None
    held = "" if kept is None else f"; until it can be read, {kept.action} holds for everything"
    return f"{why}{held}"


def _row(rule: Rule) -> dict[str, Any]:
    return msgspec.structs.asdict(rule)
