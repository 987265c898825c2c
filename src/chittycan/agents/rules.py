"""What can be told from words alone: from the points of its words (`Wording`) a share for each category.

`general_inquiry` starts with some, for a mail that says nothing of the others. Shares are what a softmax makes of
points: each STEP points more make a category e times as likely.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, convert

from chittycan.agents import deceit
from chittycan.agents.wording import Points, Wording
from chittycan.agents.words import CATEGORIES, GRAVE, MASS_MAIL, Category
from chittycan.integrations.email.message import Mail

STEP = 3.5  # points
MOST = 0.85  # words alone leave no more certainty than that
CLEAR, CLEAR_WORDS = 0.95, 3  # that is said only of such a share, for which as many telling phrases speak,
FEW = 0.8  # and else no more than this
UNTOLD = 0.4  # so sure at most where hints alone, or nothing, speak for it
QUOTED = 120  # characters of a quote, at most
SAID = 1.5  # points of a small model's word
START = 2.1  # points of general_inquiry
MASS = 5.0  # points without which a mail is not called a newsletter or spam
WANTED = 4.0  # points by which spam must be ahead of a newsletter, which somebody may have asked for

_STOPS = ".!?\n"
_REPLY = re.compile(r"^\s*(?:re|aw|antw|sv|odp|res|r)\s*(?:\[\d+\])?:", re.IGNORECASE)
_QUESTION = re.compile(r"\?(?![\w/=&%])")  # not the one in an address of the web
# Who writes of these waits for an answer, also where nothing is asked: a fault, a claim, a duty.
AWAITED: tuple[Category, ...] = (
    "emergency_legal",
    "lawsuit_communication",
    "appointment_request",
    "compliance_notice",
    "tenant_communication",
    "support_ticket",
    "security_incident",
)


class Found(Struct, frozen=True):
    category: Category
    confidence: float
    words: tuple[str, ...]
    reasoning: str


def category(wording: Wording, said: Category | None = None) -> Found:
    """The likeliest category; `general_inquiry` where the mail says nothing of another."""
    return candidates(wording, said)[0]


def candidates(wording: Wording, said: Category | None = None) -> list[Found]:
    """Every category that the mail has points for, and `general_inquiry`, the likeliest first.

    `said`: the word of a small model, which counts SAID points where something in the mail speaks for it too.
    """
    scored = {convert(name, Category): each for name, each in wording.points.items() if name in CATEGORIES}
    scored.setdefault("general_inquiry", Points())
    for name in MASS_MAIL:
        if name in scored and not _is_mass_mail(name, scored, wording.mail):
            del scored[name]
    points = {name: _weight(name, each) + (SAID if name == said else 0.0) for name, each in scored.items()}
    most = max(points.values())  # shares are the same for points that are all so much less, and none is too large then
    weights = {name: math.exp((each - most) / STEP) for name, each in points.items()}
    whole = sum(weights.values())
    found = [
        Found(name, _confidence(each, weight / whole), each.words[:5], _because(each.words))
        for (name, each), weight in zip(scored.items(), weights.values(), strict=True)
    ]
    return sorted(found, key=lambda each: (-weights[each.category], _place(each.category)))


def _is_mass_mail(name: Category, all_scored: Mapping[Category, Points], mail: Mail) -> bool:
    """Such mail is hardly looked at: several phrases must say so, one of them for sure, and nothing grave be louder.

    Where the sender is not who the name says, one phrase is enough, and two, whatever else it says. No answer to a mail
    is such, and no mail from one's own house or from who bears a known name rightly is spam.
    """
    scored = all_scored[name]
    if mail.in_reply_to is not None or (name == "spam" and deceit.fits(mail)):
        return False
    louder = max((all_scored[grave].points for grave in GRAVE if grave in all_scored), default=0.0)
    if name == "spam" and "newsletter" in all_scored:
        louder = max(louder, all_scored["newsletter"].points + WANTED)
    if scored.strong and scored.telling >= 2:
        louder = 0.0
    told = (scored.telling >= 2 and scored.sure >= 1) or (scored.telling >= 1 and scored.strong)
    return told and scored.points >= max(MASS, louder)


def _weight(name: Category, scored: Points) -> float:
    """That somebody asks something, or sends something along, is said of mails of every kind: it counts less."""
    if name == "general_inquiry":
        return START + scored.points / 2
    return scored.points * 0.75 if name == "document_submission" else scored.points


def _confidence(scored: Points, share: float) -> float:
    """That a mail says nothing that is known proves nothing; and few words that are known prove little."""
    clear = scored.telling >= CLEAR_WORDS and share >= CLEAR
    most = MOST if clear else FEW if scored.telling else UNTOLD
    return round(min(most, share), 2)


def _place(name: Category) -> int:
    """Of a tie the first, which would hurt more to miss."""
    return GRAVE.index(name) if name in GRAVE else len(GRAVE)


def _because(words: tuple[str, ...]) -> str:
    return f"It says: {', '.join(words[:5])}." if words else "No phrase of another category stands in the mail."


def quotes(text: str, words: Iterable[str]) -> Iterator[str]:
    """The clause of `text` around each of `words` that stands in it."""
    for word in words:
        found = re.search(re.escape(word).replace(r"\ ", r"\s+"), text, re.IGNORECASE)
        if found:
            start = max(text.rfind(stop, 0, found.start()) for stop in _STOPS) + 1
            ends = [end for stop in _STOPS if (end := text.find(stop, found.end())) >= 0]
            yield text[start : min(ends, default=len(text))].strip()[:QUOTED]


def urgent_words(wording: Wording) -> tuple[str, ...]:
    """The words of haste and harm, at most five."""
    found = wording.points.get("pressing")
    return found.words[:5] if found else ()


def deadline(wording: Wording) -> str | None:
    """The first date that the mail calls a limit, as it is written there."""
    return wording.deadline.words if wording.deadline else None


def asks(wording: Wording) -> bool:
    """Whether the writer asks for something, in so many words or by a question."""
    asking, leisure = (wording.points.get(name, Points()) for name in ("asking", "at_leisure"))
    if asking.telling and asking.points > leisure.points:
        return True
    subject = "" if _REPLY.match(wording.mail.subject) else wording.mail.subject  # there it is the question before
    return bool(_QUESTION.search(wording.own) or _QUESTION.search(subject))


def needs_reply(wording: Wording, category: Category) -> bool:
    """Whether the writer seems to wait for an answer to a mail of this category."""
    if category in MASS_MAIL or asks(wording):
        return category not in MASS_MAIL
    leisure = wording.points.get("at_leisure", Points())
    return category in AWAITED and not leisure.telling
