"""Where texts stand in a request, and what is none."""

import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from chittycan.chat import ChatRequest, Image, Message, Text, Tool, ToolCall, user
from chittycan.gateway.texts import as_json, changed, is_encoded, texts, unreadable


def test_what_people_and_models_wrote_is_text_and_what_the_dialect_says_is_not() -> None:
    body = {
        "messages": [
            {"role": "user", "content": "a question"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call-1", "name": "find",
                                               "input": {"id": "an argument", "type": "another"}}]},
        ],
        "metadata": {"who": "ann"},
    }  # fmt: skip
    found = set(texts(body))
    assert {"a question", "an argument", "another", "find", "ann"} <= found
    assert {"who", "id", "type"} <= found  # keys that somebody thought of
    assert not {"user", "tool_use", "call-1"} & found


def test_neutral_requests_are_read_alike() -> None:
    chat = ChatRequest(model="m", messages=[Message("assistant", [Text("hello"), ToolCall("c1", "find", '{"a": 1}')])])
    assert {"hello", '{"a": 1}'} <= set(texts(chat))
    assert not {"m", "c1", "assistant"} & set(texts(chat))


def test_long_texts_without_spaces_are_texts_and_images_are_not() -> None:
    addresses = "\n".join(f"ann{number}@example.org" for number in range(200))
    assert not is_encoded(addresses)
    assert not is_encoded("案件の概要" * 500)
    assert is_encoded("data:image/png;base64," + "iVBORw0KGgo" * 300)
    assert is_encoded("\n".join(["iVBORw0KGgoAAAANSUhEUgAAA" * 3 + "A"] * 40))


def test_every_text_can_be_changed_and_names_stay() -> None:
    body = {
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "find", "description": "finds"}}],
        "messages": [
            {"role": "user", "content": "hello", "name": "ann"},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "find", "arguments": "{}"}}]},
        ],
    }
    new = changed(body, lambda text, is_json: f"JSON {text}" if is_json else text.upper())
    assert new["messages"][0] == {"role": "user", "content": "HELLO", "name": "ann"}
    assert new["messages"][1]["tool_calls"][0] == {"id": "c", "function": {"name": "find", "arguments": "JSON {}"}}
    assert new["tools"][0]["function"] == {"name": "find", "description": "FINDS"}
    assert body["messages"][0]["content"] == "hello"  # type: ignore[index]


def test_images_and_files_are_not_readable() -> None:
    url = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    source = {"type": "document", "source": {"type": "base64", "data": "JVBERi0="}}
    plain = {"type": "document", "source": {"type": "text", "data": "hello"}}
    assert unreadable({"messages": [{"content": [url]}]})
    assert unreadable([{"content": [source]}])
    assert not unreadable([{"content": [plain]}])
    assert unreadable(ChatRequest(model="m", messages=[Message("user", [Image(data="iVBO", media_type="image/png")])]))
    assert not unreadable(ChatRequest(model="m", messages=[user("hello")]))


def test_only_objects_and_lists_count_as_json() -> None:
    assert as_json(json.dumps({"a": [1]})) == {"a": [1]}
    assert as_json("[1, 2]") == [1, 2]
    assert as_json("12") is None
    assert as_json("{not json") is None


def test_what_a_schema_names_is_the_callers_own() -> None:
    schema = {"type": "object", "properties": {"id": {"description": "such as A-17"}, "type": {"enum": ["of Ann"]}}}
    bodies = (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]},
        {"tools": [{"name": "f", "input_schema": schema}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}},
        {"text": {"format": {"type": "json_schema", "name": "f", "schema": schema}}},
        {"prompt": {"id": "pmpt_1", "variables": {"id": "such as A-17", "type": "of Ann"}}},
        ChatRequest(model="m", messages=[], tools=[Tool("f", schema=schema)]),
    )
    for body in bodies:
        assert {"such as A-17", "of Ann"} <= set(texts(body)), body


def test_numbers_in_place_of_words_are_not_readable() -> None:
    assert unreadable({"input": [15339, 1917]})
    assert unreadable({"input": [[15339, 1917], [15339]]})
    assert not unreadable({"input": ["hello"], "top_logprobs": 2})


@pytest.mark.parametrize(
    "url",
    [
        "DATA:Text/Plain;Base64,{}",
        "data:;base64,{}",
        "data:text/csv;base64;charset=utf-8,{}",
        "data:;charset=utf-8,{plain}",
    ],
)
def test_a_file_of_text_is_read_however_its_address_is_written(url: str) -> None:
    text = "Ännchen wohnt in Jüterbog?>"
    data = b64encode(text.encode()).decode().rstrip("=")
    for written in (data, data.replace("+", "-").replace("/", "_")):
        whole = url.format(written, plain=quote(text))
        assert text in texts({"file": {"file_data": whole}}), whole


def test_an_image_says_nothing() -> None:
    assert not any(texts({"image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 300}}))
