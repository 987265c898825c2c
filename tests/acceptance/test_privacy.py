"""No byte of a private text reaches a model that is not private: canaries, looked for in the raw bytes at the sockets.

The canary is a card number of a processor's published test set beside a word that stands nowhere else.
"""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bare_http import Json
from chittycan.routing.rules.book import Rule
from chittycan.testing import Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from serving import Serve, Served, proxy

CANARY = "Zaunkoenig"
PRIVATE = f"{CANARY}: pay with 4242 4242 4242 4242"
TERM = "Projekt Blaumeise"


@pytest.fixture
async def house() -> AsyncIterator[ScriptedUpstream]:
    """The provider in the house; `up` is the one outside."""
    async with ScriptedUpstream() as upstream:
        yield upstream


async def office(serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream, **sections: object) -> Served:
    models: Json = {
        "strong": {"proxy": "cloud", "upstream": "strong"},
        "other": {"proxy": "cloud", "upstream": "other"},
        "own": {"proxy": "house", "upstream": "own", "private": True},
        "spare": {"proxy": "house", "upstream": "spare", "private": True},
    }
    for server, names in ((up, ("strong", "other")), (house, ("own", "spare"))):
        for name in names:
            server.script(name, [Scenario(does=f"{name} answers", reply=Reply(text=f"from {name}"))])
    return await serve(
        {"cloud": proxy(up.url, "openai"), "house": proxy(house.url, "openai", "sk-house")}, models,
        fallbacks={"strong": ["other"], "*": ["strong", "own"]},
        ensembles={"risk": {"models": ["strong", "other", "own", "spare"], "mode": "vote"}},
        privacy={"terms": [TERM]}, **sections,
    )  # fmt: skip


def leaked(up: ScriptedUpstream) -> bool:
    return any(CANARY.encode() in each.body for each in up.requests)


BODIES: dict[str, Json] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": PRIVATE}]},
    "/v1/responses": {"input": [{"role": "user", "content": [{"type": "input_text", "text": PRIVATE}]}]},
    "/v1/messages": {"max_tokens": 50, "system": PRIVATE, "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/completions": {"prompt": PRIVATE},
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["strong", "auto", "ensemble:risk"])
async def test_whatever_is_named_only_the_house_sees_it(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream, path: str, stream: bool, model: str
) -> None:
    served = await office(serve, up, house)
    got = await served.fetch("POST", path, {"model": model, "stream": stream, **BODIES[path]})
    assert got.status == 200
    assert got.headers["x-chitty-label"] == "private"
    assert house.requests
    assert not leaked(up)


async def test_an_outage_of_the_house_is_an_error_and_never_a_leak(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    served = await office(serve, up, house)
    for name in ("own", "spare"):
        house.script(name, ["s03-500"])
    got = await served.chat("strong", messages=[{"role": "user", "content": PRIVATE}])
    assert got.status >= 500
    assert not up.requests


async def test_a_fallback_stays_in_the_house(serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream) -> None:
    served = await office(serve, up, house)
    house.script("own", ["s03-500"])
    got = await served.chat("auto", messages=[{"role": "user", "content": PRIVATE}])
    assert got.headers["x-chitty-served-by"] == "spare"
    assert not leaked(up)


async def test_long_texts_tool_results_and_named_terms_count(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    served = await office(serve, up, house)
    long = "An ordinary sentence. " * 20_000 + PRIVATE
    tool = [
        {"role": "user", "content": "Look it up"},
        {"role": "assistant", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"found": PRIVATE})},
    ]  # fmt: skip
    for messages in ([{"role": "user", "content": long}], tool, [{"role": "user", "content": f"About {TERM}"}]):
        got = await served.chat("strong", messages=messages)
        assert (got.status, got.headers["x-chitty-served-by"]) == (200, "own")
    assert not up.requests


@pytest.mark.parametrize(
    "given", [{"name": "risk"}, {"models": ["strong", "own", "spare"]}], ids=["named", "as it is asked"]
)
async def test_a_rule_holds_for_an_ensemble_too(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream, given: Json
) -> None:
    served = await office(serve, up, house)
    await served.network.rules.create(Rule(id="", name="legal", condition="kind:legal", action="private"))
    asked = {"prompt": "An ordinary question", "mode": "vote", **given}
    got = await served.fetch("POST", "/api/v1/ensembles", {**asked, "kind": "legal"})
    assert (got.status, bool(house.requests), len(up.requests)) == (200, True, 0)
    await served.network.rules.create(Rule(id="", name="there", condition="kind:code", action="region:eu-west"))
    got = await served.fetch("POST", "/api/v1/ensembles", {**asked, "kind": "code"})
    assert (got.status >= 400, len(up.requests)) == (True, 0)  # nobody runs there


async def test_ordinary_prompts_go_where_they_are_sent(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    served = await office(serve, up, house)
    got = await served.chat("strong")
    assert got.headers["x-chitty-served-by"] == "strong"
    assert "x-chitty-label" not in got.headers


async def test_warned_of_only_the_header_and_the_ledger_say_so(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream
) -> None:
    up.script("strong", [Scenario(does="answers", reply=Reply(text="x"))])
    served = await serve({"cloud": proxy(up.url, "openai")}, {"strong": {"proxy": "cloud", "upstream": "strong"}})
    got = await served.chat("strong", messages=[{"role": "user", "content": PRIVATE}])
    assert (got.status, got.headers["x-chitty-label"]) == (200, "private")
    assert leaked(up)


async def test_private_texts_are_neither_in_logs_nor_in_the_database(
    serve: Serve, up: ScriptedUpstream, house: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served = await office(serve, up, house)
    for stream in (False, True):
        await served.chat("auto", stream=stream, messages=[{"role": "user", "content": PRIVATE}])
    await served.recorded(2)
    assert CANARY not in caplog.text
    found = await served.network.database.read(lambda c: c.execute(text("SELECT * FROM ledger")).all())
    assert len(found) == 2
    assert CANARY not in str(found)
    files = Path(str(served.network.database.url.database)).parent.glob("chitty.db*")
    assert not any(CANARY.encode() in file.read_bytes() for file in files)
