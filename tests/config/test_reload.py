"""Edits while the program runs."""

from pathlib import Path

from chittycan.config import Reloader, editing, load


async def test_nothing_new_while_nothing_changes(tmp_path: Path) -> None:
    reloader = Reloader(load(tmp_path, {}), {})
    assert await reloader.check() is None


async def test_an_edit_of_either_file_is_noticed_once(tmp_path: Path) -> None:
    reloader = Reloader(load(tmp_path, {}), {})
    editing.set_assignment(tmp_path, "email.triage", "gpt-4")
    settings = await reloader.check()
    assert settings is not None
    assert settings.assignments == {"email.triage": "gpt-4"}
    assert await reloader.check() is None
    editing.set_proxy(tmp_path, "openai")
    settings = await reloader.check()
    assert settings is not None
    assert list(settings.proxies) == ["openai"]
    assert reloader.settings is settings


async def test_a_bad_edit_keeps_the_last_good_settings_and_says_so(tmp_path: Path) -> None:
    editing.set_assignment(tmp_path, "email.triage", "gpt-4")
    reloader = Reloader(load(tmp_path, {}), {})
    (tmp_path / "models.json").write_text("{")
    assert await reloader.check() is None
    assert reloader.error is not None
    assert reloader.error.line == 1
    assert reloader.settings.assignments == {"email.triage": "gpt-4"}

    (tmp_path / "models.json").write_text('{"assignments": {"email.triage": "gpt-5"}}')
    settings = await reloader.check()
    assert settings is not None
    assert settings.assignments == {"email.triage": "gpt-5"}
    assert reloader.error is None


async def test_a_rotated_key_file_is_noticed_and_a_file_no_longer_named_is_forgotten(tmp_path: Path) -> None:
    editing.set_proxy(tmp_path, "openai", apiKey=editing.keep_secret(tmp_path, "key", "sk-1"))
    reloader = Reloader(load(tmp_path, {}), {})
    editing.keep_secret(tmp_path, "key", "sk-2")
    assert await reloader.check() is not None
    editing.set_proxy(tmp_path, "openai", apiKey="env:OPENAI_API_KEY")
    assert await reloader.check() is not None
    editing.keep_secret(tmp_path, "key", "sk-3")
    assert await reloader.check() is None


async def test_a_removed_file_is_an_empty_one(tmp_path: Path) -> None:
    editing.set_assignment(tmp_path, "email.triage", "gpt-4")
    reloader = Reloader(load(tmp_path, {}), {})
    (tmp_path / "models.json").unlink()
    settings = await reloader.check()
    assert settings is not None
    assert settings.assignments == {}
