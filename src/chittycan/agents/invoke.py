"""One agent on one mail of the inbox, by the mail's id: what `can router agent invoke` does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chittycan.agents import templates
from chittycan.agents.acquaintance import fact_of
from chittycan.agents.agent import Agent, AgentResult, Ask, run
from chittycan.agents.document import DOCUMENT, Paper
from chittycan.agents.kept import record, restore
from chittycan.agents.mail_facts import facts_of
from chittycan.agents.pipeline import AS_IT_COMES, SYSTEM, Terms
from chittycan.agents.priority import PRIORITY, Prioritized, Priority, critical, verified
from chittycan.agents.reading import paper_of, read_paper
from chittycan.agents.response import RESPONSE, Answerable, obstacle
from chittycan.agents.triage import TRIAGE, Triage
from chittycan.agents.wording import Wording
from chittycan.clock import Clock
from chittycan.errors import InvalidRequest, NotFound
from chittycan.integrations.email.message import Attachment, Mail, content
from chittycan.integrations.email.sources import RawMail, read_again
from chittycan.store import inbox
from chittycan.store.database import Database

S = TypeVar("S", bound=Struct)
Reread = Callable[[inbox.StoredMail], Awaitable[RawMail]]  # a mail from where it was found; `mailroom.reread` knows all

AGENTS: Mapping[str, Agent[Any, Any, Any]] = {agent.name: agent for agent in (TRIAGE, PRIORITY, RESPONSE, DOCUMENT)}


class Besides(Struct, frozen=True, kw_only=True):
    """What is given besides the mail: which `attachment` is meant (None: the first), and what `earlier` agents found,
    by the agent's name and as JSON, instead of what was recorded."""

    attachment: str | None = None
    earlier: Mapping[str, Any] = {}


NOTHING = Besides()


async def invoke(
    name: str,
    email: str,
    ask: Ask,
    database: Database,
    terms: Terms = AS_IT_COMES,
    *,
    besides: Besides = NOTHING,
    reread: Reread | None = None,
    clock: Clock = SYSTEM,
) -> AgentResult[Any]:
    """Run the agent `name` on the mail whose id begins with `email`, record it, and give back what it said.

    The owner's rules hold for it: whether it is private, and its region. What an earlier agent found is used as it
    stands, else found by rules; `response` writes the mail's draft anew.
    Raises `NotFound` for an unknown agent, mail or attachment, `Unavailable` where the mail's server cannot be
    reached, and `InvalidRequest` where no reply is possible or what is given besides makes no sense.
    """
    if name not in AGENTS:
        raise NotFound(f"no agent {name!r}", param="agent", fix=f"Use one of: {', '.join(AGENTS)}.")
    stored = await database.read(inbox.get, email)
    if stored.privacy == "metadata":
        raise InvalidRequest("this mail is privileged: only its headers were read, and no model sees it", param="email")
    mail = restore(stored)
    found = facts_of(mail, now=clock.now(), authserv=terms.facts.authserv, account=stored.account)
    found |= await fact_of(database, mail, terms.rules)
    said = terms.rules.apply(found).values
    terms = replace(
        terms, private=terms.private or stored.privacy is not None or bool(said.get("private")),
        region=said.get("region", terms.region),
    )  # fmt: skip
    recorded = {entry.agent: entry.output for entry in await database.read(inbox.runs_of, stored.id)}
    done = {**recorded, **{agent: msgspec.json.encode(found).decode() for agent, found in besides.earlier.items()}}
    if name == DOCUMENT.name:
        value: Any = await _paper(stored, mail, besides.attachment, reread or _from_disk)
    else:
        value = _input(name, mail, done, replace(terms, account=stored.account or terms.account))
    if isinstance(value, Answerable):
        own = await templates.stored(database)
        value = replace(value, own_templates=own, template=templates.get(terms.template, own).name)
    if isinstance(value, Paper):
        result: AgentResult[Any] = await read_paper(value, ask, model=terms.model, options=terms.options)
    else:
        result = await run(AGENTS[name], value, ask, model=terms.model, options=terms.options)
    await database.run(record, stored.id, result, clock.now())
    return result


def _input(name: str, mail: Mail, done: Mapping[str, str], terms: Terms) -> Any:
    """`done` is what earlier agents found, as JSON."""
    wording = Wording(mail)
    if name == TRIAGE.name:
        return wording
    triage = _found(done["triage"], Triage) if "triage" in done else TRIAGE.rules(wording)
    prioritized = Prioritized(wording, triage, terms.facts)
    if name == PRIORITY.name:
        return prioritized
    if (reason := obstacle(mail, terms.own_addresses)) is not None:
        raise InvalidRequest(f"no reply is possible: {reason}", param="email")
    if (fact := verified(mail, terms.facts)) is not None:
        priority = critical(mail, fact)
    elif "priority" in done:
        priority = _found(done["priority"], Priority)
    else:
        priority = PRIORITY.rules(prioritized)
    return Answerable(mail, triage, priority, terms.template, terms.signed)


def _found(output: str, made: type[S]) -> S:
    try:
        return msgspec.json.decode(output, type=made)
    except msgspec.ValidationError as error:
        name = made.__name__.lower()
        raise InvalidRequest(f"this is not what {name} finds: {error}", param=name) from None


async def _from_disk(stored: inbox.StoredMail) -> RawMail:
    return await asyncio.to_thread(read_again, stored.source, stored.source_key)


async def _paper(stored: inbox.StoredMail, mail: Mail, name: str | None, reread: Reread) -> Paper:
    """The attachment `name`, or the first with text that can be read, from the mailbox it came from."""
    from chittycan.integrations.documents.extract import extract

    attachment = _choose(mail, name)
    raw = await reread(stored)
    if raw.error is not None:
        raise NotFound(f"the mail is no longer in {stored.source}: {raw.error}", param="email")
    document = await asyncio.to_thread(lambda: extract(content(raw.raw, attachment), attachment.name))
    return paper_of(attachment.name, document, attachment.media_type, param="attachment")


def _choose(mail: Mail, name: str | None) -> Attachment:
    for attachment in mail.attachments:
        if name in (None, attachment.name):
            return attachment
    names = ", ".join(attachment.name for attachment in mail.attachments) or "none"
    raise NotFound(f"no such attachment; the mail has: {names}", param="attachment")
