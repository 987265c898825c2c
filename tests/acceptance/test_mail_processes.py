"""`can router inbox process` as real processes: several at once on one mailbox, and one that a person interrupts."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bare_http import Json
from chittycan.testing import Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from serving import Processes, config, proxy, write_config

MAILS = 8
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


async def test_two_at_once_on_one_mailbox_ask_once_about_each_mail(
    processes: Processes, up: ScriptedUpstream, maildir: Path
) -> None:
    configure(processes, up, wait=0.4)
    both = [await processes.can("router", "inbox", "process", "--source", str(maildir), "--json") for _ in range(2)]
    said = [json.loads((await each.process.communicate())[0]) for each in both]
    assert [each.process.returncode for each in both] == [0, 0], [each.said for each in both]
    states = Counter(mail["state"] for each in said for mail in each["mails"])
    assert states["processed"] == MAILS
    assert set(states) <= {"processed", "elsewhere", "known"}
    assert states["elsewhere"] > 0  # they did meet
    assert asked(up) == dict.fromkeys(SAID, MAILS)
