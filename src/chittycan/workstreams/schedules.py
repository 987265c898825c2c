"""`net.schedules`: recipes that begin by themselves, each time once, whichever workers are alive.

A schedule is a row and one delayed run of the engine's, for the time that comes next. That run begins a workstream
for each time that is due and puts the next run into the queue, in the transaction that moves the row on.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.errors import ChittyError, InvalidRequest, NotFound, Unavailable
from chittycan.store import schedules as rows
from chittycan.store.database import Database
from chittycan.workstreams import cron
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.inputs import bind, resolve
from chittycan.workstreams.patience import Patience
from chittycan.workstreams.recipe import Recipe, Schedule, Step, Wait
from chittycan.workstreams.recipe_file import load
from chittycan.workstreams.rows import encoded
from chittycan.workstreams.streams import HERE, Setting, Streams
from chittycan.workstreams.workstream import Workstream

RUN_SCHEDULE = "run_schedule"  # the engine's function: (name, pending)
ON_TIME_SECONDS = 60.0  # what begins within so many seconds was not missed
MOST_MISSED = 100  # times that `all` makes up for at once: the last ones
LOST_SECONDS = 120.0  # after which a run that did not come counts as lost
LOOK_SECONDS = 60.0  # between two looks for such

T = TypeVar("T")
CatchUp = Literal["none", "latest", "all"]


class Scheduled(Struct, frozen=True, kw_only=True):
    """A schedule. Times are Unix seconds. `due` comes next, None while paused; up to `last` all is begun for.

    `inputs` are as given, and are bound and looked up anew each time; `base` is where relative paths start.
    `error`: why the last one could not be begun.
    """

    name: str
    recipe: Recipe
    inputs: dict[str, Any]
    cron: str
    timezone: str
    catch_up: CatchUp
    paused: bool
    key_id: str | None
    base: str | None
    last: float
    due: float | None
    pending: str | None
    error: str | None
    created: float


class Schedules:
    """The schedules of one database. `for_key`: a virtual key, which reaches its own alone; None is the owner."""

    def __init__(self, database: Database, engine: Engine, streams: Streams, clock: Clock) -> None:
        self._database, self._engine, self._streams, self._clock = database, engine, streams, clock
        self._patience = Patience(database, clock)

    async def put(
        self,
        recipe: Recipe | Mapping[str, Any] | Path | str,
        inputs: Mapping[str, Any] | None = None,
        when: Schedule | None = None,
        *,
        name: str | None = None,
        base: Path | None = HERE,
        key_id: str | None = None,
    ) -> Scheduled:
        """Begins `recipe` whenever `when` says (else its own `schedule`); in the place of the one of that name.

        Raises ConfigError for a wrong recipe or cron, InvalidRequest for inputs or a name that is taken.
        """
        found = load(recipe, base)
        when = when or found.schedule
        if when is None:
            fix = 'Give one: --cron "0 6 * * *", or `schedule` in the recipe.'
            raise InvalidRequest(f"{found.name!r} has no schedule", param="cron", fix=fix)
        _check(when)
        bind(found, inputs or {})
        now, name = self._clock.now(), name or found.name
        values = {
            "recipe": encoded(msgspec.structs.replace(found, schedule=None)), "inputs": encoded(inputs or {}),
            "cron": when.cron, "timezone": when.timezone, "catch_up": when.catch_up, "paused": when.paused,
            "base": _folder(base), "error": None,
        }  # fmt: skip

        def store(connection: Connection) -> Scheduled:
            old = rows.lock(connection, name)
            if old is None:
                rows.add(connection, {**values, "name": name, "key_id": key_id, "last": now, "created": now})
            elif key_id is not None and old["key_id"] != key_id:
                raise InvalidRequest(f"there is another schedule {name[:80]!r}", param="name", fix="Name it otherwise.")
            else:
                same = all(old[each] == values[each] for each in ("cron", "timezone", "paused"))
                rows.change(connection, name, {**values, "last": old["last"] if same else now})
            return self._next(connection, name)

        return await self._run(store)

    async def get(self, name: str, *, for_key: str | None = None) -> Scheduled:
        """Raises NotFound."""
        return await self._database.read(lambda connection: _visible(rows.get(connection, name), name, for_key))

    async def list(self, *, for_key: str | None = None) -> list[Scheduled]:
        """By name."""
        return [_scheduled(each) for each in await self._database.read(rows.listing, key_id=for_key)]

    async def pause(self, name: str, *, for_key: str | None = None) -> Scheduled:
        """Begins nothing more, until it is resumed."""
        return await self._turn(name, for_key, paused=True)

    async def resume(self, name: str, *, for_key: str | None = None) -> Scheduled:
        """Goes on from now; the times that passed during the pause are not made up for."""
        return await self._turn(name, for_key, paused=False)

    async def delete(self, name: str, *, for_key: str | None = None) -> None:
        """The workstreams that it began stay. Raises NotFound."""

        def remove(connection: Connection) -> None:
            _visible(rows.lock(connection, name), name, for_key)
            rows.remove(connection, name)

        await self._run(remove)

    async def run_now(self, name: str, *, for_key: str | None = None) -> Workstream:
        """Begins its recipe once, besides its times. Raises NotFound, and what beginning it raises."""
        found = await self.get(name, for_key=for_key)
        base = None if found.base is None else Path(found.base)
        return await self._streams.run(found.recipe, found.inputs, base=base, key_id=found.key_id, schedule=name)

    # at work

    async def fire(self, name: str, pending: str) -> None:
        """Begins what is due. Harmless at any time and any number of times: only the pending run does anything."""
        row = await self._patience.run(rows.get, name)
        if row is None or row["pending"] != pending:
            return
        found = _scheduled(row)
        now = max(self._clock.now(), found.due or 0.0)  # the engine's clock may be a little ahead of ours
        due = _due(found, now)
        streams, problem = await self._made(found, len(due)) if due else ([], None)
        try:
            await self._patience.run(self._begin, found, now, list(zip(due, streams, strict=False)), problem)
        except ChittyError as error:
            await self._patience.run(self._begin, found, now, [], error.message)

    async def watch(self) -> None:
        """Begins what should have been long ago, where the engine has lost the run. As long as the worker lives."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            for name, pending in await self._patience.run(rows.overdue, self._clock.now() - LOST_SECONDS):
                await self.fire(name, pending)

    async def _made(self, found: Scheduled, count: int) -> tuple[Sequence[Workstream], str | None]:
        """The workstreams to be begun, or why there are none."""
        base = None if found.base is None else Path(found.base)
        setting = Setting(key_id=found.key_id, schedule=found.name)
        while True:
            try:
                bound = bind(found.recipe, found.inputs)
                inputs = await resolve(found.recipe, bound, self._streams.sources(base))
                return [self._streams.made(found.recipe, inputs, setting) for _ in range(count)], None
            except Unavailable:  # the database is away
                await self._clock.sleep(1.0)
            except ChittyError as error:
                return [], error.message

    def _begin(
        self, connection: Connection, found: Scheduled, now: float, begun: Sequence[tuple[float, Workstream]],
        problem: str | None,
    ) -> None:  # fmt: skip
        row = rows.lock(connection, found.name)
        if row is None or row["pending"] != found.pending:
            return
        for moment, stream in begun:
            self._streams.begin(connection, stream, occasion(found.name, moment), found.name)
        rows.change(connection, found.name, {"last": now, "error": problem})
        self._next(connection, found.name)

    def _next(self, connection: Connection, name: str) -> Scheduled:
        """The row with the run for its next time, which is put into the queue; none while it is paused."""
        found = _scheduled(rows.get(connection, name) or {})
        if found.paused:
            rows.change(connection, name, {"due": None, "pending": None})
        else:
            due = next(cron.times(cron.parse(found.cron), found.timezone, found.last))
            pending = f"schedule.{secrets.token_hex(8)}"  # a name is used once: the engine keeps what it has seen
            delay = max(0.0, due - self._clock.now())
            self._engine.enqueue(connection, RUN_SCHEDULE, name, pending, id=pending, delay=delay, priority=1)
            rows.change(connection, name, {"due": due, "pending": pending})
        return _scheduled(rows.get(connection, name) or {})

    async def _turn(self, name: str, for_key: str | None, *, paused: bool) -> Scheduled:
        def turn(connection: Connection) -> Scheduled:
            found = _visible(rows.lock(connection, name), name, for_key)
            if found.paused is paused:
                return found
            rows.change(connection, name, {"paused": paused, "last": self._clock.now(), "error": None})
            return self._next(connection, name)

        return await self._run(turn)

    async def _run(self, work: Callable[[Connection], T]) -> T:
        await self._engine.prepare()
        return await self._database.run(work)


def occasion(name: str, moment: float) -> str:
    """The idempotency key of what a schedule begins for one of its times."""
    return f"schedule:{name}:{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _folder(base: Path | None) -> str | None:
    return None if base is None else str(base.resolve())


def _check(when: Schedule) -> None:
    """Raises ConfigError for a cron or a time zone that there is not."""
    load(Recipe(name="schedule", steps=[Step(id="wait", wait=Wait(for_="1s"))], schedule=when), None)


def _due(found: Scheduled, now: float) -> list[float]:
    """The times to begin for now, in order, by the rule for those that were missed."""
    most = MOST_MISSED if found.catch_up == "all" else 1
    due = cron.latest(cron.parse(found.cron), found.timezone, found.last, now, most)
    return [each for each in due if now - each <= ON_TIME_SECONDS] if found.catch_up == "none" else due


def _visible(row: Mapping[str, Any] | None, name: str, for_key: str | None) -> Scheduled:
    if row is None or (for_key is not None and row["key_id"] != for_key):
        raise NotFound(f"no schedule {name[:80]!r}", param="name", fix="can workstreams schedules list")
    return _scheduled(row)


def _scheduled(row: Mapping[str, Any]) -> Scheduled:
    parsed = {"recipe": msgspec.json.decode(row["recipe"], type=Recipe), "inputs": msgspec.json.decode(row["inputs"])}
    return Scheduled(**{**row, **parsed})
