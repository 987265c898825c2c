"""Regular expressions of rules: they are other people's, and read other people's texts, so their time is limited.

Python's own `re` cannot be stopped while it searches; `regex` can.
"""

import math
import re
from functools import lru_cache
from typing import Any
from unicodedata import normalize

SECONDS = 0.05  # for one search
LONGEST_PATTERN = 500  # characters
READ = 100_000  # characters of a text that are searched; whether the rest matches, nobody can tell

MOST_REPEATED = 1_000_000  # repetitions take room and time even before anything is searched
_REPEATED = re.compile(r"(\d+),?\}")  # the most, or where there is none the least


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """Ignores case. Raises ValueError for what is no regular expression."""
    import regex

    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters")
    times = (int(number) for number in _REPEATED.findall(pattern))
    if math.prod(min(max(each, 1), MOST_REPEATED + 1) for each in times) > MOST_REPEATED:
        raise ValueError(f"it repeats something more than {MOST_REPEATED:,} times, each within the others")
    try:
        return regex.compile(composed(pattern), regex.IGNORECASE | regex.VERSION1)
    except regex.error as error:
        raise ValueError(f"no regular expression: {error}") from None


def found_in(text: str, pattern: Any) -> bool:
    """Whether the pattern matches anywhere in the text. Raises TimeoutError where that cannot be told in time."""
    if pattern.search(composed(text[:READ]), timeout=SECONDS) is not None:
        return True
    if len(text) > READ:
        raise TimeoutError
    return False


def composed(text: str) -> str:
    """With each letter and its marks as one character (Unicode's form C): some systems write them as two."""
    return text if text.isascii() else normalize("NFC", text)
