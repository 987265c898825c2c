"""An inbox from end to end: each mail once, through the prefilter, triage, priority and, where needed, a draft.

A step is recorded when it is done; a mail that was left half done goes on at the step that is missing. A
broken mail is a mail with defects; only a mistake of ours or the owner's (an unknown model, no database)
ends a run.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from chittycan.agents import prefilter
from chittycan.agents.agent import Agent, AgentResult, Ask, by_rules, run
from chittycan.agents.mail_facts import facts_of
from chittycan.agents.priority import PRIORITY, Facts, Prioritized, Priority, critical, verified
from chittycan.agents.report import Outcome, Report
from chittycan.agents.response import RESPONSE, Answerable, Reply, should_respond
from chittycan.agents.templates import STANDARD
from chittycan.agents.triage import TRIAGE, Triage
from chittycan.agents.words import Level
from chittycan.clock import Clock, SystemClock
from chittycan.gateway.call import Options
from chittycan.integrations.email.message import Mail, parse
from chittycan.integrations.email.sources import Place, RawMail
from chittycan.routing.rules.book import NO_RULES, Applied, Book
from chittycan.store import drafts, inbox, mailboxes
from chittycan.store.database import Database

KEPT_TEXT = 20_000  # characters of a mail's text that are kept in the database

In = TypeVar("In")
Said = TypeVar("Said", bound=Struct)
Out = TypeVar("Out", bound=Struct)


class Terms(Struct, frozen=True, kw_only=True):
    """How an inbox is to be processed. `dry_run` asks no model, spends nothing and stores nothing."""

    model: str | None = None
    region: str | None = None
    private: bool = False
    session: str | None = None
    parallel: int = 4
    limit: int | None = None
    dry_run: bool = False
    template: str = STANDARD
    signature: str = ""
    facts: Facts = Facts()
    own_domains: frozenset[str] = frozenset()
    rules: Book = NO_RULES
    drafts: bool = True
    account: str | None = None  # whose mail it is, for rules

    @property
    def options(self) -> Options:
        return Options(region=self.region, private=self.private, session=self.session)

    def ruled(self, applied: Applied) -> "Terms":
        """These terms for one mail, as the owner's rules say."""
        said = applied.values
        return msgspec.structs.replace(
            self,
            model=said.get("model", self.model),
            private=self.private or said.get("private", False),
            template=said.get("template", self.template),
            drafts=said.get("draft", self.drafts),
        )


AS_IT_COMES = Terms()
SYSTEM = SystemClock()


Item = RawMail | inbox.StoredMail


async def process(
    source: Iterable[Item] | AsyncIterable[Item],
    ask: Ask,
    database: Database,
    terms: Terms = AS_IT_COMES,
    *,
    on_progress: Callable[[Outcome], None] | None = None,
    clock: Clock = SYSTEM,
) -> Report:
    """Work through `source` with `terms.parallel` mails at a time; `on_progress` is told of each as it ends.

    A mail that is stored already is gone on with as it was stored.
    Raises what `ask` raises beyond `agent.NO_ANSWER`, e.g. `UnknownModel`; what is done by then is kept.
    """
    work = _Inbox(ask, database, terms, clock)
    started = clock.monotonic()
    outcomes: list[Outcome] = []
    mails, reading = _first(source, terms.limit), asyncio.Lock()

    async def take() -> Item | None:
        async with reading:
            return await anext(mails, None)

    async def worker() -> None:
        while (raw := await take()) is not None:
            outcome = await work.handle(raw)
            outcomes.append(outcome)
            if on_progress:
                on_progress(outcome)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, terms.parallel)):
                group.create_task(worker())
    except ExceptionGroup as problems:
        raise problems.exceptions[0] from None
    finally:
        await mails.aclose()
    return Report(outcomes=outcomes, seconds=clock.monotonic() - started, dry_run=terms.dry_run)


def restore(stored: inbox.StoredMail) -> Mail:
    """The mail that was stored, with its text as far as it was kept."""
    return msgspec.json.decode(stored.mail, type=Mail)


class _Inbox:
    """One run over one source."""

    def __init__(self, ask: Ask, database: Database, terms: Terms, clock: Clock) -> None:
        self._ask, self._database, self._terms, self._clock = ask, database, terms, clock
        self._in_hand: set[str] = set()

    async def handle(self, raw: Item) -> Outcome:
        if isinstance(raw, inbox.StoredMail):
            mail, key = restore(raw), raw.source_key
        elif raw.error is not None:
            return Outcome(key=raw.key, state="unreadable", problem=raw.error)
        else:
            mail, key = await asyncio.to_thread(_parsed, raw), raw.key
        outcome = Outcome(
            key=key,
            state="processed",
            id=mail.id,
            sender=str(mail.sender),
            subject=mail.subject,
            defects=mail.defects,
        )
        if mail.dedupe_key in self._in_hand:
            outcome.state = "duplicate"
            if not self._terms.dry_run:
                await self._store(raw, mail)
            return outcome
        self._in_hand.add(mail.dedupe_key)
        started = time.perf_counter()
        settled = prefilter.settle(mail, own_domains=self._terms.own_domains)
        outcome.prefilter_ms = (time.perf_counter() - started) * 1000
        if self._terms.dry_run:
            await self._preview(mail, settled, outcome)
        else:
            await self._work(raw, mail, settled, outcome)
        return outcome

    async def _preview(self, mail: Mail, settled: prefilter.Settled | None, outcome: Outcome) -> None:
        stored = await self._database.read(inbox.known, mail.dedupe_key)
        if stored is not None and stored.state == "done":
            outcome.state = "known"
        elif settled is not None:
            outcome.state, outcome.settled, outcome.category = "settled", settled.reason, settled.category
        else:
            outcome.state = "waiting"

    async def _store(self, raw: Item, mail: Mail) -> inbox.StoredMail:
        if isinstance(raw, inbox.StoredMail):
            return raw
        new = new_mail(raw, mail, self._terms.account)
        return await self._database.run(_add, new, raw.place, self._clock.now())

    async def _work(self, raw: Item, mail: Mail, settled: prefilter.Settled | None, outcome: Outcome) -> None:
        stored = await self._store(raw, mail)
        outcome.id = stored.id
        if stored.state == "done":
            outcome.state, outcome.category, outcome.level = "known", stored.category, stored.level
        elif settled is not None:
            outcome.state, outcome.settled = "settled", settled.reason
            await self._finish(outcome, settled.category, _settled_priority(mail, settled))
        else:
            private = isinstance(raw, RawMail) and raw.private
            await self._ask_agents(mail, outcome, private=private)

    async def _ask_agents(self, mail: Mail, outcome: Outcome, *, private: bool) -> None:
        """Triage, priority, response: what is recorded is not asked again.

        The owner's rules are looked at before any model reads the mail, and again when it is known what the mail is.
        """
        done = {run.agent: run for run in await self._database.read(inbox.runs_of, outcome.id)}
        ours = msgspec.structs.replace(self._terms, private=self._terms.private or private)
        terms = ours.ruled(ours.rules.apply(facts_of(mail, now=self._clock.now(), account=ours.account)))
        triage = await self._step(TRIAGE, Triage, mail, outcome, done, terms)
        reason = verified(mail, terms.facts)
        if reason is not None and PRIORITY.name not in done:
            priority = critical(mail, reason)
            await self._record(outcome, by_rules(PRIORITY, priority))
        else:
            prioritized = Prioritized(mail, triage, terms.facts)
            priority = await self._step(PRIORITY, Priority, prioritized, outcome, done, terms)
        found = facts_of(mail, now=self._clock.now(), category=triage.category, confidence=triage.confidence,
                         level=priority.level, account=ours.account)  # fmt: skip
        applied = ours.rules.apply(found)
        terms, priority = terms.ruled(applied), _raised(priority, applied)
        outcome.rules, outcome.labels = tuple(applied.rules), tuple(applied.values.get("label", ()))
        if terms.drafts and should_respond(mail, triage, priority):
            answerable = Answerable(mail, triage, priority, terms.template, terms.signature)
            await self._step(RESPONSE, Reply, answerable, outcome, done, terms)
            outcome.draft_id = draft_id(outcome.id)
        await self._finish(outcome, triage.category, priority)

    async def _step(
        self,
        agent: Agent[In, Said, Out],
        made: type[Out],
        value: In,
        outcome: Outcome,
        done: dict[str, inbox.Run],
        terms: Terms,
    ) -> Out:
        if agent.name in done:
            return msgspec.json.decode(done[agent.name].output, type=made)
        result = await run(agent, value, self._ask, model=terms.model, options=terms.options)
        await self._record(outcome, result)
        return result.value

    async def _record(self, outcome: Outcome, result: AgentResult[Any]) -> None:
        outcome.results.append(result)
        await self._database.run(record, outcome.id, result, self._clock.now())

    async def _finish(self, outcome: Outcome, category: str, priority: Priority) -> None:
        outcome.category, outcome.level = category, priority.level
        found = inbox.Finding(
            category=category, level=priority.level, rank=priority.numeric_score, settled=outcome.settled
        )
        await self._database.run(inbox.finish, outcome.id, found, self._clock.now())


_SCORES: dict[Level, int] = {"LOW": 1, "NORMAL": 2, "HIGH": 3, "CRITICAL": 4}


def _raised(priority: Priority, applied: Applied) -> Priority:
    """With the level that a rule gives."""
    level = str(applied.values.get("priority", priority.level)).upper()
    if level == priority.level or level not in _SCORES:
        return priority
    because = f"Rule {applied.why['priority']}."
    return msgspec.structs.replace(
        priority, level=level, numeric_score=_SCORES[level], reasoning=f"{because} {priority.reasoning}".strip()
    )


def record(connection: Connection, mail_id: str, result: AgentResult[Any], now: float) -> None:
    """Keep a run and, in the same transaction, the draft it made."""
    inbox.record(
        connection,
        inbox.Run(
            mail_id=mail_id,
            agent=result.agent,
            kind=result.kind,
            version=result.version,
            output=_json(result.value),
            fallback=result.fallback,
            reason=result.reason,
            repaired=result.repaired,
            model=result.model,
            cost_nano=result.cost_nano,
            ms=result.ms,
            attempts=result.attempts,
            request_ids=_json(result.request_ids),
            at=now,
        ),
    )
    if isinstance(result.value, Reply):
        drafts.create(connection, _draft(mail_id, result.value, result.model, now))


def draft_id(mail_id: str) -> str:
    """The id of the reply to a mail: there is one."""
    return f"re-{mail_id}"


def _draft(mail_id: str, reply: Reply, model: str | None, now: float) -> drafts.Draft:
    return drafts.Draft(
        id=draft_id(mail_id),
        mail_id=mail_id,
        idempotency_key=f"reply:{mail_id}",
        recipients=_json(reply.to),
        subject=reply.subject,
        body=reply.body,
        in_reply_to=reply.in_reply_to,
        thread=_json(reply.references),
        template=reply.template,
        warnings=_json(reply.warnings),
        by_model=model,
        created=now,
        changed=now,
    )


def _parsed(raw: RawMail) -> Mail:
    mail = parse(raw.raw)
    return mail if raw.defect is None else msgspec.structs.replace(mail, defects=(raw.defect, *mail.defects))


def _add(connection: Connection, mail: inbox.NewMail, place: Place | None, now: float) -> inbox.StoredMail:
    """The mail as stored and, in the same transaction, where it was found."""
    stored, _ = inbox.add(connection, mail, now)
    if place is not None:
        spot = mailboxes.Spot(place.account, place.folder, place.validity, place.uid, place.nonce)
        mailboxes.see(connection, spot, stored.id, now)
    return stored


def new_mail(raw: RawMail, mail: Mail, account: str | None = None) -> inbox.NewMail:
    """The row of `mail` as read from `raw`, with its text as far as it is kept. `account`: the mailbox's name."""
    kept = msgspec.structs.replace(mail, text=mail.text[:KEPT_TEXT])
    return inbox.NewMail(
        id=mail.id,
        dedupe_key=mail.dedupe_key,
        source=_storable(raw.source),
        source_key=_storable(raw.key),
        sender=str(mail.sender),
        subject=mail.subject,
        date=mail.date,
        mail=_json(kept),
        account=account or _storable(raw.source),
        message_id=mail.message_id,
        references=answered(mail),
    )


def answered(mail: Mail) -> tuple[str, ...]:
    """The Message-IDs that a mail answers, the oldest first."""
    before = (*mail.references, *((mail.in_reply_to,) if mail.in_reply_to else ()))
    return tuple(each for each in dict.fromkeys(before) if each != mail.message_id)


def _settled_priority(mail: Mail, settled: prefilter.Settled) -> Priority:
    """LOW, except that a machine's notice is weighed by its words."""
    if settled.reason != "notification":
        return Priority(level="LOW", score=0.1, numeric_score=1)
    return PRIORITY.rules(Prioritized(mail, TRIAGE.rules(mail)))


async def _first(source: Iterable[Item] | AsyncIterable[Item], limit: int | None) -> AsyncGenerator[Item]:
    """The first `limit` mails of `source`; a source that blocks does so on a thread."""
    mails = aiter(source) if isinstance(source, AsyncIterable) else _on_thread(iter(source))
    number = 0
    while limit is None or number < limit:
        number += 1
        found = await anext(mails, None)
        if found is None:
            return
        yield found


async def _on_thread(mails: Iterator[Item]) -> AsyncIterator[Item]:
    while (found := await asyncio.to_thread(next, mails, None)) is not None:
        yield found


def _storable(path: str) -> str:
    """A path as text that any database takes: names that are no UTF-8 lose the odd bytes."""
    return path.encode("utf-8", "backslashreplace").decode()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
