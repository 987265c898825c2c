"""`net.workstreams`: run recipes, look how far they are, decide, pause, resume, fork.

`for_key` is the virtual key that asks: it sees and touches its own workstreams alone; None is the owner, who sees all.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.clock import Clock
from chittycan.context.document import check_session
from chittycan.errors import Forbidden, InvalidRequest, NotFound
from chittycan.store import context
from chittycan.store import tasks as task_rows
from chittycan.store import workstreams as rows
from chittycan.store.database import Database
from chittycan.workstreams import again, deciding
from chittycan.workstreams.advance import Advancer
from chittycan.workstreams.deciding import Verdict, Waiting
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.events import workstream_ended
from chittycan.workstreams.expressions import ExpressionError
from chittycan.workstreams.inputs import Sources, bind, resolve
from chittycan.workstreams.life import OPEN, stream_before
from chittycan.workstreams.paging import cursor as cursor_of
from chittycan.workstreams.paging import place
from chittycan.workstreams.progress import Progress, progress
from chittycan.workstreams.recipe import Recipe
from chittycan.workstreams.recipe_file import load
from chittycan.workstreams.record import Recorder, run_id
from chittycan.workstreams.rows import NUL, from_row, step_state, storable
from chittycan.workstreams.ruling import Ruling, no_rules, ruled_stream
from chittycan.workstreams.submission import MOST_PRIORITY, checked_webhook
from chittycan.workstreams.values import as_text, render
from chittycan.workstreams.workstream import Standing, Workstream, from_stream_row, to_stream_row

T = TypeVar("T")
HERE = Path()
LOOK_SECONDS = 0.25  # between two looks of whoever watches
LOOK_LONGEST = 2.0


class Setting(TypedDict, total=False):
    """How a recipe is run. `session` stands in the place of the recipe's own; `webhook` is told of the end."""

    session: str | None
    private: bool
    region: str | None
    priority: int
    webhook: str | dict[str, Any] | None
    idempotency_key: str | None
    key_id: str | None
    schedule: str | None


class View(Struct, frozen=True, kw_only=True):
    """A workstream, how far its steps are, and what waits for somebody's word."""

    workstream: Workstream
    progress: Progress
    waiting: list[Waiting]


class Streams:
    """The workstreams of one database. Running one needs no worker; somebody's `can serve` does the work.

    `sources`: from the folder that relative paths start from (None: no paths) to where files and mails are.
    """

    def __init__(
        self, database: Database, engine: Engine, recorder: Recorder, advancer: Advancer,
        clock: Clock, sources: Callable[[Path | None], Sources],
    ) -> None:  # fmt: skip
        self._database, self._engine, self._recorder = database, engine, recorder
        self._advancer, self._clock, self.sources = advancer, clock, sources
        self.ruling: Ruling = no_rules

    # beginning

    async def run(
        self,
        recipe: Recipe | Mapping[str, Any] | Path | str,
        inputs: Mapping[str, Any] | None = None,
        *,
        base: Path | None = HERE,
        **setting: Unpack[Setting],
    ) -> Workstream:
        """Begins a recipe: one of ours by its name, a file, the text of one, its document, or a `Recipe`.

        Relative paths start from `base`; with None no file is read. The same `idempotency_key` again gives back the
        workstream of the first time. Raises ConfigError for a wrong recipe, InvalidRequest and NotFound for inputs,
        Forbidden for somebody else's session.
        """
        found = load(recipe, base)
        bound = bind(found, inputs or {})
        stream = self.made(found, await resolve(found, bound, self.sources(base)), setting)
        key, digest = setting.get("idempotency_key"), _digest(found, bound, setting)

        def store(connection: Connection) -> Workstream:
            return self.begin(connection, stream, key, digest)

        return await self._run(store)

    def made(self, recipe: Recipe, inputs: dict[str, Any], setting: Setting) -> Workstream:
        """The workstream of a recipe with resolved inputs, to be begun. Raises InvalidRequest, Forbidden."""
        new_id, now = new_stream_id(), self._clock.now()
        priority = setting.get("priority", 0)
        if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
            raise InvalidRequest(f"a priority is from {-MOST_PRIORITY} to {MOST_PRIORITY}", param="priority")
        webhook = setting.get("webhook")
        stream = Workstream(
            id=new_id, name=recipe.name, recipe=recipe, inputs=inputs,
            session=_session(setting.get("session") or recipe.session, inputs) or new_id,
            key_id=setting.get("key_id"), priority=priority, schedule=setting.get("schedule"),
            options=Standing(private=recipe.private or setting.get("private", False), region=setting.get("region")),
            webhook=checked_webhook(webhook),
            created=now, updated=now,
        )  # fmt: skip
        return ruled_stream(stream, self.ruling)

    def begin(self, connection: Connection, stream: Workstream, key: str | None, digest: str) -> Workstream:
        """Stores it and starts its first steps; or gives back what `key` stands for. Raises InvalidRequest."""
        if key is not None:
            thing, known = task_rows.claim_key(connection, stream.key_id or "", key, stream.id, digest)
            if known != digest:
                raise InvalidRequest("this idempotency key was used for another workstream", param="idempotency_key")
            if thing != stream.id:
                return _found(connection, thing, stream.key_id)
        _admit(connection, stream)
        rows.add(connection, to_stream_row(stream))
        self._advancer.advance(connection, stream.id)
        return _found(connection, stream.id, None)

    # looking

    async def get(self, workstream: str, *, for_key: str | None = None) -> Workstream:
        """Raises NotFound."""
        return await self._database.read(_found, workstream, for_key)

    async def list(
        self,
        *,
        statuses: Collection[str] = (),
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        for_key: str | None = None,
    ) -> tuple[list[Workstream], str | None]:
        """The newest first, and the cursor of the next page, None at the end."""
        found = await self._database.read(
            rows.listing, statuses=statuses, name=name, key_id=for_key, before=place(cursor), limit=limit + 1
        )
        streams = [from_stream_row(each) for each in found[:limit]]
        return streams, cursor_of(streams[-1].created, streams[-1].id) if len(found) > limit else None

    async def standing(self, workstreams: Collection[str]) -> dict[str, dict[str, int]]:
        """Of each, how many of its steps that have begun are queued, running, waiting, done…"""
        return await self._database.read(rows.standing, workstreams)

    async def progress(self, workstream: str, *, for_key: str | None = None) -> View:
        """How far it is, step by step. Raises NotFound."""

        def look(connection: Connection) -> View:
            stream = _found(connection, workstream, for_key)
            tasks = [from_row(each) for each in task_rows.of_workstream(connection, workstream)]
            states = {each.path or each.id: step_state(each) for each in tasks}
            over = stream.status not in ("running", "paused")
            return View(
                workstream=stream, progress=progress(stream.recipe, states, ended=over),
                waiting=[] if over else deciding.waiting(tasks),
            )  # fmt: skip

        return await self._database.read(look)

    async def watch(
        self, workstream: str, *, timeout: float | None = None, for_key: str | None = None
    ) -> AsyncIterator[View]:
        """How far it is now and whenever that changes, until its end. Raises NotFound."""
        until = None if timeout is None else self._clock.now() + timeout
        stamp: object = None
        pause = LOOK_SECONDS
        while True:
            await self.get(workstream, for_key=for_key)
            now = await self._database.read(rows.stamp, workstream)
            if now != stamp:
                stamp, pause, view = now, LOOK_SECONDS, await self.progress(workstream)
                yield view
                if view.workstream.ended is not None:
                    return
            elif until is None or self._clock.now() < until:
                await self._clock.sleep(pause)
                pause = min(pause * 1.3, LOOK_LONGEST)
            else:
                return

    async def wait(self, workstream: str, *, timeout: float | None = None, for_key: str | None = None) -> Workstream:
        """The workstream once it has ended, or as it is after `timeout` seconds."""
        async for _ in self.watch(workstream, timeout=timeout, for_key=for_key):
            pass
        return await self.get(workstream)

    # turning

    async def pause(self, workstream: str, *, for_key: str | None = None) -> Workstream:
        """Nothing new is started; what has begun comes to its end. Raises InvalidRequest where it has ended."""

        def stop(connection: Connection) -> Workstream:
            stream = _held(connection, workstream, for_key)
            if stream.status not in ("running", "paused"):
                raise InvalidRequest(f"{workstream} is {stream.status}", param="workstream")
            rows.move(connection, workstream, ("running",), {"status": "paused", "updated": self._clock.now()})
            return _found(connection, workstream, None)

        return await self._run(stop)

    async def resume(
        self, workstream: str, *, budget_usd: float | None = None, for_key: str | None = None
    ) -> Workstream:
        """Goes on: after a pause, or after a failure or cancellation with what failed tried again.

        Its deadline runs anew, if it had ended. `budget_usd` becomes the recipe's: for all, what was spent included.
        """

        def go_on(connection: Connection) -> Workstream:
            again.resume(connection, _held(connection, workstream, for_key), self._clock.now(), budget_usd)
            self._advancer.advance(connection, workstream)
            return _found(connection, workstream, None)

        return await self._run(go_on)

    async def cancel(self, workstream: str, *, reason: str | None = None, for_key: str | None = None) -> Workstream:
        """Ends it; what runs is stopped within seconds. One that has ended stays as it is."""

        def end(connection: Connection) -> tuple[Workstream, list[str]]:
            stream, now = _held(connection, workstream, for_key), self._clock.now()
            if stream.status not in stream_before("cancelled"):
                return stream, []
            tasks = [from_row(each) for each in task_rows.of_workstream(connection, workstream)]
            open_ = [each for each in tasks if each.status in OPEN]
            for each in open_:
                self._recorder.cancel(connection, each, reason or "the workstream was cancelled", alone=True)
            values = {"status": "cancelled", "error": storable(reason), "updated": now, "ended": now}
            rows.move(connection, workstream, stream_before("cancelled"), values)
            ended = replace(stream, status="cancelled", error=reason, updated=now)
            self._recorder.tell(connection, workstream_ended(ended), stream.webhook)
            return _found(connection, workstream, None), [run_id(each) for each in open_]

        stream, runs = await self._run(end)
        await self._engine.drop(runs)
        return stream

    async def fork(
        self,
        workstream: str,
        from_step: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        base: Path | None = HERE,
        for_key: str | None = None,
    ) -> Workstream:
        """A new workstream that keeps what was done before `from_step` and does the rest again.

        `inputs` change what was given; the session is the same. The owner's rules are asked again. Raises NotFound for
        an unknown step, Forbidden as `run` does.
        """
        old = await self.get(workstream, for_key=for_key)
        declared = {name: each for name, each in old.recipe.inputs.items() if name in (inputs or {})}
        recipe = replace(old.recipe, inputs=declared)
        changed = await resolve(recipe, bind(recipe, inputs or {}), self.sources(base))
        now = self._clock.now()
        new = replace(
            old, id=new_stream_id(), status="running", inputs={**old.inputs, **changed}, forked_from=old.id,
            options=Standing(private=old.options.private, region=old.options.region), outputs=None, error=None,
            spent_nano=0, schedule=None, created=now, updated=now, ended=None,
        )  # fmt: skip
        new = ruled_stream(new, self.ruling)

        def store(connection: Connection) -> Workstream:
            again.fork(connection, _held(connection, workstream, for_key), new, from_step)
            self._advancer.advance(connection, new.id)
            return _found(connection, new.id, None)

        return await self._run(store)

    # deciding

    async def approve(
        self, workstream: str, task: str | None = None, *, values: Mapping[str, Any] | None = None,
        by: str = "owner", comment: str | None = None, for_key: str | None = None,
    ) -> Workstream:  # fmt: skip
        """Approves what waits: the approval `task` (its id or path), or the only one.

        `values` stand in the place of those shown, where the recipe says `edit: true`. With `for_key`, `by` must be
        among those that the approval names. Raises NotFound, InvalidRequest, Forbidden.
        """
        said = Verdict(
            decision="approved", by=by, name=None if for_key is None else by, comment=comment, values=values or {}
        )
        return await self._decide(workstream, task, said, for_key)

    async def reject(
        self, workstream: str, task: str | None = None, *, by: str = "owner", comment: str | None = None,
        for_key: str | None = None,
    ) -> Workstream:  # fmt: skip
        """Rejects what waits, which fails its step. As `approve`."""
        said = Verdict(decision="rejected", by=by, name=None if for_key is None else by, comment=comment)
        return await self._decide(workstream, task, said, for_key)

    async def edit(
        self, workstream: str, values: Mapping[str, Any], task: str | None = None, *,
        by: str = "owner", comment: str | None = None, for_key: str | None = None,
    ) -> Workstream:  # fmt: skip
        """Changes some of the values that an approval shows, and approves them so. As `approve`."""
        return await self.approve(workstream, task, values=values, by=by, comment=comment, for_key=for_key)

    async def event(self, workstream: str, name: str, brought: Any = None, *, for_key: str | None = None) -> bool:
        """Tells the steps that wait for the event `name`: True; without any it is kept for the first that will.

        `brought` is JSON, the step's `json`. Raises NotFound, InvalidRequest where the workstream has ended.
        """

        def tell(connection: Connection) -> bool:
            stream = _held(connection, workstream, for_key)
            return deciding.event(connection, self._recorder, stream, name, brought, self._clock.now())

        return await self._run(tell)

    async def hook(self, token: str, brought: Any = None) -> Workstream:
        """What somebody posted to a waiting step's address. Raises NotFound where no step waits with this token."""
        return await self._run(deciding.hook, self._recorder, token, brought, self._clock.now())

    async def _decide(self, workstream: str, task: str | None, said: Verdict, for_key: str | None) -> Workstream:
        def decide(connection: Connection) -> Workstream:
            _held(connection, workstream, for_key)
            deciding.decide(connection, self._recorder, workstream, task, said)
            return _found(connection, workstream, None)

        return await self._run(decide)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        await self._engine.prepare()
        return await self._database.run(work, *args)


def new_stream_id() -> str:
    return f"ws_{secrets.token_hex(8)}"


def _found(connection: Connection, workstream: str, for_key: str | None) -> Workstream:
    return _visible(None if NUL in workstream else rows.get(connection, workstream), workstream, for_key)


def _held(connection: Connection, workstream: str, for_key: str | None) -> Workstream:
    """Locked: nobody else changes it or its tasks before the transaction ends."""
    return _visible(None if NUL in workstream else rows.lock(connection, workstream), workstream, for_key)


def _visible(row: Mapping[str, Any] | None, workstream: str, for_key: str | None) -> Workstream:
    if row is None or (for_key is not None and row["key_id"] != for_key):
        raise NotFound(f"no workstream {workstream[:80]!r}", param="workstream", fix="can workstreams list")
    return from_stream_row(row)


def _session(template: str | None, inputs: Mapping[str, Any]) -> str | None:
    """The name of the shared document. Raises InvalidRequest."""
    if template is None:
        return None
    try:
        name = as_text(render(template, {"inputs": inputs}))
    except ExpressionError as error:
        raise InvalidRequest(f"the session {template[:80]!r}: {error}", param="session") from None
    check_session(name)
    return name


def _admit(connection: Connection, stream: Workstream) -> None:
    found = None if stream.session is None else context.get(connection, stream.session)
    if found is not None and stream.key_id is not None and found.key_id != stream.key_id:
        raise Forbidden(
            f"The session '{stream.session}' belongs to somebody else.", code="session_not_allowed",
            fix="Name another session, or let its owner share it: can context share SESSION KEY.",
        )  # fmt: skip


def _digest(recipe: Recipe, bound: Mapping[str, Any], setting: Setting) -> str:
    """Of what was asked for."""
    asked = {name: value for name, value in setting.items() if name not in ("idempotency_key", "key_id")}
    whole = msgspec.to_builtins([recipe, bound, asked])
    return hashlib.sha256(msgspec.json.encode(whole, order="sorted")).hexdigest()
