"""Which dialect offers what; that the signatures are right is for the type checker to say."""

from types import ModuleType
from typing import Any

import msgspec
import pytest

from chittycan.chat import Json, Usage
from chittycan.dialects import (
    MODULES,
    ClientDialect,
    Dialect,
    ProviderDialect,
    anthropic_messages,
    gemini,
    load,
    openai_chat,
    openai_completions,
    openai_responses,
)

BOTH: tuple[Dialect, ...] = (anthropic_messages, openai_chat, openai_responses)
CLIENTS: tuple[ClientDialect, ...] = (*BOTH, openai_completions)
PROVIDERS: tuple[ProviderDialect, ...] = (*BOTH, gemini)
BEYOND = {
    "anthropic": {"holds_foreign_reasoning"},
    "openai_completions": {"join", "split"},
    "openai_responses": {"holds_foreign_reasoning", "require_no_stored_state", "stored_items"},
}


def names_of(protocol: type) -> set[str]:
    kinds = protocol.__mro__
    members = {name for kind in kinds for name in (*vars(kind), *getattr(kind, "__annotations__", ()))}
    return {name for name in members if not name.startswith("_")}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_dialect_offers_exactly_the_names_of_its_side(name: str) -> None:
    module: ModuleType = load(name)
    protocol: Any = Dialect if module in BOTH else ClientDialect if module in CLIENTS else ProviderDialect
    assert module in (*CLIENTS, *PROVIDERS)
    assert module.name == name
    assert set(module.__all__) == names_of(protocol) | BEYOND.get(name, set())


ANSWERS: dict[str, Json] = {
    "openai": {
        "choices": [{"finish_reason": "stop", "message": {"content": "x"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}},
    },
    "openai_responses": {
        "status": "incomplete",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [],
        "usage": {"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 2}},
    },
    "anthropic": {
        "type": "message",
        "content": [],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 7, "output_tokens": 4, "cache_read_input_tokens": 2},
    },
}
ERROR = {"type": "server_error", "message": "no"}


@pytest.mark.parametrize("dialect", BOTH, ids=lambda dialect: dialect.name)
def test_usage_at_a_glance_is_that_of_the_whole_answer(dialect: Dialect) -> None:
    answer = ANSWERS[dialect.name]
    assert dialect.quick_usage(msgspec.json.encode(answer)) == Usage(9, 4, cached=2)
    assert dialect.parse_response(answer).usage == Usage(9, 4, cached=2)


@pytest.mark.parametrize("dialect", BOTH, ids=lambda dialect: dialect.name)
def test_nothing_is_told_at_a_glance_of_what_is_not_plainly_good(dialect: Dialect) -> None:
    answer = ANSWERS[dialect.name]
    bad: list[Any] = [answer | {"error": ERROR}, {"error": ERROR}, [], "x", answer | {"usage": None}]
    bad += [answer | {"status": "failed", "stop_reason": None, "choices": []}]
    for body in (*map(msgspec.json.encode, bad), b"", b"<html>", b"\xff", b"[" * 5000):
        assert dialect.quick_usage(body) is None
