"""Reply templates: which there are, how they read, how one looks with values set in, and the owner's own."""

from typing import TYPE_CHECKING

from msgspec import Struct

from chittycan.agents import templates
from chittycan.agents.templates import Template
from chittycan.control.operation import operation
from chittycan.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key


class Rendered(Struct, kw_only=True):
    text: str


class Created(Struct, kw_only=True):
    """`warnings`: what may not have been meant."""

    template: Template
    warnings: list[str]


class Deleted(Struct, kw_only=True):
    name: str


@operation("GET", "/templates")
async def listed(network: "Network", caller: "Key | None") -> list[Template]:
    """Every template: those that ship, and the owner's own."""
    own = await templates.stored(network.database)
    return [templates.get(name, own) for name in templates.names(own)]


@operation("GET", "/templates/{name}")
async def shown(network: "Network", caller: "Key | None", *, name: str) -> Template:
    """One template: its layout per language and its fixed texts per category."""
    return templates.get(name, await templates.stored(network.database))


@operation("POST", "/templates", owner=True, status=201)
async def create(
    network: "Network", caller: "Key | None", *, name: str, text: str, language: str = "en", replace: bool = False
) -> Created:
    """Keeps a template of the owner's, or its text in one more language; with `replace` instead of what is there.

    `text` is plain: `{{name}}`, `{{body}}` and `{{signature}}` are what a draft has values for.
    """
    from chittycan.store import templates as rows

    templates.check(name, text, language)
    known = await network.database.read(rows.get, name)
    layout = {} if known is None else dict(known.layout)
    if language in layout and not replace:
        fix = "can router templates create … --replace"
        raise InvalidRequest(f"there is a template {name} in {language} already", param="name", fix=fix)
    layout[language] = text
    await network.database.run(rows.put, name, layout, network.clock.now())
    return Created(template=templates.written(name, layout), warnings=templates.doubts(text))


@operation("DELETE", "/templates/{name}", owner=True)
async def deleted(network: "Network", caller: "Key | None", *, name: str) -> Deleted:
    """Forgets a template of the owner's, in every language."""
    from chittycan.store import templates as rows

    if not await network.database.run(rows.remove, name):
        if name in templates.names():
            raise InvalidRequest(f"{name} ships with the program, and stays", param="name")
        raise NotFound(f"no template {name[:80]!r}", param="name", fix="`can router templates list` shows them.")
    return Deleted(name=name)


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
    own = await templates.stored(network.database)
    template = templates.get(name, own)
    if language not in template.languages:
        known = ", ".join(template.languages)
        raise InvalidRequest(f"{name} has no layout in {language!r}", param="language", fix=f"Use one of: {known}.")
    if category is not None:
        variables = {"body": templates.fixed_body(category, language), **variables}
    return Rendered(text=templates.render(name, variables, language=language, own=own))
