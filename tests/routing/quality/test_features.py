"""Sketches of prompts."""

import re
from itertools import pairwise
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.quality.features import BUCKETS, CHARACTERS, _pieces, features, sketch, unpacked


@given(st.text(max_size=300))
def test_a_sketch_holds_each_feature_once_and_in_range(text: str) -> None:
    found = unpacked(sketch(text))
    assert found == features(text)
    assert len(found) == len(set(found))
    assert all(0 <= bucket < BUCKETS for bucket in found)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_sketch_give_buckets_in_range(data: bytes) -> None:
    assert all(0 <= bucket < BUCKETS for bucket in unpacked(data))


def in_one_go(text: str) -> list[int]:
    """The features as they are defined, of the whole text at once: what was learnt must go on meaning the same."""
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    hashes = [crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    pairs = [(first * 0x9E3779B1 + second) >> 7 for first, second in pairwise(hashes)]
    return [*dict.fromkeys(number % BUCKETS for number in (*hashes, *pairs))]


@given(st.text(max_size=300) | st.text("aB.,'_ \t\n\x1c\x85\u00a0\u2003\u3000Σßİ\ud800", max_size=300))
def test_features_read_piece_by_piece_are_those_of_the_whole(text: str) -> None:
    assert features(text) == in_one_go(text)
    assert features(text) == in_one_go(text)  # its pieces are known by now


def test_features_stay_the_same_where_more_pieces_come_than_are_remembered() -> None:
    several = [f"{number}, {'long' * number} text-{number}" for number in range(20)]
    before = [features(text) for text in several]
    for number in range(20_000):
        features(f"piece{number}")
    assert [features(text) for text in several] == before == [in_one_go(text) for text in several]


def test_case_does_not_count_and_the_order_of_words_does() -> None:
    assert sketch("Prove The Theorem") == sketch("prove the theorem")
    assert set(features("dog bites man")) != set(features("man bites dog"))
    shared = set(features("dog bites man")) & set(features("man bites dog"))
    assert len(shared) == 3  # the words, and none of the pairs


def test_the_middle_of_a_very_long_text_is_left_out() -> None:
    start, end = "first words " * CHARACTERS, " the question at the end"
    assert set(features(start + "hidden" + start + end)) == set(features(start + start + end))
    assert set(features("question at the end")) <= set(features(start + end))


def test_what_is_all_signs_is_not_remembered() -> None:
    features("?!" * 12 + " ordinary-word")
    assert "?!" * 12 not in _pieces
    assert "ordinary-word" in _pieces
