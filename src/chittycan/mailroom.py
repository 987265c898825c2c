"""The sources of mail that are looked after while the program runs: one watcher for each, as the configuration says.

A watcher knows nothing of files and rules; here it gets the owner's terms and rules as they are at that moment.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chittycan import mail_login, mailbox
from chittycan.agents.agent import Ask
from chittycan.agents.duty import OnProblem
from chittycan.agents.invoke import Reread
from chittycan.agents.kept import restore
from chittycan.agents.look import Desk, OnOutcome
from chittycan.agents.mail_task import Submit
from chittycan.agents.pipeline import Terms
from chittycan.agents.told import Tell
from chittycan.agents.watch import Watcher
from chittycan.agents.watch_local import Local, LocalWatcher
from chittycan.clock import Clock
from chittycan.config import Settings
from chittycan.errors import ChittyError, ConfigError
from chittycan.integrations.email.credentials import Newer
from chittycan.integrations.email.imap import Account
from chittycan.integrations.email.sources import RawMail, Source
from chittycan.mail_tokens import RefreshTokens
from chittycan.rulebook import RuleBook
from chittycan.store import mailboxes as rows
from chittycan.store.database import Database
from chittycan.store.inbox import StoredMail
from chittycan.store.mailboxes import AccountRow, FolderRow

LOOK_SECONDS = 1.0  # between looks at the configuration


class Mailroom:
    """Watches the sources with `watch`, as long as `run` runs. `settings` is asked again and again."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        env: Mapping[str, str],
        ask: Ask,
        database: Database,
        clock: Clock,
        submit: Submit | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._settings, self._env, self._ask, self._database, self._clock = settings, env, ask, database, clock
        self._submit, self._tell = submit, tell
        self._rules = RuleBook(database, clock)
        self._at_work: dict[str, tuple[bytes, asyncio.Task[None]]] = {}

    def watcher(
        self,
        name: str,
        base: Terms | None = None,
        on_outcome: OnOutcome | None = None,
        on_problem: OnProblem | None = None,
    ) -> Watcher:
        """For one account by its name; `base` are the terms instead of the owner's. Raises ConfigError."""
        settings = self._settings()
        account = mailbox.accounts(settings)[name]
        newer = RefreshTokens(self._database, self._clock)
        credential = mail_login.credential(settings, name, self._env, self._clock, newer)
        return Watcher(account, credential, self._desk(name, base), on_outcome=on_outcome, on_problem=on_problem)

    def local_watcher(
        self,
        name: str,
        base: Terms | None = None,
        on_outcome: OnOutcome | None = None,
        on_problem: OnProblem | None = None,
    ) -> LocalWatcher:
        """As `watcher`, for a mailbox on this machine."""
        settings = self._settings()
        here = mailbox.local(settings)[name]

        def opened() -> Source:
            return mailbox.open_local(settings, name)

        return LocalWatcher(here, opened, self._desk(name, base), on_outcome=on_outcome, on_problem=on_problem)

    def _desk(self, name: str, base: Terms | None) -> Desk:
        async def terms() -> Terms:
            await self._rules.refresh()
            return terms_of(self._settings(), name, self._rules, base, self._tell)

        return Desk(ask=self._ask, database=self._database, terms=terms, clock=self._clock, submit=self._submit)

    async def run(self) -> None:
        """Keeps the watchers in step with the configuration."""
        try:
            while True:
                self._keep_in_step()
                await self._clock.sleep(LOOK_SECONDS)
        finally:
            for _, task in self._at_work.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._at_work.values()), return_exceptions=True)

    def _keep_in_step(self) -> None:
        try:
            wanted = self._wanted()
        except ChittyError:  # said by `can doctor`; what is at work stays so
            return
        for name in [name for name in self._at_work if name not in wanted]:
            self._at_work.pop(name)[1].cancel()
        for name, (shape, begin) in wanted.items():
            known = self._at_work.get(name)
            if known is not None and known[0] == shape and not known[1].done():
                continue
            if known is not None:
                known[1].cancel()
            self._at_work[name] = (shape, asyncio.get_running_loop().create_task(begin(name).run()))

    def _wanted(self) -> dict[str, tuple[bytes, Callable[[str], Watcher | LocalWatcher]]]:
        """The watched sources: how each is set up, and what looks after it. Raises ConfigError."""
        settings = self._settings()
        found: dict[str, tuple[bytes, Callable[[str], Watcher | LocalWatcher]]] = {}
        for name, account in mailbox.accounts(settings, watched=True).items():
            written = settings.integrations[name]
            shape = msgspec.json.encode((account, written.get("password"), written.get("oauth")))
            found[name] = shape, self.watcher
        for name, here in mailbox.local(settings, watched=True).items():
            found[name] = msgspec.json.encode(here), self.local_watcher
        return found


def terms_of(
    settings: Settings, account: str, rules: RuleBook, base: Terms | None = None, tell: Tell | None = None
) -> Terms:
    """How the mail of an account is worked on, by the rules as they are known; `base` instead of the owner's terms.

    Raises ConfigError.
    """
    own = base or mailbox.terms(settings)
    # What nobody knows the effect of may be a rule that keeps mail private.
    private = own.private or not rules.readable
    return mailbox.of_account(settings, account, replace(own, rules=rules.book, private=private, tell=tell))


def reread(settings: Callable[[], Settings], env: Mapping[str, str], newer: Newer) -> Reread:
    """Finds mails of the inbox again where they came from."""

    async def again(stored: StoredMail) -> RawMail:
        return await mailbox.read_mail(
            settings(), env, stored.source, stored.source_key,
            message_id=restore(stored).message_id, dedupe_key=stored.dedupe_key, newer=newer,
        )  # fmt: skip

    return again


State = Literal["fresh", "stale", "failing", "never"]


class Standing(Struct, frozen=True, kw_only=True):
    """How it stands with a source: `stale` where it should be looked after and was not for `alarm` seconds.

    `silent`: seconds since the last look that went well. `failing`: the last look did not, but the alarm is not due.
    """

    name: str
    source: Account | Local
    watched: bool
    state: State
    silent: float | None
    row: AccountRow | None
    folders: tuple[FolderRow, ...]

    @property
    def type(self) -> str:
        return self.source.type if isinstance(self.source, Local) else mailbox.IMAP

    @property
    def behind(self) -> int:
        """Mails that are there and not done, as of the last look."""
        return sum(each.behind for each in self.folders)


async def standings(settings: Settings, database: Database, now: float) -> list[Standing]:
    """Of every account on a server, and of the watched mailboxes on this machine. Raises ConfigError."""
    here = mailbox.local(settings, watched=True)
    sources: dict[str, Account | Local] = {**mailbox.accounts(settings), **here}
    if not sources:
        return []
    watched = {*here, *mailbox.accounts(settings, watched=True)}
    known = {row.account: row for row in await database.read(rows.accounts)}
    folders = await database.read(rows.folders)
    return [
        _standing(source, known.get(name), [each for each in folders if each.account == name], name in watched, now)
        for name, source in sources.items()
    ]


def _standing(
    source: Account | Local, row: AccountRow | None, folders: list[FolderRow], watched: bool, now: float
) -> Standing:
    succeeded = None if row is None else row.succeeded
    silent = None if succeeded is None else max(0.0, now - succeeded)
    state: State = "fresh"
    if watched and row is not None and (silent is None or silent > source.alarm):
        since = row.failing if silent is None else None
        state = "stale" if since is None or now - since > source.alarm else "failing"
    elif row is not None and row.failing is not None:
        state = "failing"
    elif silent is None:
        state = "never"
    mine = tuple(each for each in folders if isinstance(source, Account) and each.folder in source.folders)
    return Standing(name=source.name, source=source, watched=watched, state=state, silent=silent, row=row, folders=mine)


async def figures(settings: Settings, database: Database, now: float) -> dict[str, tuple[float, bool]]:
    """For each watched source: seconds since the last look that went well (infinite: none did), and whether stale."""
    try:
        found = await standings(settings, database, now)
    except ConfigError:  # said by `can doctor`
        return {}
    never = float("inf")
    return {
        each.name: (never if each.silent is None else each.silent, each.state == "stale")
        for each in found
        if each.watched
    }
