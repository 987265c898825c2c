"""The detector: everything private in a text."""

import re
from bisect import bisect
from collections.abc import Iterable
from itertools import chain

from chittycan.routing.privacy.finding import Finding
from chittycan.routing.privacy.identifiers import identifiers
from chittycan.routing.privacy.secrets import bare, secrets

LONGEST_TERM = 200  # characters of a word that the owner named
MOST_TERMS = 1_000


# Every form has one of these characters, or is one of the few that `bare` looks for; most prompts have none, and are
# done within a microsecond.
_PLAIN = re.compile(r"[^\d@:=$_-]*")
# Other ways to write a digit, an at sign, a space or a dash, character for character.
_OTHERWISE = {
    **{zero + digit: str(digit) for zero in (0xFF10, 0x0660, 0x06F0, 0x0966) for digit in range(10)},
    0xFF20: "@", 0xFF0E: ".", 0xFF0D: "-", 0xFF0B: "+", 0x00A0: " ", 0x2007: " ", 0x2009: " ", 0x202F: " ", 0x3000: " ",
    0x2010: "-", 0x2011: "-", 0x2012: "-", 0x2013: "-", 0x2212: "-",
}  # fmt: skip
_WRITTEN_OTHERWISE = re.compile(f"[{''.join(map(chr, _OTHERWISE))}]")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")  # JSON within a text (RFC 8259 §7) may write any character so


class Terms:
    """Words and phrases that the owner keeps private, as whole words in any case."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        kept = sorted({" ".join(word.split())[:LONGEST_TERM] for word in words if word.strip()}, key=len, reverse=True)
        either = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in kept[:MOST_TERMS])
        self._pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE) if kept else None

    def findings(self, text: str) -> list[Finding]:
        return [] if self._pattern is None else [Finding("term", *each.span()) for each in self._pattern.finditer(text)]


NO_TERMS = Terms()


def findings(text: str, terms: Terms = NO_TERMS) -> list[Finding]:
    """What is private in `text`, in its order; of those that overlap the longest one."""
    found = [*terms.findings(text), *identifiers(_usual(text)), *secrets(text)]
    if "\\u" in text:
        plain, places = _unescaped(text)
        read = (*terms.findings(plain), *identifiers(_usual(plain)), *secrets(plain))
        found += [Finding(each.kind, places[each.start], places[each.end]) for each in read]
    return apart(found)


def is_private(text: str, terms: Terms = NO_TERMS) -> bool:
    """Whether anything would be found; stops at the first."""
    if "\\u" in text and _any(_unescaped(text)[0], terms):
        return True
    return _any(text, terms)


def _any(text: str, terms: Terms) -> bool:
    usual = _usual(text)
    if _PLAIN.fullmatch(usual) and not bare(text):
        return terms is not NO_TERMS and bool(terms.findings(text))
    found = chain(terms.findings(text), identifiers(usual), secrets(text))
    return next(found, None) is not None


def _usual(text: str) -> str:
    """With ASCII's digits and signs in place of others that look like them."""
    if text.isascii() or _WRITTEN_OTHERWISE.search(text) is None:
        return text
    return text.translate(_OTHERWISE)


def _unescaped(text: str) -> tuple[str, list[int]]:
    """The text with JSON's escapes read, and for each of its characters (and its end) the place in `text`."""
    pieces: list[str] = []
    places: list[int] = []
    done = 0
    for escape in _ESCAPE.finditer(text):
        pieces += (text[done : escape.start()], chr(int(escape[1], 16)))
        places += range(done, escape.start() + 1)
        done = escape.end()
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
