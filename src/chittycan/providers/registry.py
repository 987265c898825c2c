"""From the settings, the environment and what was found on this machine to the `Catalogue` of what can be called.

`build` is pure but for key files (`file:PATH`), which it reads. `add_integration` is the way to write a new provider
into the configuration.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from chittycan.catalogue import ENSEMBLE, Catalogue, Deployments, Ensemble, Model, Provider, Secret, Timeouts, fits
from chittycan.config.editing import set_proxy
from chittycan.config.references import Missing, is_reference, resolve_secret
from chittycan.config.settings import EnsembleSettings, ModelSettings, ProxySettings, Settings, TimeoutSettings
from chittycan.errors import UsageError
from chittycan.providers.discovery import PORTS, Endpoint, environment_keys
from chittycan.providers.limits import limits_of, odd_limits
from chittycan.providers.undefined import undefined_names
from chittycan.providers.vendors import ModelRow, Vendor, vendor, vendors
from chittycan.providers.written import deployed, hedging, overridden, placed, together

EMBEDDED, LOCAL, SMOLLM2 = "embedded", "local", "smollm2"
PLACE = re.compile(r"\{([A-Z0-9_|]+)\}")
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - names to compare with, nothing binds here


def build(
    settings: Settings,
    env: Mapping[str, str],
    found: Mapping[str, Endpoint] | None = None,
    embedded_missing: str | None = None,
) -> Catalogue:
    """Everything callable under these settings.

    `found` is what `discovery.discover` returned. `embedded_missing` says why the embedded model cannot run
    here; None: it can. Raises nothing: what cannot be used stands in `skipped` and `unavailable` with its reason.
    """
    draft = _Draft(settings, env, found or {})
    draft.add_configured()
    draft.add_from_environment()
    draft.add_discovered()
    draft.add_embedded(embedded_missing)
    draft.add_local()
    draft.add_written_models()
    draft.add_known_models()
    draft.add_default_models()
    draft.add_discovered_models()
    draft.add_patterns()
    draft.add_ensembles()
    catalogue = Catalogue(
        providers=draft.providers,
        models=draft.models,
        assignments=settings.assignments,
        fallbacks=settings.fallbacks,
        skipped=draft.skipped,
        patterns=tuple(draft.patterns),
        unavailable={name: why for name, why in draft.unavailable.items() if name not in draft.models},
        ensembles=draft.ensembles,
        deployments=draft.deployments,
        equal=tuple(frozenset(group) for group in settings.routing.equal),
        quickest_first=settings.routing.order == "latency",
        hedge=hedging(settings.routing.hedge),
    )
    warnings = [*map(str, settings.warnings), *draft.warnings, *undefined_names(catalogue, settings)]
    warnings += odd_limits(catalogue, settings)
    return replace(catalogue, warnings=tuple(warnings))


def add_integration(
    folder: Path,
    name: str,
    *,
    model: str | None = None,
    api_key: str | None = None,
    endpoint: str | None = None,
    dialect: str | None = None,
) -> bool:
    """Write the provider `name` into config.json, enabled, with `model` as its default; True if the file changed.

    `api_key` is a reference; without one a known vendor gets its usual variable (`env:OPENAI_API_KEY`), unless the
    proxy has a key already. Raises UsageError for an unknown vendor without endpoint, ConfigError for a broken file.
    """
    from chittycan.config.reading import load

    known = vendor(name)
    proxy = load(folder, {}).proxies.get(name)
    if known is None and endpoint is None and name not in (LOCAL, EMBEDDED) and not (proxy and proxy.endpoint):
        hint = _hint(name, [*vendors(), LOCAL])
        raise UsageError(f"'{name}' is no known vendor{hint}", fix="Give its endpoint: --endpoint https://…/v1")
    if api_key is None and known is not None and endpoint is None and not (proxy and (proxy.api_key or proxy.endpoint)):
        api_key = known.key_reference
    values = {"apiKey": api_key, "defaultModel": model, "endpoint": endpoint, "dialect": dialect}
    return set_proxy(folder, name, enabled=True, **{key: value for key, value in values.items() if value is not None})


class _Draft:
    """A catalogue in the making: each `add_…` step is one source, and earlier steps win."""

    def __init__(self, settings: Settings, env: Mapping[str, str], found: Mapping[str, Endpoint]) -> None:
        self.settings, self.env, self.found = settings, env, found
        self.providers: dict[str, Provider] = {}
        self.models: dict[str, Model] = {}
        self.skipped: dict[str, str] = {}
        self.unavailable: dict[str, str] = {}
        self.patterns: list[tuple[str, str]] = []
        self.ensembles: dict[str, Ensemble] = {}
        self.deployments: dict[str, Deployments] = {}
        self.warnings: list[str] = []
        self._serving: dict[str, str] = {}  # vendor id → the provider that reaches it

    # --- providers ---

    def add_configured(self) -> None:
        for name, proxy in self.settings.proxies.items():
            if not proxy.enabled:
                self.skipped[name] = "switched off in config.json"
            elif name == EMBEDDED or (name == LOCAL and proxy.endpoint is None):
                continue  # add_embedded and add_local
            else:
                self._add(name, self._configured(name, proxy))

    def add_from_environment(self) -> None:
        decided = {named.id for named in map(vendor, self.skipped) if named is not None} | set(self._serving)
        for key in environment_keys(self.env):
            if key.vendor in decided:
                continue
            known = vendors()[key.vendor]
            proxy = ProxySettings(api_key=f"env:{key.variable}")
            self._add(known.id, self._configured(known.id, proxy, "environment"))

    def add_discovered(self) -> None:
        taken = {_address(provider.endpoint) for provider in self.providers.values()}
        for name, endpoint in self.found.items():
            if name in self.providers or name in self.skipped or _address(endpoint.url) in taken:
                continue
            first = next((model.name for model in endpoint.models if not model.embeddings), None)
            self._add(name, _keyless(name, endpoint.url, default_model=first, source="discovered"))

    def add_embedded(self, missing: str | None) -> None:
        settings = self.settings.embedded
        proxy = self.settings.proxies.get(EMBEDDED, ProxySettings())
        if not (settings.enabled and proxy.enabled):
            missing = "switched off in config.json"
        if missing is not None:
            self.skipped[EMBEDDED] = self.unavailable[SMOLLM2] = missing
            return
        self.providers[EMBEDDED] = replace(
            _keyless(EMBEDDED, "", default_model=SMOLLM2, source="catalogue"),
            embedded=True,
            timeouts=_timeouts(proxy.timeouts),
        )
        self.models[SMOLLM2] = _embedded_model(SMOLLM2, EMBEDDED, self.settings)

    def add_local(self) -> None:
        """The proxy `local` without an endpoint: a server that was found, else the embedded model."""
        if LOCAL in self.providers or LOCAL in self.skipped:
            return
        proxy = self.settings.proxies.get(LOCAL, ProxySettings())
        server = next((self.found[name] for name in PORTS if name in self.found), None)
        if server is not None:
            first = next((model.name for model in server.models if not model.embeddings), None)
            provider = _keyless(LOCAL, server.url, default_model=proxy.default_model or first, source="discovered")
            self.providers[LOCAL] = replace(provider, timeouts=_timeouts(proxy.timeouts))
        elif EMBEDDED in self.providers:
            self.providers[LOCAL] = replace(self.providers[EMBEDDED], name=LOCAL)
        elif LOCAL in self.settings.proxies:
            self.skipped[LOCAL] = "no local server answers, and the embedded model cannot run"

    def _add(self, name: str, provider: Provider | Missing) -> None:
        if isinstance(provider, Missing):
            self.skipped[name] = provider.reason
            return
        self.providers[name] = provider
        served = _vendor_of(name, provider.endpoint)
        if served is not None and (served.id == name or served.id not in self._serving):
            self._serving[served.id] = name

    def _configured(self, name: str, proxy: ProxySettings, source: str = "config") -> Provider | Missing:
        known = vendor(name)
        if known is None and proxy.endpoint is None:
            hint = _hint(name, [*vendors(), LOCAL])
            return Missing(f'no known vendor has this name, and it has no "endpoint"{hint}')
        dialect = proxy.dialect or (known.dialect if known else "openai")
        endpoint = self._endpoint(name, proxy, known, dialect)
        if isinstance(endpoint, Missing):
            return endpoint
        keys = self._keys(name, proxy, known)
        if isinstance(keys, Missing):
            return keys
        headers = self._headers(proxy)
        if isinstance(headers, Missing):
            return headers
        reached = _vendor_of(name, endpoint)
        return Provider(
            name=name, dialect=dialect, endpoint=endpoint, keys=keys, needs_key=bool(keys),
            default_model=proxy.default_model or (known.default_model if known else None),
            timeouts=_timeouts(proxy.timeouts), limits=limits_of(f"provider:{name}", proxy.limits), headers=headers,
            http_proxy=proxy.http_proxy, ca_file=proxy.ca_file,
            local=_is_loopback(endpoint), price_provider=reached.price_provider if reached else None,
            verified=reached.verified if reached else True, source=source,
            stream_usage=proxy.stream_usage if proxy.stream_usage is not None else not reached or reached.stream_usage,
        )  # fmt: skip

    def _endpoint(self, name: str, proxy: ProxySettings, known: Vendor | None, dialect: str) -> str | Missing:
        endpoint = _filled(proxy.endpoint or (known.endpoint if known else ""), self.env)
        if isinstance(endpoint, Missing):
            return endpoint
        if _address(endpoint) is None:
            return Missing("its endpoint is no http(s) address, like http://127.0.0.1:1234/v1")
        if dialect == "anthropic":
            return endpoint.removesuffix("/v1")  # its SDK's base URL has none, but other clients' do
        if proxy.endpoint and dialect.startswith("openai") and not urlsplit(endpoint).path:
            self.warnings.append(f"proxy {name}: the endpoint has no path; most servers need {endpoint}/v1")
        return endpoint

    def _keys(self, name: str, proxy: ProxySettings, known: Vendor | None) -> tuple[Secret, ...] | Missing:
        references = proxy.api_keys
        if not references:
            # A vendor's usual key goes to the vendor's own address only.
            if known is None or proxy.endpoint is not None or not known.keys:
                return ()
            variable = next((each for each in known.keys if self.env.get(each, "").strip()), known.keys[0])
            references = (f"env:{variable}",)
        answers = [resolve_secret(reference, self.env, self.settings.folder) for reference in references]
        reasons = [answer.reason for answer in answers if isinstance(answer, Missing)]
        keys = tuple(answer for answer in answers if isinstance(answer, Secret))
        if not keys:
            return Missing("; ".join(reasons))
        self.warnings += [f"proxy {name}: one of its keys is missing: {reason}" for reason in reasons]
        return keys

    def _headers(self, proxy: ProxySettings) -> dict[str, str] | Missing:
        headers = {}
        for header, value in proxy.headers.items():
            secret = resolve_secret(value, self.env, self.settings.folder) if is_reference(value) else None
            if isinstance(secret, Missing):
                return Missing(f"header {header}: {secret.reason}")
            text = secret.value if secret else value
            if not _is_header(header, text):
                return Missing(f"header {header[:40]!r} cannot be sent: it holds a character that HTTP does not allow")
            headers[header] = text
        return headers

    # --- models ---

    def add_written_models(self) -> None:
        for name, written in self.settings.models.items():
            if written.deployments:
                self._deploy(name, written)
                continue
            found = self._written(name, written)
            if isinstance(found, Model):
                self.models[name] = found
            else:
                self.unavailable[name] = found

    def _written(self, name: str, written: ModelSettings, at: str = "") -> Model | str:
        """A line of models.json, or why it cannot be called; `at` is the key within the line."""
        provider = self._written_provider(name, written)
        if provider is None:
            self.warnings.append(f'models.json: models.{name}: no "proxy", and the name tells no vendor')
            return 'models.json does not say its "proxy"'
        if provider in self.providers:
            known = self.models.get(name)
            base = known if known and known.provider == provider else self._described(name, provider)
            return overridden(base, written)
        if vendor(provider) is None and provider not in self.skipped:
            hint = _hint(provider, [*self.providers, *vendors()])
            self.warnings.append(f"models.json: models.{name}{at}.proxy: {provider} is not defined{hint}")
        return self._why(provider)

    def _deploy(self, name: str, written: ModelSettings) -> None:
        """A model that runs in several places: those that can be called, or why none can."""
        models, missing = [], []
        for number, each in enumerate(written.deployments):
            found = self._written(name, placed(written, each), f".deployments.{number}")
            if isinstance(found, Model):
                models.append(deployed(found, each))
            else:
                missing.append((each.proxy, found))
        if written.proxy is not None:
            self.warnings.append(f'models.json: models.{name}.proxy: not used, because its "deployments" say where')
        group, twice = together(written, models, missing)
        self.warnings += [f"models.json: models.{name}.deployments: {place} is written twice" for place in twice]
        if not models:
            self.unavailable[name] = "; ".join(dict.fromkeys(why for _, why in missing))
            return
        self.models[name], self.deployments[name] = group.models[0], group

    def add_known_models(self) -> None:
        for known in vendors().values():
            provider = self._serving.get(known.id)
            for name, row in known.models.items():
                if provider is not None:
                    self.models.setdefault(name, _model(name, provider, row))
                else:
                    self.unavailable.setdefault(name, self._why(known.id))

    def add_default_models(self) -> None:
        for provider in list(self.providers.values()):
            name = provider.default_model
            if name is not None and name not in self.models:
                self.models[name] = self._described(name, provider.name)

    def add_discovered_models(self) -> None:
        by_address = {_address(provider.endpoint): name for name, provider in reversed(self.providers.items())}
        for endpoint in self.found.values():
            provider = by_address.get(_address(endpoint.url))
            for found in endpoint.models if provider else ():
                model = Model(
                    name=found.name, provider=provider or "", upstream=found.name, context_window=found.context_window,
                    embeddings=found.embeddings,
                )  # fmt: skip
                present = self.models.setdefault(found.name, model)
                if present.provider == provider and present.context_window is None:  # a default model, not described
                    self.models[found.name] = model

    def add_patterns(self) -> None:
        for known in vendors().values():
            provider = self._serving.get(known.id)
            for pattern in known.patterns:
                if provider is not None:
                    self.patterns.append((pattern, provider))
                else:
                    self.unavailable.setdefault(pattern, self._why(known.id))
            if provider is None and not known.local:
                self.unavailable.setdefault(f"{known.id}/*", self._why(known.id))

    def add_ensembles(self) -> None:
        for name, written in self.settings.ensembles.items():
            found = ensemble_of(written)
            fault = found.fault()
            if fault is None:
                self.ensembles[f"{ENSEMBLE}{name}"] = found
            else:
                key, why = fault
                self.unavailable[f"{ENSEMBLE}{name}"] = f"models.json: ensembles.{name}.{key}: {why}"
                self.warnings.append(f"ensembles.{name}.{key}: {why}; the ensemble cannot be called")

    def _described(self, name: str, provider: str) -> Model:
        """The model `name` at this provider, with what the catalogue knows of a model of that name anywhere."""
        if self.providers[provider].embedded:
            return _embedded_model(name, provider, self.settings)
        here = _vendor_of(provider, self.providers[provider].endpoint)
        if here is not None and name in here.models:
            return _model(name, provider, here.models[name])
        rows = (each.models[name] for each in vendors().values() if name in each.models)
        return replace(_model(name, provider, next(rows, ModelRow())), upstream=name)

    def _written_provider(self, name: str, written: ModelSettings) -> str | None:
        """The provider of a line in models.json; any vendor counts, whether or not config.json lists it."""
        if written.proxy is not None:
            named = vendor(written.proxy)
            if named is None or written.proxy in self.providers:
                return written.proxy
            return self._serving.get(named.id, named.id)
        if name in self.models:
            return self.models[name].provider
        having = [each.id for each in vendors().values() if name in each.models]
        having += [each.id for each in vendors().values() if any(fits(name, pattern) for pattern in each.patterns)]
        available = [self._serving[each] for each in having if each in self._serving]
        available += [provider.name for provider in self.providers.values() if provider.default_model == name]
        return next(iter([*available, *having]), None)

    def _why(self, provider: str) -> str:
        """Why this provider cannot be called, as the end of the sentence "gpt-4 …"."""
        if provider in self.skipped:
            return f"its provider {provider} is left out: {self.skipped[provider]}"
        known = vendor(provider)
        if known is None:
            return f"its provider {provider} is not defined in config.json"
        if known.local:
            return f"needs {known.name}, which does not answer on this machine"
        filled = _filled(known.endpoint, self.env)
        missing = [] if any(self.env.get(key) for key in known.keys) else [known.keys[0]]
        missing += [filled.reason.removeprefix("needs ")] if isinstance(filled, Missing) else []
        return f"needs {' and '.join(missing)}"


def ensemble_of(written: EnsembleSettings) -> Ensemble:
    """An ensemble as models.json writes it; `Ensemble.fault` says whether it makes sense."""
    optional = {"timeout": written.timeout} if written.timeout is not None else {}
    return Ensemble(
        models=written.models, mode=written.mode, extract=written.extract, weights=written.weights,
        quorum=written.quorum, judge=written.judge, strong=written.strong, tolerance=written.tolerance,
        budget_nano=None if written.budget is None else round(written.budget * 1e9),
        **optional,
    )  # fmt: skip


def _keyless(name: str, endpoint: str, *, default_model: str | None, source: str) -> Provider:
    """A provider on this machine that speaks OpenAI's dialect and asks for no key."""
    return Provider(
        name=name, dialect="openai", endpoint=endpoint, needs_key=False, default_model=default_model, local=True,
        source=source, verified=name == EMBEDDED,
    )  # fmt: skip


def _embedded_model(name: str, provider: str, settings: Settings) -> Model:
    """The embedded model: private and where this machine is, because nothing leaves it; small, so text alone."""
    return Model(
        name=name, provider=provider, upstream=SMOLLM2, context_window=settings.embedded.context, private=True,
        regions=settings.regions, tier="simple", vision=False, tools=False, reasoning=False,
    )  # fmt: skip


def _model(name: str, provider: str, row: ModelRow) -> Model:
    return Model(
        name=name, provider=provider, upstream=row.upstream or name, context_window=row.window, max_output=row.output,
        tier=row.tier, vision="vision" not in row.lacks, tools="tools" not in row.lacks,
        json_schema="json_schema" not in row.lacks, reasoning="reasoning" not in row.lacks,
        prefill=row.prefill, embeddings=row.embeddings,
    )  # fmt: skip


def _timeouts(written: TimeoutSettings) -> Timeouts:
    given = {key: getattr(written, key) for key in ("connect", "first_token", "idle", "total")}
    return Timeouts(**{key: value for key, value in given.items() if value is not None})


def _vendor_of(name: str, endpoint: str) -> Vendor | None:
    """The vendor behind a provider: by its name, else by the host of its endpoint."""
    if known := vendor(name):
        return known
    address = _address(endpoint)
    hosts = ((each, _address(each.endpoint)) for each in vendors().values() if not each.local)
    return next((each for each, there in hosts if address is not None and there == address), None)


def _filled(endpoint: str, env: Mapping[str, str]) -> str | Missing:
    """`{NAME}` and `{NAME|OTHER}` filled in from the environment, or which variable that needs."""
    missing = []

    def fill(place: re.Match[str]) -> str:
        names = place[1].split("|")
        value = next((env[name].strip() for name in names if env.get(name, "").strip()), None)
        if value is None:
            missing.append(names[0])
        return (value or "").rstrip("/")

    filled = PLACE.sub(fill, endpoint.strip()).rstrip("/")
    return Missing(f"needs {' and '.join(dict.fromkeys(missing))}") if missing else filled


def _address(url: str) -> tuple[str, int] | None:
    """Host and port, all names of this machine being one; None where the URL is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or not (url.isascii() and url.isprintable()):
        return None
    host = "127.0.0.1" if parts.hostname in LOOPBACK else parts.hostname
    return host, port or (443 if parts.scheme == "https" else 80)


def _is_loopback(url: str) -> bool:
    address = _address(url)
    try:
        return address is not None and ipaddress.ip_address(address[0]).is_loopback
    except ValueError:  # a name, such as 127.example.com
        return False


def _is_header(name: str, value: str) -> bool:
    return bool(HEADER.fullmatch(name)) and value.isascii() and value.isprintable()


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
