"""Durable work in a network: who stands in where nobody works, and what survives what."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.app import Network
from chittycan.auth.keys import Keys, NewKey
from chittycan.control.workers import listed
from chittycan.durable import CHORE_SECONDS, Durable, endlessly
from chittycan.errors import Unavailable, UsageError
from chittycan.store import inbox
from chittycan.store import workers as rows
from chittycan.store.database import Database
from chittycan.store.meters import Cap
from chittycan.store.work_tables import tasks, workers
from chittycan.testing import FakeClock
from chittycan.workstreams.task import Task
from chittycan.workstreams.workers import BEAT_SECONDS, SILENT_SECONDS, this_process
from serving import PATIENCE, config, until, write_config

OTHER = replace(this_process("other", "worker"), host="elsewhere", boot="another", pid=4711)


@pytest.fixture
async def network(database: Database, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Network]:
    write_config(tmp_path / "config", config({}), {})
    url = database.url.render_as_string(hide_password=False)
    env = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    async with Network(
        config_folder=tmp_path / "config", env=env, database=url, clock=clock, look_around=False
    ) as network:
        yield network


async def other_works(network: Network) -> None:
    await network.database.run(rows.put, OTHER, instead_of=None)


async def test_a_command_that_waits_does_the_work_where_nobody_does(network: Network) -> None:
    assert await network.ensure_worker()
    assert await network.ensure_worker()
    [(me, _)] = await network.durable.workers()
    assert me.role == "temporary"


async def test_a_command_that_waits_leaves_the_work_to_others_until_they_are_gone(
    network: Network, clock: FakeClock
) -> None:
    await other_works(network)
    assert not await network.ensure_worker()
    assert not network.durable.engine.running
    await network.database.run(rows.remove, [OTHER.nonce])
    clock.advance(BEAT_SECONDS)
    await until(lambda: network.durable.engine.running)


async def test_a_server_without_the_extra_goes_on_and_a_worker_says_what_is_missing(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "dbos", None)
    await network.serve_work()
    assert [record.message for record in caplog.records] == ["no_durable_work"]
    with pytest.raises(Unavailable) as missing:
        await network.serve_work(role="worker")
    assert missing.value.fix == "pip install 'chittycan[workstreams]'"


async def test_a_server_with_the_name_of_another_worker_does_not_begin(network: Network) -> None:
    await other_works(network)
    with pytest.raises(UsageError, match="process 4711 on elsewhere"):
        await network.serve_work("other")


async def test_mail_is_looked_after_again_whatever_broke(
    tmp_path: Path, database: Database, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "mail"
    folder.mkdir()
    (folder / "1.eml").write_text("From: Ann <ann@bell.example>\nPrecedence: bulk\nSubject: News\n\nHello.\n")
    office = {"type": "folder", "path": str(folder), "watch": True}
    write_config(tmp_path / "config", config({}) | {"integrations": {"office": office}}, {})
    url = database.url.render_as_string(hide_password=False)
    async with Network(
        config_folder=tmp_path / "config", env={"HOME": str(tmp_path)}, database=url, clock=clock, look_around=False
    ) as network:
        broken = iter([RuntimeError("private")])

        async def breaks(**_wishes: Any) -> None:
            for error in broken:
                raise error

        network.durable.mail_submitter = breaks  # type: ignore[method-assign]
        watching = asyncio.create_task(network.watch_mail())
        async with asyncio.timeout(PATIENCE):
            while not await network.database.read(inbox.latest, 1):
                clock.advance(1)
                await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.wait((watching,))
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["bug"]
    assert "private" not in caplog.text


async def test_a_key_is_known_whatever_an_earlier_look_at_the_keys_met(
    network: Network, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks() -> None:
        monkeypatch.undo()
        raise RuntimeError("private")

    monkeypatch.setattr(network.keys, "refresh", breaks)
    await Keys(network.database, clock).create(NewKey(name="new"))
    async with asyncio.timeout(PATIENCE):
        while not network.keys.known:
            clock.advance(1)
            await asyncio.sleep(0.01)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["bug"]
    assert "private" not in caplog.text


async def test_a_network_ends_though_the_database_is_away_and_money_is_owed(
    tmp_path: Path, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("the database is away")

    write_config(tmp_path / "config", config({}), {})
    url = database.url.render_as_string(hide_password=False)
    ours = Network(
        config_folder=tmp_path / "config", env={"HOME": str(tmp_path)}, database=url, clock=clock, look_around=False
    )
    async with asyncio.timeout(PATIENCE), ours as network:
        cap = Cap("total", "nano", "day", 10**9, "all keys together")
        network.meters.settle(await network.meters.refill([cap], 1, 0), 10**8, 0)
        monkeypatch.setattr(network.database, "run", away)
    with pytest.raises(RuntimeError, match="shutdown"):  # it was closed
        await network.database.read(lambda _connection: None)


async def test_what_goes_on_for_ever_ends_when_it_is_cancelled_though_a_part_of_it_breaks(clock: FakeClock) -> None:
    async def part() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise Unavailable("the database is away")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(part())
            await clock.sleep(1)

    lasting = asyncio.create_task(endlessly(work, clock, lambda _error: None))
    await clock.until_asleep()
    lasting.cancel()
    await asyncio.wait((lasting,), timeout=PATIENCE)
    assert lasting.done()
    lasting.cancel()


async def test_the_list_says_who_works_at_how_much_and_who_is_silent(network: Network) -> None:
    await other_works(network)
    await network.database.run(rows.put, this_process("here", "all"), instead_of=None)
    task = await network.tasks.submit(Task(id=""))
    at_it = tasks.update().where(tasks.c.id == task.id).values(status="running", worker="here")
    silence = workers.update().where(workers.c.id == "other").values(beat=workers.c.beat - 20)
    await network.database.run(lambda connection: [connection.execute(each) for each in (at_it, silence)])
    found = {row.id: (row.state, row.tasks) for row in await listed(network, None)}
    assert found == {"here": ("working", 1), "other": ("silent", 0)}
    assert 20 <= next(row.heard for row in await listed(network, None) if row.id == "other") < 20 + SILENT_SECONDS


async def test_a_chore_that_fails_is_reported_and_begun_anew(sqlite: Database, clock: FakeClock) -> None:
    durable, begun, bugs = Durable(sqlite, clock), 0, list[BaseException]()
    durable.bug = bugs.append

    async def fails() -> None:
        nonlocal begun
        begun += 1
        if begun > 1:
            await asyncio.Event().wait()
        raise ZeroDivisionError

    durable.chores.append(fails)
    await durable.work(lambda _: {})
    await until(lambda: begun == 1)
    await clock.until_asleep()
    clock.advance(CHORE_SECONDS)
    await until(lambda: begun == 2)
    assert [type(bug) for bug in bugs] == [ZeroDivisionError]
    await durable.close()
