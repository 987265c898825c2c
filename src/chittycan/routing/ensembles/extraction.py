"""What an answer says, in a form in which two answers can be compared.

Models wrap what they were asked for in words and markup; a vote over the raw texts would find no two alike. What
cannot be read with confidence is None: whoever wrote it abstains, since a wrong reading counts against the others.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Hashable
from typing import Any

from msgspec import Struct

TRIES = 32  # places in a text where JSON might begin
SCALES = (5, 10, 100)  # "7/10" rates a seven; any other fraction is a fraction
EDGES = ".,;:!?\"'“”‘’„«»()[]{}<>*_`~#…|"  # around a word, markup and punctuation say nothing
ARTICLES = ("the", "a", "an")

BOXED = re.compile(r"\\boxed\{(?:\\(?:text|mathrm|mathbf)\{)?([^{}]*)\}")
# As in **Final answer:** B, or: the answer is (C).
MARKED = re.compile(r"\banswer\b[*_\s]*(?:[:=–—]|\bis\b\s*:?)[*_\s]*(?P<rest>\S[^\n]*)", re.I)
# "risk: 7", "I would rate it at 7": the words that lead to a rating, and nothing else in between
RATED = re.compile(
    r"\b(?:rat(?:e|ed|ing)|scor(?:e|ed|ing)|risk|grade|total|result|estimate|probability|level)\b"
    r"(?:[*_:=\s]|\b(?:is|of|as|at|it|this|a|an|the|level|score|rating|contract|be|would)\b)*(?P<rest>\S[^\n]*)",
    re.I,
)
SIGN, CURRENCY = "+−-", "$€£"
NUMBER = re.compile(
    rf"(?<![\w.,{SIGN}])[{SIGN}]?[{CURRENCY}]?"
    r"(?:\d{1,3}(?:[,'\u00a0\u202f]\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+|\d+,\d{1,2}|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE][-+]?\d{1,3})?(?:\s?/\s?(?P<scale>\d{1,9}))?"
    r"(?!\w|[.,]\d|\s?[-–]\s?\d)"  # neither a part of a word or of a longer number, nor the start of a range or date
)
LINE = re.compile(r"\W*")
BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
LETTER = re.compile(
    r"[\s*_\"'`]*(?:(?:option|choice|letter)\s+)?[*_\"'`]*"
    r"(?:\((?P<bracket>[A-Za-z])\)|(?P<plain>[A-Za-z])(?=[\s*_\"'`]*(?:[.,:;)\]*]|$))"
    r"|(?P<capital>[A-Z])(?=\s+(?:because|since|as|which|for|is)\b)|(?P<other>[B-HJ-Z])\b)"
)
OPENING = re.compile(r"\W*(?P<letter>[A-Z])(?:[.):\],]+\s+(?!(?:or|and)\b)|$)")
BRACKETED = re.compile(r"\(([A-Z])\)")


class Reading(Struct, frozen=True):
    """`value` as people want it; two readings agree where their `key`s are equal (numbers: close enough)."""

    value: Any
    key: Hashable


def read(text: str, extract: str, *, numeric: bool = False) -> Reading | None:
    """What `text` says, taken as `extract` says (see `catalogue.Ensemble`); None where it cannot be told.

    `numeric`: a value in JSON has to be a number, or to be read as one. Never raises.
    """
    kind, _, detail = extract.partition(":")
    if kind == "number":
        return _numeric(number(text))
    if kind == "choice":
        chosen = _named_choice(text, detail) if detail else choice(text)
        return None if chosen is None else Reading(chosen, chosen)
    if kind == "json":
        return _json_reading(text, detail, numeric)
    said = normalised(_final(text) or text) or normalised(text)
    return Reading(said, said) if said else None


def _numeric(found: float | None) -> Reading | None:
    return None if found is None else Reading(int(found) if found.is_integer() and abs(found) < 1e15 else found, found)


def normalised(text: str) -> str:
    """Lower case, without markup, outer punctuation, a leading article; numbers in one form ("1,000.0" is "1000")."""
    words = [word.strip(EDGES) for word in unicodedata.normalize("NFC", text).casefold().split()]
    words = [_plain_number(word) for word in words if word]
    return " ".join(words[1:] if len(words) > 1 and words[0] in ARTICLES else words)


def _plain_number(word: str) -> str:
    found = NUMBER.fullmatch(word)
    value = _value(found) if found and not found["scale"] and word[0] not in CURRENCY else None
    return word if value is None else shown(value)


def shown(value: float) -> str:
    """A number as a person writes it: 7, 7.5, 0.3333333333."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(round(value, 10)) if abs(value) >= 1e-6 else repr(value)


# what a text commits itself to


def _final(text: str) -> str | None:
    """What stands in the last \\boxed{…}, else behind the last "Answer:" or "the answer is"."""
    boxed = BOXED.findall(text)
    if boxed:
        return str(boxed[-1])
    marked = MARKED.findall(text)
    return str(marked[-1]) if marked else None


def _lines(text: str) -> list[str]:
    """The last and the first line: where a short answer stands alone."""
    lines = [line for line in text.splitlines() if line.strip()]
    return [lines[-1], lines[0]] if lines else []


# numbers


def number(text: str) -> float | None:
    """The one number that a text gives as its answer: 7 in "7/10", 1234.5 in "$1,234.50", 70 in "70%".

    Behind "Answer:", alone on the last or first line, in bold, behind "risk:", "I rate it" and the like, or the only
    number that there is; where several could be meant, None.
    """
    final = _final(text)
    if final is not None and (found := _first(final)) is not None:
        return found
    for line in _lines(text):
        rest = NUMBER.sub("", line, count=1)
        if rest != line and not re.search(r"\w", rest):
            return _first(line)
    bold = [match for piece in BOLD.findall(text) for match in NUMBER.finditer(piece)]
    every = list(NUMBER.finditer(text))
    scaled = [match for match in every if match["scale"] and int(match["scale"]) in SCALES]
    rated = [match for found in RATED.finditer(text) if (match := NUMBER.match(found["rest"].lstrip(EDGES)))]
    values = ({_value(match) for match in meant} - {None} for meant in (bold, every, scaled, rated))
    return next((one.pop() for one in values if len(one) == 1), None)


def _first(text: str) -> float | None:
    return next((value for match in NUMBER.finditer(text) if (value := _value(match)) is not None), None)


def _value(match: re.Match[str]) -> float | None:
    whole = match[0].partition("/")[0].strip()
    digits = re.sub(rf"[{CURRENCY}'\s]", "", whole).replace("−", "-")
    if re.fullmatch(r"[-+]?\d{1,3}(\.\d{3})+,\d+|[-+]?\d+,\d{1,2}", digits):  # decimal comma
        digits = digits.replace(".", "").replace(",", ".")
    value = float(digits.replace(",", ""))
    if match["scale"] and int(match["scale"]) not in SCALES:
        if int(match["scale"]) == 0:
            return None
        value /= int(match["scale"])
    return value if math.isfinite(value) else None


# choices


def choice(text: str) -> str | None:
    """The letter that a text chooses, "B" in "Answer: (b)" or "B) Paris"; None where it names none or several."""
    final = _final(text)
    for piece in ([final] if final else []) + [text.strip()]:
        found = LETTER.match(piece)
        if found and (piece == final or not re.search(r"\w", piece[found.end() :])):
            return next(group for group in found.groups() if group).upper()
    for line in _lines(text):
        found = LETTER.match(line)
        if found and not re.search(r"\w", line[found.end() :]):
            return next(group for group in found.groups() if group).upper()
    opening = OPENING.match(text)
    if opening:
        return opening["letter"]
    bold = {match.strip(EDGES + " ") for match in BOLD.findall(text)}
    letters = {each for each in bold if re.fullmatch("[A-Z]", each)} or set(BRACKETED.findall(text))
    return letters.pop() if len(letters) == 1 else None


def _named_choice(text: str, names: str) -> str | None:
    """Which of "low,medium,high" a text chooses, as it is written there."""
    known = {normalised(name): name.strip() for name in names.split(",") if name.strip()}
    final = _final(text)
    for piece in [*([final] if final else []), *_lines(text), text]:
        named = _mentioned(normalised(piece), known)
        if len(named) == 1:
            return named.pop()
    return None


def _mentioned(text: str, known: dict[str, str]) -> set[str]:
    """Every choice that a text names, but for those that it denies."""
    found = set()
    for name in sorted(known, key=len, reverse=True):  # "not applicable" before "applicable"
        text, count = re.subn(rf"(?<!\w){re.escape(name)}(?!\w)", "\0", text)
        if count > len(re.findall("(?:\\bnot|n['’]t) \0", text)):
            found.add(known[name])
        text = text.replace("\0", "")
    return found


# JSON


def json_in(text: str) -> Any:
    """The first JSON object or list in a text; None where there is none."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    starts = [match.start() for match in re.finditer(r"[{\[]", text)]
    bare = text.strip()
    for begin, piece in [(0, bare), *((start, text) for start in starts[:TRIES])]:
        try:
            found, _ = decoder.raw_decode(piece, begin)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict | list):
            return found
    return None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _json_reading(text: str, path: str, numeric: bool) -> Reading | None:
    found = json_in(text)
    value = at_path(found, path) if path else found
    if value is None:
        return None
    if numeric:
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return _numeric(_finite(value) if plain else number(value) if isinstance(value, str) else None)
    try:
        return Reading(value, _key(value))
    except RecursionError:
        return None


def _finite(value: float) -> float | None:
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def at_path(found: Any, path: str) -> Any:
    """The value at `clauses.0.level`; None where there is none."""
    for step in path.split("."):
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def with_value(found: Any, path: str, value: Any) -> Any:
    """`found` with `value` at `path`, which has to lead somewhere in it; `found` itself stays as it is."""
    step, dot, rest = path.partition(".")
    inner = with_value(at_path(found, step), rest, value) if dot else value
    if isinstance(found, list):
        return [inner if place == int(step) else each for place, each in enumerate(found)]
    return {**found, step: inner}


def _key(value: Any) -> Hashable:
    """Equal for JSON values that say the same: the order of keys, 1 or 1.0, and a text's markup make no difference."""
    keys: dict[type, Callable[[Any], Hashable]] = {
        dict: lambda pairs: ("{}", tuple((name, _key(pairs[name])) for name in sorted(pairs))),
        list: lambda items: ("[]", tuple(map(_key, items))),
        str: lambda text: ("text", normalised(text)),
        bool: lambda truth: ("truth", truth),
        int: _finite,
        float: _finite,
    }
    return keys[type(value)](value) if value is not None else None
