"""Mail under six kinds of trouble, all the way: `python -m bench.inbox_chaos --kind kill --mails 1000 --seed 1`.

Mails come into a Dovecot; a real `can serve` fetches them, has them sorted and answered by a stand-in model; a
stand-in for the person approves each draft and has it sent to a server that counts. Meanwhile, by `--kind`:

    kill      the server is killed with SIGKILL and started again
    drop      connections to Dovecot are cut in the middle, and sessions ended by Dovecot
    renumber  Dovecot numbers its mails anew (UIDVALIDITY)
    slow      every answer of Dovecot takes its time, some stall; so does the server that takes mail
    sizes     a line to Dovecot lies about the sizes of mails and of answers
    smtp      the server that takes mail takes some and hangs up without a word, refuses some, hangs up on some before

At the end it is counted: lost, worked on twice, sent twice, crashed, and what was said of mails of which nobody knows.
The person then says what the counting server knows of the latter, and all must have gone out exactly once.
"""

import argparse
import asyncio
import http.client
import json
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from msgspec import Struct
from sqlalchemy import Connection, text

from bench.crew import Member
from bench.inbox_parts import Line, LineMood, Post, PostMood
from bench.run import free_port, machine, save
from bench.stand_in import StandIn
from chittycan.store.database import Database
from chittycan.store.migrations import migrate

if TYPE_CHECKING:
    from mail_servers import Dovecot

Kind = Literal["kill", "drop", "renumber", "slow", "sizes", "smtp"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LINE: dict[str, LineMood] = {"slow": "slow", "sizes": "wrong sizes"}
POST: dict[str, PostMood] = {"slow": "slow", "smtp": "breaks off"}
# Calls and mails from one stroke to the next; other kinds are there all the time.
BETWEEN: dict[str, tuple[int, int]] = {"kill": (10, 120), "drop": (5, 60), "renumber": (10, 120)}
QUIET = 20.0  # seconds without any, after which a stroke comes all the same
SAYS = {
    "category": "general_inquiry", "confidence": 0.9, "needs_reply": True, "level": "NORMAL", "score": 0.5,
    "about": "your question", "body": "Thank you for your question. We will read it and answer you soon.",
}  # fmt: skip
AGENTS = {"email.triage": "sorts", "email.priority": "ranks", "email.response": "writes"}
TESTS = Path(__file__).resolve().parents[1] / "tests"
AT_ONCE = 4  # drafts that the person has in hand
STUCK = 400.0  # seconds without any progress after which what is open is lost
CAME_IN = 25  # mails per second


class Outcome(Struct, kw_only=True):
    """What was seen. `wrong` says in words whatever should not have been."""

    kind: Kind
    mails: int
    seed: int
    seconds: float = 0.0
    strokes: int = 0
    done: int = 0
    drafts: int = 0
    sent: int = 0
    unknown: int = 0  # before the person said what became of them
    unknown_and_arrived: int = 0
    copies: int = 0
    calls: int = 0
    calls_repeated: int = 0  # because the server was killed while one was under way
    headers_only: int = 0  # mails whose size was said to be beyond the limit
    lies: int = 0
    broke_off: int = 0
    wrong: list[str] = []


class Chaos:
    """One kind of trouble, for so many mails. `with_copies`: until those among the sent mails are there too."""

    def __init__(
        self, kind: Kind, mails: int, seed: int, dovecot: "Dovecot", home: Path, *, with_copies: bool = True
    ) -> None:
        self.outcome = Outcome(kind=kind, mails=mails, seed=seed)
        self._kind, self._dice, self._dovecot, self._home = kind, random.Random(seed), dovecot, home
        self._user = f"chaos-{kind}-{seed}"
        self._database = Database(f"sqlite:///{home / 'chitty.db'}")
        self._with_copies, self._over = with_copies, False

    async def run(self) -> Outcome:
        started = time.monotonic()
        migrate(self._database)
        async with AsyncExitStack() as stack:
            stack.callback(self._database.close)
            enter = stack.enter_async_context
            self._line = await enter(Line(self._dovecot.port, self._dice, LINE.get(self._kind, "plain")))
            self._post = await enter(Post(self._dice, POST.get(self._kind, "plain")))
            self._model = await enter(StandIn(lambda _model, _prompt: SAYS, wait=0.05))
            self._port = free_port()
            self._configure()
            url = f"sqlite:///{self._home / 'chitty.db'}"
            self._server = Member("server", self._home, url, "--port", str(self._port))
            await self._server.start()
            stack.push_async_callback(self._server.stop)
            await self._server.ready()
            await self._all_of_it()
            await self._count()
        self.outcome.seconds = round(time.monotonic() - started, 1)
        return self.outcome

    def _configure(self) -> None:
        folder = self._home / "config"
        folder.mkdir()
        account = {
            "type": "imap", "host": "127.0.0.1", "port": self._line.port, "security": "none", "user": self._user,
            "password": "file:mail-password", "watch": True, "poll": 2,
        }  # fmt: skip
        smtp = {"host": "127.0.0.1", "port": self._post.port, "security": "none", "from": "office@meyer.example"}
        proxy = {"endpoint": f"{self._model.url}/v1", "dialect": "openai", "apiKey": "sk-stand-in"}
        config = {
            "remotes": {"connect": {"type": "chittyconnect", "proxies": {"home": proxy}}},
            "embedded": {"enabled": False}, "integrations": {"office": account}, "smtp": smtp,
        }  # fmt: skip
        models = {name: {"proxy": "home", "upstream": name} for name in AGENTS.values()}
        for name, content in (
            ("config.json", json.dumps(config)),
            ("models.json", json.dumps({"models": models, "assignments": AGENTS})),
            ("mail-password", "opensesame"),
        ):
            (folder / name).write_text(content)
            (folder / name).chmod(0o600)

    # while it runs

    async def _all_of_it(self) -> None:
        troubles = [asyncio.create_task(each) for each in (self._deliver(), self._strike(), self._person())]
        try:
            await self._until_done()
        finally:
            self._over = True
            await asyncio.gather(*troubles)

    async def _deliver(self) -> None:
        for number in range(self.outcome.mails):
            self._dovecot.deliver(self._user, str(number), mail(number))
            if number % CAME_IN == CAME_IN - 1:
                await asyncio.sleep(1.0)

    async def _strike(self) -> None:
        while not self._over and self._kind in BETWEEN:
            least, most = BETWEEN[self._kind]
            goal = self._moved + self._dice.randint(least, min(most, max(least, self.outcome.mails)))
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET):
                    while self._moved < goal and not self._over:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
            if not self._over:
                await self._stroke()
                self.outcome.strokes += 1

    @property
    def _moved(self) -> int:
        return len(self._model.asked) + self._post.by_id.total()

    async def _stroke(self) -> None:
        if self._kind == "kill":
            self._crashed()
            await self._server.kill()
            await self._server.start()
            await self._server.ready()
        elif self._kind == "renumber":
            with suppress(FileNotFoundError):  # before the first look there is nothing to number
                await asyncio.to_thread(self._dovecot.number_anew, self._user)
        elif self._dice.random() < 0.5:
            self._line.cut()
        else:
            await asyncio.to_thread(self._dovecot.kick, self._user)

    def _crashed(self) -> None:
        if not self._server.alive:
            self.outcome.wrong.append(f"the server ended by itself: {self._server.said[-500:]}")

    async def _person(self) -> None:
        """Says yes to every draft, tries again what no server took, and asks what became of what was cut off."""
        while not self._over:
            drafts = (await self._database.read(_drafts)).items()
            open_ones = [(id, each[0]) for id, each in drafts if each[0] not in ("sent", "unknown")]
            for start in range(0, min(len(open_ones), 40), AT_ONCE):
                wanted = open_ones[start : start + AT_ONCE]
                await asyncio.gather(*(asyncio.to_thread(self._say_yes, id, state) for id, state in wanted))
            await asyncio.sleep(0.1)

    def _say_yes(self, draft: str, state: str) -> None:
        if state == "draft":
            self._post_to(draft, "approve", {"send": True})
        else:
            self._post_to(draft, "send", {})

    def _post_to(self, draft: str, what: str, body: dict[str, Any]) -> None:
        secret = next(self._home.rglob("admin.key")).read_text().strip()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=200)
        headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        with suppress(OSError, http.client.HTTPException):  # it was killed; what is known is in the database
            connection.request("POST", f"/api/v1/drafts/{draft}/{what}", json.dumps(body), headers)
            connection.getresponse().read()
        connection.close()

    async def _until_done(self) -> None:
        """Until every mail is answered and sent, or said to be unknown; or until nothing moves any more."""
        last, since = "", time.monotonic()
        while True:
            mails, drafts = await self._database.read(_states), await self._database.read(_drafts)
            states = Counter(each[0] for each in drafts.values())
            copies = sum(each[1] for each in drafts.values())
            settled = states["sent"] + states["unknown"]
            enough = copies >= states["sent"] or not self._with_copies
            if enough and mails.get("done") == self.outcome.mails == settled:
                return
            now = f"{mails} {states} {copies}"
            last, since = (last, since) if now == last else (now, time.monotonic())
            if time.monotonic() - since > STUCK:
                self.outcome.wrong.append(f"stuck: {now}")
                return
            await asyncio.sleep(0.3)

    # afterwards

    async def _count(self) -> None:
        found, wrong = self.outcome, self.outcome.wrong
        self._crashed()
        if "Traceback" in self._server.said:
            wrong.append(f"said: …{self._server.said[-1500:]}")
        drafts = await self._database.read(_drafts)
        found.done = (await self._database.read(_states)).get("done", 0)
        found.drafts, found.copies = len(drafts), sum(each[1] for each in drafts.values())
        subjects = await self._database.read(_subjects)
        wrong += [f"lost: {number}" for number in range(found.mails) if f"Question {number}" not in subjects]
        wrong += [f"stored twice: {subject}" for subject, count in subjects.items() if count > 1]
        unknown = {id: each[2] for id, each in drafts.items() if each[0] == "unknown"}
        found.sent = sum(each[0] == "sent" for each in drafts.values())
        found.unknown = len(unknown)
        found.unknown_and_arrived = sum(self._post.by_id[message] > 0 for message in unknown.values())
        for id, (state, _, message) in drafts.items():
            if state == "sent" and not self._post.by_id[message]:
                wrong.append(f"said to be sent, and was not: {id}")
        self._count_calls()
        found.headers_only = await self._database.read(_headers_only)
        found.lies, found.broke_off = self._line.lies, self._post.broke_off
        if self._dovecot.flags(self._user):
            wrong.append(f"the mailbox was changed: {self._dovecot.flags(self._user)}")
        await self._person_knows(unknown)
        wrong += [f"sent twice: {to}" for to, count in self._post.by_recipient.items() if count > 1]
        wrong += [f"sent twice: {message}" for message, count in self._post.by_id.items() if count > 1]
        if (arrived := len(self._post.by_recipient)) != found.mails:
            wrong.append(f"{found.mails} came in, {arrived} answers went out")

    def _count_calls(self) -> None:
        """What was under way when the server was killed is asked again, once for each time; nothing else is."""
        found = self.outcome
        asked = Counter((each.model, _number(each.prompt)) for each in self._model.asked)
        found.calls, found.calls_repeated = asked.total(), asked.total() - len(asked)
        allowed = 1 + (found.strokes if found.kind == "kill" else 0)
        found.wrong += [f"asked {count} times: {call}" for call, count in asked.items() if count > allowed]

    async def _person_knows(self, unknown: dict[str, str]) -> None:
        """The person looks at the other side, says what became of them, and sends those that did not arrive."""
        self._post.mood = "plain"
        for id, message in unknown.items():
            arrived = self._post.by_id[message] > 0
            await asyncio.to_thread(self._post_to, id, "resolve", {"outcome": "sent" if arrived else "not-sent"})
            if not arrived:
                await asyncio.to_thread(self._post_to, id, "send", {})


def mail(number: int) -> bytes:
    head = f"From: Client {number} <c{number}@bell.example>\r\nMessage-ID: <{number}@bell.example>\r\n"
    words = f"What does a first talk cost? My number is {number}."
    return f"{head}To: office@meyer.example\r\nSubject: Question {number}\r\n\r\n{words}\r\n".encode()


def _number(prompt: str) -> str:
    return prompt.partition("Question ")[2].partition('"')[0]


def _states(connection: Connection) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(text("SELECT state, count(*) FROM mails GROUP BY state"))}


def _subjects(connection: Connection) -> Counter[str]:
    return Counter(connection.execute(text("SELECT subject FROM mails")).scalars())


def _headers_only(connection: Connection) -> int:
    found = text("SELECT count(*) FROM mails WHERE mail NOT LIKE '%My number is%'")
    return int(connection.execute(found).scalar_one())


def _drafts(connection: Connection) -> dict[str, tuple[str, bool, str]]:
    """Of each draft its state, whether its copy was seen to, and its Message-ID."""
    rows = connection.execute(
        text(
            "SELECT d.id, coalesce(e.state, d.state), d.copy IS NOT NULL, d.message_id "
            "FROM drafts d LEFT JOIN effects e ON e.key = d.effect"
        )
    )
    return {row[0]: (row[1], bool(row[2]), row[3] or "") for row in rows}


async def main(given: argparse.Namespace) -> int:
    sys.path.insert(0, str(TESTS))  # where the Dovecot of the tests is
    from mail_servers import dovecot_program, running_dovecot

    found = dovecot_program()
    if found is None:
        sys.stderr.write("✗ no Dovecot on this machine\n  fix: python3 tools/dovecot.py\n")
        return 1
    wrong = 0
    for kind in KINDS if given.kind == "all" else (given.kind,):
        with running_dovecot(*found) as dovecot, tempfile.TemporaryDirectory(prefix="chaos") as home:
            outcome = await Chaos(kind, given.mails, given.seed, dovecot, Path(home)).run()
        wrong += len(outcome.wrong)
        print({each: value for each, value in _fields(outcome).items() if value})
        print(save(f"inbox_chaos-{kind}", {"machine": machine(), **_fields(outcome)}, quick=given.mails < 1000))
    return 1 if wrong else 0


def _fields(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in outcome.__struct_fields__}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.inbox_chaos")
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--mails", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(asyncio.run(main(parser.parse_args())))
