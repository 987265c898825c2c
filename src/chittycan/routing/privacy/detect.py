"""The detector: everything private in a text."""

import re
from bisect import bisect
from collections.abc import Iterable, Iterator
from string import ascii_letters, digits
from unicodedata import normalize

from chittycan.routing.privacy.finding import Finding
from chittycan.routing.privacy.identifiers import identifiers
from chittycan.routing.privacy.secrets import bare, secrets

# Every form has one of these characters, or is one of the few that `bare` looks for; most prompts have none, and are
# done within a microsecond.
_PLAIN = re.compile(r"[^\d@:=$_-]*")
# Where a script's ten digits begin, beside ASCII's (Unicode's category Nd, as far as people write numbers with them).
_ZEROS = (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x0ED0,
          0x0F20, 0x1040, 0x17E0, 0x1810)  # fmt: skip
# Other ways to write a digit, a letter, a sign, a space or a dash, character for character.
_OTHERWISE = {
    **{zero + digit: digits[digit] for zero in _ZEROS for digit in range(10)},
    **{ord(each) + 0xFEE0: each for each in f"{digits}{ascii_letters}#$%+-./:=@_"},  # the wide forms
    0xFE6B: "@", 0x3000: " ", 0x00A0: " ", 0x202F: " ", 0x205F: " ", **dict.fromkeys(range(0x2000, 0x200B), " "),
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE63), "-"),
}  # fmt: skip
_WRITTEN_OTHERWISE = re.compile(f"[{''.join(map(chr, _OTHERWISE))}]")
# What stands in a text unseen (hyphens that show at a line's end only, spaces without width, marks of direction): pages
# and documents have them within numbers and addresses. And JSON's escapes (RFC 8259 §7), which may write any character.
_UNSEEN = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_HIDDEN = re.compile(f"[{_UNSEEN}]")
_TO_READ = re.compile(rf"\\u([0-9a-fA-F]{{4}})|[{_UNSEEN}]")


class Terms:
    """Words and phrases that the owner keeps private, as whole words in any case."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        kept = sorted({" ".join(word.split()) for word in words if word.strip()}, key=len, reverse=True)
        # An ü may be written as one character, or as a u and its dots.
        forms = dict.fromkeys(normalize(form, word) for word in kept for form in ("NFC", "NFD"))
        alike: dict[str, list[str]] = {}  # by the first letter, so that hundreds are passed over at once
        for form in forms:
            alike.setdefault(form[0].lower(), []).append(re.escape(form).replace(r"\ ", r"\s+"))
        either = "|".join(f"(?=[{re.escape(first)}])(?:{'|'.join(every)})" for first, every in alike.items())
        self._pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE) if kept else None
        self.given = bool(kept)

    def findings(self, text: str) -> list[Finding]:
        return [] if self._pattern is None else [Finding("term", *each.span()) for each in self._pattern.finditer(text)]


NO_TERMS = Terms()


def findings(text: str, terms: Terms = NO_TERMS) -> list[Finding]:
    """What is private in `text`, in its order; of those that overlap the longest one."""
    found = list(_found(text, terms))
    if _to_read(text):
        plain, places = _read(text)
        found += [Finding(each.kind, places[each.start], places[each.end]) for each in _found(plain, terms)]
    return apart(found)


def is_private(text: str, terms: Terms = NO_TERMS) -> bool:
    """Whether anything would be found; stops at the first."""
    if text.isascii() and "\\" not in text and _PLAIN.fullmatch(text) and not bare(text):  # most prompts
        return terms.given and bool(terms.findings(text))
    return (_to_read(text) and _any(_TO_READ.sub(_shown, text), terms)) or _any(text, terms)


def _any(text: str, terms: Terms) -> bool:
    usual = _usual(text)
    if _PLAIN.fullmatch(usual) and not bare(usual):
        return terms.given and any(map(terms.findings, {text, usual}))
    return next(_found(text, terms), None) is not None


def _found(text: str, terms: Terms) -> Iterator[Finding]:
    usual = _usual(text)
    yield from terms.findings(text)
    if usual is not text:
        yield from terms.findings(usual)
    yield from identifiers(usual)
    yield from secrets(usual)


def _usual(text: str) -> str:
    """With ASCII's digits and signs in place of others that look like them."""
    if text.isascii() or _WRITTEN_OTHERWISE.search(text) is None:
        return text
    return _WRITTEN_OTHERWISE.sub(lambda found: _OTHERWISE[ord(found[0])], text)


def _to_read(text: str) -> bool:
    """Whether there is more or less in the text than it says."""
    return "\\u" in text or not (text.isascii() or _HIDDEN.search(text) is None)


def _shown(found: re.Match[str]) -> str:
    return _HIDDEN.sub("", chr(int(found[1], 16))) if found[1] else ""


def _read(text: str) -> tuple[str, list[int]]:
    """The text with JSON's escapes read and without what is not seen, and for each of its characters (and its end) the
    place in `text`."""
    pieces: list[str] = []
    places: list[int] = []
    done = 0
    for found in _TO_READ.finditer(text):
        written = _shown(found)
        pieces += (text[done : found.start()], written)
        places += range(done, found.start() + len(written))
        done = found.end()
    return "".join((*pieces, text[done:])), [*places, *range(done, len(text) + 1)]


def apart(found: list[Finding]) -> list[Finding]:
    """In the order of the text; of those that overlap the longest one."""
    kept: list[Finding] = []  # in order
    for each in sorted(found, key=lambda each: (each.start - each.end, each.start)):
        place = bisect(kept, each.start, key=lambda other: other.start)
        free = place == 0 or kept[place - 1].end <= each.start
        if free and (place == len(kept) or kept[place].start >= each.end):
            kept.insert(place, each)
    return kept
