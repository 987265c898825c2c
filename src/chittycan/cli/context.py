"""`can context`: the documents that models, tasks and people share."""

from typing import Annotated, Any

import typer

from chittycan.cli.output import Json, console, date, done, plain, print_json, table

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The shared documents of sessions."
)

Session_ = Annotated[str, typer.Argument(metavar="SESSION", help="The session's name.")]
Version = Annotated[int | None, typer.Option("--if-version", help="Only if this is the version now.", min=0)]


@app.command("show")
def show(
    session: Session_,
    key: Annotated[str | None, typer.Argument(help="Only the value of this key.")] = None,
    json: Json = False,
) -> None:
    """Show a session's document, or one value of it."""
    from chittycan.cli.session import Session, run
    from chittycan.control.context import ContextRow
    from chittycan.control.context import shown as operation
    from chittycan.errors import NotFound

    async def work(network: Session) -> ContextRow:
        return await network.call(operation, session=session)

    found = run(work)
    if key is not None:
        if key not in found.document:
            keys = ", ".join(sorted(found.document)) or "none"
            raise NotFound(f"The session '{session}' has no key '{key}'.", param="key", fix=f"Its keys: {keys}.")
        value = found.document[key]
        print_json(value) if json or not isinstance(value, str) else typer.echo(value)
    elif json:
        print_json(found)
    else:
        _show(found)


@app.command("set")
def set_(
    session: Session_,
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="A text, or with KEY:=VALUE any JSON; KEY:=null removes the key."),
    ] = None,
    file: Annotated[str | None, typer.Option(help="A JSON object to merge in; - reads standard input.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of the whole document.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Only private models may see these values.")] = False,
    outside: Annotated[bool, typer.Option("--outside", help="Strangers wrote these values: data, no orders.")] = False,
    ttl: Annotated[float | None, typer.Option(help="Forget it so many seconds after a write; 0: never.")] = None,
    if_version: Version = None,
    json: Json = False,
) -> None:
    """Change a session's document: what is named is merged in, everything else stays."""
    from chittycan.cli.session import Session, run
    from chittycan.control.context import ContextRow, stored, updated
    from chittycan.errors import UsageError

    if not values and file is None:
        raise UsageError("Nothing to set.", fix=f"can context set {session} KEY=VALUE …, or --file FILE")
    patch = (_read(file) if file is not None else {}) | dict(map(_pair, values or ()))
    kept = [key for key, value in patch.items() if value is not None]
    given: dict[str, Any] = {
        "session": session, "ttl": ttl, "private": kept if private else None, "outside": kept if outside else None,
        "if_match": None if not if_version else str(if_version), "if_none_match": "*" if if_version == 0 else None,
    }  # fmt: skip

    async def work(network: Session) -> ContextRow:
        if replace:
            return await network.call(stored, document=patch, **given)
        return await network.call(updated, patch=patch, **given)

    found = run(work)
    print_json(found) if json else done(f"session {plain(session)} is at version {found.version}")


@app.command("history")
def history(
    session: Session_,
    limit: Annotated[int, typer.Option(help="How many changes.", min=1)] = 50,
    json: Json = False,
) -> None:
    """Who changed a session's document, newest first."""
    from chittycan.cli.session import Session, run
    from chittycan.control.context import ChangeRow
    from chittycan.control.context import history as operation

    async def work(network: Session) -> list[ChangeRow]:
        return await network.call(operation, session=session, limit=limit)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("version", "when", "who", "task", "what", "labels"),
        [(row.version, date(row.at, clock=True), f"{row.kind} {row.name}", row.task,
          ("all: " if row.replaced else "") + _short(row.patch) if row.patch or row.replaced else None,
          _labels(row.labels)) for row in rows],
        empty="no change is kept", cut=("what",),
    )  # fmt: skip


@app.command("delete")
def delete(session: Session_, if_version: Version = None, json: Json = False) -> None:
    """Delete a session's document and its history."""
    from chittycan.cli.session import Session, run
    from chittycan.control.context import deleted as operation

    async def work(network: Session) -> None:
        await network.call(operation, session=session, if_match=None if if_version is None else str(if_version))

    run(work)
    print_json({"deleted": session}) if json else done(f"session {plain(session)} is deleted")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="How many sessions.", min=1)] = 50,
    json: Json = False,
) -> None:
    """List the sessions that have a document, last written first."""
    from chittycan.cli.session import Session, run
    from chittycan.control.context import SessionRow
    from chittycan.control.context import listed as operation

    async def work(network: Session) -> list[SessionRow]:
        return await network.call(operation, limit=limit)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("session", "version", "bytes", "written", "expires", "key"),
        [(row.session, row.version, f"{row.size:,}", date(row.updated_at, clock=True),
          date(row.expires_at, clock=True), row.key) for row in rows],
        empty="no session has a document: can context set SESSION KEY=VALUE",
    )  # fmt: skip


@app.command("label")
def label(
    session: Session_,
    key: Annotated[str, typer.Argument(help="A top-level key of the document.")],
    words: Annotated[list[str], typer.Argument(metavar="WORD…", help="public, internal, private; inside, outside.")],
    json: Json = False,
) -> None:
    """Say how private one value is and where it came from: the only way to lower a label."""
    from chittycan.cli.session import Session, run
    from chittycan.context.labels import PRIVACY, TRUST
    from chittycan.control.context import ContextRow
    from chittycan.control.context import label as operation
    from chittycan.errors import UsageError

    unknown = [word for word in words if word not in (*PRIVACY, *TRUST)]
    if unknown:
        raise UsageError(f"no label '{unknown[0]}'", fix=f"Use one of: {', '.join((*PRIVACY, *TRUST))}.")
    privacy = next((word for word in words if word in PRIVACY), None)
    trust = next((word for word in words if word in TRUST), None)

    async def work(network: Session) -> ContextRow:
        return await network.call(operation, session=session, key=key, privacy=privacy, trust=trust)

    found = run(work)
    if json:
        print_json(found)
        return
    now = found.labels.get(key)
    done(f"{plain(key)} of {plain(session)} is {f'{now.privacy}, {now.trust}' if now else 'public, inside'}")


@app.command("share")
def share(
    session: Session_,
    key: Annotated[str | None, typer.Argument(help="A virtual key; without one it is yours alone.")] = None,
    json: Json = False,
) -> None:
    """Let a virtual key use a session."""
    from chittycan.cli.session import Session, run
    from chittycan.control.context import ContextRow, shared

    async def work(network: Session) -> ContextRow:
        return await network.call(shared, session=session, key=key)

    found = run(work)
    whose = f"is shared with {plain(found.key)}" if found.key else "is yours alone"
    print_json(found) if json else done(f"session {plain(session)} {whose}")


def _pair(text: str) -> tuple[str, Any]:
    """`key=text` or `key:=JSON`. Raises UsageError."""
    import msgspec

    from chittycan.errors import UsageError

    name, mark, value = text.partition("=")
    key = name.removesuffix(":")
    if not mark or not key:
        raise UsageError(f"'{text[:80]}' is not KEY=VALUE.", fix="Such as client=Acme, or risk:=7 for JSON.")
    if name == key:
        return key, value
    try:
        return key, msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise UsageError(f"The value of '{key}' is not JSON: {error}.", fix=f"For a text: '{key}={value}'.") from None


def _read(file: str) -> dict[str, Any]:
    """The JSON object in a file, or on standard input. Raises UsageError."""
    import sys
    from pathlib import Path

    import msgspec

    from chittycan.errors import UsageError

    try:
        found = msgspec.json.decode(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise UsageError(f"{file} must hold a JSON object.", fix='Such as {"client": "Acme"}.')
    return found


def _show(found: Any) -> None:
    shared = f", shared with {plain(found.key)}" if found.key else ""
    expires = f", expires {date(found.expires_at, clock=True)}" if found.expires_at is not None else ""
    console.print(
        f"[bold]{plain(found.session)}[/]  [dim]version {found.version}, written "
        f"{date(found.updated_at, clock=True)}{expires}{shared}[/]"
    )
    rows = [(key, _short(value), _label(found.labels.get(key))) for key, value in found.document.items()]
    table(("key", "value", "labels"), rows, empty="the document is empty", cut=("value",))


def _short(value: Any) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _label(label: Any) -> str | None:
    """What is not a matter of course."""
    words = [word for word in (label.privacy, label.trust) if word not in ("public", "inside")] if label else []
    return ", ".join(words) or None


def _labels(labels: Any) -> str | None:
    return "; ".join(f"{key}: {_label(each) or 'public, inside'}" for key, each in labels.items()) or None
