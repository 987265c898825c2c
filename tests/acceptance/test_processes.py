"""Real `can serve` processes: how they start, share a database, notice edits, stop, and die."""

import asyncio
import json
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from bare_http import Got, Json, Wire, fetch
from chittycan.auth.keys import Keys, NewKey
from chittycan.clock import SystemClock
from chittycan.store.database import Database
from chittycan.testing import ANSWER, Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from serving import PATIENCE, UPSTREAM_KEY, Process, Processes, config, finished, proxy, until, write_config

HELLO = [{"role": "user", "content": "Hello"}]
TENTH = {"dear": {"proxy": "first", "upstream": "m", "price": {"input": 0, "output": 100}}}  # 1,000 tokens: $0.10


async def chat(server: Process, model: str = "first/ok", key: str = "any", **more: Any) -> Got:
    body = {"model": model, "messages": HELLO, **more}
    return await fetch(server.port, "POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})


async def answers(status: int, server: Process, **asked: Any) -> None:
    """Asks until the answer has this status."""
    async with asyncio.timeout(PATIENCE):
        while (await chat(server, **asked)).status != status:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def refuses(server: Process) -> None:
    """Until nothing listens any more."""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionError):
            while True:
                (await Wire.connect(server.port)).close()
                await asyncio.sleep(0.01)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """A contract about time: what is inside takes no longer, with a second's grace for a busy machine."""
    async with asyncio.timeout(seconds + 1):
        yield


def configure(processes: Processes, up: ScriptedUpstream, models: Json | None = None, **sections: Any) -> None:
    write_config(
        processes.config, config({"first": proxy(up.url, "openai", timeouts={})}, **sections), {"models": models or {}}
    )


async def run(processes: Processes, *arguments: str) -> tuple[int, str]:
    """A command to its end: exit code and standard output."""
    process = await processes.can(*arguments)
    output, _ = await process.process.communicate()
    return process.process.returncode or 0, output.decode()


async def make_key(processes: Processes, *arguments: str) -> str:
    """A key as a person makes it."""
    code, output = await run(processes, "keys", "create", "--json", *arguments)
    assert code == 0
    found: str = next(value for value in json.loads(output).values() if str(value).startswith("sk-chitty-"))
    return found


async def put_key(processes: Processes, budget: str | None = None) -> str:
    """A key that is there before any server starts."""
    database = Database(f"sqlite:///{processes.database}")
    _, secret = await Keys(database, SystemClock()).create(NewKey(name="x", budget=budget))
    database.close()
    return secret


async def test_a_stream_in_flight_is_finished_before_the_end(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up)
    server = await processes.serve()
    assert (await fetch(server.port, "GET", "/ready")).status == 200
    idle = await Wire.connect(server.port)
    gate = up.gate("ok")
    wire = await Wire.connect(server.port)
    wire.send("POST", "/v1/chat/completions", {"model": "first/ok", "messages": HELLO, "stream": True})
    await up.received(1)
    await gate.release()
    assert (await wire.head()).status == 200
    server.process.send_signal(signal.SIGTERM)
    assert await idle.reader.read() == b""
    idle.close()
    with pytest.raises(ConnectionError):
        await Wire.connect(server.port)
    await gate.open()
    body = b""
    while chunk := await wire.chunk():
        body += chunk
    events = Got(200, {}, body).events
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events) == ANSWER
    assert body.endswith(b"data: [DONE]\n\n")
    wire.close()
    assert await server.end() == 0
    with sqlite3.connect(processes.database) as database:
        assert database.execute("SELECT outcome, output FROM ledger").fetchall() == [("ok", 40)]
    assert "Traceback" not in server.said


async def test_a_second_signal_does_not_wait(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up)
    server = await processes.serve()
    up.gate("ok")
    wire = await Wire.connect(server.port)
    wire.send("POST", "/v1/chat/completions", {"model": "first/ok", "messages": HELLO, "stream": True})
    request = await up.received(1)
    server.process.send_signal(signal.SIGTERM)
    await refuses(server)
    server.process.send_signal(signal.SIGINT)
    async with within(5):
        assert await server.end() == 0
        await request.ended()
    wire.close()


async def test_what_is_cut_at_the_end_is_counted_as_what_it_came_to(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up, TENTH, budgets={"day": 5})
    gate = up.gate("m")
    server = await processes.serve()
    wire = await Wire.connect(server.port)
    asked = {"model": "dear", "messages": HELLO, "max_tokens": 1000}
    wire.send("POST", "/v1/chat/completions", {**asked, "stream": True})
    await gate.release(3)
    assert (await wire.head()).status == 200
    task = {"model": "dear", "prompt": "Hello", "max_tokens": 1000}
    assert (await fetch(server.port, "POST", "/api/v1/tasks", task)).status == 202
    await up.received(2)
    for number in (signal.SIGTERM, signal.SIGINT):
        server.process.send_signal(number)
        await refuses(server)
    async with within(5):
        assert await server.end() == 0
    wire.close()
    with sqlite3.connect(processes.database) as database:
        rows = database.execute("SELECT outcome, cost_nano FROM ledger").fetchall()
        assert [outcome for outcome, _ in rows] == ["cancelled", "cancelled"]
        assert database.execute("SELECT COALESCE(SUM(amount), 0) FROM leases").fetchone() == (0,)
        used = database.execute("SELECT used FROM meters WHERE unit = 'nano'").fetchone()
        assert used == (sum(cost for _, cost in rows),)
    assert "Traceback" not in server.said


async def test_what_it_refuses_to_start_with(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up)
    open_to_all = await processes.can("serve", "--host", "0.0.0.0", "--port", "0")
    assert await open_to_all.end() == 2
    assert "can keys create" in open_to_all.said
    (processes.config / "models.json").write_text('{"models": {\n  "m": oops}}')
    broken = await processes.can("serve", "--port", "0")
    assert await broken.end() == 1
    assert "models.json:2:8" in broken.said.replace("\n", "")
    assert (processes.config / "models.json").read_text() == '{"models": {\n  "m": oops}}'


async def test_with_a_key_it_listens_to_others(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up)
    secret = await put_key(processes)
    server = await processes.serve("--host", "0.0.0.0")
    assert (await chat(server)).status == 401
    assert (await chat(server, key=secret)).status == 200
    taken = await processes.can("serve", "--port", str(server.port))
    assert await taken.end() == 1
    assert "--port" in taken.said


async def test_edits_are_noticed_and_bad_ones_kept_out(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up)
    server = await processes.serve()
    models, settings = processes.config / "models.json", processes.config / "config.json"
    assert (await chat(server, model="new")).status == 404
    models.write_text(json.dumps({"models": {"new": {"proxy": "first", "upstream": "ok"}}}))
    await answers(200, server, model="new")
    settings.write_text(settings.read_text().replace(UPSTREAM_KEY, "sk-rotated-key"))
    async with asyncio.timeout(PATIENCE):
        while up.requests[-1].key != "sk-rotated-key":
            await chat(server)
    models.write_text('{"models": {"new": ')
    await until(lambda: "config_kept" in server.said)
    assert (await chat(server, model="new")).status == 200
    assert models.read_text() == '{"models": {"new": '
    models.write_text(json.dumps({"models": {"newest": {"proxy": "first", "upstream": "ok"}}}))
    await answers(200, server, model="newest")
    assert (await chat(server, model="new")).status == 404


async def test_a_key_counts_at_once_and_its_end_within_a_second_in_every_process(
    up: ScriptedUpstream, processes: Processes
) -> None:
    configure(processes, up)
    one, two = await asyncio.gather(processes.serve(), processes.serve())
    first = await make_key(processes, "--name", "first")
    for server in (one, two):
        async with within(1):
            await answers(200, server, key=first)
            await answers(401, server, key="another")
    assert (await run(processes, "keys", "revoke", "first"))[0] == 0
    for server in (one, two):
        async with within(1):
            await answers(401, server, key=first)


async def test_case_37_two_processes_share_one_budget(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up, TENTH)
    up.script("m", [Scenario(does="", reply=Reply(" ".join(["word"] * 1000)))])
    gate = up.gate("m")
    secret = await put_key(processes, "1/day")
    servers = await asyncio.gather(processes.serve(), processes.serve())
    calls = [asyncio.create_task(chat(servers[number % 2], "dear", secret, max_tokens=1000)) for number in range(50)]
    await finished(calls, 40)
    await gate.open()
    statuses = [(await call).status for call in calls]
    assert 1 <= statuses.count(200) <= 10
    assert len(up.calls("m")) == statuses.count(200)
    for server in servers:
        server.process.send_signal(signal.SIGTERM)
        await server.end()
    with sqlite3.connect(processes.database) as database:
        (spent,) = database.execute("SELECT SUM(cost_nano) FROM ledger WHERE outcome = 'ok'").fetchone()
        assert spent == statuses.count(200) * 10**8 <= 10**9
        assert database.execute("SELECT COALESCE(SUM(amount), 0) FROM leases").fetchone() == (0,)
        assert database.execute("SELECT used FROM meters WHERE unit = 'nano'").fetchone() == (spent,)


async def test_case_37_what_a_killed_process_held_is_never_spent_twice(
    up: ScriptedUpstream, processes: Processes
) -> None:
    configure(processes, up, TENTH)
    up.script("m", [Scenario(does="", reply=Reply(" ".join(["word"] * 1000)))])
    gate = up.gate("m")
    secret = await put_key(processes, "1/day")
    dying, living = await asyncio.gather(processes.serve(), processes.serve())
    calls = [asyncio.create_task(chat(dying, "dear", secret, max_tokens=1000)) for _ in range(4)]
    await up.received(4)
    dying.process.kill()
    await asyncio.gather(*calls, return_exceptions=True)
    await gate.open()
    admitted = 0
    while (await chat(living, "dear", secret, max_tokens=1000)).status == 200:
        admitted += 1
    assert 1 <= admitted <= 6
    again = await processes.serve()
    assert (await chat(again, "dear", secret, max_tokens=1000)).status == 402
    assert len(up.calls("m")) == 4 + admitted


async def test_several_workers_share_a_port(up: ScriptedUpstream, processes: Processes, free_port: int) -> None:
    configure(processes, up)
    server = await processes.can("serve", "--port", str(free_port), "--workers", "2")
    server.url = f"http://127.0.0.1:{free_port}"
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                assert (await chat(server)).status == 200
                break
            except ConnectionError:
                await asyncio.sleep(0.05)
    gots = await asyncio.gather(*(chat(server) for _ in range(30)))
    assert {got.status for got in gots} == {200}
    server.process.send_signal(signal.SIGTERM)
    async with within(10):
        assert await server.end() == 0
    with pytest.raises(ConnectionError):
        await chat(server)


async def test_no_word_of_anyone_reaches_a_log(up: ScriptedUpstream, processes: Processes) -> None:
    """Prompts, answers and credentials are looked for wherever the server writes."""
    configure(processes, up)
    secret = await put_key(processes)
    server = await processes.serve("--log", "info")
    said = "CANARY-prompt-7c1f"
    messages = [{"role": "user", "content": said}]
    for model in ("echo", "s16-bad-key", "400-bad-field", "s08-cut-middle", "s12-200-error", "nobody"):
        for stream in (False, True):
            await chat(server, f"first/{model}", secret, messages=messages, stream=stream)
    await chat(server, "first/echo", "sk-chitty-CANARYunknownkey", messages=messages)
    await fetch(server.port, "POST", "/v1/messages", b'{"model": "CANARY-broken', {"x-api-key": secret})
    await fetch(server.port, "GET", f"/v1/models?key={said}", None, {"authorization": f"Bearer {secret}"})
    metrics = await fetch(server.port, "GET", "/metrics")
    server.process.send_signal(signal.SIGTERM)
    assert await server.end() == 0
    log = server.said
    assert log.count('"event": "request"') >= 10
    assert all(json.loads(line) for line in log.splitlines())
    files = [file.read_bytes() for file in processes.database.parent.glob("chitty.db*")]
    assert files
    for place in (log.encode(), metrics.body, *files):
        for secret_word in (said, secret, UPSTREAM_KEY, "CANARY", ANSWER[:30]):
            assert secret_word.encode() not in place


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_leaves_stops_the_provider_within_100_ms(
    up: ScriptedUpstream, processes: Processes, stream: bool
) -> None:
    configure(processes, up)
    server = await processes.serve()
    up.gate("ok")
    for leave in (Wire.close, Wire.close_one_side):
        wire = await Wire.connect(server.port)
        wire.send("POST", "/v1/chat/completions", {"model": "first/ok", "messages": HELLO, "stream": stream})
        request = await up.received(len(up.requests) + 1)
        left = time.monotonic()
        leave(wire)
        await asyncio.wait_for(request.ended(), PATIENCE)
        assert request.closed_at is not None
        assert request.closed_at - left < 0.1
        wire.close()


async def test_a_refused_client_can_read_why(up: ScriptedUpstream, processes: Processes) -> None:
    configure(processes, up)
    server = await processes.serve()
    wire = await Wire.connect(server.port)
    wire.writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000000\r\n\r\n")
    wire.writer.write(b"x" * 20_000_000)
    got = await wire.read()
    assert got.status == 413
    assert "100 MB" in got.json["error"]["message"]
    wire.close()
