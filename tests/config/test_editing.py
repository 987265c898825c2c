"""Changes to the files: nothing else moves, nothing breaks."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chittycan.config import editing, load
from chittycan.errors import ConfigError, UsageError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_first_edit_makes_a_private_folder_and_file(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "chitty"
    assert editing.set_proxy(folder, "openai", apiKey="env:OPENAI_API_KEY", defaultModel="gpt-4")
    assert (mode(folder), mode(folder / "config.json")) == (0o700, 0o600)
    proxy = load(folder, {}).proxies["openai"]
    assert (proxy.enabled, proxy.api_keys, proxy.default_model) == (True, ("env:OPENAI_API_KEY",), "gpt-4")


def test_unknown_keys_and_the_order_of_keys_stay(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    text = """{"zeta": [1, {"b": 1, "a": "ü"}],
        "remotes": {"home": {"type": "chittyconnect", "proxies": {"openai": {"mine": 1, "defaultModel": "gpt-4"}}}},
        "alpha": null}"""
    file.write_text(text, "utf-8")
    editing.set_default_model(tmp_path, "openai", "gpt-5")
    after = file.read_text("utf-8")
    assert json.loads(after) == json.loads(text.replace("gpt-4", "gpt-5"))
    assert list(json.loads(after)) == ["zeta", "remotes", "alpha"]
    assert "ü" in after


def test_an_edit_that_changes_nothing_does_not_touch_the_file(tmp_path: Path) -> None:
    editing.set_assignment(tmp_path, "email.triage", "llama-scout")
    before = (tmp_path / "models.json").stat().st_ino
    assert not editing.set_assignment(tmp_path, "email.triage", "llama-scout")
    assert (tmp_path / "models.json").stat().st_ino == before


@pytest.mark.parametrize("text", ['{"remotes": ', '{"remotes": []}', ""])
def test_a_broken_file_is_never_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError):
        editing.set_proxy(tmp_path, "openai")
    assert (tmp_path / "config.json").read_text() == text


def test_an_edit_that_would_break_the_file_is_refused(tmp_path: Path) -> None:
    editing.set_model(tmp_path, "m", proxy="local")
    before = (tmp_path / "models.json").read_text()
    with pytest.raises(ConfigError, match="contextWindow"):
        editing.set_model(tmp_path, "m", contextWindow="large")
    assert (tmp_path / "models.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == ["models.json"]


def test_a_literal_key_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        editing.set_proxy(tmp_path, "openai", apiKey="sk-1")
    with pytest.raises(UsageError):
        editing.set_server(tmp_path, "http://x", api_token="tok")
    assert not (tmp_path / "config.json").exists()


def test_a_kept_secret_is_private_and_can_be_resolved(tmp_path: Path) -> None:
    reference = editing.keep_secret(tmp_path, "../openai", "sk-1")
    editing.set_proxy(tmp_path, "openai", apiKey=reference)
    (key,) = load(tmp_path, {}).proxies["openai"].api_keys
    path = tmp_path / key.removeprefix("file:")
    assert path.resolve().is_relative_to(tmp_path)
    assert (path.read_text(), mode(path), mode(path.parent)) == ("sk-1\n", 0o600, 0o700)


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target = tmp_path / "dotfiles" / "models.json"
    target.write_text("{}")
    link = tmp_path / "models.json"
    link.symlink_to(target)
    editing.set_fallbacks(tmp_path, "*", ["gpt-4", "smollm2"])
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"fallbacks": {"*": ["gpt-4", "smollm2"]}}


def test_a_proxy_is_changed_in_the_remote_that_has_it(tmp_path: Path) -> None:
    remotes = {
        "a": {"type": "chittyconnect"},
        "b": {"type": "chittyconnect", "proxies": {"openai": {"apiKey": "env:K"}}},
    }
    (tmp_path / "config.json").write_text(json.dumps({"remotes": remotes}))
    editing.set_default_model(tmp_path, "openai", "gpt-5")
    proxy = load(tmp_path, {}).proxies["openai"]
    assert (proxy.api_keys, proxy.default_model) == (("env:K",), "gpt-5")


def test_a_remote_of_another_type_is_not_given_proxies(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"remotes": {"connect": {"type": "ssh", "host": "h"}}}')
    editing.set_default_model(tmp_path, "openai", "gpt-5")
    settings = load(tmp_path, {})
    assert settings.remotes["connect"] == {"type": "ssh", "host": "h"}
    assert settings.proxies["openai"].default_model == "gpt-5"


def test_null_in_the_file_is_as_if_absent(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"remotes": {"old": null, "connect": {"proxies": null}}}')
    editing.set_proxy(tmp_path, "openai", defaultModel="gpt-5")
    assert load(tmp_path, {}).proxies["openai"].default_model == "gpt-5"


def test_fallbacks_lose_doubles_and_an_empty_chain_removes_the_entry(tmp_path: Path) -> None:
    editing.set_fallbacks(tmp_path, "gpt-4", ["a", "b", "a"])
    assert load(tmp_path, {}).fallbacks == {"gpt-4": ("a", "b")}
    editing.set_fallbacks(tmp_path, "gpt-4", [])
    assert load(tmp_path, {}).fallbacks == {}


def test_the_server_and_removed_proxies(tmp_path: Path) -> None:
    editing.set_server(tmp_path, "http://far:8787", api_token="env:TOKEN")
    editing.set_proxy(tmp_path, "openai")
    editing.remove_proxy(tmp_path, "openai")
    settings = load(tmp_path, {})
    assert (settings.server.base_url, settings.server.api_token) == ("http://far:8787", "env:TOKEN")
    assert settings.proxies == {}


def test_edits_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: editing.set_assignment(tmp_path, f"kind{number}", "gpt-4"), range(24)))
    assert len(load(tmp_path, {}).assignments) == 24
