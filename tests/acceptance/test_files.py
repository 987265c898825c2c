"""`/v1/files` as the official client and others meet it."""

import asyncio
from typing import Any

import openai
import pytest

from bare_http import Json
from chittycan.testing.upstream import ScriptedUpstream
from serving import Serve, Served, proxy

BOUNDARY = "xyz"


@pytest.fixture
async def served(up: ScriptedUpstream, serve: Serve) -> Served:
    return await serve({"first": proxy(up.url, "openai")})


def form(*parts: tuple[str, str | None, bytes]) -> bytes:
    body = b""
    for name, filename, data in parts:
        head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        body += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


async def test_a_file_is_kept_shown_and_deleted(served: Served) -> None:
    gpt = served.clients().gpt
    data = b"line\n" * 100_000
    file = await gpt.files.create(file=("in.jsonl", data), purpose="batch")
    assert (file.object, file.bytes, file.filename, file.purpose, file.status) == (
        "file", len(data), "in.jsonl", "batch", "processed",
    )  # fmt: skip
    assert file.expires_at is not None
    assert await gpt.files.retrieve(file.id) == file
    assert (await gpt.files.content(file.id)).content == data
    assert (await gpt.files.delete(file.id)).deleted
    with pytest.raises(openai.NotFoundError, match=f"No such File object: {file.id}"):
        await gpt.files.retrieve(file.id)


async def test_files_are_listed_page_by_page(served: Served) -> None:
    gpt = served.clients().gpt
    made = [
        (await gpt.files.create(file=(f"{number}.txt", b"x"), purpose=purpose)).id
        for number in range(4)
        for purpose in ("user_data", "batch")
    ]
    assert [file.id async for file in gpt.files.list(limit=3)] == made[::-1]
    assert [file.id async for file in gpt.files.list(limit=3, order="asc")] == made
    assert [file.id async for file in gpt.files.list(purpose="batch")] == made[1::2][::-1]


async def test_a_file_is_kept_as_long_as_the_client_says(served: Served) -> None:
    gpt = served.clients().gpt
    expiry: Any = {"anchor": "created_at", "seconds": 7200}
    file = await gpt.files.create(file=("a", b"x"), purpose="user_data", expires_after=expiry)
    assert file.expires_at == file.created_at + 7200
    with pytest.raises(openai.BadRequestError) as refused:
        await gpt.files.create(file=("a", b"x"), purpose="batch", expires_after=expiry | {"seconds": 5})
    assert refused.value.param == "expires_after"


async def test_the_fields_of_a_form_may_come_after_its_file(served: Served) -> None:
    body = form(("file", "a.txt", b"content"), ("purpose", None, b"user_data"))
    got = await served.fetch("POST", "/v1/files", body, FORM)
    assert (got.status, got.json["filename"], got.json["bytes"]) == (200, "a.txt", 7)


@pytest.mark.parametrize(
    ("body", "headers", "param"),
    [
        (form(("file", "a", b"x")), FORM, "purpose"),
        (form(("purpose", None, b"secret")), FORM, "purpose"),
        (form(("purpose", None, b"batch")), FORM, "file"),
        (form(("file", "a", b"x"), ("file", "b", b"y"), ("purpose", None, b"batch")), FORM, "file"),
        (form(("purpose", None, b"batch" * 9999)), FORM, "purpose"),
        (form(("purpose", None, b"batch"), ("file", "a", b"x" * 999))[:-20], FORM, None),
        (b"{}", {}, "Content-Type"),
    ],
)
async def test_a_form_that_makes_no_sense_is_refused_and_leaves_nothing(
    served: Served, body: bytes, headers: Json, param: str | None
) -> None:
    got = await served.fetch("POST", "/v1/files", body, headers)
    assert (got.status, got.json["error"]["param"]) == (400, param)
    assert await kept(served) == (0, 0)


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(served: Served) -> None:
    wire = await served.connect()
    head = (
        f"POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9000000\r\ncontent-type: {FORM['content-type']}"
    )
    wire.writer.write(head.encode() + b"\r\n\r\n" + form(("file", "a", b"x" * 2_000_000))[:-20])
    while (await kept(served))[1] == 0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert (await served.clients().gpt.files.list()).data == [], "a file was shown that is not whole"
    wire.writer.transport.abort()
    async with asyncio.timeout(10):
        while await kept(served) != (0, 0):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def kept(served: Served) -> tuple[int, int]:
    """Files, whole or not, and their pieces."""

    def read(connection: Any) -> tuple[int, int]:
        counts = [connection.exec_driver_sql(f"SELECT count(*) FROM {name}") for name in ("files", "file_chunks")]
        files, pieces = (int(count.scalar_one()) for count in counts)
        return files, pieces

    return await served.network.database.read(read)


async def test_a_large_file_passes_through_without_being_held(served: Served) -> None:
    size, held = 80 << 20, 0
    network = served.network
    added = network.durable.files._database.run

    async def watch(*args: Any, **more: Any) -> Any:
        nonlocal held
        held = max([held, *(len(each) for each in args if isinstance(each, bytes))])
        return await added(*args, **more)

    network.durable.files._database.run = watch  # type: ignore[method-assign]
    body = form(("purpose", None, b"batch"), ("file", "big", b"0123456789abcdef" * (size >> 4)))
    got = await served.fetch("POST", "/v1/files", body, FORM)
    assert (got.status, got.json["bytes"]) == (200, size)
    assert held <= 1 << 20
    back = await served.fetch("GET", f"/v1/files/{got.json['id']}/content")
    assert len(back.body) == size
    assert back.headers["content-length"] == str(size)


async def test_a_key_needs_to_be_let_in(served: Served) -> None:
    files, chat = await served.key("files", routes=("files",)), await served.key("chat", routes=("openai",))
    gpt = served.clients(files).gpt
    file = await gpt.files.create(file=("a", b"x"), purpose="user_data")
    with pytest.raises(openai.PermissionDeniedError):
        await served.clients(chat).gpt.files.list()
    with pytest.raises(openai.AuthenticationError):
        await served.clients("sk-chitty-wrong").gpt.files.create(file=("a", b"x" * 5_000_000), purpose="batch")
    other = served.clients(await served.key("other")).gpt
    with pytest.raises(openai.NotFoundError):
        await other.files.delete(file.id)
    assert [each.id async for each in gpt.files.list()] == [file.id]


async def test_a_file_that_a_batch_reads_cannot_be_deleted(served: Served) -> None:
    gpt = served.clients().gpt
    file = await gpt.files.create(file=("in.jsonl", b"{}"), purpose="batch")
    await gpt.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    with pytest.raises(openai.BadRequestError, match="has not ended"):
        await gpt.files.delete(file.id)


@pytest.mark.parametrize("path", ["/v1/files", "/files", "/v1/v1/files", "/v1/files/"])
async def test_clients_disagree_about_the_path(served: Served, path: str) -> None:
    got = await served.fetch("POST", path, form(("purpose", None, b"batch"), ("file", "a", b"x")), FORM)
    assert got.status == 200


async def test_other_methods_are_named(served: Served) -> None:
    got = await served.fetch("PUT", "/v1/files", b"")
    assert (got.status, got.headers["allow"]) == (405, "GET, POST")
