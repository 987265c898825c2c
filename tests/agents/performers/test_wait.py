"""Waiting for a time and for news."""

from chittycan.errors import InvalidRequest
from chittycan.testing import FakeClock
from chittycan.workstreams.task import Done, Failed, Later
from performing import MakeOffice

THEN = 1_800_000_060.0


async def test_until_a_time(office: MakeOffice, clock: FakeClock) -> None:
    made = (await office()).at(clock)
    outcome = await made.perform("wait", spec={"until": THEN, "event": None, "webhook": False})
    assert outcome == Later(reason="2027-01-15 08:01 UTC", until=THEN)
    clock.advance(60)
    assert await made.perform("wait", spec={"until": THEN}) == Done(result={"json": None, "at": THEN})


async def test_for_news_that_may_come_until_the_deadline(office: MakeOffice, clock: FakeClock) -> None:
    made = (await office()).at(clock)
    for spec in ({"event": "paid"}, {"webhook": True, "token": "x"}):
        waiting = await made.perform("wait", spec=spec)
        assert isinstance(waiting, Later)
        assert waiting.until is None
        waiting = await made.perform("wait", spec=spec, deadline=THEN)
        assert isinstance(waiting, Later)
        assert waiting.until == THEN
        brought = await made.perform("wait", spec=spec, answer={"json": {"amount": 3}, "at": THEN - 1})
        assert brought == Done(result={"json": {"amount": 3}, "at": THEN - 1})


async def test_for_nothing_is_a_mistake(office: MakeOffice) -> None:
    outcome = await (await office()).perform("wait", spec={"until": None})
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, InvalidRequest)
