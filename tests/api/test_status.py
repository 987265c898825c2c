"""Every error has a status, and reads as an error in every surface."""

import inspect
from collections.abc import Iterator

import msgspec
import pytest

from chittycan import errors
from chittycan.api.status import body_of, headers_of
from chittycan.dialects.status import STATUS, status_of
from chittycan.errors import ChittyError

SURFACES = ["openai", "openai_completions", "openai_responses", "anthropic"]

# What users were promised (the design's sections 5 and 6)
PROMISED = {
    "InvalidRequest": 400, "RequestTooLarge": 413, "UnknownModel": 404, "NotFound": 404, "Unauthenticated": 401,
    "Forbidden": 403, "NoPrivateModel": 403, "BudgetExceeded": 402, "RateLimited": 429, "CredentialsExhausted": 502,
    "AllRateLimited": 429, "AllCooling": 503, "UpstreamTimeout": 504, "AllFailed": 502, "StreamBroken": 502,
    "Unavailable": 503, "Cancelled": 499,
}  # fmt: skip
CODES = {
    "UnknownModel": "model_not_found", "Unauthenticated": "invalid_api_key", "NoPrivateModel": "privacy_no_model",
    "CredentialsExhausted": "upstream_credentials_exhausted", "StreamBroken": "upstream_stream_incomplete",
}  # fmt: skip


def _classes() -> Iterator[type[ChittyError]]:
    for found in vars(errors).values():
        if inspect.isclass(found) and issubclass(found, ChittyError):
            yield found


def made(kind: type[ChittyError]) -> ChittyError:
    if issubclass(kind, errors.ConfigError):
        return kind("wrong", file="config.json")
    if issubclass(kind, errors.UpstreamRefused):
        return kind("no", status=418)
    return kind("something happened", fix="Do this.")


def test_every_error_has_a_status_of_its_own_row() -> None:
    without = {kind.__name__ for kind in _classes() if kind not in STATUS}
    assert without == {"UpstreamRefused"}, "which has the upstream's"


def test_the_statuses_are_those_that_were_promised() -> None:
    assert {name: status_of(made(getattr(errors, name))) for name in PROMISED} == PROMISED


def test_the_codes_are_those_that_were_promised() -> None:
    assert {name: made(getattr(errors, name)).code for name in CODES} == CODES


@pytest.mark.parametrize("status", [400, 402, 404, 409, 422, 429, 500, 503, 529])
def test_a_lone_upstreams_refusal_keeps_its_status(status: int) -> None:
    assert status_of(errors.UpstreamRefused("no", status=status)) == status


@pytest.mark.parametrize("status", [0, 101, 200, 302, 399, 600, 999])
def test_what_is_no_error_status_becomes_one(status: int) -> None:
    assert status_of(errors.UpstreamRefused("no", status=status)) == 502


def test_an_error_without_a_row_has_its_parents_status() -> None:
    class Odd(errors.Forbidden):
        pass

    assert status_of(Odd("no")) == 403


@pytest.mark.parametrize(("seconds", "header"), [(0.2, b"1"), (1.0, b"1"), (1.2, b"2"), (3600.0, b"3600"), (0.0, b"1")])
def test_a_wait_is_told_in_whole_seconds(seconds: float, header: bytes) -> None:
    for error in (errors.RateLimited("wait", retry_after=seconds), errors.AllCooling("wait", retry_after=seconds)):
        assert headers_of(error) == [(b"retry-after", header)]


def test_no_wait_is_not_told() -> None:
    assert headers_of(errors.AllFailed("no")) == []
    assert headers_of(errors.NotFound("no")) == []


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("kind", list(_classes()), ids=lambda kind: kind.__name__)
def test_every_error_reads_as_one_in_every_surface(kind: type[ChittyError], surface: str) -> None:
    error = made(kind)
    body = msgspec.json.decode(body_of(error, surface))
    said = body["error"]
    assert error.message.rstrip(".") in said["message"]
    assert said["type"]
    assert body.get("type") == ("error" if surface == "anthropic" else None)
    if error.fix:
        assert "Do this." in said["message"]


@pytest.mark.parametrize("surface", SURFACES)
def test_the_attempts_are_listed(surface: str) -> None:
    attempts = [{"model": "gpt-4", "class": "silent", "status": 504, "ms": 14_000.0}]
    body = msgspec.json.decode(body_of(errors.AllFailed("no", attempts=attempts), surface))
    assert body["error"]["attempts"] == attempts
