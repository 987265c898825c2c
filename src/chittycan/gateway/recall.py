"""What a call with a session does with the session's document, where it is asked to.

Recall: the model is given the document before it answers, and what is labelled private in it makes the call private.
Record: the answer goes into the document afterwards, while the client has it already.
"""

import asyncio
import logging
from typing import Any, TypeGuard

import msgspec
from msgspec import Struct

from chittycan.chat import Json
from chittycan.clock import Clock
from chittycan.context.document import Author, Context
from chittycan.context.excerpt import system_message
from chittycan.context.labels import PRIVACY, UNLABELLED, Label, strictest
from chittycan.context.sessions import Sessions
from chittycan.dialects import load
from chittycan.dialects.background import add_background, with_background
from chittycan.dialects.wire import splice
from chittycan.errors import ChittyError, InvalidRequest, NotFound, Unavailable
from chittycan.gateway.attempt import Whole
from chittycan.gateway.call import Call, Trace
from chittycan.routing.privacy.placeholders import REDACTED

log = logging.getLogger(__name__)

ANSWERS = "answers"  # the key of the document that collects what is recorded under no key of its own
LONGEST_ANSWER = 32_768  # characters that are recorded
RETRY_SECONDS = (0.5, 2.0, 8.0)  # while the database is away
READ_OWN_SECONDS = 1.0  # how long a recall waits for what this process is recording in its session
CLOSE_SECONDS = 5.0  # for the last records to be written


class RecallSettings(Struct, frozen=True, kw_only=True):
    """`recall` and `record`: what calls with a session do unasked. `tokens` are recalled, `answers` kept at most."""

    recall: bool = False
    record: bool = False
    tokens: int = 1024
    answers: int = 20


class Recall:
    """`lost` counts answers that could not be recorded."""

    def __init__(self, sessions: Sessions, clock: Clock, settings: RecallSettings | None = None) -> None:
        self._sessions, self._clock, self.settings = sessions, clock, settings or RecallSettings()
        self._writing: dict[str, asyncio.Task[None]] = {}  # the last one of each session
        self.lost = 0

    async def prepared(self, call: Call) -> Call:
        """The call with what its session knows; its `answered` keeps the answer. The call given stays as it is.

        Raises Forbidden for another key's session, InvalidRequest, Unavailable.
        """
        options, settings = call.options, self.settings
        recall = settings.recall if options.recall is None else options.recall
        record = settings.record if options.record is None else options.record
        session = options.session
        if session is None or call.operation != "chat" or not (recall or record):
            return call
        context = await self._read(session, call)
        label, text = UNLABELLED, ""
        if record:
            _check(call, context, record)
        if recall and context is not None:
            label = context.label
            text = await asyncio.to_thread(system_message, context, settings.tokens)
        # An answer from the cache would neither know the document nor come into it.
        options = msgspec.structs.replace(options, private=options.private or label.privacy == "private", cache=False)
        prepared = _knowing(msgspec.structs.replace(call, options=options), text)
        if record:
            key = record if isinstance(record, str) else None

            def answered(answer: str, trace: Trace) -> None:
                if answer:
                    self._note(prepared, key, label, answer, trace)

            prepared.answered = answered
        return prepared

    async def close(self) -> None:
        """Waits for what is being recorded."""
        tasks = list(self._writing.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _read(self, session: str, call: Call) -> Context | None:
        writing = self._writing.get(session)
        if writing is not None:
            await asyncio.wait((writing,), timeout=READ_OWN_SECONDS)
        try:
            return await self._sessions.retrieve(session, for_key=_reach(call))
        except NotFound:
            return None

    def _note(self, call: Call, key: str | None, label: Label, answer: str, trace: Trace) -> None:
        session = call.options.session or ""
        before = self._writing.get(session)
        task = asyncio.get_running_loop().create_task(self._record(before, call, key, label, answer, trace))
        self._writing[session] = task

        def over(task: asyncio.Task[None]) -> None:
            if self._writing.get(session) is task:
                del self._writing[session]

        task.add_done_callback(over)

    async def _record(
        self,
        before: asyncio.Task[None] | None,
        call: Call,
        key: str | None,
        label: Label,
        answer: str,
        trace: Trace,
    ) -> None:
        """Writes one answer, after the one before it."""
        if before is not None:
            await asyncio.wait((before,))
        options, at = call.options, self._clock.now()
        answer = answer[:LONGEST_ANSWER]
        task = options.task if options.task is not None and options.task.isprintable() else None
        entry = {"text": answer, "model": trace.model, "task": task, "request": call.request_id, "at": at}

        def patching(document: Json) -> Json:
            return {key: answer} if key is not None else {ANSWERS: self._longer(document, entry)}

        # What was redacted on the way out is back in the answer.
        said = "private" if trace.label == REDACTED else trace.label
        given = next((Label(word) for word in PRIVACY if word == said), UNLABELLED)
        labels = {key or ANSWERS: strictest((label, given))}
        try:
            await self._until_there(
                options.session or "", patching, by=Author("model", trace.model, task), labels=labels,
                for_key=_reach(call),
            )  # fmt: skip
        except ChittyError as error:
            self.lost += 1
            log.warning("the answer to request %s was not recorded: %s", call.request_id, error.code)

    async def _until_there(self, session: str, patching: Any, **given: Any) -> None:
        for pause in RETRY_SECONDS:
            try:
                await self._sessions.change(session, patching, **given)
            except Unavailable:
                await self._clock.sleep(pause)
            else:
                return
        await self._sessions.change(session, patching, **given)

    def _longer(self, document: Json, entry: Json) -> list[Any]:
        """The answers with this one, which a repeated write does not repeat; the oldest go where there is no room."""
        found = document.get(ANSWERS)
        earlier = found if _are_answers(found) else []
        kept = [each for each in earlier if each.get("request") != entry["request"]]
        kept = [*kept, {name: value for name, value in entry.items() if value is not None}][-self.settings.answers :]
        while len(kept) > 1 and _size({**document, ANSWERS: kept}) > self._sessions.limits.max_bytes:
            del kept[0]
        return kept


def text_of(whole: Whole) -> str:
    """The text of an answer that may have been passed on unread."""
    response = whole.response
    if response is None:
        dialect: Any = load(whole.candidate.provider.dialect)
        try:
            response = dialect.parse_response(msgspec.json.decode(whole.body))
        except (ChittyError, KeyError, TypeError, ValueError, AttributeError, IndexError):
            return ""
    text: str = response.text
    return text


def _reach(call: Call) -> str | None:
    """The key on whose behalf sessions are used; None for the owner."""
    return None if call.key is None or call.key.admin else call.key.id


def _check(call: Call, context: Context | None, record: bool | str) -> None:
    """There is one answer, and it writes over no other value at `answers`. Raises InvalidRequest."""
    if call.fields.get("n") not in (None, 1) or (call.parsed is not None and call.parsed.n > 1):
        raise InvalidRequest("`n`: one answer can be recorded, not several.", param="n")
    found = context.document.get(ANSWERS) if context is not None and record is True else None
    if found is not None and not _are_answers(found):
        raise InvalidRequest(
            f"The session's `{ANSWERS}` is not a list of answers, so that none can be added.", param="record",
            fix='Record under another key, such as "record": "summary".',
        )  # fmt: skip


def _are_answers(found: Any) -> TypeGuard[list[Json]]:
    return isinstance(found, list) and all(isinstance(each, dict) for each in found)


def _knowing(call: Call, text: str) -> Call:
    """The call with the text beside the client's own instructions; its body stays as it is otherwise."""
    if not text:
        return call
    changes = with_background(call.surface, call.fields, text) if call.surface is not None else {}
    if not changes:
        return msgspec.structs.replace(call, parsed=add_background(call.chat, text))
    body = splice(call.body, call.fields, changes)
    return msgspec.structs.replace(call, body=body, fields={**call.fields, **changes}, parsed=None)


def _size(document: Json) -> int:
    return len(msgspec.json.encode(document))
