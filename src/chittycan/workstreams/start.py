"""Pure: the task row that begins a step, with every `${…}` of its work filled in."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chittycan.workstreams import values
from chittycan.workstreams.durations import moment, seconds
from chittycan.workstreams.expressions import ExpressionError
from chittycan.workstreams.recipe import ASKS_MODELS, Step

AS_WRITTEN = ("schema",)  # fields that are not looked through for ${…}


class Start(Struct, frozen=True, kw_only=True):
    """A task row to be inserted and enqueued. `type` is one of `recipe.LEAVES`.

    `spec` has every field of the recipe's struct for that type, by its name there, as plain JSON; but times
    are `until` (Unix seconds) in an approval and in a wait, where it is None for an event or webhook, and
    `timeout` (seconds) in an ensemble. `model` is a model or virtual model, None where `kind` (the
    assignment) or the performer decides. `deadline` is Unix seconds.
    """

    path: str
    type: str
    spec: dict[str, Any]
    model: str | None = None
    kind: str | None = None
    deadline: float | None = None
    budget_nano: int | None = None
    retries: int = 0
    store: str | None = None
    title: str | None = None


def made(step: Step, path: str, scope: Mapping[str, Any], now: float) -> Start:
    """The start of a leaf. Raises ExpressionError where a value does not fit."""
    spec = _spec(step.work, scope)
    try:
        _timed(step, spec, now)
    except ValueError as error:
        raise ExpressionError(str(error)) from None
    model = step.model or step.policy
    return Start(
        path=path,
        type=step.kind,
        spec=spec,
        model=None if model is None else values.as_text(values.render(model, scope)),
        kind=step.assignment,
        deadline=None if step.deadline is None else now + seconds(step.deadline),
        budget_nano=None if step.budget_usd is None else round(step.budget_usd * 1e9),
        retries=step.retries,
        store=step.store,
        title=step.title,
    )


def bounded(start: Start, deadline: float | None, left_nano: int | None) -> Start:
    """`start` within what is left of the workstream's own time and money."""
    limits = [each for each in (start.deadline, deadline) if each is not None]
    money = [each for each in (start.budget_nano, left_nano) if each is not None]
    return replace(
        start,
        deadline=min(limits, default=None),
        budget_nano=min(money, default=None) if start.type in ASKS_MODELS else None,
    )


def _spec(work: Struct, scope: Mapping[str, Any]) -> dict[str, Any]:
    spec = {}
    for field in msgspec.structs.fields(type(work)):
        value = msgspec.to_builtins(getattr(work, field.name))
        if field.encode_name not in AS_WRITTEN:
            try:
                value = _fit(field.type, values.render(value, scope))
                if field.encode_name == "files":
                    value = [each for entry in value for each in (entry if isinstance(entry, list) else [entry])]
            except ExpressionError as error:
                raise ExpressionError(f"{field.encode_name}: {error}") from None
        spec[field.encode_name] = value
    return spec


def _fit(declared: Any, value: Any) -> Any:
    """What stands in a field of text is text, whatever its `${…}` gave; all else must be of the field's type."""
    kinds = _kinds(declared)
    if Any in kinds or (value is None and NoneType in kinds):
        return value
    if list[str] in kinds and isinstance(value, list):
        return [values.as_text(each) for each in value]
    if dict[str, str] in kinds and isinstance(value, dict):
        return {key: values.as_text(each) for key, each in value.items()}
    if str in kinds:
        return values.as_text(value)
    try:
        return msgspec.convert(value, declared)
    except msgspec.ValidationError as error:
        raise ExpressionError(str(error)) from None


def _kinds(declared: Any) -> tuple[Any, ...]:
    if get_origin(declared) is Annotated:
        return _kinds(get_args(declared)[0])
    if get_origin(declared) in (Union, UnionType):
        return tuple(kind for each in get_args(declared) for kind in _kinds(each))
    return (declared,)


def _timed(step: Step, spec: dict[str, Any], now: float) -> None:
    """Durations become times, counted from now. Raises ValueError."""
    if step.wait is not None:
        length = spec.pop("for")
        until = spec["until"]
        spec["until"] = now + seconds(length) if length else moment(until) if until else None
    elif step.approval is not None:
        timeout = spec.pop("timeout")
        spec["until"] = now + seconds(timeout) if timeout else None
    elif step.ensemble is not None:
        spec["timeout"] = float(seconds(spec["timeout"])) if spec["timeout"] else None
