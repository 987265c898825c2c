"""What can be found without being told: model servers on this machine, and vendors' keys in the environment.

A server counts only when it lists models as OpenAI's API does *and* shows a mark of the program it claims to be
(Ollama's version page, llama.cpp's properties, …): any web server may sit on these ports.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httptools
import msgspec
from msgspec import Struct

from chittycan.providers.vendors import vendors

LARGEST = 4 * 1024 * 1024  # bytes of one answer
PORTS: Mapping[str, int] = {"ollama": 11434, "lmstudio": 1234, "llamacpp": 8080, "vllm": 8000}
LMSTUDIO_OWNERS = ("organization_owner", "organization-owner")


class FoundModel(Struct, frozen=True):
    """A model that a local server lists; `context_window` in tokens where the server tells it."""

    name: str
    context_window: int | None = None
    embeddings: bool = False


class Endpoint(Struct, frozen=True):
    """A model server on this machine. `vendor` is its id in the catalogue, `url` the base URL to call."""

    vendor: str
    url: str
    models: tuple[FoundModel, ...] = ()


class FoundKey(Struct, frozen=True):
    """A vendor's key in the environment: the variable's name, never its value."""

    vendor: str
    name: str
    variable: str


def environment_keys(env: Mapping[str, str]) -> tuple[FoundKey, ...]:
    """The vendors whose key is in the environment, in the catalogue's order."""
    found = []
    for vendor in vendors().values():
        variable = next((name for name in vendor.keys if env.get(name, "").strip()), None)
        if variable is not None:
            found.append(FoundKey(vendor.id, vendor.name, variable))
    return tuple(found)


async def discover(
    ports: Mapping[str, int] | None = None, host: str = "127.0.0.1", timeout: float = 0.5
) -> dict[str, Endpoint]:
    """The model servers that answer now, by vendor. `timeout` (seconds) bounds each port; all are asked at once."""
    ports = PORTS if ports is None else ports
    found = await asyncio.gather(*(_bounded(vendor, host, port, timeout) for vendor, port in ports.items()))
    endpoints: dict[str, Endpoint] = {}
    for endpoint in found:
        if endpoint is not None:
            endpoints.setdefault(endpoint.vendor, endpoint)
    return endpoints


async def _bounded(vendor: str, host: str, port: int, timeout: float) -> Endpoint | None:
    try:
        async with asyncio.timeout(timeout):
            return await _probe(vendor, host, port)
    except TimeoutError:
        return None


async def _probe(expected: str, host: str, port: int) -> Endpoint | None:
    """What runs on this port: most likely `expected`, but any of the known ones may have been moved here."""
    listed = _models(await _get(host, port, "/v1/models"))
    if listed is None:
        return None
    for vendor in sorted(MARKS, key=lambda name: name != expected):
        path, proves = MARKS[vendor]
        page = await _get(host, port, path)
        if proves(page, listed):
            return Endpoint(vendor, f"http://{host}:{port}/v1", _described(listed, page))
    return None


def _models(page: Any) -> list[dict[str, Any]] | None:
    """The rows of an OpenAI model list; None where the page is none. (Ollama without models says `data: null`.)"""
    if not isinstance(page, dict) or page.get("object") != "list":
        return None
    rows = page.get("data") or []
    if not isinstance(rows, list):
        return None
    fit = all(isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"] for row in rows)
    return rows if fit else None


def _is_ollama(page: Any, listed: list[dict[str, Any]]) -> bool:
    return isinstance(page, dict) and isinstance(page.get("version"), str)


def _is_lmstudio(page: Any, listed: list[dict[str, Any]]) -> bool:
    if listed and all(row.get("owned_by") in LMSTUDIO_OWNERS for row in listed):
        return True
    rows = _models(page)
    return bool(rows) and all("compatibility_type" in row or "quantization" in row for row in rows or ())


def _is_llamacpp(page: Any, listed: list[dict[str, Any]]) -> bool:
    return isinstance(page, dict) and isinstance(page.get("default_generation_settings"), dict)


def _is_vllm(page: Any, listed: list[dict[str, Any]]) -> bool:
    return bool(listed) and all(row.get("owned_by") == "vllm" for row in listed)


# Vendor: the page that only this program serves, and the proof (from that page and the model list).
MARKS: Mapping[str, tuple[str, Callable[[Any, list[dict[str, Any]]], bool]]] = {
    "ollama": ("/api/version", _is_ollama),
    "lmstudio": ("/api/v0/models", _is_lmstudio),
    "llamacpp": ("/props", _is_llamacpp),
    "vllm": ("/version", _is_vllm),
}


def _described(listed: list[dict[str, Any]], page: Any) -> tuple[FoundModel, ...]:
    """The models with their windows, from the list itself (vLLM) or the program's own page (LM Studio, llama.cpp)."""
    pages = page if isinstance(page, dict) else {}
    details = {row["id"]: row for row in _models(page) or ()}
    settings = pages.get("default_generation_settings")
    common = settings.get("n_ctx") if isinstance(settings, dict) else None
    models = []
    for row in listed:
        more = details.get(row["id"], {})
        windows = (row.get("max_model_len"), more.get("loaded_context_length"), more.get("max_context_length"), common)
        window = next((each for each in windows if isinstance(each, int) and each > 0), None)
        embeddings = more.get("type") == "embeddings" or "embed" in row["id"].lower()
        models.append(FoundModel(row["id"], window, embeddings))
    return tuple(models)


class _Answer:
    """Collects one HTTP answer; `body` stays None until it is complete."""

    def __init__(self) -> None:
        self.done = False
        self.chunks: list[bytes] = []

    def on_body(self, data: bytes) -> None:
        self.chunks.append(data)

    def on_message_complete(self) -> None:
        self.done = True


async def _get(host: str, port: int, path: str) -> Any:
    """The JSON at this address, or None: nobody there, not HTTP, not 200, not JSON, too large."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return None
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        received = 0
        while not answer.done and received <= LARGEST:
            data = await reader.read(65536)
            if not data:
                break
            received += len(data)
            parser.feed_data(data)
        complete = answer.done or (received <= LARGEST and bool(answer.chunks))
        if not complete or parser.get_status_code() != 200:
            return None
        return msgspec.json.decode(b"".join(answer.chunks))
    except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    finally:
        writer.close()
