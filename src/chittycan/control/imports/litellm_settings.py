"""Pure: the sections of LiteLLM's configuration beside its models. A table says what each key becomes."""

from collections.abc import Callable, Mapping
from typing import Any

from chittycan.control.imports.findings import Imported, Level, Notes, Where

SECTIONS = ("litellm_settings", "router_settings", "general_settings", "environment_variables")

ALL = "*"  # models
_AT_HOME = "not needed: "
_TABLE = "the failure table decides (docs/failures.md)"
# What a key means here, where nothing has to be written for it.
SAID: dict[str, tuple[Level, str]] = {
    "num_retries": ("approximate", _TABLE),
    "retry_after": ("approximate", _TABLE),
    "retry_policy": ("approximate", _TABLE),
    "allowed_fails": ("approximate", f"models rest by their rate of failures; {_TABLE}"),
    "allowed_fails_policy": ("approximate", _TABLE),
    "cooldown_time": ("approximate", _TABLE),
    "disable_cooldowns": ("unsupported", "models that fail always rest"),
    "drop_params": ("approximate", "what a dialect lacks is left out in translation, or refused where it matters"),
    "modify_params": ("approximate", "messages are translated so that the provider takes them"),
    "enable_pre_call_checks": ("exact", "windows and abilities are always checked before a call"),
    "cache": ("approximate", "name the models whose answers may be cached in config.json `cache.models`"),
    "cache_params": ("approximate", "the cache is in the database; config.json `cache` has `models` and `ttl`"),
    "redis_host": ("exact", f"{_AT_HOME}processes share the database"),
    "redis_port": ("exact", f"{_AT_HOME}processes share the database"),
    "redis_password": ("exact", f"{_AT_HOME}processes share the database"),
    "redis_url": ("exact", f"{_AT_HOME}processes share the database"),
    "set_verbose": ("unsupported", "bodies never reach the log"),
    "json_logs": ("exact", "logs are JSON where they do not go to a terminal"),
    "master_key": ("approximate", "the owner on this machine needs none; for others: `can keys create --name NAME`"),
    "database_url": ("approximate", "set CHITTY_DATABASE_URL; keys and spend stay in the old database"),
    "store_model_in_db": ("unsupported", "models are in models.json"),
    "callbacks": ("approximate", "the ledger has every attempt, /metrics the counts; there are no callbacks"),
    "success_callback": ("approximate", "the ledger has every attempt; there are no callbacks"),
    "failure_callback": ("approximate", "the ledger has every attempt; there are no callbacks"),
    "turn_off_message_logging": ("exact", "messages are never logged"),
    "stream_timeout": ("approximate", "set `timeouts.firstToken` of each proxy"),
}  # fmt: skip
# LiteLLM's strategy → our balance of a model's deployments, and how near that comes.
STRATEGIES: dict[str, tuple[str, Level]] = {
    "latency-based-routing": ("latency", "exact"),
    "least-busy": ("least-busy", "exact"),
    "simple-shuffle": ("least-busy", "approximate"),
    "usage-based-routing": ("least-busy", "approximate"),
    "usage-based-routing-v2": ("least-busy", "approximate"),
    "cost-based-routing": ("written", "approximate"),
}
DAYS = {"1d": "day", "24h": "day", "30d": "month", "31d": "month", "1mo": "month"}


def settings(sections: Mapping[str, Mapping[str, Any]], imported: Imported, notes: Notes) -> None:
    """All sections; what has a place here is written into `imported`."""
    # Aliases first: stand-ins may be called by one, and have the stand-ins of whom they mean.
    every = [(name, key, value) for name, values in sections.items() for key, value in values.items()]
    aliases: dict[str, str] = {}
    for section, key, value in every:
        if key == "model_group_alias":
            aliases |= _alias(value, imported, notes, (section, str(key)))
    for section, key, value in every:
        at = (section, str(key))
        if section == "environment_variables":
            notes.add("approximate", at, "set it in the environment of `can serve`")
        elif key in _WRITERS:
            _WRITERS[key](value, sections[section], imported, notes, at)
        elif key in SAID:
            notes.add(SAID[key][0], at, SAID[key][1])
        elif key not in ("budget_duration", "model_group_alias"):
            notes.add("unsupported", at, "there is nothing like it here")
    for alias, name in aliases.items():
        if name in imported.fallbacks:
            imported.fallbacks.setdefault(alias, [each for each in imported.fallbacks[name] if each != alias])
    for name in imported.models if ALL in imported.fallbacks else ():
        others = [each for each in imported.fallbacks[ALL] if each != name]
        if others:
            imported.fallbacks.setdefault(name, others)


def _fallbacks(value: Any, _all: Mapping[str, Any], imported: Imported, notes: Notes, at: Where) -> None:
    level: Level = "exact" if at[1] == "fallbacks" else "approximate"
    why = "" if level == "exact" else "; a request that is too long goes to larger windows by itself"
    for number, entry in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(entry, Mapping):
            notes.add("unsupported", (*at, number), "this is no mapping from a model to its stand-ins")
            continue
        for name, chain in entry.items():
            if name == ALL:
                _default(chain, _all, imported, notes, (*at, number, ALL))
                continue
            known = _known(chain, imported, notes, (*at, number, str(name)))
            before = imported.fallbacks.get(str(name), [])
            if known:
                imported.fallbacks[str(name)] = [*before, *(each for each in known if each not in before)]
                notes.add(level, (*at, number, str(name)), f"fallbacks of {name}{why}")


def _known(chain: Any, imported: Imported, notes: Notes, at: Where) -> list[str]:
    """The stand-ins that can be called here: models of the file, and `PROXY/NAME`. The others are findings."""
    known = []
    for each in map(str, chain if isinstance(chain, list) else [chain]):
        proxy, slash, upstream = each.partition("/")
        if each in imported.models or (slash and upstream and proxy in imported.proxies):
            known.append(each)
        else:
            notes.add("unsupported", at, f"no model {each!r} was imported")
    return known


def _default(value: Any, _all: Mapping[str, Any], imported: Imported, notes: Notes, at: Where) -> None:
    known = _known(value, imported, notes, at)
    if known:
        imported.fallbacks[ALL] = known
        message = (
            "fallbacks of every model that has none of its own, and the default chain `*`, which answers `auto` too"
        )
        notes.add("approximate", at, message)


def _content(_value: Any, _all: Mapping[str, Any], _imported: Imported, notes: Notes, at: Where) -> None:
    notes.add("unsupported", at, "a refusal by a provider's content policy is not taken to another provider")


def _strategy(value: Any, _all: Mapping[str, Any], imported: Imported, notes: Notes, at: Where) -> None:
    if str(value) not in STRATEGIES:
        notes.add("unsupported", at, "there is no such way to choose among deployments here")
        return
    balance, level = STRATEGIES[str(value)]
    for model in imported.models.values():
        if "deployments" in model:
            model["balance"] = balance
    words = {"latency": "the quickest", "least-busy": "the one with the fewest calls open", "written": "the first"}
    notes.add(level, at, f"`balance: {balance}`: of several deployments {words[balance]} is asked first")


def _alias(value: Any, imported: Imported, notes: Notes, at: Where) -> dict[str, str]:
    """The models that the aliases became, and what each stands for."""
    made = {}
    for alias, target in value.items() if isinstance(value, Mapping) else ():
        name = target.get("model") if isinstance(target, Mapping) else target
        if not isinstance(name, str) or name not in imported.models:
            notes.add("unsupported", (*at, str(alias)), f"no model {name!r} was imported")
            continue
        imported.models[str(alias)] = dict(imported.models[name])
        made[str(alias)] = name
        hidden = isinstance(target, Mapping) and target.get("hidden")
        said = f"a model of its own with the settings of {name}"
        notes.add("approximate" if hidden else "exact", (*at, str(alias)), f"{said}, and listed" if hidden else said)
    return made


def _budget(value: Any, all_: Mapping[str, Any], imported: Imported, notes: Notes, at: Where) -> None:
    period = DAYS.get(str(all_.get("budget_duration", "")))
    if period is None or not isinstance(value, int | float):
        notes.add("unsupported", at, "budgets here are per UTC day or calendar month: set `budgets` in config.json")
        return
    imported.budgets[period] = float(value)
    notes.add("approximate" if period == "month" else "exact", at, f"budget of each UTC {period}")


def _timeout(value: Any, _all: Mapping[str, Any], imported: Imported, notes: Notes, at: Where) -> None:
    if not isinstance(value, int | float):
        notes.add("unsupported", at, "this is no number of seconds")
        return
    for proxy in imported.proxies.values():
        proxy.setdefault("timeouts", {}).setdefault("total", value)
    notes.add("exact", at, f"`timeouts.total` of every proxy is {value:g} s")


_Writer = Callable[[Any, Mapping[str, Any], Imported, Notes, Where], None]
_WRITERS: dict[str, _Writer] = {
    "routing_strategy": _strategy,
    "fallbacks": _fallbacks,
    "context_window_fallbacks": _fallbacks,
    "content_policy_fallbacks": _content,
    "default_fallbacks": _default,
    "max_budget": _budget,
    "request_timeout": _timeout,
    "timeout": _timeout,
}
