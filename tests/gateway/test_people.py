"""Names of people, looked for in a process of its own; where that cannot be, nothing goes out."""

import sys
from typing import Any

import pytest

from chittycan.chat import ChatRequest, user
from chittycan.errors import Unavailable
from chittycan.gateway.call import Call, Options
from chittycan.gateway.people import People, installed
from chittycan.gateway.privacy import PrivacyGate
from chittycan.routing.privacy.detect import NO_TERMS
from chittycan.routing.privacy.finding import Finding

# Stands in for the model: says that every "Anna Berg" is a name.
CHILD = """
import json, re, sys
from chittycan.gateway.people import _read, _write
while (message := _read(sys.stdin.buffer)) is not None:
    text = message.decode("utf-8", "surrogatepass")
    if "Broken" in text:
        sys.exit(1)
    _write(sys.stdout.buffer, json.dumps([each.span() for each in re.finditer("Anna Berg", text)]).encode())
"""


@pytest.fixture
def people() -> People:
    return People((sys.executable, "-c", CHILD))


def call(text: str, **options: Any) -> Call:
    chat = ChatRequest(model="m", messages=[user(text)])
    return Call(request_id="r", model="m", parsed=chat, options=Options(**options))


def test_names_are_found_where_they_stand_also_in_long_texts(people: People) -> None:
    text = "Ünïcode 👩‍🚀 " * 9_000 + "then Anna Berg came, and Anna Berg left"
    found = people.find(text)
    assert {text[each.start : each.end] for each in found} == {"Anna Berg"}
    assert len({each.start for each in found}) == 2
    people.close()


def test_a_text_without_two_capitals_in_a_row_asks_nobody() -> None:
    assert People(("/nowhere/at/all",)).find("what is the capital of France? Paris, of course.") == []


def test_what_breaks_down_is_an_error_and_is_started_again(people: People) -> None:
    with pytest.raises(Unavailable, match="nothing may be sent"):
        people.find("Anna Berg is Broken Down")
    assert people.find("Anna Berg") == [Finding("name", 0, 9)]
    people.close()


async def test_what_is_not_installed_lets_nothing_out_but_what_stays_in_the_house(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chittycan.gateway.people.MODEL", "no_model_of_this_name")
    gate = PrivacyGate()
    gate.use("enforce", NO_TERMS, names=True)
    with pytest.raises(Unavailable) as refused:
        await gate.look(call("Dear Anna Berg"))
    assert "chittycan[names]" in (refused.value.fix or "")
    with pytest.raises(Unavailable):
        gate.private(call("Dear Anna Berg"))
    kept = call("Dear Anna Berg", private=True)
    await gate.look(kept)
    assert not gate.private(kept)
    ordinary = call("what is a cat?")
    await gate.look(ordinary)
    assert not gate.private(ordinary)


@pytest.mark.skipif(not installed(), reason="the extra `names` is not installed")
def test_the_model_finds_full_names() -> None:
    people = People()
    text = "Yesterday Maria Gonzalez met John Smith in Paris."
    assert [text[each.start : each.end] for each in people.find(text)] == ["Maria Gonzalez", "John Smith"]
    people.close()
