"""`can context`, in this process and through a server."""

import json
from typing import Any

import pytest


@pytest.fixture
def deal(can: Any, home: Any) -> Any:
    """A session with three values."""
    home.write({})
    assert can("context", "set", "deal", "client=Acme", "risk:=7", 'parties:=["Acme", "Bell"]').code == 0
    return can


def document(can: Any, session: str = "deal") -> Any:
    return can("context", "show", session, "--json").json["document"]


def test_values_are_texts_or_json(deal: Any) -> None:
    assert document(deal) == {"client": "Acme", "risk": 7, "parties": ["Acme", "Bell"]}
    deal("context", "set", "deal", "client=a=b", "risk:=null", "empty=")
    assert document(deal) == {"client": "a=b", "parties": ["Acme", "Bell"], "empty": ""}


def test_a_document_is_shown_as_a_table_and_a_value_as_it_is(deal: Any) -> None:
    said = deal("context", "show", "deal")
    assert said.lines[0].startswith("deal  version 1")
    assert any(line.split() == ["client", "Acme"] for line in said.lines)
    assert deal("context", "show", "deal", "client").out == "Acme\n"
    assert deal("context", "show", "deal", "parties").json == ["Acme", "Bell"]
    assert deal("context", "show", "deal", "client", "--json").json == "Acme"
    missing = deal("context", "show", "deal", "clinet")
    assert missing.code == 1
    assert "client, parties, risk" in missing.err


def test_a_file_is_merged_in_or_replaces(deal: Any, home: Any) -> None:
    (home.path / "work" / "patch.json").write_text('{"client": {"name": "Acme"}, "risk": null}')
    deal("context", "set", "deal", "--file", "patch.json", "note=x")
    assert document(deal) == {"client": {"name": "Acme"}, "parties": ["Acme", "Bell"], "note": "x"}
    deal("context", "set", "deal", "--file", "-", "--replace", stdin='{"only": 1}')
    assert document(deal) == {"only": 1}


def test_a_version_is_a_condition(deal: Any) -> None:
    assert deal("context", "set", "deal", "a=1", "--if-version", "1").code == 0
    late = deal("context", "set", "deal", "a=2", "--if-version", "1")
    assert late.code == 1
    assert "at version 2" in late.err
    assert deal("context", "delete", "deal", "--if-version", "1").code == 1
    assert deal("context", "set", "deal", "a=2", "--if-version", "0").code == 1
    assert deal("context", "set", "new", "a=2", "--if-version", "0").code == 0


def test_labels_are_given_along_and_lowered_on_purpose(deal: Any) -> None:
    deal("context", "set", "deal", "mail=Dear all", "--private", "--outside")
    assert deal("context", "show", "deal", "--json").json["labels"] == {
        "mail": {"privacy": "private", "trust": "outside"}
    }
    deal("context", "set", "deal", "mail=Dear all")
    assert "private, outside" in deal("context", "show", "deal").out
    assert "internal, outside" in deal("context", "label", "deal", "mail", "internal").out
    deal("context", "label", "deal", "mail", "public", "inside")
    assert deal("context", "show", "deal", "--json").json["labels"] == {}
    assert deal("context", "label", "deal", "mail", "secret").code == 2
    assert deal("context", "label", "deal", "mial", "public").code == 1


def test_history_list_and_delete(deal: Any) -> None:
    deal("context", "set", "deal", "note=x", "--private")
    newest, oldest = deal("context", "history", "deal", "--json").json
    assert (newest["version"], newest["patch"], newest["kind"]) == (2, {"note": "x"}, "person")
    assert oldest["patch"]["client"] == "Acme"
    said = deal("context", "history", "deal", "--limit", "1")
    assert "note: private" in said.out
    assert "Acme" not in said.out
    assert [row["session"] for row in deal("context", "list", "--json").json] == ["deal"]
    assert deal("contexts", "list").lines[1].split()[:2] == ["deal", "2"]
    assert deal("context", "delete", "deal").code == 0
    assert "no session has a document" in deal("context", "list").out
    gone = deal("context", "show", "deal")
    assert (gone.code, "can context list" in gone.err) == (1, True)


def test_a_session_is_shared_with_a_key(deal: Any) -> None:
    deal("keys", "create", "--name", "app")
    assert "shared with app" in deal("context", "share", "deal", "app").out
    assert "shared with app" in deal("context", "show", "deal").out
    assert "yours alone" in deal("context", "share", "deal").out
    assert deal("context", "share", "deal", "nobody").code == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["deal"], ["deal", "client"], ["deal", "=x"], ["deal", "risk:={"], ["deal", "--file", "none.json"],
        ["deal", "--file", "list.json"], ["deal", "a=1", "--if-version", "-1"],
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_usage_error(can: Any, home: Any, wrong: list[str]) -> None:
    home.write({})
    (home.path / "work" / "list.json").write_text("[1]")
    assert can("context", "set", *wrong).code == 2
    assert can("context", "list", "--json").json == []


def test_through_a_server_it_is_the_same(can: Any, home: Any, server: str) -> None:
    config = home.read()
    config["remotes"]["connect"]["baseUrl"] = server
    home.write(config)
    can("context", "set", "grö ße", "client=Acme", "mail=x", "--private", "--ttl", "60")
    shown = can("context", "show", "grö ße", "--json").json
    assert shown["document"] == {"client": "Acme", "mail": "x"}
    assert shown["labels"].keys() == {"client", "mail"}
    assert shown["expires_at"] == shown["updated_at"] + 60
    can("context", "set", "grö ße", "--replace", "only:=1")
    late = can("context", "set", "grö ße", "a=1", "--if-version", "1")
    assert (late.code, "at version 2" in late.err) == (1, True)
    assert len(can("context", "history", "grö ße", "--json").json) == 2
    assert can("context", "delete", "grö ße", "--if-version", "2").code == 0


def test_a_question_recalls_and_records(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies())
    can("context", "set", "deal", "client=Acme Holding")
    answer = can("ask", "Hello", "--session", "deal", "--recall", "--record", "--json")
    assert answer.code == 0
    assert "Acme Holding" in upstream.upstream.requests[-1].body.decode()
    (kept,) = document(can)["answers"]
    assert kept["text"] == answer.json["text"]
    can("ask", "Hello", "--session", "deal", "--record-as", "advice")
    assert document(can)["advice"] == answer.json["text"]
    assert can("ask", "Hello", "--recall").code == 1
    assert json.dumps(document(can)).count("request") == 1
