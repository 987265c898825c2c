"""The official clients, asked the same thing on every surface, with what comes over the wire kept beside it."""

import inspect
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bare_http import Json

if TYPE_CHECKING:
    import anthropic
    import openai


@dataclass
class Seen:
    """What a person's program got, whichever client library it uses. `error`: the exception that it raised."""

    text: str = ""
    finish: str | None = None
    model: str | None = None
    usage: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    raw: bytes = b""  # all that came over the wire

    @property
    def status(self) -> int | None:
        return getattr(self.error, "status_code", None)

    @property
    def detail(self) -> Json:
        """The `error` object of the body."""
        body = json.loads(self.raw)
        found: Json = body["error"]
        return found


class Clients:
    """The official clients of one server, with what comes over the wire recorded in `tape`."""

    def __init__(self, url: str, key: str = "any") -> None:
        import httpx2

        self.tape = bytearray()
        self._http = httpx2.AsyncClient(
            transport=_recording(self.tape), base_url=url, timeout=httpx2.Timeout(30.0), trust_env=False
        )
        self.url, self.key = url, key

    @property
    def gpt(self) -> "openai.AsyncOpenAI":
        import openai

        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, http_client=self._http)

    @property
    def claude(self) -> "anthropic.AsyncAnthropic":
        import anthropic

        return anthropic.AsyncAnthropic(base_url=self.url, api_key=self.key, max_retries=0, http_client=self._http)

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, surface: str, model: str, *, stream: bool, **more: Any) -> Seen:
        """One question on a surface, as its vendor's client asks it."""
        self.tape.clear()
        seen = Seen()
        ways = {"openai": self._chat, "anthropic": self._messages, "openai_responses": self._responses}
        import anthropic
        import openai

        try:
            await ways[surface](seen, model, stream, more)
        except (openai.APIError, anthropic.APIError) as error:
            seen.error = error
            response = getattr(error, "response", None)
            if response is not None and not seen.headers:
                seen.headers = response.headers
        seen.raw = bytes(self.tape)
        return seen

    async def _chat(self, seen: Seen, model: str, stream: bool, more: Json) -> None:
        create = self.gpt.chat.completions.with_raw_response.create
        asked: Json = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
        if not stream:
            whole = await create(**asked)
            seen.headers, answer = whole.headers, await _parsed(whole)
            seen.text, seen.finish = answer.choices[0].message.content or "", answer.choices[0].finish_reason
            seen.model, seen.usage = answer.model, answer.usage
            return
        raw = await create(**asked, stream=True, stream_options={"include_usage": True})
        seen.headers = raw.headers
        async for chunk in await _parsed(raw):
            seen.model, seen.usage = chunk.model, chunk.usage or seen.usage
            for choice in chunk.choices:
                seen.text += (choice.delta.content or "") if choice.delta else ""
                seen.finish = choice.finish_reason or seen.finish

    async def _messages(self, seen: Seen, model: str, stream: bool, more: Json) -> None:
        create = self.claude.messages.with_raw_response.create
        messages = [{"role": "user", "content": "Hello"}]
        asked: Json = {"model": model, "max_tokens": 1000, "messages": messages, **more}
        if not stream:
            whole = await create(**asked)
            seen.headers, answer = whole.headers, await _parsed(whole)
            seen.text = "".join(block.text for block in answer.content if block.type == "text")
            seen.finish, seen.model, seen.usage = answer.stop_reason, answer.model, answer.usage
            return
        raw = await create(**asked, stream=True)
        seen.headers = raw.headers
        async for event in await _parsed(raw):
            if event.type == "message_start":
                seen.model = event.message.model
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                seen.text += event.delta.text
            elif event.type == "message_delta":
                seen.finish, seen.usage = event.delta.stop_reason, event.usage

    async def _responses(self, seen: Seen, model: str, stream: bool, more: Json) -> None:
        create = self.gpt.responses.with_raw_response.create
        asked: Json = {"model": model, "input": "Hello", **more}
        if not stream:
            whole = await create(**asked)
            seen.headers, answer = whole.headers, await _parsed(whole)
            seen.text, seen.finish = answer.output_text, answer.status
            seen.model, seen.usage = answer.model, answer.usage
            return
        raw = await create(**asked, stream=True)
        seen.headers = raw.headers
        async for event in await _parsed(raw):
            if event.type == "response.output_text.delta":
                seen.text += event.delta
            elif event.type in ("response.completed", "response.incomplete"):
                seen.finish, seen.usage, seen.model = event.response.status, event.response.usage, event.response.model


async def _parsed(raw: Any) -> Any:
    """One vendor's client parses at once, the other's is awaited."""
    parsed = raw.parse()
    return await parsed if inspect.isawaitable(parsed) else parsed


def _recording(tape: bytearray) -> Any:
    import httpx2

    class Stream(httpx2.AsyncByteStream):
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for data in self._inner:
                tape.extend(data)
                yield data

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Recording(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            response.stream = Stream(response.stream)
            return response

    return Recording(verify=False)
