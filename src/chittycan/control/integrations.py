"""Integrations with providers: list, add, test, remove. Configuration holds references to keys, never keys."""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.control.models import check_provider
from chittycan.control.operation import operation
from chittycan.control.probe import Probed, probe_all
from chittycan.errors import NotFound, UsageError

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key


class IntegrationRow(Struct, kw_only=True):
    """One provider. `source`: config, environment, discovered or catalogue. `keys` are where its keys come from."""

    name: str
    status: Literal["ready", "skipped"]
    source: str | None = None
    dialect: str | None = None
    endpoint: str | None = None
    default_model: str | None = None
    keys: list[str] = []
    verified: bool | None = None
    why: str | None = None


@operation("GET", "/integrations", owner=True)
async def listed(network: "Network", caller: "Key | None") -> list[IntegrationRow]:
    """Every provider that is set up or was found, and why others are left out."""
    catalogue = network.gateway.catalogue
    rows = [
        IntegrationRow(
            name=each.name, status="ready", source=each.source, dialect=each.dialect, endpoint=each.endpoint or None,
            default_model=each.default_model, keys=[key.source for key in each.keys], verified=each.verified,
        )
        for each in catalogue.providers.values()
    ]  # fmt: skip
    return rows + [IntegrationRow(name=name, status="skipped", why=why) for name, why in catalogue.skipped.items()]


@operation("POST", "/integrations", owner=True)
async def add(
    network: "Network",
    caller: "Key | None",
    *,
    name: str,
    model: str | None = None,
    api_key: str | None = None,
    endpoint: str | None = None,
    dialect: str | None = None,
) -> IntegrationRow:
    """Sets a provider up; `model` becomes its default. `api_key` is a reference: env:NAME or file:PATH."""
    from chittycan.config import is_reference
    from chittycan.providers.registry import add_integration

    if api_key is not None and not is_reference(api_key):
        raise UsageError(
            "A key itself must not stand on the command line: it would stay in the shell's history.",
            fix=f"export {name.upper().replace('-', '_')}_API_KEY=…, then --api-key "
            f"env:{name.upper().replace('-', '_')}_API_KEY; or `can config`, which keeps it in a private file.",
        )
    folder = network.settings.folder
    add_integration(folder, name, model=model, api_key=api_key, endpoint=endpoint, dialect=dialect)
    await network.reload()
    return next(row for row in await listed(network) if row.name == name)


@operation("POST", "/integrations/test", owner=True)
async def probe(network: "Network", caller: "Key | None", *, names: list[str] | None = None) -> list[Probed]:
    """Asks the default model of each provider (of all, where none is named) one short question."""
    catalogue = network.gateway.catalogue
    for name in names or ():
        check_provider(catalogue, name)
    asked, without = [], []
    for name in names or catalogue.providers:
        model = catalogue.default_of(name)
        if model is not None:
            asked.append(model.name)
        elif names:
            fix = f"can connect integration add {name} --model MODEL"
            without.append(Probed(model="", provider=name, success=False, problem="it has no default model", fix=fix))
    return await probe_all(network, list(dict.fromkeys(asked))) + without


@operation("DELETE", "/integrations/{name}", owner=True)
async def remove(network: "Network", caller: "Key | None", *, name: str) -> None:
    """Takes a provider out of config.json. One whose key is in the environment is found again by itself."""
    from chittycan.config.editing import remove_proxy

    if not remove_proxy(network.settings.folder, name):
        raise NotFound(f"config.json has no provider '{name[:80]}'.", param="name", fix="can connect integrations list")
    await network.reload()
