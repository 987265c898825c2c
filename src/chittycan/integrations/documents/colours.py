"""Whether text has the colour of its ground: the colours of CSS and HTML, as far as mail and pages use them."""

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

Rgb = tuple[int, int, int]

NEAR = 10  # of 255, in each of red, green and blue: nobody sees the difference
_LINK: Rgb = (0, 0, 238)  # what a link has that is not told otherwise (HTML standard, §15.3.4)
_NAMES: dict[str, Rgb] = {
    "white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240),
    "ghostwhite": (248, 248, 255), "whitesmoke": (245, 245, 245), "floralwhite": (255, 250, 240),
    "red": (255, 0, 0), "blue": (0, 0, 255), "navy": (0, 0, 128), "green": (0, 128, 0), "yellow": (255, 255, 0),
    "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192), "orange": (255, 165, 0),
}  # fmt: skip
_HEX = re.compile(r"#?([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})")
_FUNCTION = re.compile(r"(rgb|hsl)a?\(([^()]*)\)")
_COLOUR = re.compile(r"#[0-9a-f]{3,8}\b|(?:rgb|hsl)a?\([^()]*\)|[a-z]+")


class Paint(Struct, frozen=True):
    """Text and ground at one place; None where nobody can tell. `clear`: the text is transparent."""

    text: Rgb | None = (0, 0, 0)
    ground: Rgb | None = (255, 255, 255)
    clear: bool = False

    @property
    def hides(self) -> bool:
        if self.clear:
            return True
        if self.text is None or self.ground is None:
            return False
        return all(abs(one - other) <= NEAR for one, other in zip(self.text, self.ground, strict=True))


def painted(tag: str, attributes: Mapping[str, str], style: Mapping[str, str], around: Paint) -> Paint:
    """The colours within an element, from those around it."""
    text, ground, clear = around.text, around.ground, around.clear
    if tag == "a" and "href" in attributes:
        text, clear = _LINK, False
    said = style.get("color") or attributes.get({"font": "color", "body": "text"}.get(tag, ""), "").lower()
    if said and said not in ("inherit", "currentcolor"):
        text, clear = colour(said)
    ground_said = style.get("background-color") or style.get("background") or attributes.get("bgcolor", "").lower()
    if "background" in attributes or "(" in _FUNCTION.sub("", style.get("background", "")):
        ground = None  # a picture
    elif ground_said:
        ground = _ground(ground_said, ground)
    elif tag in ("button", "mark", "select", "textarea", "svg"):
        ground = None  # they have one of their own
    same = text == around.text and ground == around.ground and clear == around.clear
    return around if same else Paint(text, ground, clear)


@lru_cache(2048)
def colour(value: str) -> tuple[Rgb | None, bool]:
    """What a colour is, None where it is not known, and whether it is transparent."""
    value = value.strip()
    if value == "transparent":
        return None, True
    if value in _NAMES:
        return _NAMES[value], False
    if found := _HEX.fullmatch(value):
        digits = found[1] if len(found[1]) > 4 else "".join(each * 2 for each in found[1])
        red, green, blue, *alpha = (int(digits[at : at + 2], 16) for at in range(0, len(digits), 2))
        return (red, green, blue), bool(alpha) and alpha[0] < 13
    if found := _FUNCTION.fullmatch(value):
        return _of_function(found[1], re.split(r"[\s,/]+", found[2].strip()))
    return None, False


def _of_function(kind: str, parts: list[str]) -> tuple[Rgb | None, bool]:
    try:
        numbers = [float(each.rstrip("%deg")) for each in parts]
        clear = len(numbers) > 3 and numbers[3] / (100 if parts[3].endswith("%") else 1) < 0.05
        if kind == "hsl":  # only greys: the hue of the others is not needed to know white from white
            light = round(numbers[2] * 2.55)
            grey = numbers[1] == 0 or light in (0, 255)
            return ((light, light, light) if grey else None), clear
        scale = [2.55 if each.endswith("%") else 1 for each in parts]
        red, green, blue = (min(255, max(0, round(numbers[at] * scale[at]))) for at in range(3))
    except (ValueError, IndexError, OverflowError):
        return None, False
    return (red, green, blue), clear


def _ground(value: str, around: Rgb | None) -> Rgb | None:
    """The colour in a `background`, which may say more than that; what is transparent shows what is behind it."""
    for word in _COLOUR.findall(value):
        found, clear = colour(word)
        if clear or word == "none":
            return around
        if found is not None:
            return found
    return around if value in ("inherit", "initial", "unset", "0", "0 0") else None
