"""Work that is bound to a region: real workers of two regions on one database, and what reaches which provider."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bare_http import fetch
from chittycan.control.table import OPERATIONS
from chittycan.routing.rules.book import Rule
from chittycan.testing.upstream import ScriptedUpstream
from chittycan.workstreams.task import Task
from desks import Desk, wait_for
from serving import PATIENCE, Serve, config, proxy, write_config

CANARY = "Kaninchenzuchtverein Oberursel"


class Regions:
    """A desk in two regions, each with a model and a provider of its own."""

    def __init__(self, desk: Desk, eu: ScriptedUpstream, us: ScriptedUpstream) -> None:
        self.desk, self.eu, self.us = desk, eu, us
        proxies = {"one": proxy(eu.url, "openai", timeouts={}), "two": proxy(us.url, "openai", timeouts={})}
        models = {
            "eu-model": {"proxy": "one", "upstream": "ok", "regions": ["eu-west"]},
            "us-model": {"proxy": "two", "upstream": "ok", "regions": ["us-east"]},
        }
        fallbacks = {"*": ["us-model", "eu-model"], "eu-model": ["us-model"]}
        write_config(desk.processes.config, config(proxies), {"models": models, "fallbacks": fallbacks})

    async def submit(self, region: str | None, **more: Any) -> str:
        options = {} if region is None else {"region": region}
        task = Task(id="", model="auto", spec={"prompt": CANARY}, options=options, **more)
        return (await self.desk.durable.tasks.submit(task)).id

    def told(self, upstream: ScriptedUpstream) -> bool:
        return any(CANARY in json.dumps(each.json, ensure_ascii=False) for each in upstream.requests)


@pytest.fixture
async def regions(open_desk: Callable[[str], Desk], database_url: str, up: ScriptedUpstream) -> AsyncIterator[Regions]:
    async with ScriptedUpstream() as us:
        yield Regions(open_desk(database_url), up, us)


async def test_only_a_worker_of_its_region_takes_it_and_only_a_model_of_its_region_is_asked(regions: Regions) -> None:
    desk = regions.desk
    await desk.worker("america", "--region", "us-east")
    bound, free = await regions.submit("eu-west"), await regions.submit("us-east")
    (here,) = await desk.all([free], "done")
    assert here.worker == "america"
    assert (await desk.get(bound)).status == "queued"
    assert not regions.told(regions.eu)
    seen = len(regions.us.requests)
    await desk.worker("europe", "--region", "eu-west,eu-central")
    (there,) = await desk.all([bound], "done")
    assert (there.worker, there.served_by) == ("europe", "eu-model")
    assert len(regions.us.requests) == seen


async def test_what_a_dead_worker_of_the_region_was_at_waits_for_another_of_that_region(regions: Regions) -> None:
    desk = regions.desk
    gate = regions.eu.gate("ok")
    first = await desk.worker("first", "--region", "eu-west")
    await desk.worker("america", "--region", "us-east")
    bound = await regions.submit("eu-west")
    await regions.eu.received(1)
    first.process.kill()
    await first.end()
    probe = await regions.submit(None)  # by the time it is done, the other worker has looked around
    await desk.all([probe], "done")
    assert (await desk.get(bound)).worker == "first"
    await gate.open()
    await desk.worker("second", "--region", "eu-west")
    (done,) = await desk.all([bound], "done")
    assert done.worker == "second"


async def test_a_batch_is_worked_on_in_its_region(regions: Regions) -> None:
    desk = regions.desk
    server = await desk.processes.serve("--region", "us-east", CHITTY_DATABASE_URL=desk.url)
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions",
         "body": {"model": "auto", "messages": [{"role": "user", "content": CANARY}], **more}}
        for name, more in (("plain", {}), ("elsewhere", {"chitty": {"region": "us-east"}}))
    ]  # fmt: skip
    data = "\n".join(json.dumps(each, ensure_ascii=False) for each in lines).encode()
    file = await desk.durable.files.create(data, name="lines.jsonl", purpose="batch")
    made = await fetch(
        server.port, "POST", "/v1/batches", headers={"x-chitty-region": "eu-west"},
        body={"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    )  # fmt: skip
    assert made.status == 200, made.body
    probe = await regions.submit(None)
    await desk.all([probe], "done")
    us = len(regions.us.requests)

    async def batch() -> Any:
        return (await fetch(server.port, "GET", f"/v1/batches/{made.json['id']}")).json

    found = await batch()
    assert found["status"] == "validating"
    await desk.worker("europe", "--region", "eu-west")

    async def over() -> bool:
        nonlocal found
        found = await batch()
        return bool(found["status"] == "completed")

    await wait_for(over)
    assert found["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    wrong = (await fetch(server.port, "GET", f"/v1/files/{found['error_file_id']}/content")).body
    assert b"A line has the region of its batch" in wrong
    assert len(regions.us.requests) == us


async def test_a_line_that_a_rule_binds_waits_for_a_worker_of_its_region_and_the_others_do_not(
    regions: Regions,
) -> None:
    desk = regions.desk
    server = await desk.processes.serve("--region", "us-east", CHITTY_DATABASE_URL=desk.url)
    rule = {"name": "bound", "condition": "kind:legal", "action": "region:eu-west"}
    owner = {"authorization": f"Bearer {(desk.processes.database.parent / 'admin.key').read_text().strip()}"}
    assert (await fetch(server.port, "POST", "/api/v1/rules", headers=owner, body=rule)).status == 201
    lines = [
        {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions",
         "body": {"model": "auto", "messages": [{"role": "user", "content": CANARY if number % 2 else "Hello"}],
                  "chitty": {"kind": "legal" if number % 2 else "code"}}}
        for number in range(8)
    ]  # fmt: skip
    file = await desk.durable.files.create(
        "\n".join(map(json.dumps, lines)).encode(), name="lines.jsonl", purpose="batch"
    )
    made = await fetch(
        server.port, "POST", "/v1/batches",
        body={"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    )  # fmt: skip
    assert made.status == 200, made.body

    async def done(count: int) -> bool:
        found = (await fetch(server.port, "GET", f"/v1/batches/{made.json['id']}")).json
        return bool(found["request_counts"]["completed"] == count)

    await wait_for(lambda: done(4))
    assert not regions.told(regions.eu)
    await desk.worker("europe", "--region", "eu-west")
    await wait_for(lambda: done(8))
    assert regions.told(regions.eu)
    assert not regions.told(regions.us)


async def test_who_asks_is_told_which_worker_is_missing(regions: Regions) -> None:
    desk = regions.desk
    server = await desk.processes.serve("--region", "us-east", CHITTY_DATABASE_URL=desk.url)
    made = await fetch(server.port, "POST", "/api/v1/tasks", body={"prompt": "Hello", "region": "eu-west"})
    assert made.json["waiting_for"] == ("a worker of the region eu-west; none is running (can serve --region eu-west)")
    nowhere = await fetch(server.port, "POST", "/api/v1/tasks", body={"prompt": "Hello", "region": "mars"})
    assert nowhere.status == 400
    assert "not in region mars" in nowhere.json["error"]["message"]
    listed = await desk.processes.can("workers", "list", "--json", CHITTY_DATABASE_URL=desk.url)
    assert listed.process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        said = await listed.process.stdout.read()
        assert await listed.end() == 0
    assert [each["regions"] for each in json.loads(said)] == [["us-east"]]


async def test_a_region_that_cannot_be_is_refused(desk: Desk) -> None:
    process = await desk.start("one", "--region", "eu west!")
    async with asyncio.timeout(PATIENCE):
        assert await process.end() == 1
    assert "CHITTY_REGION" in process.said
    assert "names no regions" in " ".join(process.said.split())


# what rules bind


EU = {"model": "auto", "input": "My card is 4111 1111 1111 1111.", "background": True}


@pytest.mark.parametrize("redact", ["false", "true"])
async def test_a_background_response_is_bound_when_it_is_stored(
    serve: Serve, up: ScriptedUpstream, redact: str
) -> None:
    models = {"eu": {"proxy": "one", "upstream": "ok", "regions": ["eu-west"]}}
    served = await serve({"one": proxy(up.url, "openai")}, models, {"*": ["eu"]})
    await served.network.rules.create(Rule(id="", name="bound", condition="kind:legal", action="region:eu-west"))
    made = await fetch(
        served.port, "POST", "/v1/responses", headers={"x-chitty-kind": "legal", "x-chitty-redact": redact}, body=EU
    )
    assert made.status == 200, made.body
    assert (await served.network.tasks.get(made.json["id"])).region == "eu-west"


async def test_a_batch_is_bound_when_it_is_stored(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"one": proxy(up.url, "openai")}, {"any": {"proxy": "one", "upstream": "ok"}})
    network, asked = served.network, {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    await network.rules.create(Rule(id="", name="bound", condition="kind:legal", action="region:eu-west"))
    file = await network.durable.files.create(b"{}", name="lines.jsonl", purpose="batch")
    asked["input_file_id"] = file.id
    for region, status in ((None, 200), ("eu-west", 200), ("us-east", 403)):
        headers = {"x-chitty-kind": "legal"} | ({"x-chitty-region": region} if region else {})
        made = await fetch(served.port, "POST", "/v1/batches", headers=headers, body=asked)
        assert made.status == status, made.body
        if status == 200:
            assert (await network.durable.batches.get(made.json["id"])).region == "eu-west"


async def test_a_rule_knows_keys_by_their_names_whatever_they_ask_for(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"one": proxy(up.url, "openai")}, {"any": {"proxy": "one", "upstream": "ok"}})
    network = served.network
    await network.rules.create(Rule(id="", name="bound", condition="key:partner", action="region:eu-west"))
    await served.key("partner")
    key = next(each.id for each in await network.keys.list() if each.name == "partner")
    await network.durable.engine.prepare()
    task = await network.tasks.submit("Hello", key_id=key)
    other = await network.tasks.submit("Hello")
    assert (task.region, other.region) == ("eu-west", None)
    tried = next(each for each in OPERATIONS if each.name == "rules_tried")
    hits = (await tried(network, of="tasks")).hits
    assert [each.id for each in hits] == [task.id]
