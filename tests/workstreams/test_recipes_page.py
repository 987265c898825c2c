"""docs/recipes.md: every recipe on it is right, and every field and type is named."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from chittycan.workstreams.recipe import InputType, Recipe, Step
from chittycan.workstreams.recipe_file import check, load_file

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text("utf-8")


def examples(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize("text", examples("yaml"))
def test_a_recipe_on_the_page_is_right(text: str) -> None:
    recipe, problems = check(text)
    assert recipe is not None
    assert problems == []


@pytest.mark.parametrize("text", examples("python"))
def test_a_program_on_the_page_makes_a_recipe(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(text)
    assert load_file(tmp_path / "x.py").steps


@pytest.mark.parametrize("shape", [Recipe, Step])
def test_every_key_is_on_the_page(shape: Any) -> None:
    keys = {each.encode_name for each in msgspec.structs.fields(shape)} - {
        "name",
        "description",
        "steps",
        "inputs",
        "id",
    }
    assert {key for key in keys if f"`{key}" not in PAGE} == set()


def test_every_type_of_input_is_on_the_page() -> None:
    assert {kind for kind in get_args(InputType) if f"`{kind}`" not in PAGE} == set()
