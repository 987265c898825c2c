"""`can privacy`."""

from pathlib import Path
from typing import Any

import pytest

TEXT = "Dear Anna,\npay with 4242 4242 4242 4242 to DE89370400440532013000\nabout Projekt Blaumeise\n"


def test_what_is_private_is_named_and_not_shown(can: Any, home: Any, tmp_path: Path) -> None:
    home.write({"privacy": {"terms": ["Projekt Blaumeise"]}})
    (tmp_path / "mail.txt").write_text(TEXT)
    said = can("privacy", "check", str(tmp_path / "mail.txt"))
    assert said.code == 1
    assert [word in said.out for word in ("card", "iban", "term")] == [True] * 3
    assert not any(word in said.out for word in ("4242", "DE89", "Blaumeise"))
    assert "4242" in can("privacy", "check", "--show", str(tmp_path / "mail.txt")).out
    found = can("privacy", "check", "--json", str(tmp_path / "mail.txt")).json
    assert [(each["kind"], each["line"]) for each in found["findings"]] == [("card", 2), ("iban", 2), ("term", 3)]
    assert (found["private"], found["mode"]) == (True, "warn")


def test_an_ordinary_text_is_said_to_be_one(can: Any, home: Any, tmp_path: Path) -> None:
    home.write({})
    (tmp_path / "plain.txt").write_text("Nothing of the kind.")
    said = can("privacy", "check", str(tmp_path / "plain.txt"))
    assert said.code == 0
    assert "nothing private" in said.out
    assert can("privacy", "check", str(tmp_path / "none.txt")).code == 1


def test_status_says_what_is_done_and_why(can: Any, home: Any) -> None:
    home.write({})
    assert "because no model is set up" in can("privacy", "status").out
    proxies = {"house": {"endpoint": "http://127.0.0.1:9/v1"}}
    home.write(
        {"remotes": {"connect": {"type": "chittyconnect", "proxies": proxies}}},
        {"models": {"own": {"proxy": "house", "upstream": "own", "private": True}}},
    )
    found = can("privacy", "status", "--json").json
    assert found["mode"] == "enforce"
    assert "own" in found["models"]


def test_the_text_is_shown_as_it_would_go_outside(can: Any, home: Any, tmp_path: Path) -> None:
    home.write({"privacy": {"terms": ["Projekt Blaumeise"]}})
    (tmp_path / "mail.txt").write_text(TEXT)
    said = can("privacy", "check", "--redact", str(tmp_path / "mail.txt"))
    assert said.out.strip() == "Dear Anna,\npay with [CARD_1] to [IBAN_1]\nabout [TERM_1]"


def test_names_that_nobody_can_look_for_are_an_error_and_not_left_out(
    can: Any, home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chittycan.gateway.people.MODEL", "no_model_of_this_name")
    home.write({"privacy": {"names": True}})
    (tmp_path / "mail.txt").write_text("Dear Anna Berg, hello")
    said = can("privacy", "check", str(tmp_path / "mail.txt"))
    assert said.code == 1
    assert "chittycan[names]" in said.err
    assert "chittycan[names]" in can("privacy", "status").out
