"""`can documents`: what files say, as models get to read it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from chittycan.cli.output import Json, console, dollars, plain, print_json, progress, table, warn
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.agents.agent import AgentResult
    from chittycan.agents.document import Finding
    from chittycan.gateway.call import Options
    from chittycan.integrations.documents.chunks import Chunk
    from chittycan.integrations.documents.document import Document
    from chittycan.integrations.documents.folder import Listing

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Read PDF, Word, Excel, pages and text."
)

AT_ONCE = 4  # files


class Read(Struct, kw_only=True):
    path: Path
    document: "Document"
    chunks: "list[Chunk]" = []
    result: "AgentResult[Finding] | None" = None

    @property
    def failed(self) -> bool:
        return not self.document.text or (self.result is not None and self.result.fallback)


@app.callback()
def documents() -> None:
    """Read PDF, Word, Excel, pages and text."""


@app.command("read")
def read(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files, and folders of files.")],
    text: Annotated[bool, typer.Option("--text", help="Print the text.")] = False,
    chunks: Annotated[
        int | None, typer.Option(help="Print it in pieces of so many tokens, each with its page.", min=16)
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Let the agent document say what each is and holds.")] = False,
    model: Annotated[str | None, typer.Option("--model", "-m", help="With --ask: this model.")] = None,
    region: Annotated[str | None, typer.Option(help="With --ask: only models in this region.")] = None,
    private: Annotated[bool, typer.Option("--private", help="With --ask: only models marked private.")] = False,
    most: Annotated[int, typer.Option(help="At most so many files.", min=1)] = 1000,
    json: Json = False,
) -> None:
    """Read files as text. Nothing leaves the machine, unless --ask asks a model that is elsewhere.

    Exit status 1 where a file could not be read, or, with --ask, no model answered and rules stood in.
    """
    from chittycan.integrations.documents.folder import listed

    if ask and (text or chunks):
        raise UsageError("--ask says what is in a document, --text and --chunks show it.", fix="Run it twice.")
    listing = listed(paths, most)
    found = list(_read(listing.files, chunks))
    if ask:
        from chittycan.gateway.call import Options

        _ask(found, model, Options(region=region, private=private))
    if json:
        print_json([_row(each, whole=not (ask or chunks)) for each in found])
    elif text or chunks:
        _show_text(found)
    else:
        _show(found)
    _show_rest(listing, most)
    if not found or any(each.failed for each in found):
        raise typer.Exit(1)


def _read(files: Sequence[Path], tokens: int | None) -> Iterator[Read]:
    from concurrent.futures import ThreadPoolExecutor

    from chittycan.integrations.documents.chunks import chunks as pieces
    from chittycan.integrations.documents.extract import extract

    def one(path: Path) -> Read:
        document = extract(path)
        return Read(path=path, document=document, chunks=pieces(document, tokens) if tokens else [])

    with progress("reading") as spinner, ThreadPoolExecutor(AT_ONCE) as readers:
        for number, found in enumerate(readers.map(one, files), 1):
            spinner.update(f"[dim]reading: {number} of {len(files)}, {plain(found.path.name)}[/]")
            yield found


def _ask(found: list[Read], model: str | None, options: "Options") -> None:
    """Adds to each what the agent says, one after the other: long papers are read in pieces at once as it is."""
    from chittycan.agents.reading import paper_of, read_paper
    from chittycan.cli.session import Session, run

    async def work(network: Session) -> None:
        for each in found:
            if each.document.text:
                with progress(f"the agent reads {plain(each.path.name)}"):
                    paper = paper_of(each.path.name, each.document)
                    each.result = await read_paper(paper, network.ask, model=model, options=options)

    run(work)


def _row(read: Read, *, whole: bool) -> dict[str, Any]:
    document = read.document
    row: dict[str, Any] = {
        "path": str(read.path), "kind": document.kind, "title": document.title, "pages": document.pages,
        "characters": len(document.text), "truncated": document.truncated, "hidden_text": document.hidden_text,
        "defects": document.defects,
    }  # fmt: skip
    if whole:
        row |= {"sections": document.sections, "text": document.text}
    if read.chunks:
        row["chunks"] = read.chunks
    if read.result is not None:
        result = read.result
        row |= {"finding": result.output, "model": result.model, "fallback": result.fallback, "reason": result.reason,
                "cost_usd": None if result.cost_nano is None else result.cost_nano / 1e9}  # fmt: skip
    return row


def _show(found: Sequence[Read]) -> None:
    rows, base = [], _shared_folder([read.path for read in found])
    for read in found:
        document = read.document
        size = f"{len(document.text):,}{'+' if document.truncated else ''}" if document.text else None
        rows.append(
            (
                read.path if base is None else read.path.relative_to(base),
                document.kind,
                document.pages,
                size,
                _said(read),
                _remarks(read),
            )
        )
    table(("file", "kind", "pages", "characters", "what", "remarks"), rows, empty="no files here",
          cut=("what", "remarks"))  # fmt: skip
    results = [read.result for read in found if read.result is not None]
    if results:
        costs = [each.cost_nano for each in results]
        cost = dollars(None if None in costs else sum(each for each in costs if each is not None))
        models = ", ".join(sorted({each.model for each in results if each.model})) or "rules"
        console.print(f"\n[green]✓[/] {plain(models)} [dim]({cost})[/]")


def _shared_folder(paths: Sequence[Path]) -> Path | None:
    """The folder that all of several files are in, where it says something; their names are enough below it."""
    parents = {path.parent for path in paths}
    if len(paths) < 2 or not parents:
        return None
    try:
        return Path(os.path.commonpath(parents))
    except ValueError:  # some of them absolute, some not
        return None


def _said(read: Read) -> str:
    if read.result is None:
        return read.document.title or ""
    finding = read.result.value
    parts = [finding.document_type.replace("_", " ")]
    for field, name in (("party", "parties"), ("date", "dates"), ("obligation", "duties")):
        named = [f"{each.text} ({each.ref})" if each.ref else each.text for each in finding.references
                 if each.field == field][:3]  # fmt: skip
        if named:
            parts.append(f"{name}: {', '.join(named)}")
    if finding.contains_pii:
        parts.append("personal data")
    return "; ".join(parts)


def _remarks(read: Read) -> str:
    said = [*read.document.defects]
    if read.document.hidden_text:
        said.append("holds text that does not show")
    if read.result is not None:
        finding = read.result.value
        if finding.pieces_read < finding.pieces:
            said.append(f"{finding.pieces_read} of {finding.pieces} pieces read")
        if read.result.fallback:
            said.append(f"by rules: {read.result.reason}")
    return "; ".join(said)


def _show_text(found: Sequence[Read]) -> None:
    for read in found:
        if len(found) > 1 or read.chunks:
            console.print(f"[bold]{plain(str(read.path))}[/]")
        if not read.document.text:
            warn(f"{plain(str(read.path))}: {plain(_remarks(read))}")
        elif not read.chunks:
            typer.echo(read.document.text)
        for number, chunk in enumerate(read.chunks, 1):
            where = f", {chunk.ref}" if chunk.ref else ""
            console.print(f"\n[dim]— {number} of {len(read.chunks)}{plain(where)}[/]")
            typer.echo(chunk.text)


def _show_rest(listing: "Listing", most: int) -> None:
    if listing.left_out:
        warn(f"left out: {', '.join(listing.left_out)}")
    if listing.more:
        warn(f"there are more files; {len(listing.files)} were read (--most {most})")
