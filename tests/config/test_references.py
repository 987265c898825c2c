"""Secrets by reference."""

from pathlib import Path

import pytest

from chittycan.catalogue import Secret
from chittycan.config import Missing, resolve_secret


def test_a_literal_is_itself() -> None:
    assert resolve_secret("sk-1", {}) == Secret("sk-1", "literal")


def test_a_variable_is_read_and_trimmed() -> None:
    assert resolve_secret("env:KEY", {"KEY": " sk-1\n"}) == Secret("sk-1", "env:KEY")


@pytest.mark.parametrize("env", [{}, {"KEY": ""}, {"KEY": "  "}])
def test_an_unset_or_empty_variable_is_missing_by_name(env: dict[str, str]) -> None:
    assert resolve_secret("env:KEY", env) == Missing("the environment variable KEY is not set")


def test_a_file_is_read_from_an_absolute_or_the_configuration_s_path(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1\n")
    assert resolve_secret(f"file:{tmp_path}/key", {}) == Secret("sk-1", f"file:{tmp_path}/key")
    assert resolve_secret("file:key", {}, tmp_path) == Secret("sk-1", "file:key")


@pytest.mark.parametrize("name", ["absent", "folder", "nul\0byte"])
def test_a_file_that_cannot_be_read_is_missing_with_a_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    assert isinstance(resolve_secret(f"file:{name}", {}, tmp_path), Missing)


@pytest.mark.parametrize("value", ["sk-1\nX-Evil: 1", "sk-é", "sk-\x00"])
def test_what_cannot_go_into_a_header_is_refused_without_showing_it(value: str) -> None:
    answer = resolve_secret("env:KEY", {"KEY": value})
    assert isinstance(answer, Missing)
    assert "sk-" not in answer.reason


def test_a_secret_is_never_printed() -> None:
    assert "sk-1" not in f"{Secret('sk-1', 'literal')!r} {Secret('sk-1', 'literal')}"
