"""What strangers send: to a server without keys from web pages, to one with keys without them, and to both nonsense."""

import asyncio
import json

import pytest

from bare_http import Json
from chittycan.api import http
from chittycan.testing.upstream import ScriptedUpstream
from serving import SURFACES, Serve, Served, proxy

HELLO = [{"role": "user", "content": "Hello"}]
BODY: Json = {"model": "first/ok", "messages": HELLO}
PATHS = {"openai": "/v1/chat/completions", "openai_responses": "/v1/responses", "anthropic": "/v1/messages"}
DATA = json.dumps(BODY).encode()
LENGTH = f"Content-Length: {len(DATA)}\r\n".encode()
SQL = [
    "' OR '1'='1",
    "'; DROP TABLE keys; --",
    "sk-chitty-' UNION SELECT * FROM keys --",
    '" OR ""="',
    "%27%20OR%201=1",
]


@pytest.fixture
async def served(up: ScriptedUpstream, serve: Serve) -> Served:
    return await serve({"first": proxy(up.url, "openai")})


async def raw(served: Served, *pieces: bytes) -> bytes:
    """What comes back for these bytes until the server closes."""
    wire = await served.connect()
    for piece in pieces:
        wire.writer.write(piece)
    async with asyncio.timeout(10):
        answer = await wire.reader.read()
    wire.close()
    return answer


def post(*headers: bytes, target: bytes = b"/v1/chat/completions", host: bytes = b"Host: 127.0.0.1\r\n") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST " + target + b" HTTP/1.1\r\n" + host + lines + b"Content-Type: application/json\r\n"


# Who may come in


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8787", "127.0.0.1:1", "[::1]:8787"])
async def test_this_machines_names_are_answered(served: Served, host: str) -> None:
    assert (await served.fetch("POST", PATHS["openai"], BODY, {"host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8787", "evil.example:8787",
        "x/#@127.0.0.1", "localhost@evil.example", "localhost/evil.example", "127.0.0.1#.evil.example",
        "evil.example\\@localhost", "localhost,evil.example", "localhost evil.example", "0.0.0.0", "",
        "[::1].evil.example",
    ],
)  # fmt: skip
async def test_case_48_foreign_and_forged_hosts_are_not(up: ScriptedUpstream, served: Served, host: str) -> None:
    got = await served.fetch("POST", PATHS["openai"], BODY, {"host": host})
    assert got.status in (400, 403)
    assert not up.requests


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1.evil.example", 403), ("file://", 403),
        ("http://localhost:3000", 200), ("http://127.0.0.1:8787", 200),
    ],
)  # fmt: skip
async def test_pages_of_other_sites_may_not_use_a_server_without_keys(
    up: ScriptedUpstream, served: Served, origin: str, status: int
) -> None:
    for surface in SURFACES:
        body = {"model": "first/ok", "input": "Hello"} if surface == "openai_responses" else BODY | {"max_tokens": 9}
        assert (await served.fetch("POST", PATHS[surface], body, {"origin": origin})).status == status
    assert bool(up.requests) == (status == 200)
    preflight = await served.fetch("OPTIONS", PATHS["openai"], None, {"origin": origin})
    assert "access-control-allow-origin" not in preflight.headers
    control = await served.fetch("GET", "/api/v1/models", None, {"origin": origin})
    assert (control.status == 403) == (status == 403)


async def test_a_key_opens_from_any_host_and_page(served: Served) -> None:
    headers = {
        "authorization": f"Bearer {await served.key()}",
        "host": "gateway.example",
        "origin": "https://app.example",
    }
    assert (await served.fetch("POST", PATHS["openai"], BODY, headers)).status == 200
    for surface in SURFACES:
        got = await served.fetch("POST", PATHS[surface], BODY)
        assert got.status == 401
        assert "chitty" in got.json["error"]["message"].lower() or "key" in got.json["error"]["message"]


@pytest.mark.parametrize(
    "bearer", [*SQL, "\xff\xfe", "sk-chitty-" + "a" * 40, "sk-chitty-" + "a" * 30_000, "%00", "null"]
)
async def test_case_48_no_forged_bearer_opens(up: ScriptedUpstream, served: Served, bearer: str) -> None:
    secret = await served.key()
    for header in ({"authorization": f"Bearer {bearer}"}, {"x-api-key": bearer}, {"authorization": bearer}):
        assert (await served.fetch("POST", PATHS["openai"], BODY, header)).status == 401
        assert (await served.fetch("GET", "/v1/models", None, header)).status == 401
        assert (await served.fetch("GET", "/api/v1/keys", None, header)).status == 401
    assert not up.requests
    assert [key.name for key in await served.network.keys.list()] == ["test"]
    assert (await served.fetch("POST", PATHS["openai"], BODY, {"authorization": f"bearer {secret}"})).status == 200


@pytest.mark.parametrize(
    "target",
    [
        b"//v1/chat/completions", b"/v1//chat/completions", b"/v1/%63hat/completions", b"/v1/chat%2fcompletions",
        b"/v1/../v1/chat/completions", b"/health/../v1/chat/completions", b"http://localhost/v1/chat/completions",
        b"/v1/chat/completions/", b"/v1/chat/completions;x", b"/V1/CHAT/COMPLETIONS", b"/v1/chat/completions%00",
    ],
)  # fmt: skip
async def test_case_48_no_spelling_of_a_path_gets_around_the_key(
    up: ScriptedUpstream, served: Served, target: bytes
) -> None:
    await served.key()
    answer = await raw(served, post(LENGTH[:-2], b"Connection: close", target=target) + b"\r\n" + DATA)
    assert int(answer.split(b" ")[1]) in (400, 401, 404)
    assert not up.requests


async def test_the_owners_credential_is_for_its_owner_alone(served: Served) -> None:
    (file,) = served.network.data.rglob("admin.key")
    assert file.stat().st_mode & 0o077 == 0


# What may come in


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "first/ok", "temperature": NaN}',
        b'{"model": "first/ok", "temperature": -Infinity}',
        b'{"model": "first/ok", "temperature": 1e999}',
        b'{"model": "first/ok", "model": "first/other"}',
        b'{"model": "first/ok", "x": {"a": 1, "a": 2}}',
        b'{"model": "first/ok", "x": "\\ud83d"}',
        b'{"model": "first/ok", "x": "\xff\xfe"}',
        b'{"model": "first/ok", "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"model": "first/ok", "x": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
        b'{"model": "first/ok"',
        b'{"model": "first/ok"} {}',
        b"[]",
        b"null",
        b"",
        b'\xef\xbb\xbf{"model": 5}',
        b'{"model": ""}',
        b'{"model": "first/ok", "stream": "yes"}',
        b'{"model": "first/ok", "messages": "Hello", "input": 5}',
        b'{"model": "first/ok", "messages": [5], "input": [5]}',
    ],
    ids=[
        "NaN", "Infinity", "beyond all bounds", "two models", "a key twice", "half a character", "not UTF-8",
        "10k lists", "10k objects", "broken", "two values", "a list", "null", "nothing", "a number as model",
        "no model", "stream in words", "no messages", "numbers as messages",
    ],
)  # fmt: skip
async def test_case_47_nonsense_is_told_in_the_callers_dialect(
    up: ScriptedUpstream, served: Served, surface: str, body: bytes
) -> None:
    got = await served.fetch("POST", PATHS[surface], body)
    if surface == "openai" and body.startswith(b'{"model": "first/ok", "messages"'):
        return  # passes through byte for byte: its own provider judges it
    assert got.status == 400
    error = got.json["error"]
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert (got.json.get("type") == "error") == (surface == "anthropic")
    assert not up.requests


async def test_case_47_a_picture_of_50_mb_arrives_whole(up: ScriptedUpstream, serve: Serve) -> None:
    served = await serve({"first": proxy(up.url, "openai", timeouts={})})
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBOR" * 10_000_000}}
    body = {"model": "first/ok", "messages": [{"role": "user", "content": [image]}]}
    data = json.dumps(body).encode()
    got = await served.fetch("POST", PATHS["openai"], data)
    assert got.status == 200
    assert len(up.requests[0].body) > 50_000_000


async def test_too_much_is_refused_before_it_is_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await raw(served, post(b"Content-Length: 200000000") + b"\r\n" + b"{")
    assert answer.startswith(b"HTTP/1.1 413 ")
    monkeypatch.setattr(http, "BODY_BYTES", 1000)
    answer = await raw(served, post(b"Transfer-Encoding: chunked") + b"\r\n" + (b"200\r\n" + b"x" * 512 + b"\r\n") * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_too_many_or_too_large_headers(served: Served) -> None:
    many = [b"X-%d: 1" % number for number in range(200)]
    assert (await raw(served, post(*many) + b"\r\n")).startswith(b"HTTP/1.1 431 ")
    assert (await raw(served, post(b"X: " + b"a" * 300_000) + b"\r\n")).startswith(b"HTTP/1.1 431 ")
    assert (await raw(served, post(target=b"/" + b"a" * 300_000) + b"\r\n")).startswith(b"HTTP/1.1 431 ")
    endless = b"POST /v1/chat/completions HTTP/1.1\r\nX: " + b"a" * 70_000
    assert (await raw(served, endless)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        post(b"Content-Length: 100") + b"\r\n{",
        b"",
    ],
    ids=["in its headers", "in its body", "before it begins"],
)
async def test_a_request_that_never_ends_is_ended(
    up: ScriptedUpstream, serve: Serve, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.02)
    served = await serve({"first": proxy(up.url, "openai")})
    wire = await served.connect()
    wire.writer.write(sent)
    async with asyncio.timeout(5):
        answer = await wire.reader.read()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
    wire.close()
    assert (await served.chat("first/ok")).status == 200


async def test_a_compressed_body_is_refused_clearly(served: Served) -> None:
    got = await served.fetch("POST", PATHS["openai"], b"\x1f\x8b", {"content-encoding": "gzip"})
    assert got.status == 400
    assert got.json["error"]["param"] == "Content-Encoding"


# HTTP


@pytest.mark.parametrize(
    "request_head",
    [
        post(b"Host: evil.example", LENGTH[:-2]),
        post(LENGTH[:-2], b"Transfer-Encoding: chunked"),
        post(b"Transfer-Encoding: chunked", LENGTH[:-2]),
        post(LENGTH[:-2], b"Content-Length: 5"),
        post(b"Content-Length: +7"),
        post(b"Content-Length: 0x10"),
        post(b"Transfer-Encoding: chunked, identity"),
        post(b"Transfer-Encoding: xchunked"),
        post(b"Transfer-Encoding : chunked"),
        post(LENGTH[:-2], b"X: a\x00b"),
        post(LENGTH[:-2], b"X: a\r b"),
        b"POST /v1/chat/completions HTTP/1.1\r\n" + LENGTH,
        b"POST /v1/chat/completions HTTP/9.9\r\nHost: 127.0.0.1\r\n" + LENGTH,
        b"PRI * HTTP/2.0\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=[
        "two hosts", "length and chunks", "chunks and length", "two lengths", "signed length", "hex length",
        "chunks not last", "unknown coding", "space before colon", "NUL", "bare CR", "no host", "HTTP/9.9", "HTTP/2",
        "TLS",
    ],
)  # fmt: skip
async def test_a_request_that_can_be_read_in_two_ways_is_read_in_none(
    up: ScriptedUpstream, served: Served, request_head: bytes
) -> None:
    smuggled = post(LENGTH[:-2], b"Connection: close") + b"\r\n" + DATA
    answer = await raw(served, request_head + b"\r\n" + b"0\r\n\r\n" + smuggled)
    assert b"HTTP/1.1 200" not in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert int(answer.split(b" ")[1]) in (400, 501, 505)
    assert not up.requests


async def test_requests_in_a_row_are_answered_in_order(up: ScriptedUpstream, served: Served) -> None:
    up.script("slow", ["slow"])
    names = ["slow", *["ok"] * 20]
    bodies = [json.dumps({"model": f"first/{name}", "messages": HELLO}).encode() for name in names]
    wire = await served.connect()
    wire.writer.write(b"".join(post(b"Content-Length: %d" % len(body)) + b"\r\n" + body for body in bodies))
    for name in names:
        got = await wire.read()
        assert got.json["model"] == name
    wire.close()


async def test_a_client_that_offers_another_protocol_gets_this_one(served: Served) -> None:
    """Java's client offers HTTP/2 with its first request; who cannot speak it answers as if it had not been asked."""
    wire = await served.connect()
    offer = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__", LENGTH[:-2]]
    for _ in range(2):
        wire.writer.write(post(*offer) + b"\r\n" + DATA)
        assert (await wire.read()).status == 200
    wire.close()


async def test_web_sockets_and_tunnels_are_not_opened(up: ScriptedUpstream, served: Served) -> None:
    upgrade = b"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    wire = await served.connect()
    wire.writer.write(upgrade)
    assert (await wire.read()).status == 404
    wire.close()
    connect = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % int(up.url.rpartition(":")[2])
    assert (await raw(served, connect)).startswith(b"HTTP/1.1 400 ")
    assert up.connections == 0


async def test_old_and_careful_clients(served: Served) -> None:
    old = await raw(served, b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\n" + LENGTH + b"\r\n" + DATA)
    assert old.startswith(b"HTTP/1.1 200 ")
    wire = await served.connect()
    wire.writer.write(post(b"Expect: 100-continue", LENGTH[:-2]) + b"\r\n")
    assert (await wire.head()).status == 100
    wire.writer.write(DATA)
    assert (await wire.read()).status == 200
    half = len(DATA) // 2
    wire.writer.write(post(b"Transfer-Encoding: chunked") + b"\r\n")
    wire.writer.write(b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (half, DATA[:half], len(DATA) - half, DATA[half:]))
    assert (await wire.read()).status == 200
    wire.close()
    stream = json.dumps(BODY | {"stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(stream)
    answer = await raw(served, head + stream)
    assert b"transfer-encoding" not in answer.lower()
    assert answer.endswith(b"data: [DONE]\n\n")
