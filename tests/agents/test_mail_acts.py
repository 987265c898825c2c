"""What is done to mails in their mailboxes: with leave, once, and to no other mail."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, update

from chittycan.agents.look import Desk
from chittycan.agents.pipeline import Terms
from chittycan.agents.watch import Watcher
from chittycan.errors import Unavailable
from chittycan.integrations.email.credentials import Password
from chittycan.integrations.email.imap import AWAY, Account, Limits
from chittycan.store import claims, inbox, mail_actions, mailboxes
from chittycan.store.database import Database
from chittycan.store.mail_actions import MailAction, Verb
from chittycan.testing.ask import ScriptedAsk
from mail_servers import ARCHIVE, PASSWORD, Dovecot, Liar, Session, connected
from serving import SkippingClock

Answers = dict[str, Callable[..., str]]
ALL = ("archive", "label", "move", "read")


def mail(name: str, text: str = "What does a first talk cost?") -> bytes:
    head = f"From: Ann <ann@bell.example>\r\nMessage-ID: <{name}@bell.example>\r\nSubject: {name}\r\n"
    return f"{head}\r\n{text}\r\n".encode()


class Office:
    """An account with a database of its own. `watcher` looks after it as somebody new each time."""

    def __init__(self, port: int, user: str, database: Database, ask: ScriptedAsk) -> None:
        self.port, self.user, self.database, self.ask = port, user, database, ask
        self.clock = SkippingClock()

    def watcher(self, *allow: str, folders: tuple[str, ...] = ("INBOX",)) -> Watcher:
        async def terms() -> Terms:
            return Terms()

        account = Account(
            name="office", host="127.0.0.1", security="none", user=self.user, port=self.port, allow=allow,
            folders=folders,
        )  # fmt: skip
        desk = Desk(ask=self.ask, database=self.database, terms=terms, clock=self.clock)
        return Watcher(account, Password(lambda: PASSWORD), desk, limits=Limits(connect=10, command=10))

    async def look(self, *allow: str, **settings: Any) -> None:
        await self.watcher(*allow, **settings).look()

    async def wish(self, subject: str, verb: Verb, value: str | None = None) -> int:
        (found,) = [each for each in await self.database.read(inbox.latest, 100) if each.subject == subject]
        assert await self.database.run(mail_actions.ask, found.id, verb, value, "rule 1", self.clock.now())
        return (await self.database.read(mail_actions.listing))[0].id

    async def action(self, number: int) -> MailAction:
        return await self.database.read(mail_actions.get, number)

    async def crashed(self, number: int) -> None:
        """As a process leaves it that died after it had begun."""

        def begun(connection: Connection) -> None:
            connection.execute(update(mail_actions.mail_actions).values(state="doing"))

        await self.database.run(begun)

    async def subjects(self, folder: str) -> list[str]:
        """What the server has there, by a connection of its own."""
        async with connected(self.port, user=self.user) as connection:
            if not (await connection.examine(folder)).exists:
                return []
            found = [await connection.part(each.uid, "HEADER", 0, 1000) for each in await connection.unseen(0, ())]
        return sorted(each.decode().partition("Subject: ")[2].partition("\r\n")[0] for each in found if each)

    async def flags(self, uid: int, folder: str = "INBOX") -> set[str]:
        async with connected(self.port, user=self.user) as connection:
            await connection.examine(folder)
            told = await connection.told(uid, "FLAGS")
        assert isinstance(told, list)
        return {str(each) for each in told} - {"\\Recent"}


@pytest.fixture
def office(dovecot_server: Dovecot, database: Database, answers: Answers, request: pytest.FixtureRequest) -> Office:
    ask = ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")
    name = f"{request.node.originalname}-{abs(hash(request.node.name)) % 10**9}"
    office = Office(dovecot_server.port, name, database, ask)
    for each in ("one", "two"):
        dovecot_server.deliver(name, each, mail(each))
    return office


async def test_without_leave_the_mailbox_is_only_read(office: Office, dovecot_server: Dovecot) -> None:
    await office.look()
    wishes = [await office.wish("one", "label", "Court"), await office.wish("one", "archive")]
    await office.look()
    await office.look("read")
    assert [(await office.action(each)).state for each in wishes] == ["waiting", "waiting"]
    assert await office.subjects("INBOX") == ["one", "two"]
    assert dovecot_server.flags(office.user) == set()


async def test_what_is_allowed_is_done_to_that_mail_alone(office: Office) -> None:
    await office.look()
    label, read = await office.wish("one", "label", "Dringend: Müller & Co"), await office.wish("one", "read")
    await office.look(*ALL)
    assert await office.flags(1) == {"\\Seen", "Dringend:_Muller_&_Co"}
    assert await office.flags(2) == set()
    done = [await office.action(each) for each in (label, read)]
    assert [(each.state, each.problem) for each in done] == [
        ("done", "the label is called Dringend:_Muller_&_Co there"), ("done", None)
    ]  # fmt: skip


async def test_a_persons_word_is_leave_for_one_action(office: Office) -> None:
    await office.look()
    mine, other = await office.wish("one", "read"), await office.wish("two", "read")
    assert await office.database.run(mail_actions.allow, mine, "anna", office.clock.now())
    await office.look()
    assert [(await office.action(each)).state for each in (mine, other)] == ["done", "waiting"]
    assert (await office.flags(1), await office.flags(2)) == ({"\\Seen"}, set())


@pytest.mark.parametrize("folders", [("INBOX",), ("INBOX", ARCHIVE), (ARCHIVE, "INBOX")])
async def test_a_mail_that_we_moved_is_not_new_where_it_went(office: Office, folders: tuple[str, ...]) -> None:
    await office.look(folders=folders)
    calls = len(office.ask.requests)
    action = await office.wish("one", "archive")
    await office.look(*ALL, folders=folders)
    report = await office.watcher(folders=folders).look()
    assert (await office.action(action)).state == "done"
    assert (await office.subjects("INBOX"), await office.subjects(ARCHIVE)) == (["two"], ["one"])
    assert (report.outcomes, len(office.ask.requests)) == ([], calls)


async def test_marks_are_set_before_the_move_and_found_after_it(office: Office) -> None:
    await office.look(folders=("INBOX", ARCHIVE))
    move, label = await office.wish("one", "move", ARCHIVE), await office.wish("one", "label", "Court")
    await office.look(*ALL, folders=("INBOX", ARCHIVE))
    late = await office.wish("one", "label", "Later")
    await office.look(*ALL, folders=("INBOX", ARCHIVE))
    assert [(await office.action(each)).state for each in (move, label, late)] == ["done"] * 3
    assert await office.flags(1, ARCHIVE) == {"Court", "Later"}


async def test_a_move_that_happened_before_the_crash_is_not_tried_again(office: Office) -> None:
    await office.look()
    action = await office.wish("one", "archive")
    async with connected(office.port, user=office.user) as connection:
        await connection.select("INBOX")
        await connection.command(f"UID MOVE 1 {ARCHIVE}".encode())
    await office.crashed(action)
    await office.look(*ALL)
    assert (await office.action(action)).state == "done"
    assert (await office.subjects("INBOX"), await office.subjects(ARCHIVE)) == (["two"], ["one"])


async def test_a_copy_made_before_the_crash_is_not_made_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server without MOVE a mail is copied, and then removed where it was."""
    monkeypatch.setattr("chittycan.integrations.email.imap_change.moves_at_once", lambda _connection: False)
    await office.look()
    action = await office.wish("one", "archive")
    async with connected(office.port, user=office.user) as connection:
        await connection.select("INBOX")
        await connection.command(f"UID COPY 1 {ARCHIVE}".encode())
        await connection.command(b"UID STORE 2 +FLAGS (\\Deleted)")  # a person's
    await office.crashed(action)
    await office.look(*ALL)
    assert (await office.action(action)).state == "done"
    assert (await office.subjects("INBOX"), await office.subjects(ARCHIVE)) == (["two"], ["one"])


async def test_without_move_only_that_mail_is_removed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chittycan.integrations.email.imap_change.moves_at_once", lambda _connection: False)
    await office.look()
    async with connected(office.port, user=office.user) as connection:
        await connection.select("INBOX")
        await connection.command(b"UID STORE 2 +FLAGS (\\Deleted)")
    action = await office.wish("one", "move", ARCHIVE.lower())
    await office.look(*ALL)
    assert (await office.action(action)).state == "done"
    assert (await office.subjects("INBOX"), await office.subjects(ARCHIVE)) == (["two"], ["one"])


async def test_a_mail_that_somebody_moved_stays_where_it_is(office: Office, dovecot_server: Dovecot) -> None:
    await office.look()
    move, label = await office.wish("one", "archive"), await office.wish("one", "label", "Court")
    dovecot_server.deliver(office.user, "x", mail("other"), folder="Clients")
    async with connected(office.port, user=office.user) as connection:
        await connection.select("INBOX")
        await connection.command(b"UID MOVE 1 Clients")
    await office.look(*ALL)
    found = [await office.action(each) for each in (move, label)]
    assert [each.state for each in found] == ["failed", "failed"]
    assert "not where it was any more" in (found[0].problem or "")
    assert await office.subjects("Clients") == ["one", "other"]


async def test_a_mail_is_known_by_its_content_when_its_number_is_not_its_own_any_more(
    office: Office, dovecot_server: Dovecot
) -> None:
    await office.look()
    action = await office.wish("two", "label", "Court")
    dovecot_server.number_anew(office.user)
    dovecot_server.deliver(office.user, "a forgery", mail("two", "Pay at once!"))
    await office.look(*ALL)
    assert (await office.action(action)).state == "done"
    marked = {}
    async with connected(office.port, user=office.user) as connection:
        await connection.examine("INBOX")
        for each in await connection.unseen(0, ()):
            told = await connection.told(each.uid, "FLAGS")
            assert isinstance(told, list)
            marked[await connection.part(each.uid, "TEXT", 0, 100)] = "Court" in told
    assert marked == {
        b"What does a first talk cost?\r\n": marked[b"What does a first talk cost?\r\n"], b"Pay at once!\r\n": False
    }  # fmt: skip
    assert True in marked.values()


@pytest.mark.parametrize(
    ("verb", "value", "problem"),
    [
        ("move", "Nowhere", "there is no folder 'Nowhere'. Create it"),
        ("label", "Срочно", "no flag of a mail server"),
    ],
)
async def test_what_cannot_be_done_says_what_to_do(office: Office, verb: Verb, value: str, problem: str) -> None:
    await office.look()
    action = await office.wish("one", verb, value)
    await office.look(*ALL)
    found = await office.action(action)
    assert found.state == "failed"
    assert problem in (found.problem or "")


async def test_what_failed_is_tried_again_by_a_persons_word(office: Office, dovecot_server: Dovecot) -> None:
    await office.look()
    action = await office.wish("one", "move", "Clients/Bell")
    await office.look(*ALL)
    assert (await office.action(action)).state == "failed"
    dovecot_server.deliver(office.user, "x", mail("other"), folder="Clients.Bell")
    assert await office.database.run(mail_actions.allow, action, "anna", office.clock.now())
    await office.look(*ALL)
    assert (await office.action(action)).state == "done"
    assert await office.subjects("Clients/Bell") == ["one", "other"]


# a server that misbehaves


class Refusing:
    """Opens folders as `opened` says, and answers what begins with one of `answers` so."""

    def __init__(self, opened: str = "\\Seen \\*", **answers: str) -> None:
        self.opened, self.answers = opened, answers

    async def __call__(self, session: Session, tag: str, command: str) -> bool:
        word = command.removeprefix("UID ").split()[0]
        if word == "SELECT":
            session.say(
                "* 1 EXISTS", "* OK [UIDVALIDITY 7] .", f"* OK [PERMANENTFLAGS ({self.opened})] .", f"{tag} OK ."
            )
        elif word == "FETCH" and "FLAGS" in command:
            session.say("* 1 FETCH (UID 1 FLAGS ())", f"{tag} OK")
        elif word == "LIST":
            session.say('* LIST () "/" INBOX', '* LIST () "/" Archive', f"{tag} OK")
        elif word in self.answers:
            if self.answers[word] == "leave":
                session.leave()
            else:
                session.say(f"{tag} {self.answers[word]}")
        else:
            return False
        return True


@pytest.fixture
async def lying(liar: Liar, database: Database, answers: Answers) -> Office:
    ask = ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")
    liar.mails = {1: mail("one")}
    liar.capabilities = "IMAP4rev1 MOVE"
    return Office(liar.port, "anna", database, ask)


@pytest.mark.parametrize(
    ("server", "verb", "problem"),
    [
        (Refusing("\\Seen"), "label", "keeps no flags of one's own"),
        (Refusing("\\Seen \\*", STORE="OK done"), "label", "says that it set Court, and did not"),
        (Refusing("", STORE="OK done"), "read", "\\Seen would be lost"),
        (Refusing(STORE="NO not now"), "read", "does not set \\Seen: not now"),
        (Refusing(MOVE="NO [OVERQUOTA] full"), "archive", "does not move it to 'Archive': full"),
    ],
)
async def test_a_server_that_does_not_do_it_is_not_believed(
    lying: Office, liar: Liar, server: Refusing, verb: Verb, problem: str
) -> None:
    liar.misbehave = server
    await lying.look()
    action = await lying.wish("one", verb, "Court" if verb == "label" else None)
    for _ in range(6):
        await lying.look(*ALL)
        lying.clock.skipped += 3_600
    found = await lying.action(action)
    assert found.state == "failed"
    assert problem in (found.problem or "")


async def test_a_server_that_could_only_remove_others_too_is_asked_for_nothing(lying: Office, liar: Liar) -> None:
    liar.misbehave, liar.capabilities = Refusing(), "IMAP4rev1"
    await lying.look()
    action = await lying.wish("one", "archive")
    await lying.look(*ALL)
    found = await lying.action(action)
    assert found.state == "failed"
    assert "neither MOVE nor UIDPLUS" in (found.problem or "")
    assert not any(word in each for each in liar.said for word in ("COPY", "MOVE", "STORE", "EXPUNGE", "CLOSE"))


async def test_a_mail_that_breaks_the_connection_does_not_hold_up_others_for_ever(lying: Office, liar: Liar) -> None:
    liar.misbehave = Refusing(MOVE="leave")
    await lying.look()
    broken, good = await lying.wish("one", "archive"), await lying.wish("one", "move", "Other")
    for _ in range(4):
        with pytest.raises(Unavailable) as raised:
            await lying.look(*ALL)
        assert raised.value.code == AWAY
    await lying.look(*ALL)
    assert (await lying.action(broken)).state == "doing"
    assert (await lying.action(good)).state == "failed"


async def test_a_number_that_means_another_mail_now_is_noticed(lying: Office, liar: Liar) -> None:
    liar.misbehave = Refusing(STORE="OK", SEARCH="OK")
    await lying.look()
    action = await lying.wish("one", "read")
    liar.mails = {1: mail("another")}
    liar.said.clear()
    await lying.look(*ALL)
    assert not any("STORE" in each for each in liar.said)
    assert (await lying.action(action)).state == "failed"


async def test_only_the_process_that_looks_after_the_account_changes_it(office: Office) -> None:
    await office.look()
    action = await office.wish("one", "read")
    gone = lambda _holder, _silence: True  # noqa: E731

    async def stolen() -> Terms:
        await office.database.run(claims.claim, mailboxes.mail_accounts, "office", "other", "{}", gone)
        return Terms()

    watcher = office.watcher("read")
    watcher._desk = Desk(ask=office.ask, database=office.database, terms=stolen, clock=office.clock)
    with pytest.raises(Unavailable) as raised:
        await watcher.look()
    assert raised.value.code == mailboxes.LOST
    assert (await office.action(action)).state == "waiting"
    assert await office.flags(1) == set()
