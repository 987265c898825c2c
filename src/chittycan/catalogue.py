"""What can be called: providers and models as frozen values, and the lookup of a name.

Pure data, made by `providers.registry` from `catalog.toml`, the configuration and what was found on this
machine; read by `routing` (to decide) and `gateway` (to call).
"""

import math
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Literal, get_args

from msgspec import Struct, field
from msgspec.structs import replace

DialectName = Literal["openai", "openai_responses", "anthropic", "gemini"]


class Timeouts(Struct, frozen=True):
    """Seconds. `first_token` None: 14 s where another model could serve instead, else no limit."""

    connect: float = 10.0
    first_token: float | None = None
    idle: float = 60.0
    total: float = 600.0


class Limits(Struct, frozen=True, kw_only=True):
    """What all processes together may ask of one model or provider; None: no limit.

    `scope` says whose limits these are: `model:NAME` or `provider:NAME`. `wait`: seconds that a call waits for its
    turn before the next model is asked.
    """

    scope: str
    concurrency: int | None = None  # calls open at once
    rpm: int | None = None  # requests per minute
    tpm: int | None = None  # tokens per minute, input and output
    wait: float = 5.0

    @property
    def label(self) -> str:
        """For messages: `model gpt-4o`."""
        return self.scope.replace(":", " ", 1)


class Secret(Struct, frozen=True):
    """A resolved credential and where it came from (`env:NAME`, `file:PATH`, `literal`), never printed."""

    value: str
    source: str

    def __repr__(self) -> str:
        return f"Secret({self.source})"

    __str__ = __repr__


class Provider(Struct, frozen=True, kw_only=True):
    """A service that runs models. `endpoint` is what the vendor's own SDK calls base URL."""

    name: str
    dialect: DialectName
    endpoint: str
    keys: tuple[Secret, ...] = ()
    needs_key: bool = True
    default_model: str | None = None
    timeouts: Timeouts = Timeouts()
    limits: Limits | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    http_proxy: str | None = None
    ca_file: str | None = None
    local: bool = False  # runs on this machine
    embedded: bool = False  # our own child process; `endpoint` is filled in when it runs
    price_provider: str | None = None  # the vendor's id in genai-prices
    stream_usage: bool = True  # false: refuses `stream_options`, so a stream's usage cannot be asked for
    verified: bool = True
    source: str = "config"  # config | environment | discovered | catalogue


class PriceRow(Struct, frozen=True, kw_only=True, cache_hash=True):  # it is looked up by, twice a call
    """An owner's own prices: USD per million tokens, as in models.json."""

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None


class Model(Struct, frozen=True, kw_only=True):
    """The name a person uses, bound to a provider and to the provider's own name for it (`upstream`)."""

    name: str
    provider: str
    upstream: str
    price: PriceRow | None = None  # None: ask genai-prices; unknown there too → cost null
    context_window: int | None = None
    max_output: int | None = None
    regions: tuple[str, ...] = ()
    private: bool = False
    tier: str | None = None  # simple | medium | complex
    # What it can take; unknown models are taken to support what their dialect can express.
    vision: bool = True
    tools: bool = True
    json_schema: bool = True
    prefill: bool = False  # continues from a trailing assistant message
    reasoning: bool = True
    embeddings: bool = False  # makes vectors, does not chat
    limits: Limits | None = None  # shared with the model's dated names, and by all its deployments
    own_limits: Limits | None = None  # of this deployment alone
    weight: float = 1.0  # its share of the calls, among deployments that are as good

    @property
    def place(self) -> tuple[str, str]:
        """Where it runs: its provider, and the provider's own name for it."""
        return self.provider, self.upstream


Balance = Literal["latency", "least-busy", "written"]


class Deployments(Struct, frozen=True):
    """Several places that run one model, in the order written. `missing`: provider → why it cannot be called."""

    models: tuple[Model, ...]
    balance: Balance = "latency"
    missing: tuple[tuple[str, str], ...] = ()


class Hedging(Struct, frozen=True):
    """When a second model is asked beside one that is late.

    `after`: seconds; None: what 95 of 100 of its answers take. `models`: for calls that ask for these; empty: all.
    """

    after: float | None = None
    models: frozenset[str] = frozenset()


ENSEMBLE = "ensemble:"  # and a name: the virtual model that asks several models
Mode = Literal["vote", "weighted", "median", "mean", "judge", "fuse", "cascade"]
NUMERIC: tuple[Mode, ...] = ("median", "mean")
JUDGED: tuple[Mode, ...] = ("judge", "fuse")
EXTRACTS = ("text", "choice", "number", "json")  # `choice:low,high` and `json:PATH` say more
MOST_MEMBERS = 16


class Ensemble(Struct, frozen=True, kw_only=True):
    """Several models, one answer. Names are models, or providers, which stand for their default models.

    In a cascade the models stand from the cheapest to the strongest. `extract` None: `number` for median and mean,
    else `text`. `quorum` None: 2, or 1 for a cascade. `tolerance`: how far apart two numbers may be and still agree;
    None: not at all, and a tenth of it from a median or mean.
    `timeout`: seconds for the members, and again for the judge or the strong model.
    """

    models: tuple[str, ...]
    mode: Mode = "cascade"
    extract: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    tolerance: float | None = None
    quorum: int | None = None
    judge: str | None = None
    strong: str | None = None
    budget_nano: int | None = None
    timeout: float = 60.0

    @property
    def reads(self) -> str:
        """What is taken from each answer to be compared."""
        return self.extract or ("number" if self.mode in NUMERIC else "text")

    @property
    def last_word(self) -> str | None:
        """The strong model, which a cascade asks only where the others differ."""
        if self.mode != "cascade":
            return None
        return self.strong or (self.models[-1] if len(self.models) > 2 else None)

    @property
    def members(self) -> tuple[str, ...]:
        """Those that are asked at once."""
        return tuple(name for name in self.models if name != self.last_word)

    @property
    def needed(self) -> int:
        """How many have to give an answer that can be read."""
        return self.quorum or min(len(self.models), 1 if self.mode == "cascade" else 2)

    def fault(self) -> tuple[str, str] | None:
        """The first field that makes no sense, and why; None where it can be asked."""
        found = [*self._wrong_words(), *self._wrong_names(), *self._wrong_numbers()]
        return found[0] if found else None

    def _wrong_words(self) -> Iterator[tuple[str, str]]:
        kind, colon, detail = self.reads.partition(":")
        if self.mode not in get_args(Mode):
            yield "mode", f"no such mode; {_near(self.mode, get_args(Mode))}"
        if kind not in EXTRACTS or (colon and (kind not in ("choice", "json") or not detail.strip(" ,."))):
            yield "extract", f"cannot be read; {_near(kind, (*EXTRACTS, 'choice:low,high', 'json:PATH'))}"
        if self.mode in NUMERIC and kind in ("text", "choice"):
            yield "extract", f"the {self.mode} needs numbers: use number or json:PATH"
        if self.strong is not None and self.mode != "cascade":
            yield "strong", "counts in the mode cascade only"
        if self.judge is not None and self.mode not in JUDGED:
            yield "judge", "counts in the modes judge and fuse only"

    def _wrong_names(self) -> Iterator[tuple[str, str]]:
        least = 2 if self.mode == "cascade" else 1
        if len(self.members) < least:
            yield "models", f"the mode {self.mode} asks at least {least} at once"
        if len(self.models) > MOST_MEMBERS:
            yield "models", f"at most {MOST_MEMBERS}"
        if len(set(self.models)) < len(self.models):
            yield "models", "the same model is named twice"
        for name in (*self.models, *filter(None, (self.judge, self.strong))):
            if name.startswith(ENSEMBLE):
                yield "models", f"{name} is an ensemble itself; name models"

    def _wrong_numbers(self) -> Iterator[tuple[str, str]]:
        for name, weight in self.weights.items():
            if name not in self.models:
                yield f"weights.{name}", f"is no member; {_near(name, self.models)}"
            elif not 0 < weight < math.inf:
                yield f"weights.{name}", "must be greater than 0"
        asked = {*self.members, *filter(None, (self.last_word,))}
        if self.quorum is not None and not 0 < self.quorum <= len(asked):
            yield "quorum", f"must be 1 to {len(asked)}, the number of models"
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            yield "tolerance", "must be at least 0"
        if not 0 < self.timeout < math.inf:
            yield "timeout", "must be greater than 0"
        if self.budget_nano is not None and self.budget_nano < 0:
            yield "budget", "must be at least 0"


def _near(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


# "claude-sonnet-4-5-20250929", "gpt-4o-2024-08-06", "mistral-large-latest": a dated name of a known model.
DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


class Catalogue(Struct, frozen=True, kw_only=True):
    """Everything callable now. `skipped` says why a configured provider is not.

    `patterns` gives new models of a known vendor to its provider (`claude-*` → anthropic). `unavailable` says
    why a known model cannot be called now (`gpt-4` → "needs OPENAI_API_KEY"); its keys are names or patterns.
    A pattern is a whole name, or the beginning of one and a `*`. The keys of `ensembles` begin with `ensemble:`.
    `models` has the first of a model's `deployments`. `equal` are models that the owner calls as good as each other;
    `quickest_first`: all models of `auto` count as that. `hedge` None: only calls that ask for it are hedged.
    """

    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    assignments: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)
    ensembles: Mapping[str, Ensemble] = field(default_factory=dict)
    deployments: Mapping[str, Deployments] = field(default_factory=dict)
    equal: tuple[frozenset[str], ...] = ()
    quickest_first: bool = False
    hedge: Hedging | None = None

    def places(self, name: str) -> tuple[Model, ...]:
        """The deployments of the model called `name`, one where it has just one; none where no such model exists."""
        deployed = self.deployments.get(name)
        if deployed is not None:
            return deployed.models
        model = self.resolve(name)
        return () if model is None else (model,)

    def resolve(self, name: str) -> Model | None:
        """The model called `name`: a known one, `provider/upstream-name`, or a new one of a known vendor."""
        model = self.models.get(name)
        if model is not None:
            return model
        provider, slash, upstream = name.partition("/")
        if slash and upstream and provider in self.providers:
            return self._new(name, provider, upstream)
        if name in self.unavailable:
            return None
        for pattern, owner in self.patterns:
            if fits(name, pattern):
                return self._new(name, owner, name)
        return None

    def _new(self, name: str, provider: str, upstream: str) -> Model:
        known = self.models.get(upstream) or self.models.get(DATED.sub("", upstream))
        if known is not None and known.provider == provider:
            return replace(known, name=name, upstream=known.upstream if upstream == known.name else upstream)
        return Model(name=name, provider=provider, upstream=upstream, private=self.providers[provider].embedded)

    def default_of(self, provider: str) -> Model | None:
        """The model that serves where only the provider is named; None where it has no default."""
        found = self.providers.get(provider)
        if found is None or found.default_model is None:
            return None
        model = self.models.get(found.default_model)
        if model is not None and (model.provider == provider or found.embedded):
            return model
        return self._new(f"{provider}/{found.default_model}", provider, found.default_model)

    def why_unavailable(self, name: str) -> str | None:
        """Why a name that does not resolve is known and yet not callable; None where it is not known."""
        if name in self.unavailable:
            return self.unavailable[name]
        provider, slash, _ = name.partition("/")
        if slash and provider in self.skipped:
            return f"{provider}: {self.skipped[provider]}"
        return next((why for pattern, why in self.unavailable.items() if fits(name, pattern)), None)

    def suggest(self, name: str) -> str | None:
        """The nearest known name, for an error message."""
        known = [*self.models, *self.ensembles, *(each for each in self.unavailable if not each.endswith("*"))]
        close = get_close_matches(name, known, n=1, cutoff=0.6)
        return close[0] if close else None


def fits(name: str, pattern: str) -> bool:
    """Whether a name is the pattern, or begins as a pattern that ends in `*` does."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
