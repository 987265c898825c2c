"""What whoever starts a workstream gives: checked against the recipe, and files and mails looked up.

`bind` is pure. `resolve` asks `Sources`, which the composition root fills in, for what files and mails are:

    file    {name, path} of a file on this machine, or {name, id} of an uploaded one
    folder  a list of files
    mail    {id, from, name, reply_to, subject, date, message_id} of a mail in the inbox; `from` and `reply_to`
            are addresses, `name` is the sender's, `date` is ISO 8601
    inbox   a list of mails
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from chittycan.errors import InvalidRequest
from chittycan.workstreams.expressions import kind as called
from chittycan.workstreams.expressions import nearest
from chittycan.workstreams.recipe import Input, Recipe

MOST_FILES = 1000  # of a folder

_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_LOOKED_UP = ("file", "folder", "mail", "inbox")


class InputError(ValueError):
    """The value does not fit; says what is needed."""


class Sources(Protocol):
    """Where files and mails are. Each raises InvalidRequest or NotFound for what is not there."""

    def file(self, named: str) -> dict[str, Any]: ...
    def folder(self, named: str) -> list[dict[str, Any]]: ...
    async def mail(self, named: str) -> dict[str, Any]: ...
    async def inbox(self, since: str) -> list[dict[str, Any]]: ...


def bind(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every input with its value, of its type. Texts are converted, as they come from a command line.

    Raises InvalidRequest, which names every input that is missing, unknown or wrong.
    """
    wrong: dict[str, str] = {}
    bound: dict[str, Any] = {}
    for name in given:
        if name not in recipe.inputs:
            wrong[name] = f"there is no such input{nearest(name, list(recipe.inputs))}"
    for name, each in recipe.inputs.items():
        value = given.get(name, each.default)
        try:
            if value is None:
                if each.required:
                    raise InputError(f"is missing ({each.type}{f': {each.description}' if each.description else ''})")
                bound[name] = None
            else:
                bound[name] = converted(each, value)
        except InputError as error:
            wrong[name] = str(error)
    if wrong:
        said = "; ".join(f"{name}: {what}" for name, what in wrong.items())
        fix = "Give each as --input NAME=VALUE, or under `inputs`."
        raise InvalidRequest(f"inputs of {recipe.name!r}: {said}", param=f"inputs.{next(iter(wrong))}", fix=fix)
    return bound


def converted(each: Input, value: Any) -> Any:
    """`value` as the input's type. Raises InputError."""
    match each.type:
        case "text" if isinstance(value, str):
            return value
        case "number":
            return _number(value)
        case "boolean" if isinstance(value, bool):
            return value
        case "boolean" if isinstance(value, str) and value.lower() in _YES + _NO:
            return value.lower() in _YES
        case "list" if isinstance(value, list):
            return value
        case "list" if isinstance(value, str):
            return _listed(value)
        case "object" if isinstance(value, dict):
            return value
        case "object" if isinstance(value, str) and isinstance(made := _decoded(value), dict):
            return made
        case "file" | "folder" | "mail" | "inbox" if isinstance(value, str) and value.strip():
            return value
    wanted = {"text": "text", "boolean": "true or false", "list": "a list", "object": "a JSON object",
              "file": "the path or id of a file", "folder": "the path of a folder",
              "mail": "the id of a mail, or the path of its file",
              "inbox": 'how far back, like "24h"'}[each.type]  # fmt: skip
    raise InputError(f"{wanted} is needed, this is {called(value)}")


async def resolve(recipe: Recipe, bound: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """The inputs with each file and mail looked up. Raises what `sources` raises."""
    found = dict(bound)
    for name, each in recipe.inputs.items():
        value = found.get(name)
        if each.type not in _LOOKED_UP or value is None:
            continue
        if each.type == "file":
            found[name] = sources.file(value)
        elif each.type == "folder":
            found[name] = sources.folder(value)
        elif each.type == "mail":
            found[name] = await sources.mail(value)
        else:
            found[name] = await sources.inbox(value)
    return found


def local_file(named: str, base: Path) -> dict[str, Any]:
    """A file on this machine; a relative path is taken from `base`. Raises InvalidRequest."""
    path = base / Path(named).expanduser()
    if not path.is_file():
        raise InvalidRequest(f"no file at {path}", param="inputs", fix="Give the path of a file that exists.")
    return {"name": path.name, "path": str(path.resolve())}


def local_folder(named: str, base: Path) -> list[dict[str, Any]]:
    """The files of a folder by name, without hidden ones and without those in folders of it. Raises InvalidRequest."""
    path = base / Path(named).expanduser()
    if not path.is_dir():
        raise InvalidRequest(f"no folder at {path}", param="inputs", fix="Give the path of a folder that exists.")
    found = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    if len(found) > MOST_FILES:
        fix = "Split the folder."
        raise InvalidRequest(f"{path} has {len(found)} files, more than {MOST_FILES}", param="inputs", fix=fix)
    return [{"name": each.name, "path": str(each.resolve())} for each in found]


def _number(value: Any) -> int | float:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                raise InputError(f"a number is needed, this is {value[:40]!r}") from None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"a number is needed, this is {called(value)}")
    return value


def _listed(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        made = _decoded(text)
        if not isinstance(made, list):
            raise InputError("the JSON list is broken")
        return made
    return [part.strip() for part in text.split(",") if part.strip()]


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
