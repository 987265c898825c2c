"""Workstreams as a program meets them over HTTP, from the first step to the last; what a key may."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from bare_http import Got
from chittycan.testing.upstream import ScriptedUpstream
from serving import PATIENCE, Serve, Served, proxy

Json = dict[str, Any]
LETTER = """
name: letter
description: A letter, once somebody likes it
inputs: {who: text}
steps:
  - {id: draft, title: The draft, task: "Write to ${inputs.who}", model: mine}
  - {id: decision, approval: {title: "Send it?", show: {letter: "${draft.text}"}, edit: true, who: [lawyer]}}
  - {id: again, task: "Once more: ${decision.values.letter}", model: mine}
outputs: {letter: "${decision.values.letter}", by: "${decision.by}"}
"""
NEWS = """
name: news
steps:
  - {id: paid, wait: {event: paid}}
  - {id: signed, wait: {webhook: true}}
outputs: {amount: "${paid.json.amount}", by: "${signed.json.by}"}
"""


@pytest.fixture
async def served(serve: Serve, up: ScriptedUpstream) -> Served:
    """A server without a worker."""
    return await serve({"first": proxy(up.url, "openai")}, {"mine": {"proxy": "first", "upstream": "ok"}})


@pytest.fixture
async def working(served: Served) -> Served:
    """A server that does the work too."""
    await served.network.work()
    return served


class Client:
    """A program that runs workstreams."""

    def __init__(self, served: Served, key: str | None = None) -> None:
        self._served = served
        self._headers = {} if key is None else {"authorization": f"Bearer {key}"}

    async def ask(self, method: str, path: str, body: Json | None = None, headers: Mapping[str, str] = {}) -> Got:
        return await self._served.fetch(method, f"/api/v1{path}", body, {**self._headers, **headers})

    async def good(self, method: str, path: str, body: Json | None = None) -> Any:
        got = await self.ask(method, path, body)
        assert got.status in (200, 202), got.body
        return msgspec.json.decode(got.body)

    async def error(self, method: str, path: str, body: Json | None = None) -> tuple[int, str, str | None]:
        said = msgspec.json.decode((got := await self.ask(method, path, body)).body)["error"]
        return got.status, said["code"], said.get("param")

    async def run(self, recipe: str | Json, **more: Any) -> str:
        found: str = (await self.good("POST", "/workstreams", {"recipe": recipe, **more}))["id"]
        return found

    async def when(self, workstream: str, holds: Any) -> Any:
        """The workstream once that is so."""
        async with asyncio.timeout(PATIENCE):
            while not holds(found := await self.good("GET", f"/workstreams/{workstream}")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return found

    async def ended(self, workstream: str) -> Any:
        return await self.when(workstream, lambda found: found["ended"] is not None)


def waits(found: Any) -> bool:
    return bool(found["waiting"])


async def test_a_recipe_runs_from_its_text_to_its_outputs(working: Served) -> None:
    client = Client(working)
    id_ = await client.run(LETTER, inputs={"who": "Ann"})
    found = await client.when(id_, waits)
    assert (found["status"], found["over"], found["total"], found["description"]) == (
        "running", 1, 3, "A letter, once somebody likes it")  # fmt: skip
    draft, decision, again = found["steps"]
    assert (draft["title"], draft["status"], draft["model"], draft["task"]) == (
        "The draft", "done", "mine", f"{id_}.draft")  # fmt: skip
    assert (again["status"], again["task"], decision["type"]) == ("pending", None, "approval")
    [asked] = found["waiting"]
    assert (asked["path"], asked["title"], asked["edit"], asked["who"]) == ("decision", "Send it?", True, ["lawyer"])
    await client.good(
        "POST", f"/workstreams/{id_}/approve", {"values": {"letter": "Dear Ann"}, "by": "Eva", "task": "decision"}
    )
    found = await client.ended(id_)
    assert found["outputs"] == {"letter": "Dear Ann", "by": "Eva"}
    [row] = (await client.good("GET", "/workstreams?status=done"))["workstreams"]
    assert (row["id"], row["name"], row["tasks"]) == (id_, "letter", {"done": 3})
    fork = await client.good("POST", f"/workstreams/{id_}/fork", {"from_step": "decision"})
    assert (fork["forked_from"], fork["over"]) == (id_, 1)


async def test_events_and_webhooks_bring_values(working: Served) -> None:
    client = Client(working)
    id_ = await client.run(NEWS)
    found = await client.when(id_, waits)
    assert (found["waiting"][0]["type"], found["waiting"][0]["event"]) == ("event", "paid")
    assert (await client.good("POST", f"/workstreams/{id_}/events/paid", {"amount": 7}))["waited"]
    found = await client.when(id_, lambda found: found["waiting"] and found["waiting"][0]["type"] == "webhook")
    path = found["waiting"][0]["url"].partition("/api/v1")[2]
    await working.key()  # from now on the server wants keys; the address is one
    assert (await client.ask("GET", f"/workstreams/{id_}")).status == 401
    assert (await client.error("POST", path + "x", {}))[0] == 404
    assert (await client.good("POST", path, {"by": "Ann"})) == {"waited": True}
    assert (await client.error("POST", path, {"by": "Bob"}))[0] == 404
    stream = await working.network.workstreams.wait(id_, timeout=PATIENCE * 20)
    assert stream.outputs == {"amount": 7, "by": "Ann"}


async def test_turning_it(served: Served) -> None:
    client = Client(served)
    id_ = await client.run(LETTER, inputs={"who": "Ann"})
    assert (await client.good("POST", f"/workstreams/{id_}/pause"))["status"] == "paused"
    assert (await client.good("POST", f"/workstreams/{id_}/resume"))["status"] == "running"
    cancelled = await client.good("POST", f"/workstreams/{id_}/cancel", {"reason": "wrong Ann"})
    assert (cancelled["status"], cancelled["error"]) == ("cancelled", "wrong Ann")
    again = await client.good("POST", f"/workstreams/{id_}/resume", {"budget_usd": 3})
    assert (again["status"], again["budget_usd"]) == ("running", 3)
    assert (await client.error("POST", f"/workstreams/{id_}/reject"))[0] == 400
    assert await client.error("POST", f"/workstreams/{id_}/resume", {"budget_usd": 0}) == (
        400, "invalid_request", "budget_usd")  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"recipe": "name: x\nsteps: []"}, 400, "recipe"),
        ({"recipe": "/etc/passwd"}, 404, "recipe"),
        ({"recipe": "../recipes/x.py"}, 404, "recipe"),
        ({"recipe": LETTER}, 400, "inputs.who"),
        ({"recipe": LETTER, "inputs": {"who": "x"}, "webhook": {"url": "x"}}, 400, "webhook.url"),
        ({"recipe": LETTER, "inputs": {"who": "x"}, "priority": 101}, 400, "priority"),
        ({"recipe": LETTER, "inputs": {"who": "x"}, "session": "a/b"}, 400, "session"),
        ({"recipe": LETTER, "imputs": {}}, 400, "imputs"),
        ({"recipe": {"name": "f", "inputs": {"f": "file"}, "steps": [{"id": "a", "task": "x"}]},
          "inputs": {"f": "/etc/passwd"}}, 400, "inputs"),
    ],
)  # fmt: skip
async def test_what_cannot_run_is_refused(served: Served, body: Json, status: int, param: str | None) -> None:
    client = Client(served)
    said = await client.error("POST", "/workstreams", body)
    assert (said[0], said[2]) == (status, param)
    assert (await client.good("GET", "/workstreams"))["workstreams"] == []


async def test_a_wrong_recipe_is_answered_with_every_line(served: Served) -> None:
    got = await Client(served).ask("POST", "/workstreams", {"recipe": "name: x\nsteps:\n  - {id: a, task: '${b}'}"})
    assert got.status == 400
    assert "recipe:3" in msgspec.json.decode(got.body)["error"]["message"]


async def test_an_idempotency_key_may_be_a_header(served: Served) -> None:
    client = Client(served)
    body = {"recipe": LETTER, "inputs": {"who": "Ann"}}
    first, again = [
        msgspec.json.decode((await client.ask("POST", "/workstreams", body, {"idempotency-key": "k"})).body)["id"]
        for _ in range(2)
    ]
    assert first == again


async def test_a_key_sees_its_own_and_decides_where_it_is_named(working: Served) -> None:
    lawyer, intern = [Client(working, await working.key(name)) for name in ("lawyer", "intern")]
    mine = await lawyer.run(LETTER, inputs={"who": "Ann"})
    theirs = await intern.run(LETTER, inputs={"who": "Ann"})
    assert [row["id"] for row in (await lawyer.good("GET", "/workstreams"))["workstreams"]] == [mine]
    assert (await lawyer.ask("GET", f"/workstreams/{theirs}")).status == 404
    assert (await lawyer.ask("POST", f"/workstreams/{theirs}/cancel")).status == 404
    await lawyer.when(mine, waits)
    await intern.when(theirs, waits)
    assert (await intern.error("POST", f"/workstreams/{theirs}/approve", {"by": "lawyer"}))[:2] == (
        403, "decision_not_allowed")  # fmt: skip
    await lawyer.good("POST", f"/workstreams/{mine}/approve")
    assert (await lawyer.ended(mine))["outputs"]["by"] == "lawyer"


async def test_a_key_for_other_routes_runs_nothing(served: Served) -> None:
    client = Client(served, await served.key("chat", routes=("chat",)))
    assert (await client.error("POST", "/workstreams", {"recipe": LETTER}))[:2] == (403, "route_not_allowed")
