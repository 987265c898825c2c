"""The published JSON Schema and the loader know the same keys."""

import json
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec
import pytest
from msgspec import Struct

from chittycan.config import SCHEMA_FILE
from chittycan.config.parsing import _without_none
from chittycan.config.settings import ConfigFile, ConnectRemote, ModelsFile, ProxySettings
from chittycan.mailbox import ImapSettings, LocalSettings

SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text("utf-8"))
JSON_TYPES = {bool: "boolean", str: "string", int: "integer", float: "number", tuple: "array"}


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        inner: dict[str, Any] = SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")]
        return inner
    return node


def differences(kind: Any, node: dict[str, Any], at: str) -> list[str]:
    kind, node = _without_none(kind), resolved(node)
    if isinstance(kind, type) and issubclass(kind, Struct):
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        found = [f"{at}: {key}" for key in set(fields) ^ set(node["properties"])]
        required = {key for key, field in fields.items() if field.required and key != "type"}
        found += [f"{at}: required"] * (required != set(node.get("required", ())))
        for key in set(fields) & set(node["properties"]):
            found += differences(fields[key].type, node["properties"][key], f"{at}.{key}")
        return found
    if get_origin(kind) is Mapping:
        inner = get_args(kind)[1]
        found = [] if node["type"] == "object" else [f"{at}: no object"]
        return found + (differences(inner, node["additionalProperties"], at) if isinstance_of_struct(inner) else [])
    if get_origin(kind) is tuple and (isinstance_of_struct(get_args(kind)[0]) or "enum" in node.get("items", {})):
        return (
            differences(get_args(kind)[0], node["items"], f"{at}[]") if node["type"] == "array" else [f"{at}: no array"]
        )
    if "enum" in node:
        return [] if list(get_args(kind)) == node["enum"] else [f"{at}: other choices"]
    if "anyOf" in node or "const" in node:
        return []
    plain = get_args(kind)[0] if hasattr(kind, "__metadata__") else get_origin(kind) or kind
    return [] if node["type"] == JSON_TYPES[plain] else [f"{at}: {node['type']}"]


def isinstance_of_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ConfigFile, "config"),
        (ModelsFile, "models"),
        (ConnectRemote, "connectRemote"),
        (ProxySettings, "proxy"),
        (ImapSettings, "imap"),
        (LocalSettings, "localMail"),
    ],
)
def test_schema_and_loader_agree(kind: type[Struct], name: str) -> None:
    assert not differences(kind, SCHEMA["$defs"][name], name)


def test_both_files_are_covered_by_the_one_schema() -> None:
    assert SCHEMA["anyOf"] == [{"$ref": "#/$defs/config"}, {"$ref": "#/$defs/models"}]


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [each for inner in node.values() for each in references(inner)]
        return [each for inner in node for each in references(inner)] if isinstance(node, list) else []

    targets = {reference.removeprefix("#/$defs/") for reference in references(SCHEMA)}
    assert targets == set(SCHEMA["$defs"])
