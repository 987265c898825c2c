"""One HTTP request as the server read it, and how the next one like it is read without parsing.

A client sends the same head again and again; only its Content-Length changes. What a parser has accepted once it
would accept again, so the same bytes on the same connection need no second look.
"""

from chittycan.api.upload import Upload

LONGEST_KEPT_HEAD = 8 << 10  # bytes, per connection
LENGTH_DIGITS = 8
CONTENT_LENGTH = b"\r\ncontent-length:"


class Request:
    """One request, whole but for an `upload`. Header names are lower case; of repeated headers the last counts,
    except Host.

    Requests with equal heads share their `headers`: nobody may change them.
    """

    __slots__ = (
        "body", "chitty", "chunks", "client", "headers", "keep_alive", "method", "path", "query", "raw_path",
        "upload",
    )  # fmt: skip

    def __init__(self, client: tuple[str, int] | None) -> None:
        self.client = client
        self.method = ""
        self.raw_path = b""
        self.path = ""
        self.query = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.keep_alive = True
        self.chunks = True  # the client reads chunked answers (HTTP/1.1)
        self.chitty = False  # one of our own headers is among them
        self.upload: Upload | None = None  # in place of `body`, where that is handed on as it comes

    def like(self, body: bytes, length: bytes) -> "Request":
        """A request with the same head, but for its Content-Length, and this body."""
        other = Request(self.client)
        other.method, other.raw_path, other.path, other.query = self.method, self.raw_path, self.path, self.query
        other.keep_alive, other.chunks, other.chitty = self.keep_alive, self.chunks, self.chitty
        same = self.headers[b"content-length"] == length
        other.headers = self.headers if same else self.headers | {b"content-length": length}
        other.body = body
        return other


class RepeatedHead:
    """The bytes of a head that was parsed, before and after the digits of its Content-Length."""

    __slots__ = ("_after", "_before", "_request")

    def __init__(self, before: bytes, after: bytes, request: Request) -> None:
        self._before, self._after, self._request = before, after, request

    def read(self, data: bytes) -> Request | None:
        """The request, where `data` is exactly this head with another length, and a body of that length."""
        if not data.startswith(self._before):
            return None
        start = len(self._before)
        stop = data.find(b"\r", start, start + LENGTH_DIGITS + 1)
        length = data[start:stop]
        if stop < 0 or not length.isdigit() or not data.startswith(self._after, stop):
            return None
        body = data[stop + len(self._after) :]
        return self._request.like(body, length) if int(length) == len(body) else None


def learn(data: bytes, request: Request) -> RepeatedHead | None:
    """The head of `request`, where `data` is what was parsed as this one request, and its head is a plain one:
    one Content-Length, none of the headers that change how a message is read."""
    end = data.find(b"\r\n\r\n") + 4
    headers = request.headers
    length = headers.get(b"content-length", b"")
    if (
        request.upload is not None
        or end > LONGEST_KEPT_HEAD
        or not request.keep_alive
        or not length.isdigit()
        or data[end:] != request.body
    ):
        return None
    if b"transfer-encoding" in headers or b"upgrade" in headers or b"expect" in headers:
        return None
    # A second Content-Length is an error of the parser, and a line cannot begin inside another header.
    line = data.lower().find(CONTENT_LENGTH) + len(CONTENT_LENGTH)
    start = data.find(length, line)
    stop = start + len(length)
    if not len(CONTENT_LENGTH) <= line <= start <= line + 1 or data[stop : stop + 2] != b"\r\n":
        return None
    return RepeatedHead(data[:start], data[stop:end], request)
