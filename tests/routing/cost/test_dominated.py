"""Which models nobody needs."""

from collections.abc import Mapping

from chittycan.catalogue import Catalogue, Model, Provider
from chittycan.routing.cost.dominated import dominated
from chittycan.routing.cost.policy import Policy
from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.learnt import Learnt, Mean

LAB = Provider(name="lab", dialect="openai", endpoint="http://lab.test/v1")
PRICES = {"dear": 10, "middle": 5, "cheap": 1}
CATALOGUE = Catalogue(
    providers={"lab": LAB},
    models={name: Model(name=name, provider="lab", upstream=name) for name in (*PRICES, "unpriced")},
)


def _said(kinds: Mapping[str, Mapping[str, Mean]]) -> Mapping[str, str]:
    models = {name: mean for means in kinds.values() for name, mean in means.items()}

    def cost(model: Model, provider: Provider, given: int, written: int) -> int | None:
        return None if model.name not in PRICES else PRICES[model.name] * (given + written)

    return dominated(CATALOGUE, Policy(quality=Quality(Learnt(models=models, kinds=kinds)), cost=cost))


def test_dearer_and_clearly_worse() -> None:
    said = _said({"maths": {"dear": Mean(0.5, 400), "middle": Mean(0.7, 400), "cheap": Mean(0.8, 400)}})
    assert set(said) == {"dear", "middle"}
    assert said["dear"] == "dearer and worse than cheap: 0.50 at $0.014, 0.80 at $0.0014 per 1,000 calls"


def test_what_may_be_chance_is_not_said() -> None:
    assert not _said({"maths": {"dear": Mean(0.70, 100), "cheap": Mean(0.75, 100)}})
    assert not _said({"maths": {"dear": Mean(0.1, 20), "cheap": Mean(0.9, 400)}})


def test_better_and_dearer_is_a_matter_of_taste() -> None:
    assert not _said({"maths": {"dear": Mean(0.9, 400), "cheap": Mean(0.5, 400)}})


def test_models_are_compared_on_the_same_work_only() -> None:
    """The dear one was only ever given what is hard."""
    hard = {"dear": Mean(0.4, 400), "middle": Mean(0.3, 400)}
    assert not _said({"proofs": hard, "greetings": {"cheap": Mean(0.99, 400)}})
    assert not _said({"proofs": {**hard, "cheap": Mean(0.2, 100)}, "greetings": {"cheap": Mean(0.99, 4000)}})


def test_without_a_price_nothing_is_said() -> None:
    assert not _said({"maths": {"unpriced": Mean(0.1, 400), "cheap": Mean(0.9, 400)}})


def test_nothing_learnt_nothing_said() -> None:
    assert not dominated(CATALOGUE, Policy())
