"""The inbox: what came in, how urgent it is, and what the agents made of it. For the owner alone: it is his mail."""

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from chittycan.control.operation import operation, usd

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.store.inbox import Run, StoredMail

Level = Literal["CRITICAL", "HIGH", "NORMAL", "LOW"]


class MailRow(Struct, kw_only=True, rename={"sender": "from"}):
    """One mail. `settled`: why no model was needed. `date`: Unix seconds, as it says. `draft`: id of the reply.

    `account`: the account's name, else the mailbox on disk. `review`: pending, approved, corrected or auto_approved;
    null until something is known of it. `fallback`: rules answered where a model should have; with `waits` only for
    now, until a model is there or the account has money again.
    """

    id: str
    priority: Level | None
    category: str | None
    sender: str
    subject: str
    date: float | None
    read: bool
    settled: str | None
    draft: str | None
    account: str | None = None
    review: str | None = None
    fallback: bool = False
    waits: bool = False


class InboxStats(Struct, kw_only=True, rename="camel"):
    """The inbox in numbers. `high_priority`: HIGH and CRITICAL. `pending_response`: drafts that wait for a person."""

    total: int
    unread: int
    high_priority: int
    pending_response: int


class Marked(Struct, kw_only=True):
    id: str
    read: bool


class Attached(Struct, kw_only=True):
    """An attachment; `size` in bytes."""

    name: str
    media_type: str
    size: int


class AgentRun(Struct, kw_only=True):
    """What one agent said of one mail. `fallback`: rules answered, because of `reason`; then `model` is null.

    `prompt_version` changes with what the model is told. `ms` is the models' time over `attempts` calls;
    `request_ids` are keys of the ledger (`GET /usage/{id}`).
    """

    agent: str
    mail: str
    at: float
    model: str | None
    fallback: bool
    reason: str | None
    repaired: bool
    ms: float
    cost_usd: float | None
    attempts: int
    output: dict[str, Any]
    request_ids: list[str]
    prompt_version: str = ""


class Earlier(Struct, kw_only=True, rename={"sender": "from"}):
    """A mail of the same conversation that came before."""

    id: str
    sender: str
    subject: str
    date: float | None
    category: str | None


class MailDetail(MailRow, kw_only=True, rename={"sender": "from"}):
    """A mail with its text (as a person sees it, cut to 20,000 characters) and what the agents made of it.

    `state`: new until every step is done. `hidden_text`: it held text that a person does not see.
    `defects`: what could not be read. `source` and `source_key` say which mailbox it came from.
    `privacy`: local, where only private models may see it; metadata, where only its headers were read; else null.
    `doubt`: why a person should look. `said_category` and `said_priority`: of the agents, before people's words.
    """

    state: str
    to: list[str]
    cc: list[str]
    text: str
    hidden_text: bool
    attachments: list[Attached]
    defects: list[str]
    source: str
    source_key: str
    agents: list[AgentRun]
    message_id: str | None = None
    privacy: str | None = None
    doubt: str | None = None
    said_category: str | None = None
    said_priority: Level | None = None
    reviewed_at: float | None = None
    reviewed_by: str | None = None
    conversation: list[Earlier] = []


@operation("GET", "/inbox", owner=True)
async def listed(
    network: "Network",
    caller: "Key | None",
    *,
    unread: bool = False,
    priority: str | None = None,
    account: str | None = None,
    limit: int = 50,
) -> list[MailRow]:
    """The inbox, most urgent first, then newest first."""
    from chittycan.agents.words import LEVELS
    from chittycan.errors import InvalidRequest
    from chittycan.store import inbox

    if priority is not None and priority.upper() not in LEVELS:
        raise InvalidRequest(f"no priority {priority!r}", param="priority", fix=f"Use one of: {', '.join(LEVELS)}.")
    rows = await network.database.read(
        inbox.listing, unread=unread, priority=priority, account=account, limit=max(0, limit)
    )
    return [
        MailRow(
            id=row.id, priority=_level(row.priority), category=row.category, sender=row.sender, subject=row.subject,
            date=row.date, read=row.read, settled=row.settled, draft=row.draft_id, account=row.account,
            review=row.review, fallback=row.fallback, waits=row.waits,
        )
        for row in rows
    ]  # fmt: skip


@operation("GET", "/inbox/stats", owner=True)
async def stats(network: "Network", caller: "Key | None") -> InboxStats:
    """How many mails there are, unread, urgent, and with a draft that waits."""
    from chittycan.store import inbox

    found = await network.database.read(inbox.stats)
    return InboxStats(
        total=found.total, unread=found.unread, high_priority=found.high_priority,
        pending_response=found.pending_response,
    )  # fmt: skip


@operation("GET", "/inbox/{email}", owner=True)
async def shown(network: "Network", caller: "Key | None", *, email: str) -> MailDetail:
    """One mail by its id, or the beginning of it that no other mail has."""
    from chittycan.agents.kept import restore
    from chittycan.store import drafts, inbox

    stored = await network.database.read(inbox.get, email)
    runs = await network.database.read(inbox.runs_of, stored.id)
    draft = await network.database.read(drafts.of_mail, stored.id)
    before = await network.database.read(inbox.earlier, stored)
    waits = stored.state != "done" and stored.category is not None
    mail = restore(stored)
    attached = [Attached(name=each.name, media_type=each.media_type, size=each.size) for each in mail.attachments]
    return MailDetail(
        id=stored.id, priority=_level(stored.level), category=stored.category, sender=stored.sender,
        subject=stored.subject, date=stored.date, read=stored.read, settled=stored.settled,
        draft=draft.id if draft else None, state=stored.state, to=[str(each) for each in mail.to],
        cc=[str(each) for each in mail.cc], text=mail.text, hidden_text=mail.hidden_text, attachments=attached,
        defects=list(mail.defects), source=stored.source, source_key=stored.source_key,
        agents=[run_row(run) for run in runs], account=stored.account, review=stored.review,
        fallback=waits or any(run.fallback for run in runs), waits=waits, message_id=stored.message_id,
        privacy=stored.privacy, doubt=stored.doubt, said_category=stored.said_category,
        said_priority=_level(stored.said_level), reviewed_at=stored.reviewed_at, reviewed_by=stored.reviewed_by,
        conversation=[_earlier(each) for each in before],
    )  # fmt: skip


@operation("PUT", "/inbox/{email}/read", owner=True)
async def mark_read(network: "Network", caller: "Key | None", *, email: str, read: bool = True) -> Marked:
    """Marks a mail as read, or with `read: false` as unread."""
    from chittycan.store import inbox

    stored = await network.database.read(inbox.get, email)
    await network.database.run(inbox.mark_read, stored.id, read=read)
    return Marked(id=stored.id, read=read)


def run_row(run: "Run") -> AgentRun:
    """A run as the API shows it."""
    return AgentRun(
        agent=run.agent, mail=run.mail_id, at=run.at, model=run.model, fallback=run.fallback, reason=run.reason,
        repaired=run.repaired, ms=run.ms, cost_usd=usd(run.cost_nano), attempts=run.attempts,
        output=msgspec.json.decode(run.output), request_ids=msgspec.json.decode(run.request_ids),
        prompt_version=run.version,
    )  # fmt: skip


def level_of(word: str) -> Level:
    level: Level = msgspec.convert(word, Level)
    return level


def _earlier(mail: "StoredMail") -> Earlier:
    return Earlier(id=mail.id, sender=mail.sender, subject=mail.subject, date=mail.date, category=mail.category)


def _level(word: str | None) -> Level | None:
    return None if word is None else level_of(word)
