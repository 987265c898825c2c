"""Translation between every pair of dialects that has golden files; the convention is in tests/golden/README.md."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chittycan import dialects
from chittycan.chat import Done, Failed, Finished, Malformed
from chittycan.errors import ChittyError, InvalidRequest, StreamBroken, UpstreamRefused

GOLDEN = Path(__file__).parents[1] / "golden"
DEFAULTS = {"request_id": "golden", "model": "golden-model", "created": 1700000000, "include_usage": False}


class Case(NamedTuple):
    folder: Path
    client: Any
    provider: Any

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def events(self, name: str) -> list[tuple[str, Any]]:
        return read_events((self.folder / name).read_text(encoding="utf-8"))


def find(*names: str) -> list[Any]:
    return [
        pytest.param(folder, id=f"{folder.parent.name}/{folder.name}")
        for folder in sorted(GOLDEN.glob("*/*/"))
        if all((folder / name).exists() for name in names)
    ]


def open_case(folder: Path) -> Case:
    client, _, provider = folder.parent.name.partition("-")
    return Case(folder, dialects.load(client), dialects.load(provider))


def read_events(text: str) -> list[tuple[str, Any]]:
    """Simple on purpose: golden streams have no odd framing, and this shares no code with what it checks."""
    events = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        name, data = "", []
        for line in block.splitlines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].strip())
        if data:
            events.append((name, value_of("\n".join(data))))
    return events


def value_of(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data


def as_error(failed: Failed) -> ChittyError:
    return UpstreamRefused(failed.message, status=failed.status, kind=failed.kind, code=failed.code)


def translate_stream(case: Case) -> bytes:
    """What the gateway does with one attempt: parse, build, and close by how it ended."""
    settings = DEFAULTS | (case.json("case.json") if (case.folder / "case.json").exists() else {})
    parser, builder = case.provider.stream_parser(), case.client.stream_builder(**settings)
    written, finished = b"", False
    for name, value in case.events("stream.in.sse"):
        for event in parser.feed(name, value if isinstance(value, str) else json.dumps(value)):
            if isinstance(event, Failed):
                return written + bytes(builder.fail(as_error(event)))
            if isinstance(event, Malformed | Done):
                continue
            finished = finished or isinstance(event, Finished)
            written += builder.build(event)
    if finished:
        return written + bytes(builder.end())
    return written + bytes(builder.fail(StreamBroken("the stream ended without a finish reason")))


@pytest.mark.parametrize("folder", find("request.in.json", "request.out.json"))
def test_request_is_translated(folder: Path) -> None:
    case = open_case(folder)
    built = case.provider.build_request(case.client.parse_request(case.json("request.in.json")))
    assert json.loads(json.dumps(built)) == case.json("request.out.json")


@pytest.mark.parametrize("folder", find("request.in.json", "request.error.json"))
def test_request_is_refused_and_the_field_named(folder: Path) -> None:
    case, expected = open_case(folder), open_case(folder).json("request.error.json")
    with pytest.raises(InvalidRequest) as caught:
        case.provider.build_request(case.client.parse_request(case.json("request.in.json")))
    assert caught.value.param == expected["param"]
    assert expected["message"] in caught.value.message


@pytest.mark.parametrize("folder", find("response.in.json", "response.out.json"))
def test_response_is_translated(folder: Path) -> None:
    case = open_case(folder)
    built = case.client.build_response(case.provider.parse_response(case.json("response.in.json")))
    assert json.loads(json.dumps(built)) == case.json("response.out.json")


@pytest.mark.parametrize("folder", find("stream.in.sse", "stream.out.sse"))
def test_stream_is_translated(folder: Path) -> None:
    case = open_case(folder)
    assert read_events(translate_stream(case).decode()) == case.events("stream.out.sse")


@pytest.mark.parametrize("folder", find("error.in.json", "error.out.json"))
def test_error_is_translated(folder: Path) -> None:
    case, given = open_case(folder), open_case(folder).json("error.in.json")
    body = given["body"] if isinstance(given["body"], str) else json.dumps(given["body"])
    failed = case.provider.parse_error(given["status"], body.encode())
    built = case.client.build_error(as_error(failed), failed.status)
    assert json.loads(json.dumps(built)) == case.json("error.out.json")


def test_every_case_has_something_to_check() -> None:
    pairs = ("request", "response", "stream", "error")
    empty = [str(folder) for folder in GOLDEN.glob("*/*/") if not any(any(folder.glob(f"{p}.in.*")) for p in pairs)]
    lonely = [
        str(given)
        for given in GOLDEN.glob("*/*/*.in.*")
        if not any(given.with_name(given.name.replace(".in.", end)).exists() for end in (".out.", ".error."))
    ]
    assert (empty, lonely) == ([], [])
