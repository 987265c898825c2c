"""Both files of a folder → `Settings`."""

import json
from pathlib import Path
from typing import Any

import pytest

from chittycan.config import load
from chittycan.errors import ConfigError

# The example that the documentation gives.
CONFIG: dict[str, Any] = {
    "remotes": {
        "notes": {"type": "notion-database", "url": "https://notion.so/x"},
        "connect": {
            "type": "chittyconnect",
            "baseUrl": "http://10.0.0.5:8787/",
            "apiToken": "env:CHITTY_TOKEN",
            "proxies": {
                "openai": {"enabled": True, "apiKey": "env:OPENAI_API_KEY", "defaultModel": "gpt-4"},
                "anthropic": {"apiKey": ["env:A", "file:b"], "timeouts": {"firstToken": 3}},
                "local": {"enabled": True, "endpoint": "http://localhost:1234/v1"},
            },
        },
    },
    "modelAssignments": {"code": "claude-sonnet-4-5", "email.triage": "gpt-4", "private": "local-mistral"},
    "nudges": {"enabled": True, "intervalMinutes": 45},
    "inbox": {"source": "~/Maildir", "limit": None},
    "budgets": {"day": 0.1, "month": 500},
}
MODELS: dict[str, Any] = {
    "assignments": {"email.triage": "llama-scout", "email.response": "gpt-4"},
    "fallbacks": {"llama-scout": ["gpt-3.5-turbo"], "gpt-4": "claude-sonnet-4-5"},
    "models": {
        "llama-scout": {"proxy": "cloudflare", "price": {"input": 0.27, "output": 0.85}, "regions": ["us-east"]}
    },
}


def write(folder: Path, config: Any = None, models: Any = None) -> None:
    for name, document in (("config.json", config), ("models.json", models)):
        if document is not None:
            (folder / name).write_text(json.dumps(document))
            (folder / name).chmod(0o600)


def test_no_files_are_empty_settings(tmp_path: Path) -> None:
    settings = load(tmp_path / "nowhere", {})
    assert (settings.proxies, settings.models, settings.warnings) == ({}, {}, ())
    assert settings.server.base_url == "http://127.0.0.1:8787"
    assert not settings.server.configured
    assert settings.privacy_mode == "warn"


def test_the_documented_example_is_read_without_a_warning(tmp_path: Path) -> None:
    write(tmp_path, CONFIG, MODELS)
    settings = load(tmp_path, {})
    assert settings.warnings == ()
    assert settings.server.base_url == "http://10.0.0.5:8787"
    assert settings.server.api_token == "env:CHITTY_TOKEN"
    assert list(settings.proxies) == ["openai", "anthropic", "local"]
    assert settings.proxies["anthropic"].api_keys == ("env:A", "file:b")
    assert settings.proxies["anthropic"].timeouts.first_token == 3
    assert settings.models["llama-scout"].regions == ("us-east",)
    assert settings.fallbacks == {"llama-scout": ("gpt-3.5-turbo",), "gpt-4": ("claude-sonnet-4-5",)}
    assert settings.budgets.day_nano == 100_000_000


def test_assignments_of_models_json_win_over_model_assignments(tmp_path: Path) -> None:
    write(tmp_path, CONFIG, MODELS)
    assert load(tmp_path, {}).assignments == {
        "email.triage": "llama-scout",
        "email.response": "gpt-4",
        "code": "claude-sonnet-4-5",
        "private": "local-mistral",
    }


def test_parts_that_others_own_are_kept_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, CONFIG)
    settings = load(tmp_path, {})
    assert settings.remotes["notes"]["url"] == "https://notion.so/x"
    assert settings.sections["nudges"] == {"enabled": True, "intervalMinutes": 45}
    assert settings.inbox == {"source": "~/Maildir", "limit": None}


@pytest.mark.parametrize(
    ("config", "models", "mode"),
    [
        ({"modelAssignments": {"private": "m"}}, {}, "enforce"),
        ({}, {"models": {"m": {"proxy": "local", "private": True}}}, "enforce"),
        ({"modelAssignments": {"private": "m"}, "privacy": {"mode": "off"}}, {}, "off"),
        ({}, {"models": {"m": {"proxy": "local", "private": False}}}, "warn"),
    ],
)
def test_privacy_is_enforced_once_a_model_is_set_up_for_it(tmp_path: Path, config: Any, models: Any, mode: str) -> None:
    write(tmp_path, config, models)
    assert load(tmp_path, {}).privacy_mode == mode


def test_a_remote_of_an_unknown_type_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path, {"remotes": {"connect": {"type": "chittyconect", "proxies": {}}}})
    (finding,) = load(tmp_path, {}).warnings
    assert finding.key == "remotes.connect.type"
    assert finding.suggestion == 'did you mean "chittyconnect"?'


def test_proxies_without_a_type_are_still_read(tmp_path: Path) -> None:
    write(tmp_path, {"remotes": {"connect": {"proxies": {"openai": {}}}}})
    settings = load(tmp_path, {})
    assert "openai" in settings.proxies
    assert "missing" in str(settings.warnings[0])


def test_a_proxy_in_two_remotes_is_taken_from_the_first(tmp_path: Path) -> None:
    remotes = {
        name: {"type": "chittyconnect", "proxies": {"openai": {"defaultModel": model}}}
        for name, model in (("a", "gpt-4"), ("b", "gpt-5"))
    }
    write(tmp_path, {"remotes": remotes})
    settings = load(tmp_path, {})
    assert settings.proxies["openai"].default_model == "gpt-4"
    assert [finding.key for finding in settings.warnings] == ["remotes.b.proxies.openai"]


def test_a_broken_file_is_reported_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text('{"assignments": {')
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert caught.value.file == str(tmp_path / "models.json")
    assert caught.value.line == 1
    assert (tmp_path / "models.json").read_text() == '{"assignments": {'


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})


@pytest.mark.parametrize(("key", "warned"), [("sk-literal", True), ("env:OPENAI_API_KEY", False)])
def test_secrets_that_others_can_read_are_a_warning(tmp_path: Path, key: str, warned: bool) -> None:
    write(tmp_path, {"remotes": {"connect": {"type": "chittyconnect", "proxies": {"openai": {"apiKey": key}}}}})
    (tmp_path / "config.json").chmod(0o644)
    warnings = load(tmp_path, {}).warnings
    assert [("chmod 600" in str(finding)) for finding in warnings] == [True] * warned


def test_printing_settings_shows_no_secret(tmp_path: Path) -> None:
    proxies = {"openai": {"apiKey": "sk-hidden"}}
    write(tmp_path, {"remotes": {"c": {"type": "chittyconnect", "apiToken": "tok-hidden", "proxies": proxies}}})
    settings = load(tmp_path, {})
    assert "hidden" not in repr(settings) + repr(settings.proxies) + repr(settings.server)


def test_the_outside_world_is_closed_until_it_is_configured(tmp_path: Path) -> None:
    settings = load(tmp_path / "nowhere", {})
    assert (settings.outbound.allow, settings.outbound.private, settings.smtp) == ((), False, None)


def test_outbound_and_smtp_are_read(tmp_path: Path) -> None:
    outbound = {"allow": ["hooks.example.com"], "headers": {"hooks.example.com": {"authorization": "env:HOOKS"}}}
    smtp = {"host": "mail.example.com", "from": "Office <office@example.com>", "user": "office", "password": "env:P"}
    write(tmp_path, {"outbound": {**outbound, "webhookSecret": "env:WEBHOOKS"}, "smtp": smtp})
    settings = load(tmp_path, {})
    assert settings.warnings == ()
    assert settings.outbound.allow == ("hooks.example.com",)
    assert settings.outbound.headers["hooks.example.com"] == {"authorization": "env:HOOKS"}
    assert settings.smtp is not None
    assert (settings.smtp.sender, settings.smtp.security) == ("Office <office@example.com>", "starttls")


def test_smtp_without_a_sender_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"smtp": {"host": "mail.example.com"}})
    with pytest.raises(ConfigError, match='"from" is missing'):
        load(tmp_path, {})


def test_webhooks_are_read(tmp_path: Path) -> None:
    hooks = [{"url": "https://a.example.com/x", "secret": "env:A"},
             {"url": "https://b.example.com", "events": ["batch.*", "task.failed"]}]  # fmt: skip
    write(tmp_path, {"webhooks": hooks})
    first, second = (settings := load(tmp_path, {})).webhooks
    assert first.wants("task.completed")
    assert not first.wants("step.completed")
    assert (second.wants("batch.expired"), second.wants("task.failed")) == (True, True)
    assert not second.wants("task.completed")
    (warning,) = settings.warnings
    assert (warning.key, warning.message) == ("webhooks.1", "has no secret, and nothing is sent unsigned")


@pytest.mark.parametrize(
    ("hook", "key", "said"),
    [
        ({}, "webhooks.0", '"url" is missing'),
        ({"url": "hooks.example.com"}, "webhooks.0.url", "expected an http or https address"),
        ({"url": "https://x", "events": ["task.complete"]}, "webhooks.0.events.0", 'Did you mean "task.completed"?'),
        ({"url": "https://x", "events": "task.*"}, "webhooks.0.events", "a list of texts"),
        ("https://x", "webhooks.0", "an object"),
    ],
)
def test_a_wrong_webhook_is_named(tmp_path: Path, hook: Any, key: str, said: str) -> None:
    write(tmp_path, {"webhooks": [hook]})
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert caught.value.key == key
    assert said in f"{caught.value.message} {caught.value.fix}"


def test_webhooks_are_a_list(tmp_path: Path) -> None:
    write(tmp_path, {"webhooks": {"url": "https://x"}})
    with pytest.raises(ConfigError, match="expected a list of objects, found an object"):
        load(tmp_path, {})
