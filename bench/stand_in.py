"""A model on a loopback port whose answers are a function: OpenAI Chat Completions, not streamed, nothing else.

async with StandIn(lambda model, prompt: {"category": "spam"}) as model:
    ...                  # POST model.url + "/v1/chat/completions"
    model.asked          # [("sorts", "{…the mail…}"), …] in the order of arrival
    model.told           # {("sorts", "[…]"), …}: what stood before that, as JSON
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

Answering = Callable[[str, str], Mapping[str, Any]]  # the model's name and the last message of the user → its answer


class Asked(NamedTuple):
    """One request: the last message of the user, and as JSON those before it."""

    model: str
    prompt: str
    before: str


class StandIn:
    """`wait` (seconds) is how long it thinks."""

    def __init__(self, answer: Answering, *, wait: float = 0.0) -> None:
        self._answer, self._wait = answer, wait
        self.asked: list[Asked] = []
        self.url = ""
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for each in self._clients:
            each.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
                writer.write(await self._respond(await reader.readexactly(size)))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._clients.discard(writer)

    async def _respond(self, body: bytes) -> bytes:
        if not body:
            return _answer(404, {"error": {"message": "no such page"}})
        asked = json.loads(body)
        model, said = str(asked["model"]), asked["messages"][-1]["content"]
        prompt = said if isinstance(said, str) else "".join(part.get("text", "") for part in said)
        self.asked.append(Asked(model, prompt, json.dumps(asked["messages"][:-1])))
        await asyncio.sleep(self._wait)
        message = {"role": "assistant", "content": json.dumps(self._answer(model, prompt))}
        used = {"prompt_tokens": 200, "completion_tokens": 50, "total_tokens": 250}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {"id": f"c{len(self.asked)}", "object": "chat.completion", "created": 1, "model": model}
        return _answer(200, whole | {"choices": [choice], "usage": used})


def _answer(status: int, body: Mapping[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    reason = "OK" if status == 200 else "Not Found"
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content
