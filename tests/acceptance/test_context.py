"""Calls that know their session's document and leave their answers in it, as official clients make them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from bare_http import fetch
from chittycan.app import Network
from chittycan.chat import TextDelta
from chittycan.clock import SystemClock
from chittycan.context.document import Author
from chittycan.context.labels import Label
from chittycan.context.sessions import Sessions
from chittycan.errors import NoPrivateModel
from chittycan.store.database import Database
from chittycan.testing import ANSWER
from chittycan.testing.upstream import ScriptedUpstream
from serving import DIALECTS, SURFACES, Processes, Serve, config, proxy, write_config

BOTH = {"x-chitty-session": "deal", "x-chitty-recall": "true", "x-chitty-record": "true"}


async def answers(network: Network, count: int, session: str = "deal") -> list[Any]:
    """The recorded answers, once there are so many."""
    found: list[Any] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            await asyncio.sleep(0.005)
            if any(each.session == session for each in await network.context.list()):
                found = (await network.context.retrieve(session)).document.get("answers", [])
    return found


def sent(up: ScriptedUpstream) -> str:
    """The last body that the provider got."""
    return up.requests[-1].body.decode()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_model_knows_the_document_and_the_document_its_answer(
    serve: Serve, up: ScriptedUpstream, surface: str, dialect: str, stream: bool
) -> None:
    served = await serve({"first": proxy(up.url, dialect)})
    await served.network.context.store("deal", {"client": "Acme Holding"})
    clients = served.clients()
    seen = await clients.ask(surface, "first/ok", stream=stream, extra_headers=BOTH)
    assert (seen.error, seen.text) == (None, ANSWER)
    assert "Acme Holding" in sent(up)
    assert "Acme Holding" not in seen.raw.decode()
    (kept,) = await answers(served.network, 1)
    assert (kept["text"], kept["model"]) == (ANSWER, "first/ok")
    assert kept["request"] == seen.headers["x-chitty-request-id"]
    again = await clients.ask(surface, "first/ok", stream=stream, extra_headers=BOTH)
    assert again.error is None
    assert sent(up).count(json.dumps(ANSWER)[1:20]) >= 1
    newest = (await served.network.context.history("deal"))[-2]
    assert (newest.by.kind, newest.by.name) == ("model", "first/ok")


async def test_a_client_asks_in_the_body_and_names_the_key(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")})
    await served.network.context.store("deal", {"client": "Acme"})
    await served.clients().gpt.chat.completions.create(
        model="first/ok", messages=[{"role": "user", "content": "Hello"}],
        extra_body={"chitty": {"session": "deal", "recall": True, "record": "advice", "task": "task-7"}},
    )  # fmt: skip
    await served.network.recall.close()
    found = await served.network.context.retrieve("deal")
    assert found.document == {"client": "Acme", "advice": ANSWER}
    assert (await served.network.context.history("deal"))[0].by == Author("model", "first/ok", "task-7")
    assert "chitty" not in json.loads(sent(up))


async def test_without_being_asked_for_nothing_is_recalled_or_recorded(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")})
    await served.network.context.store("deal", {"client": "Acme"})
    await served.chat("first/ok", headers={"x-chitty-session": "deal"})
    assert "Acme" not in sent(up)
    await served.network.recall.close()
    assert (await served.network.context.retrieve("deal")).version == 1


async def test_the_configuration_may_ask_for_every_session_and_a_call_stays_out(
    serve: Serve, up: ScriptedUpstream
) -> None:
    served = await serve({"first": proxy(up.url, "openai")}, context={"recall": True, "record": True, "tokens": 100})
    await served.network.context.store("deal", {"client": "Acme", "contract": "Whereas " * 5000})
    await served.chat("first/ok", headers={"x-chitty-session": "deal"})
    assert "Acme" in sent(up)
    assert len(sent(up)) < 1000
    await answers(served.network, 1)
    out = {"x-chitty-session": "deal", "x-chitty-recall": "false", "x-chitty-record": "no"}
    await served.chat("first/ok", headers=out)
    assert "Acme" not in sent(up)
    await served.chat("first/ok")
    assert "Acme" not in sent(up)
    assert len((await served.network.context.retrieve("deal")).document["answers"]) == 1


async def test_private_context_reaches_private_models_alone(serve: Serve, up: ScriptedUpstream) -> None:
    models = {
        "cloud": {"proxy": "first", "upstream": "ok"},
        "house": {"proxy": "first", "upstream": "ok-noprefill", "private": True},
    }
    served = await serve({"first": proxy(up.url, "openai")}, models)
    await served.network.context.store("deal", {"id": "DE89370400440532013000"}, labels={"id": Label("private")})
    seen = await served.clients().ask("openai", "cloud", stream=False, extra_headers=BOTH)
    assert (seen.headers["x-chitty-served-by"], seen.headers["x-chitty-label"]) == ("house", "private")
    assert [request.model for request in up.requests] == ["ok-noprefill"]
    await answers(served.network, 1)
    assert (await served.network.context.retrieve("deal")).labels["answers"] == Label("private")
    plain = await served.clients().ask("openai", "cloud", stream=False)
    assert plain.headers["x-chitty-served-by"] == "cloud"


async def test_private_context_goes_nowhere_where_no_model_is_private(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")})
    await served.network.context.store("deal", {"id": "secret"}, labels={"id": Label("private")})
    seen = await served.clients().ask("openai", "first/ok", stream=True, extra_headers=BOTH)
    assert isinstance(seen.error, openai.PermissionDeniedError)
    assert seen.detail["code"] == "privacy_no_model"
    assert up.requests == []
    with pytest.raises(NoPrivateModel):
        await served.network.ask("Hello", model="first/ok", session="deal", recall=True)


async def test_a_stream_that_another_model_finishes_is_recorded_whole(serve: Serve, up: ScriptedUpstream) -> None:
    models = {
        "asked": {"proxy": "first", "upstream": "s08-cut-middle"},
        "spare": {"proxy": "first", "upstream": "ok-noprefill"},
    }
    served = await serve({"first": proxy(up.url, "openai")}, models, {"asked": ["spare"]})
    seen = await served.clients().ask("openai", "asked", stream=True, extra_headers=BOTH)
    assert seen.text == ANSWER
    (kept,) = await answers(served.network, 1)
    assert (kept["text"], kept["model"]) == (ANSWER, "spare")


async def test_an_answer_that_broke_off_is_not_recorded(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")})
    seen = await served.clients().ask("openai", "first/s08-cut-middle", stream=True, extra_headers=BOTH)
    assert seen.error is not None or seen.finish is None
    refused = await served.clients().ask("openai", "first/400-bad-field", stream=False, extra_headers=BOTH)
    assert refused.error is not None
    await served.network.recall.close()
    assert await served.network.context.list() == []


async def test_callers_in_this_process_recall_and_record(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")})
    network = served.network
    await network.context.store("deal", {"client": "Acme"})
    answer = await network.ask("Hello", model="first/ok", session="deal", recall=True, record="whole")
    stream = await network.stream("Hello", model="first/ok", session="deal", recall=True, record="stream")
    text = "".join([event.text async for event in stream.events() if isinstance(event, TextDelta)])
    await network.recall.close()
    assert (await network.context.retrieve("deal")).document == {"client": "Acme", "whole": answer.text, "stream": text}
    assert all("Acme" in request.body.decode() for request in up.requests)


async def test_an_ensemble_recalls_once_and_records_its_one_answer(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")})
    await served.network.context.store("deal", {"client": "Acme"})
    found = await served.network.ensemble(
        "Hello", ["first/ok", "first/ok-noprefill"], mode="vote", session="deal", recall=True, record=True
    )
    (kept,) = await answers(served.network, 1)
    assert kept["text"] == found.text
    assert [request.body.decode().count("Acme") for request in up.requests] == [1, 1]


async def test_many_calls_at_once_lose_no_answer_and_no_other_write(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")}, context={"answers": 100})

    async def write(number: int) -> None:
        await served.network.context.update("deal", {f"note{number}": number})

    calls = [served.chat("first/ok", stream=bool(number % 2), headers=BOTH) for number in range(30)]
    await asyncio.gather(*calls, *map(write, range(30)))
    kept = await answers(served.network, 30)
    assert len({each["request"] for each in kept}) == 30
    document = (await served.network.context.retrieve("deal")).document
    assert {key for key in document if key.startswith("note")} == {f"note{number}" for number in range(30)}


async def test_a_key_recalls_no_other_keys_session(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")})
    await served.network.context.store("deal", {"client": "Acme"})
    seen = await served.clients(await served.key("app")).ask("openai", "first/ok", stream=False, extra_headers=BOTH)
    assert isinstance(seen.error, openai.PermissionDeniedError)
    assert seen.detail["code"] == "session_not_allowed"
    assert up.requests == []


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"x-chitty-recall": "true"}, "session"),
        ({"x-chitty-session": "deal", "x-chitty-recall": "perhaps"}, "x-chitty-recall"),
        ({"x-chitty-session": "deal", "x-chitty-record": "x" * 201}, "x-chitty-record"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(
    serve: Serve, up: ScriptedUpstream, headers: dict[str, str], param: str
) -> None:
    served = await serve({"first": proxy(up.url, "openai")})
    got = await served.chat("first/ok", headers=headers)
    assert (got.status, got.json["error"]["param"]) == (400, param)
    assert up.requests == []


async def test_an_answer_is_recorded_though_the_server_ends_at_once(processes: Processes, up: ScriptedUpstream) -> None:
    write_config(processes.config, config({"first": proxy(up.url, "openai")}), {})
    process = await processes.serve()
    body: Any = {"model": "first/ok", "messages": [{"role": "user", "content": "Hello"}]}
    assert (await fetch(process.port, "POST", "/v1/chat/completions", body, BOTH)).status == 200
    process.process.terminate()
    await process.end()
    database = Database(f"sqlite:///{processes.database}")
    found = await Sessions(database, SystemClock()).retrieve("deal")
    database.close()
    assert [each["text"] for each in found.document["answers"]] == [ANSWER]


async def test_a_network_that_ends_has_recorded_its_answers(up: ScriptedUpstream, tmp_path: Path) -> None:
    write_config(tmp_path / "config", config({"first": proxy(up.url, "openai")}), {})
    given: Any = {"config_folder": tmp_path / "config", "env": {"HOME": str(tmp_path)}, "look_around": False}
    async with Network(**given) as network:
        asked = (network.ask("Hello", model="first/ok", session="deal", record=True) for _ in range(5))
        await asyncio.gather(*asked)
    async with Network(**given) as network:
        assert len((await network.context.retrieve("deal")).document["answers"]) == 5
