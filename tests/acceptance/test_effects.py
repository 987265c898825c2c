"""Mails that go out at most once, while the process that sends them is killed at the worst moments."""

import asyncio
import email
import signal
import sys
from collections import Counter
from pathlib import Path

from chittycan.store.database import Database
from chittycan.workstreams.effects import Effects
from peers import Killer, MailPeer

MAILS = 12
# Mail → the moment at which its sender is killed: before the text, or when the server has the text and the sender
# does not know it yet.
KILLS = {1: "before", 3: "after", 6: "after", 8: "before", 11: "after"}

SENDER = """
import asyncio, sys, uuid
from chittycan.agents.acts import Acts
from chittycan.clock import SystemClock
from chittycan.integrations.email.smtp import Mailer, Server
from chittycan.store.database import Database
from chittycan.workstreams.effects import Effects

url, port, mails = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

class Doors:
    mailer = Mailer(Server(host="127.0.0.1", port=port, security="none", sender="a@example.com", allow=("*",)))

async def main():
    async def nobody_else(_owner):
        return False
    effects = Effects(Database(url), owner=uuid.uuid4().hex, alive=nobody_else)
    acts = Acts(effects, Doors(), SystemClock())
    for number in range(mails):
        await acts.send({"to": f"mail-{number}@example.org", "subject": "Once", "body": "x"}, f"mail-{number}")

asyncio.run(main())
"""


async def test_each_mail_goes_out_at_most_once_however_often_its_sender_is_killed(
    database: Database, mail_peer: MailPeer, tmp_path: Path
) -> None:
    killer = Killer({f"mail-{number}@example.org": moment for number, moment in KILLS.items()})
    port = await mail_peer(killer)
    script = tmp_path / "sender.py"
    script.write_text(SENDER)
    url = database.url.render_as_string(hide_password=False)
    codes: list[int] = []
    while not codes or codes[-1] == -signal.SIGKILL:
        killer.sender = await asyncio.create_subprocess_exec(sys.executable, str(script), url, str(port), str(MAILS))
        codes.append(await killer.sender.wait())
    assert codes == [-signal.SIGKILL] * len(KILLS) + [0]

    arrived = Counter(email.message_from_bytes(each.original_content or b"")["To"] for each in killer.received)
    effects = Effects(database, owner="the test")
    for number in range(MAILS):
        state = (await effects.get(f"mail-{number}")).state
        moment = KILLS.get(number)
        # Of a killed sender's mail nobody can say whether it arrived; of every other one it is certain.
        assert state == ("unknown" if moment else "sent")
        assert arrived[f"mail-{number}@example.org"] == (0 if moment == "before" else 1)
