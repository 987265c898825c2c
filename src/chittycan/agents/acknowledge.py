"""Automatic acknowledgements: a fixed text, to those whom the owner listed, and never twice in a conversation's day.

No model has a word in it: the list and the template are the owner's, the recipient is the mail's own sender, whom
the owner's server must have verified.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from chittycan.agents import templates
from chittycan.agents.kept import restore
from chittycan.agents.mail_facts import arrived
from chittycan.agents.response import called, obstacle, recipients, references, reply_subject
from chittycan.agents.sending import DAY, Sending
from chittycan.clock import Clock
from chittycan.errors import ChittyError, Unavailable
from chittycan.integrations.email.message import Mail
from chittycan.store import drafts, inbox
from chittycan.store.database import Database
from chittycan.store.drafts import Draft
from chittycan.store.inbox import StoredMail


class Rule(Protocol):
    """A line of the owner's list: `to` is an address, or a domain as `@example.com`."""

    @property
    def to(self) -> str: ...
    @property
    def template(self) -> str: ...
    @property
    def account(self) -> str | None: ...
    @property
    def unverified(self) -> bool: ...


class Ground(Struct, frozen=True, kw_only=True):
    """What is known besides the mail. `verified`: its From is who it says; `own`: our addresses, in lower case."""

    account: str | None
    verified: bool
    own: frozenset[str] = frozenset()


class Acknowledged(Struct, frozen=True, kw_only=True):
    """What came of one mail that is on the list: the `draft`, or the `problem` that keeps it from going out."""

    mail: str
    to: str
    rule: str
    draft: str | None = None
    state: str | None = None
    problem: str | None = None


def rule_for(mail: Mail, ground: Ground, rules: Sequence[Rule]) -> Rule | None:
    """The first rule by which `mail` may be acknowledged; None where it may not be."""
    if obstacle(mail, ground.own) is not None:
        return None
    to = recipients(mail)[0]
    if to.domain != mail.sender.domain:  # whoever wrote it, the answer would go to somebody else
        return None
    for rule in rules:
        here = rule.account in (None, ground.account)
        if here and (ground.verified or rule.unverified) and _covers(rule.to, to.address):
            return rule
    return None


def _covers(listed: str, address: str) -> bool:
    listed, address = listed.strip().lower(), address.lower()
    return address.endswith(listed) if listed.startswith("@") else address == listed


def acknowledgement(
    stored: StoredMail, mail: Mail, rule: Rule, own: templates.Own, *, signature: str, now: float
) -> Draft:
    """The draft of it. Raises NotFound for an unknown template, InvalidRequest for one that needs a `body`."""
    language = templates.language_of(mail.text)
    variables = {"name": called(mail.sender, language), "signature": signature}
    thread, day = stored.thread or stored.id, int(now // DAY)
    return Draft(
        id=f"ack-{stored.id}", mail_id=stored.id, idempotency_key=f"ack:{thread}:{day}", automatic=True,
        recipients=msgspec.json.encode(recipients(mail)).decode(), subject=reply_subject(mail.subject),
        body=templates.render(rule.template, variables, language=language, own=own), in_reply_to=mail.message_id,
        thread=msgspec.json.encode(references(mail)).decode(), template=rule.template, warnings="[]", by_model=None,
        account=stored.account, created=now, changed=now,
    )  # fmt: skip


class Terms(Struct, frozen=True, kw_only=True):
    """The owner's list, and what is signed by whom (`""`: by every other account)."""

    rules: tuple[Rule, ...]
    signatures: dict[str, str]
    own: frozenset[str]


class Acknowledging:
    """Goes through the mails of the last day that are done. `look` again and again; a mail is looked at once.

    Raises Unavailable.
    """

    def __init__(self, database: Database, sending: Sending, clock: Clock) -> None:
        self._database, self._sending, self._clock = database, sending, clock
        self._through = 0.0  # mails that were done before are looked at

    async def look(self, terms: Terms, *, dry_run: bool = False) -> list[Acknowledged]:
        """Acknowledge what came in since the last look, and say what came of it; `dry_run`: what would."""
        if not terms.rules:
            return []
        now = self._clock.now()
        own = await templates.stored(self._database)
        since = now - DAY if dry_run else max(self._through, now - DAY)
        found = await self._database.read(inbox.done_since, since, now - DAY)
        told = [each for stored in found if (each := await self._one(stored, terms, own, dry_run)) is not None]
        if found and not dry_run:
            self._through = found[-1].done or self._through
        return told

    async def _one(self, stored: StoredMail, terms: Terms, own: templates.Own, dry_run: bool) -> Acknowledged | None:
        mail, now = restore(stored), self._clock.now()
        # Not the Date: it is as wrong as the clock of whoever wrote the mail.
        if stored.answered is not None or ((at := arrived(mail)) is not None and at < now - DAY):
            return None
        verified = self._sending.verified(mail, stored.account) is True
        rule = rule_for(mail, Ground(account=stored.account, verified=verified, own=terms.own), terms.rules)
        if rule is None:
            return None
        said = Acknowledged(mail=stored.id, to=recipients(mail)[0].address, rule=rule.to)
        signature = terms.signatures.get(stored.account or "", terms.signatures.get("", ""))
        try:
            draft = acknowledgement(stored, mail, rule, own, signature=signature, now=now)
            if dry_run:
                free = await self._database.read(_free, draft, now)
                return said if free else None
            if not await self._database.run(_add, draft, now):
                return None
            await self._sending.approve(draft.id, by=f"rule {rule.to}")
            sent = await self._sending.send(draft.id)
        except Unavailable:
            raise
        except ChittyError as error:
            return msgspec.structs.replace(said, problem=error.message)
        return msgspec.structs.replace(said, draft=sent.id, state=sent.state)


def _add(connection: Connection, draft: Draft, now: float) -> bool:
    """Whether it is to go out now: it is new, or was left half done."""
    if _free(connection, draft, now):
        return drafts.add(connection, draft)
    left = drafts.find(connection, draft.id)
    return left is not None and left.state == "draft"


def _free(connection: Connection, draft: Draft, now: float) -> bool:
    """Whether nothing in its conversation was acknowledged within a day."""
    thread: Collection[str] = inbox.conversation(connection, draft.mail_id)
    return not drafts.acknowledged(connection, thread, now - DAY)
