"""The vendors and well-known models that ship with the program: the rows of `catalog.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec
from msgspec import Struct, field

from chittycan.catalogue import DialectName

Capability = Literal["vision", "tools", "json_schema", "reasoning"]


class ModelRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A well-known model; `window` and `output` are tokens. `upstream` None: called by its own name."""

    upstream: str | None = None
    window: int | None = None
    output: int | None = None
    tier: Literal["simple", "medium", "complex"] | None = None
    lacks: frozenset[Capability] = frozenset()
    prefill: bool = False
    embeddings: bool = False


class Vendor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that many people use. The head of `catalog.toml` says what each field means."""

    name: str
    dialect: DialectName
    endpoint: str
    id: str = ""
    aliases: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    price_provider: str | None = None
    default_model: str | None = None
    stream_usage: bool = True
    local: bool = False
    verified: bool = False
    notes: str | None = None
    models: Mapping[str, ModelRow] = field(default_factory=dict)

    @property
    def key_reference(self) -> str | None:
        """What `apiKey` says by default: `env:OPENAI_API_KEY`; None for what needs no key."""
        return f"env:{self.keys[0]}" if self.keys else None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    vendors: dict[str, Vendor]


@cache
def vendors() -> Mapping[str, Vendor]:
    """Every vendor by id, in the order of the file, which is also the order of preference. Read once."""
    text = files("chittycan.providers").joinpath("catalog.toml").read_text("utf-8")
    rows = msgspec.convert(tomllib.loads(text), _File).vendors
    return {name: msgspec.structs.replace(row, id=name) for name, row in rows.items()}


@cache
def _by_any_name() -> Mapping[str, Vendor]:
    return {name: vendor for vendor in vendors().values() for name in (vendor.id, *vendor.aliases)}


def vendor(name: str) -> Vendor | None:
    """The vendor that a proxy of this name is taken for: by id, or by another customary name."""
    return _by_any_name().get(name)
