"""Reading a request: its body as strict JSON, and who may ask for the default chain."""

import asyncio
from collections.abc import Mapping

from chittycan.api.http_request import Request
from chittycan.auth.keys import Key
from chittycan.chat import Json
from chittycan.dialects.wire import read_json
from chittycan.errors import InvalidRequest

OFF_LOOP = 256 << 10  # bytes; larger bodies are parsed on a thread


def read_body(headers: Mapping[bytes, bytes], body: bytes) -> Json:
    """Strict JSON. Raises InvalidRequest."""
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise InvalidRequest("A compressed body is not read here.", param="Content-Encoding", fix="Send it plain.")
    return read_json(body)


async def read_off_loop(request: Request) -> Json:
    """The same for a large body, while other requests go on."""
    return await asyncio.get_running_loop().run_in_executor(None, read_body, request.headers, request.body)


def keeps_answering(key: Key | None, headers: Mapping[bytes, bytes]) -> bool:
    """This machine's own `can` may ask that a named model's chain end with the default chain, as it does in process."""
    return key is not None and key.admin and headers.get(b"x-chitty-keep-answering") == b"true"
