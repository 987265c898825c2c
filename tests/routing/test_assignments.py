"""Kind of task → model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.assignments import assigned

DOTTED = {"email.triage": "llama-scout", "email.response": "gpt-4", "code.review": "claude-sonnet-4-5"}


@pytest.mark.parametrize(
    ("assignments", "kind", "model"),
    [
        (DOTTED, "email.triage", "llama-scout"),
        ({"email.*": "a", "*": "b"}, "email.triage", "a"),
        ({"email.*": "a", "*": "b"}, "docs.generation", "b"),
        ({"a.b.*": "near", "a.*": "far"}, "a.b.c", "near"),
        ({"a.*": "far"}, "a.b.c", "far"),
        # short kinds match dotted entries by their last part, then by their first
        (DOTTED, "triage", "llama-scout"),
        (DOTTED, "code", "claude-sonnet-4-5"),
        (DOTTED, "review", "claude-sonnet-4-5"),
        ({"email.*": "a"}, "email", "a"),
        # dotted kinds match short entries by their last part, then by their first
        ({"triage": "a", "email": "b"}, "email.triage", "a"),
        ({"code": "a", "*": "b"}, "code.review", "a"),
        # the nearer entry wins
        ({"triage": "short", "email.*": "family", "email": "first", "*": "any"}, "email.triage", "short"),
        ({"email.*": "family", "email": "first", "*": "any"}, "email.triage", "family"),
        ({"triage": "short", "email.triage": "exact"}, "email.triage", "exact"),
        ({}, "email.triage", None),
        (DOTTED, "docs.generation", None),
        # another mail folder's triage is not this one's
        ({"issue.triage": "a"}, "email.triage", None),
    ],
)
def test_the_nearest_entry_counts(assignments: dict[str, str], kind: str, model: str | None) -> None:
    assert assigned(assignments, kind) == model


def test_nothing_but_its_own_entry_stands_in_for_private_work() -> None:
    assert assigned({"private": "local-mistral", "*": "gpt-4"}, "private") == "local-mistral"
    assert assigned({"*": "gpt-4", "mail.private": "gpt-4"}, "private") is None
    assert assigned({"private": "local-mistral"}, "mail.private") is None


@pytest.mark.parametrize("pattern", ["*", "email.*", "email*"])
def test_a_pattern_is_no_kind(pattern: str) -> None:
    assert assigned({"email.*": "family", "email.triage": "one"}, pattern) is None
    assert assigned({"email.*": "family", "*": "any"}, pattern) == "any"


@given(st.dictionaries(st.text("ab.*", max_size=6), st.just("m")), st.text("ab.*", max_size=6))
def test_any_kind_finds_an_assigned_model_or_none(assignments: dict[str, str], kind: str) -> None:
    found = assigned(assignments, kind)
    assert found is None or found in assignments.values()
    if "*" in assignments:
        assert found is not None
