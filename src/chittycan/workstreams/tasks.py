"""`net.tasks`: submit work and walk away; look at it, decide, cancel, try again, wait for it.

`for_key` is the virtual key that asks: it sees and touches its own tasks alone; None is the owner, who sees all.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from chittycan.chat import Message
from chittycan.clock import Clock
from chittycan.errors import InvalidRequest, NotFound, RequestError
from chittycan.store import feedback, workstreams
from chittycan.store import tasks as rows
from chittycan.store.database import Database
from chittycan.store.files import OF_A_TASK, keep_for_good
from chittycan.store.tasks import Wanted
from chittycan.workstreams.engine import Engine
from chittycan.workstreams.files import Files
from chittycan.workstreams.life import TERMINAL, Status
from chittycan.workstreams.paging import cursor as cursor_of
from chittycan.workstreams.paging import place
from chittycan.workstreams.record import TASK_BEFORE_FAILED, Recorder, new_task_id, run_id
from chittycan.workstreams.rows import NUL, from_row, packed
from chittycan.workstreams.ruling import Ruling, no_rules, ruled
from chittycan.workstreams.submission import MOST_PRIORITY, Attachment, Submission, read, with_files
from chittycan.workstreams.task import Task

LOOK_SECONDS = 0.2  # between two looks of whoever waits
LOOK_LONGEST = 2.0
UNUSED_SECONDS = 86_400.0  # that a file is kept which came along with what became no task
EVERY = Wanted()
_LOST = ("failed", "cancelled")


class Tasks:
    """The tasks of one database. Submitting needs no worker; somebody's `can serve` does the work."""

    def __init__(self, database: Database, engine: Engine, recorder: Recorder, clock: Clock) -> None:
        self._database, self._engine, self._recorder, self._clock = database, engine, recorder, clock
        self._files = Files(database, clock)
        self.ruling: Ruling = no_rules

    async def submit(
        self,
        asked: str | Sequence[Mapping[str, Any] | Message] | Task,
        *,
        after: str | Collection[str] = (),
        idempotency_key: str | None = None,
        key_id: str | None = None,
        **wishes: Any,
    ) -> Task:
        """Stores a task for the next free worker; the task as it is now.

        `asked` is a prompt, or messages, and `wishes` are the other fields of `submission.Wishes` (kind, model,
        session, deadline, files…); a file may also be a path. Or it is a whole Task, whose `id` may be "". The task
        begins once all of `after` are done. The same `idempotency_key` again gives back the task of the first time.
        Raises InvalidRequest that names the field; also where the key was used for something else, and where `after`
        or a file is not one of the same submitter (`key_id`; None is the owner).
        """
        if isinstance(asked, Task):
            if wishes:
                raise InvalidRequest(f"A whole Task has its own `{next(iter(wishes))}`.", param=next(iter(wishes)))
            names = [after] if isinstance(after, str) else list(after)
            return await self._put(asked, _digest(asked, names), names, idempotency_key)
        words = {"prompt": asked} if isinstance(asked, str) else {"messages": asked}
        given = {**wishes, **words, "after": after, "idempotency_key": idempotency_key}
        if any(isinstance(each, Path) for each in given.get("files") or ()):
            given["files"] = await asyncio.to_thread(_loaded, given["files"])
        return await self.put(read(given, self._clock.now(), key_id=key_id))

    async def put(self, submission: Submission) -> Task:
        """The same, of what was read already."""
        digest = _digest(submission.sealed, submission.after)
        stored: list[str] = []
        kept = True
        try:
            files = [await self._stored(each, submission.task.key_id, stored) for each in submission.files]
            task = ruled(submission.task, submission.facts, self.ruling)
            task = replace(with_files(task, files), id=new_task_id())
            found = await self._put(task, digest, submission.after, submission.idempotency_key, stored)
            kept = found.id == task.id
        except RequestError:
            kept = False
            raise
        finally:  # after any other error the task may be there or not: what is no task's expires
            for each in [] if kept else stored:  # the task of the first time has its own
                await self._files.delete(each)
        return found

    async def _stored(self, file: str | Attachment, key_id: str | None, stored: list[str]) -> dict[str, Any]:
        if isinstance(file, Attachment):
            expires = self._clock.now() + UNUSED_SECONDS
            made = await self._files.create(
                file.data, name=file.name, purpose=OF_A_TASK, key_id=key_id, expires=expires
            )
            stored.append(made.id)
            return {"name": made.name, "id": made.id}
        try:
            known = await self._files.get(file, for_key=key_id)
        except NotFound as error:
            raise InvalidRequest(error.message, param="files", fix="POST /v1/files stores one.") from None
        if known.purpose == OF_A_TASK:
            raise InvalidRequest(f"{file} came along with another task, and goes with it.", param="files")
        return {"name": known.name, "id": known.id}

    async def _put(
        self, task: Task, digest: str, after: Collection[str], idempotency_key: str | None, brought: Sequence[str] = ()
    ) -> Task:
        """`brought`: the ids of files that came along with it."""
        now = self._clock.now()
        fresh = replace(task, id=task.id or new_task_id(), created=now, updated=now, since=now)
        _check(fresh, now)

        def store(connection: Connection) -> Task:
            if idempotency_key is not None:
                thing, known = rows.claim_key(connection, task.key_id or "", idempotency_key, fresh.id, digest)
                if known != digest:
                    raise InvalidRequest(
                        "This idempotency key was used for another task.", param="idempotency_key",
                        fix="Take a new key for a new task.",
                    )  # fmt: skip
                if thing != fresh.id:
                    return _found(connection, thing, task.key_id)
            for each in after:
                _found(connection, each, task.key_id, param="after")
            self._recorder.add(connection, fresh, after)
            keep_for_good(connection, brought)
            return _found(connection, fresh.id, None)

        await self._engine.prepare()
        return await self._database.run(store)

    async def get(self, task_id: str, *, for_key: str | None = None) -> Task:
        """Raises NotFound."""
        return await self._database.read(_found, task_id, for_key)

    async def list(
        self,
        wanted: Wanted = EVERY,
        *,
        cursor: str | None = None,
        limit: int = 50,
        for_key: str | None = None,
    ) -> tuple[list[Task], str | None]:
        """The newest first, and the cursor of the next page, None at the end."""
        asked = wanted if for_key is None else replace(wanted, key_id=for_key)
        words = (*asked.types, asked.kind, asked.session, asked.workstream, cursor)
        if any(NUL in word for word in words if word is not None):
            return [], None
        found = await self._database.read(rows.listing, asked, before=place(cursor), limit=limit + 1)
        tasks = [from_row(each) for each in found[:limit]]
        return tasks, cursor_of(tasks[-1].created, tasks[-1].id) if len(found) > limit else None

    async def cancel(self, task_id: str, *, reason: str | None = None, for_key: str | None = None) -> Task:
        """Ends a task that has not ended; what runs is stopped within seconds. One that has ended stays as it is."""

        def end(connection: Connection) -> Task:
            task = _held(connection, task_id, for_key)
            self._recorder.cancel(connection, task, reason)
            return _found(connection, task_id, None)

        await self._engine.prepare()
        task = await self._database.run(end)
        await self._engine.drop([run_id(task)])
        return task

    async def retry(self, task_id: str, *, for_key: str | None = None) -> Task:
        """A failed or cancelled task again, from its beginning; with it what failed only because it came after it.

        Raises InvalidRequest where it has not failed, a task before it has, or it is a step of a workstream.
        """

        def again(connection: Connection) -> Task:
            task = _held(connection, task_id, for_key)
            if task.status not in ("failed", "cancelled"):
                raise InvalidRequest(f"{task_id} is {task.status}: only what failed or was cancelled can be retried.")
            if task.workstream is not None:
                fix = f"can workstreams resume {task.workstream}"
                raise InvalidRequest(f"{task_id} is a step of the workstream {task.workstream}.", fix=fix)
            lost = next((each["id"] for each in rows.before(connection, task_id) if each["status"] in _LOST), None)
            if lost is not None:
                raise InvalidRequest(f"{lost} comes before it and is not done.", fix=f"can tasks retry {lost}")
            if task.status == "failed" and task.type in ("task", "agent"):
                feedback.of_task(connection, task.id, 0.0, self._clock.now())
            self._restart(connection, task)
            return _found(connection, task_id, None)

        await self._engine.prepare()
        return await self._database.run(again)

    def _restart(self, connection: Connection, task: Task) -> None:
        now = self._clock.now()
        lost, again = {task.id: task}, [task]
        while again:  # what failed only because of it, and of that
            for row in rows.many(connection, rows.following(connection, again.pop().id)):
                each = from_row(row)
                if each.id not in lost and each.status == "failed" and _failed_before(each):
                    lost[each.id] = each
                    again.append(each)
        for each in lost.values():
            late = each.deadline is not None and each.deadline <= now
            values: dict[str, Any] = {"ended": None, "error": None, "result": None, "failures": 0, "deaths": 0,
                                      "answer": None, "question": None,
                                      "deadline": None if late else each.deadline}  # fmt: skip
            first = bool(rows.before(connection, each.id))
            self._recorder.again(connection, each, "queued", None if first else now, **values)
        # All of them first: one that comes after two of the others must find neither of them failed.
        self._recorder.release(connection, *(each for each in lost if rows.before(connection, each)))

    async def answer(
        self, task_id: str, answer: dict[str, Any], *, expected: Status, for_key: str | None = None
    ) -> Task:
        """What a person decided (`expected` waiting_for_approval), or an event brought (queued).

        Raises NotFound, and InvalidRequest where the task is not waiting for it (any more).
        """

        def decide(connection: Connection) -> Task:
            task = _held(connection, task_id, for_key)
            if task.status != expected or not self._recorder.answer(connection, task, answer):
                raise InvalidRequest(f"{task_id} is {task.status} and waits for no answer")
            return _found(connection, task_id, None)

        await self._engine.prepare()
        return await self._database.run(decide)

    async def wait(self, task_id: str, *, timeout: float | None = None, for_key: str | None = None) -> Task:
        """The task once it has ended, or as it is after `timeout` seconds."""
        last = None
        async for task in self.watch(task_id, timeout=timeout, for_key=for_key):
            last = task
        assert last is not None
        return last

    async def watch(
        self, task_id: str, *, timeout: float | None = None, for_key: str | None = None
    ) -> AsyncIterator[Task]:
        """The task now and whenever it changes, until it has ended. Raises NotFound."""
        until = None if timeout is None else self._clock.now() + timeout
        seen: Task | None = None
        pause = LOOK_SECONDS
        while True:
            task = await self.get(task_id, for_key=for_key)
            if task != seen:
                seen, pause = task, LOOK_SECONDS
                yield task
            if task.status in TERMINAL or (until is not None and self._clock.now() >= until):
                return
            await self._clock.sleep(pause)
            pause = min(pause * 1.3, LOOK_LONGEST)


def _found(connection: Connection, task_id: str, for_key: str | None, *, param: str = "id") -> Task:
    found = None if NUL in task_id else rows.get(connection, task_id)
    if found is None or (for_key is not None and found["key_id"] != for_key):
        raise NotFound(f"no task {task_id[:80]!r}", param=param)
    return from_row(found)


def _held(connection: Connection, task_id: str, for_key: str | None) -> Task:
    """The task, locked after its workstream: the order in which everyone takes them."""
    task = _found(connection, task_id, for_key)
    if task.workstream is not None:
        workstreams.lock(connection, task.workstream)
    rows.lock(connection, task_id)
    return _found(connection, task_id, for_key)


def _failed_before(task: Task) -> bool:
    return task.error is not None and task.error.get("code") == TASK_BEFORE_FAILED


def _check(task: Task, now: float) -> None:
    if not -MOST_PRIORITY <= task.priority <= MOST_PRIORITY:
        raise InvalidRequest(f"a priority is from {-MOST_PRIORITY} to {MOST_PRIORITY}", param="priority")
    if task.deadline is not None and task.deadline <= max(now, task.at or 0):
        raise InvalidRequest("the deadline is before the task could begin", param="deadline")


def _digest(task: Task, after: Collection[str]) -> str:
    """Of what was asked for, whenever it was. Times may be counted from the moment of asking, so they are left out."""
    asked = packed(msgspec.structs.asdict(replace(task, id="", at=None, deadline=None)))
    return hashlib.sha256(msgspec.json.encode([asked, sorted(after)], order="sorted")).hexdigest()


def _loaded(files: Sequence[Any]) -> list[Any]:
    """`files` with the contents of those that are paths. Raises InvalidRequest."""
    try:
        return [{"name": each.name, "data": each.read_bytes()} if isinstance(each, Path) else each for each in files]
    except OSError as error:
        raise InvalidRequest(f"{error.filename} cannot be read: {error.strerror}.", param="files") from None
