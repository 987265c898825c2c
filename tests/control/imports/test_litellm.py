"""LiteLLM's configuration becomes ours, and every line of it is accounted for.

The examples follow the keys that https://docs.litellm.ai/docs/proxy/config_settings documents.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.config import load, settings_from
from chittycan.control.imports.bring import parse, read, write
from chittycan.control.imports.findings import Imported
from chittycan.control.imports.litellm import convert
from chittycan.errors import ConfigError
from chittycan.providers.registry import build


def imported(text: str) -> Imported:
    return convert(*parse(text, "config.yaml"))


def findings(found: Imported) -> set[tuple[str, str]]:
    return {(each.key, each.level) for each in found.findings}


def test_keys_of_one_deployment_take_turns() -> None:
    found = imported("""
model_list:
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: os.environ/ONE}}
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: os.environ/TWO}}
""")
    assert found.proxies == {"openai": {"enabled": True, "apiKey": ["env:ONE", "env:TWO"]}}
    assert found.models == {"gpt": {"proxy": "openai", "upstream": "gpt-4o"}}
    assert not found.fallbacks
    assert findings(found) == {("model_list[0]", "exact"), ("model_list[1]", "exact")}


def test_several_deployments_of_a_name_are_one_model_in_several_places() -> None:
    found = imported("""
model_list:
  - model_name: gpt
    litellm_params: {model: azure/eu, api_base: "https://eu.openai.azure.com/", api_key: sk-x, rpm: 60, weight: 2}
    model_info: {supports_vision: true, max_input_tokens: 128000}
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o}, model_info: {supports_vision: false}}
  - {model_name: claude, litellm_params: {model: claude-sonnet-4-5}}
litellm_settings:
  fallbacks: [{gpt: [claude, unheard]}]
""")
    azure = "azure-eu-openai-azure-com"
    assert found.proxies[azure]["endpoint"] == "https://eu.openai.azure.com/openai/v1"
    assert found.models["gpt"] == {
        "deployments": [
            {"proxy": azure, "upstream": "eu", "limits": {"rpm": 60}, "weight": 2, "contextWindow": 128000},
            {"proxy": "openai", "upstream": "gpt-4o"},
        ],
        "balance": "least-busy",
        "vision": False,  # not everywhere
    }
    assert found.models["claude"]["proxy"] == "anthropic"  # no prefix: known by its name
    assert found.fallbacks == {"gpt": ["claude"]}
    assert {("model_list[0]", "exact"), ("model_list[1]", "exact")} <= findings(found)
    assert ("model_list[0].litellm_params.weight", "exact") in findings(found)
    assert ("litellm_settings.fallbacks[0].gpt", "unsupported") in findings(found)


@pytest.mark.parametrize(
    ("strategy", "balance", "level"),
    [
        ("latency-based-routing", "latency", "exact"),
        ("least-busy", "least-busy", "exact"),
        ("simple-shuffle", "least-busy", "approximate"),
        ("cost-based-routing", "written", "approximate"),
        ("by-the-moon", "least-busy", "unsupported"),
    ],
)
def test_how_deployments_are_balanced(strategy: str, balance: str, level: str) -> None:
    found = imported(f"""
model_list:
  - {{model_name: gpt, litellm_params: {{model: groq/one}}}}
  - {{model_name: gpt, litellm_params: {{model: openai/gpt-4o}}}}
router_settings: {{routing_strategy: {strategy}}}
""")
    assert found.models["gpt"]["balance"] == balance
    assert ("router_settings.routing_strategy", level) in findings(found)


def test_prices_limits_and_abilities_are_converted() -> None:
    found = imported("""
model_list:
  - model_name: m
    litellm_params:
      {model: groq/llama, rpm: 60, tpm: 9000, max_parallel_requests: 4, weight: 2,
       input_cost_per_token: 0.0000025, output_cost_per_token: 0.00001}
    model_info: {max_input_tokens: 8000, max_tokens: 1000, supports_vision: false, supports_function_calling: true}
""")
    assert found.models["m"] == {
        "proxy": "groq", "upstream": "llama", "limits": {"rpm": 60, "tpm": 9000, "concurrency": 4},
        "price": {"input": 2.5, "output": 10.0}, "contextWindow": 8000, "maxOutput": 1000,
        "vision": False, "tools": True,
    }  # fmt: skip
    assert ("model_list[0].litellm_params.weight", "exact") in findings(found)


def test_what_stands_beside_the_parameters_counts_too() -> None:
    found = imported("""
model_list:
  - {model_name: m, litellm_params: {model: openai/gpt-4o, max_tokens: 5, region_name: eu}, rpm: 9, modelinfo: {}}
""")
    assert found.models["m"] == {"proxy": "openai", "upstream": "gpt-4o", "limits": {"rpm": 9}, "regions": ["eu"]}
    assert findings(found) == {
        ("model_list[0]", "exact"), ("model_list[0].modelinfo", "unsupported"),
        ("model_list[0].litellm_params.max_tokens", "unsupported"),
    }  # fmt: skip


def test_named_credentials_are_looked_up() -> None:
    found = imported("""
credential_list:
  - credential_name: corp
    credential_values: {api_key: os.environ/CORP_KEY, api_base: "https://corp.openai.azure.com", api_version: "1"}
model_list:
  - {model_name: m, litellm_params: {model: azure/mini, litellm_credential_name: corp}}
  - {model_name: n, litellm_params: {model: azure/maxi, litellm_credential_name: gone}}
""")
    proxy = found.proxies[found.models["m"]["proxy"]]
    assert (proxy["endpoint"], proxy["apiKey"]) == ("https://corp.openai.azure.com/openai/v1", ["env:CORP_KEY"])
    assert ("model_list[1].litellm_params.litellm_credential_name", "unsupported") in findings(found)
    assert not any(key.startswith("credential_list") for key, _ in findings(found))


def test_a_wildcard_leaves_its_provider_with_the_key_of_the_file() -> None:
    found = imported("""
model_list:
  - {model_name: "openai/*", litellm_params: {model: "openai/*", api_key: os.environ/TEAM_KEY}}
  - {model_name: "*", litellm_params: {model: "*"}}
litellm_settings:
  default_fallbacks: [openai/gpt-4o-mini, unheard]
  context_window_fallbacks: [{unheard: [unknown]}]
""")
    assert found.proxies == {"openai": {"enabled": True, "apiKey": ["env:TEAM_KEY"]}}
    assert (found.models, found.fallbacks) == ({}, {"*": ["openai/gpt-4o-mini"]})
    assert {level for key, level in findings(found) if key.startswith("model_list")} == {"approximate"}
    assert ("litellm_settings.context_window_fallbacks[0].unheard", "unsupported") in findings(found)


def test_an_alias_has_the_stand_ins_of_its_model_wherever_it_is_written() -> None:
    found = imported("""
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-4o}}
  - {model_name: b, litellm_params: {model: openai/gpt-4o-mini}}
litellm_settings:
  fallbacks: [{b: [other]}]
router_settings:
  model_group_alias: {other: a, quiet: {model: a, hidden: true}}
  fallbacks: [{a: [b]}]
""")
    assert found.fallbacks == {"b": ["other"], "a": ["b"], "other": ["b"], "quiet": ["b"]}
    assert ("router_settings.model_group_alias.quiet", "approximate") in findings(found)


@pytest.mark.parametrize("written", ["default_fallbacks: [b]", 'fallbacks: [{a: [c]}, {"*": [b]}]'])
def test_stand_ins_for_all_stand_in_for_every_model_that_has_none_of_its_own(written: str) -> None:
    own = "" if written.startswith("fallbacks") else "\n  fallbacks: [{a: [c]}]"
    found = imported(f"""
model_list:
  - {{model_name: a, litellm_params: {{model: openai/gpt-4o}}}}
  - {{model_name: b, litellm_params: {{model: openai/gpt-4o-mini}}}}
  - {{model_name: c, litellm_params: {{model: openai/gpt-4.1}}}}
litellm_settings:
  {written}{own}
""")
    assert found.fallbacks == {"*": ["b"], "a": ["c"], "c": ["b"]}
    assert "approximate" in {level for key, level in findings(found) if key.startswith("litellm_settings")}


def test_every_line_that_is_not_taken_over_is_named_with_its_line() -> None:
    found = imported("""model_list: []
litellm_settings:
  num_retries: 3
  success_callback: [langfuse]
  something_new: 1
general_settings:
  master_key: sk-1
guardrails: []
""")
    assert [(each.line, each.key, each.level) for each in found.findings] == [
        (3, "litellm_settings.num_retries", "approximate"),
        (4, "litellm_settings.success_callback", "approximate"),
        (5, "litellm_settings.something_new", "unsupported"),
        (7, "general_settings.master_key", "approximate"),
        (8, "guardrails", "unsupported"),
    ]


def test_what_is_written_can_be_used_and_holds_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("""
model_list:
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: sk-secret-1}}
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: sk-secret-2}}
  - {model_name: own, litellm_params: {model: openai/llama, api_base: "http://10.0.0.7:8000/v1", api_key: none}}
  - {model_name: small, litellm_params: {model: ollama_chat/llama3, api_base: "http://localhost:11434"}}
litellm_settings: {default_fallbacks: [own], max_budget: 20, budget_duration: 1d, request_timeout: 30}
router_settings: {model_group_alias: {gpt-4: gpt}}
""")
    folder = tmp_path / "chitty"
    assert write(folder, read(file)) == []
    written = (folder / "config.json").read_text() + (folder / "models.json").read_text()
    assert "sk-secret" not in written
    settings = load(folder, {})
    assert settings.budgets.day == 20
    catalogue = build(settings, {}, {}, None)
    assert len(catalogue.providers["openai"].keys) == 2
    assert catalogue.providers["openai"].timeouts.total == 30
    assert catalogue.providers["ollama-local"].endpoint == "http://localhost:11434/v1"
    assert catalogue.models["gpt-4"].upstream == "gpt-4o"
    assert settings.fallbacks["*"] == ("own",)


def test_what_is_there_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    first = imported("model_list: [{model_name: gpt, litellm_params: {model: openai/one}}]")
    second = imported("model_list: [{model_name: gpt, litellm_params: {model: openai/two}}]")
    write(tmp_path, first)
    assert write(tmp_path, second) == ["proxy openai", "model gpt"]
    assert load(tmp_path, {}).models["gpt"].upstream == "one"
    assert write(tmp_path, second, replace=True) == []
    assert load(tmp_path, {}).models["gpt"].upstream == "two"


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [1", "config.yaml:1"), ("a: 1", "model_list"), ("[]", "model_list"), ("model_list: 5", None)],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, says: str | None) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    if says is None:
        assert findings(read(file)) == {("model_list", "unsupported")}
        return
    with pytest.raises(ConfigError, match=says):
        read(file)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
NAMES = st.sampled_from([
    "model_list", "model_name", "litellm_params", "model", "api_base", "api_key", "model_info", "mode", "fallbacks",
    "litellm_settings", "router_settings", "general_settings", "default_fallbacks", "model_group_alias", "max_budget",
    "extra_headers", "timeout", "rpm", "base_url", "input_cost_per_token", "max_tokens",
])  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.sampled_from(["openai/x", "azure/x", "x", "*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_document_gives_findings_or_a_configuration_that_can_be_read(document: dict[str, Any]) -> None:
    found = convert(document, {})
    models = {"models": found.models, "fallbacks": {key: value for key, value in found.fallbacks.items() if value}}
    try:
        settings_from({}, models, Path("/nowhere"))
    except ConfigError:
        pass  # a wrong kind of value is named when it is written
