"""Redaction of one call: what is private in it goes outside as placeholders, and the client gets the originals back.

Everything between those two places (models, fallbacks, ensembles, recovery, records) knows the placeholders alone.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from chittycan.chat import (
    ChatEvent,
    Finished,
    OpaqueBlock,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)
from chittycan.dialects.wire import splice
from chittycan.gateway.call import Answer, Call, Trace
from chittycan.gateway.ensemble import EnsembleAnswer
from chittycan.gateway.texts import as_json, changed, texts, unreadable
from chittycan.routing.privacy.finding import Finding
from chittycan.routing.privacy.placeholders import Placeholders, Restored, looks_like_json

MOST_ROUNDS = 4  # of looking through a text: what overlapped something hidden is found in the next one

A = TypeVar("A", bound=Answer)
Find = Callable[[str], Sequence[Finding]]


def said(call: Call) -> tuple[Any, ...]:
    """All that the call says to a model. What its session adds may be in the neutral form alone."""
    if call.surface is None:
        return (call.parsed,)
    own = {name: each for name, each in call.fields.items() if name != "chitty"}
    return (own, call.parsed) if call.parsed is not None and call.options.session is not None else (own,)


def redacted(call: Call, find: Find) -> Call | None:
    """The call with placeholders for all that `find` finds; None where something private cannot be taken out of it.

    Its answer is not cached: what was kept would belong to other originals.
    """
    whole = said(call)
    if any(map(unreadable, whole)):
        return None
    placeholders = Placeholders(text for value in whole for text in texts(value))
    hide = partial(_hidden, find=find, placeholders=placeholders)
    changes = {}
    for name, value in call.fields.items() if call.surface is not None else ():
        if name not in ("chitty", "model"):
            new = changed({name: value}, hide)[name]
            if new != value:
                changes[name] = new
    hidden = replace(
        call, fields={**call.fields, **changes}, body=splice(call.body, call.fields, changes) if changes else call.body,
        parsed=None if call.parsed is None else changed(call.parsed, hide), placeholders=placeholders, detected=False,
        options=replace(call.options, cache=False), answered=_answered(call, placeholders),
    )  # fmt: skip
    if any(find(text) for value in said(hidden) for text in texts(value)):
        return None
    return hidden


def _hidden(text: str, _is_json: bool, *, find: Find, placeholders: Placeholders) -> str:
    for attempt in range(MOST_ROUNDS):
        found = find(text)
        if not found:
            break
        inner = as_json(text) if attempt == 0 else None
        if inner is not None:  # what is written with escapes is put back as what it says
            new = changed(inner, partial(_hidden, find=find, placeholders=placeholders), own=True)
            if new != inner:
                text = msgspec.json.encode(new).decode()
                continue
        text = placeholders.hide(text, found)
    return text


def _answered(call: Call, placeholders: Placeholders) -> Callable[[str, Trace], None] | None:
    given = call.answered
    if given is None:
        return None
    return lambda text, trace: given(placeholders.restore(text, as_json=looks_like_json(text)), trace)


# whole answers


def told_body(call: Call, body: bytes) -> bytes:
    """A whole answer in the client's dialect, with the originals."""
    if call.placeholders is None or call.operation != "chat":
        return body
    return msgspec.json.encode(_restored(msgspec.json.decode(body), call.placeholders, wants_json(call)))


def told(call: Call, answer: A) -> A:
    """A whole answer for a caller in this process, with the originals."""
    if call.placeholders is None:
        return answer
    restore = partial(_restored, placeholders=call.placeholders, wanted=wants_json(call))
    answer = replace(answer, response=restore(answer.response))
    return replace(answer, verdict=restore(answer.verdict)) if isinstance(answer, EnsembleAnswer) else answer


def wants_json(call: Call) -> bool:
    """Whether the answer's text is to be JSON."""
    wanted = call.chat.response_format
    return wanted is not None and wanted.kind != "text"


def _restored(value: Any, placeholders: Placeholders, wanted: bool, key: str = "") -> Any:
    """All of it, keys too: where a placeholder stands, a model wrote it."""
    again = partial(_restored, placeholders=placeholders, wanted=wanted)
    if isinstance(value, str):
        is_json = key == "arguments" or ((wanted or looks_like_json(value)) and as_json(value) is not None)
        return placeholders.restore(value, as_json=is_json)
    if isinstance(value, dict):
        return {placeholders.restore(name): again(each, key=name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(again(each) for each in value)
    if isinstance(value, msgspec.Struct):
        fields = value.__struct_fields__
        return replace(value, **{name: again(getattr(value, name), key=name) for name in fields})
    return value


# streams

Channel = tuple[str, int]


class Retelling:
    """The events of one stream with the originals. Each running text waits where it may be within a placeholder."""

    def __init__(self, call: Call, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._as_json = True if wants_json(call) else None
        self._running: dict[Channel, Restored] = {}

    def events(self, given: Sequence[ChatEvent]) -> list[ChatEvent]:
        return [each for event in given for each in self._retold(event)]

    def close(self) -> list[ChatEvent]:
        """What was still held back."""
        return list(self._ended(lambda _: True))

    def _retold(self, event: ChatEvent) -> Iterator[ChatEvent]:
        match event:
            case TextDelta():
                yield from self._ended(lambda channel: channel[0] in ("refusal", "thinking"))
                yield from self._piece(("text", event.choice), event.text)
            case RefusalDelta():
                yield from self._piece(("refusal", 0), event.text)
            case ThinkingDelta():
                yield from self._ended(lambda channel: channel == ("text", 0))
                yield from self._piece(("thinking", 0), event.text)
            case ToolDelta():
                yield from self._piece(("tool", event.index), event.arguments)
            case ToolStarted():
                yield from self._ended(lambda channel: channel[0] != "tool")
                yield event
            case Finished():
                choice = event.choice
                yield from self._ended(lambda channel: channel[0] != "text" or channel[1] == choice)
                stop = event.stop_sequence
                yield replace(event, stop_sequence=stop and self._placeholders.restore(stop))
            case OpaqueBlock():
                yield from self.close()
                yield replace(event, block=_restored(event.block, self._placeholders, wanted=False))
            case ThinkingSigned():
                yield from self._ended(lambda channel: channel[0] != "tool")
                yield event
            case _:
                yield event

    def _piece(self, channel: Channel, text: str) -> Iterator[ChatEvent]:
        running = self._running.get(channel)
        if running is None:
            is_json = {"text": self._as_json, "tool": True}.get(channel[0], False)
            running = self._running[channel] = Restored(self._placeholders, as_json=is_json)
        restored = running.feed(text)
        if restored or not text:
            yield _delta(channel, restored)

    def _ended(self, which: Callable[[Channel], bool]) -> Iterator[ChatEvent]:
        for channel in [each for each in self._running if which(each)]:
            left = self._running[channel].close()
            if left:
                yield _delta(channel, left)


def _delta(channel: Channel, text: str) -> ChatEvent:
    kind, number = channel
    match kind:
        case "text":
            return TextDelta(text, number)
        case "refusal":
            return RefusalDelta(text)
        case "thinking":
            return ThinkingDelta(text)
        case _:
            return ToolDelta(number, text)
