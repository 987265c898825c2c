"""What people say of an answer: good, bad, or somewhere in between."""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.control.operation import operation, owns, reach
from chittycan.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key

LAST = "last"  # stands for the newest answer
LONGEST_COMMENT = 2_000  # characters
THUMBS = {"up": 1.0, "down": 0.0}


class FeedbackRow(Struct, kw_only=True):
    """What one source said of one answer: `score` from 0 to 1, `at` Unix seconds.

    `source`: a person; an outcome (a draft was sent as it was, edited, rejected; a task was asked to be done again); a
    check (the answer held to its schema, or not). `model` is null where several models made the answer.
    """

    request_id: str
    source: str
    score: float
    comment: str | None
    at: float
    model: str | None
    kind: str | None


@operation("GET", "/feedback")
async def listed(network: "Network", caller: "Key | None", *, limit: int = 50) -> list[FeedbackRow]:
    """What was said of answers, the latest first. A virtual key sees what was said of its own."""
    from chittycan.store import feedback as rows

    found = await network.database.read(rows.listing, min(max(0, limit), 1_000), reach(caller))
    return [
        FeedbackRow(request_id=each.request_id, source=each.source, score=each.score, comment=each.comment, at=each.at,
                    model=each.model, kind=each.kind)
        for each in found
    ]  # fmt: skip


@operation("POST", "/feedback")
async def said(
    network: "Network",
    caller: "Key | None",
    *,
    request_id: str,
    score: float | None = None,
    thumbs: Literal["up", "down"] | None = None,
    comment: str | None = None,
) -> FeedbackRow:
    """Says how good an answer was: `score` from 0 to 1, or `thumbs`. The latest word on an answer counts.

    `request_id` is the answer's `x-chitty-request-id`; `last` is the newest answer. A virtual key speaks of its own
    requests. What is said is kept with the request's model and kind of work, never with its text.
    """
    from chittycan.store import feedback as rows
    from chittycan.usage.queries import Queries

    value = _score(score, thumbs)
    if comment is not None and len(comment) > LONGEST_COMMENT:
        raise InvalidRequest(f"A comment has at most {LONGEST_COMMENT:,} characters.", param="comment")
    mine = reach(caller)
    await network.ledger.flush()
    if request_id == LAST:
        newest: str | None = await network.database.read(rows.last_answer, mine)
        if newest is None:
            raise NotFound("Nothing was answered yet.", param="request_id", fix="can ask first, or name a request.")
        request_id = newest
    found = await Queries(network.database, network.clock, network.ledger).request(request_id)
    if found is None or not (owns(caller) or found.attempts[-1].key_id == mine):
        raise NotFound(
            f"No request is called '{request_id[:80]}'.", param="request_id",
            fix="It is the answer's header x-chitty-request-id; `last` is the newest answer.",
        )  # fmt: skip
    word = rows.Word(
        request_id=request_id, source="person", score=value, comment=comment, key_id=mine, at=network.clock.now()
    )
    await network.database.run(rows.say, word)
    alone = found.attempts[-1].request_id == request_id
    return FeedbackRow(
        request_id=request_id, source=word.source, score=value, comment=comment, at=word.at,
        model=found.model if alone else None, kind=found.attempts[-1].kind,
    )  # fmt: skip


def _score(score: float | None, thumbs: str | None) -> float:
    if (score is None) == (thumbs is None):
        raise InvalidRequest("Give either `score`, from 0 to 1, or `thumbs`, up or down.", param="score")
    value = THUMBS[thumbs] if thumbs is not None else float(score or 0)
    if not 0 <= value <= 1:  # also what is no number
        raise InvalidRequest("`score` is from 0 (bad) to 1 (good).", param="score")
    return value
