"""`can router rules`, as it was promised."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

PASSED = "dkim=pass; spf=pass; dmarc=pass header.from=bell.example"


def test_a_rule_is_made_as_it_is_written_everywhere(can: Any) -> None:
    made = can("router", "rules", "create", "small", "--condition", "priority:low", "--action", "model:llama-scout")
    assert (made.code, "rule small: priority:low → model:llama-scout" in made.out) == (0, True)
    assert can("router", "rules", "create", "--condition", "branch:main", "--action", "priority:high").code == 0
    rules = can("router", "rules", "list", "--json").json
    assert [(each["name"] == each["id"], each["condition"]) for each in rules] == [
        (False, "priority:low"),
        (True, "branch:main"),
    ]
    assert "1 of 1" in can("router", "rules", "test", "small", "--fact", "priority=low").out


def test_a_fact_that_no_rule_can_ask_about_is_refused(can: Any) -> None:
    can("router", "rules", "create", "small", "--condition", "branch:true session:7", "--action", "label:x")
    wrong = can("router", "rules", "test", "--fact", "brnch=true")
    assert (wrong.code, "did you mean branch" in wrong.err) == (1, True)
    assert "1 of 1" in can("router", "rules", "test", "--fact", "branch=true", "--fact", "session=7").out
    assert can("router", "rules", "test", "--fact", "tokens=many").code == 2


def test_what_would_be_done_is_said_in_the_words_of_rules(can: Any) -> None:
    for name, action in (("a", "label:Court,label:Old,archive"), ("b", "move:Clients/Court,auto:false")):
        can("router", "rules", "create", name, "--condition", "priority:low", "--action", action)
    assert "label:Court, label:Old, archive" in can("router", "rules", "test", "a", "--fact", "priority=low").out
    assert "move:Clients/Court, auto:false" in can("router", "rules", "test", "b", "--fact", "priority=low").out


def test_two_names_are_one_too_many(can: Any) -> None:
    wrong = can("router", "rules", "create", "a", "--name", "b", "--condition", "branch:main", "--action", "stop")
    assert (wrong.code, "two names, a and b" in wrong.err) == (2, True)


# who wrote a mail


def mails(folder: Path, server: str) -> Path:
    folder.mkdir()
    for number in range(3):
        head = (
            f"Authentication-Results: {server}; {PASSED}\nFrom: ann@bell.example\nMessage-ID: <{number}@bell.example>"
        )
        (folder / f"{number}.eml").write_text(f"{head}\nSubject: {number}\nPrecedence: bulk\nList-Id: <l.x>\n\nHello\n")
    return folder


def test_a_rule_on_who_wrote_a_mail_says_whose_word_it_takes(can: Any, office: Any, tmp_path: Path) -> None:
    made = can("router", "rules", "create", "--condition", "dkim:pass", "--action", "label:known", "--name", "known")
    assert made.code == 0
    assert "it asks for dkim, and inbox.authServer is not set" in made.err
    assert can("router", "rules", "list", "--json").json[0]["unknown"]
    assert "Rule known: it asks for dkim" in can("doctor").out

    assert can("router", "inbox", "process", "--source", str(mails(tmp_path / "mails", "mx.[red]"))).code == 0
    tried = can("router", "rules", "test", "known")
    assert "0 of 3; nothing was done" in tried.out
    assert "3 of 3: inbox.authServer is not set" in tried.err
    assert "most of them bear the word of mx.[red]: if that is your server" in tried.err

    office.write(office.read() | {"inbox": {"authServer": "mx.firm.example"}})
    tried = can("router", "rules", "test", "known")
    assert "0 of 3" in tried.out
    assert "3 of 3: its topmost Authentication-Results are by mx.[red], not by mx.firm.example" in tried.err
    assert "Rule known" not in can("doctor").out

    office.write(office.read() | {"inbox": {"authServer": "mx.[red]"}})
    tried = can("router", "rules", "test", "known", "--json").json
    assert (len(tried["hits"]), tried["notes"]) == (3, [])
    assert can("router", "rules", "test", "--condition", "subject:1", "--json").json["notes"] == []
    assert "known" in can("router", "rules", "change", "known", "--priority", "2").out


def test_a_rule_that_cannot_be_read_is_pointed_out_and_can_be_deleted(can: Any, home: Any) -> None:
    can("router", "rules", "create", "good", "--condition", "priority:low", "--action", "stop")
    with sqlite3.connect(home.data / "chitty.db") as database:
        database.execute("insert into rules values ('x', 'newer', 'mood:happy', 'stop', 0, 1, 0)")
    database.close()
    listed = can("router", "rules", "list")
    assert (listed.code, "newer is not used: condition, column 1: there is no field 'mood'" in listed.err) == (0, True)
    assert "1 of 1" in can("router", "rules", "test", "--fact", "priority=low").out
    assert can("router", "rules", "delete", "newer").code == 0
    assert can("router", "rules", "list").err == ""


def test_a_stored_rule_that_is_not_read_any_more_keeps_things_in_and_says_how_to_go_on(
    can: Any, home: Any, upstream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It was made before such conditions were refused."""
    home.proxies(upstream.proxies())
    can("router", "rules", "list")
    with sqlite3.connect(home.data / "chitty.db") as database:
        database.execute("insert into rules values ('x', 'wide', 'kind:*', 'private, label:x', 0, 1, 0)")
        database.execute("insert into rules values ('y', 'commas', 'label:a,from:b', 'stop', 0, 1, 1)")
    database.close()
    fix = 'can router rules change wide --condition "…", or --off'
    assert f"private holds for everything; {fix}" in can("router", "rules", "list").err
    found = {each["name"]: each for each in can("doctor", "--json").json["checks"]}
    assert found["Rule wide"]["status"] == found["Rule commas"]["status"] == "warn"
    assert "private holds for everything" in found["Rule wide"]["message"]
    assert fix in found["Rule wide"]["fix"]
    asked = can("ask", "hello")
    assert asked.code == 1
    assert "the rule 'wide' keeps it private" in asked.err.replace("\n", " ")
    assert "! rule unreadable: rule wide, error condition, column 6" in asked.err.replace("\n", " ")
    assert upstream.asked() == []
    assert {
        "rule": "wide",
        "error": "condition, column 6: a * stands at the end only, behind a dot, and means all below",
    } in [getattr(record, "fields", None) for record in caplog.records if record.message == "rule_unreadable"]
    assert can("router", "rules", "change", "wide", "--off").code == 0
    assert "private holds for everything" not in can("router", "rules", "list").err
    assert can("ask", "hello").code == 0
    assert can("router", "rules", "change", "wide", "--on").code == 1
    assert can("router", "rules", "change", "wide", "--on", "--condition", "kind:email.*").code == 0


def test_a_rule_that_names_no_model_says_so_and_holds_nobody_up(can: Any, home: Any, upstream: Any) -> None:
    home.proxies(upstream.proxies(), {"assignments": {"code": "gpt-4o"}})
    for model in ("gpt-4o", "code", "auto:cheap"):
        assert can("router", "rules", "create", "--condition", "kind:x", "--action", f"model:{model}").err == ""
    made = can("router", "rules", "create", "--condition", "kind:y", "--action", "model:gpt-4oo-mini")
    assert "no model is called gpt-4oo-mini" not in made.err  # its vendor may have it
    made = can("router", "rules", "create", "slip", "--condition", "kind:z", "--action", "model:llama-scuot")
    assert (made.code, "no model is called llama-scuot" in made.err) == (0, True)
    assert "!" in next(line for line in can("router", "rules", "list").lines if "slip" in line)
    explained = can("explain", "hello", "--kind", "z", "--json").json
    assert (explained["route"], explained["chain"][0]) == ("rule:slip", "gpt-4o")
    assert explained["considered"][0]["why"].startswith("unknown model")


def test_rules_are_tried_against_so_many_requests_however_often_each_was_tried(
    can: Any, home: Any, upstream: Any
) -> None:
    upstream.script("bad", *["529"] * 8)
    models = {"first": {"proxy": "openai", "upstream": "bad"},
              "second": {"proxy": "openai", "upstream": "ok", "regions": ["eu"]}}  # fmt: skip
    home.proxies(upstream.proxies(), {"models": models, "fallbacks": {"first": ["second"]}})
    assert can("ask", "hello", "--model", "first").code == 0
    assert can("ask", "hello", "--model", "second", "--region", "eu", "--kind", "code").code == 0
    can("router", "rules", "create", "all", "--condition", "source:request", "--action", "model:first")
    assert "2 of 2" in can("router", "rules", "test", "all", "--against", "requests:2").out
    can("router", "rules", "create", "there", "--condition", "region:eu", "--action", "private")
    assert "1 of 2" in can("router", "rules", "test", "there", "--against", "requests:2").out


@pytest.mark.parametrize(
    ("condition", "against"),
    [("from:ann", "last:50"), ("model:gpt-4o", "tasks:50"), ("tokens>9", "requests:50")],
)
def test_a_new_rule_is_to_be_tried_on_what_it_is_about(can: Any, condition: str, against: str) -> None:
    said = can("router", "rules", "create", "--name", "new", "--condition", condition, "--action", "private")
    assert f"can router rules test new --against {against}" in said.out
