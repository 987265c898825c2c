from typing import Any

import pytest

from chittycan.chat import Json
from chittycan.context.document import DEEPEST, OWNER, Author, Context, Write, check_session, labels_of, normal, written
from chittycan.context.labels import Label
from chittycan.errors import InvalidRequest

PRIVATE, OUTSIDE = Label("private"), Label("public", "outside")


def after(*writes: Write, ttl: float | None = None) -> Context:
    """The context after these writes, one second apart."""
    context: Context | None = None
    for second, write in enumerate(writes):
        context, _ = written("s", context, write, float(second), ttl=ttl, key_id="k")
    assert context is not None
    return context


def write(patch: Json, **more: Any) -> Write:
    return Write(**{"by": OWNER, "patch": patch, **more})


def test_the_first_write_begins_a_document() -> None:
    context = after(write({"a": 1, "b": None}))
    assert (context.version, context.document, context.key_id) == (1, {"a": 1}, "k")
    assert (context.created_at, context.updated_at, context.expires_at) == (0.0, 0.0, None)


def test_a_patch_merges_and_a_whole_document_replaces() -> None:
    assert after(write({"a": {"x": 1}}), write({"a": {"y": 2}})).document == {"a": {"x": 1, "y": 2}}
    assert after(write({"a": {"x": 1}}), write({"b": None}, whole=True)).document == {"b": None}


def test_each_key_knows_the_version_that_wrote_it_last() -> None:
    context = after(write({"a": 1, "b": 1}), write({"b": 2, "c": 2}), write({"a": None, "c": 3}))
    assert context.written == {"b": 2, "c": 3}
    assert after(write({"a": 1}), write({"a": 1, "b": 1}, whole=True)).written == {"a": 2, "b": 2}


def test_a_patch_may_be_made_of_the_newest_document() -> None:
    def longer(document: Json) -> Json:
        return {"list": [*document.get("list", []), len(document)]}

    assert after(write({"a": 1}), Write(by=OWNER, patch=longer), Write(by=OWNER, patch=longer)).document == {
        "a": 1, "list": [1, 2],
    }  # fmt: skip


def test_writing_only_makes_labels_stricter() -> None:
    model = Author("model", "gpt-4")
    first = write({"mail": "x", "note": "y"}, labels={"mail": Label("internal", "outside")})
    assert after(first, write({"mail": "z"}, by=model)).labels == {"mail": Label("internal", "outside")}
    stricter = write({"mail": "z"}, by=model, labels={"mail": PRIVATE})
    assert after(first, stricter).labels == {"mail": Label("private", "outside")}
    weaker = write({"mail": "z"}, whole=True, labels={"mail": Label("public", "inside")})
    assert after(first, stricter, weaker).labels == {"mail": Label("private", "outside")}


def test_a_label_goes_with_its_key_or_when_it_is_lowered() -> None:
    private = write({"mail": "x"}, labels={"mail": PRIVATE})
    assert after(private, write({"mail": None})).labels == {}
    lowered = write({}, relabel=("mail", {"privacy": "public"}))
    assert after(private, lowered).labels == {}
    assert after(private, lowered, write({"mail": "y"})).labels == {}
    outside = write({}, relabel=("mail", {"trust": "outside"}))
    assert after(private, outside).labels == {"mail": Label("private", "outside")}


def test_the_strictest_label_is_the_contexts() -> None:
    given = write({"a": 1, "b": 2, "c": 3}, labels={"a": Label("internal"), "b": OUTSIDE})
    assert after(given).label == Label("internal", "outside")


def test_a_label_for_no_key_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"labels\.mial.*no such key") as caught:
        after(write({"mail": "x"}, labels={"mial": PRIVATE}))
    assert caught.value.param == "labels.mial"


def test_each_write_renews_the_time_to_live() -> None:
    assert after(write({}), write({}), ttl=60.0).expires_at == 61.0
    assert after(write({}, ttl=5.0), write({})).expires_at == 6.0
    assert after(write({}, ttl=5.0), write({}, ttl=0.0)).expires_at is None
    assert after(write({}, ttl=0.0), ttl=60.0).expires_at is None


@pytest.mark.parametrize("name", ["s", "contract 42", "a:b@c", "Größe", "x" * 200])
def test_good_names(name: str) -> None:
    check_session(name)


@pytest.mark.parametrize("name", ["", " s", "s ", "a/b", ".", "..", "a\nb", "a\0b", "x" * 201])
def test_names_that_no_session_may_have(name: str) -> None:
    with pytest.raises(InvalidRequest, match="session"):
        check_session(name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl": -1.0},
        {"ttl": float("nan")},
        {"by": Author("model", "")},
        {"by": Author("model", "m", task="a\nb")},
        {"by": Author("robot", "r")},  # type: ignore[arg-type]
    ],
)
def test_writes_that_nobody_could_mean(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        write({}, **wrong).check()


@pytest.mark.parametrize("value", [["a"], "a", None, {"a": object()}, {"a": "\ud800"}, {"a": {1, 2}, "b": 1j}])
def test_what_is_no_json_object(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="patch"):
        normal(value, "patch")


def test_what_is_nested_too_deeply() -> None:
    value: Json = {}
    for _ in range(DEEPEST - 1):
        value = {"a": value}
    assert normal(value, "patch") == value
    for _ in range(2000):
        value = {"a": value}
    with pytest.raises(InvalidRequest):
        normal(value, "patch")


def test_labels_are_structs_or_their_fields() -> None:
    assert labels_of({"a": PRIVATE, "b": {"trust": "outside"}}) == {"a": PRIVATE, "b": OUTSIDE}
    with pytest.raises(InvalidRequest, match="secret"):
        labels_of({"a": {"privacy": "secret"}})
