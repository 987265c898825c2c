"""An inbox from end to end: each mail once, through the prefilter, triage, priority and, where needed, a draft.

A step is recorded when it is done; a mail that was left half done goes on at the step that is missing. A
broken mail is a mail with defects; only a mistake of ours or the owner's (an unknown model, no database)
ends a run.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from chittycan.agents import acquaintance, bounced, conversation, own_mail, prefilter, templates, verdict
from chittycan.agents.agent import Agent, AgentResult, Ask, by_rules, run
from chittycan.agents.budget import Budget, within
from chittycan.agents.claims import Claims
from chittycan.agents.intake import first
from chittycan.agents.kept import add, draft_id, new_mail, record, restore
from chittycan.agents.lessons import Features, Lessons, Memory, features_of
from chittycan.agents.mail_facts import facts_of
from chittycan.agents.mail_task import Submit, under_way
from chittycan.agents.priority import PRIORITY, Facts, Prioritized, Priority, critical, ruled, taught, verified
from chittycan.agents.reception import Privileged, Reception
from chittycan.agents.report import Outcome, Report
from chittycan.agents.response import RESPONSE, Answerable, Reply, should_respond
from chittycan.agents.templates import STANDARD
from chittycan.agents.told import Tell, tell_of
from chittycan.agents.triage import TRIAGE, Triage
from chittycan.agents.triage import taught as taught_category
from chittycan.agents.verdict import Mode
from chittycan.agents.wording import Wording
from chittycan.chat import ChatRequest
from chittycan.clock import Clock, SystemClock
from chittycan.errors import Unavailable
from chittycan.gateway.call import Answer, Options
from chittycan.integrations.email.message import Mail
from chittycan.integrations.email.sources import RawMail
from chittycan.routing.rules.book import NO_RULES, Applied, Book
from chittycan.store import inbox
from chittycan.store.database import Database
from chittycan.store.mail_claims import mail_claims

In = TypeVar("In")
Said = TypeVar("Said", bound=Struct)
Out = TypeVar("Out", bound=Struct)


class Terms(Struct, frozen=True, kw_only=True):
    """How an inbox is to be processed. `dry_run` asks no model, spends nothing and stores nothing.

    `private`: the source is privileged, and `privileged` says what that means; `local`: private models only, whatever
    it is.
    """

    model: str | None = None
    region: str | None = None
    private: bool = False
    privileged: Privileged = "local"
    local: bool = False
    mode: Mode = "onboarding"
    budget: Budget = Budget()  # of the account
    patience: float = 900.0  # seconds that a mail whose work is durable waits for a model before rules sort it
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
    own_addresses: frozenset[str] = frozenset()  # in lower case: nobody writes to oneself
    sent: bool = False  # what is read lies in a folder of sent mail of ours
    signatures: Mapping[str, str] = {}  # of accounts that have one of their own
    tell: Tell | None = None  # has told who a rule says is to be told

    @property
    def signed(self) -> str:
        """What stands below a draft."""
        return self.signatures.get(self.account or "", self.signature)

    @property
    def options(self) -> Options:
        return Options(region=self.region, private=self.private or self.local, session=self.session)

    @property
    def reception(self) -> Reception:
        return Reception(
            rules=self.rules, account=self.account, authserv=self.facts.authserv, private=self.private,
            privileged=self.privileged,
        )  # fmt: skip

    def ruled(self, applied: Applied) -> "Terms":
        """These terms for one mail, as the owner's rules say."""
        said = applied.values
        return msgspec.structs.replace(
            self,
            model=said.get("model", self.model),
            region=said.get("region", self.region),  # what binds this mail goes before what all of them are asked with
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
    submit: Submit | None = None,
    keep: bool = True,
) -> Report:
    """Work through `source` with `terms.parallel` mails at a time; `on_progress` is told of each as it ends.

    The report has what became of each, without `keep` only totals. A mail that is stored already is gone on with as
    it was stored. With `submit` agents are not asked here: the mail is handed to it as it is stored.
    Raises `NotFound` for an unknown template, and what `ask` raises beyond `agent.NO_ANSWER`, e.g. `UnknownModel`;
    what is done by then is kept.
    """
    templates.get(terms.template, await templates.stored(database))
    work = _Inbox(ask, database, terms, clock, submit)
    started = clock.monotonic()
    report = Report(keep=keep, dry_run=terms.dry_run)
    mails, reading = first(source, terms.limit), asyncio.Lock()

    async def take() -> Item | None:
        async with reading:
            return await anext(mails, None)

    async def worker() -> None:
        while (raw := await take()) is not None:
            outcome = await work.handle(raw)
            report.add(outcome)
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
    report.seconds = clock.monotonic() - started
    return report


async def go_on(
    stored: inbox.StoredMail, ask: Ask, database: Database, terms: Terms, *, clock: Clock = SYSTEM
) -> Outcome:
    """Do what is still to be done with one stored mail. Raises what `ask` raises beyond `agent.NO_ANSWER`."""
    return await _Inbox(ask, database, terms, clock).handle(stored)


async def sort_for_now(
    stored: inbox.StoredMail, why: str, database: Database, terms: Terms, *, tell: bool = False, clock: Clock = SYSTEM
) -> None:
    """Show a stored mail as rules sort it, as long as it waits for a model because of `why`.

    It is not done by that: what rules want done in its mailbox is for later. `tell`: who is to be told is told now.
    """
    await _Inbox(_nobody, database, terms, clock).sort_for_now(stored, why, tell=tell)


class _Inbox:
    """One run over one source."""

    def __init__(self, ask: Ask, database: Database, terms: Terms, clock: Clock, submit: Submit | None = None) -> None:
        self._ask, self._database, self._terms, self._clock, self._submit = ask, database, terms, clock, submit
        self._memory, self._claims = Memory(database), Claims(mail_claims, database, clock)
        self._in_hand: set[str] = set()

    async def handle(self, raw: Item) -> Outcome:
        if isinstance(raw, inbox.StoredMail):
            mail, key, privacy = restore(raw), raw.source_key, raw.privacy
        elif raw.error is not None:
            return Outcome(key=raw.key, state="unreadable", problem=raw.error)
        else:
            mail, privacy = await asyncio.to_thread(
                self._terms.reception.open, raw, self._clock.now(), acquaintance.remembered(self._database)
            )
            key = raw.key
        outcome = Outcome(
            key=key,
            state="processed",
            id=mail.id,
            account=self._terms.account,
            message_id=mail.message_id,
            sender=str(mail.sender),
            subject=mail.subject,
            defects=mail.defects,
            privacy=privacy,
        )
        if mail.dedupe_key in self._in_hand:
            outcome.state = "duplicate"
            if not self._terms.dry_run:
                await self._store(raw, mail, privacy)
            return outcome
        self._in_hand.add(mail.dedupe_key)
        work = await self._in_hands(mail, outcome)
        started = time.perf_counter()
        settled = self._settled(work)
        outcome.prefilter_ms = (time.perf_counter() - started) * 1000
        if self._terms.dry_run:
            await self._preview(mail, settled, outcome)
        else:
            await self._work(raw, work, settled)
        return outcome

    async def _in_hands(self, mail: Mail, outcome: Outcome) -> "_Work":
        who = await acquaintance.fact_of(self._database, mail, self._terms.rules)
        wording = Wording(mail)
        lessons = await self._memory.refresh()
        return _Work(wording, features_of(wording, words=False), lessons, outcome, self._ask, who)

    def _settled(self, work: "_Work") -> prefilter.Settled | None:
        """Without a model: ours, by its form, or by a person's word on its sender's mails; nothing that is critical."""
        terms = self._terms
        ours = own_mail.settle(work.mail, terms.own_addresses, sent=terms.sent, authserv=terms.facts.authserv)
        if ours is not None or verified(work.mail, terms.facts) is not None:
            return ours
        found = prefilter.settle(work.wording, own_domains=terms.own_domains, authserv=terms.facts.authserv)
        lesson = work.lessons.of("category", work.features)
        if lesson is None:
            return found
        return prefilter.taught(found, lesson.label, lesson.why)

    async def _preview(self, mail: Mail, settled: prefilter.Settled | None, outcome: Outcome) -> None:
        stored = await self._database.read(inbox.known, mail.dedupe_key)
        if stored is not None and stored.state == "done":
            outcome.state = "known"
        elif settled is not None:
            outcome.state, outcome.settled, outcome.category = "settled", settled.reason, settled.category
        else:
            outcome.state = "waiting"

    async def _store(self, raw: Item, mail: Mail, privacy: str | None, *, submit: bool = False) -> inbox.StoredMail:
        """The mail as it is stored; with `submit` its work is put into the queue in the same transaction."""
        handed = self._submit if submit else None
        if isinstance(raw, inbox.StoredMail):
            if handed is not None:
                await self._database.run(handed, raw)
            return raw
        new = new_mail(raw, mail, account=self._terms.account, privacy=privacy)
        return await self._database.run(add, new, raw.place, self._clock.now(), handed)

    async def _work(self, raw: Item, work: "_Work", settled: prefilter.Settled | None) -> None:
        outcome = work.outcome
        agents = settled is None and outcome.privacy != "metadata"
        stored = await self._store(raw, work.mail, outcome.privacy, submit=agents)
        outcome.id = stored.id
        if stored.state == "done":
            outcome.state, outcome.category, outcome.level = "known", stored.category, stored.level
            if settled is not None and settled.reason == prefilter.OWN != stored.settled:
                await self._database.run(inbox.mark_settled, stored.id, settled.reason)
        elif settled is not None and settled.reason == prefilter.OWN:
            await self._set_aside(outcome, settled)
        elif settled is not None:
            outcome.state, outcome.settled = "settled", settled.reason
            found = Triage(category=settled.category, confidence=1.0, needs_reply=False, reasoning=settled.why)
            authserv = self._terms.facts.authserv
            plain = prefilter.settle(work.wording, own_domains=self._terms.own_domains, authserv=authserv)
            said = TRIAGE.rules(work.wording).category if plain is None else plain.category
            priority = settled_priority(work.wording, settled)
            doubts = (verdict.ONLY_HEADERS,) if stored.privacy == "metadata" else ()
            await self._finish(work, found, priority, doubts, said=(said, priority))
        elif stored.privacy == "metadata":
            await self._by_headers(work)
        elif self._submit is not None or (isinstance(raw, RawMail) and await self._database.read(under_way, stored.id)):
            outcome.state = "submitted"
        else:
            async with self._claims.held(stored.id) as other:
                stored = await self._database.read(inbox.get, stored.id)
                if stored.state == "done":  # by another process, meanwhile
                    outcome.state, outcome.category, outcome.level = "known", stored.category, stored.level
                elif other is None:
                    await self._ask_agents(work, stored)
                else:
                    outcome.state = "elsewhere"

    async def _set_aside(self, outcome: Outcome, settled: prefilter.Settled) -> None:
        """A mail of ours is a part of its conversation: no rule acts on it, and nobody has to look at it."""
        found = inbox.Finding(
            category=settled.category, level="LOW", rank=1, settled=settled.reason, review="auto_approved"
        )
        outcome.state, outcome.settled = "settled", settled.reason
        outcome.category, outcome.level, outcome.review = found.category, found.level, found.review
        now = self._clock.now()

        def finish(connection: Connection) -> None:
            inbox.finish(connection, outcome.id, found, now)
            inbox.mark_read(connection, outcome.id)

        await self._database.run(finish)

    async def _by_headers(self, work: "_Work") -> None:
        """No model, no draft: there is no text."""
        done = {run.agent for run in await self._database.read(inbox.runs_of, work.outcome.id)}
        said = TRIAGE.rules(work.wording)
        if TRIAGE.name not in done:
            await self._record(work.outcome, by_rules(TRIAGE, said))
        triage = work.taught(said)
        priority = self._ranked_by_rules(work, triage)
        if PRIORITY.name not in done:
            await self._record(work.outcome, by_rules(PRIORITY, priority))
        await self._finish(work, triage, priority, (verdict.ONLY_HEADERS,), said=(said.category, priority))

    def _ranked_by_rules(self, work: "_Work", triage: Triage) -> Priority:
        reason = verified(work.mail, self._terms.facts)
        if reason is not None:
            return critical(work.mail, reason)
        return PRIORITY.rules(Prioritized(work.wording, triage, self._terms.facts))

    async def sort_for_now(self, stored: inbox.StoredMail, why: str, *, tell: bool) -> None:
        """What a model has said of it counts; the rest is by rules."""
        mail = restore(stored)
        outcome = Outcome(
            key=stored.source_key, state="waiting", id=stored.id, account=stored.account, sender=stored.sender,
            subject=stored.subject, privacy=stored.privacy,
        )  # fmt: skip
        work = await self._in_hands(mail, outcome)
        done = {run.agent: run.output for run in await self._database.read(inbox.runs_of, stored.id)}
        recorded = done.get(TRIAGE.name)
        said = TRIAGE.rules(work.wording) if recorded is None else msgspec.json.decode(recorded, type=Triage)
        triage = work.taught(said)
        priority = self._ranked_by_rules(work, triage)
        if PRIORITY.name in done:
            priority = msgspec.json.decode(done[PRIORITY.name], type=Priority)
        applied = self._applied(work, triage, priority)
        found = verdict.for_now(triage.category, ruled(priority, applied), why)
        outcome.category, outcome.level = found.category, found.level
        now = self._clock.now()

        def show(connection: Connection) -> None:
            if inbox.show(connection, stored.id, found) and tell:
                tell_of(connection, self._terms.tell, outcome, applied, now)

        await self._database.run(show)

    async def _ask_agents(self, work: "_Work", stored: inbox.StoredMail) -> None:
        """Triage, priority, response: what is recorded is not asked again.

        The owner's rules are looked at before any model reads the mail, and again when it is known what the mail is.
        """
        mail, outcome = work.mail, work.outcome
        done = {run.agent: run for run in await self._database.read(inbox.runs_of, outcome.id)}
        ours = msgspec.structs.replace(self._terms, private=self._terms.private or stored.privacy is not None)
        now = self._clock.now()
        found = facts_of(mail, now=now, authserv=ours.facts.authserv, account=ours.account)
        terms = ours.ruled(ours.rules.apply(found | work.known))
        work.ask = await within(terms.budget, stored.account, self._ask, self._database, now)
        said = await self._step(TRIAGE, Triage, work.wording, work, done, terms)
        triage = work.taught(said)
        prioritized = Prioritized(work.wording, triage, terms.facts)
        reason = verified(mail, terms.facts)
        if reason is not None and PRIORITY.name not in done:
            ranked = critical(mail, reason)
            await self._record(outcome, by_rules(PRIORITY, ranked))
        else:
            ranked = await self._step(PRIORITY, Priority, prioritized, work, done, terms)
        priority = taught(prioritized, ranked, work.lessons.of("level", work.features))
        applied = self._applied(work, triage, priority)
        terms, priority = terms.ruled(applied), ruled(priority, applied)
        if terms.drafts and should_respond(mail, triage, priority, terms.own_addresses):
            earlier = await self._database.read(conversation.told, stored)
            own = await templates.stored(self._database)
            answerable = Answerable(mail, triage, priority, terms.template, terms.signed, own, earlier=earlier)
            agent = RESPONSE if "agent" not in applied.values else dataclasses.replace(
                RESPONSE, kind=f"email.{applied.values['agent']}"
            )  # fmt: skip
            await self._step(agent, Reply, answerable, work, done, terms)
            outcome.draft_id = draft_id(outcome.id)
        fallen = next((run.reason or "" for run in done.values() if run.fallback), None)
        why = (
            None if fallen is None else verdict.by_rules(fallen),
            work.lessons.otherwise("category", features_of(work.wording), triage.category) if work.lessons else None,
        )
        doubts = verdict.doubts(mail, triage, outcome.results, *why)
        await self._finish(work, triage, priority, doubts, said=(said.category, ranked))

    async def _step(
        self,
        agent: Agent[In, Said, Out],
        made: type[Out],
        value: In,
        work: "_Work",
        done: dict[str, inbox.Run],
        terms: Terms,
    ) -> Out:
        if agent.name in done:
            return msgspec.json.decode(done[agent.name].output, type=made)
        result = await run(agent, value, work.ask, model=terms.model, options=terms.options)
        await self._record(work.outcome, result)
        return result.value

    async def _record(self, outcome: Outcome, result: AgentResult[Any]) -> None:
        outcome.results.append(result)
        await self._database.run(record, outcome.id, result, self._clock.now())

    def _applied(self, work: "_Work", triage: Triage, priority: Priority) -> Applied:
        """What the rules say of a mail, now that it is known what it is."""
        terms = self._terms
        found = facts_of(work.mail, now=self._clock.now(), authserv=terms.facts.authserv, account=terms.account,
                         category=triage.category, confidence=triage.confidence, level=priority.level)  # fmt: skip
        applied = terms.rules.apply(found | work.known)
        work.outcome.rules = tuple(applied.rules)
        work.outcome.labels = tuple(applied.values.get("label", ()))
        return applied

    async def _finish(
        self, work: "_Work", triage: Triage, priority: Priority, doubts: tuple[str, ...], *, said: tuple[str, Priority]
    ) -> None:
        """`said`: category and priority as they were before what people taught."""
        now = self._clock.now()
        back = await self._database.read(bounced.of, work.mail, work.outcome.id, now) if work.mail.bounce else None
        if back is not None:
            priority, doubts = bounced.weighed(priority, back), (*doubts, back.said)
        applied = self._applied(work, triage, priority)
        outcome, priority = work.outcome, ruled(priority, applied)
        found = verdict.finding(triage.category, priority, applied, self._terms.mode, doubts, outcome.settled)
        category, ranked = said
        found = msgspec.structs.replace(found, said_category=category, said_level=ruled(ranked, applied).level)
        outcome.category, outcome.level = found.category, found.level
        outcome.review, outcome.doubt = found.review, found.doubt

        def finish(connection: Connection) -> None:
            verdict.finish(connection, outcome.id, found, now)
            if back is not None:
                bounced.keep(connection, back, outcome, self._terms.tell, now)
            tell_of(connection, self._terms.tell, outcome, applied, now)

        await self._database.run(finish)


class _Work(Struct):
    """One mail in hand, what is known of such mails, and whom to ask about it."""

    wording: Wording
    features: Features
    lessons: Lessons
    outcome: Outcome
    ask: Ask
    known: dict[str, bool]  # the fact who writes, where a rule asks for it

    @property
    def mail(self) -> Mail:
        return self.wording.mail

    def taught(self, triage: Triage) -> Triage:
        return taught_category(triage, self.lessons.of("category", self.features))


async def _nobody(_request: ChatRequest, _options: Options) -> Answer:
    raise Unavailable("nobody is asked")


def settled_priority(wording: Wording, settled: prefilter.Settled) -> Priority:
    """LOW, but a machine's notice is weighed by its words, and a mail that did not arrive is not to be overlooked."""
    if settled.why == prefilter.UNDELIVERED:
        return Priority(level="NORMAL", score=0.5, numeric_score=2, factors=(settled.why,))
    if settled.reason != "notification":
        return Priority(level="LOW", score=0.1, numeric_score=1)
    return PRIORITY.rules(Prioritized(wording, TRIAGE.rules(wording)))
