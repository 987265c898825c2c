"""The input of a batch is read the same wherever its bytes were cut, and what is wrong with it is said line by line."""

import itertools
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chittycan.workstreams import batch_input
from chittycan.workstreams.batch import Problem
from chittycan.workstreams.batch_input import CUT_LINES, LARGEST_PIECE, Splitter, Survey, TooLong, Written, check, lines

CHAT = "/v1/chat/completions"
texts = st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"{}", b" ", b"\xef\xbb\xbf", "ä".encode()]), max_size=40)


def split(data: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    splitter = Splitter()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    found = [line for start, stop in itertools.pairwise(places) for line in splitter.feed(data[start:stop])]
    return found + splitter.end()


@given(texts.map(b"".join), st.lists(st.integers(min_value=0), max_size=20))
@example(b"a\nb", [1, 2])
def test_lines_are_those_of_the_whole_wherever_it_is_cut(data: bytes, cuts: list[int]) -> None:
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    if expected:
        expected[0] = expected[0].removeprefix(b"\xef\xbb\xbf")
    found = split(data, cuts)
    assert [line for _, line in found] == expected
    assert all(data[offset : offset + len(line)] == line for offset, line in found[1:])


@given(texts.map(b"".join), st.lists(st.integers(min_value=0), max_size=20))
async def test_a_file_read_from_the_offset_of_a_line_brings_that_line_first(data: bytes, cuts: list[int]) -> None:
    async def rest(start: int) -> AsyncIterator[bytes]:
        places = sorted({start, len(data), *(start + cut % (len(data) - start + 1) for cut in cuts)})
        for begin, end in itertools.pairwise(places):
            yield data[begin:end]

    found = split(data, [])
    for number, (offset, _) in enumerate(found):
        assert [line async for line in lines(rest(offset), offset)] == found[number:]


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    splitter = Splitter(longest=100)
    splitter.feed(b"short\n")
    for _ in range(10):
        splitter.feed(b"x" * 10)
    with pytest.raises(TooLong) as found:
        splitter.feed(b"x")
    assert found.value.offset == len(b"short\n")


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)
       | st.dictionaries(st.sampled_from(["custom_id", "method", "url", "body", "x"]), inner)).map(
           lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_line_does_more_than_be_refused(line: bytes) -> None:
    found = check(line, 7, CHAT)
    assert isinstance(found, Written) or (found.line == 7 and found.message)


def test_what_is_wrong_is_named() -> None:
    good: dict[str, object] = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "m"}}
    changes: list[tuple[dict[str, object], str | None, str | None]] = [
        ({}, None, None),
        ({"url": "/chat/completions"}, None, None),
        ({"custom_id": ""}, "invalid_custom_id", "custom_id"),
        ({"custom_id": 1}, "invalid_type", "custom_id"),
        ({"method": "GET"}, "invalid_method", "method"),
        ({"url": "/v1/embeddings"}, "invalid_url", "url"),
        ({"body": []}, "invalid_body", "body"),
    ]
    for change, code, param in changes:
        found = check(json.dumps({**good, **change}).encode(), 1, CHAT)
        assert (found.code, found.param) == (code, param) if isinstance(found, Problem) else code is None


def test_a_large_batch_is_cut_into_pieces_that_hold_every_line_once() -> None:
    line = json.dumps({"custom_id": "%d", "method": "POST", "url": CHAT, "body": {}}).encode()
    for count in (1, CUT_LINES - 1, CUT_LINES, CUT_LINES + 1, 300, 9_999):
        survey, offset, starts = Survey(CHAT), 0, {}
        for number in range(count):
            each = line.replace(b"%d", b"%d" % number)
            starts[offset] = number
            assert survey.take(offset, each, number + 1)
            offset += len(each) + 1
        pieces = survey.pieces(offset)
        assert not survey.problems
        assert sum(piece[2] for piece in pieces) == survey.total == count
        assert max(piece[2] for piece in pieces) <= LARGEST_PIECE
        assert [piece[0] for piece in pieces[1:]] + [offset] == [piece[1] for piece in pieces]
        firsts = [starts[piece[0]] for piece in pieces]
        assert firsts == [sum(piece[2] for piece in pieces[:number]) for number in range(len(pieces))]


def test_a_survey_ends_where_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_input, "MOST_LINES", 2)
    survey = Survey(CHAT)
    taken = [
        survey.take(0, b'{"custom_id": "%d", "url": "/v1/chat/completions", "body": {}}' % n, n + 1) for n in range(3)
    ]
    assert taken == [True, True, False]
    assert [each.code for each in survey.problems] == ["too_many_requests"]
    monkeypatch.setattr(batch_input, "MOST_LINES", 1000)
    survey = Survey(CHAT)
    assert [survey.take(0, b"{", 1) for _ in range(200)].index(False) == 99
