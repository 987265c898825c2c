"""How a command reaches the network: through the server where it runs, else by itself; and what it trusts."""

import asyncio
import json
from typing import Any

import pytest

from chittycan import errors
from chittycan.api.status import body_of, headers_of
from chittycan.auth import admin
from chittycan.cli.remote import RemoteSession, error_of
from chittycan.cli.session import open_session
from chittycan.dialects.status import status_of
from chittycan.gateway.call import Trace
from chittycan.testing import ANSWER


def surfaces(home: Any) -> list[str]:
    """Which door each call of the ledger came through: `local` is the command's own process."""
    import sqlite3

    connection = sqlite3.connect(home.data / "chitty.db")
    found = [row[0] for row in connection.execute("SELECT surface FROM ledger ORDER BY at")]
    connection.close()
    return found


def test_without_a_server_the_command_works_by_itself(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    assert can("ask", "hello").code == 0
    assert surfaces(home) == ["local"]


def test_a_running_server_answers(can: Any, home: Any, upstream: Any, server: Any) -> None:
    home.proxies(upstream.proxies(), baseUrl=server)
    said = can("ask", "hello")
    assert (said.code, said.out) == (0, ANSWER + "\n")
    assert said.err.startswith("✓ gpt-4o (")
    assert surfaces(home) == ["openai"]


def test_the_server_tells_cost_and_time_of_a_stream(can: Any, home: Any, upstream: Any, server: Any) -> None:
    home.proxies(upstream.proxies(), {"models": {"dear": {
        "proxy": "openai", "upstream": "ok", "price": {"input": 1000, "output": 1000}}}}, baseUrl=server)  # fmt: skip
    said = can("connect", "integration", "list")  # by now the server has read the files
    said = can("ask", "hello", "--model", "gpt-4o", "--json")
    assert said.json["usage"]["input"] == 17
    assert said.json["ms"] > 0
    assert said.json["provider"] == "openai"


def test_what_a_stream_did_not_say_at_its_beginning_is_known_at_its_end(
    can: Any, home: Any, upstream: Any, server: Any
) -> None:
    """Headers of a stream that is late go out before anybody has answered: they name neither model nor route."""
    home.proxies(upstream.proxies(), baseUrl=server)
    upstream.script("gpt-4o", "s16-bad-key")
    asked = can("ask", "hello", "--model", "gpt-4o", "--json").json

    async def look() -> Trace:
        async with open_session(home.environment) as session:
            assert isinstance(session, RemoteSession)
            return await session.usage(Trace(request_id=asked["request_id"], model="", route=""))

    late = asyncio.run(look())
    assert (late.model, late.route, late.fallbacks) == ("claude-sonnet-4-5", "named", 1)


def test_through_a_server_too_the_default_chain_comes_last(can: Any, home: Any, upstream: Any, server: Any) -> None:
    home.proxies(upstream.proxies(), baseUrl=server)
    upstream.script("gpt-4o", "s16-bad-key")
    said = can("ask", "hello", "--model", "gpt-4o")
    assert (said.code, said.out) == (0, ANSWER + "\n")
    assert said.err.startswith("✓ claude-sonnet-4-5 (")


def test_a_failure_reads_the_same_through_a_server(can: Any, home: Any, upstream: Any, server: Any) -> None:
    home.proxies(upstream.proxies(), baseUrl=server)
    for model in ("gpt-4o", "claude-sonnet-4-5"):
        upstream.script(model, "s16-bad-key")
    said = can("ask", "hello")
    assert said.code == 1
    assert "gpt-4o: credential (401" in said.err
    assert "refused every key" in said.err


def test_keys_made_by_the_command_count_at_once_and_do_not_shut_it_out(
    can: Any, home: Any, upstream: Any, server: Any
) -> None:
    home.proxies(upstream.proxies(), baseUrl=server)
    assert can("keys", "create", "--name", "x").code == 0
    assert can("ask", "hello").out == ANSWER + "\n"
    assert [row["name"] for row in can("keys", "list", "--json").json] == ["x"]
    assert can("connect", "integration", "test", "openai").code == 0


def test_a_server_that_cannot_prove_itself_is_not_used_and_learns_nothing(
    can: Any, home: Any, upstream: Any, impostor: Any
) -> None:
    home.proxies(upstream.proxies(), baseUrl=impostor.url)
    credential = admin.read_or_create(home.data)
    assert can("ask", "hello").out == ANSWER + "\n"
    assert surfaces(home) == ["local"]
    assert [path.partition("?")[0] for path, _ in impostor.requests] == ["/health"]
    assert credential not in json.dumps(impostor.requests)


def test_nobody_can_pass_off_the_servers_proof_as_its_own(
    can: Any, home: Any, upstream: Any, server: Any, impostor: Any
) -> None:
    impostor.relay = server
    home.proxies(upstream.proxies(), baseUrl=impostor.url)
    assert can("ask", "hello").out == ANSWER + "\n"
    assert surfaces(home) == ["local"]
    assert admin.read_or_create(home.data) not in json.dumps(impostor.requests)


def test_a_server_on_another_database_is_not_used(can: Any, home: Any, upstream: Any, server: Any, monkeypatch: Any) -> None:  # fmt: skip  # noqa: E501
    home.proxies(upstream.proxies(), baseUrl=server)
    monkeypatch.setenv("CHITTY_DATABASE_URL", f"sqlite:///{home.path}/other.db")
    assert can("ask", "hello").code == 0
    assert surfaces(home) == []


def test_a_server_elsewhere_is_asked_with_its_key(can: Any, home: Any, upstream: Any, server: Any, monkeypatch: Any) -> None:  # fmt: skip  # noqa: E501
    home.proxies(upstream.proxies(), baseUrl=server)
    key = can("keys", "create", "--name", "laptop", "--models", "gpt-4o", "--json").json["key"]
    home.proxies({}, baseUrl=server, apiToken="env:OFFICE_KEY")
    monkeypatch.setenv("OFFICE_KEY", key)
    # Another machine: it has neither the credential nor the database.
    monkeypatch.setenv("XDG_DATA_HOME", str(home.path / "elsewhere"))
    assert can("ask", "hello", "--model", "gpt-4o").out == ANSWER + "\n"
    assert can("ask", "hello", "--model", "claude-sonnet-4-5").code == 1
    assert [row["name"] for row in can("connect", "proxy", "usage", "--json").json] == ["openai/gpt-4o"]
    refused = can("keys", "list")
    assert refused.code == 1
    assert "only the owner's credential may" in refused.err


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequest("`x` is wrong", param="x"),
        errors.UnknownModel("no such model", param="model"),
        errors.Unauthenticated("no key"),
        errors.Forbidden("not you"),
        errors.NoPrivateModel("private"),
        errors.BudgetExceeded("no money"),
        errors.RateLimited("too fast", retry_after=7),
        errors.CredentialsExhausted("no key works", attempts=[{"model": "m", "class": "credential"}]),
        errors.AllRateLimited("all limited", attempts=[{"model": "m", "class": "rate_limit"}], retry_after=3),
        errors.AllCooling("all rest", retry_after=9),
        errors.UpstreamTimeout("slow"),
        errors.AllFailed("all failed", attempts=[{"model": "m", "class": "transient"}]),
        errors.Unavailable("down"),
        errors.UpstreamRefused("theirs", status=400, code="odd", attempts=[{"model": "m", "class": "caller_fault"}]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_keeps_its_class_over_http(error: errors.ChittyError) -> None:
    headers = {name.decode(): value.decode() for name, value in headers_of(error)}
    again = error_of(status_of(error), body_of(error, "openai"), headers)
    assert type(again) is type(error)
    assert again.code == error.code
    assert again.message.startswith(error.message)
    for name in ("attempts", "retry_after", "param"):
        assert getattr(again, name, None) == getattr(error, name, None)


def test_an_answer_that_is_no_error_of_ours_is_still_an_error() -> None:
    for body in (b"", b"<html>", b'{"error": "text"}', b"[]"):
        assert isinstance(error_of(502, body, {}), errors.Unavailable)
