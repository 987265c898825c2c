"""Fakes that are real implementations, shipped so that other people's tests can use them too.

`FakeClock` owns time; `ScriptedUpstream` is a provider on a real socket that fails in every known way.
"""

from chittycan.testing.clock import FakeClock

__all__ = ["FakeClock"]
