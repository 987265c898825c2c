"""Bytes of a file → checked values, and errors that a person can act on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.config import settings_from
from chittycan.config.parsing import join, parse
from chittycan.errors import ConfigError


def config_error(config: Any = None, models: Any = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        settings_from(config or {}, models or {}, Path("/c"))
    return caught.value


def proxy(**values: Any) -> dict[str, Any]:
    return {"remotes": {"connect": {"type": "chittyconnect", "proxies": {"openai": values}}}}


def test_broken_json_is_reported_with_line_and_column() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(b'{\n  "remotes": {,}\n}', "/c/config.json")
    assert (caught.value.line, caught.value.column) == (2, 15)
    assert str(caught.value).startswith("/c/config.json:2:15: broken JSON")


def test_text_that_is_not_utf8_is_reported_with_line_and_column() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(b'{\n "caf\xe9": 1}', "f")
    assert (caught.value.line, caught.value.column) == (2, 6)


def test_a_byte_order_mark_is_no_error() -> None:
    assert parse(b'\xef\xbb\xbf{"a": 1}', "f") == {"a": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b" \n ", "the file is empty"),
        (b"[1]", "expected an object, found a list"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": 1e999}', "broken JSON"),
        (b'{"a": 1, "b": {"k": 1, "k": 2}}', 'the key "k" is written twice'),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "broken JSON"),
    ],
    ids=["empty", "blank", "list", "nan", "infinite", "duplicate", "surrogate", "deep", "huge-number"],
)
def test_what_is_no_sound_object_is_refused_with_its_reason(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(data, "f")
    assert caught.value.fix


def test_a_wrong_type_names_file_key_what_was_found_and_the_fix() -> None:
    error = config_error(proxy(enabled="yes"))
    assert error.file == "/c/config.json"
    assert error.key == "remotes.connect.proxies.openai.enabled"
    assert "expected true or false, found text" in error.message
    assert error.fix == "Write true or false, without quotes."


@pytest.mark.parametrize(
    ("config", "models", "key", "message"),
    [
        ({"remotes": []}, {}, "remotes", "expected an object, found a list"),
        ({"remotes": {"x": "url"}}, {}, "remotes.x", "expected an object, found text"),
        (proxy(timeouts={"idle": 0}), {}, "remotes.connect.proxies.openai.timeouts.idle", "greater than 0"),
        (proxy(timeouts={"idle": True}), {}, "remotes.connect.proxies.openai.timeouts.idle", "found true/false"),
        (proxy(apiKey=[1]), {}, "remotes.connect.proxies.openai.apiKey", "text or a list of texts"),
        (proxy(headers={"X-A": 1}), {}, "remotes.connect.proxies.openai.headers.X-A", "found the number 1"),
        ({"budgets": {"day": -1}}, {}, "budgets.day", "at least 0"),
        ({}, {"fallbacks": {"gpt-4": 5}}, "fallbacks.gpt-4", "text or a list of texts"),
        ({}, {"models": {"gpt-4.1": {"contextWindow": "8k"}}}, 'models["gpt-4.1"].contextWindow', "whole number"),
        ({}, {"models": {"m": {"price": {"input": 1}}}}, "models.m.price", '"output" is missing'),
    ],
)
def test_every_wrong_value_is_named(config: Any, models: Any, key: str, message: str) -> None:
    error = config_error(config, models)
    assert error.key == key
    assert message in error.message
    assert error.fix


def test_a_misspelt_choice_is_put_right() -> None:
    error = config_error(proxy(dialect="antropic"))
    assert "expected one of openai, openai_responses, anthropic, gemini" in error.message
    assert error.fix == 'Did you mean "anthropic"?'


def test_an_error_never_shows_the_value_of_a_key() -> None:
    error = config_error(proxy(apiKey={"value": "sk-very-secret"}))
    assert "sk-very-secret" not in str(error) + str(error.fix)


@pytest.mark.parametrize(
    ("config", "models", "key", "suggestion"),
    [
        ({"remots": {}}, {}, "remots", "did you mean remotes?"),
        (proxy(apikey="env:A"), {}, "remotes.connect.proxies.openai.apikey", "did you mean apiKey?"),
        (proxy(default_model="m"), {}, "remotes.connect.proxies.openai.default_model", "did you mean defaultModel?"),
        ({"fallbacks": {}}, {}, "fallbacks", "it belongs in models.json"),
        ({}, {"models": {"m": {"contextwindow": 1}}}, "models.m.contextwindow", "did you mean contextWindow?"),
        ({"zzzz": 1}, {}, "zzzz", None),
    ],
)
def test_an_unknown_key_is_a_warning_with_a_suggestion(
    config: Any, models: Any, key: str, suggestion: str | None
) -> None:
    (finding,) = settings_from(config, models, Path("/c")).warnings
    assert (finding.key, finding.suggestion) == (key, suggestion)


def test_comments_and_empty_values_are_passed_over_in_silence() -> None:
    settings = settings_from(
        {"_comment": "mine", "//": "x", **proxy(apiKey="", endpoint=None, defaultModel="")}, {}, Path("/c")
    )
    assert settings.warnings == ()
    assert settings.proxies["openai"].api_keys == ()
    assert settings.proxies["openai"].default_model is None


def test_a_path_shows_unusual_keys_in_brackets() -> None:
    assert join("models", "gpt-4") == "models.gpt-4"
    assert join("models", "gpt 4.1") == 'models["gpt 4.1"]'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["remotes", "modelAssignments", "budgets", "models", "fallbacks", "assignments", "embedded", "privacy", "x", "type"]
)
DOCUMENTS = st.dictionaries(KEYS, JSON | st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=4)


def error_of(call: Callable[[], Any]) -> ConfigError | None:
    try:
        call()
    except ConfigError as error:
        return error
    return None


@given(config=DOCUMENTS, models=DOCUMENTS)
def test_any_document_gives_settings_or_a_config_error(config: Any, models: Any) -> None:
    error = error_of(lambda: settings_from(config, models, Path("/c")))
    assert error is None or error.file.startswith("/c/")


@given(proxy=JSON)
def test_any_proxy_gives_settings_or_a_config_error_that_names_it(proxy: Any) -> None:
    document = {"remotes": {"r": {"type": "chittyconnect", "proxies": {"openai": proxy}}}}
    error = error_of(lambda: settings_from(document, {}, Path("/c")))
    assert error is None or str(error.key).startswith("remotes.r.proxies.openai")


@given(data=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_parse_or_raise_a_config_error(data: bytes) -> None:
    error = error_of(lambda: parse(data, "f"))
    assert error is None or (error.file == "f" and error.fix)
