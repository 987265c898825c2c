"""A person's word on a mail: it is right as it stands, or what it is instead. What they say is learnt from."""

from collections.abc import Collection, Mapping

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from chittycan.agents.acquaintance import fact
from chittycan.agents.lessons import Field, features_of
from chittycan.agents.mail_facts import facts_of
from chittycan.agents.priority import PRIORITY
from chittycan.agents.triage import TRIAGE
from chittycan.agents.verdict import Wanted, carry_out, proposals, wanted
from chittycan.agents.wording import Wording
from chittycan.agents.words import CATEGORIES, LEVELS
from chittycan.errors import InvalidRequest
from chittycan.integrations.email.authentication import AuthServer, no_server
from chittycan.integrations.email.message import Mail
from chittycan.routing.rules.book import NO_RULES, Book
from chittycan.store import feedback, inbox, judgements, mail_actions, review
from chittycan.store.judgements import Judgement


class Said(Struct, frozen=True, kw_only=True):
    """`category` and `level` where they are not right; `actions`: whether what rules want is to be done."""

    category: str | None = None
    level: str | None = None
    actions: bool = True

    def checked(self) -> "Said":
        """With its words as they are written here. Raises InvalidRequest."""
        return msgspec.structs.replace(
            self,
            category=_one_of(self.category, CATEGORIES, "category"),
            level=_one_of(self.level, LEVELS, "priority"),
        )


def judge(
    connection: Connection, email: str, said: Said, rules: Book = NO_RULES, *, by: str | None, now: float,
    authserv: AuthServer = no_server,
) -> inbox.StoredMail:  # fmt: skip
    """The mail as it is then. Where its category or level is another one, `rules` say anew what is to be done.

    Raises NotFound, and InvalidRequest where it is not processed yet, or for a word that there is not.
    """
    said, stored = said.checked(), inbox.get(connection, email)
    if stored.category is None or stored.level is None:
        raise InvalidRequest("it is not processed yet", param="email", fix="can router inbox process")
    mail: Mail = msgspec.json.decode(stored.mail, type=Mail)
    category, level = said.category or stored.category, said.level or stored.level
    changed = (category, level) != (stored.category, stored.level)
    proposed = proposals(stored.proposed)
    if changed:
        facts = facts_of(
            mail, now=now, authserv=authserv(stored.account), category=category, confidence=1.0, level=level,
            account=stored.account,
        )  # fmt: skip
        proposed = list(wanted(rules.apply(facts | fact(connection, mail, rules))))
    word = review.Word(
        category=category,
        level=level,
        rank=len(LEVELS) - LEVELS.index(level),
        review="corrected" if changed or stored.review == "corrected" else "approved",
        proposed=msgspec.json.encode(proposed).decode() if proposed and not said.actions else None,
    )
    review.decide(connection, stored.id, word, by, now)
    _learn(connection, stored.id, mail, "category", stored.said_category or stored.category, category, by, now)
    _learn(connection, stored.id, mail, "level", stored.said_level or stored.level, level, by, now)
    if said.actions:
        _do(connection, stored.id, proposed, by, now)
    return inbox.get(connection, stored.id)


def agree(
    connection: Connection, emails: Collection[str], rules: Book, *, by: str | None, now: float,
    authserv: AuthServer = no_server,
) -> None:  # fmt: skip
    """All of these are right as they stand."""
    for email in emails:
        judge(connection, email, Said(), rules, by=by, now=now, authserv=authserv)


_SAYS: Mapping[Field, str] = {"category": TRIAGE.name, "level": PRIORITY.name}


def _learn(
    connection: Connection, mail_id: str, mail: Mail, field: Field, said: str, label: str, by: str | None, now: float
) -> None:
    features = features_of(Wording(mail))
    judgement = Judgement(
        mail_id=mail_id, at=now, person=by, field=field, said=said, label=label, sender=features.sender,
        domain=features.domain, list_id=features.list_id, words=msgspec.json.encode(features.words).decode(),
    )  # fmt: skip
    judgements.keep(connection, judgement)
    feedback.of_agent(connection, mail_id, _SAYS[field], float(said == label), now)


def _do(connection: Connection, mail_id: str, proposed: Collection[Wanted], by: str | None, now: float) -> None:
    """A person's word is leave enough, whatever the account allows rules to do."""
    if not proposed:
        return
    carry_out(connection, mail_id, msgspec.json.encode(proposed).decode(), now)
    agreed = {(each.verb, each.value) for each in proposed}
    for action in mail_actions.of_mail(connection, mail_id):
        if action.state == "waiting" and (action.verb, action.value) in agreed:
            mail_actions.allow(connection, action.id, by or "owner", now)


def _one_of(word: str | None, known: Collection[str], name: str) -> str | None:
    if word is None:
        return None
    plain = word.strip().lower().replace(" ", "_").replace("-", "_")
    found = next((each for each in known if each.lower() == plain), None)
    if found is None:
        raise InvalidRequest(f"there is no {name} {word[:60]!r}", param=name, fix=f"Use one of: {', '.join(known)}.")
    return found
