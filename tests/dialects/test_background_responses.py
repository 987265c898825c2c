"""Background responses: one row of events from several tries, judged by the strictest reader, OpenAI's own client."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai._models import construct_type_unchecked
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent

from chittycan.chat import (
    ChatEvent,
    ChatRequest,
    Finished,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
    user,
)
from chittycan.dialects.openai_responses import stream_builder
from chittycan.dialects.openai_responses.background import FIRST, Told, begun, failed, framed, lifecycle, opening
from chittycan.dialects.sse import Splitter
from chittycan.errors import StreamBroken

Json = dict[str, Any]
OWN = begun("resp_own", 1_700_000_000, ChatRequest(model="any", messages=[user("Hi")]), "resp_before")
EVENT: Any = ResponseStreamEvent
counter = iter(range(1_000_000))


def answer(*pieces: str, first: str = "") -> list[ChatEvent]:
    """What a model says: text in pieces; `first` is what it thinks before. A piece "call" is a call of a tool."""
    events: list[ChatEvent] = [Started(model="a-model")]
    events += [ThinkingDelta(first)] if first else []
    for place, piece in enumerate(pieces):
        if piece == "call":
            events += [ToolStarted(place, f"call_{next(counter)}", "look"), ToolDelta(place, '{"at":1}')]
        else:
            events.append(TextDelta(piece))
    return [*events, Finished("stop"), UsageReported(Usage(input=3, output=4))]


def blocks(events: list[ChatEvent], error: StreamBroken | None = None) -> list[bytes]:
    """Each event of the stream of one try, whose ids are its own."""
    builder = stream_builder(f"req_{next(counter)}", "a-model", 1_700_000_000, True)
    data = b"".join(builder.build(event) for event in events) + (builder.fail(error) if error else builder.end())
    return [event.raw for event in Splitter().feed(data)]


def tell(shown: list[bytes], stream: list[bytes]) -> Told:
    """One try, cut where `stream` ends; what it tells is added to `shown`."""
    told = Told(OWN, list(shown))
    for block in stream:
        shown += told.take(block)
    assert told.last == (json.loads(shown[-1])["sequence_number"] if shown else FIRST - 1)
    return told


def read(shown: list[bytes], response: Json) -> Any:
    """The whole stream as OpenAI's client puts it together; it refuses what does not fit."""
    last = json.loads(shown[-1])["sequence_number"] if shown else FIRST - 1
    kind = f"response.{response['status']}"
    events = [json.loads(each) for each in [*opening(OWN), *shown, lifecycle(kind, last + 1, response)]]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    final = None
    for event in events:
        for each in state.handle_event(construct_type_unchecked(value=event, type_=EVENT)):
            final = each
    assert final is not None
    return final.response


def deltas(shown: list[bytes]) -> str:
    events = [json.loads(each) for each in shown]
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def kinds(shown: list[bytes]) -> list[str]:
    return [json.loads(each)["type"].removeprefix("response.") for each in shown]


def test_an_answer_keeps_the_id_that_the_client_was_given() -> None:
    shown: list[bytes] = []
    told = tell(shown, blocks(answer("Hel", "lo")))
    assert told.answer is not None
    final = read(shown, told.answer)
    assert (final.id, final.background, final.store, final.previous_response_id) == (
        "resp_own", True, True, "resp_before",
    )  # fmt: skip
    assert final.output_text == deltas(shown) == "Hello"
    assert kinds(shown)[0] == "in_progress"


def test_a_repeated_try_that_says_the_same_goes_on_where_the_first_was_cut() -> None:
    shown: list[bytes] = []
    tell(shown, blocks(answer("One ", "two ", "three."))[:6])
    assert deltas(shown) == "One two "
    told = tell(shown, blocks(answer("One two", " three.")))
    assert told.answer is not None
    assert deltas(shown) == "One two three."
    assert read(shown, told.answer).output_text == "One two three."
    assert kinds(shown).count("output_item.added") == 1


def test_a_try_that_was_cut_behind_its_last_word_is_not_told_twice() -> None:
    shown: list[bytes] = []
    tell(shown, blocks(answer("Done."))[:-1])
    before = list(shown)
    told = tell(shown, blocks(answer("Do", "ne.")))
    assert shown == before
    assert told.answer is not None
    assert read(shown, told.answer).output_text == "Done."


@pytest.mark.parametrize(
    ("other", "cut"),
    [("Two.", 5), ("On", 5), ("call", 5), ("One, two, and more", 7)],  # 7: the text was said to be whole
)
def test_where_the_repeated_answer_differs_the_old_one_is_closed_as_incomplete(other: str, cut: int) -> None:
    shown: list[bytes] = []
    tell(shown, blocks(answer("One, two"))[:cut])
    told = tell(shown, blocks(answer(other)))
    assert told.answer is not None
    final = read(shown, told.answer)
    closed = next(json.loads(each) for each in shown if b'"response.output_item.done"' in each)
    assert closed["output_index"] == 0
    assert closed["item"]["status"] == "incomplete"
    assert closed["item"]["content"][0]["text"] == "One, two"
    assert [json.loads(each)["output_index"] for each in shown if b"output_item.added" in each] == [0, 1]
    assert len(final.output) == 1
    assert final.output_text == ("" if other == "call" else other)


def test_what_was_thought_or_called_is_not_taken_for_the_same_again() -> None:
    for said, thought in (("Hi", "Hm."), ("call", "")):
        shown: list[bytes] = []
        tell(shown, blocks(answer(said, first=thought))[:5])
        told = tell(shown, blocks(answer(said, first=thought)))
        assert told.answer is not None
        read(shown, told.answer)
        added = [json.loads(each)["output_index"] for each in shown if b"output_item.added" in each]
        assert added == list(range(len(added)))
        assert len(added) == 1 + len(told.answer["output"])


def test_a_try_that_broke_off_before_it_had_caught_up_shows_nothing() -> None:
    shown: list[bytes] = []
    tell(shown, blocks(answer("One two three"))[:5])
    before = list(shown)
    tell(shown, blocks([Started(model="m"), TextDelta("One")], error=StreamBroken("cut")))
    assert shown == before
    told = tell(shown, blocks(answer("One two three four")))
    assert deltas(shown) == "One two three four"
    assert told.answer is not None


def test_a_message_that_was_only_announced_is_closed_where_the_next_try_says_nothing() -> None:
    shown: list[bytes] = []
    tell(shown, blocks(answer("One"))[:3])
    told = tell(shown, blocks(answer()))
    assert told.answer is not None
    assert read(shown, told.answer).output == []


def test_what_other_servers_add_to_a_stream_is_passed_over() -> None:
    shown: list[bytes] = []
    noise = [b": keepalive\n\n", b"data: [DONE]\n\n", b"retry: 100\n\n"]
    told = tell(shown, [*noise, *blocks(answer("Hello")), *noise])
    assert told.answer is not None
    assert read(shown, told.answer).output_text == "Hello"


def test_the_events_go_over_the_wire_as_the_api_writes_them() -> None:
    event = lifecycle("response.queued", 1, OWN)
    assert framed(event) == b"event: response.queued\ndata: " + event + b"\n\n"


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("invalid_request", "invalid_prompt"),
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("budget_exceeded", "server_error"),
    ],
)
def test_a_failure_has_a_code_that_the_api_knows_and_ours_beside_it(code: str, word: str) -> None:
    error = failed(OWN, code, "Why.")["error"]
    assert error == {"code": word, "message": "Why.", "type": code}


PIECES = st.lists(st.sampled_from(["a", "ab", "b", "ba", "call", ""]), max_size=5)
ANSWERS = st.builds(lambda pieces, first: answer(*pieces, first=first), PIECES, st.sampled_from(["", "hm"]))


@given(st.lists(st.tuples(ANSWERS, st.integers(0, 40)), max_size=3), ANSWERS)
def test_whatever_was_cut_wherever_the_whole_is_one_stream_that_the_client_accepts(
    cut: list[tuple[list[ChatEvent], int]], last: list[ChatEvent]
) -> None:
    shown: list[bytes] = []
    for events, length in cut:
        tell(shown, blocks(events)[:length])
    told = tell(shown, blocks(last))
    assert told.answer is not None
    final = read(shown, told.answer)
    assert final.output_text == "".join(event.text for event in last if isinstance(event, TextDelta))
    assert final.status == "completed"
