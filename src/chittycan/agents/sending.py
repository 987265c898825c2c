"""Drafts on their way out: edited, approved, sent once, and looked for where nobody knows whether they were.

`store.drafts.TRANSITIONS` says what may follow what. That a mail goes out at most once, and what is known of it, is
the business of `workstreams.effects`; an approval names the effect that will send it, and an edit takes it away.
"""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, Literal, NoReturn, Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from chittycan.agents import answered, enclosures
from chittycan.agents import letter as letters
from chittycan.agents.kept import restore
from chittycan.agents.letter import Letter
from chittycan.agents.response import RESPONSE
from chittycan.clock import Clock
from chittycan.errors import (
    ChittyError,
    ConfigError,
    InvalidRequest,
    NotDelivered,
    NotFound,
    RateLimited,
    VersionConflict,
)
from chittycan.integrations.email.compose import message_id
from chittycan.integrations.email.message import Mail
from chittycan.integrations.email.smtp import Mailer
from chittycan.store import drafts, feedback, inbox
from chittycan.store.database import Database
from chittycan.store.drafts import Attached, Draft
from chittycan.workstreams.effects import RESOLVED_BY, Effect, Effects

DAY = 86_400.0
MAX_BODY = 100_000  # characters
LONGEST_CARE = 7 * DAY  # seconds after the last try for which nobody gives up on a mail
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0  # seconds between looks at one draft
FOLDER = "the folder of sent mail"  # it knows that a mail went out
TOO_LATE = "a day has passed since"  # of an acknowledgement that could not go out

Outcome = Literal["sent", "failed"]

# What a person's decision says of the model's draft.
SCORES: Mapping[str, float] = {"approved": 1.0, "rejected": 0.0}
EDITED = 0.5  # it went out, and not as it was written

# What an approval leaves in a row, taken away.
_UNDECIDED: Mapping[str, Any] = {
    "decided_by": None, "decided_at": None, "reason": None, "approval": None, "message_id": None, "effect": None,
    "dispatched": None, "copy": None, "bounced": None,
}  # fmt: skip


class Post(Protocol):
    """How mail leaves for an account (None: nobody's in particular), as the owner set it up."""

    def sender(self, account: str | None) -> str:
        """The From. Raises ConfigError where no server is set up."""
        ...

    def mailer(self, account: str | None) -> Mailer:
        """Raises ConfigError."""
        ...

    def own(self) -> frozenset[str]:
        """Our addresses, in lower case."""
        ...

    def limits(self) -> "Limits": ...

    def verified(self, mail: Mail, account: str | None) -> bool | None:
        """Whether the server of its account found that it comes from whom it says; None where nobody looks."""
        ...

    async def in_sent(self, account: str | None, message_id: str) -> bool | None:
        """Whether it is among the sent mails; None where nobody can tell."""
        ...

    async def keep_copy(self, account: str | None, raw: bytes) -> bool | None:
        """Puts a copy there: False where it was, None where there is no such place. Raises ChittyError."""
        ...


class Limits(Struct, frozen=True, kw_only=True):
    """How many replies of ours go out within a day, whoever approved them."""

    per_thread: int = 3
    per_address: int = 20


class Change(Struct, frozen=True, kw_only=True):
    """An edit; what is None stays. `everyone`: everybody who got the mail gets a copy. `quote`: below the text.

    `attach`: files that go along, by their names; `detach`: names of those that do not any more.
    """

    body: str | None = None
    subject: str | None = None
    to: tuple[str, ...] | None = None
    cc: tuple[str, ...] | None = None
    everyone: bool = False
    quote: bool = False
    attach: Mapping[str, bytes] = {}
    detach: tuple[str, ...] = ()


class Shown(Struct, frozen=True, kw_only=True):
    """A draft as the mail that would go out. `fingerprint` is what is approved; `problem`: why it cannot be sent."""

    draft: Draft
    letter: Letter
    fingerprint: str
    cautions: list[str]
    problem: ChittyError | None


class Sending:
    """What is done to drafts. A draft is named by its id or the beginning of it; unknown ones raise NotFound."""

    def __init__(self, database: Database, effects: Effects, post: Post, clock: Clock) -> None:
        self._database, self._effects, self._post, self._clock = database, effects, post, clock
        self._again: dict[str, tuple[float, float]] = {}  # by draft: when it is looked at again, and the pause then
        self._finishing: set[str] = set()  # drafts

    async def show(self, draft_id: str) -> Shown:
        return await self._shown(await self._database.read(drafts.get, draft_id))

    def verified(self, mail: Mail, account: str | None) -> bool | None:
        """Whether its From is who it says, as far as the account's server looks."""
        return self._post.verified(mail, account)

    async def edit(self, draft_id: str, change: Change, *, seen: str | None = None) -> Shown:
        """Change it; an approval is void then. `seen`: the fingerprint of what was shown.

        Raises InvalidRequest, and VersionConflict where it is not what was seen.
        """
        shown = await self.show(draft_id)
        _same(shown, seen)
        if shown.draft.automatic:
            raise InvalidRequest("an acknowledgement is a fixed text: it can be rejected, not edited", param="draft")
        mail = await self._mail(shown.draft) if change.everyone or change.quote else None
        changed = _changed(shown, change, mail, self._post.own())
        new = {enclosures.sha256(content): content for content in change.attach.values()}
        return await self._shown(await self._database.run(_edit, shown, changed, new, self._clock.now()))

    async def approve(self, draft_id: str, *, by: str, seen: str | None = None) -> Draft:
        """Somebody says that exactly this may go out; `seen`: the fingerprint of what they saw. Sends nothing.

        Raises ConfigError where no server would take it, InvalidRequest, and VersionConflict.
        """
        shown = await self.show(draft_id)
        _same(shown, seen)
        if shown.problem is not None:
            raise shown.problem
        if shown.draft.approval == shown.fingerprint:
            return shown.draft
        key = f"draft:{shown.draft.id}:{secrets.token_hex(8)}"
        values = {
            **_UNDECIDED, "state": "approved", "decided_by": by, "decided_at": self._clock.now(), "effect": key,
            "approval": shown.fingerprint, "message_id": message_id(key, letters.sender_of(shown.letter).domain),
        }  # fmt: skip
        return await self._database.run(_decide, shown, values, self._clock.now())

    async def reject(self, draft_id: str, *, by: str, reason: str | None = None) -> Draft:
        """It will not go out. Raises InvalidRequest where it did, or may have."""
        shown = await self.show(draft_id)
        now = self._clock.now()
        values = {**_UNDECIDED, "state": "rejected", "decided_by": by, "decided_at": now, "reason": reason}
        return await self._database.run(_decide, shown, values, now)

    async def send(self, draft_id: str, *, anyway: bool = False) -> Draft:
        """Send what was approved, once; of what was begun before, say what is known of it.

        `anyway`: although somebody answered the mail without this draft; else that raises VersionConflict.
        Raises InvalidRequest where it is not approved as it stands, RateLimited where there were enough replies,
        NotDelivered where the server did not take it, ConfigError.
        """
        draft = await self._database.read(drafts.get, draft_id)
        if draft.state in ("sending", "unknown", "sent"):
            return await self.look(draft.id)
        if draft.effect is None or draft.message_id is None:
            fix = f"can router drafts approve {draft.id}"
            raise InvalidRequest(f"the draft is not approved: it is {draft.state}", param="draft", fix=fix)
        letter = self._letter(draft)
        if letters.fingerprint(letter) != draft.approval:
            fix = f"Look at it (can router drafts show {draft.id}) and approve it again."
            raise InvalidRequest("what would go out now is not what was approved", param="draft", fix=fix)
        if not anyway and await self._database.read(answered.since, draft) is not None:
            fix = f"Look at it, then: can router drafts send {draft.id} --anyway, or reject {draft.id}"
            raise VersionConflict(answered.SAID, param="anyway", fix=fix)
        effect = await self._hand_over(draft, letter, draft.message_id, draft.effect)
        if effect.state == "failed":
            _raise(effect)
        return await self.look(draft.id)

    async def look(self, draft_id: str) -> Draft:
        """What became of it, from where that can be known: whoever was sending it, and the folder of sent mail."""
        draft = await self._database.read(drafts.get, draft_id)
        if draft.effect is None or draft.state not in ("sending", "unknown", "sent"):
            return draft
        effect = await self._effects.settled(draft.effect)
        if effect.state == "unknown" and await self._post.in_sent(draft.account, draft.message_id or ""):
            effect = await self._effects.resolve(draft.effect, "sent", by=FOLDER, since=effect.updated_at)
        if effect.state == "sent":
            await self._finish(draft)
        return await self._database.read(drafts.get, draft.id)

    async def resolve(self, draft_id: str, outcome: Outcome, *, by: str) -> Draft:
        """Somebody looked and says that it was `sent`, or that it `failed` and may be sent again.

        What was said so may be taken back: what was `failed` is sent, as long as nobody sent it again; what was `sent`
        is a draft again, and so is what came back. Raises InvalidRequest where that is known already, or it is being
        sent just now.
        """
        draft = await self._database.read(drafts.get, draft_id)
        if draft.state == "sent" and outcome == "failed" and (_by_word(draft) or draft.bounced):
            return await self._database.run(_take_back, draft, self._clock.now())
        if draft.effect is None or draft.state not in ("sending", "unknown", "failed", outcome):
            raise InvalidRequest(f"the draft is {draft.state}: there is nothing to find out", param="draft")
        await self._effects.resolve(draft.effect, outcome, by=by)
        return await self.look(draft.id)

    async def round(self) -> None:
        """Go on with what was left: mails of which nobody knows, copies that are missing, refusals for now.

        A mail that a server refused for the moment is tried again, ever more rarely, for a day; an acknowledgement that
        nobody came to send waits no longer either. What one of them breaks is raised once the others had their turn.
        """
        now = self._clock.now()
        left = await self._left(now)
        broken: Exception | None = None
        for draft in left:
            # Whoever sends it, or keeps a copy of what was sent, may be about to finish.
            last = (draft.told if draft.state == "sent" else draft.dispatched) or 0.0
            due, pause = self._again.get(draft.id, (last + FIRST_PAUSE, FIRST_PAUSE))
            if due > now:
                self._again[draft.id] = (due, pause)
                continue
            try:
                await self._go_on(draft, now)
            except ChittyError:  # what it came to is written down with the effect
                pass
            except Exception as error:
                broken = error
            self._again[draft.id] = (now + pause, min(2 * pause, LONGEST_PAUSE))
        self._again = {draft.id: self._again[draft.id] for draft in left}
        if broken is not None:
            raise broken

    # parts

    async def _left(self, now: float) -> list[Draft]:
        """What is not finished, whoever began it."""
        left = await self._database.read(drafts.listing, state="approved", automatic=True)
        place = now - LONGEST_CARE, ""
        while found := await self._database.read(drafts.open_ends, place):
            left += found
            place = found[-1].dispatched or now, found[-1].id
        return left

    async def _go_on(self, draft: Draft, now: float) -> None:
        if draft.state == "failed":
            await self._again_if_temporary(draft)
        elif draft.state != "approved":
            await self.look(draft.id)
        elif draft.decided_at is not None and draft.decided_at < now - DAY:
            await self.reject(draft.id, by=draft.decided_by or "", reason=TOO_LATE)
        else:
            await self.send(draft.id)

    async def _again_if_temporary(self, draft: Draft) -> None:
        effect = await self._effects.get(draft.effect or "")
        if not effect.detail.get("temporary") or effect.created_at <= self._clock.now() - DAY:
            return
        answer = await self._database.read(answered.since, draft)
        # What a person sent in spite of an answer goes on; an answer that came later is another matter.
        await self.send(draft.id, anyway=answer is not None and answer <= (draft.dispatched or 0.0))

    async def _shown(self, draft: Draft) -> Shown:
        problem: ChittyError | None = None
        letter = letters.letter_of(draft, "")
        try:
            letter = self._letter(draft)
            letters.check(letter, self._post.own())
        except (ConfigError, InvalidRequest) as error:
            problem = error
        mail = await self._mail(draft)
        verified = None if mail is None else self._post.verified(mail, draft.account)
        written = () if draft.edited else msgspec.json.decode(draft.warnings, type=list[str])
        found = await self._database.read(answered.caution, draft)
        found += letters.cautions(letter, mail, verified=verified, written=written)
        return Shown(
            draft=draft, letter=letter, fingerprint=letters.fingerprint(letter), cautions=found, problem=problem
        )

    def _letter(self, draft: Draft) -> Letter:
        return letters.letter_of(draft, self._post.sender(draft.account))

    async def _mail(self, draft: Draft) -> Mail | None:
        try:
            return restore(await self._database.read(inbox.get, draft.mail_id))
        except NotFound:
            return None

    async def _hand_over(self, draft: Draft, letter: Letter, id: str, key: str) -> Effect:
        at = self._clock.now()
        raw = await self._composed(draft, letter, id, at)
        mailer, by = self._post.mailer(draft.account), letters.sender_of(letter).addr_spec
        limits = self._post.limits()

        async def act() -> Mapping[str, Any]:
            answer = await mailer.hand_over(raw, by=by, to=letter.everybody)
            return {"message_id": id, "answer": answer}

        def claiming(connection: Connection) -> None:
            _begin(connection, draft, letter, limits, at)

        return await self._effects.once(key, "send", act, claiming=claiming)

    async def _composed(self, draft: Draft, letter: Letter, id: str, at: float) -> bytes:
        if not letter.attachments:
            return letters.composed(letter, message_id=id, at=at)
        contents = await self._database.read(drafts.contents, draft.id)
        # Large ones take seconds.
        return await asyncio.to_thread(letters.composed, letter, contents, message_id=id, at=at)

    async def _finish(self, draft: Draft) -> None:
        """Once it is sent: the mail is answered, and a copy is kept. What fails of that is done another time."""
        if draft.copy is not None or draft.message_id is None or draft.id in self._finishing:
            return
        self._finishing.add(draft.id)  # two at once would both find no copy, and keep two
        try:
            await self._keep(draft, draft.message_id)
        finally:
            self._finishing.discard(draft.id)

    async def _keep(self, draft: Draft, id: str) -> None:
        if not draft.automatic:
            at = draft.dispatched or self._clock.now()
            await self._database.run(inbox.mark_answered, draft.mail_id, at)
        try:
            letter = self._letter(draft)
            kept = None
            if letters.fingerprint(letter) == draft.approval:
                raw = await self._composed(draft, letter, id, draft.dispatched or draft.changed)
                kept = await self._post.keep_copy(draft.account, raw)
        except ChittyError:
            return
        copy = "none" if kept is None else "kept" if kept else "there"
        await self._database.run(_note_copy, draft, copy)


def _same(shown: Shown, seen: str | None) -> None:
    if seen is not None and seen != shown.fingerprint:
        fix = f"Look at it again: can router drafts show {shown.draft.id}"
        raise VersionConflict("the draft is not what was shown any more", param="draft", fix=fix)


def _changed(shown: Shown, change: Change, mail: Mail | None, own: frozenset[str]) -> dict[str, Any]:
    """The columns with what the edit makes of them. Raises InvalidRequest that names the field."""
    draft, letter = shown.draft, shown.letter
    if (change.everyone or change.quote) and mail is None:
        raise InvalidRequest("the mail that it answers is not there any more", param="draft")
    body = draft.body if change.body is None else change.body
    if not body.strip() or len(body) > MAX_BODY:
        raise InvalidRequest(f"a text has 1 to {MAX_BODY:,} characters", param="body")
    if change.quote and mail is not None:
        body = f"{body.rstrip()}\n\n{letters.quoted(mail)}\n"
    subject = draft.subject if change.subject is None else letters.one_line(change.subject)
    if not subject:
        raise InvalidRequest("a subject is missing", param="subject")
    to = letter.to if change.to is None else letters.parse_people(change.to, "to")
    cc = letter.cc if change.cc is None else letters.parse_people(change.cc, "cc")
    if change.everyone and mail is not None:
        cc = (*cc, *letters.others(mail, (*to, *cc), own))
    if not to:
        raise InvalidRequest("somebody has to get it", param="to", fix="--to anna@example.org")
    people = {name: msgspec.json.encode(each).decode() for name, each in (("recipients", to), ("cc", cc))}
    attached = enclosures.changed(letter.attachments, change.attach, change.detach)
    return {"body": body, "subject": subject, **people, "attachments": msgspec.json.encode(attached).decode()}


def _edit(
    connection: Connection, shown: Shown, changed: Mapping[str, Any], new: Mapping[str, bytes], now: float
) -> Draft:
    held = _held(connection, shown, "draft")
    attached = msgspec.json.decode(changed["attachments"], type=list[Attached])
    drafts.keep_contents(connection, held.id, new, {each.sha256 for each in attached})
    different = {name: value for name, value in changed.items() if getattr(held, name) != value}
    edited = held.edited or bool(different)
    return drafts.put(connection, held.id, **changed, **_UNDECIDED, state="draft", edited=edited, changed=now)


def _decide(connection: Connection, shown: Shown, values: Mapping[str, Any], now: float) -> Draft:
    held = _held(connection, shown, values["state"])
    if held.by_model is not None and values["state"] in SCORES:
        score = EDITED if held.edited and values["state"] == "approved" else SCORES[values["state"]]
        feedback.of_agent(connection, held.mail_id, RESPONSE.name, score, now)
    return drafts.put(connection, held.id, **values, changed=now)


def _held(connection: Connection, shown: Shown, state: str) -> Draft:
    """The draft, which nobody else changes now, if it is still what was shown and may become `state`."""
    held = drafts.hold(connection, shown.draft.id)
    _may(held, state)
    if letters.fingerprint(letters.letter_of(held, shown.letter.sender)) != shown.fingerprint:
        raise VersionConflict("the draft was changed just now", param="draft", fix="Look at it again.")
    return held


def _may(draft: Draft, state: str) -> None:
    if state not in drafts.TRANSITIONS[draft.state]:
        word = {"sending": "being sent", "unknown": "sent, or not: nobody knows"}.get(draft.state, draft.state)
        fix = f"can router drafts resolve {draft.id}" if draft.state in ("sending", "unknown") else None
        if draft.bounced:
            fix = f"can router drafts resolve {draft.id} --not-sent"
        raise InvalidRequest(f"the draft is {word}", param="draft", fix=fix)


def _begin(connection: Connection, draft: Draft, letter: Letter, limits: Limits, at: float) -> None:
    """In the transaction that begins to send it: it is still what was approved, and there were not too many."""
    held = drafts.hold(connection, draft.id)
    if (held.effect, held.approval) != (draft.effect, draft.approval):
        raise VersionConflict("the draft was changed just now", param="draft", fix="Look at it again.")
    thread = inbox.conversation(connection, draft.mail_id)
    _room(drafts.underway(connection, thread, at - DAY, besides=draft.id), limits.per_thread, "Thread", "this thread")
    for each in letter.everybody:
        sent = drafts.underway_to(connection, each, at - DAY, besides=draft.id)
        _room(sent, limits.per_address, "Address", each)
    drafts.put(connection, draft.id, dispatched=at)


def _by_word(draft: Draft) -> bool:
    """Whether a person's word is all that is known of its sending."""
    said = {} if draft.detail is None else msgspec.json.decode(draft.detail)
    return RESOLVED_BY in said and said[RESOLVED_BY] != FOLDER


def _take_back(connection: Connection, draft: Draft, now: float) -> Draft:
    """It needs another approval and by it another Message-ID: a copy with this one may lie among the sent mails."""
    held = drafts.hold(connection, draft.id)
    before, after = drafts.TAKEN_BACK
    if (held.state, held.effect) != (before, draft.effect):
        raise VersionConflict("the draft was changed just now", param="draft", fix="Look at it again.")
    if held.copy == "there" and not held.bounced:
        fix = "Look at it there. If nobody got it, write to them anew."
        raise InvalidRequest("it lay among the sent mails before we put it there: it went out", param="draft", fix=fix)
    if not held.automatic:
        inbox.mark_unanswered(connection, held.mail_id)
    return drafts.put(connection, held.id, **_UNDECIDED, state=after, changed=now)


def _room(sent: int, most: int, word: str, place: str) -> None:
    if sent >= most:
        fix = f"Wait, or raise inbox.repliesPer{word} in config.json."
        raise RateLimited(f"{sent} replies went to {place} within a day: that is enough", fix=fix)


def _note_copy(connection: Connection, draft: Draft, copy: str) -> None:
    """Of what was sent then: it may have been taken back, and sent once more, while the copy was on its way."""
    if drafts.hold(connection, draft.id).effect == draft.effect:
        drafts.put(connection, draft.id, copy=copy)


def _raise(effect: Effect) -> NoReturn:
    detail = effect.detail
    said, fix = str(detail.get("error", "it was not sent")), detail.get("fix")
    raise NotDelivered(said, temporary=bool(detail.get("temporary", True)), fix=fix)
