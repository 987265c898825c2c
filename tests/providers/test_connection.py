"""One connection to a provider, fed by hand: however the network cuts an answer, it is read the same."""

import asyncio
import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chittycan.outbox import Outbox
from chittycan.providers.connection import HIGH_WATER, LARGEST_INFLATED, Connection, ConnectionCut, TimedOut, Watch

BODY = b'{"text": "' + bytes(range(256)) + b'"}'


class FakeTransport(asyncio.Transport):
    """Remembers what the connection does to its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.calls: list[str] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


class AtOnce(Outbox):
    """Sends without waiting for the turn's end."""

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        transport.write(data)


def _connection(watch: Watch | None = None) -> Connection:
    loop = asyncio.get_running_loop()
    return Connection(loop, watch or Watch(), AtOnce(loop))


def _asked() -> tuple[Connection, FakeTransport]:
    """A connection that has sent a request and waits for the answer."""
    connection, transport = _connection(), FakeTransport()
    connection.connection_made(transport)
    connection.write(b"POST / HTTP/1.1\r\n\r\n", b"")
    return connection, transport


async def _headers(connection: Connection, deadline: float | None = None) -> None:
    while not connection.responded():
        await connection.news(deadline)


async def _read(connection: Connection) -> bytes:
    pieces = []
    while piece := await connection.read(None):
        pieces.append(piece)
    return b"".join(pieces)


async def _whole(connection: Connection) -> bytes:
    await _headers(connection)
    return await _read(connection)


def _chunked(*pieces: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


def _answer(headers: bytes, body: bytes, before: bytes = b"") -> bytes:
    return before + b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + headers + b"\r\n" + body


WITH_LENGTH = _answer(b"Content-Length: %d\r\n" % len(BODY), BODY)
CHUNKED = _answer(b"Transfer-Encoding: chunked\r\n", _chunked(BODY[:7], BODY[7:], trailer=b"X-Sum: 1\r\n"))
TO_THE_END = _answer(b"Connection: close\r\n", BODY)
ZIPPED = gzip.compress(BODY)
ANSWERS = {
    "length": WITH_LENGTH,
    "chunked": CHUNKED,
    "to the end": TO_THE_END,
    "after 103": _answer(b"Content-Length: %d\r\n" % len(BODY), BODY, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    "after 100": _answer(b"Content-Length: %d\r\n" % len(BODY), BODY, b"HTTP/1.1 100 Continue\r\n\r\n"),
    "gzip": _answer(b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(ZIPPED), ZIPPED),
    "gzip in members": _answer(
        b"Content-Encoding: GZIP\r\nTransfer-Encoding: chunked\r\n",
        _chunked(gzip.compress(BODY[:9]), gzip.compress(BODY[9:])),
    ),
    "deflate": _answer(b"Content-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n", _chunked(zlib.compress(BODY))),
}


@pytest.mark.parametrize("name", ANSWERS)
@given(cuts=st.lists(st.integers(0, 400), max_size=12), ends=st.booleans())
@settings(max_examples=40)
async def test_an_answer_reads_the_same_wherever_it_is_cut(name: str, cuts: list[int], ends: bool) -> None:
    connection, _ = _asked()
    whole, start = ANSWERS[name], 0
    for cut in [*sorted(cut for cut in cuts if cut < len(whole)), len(whole)]:
        connection.data_received(whole[start:cut])
        start = cut
    if ends or name == "to the end":
        connection.connection_lost(None)
    await _headers(connection)
    assert connection.status == 200
    assert connection.header_list[0] == (b"Content-Type", b"application/json")
    assert await _read(connection) == BODY
    assert connection.reusable() == (name != "to the end" and not ends)


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "to the end"])
@given(data=st.data())
@settings(max_examples=40)
async def test_an_answer_that_is_cut_short_is_never_taken_for_whole(name: str, data: st.DataObject) -> None:
    connection, _ = _asked()
    whole = ANSWERS[name]
    connection.data_received(whole[: data.draw(st.integers(0, len(whole) - 1))])
    connection.connection_lost(None)
    with pytest.raises(ConnectionCut):
        await _whole(connection)
    assert not connection.reusable()


async def test_a_reset_in_a_body_without_length_is_a_cut_not_its_end() -> None:
    connection, _ = _asked()
    connection.data_received(TO_THE_END[:-5])
    connection.connection_lost(ConnectionResetError())
    await _headers(connection)
    assert await connection.read(None) == BODY[:-5]
    with pytest.raises(ConnectionCut):
        await connection.read(None)


@given(st.lists(st.binary(max_size=200), max_size=5))
async def test_garbage_is_a_cut_and_nothing_worse(pieces: list[bytes]) -> None:
    connection, _ = _asked()
    for piece in pieces:
        connection.data_received(piece)
    connection.connection_lost(None)
    with pytest.raises(ConnectionCut):
        await _whole(connection)


@pytest.mark.parametrize(
    "odd",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello world",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
async def test_an_answer_that_is_not_http_is_a_cut(odd: bytes) -> None:
    connection, _ = _asked()
    connection.data_received(odd)
    connection.data_received(b"and more")
    connection.connection_lost(None)
    with pytest.raises(ConnectionCut):
        await _whole(connection)


async def test_a_switch_to_another_protocol_is_no_answer() -> None:
    connection, _ = _asked()
    connection.data_received(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nPRI")
    await _headers(connection)
    assert connection.status == 101
    assert await _read(connection) == b""
    assert not connection.reusable()


async def test_a_body_that_unpacks_to_gigabytes_is_refused() -> None:
    connection, _ = _asked()
    bomb = gzip.compress(bytes(2 * LARGEST_INFLATED), compresslevel=9)
    connection.data_received(_answer(b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(bomb), bomb))
    with pytest.raises(ConnectionCut):
        await _read(connection)
    assert not connection.reusable()


async def test_a_slow_reader_pauses_the_socket() -> None:
    connection, transport = _asked()
    size = 3 * HIGH_WATER
    connection.data_received(_answer(b"Content-Length: %d\r\n" % size, bytes(HIGH_WATER)))
    assert transport.calls == []
    connection.data_received(bytes(HIGH_WATER))
    assert transport.calls == ["pause"]
    assert len(await connection.read(None)) == 2 * HIGH_WATER
    assert transport.calls == ["pause", "resume"]
    connection.data_received(bytes(HIGH_WATER))
    assert len(await _read(connection)) == HIGH_WATER
    assert connection.reusable()


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\x00garbage"])
async def test_bytes_after_the_answer_are_never_taken_for_the_next_one(surplus: bytes) -> None:
    together, _ = _asked()
    together.data_received(WITH_LENGTH + surplus)
    assert await _read(together) == BODY
    assert not together.reusable()
    later, transport = _asked()
    later.data_received(WITH_LENGTH)
    assert await _read(later) == BODY
    later.data_received(surplus)
    assert transport.aborted
    assert not later.reusable()


async def test_an_answer_before_any_request_is_not_accepted() -> None:
    connection, transport = _connection(), FakeTransport()
    connection.connection_made(transport)
    connection.data_received(WITH_LENGTH)
    assert transport.aborted
    connection.write(b"POST / HTTP/1.1\r\n\r\n", b"")
    with pytest.raises(ConnectionCut):
        await _headers(connection)


async def test_one_connection_carries_many_answers() -> None:
    connection, transport = _asked()
    for answer in (WITH_LENGTH, CHUNKED, ANSWERS["gzip"], ANSWERS["after 103"], WITH_LENGTH):
        connection.data_received(answer)
        await _headers(connection)
        assert await _read(connection) == BODY
        assert connection.reusable()
        connection.write(b"POST / HTTP/1.1\r\n\r\n", b"")
    assert transport.written.count(b"POST") == 6


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_end_with_their_headers(status: int) -> None:
    connection, _ = _asked()
    connection.data_received(b"HTTP/1.1 %d X\r\n\r\n" % status)
    await _headers(connection)
    assert await connection.read(None) == b""
    assert connection.reusable()


@pytest.mark.parametrize("closing", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"])
async def test_a_connection_that_its_server_will_close_is_not_kept(closing: bytes) -> None:
    connection, _ = _asked()
    connection.data_received(closing + b"Content-Length: 2\r\n\r\nok")
    assert await connection.read(None) == b"ok"
    assert not connection.reusable()


async def test_waiting_has_a_deadline_and_says_for_what() -> None:
    now = asyncio.get_running_loop().time()
    connection, _ = _asked()
    with pytest.raises(TimedOut) as raised:
        await _headers(connection, now)
    assert raised.value.stage == "response"
    connection, _ = _asked()
    connection.data_received(WITH_LENGTH[:-5])
    assert await connection.read(now), "what has come is read whatever the time"
    with pytest.raises(TimedOut) as raised:
        await connection.read(now)
    assert raised.value.stage == "read"
    assert not connection.reusable()


async def test_a_wait_without_deadline_goes_on_while_others_expire() -> None:
    watch = Watch()
    patient, hasty = _connection(watch), _connection(watch)
    for connection in (patient, hasty):
        connection.connection_made(FakeTransport())
        connection.write(b"POST / HTTP/1.1\r\n\r\n", b"")
    waiting = asyncio.create_task(_headers(patient))
    with pytest.raises(TimedOut):
        await _headers(hasty, 0.0)
    assert not waiting.done()
    patient.data_received(WITH_LENGTH)
    await waiting
    assert patient.status == 200
