"""Forms come in any pieces: what is read does not depend on where the bytes were cut."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chittycan.api.multipart import HEAD_BYTES, PARTS, Data, Event, Form, Part, boundary_of, part_of
from chittycan.errors import InvalidRequest

BOUNDARY = b"----x"
MARK = b"\r\n--" + BOUNDARY

# Bytes that look like the beginning of a boundary, among others.
content = st.lists(
    st.sampled_from([MARK[:length] for length in range(len(MARK))]) | st.binary(max_size=20), max_size=8
).map(b"".join)
content = content.filter(lambda data: MARK not in data + MARK[:-1])
names = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\\'), min_size=1, max_size=10)
forms = st.lists(st.tuples(names, st.none() | names, content), max_size=5)


def written(parts: list[tuple[str, str | None, bytes]], preamble: bytes = b"") -> bytes:
    body = preamble
    for name, filename, data in parts:
        head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        body += b"--" + BOUNDARY + b"\r\n" + head.encode() + b"\r\nContent-Type: text/plain\r\n\r\n" + data + b"\r\n"
    return body + b"--" + BOUNDARY + b"--\r\n"


def read(body: bytes, cuts: list[int]) -> list[tuple[str, str | None, bytes]]:
    form = Form(BOUNDARY)
    events: list[Event] = []
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    for start, stop in itertools.pairwise(places):
        events += form.feed(body[start:stop])
    form.end()
    found: list[tuple[str, str | None, bytes]] = []
    for event in events:
        if isinstance(event, Part):
            found.append((event.name, event.filename, b""))
        elif isinstance(event, Data):
            name, filename, data = found[-1]
            found[-1] = (name, filename, data + event.data)
    return found


@given(forms, st.lists(st.integers(min_value=0), max_size=30), st.sampled_from([b"", b"\r\n", b"ignore this\r\n"]))
@example([("file", "a", b"\r\n--")], [1, 2, 3], b"")
@example([("a", None, b"")], list(range(100)), b"")  # byte by byte
def test_a_form_is_read_the_same_wherever_it_is_cut(
    parts: list[tuple[str, str | None, bytes]], cuts: list[int], preamble: bytes
) -> None:
    expected = [(name, None if not file else part_of(_head(file)).filename, data) for name, file, data in parts]
    assert read(written(parts, preamble), cuts) == expected


def _head(filename: str) -> bytes:
    return f'Content-Disposition: form-data; name="x"; filename="{filename}"'.encode()


@given(forms, st.integers(min_value=1), st.integers(min_value=0))
def test_a_form_that_breaks_off_is_refused(parts: list[tuple[str, str | None, bytes]], lost: int, cut: int) -> None:
    body = written(parts)
    with pytest.raises(InvalidRequest):
        read(body[: len(body) - 3 - lost % (len(body) - 3)], [cut])


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0), max_size=5))
def test_no_bytes_do_more_than_be_refused(noise: bytes, cuts: list[int]) -> None:
    try:
        read(b"--" + BOUNDARY + noise, cuts)
    except InvalidRequest:
        pass


def test_a_large_part_is_handed_on_as_it_comes() -> None:
    form = Form(BOUNDARY)
    list(form.feed(written([("file", "a", b"")])[: -len(b"\r\n--" + BOUNDARY + b"--\r\n")]))
    for _ in range(20):
        handed = b"".join(event.data for event in form.feed(b"y" * 1000) if isinstance(event, Data))
        assert len(handed) >= 1000 - len(MARK)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'Content-Disposition: form-data; name="file"; filename="in.jsonl"', "in.jsonl"),
        (b"content-disposition:form-data;name=file;filename=in.jsonl", "in.jsonl"),
        (b'Content-Disposition: form-data; name="file"; filename="say \\"hi\\".txt"', 'say "hi".txt'),
        (b'Content-Disposition: form-data; name="file"; filename="/home/a/b.txt"', "b.txt"),
        (b"Content-Disposition: form-data; name=file; filename=x; filename*=UTF-8''%C3%A4.txt", "ä.txt"),
        (b'Content-Disposition: form-data; name="file"', None),
    ],
)
def test_the_name_of_a_file_as_clients_write_it(head: bytes, name: str | None) -> None:
    assert part_of(head).filename == name


@pytest.mark.parametrize(
    "body",
    [
        b"--" + BOUNDARY + b"\r\nContent-Type: text/plain\r\n\r\nno name\r\n--" + BOUNDARY + b"--",
        b"--" + BOUNDARY + b"\r\n" + b"x" * (HEAD_BYTES + 1),
        b"--" + BOUNDARY + b"more\r\n\r\n",
        b"nothing at all",
        written([("a", None, b"")] * (PARTS + 1)),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(body, [])


def test_the_boundary_is_found_in_the_header() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b:c"') == b"a b:c"
    for wrong in ("application/json", "multipart/form-data", "multipart/mixed; boundary=abc", ""):
        with pytest.raises(InvalidRequest, match="multipart/form-data"):
            boundary_of(wrong)
