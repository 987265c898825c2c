"""`can router drafts` and `templates`: from a draft to a mail on its way, as a person at a terminal does it."""

import asyncio
import json
import stat
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from peers import Inbox


class SmtpBeside:
    """A real SMTP server with a thread and a loop of its own, because each call of `can` has its own loop."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _begin(self) -> asyncio.Server:
        return await self._loop.create_server(
            lambda: SMTP(self.inbox, hostname="mail.example.com", loop=self._loop), "127.0.0.1", 0
        )

    @property
    def mails(self) -> list[Message]:
        return [message_from_bytes(bytes(each.original_content or b"")) for each in self.inbox.received]

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def smtp() -> Iterator[SmtpBeside]:
    beside = SmtpBeside()
    yield beside
    beside.end()


@pytest.fixture
def draft(can: Any, processed: Any, office: Any, smtp: SmtpBeside) -> str:
    """The reply to the second mail of the sample inbox, and a server that would take it."""
    configure(office, smtp)
    return "re-" + str(processed.id("02"))


def configure(office: Any, smtp: SmtpBeside, **more: Any) -> None:
    config = office.read()
    config["smtp"] = {"host": "127.0.0.1", "port": smtp.port, "security": "none", "from": "M & O <office@mo.example>"}
    (office.config / "config.json").write_text(json.dumps(config | more))


def test_a_draft_is_approved_and_sent(can: Any, draft: str, smtp: SmtpBeside) -> None:
    shown = can("router", "drafts", "show", draft).out
    assert "From:    M & O <office@mo.example>" in shown
    assert f"can router drafts edit|approve|reject {draft}" in shown
    assert "approved" in can("router", "drafts", "approve", draft).out
    assert smtp.mails == []
    said = can("router", "drafts", "send", draft)
    assert said.code == 0
    assert "✓ sent to Hale, Martin <" in said.out
    assert "250 queued as 7" in said.out
    (mail,) = smtp.mails
    assert "Re: Bellweather v. Corran Foods" in mail["Subject"]
    after = can("router", "drafts", "show", draft, "--json").json
    assert (after["state"], after["by"], after["message_id"]) == ("sent", "owner", mail["Message-ID"])
    assert can("router", "drafts", "send", draft).code == 0
    assert len(smtp.mails) == 1


def test_approve_and_send_in_one_word(can: Any, draft: str, smtp: SmtpBeside) -> None:
    assert can("router", "draft", "approve", draft, "--send").code == 0
    assert len(smtp.mails) == 1
    assert [row["id"] for row in can("router", "drafts", "list", "--state", "sent", "--json").json] == [draft]


def test_what_came_back_is_shown_corrected_and_sent_again(
    can: Any, draft: str, smtp: SmtpBeside, tmp_path: Path
) -> None:
    can("router", "drafts", "approve", draft, "--send")
    (mail,) = smtp.mails
    to = can("router", "drafts", "show", draft, "--json").json["to"][0].partition("<")[2].rstrip(">")
    report = (
        "From: MAILER-DAEMON@mo.example\nMessage-ID: <back@mo.example>\nSubject: Returned mail\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mo.example\n\n"
        f"Final-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here\n\n"
        f"--b\nContent-Type: message/rfc822\n\n{mail.as_string()}\n--b--\n"
    )
    (tmp_path / "back.eml").write_text(report)
    assert can("router", "inbox", "process", "--source", str(tmp_path / "back.eml")).code == 0
    assert "sent, came back" in can("router", "drafts", "list").out
    shown = can("router", "drafts", "show", draft).out
    assert f"it did not reach {to}: 550 unknown here" in " ".join(shown.split())
    assert f"can router drafts resolve {draft} --not-sent" in " ".join(shown.split())
    can("router", "drafts", "send", draft)
    assert len(smtp.mails) == 1
    assert can("router", "drafts", "resolve", draft, "--not-sent").code == 0
    can("router", "drafts", "edit", draft, "--to", "right@bell.example")
    assert can("router", "drafts", "approve", draft, "--send").code == 0
    assert [each["To"] for each in smtp.mails][1:] == ["right@bell.example"]
    assert can("router", "drafts", "show", draft, "--json").json["bounced"] == []


def test_an_edit_is_what_goes_out(can: Any, draft: str, smtp: SmtpBeside) -> None:
    can("router", "drafts", "approve", draft)
    said = can("router", "drafts", "edit", draft, "--body", "-", "--subject", "Re: Today", stdin="We call.\n")
    assert "changed by you" in said.out
    refused = can("router", "drafts", "send", draft)
    assert refused.code == 1
    assert f"can router drafts approve {draft}" in refused.err
    assert can("router", "drafts", "approve", draft, "--send").code == 0
    (mail,) = smtp.mails
    assert (mail["Subject"], str(mail.get_payload()).strip()) == ("Re: Today", "We call.")


def test_a_file_goes_along(can: Any, draft: str, smtp: SmtpBeside, tmp_path: Path) -> None:
    (tmp_path / "plan.pdf").write_bytes(b"%PDF-1.7")
    shown = can("router", "drafts", "edit", draft, "--attach", str(tmp_path / "plan.pdf"))
    assert "Files:   plan.pdf (8 bytes)" in shown.out
    missing = can("router", "drafts", "edit", draft, "--attach", str(tmp_path / "none.pdf"))
    assert missing.code == 2
    assert "cannot be read" in missing.err
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "plan.pdf").write_bytes(b"%PDF-1.4")
    both = ["--attach", str(tmp_path / "plan.pdf"), "--attach", str(tmp_path / "old" / "plan.pdf")]
    alike = can("router", "drafts", "edit", draft, *both)
    assert (alike.code, "same name" in alike.err) == (1, True)
    assert can("router", "drafts", "approve", draft, "--send").code == 0
    (mail,) = smtp.mails
    assert [part.get_filename() for part in mail.walk() if part.get_filename()] == ["plan.pdf"]


def test_files_are_taken_away_again(can: Any, draft: str, tmp_path: Path) -> None:
    (tmp_path / "plan.pdf").write_bytes(b"%PDF-1.7")
    can("router", "drafts", "edit", draft, "--attach", str(tmp_path / "plan.pdf"))
    assert "Files:" not in can("router", "drafts", "edit", draft, "--detach", "plan.pdf").out
    assert can("router", "drafts", "edit", draft, "--detach", "plan.pdf").code == 1


def test_recipients_change_only_by_a_persons_word(can: Any, draft: str, smtp: SmtpBeside) -> None:
    options = ["--to", "Eve <eve@x.example>", "--cc", "bob@x.example", "--quote"]
    shown = can("router", "drafts", "edit", draft, *options)
    assert "eve@x.example did not get the mail that this answers" in shown.out
    assert can("router", "drafts", "approve", draft, "--send").code == 0
    (mail,) = smtp.mails
    assert (mail["To"], mail["Cc"]) == ("Eve <eve@x.example>", "bob@x.example")
    assert "\n> " in mail.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert can("router", "drafts", "edit", draft, "--to", "not an address").code == 1


def test_the_editor_is_only_for_terminals(can: Any, draft: str) -> None:
    said = can("router", "drafts", "edit", draft)
    assert said.code == 2
    assert "--body" in said.err


def test_a_text_is_changed_in_the_editor(
    can: Any, draft: str, smtp: SmtpBeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\nprintf "By hand.\\n" > "$1"\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("VISUAL", str(script))
    monkeypatch.setattr("chittycan.cli.router.drafts.on_terminal", lambda: True)
    assert "By hand." in can("router", "drafts", "edit", draft).out


def test_a_rejected_draft_stays_here(can: Any, draft: str, smtp: SmtpBeside) -> None:
    assert can("router", "drafts", "reject", draft, "--reason", "She called").code == 0
    assert "rejected by owner" in can("router", "drafts", "show", draft).out
    assert can("router", "drafts", "send", draft).code == 1
    assert "rejected" in can("router", "drafts", "approve", draft).err
    assert smtp.mails == []


def test_without_a_server_the_json_to_add_is_said(can: Any, processed: Any) -> None:
    found = "re-" + processed.id("02")
    said = can("router", "drafts", "approve", found)
    assert said.code == 1
    assert '"smtp": {"host":' in said.err
    assert "it cannot be sent: config.json: smtp" in can("router", "drafts", "show", found).out


def test_a_servers_refusal_is_told(can: Any, draft: str, smtp: SmtpBeside) -> None:
    smtp.inbox.actions["data"] = "554 no spam here"
    said = can("router", "drafts", "approve", draft, "--send")
    assert said.code == 1
    assert "554 no spam here" in said.err
    assert "failed" in can("router", "drafts", "show", draft).out
    del smtp.inbox.actions["data"]
    assert can("router", "drafts", "send", draft).code == 0


def test_a_person_says_what_became_of_a_mail_that_nobody_knows_of(can: Any, draft: str, smtp: SmtpBeside) -> None:
    smtp.inbox.actions["drop"] = True
    said = can("router", "drafts", "approve", draft, "--send")
    assert said.code == 1
    assert f"can router drafts resolve {draft} --sent | --not-sent" in said.out
    assert can("router", "drafts", "send", draft).code == 1
    assert can("router", "drafts", "resolve", draft).code == 1  # nobody to ask
    assert can("router", "drafts", "resolve", draft, "--sent", "--not-sent").code == 2
    assert len(smtp.mails) == 1
    assert "did not go out" in can("router", "drafts", "resolve", draft, "--not-sent").out
    del smtp.inbox.actions["drop"]
    assert can("router", "drafts", "send", draft).code == 0
    assert len(smtp.mails) == 2


def test_listed_senders_are_acknowledged(can: Any, office: Any, smtp: SmtpBeside, tmp_path: Path) -> None:
    for sender in ("ann@bell.example", "bob@other.example"):
        mail = f"From: {sender}\nMessage-ID: <{sender}>\nSubject: Lease\n\nWhat does a first talk cost?\n"
        (tmp_path / f"{sender}.eml").write_text(mail)
    configure(office, smtp, inbox={"acknowledge": [{"to": "@bell.example", "unverified": True}]})
    assert can("router", "inbox", "process", "--source", str(tmp_path)).code == 0
    would = can("router", "drafts", "acknowledge", "--dry-run")
    assert "ann@bell.example" in would.out
    assert "bob@other.example" not in would.out
    assert smtp.mails == []
    done = can("router", "drafts", "acknowledge", "--json").json
    assert [(each["to"], each["state"]) for each in done] == [("ann@bell.example", "sent")]
    assert [(mail["To"], mail["Auto-Submitted"]) for mail in smtp.mails] == [("ann@bell.example", "auto-replied")]
    assert "nothing to acknowledge" in can("router", "drafts", "acknowledge").out
    # A person's answer goes out all the same.
    (reply,) = [row["id"] for row in can("router", "drafts", "list", "--state", "draft", "--json").json
                if row["to"] == ["ann@bell.example"]]  # fmt: skip
    assert can("router", "drafts", "approve", reply, "--send").code == 0


# templates


def test_a_template_of_ones_own(can: Any, office: Any, tmp_path: Path) -> None:
    file = tmp_path / "short.txt"
    file.write_text("Hello {{name}},\n\n{{body}}\n\n{{signature}}\n")
    assert "short (en)" in can("router", "templates", "create", "short", "--text", str(file)).out
    said = can("router", "templates", "create", "short", "--text", "-", "--language", "de", stdin="{{body}} {{nmae}}")
    assert "{{nmae}} is nothing that drafts know" in said.err
    assert "short (de, en)" in said.out
    assert can("router", "templates", "create", "short", "--text", str(file)).code == 1
    assert can("router", "templates", "create", "short", "--text", str(file), "--replace").code == 0
    rows = can("router", "templates", "list", "--json").json
    assert [(row["name"], row["own"]) for row in rows] == [("received", False), ("short", True), ("standard", False)]
    words = ["--set", "name=Ann", "--set", "body=Yes.", "--set", "signature=M"]
    assert can("router", "templates", "render", "short", *words).out == "Hello Ann,\n\nYes.\n\nM\n"
    assert can("router", "templates", "delete", "short").code == 0
    assert can("router", "templates", "delete", "short").code == 1
    assert "stays" in can("router", "templates", "delete", "standard").err


@pytest.mark.parametrize(
    ("name", "text", "field"), [("standard", "x", "ships"), ("Bad Name", "x", "no name"), ("empty", " ", "characters")]
)
def test_a_template_that_cannot_be_says_why(can: Any, office: Any, name: str, text: str, field: str) -> None:
    said = can("router", "templates", "create", name, "--text", "-", stdin=text)
    assert said.code == 1
    assert field in said.err


def test_drafts_are_set_into_a_template_of_ones_own(can: Any, office: Any) -> None:
    text = "Moin {{name}},\n\n{{body}}\n\n{{signature}}\n"
    can("router", "templates", "create", "short", "--text", "-", stdin=text)
    sample = next((Path(__file__).resolve().parents[2] / "examples" / "inbox").glob("01*"))
    can("router", "inbox", "process", "--source", str(sample), "--template", "short")
    (found,) = can("router", "drafts", "list", "--json").json
    assert found["template"] == "short"
    assert found["body"].startswith("Moin ")
