"""Regular expressions of rules: they are other people's, and read other people's texts, so their time is limited.

Python's own `re` cannot be stopped while it searches; `regex` can.
"""

import re
from functools import lru_cache
from typing import Any
from unicodedata import normalize

SECONDS = 0.05  # for one search
LONGEST_PATTERN = 500  # characters
READ = 100_000  # characters of a text that are searched; whether the rest matches, nobody can tell

MOST_REPEATED = 1_000_000  # repetitions take room and time even before anything is searched
_PART = re.compile(  # of a pattern; how often something is repeated: the most, or where there is none the least
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?:\d*,)?(?P<times>\d+),?\}|(?P<open>\()|(?P<close>\))|[?*+]|.", re.DOTALL
)


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """Ignores case. Raises ValueError for what is no regular expression."""
    import regex

    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters")
    if _written_out(pattern) > MOST_REPEATED:
        raise ValueError(f"it repeats something more than {MOST_REPEATED:,} times")
    try:
        return regex.compile(composed(pattern), regex.IGNORECASE | regex.VERSION1)
    except regex.error as error:
        raise ValueError(f"no regular expression: {error}") from None


def _written_out(pattern: str) -> int:
    """About how long the pattern is with its repetitions written out: those within others are multiplied."""
    lengths, last = [0], 0  # of the groups that are open, and of what stood last
    for part in _PART.finditer(pattern):
        if part["times"] is not None:
            times = max(int(part["times"]), 1)
            lengths[-1] += last * (times - 1)
            last *= times
        elif part["open"]:
            lengths.append(0)
        elif part["close"] and len(lengths) > 1:
            last = lengths.pop()
            lengths[-1] += last
        elif part[0] not in "?*+":
            last = 1
            lengths[-1] += last
    return sum(lengths)


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
