"""The stream of an answer that is complete before it is sent: an ensemble's."""

from collections.abc import AsyncGenerator, Sequence

from chittycan.chat import ChatEvent, Finished, Started, TextDelta, Usage, UsageReported
from chittycan.dialects import load
from chittycan.gateway.call import Answer, Call
from chittycan.gateway.open_stream import OpenStream, wants_usage


class ToldStream(OpenStream):
    """An answer that is complete before it is sent, as a stream in the client's dialect."""

    def __init__(self, call: Call, answer: Answer) -> None:
        super().__init__(None, None, None, None, answer.trace)
        response = answer.response
        self._told: list[ChatEvent] = [
            Started(model=response.model, created=response.created, usage=response.usage),
            TextDelta(response.text),
            Finished(response.stop_reason or "stop"),
            UsageReported(response.usage or Usage()),
        ]
        self.body = _written(call, self._told) if call.surface is not None else b""

    async def chunks(self) -> AsyncGenerator[bytes]:
        yield self.body

    async def events(self) -> AsyncGenerator[ChatEvent]:
        for event in self._told:
            yield event

    def close(self) -> None:
        """Everything was recorded before it was told."""


def _written(call: Call, events: Sequence[ChatEvent]) -> bytes:
    builder = load(call.surface or "openai").stream_builder(
        call.request_id, call.model, int(call.at), wants_usage(call), call.chat
    )
    return b"".join([*(builder.build(event) for event in events), builder.end()])
