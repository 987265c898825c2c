"""What can be told from words alone: from the points of its words (`Wording`) a share for each category.

`general_inquiry` starts with some, for a mail that says nothing of the others. Shares are what a softmax makes of
points: each STEP points more make a category e times as likely.
"""

import math
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct, convert

from chittycan.agents.wording import Points, Wording
from chittycan.agents.words import CATEGORIES, GRAVE, MASS_MAIL, Category

STEP = 3.5  # points
MOST = 0.85  # words alone leave no more certainty than that
UNTOLD = 0.4  # so sure at most where hints alone, or nothing, speak for it
QUOTED = 120  # characters of a quote, at most
SAID = 1.5  # points of a small model's word
START = 2.1  # points of general_inquiry
MASS = 5.0  # points without which a mail is not called a newsletter or spam

_STOPS = ".!?\n"
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


def category(wording: Wording, said: Category | None = None) -> Found:
    """The likeliest category; `general_inquiry` where the mail says nothing of another."""
    return candidates(wording, said)[0]


def candidates(wording: Wording, said: Category | None = None) -> list[Found]:
    """Every category that the mail has points for, and `general_inquiry`, the likeliest first.

    `said`: the word of a small model, which counts SAID points where something in the mail speaks for it too.
    """
    scored = {convert(name, Category): each for name, each in wording.points.items() if name in CATEGORIES}
    scored.setdefault("general_inquiry", Points())
    grave = max((scored[name].points for name in scored if name in GRAVE), default=0.0)
    for name in MASS_MAIL:
        if name in scored and not _mass_mail(scored[name], grave, is_reply=wording.mail.in_reply_to is not None):
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


def _mass_mail(scored: Points, grave: float, *, is_reply: bool) -> bool:
    """Such mail is hardly looked at: several phrases must say so, and nothing grave be said louder.

    Where the sender is not who the name says, one phrase is enough, and two, whatever else it says.
    """
    louder = 0.0 if scored.strong and scored.telling >= 2 else grave
    told = scored.telling + scored.strong >= 2
    return told and scored.points >= max(MASS, louder) and not is_reply


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
    """Whether the writer seems to wait for an answer."""
    return bool(_REQUEST.search(wording.own) or _REQUEST.search(wording.mail.subject))
