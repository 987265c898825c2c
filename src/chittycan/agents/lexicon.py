"""The words that rules know: one file per language in `vocabulary/`, found in a text in one pass over its words.

A file has a table per heading (a category, `pressing`, `at_leisure` or `asking`), and in it lists of words and phrases,
with commas between them: `sure`, which are hardly ever written about anything else, `likely` and `hint`; `not`, which
say nothing though a part of them would; and `sender`, which count in the sender's name and address alone. `klag*` is
how a word begins, `*frist` how it ends. Case and accents do not matter.

`common` are a language's commonest words: a text that has some of them is in it, be it in several, and entries of other
languages do not count there. Where it tells none, all count; and what is English always: offices mix it into others.
"""

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files

from msgspec import Struct
from msgspec.structs import replace

POINTS = {"sure": 4.0, "likely": 2.0, "hint": 1.0, "not": 0.0, "sender": 4.0}
SENDER = "sender"

_WORD = re.compile(r"[^\W_]+")
_DIGRAPH = re.compile(r"([aou])e")  # "laeuft" for "läuft", where somebody has no such key
_SHORTEST_STEM = 3  # characters
_EVERYWHERE = "en"
_TELLING = 3  # common words by which a text tells its language
MOST_WORDS = 10_000  # whose forms are remembered: mails use the same ones over and over
LONGEST_WORD = 80  # characters; what is longer is no word, and says nothing


class Entry(Struct, frozen=True):
    """A word or phrase of a heading. The same phrase in two languages is one entry."""

    heading: str
    phrase: tuple[str, ...]
    points: float
    of_sender: bool = False
    languages: frozenset[str] = frozenset()  # none: it counts in all


class Hit(Struct, frozen=True):
    """Where an entry stands: characters `start` to `end` of the text."""

    entry: Entry
    start: int
    end: int


class Lexicon:
    """Entries, by the first word of each; `common` maps a language to its commonest words, folded."""

    def __init__(self, entries: Iterable[Entry], common: Mapping[str, frozenset[str]] | None = None) -> None:
        self._common = common or {}
        self._by_first: dict[str, list[Entry]] = defaultdict(list)
        self._stems: set[str] = set()
        for entry in entries:
            self._by_first[entry.phrase[0]].append(entry)
            self._stems.update(entry.phrase)
        self._forms = lru_cache(MOST_WORDS)(self._forms_of)

    def languages_of(self, text: str) -> frozenset[str]:
        """Those that `text` is in, and English; none where it tells nothing."""
        words = [folded(found) for found in _WORD.findall(text)]
        counts = {language: sum(word in common for word in words) for language, common in self._common.items()}
        most = max(counts.values(), default=0)
        if most < _TELLING:
            return frozenset()
        return frozenset(name for name, count in counts.items() if count * 2 > most) | {_EVERYWHERE}

    def hits(self, text: str, *, of_sender: bool = False) -> Iterator[Hit]:
        """Every place where an entry stands, in the order of the text; those of senders, or all others."""
        words = [found for found in _WORD.finditer(text) if found.end() - found.start() <= LONGEST_WORD]
        forms = {word: self._forms(word) for word in {found.group() for found in words}}
        told = [forms[found.group()] for found in words]
        for place, found in enumerate(words):
            for form in told[place]:
                for entry in self._by_first.get(form, ()):
                    last = place + len(entry.phrase) - 1
                    if entry.of_sender != of_sender or last >= len(words):
                        continue
                    if all(part in told[place + after] for after, part in enumerate(entry.phrase)):
                        yield Hit(entry, found.start(), words[last].end())

    def _forms_of(self, word: str) -> list[str]:
        """The ways in which entries may write this word."""
        made: dict[str, None] = {}
        for plain in dict.fromkeys((folded(word), _DIGRAPH.sub(r"\1", folded(word)))):
            sizes = range(_SHORTEST_STEM, len(plain) + 1)
            written = (plain, *(f"{plain[:size]}*" for size in sizes), *(f"*{plain[-size:]}" for size in sizes))
            made.update(dict.fromkeys(form for form in written if form in self._stems))
        return list(made)


def folded(word: str) -> str:
    """In lower case, without accents."""
    parts = unicodedata.normalize("NFKD", word.lower().replace("ß", "ss"))
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def entries_of(tables: Mapping[str, Mapping[str, str]], language: str | None = None) -> Iterator[Entry]:
    """The entries of one file. Raises `KeyError` for a list of another name than those."""
    languages = frozenset((language,)) if language else frozenset()
    for heading, lists in tables.items():
        for name, phrases in lists.items():
            for phrase in phrases.split(","):
                parts = tuple(re.findall(r"\*?[^\W_]+\*?", folded(phrase)))
                if parts:
                    yield Entry(heading, parts, POINTS[name], name == SENDER, languages)


@cache
def known() -> Lexicon:
    """Of all languages; where they differ on how telling a phrase is, the more cautious one holds."""
    found: dict[tuple[str, tuple[str, ...], bool], Entry] = {}
    common: dict[str, frozenset[str]] = {}
    for file in sorted((files("chittycan.agents") / "vocabulary").iterdir(), key=lambda each: each.name):
        tables, language = tomllib.loads(file.read_text(encoding="utf-8")), file.name.partition(".")[0]
        common[language] = frozenset(_WORD.findall(folded(tables.pop("common"))))
        for entry in entries_of(tables, language):
            key = entry.heading, entry.phrase, entry.of_sender
            same = found.get(key, entry)
            found[key] = replace(
                entry, points=min(entry.points, same.points), languages=entry.languages | same.languages
            )
    return Lexicon(found.values(), common)
