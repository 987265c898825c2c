"""Where mail comes from and how it is handled: the sections `inbox` and `integrations` of config.json.

{"inbox": {"source": "~/Maildir", "signature": "Meyer & Okafor LLP", "ownDomains": ["meyer.example"]},
 "integrations": {"office": {"type": "imap", "host": "mail.meyer.example", "user": "office", "password": "env:MAIL"},
                  "archive": {"type": "maildir", "path": "/var/mail/archive"}}}
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from difflib import get_close_matches
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from chittycan import mail_login
from chittycan.agents.budget import Beyond, Budget
from chittycan.agents.pipeline import Terms
from chittycan.agents.priority import Facts
from chittycan.agents.reception import Privileged
from chittycan.agents.templates import STANDARD
from chittycan.agents.verdict import Mode
from chittycan.agents.watch_local import Local
from chittycan.clock import SystemClock
from chittycan.config import CONFIG_FILE, Finding, Settings
from chittycan.config.parsing import Reader, join
from chittycan.config.senders import SENDER_KEYS, SenderSettings
from chittycan.config.settings import OAuthSettings
from chittycan.errors import ChittyError, NotFound, UsageError
from chittycan.integrations.email.credentials import Newer, log_in
from chittycan.integrations.email.imap import Account, Connection
from chittycan.integrations.email.imap_again import fetch_again
from chittycan.integrations.email.imap_sent import find_sent, keep_sent
from chittycan.integrations.email.sources import RawMail, Source, open_source, read_again
from chittycan.mail_login import LoginSettings

KINDS = ("mailbox", "maildir", "mbox", "folder", "eml")  # `type` of an integration that is mail on this machine


IMAP = "imap"  # and mail on a server


class BudgetSettings(Struct, frozen=True, kw_only=True):
    """What reading an account's mail may cost, in dollars, and what becomes of the mail beyond it."""

    day: Annotated[float, Meta(ge=0)] | None = None
    month: Annotated[float, Meta(ge=0)] | None = None
    beyond: Beyond = "wait"

    @property
    def budget(self) -> Budget:
        day, month = (None if each is None else round(each * 1e9) for each in (self.day, self.month))
        return Budget(day_nano=day, month_nano=month, beyond=self.beyond)


class ImapSettings(SenderSettings, frozen=True, kw_only=True, rename="camel"):
    """An integration of the type `imap`. `password` is a reference: the password, or with `xoauth2` the token.

    `oauth` instead of it gets tokens by itself.
    """

    type: Literal["imap"]
    host: str
    port: Annotated[int, Meta(gt=0, lt=65536)] | None = None
    security: Literal["tls", "starttls", "none"] = "tls"
    user: str
    password: str | None = None
    oauth: OAuthSettings | None = None
    auth: Literal["password", "xoauth2"] = "password"
    folders: tuple[str, ...] = ("INBOX",)
    watch: bool = False
    poll: Annotated[float, Meta(ge=1)] = 120.0  # seconds
    alarm: Annotated[float, Meta(gt=0)] = 15.0  # minutes
    private: bool = False
    auth_server: str | None = None
    allow: tuple[Literal["label", "read", "move", "archive"], ...] = ()
    budget: BudgetSettings | None = None
    insecure: bool = False
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"ImapSettings({self.host!r}, security={self.security!r})"


class LocalSettings(SenderSettings, frozen=True, kw_only=True, rename="camel"):
    """An integration that is mail on this machine. `mailbox` is whichever of the others is there."""

    type: Literal["mailbox", "maildir", "mbox", "folder", "eml"]
    path: str
    watch: bool = False
    poll: Annotated[float, Meta(ge=1)] = 120.0  # seconds
    alarm: Annotated[float, Meta(gt=0)] = 15.0  # minutes
    private: bool = False
    auth_server: str | None = None
    budget: BudgetSettings | None = None


class Acknowledge(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose mail is acknowledged without a person's word: an address, or a domain as `@example.com`.

    With `unverified` also where no server of ours has found that the mail comes from there (DMARC).
    """

    to: str
    template: str = "received"
    account: str | None = None  # mail of this account alone
    unverified: bool = False


class InboxSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """`inbox` of config.json. `source` is a path or the name of an integration.

    The critical lists, the envelope's header and the name under which the own server writes
    Authentication-Results are the facts of `agents.priority.Facts`: only they make a mail CRITICAL.
    """

    source: str | None = None
    template: str | None = None
    signature: str = ""
    own_domains: tuple[str, ...] = ()
    critical_recipients: tuple[str, ...] = ()
    critical_senders: tuple[str, ...] = ()
    envelope_header: str = "delivered-to"
    auth_server: str | None = None
    acknowledge: tuple[Acknowledge, ...] = ()
    replies_per_thread: Annotated[int, Meta(ge=0)] = 3  # within a day
    replies_per_address: Annotated[int, Meta(ge=0)] = 20
    mode: Mode = "onboarding"
    privileged: Privileged = "local"
    patience: Annotated[float, Meta(ge=0)] = 15.0  # minutes


def inbox_settings(settings: Settings) -> tuple[InboxSettings, list[Finding]]:
    """How the owner wants mail handled, and what is odd in it. Raises ConfigError on a wrong type."""
    reader = Reader(str(settings.folder / CONFIG_FILE))
    return reader.read(dict(settings.inbox), InboxSettings, "inbox"), reader.findings


def auth_server(settings: Settings, account: str | None) -> str | None:
    """The name under which the server of an account writes Authentication-Results; None: not known.

    Raises ConfigError.
    """
    written = settings.integrations.get(account) if account is not None else None
    if isinstance(written, Mapping) and (own := written.get("authServer")) is not None:
        reader = Reader(str(settings.folder / CONFIG_FILE))
        return reader.read(own, str, join(join("integrations", str(account)), "authServer"))
    return inbox_settings(settings)[0].auth_server


def has_auth_server(settings: Settings) -> bool:
    """Whether one is known for any mail. Raises ConfigError."""
    return any(auth_server(settings, name) is not None for name in (None, *settings.integrations))


def mailboxes(settings: Settings) -> dict[str, str]:
    """The integrations that are mail on this machine, and their paths. Raises ConfigError where one has no path."""
    return {name: each.path for name, each in local(settings).items()}


def local(settings: Settings, *, watched: bool = False) -> dict[str, Local]:
    """The integrations that are mail on this machine, or those of them with `watch`, by name. Raises ConfigError."""
    reader = Reader(str(settings.folder / CONFIG_FILE))
    found = {}
    for name, written in settings.integrations.items():
        if isinstance(written, Mapping) and written.get("type") in KINDS:
            read = reader.read(dict(written), LocalSettings, join("integrations", name))
            if read.watch or not watched:
                found[name] = Local(
                    name=name, type=read.type, path=read.path, poll=read.poll, alarm=read.alarm * 60,
                    private=read.private,
                )  # fmt: skip
    return found


def open_local(settings: Settings, name: str) -> Source:
    """The mailbox of that name. Raises NotFound where none of its type is there, ConfigError."""
    named = local(settings)[name]
    source = open_source(settings.folder / Path(named.path).expanduser())
    if named.type not in ("mailbox", source.kind):
        problem = f"at {source.path} is no mailbox of the type {named.type}, but {source.kind}"
        raise NotFound(problem, param="source", fix="Correct its path or its type.")
    return source


def accounts(settings: Settings, *, watched: bool = False) -> dict[str, Account]:
    """The integrations that are mail on a server, or those of them with `watch`, by name. Raises ConfigError."""
    reader = Reader(str(settings.folder / CONFIG_FILE))
    found = {}
    for name, written in settings.integrations.items():
        if isinstance(written, Mapping) and written.get("type") == IMAP:
            place = join("integrations", name)
            read = reader.read(dict(written), ImapSettings, place)
            mail_login.check(settings, place, LoginSettings(password=read.password, oauth=read.oauth))
            if read.watch or not watched:
                found[name] = _account(settings, name, read)
    return found


def _account(settings: Settings, name: str, read: ImapSettings) -> Account:
    ca_file = None if read.ca_file is None else str(settings.folder / Path(read.ca_file).expanduser())
    auth = read.auth if read.oauth is None else "xoauth2"
    return Account(
        name=name, host=read.host, port=read.port, security=read.security, user=read.user, auth=auth,
        folders=tuple(dict.fromkeys(read.folders)) or ("INBOX",), poll=read.poll, alarm=read.alarm * 60,
        private=read.private, insecure=read.insecure, ca_file=ca_file, allow=tuple(sorted(set(read.allow))),
    )  # fmt: skip


@asynccontextmanager
async def session(
    settings: Settings, env: Mapping[str, str], account: str, newer: Newer | None = None
) -> AsyncGenerator[Connection]:
    """A connection to the server of an account, beside that of whoever looks after it.

    Raises Unavailable, ConfigError, and NotFound where there is no such account.
    """
    known = accounts(settings)
    if account not in known:
        raise NotFound(f"no mail account {account!r}", param="account", fix="`can router inbox sources` lists them.")
    connection = await log_in(known[account], mail_login.credential(settings, account, env, SystemClock(), newer))
    try:
        yield connection
    finally:
        await connection.close()


async def in_sent(
    settings: Settings, env: Mapping[str, str], account: str, message_id: str, newer: Newer | None = None
) -> bool | None:
    """Whether the account's folder of sent mail holds a mail with this Message-ID.

    None where nobody can tell: there is no such account or folder, or the server cannot be reached.
    """
    try:
        async with session(settings, env, account, newer) as connection:
            return await find_sent(connection, message_id)
    except ChittyError:
        return None


async def keep_copy(
    settings: Settings, env: Mapping[str, str], account: str, raw: bytes, newer: Newer | None = None
) -> bool:
    """Puts a mail that was sent into the account's folder of sent mail; False where it is there already.

    Doing it again does no harm. Raises Unavailable, ConfigError, and NotFound where there is no such account.
    """
    async with session(settings, env, account, newer) as connection:
        return await keep_sent(connection, raw)


async def read_mail(
    settings: Settings,
    env: Mapping[str, str],
    source: str,
    key: str,
    *,
    message_id: str | None = None,
    dedupe_key: str | None = None,
    newer: Newer | None = None,
) -> RawMail:
    """The mail that a source once gave under `key`, from whatever kind of source; with `error` where it is gone.

    On a server one that was moved is found by its `message_id`; only the mail of this `dedupe_key` is given, if it is
    named. Raises Unavailable where the server cannot be reached, ConfigError where the account cannot be used.
    """
    kind, _, account = source.partition(":")
    if kind != IMAP:
        return await asyncio.to_thread(read_again, source, key)
    if account not in accounts(settings):
        return RawMail(source, key, error=f"the account {account} is not set up any more")
    async with session(settings, env, account, newer) as connection:
        return await fetch_again(connection, key, message_id=message_id, dedupe_key=dedupe_key)


def named_account(settings: Settings, named: str | None) -> str | None:
    """The account on a server that `process` means by this source; None where it means mail on this machine."""
    known = accounts(settings)
    if named is None:
        written = inbox_settings(settings)[0].source
        if written is not None or mailboxes(settings) or len(known) != 1:
            named = written
        else:
            return next(iter(known))
    return named if named in known and not Path(named).expanduser().exists() else None


def _near(settings: Settings, named: str) -> str | None:
    """The entry in `integrations` that somebody may have meant."""
    return next(iter(get_close_matches(named, [*accounts(settings), *mailboxes(settings)], n=1)), None)


def open_mailbox(settings: Settings, named: str | None = None) -> Source:
    """The mailbox `named` (a path or an integration), else `inbox.source`, else the only integration.

    Raises UsageError where none is named anywhere, NotFound where there is none at that place.
    """
    known = mailboxes(settings)
    if named and not Path(named).expanduser().exists() and named not in known and (near := _near(settings, named)):
        raise NotFound(f"no mailbox {named}", param="source", fix=f"Did you mean {near}, of config.json?")
    if named:
        return open_source(known[named] if named in known and not Path(named).expanduser().exists() else named)
    written = inbox_settings(settings)[0].source
    if written is None and len(known) == 1 and not accounts(settings):
        written = next(iter(known))
    if written is None:
        every = [*known, *accounts(settings)]
        choice = f"--source with one of: {', '.join(every)}." if every else "--source ~/Maildir"
        file = settings.folder / CONFIG_FILE
        raise UsageError(
            "Several mailboxes are set up, and none is named." if every else "No mailbox is named.",
            fix=f'{choice}; or for good: "inbox": {{"source": "~/Maildir"}} in {file}',
        )
    # What stands in the file means the same from whatever folder the command is called.
    return open_source(settings.folder / Path(known.get(written, written)).expanduser())


def own_addresses(settings: Settings) -> frozenset[str]:
    """The addresses that the owner sends from and receives at, in lower case. Raises ConfigError."""
    written = [] if settings.smtp is None else [settings.smtp.sender]
    for name, account in _senders(settings).items():
        written += [str(settings.integrations[name].get("user", "")), account.sender or ""]
        written += [] if account.smtp is None else [account.smtp.sender]
    found = (address.lower() for _, address in getaddresses(written))
    return frozenset(each for each in found if "@" in each)


def _senders(settings: Settings) -> dict[str, SenderSettings]:
    """What the integrations that are mail say of their mail, by their names. Raises ConfigError."""
    reader = Reader(str(settings.folder / CONFIG_FILE))
    found = {}
    for name, written in settings.integrations.items():
        if isinstance(written, Mapping) and written.get("type") in (IMAP, *KINDS):
            known = {key: value for key, value in written.items() if key in SENDER_KEYS}
            found[name] = reader.read(known, SenderSettings, join("integrations", name))
    return found


def terms(settings: Settings, *, template: str | None = None, **given: Any) -> Terms:
    """How the inbox is to be processed: what the owner set, and what is `given` for this run (fields of `Terms`).

    Whether there is such a template, whoever uses it says. Raises ConfigError.
    """
    own, _ = inbox_settings(settings)
    given = {"mode": own.mode, "privileged": own.privileged, "patience": own.patience * 60, **given}
    facts = Facts(
        critical_recipients=_lower(own.critical_recipients),
        critical_senders=frozenset(each.removeprefix("@") for each in _lower(own.critical_senders)),
        envelope_header=own.envelope_header,
        authserv=own.auth_server,
    )
    signatures = {name: each.signature for name, each in _senders(settings).items() if each.signature is not None}
    return Terms(
        template=template or own.template or STANDARD, signature=own.signature, signatures=signatures, facts=facts,
        own_domains=_lower(own.own_domains), own_addresses=own_addresses(settings), **given,
    )  # fmt: skip


def of_account(settings: Settings, name: str, terms: Terms) -> Terms:
    """`terms` for the mail of one integration: its name, its budget, and whether all of it is privileged.

    Raises ConfigError.
    """
    written = settings.integrations.get(name)
    if not isinstance(written, Mapping):
        return replace(terms, account=name)
    reader, place = Reader(str(settings.folder / CONFIG_FILE)), join("integrations", name)
    budget = reader.read(written.get("budget", {}), BudgetSettings, join(place, "budget")).budget
    private = reader.read(written.get("private", False), bool, join(place, "private"))
    facts = replace(terms.facts, authserv=auth_server(settings, name))
    return replace(terms, account=name, budget=budget, private=terms.private or private, facts=facts)


def on_disk(settings: Settings, mailbox: Source, terms: Terms) -> Terms:
    """The same for a mailbox on this machine; one that no integration names goes by its place."""
    for name, path in mailboxes(settings).items():
        if (settings.folder / Path(path).expanduser()).absolute() == mailbox.path.absolute():
            return of_account(settings, name, terms)
    return terms


def _lower(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in words if word.strip())
