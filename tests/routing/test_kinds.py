"""What kind of work a prompt is, told from nothing but itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.kinds import KINDS, MARGIN, TIERS, work_of

PROMPTS = {
    "code": [
        "Write a function that removes duplicates from a list",
        "why does my python script throw a KeyError?",
        "Fix this:\n```\nfor x in y print(x)\n```",
        "Refactor this class:\nclass Foo:\n    def bar(self): return 1",
        "SELECT name FROM people WHERE age > 3 is slow, how do I index it in postgres",
    ],
    "writing": [
        "Write a polite email to my landlord about the heating",
        "rewrite this email to be more polite",
        "Proofread this paragraph: Their going home.",
        "Write a haiku about the sea",
    ],
    "maths": [
        "What is 17 * 23?",
        "Solve x^2 + 3x + 2 = 0",
        "Prove that the square root of 2 is irrational",
        "Anna has 12 apples and gives 3 to each of her 2 friends. How many are left?",
        "Evaluate \\frac{3}{4} + \\frac{1}{8}, as a fraction",
    ],
    "extraction": [
        "Extract all names and dates from the following text: Ann met Bo on 3 May.",
        "Pull out the fields invoice number, amounts and dates as JSON",
    ],
    "translation": ["Translate this to German: good morning", "Please give me a French translation of the letter"],
    "summary": ["Summarise the article below", "tl;dr of this?", "Give me a summary of the key points"],
}


@pytest.mark.parametrize(("kind", "prompt"), [(kind, each) for kind, several in PROMPTS.items() for each in several])
def test_what_a_prompt_asks_for(kind: str, prompt: str) -> None:
    assert work_of(prompt).kind == kind, work_of(prompt).why


@pytest.mark.parametrize(
    "prompt", ["", "hi", "yes please", "What is the capital of France?", "who wrote the boys from brazil", "你好，世界"]
)
def test_small_talk_and_questions_of_fact_are_of_no_kind(prompt: str) -> None:
    assert work_of(prompt).kind is None


def test_images_and_very_long_inputs_are_kinds_whatever_the_words() -> None:
    assert work_of("Write a function", images=True).kind == "vision"
    assert work_of("Write a function", tokens=150_000).kind == "long"


def test_what_the_work_is_done_to_does_not_decide() -> None:
    """The instruction stands at the ends; a pasted text in between may be about anything."""
    pasted = "The integral equation of the triangle's area, a polynomial, was calculated. " * 40
    assert work_of(f"Translate the text into German. {' ' * MARGIN}{pasted}{' ' * MARGIN}Thanks.").kind == "translation"


def test_two_kinds_that_are_as_likely_are_none() -> None:
    work = work_of("poem essay python sql")  # twice as many points as one kind needs, for each of two
    assert work.kind is None
    assert work.why == "no kind is clear"


def test_a_kind_that_was_given_is_kept() -> None:
    work = work_of("Write a haiku about the sea", kind="code.review")
    assert (work.kind, work.why) == ("code.review", "given")
    assert work.difficulty == "medium"  # as any code


def test_a_schema_is_a_sign_of_extraction_but_no_proof() -> None:
    assert work_of("parse the dates", schema=True).kind == "extraction"
    assert work_of("hello", schema=True).kind is None


def test_how_hard_it_looks() -> None:
    assert work_of("What is the capital of France?").difficulty == "simple"
    assert work_of("What is 17 * 23?").difficulty == "medium"
    assert work_of("Design the architecture of a billing system in python and postgres").difficulty == "complex"
    story = "Once there was a king who had a daughter. " * 100
    assert work_of(f"Summarise: {story}").difficulty == "simple"
    assert work_of(f"What do you think of this? {story}").difficulty == "medium"


@given(st.text(max_size=3000), st.booleans(), st.booleans())
def test_any_text_is_of_a_known_kind_or_none(text: str, schema: bool, tools: bool) -> None:
    work = work_of(text, schema=schema, tools=tools)
    assert work.kind is None or work.kind in KINDS
    assert work.difficulty in TIERS
