"""Legacy completions, served through chat."""

import json

import pytest

from chittycan.chat import ChatEvent, ChatResponse, Finished, Started, Text, TextDelta, Usage, UsageReported
from chittycan.dialects import openai_completions
from chittycan.dialects.sse import Splitter
from chittycan.errors import AllFailed


def test_echo_puts_the_prompt_before_every_choice() -> None:
    chat = openai_completions.parse_request({"model": "m", "prompt": "Once", "echo": True})
    other = {"message": {"content": " more"}, "finish_reason": "length"}
    response = ChatResponse("r", "m", [Text(" upon")], "stop", extra={"openai": {"choices": [other]}})
    built = openai_completions.build_response(response, chat)
    assert [choice["text"] for choice in built["choices"]] == ["Once upon", "Once more"]


def test_echo_is_streamed_once_for_each_choice() -> None:
    chat = openai_completions.parse_request({"model": "m", "prompt": "P", "echo": True})
    builder = openai_completions.stream_builder("r", "m", 1, True, chat)
    events: list[ChatEvent] = [Started("i", "mm", 2), TextDelta("a"), TextDelta("b", choice=1), TextDelta("c")]
    events += [Finished("stop"), UsageReported(Usage(1, 1))]
    stream = b"".join(builder.build(event) for event in events) + builder.end()
    *chunks, usage, done = (event.data for event in Splitter().feed(stream))
    choices = [json.loads(chunk)["choices"][0] for chunk in chunks]
    assert [(c["index"], c["text"]) for c in choices] == [(0, "P"), (0, "a"), (1, "P"), (1, "b"), (0, "c"), (0, "")]
    assert json.loads(usage)["choices"] == []
    assert done == "[DONE]"


def test_without_echo_nothing_is_put_before() -> None:
    chat = openai_completions.parse_request({"model": "m", "prompt": "Once"})
    built = openai_completions.build_response(ChatResponse("r", "m", [Text(" upon")], "stop"), chat)
    assert built["choices"][0]["text"] == " upon"


def test_several_prompts_are_taken_apart_and_joined_in_order() -> None:
    bodies = openai_completions.split({"model": "m", "prompt": ["a", "b"], "n": 2})
    assert [(body["prompt"], body["n"]) for body in bodies] == [("a", 2), ("b", 2)]
    answers = [
        openai_completions.build_response(ChatResponse(text, "m", [Text(text)], "stop", Usage(2, 1, cached=1)))
        for text in "xy"
    ]
    joined = openai_completions.join(answers)
    assert [(choice["index"], choice["text"]) for choice in joined["choices"]] == [(0, "x"), (1, "y")]
    assert joined["usage"]["total_tokens"] == 6
    assert joined["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}


@pytest.mark.parametrize("prompt", ["a", ["a"], [1, 2]])
def test_one_prompt_is_left_as_it_is(prompt: object) -> None:
    assert openai_completions.split({"prompt": prompt}) == [{"prompt": prompt}]


def test_a_failed_stream_has_no_end_marker() -> None:
    failed = openai_completions.stream_builder("r", "m", 1, False).fail(AllFailed("no"))
    assert b"[DONE]" not in failed
    assert b'"error"' in failed
