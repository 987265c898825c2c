"""The stream of `streamGenerateContent?alt=sse`.

Every event is a whole answer with the next piece of the content. There is no end marker: the event with the finish
reason is the last, so it is answered with everything that ends a stream at once.
"""

import msgspec

from chittycan.chat import (
    ChatEvent,
    Done,
    Finished,
    Malformed,
    OpaqueBlock,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
    UsageReported,
)
from chittycan.dialects.extras import signature_extra
from chittycan.dialects.gemini.errors import failed_from
from chittycan.dialects.gemini.response import (
    ANSWER,
    PART,
    Answer,
    Candidate,
    FunctionCall,
    WirePart,
    arguments,
    call_id,
    first,
    stop_reason,
)
from chittycan.dialects.gemini.signatures import CALL, NAME, TEXT

_LIST = msgspec.json.Decoder(list[Answer])


class StreamParser:
    """One upstream stream into neutral events."""

    def __init__(self) -> None:
        self._started = False
        self._response_id: str | None = None
        self._calls = 0

    def plain(self, block: bytes) -> str | None:
        """See `dialects.StreamParser`: here events are read one by one."""
        return None

    def feed(self, event: str, data: str) -> list[ChatEvent]:
        try:
            answers = _LIST.decode(data) if data.startswith("[") and data != "[DONE]" else [ANSWER.decode(data)]
            return [each for answer in answers for each in self._answer(answer)]
        except (msgspec.DecodeError, ValueError, RecursionError):
            return [] if data == "[DONE]" else [Malformed("not a GenerateContentResponse")]

    def _answer(self, answer: Answer) -> list[ChatEvent]:
        if answer.error is not None:
            failed = failed_from(answer.error)
            failed.message = failed.message or "The provider reported an error in the stream."
            return [failed]
        events: list[ChatEvent] = []
        usage = answer.usage_metadata.neutral() if answer.usage_metadata else None
        if not self._started:
            self._started = True
            self._response_id = answer.response_id
            events.append(Started(answer.response_id, answer.model_version, usage=usage))
        candidate = first(answer.candidates)
        if candidate is not None and candidate.content is not None:
            for raw in candidate.content.parts or ():
                self._part(raw, events)
        if usage is not None:
            events.append(UsageReported(usage))
        reason = self._reason(answer, candidate)
        return [*events, Finished(reason), Done()] if reason else events

    def _reason(self, answer: Answer, candidate: Candidate | None) -> str | None:
        if candidate is None:
            blocked = answer.prompt_feedback is not None and answer.prompt_feedback.block_reason
            return "content_filter" if blocked else None
        return stop_reason(candidate.finish_reason, self._calls > 0)

    def _part(self, raw: msgspec.Raw, events: list[ChatEvent]) -> None:
        read = PART.decode(raw)
        if read.function_call is not None:
            self._call(read, read.function_call, events)
        elif read.text is None:
            events.append(OpaqueBlock(NAME, msgspec.json.decode(raw)))
        elif read.thought:
            if read.text:
                events.append(ThinkingDelta(read.text))
        else:
            if read.text:
                events.append(TextDelta(read.text))
            if read.thought_signature:
                events.append(ThinkingSigned(TEXT + read.thought_signature, signer=NAME))

    def _call(self, read: WirePart, call: FunctionCall, events: list[ChatEvent]) -> None:
        signature = read.thought_signature
        if signature:
            events.append(ThinkingSigned(CALL + signature, signer=NAME))
        number, self._calls = self._calls, self._calls + 1
        events.append(
            ToolStarted(number, call_id(call, self._response_id, number), call.name, signature_extra(signature))
        )
        events.append(ToolDelta(number, arguments(call)))


def stream_parser() -> StreamParser:
    return StreamParser()
