"""`/v1/messages/batches`: many messages as one job, in Anthropic's shapes.

Source: https://docs.claude.com/en/api/creating-message-batches. The requests are kept as a file, whose lines are
those of every batch.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from chittycan.api.files import limit_of, page, send
from chittycan.api.routes import Routes, Visit, Webhook
from chittycan.errors import InvalidRequest, NotFound
from chittycan.gateway.options import options_of, webhook_of
from chittycan.workstreams.batch import Batch, Detail
from chittycan.workstreams.batch_input import MOST_LINES
from chittycan.workstreams.batches import Batches, kept_options
from chittycan.workstreams.files import Files

SURFACE = "anthropic"
ENDPOINT = "/v1/messages"
ENTRY = "/v1/messages/batches/{id}"
MOST_LISTED, LISTED = 1000, 20
RESULT_SECONDS = 29 * 86_400.0  # how long results are kept
OFF_LOOP = 256 << 10  # bytes; larger bodies are parsed on a thread
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Asked(Struct):
    custom_id: str
    params: msgspec.Raw


class Asking(Struct):
    requests: list[Asked]


class MessageBatchRoutes:
    def __init__(self, batches: Batches, files: Files, webhook: Webhook) -> None:
        self._batches, self._files, self._webhook = batches, files, webhook

    def add_to(self, routes: Routes) -> None:
        for method, path, handler in (
            ("POST", "/v1/messages/batches", self.create),
            ("GET", "/v1/messages/batches", self.list),
            ("GET", ENTRY, self.retrieve),
            ("DELETE", ENTRY, self.delete),
            ("POST", f"{ENTRY}/cancel", self.cancel),
            ("GET", f"{ENTRY}/results", self.results),
        ):
            routes.add(method, path, handler, surface=SURFACE, allowed="batches")

    async def create(self, visit: Visit) -> Any:
        body = visit.request.body
        asked = await asyncio.to_thread(_read, body) if len(body) > OFF_LOOP else _read(body)
        options = kept_options(options_of(visit.request.headers, {}))
        webhook = self._webhook(webhook_of(visit.request.headers, {}))
        file = await self._files.create(_lines(asked), name="requests.jsonl", purpose="batch", key_id=visit.key_id)
        detail = Detail(options=options, output_seconds=RESULT_SECONDS, webhook=webhook)
        try:
            batch = await self._batches.create(
                file.id, ENDPOINT, surface="anthropic", detail=detail, key_id=visit.key_id, total=len(asked)
            )
        except BaseException:
            if await self._batches.users(file.id) is None:  # it may be stored, though nobody heard so
                await self._files.delete(file.id)
            raise
        return shown(batch, visit)

    async def list(self, visit: Visit) -> Any:
        query = visit.query
        if "before_id" in query and "after_id" in query:
            raise InvalidRequest("Name either `before_id` or `after_id`.", param="before_id")
        found, more = await self._batches.list(
            surface="anthropic", after=query.get("after_id"), before=query.get("before_id"),
            limit=limit_of(query, LISTED, MOST_LISTED), for_key=visit.key_id,
        )  # fmt: skip
        return page([shown(batch, visit) for batch in found], more)

    async def retrieve(self, visit: Visit) -> Any:
        return shown(await self._batch(visit), visit)

    async def delete(self, visit: Visit) -> Any:
        await self._batches.delete(visit.names["id"], surface="anthropic", for_key=visit.key_id)
        return {"id": visit.names["id"], "type": "message_batch_deleted"}

    async def cancel(self, visit: Visit) -> Any:
        batch = await self._batches.cancel(visit.names["id"], surface="anthropic", for_key=visit.key_id)
        return shown(batch, visit)

    async def results(self, visit: Visit) -> None:
        batch = await self._batch(visit)
        if batch.output_file is None:
            state = "has no results" if batch.ended is not None else "has not ended: its results come then"
            raise NotFound(f"{batch.id} {state}.", param="id")
        await send(visit, self._files, await self._files.get(batch.output_file), b"application/x-jsonl")

    async def _batch(self, visit: Visit) -> Batch:
        return await self._batches.get(visit.names["id"], surface="anthropic", for_key=visit.key_id)


def _read(body: bytes) -> list[Asked]:
    """Raises InvalidRequest that names the request which is wrong."""
    try:
        asked = msgspec.json.decode(body, type=Asking).requests
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at ")
        raise InvalidRequest(f"{what}.", param=place.strip("`").removeprefix("$.") or "requests") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
    if not 0 < len(asked) <= MOST_LINES:
        raise InvalidRequest(f"A batch has from 1 to {MOST_LINES:,} requests.", param="requests")
    seen: set[str] = set()
    for number, each in enumerate(asked):
        if not CUSTOM_ID.fullmatch(each.custom_id):
            message = "A `custom_id` has 1 to 64 letters, digits, hyphens and underscores."
            raise InvalidRequest(message, param=f"requests.{number}.custom_id")
        if each.custom_id in seen:
            message = f"The `custom_id` {each.custom_id} is used twice."
            raise InvalidRequest(message, param=f"requests.{number}.custom_id")
        if not bytes(each.params).startswith(b"{"):
            raise InvalidRequest("`params` must be an object.", param=f"requests.{number}.params")
        seen.add(each.custom_id)
    return asked


async def _lines(asked: list[Asked]) -> AsyncIterator[bytes]:
    for each in asked:
        # Within a text no end of a line can stand.
        body = msgspec.Raw(bytes(each.params).translate(None, b"\r\n"))
        line = {"custom_id": each.custom_id, "method": "POST", "url": ENDPOINT, "body": body}
        yield msgspec.json.encode(line) + b"\n"


def shown(batch: Batch, visit: Visit) -> dict[str, Any]:
    times = batch.detail.times
    ended, cancelling = batch.ended is not None, "cancelling" in times
    left = batch.total - batch.completed - batch.failed
    counts = {"processing": 0 if ended else left, "succeeded": batch.completed, "errored": batch.failed,
              "canceled": left if ended and batch.status == "cancelled" else 0,
              "expired": left if ended and batch.status == "expired" else 0}  # fmt: skip
    return {
        "id": batch.id, "type": "message_batch",
        "processing_status": "ended" if ended else "canceling" if cancelling else "in_progress",
        "request_counts": counts, "created_at": _time(batch.created), "expires_at": _time(batch.expires),
        "ended_at": _time(batch.ended), "cancel_initiated_at": _time(times.get("cancelling")), "archived_at": None,
        "results_url": _url(batch, visit) if batch.output_file is not None else None,
    }  # fmt: skip


def _url(batch: Batch, visit: Visit) -> str:
    """Where this client finds the results: at the server that it asks, by the name that it has for it."""
    scheme = visit.header(b"x-forwarded-proto") or "http"
    host = visit.header(b"x-forwarded-host") or visit.header(b"host") or "localhost"
    return f"{scheme}://{host}{ENTRY.replace('{id}', batch.id)}/results"


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
