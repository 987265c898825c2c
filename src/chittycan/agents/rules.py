"""What can be told from words alone: points for words, and from points a share for each category.

The points of a category are those of the different phrases of the vocabulary that stand in the mail:
twice as many in the subject, half as many far down; and of a few facts that are no words, such as attachments.
`general_inquiry` starts with some, for a mail that says nothing of the others. Shares are what a softmax makes of
points: each STEP points more make a category e times as likely.
"""

import math
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct, convert

from chittycan.agents import deadlines, deceit
from chittycan.agents.lexicon import Entry, Hit, known
from chittycan.agents.words import CATEGORIES, GRAVE, MASS_MAIL, Category
from chittycan.integrations.email.message import Mail

READ = 4000  # characters of the text that are looked at
TOP = 1500  # of them, in which a phrase counts in full
STEP = 3.5  # points
MOST = 0.85  # words alone leave no more certainty than that
UNTOLD = 0.4  # so sure at most where hints alone, or nothing, speak for it
LIKELY = 2.0  # points of one phrase that says something by itself
IN_SUBJECT, FAR_DOWN = 2.0, 0.5
QUOTED = 120  # characters of a quote, at most
SAID = 1.5  # points of a small model's word
START = 2.1  # points of general_inquiry
MASS = 5.0  # points without which a mail is not called a newsletter or spam

MANNER = ("pressing", "at_leisure")  # of which a subject says no more than a text: everybody shouts there

_STOPS = ".!?\n"
_QUOTED = re.compile(
    r"^(?:>|-{2,} ?\n|_{5,}|On .{5,100} wrote:|Am .{5,100} schrieb|Le .{5,100} a écrit|W dniu .{5,100} napisał|"
    r"Em .{5,100} escreveu)",
    re.MULTILINE,
)
_REQUEST = re.compile(
    r"\?|\b(?:please (?:confirm|reply|respond|advise|let|call|send|review|sign)|could you|can you|would you|"
    r"let me know|look forward to|bitte|können sie|um rückmeldung|merci de|veuillez|pourriez|prière de|por favor|"
    r"le ruego|rogamos|la prego|vi prego|si prega|potreste|alstublieft|graag|gelieve|verzoek|we request|we ask you|"
    r"proszę|prosimy|czy (?:mog|możn|jest|są|zajm|państwo|pan)\w*|agradeç\w+|agradecemos|poderia\w*|"
    r"pode\w* (?:enviar|dizer|ver)|queira\w*|solicitamos|solicito)\b",
    re.IGNORECASE,
)


class Found(Struct, frozen=True):
    category: Category
    confidence: float
    words: tuple[str, ...]
    reasoning: str


class Points(Struct):
    """Of one heading: points, how many of them are from mere hints, and the phrases, the most telling first."""

    points: float = 0.0
    hints: float = 0.0
    telling: int = 0  # phrases that are more than hints
    strong: bool = False  # a sign of deceit that counts against what is grave
    words: tuple[str, ...] = ()  # as the mail writes them


def category(mail: Mail, said: Category | None = None) -> Found:
    """The likeliest category; `general_inquiry` where the mail says nothing of another."""
    return candidates(mail, said)[0]


def candidates(mail: Mail, said: Category | None = None) -> list[Found]:
    """Every category that the mail has points for, and `general_inquiry`, the likeliest first.

    `said`: the word of a small model, which counts SAID points where something in the mail speaks for it too.
    """
    scored = {convert(name, Category): each for name, each in points(mail).items() if name in CATEGORIES}
    scored.setdefault("general_inquiry", Points())
    grave = max((scored[name].points for name in scored if name in GRAVE), default=0.0)
    for name in MASS_MAIL:
        if name in scored and not _mass_mail(scored[name], grave, mail):
            del scored[name]
    weights = {
        name: math.exp((_weight(name, each) + (SAID if name == said else 0.0)) / STEP) for name, each in scored.items()
    }
    whole = sum(weights.values())
    found = [
        Found(name, round(min(_most(each), weight / whole), 2), each.words[:5], _because(each.words))
        for (name, each), weight in zip(scored.items(), weights.values(), strict=True)
    ]
    return sorted(found, key=lambda each: (-weights[each.category], _place(each.category)))


def _mass_mail(scored: Points, grave: float, mail: Mail) -> bool:
    """Such mail is hardly looked at: several phrases must say so, and nothing grave be said louder.

    Where the sender is not who the name says, one phrase is enough, and two, whatever else it says.
    """
    louder = 0.0 if scored.strong and scored.telling >= 2 else grave
    told = scored.telling + scored.strong >= 2
    return told and scored.points >= max(MASS, louder) and mail.in_reply_to is None


def _weight(name: Category, scored: Points) -> float:
    """That somebody asks something, or sends something along, is said of mails of every kind: it counts less."""
    if name == "general_inquiry":
        return START + scored.points / 2
    return scored.points * 0.75 if name == "document_submission" else scored.points


def _most(scored: Points) -> float:
    """That a mail says nothing that is known proves nothing."""
    return MOST if scored.telling else UNTOLD


def _place(name: Category) -> int:
    """Of a tie the first, which would hurt more to miss."""
    return GRAVE.index(name) if name in GRAVE else len(GRAVE)


def _because(words: tuple[str, ...]) -> str:
    return f"It says: {', '.join(words[:5])}." if words else "No phrase of another category stands in the mail."


def points(mail: Mail) -> dict[str, Points]:
    """For each heading of the vocabulary of which something stands in the mail."""
    best: dict[Entry, tuple[float, str]] = {}
    for worth, entry, word in _found(mail):
        if worth > best.get(entry, (0.0, ""))[0]:
            best[entry] = worth, word
    made: dict[str, Points] = {}
    for entry, (worth, word) in sorted(best.items(), key=lambda each: -each[1][0]):
        told = made.setdefault(entry.heading, Points())
        told.points += worth
        told.hints += worth if entry.points < LIKELY else 0.0
        told.telling += entry.points >= LIKELY
        told.words = tuple(dict.fromkeys((*told.words, word)))
    if "spam" in made:
        for sign in deceit.signs(mail):
            made["spam"].points += sign.points
            made["spam"].strong = made["spam"].strong or sign.strong
            made["spam"].words += (sign.why,)
    if mail.attachments:
        calendar = any(each.media_type == "text/calendar" or each.name.endswith(".ics") for each in mail.attachments)
        made.setdefault("appointment_request" if calendar else "document_submission", Points()).points += LIKELY
    return made


def _found(mail: Mail) -> Iterator[tuple[float, Entry, str]]:
    """(points, entry, its words as they stand there)."""
    text = own_words(mail)
    names = " ".join(each.name for each in mail.attachments[:10])
    claimed = "" if "@" in mail.sender.name else mail.sender.name  # who writes an address there claims to be another
    sender = f"{claimed} {mail.sender.address.rpartition('.')[0] or mail.sender.address}"
    places = ((mail.subject, IN_SUBJECT), (text[:TOP], 1.0), (text[TOP:], FAR_DOWN), (names, 1.0), (sender, 1.0))
    for number, (place, factor) in enumerate(places, 1):
        for hit in _longest(known().hits(place, of_sender=number == len(places))):
            worth = min(factor, 1.0) if hit.entry.heading in MANNER else factor
            yield hit.entry.points * worth, hit.entry, " ".join(place[hit.start : hit.end].lower().split())


def _longest(hits: Iterable[Hit]) -> list[Hit]:
    """Without those that are a part of a longer one of the same heading."""
    taken: dict[str, list[tuple[int, int]]] = {}
    kept = []
    for hit in sorted(hits, key=lambda each: (each.start - each.end, -each.entry.points)):
        spans = taken.setdefault(hit.entry.heading, [])
        if not any(start <= hit.start and hit.end <= end for start, end in spans):
            spans.append((hit.start, hit.end))
            kept.append(hit)
    return kept


def own_words(mail: Mail) -> str:
    """What the writer wrote, without the mail that is quoted below it."""
    text = mail.text[:READ]
    quoted = _QUOTED.search(text)
    own = text[: quoted.start()] if quoted else text
    return own if own.strip() else text


def quotes(text: str, words: Iterable[str]) -> Iterator[str]:
    """The clause of `text` around each of `words` that stands in it."""
    for word in words:
        found = re.search(re.escape(word).replace(r"\ ", r"\s+"), text, re.IGNORECASE)
        if found:
            start = max(text.rfind(stop, 0, found.start()) for stop in _STOPS) + 1
            ends = [end for stop in _STOPS if (end := text.find(stop, found.end())) >= 0]
            yield text[start : min(ends, default=len(text))].strip()[:QUOTED]


def urgent_words(mail: Mail) -> tuple[str, ...]:
    """The words of haste and harm, at most five."""
    found = points(mail).get("pressing")
    return found.words[:5] if found else ()


def deadline(mail: Mail) -> str | None:
    """The first date that the mail calls a limit, as it is written there."""
    found = deadlines.deadline(mail)
    return found.words if found else None


def speaks_of(names: Iterable[Category], text: str) -> bool:
    """Whether a phrase that says something by itself, of one of these categories, stands in `text`."""
    wanted = frozenset(names)
    return any(hit.entry.heading in wanted and hit.entry.points >= LIKELY for hit in known().hits(text))


def sales_phrases(text: str) -> frozenset[str]:
    """Those phrases of spam in `text` that are hardly ever written about anything else."""
    spam: Category = "spam"
    return frozenset(text[hit.start : hit.end].lower() for hit in known().hits(text)
                     if hit.entry.heading == spam and hit.entry.points > LIKELY)  # fmt: skip


def asks(mail: Mail) -> bool:
    """Whether the writer seems to wait for an answer."""
    return bool(_REQUEST.search(own_words(mail)) or _REQUEST.search(mail.subject))
