"""Effects happen at most once, whatever dies between doing and writing down."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Connection

from chittycan.errors import (
    ChittyError,
    DeliveryUnknown,
    Forbidden,
    InvalidRequest,
    NotDelivered,
    NotFound,
    Unavailable,
)
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.workstreams import effects as module
from chittycan.workstreams.effects import LONGEST_ACT, TRANSITIONS, Effects

PATIENCE = 20.0


class Outside:
    """The world outside: counts what happened to it, and fails as the test says."""

    def __init__(self, *failures: BaseException | None) -> None:
        self.failures = list(failures)
        self.tries = self.happened = 0

    async def act(self) -> Mapping[str, Any]:
        self.tries += 1
        failure = self.failures.pop(0) if self.failures else None
        if not isinstance(failure, ChittyError) or isinstance(failure, DeliveryUnknown):
            self.happened += 1
        if failure is not None:
            raise failure
        return {"number": self.happened}


def process(database: Database, clock: FakeClock, owner: str = "one", alive: set[str] | None = None) -> Effects:
    async def is_alive(other: str) -> bool:
        return other in (alive or set())

    return Effects(database, owner=owner, clock=clock, alive=None if alive is None else is_alive)


async def test_what_was_done_is_not_done_again(database: Database, clock: FakeClock) -> None:
    outside = Outside()
    for owner in ("one", "two"):
        effect = await process(database, clock, owner).once("k", "send", outside.act)
        assert (effect.state, effect.detail, effect.kind, effect.owner) == ("sent", {"number": 1}, "send", "one")
    assert outside.tries == 1
    await process(database, clock).once("other", "send", outside.act)
    assert outside.tries == 2


async def test_of_many_at_once_one_does_it(database: Database, clock: FakeClock) -> None:
    outside, go_on = Outside(), asyncio.Event()

    async def slow() -> Mapping[str, Any]:
        await go_on.wait()
        return await outside.act()

    one, two = process(database, clock, "one", {"one", "two"}), process(database, clock, "two", {"one", "two"})
    running = [asyncio.create_task(each.once("k", "send", slow)) for each in (one, two, one, two)]
    while sum(each.done() for each in running) < 3:
        await asyncio.wait([each for each in running if not each.done()], return_when=asyncio.FIRST_COMPLETED)
    go_on.set()
    states = [(await each).state for each in running]
    assert sorted(states) == ["sending", "sending", "sending", "sent"]
    assert outside.happened == 1


@pytest.mark.parametrize("error", [NotDelivered("refused"), Forbidden("not listed"), InvalidRequest("no URL")])
async def test_what_certainly_failed_may_be_tried_again(
    database: Database, clock: FakeClock, error: ChittyError
) -> None:
    outside, effects = Outside(error), process(database, clock)
    effect = await effects.once("k", "send", outside.act)
    assert (effect.state, effect.detail["error"], effect.detail["code"]) == ("failed", error.message, error.code)
    assert effect.detail["temporary"] is isinstance(error, NotDelivered)
    effect = await effects.once("k", "send", outside.act)
    assert (effect.state, effect.detail) == ("sent", {"number": 1})


async def test_what_may_have_happened_is_not_repeated(database: Database, clock: FakeClock) -> None:
    outside, effects = Outside(DeliveryUnknown("no answer")), process(database, clock)
    for _ in range(3):
        effect = await effects.once("k", "send", outside.act)
        assert (effect.state, effect.detail["error"]) == ("unknown", "no answer")
    assert outside.tries == 1
    assert [each.key for each in await effects.unknown()] == ["k"]


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_an_interruption_leaves_it_unknown(database: Database, clock: FakeClock, fault: BaseException) -> None:
    outside, effects = Outside(fault), process(database, clock)
    with pytest.raises(type(fault)):
        await effects.once("k", "send", outside.act)
    assert (await effects.once("k", "send", outside.act)).state == "unknown"
    assert outside.tries == 1


async def test_a_caller_that_is_cancelled_still_gets_its_effect_written_down(
    sqlite: Database, clock: FakeClock
) -> None:
    acting = asyncio.Event()

    async def endless() -> Mapping[str, Any]:
        acting.set()
        await asyncio.Event().wait()
        return {}

    effects = process(sqlite, clock)
    caller = asyncio.create_task(effects.once("k", "send", endless))
    await acting.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (await effects.get("k")).state == "unknown"


async def test_who_leaves_before_it_is_done_leaves_nothing_in_doubt(sqlite: Database, clock: FakeClock) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def claiming(_connection: Connection) -> None:
        begun.set()
        assert goes_on.wait(PATIENCE)

    outside, effects = Outside(), process(sqlite, clock)
    caller = asyncio.create_task(effects.once("k", "send", outside.act, claiming=claiming))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (await effects.settled("k")).state == "failed"
    assert (await effects.once("k", "send", outside.act)).state == "sent"
    assert outside.tries == 1


async def test_where_nobody_hears_that_it_is_begun_it_is_not_in_doubt(sqlite: Database, clock: FakeClock) -> None:
    away, outside = Away(str(sqlite.url)), Outside()
    effects = process(away, clock)

    def claiming(_connection: Connection) -> None:
        away.lost = 1

    with pytest.raises(Unavailable):
        await effects.once("k", "send", outside.act, claiming=claiming)
    assert (await effects.once("k", "send", outside.act)).state == "sent"
    assert outside.tries == 1
    away.close()


async def test_who_only_asks_for_what_another_began_changes_nothing(sqlite: Database, clock: FakeClock) -> None:
    await begun_by_the_dead(sqlite, clock, owner="one")
    away = Away(str(sqlite.url))
    away.lost = 1
    with pytest.raises(Unavailable):
        await process(away, clock).once("k", "send", Outside().act)
    assert (await process(sqlite, clock).get("k")).state == "sending"
    away.close()


async def begun_by_the_dead(database: Database, clock: FakeClock, owner: str = "dead") -> None:
    """A process that ends between doing and writing down: its row is all that is left."""

    class Dies(Effects):
        async def _record(self, *_: Any) -> Any:
            raise SystemExit

    with pytest.raises(SystemExit):
        await Dies(database, owner=owner, clock=clock).once("k", "send", Outside().act)
    assert (await process(database, clock).get("k")).state == "sending"


async def test_what_a_dead_process_began_is_unknown(database: Database, clock: FakeClock) -> None:
    await begun_by_the_dead(database, clock)
    outside = Outside()
    effect = await process(database, clock, "two", alive={"two"}).once("k", "send", outside.act)
    assert effect.state == "unknown"
    assert "ended before" in effect.detail["error"]
    assert outside.tries == 0


async def test_what_a_living_process_is_at_is_left_alone(database: Database, clock: FakeClock) -> None:
    await begun_by_the_dead(database, clock)
    clock.advance(10 * LONGEST_ACT)
    effect = await process(database, clock, "two", alive={"two", "dead"}).once("k", "send", Outside().act)
    assert effect.state == "sending"


async def test_without_heartbeats_a_silent_owner_counts_as_dead_after_the_longest_act(
    database: Database, clock: FakeClock
) -> None:
    await begun_by_the_dead(database, clock)
    effects = process(database, clock, "two")
    clock.advance(LONGEST_ACT - 1)
    assert (await effects.once("k", "send", Outside().act)).state == "sending"
    clock.advance(2)
    assert (await effects.once("k", "send", Outside().act)).state == "unknown"


async def test_what_this_very_process_lost_track_of_is_unknown(sqlite: Database, clock: FakeClock) -> None:
    await begun_by_the_dead(sqlite, clock, owner="one")
    assert (await process(sqlite, clock, "one", alive={"one"}).once("k", "send", Outside().act)).state == "unknown"


async def test_who_was_thought_dead_knows_better(sqlite: Database, clock: FakeClock) -> None:
    slow, impatient = process(sqlite, clock, "slow"), process(sqlite, clock, "two", alive=set())

    async def act() -> Mapping[str, Any]:
        assert (await impatient.once("k", "send", Outside().act)).state == "unknown"
        return {"id": 7}

    effect = await slow.once("k", "send", act)
    assert (effect.state, effect.detail) == ("sent", {"id": 7})


class Away(Database):
    """A database that does not answer for a while; `lost`: its answers are, what was asked of it is done."""

    refusals = lost = 0

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        if self.refusals > 0:
            self.refusals -= 1
            raise Unavailable("the database is away")
        found = await super().run(*args, **kwargs)
        if self.lost > 0:
            self.lost -= 1
            raise Unavailable("the database is away")
        return found


async def test_nothing_is_done_while_the_database_is_away(sqlite: Database, clock: FakeClock) -> None:
    away, outside = Away(str(sqlite.url)), Outside()
    away.refusals = 1
    with pytest.raises(Unavailable):
        await process(away, clock).once("k", "send", outside.act)
    assert outside.tries == 0
    away.close()


async def test_a_database_that_goes_away_meanwhile_is_waited_for(sqlite: Database, clock: FakeClock) -> None:
    away, outside = Away(str(sqlite.url)), Outside()

    async def act() -> Mapping[str, Any]:
        away.refusals = 6
        return await outside.act()

    caller = asyncio.create_task(process(away, clock).once("k", "send", act))
    for _ in range(6):
        await clock.until_asleep()
        clock.advance(60)
    assert (await caller).state == "sent"
    assert outside.happened == 1
    away.close()


async def test_a_person_says_what_became_of_it(database: Database, clock: FakeClock) -> None:
    outside, effects = Outside(DeliveryUnknown("no answer")), process(database, clock)
    await effects.once("k", "send", outside.act)
    effect = await effects.resolve("k", "sent", by="anna")
    assert (effect.state, effect.detail) == (
        "sent",
        {"error": "no answer", "code": "delivery_unknown", "resolved_by": "anna"},
    )
    assert await effects.resolve("k", "sent", by="bob") == effect
    with pytest.raises(InvalidRequest, match="already known as sent"):
        await effects.resolve("k", "failed", by="bob")
    assert (await effects.once("k", "send", outside.act)).state == "sent"
    assert outside.tries == 1
    assert await effects.unknown() == []


async def test_what_a_person_says_failed_is_done_after_all(database: Database, clock: FakeClock) -> None:
    outside, effects = Outside(DeliveryUnknown("no answer")), process(database, clock)
    await effects.once("k", "send", outside.act)
    assert (await effects.resolve("k", "failed", by="anna")).state == "failed"
    assert (await effects.once("k", "send", outside.act)).state == "sent"
    assert outside.tries == 2


async def test_who_looked_at_one_try_says_nothing_of_a_later_one(database: Database, clock: FakeClock) -> None:
    outside, effects = Outside(DeliveryUnknown("no answer"), DeliveryUnknown("no answer")), process(database, clock)
    first = await effects.once("k", "send", outside.act)
    assert (await effects.resolve("k", "failed", by="anna", since=first.updated_at)).state == "failed"
    clock.advance(1)
    second = await effects.once("k", "send", outside.act)
    with pytest.raises(InvalidRequest, match="unknown anew"):
        await effects.resolve("k", "failed", by="anna", since=first.updated_at)
    assert await effects.get("k") == second


async def test_nobody_resolves_what_is_under_way_or_never_was(database: Database, clock: FakeClock) -> None:
    effects = process(database, clock, "two", alive={"dead"})
    with pytest.raises(NotFound):
        await effects.resolve("k", "sent", by="anna")
    await begun_by_the_dead(database, clock)
    with pytest.raises(InvalidRequest, match="under way"):
        await effects.resolve("k", "sent", by="anna")
    assert (await process(database, clock, "two", alive=set()).resolve("k", "sent", by="anna")).state == "sent"


async def test_nobody_resolves_what_this_very_process_is_at(database: Database, clock: FakeClock) -> None:
    effects = process(database, clock, "one", alive={"one"})

    async def act() -> Mapping[str, Any]:
        for outcome in ("failed", "sent"):
            with pytest.raises(InvalidRequest, match="under way"):
                await effects.resolve("k", outcome, by="anna")
        return {"id": 7}

    assert (await effects.once("k", "send", act)).detail == {"id": 7}


def test_only_a_certain_failure_leads_back_to_doing_it() -> None:
    assert [state for state, following in TRANSITIONS.items() if "sending" in following] == ["failed"]
    assert TRANSITIONS["sent"] == ()
    assert set(module.TRANSITIONS) == {"sending", "sent", "failed", "unknown"}
