"""On every way through the house no byte of a private text comes out of it: the raw bytes at the sockets are searched.

The provider outside stands behind a tap, which keeps all that goes through it. Models in the house repeat the canary
without the number that gave it away, so that what comes of private work has to stay private by its label alone.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bare_http import Got, Json
from chittycan.agents import pipeline
from chittycan.errors import ChittyError
from chittycan.integrations.email.sources import open_source
from chittycan.routing.rules.book import Rule
from chittycan.store.database import Database
from chittycan.telemetry import Telemetry
from chittycan.testing import Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from peers import HttpPeer
from serving import PATIENCE, Serve, Served, proxy

pytest.importorskip("dbos", reason="durable work needs the extra `workstreams`")

CANARY = "Zaunkoenig"
PRIVATE = f"{CANARY}: pay with 4242 4242 4242 4242"
PUBLIC = "Rotkehlchen"
LONG_PATIENCE = 6 * PATIENCE
# Where the words of requests and answers are meant to be kept, by the one who asked for that.
KEEPS_WORDS = {
    "tasks", "workstreams", "contexts", "context_changes", "files", "file_chunks", "batches", "batch_results",
    "response_events", "mails", "agent_runs", "drafts", "responses",
}  # fmt: skip


class Tap:
    """A line to a server that keeps every byte that is sent through it."""

    def __init__(self, url: str) -> None:
        self._host, _, port = url.rpartition("//")[2].partition(":")
        self._port = int(port)
        self.sent = bytearray()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)

        async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter, keep: bool) -> None:
            try:
                while data := await source.read(65536):
                    if keep:
                        self.sent += data
                    to.write(data)
                    await to.drain()
            except OSError:
                pass
            finally:
                to.close()

        await asyncio.gather(pump(reader, far_writer, True), pump(far_reader, writer, False))


@pytest.fixture
async def tap(up: ScriptedUpstream) -> AsyncIterator[Tap]:
    made = Tap(up.url)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()
    assert CANARY.encode() not in bytes(made.sent)


@pytest.fixture
async def house() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
async def office(serve: Serve, tap: Tap, up: ScriptedUpstream, house: ScriptedUpstream) -> Callable[..., Any]:
    async def start(**sections: Any) -> Served:
        models: Json = {name: {"proxy": "cloud", "upstream": name} for name in ("strong", "other")}
        models |= {name: {"proxy": "house", "upstream": name, "private": True} for name in ("own", "spare")}
        for server, names in ((up, ("strong", "other")), (house, ("own", "spare"))):
            said = PUBLIC if server is up else f"About {CANARY}, from the house"
            for name in names:
                server.script(name, [Scenario(does="answers", reply=Reply(text=said))])
        proxies = {"cloud": proxy(tap.url, "openai"), "house": proxy(house.url, "openai", "sk-house")}
        given = {"fallbacks": {"strong": ["other"], "*": ["strong", "own"]}, **sections}
        return await serve(proxies, models, **given)

    return start


def asking(words: str) -> Json:
    return {"messages": [{"role": "user", "content": words}]}


async def kept(database: Database) -> set[str]:
    """The tables that hold the canary."""

    def read(connection: Connection) -> set[str]:
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        rows = {name: connection.execute(text(f'SELECT * FROM "{name}"')).all() for name in names}
        return {name for name, found in rows.items() if CANARY in str(found)}

    return await database.read(read)


async def polled(served: Served, path: str, over: Callable[[Json], bool]) -> Json:
    async with asyncio.timeout(LONG_PATIENCE):
        while True:
            found: Json = (await served.fetch("GET", path)).json
            if over(found):
                return found
            await asyncio.sleep(0.05)


async def test_what_is_public_is_found_at_the_tap(office: Any, tap: Tap) -> None:
    """That the search finds what is there."""
    served = await office()
    await served.chat("strong", **asking(f"a {PUBLIC} sings"))
    assert PUBLIC.encode() in bytes(tap.sent)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_late_model_is_hedged_within_the_house(
    office: Any, up: ScriptedUpstream, house: ScriptedUpstream, stream: bool
) -> None:
    served = await office()
    house.script("own", [Scenario(does="sleeps", wait=float("inf"))])
    got = await served.chat("strong", stream=stream, headers={"x-chitty-hedge": "0.01"}, **asking(PRIVATE))
    assert (got.status, CANARY in got.body.decode()) == (200, True)
    assert {each.model for each in house.requests} == {"own", "spare"}
    assert not up.requests


async def test_a_stream_that_breaks_off_is_continued_within_the_house(
    office: Any, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    served = await office()
    answer = Reply(text=f"About {CANARY}: nothing else is to be said of it here, nor anywhere.")
    house.script("own", [Scenario(does="breaks off", reply=answer, keep=0.5, then="cut")])
    house.script("spare", [Scenario(does="goes on", reply=answer, prefill=True)])
    got = await served.chat("strong", stream=True, **asking(PRIVATE))
    assert {each.model for each in house.requests} == {"own", "spare"}
    assert got.data[-1] == "[DONE]"
    assert not up.requests


async def test_the_cache_answers_nobody_outside(office: Any, up: ScriptedUpstream) -> None:
    served = await office()
    cached = {"x-chitty-cache": "true"}
    for hit in ("miss", "hit"):
        got = await served.chat("strong", headers=cached, **asking(PRIVATE))
        assert (got.headers["x-chitty-cache"], CANARY in got.body.decode()) == (hit, True)
    assert not up.requests


async def test_what_auto_learns_from_and_what_is_said_of_answers_hold_no_private_word(
    office: Any, up: ScriptedUpstream
) -> None:
    served = await office(routing={"learn": True})
    got = await served.chat("auto", **asking(PRIVATE))
    request = got.headers["x-chitty-request-id"]
    await served.recorded(1)
    said = {"request": request, "score": 1.0}
    await served.fetch("POST", "/api/v1/feedback", said)
    assert not up.requests
    await served.chat("auto", **asking("an ordinary question"))
    await served.recorded(2)
    assert served.network.recorder.sketches is not None
    await served.network.recorder.sketches.flush()
    rows = await served.network.database.read(
        lambda c: c.execute(text("SELECT request_id FROM sketches")).scalars().all()
    )
    assert len(rows) == 1
    assert request not in rows
    assert await kept(served.network.database) == set()


async def test_batches_of_both_kinds(office: Any, up: ScriptedUpstream) -> None:
    served = await office()
    await served.network.work()
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "strong", **asking(PRIVATE)},
    }
    gpt = served.clients().gpt
    file = await gpt.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = await gpt.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    found = await polled(served, f"/v1/batches/{batch.id}", lambda found: found["status"] in ("completed", "failed"))
    assert found["request_counts"]["completed"] == 1
    params = {"model": "strong", "max_tokens": 50, **asking(PRIVATE)}
    got = await served.fetch("POST", "/v1/messages/batches", {"requests": [{"custom_id": "b", "params": params}]})
    path = f"/v1/messages/batches/{got.json['id']}"
    found = await polled(served, path, lambda found: found["processing_status"] == "ended")
    assert found["request_counts"]["succeeded"] == 1
    assert not up.requests
    assert await kept(served.network.database) <= KEEPS_WORDS


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_background_response_and_what_goes_on_from_it(
    office: Any, up: ScriptedUpstream, house: ScriptedUpstream, stream: bool
) -> None:
    served = await office()
    await served.network.work()
    body = {"model": "strong", "input": f"{CANARY} is all I say", "background": True, "stream": stream}
    got: Got = await served.fetch("POST", "/v1/responses", body, {"x-chitty-private": "true"})
    given = got.events[0]["response"]["id"] if stream else got.json["id"]
    found = await polled(served, f"/v1/responses/{given}", lambda each: each["status"] == "completed")
    assert CANARY in json.dumps(found)
    # Nothing in this one says so, but what it goes on from was private.
    got = await served.fetch(
        "POST", "/v1/responses", {"model": "strong", "input": "Go on", "previous_response_id": given}
    )
    assert got.headers["x-chitty-label"] == "private"
    assert len(house.requests) == 2
    assert not up.requests
    assert await kept(served.network.database) <= KEEPS_WORDS


RECIPE = {
    "name": "canary",
    "inputs": {"text": "text"},
    "steps": [
        {"id": "read", "task": "Read this: ${inputs.text}", "model": "strong"},
        {"id": "sum", "task": "Sum up: ${read.text}", "model": "strong"},
        {"id": "several", "ensemble": {"prompt": "Is it so? ${sum.text}", "models": ["strong", "own", "spare"]}},
        {"id": "last", "task": "Say goodbye", "model": "strong"},
    ],
    "outputs": {"sum": "${sum.text}"},
}


async def test_a_workstream_stays_private_once_a_step_was(
    office: Any, up: ScriptedUpstream, house: ScriptedUpstream, http_peer: HttpPeer
) -> None:
    peer = await http_peer()
    served = await office(outbound={"allow": [f"127.0.0.1:{peer.port}"], "webhookSecret": f"whsec_{'a' * 32}"})
    network = served.network
    await network.work("one")
    webhook = {"url": peer.url, "result": True}
    stream = await network.workstreams.run(RECIPE, {"text": PRIVATE}, base=None, webhook=webhook)
    ended = await network.workstreams.wait(stream.id, timeout=LONG_PATIENCE)
    assert (ended.status, ended.error) == ("done", None)
    assert CANARY in str(ended.outputs)
    async with asyncio.timeout(LONG_PATIENCE):
        while not peer.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert CANARY.encode() not in b"".join(peer.requests)
    assert b"workstream.completed" in b"".join(peer.requests)
    assert not up.requests
    assert len(house.requests) == 5
    assert await kept(network.database) <= KEEPS_WORDS


async def test_a_task_that_builds_on_a_private_one_and_a_private_document(
    office: Any, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    network = (await office()).network
    await network.work("one")
    first = await network.tasks.submit(PRIVATE, model="strong", session="case-7", store="found")
    second = await network.tasks.submit("What follows?", model="strong", after=first.id)
    assert (await network.tasks.wait(second.id, timeout=LONG_PATIENCE)).status == "done"
    answer = await network.ask("And then?", model="strong", session="case-7", recall=True)
    assert answer.trace.label == "private"
    assert CANARY in house.requests[-1].body.decode()
    stream = await network.stream("And then?", model="strong", session="case-7", recall=True)
    assert [event async for event in stream.events()]
    assert not up.requests


@pytest.mark.parametrize("rule", [False, True], ids=["found", "by-rule"])
async def test_mails_through_the_whole_pipeline(office: Any, up: ScriptedUpstream, tmp_path: Path, rule: bool) -> None:
    network = (await office()).network
    words = f"What does {CANARY} cost?" if rule else f"What does it cost?\n\n{PRIVATE}"
    (tmp_path / "one.eml").write_text(
        f"From: Ann <ann@bell.example>\r\nTo: o@firm.example\r\nSubject: Hello\r\nMessage-ID: <1@x>\r\n\r\n{words}\r\n"
    )
    terms = pipeline.Terms(private=rule, model="strong")
    report = await pipeline.process(open_source(str(tmp_path)), network.gateway.ask, network.database, terms)
    assert report.summary["processed"] == 1
    assert not up.requests
    assert await kept(network.database) <= KEEPS_WORDS


async def test_of_a_private_mail_neither_webhooks_nor_titles_nor_logs_tell_a_word(
    office: Any, up: ScriptedUpstream, http_peer: HttpPeer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "one.eml").write_text(
        f"From: {CANARY} <{CANARY}@bell.example>\r\nTo: o@firm.example\r\nSubject: Divorce of {CANARY}\r\n"
        f"Message-ID: <1@x>\r\n\r\nWhat does it cost {CANARY}?\r\n"
    )
    peer = await http_peer()
    secret = f"whsec_{'a' * 32}"
    letters = {"type": "folder", "path": str(folder), "private": True, "watch": True}
    served = await office(
        outbound={"allow": [f"127.0.0.1:{peer.port}"], "webhookSecret": secret},
        webhooks=[{"url": peer.url}],
        integrations={"letters": letters},
    )
    network = served.network
    await network.rules.create(Rule(id="", name="told", condition="subject:divorce", action=f"webhook:{peer.url}"))
    await network.work("one")
    watching = asyncio.create_task(network.watch_mail())
    async with asyncio.timeout(LONG_PATIENCE):
        while not all(each in b"".join(peer.requests) for each in (b"task.completed", b"rule.matched")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    watching.cancel()
    (task,) = [each for each in (await network.tasks.list())[0] if each.type == "mail"]
    assert (task.title, task.status) == ("private mail from letters", "done")
    assert CANARY.encode() not in b"".join(peer.requests)
    assert CANARY not in "".join(f"{each.getMessage()} {each.__dict__}" for each in caplog.records)
    assert not up.requests
    assert await kept(network.database) <= KEEPS_WORDS - {"tasks"}


async def test_an_outage_of_the_house_and_its_refusals_tell_nobody_outside(
    office: Any, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    served = await office()
    echo = json.dumps({"error": {"message": f"cannot read {PRIVATE}", "type": "invalid_request_error"}}).encode()
    for name in ("own", "spare"):
        house.script(name, [Scenario(does="refuses", raw=(400, "application/json", echo))])
    got = await served.chat("auto", **asking(PRIVATE))
    assert got.status == 400
    await served.recorded(1)
    assert await kept(served.network.database) == set()
    for name in ("own", "spare"):
        house.script(name, ["s03-500"])
    for stream in (False, True):
        assert (await served.chat("auto", stream=stream, **asking(PRIVATE))).status >= 500
    with pytest.raises(ChittyError):
        await served.network.ask(PRIVATE, model="strong")
    assert not up.requests


async def test_no_log_of_any_level_holds_it(
    office: Any, house: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served = await office()
    network = served.network
    await network.work("one")
    for model, stream in (("auto", False), ("strong", True)):
        await served.chat(model, stream=stream, **asking(PRIVATE))
    house.script("own", ["s03-500"])
    await served.chat("auto", **asking(PRIVATE))
    task = await network.tasks.submit(PRIVATE, model="strong", title=CANARY)
    await network.tasks.wait(task.id, timeout=LONG_PATIENCE)

    Telemetry.bug(network.telemetry, ValueError(f"broke over {PRIVATE}"), "req_1")
    assert len(caplog.records) > 4
    assert CANARY not in "".join(f"{each.getMessage()} {each.__dict__}" for each in caplog.records)
