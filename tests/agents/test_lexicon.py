"""How the words of the vocabulary are written and found."""

import tomllib
from importlib.resources import files

import pytest

from chittycan.agents.lexicon import Lexicon, entries_of
from chittycan.agents.words import CATEGORIES

OTHERS = {"pressing", "at_leisure", "asking"}
VOCABULARY = sorted((files("chittycan.agents") / "vocabulary").iterdir(), key=lambda file: file.name)


def found(phrases: str, text: str) -> list[str]:
    lexicon = Lexicon(entries_of({"billing_matter": {"sure": phrases}}))
    return [text[hit.start : hit.end] for hit in lexicon.hits(text)]


@pytest.mark.parametrize(
    ("phrases", "text", "there"),
    [
        ("fee", "The FEE, and the coffee.", ["FEE"]),
        ("klag*", "Klage und Kläger, Anklage", ["Klage", "Kläger"]),
        ("*rechnung", "Schlussrechnung, Rechnungen", ["Schlussrechnung"]),
        ("mündliche verhandlung", "Die mundliche\nVerhandlung", ["mundliche\nVerhandlung"]),
        ("can t log in", "I can't log in", ["can't log in"]),
        ("l audience", "à l’audience", ["l’audience"]),
        ("a b, b", "a b", ["a b", "b"]),
        ("a b", "a", []),
        ("klag*", "Klage" + "e" * 80, []),
    ],
)
def test_whole_words_without_regard_to_case_and_accents(phrases: str, text: str, there: list[str]) -> None:
    assert found(phrases, text) == there


def test_words_of_senders_count_only_there() -> None:
    lexicon = Lexicon(entries_of({"court_notice": {"sender": "clerk"}}))
    assert not list(lexicon.hits("the clerk"))
    assert len(list(lexicon.hits("the clerk", of_sender=True))) == 1


@pytest.mark.parametrize("file", VOCABULARY, ids=lambda file: file.name)
def test_every_language_has_words_for_every_category(file: object) -> None:
    tables = tomllib.loads(file.read_text("utf-8"))  # type: ignore[attr-defined]
    assert len(tables.pop("common").split(",")) >= 20
    assert set(tables) == set(CATEGORIES) | OTHERS
    for heading in tables:
        assert len(list(entries_of({heading: tables[heading]}))) >= 20, heading
