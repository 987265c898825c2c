"""`can router inbox` with mail on a server."""

from pathlib import Path
from typing import Any

import pytest

from mail_servers import ARCHIVE, PASSWORD, Dovecot


def mail(name: str) -> bytes:
    return f"From: Ann <ann@bell.example>\r\nMessage-ID: <{name}>\r\nSubject: {name}\r\n\r\nWhat is it?\r\n".encode()


CONTRACT = Path(__file__).resolve().parents[2] / "examples" / "inbox" / "04-contract-for-review.eml"

# Needs no model, so that nothing about it is in doubt.
AWAY = (
    b"From: b@bell.example\r\nMessage-ID: <away>\r\nAuto-Submitted: auto-replied\r\nSubject: away\r\n\r\nBack soon.\r\n"
)


@pytest.fixture
def account(home: Any, dovecot_server: Dovecot, monkeypatch: pytest.MonkeyPatch, request: Any) -> str:
    """The user name of an account `mail` that is set up, with two mails in it."""
    user = f"cli-{request.node.name[:60]}"
    settings = {"type": "imap", "host": "127.0.0.1", "port": dovecot_server.port, "security": "none", "user": user,
                "password": "env:MAIL_PASSWORD", "watch": True}  # fmt: skip
    home.write({"embedded": {"enabled": False}, "integrations": {"mail": settings}})
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    for name in ("one", "two"):
        dovecot_server.deliver(user, name, mail(name))
    return user


def test_new_mail_is_processed_and_its_source_is_fresh(can: Any, account: str, dovecot_server: Dovecot) -> None:
    (before,) = can("router", "inbox", "sources", "--json").json
    assert (before["state"], before["lastSuccess"]) == ("never", None)
    first = can("router", "inbox", "process", "--source", "mail", "--json")
    assert first.json["processed"] == 2
    dovecot_server.deliver(account, "three", mail("three"))
    second = can("router", "inbox", "process", "--json").json
    assert [row["subject"] for row in second["mails"]] == ["three"]
    third = can("router", "inbox", "process")
    assert (third.code, "nothing new in mail" in third.out) == (0, True)
    (after,) = can("router", "inbox", "sources", "--json").json
    assert (after["state"], after["behind"], after["problem"]) == ("fresh", 0, None)
    assert [(folder["name"], folder["seen"]) for folder in after["folders"]] == [("INBOX", 3)]
    assert "fresh, last looked at" in can("router", "inbox", "sources").out
    assert len(can("router", "inbox", "list", "--json").json) == 3
    assert dovecot_server.flags(account) == set()


def test_a_dry_run_leaves_nothing_behind(can: Any, account: str) -> None:
    said = can("router", "inbox", "process", "--source", "mail", "--dry-run", "--limit", "1")
    assert (said.code, "1 would need a model" in said.out) == (0, True)
    assert can("router", "inbox", "sources", "--json").json[0]["state"] == "never"


def test_what_is_wrong_is_said_by_the_command_and_by_the_doctor(
    can: Any, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "! Mail mail: never looked at" in can("doctor").out
    monkeypatch.setenv("MAIL_PASSWORD", "wrong")
    said = can("router", "inbox", "process", "--source", "mail")
    assert said.code == 1
    assert "refused the login" in said.err
    assert "app password" in said.err
    monkeypatch.delenv("MAIL_PASSWORD")
    said = can("router", "inbox", "process", "--source", "mail")
    assert (said.code, "MAIL_PASSWORD is not set" in said.err) == (1, True)


def test_the_doctor_says_what_keeps_an_account_from_being_read(can: Any, account: str, home: Any) -> None:
    home.write({"integrations": {"mail": {"type": "imap", "host": "h", "user": "u", "password": "opensesame"}}})
    said = can("doctor")
    assert said.code == 1
    assert "a password does not belong into this file" in said.out
    assert "opensesame" not in said.out


def test_only_sources_can_be_watched(can: Any, account: str, home: Any) -> None:
    said = can("router", "inbox", "watch", "--source", "male")
    assert (said.code, "no source of mail 'male'" in said.err) == (2, True)
    home.write({})
    said = can("router", "inbox", "watch")
    assert (said.code, "No mail account is set up" in said.err) == (2, True)


def test_what_rules_want_waits_for_leave(can: Any, account: str, home: Any, dovecot_server: Dovecot) -> None:
    dovecot_server.deliver(account, "away", AWAY)
    can("router", "rules", "create", "--condition", "subject:away", "--action", "label:Court,archive,auto")
    can("router", "inbox", "process", "--source", "mail")
    assert dovecot_server.flags(account) == set()
    waiting = can("router", "inbox", "actions", "list", "--json").json
    assert sorted((row["verb"], row["value"], row["needs_leave"]) for row in waiting) == [
        ("archive", "", True), ("label", "Court", True)
    ]  # fmt: skip
    said = can("router", "inbox", "actions", "list").out
    assert "waits for leave" in said
    assert "can router inbox actions allow" in said
    numbers = {row["verb"]: str(row["id"]) for row in waiting}
    assert can("router", "inbox", "actions", "drop", numbers["label"]).code == 0
    assert can("router", "inbox", "actions", "allow", numbers["archive"]).code == 0
    can("router", "inbox", "process", "--source", "mail")
    assert can("router", "inbox", "actions", "list", "--json").json == []
    (done,) = can("router", "inbox", "actions", "list", "--state", "done", "--json").json
    assert (done["verb"], done["allowed_by"], done["subject"]) == ("archive", "owner", "away")
    assert len(list(dovecot_server.maildir(account, ARCHIVE).glob("[nc]*/*.*"))) == 1
    twice = can("router", "inbox", "actions", "allow", numbers["archive"])
    assert (twice.code, "is done" in twice.err) == (1, True)
    assert can("router", "inbox", "actions", "list", "--state", "ready").code == 1
    assert can("router", "inbox", "actions", "drop", "77").code == 1


def test_what_the_account_allows_is_done_at_once(can: Any, account: str, home: Any, dovecot_server: Dovecot) -> None:
    settings = home.read()["integrations"]["mail"] | {"allow": ["move"]}
    home.write({"embedded": {"enabled": False}, "integrations": {"mail": settings}})
    dovecot_server.deliver(account, "away", AWAY)
    can("router", "rules", "create", "--condition", "subject:away", "--action", f"move:{ARCHIVE},auto")
    can("router", "inbox", "process", "--source", "mail")
    assert can("router", "inbox", "actions", "list", "--state", "done", "--json").json[0]["verb"] == "move"
    assert len(list(dovecot_server.maildir(account, ARCHIVE).glob("[nc]*/*.*"))) == 1


def test_a_mailbox_on_this_machine_has_an_alarm_of_its_own(can: Any, home: Any) -> None:
    home.write({"integrations": {"letters": {"type": "maildir", "path": "/nowhere", "watch": True},
                                 "old": {"type": "mbox", "path": "/nowhere"}}})  # fmt: skip
    can("keys", "list")  # makes the database
    found = {each["name"]: each for each in can("router", "inbox", "sources", "--json").json}
    assert (found["letters"]["state"], found["letters"]["type"], found["letters"]["watch"]) == (
        "never",
        "maildir",
        True,
    )
    assert (found["old"]["state"], found["old"]["watch"]) == ("local", False)
    said = can("doctor").out
    assert "Mail letters: never looked at" in said
    assert "Mail old" not in said


def test_an_attachment_is_fetched_again_from_the_server(can: Any, account: str, dovecot_server: Dovecot) -> None:
    dovecot_server.deliver(account, "contract", CONTRACT.read_bytes())
    can("router", "inbox", "process", "--source", "mail")
    (row,) = [each for each in can("router", "inbox", "list", "--json").json if "northgate" in each["from"]]
    found = can("router", "agents", "invoke", "document", "--email", row["id"], "--json")
    assert found.json["output"]["document_type"] == "contract"
    assert {"field": "date", "text": "4 December 2026", "ref": "page 3"} in found.json["output"]["references"]
