"""What a person sees of durable work, and the real worker processes that do it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from chittycan.clock import SystemClock
from chittycan.durable import Durable
from chittycan.store.database import Database
from chittycan.testing.upstream import ScriptedUpstream
from chittycan.workstreams.task import Task
from serving import PATIENCE, Process, Processes, config, proxy, write_config

HELLO = Task(id="", model="first/ok", spec={"prompt": "Hello"})


class Desk:
    """What a person sees of the work, and the workers that do it."""

    def __init__(self, processes: Processes, url: str) -> None:
        self.processes, self.url = processes, url
        self.database = Database(url)
        self.durable = Durable(self.database, SystemClock())

    async def submit(self, count: int = 1) -> list[str]:
        return [(await self.durable.tasks.submit(HELLO)).id for _ in range(count)]

    async def get(self, task: str) -> Task:
        return await self.durable.tasks.get(task)

    async def all(self, tasks: list[str], status: str, seconds: float = PATIENCE) -> list[Task]:
        """All of them, once they have this status."""
        found: list[Task] = []

        async def holds() -> bool:
            found[:] = [await self.get(task) for task in tasks]
            return all(each.status == status for each in found)

        await wait_for(holds, seconds)
        return found

    async def worker(self, name: str, *more: str) -> Process:
        """One that has begun to work."""
        process = await self.start(name, *more)
        await process.ready()
        return process

    async def start(self, name: str, *more: str) -> Process:
        given = ("serve", "--role", "worker", "--json", "--worker-id", name, *more)
        return await self.processes.can(*given, CHITTY_DATABASE_URL=self.url)

    async def workers(self) -> list[str]:
        return [each.id for each, _ in await self.durable.workers()]

    async def silent(self, name: str) -> bool:
        """Whether others have noticed that nothing is heard of it."""
        return name not in await self.workers()

    async def close(self) -> None:
        await self.durable.close()
        self.database.close()


async def wait_for(holds: Callable[[], Awaitable[bool]], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@pytest.fixture
async def open_desk(processes: Processes, up: ScriptedUpstream) -> AsyncIterator[Callable[[str], Desk]]:
    """A desk on the database of this URL."""
    write_config(processes.config, config({"first": proxy(up.url, "openai", timeouts={})}), {})
    desks: list[Desk] = []

    def begin(url: str) -> Desk:
        desks.append(Desk(processes, url))
        return desks[0]

    yield begin
    for each in desks:
        await each.close()


@pytest.fixture
async def desk(processes: Processes, open_desk: Callable[[str], Desk]) -> Desk:
    """On SQLite."""
    return open_desk(f"sqlite:///{processes.database}")
