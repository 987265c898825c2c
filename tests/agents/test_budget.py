"""What an account's mail may cost: beyond it rules sort, a person is told, and tomorrow models answer again."""

from collections.abc import Callable

import pytest

from chittycan.agents.budget import Budget
from chittycan.agents.pipeline import Terms, process
from chittycan.agents.report import Outcome
from chittycan.integrations.email.sources import RawMail
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk
from chittycan.testing.clock import FakeClock

CENT = 10_000_000  # nano-dollars
DAY = 86_400.0


@pytest.fixture
def ask(answers: dict[str, Callable[..., str]]) -> ScriptedAsk:
    script = {f"email.{name}": [answer()] for name, answer in answers.items()}
    return ScriptedAsk(script, model="small", cost_nano=CENT)


def mail(number: int) -> RawMail:
    head = f"From: ann@x.example\nMessage-ID: <{number}@x.example>\nSubject: {number}\n"
    return RawMail("folder:/m", f"{number}.eml", f"{head}\nWhat does it cost?\n".encode())


async def read(ask: ScriptedAsk, database: Database, clock: FakeClock, number: int, budget: Budget) -> Outcome:
    terms = Terms(account="office", budget=budget, mode="auto")
    (outcome,) = (await process([mail(number)], ask, database, terms, clock=clock)).outcomes
    return outcome


async def test_beyond_the_budget_rules_sort_until_the_next_day(
    ask: ScriptedAsk, sqlite: Database, clock: FakeClock
) -> None:
    day = Budget(day_nano=2 * CENT)
    assert {each.model for each in (await read(ask, sqlite, clock, 1, day)).results} == {"small"}
    second = await read(ask, sqlite, clock, 2, day)
    assert {each.model for each in second.results} == {None}
    assert all("office has spent its $0.02 of today" in (each.reason or "") for each in second.results)
    assert second.review == "pending"
    assert "rules answered instead of a model" in (second.doubt or "")
    clock.advance(DAY)
    assert {each.model for each in (await read(ask, sqlite, clock, 3, day)).results} == {"small"}


async def test_of_two_limits_each_holds(ask: ScriptedAsk, sqlite: Database, clock: FakeClock) -> None:
    month = Budget(day_nano=100 * CENT, month_nano=3 * CENT)
    await read(ask, sqlite, clock, 1, month)
    found = await read(ask, sqlite, clock, 2, month)
    assert "this month" in (found.results[0].reason or "")


async def test_another_account_is_not_concerned(ask: ScriptedAsk, sqlite: Database, clock: FakeClock) -> None:
    await process([mail(1)], ask, sqlite, Terms(account="home"), clock=clock)
    assert (await read(ask, sqlite, clock, 2, Budget(day_nano=CENT))).results[0].model == "small"
