"""What the machinery around a process asks: does it live, can it serve, its figures. A worker answers nothing else."""

import msgspec

from chittycan.api.guard import Guard
from chittycan.api.http import Responder
from chittycan.api.http_request import Request
from chittycan.api.inference import JSON
from chittycan.api.status import body_of, headers_of
from chittycan.app import Network
from chittycan.dialects.status import status_of
from chittycan.errors import ChittyError, NotFound

Found = tuple[bytes, tuple[bytes, bytes]]  # a body and its content type


class Probes:
    """`name` is what the process calls itself: commands talk to a `chittycan`, never to a `chittycan-worker`."""

    def __init__(self, network: Network, guard: Guard, name: str = "chittycan") -> None:
        self._network, self._guard, self._name = network, guard, name

    async def found(self, request: Request, port: int | None) -> Found | None:
        """The answer, or None where something else was asked."""
        if request.method not in ("GET", "HEAD"):
            return None
        match request.path:
            case "/" | "/health":
                return msgspec.json.encode(self._health(request.query, port)), JSON
            case "/ready":
                await self._network.check_ready()
                return b'{"status":"ready"}', JSON
            case "/metrics":
                self._guard.admit_scrape(request.headers, request.client)
                await self._network.measure()
                body, kind = self._network.telemetry.exposition()
                return body, (b"content-type", kind.encode())
        return None

    def _health(self, query: bytes, port: int | None) -> dict[str, str]:
        """`?challenge=…` asks for the proof that this is the asking command's own server (`auth.admin`)."""
        said = {"status": "ok", "name": self._name, "version": self._network.version}
        challenge = query.partition(b"challenge=")[2][:100].decode("latin-1")
        return said | ({"proof": self._network.proof(challenge, port)} if challenge else {})


class WorkerApp:
    """The front door of a worker."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._probes = Probes(network, Guard(network.keys), "chittycan-worker")

    async def __call__(self, request: Request, responder: Responder) -> None:
        try:
            if request.path == "/ready":
                self._network.durable.check_working()
            found = await self._probes.found(request, responder.port)
            if found is None:
                raise NotFound("A worker serves /health, /ready and /metrics.", fix="Ask a gateway.")
            responder.whole(200, [found[1]], found[0])
        except ChittyError as error:
            responder.whole(status_of(error), [JSON, *headers_of(error)], body_of(error, "openai"))
