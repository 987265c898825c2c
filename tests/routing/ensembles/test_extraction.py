"""What an answer says: read out of the ways in which models really write, and never guessed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.ensembles.extraction import (
    at_path,
    choice,
    json_in,
    normalised,
    number,
    read,
    shown,
    with_value,
)

EXTRACTS = ("text", "choice", "choice:low,high,not applicable", "number", "json", "json:a.0.b")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


# numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("**7**", 7),
        ("-3", -3),
        ("−3", -3),  # the minus sign of typesetters
        ("1,234.50", 1234.5),
        ("1.234,5", 1234.5),
        ("3,5", 3.5),
        ("$1,200", 1200),
        ("70%", 70),
        ("1e3", 1000),
        ("7/10", 7),
        ("Answer: 1/2", 0.5),
        ("Answer: 42", 42),
        ("The answer is 42. There are 3 reasons.", 42),
        ("Clause 3 is harsh, clause 7 is not.\n\nAnswer: 6", 6),
        ("So it is \\boxed{12}, not 13.", 12),
        ("\n7\nbecause of clauses 3 and 4", 7),
        ("There are 4 clauses.\nThree of 12 are harsh.\n**8**", 8),
        ("Rating: **8** (scale 1-10)", 8),
        ("I would rate this contract 7 on a scale of 1 to 10.", 7),
        ("I'd rate it 7 out of 10 because of clause 3", 7),
        ("The risk is 7. Clause 12 is the reason.", 7),
        ("7/10 because of 3 clauses", 7),
        ("GPT-4 says 7", 7),
    ],
)
def test_a_number_in_many_dresses(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "none", "7-8", "between 7 and 8", "2024-11-23", "10k", "GPT-4", "7th", "1/0"])
def test_where_no_number_or_several_could_be_meant_there_is_none(text: str) -> None:
    assert number(text) is None


@given(
    st.integers(-(10**14), 10**14), st.sampled_from(["{}", "**{}**", "Answer: {}", "Answer: **{}**.", "Well.\n\n{}"])
)
def test_a_whole_number_is_read_whatever_stands_around_it(value: int, dress: str) -> None:
    assert number(dress.format(value)) == value
    assert number(dress.format(f"{value:,}")) == value


@given(st.floats(-1e12, 1e12))
def test_a_number_is_read_as_it_is_shown(value: float) -> None:
    found = number(f"Answer: {shown(value)}")
    assert found == pytest.approx(value, abs=1e-9)


# choices


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B.", "B"),
        ("Answer: B", "B"),
        ("Answer: **B**", "B"),
        ("Answer:\nB", "B"),
        ("The answer is (c).", "C"),
        ("The answer is A because of the second clause.", "A"),
        ("Answer: B is right", "B"),
        ("Final answer: option B", "B"),
        ("\\boxed{\\text{E}}", "E"),
        ("B) Paris", "B"),
        ("B. Paris", "B"),
        ("I think it is **C**", "C"),
        ("The best one is (D), by far", "D"),
        ("Let me think. A and C are wrong.\n\nB", "B"),
        ("Not (A).\nAnswer: I", "I"),
    ],
)
def test_a_letter_in_many_dresses(text: str, letter: str) -> None:
    assert choice(text) == letter


@pytest.mark.parametrize(
    "text", ["", "I agree", "A cat", "the answer is a matter of taste", "Answer: A good idea", "(A) or (B)", "42"]
)
def test_a_word_is_no_choice(text: str) -> None:
    assert choice(text) is None


@given(st.sampled_from("ABCDEFGHIJ"), st.sampled_from(["{}", "({})", "Answer: {}", "The answer is ({}).", "x\n**{}**"]))
def test_every_letter_is_read_alike(letter: str, dress: str) -> None:
    assert choice(dress.format(letter)) == letter


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("high", "high"),
        ("The level is High.", "high"),
        ("Answer: medium, not low", "medium"),
        ("It could be low or high.\n\nAnswer: **Low**", "low"),
        ("not applicable", "not applicable"),
        ("low or high", None),
        ("not high", None),
        ("It isn't high", None),
        ("none of these", None),
    ],
)
def test_named_choices(text: str, chosen: str | None) -> None:
    found = read(text, "choice:low,medium,high,not applicable")
    assert (found.value if found else None) == chosen


# texts


@pytest.mark.parametrize(
    "text", ["Paris", "paris.", "**Paris**", "The answer is Paris.", "Answer: the Paris", '"Paris"']
)
def test_markup_case_and_punctuation_make_no_difference(text: str) -> None:
    found = read(text, "text")
    assert found is not None
    assert found.key == "paris"


@pytest.mark.parametrize(("one", "other"), [("C", "C++"), ("5", "-5"), ("3.5", "35"), ("x²", "x2"), ("10", "1")])
def test_what_differs_stays_different(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalised(text)
    assert set(once.split()) >= set(normalised(once).split())


# JSON


@pytest.mark.parametrize(
    "text",
    [
        '{"risk": 7, "why": "x"}',
        '```json\n{"why": "X.", "risk": 7.0}\n```',
        'Here you are: {"risk": 7, "why": "**x**"} — anything else?',
    ],
)
def test_the_same_object_in_many_dresses(text: str) -> None:
    found = read(text, "json")
    assert found is not None
    assert found == read('{"risk": 7, "why": "x"}', "json") or found.key == read('{"risk":7,"why":"x"}', "json").key  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ('{"risk": 7}', "risk", 7),
        ('{"a": {"b": [{"c": "X"}]}}', "a.b.0.c", "X"),
        ('{"a": false}', "a", False),
        ('{"a": 0}', "a", 0),
        ('{"a": null}', "a", None),
        ('{"a": []}', "a.0", None),
        ("[1, 2]", "1", 2),
        ("no object", "a", None),
        ('{"risk": NaN}', "risk", None),
    ],
)
def test_a_value_at_a_path(text: str, path: str, value: Any) -> None:
    found = read(text, f"json:{path}")
    assert (found.value if found else None) == value


def test_a_number_in_json_may_be_written_as_text_and_a_truth_is_none() -> None:
    found = read('{"risk": "7/10"}', "json:risk", numeric=True)
    assert found is not None
    assert found.value == 7
    assert read('{"risk": true}', "json:risk", numeric=True) is None
    assert read('{"risk": "high"}', "json:risk", numeric=True) is None
    assert read(f'{{"risk": 1{"0" * 400}}}', "json:risk", numeric=True) is None


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_any_object_is_found_within_words(value: dict[str, Any]) -> None:
    assert json_in(f"Sure.\n```json\n{json.dumps(value)}\n```\nDone.") == value


@given(VALUES.filter(lambda value: isinstance(value, dict | list)))
def test_the_order_of_keys_and_the_form_of_numbers_make_no_difference(value: Any) -> None:
    def turned(each: Any) -> Any:
        if isinstance(each, dict):
            return {key: turned(each[key]) for key in reversed(each)}
        if isinstance(each, list):
            return [turned(item) for item in each]
        return float(each) if isinstance(each, int) and not isinstance(each, bool) else each

    one, other = read(json.dumps(value), "json"), read(json.dumps(turned(value)), "json")
    assert one is not None
    assert other is not None
    assert one.key == other.key


def test_a_value_is_changed_where_it_stands() -> None:
    whole = {"a": [{"b": 1, "c": 2}], "d": 3}
    changed = with_value(whole, "a.0.b", 9)
    assert at_path(changed, "a.0.b") == 9
    assert whole["a"] == [{"b": 1, "c": 2}]
    assert changed["d"] == 3


# anything


@given(st.text() | st.text('0123456789.,/-+eE $%ABab(){}[]":\\* \n', max_size=60), st.sampled_from(EXTRACTS))
def test_no_text_breaks_the_reading(text: str, extract: str) -> None:
    found = read(text, extract)
    assert found is None or isinstance(hash(found.key), int)
    read(text, extract, numeric=True)


def test_hostile_texts_take_no_time() -> None:
    for text in (
        "[" * 100_000,
        '{"a":' * 50_000,
        "1," * 50_000,
        "answer " * 20_000,
        "1" * 200_000,
        "risk is " * 20_000,
    ):
        for extract in EXTRACTS:
            read(text, extract)
