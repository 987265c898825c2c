"""What becomes of tasks says how good the models' answers were."""

from typing import Any

from bare_http import fetch
from chittycan.testing.upstream import ScriptedUpstream
from serving import Serve, Served, proxy

MODELS = {"clerk": {"proxy": "first", "upstream": "json"}, "talker": {"proxy": "first", "upstream": "ok"}}


async def done(served: Served, **fields: Any) -> dict[str, Any]:
    body = {"prompt": "Is it risky?", "json": True, "retries": 0, **fields}
    task = (await served.fetch("POST", "/api/v1/tasks", body)).json["id"]
    while True:
        got = await fetch(served.port, "GET", f"/api/v1/tasks/{task}?wait=60", None, {})
        if got.json["status"] in ("done", "failed"):
            found: dict[str, Any] = got.json
            return found


async def words(served: Served) -> list[tuple[str | None, str, float]]:
    await served.ledger()
    found = (await served.fetch("GET", "/api/v1/feedback")).json
    return sorted((each["model"], each["source"], each["score"]) for each in found)


async def test_an_answer_in_the_shape_that_was_asked_for_is_checked(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")}, MODELS)
    await served.network.work()
    assert (await done(served, model="clerk"))["status"] == "done"
    assert (await done(served, model="talker", models=["talker"]))["status"] == "failed"
    assert await words(served) == [("clerk", "check", 1.0), ("talker", "check", 0.0)]


async def test_an_answer_after_which_a_person_tries_again_was_no_good(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")}, MODELS)
    await served.network.work()
    failed = await done(served, model="talker", models=["talker"])
    await served.ledger()
    assert (await served.fetch("POST", f"/api/v1/tasks/{failed['id']}/retry")).status == 200
    assert ("talker", "outcome", 0.0) in await words(served)
