"""Texts with `${…}` in them."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.workstreams.expressions import ExpressionError
from chittycan.workstreams.values import condition, pieces, render, texts

SCOPE: dict[str, Any] = {"a": {"text": "Hi", "json": {"n": 1, "list": [1, "ü"]}, "none": None, "yes": True}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${a.text}", "Hi"),
        ("${ a.json.n }", 1),
        ("${a.json}", {"n": 1, "list": [1, "ü"]}),
        ("n is ${a.json.n}, list ${a.json.list}", 'n is 1, list [1, "ü"]'),
        ("[${a.none}] ${a.yes}", "[] true"),
        ("${a.text == 'a}b'}", False),
        ("costs $5, {not}, $${a.text}", "costs $5, {not}, ${a.text}"),
        ("$${a}${a.text}$${", "${a}Hi${"),
        ("${a.text}${a.text}", "HiHi"),
    ],
)
def test_a_text_is_filled_in(text: str, expected: Any) -> None:
    assert render(text, SCOPE) == expected


def test_values_inside_of_lists_and_objects_are_filled_in_and_keys_are_not() -> None:
    assert render({"${a}": ["${a.text}", 3, None], "b": {"c": "${a.json.n}"}}, SCOPE) == {
        "${a}": ["Hi", 3, None],
        "b": {"c": 1},
    }


@pytest.mark.parametrize("text", ["${a.text", "x ${", "${'}", "${}", "${a.${b}}"])
def test_a_broken_reference_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        render(text, SCOPE)


@pytest.mark.parametrize("text", ["a.json.n == 1", "${a.json.n == 1}", "  ${ a.yes } "])
def test_a_condition_may_be_written_with_or_without_the_signs(text: str) -> None:
    assert condition(text, SCOPE)


def test_a_condition_is_one_expression() -> None:
    with pytest.raises(ExpressionError, match="one expression"):
        condition("${a.text} == ${a.text}", SCOPE)


def test_texts_come_with_their_places() -> None:
    assert list(texts({"a": ["x", {"b": "y"}], "c": 3})) == [(("a", 0), "x"), (("a", 1, "b"), "y")]


@given(st.text())
def test_text_without_the_signs_stays_as_it_is(text: str) -> None:
    if "${" not in text:
        assert render(text, {}) == text


@given(st.text())
def test_any_text_can_be_written_so_that_it_comes_out_as_it_is(text: str) -> None:
    assert render(text.replace("${", "$${"), {}) == text


@given(st.text(alphabet="${}'\"a. $", max_size=30))
def test_pieces_of_any_text_are_found_or_refused(text: str) -> None:
    with suppress(ExpressionError):
        assert isinstance(pieces(text), tuple)
