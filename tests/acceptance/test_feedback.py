"""People say how good an answer was, over HTTP."""

from typing import Any

from bare_http import Got
from chittycan.testing.upstream import ScriptedUpstream
from serving import Serve, Served, proxy


async def served(serve: Serve, up: ScriptedUpstream) -> Served:
    return await serve({"one": proxy(up.url, "openai")}, {"big": {"proxy": "one", "upstream": "ok"}})


async def say(office: Served, key: str | None = None, **fields: Any) -> Got:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return await office.fetch("POST", "/api/v1/feedback", fields, headers)


async def test_a_word_on_an_answer_is_kept_and_the_latest_counts(serve: Serve, up: ScriptedUpstream) -> None:
    office = await served(serve, up)
    answer = await office.chat("big", headers={"x-chitty-kind": "code"})
    request = answer.headers["x-chitty-request-id"]
    assert (await say(office, request_id=request, thumbs="down", comment="wrong")).json["score"] == 0.0
    said = (await say(office, request_id=request, score=0.8)).json
    assert (said["score"], said["model"], said["kind"], said["source"]) == (0.8, "big", "code", "person")
    listed = (await office.fetch("GET", "/api/v1/feedback")).json
    assert [(row["request_id"], row["score"]) for row in listed] == [(request, 0.8)]


async def test_last_is_the_newest_answer(serve: Serve, up: ScriptedUpstream) -> None:
    office = await served(serve, up)
    await office.chat("big")
    newest = (await office.chat("big")).headers["x-chitty-request-id"]
    assert (await say(office, request_id="last", thumbs="up")).json["request_id"] == newest


async def test_what_makes_no_sense_is_refused_with_the_field(serve: Serve, up: ScriptedUpstream) -> None:
    office = await served(serve, up)
    request = (await office.chat("big")).headers["x-chitty-request-id"]
    for wrong in ({}, {"score": 1.5}, {"score": -0.1}, {"score": 0.5, "thumbs": "up"}):
        refused = await say(office, request_id=request, **wrong)
        assert (refused.status, refused.json["error"]["param"]) == (400, "score")
    assert (await say(office, request_id=request, score=1, comment="x" * 3_000)).json["error"]["param"] == "comment"
    unknown = await say(office, request_id="req_nobody", score=1)
    assert (unknown.status, unknown.json["error"]["param"]) == (404, "request_id")
    assert (await say(office, request_id="last", score=1)).status == 200


async def test_a_key_speaks_only_of_its_own_requests(serve: Serve, up: ScriptedUpstream) -> None:
    office = await served(serve, up)
    mine, others = await office.key("mine"), await office.key("others")
    headers = {"authorization": f"Bearer {mine}"}
    request = (await office.chat("big", headers=headers)).headers["x-chitty-request-id"]
    assert (await say(office, others, request_id=request, score=0)).status == 404
    assert (await say(office, others, request_id="last", score=0)).status == 404
    assert (await say(office, mine, request_id=request, score=1)).status == 200
    listed = await office.fetch("GET", "/api/v1/feedback", headers={"authorization": f"Bearer {others}"})
    assert listed.json == []
