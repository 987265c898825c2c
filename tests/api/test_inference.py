"""What a request is as a call, and the headers that tell what it took. The front door itself: tests/acceptance."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chittycan.api.guard import Guard
from chittycan.api.http_request import Request
from chittycan.api.inference import Exchange, Inference, trace_lines
from chittycan.auth.keys import Keys, NewKey
from chittycan.gateway.call import Call, Options, Trace
from chittycan.store.database import Database
from chittycan.telemetry import Telemetry
from chittycan.testing import FakeClock


async def test_everything_of_a_request_is_in_its_call(sqlite: Database, clock: FakeClock) -> None:
    keys = Keys(sqlite, clock)
    key, secret = await keys.create(NewKey(name="laptop"))
    clock.advance(5)
    begun: list[Call] = []

    async def elsewhere(call: Call, _exchange: Exchange) -> bool:
        begun.append(call)
        return True

    nobody: Any = None
    inference = Inference(nobody, Guard(keys), Telemetry(), clock)
    inference.ahead["openai_responses"] = elsewhere
    request, fields = Request(None), {"model": "gpt-4", "input": "Hello", "stream": True}
    request.method, request.path, request.body, request.chitty = (
        "POST",
        "/v1/responses",
        msgspec.json.encode(fields),
        True,
    )
    request.headers = {
        b"host": b"localhost", b"authorization": b"Bearer " + secret.encode(), b"openai-beta": b"x",
        b"x-chitty-session": b"s1", b"x-chitty-kind": b"email.triage",
    }  # fmt: skip
    await inference(request, nobody)
    (call,) = begun
    assert call == Call(
        request_id=call.request_id, model="gpt-4", stream=True, surface="openai_responses", operation="chat",
        options=Options(session="s1", kind="email.triage"), key=key, body=request.body, fields=fields,
        forward=(("openai-beta", "x"),), at=clock.now(), started=clock.monotonic(), keep_answering=call.keep_answering,
    )  # fmt: skip


def test_what_a_call_took_stands_in_its_headers() -> None:
    trace = Trace(
        request_id="req_1", model="gpt-4", route="named", attempts=3, fallbacks=1, ms=12.5, upstream_ms=12.0,
        label="private",
    )  # fmt: skip
    assert set(b"".join(trace_lines(trace)).decode().splitlines()) == {
        "x-chitty-request-id: req_1", "x-chitty-served-by: gpt-4", "x-chitty-attempts: 3", "x-chitty-fallbacks: 1",
        "x-chitty-overhead-ms: 0.50", "x-chitty-cache: miss", "x-chitty-route: named", "x-chitty-label: private",
    }  # fmt: skip


def test_public_work_has_no_label() -> None:
    assert b"label" not in b"".join(trace_lines(Trace(request_id="r")))


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_name_whatever_becomes_a_header_of_its_own(model: str, route: str) -> None:
    lines = b"".join(trace_lines(Trace(request_id="r", model=model, route=f"assignment:{route}")))
    assert lines.endswith(b"\r\n")
    names = [line.partition(b":")[0] for line in lines[:-2].split(b"\r\n")]
    assert len(names) == len(set(names)) == 7
    assert all(name.startswith(b"x-chitty-") for name in names)
    assert b"\n" not in lines.replace(b"\r\n", b"")
