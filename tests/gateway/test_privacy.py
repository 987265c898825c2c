"""What the gate looks at in a call, and what it makes of it."""

import json
from base64 import b64encode
from typing import Any

import pytest

from chittycan.chat import ChatRequest, File, Message, Text, ToolCall, user
from chittycan.gateway.call import Call, Options
from chittycan.gateway.privacy import PrivacyGate
from chittycan.routing.privacy.detect import Terms
from gateway_parts import call

MAIL = "ann@example.org"


def gate(mode: Any = "enforce", **how: Any) -> PrivacyGate:
    made = PrivacyGate()
    made.use(mode, Terms(["Café Blüte"]), **how)
    return made


def own(chat: ChatRequest, **options: Any) -> Call:
    return Call(request_id="r", model="m", parsed=chat, options=Options(**options))


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": f"write to {MAIL}"}]},
        {"user": MAIL},
        {"metadata": {"for": MAIL}},
        {"metadata": {MAIL: "yes"}},
        {"stop": [MAIL]},
        {"tools": [{"type": "function", "function": {"name": "f", "description": f"writes to {MAIL}"}}]},
        {"messages": [{"role": "assistant", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"to": MAIL})}}]}]},
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": json.dumps({"of": "Café Blüte"})}]},
        {"messages": [{"role": "user", "content": "\n".join(f"n{n}@example.org" for n in range(300))}]},
        {"messages": [{"role": "user", "content": "案件" * 1500 + MAIL}]},
        {"messages": [{"content": "hello", "name": MAIL}]},
        {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": f"data:text/plain,to%20{MAIL.replace('@', '%40')}"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "a.csv",
            "file_data": "data:text/csv;charset=utf-8;base64," + b64encode(f"who\n{MAIL}".encode()).decode()}}]}]},
        {"messages": [{"role": "user", "content": [
            {"type": "document", "source": {"type": "base64", "media_type": "text/plain",
                                            "data": b64encode(MAIL.encode()).decode()}}]}]},
    ],
)  # fmt: skip
def test_wherever_it_stands_it_is_found(fields: Any) -> None:
    made = call(fields=fields)
    assert gate().private(made)
    assert made.options.private


def test_arguments_of_tools_are_looked_at_whatever_they_are_called() -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"id": MAIL}}
    assert gate().private(call("anthropic", fields={"messages": [{"role": "assistant", "content": [block]}]}))


@pytest.mark.parametrize("length", [10, 100_000])
async def test_a_caller_in_this_process_is_looked_at_once(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    made = gate()
    given = made._text

    def look(text: str) -> bool:
        looked.append(text)
        return given(text)

    monkeypatch.setattr(made, "_text", look)
    asked = own(ChatRequest(model="m", messages=[user("word " * length)]))
    await made.look(asked)
    assert not made.private(asked)
    assert len([text for text in looked if text.startswith("word")]) == 1


def test_what_was_found_is_only_said_where_that_is_the_mode() -> None:
    for mode, found, held in (("off", False, False), ("warn", True, False), ("enforce", True, True)):
        asked = own(ChatRequest(model="m", messages=[user(MAIL)]))
        assert (gate(mode).private(asked), asked.options.private) == (found, held)


def test_a_redacted_call_says_the_same_in_other_words_and_the_given_one_is_left_alone() -> None:
    chat = ChatRequest(
        model="m", user=MAIL, stop=[MAIL],
        messages=[Message("user", [Text(f"to {MAIL}"), File(name="a.txt", text=f"and {MAIL}")]),
                  Message("assistant", [ToolCall("c", "f", json.dumps({"to": MAIL, "of": "Café Blüte"}))])],
    )  # fmt: skip
    asked = own(chat, redact=True)
    hidden = gate("warn").redacted_now(asked)
    assert hidden.placeholders is not None
    assert hidden.parsed == ChatRequest(
        model="m", user="[EMAIL_1]", stop=["[EMAIL_1]"],
        messages=[Message("user", [Text("to [EMAIL_1]"), File(name="a.txt", text="and [EMAIL_1]")]),
                  Message("assistant", [ToolCall("c", "f", '{"to":"[EMAIL_1]","of":"[TERM_1]"}')])],
    )  # fmt: skip
    assert asked.parsed is chat
    assert chat.user == MAIL
    assert not asked.options.private


def test_the_body_that_goes_out_is_changed_where_it_must_be_and_nowhere_else() -> None:
    body = b'{"model": "m", "seed":7.0,  "messages": [{"role":"user","content":"to ann@example.org"}]}'
    asked = Call(request_id="r", model="m", surface="openai", body=body, fields=json.loads(body),
                 options=Options(redact=True))  # fmt: skip
    hidden = gate("off").redacted_now(asked)
    assert hidden.body.startswith(b'{"model": "m", "seed":7.0,')
    assert json.loads(hidden.body) == hidden.fields
    assert hidden.fields["messages"][0]["content"] == "to [EMAIL_1]"


@pytest.mark.parametrize("at_home", [False, True])
def test_a_call_without_anything_private_is_the_same_call(at_home: bool) -> None:
    asked = own(ChatRequest(model="m", messages=[user("hello")]), redact=True)
    assert gate().redacted_now(asked, at_home=at_home) is asked
    assert not asked.options.private


def test_the_callers_word_goes_before_the_configuration() -> None:
    chat = ChatRequest(model="m", messages=[user(MAIL)])
    assert gate(redact=True).redacts(own(chat))
    assert not gate(redact=True).redacts(own(chat, redact=False))
    assert not gate("off", redact=True).redacts(own(chat))
    assert gate("off").redacts(own(chat, redact=True))
