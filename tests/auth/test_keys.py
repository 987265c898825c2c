"""Keys: made, used, revoked, and known everywhere."""

import asyncio
import hashlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from chittycan.auth.keys import Keys, NewKey
from chittycan.errors import NotFound, Unauthenticated, UsageError
from chittycan.store import keys as rows
from chittycan.store.database import Database
from chittycan.store.tables import keys as table
from chittycan.testing import FakeClock

FULL = NewKey(
    name="laptop", budget="10/day,100/month", models=("b", "a"), kinds=("email.triage",), routes=("chat",),
    rpm=60, tpm=100_000, expires="30d", cache=True,
)  # fmt: skip


@pytest.fixture
def keys(database: Database, clock: FakeClock) -> Keys:
    return Keys(database, clock)


async def test_without_keys_anybody_passes(keys: Keys) -> None:
    await keys.refresh()
    assert not keys.required
    assert keys.authenticate(None) is None
    assert keys.authenticate("whatever") is None


async def test_a_key_carries_what_was_asked_for(keys: Keys, clock: FakeClock) -> None:
    created, secret = await keys.create(FULL)
    found = keys.authenticate(secret)
    assert found == created
    assert found is not None
    assert (found.name, found.hint, found.cache) == ("laptop", secret[-4:], True)
    assert (found.models, found.kinds) == (frozenset({"a", "b"}), frozenset({"email.triage"}))
    assert found.routes == frozenset({"chat"})
    assert found.expires == clock.now() + 30 * 86_400
    assert {(cap.unit, cap.period, cap.limit) for cap in found.caps} == {
        ("requests", "minute", 60),
        ("tokens", "minute", 100_000),
        ("nano", "day", 10 * 10**9),
        ("nano", "month", 100 * 10**9),
    }
    assert {cap.scope for cap in found.caps} == {f"key:{found.id}"}


async def test_a_key_without_limits_has_none(keys: Keys) -> None:
    key, _ = await keys.create(NewKey(name="free"))
    assert (key.caps, key.models, key.kinds, key.routes, key.expires) == ((), None, None, None, None)


async def test_secrets_are_long_random_and_kept_only_as_their_hash(keys: Keys, database: Database) -> None:
    secrets = [(await keys.create(NewKey(name=f"key {number}")))[1] for number in range(3)]
    assert len(set(secrets)) == 3
    for secret in secrets:
        assert secret.startswith("sk-chitty-")
        random = secret.removeprefix("sk-chitty-")
        assert len(random) >= 32
        assert random.isascii()
        assert random.isalnum()
    rows = await database.read(lambda connection: connection.execute(select(table)).all())
    assert {row.digest for row in rows} == {hashlib.sha256(secret.encode()).hexdigest() for secret in secrets}
    assert not any(secret in str(value) for row in rows for value in row for secret in secrets)


async def test_from_the_first_key_on_one_is_needed(keys: Keys) -> None:
    await keys.create(NewKey(name="laptop"))
    assert keys.required
    for bearer in (None, "", "sk-chitty-" + "x" * 40):
        with pytest.raises(Unauthenticated):
            keys.authenticate(bearer)


async def test_revoking_the_last_key_does_not_open_the_server(keys: Keys) -> None:
    _, secret = await keys.create(NewKey(name="laptop"))
    await keys.revoke("laptop")
    assert keys.required
    with pytest.raises(Unauthenticated, match="revoked"):
        keys.authenticate(secret)
    with pytest.raises(Unauthenticated):
        keys.authenticate(None)


async def test_a_key_expires_by_itself(keys: Keys, clock: FakeClock) -> None:
    _, secret = await keys.create(NewKey(name="guest", expires="1h"))
    clock.advance(3_599)
    assert keys.authenticate(secret) is not None
    clock.advance(1)
    with pytest.raises(Unauthenticated, match="expired"):
        keys.authenticate(secret)


async def test_changes_reach_another_process_within_a_second(keys: Keys, database: Database, clock: FakeClock) -> None:
    other = Keys(database, clock)
    await other.refresh()
    running = asyncio.create_task(other.run())

    async def wait(done: bool, secret: str) -> None:
        await clock.until_asleep()
        clock.advance(1)
        while (secret in known(other)) is not done:  # noqa: ASYNC110 (a thread reads)
            await asyncio.sleep(0)

    def known(process: Keys) -> list[str]:
        try:
            return [secret] if process.authenticate(secret) is not None else []
        except Unauthenticated:
            return []

    _, secret = await keys.create(NewKey(name="laptop"))
    await wait(True, secret)
    await keys.revoke("laptop")
    await wait(False, secret)
    running.cancel()


async def test_a_slow_look_does_not_undo_a_newer_one(database_url: str, clock: FakeClock) -> None:
    class Slow(Database):
        looking, goes_on = asyncio.Event(), asyncio.Event()

        async def read(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
            found = await super().read(fn, *args, **kwargs)
            if fn is rows.load and not self.looking.is_set():
                self.looking.set()
                await self.goes_on.wait()
            return found

    database, other = Slow(database_url), Database(database_url)
    keys = Keys(database, clock)
    await Keys(other, clock).create(NewKey(name="first"))
    looking = asyncio.create_task(keys.refresh())
    await database.looking.wait()
    making = asyncio.create_task(keys.create(NewKey(name="second")))
    await asyncio.wait((making,), timeout=0.2)  # where it does not wait for the other, it is over by then
    database.goes_on.set()
    await looking
    created, secret = await making
    assert keys.authenticate(secret) == created
    for each in (database, other):
        each.close()


async def test_a_key_is_revoked_by_name_or_id_once(keys: Keys) -> None:
    await keys.create(NewKey(name="one"))
    two, _ = await keys.create(NewKey(name="two"))
    await keys.revoke("one")
    await keys.revoke(two.id)
    with pytest.raises(NotFound, match="one"):
        await keys.revoke("one")
    assert [key.revoked is not None for key in await keys.list()] == [True, True]


async def test_a_name_is_used_by_one_key_at_a_time(keys: Keys) -> None:
    await keys.create(NewKey(name="laptop"))
    with pytest.raises(UsageError, match="laptop"):
        await keys.create(NewKey(name="laptop"))
    await keys.revoke("laptop")
    await keys.create(NewKey(name="laptop"))


@pytest.mark.parametrize(
    "wrong",
    [
        NewKey(name=""),
        NewKey(name="two\nlines"),
        NewKey(name="x" * 101),
        NewKey(name="x", rpm=-1),
        NewKey(name="x", tpm=2**31),
        NewKey(name="x", budget="lots"),
        NewKey(name="x", expires="soon"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(keys: Keys, wrong: NewKey) -> None:
    with pytest.raises(UsageError):
        await keys.create(wrong)
    assert not keys.required


async def test_this_machines_own_credential_always_passes_and_has_no_limits(
    database: Database, clock: FakeClock
) -> None:
    keys = Keys(database, clock, admin="sk-chitty-of-this-machine")
    assert not keys.required
    await keys.create(NewKey(name="laptop"))
    admin = keys.authenticate("sk-chitty-of-this-machine")
    assert admin is not None
    assert (admin.admin, admin.caps, admin.models) == (True, (), None)


@pytest.mark.parametrize(
    "bearer", ["' OR 1=1 --", "x'; DROP TABLE keys; --", '" OR ""="', "%", "_" * 50, "\ud800", "\x00", "ключ"]
)
async def test_sql_in_a_bearer_is_only_a_wrong_key(keys: Keys, bearer: str) -> None:
    _, secret = await keys.create(NewKey(name="laptop"))
    with pytest.raises(Unauthenticated):
        keys.authenticate(bearer)
    assert keys.authenticate(secret) is not None
    assert len(await keys.list()) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bearer=st.text())
async def test_no_text_is_taken_for_a_key(keys: Keys, bearer: str) -> None:
    if not await keys.list():
        await keys.create(NewKey(name="laptop"))
    with pytest.raises(Unauthenticated):
        keys.authenticate(bearer)


async def test_a_key_is_found_by_its_id_as_long_as_it_may_be_used(
    keys: Keys, database: Database, clock: FakeClock
) -> None:
    """For work that was submitted with it earlier; by another process it is found at once."""
    key, _ = await keys.create(NewKey(name="guest", expires="1d"))
    other = Keys(database, clock)
    assert await other.of_id(key.id) == key
    with pytest.raises(Unauthenticated, match="not known"):
        await other.of_id("key_nobody")
    clock.advance(86_400)
    with pytest.raises(Unauthenticated, match="expired"):
        await other.of_id(key.id)
    await keys.revoke("guest")
    await other.refresh()
    with pytest.raises(Unauthenticated, match="revoked"):
        await other.of_id(key.id)
