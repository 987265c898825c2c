"""What was saved, and against what."""

from typing import Any

from chittycan.catalogue import Catalogue, Model, PriceRow, Provider
from chittycan.store.feedback import Judged
from chittycan.store.traffic import Flow
from chittycan.testing import FakeClock
from chittycan.usage.prices import Prices
from chittycan.usage.savings import Savings, reckon

PROVIDER = Provider(name="one", dialect="openai", endpoint="https://one.invalid/v1")
PRICES = {"big": (10.0, 30.0), "small": (1.0, 2.0), "tiny": (0.1, 0.2)}
MODELS = {
    name: Model(name=name, provider="one", upstream=name, price=PriceRow(input=given, output=written))
    for name, (given, written) in PRICES.items()
}
CATALOGUE = Catalogue(
    providers={"one": PROVIDER},
    models=MODELS | {"secret": Model(name="secret", provider="one", upstream="nobody-knows")},
)


def flow(model: str = "small", count: int = 1, **fields: Any) -> Flow:
    """`count` answers of 1,000 tokens in and 1,000 out each, at the model's own price."""
    given, written = PRICES.get(model, (0.0, 0.0))
    values: dict[str, Any] = {
        "asked": "auto", "kind": None, "label": "public", "needs": None, "decision": "auto", "key_id": None,
        "surface": "openai", "model": model, "provider": "one", "outcome": "ok", "failure": None, "size": 0, "hour": 0,
        "count": count, "unpriced": False, "cost_nano": round((given + written) * 1e6) * count, "input": 1_000 * count,
        "output": 1_000 * count, "cached": 0, "cache_write": 0, "reasoning": 0, **fields,
    }  # fmt: skip
    return Flow(**values)


def saved(*flows: Flow, judged: tuple[Judged, ...] = (), baseline: str | None = None) -> Savings:
    return reckon(flows, judged, CATALOGUE, Prices(FakeClock()), baseline)


def test_the_same_tokens_are_priced_at_the_baseline() -> None:
    found = saved(flow("small", 3), flow("big", 1), baseline="big")
    assert found.cost_nano == 3 * 3_000_000 + 40_000_000
    assert found.baseline is not None
    assert (found.baseline.model, found.baseline.cost_nano) == ("big", 4 * 40_000_000)


def test_without_a_named_baseline_it_is_the_dearest_model_that_was_used() -> None:
    found = saved(flow("small", 3), flow("tiny", 1))
    assert found.baseline is not None
    assert found.baseline.model == "small"


def test_the_baseline_need_not_have_been_used() -> None:
    found = saved(flow("small"), baseline="big")
    assert found.baseline is not None
    assert (found.baseline.answers, found.baseline.cost_nano) == (0, 40_000_000)


def test_the_best_cheap_model_is_the_best_scored_of_the_cheaper_ones() -> None:
    judged = (Judged("tiny", None, 0.4, 20), Judged("small", None, 0.9, 10), Judged("big", None, 0.95, 30))
    found = saved(flow("small"), flow("tiny", 50), flow("big"), judged=judged)
    assert found.best_cheap is not None
    assert (found.best_cheap.model, found.chosen_by, found.best_cheap.quality.mean) == ("small", "score", 0.9)


def test_without_scores_the_best_cheap_model_is_the_one_most_used() -> None:
    found = saved(flow("small"), flow("tiny", 50), flow("big", 90))
    assert found.best_cheap is not None
    assert (found.best_cheap.model, found.chosen_by) == ("tiny", "use")
    assert found.best_cheap.cost_nano == 141 * 300_000


def test_what_failed_attempts_cost_is_in_the_cost() -> None:
    cut = flow("big", outcome="absorbed", input=1_000, output=100, cost_nano=13_000_000)
    found = saved(flow("small"), cut, baseline="big")
    assert (found.cost_nano, found.absorbed_nano) == (16_000_000, 13_000_000)
    # The baseline would have written that part too, without reading the question twice.
    assert found.baseline is not None
    assert found.baseline.cost_nano == 40_000_000 + 3_000_000


def test_what_an_overtaken_model_wrote_would_not_have_been_written_elsewhere() -> None:
    late = flow("big", outcome="hedged", output=100, cost_nano=13_000_000)
    found = saved(flow("small"), late, baseline="big")
    assert found.baseline is not None
    assert (found.cost_nano, found.baseline.cost_nano) == (16_000_000, 40_000_000)


def test_what_cannot_be_compared_is_counted_and_left_out_of_both_sides() -> None:
    found = saved(
        flow("small"),
        flow("secret", 4, unpriced=True, cost_nano=0),
        flow("small", 5, needs="tools,embeddings"),
        flow("small", 6, decision="ensemble:risk"),
        baseline="big",
    )
    assert (found.answers, found.unpriced, found.embeddings, found.ensembles) == (1, 4, 5, 6)
    assert found.baseline is not None
    assert (found.cost_nano, found.baseline.cost_nano) == (3_000_000, 40_000_000)


def test_a_baseline_whose_price_nobody_knows_is_said_to_be_unknown() -> None:
    found = saved(flow("small"), baseline="secret")
    assert found.baseline is not None
    assert (found.baseline.cost_nano, found.best_cheap) == (None, None)


def test_cache_hits_are_counted_apart_at_what_such_answers_cost() -> None:
    hit = flow("small", 10, outcome="cached", input=0, output=0, cost_nano=0, kind="code")
    found = saved(flow("small", 2), flow("small", 2, kind="code", cost_nano=2_000_000), hit)
    assert (found.answers, found.cache_hits, found.cache_nano) == (4, 10, 10_000_000)
    assert saved(hit).cache_nano is None


def test_every_model_and_kind_has_its_line_with_what_was_said_of_its_answers() -> None:
    judged = (Judged("small", "code", 0.5, 4), Judged("big", "code", 1.0, 2), Judged("big", None, 0.7, 1))
    found = saved(flow("small", 2, kind="code"), flow("big", kind="code"), flow("big"), judged=judged)
    assert [(line.name, line.answers, line.quality.scored) for line in found.models] == [("big", 2, 3), ("small", 2, 4)]
    code = next(line for line in found.kinds if line.name == "code")
    assert (code.answers, code.cost_nano, code.baseline_nano) == (3, 46_000_000, 120_000_000)
    assert (code.quality.scored, round(code.quality.mean or 0, 4)) == (6, 0.6667)
    assert (code.baseline_quality.mean, code.baseline_quality.scored) == (1.0, 2)
    assert (
        sum(line.cost_nano for line in found.kinds) == found.cost_nano == sum(each.cost_nano for each in found.models)
    )


def test_nothing_happened() -> None:
    found = saved()
    assert (found.answers, found.baseline, found.best_cheap, found.models) == (0, None, None, [])


def test_a_client_that_left_before_anybody_answered_has_no_answer() -> None:
    gone = flow("auto", 5, outcome="cancelled", provider="", cost_nano=0, input=0, output=0)
    named = flow("small", 5, outcome="cancelled", provider="", cost_nano=0, input=0, output=0)
    found = saved(flow("small", 2), gone, named, baseline="big")
    assert (found.answers, [each.name for each in found.models]) == (2, ["small"])
    assert [(each.model, each.answers) for each in found.at_one] == [("big", 0), ("small", 2)]
    left_in_the_middle = flow("small", 1, outcome="cancelled")
    assert saved(left_in_the_middle, baseline="big").answers == 1
