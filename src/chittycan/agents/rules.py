"""What can be told from words alone, when no model answers: whole words, in any order, in English and German.

Each category has phrases. A single word gives one point, a phrase of several two, either of them in the
subject twice as many; the most points win, and a tie goes to the category that stands first, which is the
one that would hurt more to miss. One point alone decides nothing.
"""

import re
from functools import cache

from msgspec import Struct

from chittycan.agents.words import Category
from chittycan.integrations.email.message import Mail

READ = 4000  # characters of the text that are looked at
ENOUGH = 2  # points that make a category

_PHRASES: dict[Category, str] = {
    "security_incident": "data breach|security breach|security incident|unauthorised access|unauthorized access|"
    "phishing|ransomware|compromised|datenleck|sicherheitsvorfall",
    "court_notice": "notice of hearing|court notice|clerk of court|clerk of the court|district court|superior court|"
    "county court|case number|case no|docket|hearing date|court order|aktenzeichen|amtsgericht|landgericht|ladung",
    "emergency_legal": "arrested|arrest|in custody|restraining order|injunction|lockout|emergency|detained|"
    "verhaftet|festgenommen|notfall|einstweilige",
    "lawsuit_communication": "lawsuit|the other side|plaintiff|defendant|opposing counsel|counsel for|settlement|"
    "deposition|discovery|litigation|complaint|subpoena|interrogatories|klage|kläger|beklagte|vergleich",
    "compliance_notice": "compliance|regulator|regulatory|audit|data protection|gdpr|dsgvo|supervisory authority|"
    "bar association|trust account|datenschutz|aufsichtsbehörde|aufbewahrungsfrist",
    "document_submission": "attached contract|attached agreement|for review|for signature|signed copy|executed copy|"
    "enclosed|please find attached|agreement|contract|contract draft|unterlagen|vertrag|anbei|vertragsentwurf",
    "billing_matter": "invoice|payment|retainer|billing|fee|fees|overdue|refund|statement of account|rechnung|"
    "zahlung|honorar|mahnung|kostennote",
    "appointment_request": "appointment|meeting|schedule|reschedule|calendar|available|availability|"
    "call next week|termin|besprechung|terminvorschlag",
    "tenant_communication": "tenant|landlord|eviction|rent|deposit|heating|mieter|vermieter|miete|kündigung",
    "property_management": "property manager|maintenance|building|premises|repairs|hausverwaltung|liegenschaft",
    "permit_application": "permit|permit application|zoning|licence application|license application|"
    "planning permission|baugenehmigung",
    "grant_management": "grant application|grant|funding|grant report|fördermittel|zuwendung",
    "service_incident": "outage|downtime|service disruption|degraded|störung|ausfall",
    "support_ticket": "support ticket|ticket|help desk|password reset|login problem|anmeldung funktioniert nicht",
}

_URGENT = re.compile(
    r"\b(?:urgent(?:ly)?|immediate(?:ly)?|asap|as soon as possible|emergency|final notice|last chance|today|tomorrow|"
    r"deadline|time[- ]sensitive|without delay|within \d+ (?:hours|days)|no later than|"
    r"dringend|eilt|sofort|unverzüglich|frist|fristgerecht|heute|morgen)\b",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?|"
    r"sep(?:t(?:ember)?)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_DATE = (
    rf"(?:\d{{4}}-\d\d-\d\d|\d{{1,2}}\.\s?\d{{1,2}}\.\s?\d{{2,4}}|\d{{1,2}}/\d{{1,2}}/\d{{2,4}}|"
    rf"\d{{1,2}}\.?\s{_MONTH}\b(?:\s\d{{4}})?|{_MONTH}\s\d{{1,2}}\b(?:,?\s\d{{4}})?)"
)
_DEADLINE = re.compile(
    rf"\b(?:by|until|before|no later than|due(?: on)?|deadline(?: is)?:?|bis(?: zum| spätestens)?|spätestens(?: am)?)"
    rf"\s+(?:\w+,?\s)?(?P<date>{_DATE})",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"\?|\b(?:please (?:confirm|reply|respond|advise|let|call|send|review|sign)|could you|can you|would you|"
    r"let me know|look forward to|bitte (?:bestätigen|antworten|teilen|senden|prüfen|rufen)|können sie|"
    r"um rückmeldung)\b",
    re.IGNORECASE,
)


class Found(Struct, frozen=True):
    category: Category
    confidence: float
    words: tuple[str, ...]
    reasoning: str


def category(mail: Mail) -> Found:
    """The category with the most phrases in the mail; `general_inquiry` where none has enough."""
    found = candidates(mail)
    if not found:
        return Found("general_inquiry", 0.5, (), "No phrase of a category stands in the mail.")
    return found[0]


def candidates(mail: Mail) -> list[Found]:
    """Every category with at least two points, best first."""
    scored: list[tuple[int, Found]] = []
    for name in _PHRASES:
        in_subject, in_text = hits(name, mail.subject), hits(name, mail.text[:READ])
        points = 2 * _points(in_subject) + _points(in_text)
        if points >= ENOUGH:
            words = tuple(dict.fromkeys(in_subject + in_text))[:5]
            confidence = round(min(0.8, 0.4 + 0.1 * points), 2)
            scored.append((points, Found(name, confidence, words, f"It says: {', '.join(words)}.")))
    return [found for _, found in sorted(scored, key=lambda entry: -entry[0])]


def _points(phrases: list[str]) -> int:
    return sum(2 if " " in phrase else 1 for phrase in phrases)


def hits(name: Category, text: str) -> list[str]:
    """The different phrases of category `name` in `text`, as whole words."""
    return list(dict.fromkeys(" ".join(found.lower().split()) for found in _pattern(name).findall(text)))


@cache
def _pattern(name: Category) -> re.Pattern[str]:
    phrases = sorted(_PHRASES[name].split("|"), key=len, reverse=True)
    any_of_them = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in phrases)
    return re.compile(rf"\b(?:{any_of_them})\b", re.IGNORECASE)


def urgent_words(mail: Mail) -> tuple[str, ...]:
    """The words of haste in subject and text, at most five."""
    found = _URGENT.findall(f"{mail.subject}\n{mail.text[:READ]}")
    return tuple(dict.fromkeys(word.lower() for word in found))[:5]


def deadline(mail: Mail) -> str | None:
    """The first date that the mail calls a limit, as it is written there."""
    found = _DEADLINE.search(mail.text[:READ]) or _DEADLINE.search(mail.subject)
    return found["date"] if found else None


def asks(mail: Mail) -> bool:
    """Whether the writer seems to wait for an answer."""
    own = re.split(r"^(?:>|On .{5,100} wrote:|Am .{5,100} schrieb)", mail.text[:READ], maxsplit=1, flags=re.MULTILINE)
    return bool(_REQUEST.search(own[0]) or _REQUEST.search(mail.subject))
