"""The language inside `${…}`: what it can say, what it refuses, and that nothing is ever run."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.workstreams.expressions import NOTHING, ExpressionError, Lenient, parse

SCOPE: dict[str, Any] = {
    "inputs": {"n": 3, "words": ["a", "b"], "on": True},
    "review": {"text": "Risky", "json": {"risk": 8, "risk-level": "high", "class": "x"}, "error": None},
    "skipped": NOTHING,
    "context": Lenient({"facts": {"court": "Vienna"}}),
}


def value(text: str) -> Any:
    return parse(text).evaluate(SCOPE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("review.json.risk", 8),
        ('review.json["risk-level"]', "high"),
        ("review.json.class", "x"),
        ("inputs.words[0]", "a"),
        ("inputs.words[-1]", "b"),
        ("review.json.risk >= 7 and inputs.on", True),
        ("not inputs.on or 'a' in inputs.words", True),
        ("'sky' in lower(review.text)", True),
        ("'x' not in ['y', 'z']", True),
        ("len(inputs.words) == 2", True),
        ("1 < inputs.n <= 3", True),
        ("-1 < 0", True),
        ("review.error == null", True),
        ("true", True),
        ("1 == true", False),
        ("review.json.risk == '8'", False),
        ("'risk' in review.json", True),
        ("'.from' == '.from'", True),
        ("review.error or 'fine'", "fine"),
        ("review.text\n  == 'Risky'", True),
    ],
)
def test_an_expression_has_its_value(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    "text", ["skipped", "skipped.text", "skipped.json.a[0].b", "context.no.where", "context.facts.x"]
)
def test_what_was_never_made_is_null_at_every_depth(text: str) -> None:
    assert value(text) is None
    assert value("context.facts.court") == "Vienna"


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "open('x')", "(lambda: 1)()", "[x for x in inputs]", "inputs.n + 1", "f'{inputs}'",
     "a if b else c", "a := 1", "inputs.words.append(1)", "len", "{**inputs}",
     "b'x'", "1j", "...", "x = 1", "len(1, 2)", "",
     "a b", "(" * 400, "a" * 2000, "'\\N{BELL'"],
)  # fmt: skip
def test_what_is_not_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text).evaluate(SCOPE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("review.json.rsk", r"review\.json has no 'rsk'; did you mean 'risk'\?"),
        ("reviw.text", "nothing called 'reviw' here; did you mean 'review'"),
        ("inputs.words[7]", r"inputs\.words has 2 entries"),
        ("review.text.more", r"review\.text is text"),
        ("review.error.more", r"review\.error is null"),
        ("review.json.from", r"review\.json has no 'from'"),
        ("review.json.risk > 'a'", "a number > text"),
        ("skipped > 1", "null > a number"),
        ("1 in 2", "nothing can be in a number"),
        ("len(1)", r"len\(\) of a number"),
        ("review = 1", "compare with =="),
    ],
)
def test_an_error_says_what_is_there_instead(text: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        value(text)


def test_references_are_found_wherever_they_stand() -> None:
    found = parse("a.b['c'][0] == d and len(e.f) in [g, inputs[h].from]").references
    assert set(found) == {
        ("a", ("b", "c", 0)),
        ("d", ()),
        ("e", ("f",)),
        ("g", ()),
        ("h", ()),
        ("inputs", (None, "from")),
    }


@given(st.text(max_size=60))
def test_no_text_does_more_than_give_a_value_or_an_error(text: str) -> None:
    with suppress(ExpressionError):
        parse(text).evaluate(SCOPE)


NAMES = st.sampled_from(
    ["inputs.n", "review.json.risk", "skipped.x", "review.text", "inputs.words", "1", "'a'", "null"]
)
TERMS = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["==", "!=", "<", "in", "and", "or"]), inner),
        st.builds("(not {})".format, inner),
        st.builds("len({})".format, inner),
    ),
    max_leaves=8,
)


@given(TERMS)
def test_the_same_expression_has_the_same_outcome_every_time(text: str) -> None:
    def outcome() -> str:
        try:
            return repr(parse(text).evaluate(SCOPE))
        except ExpressionError as error:
            return f"error {error}"

    assert outcome() == outcome()
