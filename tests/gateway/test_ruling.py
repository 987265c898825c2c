"""The owner's rules over calls."""

from typing import Any

import pytest

from chittycan.errors import Forbidden
from chittycan.gateway.call import Options
from chittycan.gateway.ruling import concerns, rule
from chittycan.routing.rules.book import Book, Rule
from gateway_parts import call


def book(condition: str, action: str) -> Book:
    return Book([Rule(id="r1", name="house rule", condition=condition, action=action)])


@pytest.mark.parametrize(
    ("condition", "options", "model", "chosen"),
    [
        ("kind:email.*", {"kind": "email.triage"}, "auto", "llama"),
        ("kind:email.*", {"kind": "code"}, "auto", "auto"),
        ("tokens>1000", {}, "auto", "auto"),
        ("source:request", {}, "auto", "llama"),
        ("source:request", {}, "gpt-4", "gpt-4"),  # a name that was given stands
        ("session:acme", {"session": "acme-7"}, "auto", "llama"),
    ],
)
def test_a_model_is_chosen_where_the_caller_left_it_open(
    condition: str, options: dict[str, Any], model: str, chosen: str
) -> None:
    asked = call(model=model, options=Options(**options))
    rule(asked, book(condition, "model:llama"))
    assert asked.model == chosen
    assert asked.ruled == ("house rule" if chosen != model else None)
    rule(asked, book(condition, "model:other"))
    assert asked.model == chosen


def test_private_holds_whatever_was_named() -> None:
    asked = call(model="gpt-4")
    rule(asked, book("source:request", "private"))
    assert asked.options.private
    assert asked.model == "gpt-4"


def test_rules_about_mail_alone_do_not_concern_calls() -> None:
    assert not concerns(book("subject:x", "private"))
    assert not concerns(Book(()))
    assert concerns(book("subject:x OR kind:y", "private"))


def test_a_region_holds_whatever_was_named_and_nobody_asks_for_another() -> None:
    bind = book("kind:code", "region:eu-west, private")
    asked = call(model="gpt-4", options=Options(kind="code"))
    rule(asked, bind)
    rule(asked, bind)
    assert (asked.options.region, asked.options.private) == ("eu-west", True)
    with pytest.raises(Forbidden, match="The rule house rule binds this to the region eu-west") as refused:
        rule(call(model="gpt-4", options=Options(kind="code", region="us-east")), bind)
    assert refused.value.code == "region_conflict"


def test_rules_look_at_a_call_as_it_came() -> None:
    """What one rule made of it is nothing that another one could ask about, however often the call is looked at."""
    rules = Book([
        Rule(id="r1", name="choice", condition="model:auto", action="model:llama, private"),
        Rule(id="r2", name="place", condition="model:llama OR private:true", action="region:eu-west"),
    ])  # fmt: skip
    asked = call(model="auto")
    for _ in range(2):
        rule(asked, rules)
        assert (asked.model, asked.options.private, asked.options.region) == ("llama", True, None)
