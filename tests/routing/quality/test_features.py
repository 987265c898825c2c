"""Sketches of prompts."""

from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.quality.features import BUCKETS, CHARACTERS, features, sketch, unpacked


@given(st.text(max_size=300))
def test_a_sketch_holds_each_feature_once_and_in_range(text: str) -> None:
    found = unpacked(sketch(text))
    assert found == features(text)
    assert len(found) == len(set(found))
    assert all(0 <= bucket < BUCKETS for bucket in found)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_sketch_give_buckets_in_range(data: bytes) -> None:
    assert all(0 <= bucket < BUCKETS for bucket in unpacked(data))


def test_case_does_not_count_and_the_order_of_words_does() -> None:
    assert sketch("Prove The Theorem") == sketch("prove the theorem")
    assert set(features("dog bites man")) != set(features("man bites dog"))
    shared = set(features("dog bites man")) & set(features("man bites dog"))
    assert len(shared) == 3  # the words, and none of the pairs


def test_the_middle_of_a_very_long_text_is_left_out() -> None:
    start, end = "first words " * CHARACTERS, " the question at the end"
    assert set(features(start + "hidden" + start + end)) == set(features(start + start + end))
    assert set(features("question at the end")) <= set(features(start + end))
