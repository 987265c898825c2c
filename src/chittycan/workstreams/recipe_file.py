"""Recipes from files: YAML with the line of every key, JSON, and Python files that the person names.

YAML as its 1.2 core schema reads it: only true and false are booleans, 12:30 is text, and so are dates.
"""

import math
import re
import runpy
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from traceback import extract_tb
from typing import Any

from chittycan.errors import ConfigError, NotFound, Unavailable
from chittycan.workstreams.expressions import nearest
from chittycan.workstreams.problems import Problem, Problems, Where, as_error
from chittycan.workstreams.recipe import Recipe
from chittycan.workstreams.recipe_document import read
from chittycan.workstreams.validate import validate

LARGEST = 262_144  # characters of a recipe
MOST_NODES = 50_000  # after aliases are written out

_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None}
_WORDS |= {case: value for word, value in (("null", None), ("true", True), ("false", False))
           for case in (word, word.title(), word.upper())}  # fmt: skip


def check(text: str, path: str = "recipe") -> tuple[Recipe | None, list[Problem]]:
    """The recipe in a YAML or JSON text, None where it cannot be read; and all that is wrong with it, by line."""
    problems = Problems()
    document = _document(text, path, problems)
    recipe = None if problems.errors else read(document, problems)
    if recipe is not None:
        problems.found += validate(recipe, problems.lines)
    return recipe, problems.sorted()


def parse(text: str, path: str = "recipe") -> Recipe:
    """The recipe in a YAML or JSON text. Raises ConfigError with file, line, what is wrong, and the fix."""
    recipe, problems = check(text, path)
    if recipe is None or any(each.level == "error" for each in problems):
        raise as_error(problems, path)
    return recipe


def load(recipe: Recipe | Mapping[str, Any] | Path | str, base: Path | None) -> Recipe:
    """The recipe that somebody names: one of ours by its name, a file, a text, a document, or a `Recipe` itself.

    Relative paths start from `base`; with None no file is read. Raises NotFound, and ConfigError for a wrong recipe.
    """
    match recipe:
        case Recipe():
            return _checked(recipe, Problems())
        case Mapping():
            problems = Problems()
            found = read(recipe, problems)
            if found is None:
                raise as_error(problems.found, "recipe")
            return _checked(found, problems)
        case str() if "\n" in recipe or recipe.lstrip().startswith("{"):
            return parse(recipe)
        case str() if recipe in shipped():
            return parse(shipped_text(recipe), recipe)
    if base is None:
        raise NotFound(f"no recipe {str(recipe)[:80]!r}{nearest(str(recipe), shipped())}", param="recipe",
                       fix=f"Send the text of one, or name one of ours: {', '.join(shipped())}.")  # fmt: skip
    return load_file(base / Path(recipe).expanduser())


def problems_of(named: str) -> list[Problem]:
    """All that is wrong with a recipe's file, or one of ours. Raises NotFound, and ConfigError for a program's own."""
    path = Path(named).expanduser()
    if path.suffix == ".py":
        return validate(load_file(path))
    return check(shipped_text(named) if named in shipped() else read_text(path), named)[1]


def _checked(recipe: Recipe, problems: Problems) -> Recipe:
    problems.found += validate(recipe)
    if problems.errors:
        raise as_error(problems.found, recipe.name)
    return recipe


def load_file(path: Path) -> Recipe:
    """The recipe in a file. A `.py` file is run: it sets `recipe = Recipe(...)`; name only files you trust.

    Raises NotFound without such a file, ConfigError where the recipe is wrong.
    """
    if path.suffix == ".py":
        return _python(path)
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a recipe's file. Raises NotFound, ConfigError."""
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        fix = f"Give the path of a recipe, or the name of one of ours: {', '.join(shipped())}."
        raise NotFound(f"no recipe at {path}{nearest(str(path), shipped())}", fix=fix) from None
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8 text", file=str(path), fix="Save the file as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path), fix="Name a file that you may read.") \
            from None  # fmt: skip


def shipped() -> list[str]:
    """The names of the recipes that come along."""
    folder = files("chittycan") / "recipes"
    return sorted(each.name.removesuffix(".yaml") for each in folder.iterdir() if each.name.endswith(".yaml"))


def shipped_text(name: str) -> str:
    """The text of a recipe that comes along. Raises NotFound."""
    if name not in shipped():
        raise NotFound(f"no recipe {name[:80]!r}{nearest(name, shipped())}", fix="Name one of them, or a file.")
    return (files("chittycan") / "recipes" / f"{name}.yaml").read_text("utf-8")


def _python(path: Path) -> Recipe:
    if not path.is_file():
        raise NotFound(f"no recipe at {path}", fix="Give the path of a recipe.")
    try:
        made = runpy.run_path(str(path), run_name="recipe").get("recipe")
    except Exception as error:
        line = next((frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)), None)
        what = f"the program failed: {type(error).__name__}: {error}"
        raise ConfigError(what, file=str(path), line=line, fix="Correct the program.") from error
    if not isinstance(made, Recipe):
        fix = "End it with `recipe = Recipe(...)`, from chittycan.workstreams.recipe."
        raise ConfigError("it sets no `recipe`", file=str(path), fix=fix)
    problems = validate(made)
    if any(each.level == "error" for each in problems):
        raise as_error(problems, str(path))
    return made


def _document(text: str, path: str, problems: Problems) -> Any:
    """The JSON value in a YAML text, with its lines; what cannot be one goes to `problems`."""
    try:
        import yaml
    except ImportError:
        fix = "pip install 'chittycan[workstreams]'"
        raise Unavailable("recipes need the extra `workstreams`, which is not installed", fix=fix) from None
    if len(text) > LARGEST:
        problems.add((), f"the recipe is longer than {LARGEST:,} characters", "Split it, or pass data as inputs.")
        return None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        problems.lines = {} if mark is None else {(): mark.line + 1}
        problems.add(
            (), f"broken YAML: {what}", "Correct the text near this line; texts with : # ? or ${…} in {…} need quotes."
        )
        return None
    except RecursionError:
        problems.add((), "nested too deeply", "Take some levels out.")
        return None
    builder = _Builder(problems)
    return {} if node is None else builder.value(node, ())


class _Builder:
    """From YAML's nodes to JSON values."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._lines: dict[Where, int] = {(): 1}
        problems.lines = self._lines
        self._around: list[Any] = []

    def value(self, node: Any, at: Where) -> Any:
        self._lines.setdefault(at, node.start_mark.line + 1)
        if node in self._around or len(self._around) > 100 or len(self._lines) > MOST_NODES:
            self._problems.add(at, "aliases make it endless or too large", "Write the value out.")
            return None
        self._around.append(node)
        try:
            if node.id == "mapping":
                return self._mapping(node, at)
            if node.id == "sequence":
                return [self.value(each, (*at, index)) for index, each in enumerate(node.value)]
            return node.value if node.style else self._plain(node.value)
        finally:
            self._around.pop()

    def _mapping(self, node: Any, at: Where) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, entry in node.value:
            name = key.value
            line = key.start_mark.line + 1
            if not isinstance(name, str):
                self._problems.add(at, "a key must be text", "Write `key: value`; put ${…} into quotes.")
                continue
            if name in made:
                self._lines[(*at, name)] = line
                self._problems.add((*at, name), f"the key {name[:40]!r} is written twice", "Delete one of them.")
                continue
            self._lines[(*at, name)] = line
            made[name] = self.value(entry, (*at, name))
        return made

    def _plain(self, text: str) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if _WHOLE.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) and math.isfinite(float(text)) else text
