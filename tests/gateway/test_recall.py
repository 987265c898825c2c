"""What a call with a session does with its document: units of `Recall`, over a real database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from chittycan.auth.keys import ADMIN, Key
from chittycan.chat import ChatRequest, ChatResponse, Text, Usage, user
from chittycan.context.labels import Label
from chittycan.context.sessions import Limits, Sessions
from chittycan.errors import Forbidden, InvalidRequest, Unavailable
from chittycan.gateway.attempt import Whole
from chittycan.gateway.call import Call, Options, Trace
from chittycan.gateway.recall import LONGEST_ANSWER, Recall, RecallSettings, text_of
from chittycan.store.database import Database
from chittycan.testing import FakeClock
from gateway_parts import call, candidate, settle

SERVED = Trace(request_id="req_1", model="gpt-4")
KEY = Key(id="k1", name="one", hint="abcd", created=0.0)


@pytest.fixture
def sessions(sqlite: Database, clock: FakeClock) -> Sessions:
    return Sessions(sqlite, clock)


@pytest.fixture
async def recall(sessions: Sessions, clock: FakeClock) -> AsyncIterator[Recall]:
    recall = Recall(sessions, clock)
    yield recall
    await recall.close()


def wanting(surface: str | None = "openai", key: Key | None = None, fields: Any = None, **options: Any) -> Call:
    return call(surface, options=Options(**{"session": "s", **options}), key=key, fields=fields or {})


async def test_a_call_that_wants_nothing_is_the_same_call(recall: Recall, sessions: Sessions) -> None:
    await sessions.store("s", {"client": "Acme"})
    for asked in (call(), wanting(), wanting(recall=False, record=False), call(operation="embeddings")):
        assert await recall.prepared(asked) is asked


async def test_the_document_comes_into_the_body_and_nothing_else_changes(recall: Recall, sessions: Sessions) -> None:
    await sessions.store("s", {"client": "Acme"})
    asked = wanting(recall=True, fields={"vendor_field": 1e2})
    prepared = await recall.prepared(asked)
    sent = msgspec.json.decode(prepared.body)
    assert sent == prepared.fields
    assert '{"client":"Acme"}' in sent["messages"][0]["content"]
    assert sent | {"messages": sent["messages"][1:]} == asked.fields
    assert len(asked.fields["messages"]) == 1
    assert prepared.chat.messages[0].role == "system"


@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses", "openai_completions", None])
async def test_every_surface_knows_the_document(recall: Recall, sessions: Sessions, surface: str | None) -> None:
    await sessions.store("s", {"client": "Acme"})
    asked = wanting(surface, recall=True)
    if surface is None:
        asked.parsed = ChatRequest(model="m", messages=[user("Hello")])
    if surface == "openai_completions":
        asked.fields = {"model": "m", "prompt": "Hello"}
    said = [part for message in (await recall.prepared(asked)).chat.messages for part in message.parts]
    assert any(isinstance(part, Text) and "Acme" in part.text for part in said)


async def test_a_session_without_a_document_is_nothing_to_recall(recall: Recall) -> None:
    asked = wanting(recall=True)
    assert (await recall.prepared(asked)).body == asked.body


async def test_what_is_private_in_the_document_makes_the_call_private(recall: Recall, sessions: Sessions) -> None:
    await sessions.store("s", {"client": "Acme"}, labels={"client": Label("internal")})
    assert not (await recall.prepared(wanting(recall=True))).options.private
    await sessions.update("s", {"id": "x" * 9000}, labels={"id": Label("private")})
    assert (await recall.prepared(wanting(recall=True))).options.private
    assert not (await recall.prepared(wanting(record=True))).options.private


async def test_no_more_is_recalled_than_the_settings_allow(recall: Recall, sessions: Sessions) -> None:
    await sessions.store("s", {"contract": "Whereas " * 2000})
    recall.settings = RecallSettings(recall=True, tokens=300)
    assert len((await recall.prepared(wanting())).body) < 300 * 4 + 300
    assert "Whereas" not in (await recall.prepared(wanting(recall=False))).body.decode()


async def test_answers_are_added_to_the_list(recall: Recall, sessions: Sessions, clock: FakeClock) -> None:
    recall.settings = RecallSettings(record=True, answers=2)
    for text in ("one", "two", "three"):
        prepared = await recall.prepared(wanting(task="t1"))
        prepared.request_id = f"req_{text}"
        assert prepared.answered is not None
        prepared.answered(text, SERVED)
    await recall.close()
    found = await sessions.retrieve("s")
    assert found.document["answers"] == [
        {"text": text, "model": "gpt-4", "task": "t1", "request": f"req_{text}", "at": clock.now()}
        for text in ("two", "three")
    ]
    newest = (await sessions.history("s"))[0]
    assert (newest.by.kind, newest.by.name, newest.by.task) == ("model", "gpt-4", "t1")


async def test_a_call_waits_for_what_its_process_is_recording(recall: Recall) -> None:
    first = await recall.prepared(wanting(record="risk"))
    assert first.answered is not None
    first.answered("seven", SERVED)
    assert "seven" in (await recall.prepared(wanting(recall=True))).body.decode()


async def test_an_answer_is_labelled_as_strictly_as_what_it_was_made_of(recall: Recall, sessions: Sessions) -> None:
    await sessions.store("s", {"mail": "x"}, labels={"mail": Label("internal", "outside")})
    cases: list[tuple[str, Any, Trace]] = [
        ("of_mail", {"recall": True}, SERVED),
        ("of_nothing", {}, SERVED),
        ("of_private", {"private": True}, Trace(request_id="r", model="m", label="private")),
    ]
    for key, options, trace in cases:
        prepared = await recall.prepared(wanting(record=key, **options))
        assert prepared.answered is not None
        prepared.answered("answer", trace)
    await recall.close()
    labels = (await sessions.retrieve("s")).labels
    assert labels["of_mail"] == Label("internal", "outside")
    assert "of_nothing" not in labels
    assert labels["of_private"] == Label("private")


async def test_what_recalls_or_records_is_not_cached(recall: Recall) -> None:
    assert (await recall.prepared(wanting(recall=True, cache=True))).options.cache is False
    assert (await recall.prepared(wanting(record=True, cache=True))).options.cache is False


async def test_a_key_reaches_no_other_keys_session(recall: Recall, sessions: Sessions) -> None:
    await sessions.store("s", {"client": "Acme"})
    wants: list[Any] = [{"recall": True}, {"record": True}]
    for wanted in wants:
        with pytest.raises(Forbidden):
            await recall.prepared(wanting(key=KEY, **wanted))
        await recall.prepared(wanting(key=ADMIN, **wanted))
    own = await recall.prepared(wanting(key=KEY, session="own", record="a"))
    assert own.answered is not None
    own.answered("answer", SERVED)
    await recall.close()
    assert (await sessions.retrieve("own", for_key="k1")).document == {"a": "answer"}


async def test_the_owners_own_value_is_not_written_over(recall: Recall, sessions: Sessions) -> None:
    await sessions.store("s", {"answers": "mine"})
    with pytest.raises(InvalidRequest, match="not a list"):
        await recall.prepared(wanting(record=True))
    await recall.prepared(wanting(record="other"))


async def test_one_answer_is_recorded_not_several(recall: Recall) -> None:
    with pytest.raises(InvalidRequest, match="`n`"):
        await recall.prepared(wanting(record=True, fields={"n": 2}))


def test_recall_and_record_need_a_session() -> None:
    wants: list[Any] = [{"recall": True}, {"record": "key"}]
    for wanted in wants:
        with pytest.raises(InvalidRequest, match="session"):
            Options(**wanted)
    Options(recall=False, record=False)


async def test_old_answers_give_way_where_there_is_no_room(
    recall: Recall, sessions: Sessions, sqlite: Database
) -> None:
    sessions.limits = Limits(max_bytes=LONGEST_ANSWER + 1000)
    for number, text in enumerate(("a" * 20_000, "b" * 20_000, "c" * LONGEST_ANSWER * 2)):
        prepared = await recall.prepared(wanting(record=True))
        prepared.request_id = f"req_{number}"
        assert prepared.answered is not None
        prepared.answered(text, SERVED)
    await recall.close()
    (kept,) = (await sessions.retrieve("s")).document["answers"]
    assert kept["text"] == "c" * LONGEST_ANSWER
    assert (await sessions.retrieve("s")).version == 3


class Away(Sessions):
    """A database that does not answer at first; the last of those writes it did all the same."""

    failures = 2

    async def change(self, *given: Any, **more: Any) -> Any:
        if self.failures:
            self.failures -= 1
            if not self.failures:
                await super().change(*given, **more)
            raise Unavailable("the database did not answer")
        return await super().change(*given, **more)


async def test_while_the_database_is_away_it_is_tried_again_and_written_once(
    sqlite: Database, clock: FakeClock
) -> None:
    sessions = Away(sqlite, clock)
    recall = Recall(sessions, clock)
    prepared = await recall.prepared(wanting(record=True))
    assert prepared.answered is not None
    prepared.answered("answer", SERVED)
    closing = asyncio.get_running_loop().create_task(recall.close())
    while not closing.done():
        await clock.run(1)
        await asyncio.wait((closing,), timeout=0.005)
    assert (sessions.failures, recall.lost) == (0, 0)
    assert (await sessions.retrieve("s")).version == 2
    assert len((await sessions.retrieve("s")).document["answers"]) == 1


class Hesitant(Sessions):
    """The first write begins only once it is let."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        super().__init__(database, clock)
        self.let = asyncio.Event()
        self.writes = 0

    async def change(self, *given: Any, **more: Any) -> Any:
        self.writes += 1
        if self.writes == 1:
            await self.let.wait()
        return await super().change(*given, **more)


async def test_answers_are_recorded_in_the_order_in_which_they_were_given(sqlite: Database, clock: FakeClock) -> None:
    sessions = Hesitant(sqlite, clock)
    recall = Recall(sessions, clock)
    both = [await recall.prepared(wanting(record=True)) for _ in range(2)]
    for text, prepared in zip(("one", "two"), both, strict=True):
        prepared.request_id = f"req_{text}"
        assert prepared.answered is not None
        prepared.answered(text, SERVED)
    await settle()
    sessions.let.set()
    await recall.close()
    assert [each["text"] for each in (await sessions.retrieve("s")).document["answers"]] == ["one", "two"]


async def test_an_answer_that_cannot_be_recorded_is_counted(recall: Recall, sessions: Sessions) -> None:
    prepared = await recall.prepared(wanting(record="a"))
    sessions.limits = Limits(max_bytes=10)
    assert prepared.answered is not None
    prepared.answered("answer", SERVED)
    prepared.answered("", SERVED)
    await recall.close()
    assert recall.lost == 1


def test_the_text_of_an_answer_that_was_passed_on_unread() -> None:
    body = {"id": "x", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"},
                                                  "finish_reason": "stop"}]}  # fmt: skip
    assert text_of(Whole(msgspec.json.encode(body), candidate(), Usage())) == "Hi"
    assert text_of(Whole(b"{}", candidate(), Usage())) == ""
    read = ChatResponse(id="x", model="m", parts=[Text("Ho")], stop_reason="stop")
    assert text_of(Whole(b"", candidate(), Usage(), read)) == "Ho"
