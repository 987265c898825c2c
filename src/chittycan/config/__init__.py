"""Configuration: config.json and models.json become frozen `Settings`; every error names file, key and the fix.

`places` says where files live, `settings` what may stand in them, `parsing` and `reading` read them,
`references` resolves secrets, `editing` changes files, `reload` notices changes.
"""

from pathlib import Path

from chittycan.config.places import data_folder, database_url, folder
from chittycan.config.reading import load, settings_from
from chittycan.config.references import Missing, is_reference, resolve_secret
from chittycan.config.reload import Reloader
from chittycan.config.settings import (
    CONFIG_FILE,
    MODELS_FILE,
    Budgets,
    ContextSettings,
    Embedded,
    Finding,
    ModelSettings,
    Privacy,
    ProxySettings,
    Server,
    Settings,
)

SCHEMA_FILE = Path(__file__).with_name("config.schema.json")  # JSON Schema of both files

__all__ = [
    "CONFIG_FILE",
    "MODELS_FILE",
    "SCHEMA_FILE",
    "Budgets",
    "ContextSettings",
    "Embedded",
    "Finding",
    "Missing",
    "ModelSettings",
    "Privacy",
    "ProxySettings",
    "Reloader",
    "Server",
    "Settings",
    "data_folder",
    "database_url",
    "folder",
    "is_reference",
    "load",
    "resolve_secret",
    "settings_from",
]
