"""Who in a chain is as good as his neighbour."""

from chittycan.catalogue import Balance, Catalogue, Deployments, Model, Provider
from chittycan.routing.equals import Equals, equals_of


def model(name: str, provider: str = "p", upstream: str | None = None) -> Model:
    return Model(name=name, provider=provider, upstream=upstream or name)


A, B, C = model("a"), model("b"), model("c")
ONE, TWO = model("d", "east"), model("d", "west")
LAST = model("smollm2", "embedded")


def catalogue(*groups: frozenset[str], deployed: tuple[Model, ...] = (), balance: Balance = "latency") -> Catalogue:
    names = ("p", "east", "west", "embedded")
    providers = {
        name: Provider(name=name, dialect="openai", endpoint="", embedded=name == "embedded") for name in names
    }
    deployments = {deployed[0].name: Deployments(deployed, balance)} if deployed else {}
    return Catalogue(providers=providers, models={}, deployments=deployments, equal=groups)


def test_without_deployments_or_equals_every_order_stands() -> None:
    assert equals_of([A, B, C], catalogue()) == ()


def test_deployments_of_a_model_are_equals_as_their_balance_says() -> None:
    found = catalogue(deployed=(ONE, TWO), balance="least-busy")
    assert equals_of([ONE, TWO, A], found) == (Equals(0, 2, "least-busy"),)


def test_deployments_that_stand_as_written_are_left_as_they_are() -> None:
    assert equals_of([ONE, TWO], catalogue(deployed=(ONE, TWO), balance="written")) == ()


def test_a_single_deployment_that_may_serve_has_no_equal() -> None:
    assert equals_of([ONE, A], catalogue(deployed=(ONE, TWO))) == ()


def test_models_that_the_owner_calls_equal_are() -> None:
    assert equals_of([A, B, C], catalogue(frozenset("bc"))) == (Equals(1, 3, "latency"),)


def test_only_neighbours_count() -> None:
    assert equals_of([A, B, C], catalogue(frozenset("ac"))) == ()


def test_several_groups_of_one_chain() -> None:
    found = catalogue(frozenset("ab"), deployed=(ONE, TWO))
    assert equals_of([A, B, ONE, TWO], found) == (Equals(0, 2, "latency"), Equals(2, 4, "latency"))


def test_an_equal_model_and_the_deployments_of_another_are_one_group() -> None:
    found = catalogue(frozenset("ad"), deployed=(ONE, TWO), balance="least-busy")
    assert equals_of([A, ONE, TWO], found) == (Equals(0, 3, "latency"),)


def test_the_quickest_first_leaves_the_embedded_model_where_it_is() -> None:
    assert equals_of([A, B, LAST], catalogue(), quickest=True) == (Equals(0, 2, "latency"),)
    assert equals_of([A, LAST], catalogue(), quickest=True) == ()
