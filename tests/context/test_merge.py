import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.context.merge import merge

# RFC 7396, appendix A: original, patch, result.
EXAMPLES = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def holds_null(value: Any) -> bool:
    """In an object, however deep in objects."""
    return isinstance(value, dict) and any(each is None or holds_null(each) for each in value.values())


@pytest.mark.parametrize(("original", "patch", "result"), EXAMPLES)
def test_the_rfcs_own_examples(original: str, patch: str, result: str) -> None:
    assert merge(json.loads(original), json.loads(patch)) == json.loads(result)


def test_section_1s_example() -> None:
    original = {"title": "Goodbye!", "author": {"givenName": "John", "familyName": "Doe"}, "tags": ["a"], "content": ""}
    patch = {"title": "Hello!", "phone": "+1", "author": {"familyName": None}, "tags": ["b"]}
    merged = {"title": "Hello!", "author": {"givenName": "John"}, "tags": ["b"], "content": "", "phone": "+1"}
    assert merge(original, patch) == merged


@given(values, values)
def test_nothing_given_is_changed_and_twice_is_once(target: Any, patch: Any) -> None:
    before = json.dumps([target, patch])
    once = merge(target, patch)
    assert json.dumps([target, patch]) == before
    assert merge(once, patch) == once


@given(values, values)
def test_a_patch_onto_nothing_is_the_patch_without_its_nulls(target: Any, patch: Any) -> None:
    fresh = merge(None, patch)
    assert not holds_null(fresh)
    if not holds_null(patch):
        assert fresh == patch


@given(st.dictionaries(st.text(max_size=3), values), st.dictionaries(st.text(max_size=3), values))
def test_top_level_keys_are_those_of_both_without_the_removed(target: dict[str, Any], patch: dict[str, Any]) -> None:
    removed = {key for key, value in patch.items() if value is None}
    assert merge(target, patch).keys() == (target.keys() | patch.keys()) - removed
