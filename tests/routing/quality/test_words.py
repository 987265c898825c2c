"""What words say: adding it up for all models at once, and for each alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.quality.words import NO_WORDS, Words, column

FEATURES = 12


def words(weights: dict[str, list[float]]) -> Words:
    packed = {model: column(each) for model, each in weights.items()}
    return Words(
        {1_000 + place: place for place in range(FEATURES)},
        [1.0 + place for place in range(FEATURES)],
        {model: memoryview(data).cast("b") for model, (data, _) in packed.items()},
        {model: scale for model, (_, scale) in packed.items()},
    )


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "d"]),
        st.lists(st.floats(-3, 3), min_size=FEATURES, max_size=FEATURES),
    ),
    st.lists(st.integers(0, FEATURES - 1)),
)
def test_all_models_at_once_are_told_what_each_is_told(weights: dict[str, list[float]], known: list[int]) -> None:
    found = words(weights)
    norm = found.norm(known) or 1.0
    assert found.said_of_all(known, norm) == {model: found.said(model, known, norm) for model in weights}


def test_only_features_that_were_learnt_are_known() -> None:
    assert words({}).known([1_003, 7, 1_000, 0]) == [3, 0]


@pytest.mark.parametrize("known", [[], [0]])
def test_where_nothing_was_learnt_nobody_is_told_anything(known: list[int]) -> None:
    assert NO_WORDS.said_of_all(known, 1.0) == {}
    assert NO_WORDS.said("a", known, 1.0) == 0.0
