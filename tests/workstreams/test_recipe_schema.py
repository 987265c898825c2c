"""The published JSON Schema: as the structs have it, and it takes what the reader takes."""

import json
import re
from typing import Any

import pytest

from chittycan.workstreams.recipe_file import check, shipped, shipped_text
from chittycan.workstreams.recipe_schema import SCHEMA_FILE, text

SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text("utf-8"))


def fits(value: Any, node: dict[str, Any]) -> bool:
    """What of JSON Schema the file uses."""
    if "$ref" in node:
        return fits(value, SCHEMA["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node and not any(fits(value, each) for each in node["anyOf"]):
        return False
    if "oneOf" in node and sum(fits(value, each) for each in node["oneOf"]) != 1:
        return False
    if "enum" in node and value not in node["enum"]:
        return False
    kinds = {"string": str, "object": dict, "array": list, "boolean": bool, "integer": int, "number": int | float}
    if "type" in node and not (
        isinstance(value, kinds[node["type"]]) and (node["type"] == "boolean") is isinstance(value, bool)
    ):
        return False
    if isinstance(value, str) and "pattern" in node and not re.search(node["pattern"], value):
        return False
    if isinstance(value, list):
        return len(value) >= node.get("minItems", 0) and all(fits(each, node.get("items", {})) for each in value)
    return not isinstance(value, dict) or _fits_object(value, node)


def _fits_object(value: dict[str, Any], node: dict[str, Any]) -> bool:
    if not value.keys() >= set(node.get("required", ())):
        return False
    for key, each in value.items():
        if key in node.get("properties", {}):
            inner = node["properties"][key]
        elif any(re.search(pattern, key) for pattern in node.get("patternProperties", {})):
            continue
        else:
            inner = node.get("additionalProperties", {})
        if inner is False or (inner is not True and not fits(each, inner)):
            return False
    return True


def test_the_file_is_what_the_structs_make() -> None:
    assert SCHEMA_FILE.read_text("utf-8") == text(), "run: python -m chittycan.workstreams.recipe_schema"


@pytest.mark.parametrize("name", shipped())
def test_the_recipes_that_come_along_fit(name: str) -> None:
    yaml = pytest.importorskip("yaml")
    assert fits(yaml.safe_load(shipped_text(name)), SCHEMA)


STEP = {"id": "a", "task": "Hi"}


@pytest.mark.parametrize(
    "document",
    [
        {"name": "x", "steps": [STEP]},
        {"$schema": "urn:x", "_note": 1, "name": "x", "inputs": {"a": "text", "b": {"type": "file"}}, "steps": [STEP]},
        {"name": "x", "steps": [{"id": "a", "wait": "2h"}, {"id": "b", "parallel": [STEP]}]},
        {"name": "x", "steps": []},
        {"name": "x", "steps": [{"id": "a"}]},
        {"name": "x", "steps": [{**STEP, "wait": "2h"}]},
        {"name": "x", "steps": [{**STEP, "modle": "x"}]},
        {"name": "x", "steps": [{"id": "A", "task": "Hi"}]},
        {"name": "x", "steps": [{"id": "a", "task": 3}]},
        {"name": "x", "steps": [{"id": "a", "for_each": {"in": [1], "steps": [{"id": "b"}]}}]},
        {"name": "x", "steps": [STEP], "inputs": {"a": "txt"}},
        {"steps": [STEP]},
    ],
)
def test_schema_and_reader_take_the_same(document: dict[str, Any]) -> None:
    assert fits(document, SCHEMA) is (check(json.dumps(document))[0] is not None)
