"""Limits as they are written: whose they are, and which make no sense."""

from pathlib import Path
from typing import Any

import pytest

from chittycan.catalogue import Catalogue, Limits
from chittycan.config import settings_from
from chittycan.errors import ConfigError
from chittycan.providers.registry import build


def catalogue(model: Any = None, provider: Any = None) -> Catalogue:
    proxies = {"p": {"endpoint": "http://127.0.0.1:9/v1", "defaultModel": "other", "limits": provider}}
    config = {"remotes": {"connect": {"type": "chittyconnect", "proxies": proxies}}}
    models = {"models": {"m": {"proxy": "p", "upstream": "u", "limits": model}}}
    return build(settings_from(config, models, Path("/nowhere")), {})


def test_limits_are_the_models_or_the_providers() -> None:
    found = catalogue({"concurrency": 2, "rpm": 60, "tpm": 1000, "wait": 0}, {"concurrency": 4})
    assert found.models["m"].limits == Limits(scope="model:m", concurrency=2, rpm=60, tpm=1000, wait=0)
    assert found.providers["p"].limits == Limits(scope="provider:p", concurrency=4)
    assert found.models["other"].limits is None
    assert found.warnings == ()


def test_another_name_of_a_model_is_under_the_models_limits() -> None:
    found = catalogue({"rpm": 60}).resolve("p/m")
    assert found is not None
    assert found.limits is not None
    assert found.limits.scope == "model:m"


@pytest.mark.parametrize("nothing", [{}, {"wait": 5}])
def test_limits_that_limit_nothing_are_a_warning(nothing: Any) -> None:
    found = catalogue(nothing, nothing)
    assert found.models["m"].limits is None
    assert found.providers["p"].limits is None
    assert found.warnings == (
        'proxies.p.limits: limits nothing; write "concurrency", "rpm" or "tpm"',
        'models.m.limits: limits nothing; write "concurrency", "rpm" or "tpm"',
    )


def test_a_limit_beyond_the_providers_own_is_a_warning() -> None:
    found = catalogue({"concurrency": 8, "rpm": 10}, {"concurrency": 4, "rpm": 10})
    assert found.warnings == ("models.m.limits.concurrency: 8 is never reached: provider p has 4 in all",)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many"])
def test_a_limit_that_is_no_number_of_calls_is_an_error_that_names_its_place(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"models\.m\.limits\.concurrency"):
        catalogue({"concurrency": wrong})


def test_a_misspelt_limit_is_a_warning_with_a_suggestion() -> None:
    assert any("did you mean concurrency?" in each for each in catalogue({"concurency": 3}).warnings)
