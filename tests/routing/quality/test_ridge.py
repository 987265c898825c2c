"""Ridge regression, against its closed form where that can be written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.routing.quality.ridge import Rows


def test_rows_with_one_feature_each_give_shrunken_means() -> None:
    # Two rows with feature 0, one with feature 1: w = sum of targets / (rows + penalty).
    found = Rows([[0], [0], [1]], [1.0, 2.0]).fit([1.0, 0.5, -1.0], penalty=2.0, rounds=10)
    assert found == pytest.approx([1.5 / 4, -1.0 / 3])


@given(st.lists(st.sets(st.integers(0, 5), max_size=4), min_size=1, max_size=8), st.data())
def test_what_is_found_solves_the_normal_equations(sets: list[set[int]], data: st.DataObject) -> None:
    numbers = st.floats(-1, 1).map(lambda value: round(value, 3))
    targets = data.draw(st.lists(numbers, min_size=len(sets), max_size=len(sets)))
    rows = Rows([sorted(each) for each in sets], [1.0, 1.5, 2.0, 3.0, 1.0, 2.5])
    found = rows.fit(targets, penalty=1.0, rounds=50)
    wrong = [said - target for said, target in zip(rows.times(found), targets, strict=True)]
    slope = [a + b for a, b in zip(rows.back(wrong), found, strict=True)]
    assert max(map(abs, slope)) < 1e-4
