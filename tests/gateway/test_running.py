"""What a call tells of itself while it is under way."""

import pytest

from chittycan.chat import Usage
from chittycan.gateway.call import Trace
from chittycan.gateway.chain import Lost, Trail
from chittycan.gateway.running import Running
from chittycan.gateway.ticket import Ticket
from chittycan.routing.decide import Decision
from gateway_parts import call, candidate

A, B, C = candidate("a"), candidate("b", settings={"embedded": True}), candidate("c")


@pytest.mark.parametrize("usage", [None, Usage(input=7, output=8)])
def test_everything_that_a_call_took_is_told_for_what_it_is(usage: Usage | None) -> None:
    trail = Trail(lost=(Lost(C, 1.0, True),), started=4, first_token_ms=50.0, asked=[A, C, B])
    running = Running(call(started=100.0), Decision((A, B), (), "assignment", "private"), Ticket(5, 5, None, ()), 600.0)
    running.trail, running.upstream = trail, 0.25
    assert running.trace(B, 100.5, 9, usage) == Trace(
        request_id="req_1", model="b", provider="home-of-b", embedded=True, route="assignment", label="private",
        attempts=4, fallbacks=2, hedged=1, cached=False, ms=500.0, first_token_ms=50.0, upstream_ms=250.0, cost_nano=9,
        usage=usage,
    )  # fmt: skip
