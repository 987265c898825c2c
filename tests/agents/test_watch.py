"""Accounts that are looked after: each mail once, whatever the server does."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chittycan.agents.look import Desk, patience
from chittycan.agents.pipeline import Terms
from chittycan.agents.report import Outcome
from chittycan.agents.watch import Watcher
from chittycan.errors import ChittyError, ConfigError, Unavailable
from chittycan.integrations.email.credentials import Grant, OAuth, Password
from chittycan.integrations.email.imap import REFUSED, Account, Limits
from chittycan.integrations.email.imap_change import set_flag
from chittycan.integrations.email.imap_folders import with_message_id
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList
from chittycan.routing.rules.book import Book, Rule
from chittycan.store import claims, inbox
from chittycan.store import mailboxes as rows
from chittycan.store.database import Database
from chittycan.testing.ask import ScriptedAsk
from mail_servers import PASSWORD, SENT, Dovecot, Liar, Session, connected
from serving import PATIENCE, SkippingClock

Answers = dict[str, Callable[..., str]]
Watch = Callable[..., Watcher]


def mail(name: str, text: str = "What does a first talk cost?") -> bytes:
    head = f"From: Ann <ann@bell.example>\r\nMessage-ID: <{name}@bell.example>\r\nSubject: {name}\r\n"
    return f"{head}\r\n{text}\r\n".encode()


@pytest.fixture
def ask(answers: Answers) -> ScriptedAsk:
    return ScriptedAsk({f"email.{name}": [answer()] for name, answer in answers.items()}, model="small")


@pytest.fixture
def outcomes() -> list[Outcome]:
    return []


@pytest.fixture
def watch(ask: ScriptedAsk, database: Database, outcomes: list[Outcome], quick: SkippingClock) -> Watch:
    """A watcher of an account on this machine; `terms` are those of its desk, the rest is the account's."""

    def make(port: int, terms: Terms | None = None, limits: Limits | None = None, **settings: Any) -> Watcher:
        async def current() -> Terms:
            return terms or Terms()

        plain: dict[str, Any] = {"host": "127.0.0.1", "security": "none", "user": "anna", "port": port, "poll": 30.0}
        account = Account(name="office", **(plain | settings))
        desk = Desk(ask=ask, database=database, terms=current, clock=quick)
        return Watcher(account, Password(lambda: PASSWORD), desk, limits=limits or Limits(), on_outcome=outcomes.append)

    return make


@pytest.fixture
def quick() -> SkippingClock:
    return SkippingClock()


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """Of this test on this database alone."""
    return re.sub(r"[^a-z]+", "-", request.node.name)[-60:]


@asynccontextmanager
async def running(watcher: Watcher) -> AsyncGenerator[None]:
    task = asyncio.create_task(watcher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 (what is waited for happens on a server)
            await asyncio.sleep(0.01)


async def subjects(database: Database, state: str = "done") -> list[str]:
    return sorted(each.subject for each in await database.read(inbox.latest, 1000) if each.state == state)


async def until_row(database: Database, holds: Callable[[rows.AccountRow], bool]) -> rows.AccountRow:
    """The account's row, once it is as wanted."""
    async with asyncio.timeout(PATIENCE):
        while not (found := [row for row in await database.read(rows.accounts) if holds(row)]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found[0]


# a real server


async def test_each_mail_is_processed_once_and_the_mailbox_is_as_before(
    dovecot_server: Dovecot, user: str, watch: Watch, ask: ScriptedAsk, database: Database
) -> None:
    for name in ("one", "two"):
        dovecot_server.deliver(user, name, mail(name))
    watcher = watch(dovecot_server.port, user=user)
    first = await watcher.look()
    calls = len(ask.requests)
    again = await watcher.look()
    another = await watch(dovecot_server.port, user=user).look()
    assert (first.count("processed"), len(again.outcomes), len(another.outcomes)) == (2, 0, 0)
    assert len(ask.requests) == calls
    assert dovecot_server.flags(user) == set()
    (folder,) = await database.read(rows.folders)
    assert (folder.through, folder.seen, folder.behind, folder.trouble) == (2, 2, 0, 0)


async def test_only_the_folder_of_sent_mail_says_what_is_ours(
    dovecot_server: Dovecot, user: str, watch: Watch, database: Database
) -> None:
    for folder in ("INBOX", SENT):
        dovecot_server.deliver(user, folder, mail(folder), folder=folder)
    terms = Terms(own_addresses=frozenset({"ann@bell.example"}))
    await watch(dovecot_server.port, terms, user=user, folders=("INBOX", SENT)).look()
    assert {each.subject: each.settled for each in await database.read(inbox.latest, 10)} == {
        "INBOX": None, SENT: "own"
    }  # fmt: skip


async def test_new_mail_is_processed_when_it_comes_in(
    dovecot_server: Dovecot, user: str, watch: Watch, outcomes: list[Outcome]
) -> None:
    dovecot_server.deliver(user, "one", mail("one"))
    async with running(watch(dovecot_server.port, user=user, poll=600.0)):
        await until(lambda: len(outcomes) == 1)
        dovecot_server.deliver(user, "two", mail("two"))
        await until(lambda: len(outcomes) == 2)
        dovecot_server.kick(user)
        dovecot_server.deliver(user, "three", mail("three"))
        await until(lambda: len(outcomes) == 3)
    assert [(each.subject, each.state) for each in outcomes] == [
        ("one", "processed"), ("two", "processed"), ("three", "processed")
    ]  # fmt: skip


async def test_a_mailbox_that_is_numbered_anew_is_known_by_content(
    dovecot_server: Dovecot, user: str, watch: Watch, ask: ScriptedAsk, database: Database
) -> None:
    for name in ("one", "two", "three"):
        dovecot_server.deliver(user, name, mail(name))
    watcher = watch(dovecot_server.port, user=user)
    await watcher.look()
    calls = len(ask.requests)
    (before,) = await database.read(rows.folders)
    dovecot_server.number_anew(user)
    dovecot_server.deliver(user, "four", mail("four"))
    report = await watcher.look()
    assert (report.count("known"), report.count("processed")) == (3, 1)
    assert len(ask.requests) == calls + 3
    (after,) = await database.read(rows.folders)
    assert after.validity != before.validity
    assert (after.seen, after.through) == (4, 4)


async def test_mail_that_comes_in_while_other_mail_is_worked_on_is_not_left_waiting(
    dovecot_server: Dovecot, user: str, watch: Watch, ask: ScriptedAsk, outcomes: list[Outcome]
) -> None:
    for name in ("one", "two"):
        dovecot_server.deliver(user, name, mail(name))
    ask.gate = asyncio.Event()
    async with running(watch(dovecot_server.port, Terms(parallel=1), user=user, poll=600.0)):
        await ask.reached(1)
        dovecot_server.deliver(user, "three", mail("three"))
        ask.gate.set()
        await until(lambda: len(outcomes) == 3)


async def test_a_mail_that_was_answered_in_a_mail_program_is_known_to_be(
    dovecot_server: Dovecot, user: str, watch: Watch, database: Database
) -> None:
    """Both have a draft; the owner answers one of them with another program."""
    for name in ("one", "two"):
        dovecot_server.deliver(user, name, mail(name))
    watcher = watch(dovecot_server.port, user=user)
    await watcher.look()
    async with connected(dovecot_server.port, user=user) as connection:
        selected = await connection.select("INBOX")
        (uid,) = await with_message_id(connection, "<one@bell.example>")
        await set_flag(connection, selected, uid, "\\Answered")
    await watcher.look()
    found = {each.subject: each.answered is not None for each in await database.read(inbox.latest, 10)}
    assert found == {"one": True, "two": False}


async def test_a_server_that_does_not_search_is_read_all_the_same(liar: Liar, watch: Watch, database: Database) -> None:
    async def refuse(session: Session, tag: str, command: str) -> bool:
        if "SEARCH" in command:
            session.say(f"{tag} BAD what is that")
        return "SEARCH" in command

    liar.misbehave, liar.mails = refuse, {1: mail("one")}
    await watch(liar.port).look()
    assert any("SEARCH UID 1 ANSWERED" in each for each in liar.said)
    assert await subjects(database) == ["one"]


async def test_several_folders_are_one_account(
    dovecot_server: Dovecot, user: str, watch: Watch, database: Database
) -> None:
    dovecot_server.deliver(user, "one", mail("one"))
    dovecot_server.deliver(user, "two", mail("two"), folder="Clients")
    dovecot_server.deliver(user, "copy", mail("one"), folder="Clients")
    watcher = watch(dovecot_server.port, user=user, folders=("INBOX", "Nowhere", "Clients"))
    with pytest.raises(Unavailable, match="Nowhere"):
        await watcher.look()
    report = await watch(dovecot_server.port, user=user, folders=("INBOX", "Clients")).look()
    assert report.outcomes == []  # a missing folder keeps no other back
    assert await subjects(database) == ["one", "two"]
    assert [(each.folder, each.seen) for each in await database.read(rows.folders)] == [("Clients", 2), ("INBOX", 1)]


async def test_a_folder_that_is_missing_is_said(dovecot_server: Dovecot, watch: Watch, database: Database) -> None:
    async with running(watch(dovecot_server.port, user="missing", folders=("Nowhere",))):
        row = await until_row(database, lambda row: row.problem is not None)
    assert "Nowhere" in str(row.problem)
    assert (row.succeeded, row.failing is not None) == (None, True)


async def test_a_folder_that_is_missing_keeps_no_mail_in_the_others_waiting(
    liar: Liar, watch: Watch, outcomes: list[Outcome], database: Database
) -> None:
    """No session ends because of it: after a session that broke there is a pause."""

    async def knows_one(session: Session, tag: str, command: str) -> bool:
        if "Renamed" in command:
            session.say(f"{tag} NO [NONEXISTENT] no such folder")
        return "Renamed" in command

    liar.misbehave, liar.mails = knows_one, {1: mail("one")}
    async with running(watch(liar.port, folders=("INBOX", "Renamed"), poll=0.1)):
        await until(lambda: len(outcomes) == 1)
        liar.mails[2] = mail("two")
        await until(lambda: len(outcomes) == 2)
        row = await until_row(database, lambda row: row.problem is not None)
    assert len(liar.sessions) == 1
    assert "Renamed" in str(row.problem)
    assert row.succeeded is None


# what is decided before a body is read


async def test_a_rule_on_headers_keeps_a_mail_private_before_its_text_is_fetched(
    liar: Liar, watch: Watch, ask: ScriptedAsk
) -> None:
    rule = Rule(id="r1", name="ann", condition="from:ann@bell.example account:office", action="private")
    liar.mails = {1: mail("one")}
    report = await watch(liar.port, Terms(rules=Book([rule]))).look()
    assert report.count("processed") == 1
    assert ask.requests
    assert all(options.private for _, options in ask.requests)


async def test_where_rules_cannot_be_looked_at_mail_is_private(
    liar: Liar, watch: Watch, ask: ScriptedAsk, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = watch(liar.port)
    given = watcher._desk.terms
    asked = 0

    async def fails_at_the_mail() -> Terms:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise Unavailable("the database is away")
        return await given()

    monkeypatch.setattr(watcher, "_desk", Desk(**{**_fields(watcher._desk), "terms": fails_at_the_mail}))
    liar.mails = {1: mail("one")}
    await watcher.look()
    assert ask.requests
    assert all(options.private for _, options in ask.requests)


def _fields(desk: Desk) -> dict[str, Any]:
    return {name: getattr(desk, name) for name in Desk.__struct_fields__}


async def test_all_mail_of_a_private_account_is_private(liar: Liar, watch: Watch, ask: ScriptedAsk) -> None:
    liar.mails = {1: mail("one")}
    await watch(liar.port, private=True).look()
    assert ask.requests
    assert all(options.private for _, options in ask.requests)


# servers that misbehave


async def test_a_mail_that_breaks_the_connection_does_not_keep_others_back(
    liar: Liar, watch: Watch, outcomes: list[Outcome], database: Database, quick: SkippingClock
) -> None:
    async def breaks(session: Session, _tag: str, command: str) -> bool:
        if command.startswith("UID FETCH 2 "):
            session.leave()
        return command.startswith("UID FETCH 2 ")

    liar.mails = {number: mail(f"mail {number}") for number in (1, 2, 3)}
    liar.misbehave = breaks
    async with running(watch(liar.port, poll=0.2)):
        await until(lambda: len(outcomes) == 2)
        assert await subjects(database) == ["mail 1", "mail 3"]
        (folder,) = await database.read(rows.folders)
        assert folder.trouble == 1
        liar.misbehave, quick.skipped = None, 60.0
        await until(lambda: len(outcomes) == 3)
    assert await subjects(database) == ["mail 1", "mail 2", "mail 3"]


async def test_a_mail_that_is_not_given_out_is_tried_again_until_it_is_gone(
    liar: Liar, watch: Watch, database: Database, quick: SkippingClock
) -> None:
    async def refuses(session: Session, tag: str, command: str) -> bool:
        if "UID FETCH 2 " in command:
            session.say(f"{tag} NO it is damaged")
        return "UID FETCH 2 " in command

    liar.mails = {number: mail(f"mail {number}") for number in (1, 2, 3)}
    liar.misbehave = refuses
    watcher = watch(liar.port)
    assert len((await watcher.look()).outcomes) == 2
    assert (await database.read(rows.folders))[0].trouble == 1
    del liar.mails[2]
    quick.skipped = 4000.0
    await watcher.look()
    (folder,) = await database.read(rows.folders)
    assert (folder.trouble, folder.seen) == (0, 2)


def test_patience_with_a_mail_grows_and_ends_nowhere() -> None:
    waits = [patience(tries) for tries in range(1, 40)]
    assert waits[:2] == [0.0, 0.0]
    assert waits == sorted(waits)
    assert waits[-1] == 3600.0


async def test_a_mail_that_was_seen_and_is_gone_is_finished_with_what_was_kept(
    liar: Liar, watch: Watch, ask: ScriptedAsk, database: Database
) -> None:
    liar.mails = {1: mail("one")}
    answer, ask._script["email.priority"] = ask._script["email.priority"], [RuntimeError("the power is out")]
    with pytest.raises(RuntimeError):
        await watch(liar.port).look()
    assert await subjects(database, "new") == ["one"]
    liar.mails, liar.validity = {5: mail("other")}, "8"
    ask._script["email.priority"] = answer
    report = await watch(liar.port).look()
    assert report.count("processed") == 2
    assert await subjects(database) == ["one", "other"]
    assert len(ask.asked("email.triage")) == 2


async def test_numbers_that_are_given_out_twice_hide_no_mail(liar: Liar, watch: Watch, database: Database) -> None:
    liar.mails = {1: mail("one"), 2: mail("two")}
    watcher = watch(liar.port)
    await watcher.look()
    liar.mails = {1: mail("three")}
    report = await watcher.look()
    assert report.count("processed") == 1
    assert await subjects(database) == ["one", "three", "two"]


async def test_a_server_without_lasting_numbers_is_looked_through_each_time(
    liar: Liar, watch: Watch, ask: ScriptedAsk
) -> None:
    liar.mails, liar.validity = {1: mail("one")}, ""
    watcher = watch(liar.port)
    await watcher.look()
    liar.mails = {1: mail("two"), 2: mail("one")}
    report = await watcher.look()
    assert (report.count("known"), report.count("processed")) == (1, 1)
    assert len(ask.asked("email.triage")) == 2


async def test_a_mail_that_turns_up_late_behind_others_is_found_by_the_next_sweep(
    liar: Liar, watch: Watch, outcomes: list[Outcome]
) -> None:
    liar.mails = {1: mail("one"), 3: mail("three")}
    await watch(liar.port).look()
    liar.mails[2] = mail("two")
    await watch(liar.port).look()
    assert {each.subject for each in outcomes[:2]} == {"one", "three"}
    assert [each.subject for each in outcomes[2:]] == ["two"]


async def test_without_idle_it_is_looked_every_while(liar: Liar, watch: Watch, outcomes: list[Outcome]) -> None:
    liar.capabilities, liar.mails = "IMAP4rev1", {1: mail("one")}
    async with running(watch(liar.port, poll=2.0)):
        await until(lambda: len(outcomes) == 1)
        liar.mails[2] = mail("two")
        await until(lambda: len(outcomes) == 2)
    assert "IDLE" not in liar.said


async def test_a_server_that_promises_to_tell_and_never_does_is_asked_all_the_same(
    liar: Liar, watch: Watch, outcomes: list[Outcome]
) -> None:
    liar.mails = {1: mail("one")}
    async with running(watch(liar.port, poll=0.2)):
        await until(lambda: len(outcomes) == 1)
        liar.mails[2] = mail("two")
        await until(lambda: len(outcomes) == 2)
    assert liar.said.count("IDLE") >= 1


async def test_what_fails_is_said_until_it_works_again(
    liar: Liar, watch: Watch, outcomes: list[Outcome], database: Database
) -> None:
    async def refuses(session: Session, tag: str, command: str) -> bool:
        if command.startswith("EXAMINE"):
            session.say("* BYE closed for today")
        return command.startswith("EXAMINE")

    liar.misbehave, liar.mails = refuses, {1: mail("one")}
    async with running(watch(liar.port)):
        await until(lambda: len(liar.sessions) >= 3)
        row = await until_row(database, lambda row: row.problem is not None)
        assert (row.problem, row.succeeded) == ("127.0.0.1 said goodbye: closed for today", None)
        liar.misbehave = None
        await until(lambda: len(outcomes) == 1)
        row = await until_row(database, lambda row: row.succeeded is not None)
    assert (row.problem, row.failing) == (None, None)


async def test_a_wrong_password_is_tried_once_and_then_left(liar: Liar, watch: Watch, database: Database) -> None:
    async def refuses(session: Session, tag: str, command: str) -> bool:
        if command.startswith("LOGIN"):
            session.say(f"{tag} NO [AUTHENTICATIONFAILED] no")
        return command.startswith("LOGIN")

    liar.misbehave = refuses
    watcher = watch(liar.port)
    with pytest.raises(Unavailable) as caught:
        await watcher.look()
    assert caught.value.code == REFUSED
    assert watcher.duty.pause(caught.value) > 400


async def test_a_mistake_in_the_configuration_is_said_like_a_failure(
    liar: Liar, watch: Watch, database: Database
) -> None:
    def no_secret() -> str:
        raise ConfigError("the environment variable MAIL is not set", file="config.json")

    watcher = watch(liar.port)
    watcher._credential = Password(no_secret)
    async with running(watcher):
        row = await until_row(database, lambda row: row.problem is not None)
    assert "MAIL" in str(row.problem)


# one at a time


async def test_an_account_has_one_watcher_at_a_time(
    liar: Liar, watch: Watch, ask: ScriptedAsk, outcomes: list[Outcome]
) -> None:
    liar.mails = {1: mail("one")}
    ask.gate = asyncio.Event()
    async with running(watch(liar.port)):
        await ask.reached(1)
        with pytest.raises(ChittyError, match="looked after by process"):
            await watch(liar.port).look()
        ask.gate.set()
        await until(lambda: len(outcomes) == 1)
    assert len((await watch(liar.port).look()).outcomes) == 0


async def test_who_has_lost_an_account_stores_nothing_more(liar: Liar, watch: Watch, database: Database) -> None:
    liar.mails = {1: mail("one")}

    async def steals(_session: Session, _tag: str, command: str) -> bool:
        if "TEXT" in command:
            await database.run(
                claims.claim, rows.mail_accounts, "office", "thief", "{}", lambda _holder, _silence: True
            )
        return False

    liar.misbehave = steals
    with pytest.raises(Unavailable) as caught:
        await watch(liar.port).look()
    assert caught.value.code == rows.LOST
    assert await database.read(inbox.latest, 10) == []


async def test_a_dry_run_stores_nothing_and_a_limit_holds(liar: Liar, watch: Watch, database: Database) -> None:
    liar.mails = {number: mail(f"mail {number}") for number in range(1, 6)}
    watcher = watch(liar.port)
    report = await watcher.look(limit=3, dry_run=True)
    assert (report.count("waiting"), report.dry_run) == (3, True)
    assert await database.read(rows.accounts) == []
    assert len((await watcher.look(limit=2)).outcomes) == 2
    assert len((await watcher.look()).outcomes) == 3


async def test_a_grant_that_was_revoked_is_one_alarm_and_no_storm(
    watch: Watch, database: Database, dovecot_server: Dovecot, quick: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chittycan.agents.duty.REFUSED_PAUSE", 1.0)
    tokens, told = dovecot_server.tokens, list[str]()
    grants = ["revoked"]

    def grant() -> Grant:
        return Grant(token_url=tokens.url, client_id="client", refresh_token=grants[-1])

    watcher = watch(dovecot_server.port, user="revoked", auth="xoauth2")
    watcher._credential = OAuth("office", grant, Outbound(AllowList([tokens.url])), quick)
    watcher.duty.on_problem = lambda _account, error: told.append(error.message)
    before = len(tokens.asked)
    async with running(watcher):
        row = await until_row(database, lambda row: row.problem is not None)
        await until(lambda: watcher.duty.failures >= 3)
        assert len(tokens.asked) == before + 1
        tokens.users["anew"] = "revoked"
        grants.append("anew")
        await until_row(database, lambda row: row.succeeded is not None and row.problem is None)
    assert "invalid_grant" in str(row.problem)
    assert told == [row.problem]


# privileged mail


CANARY = "canary-77b1c4"


@pytest.mark.parametrize("how", ["account", "rule"])
async def test_of_metadata_mail_the_server_is_asked_for_headers_alone(
    liar: Liar, watch: Watch, ask: ScriptedAsk, database: Database, outcomes: list[Outcome], how: str
) -> None:
    liar.mails = {1: mail("privileged", CANARY)}
    rules = Book([Rule(id="r", name="r", condition="from:@bell.example", action="private")])
    terms = Terms(privileged="metadata", rules=rules) if how == "rule" else Terms(privileged="metadata")
    await watch(liar.port, terms, private=how == "account").look()
    assert [each.privacy for each in outcomes] == ["metadata"]
    assert not any("TEXT" in said.upper() or "BODY.PEEK[]" in said.upper() for said in liar.said)
    assert ask.requests == []
    (stored,) = await database.read(inbox.latest, 5)
    assert CANARY not in stored.mail
    assert stored.subject == "privileged"
    assert (stored.state, stored.review) == ("done", "pending")
