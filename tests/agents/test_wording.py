"""What the words of a mail say, counted once."""

from collections.abc import Callable

import pytest

from chittycan.agents import wording
from chittycan.agents.lexicon import Lexicon, entries_of, known
from chittycan.agents.wording import Wording
from chittycan.agents.words import GRAVE
from chittycan.integrations.email.message import Mail

Letter = Callable[..., Mail]


def points(mail: Mail, heading: str) -> float:
    found = Wording(mail).points.get(heading)
    return found.points if found else 0.0


def test_words_are_counted_once_however_often_they_are_asked_for(
    letter: Letter, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []

    class Counting(Lexicon):
        def hits(self, text: str, *, of_sender: bool = False):  # type: ignore[no-untyped-def]
            counted.append(text)
            return super().hits(text, of_sender=of_sender)

    lexicon = Counting(entries_of({"billing_matter": {"sure": "invoice"}}))
    monkeypatch.setattr(wording, "known", lambda: lexicon)
    read = Wording(letter("The invoice is wrong.", Subject="Hello"))
    assert read.points["billing_matter"].points == 4.0
    assert not read.speaks_of(GRAVE)
    assert not read.sales_phrases
    assert counted.count("The invoice is wrong.") == 1


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("We have not heard from you, and the landlord will not wait.", {"en"}),
        ("Wir haben die Rechnung noch nicht erhalten und bitten Sie um Zahlung.", {"de", "en"}),
        ("Prosimy o przesłanie dokumentów, które są nam potrzebne do sprawy.", {"pl", "en"}),
        ("Hallo", set()),
    ],
)
def test_language_is_told_by_common_words(text: str, languages: set[str]) -> None:
    """English always is one, and one that is much alike may be."""
    found = known().languages_of(text)
    assert found >= languages
    assert "en" in found or not languages
    assert len(found - languages) <= 1


def test_mail_in_two_languages_is_in_both() -> None:
    text = "We have not heard from you, and the rent is due. Wir haben von Ihnen noch nichts gehört, und die Miete."
    assert known().languages_of(text) >= {"de", "en"}


def test_false_friends_of_other_languages_do_not_count(letter: Letter) -> None:
    """`beca` is a grant in Spanish."""
    english = letter("I am writing because the printer has not worked for a week and we need it.")
    spanish = letter("Les escribo porque la beca que me han dado no ha llegado y los libros son caros.")
    assert points(english, "grant_management") == 0.0
    assert points(spanish, "grant_management") > 0.0


@pytest.mark.parametrize("word", ["Verspätungszuschläge", "VERSPAETUNGSZUSCHLAEGE", "verspatungszuschlage"])
def test_umlauts_may_be_written_as_two_letters(word: str) -> None:
    lexicon = Lexicon(entries_of({"billing_matter": {"sure": "verspätungszuschl*"}}))
    assert [hit.end for hit in lexicon.hits(word)] == [len(word)]


def test_what_only_looks_like_a_phrase_does_not_count() -> None:
    tables = {"asking": {"likely": "please", "not": "please note"}}
    lexicon = Lexicon(entries_of(tables))
    kept = wording._longest(lexicon.hits("Please note the new address."))
    assert [hit.entry.points for hit in kept] == [0.0]


def test_small_print_below_the_greeting_counts_less(letter: Letter) -> None:
    above = letter("Your invoice is wrong, and we have not paid it.\n\nKind regards\nAnn")
    below = letter("We have not seen it, and you are right.\n\nKind regards\nAnn\nAsk for an invoice in writing.")
    assert points(above, "billing_matter") > points(below, "billing_matter") > 0.0


def test_name_of_a_person_says_nothing_of_the_matter(letter: Letter) -> None:
    person = letter("Hello there.", From="Olive Grant <olive.g@studio.example>", Subject="Hi")
    office = letter("Hello there.", From="Grant Office <office@city.example>", Subject="Hi")
    assert points(person, "grant_management") == 0.0
    assert points(office, "grant_management") > 0.0
