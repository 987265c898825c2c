"""The ledger in sums."""

from chittycan.store import traffic
from chittycan.store.database import Database
from chittycan.store.ledger import insert
from chittycan.usage.ledger import Attempt


def attempt(request: int, **fields: object) -> Attempt:
    values: dict[str, object] = {
        "request_id": f"req_{request}", "position": 0, "at": 7_200.0 + request, "surface": "openai", "model": "gpt-4",
        "provider": "openai", "upstream": "gpt-4", "outcome": "ok", "input": 100, "output": 10, "cost_nano": 5,
        "asked": "auto", **fields,
    }  # fmt: skip
    return Attempt(**values)  # type: ignore[arg-type]


def test_alike_attempts_stand_together(database: Database) -> None:
    database.run_sync(insert, [attempt(1), attempt(2), attempt(3, asked="gpt-4")])
    found = {flow.asked: flow for flow in database.run_sync(traffic.flows, 0.0, 1e10, None)}
    auto = found["auto"]
    assert (auto.count, auto.cost_nano, auto.input, auto.output, auto.size) == (2, 10, 200, 20, 0)
    assert found["gpt-4"].count == 1


def test_answers_of_unknown_price_stand_apart(database: Database) -> None:
    database.run_sync(insert, [attempt(1), attempt(2, cost_nano=None)])
    found = database.run_sync(traffic.flows, 0.0, 1e10, None)
    assert sorted((flow.unpriced, flow.count, flow.cost_nano) for flow in found) == [(False, 1, 5), (True, 1, 0)]


def test_sizes_and_hours_are_steps(database: Database) -> None:
    rows = [
        attempt(1, input=4_095),
        attempt(2, input=4_096),
        attempt(3, input=9_000, at=10_799.9),
        attempt(4, at=10_800.0),
    ]
    database.run_sync(insert, rows)
    found = database.run_sync(traffic.flows, 0.0, 1e10, None, hours=True)
    assert sorted((flow.hour, flow.size) for flow in found) == [(2, 0), (2, 1), (2, 2), (3, 0)]
    assert {flow.hour for flow in database.run_sync(traffic.flows, 0.0, 1e10, None)} == {0}


def test_a_keys_own_and_a_time(database: Database) -> None:
    database.run_sync(insert, [attempt(1, key_id="mine"), attempt(2), attempt(3, key_id="mine", at=9e9)])
    assert [flow.count for flow in database.run_sync(traffic.flows, 0.0, 8e9, "mine")] == [1]


def test_latencies_are_counted_in_steps_of_at_most_a_tenth(database: Database) -> None:
    times = [0.4, 99.9, 100.0, 104.0, 1_550.0, 12_345.0, 250_000.0, 259_999.0]
    database.run_sync(insert, [attempt(number, ms=ms) for number, ms in enumerate(times)])
    database.run_sync(insert, [attempt(100, ms=1.0, outcome="failed"), attempt(101, ms=2.0, model="other")])
    found = database.run_sync(traffic.latencies, 0.0, 1e10)
    assert found["other"] == {2.5: 1}
    assert found["gpt-4"] == {0.5: 1, 99.5: 1, 105.0: 2, 1_550.0: 1, 12_500.0: 1, 255_000.0: 2}
