"""`can privacy`: what in a text would keep it in the house, and what is done about it here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chittycan.cli.output import Json, console, plain, print_json, table
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.config import Settings
    from chittycan.routing.privacy.finding import Finding

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Look through texts for what is private."
)

LARGEST = 50_000_000  # bytes of a file
AROUND = 24  # characters that are shown on either side


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Text, mail, PDF, Word, page; - is standard input.")],
    show: Annotated[bool, typer.Option("--show", help="Show what was found, not only where.")] = False,
    names: Annotated[bool, typer.Option("--names", help="Look for full names too, as privacy.names does.")] = False,
    redact: Annotated[bool, typer.Option("--redact", help="Print the text as it would go outside redacted.")] = False,
    json: Json = False,
) -> None:
    """Say what is private in a file, as calls are looked through. Exits with 1 where something is."""
    from chittycan.config import load
    from chittycan.gateway.privacy import PrivacyGate
    from chittycan.routing.privacy.detect import Terms
    from chittycan.routing.privacy.placeholders import Placeholders

    settings = load()
    text = _text(file)
    gate = PrivacyGate()
    gate.use(settings.privacy_mode, Terms(settings.privacy.terms), names=names or settings.privacy.names)
    try:
        found = gate.findings(text)
    finally:
        gate.close()
    if redact:
        typer.echo(Placeholders([text]).hide(text, found))
        return
    lines = [text.count("\n", 0, each.start) + 1 for each in found]
    if json:
        print_json({
            "private": bool(found), "mode": settings.privacy_mode,
            "findings": [{"kind": each.kind, "line": line, "start": each.start, "end": each.end}
                         for each, line in zip(found, lines, strict=True)],
        })  # fmt: skip
    else:
        shown = text if show else _hidden(text, found)
        table(
            ("line", "what", "where"),
            [(line, each.kind.replace("_", " "), _where(shown, each.start, each.end))
             for each, line in zip(found, lines, strict=True)],
            empty="nothing private was found: no identifiers, no secrets, none of your own words",
        )  # fmt: skip
        if found:
            console.print(f"\n{_says(settings)}")
        if names and not settings.privacy.names:
            console.print(_TRADE)
    if found:
        raise typer.Exit(1)


@app.command("status")
def status(json: Json = False) -> None:
    """What is done about private texts here, why, what is looked for, and which models may see it."""
    from chittycan.cli.session import Session, run
    from chittycan.config import load
    from chittycan.control.models import ModelRow, listed
    from chittycan.gateway.people import installed as finds_names
    from chittycan.routing.privacy.national import installed as checks_numbers

    settings = load()
    written = settings.privacy

    async def work(network: Session) -> list[ModelRow]:
        return await network.call(listed)

    models = [each.name for each in run(work) if each.private]
    if json:
        print_json({"mode": settings.privacy_mode, "written": written.mode, "models": models,
                    "terms": len(written.terms), "redact": written.redact, "national_numbers": checks_numbers(),
                    "names": written.names, "names_installed": finds_names()})  # fmt: skip
        return
    why = "as config.json says" if written.mode else _WHY[settings.privacy_mode]
    console.print(f"[bold]{settings.privacy_mode}[/], {why}. {_says(settings)}")
    console.print(f"Private models: {plain(', '.join(models)) or 'none'}")
    console.print(f"Words of your own: {len(written.terms)}")
    numbers = "found by their check digits" if checks_numbers() else "not found: pip install 'chittycan\\[privacy]'"
    console.print(f"National numbers: {numbers}")
    if not written.names:
        console.print(f"Names of people: not looked for. {_TRADE}")
    elif finds_names():
        console.print("Names of people: looked for")
    else:
        console.print(
            "[red]Names of people: to be looked for, and nothing that could is installed, so that calls fail.[/] "
            "pip install 'chittycan\\[names]', or set privacy.names to false"
        )


REDACT = "redact"
# `python -m bench.privacy` measures them.
_TRADE = (
    "[dim]With names (privacy.names) seven of ten full names are found and 13 of 100 ordinary prompts stay at "
    "home, 29 of 100 in the humanities; it takes 50 ms per KB.[/]"
)
_WHY = {
    "off": "",
    "warn": "because no model is set up for private work (the embedded one alone does not count)",
    "enforce": "because a model is set up for private work",
}
_SAYS = {
    "off": "[yellow]privacy.mode is off: calls are not looked through.[/]",
    "warn": "[yellow]A call with this is marked as private, and goes where it is sent.[/] Mark a model "
    '`"private": true` in models.json to keep such calls to it.',
    REDACT: "[green]What is found goes outside as placeholders, and is put back into the answer.[/]",
    "enforce": "[green]A call with this goes to private models only.[/]",
}


def _says(settings: "Settings") -> str:
    redacts = settings.privacy.redact and settings.privacy_mode != "off"
    return _SAYS[REDACT if redacts else settings.privacy_mode]


def _text(file: Path) -> str:
    import sys

    if str(file) == "-":
        return sys.stdin.read(LARGEST)
    from chittycan.integrations.documents.extract import extract

    document = extract(file)
    if not document.text and document.defects:
        raise UsageError(f"{file} cannot be read: {'; '.join(document.defects)}", fix="Give its text.")
    return document.text


def _where(text: str, start: int, end: int) -> str:
    return plain(f"…{' '.join(text[max(0, start - AROUND) : end + AROUND].split())}…")


def _hidden(text: str, found: "list[Finding]") -> str:
    """The text with all that was found in it made unreadable."""
    for each in found:
        text = text[: each.start] + "█" * (each.end - each.start) + text[each.end :]
    return text
