"""Requests of tasks to servers outside, against real sockets on this machine."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chittycan.errors import DeliveryUnknown, Forbidden, InvalidRequest, NotDelivered
from chittycan.integrations.outbound import Limits, Outbound
from chittycan.integrations.targets import AllowList
from peers import OK, HttpPeer, Peer, server_tls, trusting


def local(peer: Peer) -> Outbound:
    return Outbound(AllowList([f"127.0.0.1:{peer.port}"]))


async def test_a_request_arrives_as_it_was_given(http_peer: HttpPeer) -> None:
    peer = await http_peer(b"HTTP/1.1 201 Created\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 4\r\n\r\ndone")
    answer = await local(peer).send("POST", peer.url + "?x=1", headers={"X-Id": "7"}, body=b"{}")
    assert (answer.status, answer.body, answer.headers["x-a"], answer.ok) == (201, b"done", "1, 2", True)
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /hook?x=1 HTTP/1.1"
    assert {b"host: 127.0.0.1:%d" % peer.port, b"x-id: 7", b"content-length: 2"} <= set(lines)
    assert body == b"{}"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (OK + b"and more than was announced", b"ok"),
    ],
)
async def test_an_answer_is_read_however_it_is_framed(http_peer: HttpPeer, answer: bytes, body: bytes) -> None:
    peer = await http_peer(answer)
    assert (await local(peer).send("GET", peer.url)).body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"a" * 900) for n in range(100)) + b"\r\n",
    ],
)
async def test_after_a_broken_answer_nobody_knows_whether_it_was_done(http_peer: HttpPeer, answer: bytes) -> None:
    peer = await http_peer(answer)
    with pytest.raises(DeliveryUnknown):
        await local(peer).send("POST", peer.url, body=b"x")


async def test_a_reset_after_the_request_leaves_it_unknown(http_peer: HttpPeer) -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    peer = await http_peer(reset)
    with pytest.raises(DeliveryUnknown):
        await local(peer).send("POST", peer.url, body=b"x")


async def test_a_server_that_drips_is_left_after_the_time_for_all(http_peer: HttpPeer) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await reader.read()  # until the client goes

    peer = await http_peer(drip)
    with pytest.raises(DeliveryUnknown, match=r"no answer within 0\.2 s"):
        await local(peer).send("POST", peer.url, limits=Limits(total=0.2))


async def test_a_body_is_kept_up_to_the_limit(http_peer: HttpPeer) -> None:
    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    async def pour_quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await pour(reader, writer)
        except ConnectionError:
            pass

    peer = await http_peer(pour_quietly)
    answer = await local(peer).send("GET", peer.url, limits=Limits(body=1000))
    assert (len(answer.body), answer.truncated, answer.status) == (1000, True, 200)


async def test_nothing_was_sent_where_nobody_listens(free_port: int) -> None:
    outbound = Outbound(AllowList([f"127.0.0.1:{free_port}"]))
    with pytest.raises(NotDelivered) as caught:
        await outbound.send("POST", f"http://127.0.0.1:{free_port}/?token=s3cret")
    assert caught.value.temporary
    assert "s3cret" not in str(caught.value)


async def test_nothing_is_asked_of_a_host_that_is_not_listed(http_peer: HttpPeer) -> None:
    peer = await http_peer()
    with pytest.raises(Forbidden):
        await Outbound(AllowList(["hooks.example.com"])).send("GET", peer.url)
    assert peer.requests == []


def names(table: dict[str, list[str]]) -> Callable[[str, int], Awaitable[list[str]]]:
    """A resolver; each further question about a name gets the next answer."""

    async def resolve(host: str, _port: int) -> list[str]:
        answers = table[host]
        return [answers.pop(0) if len(answers) > 1 else answers[0]]

    return resolve


async def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(http_peer: HttpPeer) -> None:
    peer = await http_peer()
    outbound = Outbound(
        AllowList([f"http://hooks.example.com:{peer.port}"]), resolve=names({"hooks.example.com": ["127.0.0.1"]})
    )
    with pytest.raises(Forbidden, match="private network"):
        await outbound.send("POST", f"http://hooks.example.com:{peer.port}/", body=b"x")
    assert peer.requests == []


async def test_the_address_that_was_checked_is_the_one_that_is_used(http_peer: HttpPeer) -> None:
    peer = await http_peer()
    table = {"hooks.example.com": ["127.0.0.1", "169.254.169.254"]}
    outbound = Outbound(AllowList([f"http://hooks.example.com:{peer.port}"], private=True), resolve=names(table))
    url = f"http://hooks.example.com:{peer.port}/"
    assert (await outbound.send("GET", url)).ok
    assert b"host: hooks.example.com:%d" % peer.port in peer.requests[0]
    with pytest.raises(Forbidden):  # the name was looked up once per request, and leads elsewhere by now
        await outbound.send("GET", url)


async def test_a_redirect_on_the_same_server_is_followed_and_checked_anew(http_peer: HttpPeer) -> None:
    peer = await http_peer(b"HTTP/1.1 307 Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n", OK)
    table = {"hooks.example.com": ["127.0.0.1", "127.0.0.1", "127.0.0.1", "169.254.169.254"]}
    outbound = Outbound(AllowList([f"http://hooks.example.com:{peer.port}"], private=True), resolve=names(table))
    url = f"http://hooks.example.com:{peer.port}/"
    assert (await outbound.send("POST", url, body=b"again")).body == b"ok"
    assert peer.requests[1].startswith(b"POST /other")
    assert peer.requests[1].endswith(b"again")
    peer.answers = [b"HTTP/1.1 307 Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n", OK]
    with pytest.raises(Forbidden):
        await outbound.send("POST", url, body=b"again")


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/", "http://169.254.169.254/latest", "//evil.example/", "http://["]
)
async def test_a_redirect_elsewhere_is_not_followed(http_peer: HttpPeer, location: str) -> None:
    peer = await http_peer(b"HTTP/1.1 307 Moved\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % location.encode())
    assert (await local(peer).send("POST", peer.url, body=b"x")).status == 307
    assert len(peer.requests) == 1


async def test_a_redirect_that_would_turn_a_post_into_a_get_is_not_followed(http_peer: HttpPeer) -> None:
    peer = await http_peer(b"HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n", OK)
    assert (await local(peer).send("POST", peer.url, body=b"x")).status == 302


async def test_redirects_in_a_circle_end(http_peer: HttpPeer) -> None:
    peer = await http_peer(b"HTTP/1.1 301 Moved\r\nlocation: /hook\r\ncontent-length: 0\r\n\r\n")
    assert (await local(peer).send("GET", peer.url)).status == 301
    assert len(peer.requests) == 4


@pytest.mark.parametrize(
    "headers",
    [{"x": "a\r\nhost: evil"}, {"x y": "1"}, {"Host": "evil"}, {"content-length": "5"}, {"x": "é"}, {"": "x"}],
)
async def test_a_header_cannot_break_out_of_its_line(http_peer: HttpPeer, headers: dict[str, str]) -> None:
    peer = await http_peer()
    with pytest.raises(InvalidRequest) as caught:
        await local(peer).send("POST", peer.url, headers=headers)
    assert caught.value.param == "headers"
    assert peer.requests == []


async def test_an_unknown_method_is_refused(http_peer: HttpPeer) -> None:
    peer = await http_peer()
    with pytest.raises(InvalidRequest):
        await local(peer).send("CONNECT", peer.url)


async def test_the_owners_headers_go_to_their_host_alone(http_peer: HttpPeer) -> None:
    one, other = await http_peer(), await http_peer()
    outbound = Outbound(
        AllowList([f"127.0.0.1:{one.port}", f"127.0.0.1:{other.port}"]),
        credentials=lambda target: {"Authorization": "Bearer s3cret"} if target.port == one.port else {},
    )
    await outbound.send("POST", one.url, headers={"authorization": "none"})
    await outbound.send("POST", other.url)
    assert b"\r\nauthorization: Bearer s3cret\r\n" in one.requests[0]
    assert b"authorization" not in other.requests[0]


async def test_the_certificate_is_checked_against_the_name(http_peer: HttpPeer) -> None:
    peer = await http_peer(tls=server_tls())
    allowed = AllowList([f"localhost:{peer.port}", f"127.0.0.1:{peer.port}"])
    outbound = Outbound(
        allowed, tls=trusting(), resolve=names({"localhost": ["127.0.0.1"], "127.0.0.1": ["127.0.0.1"]})
    )
    assert (await outbound.send("GET", f"https://localhost:{peer.port}/")).body == b"ok"
    with pytest.raises(NotDelivered) as caught:
        await outbound.send("GET", f"https://127.0.0.1:{peer.port}/")
    assert not caught.value.temporary
    with pytest.raises(NotDelivered, match="could not show that it is localhost"):
        await Outbound(allowed, resolve=names({"localhost": ["127.0.0.1"]})).send(
            "GET", f"https://localhost:{peer.port}/"
        )
    assert len(peer.requests) == 1
