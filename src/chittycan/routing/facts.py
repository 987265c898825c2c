"""What a decision is made from: everything about a request that matters for who may answer it."""

from msgspec import Struct

from chittycan.routing.kinds import Difficulty
from chittycan.routing.quality.estimate import Estimate


class Facts(Struct, frozen=True, kw_only=True):
    """What decides. `surface` is the caller's dialect (None in this process).

    `keep_answering` appends the default chain to a named model too, as agents and the command line want it.
    """

    model: str
    surface: str | None = None
    kind: str | None = None
    region: str | None = None
    private: bool = False
    models: tuple[str, ...] = ()
    allowed: frozenset[str] | None = None  # the key's models
    keep_answering: bool = False
    rule: str | None = None  # the owner's rule that chose `model`
    kept_by: str | None = None  # the owner's rule that made it private
    tokens: int = 0  # estimated input, 0 where small
    vision: bool = False
    tools: bool = False
    schema: bool = False
    prefill: bool = False
    same_dialect: str | None = None  # the field that only the caller's own dialect can express ("n", "logprobs")
    embeddings: bool = False
    # What a choice by cost and quality is made from; left out where nothing depends on it.
    inferred: bool = False  # `kind` was not given: it was told from the request
    signals: str = ""  # what `kind` was told from, where somebody wants to know
    difficulty: Difficulty | None = None
    estimates: tuple[tuple[str, Estimate], ...] = ()  # by model
    size: int = 0  # input tokens, in steps
    written: int = 0  # output tokens that are expected, in steps
    max_cost_nano: int | None = None
    at_most: tuple[int, int] = (0, 0)  # tokens in and out that the call may have, which `max_cost_nano` has to cover
    of_task: bool = False  # whose budget `max_cost_nano` may be: it ends there, rather than going to whoever is cheap


def needs_of(facts: Facts) -> str | None:
    """What a request needs of a model, in a few words for the ledger (`tools,vision,region=eu-west`), or None."""
    asked = ("tools", "vision", "schema", "prefill", "embeddings")
    named = [name for name in asked if getattr(facts, name)]
    named += [facts.same_dialect] if facts.same_dialect else []
    named += [f"region={facts.region}"] if facts.region else []
    return ",".join(named) or None
