"""Schedules as a program meets them over HTTP."""

from typing import Any

import msgspec
import pytest

from serving import Serve, Served

RECIPE = {"name": "digest", "steps": [{"id": "one", "wait": {"event": "never"}}]}


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server without a worker."""
    return await serve({})


async def ask(served: Served, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    got = await served.fetch(method, f"/api/v1/schedules{path}", body, headers)
    return got.status, msgspec.json.decode(got.body) if got.body else None


async def test_a_schedule_is_put_turned_run_and_deleted(served: Served) -> None:
    body = {"recipe": RECIPE, "cron": "0 6 * * *", "timezone": "Europe/Vienna", "catch_up": "none"}
    status, made = await ask(served, "PUT", "/early", body)
    assert (status, made["name"], made["recipe"], made["cron"], made["error"]) == (
        200, "early", "digest", "0 6 * * *", None)  # fmt: skip
    assert made["due"] > served.network.clock.now()
    assert (await ask(served, "GET", "")) == (200, [made])
    assert (await ask(served, "POST", "/early/pause"))[1]["due"] is None
    assert (await ask(served, "POST", "/early/resume"))[1]["due"] is not None
    status, stream = await ask(served, "POST", "/early/run")
    assert (status, stream["schedule"], stream["status"]) == (202, "early", "running")
    assert await ask(served, "DELETE", "/early") == (204, None)
    assert (await ask(served, "GET", "")) == (200, [])
    assert (await ask(served, "POST", "/early/pause"))[0] == 404


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"cron": "often"}, "recipe"), ({"timezone": "Mars"}, "recipe"), ({"cron": None}, "cron"),
        ({"catch_up": "some"}, "catch_up"), ({"inputs": {"x": 1}}, "inputs.x"), ({"recipe": "name: x\n"}, "recipe"),
    ],
)  # fmt: skip
async def test_what_could_never_run_is_refused(served: Served, change: Any, param: str) -> None:
    body = {"recipe": RECIPE, "cron": "0 6 * * *", **change}
    status, said = await ask(served, "PUT", "/early", body)
    assert (status, said["error"]["param"]) == (400, param)
    assert (await ask(served, "GET", "")) == (200, [])


async def test_a_key_reaches_its_own_schedules_alone(served: Served) -> None:
    mine, theirs = await served.key("mine"), await served.key("theirs")
    body = {"recipe": RECIPE, "cron": "0 6 * * *"}
    assert (await ask(served, "PUT", "/early", body, mine))[0] == 200
    assert (await ask(served, "PUT", "/early", body, theirs))[0] == 400
    assert (await ask(served, "GET", "", None, theirs)) == (200, [])
    for method, path in (("POST", "/early/pause"), ("POST", "/early/run"), ("DELETE", "/early")):
        assert (await ask(served, method, path, None, theirs))[0] == 404
