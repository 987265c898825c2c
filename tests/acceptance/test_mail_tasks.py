"""A server that looks after a mailbox is killed again and again: no mail is lost, no step of one is asked for twice."""

import asyncio
import json
from collections import Counter
from pathlib import Path

from sqlalchemy import Connection, select

from chittycan.config import database_url
from chittycan.store.database import Database
from chittycan.store.drafts import drafts
from chittycan.store.inbox import agent_runs, mails
from chittycan.testing import Reply, Scenario
from chittycan.testing.upstream import ScriptedUpstream
from serving import PATIENCE, Processes, proxy, write_config

MAILS, KILLS = 12, 2
SAYS = {
    "sorts": {"category": "general_inquiry", "confidence": 0.9, "needs_reply": True, "reasoning": "A question."},
    "ranks": {"level": "NORMAL", "score": 0.5, "factors": ["client"], "reasoning": "Nothing presses."},
    "writes": {"about": "your question", "body": "Thank you for your question. We will read it and answer you soon."},
}
ASSIGNED = {"email.triage": "sorts", "email.priority": "ranks", "email.response": "writes"}


def state(connection: Connection) -> tuple[int, int, Counter[tuple[str, str]], list[str]]:
    """How many mails there are, how many are done, the runs on each, and the mails that drafts answer."""
    states = connection.execute(select(mails.c.state)).scalars().all()
    runs = Counter((row.mail_id, row.agent) for row in connection.execute(select(agent_runs)))
    answered = list(connection.execute(select(drafts.c.mail_id)).scalars())
    return len(states), states.count("done"), runs, answered


async def test_mail_survives_the_death_of_who_works_on_it(
    processes: Processes, up: ScriptedUpstream, tmp_path: Path
) -> None:
    folder = tmp_path / "mail"
    folder.mkdir()
    for number in range(MAILS):
        head = f"From: Ann <a{number}@bell.example>\nMessage-ID: <{number}@bell.example>\nSubject: Question {number}\n"
        (folder / f"{number}.eml").write_text(f"{head}\nWhat does a first talk cost? Number {number}.\n")
    for name, said in SAYS.items():
        up.script(name, [Scenario(does="thinks first", reply=Reply(text=json.dumps(said)), wait=0.2)])
    write_config(
        processes.config,
        {
            "embedded": {"enabled": False},
            "integrations": {"office": {"type": "folder", "path": str(folder), "watch": True, "poll": 1}},
            "remotes": {"connect": {"type": "chittyconnect", "proxies": {"home": proxy(up.url, "openai")}}},
        },
        {"models": {name: {"proxy": "home", "upstream": name} for name in SAYS}, "assignments": ASSIGNED},
    )
    database = Database(database_url(processes.environment))
    try:
        for kill in range(1, KILLS + 1):
            server = await processes.serve()
            async with asyncio.timeout(PATIENCE):
                while len(up.requests) < kill * MAILS:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            server.process.kill()
            await server.process.wait()
        await processes.serve()
        async with asyncio.timeout(4 * PATIENCE):
            while (await database.read(state))[1] < MAILS:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        count, done, runs, answered = await database.read(state)
    finally:
        database.close()
    assert (count, done) == (MAILS, MAILS)
    assert set(runs.values()) == {1}
    assert len(runs) == 3 * MAILS
    assert sorted(answered) == sorted({mail for mail, _ in runs})
    asked = Counter(f"{each.model} {_number(each.json)}" for each in up.requests)
    assert len(asked) == 3 * MAILS
    # What was under way when a server died is asked again, once for each death, and nothing else is.
    assert max(asked.values()) <= 1 + KILLS


def _number(request: object) -> str:
    return json.dumps(request).rpartition("Number ")[2].partition(".")[0]
