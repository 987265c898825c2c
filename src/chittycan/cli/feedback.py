"""`can feedback`: say how good an answer was, and see what was said."""

from typing import Annotated

import typer

from chittycan.cli.output import Json, console, date, done, plain, print_json, table

WORDS = {"good": 1.0, "bad": 0.0, "up": 1.0, "down": 0.0}


def feedback(
    request: Annotated[
        str, typer.Argument(metavar="[REQUEST_ID]", help="The answer's id, or `last`; without it: what was said.")
    ] = "list",
    verdict: Annotated[str | None, typer.Argument(metavar="[good|bad|0.8]", help="How good it was.")] = None,
    comment: Annotated[str | None, typer.Option(help="Why; kept as you write it.")] = None,
    limit: Annotated[int, typer.Option(help="List at most so many.", min=1)] = 20,
    json: Json = False,
) -> None:
    """Say how good an answer was: `can feedback last good`. Without arguments: list what was said."""
    if verdict is not None:
        _say(request, verdict, comment, json)
    elif request == "list":
        _list(limit, json)
    else:
        from chittycan.errors import UsageError

        raise UsageError("How good was it?", fix=f"can feedback {request[:80]} good, bad, or a number from 0 to 1")


def _say(request: str, verdict: str, comment: str | None, json: bool) -> None:
    from chittycan.cli.session import Session, run
    from chittycan.control.feedback import FeedbackRow, said

    score = _score(verdict)

    async def work(network: Session) -> FeedbackRow:
        return await network.call(said, request_id=request, score=score, comment=comment)

    row = run(work)
    if json:
        print_json(row)
        return
    done(f"{plain(row.model or 'the answer')} scored {row.score:g} for [bold]{plain(row.request_id)}[/]")


def _score(verdict: str) -> float:
    from chittycan.errors import UsageError

    if verdict.lower() in WORDS:
        return WORDS[verdict.lower()]
    try:
        score = float(verdict)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise UsageError(f"'{verdict[:40]}' is no verdict", fix="good, bad, or a number from 0 to 1")
    return score


def _list(limit: int, json: bool) -> None:
    from chittycan.cli.session import Session, run
    from chittycan.control.feedback import FeedbackRow, listed

    async def work(network: Session) -> list[FeedbackRow]:
        return await network.call(listed, limit=limit)

    rows = run(work)
    if json:
        print_json(rows)
        return
    table(
        ("request", "score", "said by", "model", "kind", "comment", "when"),
        [(row.request_id, f"{row.score:g}", row.source, row.model, row.kind, row.comment, date(row.at, clock=True))
         for row in rows],
        empty="nothing was said yet; can feedback last good",
        cut=("model", "comment"),
    )  # fmt: skip
    if rows:
        console.print("\n[dim]can savings shows what the scores say of the models[/]")
