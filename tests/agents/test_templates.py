"""Templates: substitution and nothing more."""

import pytest

from chittycan.agents import templates
from chittycan.agents.words import CATEGORIES
from chittycan.errors import InvalidRequest, NotFound


def test_values_are_set_in_as_they_stand() -> None:
    assert templates.fill("Dear {{ name }}, {{body}}", {"name": "{{body}}", "body": "x"}) == "Dear {{body}}, x\n"


def test_missing_variable_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        templates.fill("Dear {{name}}", {})
    assert caught.value.param == "name"


def test_unknown_template_says_which_there_are() -> None:
    with pytest.raises(NotFound) as caught:
        templates.render("fancy", {})
    assert "standard" in (caught.value.fix or "")


@pytest.mark.parametrize(
    "category", [name for name in CATEGORIES if name not in ("billing_matter", "newsletter", "spam")]
)
def test_every_category_that_is_answered_has_a_fixed_text(category: str) -> None:
    general = templates.fixed_body("general_inquiry")
    assert category == "general_inquiry" or templates.fixed_body(category) != general


@pytest.mark.parametrize(
    ("text", "language"), [("Sehr geehrte Damen und Herren, wir bitten Sie", "de"), ("We need you", "en"), ("", "en")]
)
def test_language_is_told_by_the_commonest_words(text: str, language: str) -> None:
    assert templates.language_of(text) == language
