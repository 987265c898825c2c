"""Work that is submitted over HTTP and answered by a model, as the person who walks away and comes back meets it."""

import base64
from typing import Any

import msgspec

from bare_http import Json, fetch
from chittycan.testing import ANSWER
from chittycan.testing.upstream import ScriptedUpstream
from serving import Process, Processes, Serve, Served, config, proxy, until, write_config

DEAR = {"dear": {"proxy": "first", "upstream": "ok", "price": {"input": 1000, "output": 2000}}}


async def submit(served: Served | Process, key: str = "any", **fields: Any) -> str:
    body = {"prompt": "Is this contract risky?", **fields}
    got = await fetch(served.port, "POST", "/api/v1/tasks", body, {"authorization": f"Bearer {key}"})
    assert got.status == 202, got.body
    found: str = got.json["id"]
    return found


async def ended(served: Served | Process, task: str, key: str = "any") -> Json:
    """The task, once it has ended."""
    for _ in range(5):
        path = f"/api/v1/tasks/{task}?wait=60"
        got = await fetch(served.port, "GET", path, None, {"authorization": f"Bearer {key}"})
        assert got.status == 200, got.body
        if got.json["status"] in ("done", "failed", "cancelled"):
            break
    found: Json = got.json
    return found


async def test_a_submitted_task_is_answered_and_its_cost_is_known(processes: Processes, up: ScriptedUpstream) -> None:
    write_config(processes.config, config({"first": proxy(up.url, "openai")}), {"models": DEAR})
    server = await processes.serve()
    note = {"name": "note.txt", "data": base64.b64encode(b"The rent is 900 euros.").decode()}
    first = await submit(server, model="dear", kind="contract.review", files=[note], system="Be brief.")
    last = await submit(server, model="dear", after=[first])
    done = await ended(server, last)
    assert (done["status"], done["attempts"], done["result"]["text"]) == ("done", 1, ANSWER)
    before = await ended(server, first)
    usage = 17 * 1000 + len(ANSWER.split()) * 2000  # of a million
    assert before["result"].items() >= {"text": ANSWER, "model": "dear", "cost_usd": usage / 1e6}.items()
    sent = up.requests[0].body.decode()
    assert "Be brief." in sent
    assert "The rent is 900 euros." in sent
    assert len(up.requests) == 2


async def test_a_keys_tasks_are_answered_and_paid_by_the_key(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")}, DEAR)
    await served.network.work()
    key = await served.key("clerk", budget="100/day", models=("dear",), kinds=("contract.review",))
    done = await ended(served, await submit(served, key, model="dear", kind="contract.review"), key)
    assert done["status"] == "done", done
    assert done["result"]["text"] == ANSWER
    (row,) = await served.recorded(1)
    (clerk,) = await served.network.keys.list()
    assert (row["key_id"], row["kind"]) == (clerk.id, "contract.review")
    assert row["cost_nano"] == round(done["result"]["cost_usd"] * 1e9)


async def test_a_task_answers_in_the_shape_that_was_asked_for(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")}, {"clerk": {"proxy": "first", "upstream": "json"}})
    await served.network.work()
    done = await ended(served, await submit(served, model="clerk", json=True))
    assert done["status"] == "done", done
    assert done["result"]["json"] == msgspec.json.decode(done["result"]["text"])


async def test_a_callers_fault_fails_at_once_and_says_why(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve(
        {"first": proxy(up.url, "openai")}, {"strict": {"proxy": "first", "upstream": "400-bad-field"}}
    )
    await served.network.work()
    failed = await ended(served, await submit(served, model="strict", models=["strict"], retries=3))
    assert (failed["status"], failed["attempts"]) == ("failed", 1)
    assert failed["error"]["message"]
    assert "result" not in failed


async def test_what_runs_is_stopped_when_it_is_cancelled(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve(
        {"first": proxy(up.url, "openai", timeouts={})}, {"mute": {"proxy": "first", "upstream": "s04-hang"}}
    )
    await served.network.work()
    task = await submit(served, model="mute", models=["mute"])
    await up.received(1)
    got = await served.fetch("POST", f"/api/v1/tasks/{task}/cancel")
    assert got.json["status"] == "cancelled"
    runner = served.network.durable.runner
    assert runner is not None
    await until(lambda: runner.busy == 0)
    assert (await ended(served, task))["status"] == "cancelled"
