"""A batch: many requests as one job, what may follow what in its life, and who answers its lines.

                 ┌────────────► failed                 its file cannot be a batch: `detail.errors` says why
    validating ──┤
                 └─► in_progress ──► finalizing ──► completed | expired
    cancelling (from the first two) ─────────────► cancelled

The lines of a batch are those of OpenAI's batch files, whoever made it: `{"custom_id", "method", "url", "body"}`.
"""

from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct, field

Status = Literal["validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"]
Surface = Literal["openai", "anthropic"]
Reason = Literal["completed", "expired", "cancelled"]  # why its books are closed

OPEN: tuple[Status, ...] = ("validating", "in_progress")  # can be cancelled, can expire
COUNTING: tuple[Status, ...] = ("in_progress", "cancelling")  # what is answered now still counts
ENDED: tuple[Status, ...] = ("completed", "failed", "expired", "cancelled")
ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions", "/v1/messages")


class Problem(Struct, frozen=True, kw_only=True):
    """What is wrong with an input file. `line` counts from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Detail(Struct, frozen=True, kw_only=True):
    """What is only shown, or only needed when a line is asked. `times`: when it came to each status."""

    window: str = "24h"
    metadata: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)  # fields of gateway.call.Options
    times: dict[str, float] = field(default_factory=dict)
    errors: tuple[Problem, ...] = ()
    closing: Reason | None = None
    output_seconds: float | None = None  # how long its result files are kept
    webhook: dict[str, Any] | None = None  # its own: `url`


class Batch(Struct, frozen=True, kw_only=True):
    """Times are Unix seconds. `total` is 0 until the file was looked through."""

    id: str
    surface: Surface
    endpoint: str
    status: Status
    key_id: str | None
    input_file: str
    output_file: str | None = None
    error_file: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    detail: Detail
    run: int = 1
    created: float
    expires: float
    ended: float | None = None

    @property
    def region(self) -> str | None:
        """Where alone it may be worked on."""
        region = self.detail.options.get("region")
        return region if isinstance(region, str) else None


class Line(Struct, frozen=True, kw_only=True):
    """One request. `piece` and `number` say where it stands, `body` is JSON as the client wrote it."""

    piece: int
    number: int
    custom_id: str
    body: bytes


class Answered(Struct, frozen=True, kw_only=True):
    """What a line came to: `line` goes into the output file, or, where it is not `good`, into the error file."""

    good: bool
    line: bytes  # of JSON, without its end


class Unserved(Struct, frozen=True, kw_only=True):
    """Nobody could answer now. `resting`: other lines for the same model would fare alike, until `until` where that is
    known. Else it may be the line's own fault."""

    failed: Answered  # what the line comes to if it is
    resting: bool
    until: float | None = None


class Elsewhere(Struct, frozen=True):
    """A rule binds the line to this region, in which this worker is not: it is left to one that is."""

    region: str


class Clerk(Protocol):
    """Who has the lines answered, and writes them as the batch's surface has them."""

    def model(self, line: Line) -> str:
        """The model that the line names."""
        ...

    async def answer(self, batch: Batch, line: Line) -> Answered | Unserved | Elsewhere:
        """Raises nothing but CancelledError."""
        ...

    def unanswered(self, batch: Batch, line: Line, reason: Reason) -> bytes:
        """The line of the error file for a request whose turn never came."""
        ...


def from_row(row: Any) -> Batch:
    return Batch(**{**row, "detail": msgspec.json.decode(row["detail"], type=Detail)})


def to_row(batch: Batch) -> dict[str, Any]:
    return {**msgspec.structs.asdict(batch), "detail": packed(batch.detail)}


def packed(detail: Detail) -> str:
    return msgspec.json.encode(detail).decode()


def moved(batch: Batch, status: Status, now: float, **detail: Any) -> dict[str, Any]:
    """The columns of `batch` that change when it comes to `status`."""
    times = {**batch.detail.times, status: now}
    changed = msgspec.structs.replace(batch.detail, times=times, **detail)
    values: dict[str, Any] = {"status": status, "detail": packed(changed)}
    return {**values, "ended": now} if status in ENDED else values
