"""A head that came before is read without parsing, and never otherwise than the parser would read it."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.api.http_request import LONGEST_KEPT_HEAD, Request, learn

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"


class Parsed:
    """What llhttp makes of `data`: one whole request and nothing else, or `wrong`."""

    def __init__(self, data: bytes) -> None:
        self.url, self.body, self.headers = b"", b"", {}  # type: ignore[var-annotated]
        self.ended, self.wrong = 0, False
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.wrong = True
        self.wrong = self.wrong or self.ended != 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.keep_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_begin(self) -> None:
        self.wrong = self.wrong or self.ended > 0

    def on_message_complete(self) -> None:
        self.ended += 1

    def request(self) -> Request:
        request = Request(None)
        request.method = self._parser.get_method().decode()
        request.raw_path = self.url
        request.headers, request.body = self.headers, self.body
        request.keep_alive = self.keep_alive
        return request


def message(body: bytes, more: bytes = b"", length: bytes | None = None) -> bytes:
    return HEAD + more + b"Content-Length: %b\r\n\r\n%b" % (length or b"%d" % len(body), body)


def test_the_same_head_with_another_length_is_read_again() -> None:
    first = message(b"{}", b"X-Chitty-Kind: triage\r\n")
    head = learn(first, Parsed(first).request())
    assert head is not None
    for body in (b"[]", b"x" * 12345):
        request = head.read(message(body, b"X-Chitty-Kind: triage\r\n"))
        assert request is not None
        assert (request.method, request.raw_path, request.body) == ("POST", b"/v1/chat/completions", body)
        assert request.headers == {
            b"host": b"localhost",
            b"x-chitty-kind": b"triage",
            b"content-length": b"%d" % len(body),
        }


@pytest.mark.parametrize(
    "data",
    [
        message(b"{}")[:-1],  # not all of it
        message(b"{}") + b"\r\n",
        message(b"{}") + message(b"{}"),
        message(b"{}", length=b"+2"),
        message(b"{}", length=b" 2"),
        message(b"{}", length=b"2 "),
        message(b"{}", length=b"2, 2"),
        message(b"{}", length=b"0x2"),
        message(b"{}", length=b"\xb2"),
        message(b"{}", length=b"000000002"),
        message(b"{}", b"X-Other: 1\r\n"),
        message(b"{}").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        message(b"{}").replace(b"Content-Length", b"content-length"),
        b"",
    ],
)
def test_anything_else_is_left_to_the_parser(data: bytes) -> None:
    first = message(b"{}")
    head = learn(first, Parsed(first).request())
    assert head is not None
    assert head.read(data) is None


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        message(b"{}", b"Connection: close\r\n"),
        message(b"{}", b"Expect: 100-continue\r\n"),
        message(b"{}", b"X-Long: %b\r\n" % (b"x" * LONGEST_KEPT_HEAD)),
        message(b"{}", length=b"2 "),
    ],
)
def test_an_unusual_head_is_not_learnt(data: bytes) -> None:
    assert learn(data, Parsed(data).request()) is None


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"Content-Length", b"content-length", b"X-A", b"Host", b"X-Content-Length", b"Accept"]),
        st.sampled_from([b": ", b":", b":  ", b" : ", b":\t"]),
        st.sampled_from([b"2", b"3", b"02", b"10", b"a", b"2\r\n content-length: 3", b"\r\n", b"content-length: 2"]),
        st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b" \r\n"]),
    ),
    max_size=4,
)
BODIES = st.sampled_from([b"{}", b"{ }", b"0123456789", b"\r\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
MESSAGES = st.builds(
    lambda first, headers, body: first + b"".join(b"".join(line) for line in headers) + b"\r\n" + body,
    st.sampled_from([b"POST / HTTP/1.1\r\n", b"\r\nPOST /a?b HTTP/1.1\r\n", b"PUT / HTTP/1.0\r\n"]),
    HEADERS,
    BODIES,
)


@given(MESSAGES, MESSAGES, st.binary(max_size=12), st.integers(0, 120), st.integers(0, 12))
def test_what_is_read_from_memory_is_what_the_parser_reads(
    first: bytes, second: bytes, patch: bytes, place: int, length: int
) -> None:
    parsed = Parsed(first)
    head = None if parsed.wrong else learn(first, parsed.request())
    if head is None:
        return
    assert head.read(first) is not None
    for data in (second, first[:place] + patch + first[place + length :]):
        request, again = head.read(data), Parsed(data)
        if request is not None:
            assert not again.wrong
            assert (request.raw_path, request.headers, request.body) == (again.url, again.headers, again.body)


@given(st.integers(0, 60), st.integers(0, 99_999_999), st.binary(max_size=60))
def test_a_length_is_believed_only_where_it_is_true(size: int, said: int, more: bytes) -> None:
    first = message(b"x" * size)
    head = learn(first, Parsed(first).request())
    assert head is not None
    request = head.read(message(more, length=b"%d" % said))
    assert (request is not None) == (said == len(more))
