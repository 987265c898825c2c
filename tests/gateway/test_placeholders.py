"""The originals back in the events of a stream: each running text for itself, in order, and nothing lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import (
    ChatEvent,
    ChatRequest,
    Done,
    Finished,
    OpaqueBlock,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
    collect,
    user,
)
from chittycan.gateway.call import Call
from chittycan.gateway.placeholders import Retelling
from chittycan.routing.privacy.detect import findings
from chittycan.routing.privacy.placeholders import Placeholders

PROMPT = "ann@example.org, bob@example.org and -----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----"
KEY = PROMPT[PROMPT.index("-----") :]


@pytest.fixture(scope="module")
def retelling() -> "Retell":
    return Retell()


class Retell:
    """Makes a fresh one for each stream."""

    def __init__(self) -> None:
        self.placeholders = Placeholders()
        self.placeholders.hide(PROMPT, findings(PROMPT))

    def __call__(self, events: list[ChatEvent]) -> list[ChatEvent]:
        call = Call(request_id="r", model="m", parsed=ChatRequest(model="m", messages=[user("x")]))
        made = Retelling(call, self.placeholders)
        return [*(each for event in events for each in made.events([event])), *made.close()]


def crumbs(text: str, size: int) -> list[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


@given(
    st.integers(1, 12),
    st.sampled_from(["To [EMAIL_1] [EMAIL_2]", "[EMAIL_1", "[x] [EMAIL_9] [EMAIL_2]]", "[[EMAIL_1]"]),
)
def test_whatever_the_pieces_the_whole_is_the_same(size: int, text: str) -> None:
    retell = Retell()
    pieces: list[ChatEvent] = [
        Started(id="1"),
        *(ThinkingDelta(piece) for piece in crumbs(text, size)),
        ThinkingSigned(signature="s"),
        *(TextDelta(piece) for piece in crumbs(text, size)),
        ToolStarted(0, "c", "f"),
        *(ToolDelta(0, piece) for piece in crumbs('{"a": "[PRIVATE_KEY_1]"}', size)),
        Finished("tool_calls"), UsageReported(Usage()), Done(),
    ]  # fmt: skip
    told = collect(retell(pieces))
    thinking, said, tool = told.parts
    assert thinking.text == said.text == retell.placeholders.restore(text)  # type: ignore[union-attr]
    assert json.loads(tool.arguments) == {"a": KEY}  # type: ignore[union-attr]
    assert told.stop_reason == "tool_calls"


def test_what_is_held_comes_before_what_ends_it(retelling: Retell) -> None:
    told = retelling([TextDelta("see [EMA"), Finished("stop")])
    assert told == [TextDelta("see "), TextDelta("[EMA"), Finished("stop")]
    told = retelling([RefusalDelta("no [EMAIL_"), TextDelta("yes")])
    assert told == [RefusalDelta("no "), RefusalDelta("[EMAIL_"), TextDelta("yes")]


def test_alternatives_and_parallel_calls_are_told_apart(retelling: Retell) -> None:
    told = retelling([
        TextDelta("[EMAIL", 0), TextDelta("[EMAIL_2", 1), TextDelta("_1]", 0), Finished("stop", choice=0),
        TextDelta("]!", 1), Finished("stop", choice=1),
        ToolStarted(0, "a", "f"), ToolStarted(1, "b", "g"), ToolDelta(0, '"[EMAIL'), ToolDelta(1, '"[EMAIL_2]"'),
        ToolDelta(0, '_1]"'), Finished("tool_calls"),
    ])  # fmt: skip
    texts = [(each.choice, each.text) for each in told if isinstance(each, TextDelta)]
    assert texts == [(0, "ann@example.org"), (1, "bob@example.org!")]
    calls = [(each.index, each.arguments) for each in told if isinstance(each, ToolDelta)]
    assert calls == [(0, '"'), (1, '"bob@example.org"'), (0, 'ann@example.org"')]


def test_blocks_and_stop_sequences_have_originals_too(retelling: Retell) -> None:
    block = OpaqueBlock("anthropic", {"type": "result", "said": "[EMAIL_1]"})
    told = retelling([block, Finished("stop_sequence", stop_sequence="[EMAIL_2]")])
    assert told == [
        OpaqueBlock("anthropic", {"type": "result", "said": "ann@example.org"}),
        Finished("stop_sequence", stop_sequence="bob@example.org"),
    ]
