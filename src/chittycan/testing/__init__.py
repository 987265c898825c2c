"""Fakes that are real implementations, shipped so that other people's tests can use them too.

`FakeClock` owns time; `ScriptedUpstream` is a provider on a real socket that fails in every known way.
"""

from chittycan.testing.clock import FakeClock
from chittycan.testing.scenarios import ANSWER, SCENARIOS, WALL, Reply, Scenario, ToolUse

__all__ = ["ANSWER", "SCENARIOS", "WALL", "FakeClock", "Reply", "Scenario", "ScriptedUpstream", "ToolUse"]


def __getattr__(name: str) -> object:
    # Not imported here outright, or `python -m chittycan.testing.upstream` would load the module twice.
    if name == "ScriptedUpstream":
        from chittycan.testing.upstream import ScriptedUpstream

        return ScriptedUpstream
    raise AttributeError(name)
