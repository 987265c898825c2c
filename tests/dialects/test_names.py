"""Stand-ins for tool names: accepted everywhere, always the same, and undone on the way back."""

import re

from hypothesis import given
from hypothesis import strategies as st

from chittycan.chat import ChatResponse, TextDelta, Tool, ToolCall, ToolStarted
from chittycan.dialects import names


@given(st.text(min_size=1))
def test_every_stand_in_is_a_name_that_providers_accept(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", names.wire_name(name))


def test_an_accepted_name_stays_as_it_is() -> None:
    assert names.wire_name("get_weather-2") == "get_weather-2"


def test_long_names_that_differ_only_at_the_end_stay_apart() -> None:
    assert names.wire_name("a" * 70 + "1") != names.wire_name("a" * 70 + "2")


def test_names_come_back_in_streams_and_answers() -> None:
    tools = [Tool("files.read"), Tool("now")]
    back = names.wire_names(tools)
    wire = names.wire_name("files.read")
    assert back == {wire: "files.read"}
    assert names.restore_event(ToolStarted(0, "id", wire), back) == ToolStarted(0, "id", "files.read")
    assert names.restore_event(ToolStarted(0, "id", "now"), back) == ToolStarted(0, "id", "now")
    assert names.restore_event(TextDelta(wire), back) == TextDelta(wire)
    answer = names.restore_response(ChatResponse("1", "m", [ToolCall("id", wire)], "tool_calls"), back)
    assert answer.parts == [ToolCall("id", "files.read")]
