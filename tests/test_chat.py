"""The neutral shape: folding a stream into one answer, and copies."""

from chittycan.chat import (
    ChatEvent,
    ChatRequest,
    ChatResponse,
    Finished,
    Opaque,
    OpaqueBlock,
    Part,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ThinkingSigned,
    ToolCall,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
    collect,
    copy,
    user,
)


def test_pieces_of_a_kind_become_one_part_and_parts_keep_their_order() -> None:
    events: list[ChatEvent] = [
        Started("r1", "m1", 7),
        ThinkingDelta("h"),
        ThinkingDelta("m"),
        TextDelta("Hel"),
        TextDelta("lo"),
        OpaqueBlock("anthropic", {"type": "x"}),
        TextDelta("again"),
        RefusalDelta("no"),
        Finished("stop_sequence", "END"),
        UsageReported(Usage(1, 2)),
    ]
    parts: list[Part] = [
        Thinking("hm"),
        Text("Hello"),
        Opaque("anthropic", {"type": "x"}),
        Text("again"),
        Refusal("no"),
    ]
    assert collect(events) == ChatResponse("r1", "m1", parts, "stop_sequence", Usage(1, 2), "END", 7)


def test_a_signature_ends_the_thinking_that_runs_or_stands_alone() -> None:
    events: list[ChatEvent] = [
        ThinkingDelta("a"),
        ThinkingSigned("s1", signer="anthropic"),
        ThinkingDelta("b"),
        ThinkingSigned(redacted="blob", signer="anthropic"),
        ThinkingSigned("s2", signer="gemini"),
    ]
    assert collect(events).parts == [
        Thinking("a", "s1", signer="anthropic"),
        Thinking("b"),
        Thinking(redacted="blob", signer="anthropic"),
        Thinking(signature="s2", signer="gemini"),
    ]


def test_arguments_of_calls_that_come_mixed_go_to_their_own_call() -> None:
    events: list[ChatEvent] = [
        ToolStarted(0, "a", "f"),
        ToolStarted(1, "b", "g"),
        ToolDelta(1, '{"y":'),
        ToolDelta(0, '{"x":1}'),
        ToolDelta(1, "2}"),
        ToolDelta(5, "lost"),
        ToolStarted(2, "c", "h"),
    ]
    assert collect(events).parts == [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}'), ToolCall("c", "h")]


def test_only_the_first_choice_is_collected_and_no_end_is_invented() -> None:
    answer = collect([TextDelta("a"), TextDelta("other", 1), Finished("stop", choice=1)])
    assert (answer.text, answer.stop_reason) == ("a", None)


def test_a_copy_shares_nothing_with_its_original() -> None:
    request = ChatRequest("m", [user("hi")], extra={"a": {"b": 1}})
    other = copy(request)
    assert other == request
    other.messages[0].parts.clear()
    other.extra["a"]["b"] = 2
    assert request.messages[0].parts == [Text("hi")]
    assert request.extra == {"a": {"b": 1}}
