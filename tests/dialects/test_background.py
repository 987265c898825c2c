import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import ChatRequest, Image, Message, Text, system, user
from chittycan.dialects import load
from chittycan.dialects.background import add_background, with_background

KNOWN = "It is known that the client is Acme."
HELLO = {"role": "user", "content": "Hello"}
PART = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("surface", "fields", "changes"),
    [
        ("openai", {"messages": [HELLO]}, {"messages": [{"role": "system", "content": KNOWN}, HELLO]}),
        (
            "openai",
            {"messages": [{"role": "developer", "content": "Be brief."}, HELLO]},
            {"messages": [{"role": "developer", "content": f"Be brief.\n\n{KNOWN}"}, HELLO]},
        ),
        (
            "openai",
            {"messages": [{"role": "system", "content": [PART]}, HELLO]},
            {"messages": [{"role": "system", "content": [PART, {"type": "text", "text": KNOWN}]}, HELLO]},
        ),
        ("anthropic", {"messages": [HELLO]}, {"system": KNOWN}),
        ("anthropic", {"system": "Be brief."}, {"system": f"Be brief.\n\n{KNOWN}"}),
        ("anthropic", {"system": [PART]}, {"system": [PART, {"type": "text", "text": KNOWN}]}),
        ("openai_responses", {"input": "Hello"}, {"input": [{"role": "developer", "content": KNOWN}, HELLO]}),
        (
            "openai_responses",
            {"input": [HELLO], "instructions": "Be brief."},
            {"input": [{"role": "developer", "content": KNOWN}, HELLO]},
        ),
        ("openai", {"messages": "Hello"}, {}),
        ("openai_responses", {}, {}),
        ("openai_completions", {"prompt": "Hello"}, {}),
    ],
)
def test_it_stands_behind_the_clients_own_instructions(surface: str, fields: Any, changes: Any) -> None:
    before = copy.deepcopy(fields)
    assert with_background(surface, fields, KNOWN) == changes
    assert fields == before


@pytest.mark.parametrize("surface", ["openai", "anthropic", "openai_responses"])
@given(instructions=st.none() | st.text(max_size=20), text=st.text(min_size=1, max_size=20))
def test_every_dialect_reads_it_as_instructions(surface: str, instructions: str | None, text: str) -> None:
    fields: Any = {"model": "m", "messages": [HELLO], "max_tokens": 10}
    if surface == "openai_responses":
        fields = {"model": "m", "input": "Hello"} | ({"instructions": instructions} if instructions else {})
    elif surface == "anthropic":
        fields |= {"system": instructions} if instructions else {}
    elif instructions is not None:
        fields["messages"] = [{"role": "system", "content": instructions}, HELLO]
    read = load(surface).parse_request(fields | with_background(surface, fields, text))
    said = ["".join(part.text for part in message.parts) for message in read.messages if message.role == "system"]
    assert "".join(said).startswith(instructions or "")
    assert "".join(said).endswith(text)
    assert [message for message in read.messages if message.role != "system"] == [user("Hello")]


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([user("Hello")], [system(KNOWN), user("Hello")]),
        ([system("Be brief."), user("Hello")], [system(f"Be brief.\n\n{KNOWN}"), user("Hello")]),
        (
            [Message("system", [Text("Be brief.", cache={"type": "ephemeral"})])],
            [Message("system", [Text("Be brief.", cache={"type": "ephemeral"}), Text(KNOWN)])],
        ),
        ([Message("system", [Image(url="x")])], [Message("system", [Image(url="x"), Text(KNOWN)])]),
        ([Message("system", [])], [system(KNOWN)]),
        ([], [system(KNOWN)]),
    ],
)
def test_a_neutral_request_stays_as_it_is_and_a_new_one_knows_more(
    messages: list[Message], found: list[Message]
) -> None:
    chat = ChatRequest(model="m", messages=messages)
    before = msgspec.json.encode(chat)
    assert add_background(chat, KNOWN).messages == found
    assert msgspec.json.encode(chat) == before
