"""What the ledger answers."""

import pytest

from chittycan.errors import InvalidRequest
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from chittycan.usage.ledger import Attempt, Ledger
from chittycan.usage.queries import Group, Queries


def attempt(request: int, position: int = 0, **fields: object) -> Attempt:
    values: dict[str, object] = {
        "request_id": f"req_{request}", "position": position, "at": 1_800_000_000.0 + request, "surface": "openai",
        "model": "gpt-4", "provider": "openai", "upstream": "gpt-4-0613", "outcome": "ok", **fields,
    }  # fmt: skip
    return Attempt(**values)  # type: ignore[arg-type]


async def noted(database: Database, clock: FakeClock, *attempts: Attempt) -> Queries:
    ledger = Ledger(database, clock)
    for each in attempts:
        ledger.note(each)
    return Queries(database, clock, ledger)


async def groups(queries: Queries, by: str, since: float = 0) -> dict[str | None, Group]:
    return {group.name: group for group in await queries.summary(since, by)}  # type: ignore[arg-type]


async def test_a_request_is_found_before_its_flush_with_all_its_attempts(database: Database, clock: FakeClock) -> None:
    queries = await noted(
        database,
        clock,
        attempt(1, 0, outcome="absorbed", failure="silent", status=504, cost_nano=0, ms=100.0),
        attempt(1, 1, model="claude", provider="anthropic", cost_nano=7, ms=50.0, input=10, output=5),
    )
    usage = await queries.request("req_1")
    assert usage is not None
    assert [each.outcome for each in usage.attempts] == ["absorbed", "ok"]
    assert (usage.outcome, usage.provider, usage.cost_nano, usage.ms) == ("ok", "anthropic", 7, 150.0)
    assert (usage.input, usage.output) == (10, 5)


async def test_an_unknown_part_makes_the_whole_cost_unknown(database: Database, clock: FakeClock) -> None:
    queries = await noted(
        database, clock, attempt(1, 0, cost_nano=5, outcome="absorbed"), attempt(1, 1, cost_nano=None)
    )
    usage = await queries.request("req_1")
    assert usage is not None
    assert usage.cost_nano is None


async def test_an_unknown_request_is_none(database: Database, clock: FakeClock) -> None:
    assert await Queries(database, clock).request("req_'; DROP TABLE ledger; --") is None


async def test_absorbed_attempts_are_neither_calls_nor_errors(database: Database, clock: FakeClock) -> None:
    queries = await noted(
        database,
        clock,
        attempt(1, 0, outcome="absorbed", cost_nano=0),
        attempt(1, 1, cost_nano=10, provider="anthropic"),
        attempt(2, 0, cost_nano=20),
        attempt(3, 0, outcome="failed", cost_nano=0),
        attempt(4, 0, outcome="cancelled", cost_nano=3),
        attempt(5, 0, outcome="cached", cost_nano=0),
        attempt(6, 0, cost_nano=None),
    )
    openai = (await groups(queries, "provider"))["openai"]
    assert (openai.calls, openai.errors, openai.absorbed) == (5, 1, 1)
    assert (openai.cancelled, openai.cache_hits) == (1, 1)
    assert (openai.cost_nano, openai.unpriced) == (23, 1)


async def test_percentiles_are_by_nearest_rank(database: Database, clock: FakeClock) -> None:
    queries = await noted(
        database,
        clock,
        *(attempt(number, ms=float(number), first_token_ms=number / 10) for number in range(1, 101)),
        attempt(101, ms=9_999.0, outcome="failed"),
    )
    group = (await groups(queries, "model"))["gpt-4"]
    assert (group.ms_p50, group.ms_p95) == (50.0, 95.0)
    assert (group.first_token_ms_p50, group.first_token_ms_p95) == (5.0, 9.5)


async def test_work_is_grouped_by_agent_kind_and_key(database: Database, clock: FakeClock) -> None:
    queries = await noted(
        database,
        clock,
        attempt(1, kind="email.triage", key_id="k1", input=5),
        attempt(2, kind="github.triage", key_id="k2", input=7),
        attempt(3, kind="code", key_id="k1"),
        attempt(4),
    )
    assert {name: group.calls for name, group in (await groups(queries, "agent")).items()} == {
        "triage": 2,
        "code": 1,
        None: 1,
    }
    assert set(await groups(queries, "kind")) == {"email.triage", "github.triage", "code", None}
    assert {name: group.input for name, group in (await groups(queries, "key")).items()} == {"k1": 5, "k2": 7, None: 0}


async def test_a_summary_starts_where_it_is_asked_to(database: Database, clock: FakeClock) -> None:
    queries = await noted(database, clock, attempt(1), attempt(2))
    assert (await groups(queries, "provider", since=1_800_000_002.0))["openai"].calls == 1


async def test_an_unknown_grouping_is_refused_by_name(database: Database, clock: FakeClock) -> None:
    with pytest.raises(InvalidRequest, match="colour"):
        await Queries(database, clock).summary(0, "colour")  # type: ignore[arg-type]


async def test_recent_attempts_come_newest_first_and_by_kind(database: Database, clock: FakeClock) -> None:
    queries = await noted(
        database, clock, attempt(1, kind="email.triage"), attempt(2, kind="emailing"), attempt(3, kind="email")
    )
    assert [each.request_id for each in await queries.recent(2)] == ["req_3", "req_2"]
    assert [each.request_id for each in await queries.recent(kind="email")] == ["req_3", "req_1"]


async def test_money_is_counted_per_key_and_calendar_window(database: Database, clock: FakeClock) -> None:
    day = 86_400.0
    start = clock.now() - clock.now() % day  # 2027-01-15 00:00 UTC
    queries = await noted(
        database,
        clock,
        attempt(1, at=start - 1, key_id="k1", cost_nano=100),
        attempt(2, at=start, key_id="k1", cost_nano=10),
        attempt(3, at=start + 1, key_id="k2", cost_nano=1),
        attempt(4, at=start - 20 * day, key_id="k1", cost_nano=1_000),
    )
    assert await queries.spent("k1", "day") == 10
    assert await queries.spent("k1", "month") == 110
    assert await queries.spent(None, "day") == 11
    assert await queries.spent_by_key("month") == {"k1": 110, "k2": 1}


async def test_a_request_in_parts_is_what_they_add_up_to(database: Database, clock: FakeClock) -> None:
    first = {"request_id": "req_1_1", "at": 1_800_000_000.2, "ms": 200.0, "decision": "ensemble:risk"}
    second = {"request_id": "req_1_2", "at": 1_800_000_000.3, "ms": 300.0, "decision": "ensemble:risk"}
    queries = await noted(
        database,
        clock,
        attempt(1, 0, **first, cost_nano=5, input=10),
        attempt(1, 0, **second, cost_nano=7, input=10, outcome="failed"),
        attempt(11),
    )
    usage = await queries.request("req_1")
    assert usage is not None
    assert (usage.request_id, usage.outcome, usage.model) == ("req_1", "ok", "ensemble:risk")
    assert (usage.cost_nano, usage.input, len(usage.attempts)) == (12, 20, 2)
    assert usage.ms == pytest.approx(300.0, abs=0.01)  # they ran at the same time
