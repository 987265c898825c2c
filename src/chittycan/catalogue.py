"""What can be called: providers and models as frozen values, and the lookup of a name.

Pure data, made by `providers.registry` from `catalog.toml`, the configuration and what was found on this
machine; read by `routing` (to decide) and `gateway` (to call).
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct, field

DialectName = Literal["openai", "openai_responses", "anthropic", "gemini"]


class Timeouts(Struct, frozen=True):
    """Seconds. `first_token` None: 14 s where another model could serve instead, else no limit."""

    connect: float = 10.0
    first_token: float | None = None
    idle: float = 60.0
    total: float = 600.0


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
    headers: Mapping[str, str] = field(default_factory=dict)
    http_proxy: str | None = None
    ca_file: str | None = None
    local: bool = False  # runs on this machine
    embedded: bool = False  # our own child process; `endpoint` is filled in when it runs
    price_provider: str | None = None  # the vendor's id in genai-prices
    verified: bool = True
    source: str = "config"  # config | environment | discovered | catalogue


class PriceRow(Struct, frozen=True, kw_only=True):
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


class Catalogue(Struct, frozen=True, kw_only=True):
    """Everything callable now. `skipped` says why a configured provider is not."""

    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    assignments: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def resolve(self, name: str) -> Model | None:
        """The model called `name`; also `provider/upstream-name` for any provider that is there."""
        model = self.models.get(name)
        if model is not None:
            return model
        provider, slash, upstream = name.partition("/")
        if slash and upstream and provider in self.providers:
            return Model(name=name, provider=provider, upstream=upstream)
        return None

    def suggest(self, name: str) -> str | None:
        """The nearest known name, for an error message."""
        close = get_close_matches(name, list(self.models), n=1, cutoff=0.6)
        return close[0] if close else None
