"""What the words of a mail say, counted once: whoever sorts or ranks it asks this one count.

Different phrases of the vocabulary make points for their heading: twice as many in the subject, half as many far down
and below the greeting at the end. What is quoted below a reply makes none. A few facts that are no words count too,
such as attachments.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property

from msgspec import Struct

from chittycan.agents import deadlines, deceit
from chittycan.agents.deadlines import Deadline
from chittycan.agents.lexicon import Entry, Hit, folded, known
from chittycan.agents.words import Category
from chittycan.integrations.email.message import Mail

READ = 4000  # characters of the text that are looked at
TOP = 1500  # of them, in which a phrase counts in full
LIKELY = 2.0  # points of one phrase that says something by itself
IN_SUBJECT, FAR_DOWN = 2.0, 0.5

MANNER = ("pressing", "at_leisure", "asking")  # of which a subject says no more than a text: everybody shouts there

_QUOTED = re.compile(
    r"^(?:>|-{2,} ?\n|_{5,}|On .{5,100} wrote:|Am .{5,100} schrieb|Le .{5,100} a écrit|W dniu .{5,100} napisał|"
    r"Em .{5,100} escreveu)",
    re.MULTILINE,
)


# What stands below is a signature, with its opening hours and its small print.
_CLOSING = re.compile(
    r"^[ \t]*(?:(?:with )?(?:kind|best|warm|kindest|many)? ?(?:regards|wishes)|(?:yours|sincerely|faithfully)\b|cheers|"
    r"(?:mit )?(?:freundliche\w*|beste\w*|viele\w*|liebe\w*|herzliche\w*) (?:\w+ )?gr(?:ü|ue)(?:ß|ss)e?n?|mfg|"
    r"(?:bien )?cordialement|(?:un )?(?:cordial )?saludo|saludos|atentamente|cordiali saluti|distinti saluti|"
    r"met vriendelijke groet\w*|(?:hartelijke |vriendelijke )groet\w*|z poważaniem|pozdrawiam|"
    r"(?:com os )?(?:melhores )?cumprimentos|atenciosamente)\b.{0,30}$",
    re.IGNORECASE | re.MULTILINE,
)


_WORD = re.compile(r"[^\W_]+")


class Points(Struct):
    """Of one heading: points, how many of them are from mere hints, and the phrases, the most telling first."""

    points: float = 0.0
    hints: float = 0.0
    telling: int = 0  # phrases that are more than hints
    sure: int = 0  # of these, those that are hardly ever written about anything else
    strong: bool = False  # a sign of deceit that counts against what is grave
    words: tuple[str, ...] = ()  # as the mail writes them


class Wording:
    """Of one mail. Nothing is counted before somebody asks."""

    def __init__(self, mail: Mail) -> None:
        self.mail = mail

    @cached_property
    def own(self) -> str:
        """What the writer wrote, without the mail that is quoted below it."""
        text = self.mail.text[:READ]
        quoted = _QUOTED.search(text)
        own = text[: quoted.start()] if quoted else text
        return own if own.strip() else text

    @cached_property
    def deadline(self) -> Deadline | None:
        return deadlines.deadline(self.mail)

    @cached_property
    def points(self) -> dict[str, Points]:
        """For each heading of the vocabulary of which something stands in the mail."""
        made = _added_up(self._worth())
        if (spam := made.get("spam")) is not None:
            signs = deceit.signs(self.mail)
            spam.points += sum(sign.points for sign in signs)
            spam.strong = any(sign.strong for sign in signs)
            several = sum(sign.points for sign in signs if not sign.strong) >= deceit.SEVERAL
            spam.telling, spam.sure = spam.telling + several, spam.sure + several
            spam.words += tuple(sign.why for sign in signs)
        sent = self.mail.attachments
        if sent:
            calendar = any(each.media_type == "text/calendar" or each.name.endswith(".ics") for each in sent)
            heading = "appointment_request" if calendar else "document_submission"
            made.setdefault(heading, Points()).points += LIKELY
        return made

    def speaks_of(self, names: Collection[Category], *, subject_only: bool = False) -> bool:
        """Whether a phrase that says something by itself, of one of these categories, stands anywhere in the mail."""
        hits = self._subject if subject_only else (*self._subject, *self._text)
        return any(hit.entry.heading in names and hit.entry.points >= LIKELY for hit in hits)

    @cached_property
    def sales_phrases(self) -> frozenset[str]:
        """Those phrases of spam that are hardly ever written about anything else, also where they are quoted."""
        places = ((self.mail.subject, self._subject), (self.mail.text, self._text))
        return frozenset(text[hit.start : hit.end].lower() for text, hits in places for hit in hits
                         if hit.entry.heading == "spam" and hit.entry.points > LIKELY)  # fmt: skip

    @cached_property
    def _languages(self) -> frozenset[str]:
        return known().languages_of(f"{self.mail.subject}\n{self.own[:TOP]}")

    @cached_property
    def _subject(self) -> list[Hit]:
        return self._hits(self.mail.subject)

    @cached_property
    def _text(self) -> list[Hit]:
        return self._hits(self.mail.text[:READ])

    def _hits(self, text: str) -> list[Hit]:
        """False friends do not count: `because` is no grant in Spanish."""
        spoken = self._languages
        return [hit for hit in known().hits(text) if not spoken or spoken & hit.entry.languages]

    def _worth(self) -> Iterator[tuple[float, Entry, str]]:
        """(points, entry, its words as they stand there)."""
        mail, length = self.mail, len(self.own)
        names = " ".join(each.name for each in mail.attachments[:10])
        sender = f"{_office(mail)} {mail.sender.address.rpartition('.')[0] or mail.sender.address}"
        closing = _CLOSING.search(self.own)
        top = min(TOP, closing.start()) if closing else TOP
        own = [hit for hit in self._text if hit.end <= length]
        places: tuple[tuple[str, float, Iterable[Hit]], ...] = (
            (mail.subject, IN_SUBJECT, self._subject),
            (mail.text, 1.0, [hit for hit in own if hit.end <= top]),
            (mail.text, FAR_DOWN, [hit for hit in own if hit.end > top]),
            (names, 1.0, known().hits(names)),
            (sender, 1.0, known().hits(sender, of_sender=True)),
        )
        for place, factor, hits in places:
            for hit in _longest(hits):
                worth = min(factor, 1.0) if hit.entry.heading in MANNER else factor
                yield hit.entry.points * worth, hit.entry, " ".join(place[hit.start : hit.end].lower().split())


def _office(mail: Mail) -> str:
    """The sender's name where it may be an office's: not an address, and not a person's of whom the address speaks."""
    name, local = mail.sender.name, set(_WORD.findall(folded(mail.sender.address.partition("@")[0])))
    first = _WORD.findall(folded(name))[:1]
    return "" if "@" in name or (first and len(local) > 1 and first[0] in local) else name


def _added_up(found: Iterable[tuple[float, Entry, str]]) -> dict[str, Points]:
    """Each entry once, where it is worth most."""
    best: dict[Entry, tuple[float, str]] = {}
    for worth, entry, word in found:
        if worth > best.get(entry, (0.0, ""))[0]:
            best[entry] = worth, word
    made: dict[str, Points] = {}
    for entry, (worth, word) in sorted(best.items(), key=lambda each: -each[1][0]):
        told = made.setdefault(entry.heading, Points())
        told.points += worth
        told.hints += worth if entry.points < LIKELY else 0.0
        told.telling += entry.points >= LIKELY
        told.sure += entry.points > LIKELY
        told.words = tuple(dict.fromkeys((*told.words, word)))
    return made


def _longest(hits: Iterable[Hit]) -> list[Hit]:
    """Without those that are a part of a longer one of the same heading."""
    taken: dict[str, list[tuple[int, int]]] = {}
    kept = []
    for hit in sorted(hits, key=lambda each: (each.start - each.end, each.entry.points > 0, -each.entry.points)):
        spans = taken.setdefault(hit.entry.heading, [])
        if not any(start <= hit.start and hit.end <= end for start, end in spans):
            spans.append((hit.start, hit.end))
            kept.append(hit)
    return kept
