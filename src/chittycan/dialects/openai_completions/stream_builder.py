"""Streams. Source: OpenAI API reference, "Create completion" (legacy), streaming: chunks are text completions."""

import msgspec

from chittycan.chat import ChatEvent, ChatRequest, Finished, Started, TextDelta, UsageReported
from chittycan.dialects import sse
from chittycan.dialects.openai_chat.response import finish_reason
from chittycan.dialects.openai_chat.stream_builder import ChunkStream
from chittycan.dialects.openai_completions.request import echo_of


class StreamBuilder(ChunkStream):
    """Writes one stream of text; reasoning and tool calls have no place in this dialect and are left out."""

    kind = "text_completion"

    def __init__(self, request_id: str, model: str, created: int, include_usage: bool, echo: str) -> None:
        super().__init__(request_id, model, created, include_usage)
        self._echo = echo
        self._echoed: set[int] = set()

    def build(self, event: ChatEvent) -> bytes:
        match event:
            case TextDelta():
                return self._echo_first(event.choice) + self._chunk(event.text, event.choice, None)
            case Finished():
                echo = self._echo_first(event.choice)
                return echo + self._chunk("", event.choice, finish_reason(event.reason, False))
            case Started():
                self._model = event.model or self._model
                if not self._echoed:
                    request_id, _, created = self._given
                    self._id, self._created = event.id or request_id, event.created or created
            case UsageReported():
                self._usage = event.usage
            case _:
                pass
        return b""

    def _echo_first(self, choice: int) -> bytes:
        if choice in self._echoed:
            return b""
        self._echoed.add(choice)
        return self._chunk(self._echo, choice, None) if self._echo else b""

    def _chunk(self, text: str, choice: int, reason: str | None) -> bytes:
        body = self._envelope([{"text": text, "index": choice, "logprobs": None, "finish_reason": reason}])
        if self._include_usage:
            body["usage"] = None
        return sse.encode(msgspec.json.encode(body))


def stream_builder(
    request_id: str, model: str, created: int, include_usage: bool, request: ChatRequest | None = None
) -> StreamBuilder:
    return StreamBuilder(request_id, model, created, include_usage, echo_of(request) if request is not None else "")
