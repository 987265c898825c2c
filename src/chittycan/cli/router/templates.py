"""`can router templates`: what drafts are set into."""

from typing import Annotated

import typer

from chittycan.cli.output import Json, console, done, plain, print_json, table, warn
from chittycan.errors import UsageError

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Reply templates: list, show, render, create, delete.",
)

Name = Annotated[str, typer.Argument(help="A template: can router templates list.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """Every template."""
    from chittycan.agents.templates import Template
    from chittycan.cli.session import Session, run
    from chittycan.control.templates import listed

    async def work(network: Session) -> list[Template]:
        return await network.call(listed)

    found = run(work)
    if json:
        print_json(found)
        return
    table(
        ("template", "languages", "needs", "texts of its own", ""),
        [(each.name, ", ".join(each.languages), ", ".join(each.variables),
          max(map(len, each.bodies.values()), default=0), "yours" if each.own else "") for each in found],
    )  # fmt: skip


@app.command("show")
def show(name: Name, json: Json = False) -> None:
    """A template's layout in each language, and the texts it uses where no model writes one."""
    from chittycan.agents.templates import Template
    from chittycan.cli.session import Session, run
    from chittycan.control.templates import shown

    async def work(network: Session) -> Template:
        return await network.call(shown, name=name)

    found = run(work)
    if json:
        print_json(found)
        return
    for language, layout in found.layout.items():
        console.print(f"[bold]{plain(language)}[/]\n{plain(layout)}")
        rows = [(category.replace("_", " "), text) for category, text in found.bodies.get(language, {}).items()]
        if rows:
            table(("category", "text where no model writes one"), rows)
            console.print()


@app.command("render")
def render(
    name: Name,
    values: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=TEXT", help="A value; repeat it.")] = None,
    language: Annotated[str, typer.Option(help="en, de …")] = "en",
    category: Annotated[str | None, typer.Option(help="Use the template's own text for this category.")] = None,
    json: Json = False,
) -> None:
    """A template with values set in."""
    from chittycan.cli.session import Session, run
    from chittycan.control.templates import Rendered, rendered

    variables = {}
    for given in values or ():
        key, equals, text = given.partition("=")
        if not equals:
            raise UsageError(f"--set {given} has no value", fix=f'--set {key}="…"')
        variables[key.strip()] = text

    async def work(network: Session) -> Rendered:
        return await network.call(rendered, name=name, variables=variables, language=language, category=category)

    found = run(work)
    print_json(found) if json else typer.echo(found.text, nl=False)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name for it: small letters, digits, - and _.")],
    text: Annotated[str, typer.Option("--text", metavar="FILE", help="Its text; - reads standard input.")],
    language: Annotated[str, typer.Option(help="en, de …; once for each.")] = "en",
    replace: Annotated[bool, typer.Option("--replace", help="In the place of what is there.")] = False,
    json: Json = False,
) -> None:
    """Keep a template of your own; {{name}}, {{body}} and {{signature}} are set in."""
    from chittycan.cli.router.drafts import read_text
    from chittycan.cli.session import Session, run
    from chittycan.control.templates import Created
    from chittycan.control.templates import create as keep

    written = read_text(text)

    async def work(network: Session) -> Created:
        return await network.call(keep, name=name, text=written, language=language, replace=replace)

    found = run(work)
    if json:
        print_json(found)
        return
    for each in found.warnings:
        warn(plain(each))
    done(f"{plain(name)} ({', '.join(found.template.languages)}); can router inbox process --template {plain(name)}")


@app.command("delete")
def delete(name: Annotated[str, typer.Argument(help="A template of yours.")], json: Json = False) -> None:
    """Forget a template of your own, in every language."""
    from chittycan.cli.session import Session, run
    from chittycan.control.templates import Deleted, deleted

    async def work(network: Session) -> Deleted:
        return await network.call(deleted, name=name)

    found = run(work)
    print_json(found) if json else done(f"deleted {plain(found.name)}")
