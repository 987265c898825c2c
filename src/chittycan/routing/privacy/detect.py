"""The detector: everything private in a text, after a look that costs microseconds where there is nothing."""

import re
from collections.abc import Iterable

from chittycan.routing.privacy.finding import Finding
from chittycan.routing.privacy.identifiers import identifiers
from chittycan.routing.privacy.secrets import secrets

LONGEST_TERM = 200  # characters of a word that the owner named
MOST_TERMS = 1_000

# Without one of these no identifier and no secret can be found: every form of each of them has one.
_MAYBE = re.compile(
    r"@|\d[\d ().\-x]{5,}|[A-Za-z]{2}\d\d|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:|0x[0-9a-fA-F]{8}|-----BEGIN|"
    r"[a-z0-9]_[A-Za-z0-9]|\b(?:sk-|xox|xapp|glpat|pypi|eyJ|SG\.|AKIA|ASIA|AIza|ya29|bc1)|"
    r"(?i:pass|pwd|secret|token|key|credential|authori[sz])|\$\w+\$"
)


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
    found = terms.findings(text)
    if _MAYBE.search(text) is not None:
        found += [*identifiers(text), *secrets(text)]
    return _apart(found)


def is_private(text: str, terms: Terms = NO_TERMS) -> bool:
    """Whether anything would be found; stops at the first."""
    if terms.findings(text):
        return True
    if _MAYBE.search(text) is None:
        return False
    return next(identifiers(text), None) is not None or next(secrets(text), None) is not None


def _apart(found: list[Finding]) -> list[Finding]:
    apart: list[Finding] = []
    for each in sorted(found, key=lambda each: (each.start - each.end, each.start)):
        if all(each.end <= other.start or each.start >= other.end for other in apart):
            apart.append(each)
    return sorted(apart, key=lambda each: each.start)
