"""Real servers on loopback, some of which are no model servers at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from chittycan.providers.discovery import Endpoint, FoundModel, discover, environment_keys

Handler = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


def listing(*rows: Mapping[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": [{"object": "model", **row} for row in rows]}


OLLAMA = {
    "/v1/models": listing(
        {"id": "llama3.2:3b", "owned_by": "library"}, {"id": "nomic-embed-text", "owned_by": "library"}
    ),
    "/api/version": {"version": "0.12.6"},
}
LMSTUDIO = {
    "/v1/models": listing({"id": "qwen3-4b", "owned_by": "organization_owner"}),
    "/api/v0/models": listing({"id": "qwen3-4b", "type": "llm", "quantization": "4bit", "max_context_length": 32768}),
}
LLAMACPP = {
    "/v1/models": listing({"id": "smol.gguf", "owned_by": "llamacpp"}),
    "/props": {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 1},
}
VLLM = {
    "/v1/models": listing({"id": "mistral-7b", "owned_by": "vllm", "max_model_len": 8192}),
    "/version": {"version": "0.11.0"},
}


def pages(table: Mapping[str, Any]) -> Handler:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        found = path in table
        body = json.dumps(table[path] if found else {"error": "not found"}).encode()
        status = "200 OK" if found else "404 Not Found"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return answer


def always(raw: bytes) -> Handler:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return answer


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await handler(head.split(b" ")[1].decode(), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def found_at(handler: Handler, expected: str = "ollama", timeout: float = 5) -> dict[str, Endpoint]:
    async with serving(handler) as port:
        found = await discover({expected: port}, timeout=timeout)
        assert all(endpoint.url == f"http://127.0.0.1:{port}/v1" for endpoint in found.values())
        return found


@pytest.mark.parametrize(
    ("table", "vendor", "models"),
    [
        (OLLAMA, "ollama", (FoundModel("llama3.2:3b"), FoundModel("nomic-embed-text", None, True))),
        (LMSTUDIO, "lmstudio", (FoundModel("qwen3-4b", 32768),)),
        (LLAMACPP, "llamacpp", (FoundModel("smol.gguf", 4096),)),
        (VLLM, "vllm", (FoundModel("mistral-7b", 8192),)),
    ],
    ids=["ollama", "lmstudio", "llamacpp", "vllm"],
)
async def test_each_server_is_known_on_its_own_port_and_on_any_other(
    table: Mapping[str, Any], vendor: str, models: tuple[FoundModel, ...]
) -> None:
    for expected in ("ollama", "lmstudio", "llamacpp", "vllm"):
        found = await found_at(pages(table), expected)
        assert list(found) == [vendor]
        assert found[vendor].models == models


async def test_all_ports_are_asked_at_once() -> None:
    async with AsyncExitStack() as stack:
        tables = {"ollama": OLLAMA, "lmstudio": LMSTUDIO, "llamacpp": LLAMACPP, "vllm": VLLM}
        ports = {name: await stack.enter_async_context(serving(pages(table))) for name, table in tables.items()}
        assert set(await discover(ports, timeout=5)) == set(tables)


async def test_ollama_without_a_model_is_still_ollama() -> None:
    table = {**OLLAMA, "/v1/models": {"object": "list", "data": None}}
    assert (await found_at(pages(table)))["ollama"].models == ()


async def test_a_chunked_answer_is_read() -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(OLLAMA[path]).encode() if path in OLLAMA else b"{}"
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (body[:5], body[5:]):
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        writer.write(b"0\r\n\r\n")

    assert list(await found_at(answer)) == ["ollama"]


HTML = b"<html>It works</html>"


@pytest.mark.parametrize(
    "handler",
    [
        pages({}),
        pages({"/v1/models": {"models": []}}),
        pages({"/v1/models": listing({"id": "x"})}),
        pages({"/v1/models": {"object": "list", "data": [{"id": 5}]}, "/api/version": {"version": "1"}}),
        pages({"/v1/models": {"object": "list", "data": "none"}, "/api/version": {"version": "1"}}),
        pages({"/api/version": {"version": "1"}}),
        always(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 21\r\n\r\n" + HTML),
        always(b"HTTP/1.1 200 OK\r\n\r\n" + HTML),
        always(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"{" * 10),
        always(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000),
        always(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        always(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"),
        always(b"SSH-2.0-OpenSSH_9.6\r\n"),
        always(b""),
    ],
    ids=[
        "404", "other-json", "unknown-server", "ids-no-text", "data-no-list", "no-model-list", "html", "html-to-eof",
        "cut", "deep-json", "upgrade", "redirect", "ssh", "closed",
    ],
)  # fmt: skip
@pytest.mark.parametrize("expected", ["ollama", "llamacpp"])
async def test_another_server_is_not_taken_for_a_model_server(handler: Handler, expected: str) -> None:
    assert await found_at(handler, expected) == {}


async def test_a_closed_port_is_nothing(free_port: int) -> None:
    assert await discover({"ollama": free_port}) == {}


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def silent(path: str, writer: asyncio.StreamWriter) -> None:
        await asyncio.get_running_loop().create_future()

    assert await found_at(silent, timeout=0.05) == {}


def test_keys_in_the_environment_are_listed_by_name_only() -> None:
    env = {"OPENAI_API_KEY": "sk-secret", "GOOGLE_API_KEY": "g", "GROQ_API_KEY": " ", "HOME": "/root"}
    found = environment_keys(env)
    assert [(key.vendor, key.variable) for key in found] == [("openai", "OPENAI_API_KEY"), ("gemini", "GOOGLE_API_KEY")]
    assert "sk-secret" not in repr(found)
