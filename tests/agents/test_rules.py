"""What words alone tell."""

from collections.abc import Callable

import pytest

from chittycan.agents import rules
from chittycan.integrations.email.message import Mail

Letter = Callable[..., Mail]


@pytest.mark.parametrize(
    ("start", "category"),
    [
        ("01", "general_inquiry"),
        ("02", "lawsuit_communication"),
        ("03", "court_notice"),
        ("04", "document_submission"),
        ("05", "billing_matter"),
        ("06", "appointment_request"),
        ("10", "tenant_communication"),
        ("11", "permit_application"),
        ("13", "lawsuit_communication"),
    ],
)
def test_sample_inbox_is_sorted_by_its_words(start: str, category: str, sample: Callable[[str], Mail]) -> None:
    assert rules.category(sample(start)).category == category


def test_parts_of_words_do_not_count(letter: Letter) -> None:
    mail = letter("In that case I feel parental about coffee and the current contractor.", Subject="Classified")
    assert rules.category(mail).category == "general_inquiry"


def test_one_word_in_passing_decides_nothing(letter: Letter) -> None:
    assert rules.category(letter("We never wrote an agreement.")).words == ()


def test_phrase_may_break_over_lines(letter: Letter) -> None:
    assert rules.category(letter("There will be a notice of\nhearing soon.")).category == "court_notice"


def test_more_hits_make_more_confidence_but_never_certainty(letter: Letter) -> None:
    few = rules.category(letter("a lawsuit and a settlement"))
    many = rules.category(letter("lawsuit settlement plaintiff defendant litigation subpoena deposition discovery"))
    assert few.confidence < many.confidence == 0.8


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("Please sign by 4 December 2026.", "4 December 2026"),
        ("It must be filed no later than December 2, 2026.", "December 2, 2026"),
        ("Die Frist läuft bis zum 30.11.2026.", "30.11.2026"),
        ("due on 2026-12-01", "2026-12-01"),
        ("We met on 3 May 2026.", None),
        ("No date at all.", None),
    ],
)
def test_deadline_is_the_date_that_is_called_one(text: str, date: str | None, letter: Letter) -> None:
    assert rules.deadline(letter(text)) == date


def test_question_in_the_quoted_mail_is_not_a_question_of_this_one(letter: Letter) -> None:
    assert rules.asks(letter("Could you call me?"))
    assert not rules.asks(letter("Done.\n\nOn Fri, 20 Nov 2026 at 16:40, Sarah Okafor wrote:\n> Could you call me?"))
