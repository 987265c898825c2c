"""The shape of `config.json` and `models.json`, and what the program gets from them.

These structs are the one list of known keys: the reader checks files against them, `config.schema.json`
publishes them, and a test holds the two together. Field names become camelCase in the files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from chittycan.catalogue import Balance, DialectName, Mode

Seconds = Annotated[float, Meta(gt=0)]
Days = Annotated[float, Meta(gt=0)]
Dollars = Annotated[float, Meta(ge=0)]  # USD
Amount = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(gt=0)]
Weight = Annotated[float, Meta(gt=0)]
Names = str | tuple[str, ...]  # one, or a list
Region = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

CONFIG_FILE, MODELS_FILE = "config.json", "models.json"
DEFAULT_SERVER = "http://127.0.0.1:8787"


class Finding(Struct, frozen=True):
    """Something odd in a file that does not stop the program."""

    file: str
    key: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}: {self.key}: {self.message}{hint}"


class TimeoutSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """Seconds; what is absent keeps the default of `catalogue.Timeouts`."""

    connect: Seconds | None = None
    first_token: Seconds | None = None
    idle: Seconds | None = None
    total: Seconds | None = None


class LimitSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """What all servers together may ask of a provider or a model; what is absent is not limited."""

    concurrency: Count | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    wait: Amount | None = None  # seconds


class ProxySettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """One provider as the owner set it up. `api_key` holds references (`env:NAME`, `file:PATH`) or literals."""

    enabled: bool = True
    endpoint: str | None = None
    dialect: DialectName | None = None
    api_key: Names | None = None
    default_model: str | None = None
    timeouts: TimeoutSettings = TimeoutSettings()
    limits: LimitSettings | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # values may be references too
    http_proxy: str | None = None
    ca_file: str | None = None
    stream_usage: bool | None = None  # false: the endpoint refuses `stream_options`

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The references, whether one or several were written."""
        return listed(self.api_key)

    def __repr__(self) -> str:
        return f"ProxySettings(endpoint={self.endpoint!r}, keys={len(self.api_keys)}, enabled={self.enabled})"


class ConnectRemote(Struct, frozen=True, kw_only=True, rename="camel"):
    """A remote of type `chittyconnect`: the server that the command talks to, and the providers."""

    type: str
    base_url: str | None = None
    api_token: str | None = None
    mcp_enabled: bool | None = None
    proxies: Mapping[str, ProxySettings] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ConnectRemote({self.base_url!r}, proxies={sorted(self.proxies)})"


class PriceSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """USD per million tokens."""

    input: Dollars
    output: Dollars
    cached: Dollars | None = None
    cache_write: Dollars | None = None
    cache_write_1h: Dollars | None = field(name="cacheWrite1h", default=None)


class DeploymentSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """One place that runs a model; what is absent is as the model's own line says."""

    proxy: str
    upstream: str | None = None
    weight: Weight | None = None
    price: PriceSettings | None = None
    context_window: Count | None = None
    max_output: Count | None = None
    regions: tuple[str, ...] | None = None
    private: bool | None = None
    limits: LimitSettings | None = None


class ModelSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of models.json; absent keys keep what the catalogue knows of a model of that name."""

    proxy: str | None = None
    upstream: str | None = None
    deployments: tuple[DeploymentSettings, ...] = ()
    balance: Balance | None = None
    price: PriceSettings | None = None
    context_window: Count | None = None
    max_output: Count | None = None
    regions: tuple[str, ...] | None = None
    private: bool | None = None
    tier: Literal["simple", "medium", "complex"] | None = None
    vision: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    prefill: bool | None = None
    reasoning: bool | None = None
    embeddings: bool | None = None
    limits: LimitSettings | None = None

    @property
    def may_be_private(self) -> bool:
        """Whether it, or one of its deployments, does private work."""
        return bool(self.private) or any(each.private for each in self.deployments)


class EnsembleSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """Several models, one answer; what is absent keeps the default of `catalogue.Ensemble`."""

    models: tuple[str, ...]
    mode: Mode = "cascade"
    extract: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    tolerance: Amount | None = None
    quorum: Count | None = None
    judge: str | None = None
    strong: str | None = None
    budget: Dollars | None = None
    timeout: Seconds | None = None


class HedgeSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """When a second model is asked beside one that is late. `models`: for calls that ask for these; empty: all."""

    after: Seconds | Literal["p95"] = "p95"
    models: tuple[str, ...] = ()


class RoutingSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """How `auto` chooses. `target`: the share of the strong model's quality that its choice is to reach."""

    target: Annotated[float, Meta(gt=0, le=1)] = 0.95
    strong: str | None = None  # a model; None: the one of which most is expected
    baseline: str | None = None  # a model that savings are counted against
    learn: bool = False  # keep a sketch of prompts that `auto` chose for, to learn from their scores
    order: Literal["written", "latency"] = "written"  # of the models that `auto` may choose
    equal: tuple[tuple[str, ...], ...] = ()  # models that are as good as each other
    hedge: HedgeSettings | None = None


class Budgets(Struct, frozen=True, kw_only=True, rename="camel"):
    """Caps over all keys, USD per UTC day and calendar month; None: no cap.

    `alarm`: shares of any budget, these and those of keys, at which its owner is told.
    """

    day: Dollars | None = None
    month: Dollars | None = None
    alarm: tuple[Annotated[float, Meta(gt=0, le=1)], ...] = (0.8, 1.0)

    @property
    def day_nano(self) -> int | None:
        """Nano-dollars."""
        return None if self.day is None else round(self.day * 1e9)

    @property
    def month_nano(self) -> int | None:
        return None if self.month is None else round(self.month * 1e9)


class Privacy(Struct, frozen=True, kw_only=True, rename="camel"):
    """`terms` are words and phrases that are private wherever they stand. `redact`: what is private goes outside as
    placeholders, rather than staying in the house. `names`: full names of people are private too.
    """

    mode: Literal["off", "warn", "enforce"] | None = None
    terms: tuple[str, ...] = ()
    redact: bool = False
    names: bool = False

    def __repr__(self) -> str:
        return f"Privacy(mode={self.mode!r}, terms={len(self.terms)})"


class OutboundSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """Which servers a task's own requests may go to, and what only we may say to them.

    `headers` is host → name → value; values and `webhook_secret` hold references or literals.
    """

    allow: tuple[str, ...] = ()
    private: bool = False
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    webhook_secret: Names | None = None

    def __repr__(self) -> str:
        return f"OutboundSettings(allow={self.allow!r}, private={self.private})"


# What a webhook may be told of; `workstreams.events` says when each of them happens.
WebhookEvent = Literal[
    "task.*", "task.completed", "task.failed", "task.cancelled", "task.waiting_for_approval",
    "step.*", "step.completed", "step.failed", "step.cancelled",
    "workstream.*", "workstream.completed", "workstream.failed", "workstream.cancelled",
    "batch.*", "batch.completed", "batch.failed", "batch.expired", "batch.cancelled",
    "response.*", "response.completed", "response.failed", "response.incomplete", "response.cancelled",
    "budget.*", "budget.alarm",
    "rule.*", "rule.matched",
    "draft.*", "draft.bounced",
]  # fmt: skip


class WebhookSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """Who is told of what happens here. `secret` holds references or literals; None is `outbound.webhook_secret`."""

    url: str
    events: tuple[WebhookEvent, ...] = ("task.*", "workstream.*", "batch.*", "response.*", "budget.*", "draft.*")
    secret: Names | None = None

    def wants(self, event: str) -> bool:
        """Whether it is told of an event of this type."""
        return event in self.events or f"{event.partition('.')[0]}.*" in self.events

    def __repr__(self) -> str:
        return f"WebhookSettings(events={self.events!r})"


class OAuthSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """How tokens for mail are got. Each may be a reference; `refresh_token` and `client_secret` have to be."""

    token_url: str
    client_id: str
    refresh_token: str
    client_secret: str | None = None
    scope: str | None = None


class SmtpSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """The server that sends our mail. `password` is a reference or a literal.

    With `oauth` it is shown tokens; with `xoauth2` also without, by the login of the account that this belongs to, or
    a `password` that is a reference to a token.
    """

    host: str
    port: Count | None = None
    security: Literal["tls", "starttls", "none"] = "starttls"
    user: str | None = None
    password: str | None = None
    oauth: OAuthSettings | None = None
    auth: Literal["password", "xoauth2"] = "password"
    sender: str = field(name="from")
    allow: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"SmtpSettings({self.host!r}, security={self.security!r})"


class Embedded(Struct, frozen=True, kw_only=True, rename="camel"):
    """The model that runs as our own child process: `model` is a path to a GGUF file, None the shipped one."""

    enabled: bool = True
    model: str | None = None
    context: Count = 8192  # tokens
    threads: Count | None = None


class ContextSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """The shared document of a session. `recall` and `record` are what calls with a session do unasked."""

    recall: bool = False
    record: bool = False
    tokens: Count = 1024  # of a recalled document
    answers: Count = 20  # that are kept under `answers`
    max_bytes: Count = 1 << 20  # of one document
    history: Count = 200  # changes that are kept
    ttl: Seconds | None = None  # from the last write; None: for good


class TaskSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """Durable work. `retention`: days that tasks and workstreams are kept after their end."""

    retention: Days = 30


class ConfigFile(Struct, frozen=True, kw_only=True, rename="camel"):
    """Every key of config.json. The last ones are kept as they are, for the parts that own them."""

    schema_: str | None = field(name="$schema", default=None)
    remotes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model_assignments: Mapping[str, str] = field(default_factory=dict)
    budgets: Budgets = Budgets()
    privacy: Privacy = Privacy()
    embedded: Embedded = Embedded()
    outbound: OutboundSettings = OutboundSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
    smtp: SmtpSettings | None = None
    context: ContextSettings = ContextSettings()
    tasks: TaskSettings = TaskSettings()
    regions: tuple[Region, ...] = ()  # where this machine stands
    inbox: Mapping[str, Any] = field(default_factory=dict)
    integrations: Mapping[str, Any] = field(default_factory=dict)
    nudges: Mapping[str, Any] = field(default_factory=dict)
    sync: Mapping[str, Any] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    mcp: Mapping[str, Any] = field(default_factory=dict)
    cleanup: Mapping[str, Any] = field(default_factory=dict)
    cache: Mapping[str, Any] = field(default_factory=dict)


class ModelsFile(Struct, frozen=True, kw_only=True, rename="camel"):
    """Every key of models.json."""

    schema_: str | None = field(name="$schema", default=None)
    assignments: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, Names] = field(default_factory=dict)
    models: Mapping[str, ModelSettings] = field(default_factory=dict)
    ensembles: Mapping[str, EnsembleSettings] = field(default_factory=dict)
    routing: RoutingSettings = RoutingSettings()


class Server(Struct, frozen=True, kw_only=True):
    """The ChittyCan server that the command talks to. `configured`: a remote says so; else the default."""

    base_url: str = DEFAULT_SERVER
    api_token: str | None = None  # a reference
    configured: bool = False

    def __repr__(self) -> str:
        return f"Server({self.base_url!r})"


class Settings(Struct, frozen=True, kw_only=True):
    """Both files, read and merged. `remotes` is everything as written; `sections` are the other tools' parts."""

    folder: Path
    server: Server = Server()
    proxies: Mapping[str, ProxySettings] = field(default_factory=dict)
    assignments: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: Mapping[str, ModelSettings] = field(default_factory=dict)
    ensembles: Mapping[str, EnsembleSettings] = field(default_factory=dict)
    routing: RoutingSettings = RoutingSettings()
    budgets: Budgets = Budgets()
    privacy: Privacy = Privacy()
    embedded: Embedded = Embedded()
    outbound: OutboundSettings = OutboundSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
    smtp: SmtpSettings | None = None
    context: ContextSettings = ContextSettings()
    tasks: TaskSettings = TaskSettings()
    regions: tuple[str, ...] = ()
    remotes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    inbox: Mapping[str, Any] = field(default_factory=dict)
    integrations: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()

    @property
    def privacy_mode(self) -> Literal["off", "warn", "enforce"]:
        """What the owner wrote, else `enforce` once a model is set up for private work, else `warn`."""
        if self.privacy.mode:
            return self.privacy.mode
        owned = "private" in self.assignments or any(model.may_be_private for model in self.models.values())
        return "enforce" if owned else "warn"

    def listeners(self, event: str) -> list[str]:
        """The addresses of `webhooks` that are told of events of this type."""
        return [each.url for each in self.webhooks if each.wants(event)]

    def __repr__(self) -> str:
        return f"Settings({str(self.folder)!r}, proxies={sorted(self.proxies)})"


def listed(names: Names | None) -> tuple[str, ...]:
    """One name or several, always as a tuple."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else names
