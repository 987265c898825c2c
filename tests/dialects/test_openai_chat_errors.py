"""Errors of OpenAI chat, both ways."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan import errors
from chittycan.chat import Failed
from chittycan.dialects import openai_chat


@pytest.mark.parametrize(
    ("body", "failed"),
    [
        ({"error": {"message": "m", "type": "t", "code": "c"}}, Failed(418, "t", "c", "m")),
        ({"error": "m", "code": 7}, Failed(418, None, "7", "m")),
        ({"message": "m"}, Failed(418, None, None, "m")),
        ({"detail": "m"}, Failed(418, None, None, "m")),
        ({"detail": [{"loc": ["body"], "msg": "m", "type": "missing"}]}, Failed(418, "missing", None, "m")),
        ({"errors": [{"message": "m", "code": 5006}], "success": False}, Failed(418, None, "5006", "m")),
        ([{"error": {"message": "m", "code": 400}}], Failed(418, None, "400", "m")),
    ],
)
def test_every_vendors_shape_is_read(body: Any, failed: Failed) -> None:
    assert openai_chat.parse_error(418, msgspec.json.encode(body)) == failed


@pytest.mark.parametrize(
    "body", [b"", b"<html>sk-abcdefghijkl</html>", b"\xff\xfe", b"null", b"[]", b"{}", b"[" * 9999]
)
def test_an_unreadable_body_is_named_and_not_echoed(body: bytes) -> None:
    failed = openai_chat.parse_error(502, body)
    assert failed == Failed(502, None, None, "the provider answered 502 without a readable error")


def test_a_key_in_a_providers_words_is_redacted() -> None:
    body = b'{"error":{"message":"Incorrect API key provided: sk-abcd1234efgh5678."}}'
    assert "sk-" not in openai_chat.parse_error(401, body).message


@given(st.integers(400, 599), st.binary(max_size=40) | st.text('{}[]":,errocdmsag1 ', max_size=40).map(str.encode))
def test_any_body_gives_a_failure(status: int, body: bytes) -> None:
    assert openai_chat.parse_error(status, body).status == status


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (errors.InvalidRequest("m", param="p"), 400, "invalid_request_error", "invalid_request"),
        (errors.UnknownModel("m"), 404, "invalid_request_error", "model_not_found"),
        (errors.Unauthenticated("m"), 401, "authentication_error", "invalid_api_key"),
        (errors.NoPrivateModel("m"), 403, "permission_error", "privacy_no_model"),
        (errors.BudgetExceeded("m"), 402, "insufficient_quota", "budget_exceeded"),
        (errors.RateLimited("m"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (errors.AllRateLimited("m"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (errors.CredentialsExhausted("m"), 502, "server_error", "upstream_credentials_exhausted"),
        (errors.AllCooling("m"), 503, "server_error", "all_models_cooling"),
        (errors.UpstreamTimeout("m"), 504, "timeout_error", "upstream_timeout"),
        (errors.UpstreamRefused("m", status=400), 400, "invalid_request_error", "upstream_refused"),
        (errors.UpstreamRefused("m", status=500), 500, "server_error", "upstream_refused"),
        (errors.UpstreamRefused("m", status=400, kind="k", code="c", param="p"), 400, "k", "c"),
    ],
)
def test_our_errors_have_openais_words(error: errors.ChittyError, status: int, kind: str, code: str) -> None:
    built = openai_chat.build_error(error, status)["error"]
    assert (built["type"], built["code"], built["message"]) == (kind, code, "m")
    assert built["param"] == getattr(error, "param", None)
    assert "attempts" not in built


def test_the_fix_and_the_attempts_are_told() -> None:
    attempts = [{"model": "a", "class": "transient", "status": 500, "ms": 3}]
    built = openai_chat.build_error(errors.AllFailed("No model answered.", attempts=attempts, fix="Try later."), 502)
    assert built["error"]["message"] == "No model answered. Try later."
    assert built["error"]["attempts"] == attempts
