"""`/v1/batches`: the lines of an uploaded file, done as one job, in OpenAI's shapes.

Source: https://platform.openai.com/docs/api-reference/batch.
"""

from typing import Any

from chittycan.api.files import expiry, limit_of, page
from chittycan.api.routes import Routes, Visit, Webhook
from chittycan.errors import InvalidRequest
from chittycan.gateway.options import options_of, webhook_of
from chittycan.workstreams.batch import Batch, Detail
from chittycan.workstreams.batches import Batches, kept_options

MOST_LISTED, LISTED = 100, 20
PAIRS, NAME_CHARACTERS, VALUE_CHARACTERS = 16, 64, 512  # of metadata


class BatchRoutes:
    def __init__(self, batches: Batches, webhook: Webhook) -> None:
        self._batches, self._webhook = batches, webhook

    def add_to(self, routes: Routes) -> None:
        for method, path, handler in (
            ("POST", "/v1/batches", self.create),
            ("GET", "/v1/batches", self.list),
            ("GET", "/v1/batches/{id}", self.retrieve),
            ("POST", "/v1/batches/{id}/cancel", self.cancel),
        ):
            routes.add(method, path, handler, allowed="batches")

    async def create(self, visit: Visit) -> Any:
        fields = visit.fields
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not isinstance(fields.get(name), str):
                raise InvalidRequest(f"`{name}` must be a text.", param=name)
        kept = fields.get("output_expires_after")
        detail = Detail(
            window=fields["completion_window"], metadata=_metadata(fields.get("metadata")),
            options=kept_options(options_of(visit.request.headers, fields)),
            webhook=self._webhook(webhook_of(visit.request.headers, fields)),
            output_seconds=None if kept is None else expiry(kept, "output_expires_after"),
        )  # fmt: skip
        batch = await self._batches.create(
            fields["input_file_id"], fields["endpoint"], detail=detail, key_id=visit.key_id
        )
        return shown(batch)

    async def list(self, visit: Visit) -> Any:
        query = visit.query
        found, more = await self._batches.list(
            after=query.get("after"), limit=limit_of(query, LISTED, MOST_LISTED), for_key=visit.key_id
        )
        return page([shown(batch) for batch in found], more)

    async def retrieve(self, visit: Visit) -> Any:
        return shown(await self._batches.get(visit.names["id"], for_key=visit.key_id))

    async def cancel(self, visit: Visit) -> Any:
        batch = await self._batches.cancel(visit.names["id"], for_key=visit.key_id)
        if batch.status in ("completed", "failed", "expired", "finalizing"):
            raise InvalidRequest(f"Cannot cancel a batch with status '{batch.status}'.", param="id")
        return shown(batch)


def _metadata(given: Any) -> dict[str, str] | None:
    if given is None:
        return None
    if isinstance(given, dict) and len(given) <= PAIRS:
        pairs = [pair for pair in given.items() if isinstance(pair[1], str)]
        short = [1 for name, value in pairs if len(name) <= NAME_CHARACTERS and len(value) <= VALUE_CHARACTERS]
        if len(short) == len(given):
            return given
    raise InvalidRequest(
        f"`metadata` must be an object of at most {PAIRS} texts of {VALUE_CHARACTERS} characters.", param="metadata"
    )


def shown(batch: Batch) -> dict[str, Any]:
    detail = batch.detail
    errors = [
        {"code": each.code, "line": each.line, "message": each.message, "param": each.param} for each in detail.errors
    ]
    times = {
        f"{status}_at": None if status not in detail.times else int(detail.times[status])
        for status in ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
    }
    return {
        "id": batch.id, "object": "batch", "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": errors} if errors else None,
        "input_file_id": batch.input_file, "completion_window": detail.window, "status": batch.status,
        "output_file_id": batch.output_file, "error_file_id": batch.error_file,
        "created_at": int(batch.created), "expires_at": int(batch.expires), **times,
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": detail.metadata,
    }  # fmt: skip
