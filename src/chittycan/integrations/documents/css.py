"""As much CSS as decides whether text shows: inline styles, and plain selectors of `<style>` blocks."""

import re
from collections import defaultdict

Declarations = dict[str, str]

MAX_RULES = 500


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMPOUND = re.compile(r"^([a-zA-Z][\w-]*|\*)?((?:[.#][\w-]+)*)$")
_ZERO = re.compile(r"^[-+]?0*\.?0*(?:px|pt|em|rem|ex|ch|vw|vh|cm|mm|in|pc|%)?$")
_PLAIN_MEDIA = re.compile(r"@media\s+(?:only\s+)?(?:all|screen)", re.IGNORECASE)
_FAR = re.compile(r"^-\d{3,}")
_RELATIVE = re.compile(r"^(?:[\d.]+(?:em|%|ex|ch)|inherit|unset|larger|smaller)$")
# Ancestors in a selector that hold for any mail or page, so that only its last part counts.
_EVERYWHERE = _words("html body * div table tbody tr td p span center")
_RELEVANT = _words(
    "display visibility opacity font font-size color background background-color height max-height width max-width "
    "overflow overflow-y overflow-x text-indent position left top right clip clip-path transform mso-hide"
)


def declarations(block: str) -> Declarations:
    """`name: value` pairs that could hide text, lower case, without `!important`; the last of a name counts."""
    found: Declarations = {}
    for pair in _COMMENT.sub("", block[:20_000]).split(";"):
        name, colon, value = pair.partition(":")
        name = name.strip().lower()
        if colon and name in _RELEVANT:
            found[name] = value.lower().replace("!important", "").strip()
    return found


def hides(style: Declarations) -> bool:
    """Whether an element with these declarations, and all within it, does not show."""
    get = style.get
    if get("display") == "none" or get("visibility") in ("hidden", "collapse") or get("mso-hide") == "all":
        return True
    if _is_zero(get("opacity")) or _colourless(style):
        return True
    clipped = "hidden" in (get("overflow"), get("overflow-x"), get("overflow-y")) or get("overflow") == "clip"
    if clipped and any(_is_zero(get(side)) for side in ("height", "max-height", "width", "max-width")):
        return True
    if _FAR.match(get("text-indent", "")):
        return True
    if get("position") in ("absolute", "fixed"):
        if any(_FAR.match(get(side, "")) for side in ("left", "top", "right")):
            return True
        if re.match(r"rect\(\s*[01](?:px)?[\s,]", get("clip", "")) or get("clip-path", "").startswith("inset(50%"):
            return True
    return re.search(r"scale\(\s*0*\.?0*\s*[,)]", get("transform", "")) is not None


def font_is_gone(style: Declarations, around: bool) -> bool:
    """Whether text has no size here. Unlike `hides` an inner element may undo it, as mail templates do."""
    size = style.get("font-size")
    if size is None:
        return around
    if _is_zero(size) or size in ("1px", "0.1px", "1pt"):
        return True
    return around and _RELATIVE.match(size) is not None


class StyleSheet:
    """The rules of a page's `<style>` blocks that can hide or show an element."""

    def __init__(self) -> None:
        # By one of the names that an element must have: all that it must have, and what it then gets.
        self._rules: dict[str, dict[frozenset[str], Declarations]] = defaultdict(dict)
        self._count = 0

    def add(self, css: str) -> None:
        for selectors, block in _unconditional_rules(_COMMENT.sub("", css.replace("<!--", "").replace("-->", ""))):
            style = declarations(block)
            if not style:
                continue
            for selector in selectors.split(","):
                needs = _last_compound(selector)
                if needs and self._count < MAX_RULES:
                    self._count += 1
                    rules = self._rules[max(needs, key=len)]
                    rules[needs] = {**rules.pop(needs, {}), **style}  # the later rule goes to the end

    def of(self, tag: str, attributes: dict[str, str]) -> Declarations:
        """What the rules declare for an element, later ones over earlier ones."""
        if not self._rules:
            return {}
        names = {tag, *("." + name for name in attributes.get("class", "").lower().split()[:50])}
        if "id" in attributes:
            names.add("#" + attributes["id"].strip().lower())
        merged: Declarations = {}
        for name in names:
            for needs, style in self._rules.get(name, {}).items():
                if needs <= names:
                    merged.update(style)
        return merged


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
            if prelude.startswith("@") and not _PLAIN_MEDIA.fullmatch(prelude) and skipped_from is None:
                skipped_from = depth
        elif brace == "}":
            if skipped_from is None and prelude and not prelude.startswith("@"):
                rules.append((prelude, text))
            prelude = ""
            if skipped_from == depth:
                skipped_from = None
            depth = max(0, depth - 1)
    return rules


def _last_compound(selector: str) -> frozenset[str]:
    """The tag, classes and id that an element must have, or nothing where the selector says more than that."""
    *ancestors, last = selector.replace(">", " ").lower().split() or [""]
    compound = _COMPOUND.match(last)
    if compound is None or any(name not in _EVERYWHERE for name in ancestors):
        return frozenset()
    tag, rest = compound.groups()
    needs = set(re.findall(r"[.#][\w-]+", rest))
    if tag and tag != "*":
        needs.add(tag)
    return frozenset(needs)


def _is_zero(value: str | None) -> bool:
    return value is not None and any(char == "0" for char in value) and _ZERO.match(value) is not None


def _colourless(style: Declarations) -> bool:
    colour = style.get("color")
    if colour is None:
        return False
    ground = style.get("background-color") or style.get("background")
    return colour == "transparent" or (ground is not None and _colour(colour) == _colour(ground))


def _colour(value: str) -> str:
    value = {"white": "#ffffff", "black": "#000000"}.get(value, value.replace(" ", ""))
    return "#" + "".join(char * 2 for char in value[1:]) if re.fullmatch(r"#[0-9a-f]{3}", value) else value
