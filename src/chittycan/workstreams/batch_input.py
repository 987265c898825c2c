"""The input of a batch: JSON Lines, read from pieces of bytes as they come, each line checked.

Source: OpenAI's Batch API (https://platform.openai.com/docs/guides/batch), whose names for what is wrong are kept.
"""

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from msgspec import Struct

from chittycan.workstreams.batch import Problem

LINE_BYTES = 32 << 20  # the longest line
MOST_LINES = 100_000  # Anthropic allows so many; OpenAI half of them
MOST_PROBLEMS = 100  # that are told
CUSTOM_ID_CHARACTERS = 512
CUT_LINES = 25  # pieces are cut at multiples of so many lines
SMALLEST_PIECE, LARGEST_PIECE = 25, 500  # lines
PIECES = 8  # of a batch that is not large enough for the largest ones
BLANK = b" \t\r\n"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TooLong(Exception):
    """A line that is longer than LINE_BYTES begins at `offset`."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class Splitter:
    """Cuts bytes into lines. `offset`: where in the file the first byte that comes stands."""

    def __init__(self, offset: int = 0, longest: int = LINE_BYTES) -> None:
        self._start, self._longest = offset, longest  # of the line that is not whole yet
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The lines that end in `data`, without their ends, and the offset of each. Raises TooLong."""
        lines: list[tuple[int, bytes]] = []
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            self._hold(data[begin:end])
            lines.append((self._start, self._taken()))
            self._start += self._size + 1
            self._size, begin = 0, end + 1
        self._hold(data[begin:])
        return lines

    def end(self) -> list[tuple[int, bytes]]:
        """The last line, where it has no end of its own."""
        return [(self._start, self._taken())] if self._size else []

    def _hold(self, part: bytes) -> None:
        self._held.append(part)
        self._size += len(part)
        if self._size > self._longest:
            raise TooLong(self._start)

    def _taken(self) -> bytes:
        line = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        return line.removeprefix(BYTE_ORDER_MARK) if self._start == 0 else line


async def lines(data: AsyncIterator[bytes], offset: int = 0) -> AsyncGenerator[tuple[int, bytes], None]:
    """The lines of a file from `offset` on, also the blank ones, and where each begins. Raises TooLong."""
    splitter = Splitter(offset)
    async for part in data:
        for line in splitter.feed(part):
            yield line
    for line in splitter.end():
        yield line


class Written(Struct):
    """A line as it is written. What else it holds is not looked at."""

    custom_id: str
    body: msgspec.Raw
    method: str = "POST"
    url: str = ""


_read = msgspec.json.Decoder(Written).decode
_FIELDS = ("custom_id", "method", "url", "body")


def blank(line: bytes) -> bool:
    return not line.strip(BLANK)


def read(line: bytes) -> Written:
    """A line that was checked before."""
    return _read(line)


def check(line: bytes, number: int, endpoint: str) -> Written | Problem:
    """The line, or what is wrong with it. `number` counts from 1."""
    try:
        written = _read(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _why(line, number)
    if not 0 < len(written.custom_id) <= CUSTOM_ID_CHARACTERS:
        message = f"`custom_id` must be a text of 1 to {CUSTOM_ID_CHARACTERS} characters."
        return Problem(code="invalid_custom_id", message=message, line=number, param="custom_id")
    if written.method != "POST":
        return Problem(code="invalid_method", message="`method` must be POST.", line=number, param="method")
    if written.url.removeprefix("/v1") != endpoint.removeprefix("/v1"):
        message = f"The URL provided for this request does not match the batch endpoint, {endpoint}."
        return Problem(code="invalid_url", message=message, line=number, param="url")
    if not bytes(written.body).lstrip(BLANK).startswith(b"{"):
        return Problem(code="invalid_body", message="`body` must be an object.", line=number, param="body")
    return written


def _why(line: bytes, number: int) -> Problem:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        message = "This line is not parseable as valid JSON."
        return Problem(code="invalid_json_line", message=message, line=number)
    if not isinstance(found, dict):
        return Problem(code="invalid_json_line", message="This line is not a JSON object.", line=number)
    missing = next((name for name in ("custom_id", "body") if name not in found), None)
    if missing is not None:
        message = f"Missing required parameter: '{missing}'."
        return Problem(code="missing_required_parameter", message=message, line=number, param=missing)
    wrong = next((name for name in _FIELDS if name != "body" and not isinstance(found.get(name, ""), str)), None)
    return Problem(code="invalid_type", message=f"`{wrong}` must be a text.", line=number, param=wrong)


class Survey:
    """What a first look through a file finds: how many requests, what is wrong with them, where it can be cut.

    Of each request only 8 bytes are kept, by which a `custom_id` that comes twice is noticed.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._seen: set[int] = set()
        self._offsets: list[int] = []  # of every CUT_LINES-th request
        self.problems: list[Problem] = []
        self.total = 0

    def take(self, offset: int, line: bytes, number: int) -> bool:
        """Looks at the line `number` (from 1); False where no more need be looked at."""
        if self.total == MOST_LINES:
            message = f"A batch has at most {MOST_LINES:,} requests."
            self.problems.append(Problem(code="too_many_requests", message=message, line=number))
            return False
        if self.total % CUT_LINES == 0:
            self._offsets.append(offset)
        self.total += 1
        found = check(line, number, self._endpoint)
        if isinstance(found, Written):
            mark = hash(found.custom_id)
            if mark not in self._seen:
                self._seen.add(mark)
                return True
            message = f"The custom_id '{found.custom_id[:80]}' is used by another request of this file."
            found = Problem(code="duplicate_custom_id", message=message, line=number, param="custom_id")
        self.problems.append(found)
        return len(self.problems) < MOST_PROBLEMS

    def pieces(self, size: int) -> list[tuple[int, int, int]]:
        """Start, stop and number of requests of each piece of a file of `size` bytes."""
        wanted = max(SMALLEST_PIECE, min(LARGEST_PIECE, self.total // PIECES))
        step = max(1, wanted // CUT_LINES)
        starts = self._offsets[::step]
        counts = [step * CUT_LINES] * (len(starts) - 1)
        counts.append(self.total - sum(counts))
        return list(zip(starts, [*starts[1:], size], counts, strict=True))
