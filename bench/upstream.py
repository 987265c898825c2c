"""The provider of the benchmark: prebuilt bytes, as little work per request as Python allows.

Speaks OpenAI Chat Completions and Anthropic Messages; a whole answer, or a stream of `CHUNKS` tokens that are
written one by one (each its own turn of the loop, so that they are not merged into one write).
"""

import argparse
import asyncio
import json
from typing import Any, ClassVar, cast

CHUNKS = 100
TEXT = "The answer is forty-two, which everybody could have known."
MARK = b"token-"  # occurs once in each token of a stream, and nowhere else
INPUT_TOKENS, OUTPUT_TOKENS = 12, 13
ANTHROPIC_MODEL, OPENAI_MODEL = "claude-sonnet-4-5", "gpt-4"


def _unary(body: dict[str, Any]) -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def _sse(event: str, data: dict[str, Any] | str) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    block = (f"event: {event}\n" if event else "") + f"data: {text}\n\n"
    return f"{len(block):x}\r\n{block}\r\n".encode()


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _openai_unary() -> bytes:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    return _unary(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_800_000_000,
            "model": OPENAI_MODEL,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": _openai_usage(OUTPUT_TOKENS),
        }
    )


def _openai_usage(output: int) -> dict[str, int]:
    return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": output, "total_tokens": INPUT_TOKENS + output}


def _openai_stream(usage: bool) -> list[bytes]:
    def chunk(choices: list[Any], **more: Any) -> bytes:
        head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_800_000_000}
        return _sse("", {**head, "model": OPENAI_MODEL, "choices": choices, **more})

    def delta(body: dict[str, Any], finish: str | None = None) -> bytes:
        return chunk([{"index": 0, "delta": body, "logprobs": None, "finish_reason": finish}])

    blocks = [delta({"role": "assistant", "content": ""})]
    blocks += [delta({"content": f"{MARK.decode()}{number} "}) for number in range(CHUNKS)]
    blocks.append(delta({}, "stop"))
    if usage:
        blocks.append(chunk([], usage=_openai_usage(CHUNKS)))
    return [STREAM_HEAD + blocks[0], *blocks[1:], _sse("", "[DONE]") + b"0\r\n\r\n"]


def _anthropic_message(content: list[Any], stop: str | None, output: int) -> dict[str, Any]:
    return {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": ANTHROPIC_MODEL,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": output},
    }


def _anthropic_stream() -> list[bytes]:
    def block(kind: str, **body: Any) -> bytes:
        return _sse(kind, {"type": kind, **body})

    blocks = [
        block("message_start", message=_anthropic_message([], None, 1)),
        block("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ]
    for number in range(CHUNKS):
        delta = {"type": "text_delta", "text": f"{MARK.decode()}{number} "}
        blocks.append(block("content_block_delta", index=0, delta=delta))
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    blocks += [
        block("content_block_stop", index=0),
        block("message_delta", delta=ending, usage={"output_tokens": CHUNKS}),
        block("message_stop") + b"0\r\n\r\n",
    ]
    return [STREAM_HEAD + blocks[0], *blocks[1:]]


OPENAI_UNARY, OPENAI_STREAM = _openai_unary(), _openai_stream(usage=False)
OPENAI_STREAM_USAGE = _openai_stream(usage=True)
ANTHROPIC_UNARY = _unary(_anthropic_message([{"type": "text", "text": TEXT}], "end_turn", OUTPUT_TOKENS))
ANTHROPIC_STREAM = _anthropic_stream()
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection. `served` counts the answers of the whole process, `live` are its open connections."""

    served = 0
    live: ClassVar[set[asyncio.Transport]] = set()

    def __init__(self) -> None:
        self._buffer = b""
        self._closed = False
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        Upstream.live.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        Upstream.live.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while (end := self._complete()) is not None:
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            self._answer(request)

    def _complete(self) -> int | None:
        """Where the first request in the buffer ends."""
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return None
        lower = self._buffer[:head].lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            line = lower[at + 15 : (lower.find(b"\r\n", at) + 1 or head + 1) - 1]
            end = head + 4 + int(line)
        elif b"transfer-encoding: chunked" in lower:
            last = self._buffer.find(b"0\r\n\r\n", head + 4)
            end = last + 5 if last >= 0 else len(self._buffer) + 1
        else:
            end = head + 4
        return end if end <= len(self._buffer) else None

    def _answer(self, request: bytes) -> None:
        Upstream.served += 1
        stream = b'"stream":true' in request or b'"stream": true' in request
        if b"/chat/completions " in request[:80]:
            if not stream:
                self._transport.write(OPENAI_UNARY)
            else:
                asked = b'"include_usage":true' in request or b'"include_usage": true' in request
                self._stream(OPENAI_STREAM_USAGE if asked else OPENAI_STREAM, 0)
        elif b"/messages" in request[:80]:
            if stream:
                self._stream(ANTHROPIC_STREAM, 0)
            else:
                self._transport.write(ANTHROPIC_UNARY)
        else:
            self._transport.write(NOT_FOUND)

    def _stream(self, blocks: list[bytes], at: int) -> None:
        if self._closed:
            return
        self._transport.write(blocks[at])
        if at + 1 < len(blocks):
            self._loop.call_soon(self._stream, blocks, at + 1)


async def serve(port: int) -> asyncio.Server:
    """Listen on loopback; the caller keeps the server."""
    return await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)


async def _forever(port: int) -> None:
    await (await serve(port)).serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.upstream")
    parser.add_argument("--port", type=int, default=8499)
    import uvloop

    uvloop.run(_forever(parser.parse_args().port))


if __name__ == "__main__":
    main()
