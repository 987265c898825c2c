"""Pure: LiteLLM's proxy configuration (`model_list`, `litellm_settings`, `router_settings`…) as ours.

Source: https://docs.litellm.ai/docs/proxy/config_settings
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from chittycan.control.imports.findings import Imported, Level, Notes, Where
from chittycan.control.imports.litellm_settings import SECTIONS, settings
from chittycan.providers.vendors import Vendor, vendor, vendors

# LiteLLM's prefix before "/" → our vendor. Others are looked up by their own name.
PREFIXES = {
    "azure": "azure", "azure_ai": "azure", "vertex_ai": "vertex", "vertex_ai_beta": "vertex", "together_ai": "together",
    "ollama_chat": "ollama", "lm_studio": "lmstudio", "hosted_vllm": "vllm", "cohere_chat": "cohere",
    "text-completion-openai": "openai", "bedrock_converse": "bedrock", "google": "gemini",
}  # fmt: skip
# Prefixes that only say "an OpenAI-compatible server at api_base".
COMPATIBLE = ("openai", "custom_openai", "openai_like", "litellm_proxy")
# What LiteLLM adds to `api_base` by itself, and an endpoint here has to say.
SUFFIXES = {"azure": "/openai/v1", "ollama": "/v1"}
OTHER_MODES = ("image_generation", "audio_transcription", "audio_speech", "moderation", "rerank", "realtime", "batch")

# Keys of litellm_params and model_info → a key of our model, and what to multiply its value by.
LIMITS = {"rpm": "rpm", "tpm": "tpm", "max_parallel_requests": "concurrency"}
PRICES = {
    "input_cost_per_token": "input", "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached", "cache_creation_input_token_cost": "cacheWrite",
}  # fmt: skip
INFO = {
    "max_input_tokens": "contextWindow", "max_output_tokens": "maxOutput", "supports_vision": "vision",
    "supports_function_calling": "tools", "supports_response_schema": "jsonSchema", "supports_reasoning": "reasoning",
    "supports_assistant_prefill": "prefill",
}  # fmt: skip
TIMEOUTS = {"timeout": "total", "stream_timeout": "firstToken"}
BALANCE = "least-busy"  # what comes nearest to LiteLLM's own, which goes by chance and weight
# a deployment's own
PLACE = ("proxy", "upstream", "weight", "price", "contextWindow", "maxOutput", "limits", "regions")
READ_ELSEWHERE = {
    "model", "api_key", "api_base", "base_url", "extra_headers", "mode", "id", "region_name", "litellm_credential_name",
}  # fmt: skip
ENTRY = ("model_name", "litellm_params", "model_info")
NOTHING = "there is nothing like it here"
# What to say of keys of litellm_params and model_info that nothing here stands for.
INSTEAD: dict[str, tuple[Level, str]] = {
    "api_version": ("approximate", "not needed: Azure's /openai/v1 goes without one"),
    "base_model": ("approximate", "prices go by the name at the provider: give `price` where that one is not known"),
    "order": ("unsupported", 'with `"balance": "written"` deployments are asked in the order of the file'),
    "max_budget": ("unsupported", "budgets are of keys and of all calls, not of a deployment"),
    "budget_duration": ("unsupported", "budgets are of keys and of all calls, not of a deployment"),
    "max_tokens": ("unsupported", "what a request says counts, and nothing is set for it"),
    "temperature": ("unsupported", "what a request says counts, and nothing is set for it"),
    "tags": ("unsupported", "no tags: kinds of work, `x-chitty-models` and rules say which model"),
}


def convert(document: Mapping[str, Any], lines: Mapping[Where, int]) -> Imported:
    """Never raises: what cannot be read is a finding."""
    notes = Notes(lines)
    made = _Models(notes, _credentials(document.get("credential_list")))
    listed = document.get("model_list") or []
    if not isinstance(listed, list):
        notes.add("unsupported", ("model_list",), "this is no list")
        listed = []
    for number, entry in enumerate(listed):
        made.deployment(entry, ("model_list", number))
    imported = made.imported()
    settings({name: document[name] for name in SECTIONS if isinstance(document.get(name), Mapping)}, imported, notes)
    for key in document:
        if key == "include":
            notes.add("unsupported", (key,), "import those files too, one after the other")
        elif key not in ("model_list", "credential_list", *SECTIONS):
            notes.add("unsupported", (str(key),), NOTHING)
    imported.findings = sorted(notes.found, key=lambda each: (each.line or 0, each.key))
    return imported


class _Models:
    """Deployments as they are read: several of one name are one model that runs in several places."""

    def __init__(self, notes: Notes, credentials: Mapping[str, Mapping[str, Any]]) -> None:
        self._notes, self._credentials = notes, credentials
        self._result = Imported()
        self._of: dict[str, list[dict[str, Any]]] = {}  # model_name → the model at each of its places, in order
        self._proxy_of: dict[tuple[Any, ...], str] = {}

    def imported(self) -> Imported:
        for name, places in self._of.items():
            self._result.models[name] = _deployed(places) if len(places) > 1 else _without(places[0], "weight")
        return self._result

    def deployment(self, entry: Any, at: Where) -> None:
        params = entry.get("litellm_params") if isinstance(entry, Mapping) else None
        name = entry.get("model_name") if isinstance(entry, Mapping) else None
        if not isinstance(params, Mapping) or not isinstance(params.get("model"), str) or not isinstance(name, str):
            self._notes.add("unsupported", at, "needs `model_name` and `litellm_params.model`")
            return
        info = entry.get("model_info")
        info = info if isinstance(info, Mapping) else {}
        if info.get("mode") in OTHER_MODES:
            self._notes.add("unsupported", (*at, "model_info", "mode"), f"{info['mode']} is not served here")
            return
        for key in entry:
            if key not in (*ENTRY, *LIMITS):
                self._notes.add("unsupported", (*at, str(key)), NOTHING)
        params = {**{key: entry[key] for key in LIMITS if key in entry}, **self._with_credential(params, at)}
        if name == "*" or params["model"] == "*":
            message = "no wildcards: a vendor whose key is known serves its models by their own names without an entry"
            self._notes.add("approximate", (*at, "model_name"), message)
            return
        found = self._vendor(params, at)
        if found is None:
            return
        service, upstream = found
        proxy = self._proxy(service, params, at)
        if "*" in name:
            message = f"no wildcards: `{proxy}/NAME` is any model of it, without an entry"
            self._notes.add("approximate", (*at, "model_name"), message)
            return
        model = self._model(params, info, at) | {"proxy": proxy, "upstream": upstream}
        self._add(name, model, at)

    def _with_credential(self, params: Mapping[str, Any], at: Where) -> Mapping[str, Any]:
        """The parameters, with what `litellm_credential_name` stands for."""
        name = params.get("litellm_credential_name")
        if name is None:
            return params
        known = self._credentials.get(str(name))
        if known is None:
            message = f"credential_list has no {name!r}: give the proxy its `apiKey`"
            self._notes.add("unsupported", (*at, "litellm_params", "litellm_credential_name"), message)
            return params
        self._notes.add("exact", (*at, "litellm_params", "litellm_credential_name"), "its values are the proxy's")
        return {**known, **params}

    def _vendor(self, params: Mapping[str, Any], at: Where) -> tuple[Vendor, str] | None:
        prefix, slash, upstream = str(params["model"]).partition("/")
        at = (*at, "litellm_params", "model")
        if not slash:
            whose = next((each for each in vendors().values() if _serves(each, prefix)), None)
            return (whose or vendors()["openai"]), prefix
        service = vendor(PREFIXES.get(prefix, prefix))
        if service is None and params.get("api_base"):
            self._notes.add("approximate", at, f"{prefix!r} is not known here: taken for an OpenAI-compatible server")
            return vendors()["openai"], upstream
        if service is None:
            message = f"{prefix!r} is not known here; add it with its `endpoint` under `proxies`"
            self._notes.add("unsupported", at, message)
            return None
        if service.id in ("bedrock", "vertex"):
            message = f"{service.name} wants a bearer key here: signed requests and token refresh are missing"
            self._notes.add("approximate", at, message)
        return service, upstream

    def _proxy(self, service: Vendor, params: Mapping[str, Any], at: Where) -> str:
        """The proxy of this service, address and headers, made where there is none; the key is added to its own."""
        base = params.get("api_base") or params.get("base_url")
        base = base if isinstance(base, str) else None
        headers = params.get("extra_headers")
        headers = headers if isinstance(headers, Mapping) else {}
        timeouts = {ours: params[key] for key, ours in TIMEOUTS.items() if isinstance(params.get(key), int | float)}
        identity = (service.id, base, tuple(sorted(map(str, headers.items()))), tuple(sorted(timeouts.items())))
        name = self._proxy_of.get(identity)
        if name is None:
            name = self._proxy_of[identity] = _free(self._result.proxies, _proxy_name(service, base))
            proxy: dict[str, Any] = {"enabled": True}
            if base or name != service.id:
                proxy |= {"endpoint": _endpoint(service, base), "dialect": service.dialect}
            if headers:
                proxy["headers"] = {key: _reference(str(value)) or str(value) for key, value in headers.items()}
            if timeouts:
                proxy["timeouts"] = timeouts
            self._result.proxies[name] = proxy
        self._key(name, params.get("api_key"), service, (*at, "litellm_params", "api_key"))
        return name

    def _key(self, proxy: str, key: Any, service: Vendor, at: Where) -> None:
        keys: list[str] = self._result.proxies[proxy].setdefault("apiKey", [])
        reference = service.key_reference if key is None else _reference(str(key))
        if key is not None and reference is None:
            secrets = self._result.secrets.setdefault(proxy, [])
            if str(key) in secrets:
                return
            secrets.append(str(key))
            reference = f"secret:{len(secrets) - 1}"
            self._notes.add("exact", at, "moved into a file of its own that only you can read")
        if reference is not None and reference not in keys:
            keys.append(reference)
        if not keys:
            del self._result.proxies[proxy]["apiKey"]

    def _model(self, params: Mapping[str, Any], info: Mapping[str, Any], at: Where) -> dict[str, Any]:
        model: dict[str, Any] = {}
        for section, values in (("litellm_params", params), ("model_info", info)):
            for key, value in values.items():
                place = (*at, section, str(key))
                if key in LIMITS and isinstance(value, int):
                    model.setdefault("limits", {})[LIMITS[key]] = value
                elif key in PRICES and isinstance(value, int | float):
                    model.setdefault("price", {})[PRICES[key]] = round(value * 1e6, 9)  # per million tokens
                elif key in INFO:
                    model[INFO[key]] = value
                elif key == "weight" and isinstance(value, int | float) and value > 0:
                    model["weight"] = value
                    self._notes.add("exact", place, "its share of the calls, among the deployments of the model")
                elif key == "max_tokens" and section == "model_info":
                    model.setdefault("maxOutput", value)
                elif key in TIMEOUTS:
                    self._notes.add("approximate", place, f"became the proxy's `timeouts.{TIMEOUTS[key]}`")
                elif key not in READ_ELSEWHERE:
                    self._notes.add(*_instead(str(key), place))
        if info.get("mode") == "embedding":
            model["embeddings"] = True
        if isinstance(params.get("region_name"), str):
            model["regions"] = [params["region_name"]]
        price = model.get("price")
        if price is not None and not {"input", "output"} <= price.keys():
            self._notes.add("unsupported", (*at, "litellm_params"), "a price needs both input and output")
            del model["price"]
        return model

    def _add(self, name: str, model: dict[str, Any], at: Where) -> None:
        places = self._of.setdefault(name, [])
        if model in places:
            self._notes.add("exact", at, f"a further key of {name}: keys take turns")
            return
        places.append(model)
        where = f"{model['proxy']}/{model['upstream']}"
        self._notes.add("exact", at, f"{name} at {where}" if len(places) > 1 else f"model {name}, at {where}")


def _instead(key: str, place: Where) -> tuple[Level, Where, str]:
    level, message = INSTEAD.get(key, ("unsupported", NOTHING))
    return level, place, message


def _credentials(listed: Any) -> dict[str, Mapping[str, Any]]:
    """`credential_list`: by name, what its users would have in `litellm_params`."""
    found = {}
    for each in listed if isinstance(listed, list) else ():
        values = each.get("credential_values") if isinstance(each, Mapping) else None
        if isinstance(values, Mapping):
            found[str(each.get("credential_name"))] = values
    return found


def _without(model: dict[str, Any], key: str) -> dict[str, Any]:
    return {each: value for each, value in model.items() if each != key}


def _deployed(places: list[dict[str, Any]]) -> dict[str, Any]:
    """One model of several places. What not all of them can do, it cannot."""
    common: dict[str, Any] = {}
    for key in dict.fromkeys(key for place in places for key in place if key not in PLACE):
        values = [place[key] for place in places if key in place]
        common[key] = all(values) if all(isinstance(value, bool) for value in values) else values[0]
    deployments = [{key: value for key, value in place.items() if key in PLACE} for place in places]
    return common | {"deployments": deployments, "balance": BALANCE}


def _serves(service: Vendor, model: str) -> bool:
    return model in service.models


def _proxy_name(service: Vendor, base: Any) -> str:
    if not base:
        return service.id
    host = urlsplit(str(base)).hostname or "server"
    if host in ("localhost", "127.0.0.1"):
        return f"{service.id}-local"
    return re.sub(r"[^a-z0-9]+", "-", f"{service.id}-{host}".lower()).strip("-")


def _endpoint(service: Vendor, base: Any) -> str:
    if not base:
        return service.endpoint
    address = str(base).rstrip("/")
    if (reference := _reference(address)) is not None:
        address = "{" + reference.removeprefix("env:") + "}"  # filled in from the environment here too
    suffix = SUFFIXES.get(service.id, "")
    return address if address.endswith(suffix) else address + suffix


def _reference(value: str) -> str | None:
    """`os.environ/NAME` → `env:NAME`; None for a literal."""
    _, found, name = value.partition("os.environ/")
    return f"env:{name}" if found else None


def _free(taken: Mapping[str, Any], name: str) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
