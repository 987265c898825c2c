"""By when, and how soon that is."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.agents.deadlines import deadline
from chittycan.integrations.email.message import Mail, parse

Letter = Callable[..., Mail]
MONDAY = "Mon, 23 Nov 2026 09:00:00 +0000"


@pytest.mark.parametrize(
    ("text", "words", "days"),
    [
        ("Please sign by 4 December 2026.", "4 December 2026", 11),
        ("It must be filed no later than December 2, 2026.", "December 2, 2026", 9),
        ("Die Frist läuft bis zum 30.11.2026.", "30.11.2026", 7),
        ("Bis 3. März brauchen wir das.", "3. März", 100),
        ("due on 2026-12-01", "2026-12-01", 8),
        ("Merci de répondre avant le 1er décembre.", "1er décembre", 8),
        ("El plazo termina el 30 de noviembre.", "30 de noviembre", 7),
        ("Entro il 5 dicembre, per favore.", "5 dicembre", 12),
        ("Graag uiterlijk 1 december.", "1 december", 8),
        ("by 12/31/2026", "12/31/2026", 38),
        ("Wir bitten um Antwort innerhalb von zwei Wochen.", "zwei Wochen", 14),
        ("within 48 hours", "48 hours", 2),
        ("Please answer by tomorrow.", "tomorrow", 1),
        ("bis Freitag", "Freitag", 6),
        ("Prosimy o odpowiedź w terminie czternastu dni.", "czternastu dni", 14),
        ("Najpóźniej do 2 grudnia.", "2 grudnia", 9),
        ("A proposta é válida até ao dia 30 de novembro.", "30 de novembro", 7),
        ("By 20 December, or better by 27 November.", "27 November", 4),
    ],
)
def test_day_that_is_called_a_limit(text: str, words: str, days: float, letter: Letter) -> None:
    found = deadline(letter(text, Date=MONDAY))
    assert found is not None
    assert (found.words, found.days) == (words, days)


@pytest.mark.parametrize(
    "text",
    [
        "We met on 3 May 2026.",
        "No date at all.",
        "We will answer you within ten days.",
        "Foi na reunião do dia 3 de dezembro.",
        "Sie wird in drei Tagen fertig.",
    ],
)
def test_other_days_are_none(text: str, letter: Letter) -> None:
    assert deadline(letter(text, Date=MONDAY)) is None


def test_mail_without_a_date_has_a_limit_of_unknown_distance() -> None:
    found = deadline(parse(b"From: a@b.example\n\nPlease pay by 4 December.\n"))
    assert found is not None
    assert found.days is None
    assert not found.near


@pytest.mark.parametrize("text", ["by 31.02.2026", "by 99/99/2026", "until 2026-13-45"])
def test_day_that_is_none_is_no_trouble(text: str, letter: Letter) -> None:
    found = deadline(letter(text, Date=MONDAY))
    assert found is not None
    assert found.days is None


@given(st.text(alphabet="by until bis 0123456789./-\u0130ßéMaySep\n", max_size=80))
def test_any_text_is_read(text: str) -> None:
    deadline(Mail(id="x", dedupe_key="x", message_id=None, sender=parse(b"").sender, text=text, date=1.79e9))
