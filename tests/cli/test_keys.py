"""`can keys`."""

from typing import Any


def test_a_new_key_is_shown_once(can: Any, home: Any) -> None:
    home.write({})
    made = can(
        "keys", "create", "--name", "laptop", "--budget", "10/day,100/month", "--models", "gpt-4o, claude-sonnet-4-5",
        "--rpm", "60", "--tpm", "100000", "--expires", "30d", "--cache", "--json",
    ).json  # fmt: skip
    assert made["key"].startswith("sk-chitty-")
    assert (made["budget_day_usd"], made["budget_month_usd"]) == (10.0, 100.0)
    assert made["models"] == ["claude-sonnet-4-5", "gpt-4o"]
    assert (made["rpm"], made["tpm"], made["cache"]) == (60, 100_000, True)
    assert round(made["expires"] - made["created"]) == 30 * 86_400
    listed = can("keys", "list", "--json")
    assert made["key"] not in listed.out
    assert [row["name"] for row in listed.json] == ["laptop"]
    assert made["key"][-4:] in can("key", "list").out


def test_a_revoked_key_is_only_listed_on_request(can: Any, home: Any) -> None:
    home.write({})
    can("keys", "create", "--name", "old")
    assert can("keys", "revoke", "old").code == 0
    assert "old" not in can("keys", "list").out
    assert "revoked" in can("keys", "list", "--all").out
    again = can("keys", "revoke", "old")
    assert again.code == 1
    assert "can keys list" in again.err


def test_what_cannot_be_read_is_a_usage_error(can: Any, home: Any) -> None:
    home.write({})
    for wrong in (["--budget", "ten/day"], ["--expires", "soon"], ["--rpm", "-1"]):
        assert can("keys", "create", "--name", "x", *wrong).code == 2
    can("keys", "create", "--name", "x")
    said = can("keys", "create", "--name", "x")
    assert said.code == 2
    assert "exists" in said.err


def test_a_key_needs_a_name(can: Any, home: Any) -> None:
    said = can("keys", "create")
    assert said.code == 2
    assert "--name" in said.err
