"""`can router review`: a person walks through what waits, one key each; what they say is kept and learnt from."""

import asyncio
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chittycan.cli.router.review import Walk

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "inbox"
QUEUE = ("router", "review", "--json")


class Keys:
    """Gives these keys, then leaves."""

    def __init__(self, keys: str) -> None:
        self._keys = list(keys)

    async def __call__(self) -> str:
        return self._keys.pop(0) if self._keys else "q"


@pytest.fixture
def walk(can: Any, capfd: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Presses keys in a review of all that waits; what the terminal shows."""

    def pressed(keys: str) -> str:
        from chittycan.cli.session import open_session
        from chittycan.control.review import queue

        async def go() -> None:
            async with open_session() as session:
                await Walk(session, await session.call(queue), Keys(keys)).go()

        asyncio.run(go())
        return capfd.readouterr().out

    return pressed


def test_all_mail_waits_at_first_the_most_urgent_before_the_rest(can: Any, processed: Any) -> None:
    found = can(*QUEUE).json
    assert (found["open"], found["settled"], len(found["mails"])) == (13, 3, 13)
    levels = [each["priority"] for each in found["mails"][:10]]
    assert levels == sorted(levels, key=["CRITICAL", "HIGH", "NORMAL", "LOW"].index)
    assert all(each["settled"] for each in found["mails"][10:])
    first = found["mails"][0]
    assert first["models"]["triage"] == "reader"
    assert first["cost_usd"] > 0
    assert first["message_id"]
    for quote in first["evidence"]:
        assert first["text"][quote["offset"] :].startswith(quote["quote"])


def test_without_a_terminal_it_is_a_list(can: Any, processed: Any) -> None:
    said = can("router", "review")
    assert len(said.lines) == 14
    assert "Notice of Hearing" in said.out


def test_a_list_that_has_little_room_keeps_its_ids_whole(can: Any, shell: Any, processed: Any) -> None:
    ids = [each["id"] for each in can(*QUEUE).json["mails"]]
    said = shell("router", "review", COLUMNS="72")
    assert [line.split()[0] for line in said.lines[1:]] == ids
    assert max(map(len, said.lines)) <= 72


def test_of_mail_on_this_machine_nothing_is_proposed_that_nobody_can_do(can: Any, office: Any, tmp_path: Path) -> None:
    """A rule wants it moved, and mailboxes on this machine are only read."""
    assert can("router", "rules", "create", "--condition", "subject:hello", "--action", "move:Court").code == 0
    (tmp_path / "one.eml").write_text("From: a@b.example\nMessage-ID: <1@b.example>\nSubject: Hello\n\nCan we meet?\n")
    assert can("router", "inbox", "process", "--source", str(tmp_path / "one.eml")).code == 0
    assert [each["proposed"] for each in can(*QUEUE).json["mails"]] == [[]]


def test_enter_says_that_it_is_right(can: Any, processed: Any, walk: Callable[[str], str]) -> None:
    first = can(*QUEUE).json["mails"][0]
    shown = walk("\r")
    assert "1 of 13" in shown
    assert first["subject"][:30] in shown
    assert "1 reviewed, 0 skipped, 12 left" in shown
    detail = can("router", "inbox", "show", first["id"], "--json").json
    assert (detail["review"], detail["reviewed_by"]) == ("approved", "owner")
    assert can("router", "corrections", "list", "--json").json == []


def test_a_category_and_a_priority_are_changed_and_then_said(can: Any, processed: Any, walk: Any) -> None:
    first = can(*QUEUE).json["mails"][0]
    shown = walk("cnpl\rs")  # n: support ticket; l: low
    assert "1 reviewed, 1 skipped" in shown
    detail = can("router", "inbox", "show", first["id"], "--json").json
    assert (detail["category"], detail["priority"], detail["review"]) == ("support_ticket", "LOW", "corrected")
    assert detail["said_category"] == first["category"]
    rows = can("router", "corrections", "list", "--json").json
    assert {row["field"]: row["label"] for row in rows} == {"category": "support_ticket", "level": "LOW"}
    assert "support ticket" in can("router", "corrections", "list").out
    assert can("router", "corrections", "forget", str(rows[0]["id"])).code == 0
    assert "1 forgotten" in can("router", "corrections", "forget", "--all").out
    assert can("router", "corrections", "list", "--json").json == []


def test_what_was_chosen_by_mistake_is_not_said(can: Any, processed: Any, walk: Any) -> None:
    walk("cnq")
    assert can(*QUEUE).json["open"] == 13


def test_all_settled_mail_is_passed_with_one_key(can: Any, processed: Any, walk: Any) -> None:
    assert "3 reviewed, 10 skipped" in walk("s" * 10 + "g")
    found = can(*QUEUE).json
    assert (found["open"], found["settled"], found["approved"]) == (10, 0, 3)


def test_however_many_there_are(can: Any, office: Any, walk: Any, tmp_path: Path) -> None:
    for number in range(205):
        head = f"From: News <news@letters.example>\nMessage-ID: <{number}@x>\nSubject: News {number}\n"
        (tmp_path / f"{number}.eml").write_text(f"{head}List-Id: <x.example>\nList-Unsubscribe: <mailto:u@x>\n\nNews\n")
    can("router", "inbox", "process", "--source", str(tmp_path))
    assert "205 reviewed, 0 skipped, 0 left" in walk("g")


def test_the_whole_text_is_shown_when_asked_for(can: Any, processed: Any, walk: Any) -> None:
    text = can(*QUEUE).json["mails"][0]["text"]
    assert text.splitlines()[-1].strip()[:40] in walk("t")


def test_forget_needs_to_be_told_what(can: Any, processed: Any) -> None:
    assert can("router", "corrections", "forget").code == 2
    said = can("router", "corrections", "forget", "99")
    assert said.code == 1
    assert "no correction 99" in said.err


def test_a_real_terminal_takes_single_keys(can: Any, processed: Any, home: Any) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [str(Path(sys.executable).with_name("can")), "router", "review"]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    shown = _until(leader, b"quit")
    assert b"1 of 13" in shown
    os.write(leader, b"\rq")  # faster than it can be shown
    shown = _until(leader, b"left")
    assert b"2 of 13" in shown
    assert b"1 reviewed, 0 skipped, 12 left" in shown
    assert process.wait(timeout=30) == 0
    os.close(leader)


def test_nothing_is_wider_than_the_terminal(can: Any, processed: Any) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
    command = [str(Path(sys.executable).with_name("can")), "router", "review"]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    shown = _until(leader, b"quit")
    os.write(leader, b"ssssq")
    shown += _until(leader, b"left")
    assert process.wait(timeout=30) == 0
    os.close(leader)
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()]
    assert max(map(len, lines)) <= 60
    offered = [word for line in lines if "p priority" in line or "q quit" in line for word in line.split("  ")]
    assert {"enter right", "p priority", "t text", "q quit"} <= set(offered)


def test_a_long_paragraph_is_not_cut_in_silence(can: Any, office: Any, walk: Any, tmp_path: Path) -> None:
    """Many programs write a paragraph in one line."""
    text = "What does it cost? " + "The matter is long and tedious. " * 250
    head = "From: Ann <ann@bell.example>\nMessage-ID: <1@bell.example>\nSubject: Long\n"
    (tmp_path / "long.eml").write_text(f"{head}\n{text}THE LAST WORDS\n")
    assert can("router", "inbox", "process", "--source", str(tmp_path / "long.eml")).code == 0
    assert "more: t" in walk("q")
    assert "THE LAST WORDS" in walk("tq")


def _until(terminal: int, words: bytes) -> bytes:
    """What a terminal shows until these words stand there."""
    shown, end = b"", time.monotonic() + 60
    while words not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65_536)
    assert words in shown
    return shown


def test_analytics_count_mail_by_mailbox_and_category(can: Any, processed: Any, walk: Any) -> None:
    walk("cn\r\rq")
    found = can("router", "analytics", "inbox", "--json").json
    total = found["total"]
    assert (total["mails"], total["settled"], total["by_model"], total["drafts"]) == (13, 3, 10, 9)
    assert (total["approved"], total["corrected"], total["corrections_rate"]) == (1, 1, 0.5)
    assert total["cost_usd"] == pytest.approx(total["cost_per_mail_usd"] * 13)
    assert total["cost_usd"] > 0
    assert sum(each["mails"] for each in found["by_category"]) == 13
    said = can("router", "analytics", "inbox")
    assert said.lines[-1].startswith("all")
    assert can("router", "analytics", "inbox", "--account", "nobody", "--json").json["total"]["mails"] == 0
    assert can("router", "analytics", "inbox", "--since", "long").code == 2


def test_a_draft_is_rejected_and_its_mail_waits_on(can: Any, processed: Any, walk: Any) -> None:
    place, item = next((at, each) for at, each in enumerate(can(*QUEUE).json["mails"]) if each["draft"])
    shown = walk("s" * place + "x" + "q")
    assert "the draft is rejected" in shown
    assert can("router", "drafts", "show", item["draft"]["id"], "--json").json["state"] == "rejected"
    assert can(*QUEUE).json["mails"][place]["draft"] is None


def test_a_draft_that_no_server_would_take_is_not_approved(can: Any, processed: Any, walk: Any) -> None:
    place, item = next((at, each) for at, each in enumerate(can(*QUEUE).json["mails"]) if each["draft"])
    walk("s" * place + "da" + "q")
    assert can("router", "drafts", "show", item["draft"]["id"], "--json").json["state"] == "draft"


def test_a_draft_is_approved_as_it_was_shown(can: Any, office: Any, upstream: Any, walk: Any) -> None:
    smtp = {"host": "mail.meyer.example", "from": "office@meyer.example"}
    written = office.read()
    office.write({**written, "smtp": smtp}, None)
    can("router", "inbox", "process", "--source", str(SAMPLE))
    place, item = next((at, each) for at, each in enumerate(can(*QUEUE).json["mails"]) if each["draft"])
    shown = walk("s" * place + "da" + "\r")
    assert "the draft is approved" in shown
    assert item["draft"]["body"].splitlines()[0] in shown
    detail = can("router", "drafts", "show", item["draft"]["id"], "--json").json
    assert (detail["state"], detail["by"]) == ("approved", "owner")
    assert item["id"] not in [each["id"] for each in can(*QUEUE).json["mails"]]
