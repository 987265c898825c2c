"""No key leaves in a provider's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.catalogue import Secret
from chittycan.gateway.redact import redact
from gateway_parts import KEY_ONE


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF123_456-789xyz", "sk-ant-api03-abcdefghijklmnop-qrst_uv", "sk-abc***********wxyz",
        "gsk_abcdefghijklmnopqrstuvwx", "xai-abcdefghijklmnopqrstuv", "AIzaSyA-abcdefghijklmnop_qrs",
        "hf_abcdefghijklmnopqrstuv", "r8_abcdefghijklmnopqrstuv", "AKIAIOSFODNN7EXAMPLE",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def",
    ],
)  # fmt: skip
def test_what_has_the_shape_of_a_credential_is_blackened(secret: str) -> None:
    assert redact(f"Incorrect API key provided: {secret} (see the dashboard)", ()) == (
        "Incorrect API key provided: [redacted] (see the dashboard)"
    )


@given(st.text("abcdef0123456789", min_size=8, max_size=64), st.text(max_size=20), st.text(max_size=20))
def test_the_key_in_use_is_blackened_whatever_its_shape(key: str, before: str, after: str) -> None:
    assert key not in redact(f"{before}{key}{after} {key}", [Secret(key, "env:KEY")])


def test_short_stand_ins_for_keys_are_words_like_others() -> None:
    assert redact("no such local model", [Secret("local", "literal")]) == "no such local model"


@pytest.mark.parametrize(
    "text", ["Key limit exceeded (daily limit)", "model: claude-9-opus", "prompt is too long: 210000 tokens > 200000"]
)
def test_other_words_stay(text: str) -> None:
    assert redact(text, [KEY_ONE]) == text


def test_length_is_bounded() -> None:
    assert len(redact("x" * 100_000, ())) <= 2000
