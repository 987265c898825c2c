"""The list of models, in OpenAI's shape and in Anthropic's."""

import pytest

from chittycan.api.models import model_list, one_model
from chittycan.auth.keys import Key
from chittycan.catalogue import Catalogue, Model, Provider
from chittycan.errors import UnknownModel

OPENAI = Provider(name="openai", dialect="openai", endpoint="http://openai.test/v1")
CATALOGUE = Catalogue(
    providers={"openai": OPENAI},
    models={name: Model(name=name, provider="openai", upstream=name) for name in ("gpt-4", "gpt-4o")},
    assignments={"email.triage": "gpt-4", "code.*": "gpt-4", "*": "gpt-4", "private": "gpt-4"},
    patterns=(("gpt-*", "openai"),),
)
KEY = Key(id="k", name="k", models=frozenset({"gpt-4", "email.triage"}))


def test_openais_shape() -> None:
    listed = model_list(CATALOGUE, None, "openai")
    assert listed["object"] == "list"
    assert [entry["id"] for entry in listed["data"]] == [
        "auto", "auto:cheap", "auto:best", "private", "email.triage", "gpt-4", "gpt-4o",
    ]  # fmt: skip
    assert listed["data"][5] == {"id": "gpt-4", "object": "model", "created": 0, "owned_by": "openai"}
    assert listed["data"][0]["owned_by"] == "chittycan"


def test_anthropics_shape() -> None:
    listed = model_list(CATALOGUE, None, "anthropic")
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("auto", "gpt-4o", False)
    assert listed["data"][5] == {
        "type": "model", "id": "gpt-4", "display_name": "gpt-4", "created_at": "1970-01-01T00:00:00Z",
    }  # fmt: skip


def test_names_of_choices_that_there_are_not_are_not_listed() -> None:
    alone = Catalogue(providers={"openai": OPENAI}, models={"gpt-4": CATALOGUE.models["gpt-4"]})
    assert [entry["id"] for entry in model_list(alone, None, "openai")["data"]] == ["auto", "gpt-4"]


def test_a_key_sees_what_it_may_call() -> None:
    assert [entry["id"] for entry in model_list(CATALOGUE, KEY, "openai")["data"]] == ["email.triage", "gpt-4"]


def test_a_key_for_nothing_that_exists_sees_an_empty_list() -> None:
    nobody = Key(id="k", name="k", models=frozenset({"gone"}))
    assert model_list(CATALOGUE, nobody, "openai")["data"] == []
    listed = model_list(CATALOGUE, nobody, "anthropic")
    assert (listed["data"], listed["first_id"], listed["last_id"]) == ([], None, None)


@pytest.mark.parametrize("name", ["gpt-4", "auto", "email.triage", "gpt-5-new", "openai/anything"])
def test_one_model_is_found_by_every_name_that_can_be_called(name: str) -> None:
    assert one_model(CATALOGUE, None, "openai", name)["id"] == name


@pytest.mark.parametrize(("key", "name"), [(None, "gone"), (KEY, "gpt-4o"), (KEY, "openai/gpt-4"), (KEY, "auto")])
def test_a_model_that_does_not_exist_or_is_not_for_this_key_is_unknown(key: Key | None, name: str) -> None:
    with pytest.raises(UnknownModel):
        one_model(CATALOGUE, key, "openai", name)
