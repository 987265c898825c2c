"""Pure: what each name in `${…}` means at a place of a recipe, and whether it may stand there."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from msgspec import Struct

from chittycan.workstreams.expressions import Expression
from chittycan.workstreams.problems import Problems, Where
from chittycan.workstreams.recipe import (
    INPUT_FIELDS,
    ITEMS,
    OF_ALL,
    RESULTS,
    TRUSTED_OF_MAIL,
    Recipe,
    Step,
    every_step,
)

# Where a text stands decides what it may refer to.
#   value      anything
#   condition  nothing that changes meanwhile, so that it is decided the same way after a crash
#   target     where something goes, who is asked: only what the person who started the work gave
#   file       a file or mail among the inputs
#   input      inputs alone
Place = Literal["value", "condition", "target", "file", "input"]

RESERVED = ("inputs", "context", "true", "false", "null", "and", "or", "not", "in", "is", "if", "else", "for", "len",
            "lower", "lambda", "await", "async", "from", "import", "class", "def", "return", "yield", "with", "as",
            "try", "while", "pass", "break", "continue", "del", "global", "nonlocal", "raise", "assert", "except",
            "finally", "elif")  # fmt: skip


class Meaning(Struct, frozen=True, kw_only=True):
    """What a name stands for: a step, or the item of a loop. `input_type` is that of an item from inputs."""

    step: Step | None = None
    trusted: bool = False
    input_type: str | None = None


Known = Mapping[str, Meaning]


class Names:
    """Looks at one expression at a time, and says what is wrong with the names in it."""

    def __init__(self, recipe: Recipe, problems: Problems) -> None:
        self._recipe, self._problems = recipe, problems
        self._steps = {step.id: step for step in every_step(recipe.steps)}
        self._loops = {
            inner.id: step.id
            for step in self._steps.values()
            if step.for_each is not None
            for inner in every_step(step.for_each.steps)
        }

    def look(self, expression: Expression, place: Place, at: Where, known: Known, own: str = "") -> None:
        """`known`: the names that mean something at `at`. `own`: the step whose text it is."""
        for name, keys in expression.references:
            if name == "inputs":
                self._input(keys, place, at)
            elif name == "context":
                self._context(expression, place, at)
            elif name in known:
                self._allowed(name, keys, known[name], place, at)
            else:
                self._missing(name, at, known, own)

    def trusted(self, expression: Expression, known: Known) -> bool:
        """Whether no model and nobody outside had a hand in the value."""
        return all(
            (name == "inputs" and self._type(keys) not in ("mail", "inbox")) or (name in known and known[name].trusted)
            for name, keys in expression.references
        )

    def items(self, expression: Expression, known: Known) -> Meaning:
        """What an item of the list that `expression` gives means."""
        kind = None
        if expression.plain and expression.references[:1] and expression.references[0][0] == "inputs":
            keys = expression.references[0][1]
            kind = ITEMS.get(self._type(keys) or "") if len(keys) == 1 else None
        return Meaning(trusted=kind is not None or self.trusted(expression, known), input_type=kind)

    def _type(self, keys: tuple[Any, ...]) -> str | None:
        given = self._recipe.inputs.get(keys[0]) if keys and isinstance(keys[0], str) else None
        return None if given is None else given.type

    def _input(self, keys: tuple[Any, ...], place: Place, at: Where) -> None:
        inputs = self._recipe.inputs
        if not keys or keys[0] is None:
            if place == "file":
                self._problems.add(at, "`inputs` is no file", "Name one of the inputs: ${inputs.NAME}.")
            return
        if keys[0] not in inputs:
            fix = _fix("Declare it under `inputs:`.", keys[0], list(inputs))
            self._problems.add(at, f"there is no input {str(keys[0])[:40]!r}", fix)
            return
        kind = inputs[keys[0]].type
        if place == "file" and (len(keys) > 1 or kind not in ("file", "folder", "mail", "inbox")):
            fix = "Refer to an input of the type file, folder, mail or inbox as a whole."
            self._problems.add(at, f"inputs.{keys[0]} is {kind}, not a file", fix)
        elif place != "file":
            self._inside(f"inputs.{keys[0]}", kind, keys[1:], place, at)

    def _inside(self, shown: str, kind: str | None, keys: tuple[Any, ...], place: Place, at: Where) -> None:
        """A key of a file or mail."""
        fields = INPUT_FIELDS.get(kind or "")
        if fields is not None and keys and keys[0] is not None and keys[0] not in fields:
            fix = _fix(f"A {kind} has {', '.join(fields)}.", keys[0], fields)
            self._problems.add(at, f"{shown} has no {keys[0]!r}", fix)
        elif place == "target" and kind == "mail" and (not keys or keys[0] not in TRUSTED_OF_MAIL):
            fix = f"Of a mail only {', '.join(TRUSTED_OF_MAIL)} may say where something goes."
            self._problems.add(at, f"{shown} is what a stranger wrote", fix)

    def _context(self, expression: Expression, place: Place, at: Where) -> None:
        if place == "condition":
            fix = "The context may change meanwhile; decide by an input or by a step's result."
            self._problems.add(at, "a condition or list cannot depend on the context", fix)
        elif place != "value":
            self._problems.add(at, "the context is written by models", "Refer to inputs.")
        elif not expression.plain:
            fix = "Write ${context.KEY} alone; what is not there is null."
            self._problems.add(at, "the context can only be named, not calculated with", fix)

    def _allowed(self, name: str, keys: tuple[Any, ...], meaning: Meaning, place: Place, at: Where) -> None:
        if place == "target" and not meaning.trusted:
            fix = "Recipients, addresses and models come from inputs, or are written into the recipe."
            self._problems.add(at, f"{name!r} may be what a model or a stranger wrote", fix)
        elif place == "file" and meaning.input_type is None:
            self._problems.add(at, f"{name!r} is no file", "Refer to an input of the type file, folder or mail.")
        elif meaning.step is not None:
            self._result(name, keys, meaning.step, at)
        else:
            self._inside(name, meaning.input_type, keys, place, at)

    def _result(self, name: str, keys: tuple[Any, ...], step: Step, at: Where) -> None:
        fields = (*RESULTS[step.kind], *OF_ALL)
        if keys and keys[0] is not None and keys[0] not in fields:
            fix = _fix(f"A step of the kind {step.kind} gives {', '.join(fields)}.", keys[0], fields)
            self._problems.add(at, f"{name} has no {str(keys[0])[:40]!r}", fix)
        schema = step.task.schema if step.task is not None else None
        properties = (schema or {}).get("properties")
        if keys[:1] == ("json",) and len(keys) > 1 and isinstance(properties, dict) and keys[1] not in properties:
            fix = _fix("Add it to the schema.", keys[1], list(properties))
            self._problems.add(at, f"the schema of {name} has no {str(keys[1])[:40]!r}", fix)

    def _missing(self, name: str, at: Where, known: Known, own: str) -> None:
        if name == own:
            self._problems.add(at, f"step {name!r} refers to itself", "Refer to a step before it.")
        elif name in self._loops:
            loop = self._loops[name]
            fix = f"Outside of the loop there is ${{{loop}.results}}; say with `collect` what is in it."
            self._problems.add(at, f"step {name!r} runs once for each item of {loop!r}", fix)
        elif name in self._steps:
            line = self._problems.line(_place(self._recipe, name))
            where = "" if line is None else f" (line {line})"
            fix = "Move that step before this one; what runs at the same time cannot be referred to."
            self._problems.add(at, f"step {name!r}{where} is not over when this one starts", fix)
        else:
            fix = _fix("Refer to inputs, context, or a step before this one.", name, ["inputs", "context", *known])
            self._problems.add(at, f"nothing is called {name[:40]!r}", fix)


def _fix(text: str, name: Any, known: Sequence[str]) -> str:
    close = get_close_matches(str(name), known, 1)
    return f"{text} Did you mean {close[0]!r}?" if close else text


def _place(recipe: Recipe, name: str) -> Where:
    return next((at for at, step in placed(recipe.steps, ("steps",)) if step.id == name), ())


def placed(steps: list[Step], at: Where) -> list[tuple[Where, Step]]:
    """All steps with their places in the document."""
    found: list[tuple[Where, Step]] = []
    for index, step in enumerate(steps):
        here = (*at, index)
        found.append((here, step))
        for where, block in inner(step, here):
            found += placed(block, where)
    return found


def inner(step: Step, at: Where) -> list[tuple[Where, list[Step]]]:
    """The lists of steps in a block, with their places."""
    if step.for_each is not None:
        return [((*at, "for_each", "steps"), step.for_each.steps)]
    if step.when is not None:
        return [((*at, "when", "then"), step.when.then), ((*at, "when", "else"), step.when.else_)]
    given = step.steps or step.parallel
    return [((*at, step.kind), given)] if given else []
