"""Pure: all that is wrong with a recipe before it runs: names, expressions, times, what does not go together."""

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from chittycan import catalogue
from chittycan.workstreams import cron, values
from chittycan.workstreams.durations import moment, seconds
from chittycan.workstreams.expressions import Expression, ExpressionError
from chittycan.workstreams.inputs import InputError, converted
from chittycan.workstreams.names import RESERVED, Known, Meaning, Names, Place, inner, placed
from chittycan.workstreams.problems import Lines, Problem, Problems, Where
from chittycan.workstreams.recipe import BLOCKS, Ensemble, Recipe, Step, Wait
from chittycan.workstreams.start import AS_WRITTEN

# What each kind of work takes from the step around it; id, title and on_failure are for all.
ASKING = ("model", "assignment", "policy")
TAKES: Mapping[str, tuple[str, ...]] = {
    "task": (*ASKING, "budget_usd", "deadline", "retries", "store"),
    "ensemble": ("budget_usd", "deadline", "retries", "store"),
    "agent": (*ASKING, "budget_usd", "deadline", "retries", "store"),
    "approval": ("store",),
    "wait": ("deadline", "store"),
    "call": ("deadline", "retries", "store"),
    "send": ("deadline", "retries", "store"),
    **dict.fromkeys(BLOCKS, ()),
}
INSTEAD = {
    ("ensemble", "model"): "Name the models under `ensemble:`.",
    ("approval", "deadline"): "Use `timeout` and `on_timeout` of the approval.",
}
PLACES: Mapping[tuple[str, str], Place] = {
    ("task", "files"): "file",
    ("ensemble", "files"): "file",
    ("agent", "mail"): "file",
    ("agent", "file"): "file",
    **{("ensemble", each): "target" for each in ("name", "models", "strong", "judge")},
    **{("call", each): "target" for each in ("url", "headers")},
    **{("send", each): "target" for each in ("to", "in_reply_to")},
}
DURATIONS = (("ensemble", "timeout"), ("approval", "timeout"), ("wait", "for"))
AGENT_TAKES = {
    "triage": ("mail",),
    "priority": ("mail", "triage"),
    "response": ("mail", "triage", "priority", "template"),
    "document": ("mail", "file", "attachment"),
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def validate(recipe: Recipe, lines: Lines | None = None) -> list[Problem]:
    """Every problem of `recipe`, in the order of its lines. `lines`: of the text it was read from."""
    problems = Problems(lines)
    _Check(recipe, problems).all()
    return problems.sorted()


class _Check:
    def __init__(self, recipe: Recipe, problems: Problems) -> None:
        self._recipe, self._problems = recipe, problems
        self._names = Names(recipe, problems)

    def all(self) -> None:
        recipe = self._recipe
        self._inputs()
        self._ids()
        self._duration(recipe.deadline, ("deadline",))
        if recipe.session is not None:
            self._text(recipe.session, "input", ("session",), {})
        self._schedule()
        known = self._sequence(recipe.steps, ("steps",), {})
        self._value(recipe.outputs, "value", ("outputs",), known)

    # what stands at the top

    def _inputs(self) -> None:
        for name, given in self._recipe.inputs.items():
            at = ("inputs", name)
            if not _NAME.fullmatch(name):
                self._problems.add(at, f"{name[:40]!r} cannot be a name", "Use small letters, digits and _.")
            if given.default is not None:
                try:
                    converted(given, given.default)
                except InputError as error:
                    self._problems.add((*at, "default"), str(error), f"Give a default of the type {given.type}.")
            elif self._recipe.schedule is not None and given.required:
                fix = "Give it a default, or write `required: false`."
                self._problems.add(at, "a schedule has nobody who could give this input", fix)

    def _ids(self) -> None:
        first: dict[str, Where] = {}
        for at, step in placed(self._recipe.steps, ("steps",)):
            if step.id in first:
                line = self._problems.line(first[step.id])
                where = "" if line is None else f" (first in line {line})"
                self._problems.add((*at, "id"), f"two steps are called {step.id!r}{where}", "Give each its own id.")
            first.setdefault(step.id, at)
            self._name(step.id, (*at, "id"))

    def _name(self, name: str, at: Where) -> None:
        if name in RESERVED:
            self._problems.add(at, f"{name!r} has a meaning of its own", "Use another name.")
        elif not _NAME.fullmatch(name):
            fix = "Use small letters, digits and _, with a letter first."
            self._problems.add(at, f"{name[:40]!r} cannot be a name", fix)

    def _schedule(self) -> None:
        schedule = self._recipe.schedule
        if schedule is None:
            return
        try:
            ZoneInfo(schedule.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            fix = 'Write it like "Europe/Vienna", or "UTC".'
            self._problems.add(("schedule", "timezone"), f"no time zone {schedule.timezone[:40]!r}", fix)
        try:
            cron.parse(schedule.cron)
        except ValueError as error:
            fix = 'Write minute, hour, day, month and weekday, like "0 7 * * 1-5".'
            self._problems.add(("schedule", "cron"), str(error), fix)

    # steps

    def _sequence(self, steps: list[Step], at: Where, known: Known) -> dict[str, Meaning]:
        """Each step with what is known before it; gives what is known after all."""
        after = dict(known)
        for index, step in enumerate(steps):
            after |= self._step(step, (*at, index), after)
        return after

    def _step(self, step: Step, at: Where, known: Known) -> dict[str, Meaning]:
        """The names that mean something once this step is over."""
        made = {step.id: Meaning(step=step)}
        self._common(step, at, known)
        if step.for_each is not None:
            self._loop(step, at, known)
        elif step.kind in BLOCKS:
            made |= self._block(step, at, known)
        else:
            self._work(step, at, known)
        return made

    def _block(self, step: Step, at: Where, known: Known) -> dict[str, Meaning]:
        made: dict[str, Meaning] = {}
        if step.when is not None:
            self._expression(step.when.if_, (*at, "when", "if"), known, step.id)
        if not any(step.blocks):
            self._problems.add((*at, step.kind), "the block is empty", "Put steps into it, or delete it.")
        for where, block in inner(step, at):
            if step.parallel is None:
                made |= self._sequence(block, where, known)
            else:
                for index, each in enumerate(block):
                    made |= self._step(each, (*where, index), known)
        return made

    def _loop(self, step: Step, at: Where, known: Known) -> None:
        loop = step.for_each
        assert loop is not None
        here = (*at, "for_each")
        self._name(loop.as_, (*here, "as"))
        if loop.as_ in known or loop.as_ in {each.id for _, each in placed(self._recipe.steps, ())}:
            self._problems.add((*here, "as"), f"{loop.as_!r} is the name of something else", "Use another name.")
        item = Meaning(trusted=not isinstance(loop.in_, str))
        if isinstance(loop.in_, str):
            found = self._text(loop.in_, "condition", (*here, "in"), known, step.id)
            if len(found) != 1 or "${" not in loop.in_:
                self._problems.add((*here, "in"), "this is text, not a list", "Write one ${…}, or a list.")
            else:
                item = self._names.items(found[0], known)
        else:
            if not isinstance(loop.in_, list):
                self._problems.add((*here, "in"), "a list is needed", "Write one ${…}, or a list.")
            self._value(loop.in_, "condition", (*here, "in"), known, step.id)
            item = Meaning(trusted=not any("${" in text for _, text in values.texts(loop.in_)))
        inside = self._sequence(loop.steps, (*here, "steps"), {**known, loop.as_: item})
        self._value(loop.collect, "value", (*here, "collect"), inside)

    def _common(self, step: Step, at: Where, known: Known) -> None:
        takes = TAKES[step.kind]
        for name in TAKES["task"]:
            given = getattr(step, name)
            if given not in (None, 0) and name not in takes:
                fix = INSTEAD.get((step.kind, name), f"Delete it, or write it at the steps inside of `{step.kind}`."
                                  if step.kind in BLOCKS else "Delete it.")  # fmt: skip
                self._problems.add((*at, name), f"{name!r} has no meaning for the kind {step.kind}", fix)
        asked = [name for name in ASKING if getattr(step, name) is not None]
        if len(asked) > 1:
            self._problems.add((*at, asked[1]), f"who answers is said twice: {', '.join(asked)}", "Keep one of them.")
        for name in ("model", "policy"):
            if (given := getattr(step, name)) is not None:
                self._text(given, "target", (*at, name), known, step.id)
        self._duration(step.deadline, (*at, "deadline"))

    def _work(self, step: Step, at: Where, known: Known) -> None:
        here = (*at, step.kind)
        for each in msgspec.structs.fields(type(step.work)):
            if each.encode_name not in AS_WRITTEN:
                given = msgspec.to_builtins(getattr(step.work, each.name))
                place = PLACES.get((step.kind, each.encode_name), "value")
                where = (*here, each.encode_name)
                self._value(given, place, where, known, step.id)
                if (step.kind, each.encode_name) in DURATIONS and isinstance(given, str) and "${" not in given:
                    self._duration(given, where)
        if step.wait is not None:
            self._wait(step.wait, here)
        elif step.agent is not None:
            self._agent(step, here)
        elif step.ensemble is not None:
            self._ensemble(step.ensemble, here)
        elif step.approval is not None and step.approval.timeout is None and step.approval.on_timeout != "reject":
            self._problems.add((*here, "on_timeout"), "there is no timeout", "Add `timeout:`.")
        elif step.send is not None:
            self._send(step, here, known)

    def _wait(self, wait: Wait, at: Where) -> None:
        given = [name for name in ("until", "for", "event") if getattr(wait, "for_" if name == "for" else name)]
        given += ["webhook"] * wait.webhook
        if len(given) != 1:
            what = f"it waits for {' and '.join(given)}" if given else "it waits for nothing"
            self._problems.add(at, what, "Give exactly one of: until, for, event, webhook.")
        if wait.until is not None and "${" not in wait.until:
            try:
                moment(wait.until)
            except ValueError as error:
                self._problems.add((*at, "until"), *_split(error))

    def _agent(self, step: Step, at: Where) -> None:
        agent = step.agent
        assert agent is not None
        takes = AGENT_TAKES[agent.name]
        for name in ("mail", "file", "attachment", "triage", "priority", "template"):
            if getattr(agent, name) is not None and name not in takes:
                self._problems.add((*at, name), f"{agent.name} takes no {name!r}", f"It takes: {', '.join(takes)}.")
        sources = [name for name in ("mail", "file") if name in takes]
        if len([name for name in sources if getattr(agent, name) is not None]) != 1:
            fix = f"Add `{' or '.join(f'{name}: ${{inputs.…}}' for name in sources)}`, and no more than one."
            self._problems.add(at, f"what {agent.name} is to read is not said", fix)

    def _ensemble(self, ensemble: Ensemble, at: Where) -> None:
        if (ensemble.name is None) == (not ensemble.models):
            fix = "Give `models:`, or the `name:` of an ensemble in models.json."
            self._problems.add(at, "who takes part is not said, or twice", fix)
        if not ensemble.models or any("${" in name for name in ensemble.models):
            return
        given = {
            name: getattr(ensemble, name)
            for name in ("extract", "mode", "tolerance", "quorum", "strong", "judge")
            if getattr(ensemble, name) is not None
        }
        fault = catalogue.Ensemble(models=tuple(ensemble.models), weights=ensemble.weights, **given).fault()
        if fault is not None:
            field, why = fault
            self._problems.add((*at, *field.split(".")), why, "Correct the ensemble.")

    def _send(self, step: Step, at: Where, known: Known) -> None:
        assert step.send is not None
        approved = any(each.step is not None and each.step.approval is not None for each in known.values())
        parts = [part for text in (step.send.subject, step.send.body) for part in self._parsed(text)]
        if not approved and not all(self._names.trusted(part, known) for part in parts):
            fix = "Put an `approval:` before it, unless the recipients are your own."
            self._problems.add(at, "what a model wrote goes out without anybody's approval", fix, "warning")

    # texts

    def _value(self, value: Any, place: Place, at: Where, known: Known, own: str = "") -> None:
        for inside, text in values.texts(value):
            if place == "file" and "${" not in text:
                fix = "Declare an input of the type file, and refer to it as ${inputs.NAME}."
                self._problems.add((*at, *inside), "files and mails come from inputs", fix)
            else:
                self._text(text, place, (*at, *inside), known, own)

    def _text(self, text: str, place: Place, at: Where, known: Known, own: str = "") -> list[Expression]:
        found = self._parsed(text, at)
        for expression in found:
            self._names.look(expression, place, at, known, own)
        if place == "file" and found and not (found[0].plain and values.pieces(text) == (found[0],)):
            self._problems.add(at, "a file must be named as it is", "Write one ${inputs.…}, and nothing else.")
        return found

    def _parsed(self, text: str, at: Where | None = None) -> list[Expression]:
        try:
            return list(values.expressions(text))
        except ExpressionError as error:
            if at is not None:
                self._problems.add(at, *_split(error))
            return []

    def _expression(self, text: str, at: Where, known: Known, own: str) -> None:
        try:
            self._names.look(values.as_condition(text), "condition", at, known, own)
        except ExpressionError as error:
            self._problems.add(at, *_split(error))

    def _duration(self, text: str | None, at: Where) -> None:
        if text is not None:
            try:
                seconds(text)
            except ValueError as error:
                self._problems.add(at, *_split(error))


def _split(error: ValueError) -> tuple[str, str]:
    """What is wrong, and the fix, from a message that says both."""
    what, _, fix = str(error).partition("; ")
    return what, f"{fix[:1].upper()}{fix[1:]}." if fix else "Correct the text."
