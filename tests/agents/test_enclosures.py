"""Files that go along: which there may be, and that they are what was attached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.agents.enclosures import MOST_BYTES, MOST_FILES, changed, files, sha256
from chittycan.errors import InvalidRequest


def test_one_of_the_same_name_takes_the_place_of_the_other() -> None:
    first = changed((), {"a.pdf": b"one", "b.txt": b"two"}, ())
    assert [(each.name, each.media_type, each.size) for each in first] == [
        ("a.pdf", "application/pdf", 3), ("b.txt", "text/plain", 3),
    ]  # fmt: skip
    second = changed(first, {"a.pdf": b"three"}, ("b.txt",))
    assert [(each.name, each.sha256) for each in second] == [("a.pdf", sha256(b"three"))]
    with pytest.raises(InvalidRequest, match="goes along"):
        changed(second, {}, ("b.txt",))


def test_there_are_only_so_many_and_so_large() -> None:
    with pytest.raises(InvalidRequest, match="at most"):
        changed((), {"a": bytes(MOST_BYTES), "b": b"x"}, ())
    with pytest.raises(InvalidRequest, match="at most"):
        changed((), {f"{number}.txt": b"" for number in range(MOST_FILES + 1)}, ())


@pytest.mark.parametrize("name", ["mail.eml", "x.mht", "odd.tar.gz", "nothing", "a.\u202efdp.exe"])
def test_what_may_not_be_encoded_goes_along_as_bytes(name: str) -> None:
    (file,) = changed((), {name: b"x"}, ())
    assert not file.media_type.startswith(("message/", "multipart/"))
    assert file.name.isprintable()


@given(st.text(max_size=300))
def test_a_name_is_one_line_and_no_path(name: str) -> None:
    try:
        (file,) = changed((), {name: b"x"}, ())
    except InvalidRequest:
        return
    assert 0 < len(file.name) <= 120
    assert not set("/\\\r\n\0") & set(file.name)
    assert file.name == file.name.strip()


def test_what_is_not_what_was_attached_does_not_go_out() -> None:
    attached = changed((), {"a.pdf": b"one"}, ())
    assert files(attached, {sha256(b"one"): b"one"})[0].content == b"one"
    for contents in ({}, {sha256(b"one"): b"two"}):
        with pytest.raises(InvalidRequest, match="as it was attached"):
            files(attached, contents)
