"""Actions, and several rules at once."""

import pytest

from chittycan.routing.rules import actions
from chittycan.routing.rules.actions import Action
from chittycan.routing.rules.book import Book, Rule
from chittycan.routing.rules.condition import RuleError


def rule(condition: str, action: str, **more: object) -> Rule:
    fields = {"id": f"{condition}→{action}", "name": condition, **more}
    return Rule(condition=condition, action=action, **fields)  # type: ignore[arg-type]


def test_the_promised_rules_work_as_written() -> None:
    book = Book([rule("priority:low", "model:llama-scout"), rule("branch:main", "priority:high")])
    assert book.apply({"priority": "LOW"}).values == {"model": "llama-scout"}
    assert book.apply({"branch": "main"}).values == {"priority": "high"}
    assert book.apply({"from": "x"}).values == {}


def test_several_actions_and_values_with_spaces() -> None:
    assert actions.parse('priority:HIGH,agent:legal-response , label:"to do, soon", stop') == (
        Action("priority", "high"), Action("agent", "legal-response"), Action("label", "to do, soon"),
        Action("stop", True),
    )  # fmt: skip
    assert actions.parse("draft:false, model:gpt 4") == (Action("draft", False), Action("model", "gpt 4"))


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "an action is needed"),
        ("model:", 1, "needs a value|needed"),
        ("model", 1, "model needs a value"),
        ("label:x, send:anna", 10, "no action of a rule"),
        ("label:x,", 8, "missing after the comma"),
        ("priority:soon", 1, "no priority"),
        ("paint:red", 1, "no action 'paint'"),
        ("stop:perhaps", 1, "true or false"),
        ("model:gpt-4 priority:high", 13, "comma is missing"),
    ],
)
def test_a_mistake_names_its_column_and_a_fix(text: str, column: int, says: str) -> None:
    with pytest.raises(RuleError, match=says) as caught:
        actions.parse(text)
    assert caught.value.column == column
    assert caught.value.fix


def test_a_misspelt_action_is_told_the_right_one() -> None:
    with pytest.raises(RuleError, match="no action 'labl'; did you mean label") as caught:
        actions.parse("priority:high, labl:x")
    assert caught.value.column == 16


def test_the_higher_priority_comes_first_and_the_first_word_counts() -> None:
    book = Book([
        rule("from:a", "model:one, label:x", created=1.0),
        rule("from:a", "model:two, label:y", priority=5, created=2.0),
        rule("from:a", "model:three", created=0.5, enabled=False),
    ])  # fmt: skip
    applied = book.apply({"from": "a"})
    assert applied.values == {"model": "two", "label": ["y", "x"]}
    assert applied.rules == ["from:a→model:two, label:y", "from:a→model:one, label:x"]


def test_stop_ends_the_search() -> None:
    book = Book([rule("from:a", "label:x, stop", created=1.0), rule("from:a", "label:y, private", created=2.0)])
    applied = book.apply({"from": "a"})
    assert (applied.values, applied.stopped) == ({"label": ["x"]}, "from:a→label:x, stop")


def test_no_rule_makes_public_what_another_keeps_private() -> None:
    book = Book([rule("from:a", "private:false", created=1.0), rule("from:a", "private", created=2.0)])
    assert book.apply({"from": "a"}).values == {"private": True}
    assert "private" not in Book([rule("from:a", "private:false")]).apply({"from": "a"}).values


def test_a_book_knows_what_it_asks_about() -> None:
    assert Book([rule("body:x OR from:y", "stop"), rule("label:z", "stop", enabled=False)]).fields == {"body", "from"}


def test_what_protects_holds_where_nobody_can_tell_in_time() -> None:
    hostile, facts = 'body~"(a|aa)+$"', {"body": "a" * 5_000 + "b"}
    book = Book([rule(hostile, "label:x"), rule(hostile, "private"), rule(hostile, "private:false, label:y")])
    assert book.apply(facts).values == {"private": True}


def test_doubt_stops_nothing_and_chooses_nothing() -> None:
    """Else a text that makes a search slow would keep later rules from being looked at."""
    hostile, facts = 'body~"(a|aa)+$"', {"body": "a" * 5_000 + "b", "from": "a"}
    slow = rule(hostile, "private, model:llama, stop", created=1.0)
    applied = Book([slow, rule("from:a", "region:eu-west", created=2.0)]).apply(facts)
    assert applied.values == {"private": True, "auto": False, "region": "eu-west"}
    assert applied.stopped is None


def test_doubt_lets_nothing_go_by_itself() -> None:
    """A sender's text that makes a search slow must not open what the owner's rule would have held."""
    hostile, facts = 'body~"(a|aa)+$"', {"body": "a" * 5_000 + "b", "from": "a"}
    later = rule("from:a", "auto, draft:true, label:x", created=2.0)
    for does, draft in (("auto:false, draft:false", False), ("stop", True)):
        applied = Book([rule(hostile, does, created=1.0), later]).apply(facts)
        assert applied.values == {"auto": False, "draft": draft, "label": ["x"]}
    assert Book([rule(hostile, "auto, draft:true")]).apply(facts).values == {}


@pytest.mark.parametrize("asked", ["-from:@house.example", "-header.x-spam:yes", "-category:legal"])
def test_what_is_asked_about_mails_says_nothing_of_requests_and_tasks(asked: str) -> None:
    other = rule("kind:code", "label:x")  # that it is there changes nothing
    for source in ("request", "task"):
        book = Book([rule(asked, "private, model:llama"), other])
        assert book.apply({"source": source, "kind": "code"}).values == {"label": ["x"]}
    assert Book([rule(asked, "private")]).apply({"source": "mail", "from": "ann@else.example"}).values == {
        "private": True
    }


def test_a_fact_that_was_given_may_be_asked_for_of_anything() -> None:
    book = Book([rule("subject:urgent", "priority:high"), rule("-label:spam", "label:x")])
    assert book.apply({"source": "task", "subject": "urgent"}).values == {"priority": "high", "label": ["x"]}
