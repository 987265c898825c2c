"""What is asked for becomes a task; what is wrong is named."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan import chat
from chittycan.errors import InvalidRequest, RequestTooLarge
from chittycan.workstreams import submission
from chittycan.workstreams.recipe import Task as TaskStep
from chittycan.workstreams.submission import Attachment, Submission, Wishes, read

NOW = 1_800_000_000.0


def asked(**fields: Any) -> Submission:
    return read({"prompt": "Say hi", **fields}, NOW)


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        asked(**fields)
    return refused.value


def test_a_prompt_alone_is_a_task_for_whatever_model_there_is() -> None:
    task = asked().task
    assert (task.type, task.spec["prompt"], task.model, task.kind) == ("task", "Say hi", None, None)
    assert (task.priority, task.retries, task.options, task.webhook) == (0, 0, {}, None)


def test_the_spec_has_the_fields_of_a_recipes_task() -> None:
    assert set(asked().task.spec) == set(TaskStep.__struct_fields__)


def test_every_wish_reaches_its_place() -> None:
    wishes: dict[str, Any] = {
        "kind": "code.review", "model": "gpt-4", "session": "deal-42", "title": "Review", "priority": 7, "retries": 3,
        "system": "Be brief.", "schema": {"type": "object"}, "json": True, "max_tokens": 50, "store": "review",
        "recall": True, "webhook": {"url": "https://example.org/done"}, "private": True, "region": "eu",
        "models": ["a", "b"], "max_cost_usd": 0.25, "after": ["task_1", "task_2", "task_1"], "idempotency_key": "k",
        "deadline": "24h", "at": "1h", "facts": {"branch": "main"},
    }  # fmt: skip
    made = asked(**wishes)
    task = made.task
    assert (task.kind, task.model, task.session, task.title) == ("code.review", "gpt-4", "deal-42", "Review")
    assert (task.priority, task.retries, task.store, task.budget_nano) == (7, 3, "review", 250_000_000)
    assert task.spec == {
        "prompt": "Say hi", "system": "Be brief.", "files": [], "schema": {"type": "object"}, "json": True,
        "max_tokens": 50,
    }  # fmt: skip
    assert task.options == {
        "private": True, "region": "eu", "models": ["a", "b"], "max_cost_nano": 250_000_000, "recall": True,
    }  # fmt: skip
    assert task.webhook == {"url": "https://example.org/done"}
    assert (task.at, task.deadline) == (NOW + 3600, NOW + 86_400)
    assert (made.after, made.idempotency_key) == (("task_1", "task_2"), "k")
    assert made.facts == {"branch": "main"}
    assert set(wishes) | {"prompt", "messages", "files"} == set(Wishes.__struct_fields__)


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        ("90s", NOW + 90),
        ("1h30m", NOW + 5400),
        ("2027-01-20T09:00+01:00", 1_800_432_000.0),
        ("2027-01-20T08:00:00Z", 1_800_432_000.0),
        (1_800_432_000, 1_800_432_000.0),
        (datetime(2027, 1, 20, 8, tzinfo=UTC), 1_800_432_000.0),
    ],
)
def test_a_deadline_is_a_duration_or_a_time(when: Any, seconds: float) -> None:
    assert asked(deadline=when).task.deadline == seconds


# messages


def test_messages_are_kept_as_they_are() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    ]
    assert read({"messages": messages}, NOW).task.spec["messages"] == messages


def test_instructions_go_before_the_messages() -> None:
    spec = read({"messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."}, NOW).task.spec
    assert spec["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert spec["system"] is None


def test_neutral_messages_are_put_into_the_same_form() -> None:
    parts: list[chat.Part] = [
        chat.Text("Look"), chat.Image(data="QUJD", media_type="image/jpeg"), chat.File(name="a.pdf", data="QUJD"),
        chat.File(name="b.txt", text="B"),
    ]  # fmt: skip
    spec = read({"messages": [chat.user("Hi"), chat.Message("user", parts)]}, NOW).task.spec
    assert spec["messages"] == [
        {"role": "user", "content": "Hi"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QUJD"}},
                {"type": "file",
                 "file": {"filename": "a.pdf", "file_data": "data:application/octet-stream;base64,QUJD"}},
                {"type": "text", "text": "B"},
            ],
        },
    ]  # fmt: skip


# files


def test_files_come_by_id_or_with_their_content() -> None:
    inline = {"name": "/home/me/a b.txt", "data": base64.b64encode(b"abc").decode()}
    made = asked(files=["file-1", {"id": "file-2"}, inline, {"name": "c.txt", "data": b"c"}])
    assert made.files == ("file-1", "file-2", Attachment("a b.txt", b"abc"), Attachment("c.txt", b"c"))


def test_the_same_files_look_the_same_and_others_do_not() -> None:
    one, same, other = (asked(files=[{"name": "a", "data": data}]).sealed.spec for data in (b"1", b"1", b"2"))
    assert one == same
    assert one != other


def test_files_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "MOST_BYTES", 10)
    asked(files=[{"name": "a", "data": b"12345"}] * 2)
    with pytest.raises(RequestTooLarge) as refused:
        asked(files=[{"name": "a", "data": b"12345"}] * 2 + [{"name": "b", "data": b"x"}])
    assert refused.value.param == "files"


# what is wrong is named


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"messages": [{"role": "user", "content": "x"}]}, "prompt"),
        ({"prompt": None, "messages": []}, "messages"),
        ({"prompt": None, "messages": "x"}, "messages"),
        ({"prompt": None, "messages": [{"role": "boss", "content": "x"}]}, "messages[0].role"),
        ({"prompt": None, "messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"prompt": None, "messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"prompt": None, "messages": [{"role": "user"}]}, "messages[0].content"),
        ({"colour": "red"}, "colour"),
        ({"kind": ""}, "kind"),
        ({"model": "a\x00b"}, "model"),
        ({"session": "a/b"}, "session"),
        ({"priority": 101}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"retries": -1}, "retries"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_cost_usd": 0}, "max_cost_usd"),
        ({"max_cost_usd": float("inf")}, "max_cost_usd"),
        ({"deadline": "soon"}, "deadline"),
        ({"deadline": "2027-01-20T09:00"}, "deadline"),
        ({"deadline": NOW - 1}, "deadline"),
        ({"deadline": "1h", "at": "2h"}, "deadline"),
        ({"at": float("nan")}, "at"),
        ({"at": 1_800_000_000_000}, "at"),
        ({"store": "x"}, "session"),
        ({"recall": True}, "session"),
        ({"webhook": {"url": "ftp://example.org"}}, "webhook.url"),
        ({"webhook": {"url": "https://[bad"}}, "webhook.url"),
        ({"webhook": {"url": "https://example.org", "secret": "s"}}, "webhook.secret"),
        ({"files": ["contract.pdf"]}, "files[0]"),
        ({"files": ["file-1", {"name": "a", "data": "*"}]}, "files[1].data"),
        ({"files": [{"name": "", "data": ""}]}, "files[0]"),
        ({"files": ["file-1"] * 21}, "files"),
        ({"models": ["a", ""]}, "models[1]"),
        ({"idempotency_key": "x" * 201}, "idempotency_key"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert len(error.message) < 200


def test_a_time_without_an_offset_is_told_from_a_wrong_duration() -> None:
    assert "offset" in refusal(deadline="2027-01-20T09:00").message
    assert "duration" in refusal(deadline="tomorrow").message


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(Wishes.__struct_fields__) | st.text(min_size=1, max_size=5), anything, max_size=6)
)
def test_whatever_is_asked_is_a_task_or_a_named_mistake(fields: dict[str, Any]) -> None:
    try:
        spec = read(fields, NOW).task.spec
        said = spec["prompt"] or spec["messages"]
    except InvalidRequest as error:
        said = error.param
    assert said
