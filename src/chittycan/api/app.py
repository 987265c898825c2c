"""Which door a path leads to. Hot paths first; everything else may take its time."""

from collections.abc import Awaitable
from typing import Any

import msgspec

from chittycan.api.asgi import Asgi
from chittycan.api.batches import BatchRoutes
from chittycan.api.files import FILE_BYTES, FORM_BYTES, PATHS, FileRoutes
from chittycan.api.guard import Guard
from chittycan.api.http import Responder
from chittycan.api.http_request import Request
from chittycan.api.inference import JSON, ROUTES, Inference
from chittycan.api.message_batches import MessageBatchRoutes
from chittycan.api.models import model_list, one_model
from chittycan.api.probes import Probes
from chittycan.api.responses import Background
from chittycan.api.routes import MethodNotAllowed, Routes
from chittycan.api.status import body_of, headers_of
from chittycan.app import Network
from chittycan.dialects.status import status_of
from chittycan.errors import ChittyError, NotFound


class App:
    """All of the HTTP front door. The control API (FastAPI) is imported when it is first asked for."""

    uploads = dict.fromkeys(PATHS, FILE_BYTES + FORM_BYTES)  # the bodies that are too large to be held

    def __init__(self, network: Network) -> None:
        self._network = network
        self._guard = Guard(network.keys)
        self._probes = Probes(network, self._guard)
        self._inference = Inference(network.gateway, self._guard, network.telemetry, network.clock)
        self._routes = Routes(self._guard, network.telemetry, network.clock)
        background = Background(network.durable.responses, network.gateway, network.clock, network.checked_webhook)
        background.add_to(self._routes)
        durable, clock = network.durable, network.clock
        FileRoutes(durable.files, durable.batches, clock).add_to(self._routes)
        BatchRoutes(durable.batches, network.checked_webhook).add_to(self._routes)
        MessageBatchRoutes(durable.batches, durable.files, network.checked_webhook).add_to(self._routes)
        self._inference.ahead["openai_responses"] = background
        self._control: Asgi | None = None

    def __call__(self, request: Request, responder: Responder) -> Awaitable[None]:
        if request.method == "POST" and request.path in ROUTES:
            return self._inference(request, responder)
        return self._beside(request, responder)

    async def _beside(self, request: Request, responder: Responder) -> None:
        path = request.path
        if path.startswith("/api/v1/") or path in ("/api/v1", "/openapi.json"):
            if self._control is None:
                from chittycan.api.control import control_app

                self._control = Asgi(control_app(self._network))
            await self._control(request, responder)
        elif self._routes.know(path):
            await self._routes(request, responder)
        else:
            await self._small(request, responder)

    async def _small(self, request: Request, responder: Responder) -> None:
        surface = "anthropic" if b"anthropic-version" in request.headers else "openai"
        try:
            content, kind = await self._found(request, surface, responder.port)
            responder.whole(200, [kind], content)
        except ChittyError as error:
            status, headers = status_of(error), [JSON, *headers_of(error)]
            if isinstance(error, MethodNotAllowed):
                status, headers = 405, [*headers, (b"allow", error.allow.encode())]
            responder.whole(status, headers, body_of(error, surface))

    async def _found(self, request: Request, surface: str, port: int | None) -> tuple[bytes, tuple[bytes, bytes]]:
        """Health, metrics, the list of models, and a clear word for everything that is not there."""
        path, reading = request.path, request.method in ("GET", "HEAD")
        if (probed := await self._probes.found(request, port)) is not None:
            return probed
        if path in ("/v1/models", "/models") and reading:
            key = self._guard.admit(request.headers)
            return _json(model_list(self._network.gateway.catalogue, key, surface))
        if path.startswith("/v1/models/") and reading:
            key = self._guard.admit(request.headers)
            return _json(one_model(self._network.gateway.catalogue, key, surface, path.removeprefix("/v1/models/")))
        if path in ROUTES:
            raise MethodNotAllowed(f"{path} takes POST, not {request.method}.")
        raise NotFound(f"There is nothing at {path[:200]}.", fix="GET /openapi.json lists what there is.")


def _json(content: Any) -> tuple[bytes, tuple[bytes, bytes]]:
    return msgspec.json.encode(content), JSON
