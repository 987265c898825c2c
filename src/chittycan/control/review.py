"""Review: what of the inbox waits for a person's word, and that word. For the owner alone: it is his mail."""

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from chittycan.control.inbox import Level, level_of
from chittycan.control.operation import operation, usd

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.integrations.email.authentication import AuthServer
    from chittycan.store.drafts import Draft
    from chittycan.store.inbox import Run, StoredMail

SHOWN_TEXT = 4_000  # characters of a mail
MOST = 200  # mails in one answer


class Proposal(Struct, kw_only=True):
    """What a rule wants done in the mailbox: `label` or `move` with a value, or `archive`."""

    verb: str
    value: str
    because: str


class Quote(Struct, kw_only=True):
    """Words of the mail that speak for its category, from character `offset` of its text on."""

    quote: str
    offset: int


class WaitingDraft(Struct, kw_only=True):
    """A reply that nobody approved yet."""

    id: str
    state: str
    to: list[str]
    subject: str
    body: str
    warnings: list[str]
    model: str | None


class ReviewItem(Struct, kw_only=True, rename={"sender": "from"}):
    """One mail that waits, and all that is to be known for a word on it.

    `category` and `priority` are what came out, `said_category` and `said_priority` what the agents said before
    earlier corrections changed it. `doubt`: why a person should look in any case. `privacy`: local, where only private
    models may see it; metadata, where only its headers were read. `models` maps each agent to who answered, null for
    rules. `ms` and `cost_usd` are sums over the agents.
    """

    id: str
    priority: Level
    category: str
    said_priority: Level
    said_category: str
    sender: str
    to: list[str]
    subject: str
    date: float | None
    account: str | None
    message_id: str | None
    settled: str | None
    review: str
    doubt: str | None
    privacy: str | None
    confidence: float | None
    needs_reply: bool | None
    answered: float | None = None
    deadline: str | None
    evidence: list[Quote]
    reasoning: str
    factors: list[str]
    text: str
    hidden_text: bool
    attachments: list[str]
    conversation: list[str]
    proposed: list[Proposal]
    draft: WaitingDraft | None
    models: dict[str, str | None]
    ms: float
    cost_usd: float | None


class ReviewQueue(Struct, kw_only=True):
    """`open` is all that waits, `settled` those of them that needed no model; `mails` are the first, urgent first."""

    open: int
    settled: int
    approved: int
    corrected: int
    auto_approved: int
    mails: list[ReviewItem]


class Reviewed(Struct, kw_only=True):
    """What a mail is by a person's word; `review` is approved or corrected."""

    id: str
    category: str
    priority: Level
    review: str
    reviewed_by: str | None


class SettledReviewed(Struct, kw_only=True):
    approved: int


class Correction(Struct, kw_only=True):
    """`field` is category or level; of the mail only its id is known: what was learnt from it are hashes."""

    id: int
    mail: str
    field: str
    said: str
    label: str
    at: float
    by: str | None


class Forgotten(Struct, kw_only=True):
    forgotten: int


@operation("GET", "/inbox/review", owner=True)
async def queue(
    network: "Network", caller: "Key | None", *, account: str | None = None, limit: int = 50
) -> ReviewQueue:
    """What waits for a person, the most urgent first; what needed no model comes last."""
    from chittycan.store import review

    limit = min(max(0, limit), MOST)
    counts = await network.database.read(review.counts, account=account)
    mails = await network.database.read(review.waiting, account=account, limit=limit)
    items = [await _item(network, each) for each in mails]
    return ReviewQueue(mails=items, **msgspec.structs.asdict(counts))


def _authserv(network: "Network") -> "AuthServer":
    """Who says who wrote a mail, to rules that ask."""
    from chittycan.mailbox import auth_server

    return partial(auth_server, network.settings)


@operation("POST", "/inbox/{email}/review", owner=True)
async def judged(
    network: "Network",
    caller: "Key | None",
    *,
    email: str,
    category: str | None = None,
    priority: str | None = None,
    actions: bool = True,
) -> Reviewed:
    """A person's word: right as it stands, or of another `category` or `priority`. What they say is learnt from.

    What rules want done in the mailbox is done then, unless `actions` is false.
    """
    from chittycan.agents.review import Said, judge

    said = Said(category=category, level=priority, actions=actions)
    found = await network.database.run(
        judge, email, said, network.rules.book, by=_who(caller), now=network.clock.now(), authserv=_authserv(network)
    )
    return _reviewed(found)


@operation("POST", "/inbox/review/settled", owner=True)
async def settled(network: "Network", caller: "Key | None", *, account: str | None = None) -> SettledReviewed:
    """Says of everything that waits and needed no model (newsletters, notices, spam) that it is right as it stands."""
    from chittycan.agents.review import agree
    from chittycan.store import review

    approved = 0
    while waiting := await network.database.read(review.settled, account=account):
        await network.database.run(
            agree, waiting, network.rules.book, by=_who(caller), now=network.clock.now(), authserv=_authserv(network)
        )
        approved += len(waiting)
    return SettledReviewed(approved=approved)


@operation("GET", "/inbox/corrections", owner=True)
async def corrections(network: "Network", caller: "Key | None", *, limit: int = 50) -> list[Correction]:
    """Where people said otherwise than the agents, the newest first."""
    from chittycan.store import judgements

    rows = await network.database.read(judgements.corrections, limit=min(max(0, limit), 1_000))
    return [
        Correction(id=row.id, mail=row.mail_id, field=row.field, said=row.said, label=row.label, at=row.at,
                   by=row.person)
        for row in rows
    ]  # fmt: skip


@operation("DELETE", "/inbox/corrections/{correction}", owner=True)
async def forget(network: "Network", caller: "Key | None", *, correction: int) -> Forgotten:
    """Takes back what was learnt of one correction; the mail stays as it is."""
    from chittycan.store import judgements

    return Forgotten(forgotten=await network.database.run(judgements.forget, correction))


@operation("DELETE", "/inbox/corrections", owner=True)
async def forget_all(network: "Network", caller: "Key | None") -> Forgotten:
    """Takes back all that was ever learnt from people's words on mails."""
    from chittycan.store import judgements

    return Forgotten(forgotten=await network.database.run(judgements.forget, None))


async def _item(network: "Network", stored: "StoredMail") -> ReviewItem:
    from chittycan.agents import conversation
    from chittycan.agents.kept import restore
    from chittycan.agents.verdict import proposals
    from chittycan.store import drafts, inbox
    from chittycan.store.mail_actions import on_server

    mail = restore(stored)
    runs = await network.database.read(inbox.runs_of, stored.id)
    draft = await network.database.read(drafts.of_mail, stored.id)
    said = {run.agent: msgspec.json.decode(run.output) for run in runs}
    triage, ranked = said.get("triage", {}), said.get("priority", {})
    category, level = stored.category or "", level_of(stored.level or "NORMAL")
    costs = [run.cost_nano for run in runs]
    return ReviewItem(
        id=stored.id, priority=level, category=category, said_priority=level_of(stored.said_level or level),
        said_category=stored.said_category or category, sender=stored.sender, to=[str(each) for each in mail.to],
        subject=stored.subject, date=stored.date, account=stored.account, message_id=stored.message_id,
        settled=stored.settled, review=stored.review or "pending", doubt=stored.doubt, privacy=stored.privacy,
        confidence=triage.get("confidence"), needs_reply=triage.get("needs_reply"), answered=stored.answered,
        deadline=triage.get("deadline"),
        evidence=msgspec.convert(triage.get("evidence", []), list[Quote]),
        reasoning=" ".join(filter(None, (triage.get("reasoning"), ranked.get("reasoning")))),
        factors=list(ranked.get("factors", [])), text=mail.text[:SHOWN_TEXT], hidden_text=mail.hidden_text,
        attachments=[each.name for each in mail.attachments],
        conversation=list(await network.database.read(conversation.told, stored)),
        proposed=[Proposal(verb=each.verb, value=each.value, because=each.because)
                  for each in (proposals(stored.proposed) if on_server(stored.source) else ())],
        draft=None if draft is None or draft.state != "draft" else _draft(draft), models=_models(runs),
        ms=sum(run.ms for run in runs), cost_usd=usd(None if None in costs else sum(each or 0 for each in costs)),
    )  # fmt: skip


def _models(runs: "list[Run]") -> dict[str, str | None]:
    return {run.agent: run.model for run in runs}


def _draft(draft: "Draft") -> WaitingDraft:
    people: list[dict[str, Any]] = msgspec.json.decode(draft.recipients)
    return WaitingDraft(
        id=draft.id, state=draft.state, subject=draft.subject, body=draft.body, model=draft.by_model,
        to=[f"{each['name']} <{each['address']}>" if each["name"] else each["address"] for each in people],
        warnings=msgspec.json.decode(draft.warnings),
    )  # fmt: skip


def _reviewed(found: "StoredMail") -> Reviewed:
    return Reviewed(
        id=found.id, category=found.category or "", priority=level_of(found.level or "NORMAL"),
        review=found.review or "pending", reviewed_by=found.reviewed_by,
    )  # fmt: skip


def _who(caller: "Key | None") -> str:
    return "owner" if caller is None else caller.name
