"""Tasks as a program meets them over HTTP; what a key may, and whose tasks it sees."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from bare_http import Got
from chittycan.testing.upstream import ScriptedUpstream
from chittycan.workstreams.task import Task
from serving import Serve, Served, proxy

Json = dict[str, Any]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def body(got: Got) -> Any:
    return msgspec.json.decode(got.body)


def error(got: Got) -> tuple[int, str | None, str | None]:
    said = body(got)["error"]
    return got.status, said["code"], said.get("param")


@pytest.fixture
async def served(serve: Serve, up: ScriptedUpstream) -> Served:
    """A server without a worker."""
    hooks = {"allow": ["example.org"], "webhookSecret": "env:HOOKS"}
    models = {"mine": {"proxy": "first", "upstream": "ok"}}
    return await serve({"first": proxy(up.url, "openai")}, models, outbound=hooks)


async def submit(served: Served, headers: Mapping[str, str] = {}, **fields: Any) -> Got:
    return await served.fetch("POST", "/api/v1/tasks", {"prompt": "Say hi", **fields}, headers)


async def get(served: Served, path: str, headers: Mapping[str, str] = {}) -> Any:
    got = await served.fetch("GET", f"/api/v1/tasks{path}", None, headers)
    assert got.status == 200, got.body
    return body(got)


async def submitted(served: Served, **fields: Any) -> str:
    got = await submit(served, **fields)
    assert got.status == 202, got.body
    found: str = body(got)["id"]
    return found


# submitting


async def test_a_submitted_task_is_accepted_and_says_what_it_waits_for(served: Served) -> None:
    got = await submit(served, kind="code.review", deadline="24h", priority=3, session="deal")
    made = body(got)
    assert (got.status, made["status"], made["waiting_for"]) == (202, "queued", "a worker; none is running")
    shown = await get(served, f"/{made['id']}")
    assert shown.items() >= {
        "id": made["id"], "status": "queued", "type": "task", "kind": "code.review", "session": "deal",
        "title": "Say hi", "prompt": "Say hi", "priority": 3, "attempts": 0, "since": shown["created"],
    }.items()  # fmt: skip
    assert shown["deadline"] == pytest.approx(shown["created"] + 86_400, abs=5)
    assert not {"result", "error", "workstream", "question"} & set(shown)


async def test_a_task_for_later_waits_for_its_time(served: Served) -> None:
    day = datetime.now(UTC) + timedelta(days=2)
    made = body(await submit(served, at=f"{day:%Y-%m-%d}T09:00+01:00"))
    assert (made["status"], made["waiting_for"]) == ("queued", f"its time, {day:%Y-%m-%d} 08:00 UTC")


async def test_every_field_arrives(served: Served) -> None:
    task_id = await submitted(
        served, system="Be brief.", schema={"type": "object"}, json=True, max_tokens=9, private=False, store="x",
        session="deal", models=["mine"], max_cost_usd=0.5, retries=2, webhook={"url": "https://example.org"},
        files=[{"name": "a.txt", "data": base64.b64encode(b"abc").decode()}], model="mine", title="T", at="1h",
    )  # fmt: skip
    task = await served.network.tasks.get(task_id)
    file = task.spec["files"][0]
    assert task.spec == {
        "prompt": "Say hi", "system": "Be brief.", "schema": {"type": "object"}, "json": True, "max_tokens": 9,
        "files": [{"name": "a.txt", "id": file["id"]}],
    }  # fmt: skip
    assert await served.network.durable.files.read(file["id"]) == b"abc"
    assert (task.retries, task.store, task.model, task.title) == (2, "x", "mine", "T")
    assert task.webhook == {"url": "https://example.org"}


async def test_messages_take_the_place_of_a_prompt(served: Served) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Look"}]}]
    got = await served.fetch("POST", "/api/v1/tasks", {"messages": messages})
    shown = await get(served, f"/{body(got)['id']}")
    assert (got.status, shown["prompt"]) == (202, "Look")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt": ""}, (400, "invalid_request", "prompt")),
        ({"colour": "red"}, (400, "invalid_request", "colour")),
        ({"deadline": "soon"}, (400, "invalid_request", "deadline")),
        ({"priority": 1000}, (400, "invalid_request", "priority")),
        ({"after": ["task_none"]}, (404, "not_found", "after")),
        ({"files": ["file-none"]}, (400, "invalid_request", "files")),
        ({"files": ["/etc/passwd"]}, (400, "invalid_request", "files[0]")),
        ({"model": "gpt-unheard-of"}, (404, "model_not_found", "model")),
        ({"facts": {"brnch": "main"}}, (400, "invalid_request", "facts")),
        ({"private": True}, (403, "privacy_no_model", None)),
    ],
)
async def test_what_can_never_go_well_is_refused_at_once(served: Served, fields: Json, said: Any) -> None:
    assert error(await submit(served, **fields)) == said
    assert (await get(served, ""))["tasks"] == []


async def test_the_same_idempotency_key_is_the_same_task(served: Served) -> None:
    one = await submitted(served, idempotency_key="k")
    assert await submitted(served, headers={"Idempotency-Key": "k"}) == one
    assert error(await submit(served, idempotency_key="k", model="mine")) == (400, "invalid_request", "idempotency_key")


# keys


async def test_a_key_sees_and_touches_its_own_alone(served: Served) -> None:
    one, other = bearer(await served.key("one")), bearer(await served.key("other"))
    mine = await submitted(served, headers=one)
    assert [task["id"] for task in (await get(served, "", one))["tasks"]] == [mine]
    assert (await get(served, "", other))["tasks"] == []
    for method, what in (("GET", ""), ("GET", "?wait=1"), ("POST", "/cancel"), ("POST", "/retry"), ("POST", "/reject")):
        got = await served.fetch(method, f"/api/v1/tasks/{mine}{what}", None, other)
        assert error(got)[:2] == (404, "not_found")
    assert error(await submit(served, headers=other, after=[mine]))[0] == 404
    assert (await served.network.tasks.get(mine)).status == "queued"


@pytest.mark.parametrize(
    ("limits", "fields", "code"),
    [
        ({"models": ("mine",)}, {"model": "first/ok"}, "model_not_allowed"),
        ({"models": ("mine",)}, {"models": ["first/ok"]}, "model_not_allowed"),
        ({"kinds": ("code.review",)}, {"kind": "email.triage"}, "kind_not_allowed"),
        ({"kinds": ("code.review",)}, {}, "kind_not_allowed"),
        ({"routes": ("openai",)}, {}, "route_not_allowed"),
    ],
)
async def test_what_a_key_is_not_for_is_forbidden(served: Served, limits: Json, fields: Json, code: str) -> None:
    key = bearer(await served.key(**limits))
    assert error(await submit(served, headers=key, **fields))[:2] == (403, code)


async def test_what_a_key_is_for_is_taken(served: Served) -> None:
    key = bearer(await served.key(models=("mine",), kinds=("code.review",), routes=("tasks",)))
    await submitted(served, headers=key, model="mine", kind="code.review")


async def test_somebody_elses_session_is_forbidden(served: Served) -> None:
    await served.network.context.store("deal", {"client": "Acme"})
    key = bearer(await served.key())
    assert error(await submit(served, headers=key, session="deal"))[:2] == (403, "session_not_allowed")
    await submitted(served, headers=key, session="another")


# looking


async def test_a_list_is_filtered_and_paged(served: Served) -> None:
    ids = [await submitted(served, kind=kind) for kind in ("a", "b", "a", "a")]
    await served.fetch("POST", f"/api/v1/tasks/{ids[0]}/cancel")
    page = await get(served, "?kind=a&limit=2")
    assert [task["id"] for task in page["tasks"]] == [ids[3], ids[2]]
    last = await get(served, f"?kind=a&limit=2&cursor={page['cursor']}")
    assert ([task["id"] for task in last["tasks"]], last["cursor"]) == ([ids[0]], None)
    two = await get(served, "?status=cancelled&status=queued&kind=b")
    assert [task["id"] for task in two["tasks"]] == [ids[1]]
    assert (await get(served, "?status=done"))["tasks"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "status=asleep", "cursor=x"])
async def test_a_wrong_filter_is_named(served: Served, query: str) -> None:
    got = await served.fetch("GET", f"/api/v1/tasks?{query}")
    assert got.status == 400
    assert str(error(got)[2]).startswith(query.partition("=")[0])


async def test_the_webhooks_deliveries_are_listed_only_where_asked_for(served: Served) -> None:
    task_id = await submitted(served, webhook={"url": "https://example.org"})
    await served.network.tasks.cancel(task_id)
    assert [task["id"] for task in (await get(served, ""))["tasks"]] == [task_id]
    (delivery,) = (await get(served, "?type=deliver"))["tasks"]
    assert delivery["title"] == f"tell example.org: task.cancelled of {task_id}"
    await served.network.tasks.cancel(delivery["id"])
    assert (await get(served, "?status=failed"))["tasks"] == []


async def test_a_delivery_that_failed_is_listed_among_what_failed(served: Served) -> None:
    task_id = await submitted(served, webhook={"url": "https://example.org"})
    await served.network.tasks.cancel(task_id)
    (delivery,) = (await get(served, "?type=deliver"))["tasks"]
    recorder, database = served.network.durable.recorder, served.network.database
    task = await served.network.tasks.get(delivery["id"])
    await database.run(lambda connection: recorder.end(connection, task, "failed", error={"code": "not_delivered"}))
    assert [each["id"] for each in (await get(served, "?status=failed"))["tasks"]] == [task.id]
    got = await served.fetch("POST", f"/api/v1/tasks/{task.id}/retry")
    assert body(got)["status"] == "queued"
    assert len((await get(served, "?type=deliver"))["tasks"]) == 1  # nobody is told of what only tells


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        ({"url": "https://elsewhere.org"}, (403, "forbidden", None)),
        ({"url": "http://example.org"}, (403, "forbidden", None)),
        ({"url": "https://a:b@example.org"}, (400, "invalid_request", "url")),
        ({"url": "https://example.org", "result": "all"}, (400, "invalid_request", "webhook.result")),
    ],
)
async def test_a_webhook_that_could_never_be_told_is_refused(
    served: Served, webhook: Any, said: tuple[int, str, str | None]
) -> None:
    assert error(await submit(served, webhook=webhook)) == said
    assert (await get(served, ""))["tasks"] == []


async def test_a_webhook_without_a_secret_is_refused(serve: Serve, up: ScriptedUpstream) -> None:
    served = await serve({"first": proxy(up.url, "openai")}, outbound={"allow": ["example.org"]})
    got = await submit(served, webhook={"url": "https://example.org"})
    assert got.status == 403
    assert "outbound.webhookSecret" in body(got)["error"]["fix"]


async def test_waiting_ends_when_its_time_is_up(served: Served) -> None:
    task_id = await submitted(served)
    assert (await get(served, f"/{task_id}?wait=0.1"))["status"] == "queued"
    got = await served.fetch("GET", f"/api/v1/tasks/{task_id}?wait=-1")
    assert error(got) == (400, "invalid_request", "wait")


async def test_cancelling_and_retrying(served: Served) -> None:
    task_id = await submitted(served)
    got = await served.fetch("POST", f"/api/v1/tasks/{task_id}/cancel", {"reason": "too late"})
    assert body(got)["error"] == {"code": "cancelled", "message": "too late"}
    assert body(await served.fetch("POST", f"/api/v1/tasks/{task_id}/retry"))["status"] == "queued"
    assert error(await served.fetch("POST", f"/api/v1/tasks/{task_id}/retry"))[0] == 400


# deciding


async def approval(served: Served, **spec: Any) -> str:
    spec = {"title": "Send it?", "show": {"letter": "Dear"}, "edit": True, **spec}
    return (await served.network.tasks.submit(Task(id="", type="approval", spec=spec))).id


async def decide(served: Served, task: str, what: str, headers: Mapping[str, str] = {}, **fields: Any) -> Got:
    return await served.fetch("POST", f"/api/v1/tasks/{task}/{what}", fields, headers)


async def test_the_owner_approves_with_changes(served: Served) -> None:
    got = await decide(served, await approval(served), "approve", comment="Fine", values={"letter": "Dear Sir"})
    decided = {"decision": "approved", "by": "owner", "comment": "Fine", "values": {"letter": "Dear Sir"}}
    assert (got.status, body(got)["answer"]) == (200, decided)


async def test_a_rejection_keeps_what_was_shown(served: Served) -> None:
    got = await decide(served, await approval(served), "reject", comment="No")
    decided = {"decision": "rejected", "by": "owner", "comment": "No", "values": {"letter": "Dear"}}
    assert body(got)["answer"] == decided


async def test_nobody_decides_twice_or_about_what_asks_nothing(served: Served) -> None:
    asking = await approval(served)
    await decide(served, asking, "approve")
    for task in (asking, await submitted(served)):
        assert error(await decide(served, task, "reject"))[0] == 400


@pytest.mark.parametrize(("spec", "values"), [({"edit": False}, {"letter": "x"}), ({}, {"other": "x"})])
async def test_only_what_is_asked_for_can_be_changed(served: Served, spec: Json, values: Json) -> None:
    got = await decide(served, await approval(served, **spec), "approve", values=values)
    assert error(got)[0] == 400
    assert str(error(got)[2]).startswith("values")


@pytest.mark.parametrize(("who", "status"), [([], 403), (["other"], 403), (["test"], 200)])
async def test_a_key_decides_only_where_it_is_named(served: Served, who: list[str], status: int) -> None:
    key = await served.key("test")
    asker = (await served.network.keys.list())[0].id
    spec = {"title": "Send it?", "who": who}
    task = await served.network.tasks.submit(Task(id="", type="approval", spec=spec, key_id=asker))
    got = await decide(served, task.id, "approve", bearer(key))
    assert got.status == status
    if status == 200:
        assert body(got)["answer"]["by"] == "test"
    else:
        assert error(got)[1] == "decision_not_allowed"
