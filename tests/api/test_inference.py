"""The headers that tell what a call took. The front door itself: tests/acceptance."""

from hypothesis import given
from hypothesis import strategies as st

from chittycan.api.inference import trace_lines
from chittycan.gateway.call import Trace


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
