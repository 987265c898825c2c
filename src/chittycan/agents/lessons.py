"""What people's judgements teach about the next mail: counts over hashed features, of which no word reaches a prompt.

    the same sender, or the same list, corrected alike twice or more  →  decides
    similar mails of others, three or more, judged otherwise           →  a doubt: a person looks, nothing is changed

So one correction decides nothing, and none ever changes what another sender's mail is. Where people only agree with
the agents nothing is decided for them: their next word may be another.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

from chittycan.agents import rules
from chittycan.agents.wording import Wording
from chittycan.store import judgements as rows
from chittycan.store.database import Database
from chittycan.store.judgements import Judgement
from chittycan.store.revisions import current
from chittycan.store.topics import topic_of

Field = Literal["category", "level"]

LATEST = 5  # judgements of one sender that count: people change their minds, and senders their business
ENOUGH = 2  # that must agree with each other and not with the agents
AGREEING = 0.8  # share of the latest
SIMILAR = 0.34  # shared words over all words (Jaccard)
SIMILAR_MAILS = 3
MOST_WORDS = 40  # of one mail

_WORD = re.compile(r"[^\W\d_]{3,}")


class Features(Struct, frozen=True, kw_only=True):
    """By what a mail is known again: hashes of its sender, the sender's domain, its list, and its telling words."""

    sender: str
    domain: str
    list_id: str | None
    words: tuple[str, ...]


class Lesson(Struct, frozen=True):
    """`label`, because `count` of the sender's or the list's latest mails were judged so; `confidence` is 0..1."""

    label: str
    confidence: float
    count: int
    why: str


def features_of(wording: Wording, *, words: bool = True) -> Features:
    """Words are those of the subject and the phrases that rules know; the rest of the text teaches nothing."""
    mail = wording.mail
    told: set[str] = set()
    if words:
        told.update(_WORD.findall(topic_of(mail.subject)), *(found.words for found in rules.candidates(wording)))
    return Features(
        sender=_hash("sender", mail.sender.address.lower()),
        domain=_hash("domain", mail.sender.domain),
        list_id=_hash("list", mail.list_id.strip().lower()) if mail.list_id else None,
        words=tuple(sorted(_hash("word", word) for word in told)[:MOST_WORDS]),
    )


def _hash(kind: str, text: str) -> str:
    return hashlib.blake2b(f"{kind}:{text}".encode(), digest_size=6).hexdigest()


class Lessons:
    """Of judgements, the newest first."""

    def __init__(self, judged: Iterable[Judgement] = ()) -> None:
        # (field, sender or list) → labels, newest first, and whether each was a correction
        self._by: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
        self._words: dict[tuple[str, str], list[int]] = defaultdict(list)  # (field, word) → places in `_judged`
        self._judged: list[tuple[str, int]] = []  # label, how many words
        for each in judged:
            words = msgspec.json.decode(each.words, type=list[str])
            for name in filter(None, (each.sender, each.list_id)):
                self._by[each.field, name].append((each.label, each.label != each.said))
            for word in words:
                self._words[each.field, word].append(len(self._judged))
            self._judged.append((each.label, len(words)))

    def __bool__(self) -> bool:
        return bool(self._judged)

    def of(self, field: Field, features: Features) -> Lesson | None:
        """What the sender's latest mails were judged to be, else the list's; None where they are too few or differ."""
        for name, whom in ((features.sender, "this sender"), (features.list_id, "this list")):
            latest = self._by.get((field, name), [])[:LATEST] if name else []
            if not latest:
                continue
            ((label, count),) = Counter(each for each, _ in latest).most_common(1)
            if latest.count((label, True)) >= ENOUGH and count / len(latest) >= AGREEING:
                confidence = round((count + 1) / (len(latest) + 2), 2)
                why = f"You said so of {count} of the last {len(latest)} mails from {whom}."
                return Lesson(label, confidence, count, why)
        return None

    def otherwise(self, field: Field, features: Features, label: str) -> str | None:
        """What similar mails, of whomever, were judged to be, where that is not `label`; in words for people."""
        shared: Counter[int] = Counter()
        for word in features.words:
            shared.update(self._words.get((field, word), ()))
        found: Counter[str] = Counter()
        for place, count in shared.items():
            said, words = self._judged[place]
            if count / (words + len(features.words) - count) >= SIMILAR:
                found[said] += 1
        if not found:
            return None
        ((most, count),) = found.most_common(1)
        if most == label or count < SIMILAR_MAILS or count / found.total() < AGREEING:
            return None
        return f"{count} similar mails were {most.replace('_', ' ')}, as you said"


class Memory:
    """The lessons of one database; `lessons` after `refresh` are of what was judged by then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revision = -1
        self.lessons = Lessons()

    async def refresh(self) -> Lessons:
        revision = await self._database.read(current, rows.REVISION)
        if revision != self._revision:
            self.lessons = Lessons(await self._database.read(rows.every))
            self._revision = revision
        return self.lessons
