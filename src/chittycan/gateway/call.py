"""What goes into the gateway and what comes out: the one signature that every layer of a call satisfies.

A `Call` is one request in whatever dialect it arrived; `Answer` is what a caller in this process gets.
"""

from typing import Any

from msgspec import Struct

from chittycan.chat import ChatResponse, Json, Usage


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
    cache: bool | None = None  # None: as the key or model says


class Answer(Struct, kw_only=True):
    """One answer, with what it took. Money is nano-dollars (10⁻⁹ USD); None where no price is known."""

    request_id: str
    response: ChatResponse
    model: str  # our name of the model that served
    provider: str
    cost_nano: int | None
    ms: float
    first_token_ms: float | None = None
    attempts: int = 1
    fallbacks: int = 0
    cached: bool = False
    route: str = ""
    usage: Usage | None = None

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def cost_usd(self) -> float | None:
        return None if self.cost_nano is None else self.cost_nano / 1e9

    @property
    def json(self) -> Any:
        """The answer's text parsed as JSON, or None where it is not JSON."""
        import msgspec

        try:
            return msgspec.json.decode(self.text)
        except msgspec.DecodeError:
            return None


__all__ = ["Answer", "Json", "Options"]
