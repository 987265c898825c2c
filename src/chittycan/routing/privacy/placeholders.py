"""Placeholders for what is private: `[EMAIL_1]` goes outside in place of a mail address, and is put back in the answer.

They are numbered in the order of appearance, so that a conversation that is sent again gets the same ones. What a text
says already is never used as one, and what a model invents is not known here and stays as it is.
"""

import json
import re
from collections.abc import Iterable, Sequence

from chittycan.routing.privacy.finding import Finding, Kind

REDACTED = "redacted"  # the label of a call that went outside with placeholders; its answer is private again

_FORM = re.compile(r"\[[A-Z_]{2,20}_\d{1,9}\]", re.IGNORECASE | re.ASCII)
_NAMES: dict[Kind, str] = {"crypto": "WALLET"}  # the others are called as they are


class Placeholders:
    """What stands for what, for one request. Never stored, never logged."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """`texts`: all that the request says, so that nothing of it is taken for a placeholder."""
        self._taken = {form.upper() for text in texts if "[" in text for form in _FORM.findall(text)}
        self._originals: dict[str, str] = {}
        self._given: dict[tuple[Kind, str], str] = {}
        self._numbers: dict[Kind, int] = {}
        self._pattern: re.Pattern[str] | None = None

    def __len__(self) -> int:
        return len(self._originals)

    def __repr__(self) -> str:
        return f"Placeholders({len(self)})"

    def hide(self, text: str, found: Sequence[Finding]) -> str:
        """`text` with a placeholder for each finding; they are in its order and do not overlap."""
        pieces: list[str] = []
        done = 0
        for each in found:
            # What was hidden before may stand within what is hidden now.
            pieces += (text[done : each.start], self._for(each.kind, self.restore(text[each.start : each.end])))
            done = each.end
        return "".join((*pieces, text[done:]))

    def restore(self, text: str, *, as_json: bool = False) -> str:
        """`text` with the originals. `as_json`: it is JSON, whose strings they must not break out of."""
        if not self._originals or "[" not in text:
            return text
        if self._pattern is None:
            forms = (re.escape(each).replace("_", r"\\{0,2}_") for each in self._originals)
            self._pattern = re.compile("|".join(forms), re.IGNORECASE | re.ASCII)
        return self._pattern.sub(lambda found: self._original(found[0], as_json), text)

    def unfinished(self, text: str) -> int:
        """How many characters at the end of `text` may be the beginning of a placeholder."""
        begin = text.rfind("[", -_LONGEST)
        if begin < 0:
            return 0
        tail = _plain(text[begin:])
        return len(text) - begin if any(each.startswith(tail) and each != tail for each in self._originals) else 0

    def _original(self, placeholder: str, as_json: bool) -> str:
        original = self._originals[_plain(placeholder)]
        return json.dumps(original, ensure_ascii=False)[1:-1] if as_json else original

    def _for(self, kind: Kind, original: str) -> str:
        given = self._given.get((kind, original))
        if given is None:
            given = self._new(kind)
            self._given[kind, original], self._originals[given], self._pattern = given, original, None
        return given

    def _new(self, kind: Kind) -> str:
        name = _NAMES.get(kind, kind).upper()
        while True:
            self._numbers[kind] = number = self._numbers.get(kind, 0) + 1
            placeholder = f"[{name}_{number}]"
            if placeholder not in self._taken:
                return placeholder


_LONGEST = 40  # characters of a placeholder, with room


def _plain(written: str) -> str:
    """A placeholder as it went out: models change its case, and Markdown has a backslash before an underscore."""
    return written.replace("\\", "").upper()


class Restored:
    """The originals put back into a text that comes in pieces: one that is cut through waits for its end."""

    def __init__(self, placeholders: Placeholders, *, as_json: bool | None = None) -> None:
        """`as_json` None: it is JSON if it begins like an object."""
        self._placeholders, self._as_json, self._held = placeholders, as_json, ""

    def feed(self, text: str) -> str:
        text = self._held + text
        if self._as_json is None and text.strip():
            self._as_json = looks_like_json(text)
        end = len(text) - self._placeholders.unfinished(text)
        self._held = text[end:]
        return self._placeholders.restore(text[:end], as_json=bool(self._as_json))

    def close(self) -> str:
        """What was held back and is no placeholder after all."""
        held, self._held = self._held, ""
        return held


def looks_like_json(text: str) -> bool:
    """Whether an answer is, or begins as, a JSON object."""
    return text.lstrip().startswith("{")
