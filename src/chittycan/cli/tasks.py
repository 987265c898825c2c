"""`can tasks`: submit work and walk away; look at it, wait for it, end it, try it again."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from chittycan.cli.output import Json, console, done, errors, plain, print_json, print_line
from chittycan.cli.pairs import pairs

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.control.operation import Operation
    from chittycan.control.tasks import Submitted, TaskDetail, TaskPage

T = TypeVar("T")
app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True,
    help="Durable tasks: submit work and walk away; watch, wait, cancel, retry.",
)  # fmt: skip

Task = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]
Tasks = Annotated[list[str], typer.Argument(metavar="TASK", help="Ids of tasks.")]
NO_WORKER = "To have it done: can up, can serve, or can tasks wait {}"


@app.command("submit")
def submit(
    prompt: Annotated[list[str] | None, typer.Argument(help="What to do; what is piped in is added.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", "-k", help="Kind of task; its assigned model does it.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="A model, auto, or ensemble:NAME.")] = None,
    session: Annotated[str | None, typer.Option("--session", "-s", help="The piece of work it belongs to.")] = None,
    system: Annotated[str | None, typer.Option(help="Instructions for the model.")] = None,
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help="A file to read; repeatable.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Fails if not done by then: 24h, or a time.")] = None,
    at: Annotated[str | None, typer.Option(help="Not before: 2h, or 2026-12-01T09:00+01:00.")] = None,
    after: Annotated[list[str] | None, typer.Option(help="Once this task is done; repeatable.")] = None,
    priority: Annotated[int, typer.Option(help="Higher goes first.", min=-100, max=100)] = 0,
    retries: Annotated[int, typer.Option(help="Further tries after a failure.", min=0, max=10)] = 0,
    answer_json: Annotated[bool, typer.Option("--answer-json", help="The answer must be JSON.")] = False,
    max_tokens: Annotated[int | None, typer.Option(help="At most so long an answer.", min=1)] = None,
    max_cost: Annotated[float | None, typer.Option("--max-cost", help="At most so many dollars.")] = None,
    store: Annotated[str | None, typer.Option(help="Key of the session's document that gets the result.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Private models only.")] = False,
    region: Annotated[str | None, typer.Option(help="Only models and workers in this region.")] = None,
    webhook: Annotated[str | None, typer.Option(help="An address that is told of the end.")] = None,
    fact: Annotated[
        list[str] | None, typer.Option("--fact", metavar="NAME=VALUE", help="For rules: branch=main; repeatable.")
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Submitted twice under one key, it is one task.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the answer and print it.")] = False,
    json: Json = False,
) -> None:
    """Submit a prompt. It is answered as soon as a model can, whatever stops or restarts meanwhile."""
    from chittycan.control.tasks import submit as operation

    given: dict[str, Any] = {
        "prompt": _prompt(prompt or []), "kind": kind, "model": model, "session": session, "system": system,
        "files": _files(file or []), "deadline": deadline, "at": at, "after": after or None, "priority": priority,
        "retries": retries, "json": answer_json, "max_tokens": max_tokens, "max_cost_usd": max_cost, "store": store,
        "private": private, "region": region, "webhook": {"url": webhook} if webhook else None,
        "idempotency_key": idempotency_key, "facts": pairs(fact or [], "--fact") or None,
    }  # fmt: skip
    _check(given)
    told: list[str] = []

    async def work(network: "Session") -> "Submitted | TaskDetail":
        from chittycan.cli.task_view import follow

        made = await network.call(operation, **given)
        told.append(made.id)
        if not wait:
            return made
        await network.work()
        return await follow(network, made.id)

    found = _interruptible(work, told)
    if wait:
        _end(found, json)
    elif json:
        print_json(found)
    else:
        done(f"[bold]{found.id}[/] is {found.status}" + (f" and waits for {plain(found.waiting_for)}"
                                                         if found.waiting_for else ""))  # fmt: skip
        if "none is running" in (found.waiting_for or ""):
            console.print(f"  [cyan]→[/] {NO_WORKER.format(found.id)}")


@app.command("list")
def list_(
    status: Annotated[list[str] | None, typer.Option(help="Only of this status; repeatable.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", "-k", help="Only of this kind.")] = None,
    session: Annotated[str | None, typer.Option("--session", "-s", help="Only of this session.")] = None,
    type: Annotated[list[str] | None, typer.Option(help="Only of this type: task, approval, …; repeatable.")] = None,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=200)] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the last page ended.")] = None,
    json: Json = False,
) -> None:
    """List tasks, the newest first."""
    from chittycan.cli.session import run
    from chittycan.control.tasks import listed
    from chittycan.errors import UsageError
    from chittycan.workstreams.life import STATUSES

    unknown = next((each for each in status or () if each not in STATUSES), None)
    if unknown is not None:
        raise UsageError(f"There is no status '{unknown}'.", fix=f"One of: {', '.join(STATUSES)}.")

    async def work(network: "Session") -> "TaskPage":
        return await network.call(
            listed, status=status or None, type=type or None, kind=kind, session=session, cursor=cursor, limit=limit
        )

    page = run(work)
    if json:
        print_json(page)
        return
    from chittycan.cli.task_view import show_rows

    show_rows(page.tasks)
    if page.cursor:
        console.print(f"[dim]more: can tasks list --cursor {page.cursor}[/]")


@app.command("show")
def show(task: Task, json: Json = False) -> None:
    """Show one task and what came of it."""
    from chittycan.cli.task_view import show_task
    from chittycan.control.tasks import shown

    found = _call(shown, task=task)
    print_json(found) if json else show_task(found)


@app.command("wait")
def wait(task: Task, json: Json = False) -> None:
    """Wait for a task and print its answer. Where no worker is running, this command does the work meanwhile."""

    async def work(network: "Session") -> "TaskDetail":
        from chittycan.cli.task_view import follow
        from chittycan.control.tasks import shown

        await network.call(shown, task=task)
        await network.work()
        return await follow(network, task)

    _end(_interruptible(work, [task]), json)


@app.command("watch")
def watch(tasks: Tasks, json: Json = False) -> None:
    """Watch tasks until they have ended: status, what they wait for, model, cost. Does the work if nobody else does."""

    async def work(network: "Session") -> "list[TaskDetail]":
        from chittycan.cli.task_view import watch as follow_all
        from chittycan.control.tasks import shown

        for task in tasks:
            await network.call(shown, task=task)
        await network.work()
        return await follow_all(network, list(left), told, live=not json)

    def told(row: "TaskDetail") -> None:
        from chittycan.cli.task_view import tell
        from chittycan.workstreams.life import TERMINAL

        print_line(row) if json else tell(row)
        if row.status in TERMINAL:
            left.remove(row.id)

    left = list(dict.fromkeys(tasks))
    rows = _interruptible(work, left)
    if any(row.status != "done" for row in rows):
        raise typer.Exit(1)


@app.command("cancel")
def cancel(
    task: Task, reason: Annotated[str | None, typer.Option(help="Why; it is kept.")] = None, json: Json = False
) -> None:
    """End a task; what runs is stopped within seconds."""
    from chittycan.control.tasks import cancel as operation

    found = _call(operation, task=task, reason=reason)
    if json:
        print_json(found)
    elif found.status == "cancelled":
        done(f"{found.id} is cancelled")
    else:
        console.print(f"{found.id} had ended before: it is {found.status}")


@app.command("retry")
def retry(task: Task, json: Json = False) -> None:
    """Try a failed or cancelled task again, and what failed only because it came after it."""
    from chittycan.control.tasks import retry as operation

    _said(_call(operation, task=task), json)


@app.command("approve")
def approve(
    task: Task,
    comment: Annotated[str | None, typer.Option(help="Goes along with the decision.")] = None,
    values: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=TEXT", help="Change a value.")] = None,
    json: Json = False,
) -> None:
    """Approve what a task asks."""
    from chittycan.control.tasks import approve as operation
    from chittycan.errors import UsageError

    wrong = next((each for each in values or () if "=" not in each), None)
    if wrong is not None:
        raise UsageError(f"'{wrong}' is not NAME=TEXT.")
    changed = dict(each.split("=", 1) for each in values or ())
    _said(_call(operation, task=task, comment=comment, values=changed or None), json)


@app.command("reject")
def reject(
    task: Task,
    comment: Annotated[str | None, typer.Option(help="Goes along with the decision.")] = None,
    json: Json = False,
) -> None:
    """Reject what a task asks."""
    from chittycan.control.tasks import reject as operation

    _said(_call(operation, task=task, comment=comment), json)


def _call(operation: "Operation[T]", **given: Any) -> T:
    from chittycan.cli.session import run

    async def work(network: "Session") -> T:
        return await network.call(operation, **given)

    return run(work)


def _interruptible(work: "Callable[[Session], Coroutine[Any, Any, T]]", tasks: list[str]) -> T:
    """Runs `work`; where a person stops it, it is said that `tasks` go on."""
    from chittycan.cli.session import run

    try:
        return run(work)
    except KeyboardInterrupt:
        if not tasks:
            raise
        whose = "It is kept, and goes" if len(tasks) == 1 else "They are kept, and go"
        errors.print(f"\n{whose} on wherever a worker runs.\n  [cyan]→[/] can tasks watch {' '.join(tasks)}")
        raise typer.Exit(130) from None


def _end(row: Any, json: bool) -> None:
    from chittycan.cli.task_view import show_end

    print_json(row) if json else show_end(row)
    if row.status != "done":
        raise typer.Exit(1)


def _said(row: "TaskDetail", json: bool) -> None:
    print_json(row) if json else done(f"{row.id} is {row.status.replace('_', ' ')}")


def _prompt(words: list[str]) -> str:
    """The words and what was piped in. Raises UsageError where there is neither."""
    from chittycan.cli.asking import piped
    from chittycan.errors import UsageError

    said = " ".join(words).strip()
    parts = [each for each in (said, piped(bool(said))) if each]
    if not parts:
        raise UsageError("There is no prompt.", fix='can tasks submit "Summarise the contract" --file contract.pdf')
    return "\n\n".join(parts)


def _check(given: dict[str, Any]) -> None:
    """Raises UsageError for what can be seen to be wrong without asking anybody."""
    import time

    from chittycan.errors import InvalidRequest, UsageError
    from chittycan.workstreams.submission import read

    try:
        read(given, time.time())
    except InvalidRequest as error:
        raise UsageError(error.message, fix=error.fix) from None


def _files(names: list[str]) -> list[Any] | None:
    """The files as they are now: what is submitted may be moved or changed afterwards. Raises UsageError."""
    import base64
    from pathlib import Path

    from chittycan.errors import UsageError

    files: list[Any] = []
    for name in names:
        path = Path(name).expanduser()
        if name.startswith("file-") and not path.exists():
            files.append(name)
            continue
        try:
            files.append({"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()})
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror}.") from None
    return files or None
