"""What goes into the gateway and what comes out: the one signature that every layer of a call satisfies.

A `Call` is one request in whatever dialect it arrived; `Answer` is what a caller in this process gets,
`Reply` what a client gets: bytes in its own dialect.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from chittycan.chat import ChatRequest, ChatResponse, Json, Usage
from chittycan.dialects import load
from chittycan.errors import InvalidRequest

if TYPE_CHECKING:  # brings the database along, which a command that talks to a server does not need
    from chittycan.auth.keys import Key
    from chittycan.routing.privacy.placeholders import Placeholders
    from chittycan.routing.rules.book import Book


class Options(Struct, frozen=True, kw_only=True):
    """What a caller may ask beyond the model: the `x-chitty-*` headers, the body field `chitty`, the CLI's flags."""

    kind: str | None = None  # kind of task, e.g. "email.triage"
    session: str | None = None
    task: str | None = None
    region: str | None = None
    private: bool = False
    max_cost_nano: int | None = None  # nano-dollars
    models: tuple[str, ...] = ()  # the caller's own chain
    timeout: float | None = None  # seconds, for the whole call
    cache: bool | None = None  # None: as the key says
    hedge: bool | float | None = None  # whether a second model is asked beside a late one, or after how many seconds
    recall: bool | None = None  # give the model the session's document; None: as the configuration says
    redact: bool | None = None  # placeholders for what is private; None: as the configuration says
    record: bool | str | None = None  # keep the answer there, under this key or among `answers`

    def __post_init__(self) -> None:
        if self.session is None and (self.recall or self.record):
            fix = "Name one with x-chitty-session."
            raise InvalidRequest("`recall` and `record` need a session.", param="session", fix=fix)


NO_OPTIONS = Options()


class Call(Struct):
    """One request on its way. `surface` is the client's dialect; None for a caller in this process.

    What is made for every call gets its fields by position: a name that is written out costs as much as five fields.
    """

    request_id: str
    model: str
    stream: bool = False
    surface: str | None = None
    operation: str = "chat"  # chat | embeddings
    options: Options = NO_OPTIONS
    key: "Key | None" = None
    body: bytes = b""  # as the client sent it
    fields: Json = field(default_factory=dict)  # `body`, parsed
    forward: tuple[tuple[str, str], ...] = ()  # client headers that the same dialect's provider should see
    at: float = 0.0  # Unix seconds
    started: float = 0.0  # monotonic seconds
    parsed: ChatRequest | None = None
    answered: "Callable[[str, Trace], None] | None" = None  # is told the text of a whole answer
    keep_answering: bool = False  # end a named model's chain with the default chain
    longest_pause: float = math.inf  # seconds that a Retry-After is waited for; what can be put off waits elsewhere
    webhook: Any = None  # who is told of its end, as the client wrote it; only where it is done in the background
    ruled: str | None = None  # the owner's rule that chose `model`
    kept_by: str | None = None  # the owner's rule that made it private
    ruled_by: "Book | None" = None  # the rules that it was held to
    placeholders: "Placeholders | None" = None  # what stands in it for what is private; its answers have them too
    detected: bool | None = None  # whether something private was found in it; None: nobody has looked

    @property
    def chat(self) -> ChatRequest:
        """The request in neutral form, translated at most once. Raises InvalidRequest."""
        if self.parsed is None:
            self.parsed = load(self.surface or "openai").parse_request(self.fields)
        return self.parsed


class Trace(Struct):
    """What one call took, for headers and for people. Money is nano-dollars; None where no price is known."""

    request_id: str
    model: str = ""  # our name of the model that served
    provider: str = ""
    embedded: bool = False  # by the model that comes with the program, whatever it is called
    route: str = ""
    label: str = "public"
    attempts: int = 0
    fallbacks: int = 0
    hedged: int = 0  # models that were asked beside another one, which was quicker
    cached: bool = False
    ms: float = 0.0
    first_token_ms: float | None = None
    upstream_ms: float = 0.0  # of `ms`, what was spent waiting for providers
    cost_nano: int | None = None
    usage: Usage | None = None

    @property
    def cost_usd(self) -> float | None:
        return None if self.cost_nano is None else self.cost_nano / 1e9


class Reply(Struct):
    """A finished answer in the client's dialect."""

    body: bytes
    trace: Trace


class Answer(Struct, kw_only=True):
    """A finished answer for a caller in this process."""

    response: ChatResponse
    trace: Trace

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def model(self) -> str:
        return self.trace.model

    @property
    def cost_nano(self) -> int | None:
        return self.trace.cost_nano

    @property
    def cost_usd(self) -> float | None:
        return self.trace.cost_usd

    @property
    def ms(self) -> float:
        return self.trace.ms

    @property
    def json(self) -> Any:
        """The answer's text parsed as JSON, or None where it is not JSON."""
        try:
            return msgspec.json.decode(self.text)
        except msgspec.DecodeError:
            return None
