"""`can router inbox`: from a mailbox to a sorted inbox with drafts, as a person sees it and as a script reads it."""

import mailbox
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "inbox"


def mail(name: str, text: str = "What does a first talk cost?") -> bytes:
    return f"From: Ann <ann@bell.example>\nMessage-ID: <{name}@bell.example>\nSubject: {name}\n\n{text}\n".encode()


def contents(place: Path) -> list[tuple[str, bytes]]:
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sorted((str(path), path.read_bytes()) for path in files)


def test_the_sample_inbox_is_sorted_ranked_and_answered(can: Any, office: Any) -> None:
    said = can("router", "inbox", "process", "--source", str(SAMPLE), "--parallel", "2")
    assert said.code == 0
    assert "3 settled without a model" in said.out
    assert "1 auto reply, 1 newsletter, 1 spam" in said.out
    steps = [line for line in said.lines if line.startswith("✓")]
    assert [line.partition(" (")[0] for line in steps] == [
        "✓ Triage: reader",
        "✓ Priority: reader",
        "✓ Response: writer",
    ]
    assert any(line.startswith("Total: ") and ", $" in line for line in said.lines)
    assert "29 answers came from the model, 0 from rules" in said.out
    assert "9 drafts wait for you" in said.out
    assert "very small model" not in said.out


def test_the_report_for_scripts_counts_every_mail(processed: Any) -> None:
    report = processed.report
    counted = ("processed", "triaged", "responded", "answersFromModel", "answersFromRules", "known", "unreadable")
    assert [report[name] for name in counted] == [13, 10, 9, 29, 0, 0, 0]
    assert report["settled"] == {"newsletter": 1, "auto_reply": 1, "spam": 1}
    assert sorted(row["key"] for row in report["mails"]) == sorted(path.name for path in SAMPLE.glob("*.eml"))
    assert report["costUsd"] > 0


def test_a_mail_is_processed_once(can: Any, processed: Any, upstream: Any) -> None:
    asked = len(upstream.asked())
    again = can("router", "inbox", "process", "--source", str(SAMPLE))
    assert again.code == 0
    assert "13 known already" in again.out
    assert len(upstream.asked()) == asked


def test_a_dry_run_asks_nobody_and_keeps_nothing(can: Any, office: Any, upstream: Any) -> None:
    said = can("router", "inbox", "process", "--source", str(SAMPLE), "--dry-run")
    assert said.code == 0
    assert "10 would need a model" in said.out
    assert upstream.asked() == []
    assert can("router", "inbox", "list", "--json").json == []


def test_a_limit_takes_the_first_mails(can: Any, office: Any) -> None:
    said = can("router", "inbox", "process", "--source", str(SAMPLE), "--limit", "2", "--json").json
    assert sorted(row["key"][:2] for row in said["mails"]) == ["01", "02"]


def test_without_any_model_it_says_so_and_fails(can: Any, office: Any, upstream: Any) -> None:
    for model in ("json", "letters"):
        upstream.script(model, "s16-bad-key")
    said = can("router", "inbox", "process", "--source", str(SAMPLE))
    assert said.code == 1
    assert "✗ Triage: rules only (10 fallbacks)" in said.out
    assert "no model answered" in said.err
    assert "can doctor" in said.err
    assert can("router", "inbox", "stats", "--json").json["total"] == 13


def test_mail_that_needs_no_model_is_no_failure(can: Any, office: Any, upstream: Any) -> None:
    upstream.script("json", "s16-bad-key")
    assert can("router", "inbox", "process", "--source", str(next(SAMPLE.glob("07*")))).code == 0


def test_one_model_may_be_named_for_all_agents(can: Any, office: Any) -> None:
    said = can("router", "inbox", "process", "--source", str(next(SAMPLE.glob("01*"))), "--model", "writer", "--json")
    steps = {step["agent"]: step for step in said.json["steps"]}
    assert steps["triage"]["fallbacks"] == 1  # it writes letters, whatever it is asked
    assert steps["response"]["models"] == {"writer": 1}


def test_an_unknown_model_is_an_error_with_a_suggestion(can: Any, office: Any) -> None:
    said = can("router", "inbox", "process", "--source", str(SAMPLE), "--model", "writr")
    assert said.code == 1
    assert "Did you mean writer?" in said.err


def test_an_unknown_template_is_found_out_before_anyone_is_asked(can: Any, office: Any, upstream: Any) -> None:
    said = can("router", "inbox", "process", "--source", str(SAMPLE), "--template", "solemn")
    assert said.code == 1
    assert "Use one of: received, standard" in said.err
    assert upstream.asked() == []


def test_private_mail_goes_to_no_public_model(can: Any, office: Any, upstream: Any) -> None:
    said = can("router", "inbox", "process", "--source", str(next(SAMPLE.glob("01*"))), "--private")
    assert said.code == 1
    assert "privacy_no_model" in said.err
    assert upstream.asked() == []


@pytest.mark.parametrize("kind", ["maildir", "mbox", "eml"])
def test_every_kind_of_mailbox_is_read(can: Any, office: Any, tmp_path: Path, kind: str) -> None:
    place = tmp_path / kind
    if kind == "eml":
        place.write_bytes(mail("one"))
    else:
        boxes: dict[str, Any] = {"maildir": mailbox.Maildir, "mbox": mailbox.mbox}
        box = boxes[kind](place)
        box.add(mail("one"))
        box.close()
    before = contents(place)
    assert can("router", "inbox", "process", "--source", str(place), "--json").json["triaged"] == 1
    assert contents(place) == before


def test_the_mailbox_may_stand_in_the_configuration(can: Any, office: Any) -> None:
    office.write(office.read() | {"inbox": {"source": str(SAMPLE), "signature": "Meyer & Okafor"}})
    assert can("router", "inbox", "process", "--json").json["processed"] == 13
    draft = can("router", "drafts", "list", "--json").json[0]
    assert draft["body"].strip().endswith("Meyer & Okafor")


def test_without_a_mailbox_the_error_says_how_to_name_one(can: Any, office: Any) -> None:
    said = can("router", "inbox", "process")
    assert said.code == 2
    assert "No mailbox is named." in said.err
    assert "--source" in said.err
    assert "config.json" in said.err


def test_the_name_of_an_account_with_a_slip_is_suggested(can: Any, office: Any) -> None:
    account = {"type": "imap", "host": "mail.meyer.example", "user": "office", "password": "env:MAIL"}
    office.write({**office.read(), "integrations": {"office": account}}, None)
    said = can("router", "inbox", "process", "--source", "offise")
    assert said.code == 1
    assert "Did you mean office" in said.err


def test_a_place_without_mail_is_named(can: Any, office: Any, tmp_path: Path) -> None:
    said = can("router", "inbox", "process", "--source", str(tmp_path / "nowhere"))
    assert said.code == 1
    assert "no mailbox at" in said.err


def test_through_a_server_the_same_inbox_is_worked_on(can: Any, open_office: Any, server: Any) -> None:
    open_office(baseUrl=server)
    can("connect", "integration", "add", "openai")  # which lets the server read its files again
    said = can("router", "inbox", "process", "--source", str(next(SAMPLE.glob("02*"))), "--json").json
    assert (said["answersFromModel"], said["answersFromRules"]) == (3, 0)
    rows = can("router", "inbox", "list", "--json").json
    assert [(row["from"], row["draft"]) for row in rows] == [(said["mails"][0]["from"], said["mails"][0]["draft"])]
    steps = {step["agent"]: step for step in said["steps"]}
    assert steps["response"]["models"] == {"writer": 1}
    assert said["costUsd"] > 0


def test_the_inbox_is_listed_most_urgent_first(can: Any, processed: Any) -> None:
    rows = can("router", "inbox", "list", "--json").json
    assert [row["priority"] for row in rows] == ["HIGH"] * 10 + ["LOW"] * 3
    lines = can("router", "inbox", "list").lines
    assert lines[1].split()[:3] == [rows[0]["id"], "●✎" if rows[0]["draft"] else "●", "HIGH"]
    assert [row["priority"] for row in can("router", "inbox", "list", "--priority", "low", "--json").json] == [
        "LOW"
    ] * 3
    assert can("router", "inbox", "list", "--account", rows[0]["account"], "--json").json == rows
    assert can("router", "inbox", "list", "--account", "another", "--json").json == []
    assert can("router", "inbox", "list", "--priority", "middling").code == 1
    assert len(can("router", "inboxes", "list", "--limit", "4", "--json").json) == 4


def test_what_is_read_leaves_the_list_of_unread_mail(can: Any, processed: Any) -> None:
    one, two = processed.id("01"), processed.id("02")
    assert can("router", "inbox", "read", one[:6], two).code == 0
    unread = [row["id"] for row in can("router", "inbox", "list", "--unread", "--json").json]
    assert len(unread) == 11
    assert not {one, two} & set(unread)
    can("router", "inbox", "read", "--undo", one)
    assert can("router", "inbox", "stats", "--json").json == {
        "total": 13, "unread": 12, "highPriority": 10, "pendingResponse": 9,
    }  # fmt: skip


def test_a_mail_is_shown_with_what_the_agents_made_of_it(can: Any, processed: Any) -> None:
    found = processed.id("04")
    detail = can("router", "inbox", "show", found, "--json").json
    assert [each["name"] for each in detail["attachments"]] == ["services-agreement.pdf"]
    assert [(run["agent"], run["model"]) for run in detail["agents"]] == [
        ("triage", "reader"), ("priority", "reader"), ("response", "writer"),
    ]  # fmt: skip
    shown = can("router", "inbox", "show", found[:5]).out
    assert "Subject: Services agreement from Harbor Logistics" in shown
    assert f"can router drafts show re-{found}" in shown


def test_an_unknown_mail_is_an_error_with_the_way_to_the_list(can: Any, office: Any) -> None:
    said = can("router", "inbox", "show", "zzzzz")
    assert said.code == 1
    assert "can router inbox list" in said.err


def test_a_key_in_the_section_inbox_that_nobody_knows_is_a_warning(can: Any, office: Any) -> None:
    office.write(office.read() | {"inbox": {"source": str(SAMPLE), "signatur": "Meyer"}})
    said = can("router", "inbox", "process", "--dry-run")
    assert said.code == 0
    assert "signatur" in said.err
    assert "signature" in said.err


def test_mail_is_handed_over_to_a_server(can: Any, office: Any, upstream: Any) -> None:
    said = can("router", "inbox", "process", "--source", str(SAMPLE), "--detach")
    assert said.code == 0
    assert "10 wait for their turn" in said.out
    assert upstream.asked() == []
    tasks = can("tasks", "list", "--json").json["tasks"]
    assert {each["type"] for each in tasks} == {"mail"}
    assert len(tasks) == 10
    again = can("router", "inbox", "process", "--source", str(SAMPLE), "--json").json
    assert (again["submitted"], again["known"]) == (10, 3)
    assert can("router", "inbox", "process", "--source", str(SAMPLE), "--detach", "--dry-run").code == 2
