import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.context.labels import PRIVACY, TRUST, UNLABELLED, Label, strictest

labels = st.builds(Label, st.sampled_from(PRIVACY), st.sampled_from(TRUST))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([], UNLABELLED),
        ([Label("internal")], Label("internal")),
        ([Label("private"), Label("internal", "outside")], Label("private", "outside")),
        ([Label("public", "outside"), Label("private", "inside")], Label("private", "outside")),
    ],
)
def test_the_strictest_of_each_word(given: list[Label], found: Label) -> None:
    assert strictest(given) == found


@given(st.lists(labels), st.lists(labels))
def test_more_labels_are_never_weaker(some: list[Label], more: list[Label]) -> None:
    weak, strong = strictest(some), strictest(some + more)
    assert PRIVACY.index(strong.privacy) >= PRIVACY.index(weak.privacy)
    assert TRUST.index(strong.trust) >= TRUST.index(weak.trust)
