"""The published JSON Schema of a recipe, `recipe.schema.json`, made from the structs of `recipe`.

`python -m chittycan.workstreams.recipe_schema` writes it anew.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from chittycan.workstreams.recipe import KINDS, SHORTHANDS, Recipe

SCHEMA_FILE = Path(__file__).with_name("recipe.schema.json")


def schema() -> dict[str, Any]:
    """Draft 2020-12, as editors take it: with the shorthands, and exactly one kind of work in a step."""
    made = msgspec.json.schema(Recipe)
    parts: dict[str, Any] = made["$defs"]
    for part in parts.values():
        part["patternProperties"] = {r"^(_|\$schema$)": {}}
        for name, value in part["properties"].items():
            part["properties"][name] = _without_null(value)
    step = parts["Step"]
    step["oneOf"] = [{"required": [kind]} for kind in KINDS]
    for kind, field in SHORTHANDS.items():
        short = {"type": "string", "description": f"short for `{field}:`"}
        if kind == "inputs":
            values = parts["Recipe"]["properties"]["inputs"]
            values["additionalProperties"] = {
                "anyOf": [parts["Input"]["properties"]["type"], {"$ref": "#/$defs/Input"}]
            }
        else:
            long = step["properties"][kind]
            step["properties"][kind] = {"anyOf": [short, long]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:chittycan:recipe.schema.json",
        "title": "ChittyCan: a recipe of a workstream",
        **made,
    }


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _without_null(value: dict[str, Any]) -> dict[str, Any]:
    """What may be left out need not be written as null."""
    if value.get("default", 0) is None:
        value = {key: each for key, each in value.items() if key != "default"}
    kinds = [each for each in value.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        return {**{key: each for key, each in value.items() if key != "anyOf"}, **kinds[0]}
    return {**value, "anyOf": kinds} if kinds else value


if __name__ == "__main__":
    SCHEMA_FILE.write_text(text(), "utf-8")
