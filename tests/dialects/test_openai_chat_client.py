"""OpenAI's own client reads what we write."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import msgspec
import openai
import pytest

from chittycan.chat import (
    ChatEvent,
    ChatResponse,
    Finished,
    Started,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolDelta,
    ToolStarted,
    Usage,
    UsageReported,
)
from chittycan.dialects import openai_chat
from chittycan.errors import AllRateLimited, ChittyError, StreamBroken


@contextmanager
def client(status: int, kind: str, body: bytes) -> Iterator[openai.OpenAI]:
    """The client, in front of a server that gives one answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/v1"
            with openai.OpenAI(api_key="k", base_url=url, max_retries=0) as there:
                yield there
        finally:
            server.shutdown()
            thread.join()


def ask(status: int, body: Any) -> Any:
    with client(status, "application/json", msgspec.json.encode(body)) as there:
        return there.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


def stream(*events: ChatEvent, error: ChittyError | None = None) -> Any:
    builder = openai_chat.stream_builder("chatcmpl-1", "m", 1, True)
    body = b"".join(builder.build(event) for event in events) + (builder.fail(error) if error else builder.end())
    with (
        client(200, "text/event-stream", body) as there,
        there.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}]) as opened,
    ):
        return opened.get_final_completion()


def test_an_answer() -> None:
    response = ChatResponse("r", "m", [Text("hi"), ToolCall("a", "f")], "tool_calls", Usage(5, 2, cached=3))
    read = ask(200, openai_chat.build_response(response))
    assert read.choices[0].message.content == "hi"
    assert read.choices[0].message.tool_calls[0].function.arguments == "{}"
    assert read.usage.prompt_tokens_details.cached_tokens == 3


def test_a_stream() -> None:
    events = (
        Started("up", "provider-model", 5),
        ThinkingDelta("hm"),
        TextDelta("h"),
        TextDelta("i"),
        ToolStarted(0, "a", "f"),
        ToolStarted(1, "b", "g"),
        ToolDelta(1, '{"x":1}'),
        Finished("tool_calls"),
        UsageReported(Usage(5, 2)),
    )
    read = stream(*events)
    message = read.choices[0].message
    assert (read.model, message.content, read.usage.total_tokens) == ("provider-model", "hi", 7)
    assert [(call.id, call.function.arguments) for call in message.tool_calls] == [("a", "{}"), ("b", '{"x":1}')]


def test_a_broken_stream_raises() -> None:
    with pytest.raises(openai.APIError, match="cut"):
        stream(TextDelta("h"), error=StreamBroken("cut"))


def test_an_error_answer() -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        ask(429, openai_chat.build_error(AllRateLimited("slow down"), 429))
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "rate_limit_error")
