"""Background responses while real servers are killed: the client goes on where it was, and is never told twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bare_http import Json
from chittycan.testing import ANSWER
from chittycan.testing.upstream import ScriptedUpstream
from official_clients import Clients
from serving import PATIENCE, Process, Processes, config, proxy, write_config

LONG_PATIENCE = 6 * PATIENCE  # processes start, and the dead are given a while


@pytest.fixture
async def gpt() -> AsyncIterator[Callable[[Process], Any]]:
    """OpenAI's client of a server."""
    made: list[Clients] = []

    def client(server: Process) -> Any:
        made.append(Clients(server.url))
        return made[-1].gpt

    yield client
    for each in made:
        await each.close()


def configure(processes: Processes, up: ScriptedUpstream, **sections: Any) -> None:
    write_config(processes.config, config({"first": proxy(up.url, "openai")}, **sections), {})


def text_of(events: list[Json]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


async def read(stream: Any, events: list[Json], words: int = 10**9) -> None:
    """Until so many words have come, or the stream is over."""
    async for event in stream:
        events.append(event.to_dict())
        if len(text_of(events).split()) >= words:
            return


async def test_a_killed_server_is_started_again_and_the_client_goes_on(
    processes: Processes, up: ScriptedUpstream, gpt: Callable[[Process], Any]
) -> None:
    configure(processes, up)
    gate = up.gate("ok")
    events: list[Json] = []
    async with asyncio.timeout(LONG_PATIENCE):
        server = await processes.serve("--worker-id", "one")
        stream = await gpt(server).responses.create(model="first/ok", input="Hello", background=True, stream=True)
        await gate.release(5)
        await read(stream, events, words=3)
        server.process.kill()
        await server.end()
        given = events[0]["response"]["id"]
        server = await processes.serve("--worker-id", "one")
        stream = await gpt(server).responses.retrieve(given, stream=True, starting_after=events[-1]["sequence_number"])
        await gate.open()
        await read(stream, events)
        found = await gpt(server).responses.retrieve(given)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert text_of(events) == ANSWER == found.output_text
    assert events[-1]["type"] == "response.completed"
    assert len(up.calls("ok")) == 2


async def test_a_killed_worker_is_replaced_while_the_client_listens_to_a_gateway(
    processes: Processes, up: ScriptedUpstream, gpt: Callable[[Process], Any]
) -> None:
    configure(processes, up)
    gate = up.gate("ok")
    events: list[Json] = []
    async with asyncio.timeout(LONG_PATIENCE):
        gateway = await processes.serve("--role", "gateway")
        first = await processes.can("serve", "--role", "worker", "--worker-id", "first", "--json")
        stream = await gpt(gateway).responses.create(model="first/ok", input="Hello", background=True, stream=True)
        await gate.release(5)
        await read(stream, events, words=3)
        first.process.kill()
        await first.end()
        await processes.can("serve", "--role", "worker", "--worker-id", "second", "--json")
        await gate.open()
        await read(stream, events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert text_of(events) == ANSWER
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == ANSWER
