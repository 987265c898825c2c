"""Reply templates: plain `{{name}}` substitution, nothing is evaluated, and a missing variable is an error.

Some ship with the package; the owner's own are in the database, and whoever renders brings them along (`Own`).
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec import Struct

from chittycan.errors import InvalidRequest, NotFound
from chittycan.store import templates as rows
from chittycan.store.database import Database

STANDARD = "standard"
KNOWN = ("name", "body", "signature")  # the variables that a draft has a value for
MAX_TEXT = 50_000  # characters of a layout
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})?")

_VARIABLE = re.compile(r"\{\{\s*([\w-]+)\s*\}\}")
_COMMON = {
    "en": re.compile(r"\b(?:the|and|you|is|are|for|with|this|that|have|please|we|our|your)\b"),
    "de": re.compile(r"\b(?:der|die|das|und|ist|nicht|mit|sie|wir|ich|ein|eine|für|bitte|von|zum)\b"),
}


class Template(Struct, frozen=True, kw_only=True):
    """A template as it is written. `layout` by language; `bodies` by language and category. `own`: the owner's."""

    name: str
    languages: list[str]
    variables: list[str]  # what `render` needs a value for
    layout: dict[str, str]
    bodies: dict[str, dict[str, str]] = {}
    own: bool = False


Own = Mapping[str, Template]  # the owner's templates by their names
NONE_OF_OWN: Own = {}


async def stored(database: Database) -> Own:
    """The owner's templates."""
    return {row.name: written(row.name, row.layout) for row in await database.read(rows.listing)}


def written(name: str, layout: Mapping[str, str]) -> Template:
    """A template of the owner's from its texts by language."""
    return _template(name, layout, own=True)


def get(template: str, own: Own = NONE_OF_OWN) -> Template:
    """A template by its name. Raises `NotFound`."""
    if template in own:
        return own[template]
    shipped = _load(template, own)
    bodies = {language: dict(texts) for language, texts in shipped.get("bodies", {}).items()}
    return _template(template, shipped["layout"], bodies)


def names(own: Own = NONE_OF_OWN) -> list[str]:
    """The templates that ship with the package, and the owner's."""
    return sorted({*_shipped(), *own})


def render(template: str, variables: Mapping[str, str], *, language: str = "en", own: Own = NONE_OF_OWN) -> str:
    """The layout of `template` with `variables` set in, each as it stands.

    In a language that it has no layout for, English stands in, else the first. Raises `NotFound` for an unknown
    template and `InvalidRequest` for a variable that was not given.
    """
    layout = get(template, own).layout
    chosen = next((each for each in (language, "en") if each in layout), min(layout))
    return fill(layout[chosen], variables)


def fill(text: str, variables: Mapping[str, str]) -> str:
    """`text` with every `{{name}}` replaced, once: what is set in is not looked at again."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in variables:
            raise InvalidRequest(f"the template needs {{{{{name}}}}}", param=name, fix=f"Give a value for {name}.")
        return variables[name]

    return _VARIABLE.sub(value, text).strip() + "\n"


def fixed_body(category: str, language: str = "en") -> str:
    """The standard template's own body for `category`, for when no model writes one."""
    bodies = _load(STANDARD)["bodies"]
    found = bodies.get(language, bodies["en"])
    return str(found.get(category, found["general_inquiry"]))


def language_of(text: str) -> str:
    """`de` or `en`, by the commonest words; `en` where neither shows."""
    counts = {language: len(common.findall(text[:2000].lower())) for language, common in _COMMON.items()}
    return max(counts, key=lambda language: counts[language])


def check(name: str, text: str, language: str) -> None:
    """Whether the owner may have this template. Raises InvalidRequest that names the field."""
    if not _NAME.fullmatch(name):
        fix = "Use small letters, digits, - and _, at most 40."
        raise InvalidRequest(f"{name[:80]!r} is no name for a template", param="name", fix=fix)
    if name in _shipped():
        fix = "Give it another name, and set it as inbox.template."
        raise InvalidRequest(f"{name} ships with the program", param="name", fix=fix)
    if not _LANGUAGE.fullmatch(language):
        raise InvalidRequest(f"{language[:20]!r} is no language", param="language", fix="Write it like en or de.")
    if not text.strip() or len(text) > MAX_TEXT or "\x00" in text:
        raise InvalidRequest(f"a template has 1 to {MAX_TEXT:,} characters", param="text")


def doubts(text: str) -> list[str]:
    """What may not have been meant in a template's text."""
    found = [
        f"{{{{{name}}}}} is nothing that drafts know: {', '.join(KNOWN)}"
        for name in variables_of(text)
        if name not in KNOWN
    ]
    if re.search(r"\{\{|\}\}", _VARIABLE.sub("", text)):
        found.append("braces that are no variable stay as they are; a variable is written {{name}}")
    if "body" not in variables_of(text):
        found.append("without {{body}} it is for acknowledgements: what an agent writes has no place in it")
    return found


def variables_of(text: str) -> list[str]:
    """The names of a text's variables, in the order in which they stand there."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def _template(
    name: str, layout: Mapping[str, str], bodies: dict[str, dict[str, str]] | None = None, *, own: bool = False
) -> Template:
    layouts = {language: str(text).strip() + "\n" for language, text in layout.items()}
    variables = variables_of("".join(layouts.values()))
    return Template(
        name=name, languages=sorted(layouts), variables=variables, layout=layouts, bodies=bodies or {}, own=own
    )


@cache
def _shipped() -> tuple[str, ...]:
    folder = files("chittycan.agents") / "layouts"
    return tuple(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _load(template: str, own: Own = NONE_OF_OWN) -> dict[str, Any]:
    if template not in _shipped():
        raise NotFound(f"no template {template[:80]!r}", param="template", fix=f"Use one of: {', '.join(names(own))}.")
    return _read(template)


@cache
def _read(template: str) -> dict[str, Any]:
    return tomllib.loads((files("chittycan.agents") / "layouts" / f"{template}.toml").read_text(encoding="utf-8"))
