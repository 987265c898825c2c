"""What is wrong with a recipe: the line, what, and the fix. All of it at once, so that one look corrects it."""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from chittycan.errors import ConfigError

Where = tuple[str | int, ...]  # keys and list indices from the top of the document
Lines = Mapping[Where, int]  # of a document: on which line each of its places stands, from 1


class Problem(Struct, frozen=True, kw_only=True, order=True):
    """One finding. `line` is None for a recipe without a text; `where` is like `steps[2].task.prompt`.

    A warning does not keep the recipe from running.
    """

    line: int | None
    where: str
    what: str
    fix: str
    level: Literal["error", "warning"] = "error"


class Problems:
    """Collects findings about one document."""

    def __init__(self, lines: Lines | None = None) -> None:
        self.found: list[Problem] = []
        self.lines = lines or {}

    def add(self, at: Where, what: str, fix: str, level: Literal["error", "warning"] = "error") -> None:
        self.found.append(Problem(line=self.line(at), where=shown(at), what=what, fix=fix, level=level))

    def line(self, at: Where) -> int | None:
        """The line of a place, or of the nearest around it."""
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at)

    @property
    def errors(self) -> list[Problem]:
        return [each for each in self.found if each.level == "error"]

    def sorted(self) -> list[Problem]:
        return sorted(dict.fromkeys(self.found), key=lambda each: each.line or 0)


def shown(at: Where) -> str:
    """A place as people write it: `steps[2].task.prompt`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in at)
    return text.removeprefix(".")


def as_error(problems: Iterable[Problem], file: str) -> ConfigError:
    """One error that names the first place and says all."""
    errors = [each for each in problems if each.level == "error"]
    first, rest = errors[0], errors[1:]
    more = "".join(f"\n{file}{'' if each.line is None else f':{each.line}'}: {each.where}: {each.what}. {each.fix}"
                   for each in rest)  # fmt: skip
    fix = first.fix + (f"\nAlso:{more}" if rest else "")
    return ConfigError(first.what, file=file, key=first.where or None, line=first.line, fix=fix)
