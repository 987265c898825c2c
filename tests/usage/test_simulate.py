"""The ledger under another policy."""

from collections.abc import Sequence
from typing import Any

import pytest

from chittycan.catalogue import Catalogue, Model, PriceRow, Provider
from chittycan.store.traffic import Flow
from chittycan.testing import FakeClock
from chittycan.usage.prices import Prices
from chittycan.usage.simulate import Choose, Chosen, Simulation, simulate

PRICES = {"big": 10.0, "small": 1.0}
ANSWER = 1_000  # tokens in, none out: a micro-dollar is a price's unit


def catalogue(**prices: float) -> Catalogue:
    provider = Provider(name="one", dialect="openai", endpoint="https://one.invalid/v1")
    models = {
        name: Model(name=name, provider="one", upstream=name, price=PriceRow(input=price, output=price))
        for name, price in {**PRICES, **prices}.items()
    }
    models["unpriced"] = Model(name="unpriced", provider="one", upstream="nobody-knows")
    return Catalogue(providers={"one": provider}, models=models)


def flow(model: str = "big", count: int = 10, **fields: Any) -> Flow:
    values: dict[str, Any] = {
        "asked": "auto", "kind": None, "label": "public", "needs": None, "decision": "auto", "key_id": None,
        "surface": "openai", "model": model, "provider": "one", "outcome": "ok", "failure": None, "size": 0, "hour": 0,
        "count": count, "unpriced": False, "cost_nano": round(PRICES.get(model, 0) * 1e6) * count,
        "input": ANSWER * count, "output": 0, "cached": 0, "cache_write": 0, "reasoning": 0, **fields,
    }  # fmt: skip
    return Flow(**values)


def failing(model: str, count: int, failure: str = "transient", **fields: Any) -> Flow:
    return flow(model, count, outcome="failed", failure=failure, cost_nano=0, input=0, **fields)


def always(*chain: str, **fields: Any) -> Choose:
    return lambda flow: Chosen(chain=chain, **fields)


def replayed(flows: Sequence[Flow], before: Choose, after: Choose, **more: Any) -> Simulation:
    latencies = more.pop("latencies", {"big": {1_000.0: 9, 5_000.0: 1}, "small": {100.0: 10}})
    return simulate(flows, latencies, (catalogue(), before), (catalogue(**more), after), Prices(FakeClock()))


def test_the_same_policy_changes_nothing() -> None:
    flows = [flow("big"), flow("small", 3, outcome="absorbed", failure="transient"), failing("big", 2), flow("small")]
    found = replayed(flows, always("big", "small"), always("big", "small"))
    assert found.then == found.now
    assert (found.changes, found.requests, found.now.answered, found.now.failed) == ([], 22, 20, 2)


def test_another_model_costs_what_its_prices_say_for_the_same_tokens() -> None:
    found = replayed([flow("big"), flow("small", 5)], always("big"), always("small"))
    assert (found.now.cost_nano, found.then.cost_nano) == (105e6, 15e6)
    (change,) = found.changes
    assert (change.before, change.after, change.count, change.cost_nano) == ("big", "small", 10, -90e6)


def test_a_new_price_alone_changes_the_cost_and_no_choice() -> None:
    found = replayed([flow("big")], always("big"), always("big"), big=20.0)
    assert (found.now.cost_nano, found.then.cost_nano, found.changes) == (100e6, 200e6, [])


def test_a_model_answers_as_often_as_it_did_in_that_hour() -> None:
    history = [flow("small", 1, hour=1), failing("small", 3, hour=1), flow("small", 4, hour=2)]
    found = replayed([*history, flow("big", 8, hour=1)], always("big"), always("small"))
    assert found.then.models["small"] == pytest.approx(1 + 3 * 0.25 + 4 + 8 * 0.25)
    assert found.then.failed == pytest.approx(3 * 0.75 + 8 * 0.75)
    # An hour in which it was not asked is like all hours together.
    later = replayed([*history, flow("big", 8, hour=9)], always("big"), always("small", "big"))
    assert later.then.models["big"] == pytest.approx(3 * 0.75 + 8 * 3 / 8)


def test_a_fault_of_the_request_is_none_of_the_models() -> None:
    flows = [failing("big", 4, "caller_fault"), flow("big", 4)]
    found = replayed(flows, always("big"), always("small"))
    assert (found.then.failed, found.then.answered, found.then.share) == (4, 4, 0.5)


def test_latencies_are_those_of_the_models_own_answers() -> None:
    found = replayed([flow("big", 100)], always("big"), always("small"))
    assert (found.now.ms_p50, found.now.ms_p95) == (1_000.0, 5_000.0)
    assert (found.then.ms_p50, found.then.ms_p95) == (100.0, 100.0)


def test_what_nobody_knows_is_counted() -> None:
    found = replayed([flow("big")], always("big"), always("unpriced"))
    assert (found.then.unpriced, found.then.untimed, found.then.untried, found.then.ms_p50) == (10, 10, 10, None)
    assert found.changes[0].cost_nano is None


def test_who_may_no_longer_be_answered_is_said_with_the_reason() -> None:
    found = replayed([flow("big")], always("big"), always(refused="no private model"))
    (change,) = found.changes
    assert (change.after, change.why, found.then.failed, found.then.cost_nano) == (None, "no private model", 10, 0)


def test_what_cannot_be_replayed_is_left_out_on_both_sides() -> None:
    flows = [
        flow(asked=None), flow(outcome="cached"), flow(decision="ensemble:risk"), flow(decision="listed"),
        flow(decision="rule:night"), failing("big", 10, "budget_exceeded", provider=""),
    ]  # fmt: skip
    found = replayed(flows, always("big"), always("small"))
    assert found.left == dict.fromkeys(("before", "cached", "ensemble", "listed", "rule", "refused"), 10)
    assert (found.requests, found.now.cost_nano, found.then.cost_nano) == (0, 0, 0)
    assert replayed([flow()], always("big"), always(ensemble=True)).left == {"ensemble": 10}


def test_nothing_is_saved_by_not_answering() -> None:
    """Money that a request costs now is no saving where the other policy leaves it without an answer."""
    big = flow("big", 10)

    def only_private(asked: Flow) -> Chosen:
        return Chosen(chain=("small",)) if asked.label == "private" else Chosen(refused="no private model")

    found = replayed([big, flow("big", 4, label="private")], always("big"), only_private)
    assert (found.both.answers, found.both.now_nano, found.both.then_nano) == (4, 40e6, 4e6)
    by_end = {change.after: change.cost_nano for change in found.changes}
    assert by_end == {None: None, "small": -36e6}


def test_of_a_model_that_fails_half_the_time_only_what_it_answers_is_compared() -> None:
    flows = [flow("big", 10), flow("small", 5, hour=1), failing("small", 5, hour=1)]
    found = replayed(flows, always("big"), always("small"))
    assert found.both.answers == 10  # five of the ten of `big`, and the five that `small` answered already
    assert (found.both.now_nano, found.both.then_nano) == (55e6, 10e6)
    (change,) = (each for each in found.changes if each.before == "big")
    assert change.cost_nano == -45e6


def test_an_answer_at_no_known_price_is_compared_with_nothing() -> None:
    found = replayed([flow("big")], always("big"), always("unpriced"))
    assert (found.both.answers, found.both.now_nano, found.both.then_nano) == (0, 0, 0)
    found = replayed([flow("unpriced", unpriced=True)], always("unpriced"), always("small"))
    assert (found.both.answers, found.both.now_nano, found.both.then_nano) == (0, 0, 0)


def test_clients_that_left_before_anybody_answered_say_nothing() -> None:
    gone = [flow(name, 6, outcome="cancelled", provider="", cost_nano=0, input=0) for name in ("auto", "small")]
    found = replayed([*gone, failing("small", 3), flow("big", 4)], always("big"), always("small"))
    assert (found.requests, found.left) == (7, {"gone": 12})
    assert found.then.models == {"small": 0.0}  # which never answered
