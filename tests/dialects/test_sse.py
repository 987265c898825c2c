"""Cutting event streams into events, however the bytes arrive."""

import itertools
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.dialects import sse
from chittycan.dialects.sse import Event, Splitter

AWKWARD = (
    'data: {"text":"京都 👩‍💻"}\n\n'
    ": keepalive\n\n"
    'event: error\ndata: {"a":1}\n\n'
    "data:no space\n\n"
    "id: 7\nretry: 10\ndata: first\ndata:  second\n\n"
    "data: crlf\r\n\r\n"
    "event: named\r\ndata: both\r\n\r\n"
    "data: lone\r\r"
    "data\n\n"
    "\n\n\n"
    "data: [DONE]\n\n"
).encode()
READ = [
    ("", '{"text":"京都 👩‍💻"}'),
    ("error", '{"a":1}'),
    ("", "no space"),
    ("", "first\n second"),
    ("", "crlf"),
    ("named", "both"),
    ("", "lone"),
    ("", ""),
    ("", "[DONE]"),
]


def read(*pieces: bytes) -> list[Event]:
    splitter = Splitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events + splitter.close()


def said(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.event, event.data) for event in events if not event.comment]


def test_every_kind_of_line_and_line_end_is_read() -> None:
    assert said(read(AWKWARD)) == READ


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stream_with_one_kind_of_line_end_reads_the_same(end: str) -> None:
    text = "data: a\n\nevent: x\ndata: b\n\n: c\n\nevent: y\nid: 1\ndata: d\ndata: e\n\n".replace("\n", end)
    assert said(read(text.encode())) == [("", "a"), ("x", "b"), ("y", "d\ne")]


def test_a_cut_at_any_byte_changes_nothing() -> None:
    for cut in range(len(AWKWARD)):
        assert said(read(AWKWARD[:cut], AWKWARD[cut:])) == READ, cut


def test_single_bytes_read_as_the_whole() -> None:
    assert said(read(*(AWKWARD[i : i + 1] for i in range(len(AWKWARD))))) == READ


@given(
    st.binary(max_size=300) | st.text("dat: \n\r\ufeffé", max_size=80).map(str.encode), st.lists(st.integers(0, 300))
)
def test_any_bytes_cut_anywhere_give_the_same_events_and_lose_no_byte(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert said(read(*pieces)) == said(read(stream))
    splitter = Splitter()
    raw = b"".join(event.raw for piece in pieces for event in splitter.feed(piece))
    assert stream.startswith(raw)
    assert (b"".join(event.raw for event in splitter.close())).startswith(stream[len(raw) :].rstrip(b"\r\n") or b"")


def test_raw_is_what_came_so_that_it_can_be_forwarded() -> None:
    assert b"".join(event.raw for event in Splitter().feed(AWKWARD)) == AWKWARD


def test_comments_are_marked_and_never_data() -> None:
    events = Splitter().feed(b": OPENROUTER PROCESSING\n\nretry: 3000\n\ndata: x\n\n")
    assert [(event.comment, event.data) for event in events] == [(True, ""), (True, ""), (False, "x")]


def test_a_byte_order_mark_is_skipped_only_at_the_start() -> None:
    assert said(read("\ufeffdata: a\n\n\ufeffdata: b\n\ndata: c\n\n".encode())) == [("", "a"), ("", "c")]


def test_an_event_cut_by_the_end_of_the_stream_is_delivered_with_its_blank_line() -> None:
    splitter = Splitter()
    assert splitter.feed(b'data: a\n\ndata: {"cut":') == [Event("", "a", b"data: a\n\n")]
    assert splitter.close() == [Event("", '{"cut":', b'data: {"cut":\n\n')]
    assert splitter.close() == []


def test_bytes_that_are_not_utf_8_become_replacement_marks() -> None:
    assert said(read(b"data: a\xff\xe4\n\n")) == [("", "a\ufffd\ufffd")]


@pytest.mark.parametrize("end", [b"", b"\n\n", b"\r\r"])
@pytest.mark.parametrize("reads", [1, 5])
def test_an_event_beyond_the_limit_is_refused(end: bytes, reads: int) -> None:
    stream = b"data: " + b"x" * sse.LIMIT + end
    step = len(stream) // reads
    splitter = Splitter()
    with pytest.raises(ValueError, match="larger than"):
        deque(map(splitter.feed, (stream[i : i + step] for i in range(0, len(stream), step))))


def test_a_large_event_in_many_reads_arrives_whole() -> None:
    splitter, text = Splitter(), b"y" * 3_000_000
    stream = b"data: " + text + b"\n\n"
    events = [event for i in range(0, len(stream), 65536) for event in splitter.feed(stream[i : i + 65536])]
    assert [event.data.encode() for event in events] == [text]


@given(st.text(st.characters(codec="utf-8")), st.none() | st.text("abc_.", min_size=1))
def test_what_is_encoded_reads_back(text: str, name: str | None) -> None:
    (event,) = Splitter().feed(sse.encode(text.encode(), name))
    assert (event.event, event.data) == (name or "", text.replace("\r\n", "\n").replace("\r", "\n"))
