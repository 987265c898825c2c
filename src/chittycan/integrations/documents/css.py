"""As much CSS as decides whether text shows: inline styles, and the usual selectors of `<style>` blocks.

Not understood, and taken for what shows: pseudo-classes (`:nth-child(2)`), siblings (`a + b`), variables, positions
that put one element over another.
"""

import re
from collections import defaultdict
from collections.abc import Mapping

from msgspec import Struct

# By name; what is `!important` stands under "!" and the name.
Declarations = dict[str, str]

MAX_RULES = 500
MAX_LOOKS = 400_000  # at rules, over the page


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|([^\n]))")
_COMPOUND = re.compile(r"([a-zA-Z][\w-]*|\*)?((?:[.#][\w-]+|\[[^\[\]]{1,200}\])*)")
_SIMPLE = re.compile(r"[.#][\w-]+|\[[^\[\]]{1,200}\]")
_TEST = re.compile(r"""\[\s*([\w-]+)\s*(?:([~|^$*]?)=\s*["']?([^"'\]]*?)["']?\s*[is]?\s*)?\]""")
_IS = re.compile(r":(?:is|where|matches|-webkit-any|-moz-any)\(([^(),]*)\)")
# Nothing is looked at twice (`*+`, `++`): a number may have thousands of digits.
_ZERO = re.compile(r"^[-+]?0*+(?:\.0*+)?(?:px|pt|em|rem|ex|ch|vw|vh|cm|mm|in|pc|%)?$")
_DECIMAL = r"(?:\d++(?:\.\d++)?|\.\d++)"
_NUMBER = re.compile(rf"^[-+]?({_DECIMAL})([a-z%]*)")
_FONT_SIZE = re.compile(rf"(?:^|\s)({_DECIMAL}(?:px|pt|em|rem|ex|ch|%)|0)(?=[\s/]|$)")
_NO_SCALE = re.compile(r"scale\(\s*+0*+(?:\.0*+)?\s*+[,)]")
_PLAIN_MEDIA = re.compile(r"@media\s+(?:only\s+)?(?:all|screen)", re.IGNORECASE)
# Groups that hold in any program of today, and on any screen.
_HOLDS = re.compile(
    rf"@(?:supports\b(?!.*\bnot\b)|layer\b|media\b[^,]*\(\s*min-(?:device-)?width\s*:\s*({_DECIMAL})\w*\s*\)$)",
    re.IGNORECASE,
)
_NARROW = 320  # pixels, of the smallest screen
_FAR = re.compile(r"^-\d{3,}")
_VERY_FAR = re.compile(r"-(?:\d{4,}|\d{3,}(?:em|rem|vw|vh))")
_OUT = re.compile(r"^(?:[1-9]\d{2,}%|\d{4,}px)")
_RELATIVE = re.compile(r"^(?:[\d.]+(?:em|%|ex|ch)|inherit|unset|larger|smaller)$")
_NO_SIZE = {"px": 2.0, "pt": 1.5, "em": 0.15, "rem": 0.15, "%": 10.0}  # at most: nobody can read it
# Elements that stand around any mail or page, so that selectors may ask for them.
_EVERYWHERE = _words("html body div table tbody tr td p span center")
_RELEVANT = _words(
    "display visibility opacity font font-size color background background-color height max-height width max-width "
    "overflow overflow-y overflow-x text-indent position left top right clip clip-path transform mso-hide line-height "
    "margin-left margin-top content-visibility"
)


def declarations(block: str) -> Declarations:
    """`name: value` pairs that could hide text, lower case; the last of a name counts."""
    found: Declarations = {}
    for pair in _COMMENT.sub("", block[:20_000]).split(";"):
        name, colon, value = unescaped(pair).partition(":")
        name, value = name.strip().lower(), value.lower().strip()
        if not colon or name not in _RELEVANT:
            continue
        if value.endswith("important") and "!" in value:
            name, value = f"!{name}", value.rpartition("!")[0].strip()
        if name.endswith("font") and (size := _FONT_SIZE.search(value)):
            name, value = f"{name}-size", size[1]
        found[name] = value
    return found


def unescaped(css: str) -> str:
    """`css` without the escapes of CSS Syntax 3, §4.3.7: `n\6fne` is `none`."""
    return _ESCAPE.sub(_escaped, css) if "\\" in css else css


def _escaped(found: re.Match[str]) -> str:
    return chr(min(int(found[1], 16), 0x10FFFF)) if found[1] else found[2]


def cascade(*styles: Declarations) -> Declarations:
    """What holds of several, each stronger than the one before, and what is important stronger than all."""
    merged = {name: value for style in styles for name, value in style.items()}
    return {**merged, **{name[1:]: value for name, value in merged.items() if name.startswith("!")}}


def hides(style: Mapping[str, str]) -> bool:
    """Whether an element with these declarations, and all within it, does not show."""
    get = style.get
    if get("display") == "none" or get("visibility") in ("hidden", "collapse") or get("mso-hide") == "all":
        return True
    if _at_most(get("opacity"), {"": 0.05}) or get("content-visibility") == "hidden":
        return True
    clipped = "hidden" in (get("overflow"), get("overflow-x"), get("overflow-y")) or get("overflow") == "clip"
    if clipped and (
        any(_at_most(get(side), {"px": 1.0, "": 0.0}) for side in ("height", "max-height", "width", "max-width"))
        or _is_zero(get("line-height"))
        or _OUT.match(get("text-indent", ""))
    ):
        return True
    if _FAR.match(get("text-indent", "")):
        return True
    if any(_VERY_FAR.match(get(side, "")) for side in ("margin-left", "margin-top")):
        return True
    if get("position") in ("absolute", "fixed"):
        if any(_FAR.match(get(side, "")) for side in ("left", "top", "right")):
            return True
        if re.match(r"rect\(\s*[01](?:px)?[\s,]", get("clip", "")) or get("clip-path", "").startswith("inset(50%"):
            return True
    moved = get("transform", "")
    if "translate" in moved and _VERY_FAR.search(moved):
        return True
    return _NO_SCALE.search(moved) is not None


def font_is_gone(style: Mapping[str, str], around: bool) -> bool:
    """Whether text has no size here. Unlike `hides` an inner element may undo it, as mail templates do."""
    size = style.get("font-size")
    if size is None:
        return around
    if _is_zero(size) or _at_most(size, _NO_SIZE):
        return True
    return around and _RELATIVE.match(size) is not None


class _Rule(Struct, frozen=True):
    needs: frozenset[str]  # the names that an element must have
    tests: tuple[tuple[str, str, str], ...]  # and attributes: name, operator, value
    within: tuple[frozenset[str], ...]  # the names of elements around it
    style: Declarations


class StyleSheet:
    """The rules of a page's `<style>` blocks that can hide or show an element."""

    def __init__(self) -> None:
        # By one of the names that an element must have, "*" where it may be any; in the order of the page.
        self._rules: dict[str, list[tuple[int, _Rule]]] = defaultdict(list)
        self._asked: set[str] = set()  # names that some rule asks for
        self._alike: dict[frozenset[str], _Alike] = {}
        self._count = 0
        self._looks = 0
        self.exhausted = False  # no page has so much to look at: what its rules hide is not known
        self.more_grounds = False  # a rule that was not understood paints the ground of some element

    @property
    def empty(self) -> bool:
        return not self._rules

    def add(self, css: str) -> None:
        for selectors, block in _unconditional_rules(_COMMENT.sub("", css.replace("<!--", "").replace("-->", ""))):
            style = declarations(block)
            if not style:
                continue
            for selector in selectors.split(","):
                rule = _rule(selector, style)
                if rule is None or self._count >= MAX_RULES:
                    self.more_grounds = self.more_grounds or any("background" in name for name in style)
                    continue
                self._count += 1
                self._rules[max(rule.needs, key=len, default="*")].append((self._count, rule))
                self._asked |= rule.needs
        self._alike.clear()

    def of(self, tag: str, attributes: Mapping[str, str], around: Mapping[str, int] | None = None) -> Declarations:
        """What the rules declare for an element, later ones over earlier ones.

        `around`: how often each name (`names`) occurs among the elements around it; which of them is within which is
        not asked.
        """
        if self._looks > MAX_LOOKS:
            self.exhausted = True
            self._rules.clear()
        if not self._rules:
            return {}
        alike, around = self._of_names(frozenset(names(tag, attributes) & self._asked)), around or {}
        self._looks += len(alike.others)
        more = [(place, rule.style) for place, rule in alike.others if _holds_for(rule, attributes, around)]
        if not more:
            return alike.style
        self._looks += len(alike.found)
        return _merged([*alike.found, *more])

    def _of_names(self, own: frozenset[str]) -> "_Alike":
        """Pages repeat themselves: most elements are called like one before them."""
        if (known := self._alike.get(own)) is not None:
            return known
        candidates = [each for name in (*own, "*") for each in self._rules.get(name, ())]
        self._looks += len(candidates)
        fitting = [each for each in candidates if each[1].needs <= own]
        found = [(place, rule.style) for place, rule in fitting if not (rule.tests or rule.within)]
        alike = _Alike(_merged(found), found, [each for each in fitting if each[1].tests or each[1].within])
        self._alike[own] = alike
        return alike


class _Alike(Struct):
    """What holds for elements that are called alike: the same for all, and rules that ask for more."""

    style: Declarations
    found: list[tuple[int, Declarations]]  # place in the page, and style
    others: list[tuple[int, _Rule]]


def _merged(found: list[tuple[int, Declarations]]) -> Declarations:
    return {name: value for _, style in sorted(found, key=lambda one: one[0]) for name, value in style.items()}


def _holds_for(rule: _Rule, attributes: Mapping[str, str], around: Mapping[str, int]) -> bool:
    return all(_passes(attributes, *test) for test in rule.tests) and all(
        around.get(each, 0) > 0 for names in rule.within for each in names
    )


def names(tag: str, attributes: Mapping[str, str]) -> set[str]:
    """What selectors call an element by: its tag, its classes (`.a`) and its id (`#x`)."""
    own = {tag, *("." + name for name in attributes.get("class", "").lower().split()[:50])}
    if "id" in attributes:
        own.add("#" + attributes["id"].strip().lower())
    return own


def _passes(attributes: Mapping[str, str], name: str, operator: str, wanted: str) -> bool:
    if name not in attributes:
        return False
    value = attributes[name].lower()
    if operator == "~":
        return wanted in value.split()
    if operator == "|":
        return value == wanted or value.startswith(f"{wanted}-")
    if operator == "=":
        return value == wanted
    return {"^": value.startswith, "$": value.endswith, "*": value.__contains__}[operator](wanted) if operator else True


def _unconditional_rules(css: str) -> list[tuple[str, str]]:
    """(selectors, block) of each rule; those in `@media` with a condition, or any other at-rule, are left out.

    A newsletter hides its desktop part by `@media (max-width: 600px)`: what counts is the page as it stands.
    """
    rules: list[tuple[str, str]] = []
    depth = 0
    skipped_from: int | None = None  # the depth of the outermost group that is left out
    prelude = ""
    for piece in re.finditer(r"([^{}]*)([{}]|\Z)", css):
        text, brace = piece.groups()
        if brace == "{":
            prelude = text.rpartition(";")[2].strip()
            depth += 1
            if prelude.startswith("@") and not _holds(prelude) and skipped_from is None:
                skipped_from = depth
        elif brace == "}":
            if skipped_from is None and prelude and not prelude.startswith("@"):
                rules.append((prelude, text))
            prelude = ""
            if skipped_from == depth:
                skipped_from = None
            depth = max(0, depth - 1)
    return rules


def _holds(group: str) -> bool:
    if _PLAIN_MEDIA.fullmatch(group):
        return True
    found = _HOLDS.match(group)
    return found is not None and (found[1] is None or float(found[1]) <= _NARROW)


def _rule(selector: str, style: Declarations) -> _Rule | None:
    """None where the selector says more than is understood."""
    *around, last = _IS.sub(r"\1", unescaped(selector)).replace(">", " ").lower().split() or [""]
    own = _compound(last)
    outer = [_compound(each) for each in around]
    if own is None or any(each is None or each[1] for each in outer):
        return None
    within = tuple(each[0] - _EVERYWHERE for each in outer if each is not None)
    return _Rule(*own, within, style)


def _compound(text: str) -> tuple[frozenset[str], tuple[tuple[str, str, str], ...]] | None:
    """The names and tests of `p.a[title=x]`; None where it is more."""
    found = _COMPOUND.fullmatch(text)
    if found is None or not text:
        return None
    tag, rest = found.groups()
    needs = {tag} if tag and tag != "*" else set()
    tests = []
    for each in _SIMPLE.findall(rest):
        if each[0] != "[":
            needs.add(each)
        elif test := _TEST.fullmatch(each):
            tests.append((test[1], "" if test[3] is None else test[2] or "=", test[3] or ""))
        else:
            return None
    return frozenset(needs), tuple(tests)


def _is_zero(value: str | None) -> bool:
    return value is not None and any(char == "0" for char in value) and _ZERO.match(value) is not None


def _at_most(value: str | None, most: dict[str, float]) -> bool:
    """Whether a length is zero or no more than is given for its unit."""
    if value is None:
        return False
    number = _NUMBER.fullmatch(value)
    return _is_zero(value) or (number is not None and number[2] in most and float(number[1]) <= most[number[2]])
