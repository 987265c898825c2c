"""`can router inbox process` as real processes: several at once on one mailbox, and one that a person interrupts."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bare_http import Json
from chittycan.store import inbox
from chittycan.store.database import Database
from chittycan.store.mail_claims import mail_claims
from chittycan.testing import Reply, Scenario
from chittycan.testing.clock import FakeClock
from chittycan.testing.upstream import ScriptedUpstream
from serving import PATIENCE, Processes, config, proxy, write_config

MAILS = 8
LONG_PATIENCE = 3 * PATIENCE
SAID: dict[str, Json] = {
    "triage": {"category": "appointment_request", "confidence": 0.9, "needs_reply": True, "reasoning": "A talk."},
    "priority": {"level": "NORMAL", "score": 0.5, "factors": ["client"], "reasoning": "Soon."},
    "response": {"about": "a talk", "body": "Thank you for your mail. We will read it and propose a time."},
}


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    folder = tmp_path / "Maildir"
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    for number in range(MAILS):
        text = f"From: Ann <ann@bell.example>\nTo: o@firm.example\nSubject: Talk {number}\nMessage-ID: <{number}@x>\n\n"
        (folder / "new" / f"{number}.here").write_text(f"{text}May we talk on Monday {number}?\n")
    return folder


def configure(processes: Processes, up: ScriptedUpstream, **scenario: Any) -> None:
    """One model for each agent, so that it can be counted who was asked what."""
    for agent, said in SAID.items():
        reply = Reply(text=json.dumps(said))
        up.script(agent, [Scenario(does="answers", reply=reply, **scenario)])
    models = {name: {"proxy": "home", "upstream": name} for name in SAID}
    assignments = {f"email.{name}": name for name in SAID}
    proxies = {"home": proxy(up.url, "openai")}
    write_config(processes.config, config(proxies), {"models": models, "assignments": assignments})


def asked(up: ScriptedUpstream) -> Counter[str]:
    return Counter(name for name in SAID for _ in up.calls(name))


async def test_two_at_once_on_one_mailbox_ask_once_about_each_mail(processes: Processes, maildir: Path) -> None:
    clock = FakeClock()
    async with ScriptedUpstream(clock=clock) as up:
        configure(processes, up, wait=1.0)
        command = ("router", "inbox", "process", "--source", str(maildir), "--json", "--parallel", str(MAILS // 2))
        both = [await processes.can(*command) for _ in range(2)]
        ends = [asyncio.create_task(each.process.communicate()) for each in both]
        async with asyncio.timeout(LONG_PATIENCE):
            # Nobody is answered before each of them is at half of the mails.
            while asked(up)["triage"] < MAILS:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while not all(each.done() for each in ends):
                clock.advance(1.0)
                await asyncio.sleep(0.01)
        said = [json.loads(each.result()[0]) for each in ends]
        assert [each.process.returncode for each in both] == [0, 0], [each.said for each in both]
        states = Counter(mail["state"] for each in said for mail in each["mails"])
        assert states["processed"] == MAILS
        assert set(states) <= {"processed", "elsewhere", "known"}
        assert states["elsewhere"] >= MAILS // 2
        assert asked(up) == dict.fromkeys(SAID, MAILS)


async def test_one_that_is_interrupted_says_how_to_go_on_and_the_next_does_only_what_is_left(
    processes: Processes, up: ScriptedUpstream, maildir: Path
) -> None:
    configure(processes, up, wait=0.2)
    command = ("router", "inbox", "process", "--source", str(maildir), "--json")
    first = await processes.can(*command)
    async with asyncio.timeout(PATIENCE):
        while asked(up)["response"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    first.process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE):
        output, _ = await first.process.communicate()
    assert (first.process.returncode, output) == (130, b"")
    assert "stopped after" in first.said
    assert f"of {MAILS} mails" in first.said
    assert "Traceback" not in first.said

    again = await processes.can(*command)
    said = json.loads((await again.process.communicate())[0])
    assert [mail["state"] for mail in said["mails"] if mail["state"] not in ("processed", "known")] == []
    assert len(said["mails"]) == MAILS
    database = Database(f"sqlite:///{processes.database}")
    try:
        runs = {name: len(await database.read(inbox.history, name, limit=100)) for name in SAID}
        assert await database.read(_claims) == 0
    finally:
        database.close()
    assert runs == dict.fromkeys(SAID, MAILS)
    assert asked(up).total() <= 3 * MAILS + 4  # what was under way is asked again


def _claims(connection: Connection) -> int:
    return len(connection.execute(select(mail_claims)).all())
