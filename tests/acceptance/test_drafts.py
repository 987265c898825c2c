"""Approved drafts that go out at most once, while the process that sends them is killed between any two steps."""

import asyncio
import email
import signal
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import Connection

from chittycan.agents.kept import new_mail
from chittycan.agents.sending import Limits, Sending
from chittycan.integrations.email.message import parse
from chittycan.integrations.email.sources import RawMail
from chittycan.store import drafts, inbox
from chittycan.store.database import Database
from chittycan.store.drafts import Draft
from chittycan.testing import FakeClock
from chittycan.workstreams.effects import Effects
from peers import Killer, MailPeer
from way_out import WayOut

MAILS = 7
# Draft → the moment at which its sender is killed, once: at the approval, before the text, when the server has the
# text and the sender does not know it yet, when it knows and has not written it down, when no copy is kept yet.
KILLS = {0: "approved", 1: "before", 2: "after", 3: "known", 4: "copy", 5: "kept"}
CERTAIN = {"approved", "copy", "kept"}  # nothing of these is left open

SENDER = """
import asyncio, os, signal, sys
from pathlib import Path
from chittycan.agents.sending import Limits, Sending
from chittycan.clock import SystemClock
from chittycan.integrations.email.smtp import Mailer, Server
from chittycan.outgoing import sender_lives, sender_name
from chittycan.store import drafts
from chittycan.store.database import Database
from chittycan.workstreams.effects import Effects
from chittycan.workstreams.workers import this_process

url, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
kills = dict(pair.split("=") for pair in sys.argv[4].split(","))
current = ""

def strike(moment):
    mark = folder / f"{current}.struck"
    if kills.get(current) == moment and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

class Watched(Mailer):
    async def hand_over(self, message, *, by, to):
        answer = await super().hand_over(message, by=by, to=to)
        strike("known")
        return answer

class Post:
    def sender(self, account): return "us@firm.example"
    def mailer(self, account):
        return Watched(Server(host="127.0.0.1", port=port, security="none", sender="us@firm.example"))
    def own(self): return frozenset()
    def limits(self): return Limits(per_thread=99, per_address=99)
    def verified(self, mail, account): return None
    async def in_sent(self, account, message_id): return (folder / message_id.strip("<>")).exists()
    async def keep_copy(self, account, raw):
        strike("copy")
        name = next(line for line in raw.decode().splitlines() if line.startswith("Message-ID"))
        file = folder / name.partition("<")[2].strip(">")
        if file.exists():
            return False
        file.write_bytes(raw)
        strike("kept")
        return True

async def main():
    global current
    database = Database(url)
    effects = Effects(database, owner=sender_name(this_process("s", "s")), alive=sender_lives)
    sending = Sending(database, effects, Post(), SystemClock())
    for draft in sorted(await database.read(drafts.listing), key=lambda each: each.id):
        current = draft.id
        if draft.state == "draft":
            await sending.approve(draft.id, by="owner")
            strike("approved")
        await sending.send(draft.id)

asyncio.run(main())
"""


async def test_a_draft_goes_out_at_most_once_wherever_its_sender_is_killed(
    database: Database, mail_peer: MailPeer, tmp_path: Path
) -> None:
    killer = Killer({f"mail-{number}@x.example": moment for number, moment in KILLS.items()})
    port = await mail_peer(killer)
    script, folder = tmp_path / "sender.py", tmp_path / "sent"
    script.write_text(SENDER)
    folder.mkdir()
    for number in range(MAILS):
        await database.run(_draft, number)
    kills = ",".join(f"d{number}={moment}" for number, moment in KILLS.items())
    url = database.url.render_as_string(hide_password=False)
    codes: list[int] = []
    while not codes or codes[-1] == -signal.SIGKILL:
        killer.sender = await asyncio.create_subprocess_exec(
            sys.executable, str(script), url, str(port), str(folder), kills
        )
        codes.append(await killer.sender.wait())
    assert codes == [-signal.SIGKILL] * len(KILLS) + [0]

    arrived = Counter(email.message_from_bytes(each.original_content or b"")["To"] for each in killer.received)
    for number in range(MAILS):
        found = await database.read(drafts.get, f"d{number}")
        moment = KILLS.get(number)
        # Of a mail whose sender was killed at work nobody can say whether it arrived; of every other one it is certain.
        assert found.state == ("sent" if moment is None or moment in CERTAIN else "unknown"), moment
        assert arrived[f"mail-{number}@x.example"] == (0 if moment == "before" else 1), moment
        copies = [file for file in folder.iterdir() if str(found.message_id).strip("<>") == file.name]
        assert len(copies) == (1 if found.state == "sent" else 0), moment

    await _a_person_says_what_they_know(database, port)
    arrived = Counter(email.message_from_bytes(each.original_content or b"")["To"] for each in killer.received)
    assert set(arrived.values()) == {1}
    assert len(arrived) == MAILS


async def _a_person_says_what_they_know(database: Database, port: int) -> None:
    """Of the three that are unknown: two went out, and one did not, which is sent then."""
    sending = Sending(database, Effects(database, owner="person"), _Post(port), FakeClock(2.0))
    assert (await sending.resolve("d2", "sent", by="owner")).state == "sent"
    assert (await sending.resolve("d3", "sent", by="owner")).state == "sent"
    assert (await sending.resolve("d1", "failed", by="owner")).state == "failed"
    assert (await sending.send("d1")).state == "sent"


class _Post(WayOut):
    def limits(self) -> Limits:
        return Limits(per_thread=99, per_address=99)


def _draft(connection: Connection, number: int) -> None:
    raw = f"From: mail-{number}@x.example\nMessage-ID: <{number}@x.example>\nSubject: {number}\n\nHello.\n".encode()
    stored, _ = inbox.add(connection, new_mail(RawMail("folder:/x", str(number), b""), parse(raw)), 1.0)
    people = f'[{{"name":"","address":"mail-{number}@x.example"}}]'
    drafts.create(
        connection,
        Draft(
            id=f"d{number}", mail_id=stored.id, idempotency_key=f"reply:{number}", recipients=people,
            subject=f"Re: {number}", body="Hello.", in_reply_to=f"<{number}@x.example>", thread="[]",
            template="standard", warnings="[]", by_model=None, created=1.0, changed=1.0,
        ),
    )  # fmt: skip
