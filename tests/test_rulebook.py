"""Rules are kept, and known to every process within a second."""

import asyncio

import pytest

from chittycan.errors import InvalidRequest, NotFound
from chittycan.routing.rules.book import Rule
from chittycan.routing.rules.condition import RuleError
from chittycan.rulebook import RuleBook
from chittycan.store.database import Database
from chittycan.store.revisions import POLL_SECONDS
from chittycan.testing import FakeClock


def written(condition: str = "priority:low", action: str = "model:llama-scout", **more: object) -> Rule:
    return Rule(id="", condition=condition, action=action, **{"name": "", **more})  # type: ignore[arg-type]


async def test_a_rule_holds_at_once_and_in_other_processes_within_a_second(database: Database) -> None:
    clock = FakeClock()
    here, there = RuleBook(database, clock), RuleBook(database, clock)
    await there.refresh()
    watching = asyncio.ensure_future(there.run())
    await here.create(written())
    assert here.book.apply({"priority": "low"}).values == {"model": "llama-scout"}
    await clock.until_asleep()
    clock.advance(POLL_SECONDS)
    await clock.until_asleep()
    assert there.book.apply({"priority": "low"}).values == {"model": "llama-scout"}
    watching.cancel()


async def test_rules_come_in_their_order_and_can_be_changed_and_deleted(database: Database) -> None:
    rules = RuleBook(database, FakeClock())
    first = await rules.create(written(name="first"))
    await rules.create(written("branch:main", "priority:high", name="urgent", priority=5))
    assert [each.name for each in await rules.every()] == ["urgent", "first"]
    await rules.change("first", enabled=False)
    assert not rules.book.apply({"priority": "low"}).rules
    await rules.change(first.id, enabled=True, action="stop")
    assert rules.book.apply({"priority": "low"}).stopped == first.id
    await rules.delete("urgent")
    assert [each.name for each in await rules.every()] == ["first"]
    with pytest.raises(NotFound):
        await rules.delete("urgent")


async def test_a_bad_rule_is_refused_and_nothing_is_stored(database: Database) -> None:
    rules = RuleBook(database, FakeClock())
    await rules.create(written(name="good"))
    with pytest.raises(RuleError, match="action, column 1"):
        await rules.create(written(action="send:anna"))
    with pytest.raises(RuleError, match="condition, column 1"):
        await rules.change("good", condition="prioriti:low")
    with pytest.raises(InvalidRequest, match="already"):
        await rules.create(written(name="good"))
    assert [each.condition for each in await rules.every()] == ["priority:low"]


async def test_a_rule_that_this_version_cannot_read_only_sends_mail_to_a_person(database: Database) -> None:
    from chittycan.store import rules as rows

    rules, after_a_restart = RuleBook(database, FakeClock()), RuleBook(database, FakeClock())
    await rules.create(written(name="good"))
    newer = {"id": "x", "name": "x", "condition": "mood:happy", "action": "stop", "priority": 0, "enabled": True,
             "created": 0.0}  # fmt: skip
    await database.run(rows.add, newer)
    await rules.create(written("branch:main", "priority:high"))
    for book in (rules, after_a_restart):
        await book.refresh()
        assert book.book.apply({"priority": "low"}).values == {"model": "llama-scout"}
        assert book.book.apply({"branch": "main"}).values == {"priority": "high"}
        assert book.book.apply({"source": "mail"}).values == {"auto": False}  # it may have been stopped


async def test_only_what_nobody_knows_the_effect_of_may_keep_mail_private(database: Database) -> None:
    from chittycan.store import rules as rows

    rules = RuleBook(database, FakeClock())
    for id, condition, action in (("x", "label:a,from:b", "model:gpt-4"), ("y", "kind:legal", "paint:red")):
        row = {"id": id, "name": id, "condition": condition, "action": action, "priority": 0, "enabled": True}
        await database.run(rows.add, {**row, "created": 0.0})
        await rules.refresh()
        assert rules.readable == (id == "x")
    await rules.change("y", enabled=False)
    assert rules.readable


@pytest.mark.parametrize(
    ("condition", "action", "held"),
    [
        ("mood:happy", "private, model:llama", {"private": True}),
        ("mood:happy", "region:eu-west", {"region": "eu-west"}),
        ("kind:legal", "private, paint:red", {"private": True}),
        ("mood:happy", "label:x, private:false", {}),
        ("mood:happy", "auto:false, draft:false, model:x", {"auto": False, "draft": False}),
    ],
)
async def test_what_it_may_keep_in_holds_for_all_until_it_can_be_read(
    database: Database, condition: str, action: str, held: dict[str, object]
) -> None:
    """A server of an older version beside a newer one must not let out what the newer one's rule keeps in."""
    from chittycan.store import rules as rows

    newer = {"id": "x", "name": "x", "condition": condition, "action": action, "priority": 0, "enabled": True,
             "created": 0.0}  # fmt: skip
    await database.run(rows.add, newer)
    rules = RuleBook(database, FakeClock())
    await rules.refresh()
    for source in ("request", "task", "mail"):
        assert rules.book.apply({"source": source}).values == held
    assert [each.condition for each in await rules.every()] == [condition]


async def test_a_slow_look_does_not_undo_a_newer_one(database: Database) -> None:
    class Slow(RuleBook):
        looking, go_on = asyncio.Event(), asyncio.Event()

        async def every(self) -> list[Rule]:
            found = await super().every()
            if not self.looking.is_set():
                self.looking.set()
                await self.go_on.wait()
            return found

    rules = Slow(database, FakeClock())
    looking = asyncio.ensure_future(rules.refresh())
    await rules.looking.wait()
    making = asyncio.ensure_future(rules.create(written()))
    await asyncio.wait({making}, timeout=0.2)  # where it does not wait for the other, it is over by then
    rules.go_on.set()
    await asyncio.gather(looking, making)
    assert rules.book.apply({"priority": "low"}).values == {"model": "llama-scout"}
