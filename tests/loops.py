"""Plugin: tests of our own network protocols run on both event loops, the server's (uvloop) and Python's own.

A test module asks for it with `BOTH_LOOPS = True`.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest

Factories = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Function) -> Factories:
    """Asked by pytest-asyncio for every asynchronous test."""
    if not getattr(item.module, "BOTH_LOOPS", False):
        return {"asyncio": asyncio.new_event_loop}
    uvloop = pytest.importorskip("uvloop", reason="uvloop does not exist on this system")
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
