"""`GET /v1/models`, in OpenAI's shape and in Anthropic's."""

from typing import Any

from chittycan.auth.keys import Key
from chittycan.catalogue import Catalogue
from chittycan.errors import UnknownModel
from chittycan.routing.cost.policy import AUTO, BEST, CHEAP
from chittycan.routing.decide import PRIVATE

EPOCH = "1970-01-01T00:00:00Z"


def _names(catalogue: Catalogue, key: Key | None) -> list[tuple[str, str]]:
    """Callable names with who owns them; the virtual models first."""
    names = [(name, "chittycan") for name in _virtual(catalogue)]
    names += [(name, "chittycan") for name in catalogue.ensembles]
    names += [(kind, "chittycan") for kind in catalogue.assignments if "*" not in kind and kind != PRIVATE]
    names += [(model.name, model.provider) for model in catalogue.models.values()]
    if key is not None and key.models is not None:
        names = [(name, owner) for name, owner in names if name in key.models]
    return list({name: (name, owner) for name, owner in reversed(names)}.values())[::-1]


def _virtual(catalogue: Catalogue) -> list[str]:
    """The names that leave the choice to us, as far as there is one."""
    chatting = sum(not model.embeddings for model in catalogue.models.values())
    private = PRIVATE in catalogue.assignments or any(model.private for model in catalogue.models.values())
    return [AUTO, *([CHEAP, BEST] if chatting > 1 else []), *([PRIVATE] if private else [])]


def _entry(name: str, owner: str, surface: str) -> dict[str, Any]:
    if surface == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": EPOCH}
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def model_list(catalogue: Catalogue, key: Key | None, surface: str) -> dict[str, Any]:
    """Every model that this key may call."""
    entries = [_entry(name, owner, surface) for name, owner in _names(catalogue, key)]
    if surface != "anthropic":
        return {"object": "list", "data": entries}
    ids = [entry["id"] for entry in entries]
    return {
        "data": entries,
        "has_more": False,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }


def one_model(catalogue: Catalogue, key: Key | None, surface: str, name: str) -> dict[str, Any]:
    """Raises UnknownModel."""
    for known, owner in _names(catalogue, key):
        if known == name:
            return _entry(known, owner, surface)
    model = catalogue.resolve(name)
    if model is not None and (key is None or key.models is None or name in key.models):
        return _entry(name, model.provider, surface)
    raise UnknownModel(f"The model '{name}' does not exist here.", param="model")
