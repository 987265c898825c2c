"""Papers longer than a model reads at once: piece by piece, and what was found put together, each with its page.

What the pieces came to is put together by code, not by a further model: the same findings always give the same sum.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from chittycan.agents.agent import AgentResult, Ask, run
from chittycan.agents.document import (
    DOCUMENT,
    IMPORTANCE,
    READ,
    SPEED,
    DocumentType,
    Field,
    Finding,
    Flag,
    Paper,
    Reference,
    pages_of,
    personal,
    security,
)
from chittycan.errors import InvalidRequest
from chittycan.gateway.call import Options
from chittycan.integrations.documents.chunks import BYTES_PER_TOKEN, Chunk, chunks, place
from chittycan.integrations.documents.document import Document

MOST_PIECES = 40  # that models are asked about; a paper of some hundred pages is read up to there
AT_ONCE = 4
MOST_NAMED = 20  # parties, dates and obligations, each


def paper_of(name: str, document: Document, media_type: str | None = None, *, param: str = "file") -> Paper:
    """The agent's input, as the file was read. Raises InvalidRequest, of `param`, where it holds no text."""
    if not document.text:
        problem = "; ".join(document.defects) or "it holds no text"
        raise InvalidRequest(f"{name} cannot be read: {problem}", param=param)
    return Paper(
        name=name, media_type=media_type or document.media_type, text=document.text, pages=document.pages,
        sections=document.sections, hidden_text=document.hidden_text,
    )  # fmt: skip


async def read_paper(
    paper: Paper, ask: Ask, *, model: str | None = None, options: Options | None = None
) -> AgentResult[Finding]:
    """What the agent `document` finds in all of the paper. Raises what `run` raises."""
    document = Document(kind="text", text=paper.text, sections=paper.sections)
    pieces = chunks(document, READ // BYTES_PER_TOKEN)
    read = pieces[:MOST_PIECES] or [Chunk(text=paper.text, start=0, ref="")]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(piece: Chunk) -> AgentResult[Finding]:
        async with gate:
            part = replace(paper, text=piece.text, sections=())
            return await run(DOCUMENT, part, ask, model=model, options=options)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(piece)) for piece in read]
    except ExceptionGroup as problems:
        raise problems.exceptions[0] from None
    results = [each.result() for each in tasks]
    value = _sum(paper, document, read, [each.value for each in results], of=max(1, len(pieces)))
    return _result(results, value)


def _sum(paper: Paper, document: Document, pieces: Sequence[Chunk], found: Sequence[Finding], *, of: int) -> Finding:
    wanted: dict[Field, Callable[[Finding], Iterable[str]]] = {
        "party": lambda each: each.parties, "date": lambda each: each.dates,
        "obligation": lambda each: each.obligations,
    }  # fmt: skip
    named = [
        Reference(field=field, text=text, ref=place(document, text) or piece.ref)
        for field, values in wanted.items()
        for text, piece in _each(found, pieces, values)
    ]

    def texts(field: str) -> tuple[str, ...]:
        return tuple(each.text for each in named if each.field == field)

    flags = dict.fromkeys(flag for each in found for flag in each.compliance_flags if flag != "none")
    none: tuple[Flag, ...] = ("none",)
    return Finding(
        document_type=_type(found),
        importance=min((each.importance for each in found), key=IMPORTANCE.index),
        processing_priority=min((each.processing_priority for each in found), key=SPEED.index),
        contains_pii=any(each.contains_pii for each in found) or personal(paper.text),
        compliance_flags=tuple(flags) or none,
        parties=texts("party"),
        dates=texts("date"),
        obligations=texts("obligation"),
        references=tuple(named),
        estimated_pages=pages_of(paper),
        reasoning=found[0].reasoning,
        security=security(paper),
        pieces=of,
        pieces_read=len(pieces),
    )


def _type(found: Sequence[Finding]) -> DocumentType:
    """What most pieces say; the first, where the title stands, counts twice, and of equals the first said wins."""
    votes = Counter(each.document_type for each in found[:1])
    votes += Counter(each.document_type for each in found)
    if len(votes) > 1:
        del votes["other"]
    return max(votes, key=lambda each: votes[each])


def _each(
    found: Sequence[Finding], pieces: Sequence[Chunk], values: Callable[[Finding], Iterable[str]]
) -> list[tuple[str, Chunk]]:
    """Each text once, with the piece that it was first found in."""
    first: dict[str, tuple[str, Chunk]] = {}
    for finding, piece in zip(found, pieces, strict=True):
        for text in values(finding):
            first.setdefault(" ".join(text.lower().split()), (text, piece))
    return list(first.values())[:MOST_NAMED]


def _result(results: Sequence[AgentResult[Finding]], value: Finding) -> AgentResult[Finding]:
    fell_back = [each for each in results if each.fallback]
    costs = [each.cost_nano for each in results]
    reason = fell_back[0].reason if fell_back else None
    if fell_back and len(results) > 1:
        reason = f"{len(fell_back)} of {len(results)} pieces by rules: {reason}"
    return replace(
        results[0],
        value=value,
        fallback=len(fell_back) == len(results),
        reason=reason,
        repaired=any(each.repaired for each in results),
        model=next((each.model for each in results if each.model is not None), None),
        cost_nano=None if None in costs else sum(cost for cost in costs if cost is not None),
        ms=sum(each.ms for each in results),
        attempts=sum(each.attempts for each in results),
        request_ids=tuple(id for each in results for id in each.request_ids),
    )
