"""The ASGI application: which door a path leads to. Hot paths first; everything else may take its time."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from chittycan.api.guard import Guard
from chittycan.api.inference import JSON, ROUTES, Inference
from chittycan.api.models import model_list, one_model
from chittycan.api.request import Receive, Scope, Send
from chittycan.api.status import body_of, headers_of, status_of
from chittycan.app import Network
from chittycan.errors import ChittyError, InvalidRequest, NotFound

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class App:
    """All of the HTTP front door. The control API (FastAPI) is imported when it is first asked for."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._guard = Guard(network.keys)
        self._inference = Inference(network.gateway, self._guard, network.telemetry, network.clock)
        self._control: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if method == "POST" and path in ROUTES:
            await self._inference(scope, receive, send)
            return
        if path.startswith("/api/v1/") or path in ("/api/v1", "/openapi.json", "/docs"):
            await self._controlled(scope, receive, send)
            return
        await self._small(scope, send)

    async def _controlled(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._control is None:
            from chittycan.api.control import control_app

            self._control = control_app(self._network)
        await self._control(scope, receive, send)

    async def _small(self, scope: Scope, send: Send) -> None:
        """Health, metrics, the list of models, and a clear word for everything that is not there."""
        path, method = scope["path"], scope["method"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        surface = "anthropic" if b"anthropic-version" in headers else "openai"
        try:
            if path in ("/", "/health") and method in ("GET", "HEAD"):
                await _send(send, 200, {"status": "ok", "name": "chittycan", "version": self._network.version})
            elif path == "/ready" and method in ("GET", "HEAD"):
                problem = await self._network.problem()
                await _send(send, 503 if problem else 200, {"status": problem or "ready"})
            elif path == "/metrics" and method == "GET":
                self._guard.admit_scrape(headers, scope.get("client"))
                body, kind = self._network.telemetry.exposition()
                await _send(send, 200, body, [(b"content-type", kind.encode())])
            elif path in ("/v1/models", "/models") and method == "GET":
                key = self._guard.admit(headers)
                await _send(send, 200, model_list(self._network.gateway.catalogue, key, surface))
            elif path.startswith("/v1/models/") and method == "GET":
                key = self._guard.admit(headers)
                name = path.removeprefix("/v1/models/")
                await _send(send, 200, one_model(self._network.gateway.catalogue, key, surface, name))
            elif path in ROUTES:
                raise _NotAllowed(f"{path} takes POST, not {method}.")
            else:
                raise NotFound(f"There is nothing at {path[:200]}.", fix="GET /openapi.json lists what there is.")
        except ChittyError as error:
            status = 405 if isinstance(error, _NotAllowed) else status_of(error)
            await _send(send, status, body_of(error, surface), [JSON, *headers_of(error)])


class _NotAllowed(InvalidRequest):
    code = "method_not_allowed"


async def _send(send: Send, status: int, content: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    headers = [*(headers or [JSON]), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
