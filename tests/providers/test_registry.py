"""Settings + environment + what was found → what can be called."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.catalogue import Catalogue, Timeouts
from chittycan.config import load, settings_from
from chittycan.errors import ConfigError, UsageError
from chittycan.providers.discovery import Endpoint, FoundModel
from chittycan.providers.registry import add_integration, build

OLLAMA = Endpoint(
    "ollama",
    "http://127.0.0.1:11434/v1",
    (FoundModel("nomic-embed-text", None, True), FoundModel("llama3.2:3b", 131072)),
)


def catalogue(
    proxies: dict[str, Any] | None = None,
    models: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    **more: Any,
) -> Catalogue:
    config = {"remotes": {"connect": {"type": "chittyconnect", "proxies": proxies or {}}}, **more.pop("config", {})}
    return build(settings_from(config, models or {}, Path("/nowhere")), env or {}, **more)


# --- providers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("http://127.0.0.1:9/v1", True),
        ("http://localhost:9/v1", True),
        ("http://127.example.com/v1", False),
        ("https://api.example.com/v1", False),
    ],
)
def test_only_an_address_of_this_machine_is_local_and_so_free(endpoint: str, local: bool) -> None:
    assert catalogue({"mine": {"endpoint": endpoint}}).providers["mine"].local is local


def test_with_nothing_at_all_the_embedded_model_answers() -> None:
    found = catalogue()
    assert list(found.providers) == ["embedded", "local"]
    model = found.resolve("smollm2")
    assert model is not None
    assert (model.provider, model.private, model.context_window) == ("embedded", True, 8192)
    assert (model.json_schema, model.tools, model.vision, model.prefill) == (True, False, False, False)
    assert found.default_of("local") == model
    assert found.providers["local"].embedded


def test_without_the_embedded_model_its_reason_is_told() -> None:
    found = catalogue(embedded_missing="the extra `local` is not installed")
    assert found.resolve("smollm2") is None
    assert found.why_unavailable("smollm2") == "the extra `local` is not installed"
    assert found.skipped == {"embedded": "the extra `local` is not installed"}


def test_the_embedded_model_can_be_switched_off() -> None:
    found = catalogue(config={"embedded": {"enabled": False}})
    assert not found.providers
    assert found.skipped["embedded"] == "switched off in config.json"


def test_a_known_vendor_needs_no_more_than_its_key() -> None:
    found = catalogue({"openai": {"apiKey": "env:MY_KEY"}}, env={"MY_KEY": "sk-1"})
    provider = found.providers["openai"]
    assert (provider.endpoint, provider.dialect) == ("https://api.openai.com/v1", "openai")
    assert [key.value for key in provider.keys] == ["sk-1"]
    assert (provider.price_provider, provider.source, provider.default_model) == ("openai", "config", "gpt-5-mini")


def test_without_an_api_key_entry_the_vendor_s_usual_variable_counts() -> None:
    found = catalogue({"gemini": {}}, env={"GOOGLE_API_KEY": "g-1"})
    assert [key.source for key in found.providers["gemini"].keys] == ["env:GOOGLE_API_KEY"]


def test_a_vendor_s_usual_key_is_not_sent_to_another_address() -> None:
    found = catalogue({"openai": {"endpoint": "http://10.0.0.1/v1"}}, env={"OPENAI_API_KEY": "sk-1"})
    assert found.providers["openai"].keys == ()
    assert not found.providers["openai"].needs_key


def test_a_missing_key_drops_the_proxy_with_a_reason() -> None:
    found = catalogue({"openai": {"apiKey": "env:MY_KEY"}}, env={"OPENAI_API_KEY": "sk-1"})
    assert "openai" not in found.providers
    assert found.skipped["openai"] == "the environment variable MY_KEY is not set"


def test_one_missing_key_of_several_is_a_warning() -> None:
    found = catalogue({"openai": {"apiKey": ["env:A", "env:B"]}}, env={"B": "sk-b"})
    assert [key.value for key in found.providers["openai"].keys] == ["sk-b"]
    assert any("A is not set" in warning for warning in found.warnings)


def test_a_key_in_the_environment_is_found_by_itself() -> None:
    found = catalogue(env={"ANTHROPIC_API_KEY": "a-1"})
    assert found.providers["anthropic"].source == "environment"
    assert found.resolve("claude-sonnet-4-5") is not None


@pytest.mark.parametrize("name", ["gemini", "google"])
def test_a_provider_that_is_switched_off_stays_off_in_spite_of_its_key(name: str) -> None:
    found = catalogue({name: {"enabled": False}}, env={"GEMINI_API_KEY": "g-1"})
    assert "gemini" not in found.providers
    assert found.skipped[name] == "switched off in config.json"


def test_a_proxy_keeps_all_that_its_owner_says() -> None:
    found = catalogue(
        {
            "work": {
                "endpoint": "https://llm.example.com/v1/",
                "apiKey": "sk-1",
                "timeouts": {"firstToken": 3, "total": 60},
                "headers": {"X-Team": "env:TEAM"},
                "httpProxy": "http://proxy:3128",
                "caFile": "/ca.pem",
                "streamUsage": False,
            }
        },
        env={"TEAM": "red"},
    )
    provider = found.providers["work"]
    assert provider.endpoint == "https://llm.example.com/v1"
    assert provider.timeouts == Timeouts(first_token=3, total=60)
    assert provider.headers == {"X-Team": "red"}
    assert (provider.http_proxy, provider.ca_file, provider.stream_usage) == ("http://proxy:3128", "/ca.pem", False)


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ({"endpoint": "localhost:1234/v1"}, "no http(s) address"),
        ({"endpoint": "http://[::1/v1"}, "no http(s) address"),
        ({"endpoint": "http://h:99999/v1"}, "no http(s) address"),
        ({"endpoint": "http://h/v1", "headers": {"X-A": "env:NONE"}}, "header X-A: the environment variable NONE"),
        ({"endpoint": "http://h/v1", "headers": {"X-A": "a\r\nX-B: b"}}, "cannot be sent"),
        ({}, 'no "endpoint"'),
    ],
)
def test_what_cannot_work_is_skipped_with_its_reason(proxy: dict[str, Any], reason: str) -> None:
    found = catalogue({"mine": proxy})
    assert "mine" not in found.providers
    assert reason in found.skipped["mine"]


def test_a_misspelt_vendor_gets_a_suggestion() -> None:
    assert "did you mean anthropic?" in catalogue({"antropic": {}}).skipped["antropic"]


def test_an_anthropic_endpoint_may_end_in_v1_as_some_clients_write_it() -> None:
    found = catalogue({"anthropic": {"endpoint": "http://h/v1", "apiKey": "k"}})
    assert found.providers["anthropic"].endpoint == "http://h"


def test_an_openai_endpoint_without_a_path_is_a_warning() -> None:
    found = catalogue({"local": {"endpoint": "http://localhost:1234"}})
    assert any("http://localhost:1234/v1" in warning for warning in found.warnings)


def test_account_and_region_are_filled_in_from_the_environment() -> None:
    env = {"CLOUDFLARE_API_TOKEN": "t", "AWS_BEARER_TOKEN_BEDROCK": "b", "AWS_DEFAULT_REGION": "us-west-2"}
    env |= {"AZURE_OPENAI_API_KEY": "a", "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com/"}
    found = catalogue(env=env)
    assert found.skipped["cloudflare"] == "needs CLOUDFLARE_ACCOUNT_ID"
    assert found.providers["bedrock"].endpoint == "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1"
    assert found.providers["azure"].endpoint == "https://x.openai.azure.com/openai/v1"
    found = catalogue(env=env | {"CLOUDFLARE_ACCOUNT_ID": "acc"})
    assert found.providers["cloudflare"].endpoint == "https://api.cloudflare.com/client/v4/accounts/acc/ai/v1"


# --- local servers -----------------------------------------------------------------------------------------------


def test_a_server_that_was_found_is_a_provider_with_its_models() -> None:
    found = catalogue(found={"ollama": OLLAMA})
    assert (found.providers["ollama"].source, found.providers["ollama"].needs_key) == ("discovered", False)
    model = found.resolve("llama3.2:3b")
    assert model is not None
    assert (model.provider, model.context_window, model.private) == ("ollama", 131072, False)
    embedding = found.resolve("nomic-embed-text")
    assert embedding is not None
    assert embedding.embeddings


def test_local_is_the_found_server_and_its_first_chat_model() -> None:
    model = catalogue(found={"ollama": OLLAMA}).default_of("local")
    assert model is not None
    assert (model.provider, model.upstream) == ("local", "llama3.2:3b")


def test_local_with_an_endpoint_is_that_server_alone() -> None:
    found = catalogue({"local": {"endpoint": "http://localhost:11434/v1"}}, found={"ollama": OLLAMA})
    assert list(found.providers) == ["local", "embedded"]
    model = found.resolve("llama3.2:3b")
    assert model is not None
    assert model.provider == "local"


def test_local_can_be_switched_off() -> None:
    found = catalogue({"local": {"enabled": False}}, found={"ollama": OLLAMA})
    assert "local" not in found.providers


def test_local_that_nothing_serves_says_so() -> None:
    found = catalogue({"local": {}}, embedded_missing="not installed")
    assert "no local server answers" in found.skipped["local"]


# --- models ------------------------------------------------------------------------------------------------------


def test_a_model_of_a_vendor_without_a_key_is_known_with_what_it_needs() -> None:
    found = catalogue()
    assert found.resolve("gpt-4") is None
    assert found.why_unavailable("gpt-4") == "needs OPENAI_API_KEY"
    assert found.why_unavailable("gpt-99") == "needs OPENAI_API_KEY"
    assert found.why_unavailable("groq/anything") == "needs GROQ_API_KEY"
    assert found.why_unavailable("llama-scout") == "needs CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID"
    assert found.why_unavailable("no-such-model") is None


def test_a_model_of_a_skipped_proxy_says_why() -> None:
    found = catalogue({"openai": {"apiKey": "env:MY_KEY"}})
    assert "MY_KEY is not set" in str(found.why_unavailable("gpt-4"))
    assert "MY_KEY is not set" in str(found.why_unavailable("openai/gpt-4"))


def test_a_new_model_of_a_known_vendor_resolves_by_its_pattern() -> None:
    found = catalogue(env={"OPENAI_API_KEY": "sk", "ANTHROPIC_API_KEY": "a"})
    for name, provider in (("gpt-99", "openai"), ("claude-next-1", "anthropic"), ("o4-mini-2027", "openai")):
        model = found.resolve(name)
        assert model is not None
        assert (model.provider, model.upstream, model.name) == (provider, name, name)
    assert found.resolve("o99") is None


def test_a_dated_name_has_what_is_known_of_the_model() -> None:
    found = catalogue(env={"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "sk"})
    dated = found.resolve("claude-sonnet-4-5-20250929")
    assert dated is not None
    assert (dated.upstream, dated.prefill, dated.context_window) == ("claude-sonnet-4-5-20250929", True, 200000)
    named = found.resolve("openai/gpt-4o-2024-08-06")
    assert named is not None
    assert (named.upstream, named.max_output) == ("gpt-4o-2024-08-06", 16384)


def test_an_open_model_is_served_by_whichever_host_is_there() -> None:
    groq = catalogue(env={"GROQ_API_KEY": "g", "OPENAI_API_KEY": "sk"}).resolve("gpt-oss-120b")
    assert groq is not None
    assert (groq.provider, groq.upstream) == ("groq", "openai/gpt-oss-120b")
    # and where no host is, it is not OpenAI's, although the name looks like it
    assert catalogue(env={"OPENAI_API_KEY": "sk"}).resolve("gpt-oss-120b") is None


def test_models_json_defines_a_model_with_everything_about_it() -> None:
    written = {
        "proxy": "cloudflare",
        "upstream": "@cf/meta/llama-4-scout-17b-16e-instruct",
        "price": {"input": 0.27, "output": 0.85, "cacheWrite1h": 1},
        "contextWindow": 1000,
        "regions": ["us-east"],
        "private": True,
        "tier": "complex",
        "tools": False,
    }
    env = {"CLOUDFLARE_API_TOKEN": "t", "CLOUDFLARE_ACCOUNT_ID": "acc"}
    model = catalogue(models={"models": {"llama-scout": written}}, env=env).resolve("llama-scout")
    assert model is not None
    assert model.price is not None
    assert (model.price.input, model.price.output, model.price.cache_write_1h) == (0.27, 0.85, 1)
    assert (model.provider, model.context_window, model.regions) == ("cloudflare", 1000, ("us-east",))
    assert (model.private, model.tier, model.tools) == (True, "complex", False)


def test_a_line_without_proxy_changes_what_is_known_of_the_model() -> None:
    models = {"models": {"gpt-4": {"private": True}, "gpt-99": {"contextWindow": 5}, "smollm2": {"tier": "medium"}}}
    found = catalogue(models=models, env={"OPENAI_API_KEY": "sk"})
    known, new, small = (found.resolve(name) for name in ("gpt-4", "gpt-99", "smollm2"))
    assert known is not None
    assert (known.provider, known.private, known.context_window) == ("openai", True, 8192)
    assert new is not None
    assert (new.provider, new.context_window) == ("openai", 5)
    assert small is not None
    assert (small.private, small.tools, small.tier) == (True, False, "medium")


def test_another_name_for_the_embedded_model_is_as_private_and_as_small() -> None:
    model = catalogue(models={"models": {"tiny": {"proxy": "embedded"}}}).resolve("tiny")
    assert model is not None
    assert (model.private, model.upstream, model.vision) == (True, "smollm2", False)


def test_a_deployment_of_a_known_model_keeps_its_capabilities() -> None:
    env = {"AZURE_OPENAI_API_KEY": "a", "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"}
    models = {"models": {"gpt-4": {"proxy": "azure", "upstream": "prod-gpt4"}}}
    model = catalogue(models=models, env=env).resolve("gpt-4")
    assert model is not None
    assert (model.provider, model.upstream, model.vision) == ("azure", "prod-gpt4", False)


def test_a_line_whose_proxy_is_a_vendor_without_key_is_unavailable_with_the_reason() -> None:
    found = catalogue(models={"models": {"fast": {"proxy": "groq", "upstream": "x"}}})
    assert found.resolve("fast") is None
    assert found.why_unavailable("fast") == "needs GROQ_API_KEY"


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ({"proxy": "opnai"}, "models.m.proxy: opnai is not defined; did you mean openai?"),
        ({}, 'models.m: no "proxy"'),
    ],
)
def test_a_line_that_leads_nowhere_is_a_warning(line: dict[str, Any], warning: str) -> None:
    found = catalogue(models={"models": {"m": line}})
    assert any(warning in each for each in found.warnings)
    assert found.why_unavailable("m") is not None


def test_a_default_model_that_nobody_knows_is_usable_at_once() -> None:
    found = catalogue({"local": {"endpoint": "http://h:1/v1", "defaultModel": "my-tune"}})
    model = found.resolve("my-tune")
    assert model is not None
    assert (model.provider, model.upstream) == ("local", "my-tune")
    assert found.default_of("local") == model


def test_another_name_for_a_vendor_s_address_has_its_models_and_prices() -> None:
    found = catalogue({"work": {"endpoint": "https://api.openai.com/v1", "apiKey": "sk"}})
    model = found.resolve("gpt-4")
    assert model is not None
    assert model.provider == "work"
    assert found.providers["work"].price_provider == "openai"


# --- names in assignments and fallbacks -----------------------------------------------------------------------------


def test_an_undefined_name_is_a_warning_with_a_suggestion() -> None:
    models = {
        "assignments": {"email.triage": "llama-scot", "code": "auto:cheap", "docs": "ensemble:risk"},
        "fallbacks": {"gpt-4": ["claude-sonnet-4-5", "local-mistral"], "*": ["smollm2"]},
        "ensembles": {"risk": {"models": ["gpt-4", "claude-sonnet-4-5"]}},
    }
    warnings = catalogue(models=models).warnings
    assert len(warnings) == 2
    assert warnings[0].startswith("assignments.email.triage: no model is called llama-scot")
    assert warnings[0].endswith("did you mean llama-scout?")
    assert warnings[1].startswith("fallbacks.gpt-4: no model is called local-mistral")


def test_ensembles_are_there_under_their_whole_name() -> None:
    written = {"models": ["openai", "claude-sonnet-4-5"], "mode": "median", "extract": "json:risk", "budget": 0.01}
    found = catalogue(models={"ensembles": {"risk": written}})
    assert found.ensembles["ensemble:risk"].budget_nano == 10_000_000
    assert found.ensembles["ensemble:risk"].mode == "median"
    assert found.suggest("ensemble:rsk") == "ensemble:risk"
    assert not found.warnings


@pytest.mark.parametrize(
    ("written", "warning"),
    [
        ({"models": ["gpt-4", "llama-scot"]}, "ensembles.risk: no model is called llama-scot"),
        ({"models": ["gpt-4", "ensemble:other"]}, "ensembles.risk.models: ensemble:other is an ensemble itself"),
        ({"models": ["gpt-4", "o3"], "extract": "numbr"}, "ensembles.risk.extract: cannot be read; did you"),
        ({"models": ["gpt-4", "o3"], "mode": "mean", "extract": "choice"}, "ensembles.risk.extract: the mean needs"),
        ({"models": ["gpt-4"], "mode": "cascade"}, "ensembles.risk.models: the mode cascade asks at least 2"),
    ],
)
def test_a_wrong_ensemble_is_a_warning_that_names_the_field(written: Any, warning: str) -> None:
    found = catalogue(models={"ensembles": {"risk": written}})
    assert [each[: len(warning)] for each in found.warnings] == [warning]
    callable_ = "is called" in warning  # a member that is not there abstains
    assert ("ensemble:risk" in found.ensembles) is callable_
    assert (found.why_unavailable("ensemble:risk") is None) is callable_


def test_an_ensemble_stands_in_for_nobody_and_has_to_exist_where_it_is_assigned() -> None:
    models = {
        "assignments": {"a": "ensemble:risk", "b": "ensemble:rsk"},
        "fallbacks": {"gpt-4": ["ensemble:risk"]},
        "ensembles": {"risk": {"models": ["gpt-4", "o3"]}},
    }
    warnings = catalogue(models=models).warnings
    assert [warning.partition(":")[0] for warning in warnings] == ["assignments.b", "fallbacks.gpt-4"]
    assert warnings[0].endswith("did you mean ensemble:risk?")
    assert warnings[1].endswith("an ensemble stands in for no model")


def test_warnings_of_the_files_are_passed_on() -> None:
    assert any("did you mean budgets?" in warning for warning in catalogue(config={"budget": {}}).warnings)


NAMES = st.sampled_from(
    ["openai", "anthropic", "local", "embedded", "google", "mine", "gpt-4", "smollm2", "*", "auto", "a/b"]
)
TEXTS = (
    st.text(max_size=12)
    | NAMES
    | st.sampled_from(["env:K", "file:k", "http://h/v1", "http://[", "{A|B}/v1", "ftp://h"])
)
PROXIES = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "endpoint": TEXTS,
        "apiKey": TEXTS | st.lists(TEXTS, max_size=2),
        "defaultModel": TEXTS,
        "headers": st.dictionaries(TEXTS, TEXTS, max_size=1),
        "dialect": st.sampled_from(["openai", "anthropic", "gemini"]),
    },
)
LINES = st.fixed_dictionaries({}, optional={"proxy": NAMES | TEXTS, "upstream": TEXTS, "private": st.booleans()})


@given(
    proxies=st.dictionaries(NAMES | TEXTS, PROXIES, max_size=3),
    models=st.dictionaries(NAMES | TEXTS, LINES, max_size=3),
    fallbacks=st.dictionaries(NAMES, st.lists(NAMES | TEXTS, max_size=2), max_size=2),
    env=st.dictionaries(st.sampled_from(["K", "A", "OPENAI_API_KEY", "HF_TOKEN"]), st.text(max_size=5), max_size=3),
    with_ollama=st.booleans(),
    missing=st.none() | st.just("not installed"),
)
def test_any_settings_build_and_every_model_has_its_provider(
    proxies: Any, models: Any, fallbacks: Any, env: Any, with_ollama: bool, missing: str | None
) -> None:
    found = {"ollama": OLLAMA} if with_ollama else {}
    built = catalogue(proxies, {"models": models, "fallbacks": fallbacks}, env, found=found, embedded_missing=missing)
    for name in [*built.models, *models, *(head for head in fallbacks)]:
        model = built.resolve(name)
        assert model is None or model.provider in built.providers
    for provider in built.providers.values():
        model = built.default_of(provider.name)
        assert (model is None) == (provider.default_model is None)
        assert provider.embedded or provider.endpoint.startswith("http")


# --- can connect integration add --------------------------------------------------------------------------------------


def test_an_added_integration_makes_its_model_usable_at_once(tmp_path: Path) -> None:
    add_integration(tmp_path, "openai", model="gpt-5")
    settings = load(tmp_path, {})
    assert settings.proxies["openai"].api_keys == ("env:OPENAI_API_KEY",)
    found = build(settings, {"OPENAI_API_KEY": "sk"})
    model = found.default_of("openai")
    assert model is not None
    assert (model.name, model.provider, found.resolve("gpt-5")) == ("gpt-5", "openai", model)


def test_adding_again_keeps_the_key_and_switches_on(tmp_path: Path) -> None:
    add_integration(tmp_path, "openai", api_key="env:WORK_KEY")
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"enabled": true', '"enabled": false'))
    add_integration(tmp_path, "openai", model="gpt-99")
    proxy = load(tmp_path, {}).proxies["openai"]
    assert (proxy.enabled, proxy.api_keys, proxy.default_model) == (True, ("env:WORK_KEY",), "gpt-99")


def test_an_unknown_vendor_needs_an_endpoint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean openai"):
        add_integration(tmp_path, "opnai", model="gpt-5")
    add_integration(tmp_path, "mine", endpoint="https://h/v1", model="m")
    add_integration(tmp_path, "mine", model="m2")
    assert load(tmp_path, {}).proxies["mine"].default_model == "m2"


def test_a_broken_file_is_not_added_to(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError):
        add_integration(tmp_path, "openai")
    assert (tmp_path / "config.json").read_text() == "{"
