"""`office`: a network whose tasks are performed by hand."""

from typing import Any

import pytest

from bare_http import Json
from chittycan.testing.upstream import ScriptedUpstream
from performing import PRICE, MakeOffice, Office
from serving import Serve, proxy

MODELS = ("strong", "other", "cheap")


@pytest.fixture
async def office(up: ScriptedUpstream, serve: Serve) -> MakeOffice:
    """`await office(**sections)`: the models strong (who falls back to other), other and cheap (the default chain)."""

    async def make(models: Json | None = None, fallbacks: Json | None = None, **more: Any) -> Office:
        known = {name: {"proxy": "home", "upstream": name, "price": PRICE} for name in MODELS}
        served = await serve(
            {"home": proxy(up.url, "openai")},
            {**known, **(models or {})},
            {"strong": ["other"], "*": ["cheap"], **(fallbacks or {})},
            **more,
        )
        made = Office(served, up)
        for name in MODELS:
            made.says(name, f"{name} speaking")
        return made

    return make
