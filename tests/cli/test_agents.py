"""`can router agents`, `drafts` and `templates`."""

from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "inbox"


def test_agents_are_listed_with_who_would_answer_and_what_they_did(can: Any, processed: Any) -> None:
    rows = {row["name"]: row for row in can("router", "agents", "list", "--json").json}
    assert list(rows) == ["triage", "priority", "response", "document"]
    assert [row["model"] for row in rows.values()] == ["reader", "reader", "writer", "reader"]
    assert [row["runs"] for row in rows.values()] == [10, 10, 9, 0]
    assert rows["response"]["cost_usd"] > rows["triage"]["cost_usd"] > 0
    assert "email.response  writer" in can("router", "agent", "list").out


def test_an_agent_without_a_model_says_why(can: Any, home: Any) -> None:
    home.write({})
    row = can("router", "agents", "list", "--json").json[0]
    assert row["model"] is None
    assert row["why"]


def test_the_history_of_an_agent_is_newest_first(can: Any, processed: Any) -> None:
    runs = can("router", "agent", "history", "response", "--limit", "3", "--json").json
    assert len(runs) == 3
    assert runs[0]["at"] >= runs[2]["at"]
    assert {(run["agent"], run["model"], run["fallback"]) for run in runs} == {("response", "writer", False)}
    usage = can("connect", "proxy", "usage", "--json").json
    assert sum(group["calls"] for group in usage) == 29
    assert "writer" in can("router", "agents", "history", "response").out


@pytest.mark.parametrize("action", ["history", "invoke"])
def test_an_unknown_agent_is_an_error_with_the_known_ones(can: Any, processed: Any, action: str) -> None:
    more = ["--email", processed.id("01")] if action == "invoke" else []
    said = can("router", "agent", action, "poet", *more)
    assert said.code == 1
    assert "triage, priority, response, document" in said.err


def test_one_agent_is_asked_about_one_mail(can: Any, processed: Any) -> None:
    said = can("router", "agent", "invoke", "triage", "--email", processed.id("01"), "--json")
    assert (said.code, said.json["model"]) == (0, "reader")
    assert (
        said.json["output"]["category"] == can("router", "inbox", "show", processed.id("01"), "--json").json["category"]
    )
    shown = can("router", "agent", "invoke", "priority", "--email", processed.id("01"))
    assert "level: HIGH" in shown.out
    assert "✓ Priority: reader (" in shown.out
    assert len(can("router", "agent", "history", "triage", "--json").json) == 11


def test_a_draft_is_written_anew(can: Any, processed: Any, upstream: Any) -> None:
    found = processed.id("01")
    before = can("router", "draft", "show", found, "--json").json
    upstream.script("letters", "s16-bad-key")
    upstream.script("json", "s16-bad-key")
    said = can("router", "agent", "invoke", "response", "--email", found, "--template", "standard")
    assert said.code == 1
    assert "Response: by rules" in said.out
    after = can("router", "draft", "show", found, "--json").json
    assert (before["id"], before["model"]) == (after["id"], "writer")
    assert after["model"] is None
    assert after["body"] != before["body"]


def test_a_document_is_read_from_its_mailbox(can: Any, processed: Any) -> None:
    found = processed.id("04")
    said = can(
        "router", "agent", "invoke", "document", "--email", found, "--attachment", "services-agreement.pdf", "--json"
    )
    assert said.code == 0
    assert said.json["output"]["document_type"] == "contract"
    wrong = can("router", "agent", "invoke", "document", "--email", found, "--attachment", "other.pdf")
    assert wrong.code == 1
    assert "services-agreement.pdf" in wrong.err


def test_drafts_are_listed_and_shown_as_they_would_be_sent(can: Any, processed: Any) -> None:
    rows = can("router", "drafts", "list", "--json").json
    assert len(rows) == 9
    assert {row["state"] for row in rows} == {"draft"}
    assert "re-" + processed.id("01") in can("router", "drafts", "list").out
    shown = can("router", "draft", "show", "re-" + processed.id("02")).out
    assert "To:      Hale, Martin <" in shown
    assert "Subject: Re: Bellweather v. Corran Foods" in shown
    assert "Dear Martin Hale," in shown
    assert "The lawyer in charge will read it" in shown
    assert "written by writer" in shown


def test_drafts_in_one_state(can: Any, processed: Any) -> None:
    assert can("router", "drafts", "list", "--state", "sent", "--json").json == []
    said = can("router", "drafts", "list", "--state", "lost")
    assert said.code == 1
    assert "draft, approved" in said.err


def test_an_unknown_draft_is_an_error(can: Any, office: Any) -> None:
    assert "can router drafts list" in can("router", "draft", "show", "re-nothing").err


def test_templates_are_listed_shown_and_rendered(can: Any, office: Any) -> None:
    assert [row["name"] for row in can("router", "templates", "list", "--json").json] == ["received", "standard"]
    shown = can("router", "template", "show", "standard", "--json").json
    assert set(shown["variables"]) == {"name", "body", "signature"}
    assert "Dear {{name}}," in can("router", "template", "show", "standard").out
    words = ["--set", "name=Frau Roth", "--set", "signature=Meyer", "--language", "de"]
    said = can("router", "template", "render", "standard", "--category", "appointment_request", *words)
    assert said.lines[0] == "Guten Tag Frau Roth,"
    assert "Termin" in said.out
    assert said.lines[-1] == "Meyer"


def test_a_template_says_which_value_it_lacks(can: Any, office: Any) -> None:
    said = can("router", "template", "render", "standard", "--set", "name=Ann")
    assert said.code == 1
    assert "Give a value for" in said.err
    assert can("router", "template", "render", "standard", "--set", "name").code == 2
    assert "en" in can("router", "template", "render", "standard", "--language", "fr").err
