"""Conditions: read once, then weighed against facts.

    condition := or;  or := and ("OR" and)*;  and := term (["AND"] term)*
    term      := ["-"] ( "(" condition ")" | field operator value )

A value is a word or stands in double quotes, where \\" and \\\\ are a quote and a backslash. Facts are a mapping from
a field to its value: text, a number, True or False, or several of them; a field that is absent never matches.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from chittycan.errors import InvalidRequest
from chittycan.routing.rules.fields import (
    DURATIONS,
    FIELDS,
    FLAGS,
    HEADER,
    LEVELS,
    OPERATORS,
    SIZES,
    VALUES,
    Kind,
)
from chittycan.routing.rules.patterns import compiled, composed, found_in

LONGEST = 2_000  # characters of a condition
DEEPEST = 20  # parentheses in each other

_TOKEN = re.compile(
    r"""\s*(?:(?P<open>\() | (?P<close>\)) | (?P<minus>-(?=[\w(]))
    | (?P<test>(?P<name>[A-Za-z][\w.-]*) \s* (?P<op>[:=~<>]) \s*
        (?:"(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<bare>[^\s()"]+)))
    | (?P<word>[A-Za-z]+))""",
    re.VERBOSE,
)
_BEGUN = re.compile(r"\s*[A-Za-z][\w.-]*\s*[:=~<>]\s*(?P<rest>.?)", re.DOTALL)  # a test whose value cannot be read
_COMMA = re.compile(r",(?:$|[A-Za-z][\w.-]*[:=~<>])")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([a-z]*)")

Facts = Mapping[str, Any]


class RuleError(InvalidRequest):
    """A rule cannot be read. `column` counts from 1."""

    code = "invalid_rule"

    def __init__(self, message: str, *, column: int, param: str, fix: str | None = None) -> None:
        super().__init__(f"{param}, column {column}: {message}", param=param, fix=fix)
        self.column = column


class Test(Struct, frozen=True):
    """One comparison of one field."""

    field: str
    kind: Kind
    operator: str
    value: Any  # as facts have it: folded text, a number, a place among LEVELS, a compiled pattern

    def holds(self, facts: Facts) -> bool | None:
        """None where a search takes too long to be told."""
        fact = facts.get(self.field)
        if fact is None:
            return False
        several = isinstance(fact, list | tuple | set | frozenset)
        try:
            return any(_compare(self, each) for each in (fact if several else (fact,)))
        except TimeoutError:
            return None


class All(Struct, frozen=True):
    parts: tuple[Any, ...]

    def holds(self, facts: Facts) -> bool | None:
        return _settled(self.parts, facts, False)


class OneOf(Struct, frozen=True):
    parts: tuple[Any, ...]

    def holds(self, facts: Facts) -> bool | None:
        return _settled(self.parts, facts, True)


class Not(Struct, frozen=True):
    part: Any

    def holds(self, facts: Facts) -> bool | None:
        held: bool | None = self.part.holds(facts)
        return None if held is None else not held


def _settled(parts: Iterable[Any], facts: Facts, settles: bool) -> bool | None:
    """One part that is `settles` settles it, whatever the others are; else it is as doubtful as any of them."""
    doubtful = False
    for part in parts:
        held: bool | None = part.holds(facts)
        if held is settles:
            return held
        doubtful = doubtful or held is None
    return None if doubtful else not settles


Condition = Test | All | OneOf | Not


def parse(text: str) -> Condition:
    """Raises RuleError, which names the column and the fix."""
    if len(text) > LONGEST:
        raise _error(f"longer than {LONGEST:,} characters", LONGEST + 1, "Make several rules of it.")
    return _Reader(text).whole()


def check_facts(names: Iterable[str]) -> None:
    """Raises InvalidRequest for a fact that no condition can ask about."""
    for name in names:
        if _kind(name) is None:
            raise InvalidRequest(
                f"no rule can ask about {name[:80]!r}{nearest(name, FIELDS)}", param="facts", fix=f"Facts: {_NAMES}."
            )


def fields_of(condition: Condition) -> frozenset[str]:
    """The fields that it asks about."""
    match condition:
        case Test():
            return frozenset({condition.field})
        case Not():
            return fields_of(condition.part)
        case All() | OneOf():
            return frozenset().union(*map(fields_of, condition.parts))


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def whole(self) -> Condition:
        if not self._text.strip():
            raise _error("a condition is needed", 1, 'Write field:value, such as "priority:low".')
        found = self._either()
        if self._text[self._at :].strip():
            self._begun()
            token = self._token()
            said = "this parenthesis was never opened" if token["close"] else "this cannot stand here"
            raise _error(said, self._column(), "Write field:value, joined by AND or OR.")
        return found

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._word("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else OneOf(tuple(parts))

    def _both(self) -> Condition:
        parts = [self._term()]
        while self._word("AND") or self._more():
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _more(self) -> bool:
        token = _TOKEN.match(self._text, self._at)
        return token is not None and bool(token["open"] or token["minus"] or token["test"])

    def _word(self, word: str) -> bool:
        token = _TOKEN.match(self._text, self._at)
        if token is None or token["word"] is None or token["word"].upper() != word:
            return False
        self._at = token.end()
        return True

    def _term(self) -> Condition:
        token = self._token()
        column = token.start(token.lastgroup or 0) + 1
        if token["minus"]:
            self._at = token.end()
            return Not(self._term())
        if token["open"]:
            self._depth += 1
            if self._depth > DEEPEST:
                raise _error(f"more than {DEEPEST} parentheses in each other", column, "Make several rules of it.")
            self._at = token.end()
            inside = self._either()
            closing = _TOKEN.match(self._text, self._at)
            if closing is None or not closing["close"]:
                raise _error("this parenthesis is never closed", column, "Add a ) where it ends.")
            self._at, self._depth = closing.end(), self._depth - 1
            return inside
        if token["test"]:
            self._at = token.end()
            return _test(token)
        self._begun()
        if token["word"] is not None and token["word"].upper() == "NOT":
            raise _error('"not" is written as a minus', column, "Write -field:value.")
        raise _error("a test is needed here", column, 'Write field:value, such as "priority:low".')

    def _begun(self) -> None:
        """Raises RuleError where a test begins here and only its value is wrong."""
        begun = _BEGUN.match(self._text, self._at)
        if begun is not None:
            said = {"": "the value is missing", '"': 'this " is never closed', "(": "a value with parentheses"}
            fix = 'Write field:value; texts with spaces or parentheses stand in "…".'
            raise _error(said.get(begun["rest"], "no value begins like this"), begun.start("rest") + 1, fix)

    def _token(self) -> re.Match[str]:
        token = _TOKEN.match(self._text, self._at)
        if token is None:
            if not self._text[self._at :].strip():
                raise _error("a test is missing at the end", self._column(), "Write field:value after it.")
            if self._text[self._at :].lstrip().startswith("-"):
                fix = "Write -field:value, or -(…)."
                raise _error("nothing stands between a minus and its test", self._column(), fix)
            fix = 'Write field:value; texts with spaces or parentheses stand in "…".'
            raise _error("this cannot be read", self._column(), fix)
        return token

    def _column(self) -> int:
        rest = self._text[self._at :]
        return self._at + len(rest) - len(rest.lstrip()) + 1


def _test(token: re.Match[str]) -> Test:
    name, operator = token["name"].lower(), token["op"]
    column = token.start("name") + 1
    kind = _kind(name)
    if kind is None:
        raise _error(f"there is no field {name!r}{nearest(name, FIELDS)}", column, f"Fields: {_NAMES}.")
    if operator not in OPERATORS[kind]:
        allowed = " ".join(OPERATORS[kind])
        raise _error(f"{name} cannot be asked with {operator}", token.start("op") + 1, f"Use one of {allowed}")
    quoted = token["quoted"]
    value = token["bare"] if quoted is None else re.sub(r"\\([\"\\])", r"\1", quoted)
    comma = _COMMA.search(value) if quoted is None else None
    if comma is not None:
        fix = "Write AND or OR between tests, or the value in double quotes."
        raise _error("a comma joins nothing here", token.start("bare") + comma.start() + 1, fix)
    try:
        return Test(name, kind, operator, _value(name, kind, operator, value))
    except ValueError as error:
        place = token.start("bare") if quoted is None else token.start("quoted")
        raise _error(str(error), place + 1, _EXAMPLES.get(kind, "Correct the value.")) from None


_NAMES = ", ".join((*FIELDS, f"{HEADER}NAME"))


def _kind(name: str) -> Kind | None:
    """Of a field, or None where there is no such field."""
    return "text" if name.startswith(HEADER) and len(name) > len(HEADER) else FIELDS.get(name)


_EXAMPLES: Mapping[str, str] = {
    "number": "Write a number, such as confidence>0.8.", "duration": "Write a length of time, such as age<2d.",
    "size": "Write a size, such as size>5mb.", "flag": "Write true or false.",
}  # fmt: skip


def _value(name: str, kind: Kind, operator: str, text: str) -> Any:
    """Raises ValueError."""
    folded = _folded(text)
    if not text and operator != "=":
        raise ValueError("the value is empty")
    if operator == "~":
        return compiled(text)
    allowed = VALUES.get(name)
    if allowed is not None and folded not in allowed:
        raise ValueError(f"{text!r} is none of {', '.join(allowed)}")
    if kind == "choice" and operator == ":" and "*" in text.removesuffix(".*"):
        raise ValueError("a * stands at the end only, behind a dot, and means all below")
    match kind:
        case "level":
            return LEVELS.index(folded)
        case "number":
            return _number(text)
        case "flag":
            if folded not in FLAGS:
                raise ValueError(f"{text!r} is neither true nor false")
            return FLAGS[folded]
        case "duration" | "size":
            return _quantity(folded, DURATIONS if kind == "duration" else SIZES)
        case _:
            return folded


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is no number")
    return number


def _quantity(text: str, units: Mapping[str, int]) -> float:
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in units:
        raise ValueError(f"{text!r} is no amount with one of the units {', '.join(filter(None, units))}")
    return float(found[1]) * units[found[2]]


def _compare(test: Test, fact: Any) -> bool:
    match test.kind:
        case "people" if test.operator != "~":
            return _is_person(_folded(str(fact)), test.value, whole=test.operator == "=")
        case "text" | "people" | "choice" | "parts":
            return _COMPARE_TEXT[test.operator, test.kind in ("text", "people")](str(fact), test.value)
        case "level":
            text = str(fact).casefold()
            fact = LEVELS.index(text) if text in LEVELS else None
        case "flag":
            return bool(fact) is test.value
    if fact is None or isinstance(fact, bool) or not isinstance(fact, int | float):
        return False
    compared: bool = _COMPARE[test.operator](fact, test.value)
    return compared


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ":": lambda fact, value: fact == value,
    "=": lambda fact, value: fact == value,
    "<": lambda fact, value: fact < value,
    ">": lambda fact, value: fact > value,
}
# by operator, and whether it is running text: there `:` means "contains"
_COMPARE_TEXT: Mapping[tuple[str, bool], Callable[[str, Any], bool]] = {
    (":", True): lambda fact, value: value in _folded(fact),
    (":", False): lambda fact, value: _folded(fact) == value or _under(_folded(fact), value),
    ("=", True): lambda fact, value: _folded(fact) == value,
    ("=", False): lambda fact, value: _folded(fact) == value,
    ("~", True): found_in,
    ("~", False): found_in,
}


def _folded(text: str) -> str:
    """As texts are compared: in whatever case, and however their letters are written."""
    return composed(composed(text).casefold())


def _is_person(person: str, value: str, *, whole: bool) -> bool:
    """`person`: `name <address>` or an address. A domain (`@court.example`) and an address are compared as such.

    Anybody can call themselves `clerk@court.example`, and own `court.example.evil.example`.
    """
    address = person.rpartition("<")[2].removesuffix(">")
    if whole:
        return value in (person, address)
    local, at, domain = value.rpartition("@")
    if at and "." in domain:
        return address == value if local else address.rpartition("@")[2] == domain
    return value in (address if at else person)


def _under(fact: str, value: str) -> bool:
    """`kind:email.*` is true of email.triage."""
    return value.endswith(".*") and fact.startswith(value[:-1])


def nearest(name: str, known: Iterable[str]) -> str:
    """Words for an error's end: the known name that was probably meant."""
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _error(message: str, column: int, fix: str | None) -> RuleError:
    return RuleError(message, column=column, param="condition", fix=fix)
