"""The load generator counts right answers, and tells wrong ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from bench.load import Target, closed_loop, open_loop, right

from bench import upstream


@pytest.fixture
async def port(free_port: int) -> AsyncIterator[int]:
    server = await upstream.serve(free_port)
    yield free_port
    server.close()
    for transport in list(upstream.Upstream.live):
        transport.abort()
    while upstream.Upstream.live:  # noqa: ASYNC110 (the loop itself calls connection_lost)
        await asyncio.sleep(0)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("stream", [True, False])
async def test_closed_loop_gets_as_many_right_answers_as_asked_for(port: int, path: str, stream: bool) -> None:
    measured = await closed_loop(Target("127.0.0.1", port, path, stream=stream), 4, 60, limit=40)
    assert (len(measured.latencies), measured.errors) == (40, 0)
    assert len(measured.first_tokens) == (40 if stream else 0)


async def test_open_loop_sends_all_that_was_due(port: int) -> None:
    measured = await open_loop(Target("127.0.0.1", port), rate=200, seconds=0.1, connections=4)
    assert (len(measured.latencies), measured.errors, measured.late) == (20, 0, 0)


async def test_a_wrong_path_counts_as_errors(port: int) -> None:
    measured = await closed_loop(Target("127.0.0.1", port, "/nowhere"), 1, 0.02)
    assert measured.errors > 0
    assert not measured.latencies


async def test_an_open_loop_against_silence_reports_all_as_late(free_port: int) -> None:
    gone = asyncio.Semaphore(0)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.release()

    server = await asyncio.start_server(silent, "127.0.0.1", free_port)
    measured = await open_loop(Target("127.0.0.1", free_port), rate=100, seconds=0.05, connections=2, grace=0.1)
    server.close()
    for _ in range(2):
        await gone.acquire()
    assert measured.late == 5


def test_a_stream_that_lost_a_token_or_its_end_is_wrong() -> None:
    whole = b"".join(upstream.OPENAI_STREAM)
    assert right(whole.removesuffix(b"\r\n0\r\n\r\n"), stream=True)
    assert not right(whole.replace(b"token-7 ", b""), stream=True)
    assert not right(whole[: whole.index(b"[DONE]")], stream=True)
