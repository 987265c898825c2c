"""Reply templates: which there are, how they read, and how one looks with values set in."""

from typing import TYPE_CHECKING

from msgspec import Struct

from chittycan.agents import templates
from chittycan.agents.templates import Template
from chittycan.control.operation import operation
from chittycan.errors import InvalidRequest

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key


class Rendered(Struct, kw_only=True):
    text: str


@operation("GET", "/templates")
async def listed(network: "Network", caller: "Key | None") -> list[Template]:
    """Every template."""
    return [templates.get(name) for name in templates.names()]


@operation("GET", "/templates/{name}")
async def shown(network: "Network", caller: "Key | None", *, name: str) -> Template:
    """One template: its layout per language and its fixed texts per category."""
    return templates.get(name)


@operation("POST", "/templates/{name}/render")
async def rendered(
    network: "Network",
    caller: "Key | None",
    *,
    name: str,
    variables: dict[str, str],
    language: str = "en",
    category: str | None = None,
) -> Rendered:
    """The template with `variables` set in; `category` takes the template's own text as `body`."""
    template = templates.get(name)
    if language not in template.languages:
        known = ", ".join(template.languages)
        raise InvalidRequest(f"{name} has no layout in {language!r}", param="language", fix=f"Use one of: {known}.")
    if category is not None:
        variables = {"body": templates.fixed_body(category, language), **variables}
    return Rendered(text=templates.render(name, variables, language=language))
