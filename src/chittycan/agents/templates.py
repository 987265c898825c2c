"""Reply templates: plain `{{name}}` substitution, nothing is evaluated, and a missing variable is an error."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec import Struct

from chittycan.errors import InvalidRequest, NotFound

STANDARD = "standard"

_VARIABLE = re.compile(r"\{\{\s*([\w-]+)\s*\}\}")
_COMMON = {
    "en": re.compile(r"\b(?:the|and|you|is|are|for|with|this|that|have|please|we|our|your)\b"),
    "de": re.compile(r"\b(?:der|die|das|und|ist|nicht|mit|sie|wir|ich|ein|eine|für|bitte|von|zum)\b"),
}


class Template(Struct, frozen=True, kw_only=True):
    """A template as it is written. `layout` by language; `bodies` by language and category."""

    name: str
    languages: list[str]
    variables: list[str]  # what `render` needs a value for
    layout: dict[str, str]
    bodies: dict[str, dict[str, str]]


def get(template: str) -> Template:
    """A template by its name. Raises `NotFound`."""
    written = _load(template)
    layouts = {language: str(text).strip() + "\n" for language, text in written["layout"].items()}
    variables = dict.fromkeys(name for text in layouts.values() for name in _VARIABLE.findall(text))
    return Template(
        name=template,
        languages=sorted(layouts),
        variables=list(variables),
        layout=layouts,
        bodies={language: dict(texts) for language, texts in written.get("bodies", {}).items()},
    )


def names() -> list[str]:
    """The templates that ship with the package."""
    folder = files("chittycan.agents") / "layouts"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def render(template: str, variables: Mapping[str, str], *, language: str = "en") -> str:
    """The layout of `template` with `variables` set in, each as it stands.

    Raises `NotFound` for an unknown template and `InvalidRequest` for a variable that was not given.
    """
    return fill(_layout(template, language), variables)


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


def _layout(template: str, language: str) -> str:
    layouts = _load(template)["layout"]
    return str(layouts.get(language, layouts["en"]))


@cache
def _load(template: str) -> dict[str, Any]:
    if template not in names():
        raise NotFound(f"no template {template!r}", param="template", fix=f"Use one of: {', '.join(names())}.")
    return tomllib.loads((files("chittycan.agents") / "layouts" / f"{template}.toml").read_text(encoding="utf-8"))
