"""ScriptedUpstream does what its table says, in every dialect, seen through a bare socket."""

import asyncio
import gzip
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from chittycan.testing import ANSWER, SCENARIOS, WALL, FakeClock, Scenario
from chittycan.testing.scenarios import MULTILINGUAL, OTHER_ANSWER, table, tokens
from chittycan.testing.upstream import ScriptedUpstream

DIALECTS = ["openai", "openai_responses", "anthropic", "gemini"]
Body = dict[str, Any]


@pytest.fixture
async def up(clock: FakeClock) -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(clock=clock) as upstream:
        yield upstream


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    body: bytes  # without the framing of HTTP
    chunks: list[bytes]
    complete: bool  # the body ended as HTTP says it must

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, str]]:
        found = []
        for block in self.body.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
            name, data = "", []
            for line in block.split("\n"):
                field, _, value = line.partition(":")
                if field == "event":
                    name = value.removeprefix(" ")
                elif field == "data":
                    data.append(value.removeprefix(" "))
            if data:
                found.append((name, "\n".join(data)))
        return found


def path_and_body(dialect: str, model: str, stream: bool, prefill: str | None = None) -> tuple[str, Body]:
    if dialect == "gemini":
        contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
        contents += [{"role": "model", "parts": [{"text": prefill}]}] if prefill else []
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{method}", {"contents": contents}
    messages: list[Body] = [{"role": "user", "content": "Hello"}]
    messages += [{"role": "assistant", "content": prefill}] if prefill else []
    if dialect == "openai_responses":
        return "/v1/responses", {"model": model, "stream": stream, "input": messages}
    path = "/v1/messages" if dialect == "anthropic" else "/v1/chat/completions"
    return path, {"model": model, "stream": stream, "messages": messages}


async def connect(up: ScriptedUpstream) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(up.url.rpartition(":")[2]))


async def send(writer: asyncio.StreamWriter, path: str, body: Body | None, key: str = "sk-test") -> None:
    data = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()


async def read(reader: asyncio.StreamReader) -> Got:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    chunks: list[bytes] = []
    complete = True
    try:
        if "content-length" in headers:
            chunks.append(await reader.readexactly(int(headers["content-length"])))
        else:
            while size := int(await reader.readline() or b"!", 16):
                chunks.append((await reader.readexactly(size + 2))[:-2])
            await reader.readline()
    except asyncio.IncompleteReadError as cut:
        chunks.append(cut.partial)
        complete = False
    except ValueError:
        complete = False
    body = b"".join(chunks)
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return Got(int(head[0].split(" ")[1]), headers, body, chunks, complete)


async def fetch(up: ScriptedUpstream, path: str, body: Body | None, key: str = "sk-test") -> Got:
    reader, writer = await connect(up)
    try:
        await send(writer, path, body, key)
        return await read(reader)
    finally:
        writer.close()


async def call(
    up: ScriptedUpstream, model: str, *, dialect: str = "openai", stream: bool = True, prefill: str | None = None
) -> Got:
    return await fetch(up, *path_and_body(dialect, model, stream, prefill))


def text_of(dialect: str, got: Got) -> str:
    """The text of a stream or of a whole answer; what is not JSON is left out."""
    if got.headers["content-type"] == "application/json":
        return _whole(dialect, got.json)
    found = ""
    for _, data in got.events:
        try:
            event = json.loads(data)
        except ValueError:
            continue
        found += _delta(dialect, event)
    return found


def _whole(dialect: str, body: Body) -> str:
    if dialect == "openai":
        return body["choices"][0]["message"]["content"] or ""
    if dialect == "openai_responses":
        return "".join(part["text"] for item in body["output"] for part in item.get("content", []) if "text" in part)
    if dialect == "anthropic":
        return "".join(block["text"] for block in body["content"] if block["type"] == "text")
    return _delta("gemini", body)


def _delta(dialect: str, event: Body) -> str:
    if dialect == "openai":
        return "".join((choice.get("delta") or {}).get("content") or "" for choice in event.get("choices", []))
    if dialect == "openai_responses":
        return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""
    if dialect == "anthropic":
        return event["delta"].get("text", "") if event["type"] == "content_block_delta" else ""
    parts = [part for each in event.get("candidates", []) for part in each["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


def finished(got: Got) -> bool:
    """Any dialect's finish reason."""
    marks = ('"finish_reason":"', '"stop_reason":"', '"finishReason":"', '"type":"response.completed"')
    return any(mark in data for _, data in got.events for mark in marks)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [True, False])
class TestEveryDialect:
    async def test_ok_gives_the_answer(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        got = await call(up, "ok", dialect=dialect, stream=stream)
        assert (got.status, got.complete) == (200, True)
        assert text_of(dialect, got) == ANSWER

    async def test_a_prefill_gets_the_rest(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        got = await call(up, "ok", dialect=dialect, stream=stream, prefill=ANSWER[:25])
        assert text_of(dialect, got) == ANSWER[25:]

    async def test_noprefill_refuses_one(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        got = await call(up, "ok-noprefill", dialect=dialect, stream=stream, prefill=ANSWER[:25])
        assert got.status == 400
        assert text_of(dialect, await call(up, "ok-noprefill", dialect=dialect, stream=stream)) == ANSWER

    async def test_the_answer_names_the_model_asked_for(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        assert b'"ok-other"' in (await call(up, "ok-other", dialect=dialect, stream=stream)).body

    async def test_error_statuses(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        gemini, anthropic = dialect == "gemini", dialect == "anthropic"
        for model, status in {
            "s01-429-retry-after": 429,
            "s02-429": 429,
            "s03-500": 500,
            "s13-outage": 503,
            "s14-content-filter": 200 if gemini else 400,
            "s15-quota": 400 if anthropic else 429,
            "s16-bad-key": 400 if gemini else 401,
            "529": 529,
            "502-html": 502,
        }.items():
            assert (await call(up, model, dialect=dialect, stream=stream)).status == status, model

    async def test_a_200_that_is_an_error_has_no_content(
        self, up: ScriptedUpstream, dialect: str, stream: bool
    ) -> None:
        got = await call(up, "s12-200-error", dialect=dialect, stream=stream)
        assert got.status == 200
        assert '"error"' in (got.events[0][1] if stream else got.body.decode())

    async def test_a_cut_leaves_half_an_answer(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        got = await call(up, "s08-cut-middle", dialect=dialect, stream=stream)
        assert (got.status, got.complete) == (200, False)
        if stream:
            assert 0 < len(text_of(dialect, got)) < len(ANSWER)
            assert ANSWER.startswith(text_of(dialect, got))
            assert not finished(got)
        else:
            with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
                json.loads(got.body)

    async def test_a_malformed_event_or_body(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        got = await call(up, "s10-malformed", dialect=dialect, stream=stream)
        assert got.complete
        if stream:
            assert b"never show thi" in got.body
            assert text_of(dialect, got) == ANSWER
        else:
            with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
                json.loads(got.body)

    async def test_odd_framing_holds_the_same_answer(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        for model in ("gzip", "comments", "crlf", "cr", "no-space", "noise", "usage-everywhere", "json-on-stream"):
            assert text_of(dialect, await call(up, model, dialect=dialect, stream=stream)) == ANSWER, model
        assert text_of(dialect, await call(up, "utf8-split", dialect=dialect, stream=stream)) == MULTILINGUAL

    async def test_tools_thinking_and_refusal(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        for model, sign in {
            "tools": b"get_time",
            "thinking": b"consider",
            "refusal": b"refus",
            "tools-empty": b"now",
        }.items():
            got = await call(up, model, dialect=dialect, stream=stream)
            assert got.complete
            expected = b"SAFETY" if (model, dialect) == ("refusal", "gemini") else sign
            assert expected in got.body, model

    async def test_hang_and_cancel(self, up: ScriptedUpstream, dialect: str, stream: bool) -> None:
        reader, writer = await connect(up)
        await send(writer, *path_and_body(dialect, "s04-hang", stream))
        request = await up.received(1)
        writer.close()
        left = time.monotonic()
        await request.ended()
        assert reader.at_eof() or not await reader.read()
        assert request.closed_at is not None
        assert request.answered_at is None
        assert request.closed_at - left < 0.1


@pytest.mark.parametrize("dialect", DIALECTS)
class TestStreams:
    async def test_cut_before_the_answer(self, up: ScriptedUpstream, dialect: str) -> None:
        got = await call(up, "s06-cut-before", dialect=dialect)
        assert (got.status, got.complete, text_of(dialect, got)) == (200, False, "")

    async def test_clean_end_without_finish(self, up: ScriptedUpstream, dialect: str) -> None:
        got = await call(up, "eof-no-finish", dialect=dialect)
        assert got.complete
        assert not finished(got)

    async def test_error_in_the_middle(self, up: ScriptedUpstream, dialect: str) -> None:
        got = await call(up, "error-middle", dialect=dialect)
        assert 0 < len(text_of(dialect, got)) < len(ANSWER)
        assert '"error"' in got.events[-1][1]
        assert not finished(got)

    async def test_error_after_metadata(self, up: ScriptedUpstream, dialect: str) -> None:
        got = await call(up, "200-error-late", dialect=dialect)
        assert text_of(dialect, got) == ""
        assert '"error"' in got.events[-1][1]

    async def test_no_end_marker(self, up: ScriptedUpstream, dialect: str) -> None:
        got = await call(up, "s11-no-done", dialect=dialect)
        assert finished(got)
        assert text_of(dialect, got) == ANSWER
        assert b"[DONE]" not in got.body
        assert b"message_stop" not in got.body

    async def test_slow_first_token_waits_on_the_clock(
        self, up: ScriptedUpstream, clock: FakeClock, dialect: str
    ) -> None:
        pending = asyncio.create_task(call(up, "s07-slow-first-token", dialect=dialect))
        await clock.until_asleep()
        clock.advance(19.9)
        assert clock.sleepers == 1
        clock.advance(0.2)
        assert text_of(dialect, await pending) == ANSWER

    async def test_stall_ends_only_with_the_client(self, up: ScriptedUpstream, dialect: str) -> None:
        _, writer = await connect(up)
        await send(writer, *path_and_body(dialect, "s09-stall", True))
        request = await up.received(1)
        writer.close()
        await request.ended()
        assert request.closed_at is not None

    async def test_gate_holds_each_token_until_released(self, up: ScriptedUpstream, dialect: str) -> None:
        gate = up.gate("ok")
        reader, writer = await connect(up)
        await send(writer, *path_and_body(dialect, "ok", True))
        request = await up.received(1)
        assert gate.written == 0
        await gate.release()
        seen = await reader.readuntil(tokens(ANSWER)[0].encode())
        assert tokens(ANSWER)[1].encode() + b'"' not in seen
        assert gate.written == 1
        await gate.open()
        await reader.readuntil(b"0\r\n\r\n")
        await request.ended()
        assert request.tokens == len(tokens(ANSWER))
        writer.close()


async def test_dead_host_resets_or_refuses(up: ScriptedUpstream) -> None:
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await call(up, "s05-dead-host")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(up.dead_url.rpartition(":")[2]))


async def test_a_host_may_vanish_and_return_on_its_port(up: ScriptedUpstream) -> None:
    await up.vanish()
    with pytest.raises(ConnectionRefusedError):
        await call(up, "ok")
    await up.listen()
    assert (await call(up, "ok")).status == 200


async def test_outage_ends_after_30_seconds_or_when_told(up: ScriptedUpstream, clock: FakeClock) -> None:
    assert (await call(up, "s13-outage")).status == 503
    clock.advance(29)
    assert (await call(up, "s13-outage")).status == 503
    clock.advance(1)
    assert text_of("openai", await call(up, "s13-outage")) == ANSWER
    up.script("mine", ["s13-outage"])
    assert (await call(up, "mine")).status == 503
    up.recover("mine")
    assert (await call(up, "mine")).status == 200


async def test_script_goes_call_by_call_and_the_last_step_stays(up: ScriptedUpstream) -> None:
    up.script("m", ["s03-500", Scenario(does="own", fault="rate_limit"), "ok"])
    assert [(await call(up, "m")).status for _ in range(4)] == [500, 429, 200, 200]


async def test_script_may_depend_on_the_credential(up: ScriptedUpstream) -> None:
    up.script("ok", ["s16-bad-key"], key="sk-old")
    path, body = path_and_body("openai", "ok", False)
    assert (await fetch(up, path, body, key="sk-old")).status == 401
    assert (await fetch(up, path, body, key="sk-new")).status == 200
    assert [each.key for each in up.requests] == ["sk-old", "sk-new"]


@pytest.mark.parametrize(
    ("model", "header", "value"),
    [
        ("s01-429-retry-after", "retry-after", "2"),
        ("429-ms", "retry-after-ms", "250"),
        ("429-hour", "retry-after", "3600"),
        ("429-garbage", "retry-after", "soon"),
    ],
)
async def test_forms_of_retry_after(up: ScriptedUpstream, model: str, header: str, value: str) -> None:
    assert (await call(up, model)).headers[header] == value


async def test_retry_after_as_a_date_is_two_seconds_ahead(up: ScriptedUpstream) -> None:
    from email.utils import parsedate_to_datetime

    stamp = (await call(up, "429-date")).headers["retry-after"]
    assert 1 < parsedate_to_datetime(stamp).timestamp() - time.time() < 3
    assert "retry-after" not in (await call(up, "s02-429")).headers


async def test_bad_key_repeats_the_key(up: ScriptedUpstream) -> None:
    assert b"sk-test" in (await call(up, "s16-bad-key")).body


async def test_split_cuts_inside_characters(up: ScriptedUpstream) -> None:
    assert max(map(len, (await call(up, "utf8-split")).chunks)) == 1


async def test_parallel_tools_may_all_claim_index_0(up: ScriptedUpstream) -> None:
    def starts(got: Got) -> list[tuple[int, str]]:
        deltas = [json.loads(data)["choices"][0]["delta"] for _, data in got.events if data != "[DONE]"]
        calls = [each for delta in deltas for each in delta.get("tool_calls", []) if "id" in each]
        return [(each["index"], each["id"]) for each in calls]

    assert starts(await call(up, "tools")) == [(0, "call_weather"), (1, "call_time")]
    assert starts(await call(up, "tools-index-0")) == [(0, "call_weather"), (0, "call_time")]


async def test_usage_comes_when_asked_for_and_everywhere_where_scripted(up: ScriptedUpstream) -> None:
    path, body = path_and_body("openai", "ok", True)
    assert b'"usage"' not in (await fetch(up, path, body)).body
    asked = await fetch(up, path, body | {"stream_options": {"include_usage": True}})
    last = json.loads(asked.events[-2][1])
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], len(tokens(ANSWER)))
    everywhere = await call(up, "usage-everywhere")
    counts = [json.loads(data)["usage"]["completion_tokens"] for _, data in everywhere.events if '"usage"' in data]
    assert counts == [*range(1, len(tokens(ANSWER)) + 1), len(tokens(ANSWER))]


async def test_stream_options_may_be_refused(up: ScriptedUpstream) -> None:
    path, body = path_and_body("openai", "no-stream-options", True)
    assert (await fetch(up, path, body | {"stream_options": {"include_usage": True}})).status == 400
    assert (await fetch(up, path, body)).status == 200


async def test_results_of_tools_get_the_answer(up: ScriptedUpstream) -> None:
    path, body = path_and_body("openai", "tools", False)
    body["messages"].append({"role": "tool", "tool_call_id": "call_weather", "content": "sunny"})
    assert text_of("openai", await fetch(up, path, body)) == ANSWER


async def test_structured_output_satisfies_the_schema(up: ScriptedUpstream) -> None:
    schema = {
        "type": "object",
        "required": ["label", "score"],
        "properties": {"label": {"enum": ["a", "b"]}, "score": {"type": "number"}, "more": {"type": "string"}},
    }
    path, body = path_and_body("openai", "json", False)
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    text = text_of("openai", await fetch(up, path, body | {"response_format": form}))
    assert json.loads(text) == {"label": "a", "score": 0}


async def test_echo_shows_what_was_received(up: ScriptedUpstream) -> None:
    path, body = path_and_body("openai", "echo", False)
    got = await fetch(up, path, body | {"vendor_field": [1]})
    assert json.loads(text_of("openai", got)) == body | {"vendor_field": [1]}


async def test_socket_may_stay_open_after_the_end_marker(up: ScriptedUpstream) -> None:
    reader, writer = await connect(up)
    await send(writer, *path_and_body("openai", "open-after-done", True))
    await reader.readuntil(b"[DONE]\n\n")
    request = await up.received(1)
    assert request.answered_at is None
    writer.close()
    await request.ended()
    assert request.closed_at is not None


async def test_connections_are_kept_alive(up: ScriptedUpstream) -> None:
    reader, writer = await connect(up)
    for model in ("ok", "s03-500", "ok"):
        for stream in (True, False):
            await send(writer, *path_and_body("openai", model, stream))
            assert (await read(reader)).complete
    writer.close()
    assert up.connections == 1
    assert len(up.requests) == 6


async def test_ids_differ_between_requests(up: ScriptedUpstream) -> None:
    answers = [await call(up, "ok", stream=False) for _ in range(2)]
    assert [each.json["id"] for each in answers] == ["chatcmpl-1", "chatcmpl-2"]


async def test_models_embeddings_and_counts(up: ScriptedUpstream) -> None:
    models = (await fetch(up, "/v1/models", None)).json["data"]
    assert {row["id"] for row in models} == set(SCENARIOS)
    body = {"model": "e", "input": ["a", "b"]}
    rows = (await fetch(up, "/v1/embeddings", body)).json["data"]
    assert [row["index"] for row in rows] == [0, 1]
    assert rows[0]["embedding"] != rows[1]["embedding"]
    coded = (await fetch(up, "/v1/embeddings", body | {"encoding_format": "base64"})).json["data"]
    assert isinstance(coded[0]["embedding"], str)
    assert (await fetch(up, "/v1/messages/count_tokens", {"model": "m"})).json == {"input_tokens": 17}
    assert (await fetch(up, "/nowhere", {})).status == 404


async def test_a_body_that_is_not_json_gets_400_in_the_dialect(up: ScriptedUpstream) -> None:
    reader, writer = await connect(up)
    writer.write(b"POST /v1/messages HTTP/1.1\r\nContent-Length: 3\r\n\r\n{]}")
    got = await read(reader)
    writer.close()
    assert (got.status, got.json["type"]) == (400, "error")


def test_the_wall_has_sixteen_faults_and_all_are_described() -> None:
    assert len(WALL) == 16
    assert [name[:3] for name in WALL] == [f"s{number:02}" for number in range(1, 17)]
    assert all(f"`{name}`" in table() for name in SCENARIOS)


def test_the_other_answer_shares_no_beginning() -> None:
    assert OTHER_ANSWER[0] != ANSWER[0]
    assert "".join(tokens(MULTILINGUAL)) == MULTILINGUAL


async def test_it_runs_as_a_process() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chittycan.testing.upstream", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = int(json.loads(await process.stdout.readline())["url"].rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await send(writer, *path_and_body("openai", "ok", False))
        assert text_of("openai", await read(reader)) == ANSWER
        writer.close()
    finally:
        process.terminate()
        await process.wait()
