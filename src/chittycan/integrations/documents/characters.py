"""Characters that a person does not see: found and dropped, so that a model reads what the person reads.

Sources: Unicode's Default_Ignorable_Code_Point and Bidi_Control properties, and the tag block
U+E0000–E007F, in which whole instructions can be hidden from the eye.
"""

import re

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]+|[\ufe00-\ufe0f]{2,}"
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_JOINERS = ("\u200c", "\u200d")  # needed by emoji sequences, Persian and Indic scripts
_SELECTORS = "".join(map(chr, range(0xFE00, 0xFE10)))
_IDEOGRAPHS = "\u3400"
_OVERRIDES = "\u202d\u202e"  # show text in another order than it is read


def visible_characters(text: str) -> tuple[str, bool]:
    """`text` without characters that do not show, and whether they hid something.

    A joiner between two non-ASCII characters is spelling and stays. Marks of writing direction, soft
    hyphens and byte order marks are dropped in silence; tag characters, direction overrides and breaks
    inside a Latin word are reported.
    """
    suspicious = False

    def drop(found: re.Match[str]) -> str:
        nonlocal suspicious
        run = found.group()
        before = text[found.start() - 1 : found.start()]
        after = text[found.end() : found.end() + 1]
        if run in _JOINERS and before > "\x7f" and after > "\x7f":
            return run
        suspicious = suspicious or _hides(run, before, after)
        return ""

    shown = _INVISIBLE.sub(drop, text)
    return _CONTROL.sub("", shown), suspicious


def _hides(run: str, before: str, after: str) -> bool:
    if any(char in _OVERRIDES for char in run):
        return True
    # One selects the form of a character; of several each can stand for a byte.
    if run[0] in _SELECTORS and len(run) > 1:
        return True
    if len(run) == 1 and "\U000e0100" <= run <= "\U000e01ef" and before >= _IDEOGRAPHS:
        return False  # of a Japanese name
    # A flag such as Scotland's is a black flag, its letters in tag characters, and a cancel tag.
    if any(char >= "\U000e0000" for char in run) and not (before == "\U0001f3f4" and len(run) <= 8):
        return True
    within_word = before.isascii() and before.isalnum() and after.isascii() and after.isalnum()
    return within_word and any(char != "\u00ad" for char in run)
