"""`can workers`: who does the durable work."""

import typer

from chittycan.cli.output import Json, print_json, table

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Who does the durable work.")


@app.command("list")
def list_(json: Json = False) -> None:
    """List the workers on all machines."""
    from chittycan.cli.session import Session, run
    from chittycan.control.workers import WorkerRow, listed

    async def work(network: Session) -> list[WorkerRow]:
        return await network.call(listed)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("worker", "state", "role", "regions", "host", "process", "version", "tasks", "heard"),
        [(row.id, row.state, row.role, " ".join(row.regions) or "–", row.host, row.pid, row.version,
          row.tasks, f"{row.heard:.0f} s ago")
         for row in rows],
        empty="nobody does durable work: can serve, or can serve --role worker",
    )  # fmt: skip


@app.callback()
def group() -> None:
    """Who does the durable work."""
