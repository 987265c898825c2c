"""Webhooks as their receiver meets them: verified by OpenAI's own client, told once, whatever fails or dies."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.webhooks import BatchCompletedWebhookEvent, ResponseCompletedWebhookEvent

from bare_http import Json, fetch
from chittycan.integrations import webhooks
from chittycan.integrations.webhooks import new_secret
from chittycan.store.tasks import Wanted
from chittycan.testing import ANSWER
from chittycan.testing.upstream import ScriptedUpstream
from peers import OK, HttpPeer, Peer
from serving import PATIENCE, Process, Processes, Serve, Served, config, proxy, until, write_config

LONG_PATIENCE = 6 * PATIENCE  # processes start, and the dead are given a while
SECRET, OTHER = new_secret(), new_secret()
BROKEN = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"


async def told(peer: Peer, count: int, secret: str = SECRET) -> list[Any]:
    """What the receiver has been told, each verified, once there is so much."""
    async with asyncio.timeout(LONG_PATIENCE):
        while len(peer.requests) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    client = openai.OpenAI(api_key="any", webhook_secret=secret)
    assert len(peer.requests) == count
    return [client.webhooks.unwrap(body, headers) for headers, body in map(parts, peer.requests)]


def parts(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    return dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:]), body


def allowing(*peers: Peer) -> Json:
    """The section `outbound`."""
    return {"allow": [f"127.0.0.1:{peer.port}" for peer in peers], "webhookSecret": SECRET}


async def begin(serve: Serve, up: ScriptedUpstream, **sections: Any) -> Served:
    """A server that does durable work too."""
    served = await serve({"first": proxy(up.url, "openai")}, {"mine": {"proxy": "first", "upstream": "ok"}}, **sections)
    await served.network.work()
    return served


async def submit(served: Served | Process, key: str = "any", **fields: Any) -> str:
    body = {"prompt": "Is this risky?", "model": "mine", **fields}
    got = await fetch(served.port, "POST", "/api/v1/tasks", body, {"authorization": f"Bearer {key}"})
    assert got.status == 202, got.body
    found: str = got.json["id"]
    return found


async def deliveries(served: Served | Process, key: str = "any") -> list[Json]:
    got = await fetch(served.port, "GET", "/api/v1/tasks?type=deliver", None, {"authorization": f"Bearer {key}"})
    found: list[Json] = got.json["tasks"]
    return found


async def delivered(served: Served | Process) -> list[Json]:
    """The deliveries, once all of them are over."""
    async with asyncio.timeout(LONG_PATIENCE):
        while True:
            found = await deliveries(served)
            if not any(each["status"] in ("queued", "running") for each in found):
                return found
            await asyncio.sleep(0.05)


async def test_a_task_tells_its_webhook_once_however_often_it_fails(
    serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRIES", (0.01, 0.01, 0.01))
    peer = await http_peer(BROKEN, BROKEN, OK)
    served = await begin(serve, up, outbound=allowing(peer))
    task_id = await submit(served, webhook={"url": peer.url})
    events = await told(peer, 3)
    assert len({event.id for event in events}) == 1
    assert events[0].to_dict() == events[2].to_dict()
    event = events[2].to_dict()
    assert (event["object"], event["type"]) == ("event", "task.completed")
    assert event["data"].items() >= {"id": task_id, "status": "done", "type": "task", "model": "mine"}.items()
    assert ANSWER not in json.dumps(event)
    (delivery,) = await delivered(served)
    assert (delivery["status"], delivery["attempts"]) == ("done", 3)
    assert len(peer.requests) == 3


async def test_a_task_may_send_its_answer_along(serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer) -> None:
    peer = await http_peer()
    served = await begin(serve, up, outbound=allowing(peer))
    await submit(served, webhook={"url": peer.url, "result": True})
    (event,) = await told(peer, 1)
    assert event.to_dict()["data"]["result"]["text"] == ANSWER


async def test_a_delivery_that_failed_for_good_is_delivered_on_a_persons_word(
    serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer
) -> None:
    peer = await http_peer(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", OK)
    served = await begin(serve, up, outbound=allowing(peer))
    await submit(served, webhook={"url": peer.url})
    await told(peer, 1)
    (delivery,) = await delivered(served)
    assert (delivery["status"], delivery["error"]["code"]) == ("failed", "not_delivered")
    assert "wants no more" in delivery["error"]["message"]
    await served.fetch("POST", f"/api/v1/tasks/{delivery['id']}/retry")
    first, second = await told(peer, 2)
    assert first.id == second.id
    assert (await delivered(served))[0]["status"] == "done"


async def test_who_subscribed_is_told_of_what_it_asked_for(
    serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer
) -> None:
    every, batches = await http_peer(), await http_peer()
    hooks = [{"url": every.url, "secret": OTHER}, {"url": batches.url, "events": ["batch.*"], "secret": SECRET}]
    served = await begin(serve, up, webhooks=hooks)
    key = await served.key("clerk")
    task_id = await submit(served, key, title="The lease")
    (event,) = await told(every, 1, OTHER)
    data = event.to_dict()["data"]
    assert (event.type, data["id"], data["title"]) == ("task.completed", task_id, "The lease")
    assert "result" not in data
    assert not batches.requests
    assert await deliveries(served, key) == []  # whom the owner has told is none of the clerk's business
    assert len((await served.network.tasks.list(Wanted(types=("deliver",))))[0]) == 1


async def test_a_subscription_opens_its_address_for_webhooks_alone(
    serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer
) -> None:
    peer = await http_peer()
    served = await begin(serve, up, webhooks=[{"url": peer.url, "secret": OTHER, "events": ["workstream.failed"]}])
    recipe = {"name": "r", "steps": [{"id": "ask", "call": {"url": peer.url}}]}
    got = await served.fetch("POST", "/api/v1/workstreams", {"recipe": recipe})
    (event,) = await told(peer, 1, OTHER)
    data = event.to_dict()["data"]
    assert (event.type, data["id"], data["status"]) == ("workstream.failed", got.json["id"], "failed")
    assert "not on the list" in data["error"]["message"]


async def test_subscriptions_may_be_edited_while_it_runs(
    serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer
) -> None:
    peer, later = await http_peer(), await http_peer()
    served = await begin(serve, up)
    file = served.folder / "config.json"
    for hooks in (peer, later):
        written = json.loads(file.read_text()) | {"webhooks": [{"url": hooks.url, "secret": SECRET}]}
        file.write_text(json.dumps(written))
        await until(lambda hooks=hooks: [each.url for each in served.network.settings.webhooks] == [hooks.url])  # type: ignore[misc]
        await submit(served)
        await told(hooks, 1)
    assert len(peer.requests) == 1


async def test_a_background_response_is_an_event_of_openai(
    serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer
) -> None:
    own, every = await http_peer(), await http_peer()
    hooks = [{"url": every.url, "events": ["response.*", "task.*"]}]
    served = await begin(serve, up, outbound=allowing(own), webhooks=hooks)
    made = await served.clients().gpt.responses.create(
        model="mine", input="Hello", background=True, extra_headers={"x-chitty-webhook": own.url}
    )
    for peer in (own, every):
        (event,) = await told(peer, 1)
        assert isinstance(event, ResponseCompletedWebhookEvent)
        assert event.data.id == made.id
        assert event.to_dict()["data"] == {"id": made.id}
    assert len(await delivered(served)) == 2


async def test_a_batch_is_an_event_of_openai(serve: Serve, up: ScriptedUpstream, http_peer: HttpPeer) -> None:
    peer, every = await http_peer(), await http_peer()
    served = await begin(serve, up, outbound=allowing(peer), webhooks=[{"url": every.url}])
    gpt = served.clients().gpt
    body = {"model": "mine", "messages": [{"role": "user", "content": "Hello"}]}
    line = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body})
    ids = []
    for content in (line, "no line"):
        file = await gpt.files.create(file=("in.jsonl", content.encode()), purpose="batch")
        batch = await gpt.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h",
            extra_body={"chitty": {"webhook": {"url": peer.url}}},
        )  # fmt: skip
        ids.append(batch.id)
        (*_, event) = await told(peer, len(ids))
    completed, failed = await told(every, 2)
    assert isinstance(completed, BatchCompletedWebhookEvent)
    assert (completed.data.id, failed.type, failed.data.id) == (ids[0], "batch.failed", ids[1])
    assert event.type == "batch.failed"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/batches", "/v1/messages/batches"])
async def test_what_could_never_be_told_is_refused(serve: Serve, up: ScriptedUpstream, path: str) -> None:
    served = await begin(serve, up, outbound={"webhookSecret": SECRET})
    message = {"custom_id": "a", "params": {"model": "mine", "max_tokens": 9, "messages": []}}
    bodies: dict[str, Json] = {
        "/v1/responses": {"model": "mine", "input": "x", "background": True},
        "/v1/batches": {"input_file_id": "file-x", "endpoint": "/v1/responses", "completion_window": "24h"},
        "/v1/messages/batches": {"requests": [message]},
    }
    got = await served.fetch("POST", path, bodies[path], {"x-chitty-webhook": "https://elsewhere.example"})
    assert got.status == 403
    assert "not on the list" in got.body.decode()


async def test_a_delivery_outlives_its_worker(processes: Processes, up: ScriptedUpstream, http_peer: HttpPeer) -> None:
    reached, answers = asyncio.Event(), asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        reached.set()
        await answers.wait()

    peer = await http_peer(silent, OK)
    models = {"mine": {"proxy": "first", "upstream": "ok"}}
    sections = {"outbound": allowing(peer)}
    write_config(processes.config, config({"first": proxy(up.url, "openai")}, **sections), {"models": models})
    async with asyncio.timeout(LONG_PATIENCE):
        first = await processes.serve("--worker-id", "one")
        task_id = await submit(first, webhook={"url": peer.url})
        await reached.wait()
        first.process.kill()
        await first.end()
        second = await processes.serve("--worker-id", "one")
        events = await told(peer, 2)
        (delivery,) = await delivered(second)
    answers.set()
    assert len({event.id for event in events}) == 1
    assert events[1].to_dict()["data"]["id"] == task_id
    assert delivery["status"] == "done"
    assert len(up.requests) == 1
