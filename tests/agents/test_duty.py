"""The duty of looking after a source of mail."""

import asyncio

from chittycan.agents.duty import Duty
from chittycan.errors import Unavailable
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from serving import PATIENCE


async def test_it_ends_when_it_is_cancelled_though_the_last_thing_that_it_does_fails(
    sqlite: Database, clock: FakeClock
) -> None:
    begun = asyncio.Event()

    async def session() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            raise Unavailable("what was done could not be written down")

    duty = asyncio.create_task(Duty("office", sqlite, clock).run(session))
    await begun.wait()
    duty.cancel()
    await asyncio.wait((duty,), timeout=PATIENCE)
    assert duty.done()
