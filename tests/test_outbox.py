"""Writes leave together at the end of the turn, in their order, and never to a connection that was dropped."""

import asyncio

from chittycan.outbox import MOST, Outbox


class Wire(asyncio.Transport):
    """Notes what is sent in a log that all of them share."""

    def __init__(self, name: str, log: list[tuple[str, bytes]]) -> None:
        super().__init__()
        self._name, self._log = name, log
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._log.append((self._name, bytes(data)))

    def is_closing(self) -> bool:
        return self.closing


async def test_writes_of_one_turn_leave_at_its_end_in_their_order() -> None:
    log: list[tuple[str, bytes]] = []
    outbox, one, two = Outbox(asyncio.get_running_loop()), Wire("one", log), Wire("two", log)
    outbox.write(one, b"a")
    outbox.write(two, b"b")
    outbox.write(one, b"c")
    assert log == []
    await asyncio.sleep(0)
    assert log == [("one", b"a"), ("two", b"b"), ("one", b"c")]
    outbox.write(two, b"d")
    await asyncio.sleep(0)
    assert log[3:] == [("two", b"d")]


async def test_a_flush_sends_at_once_and_once() -> None:
    log: list[tuple[str, bytes]] = []
    outbox, wire = Outbox(asyncio.get_running_loop()), Wire("one", log)
    outbox.write(wire, b"a")
    outbox.flush()
    assert log == [("one", b"a")]
    await asyncio.sleep(0)
    assert log == [("one", b"a")]


async def test_a_dropped_connection_gets_nothing_and_keeps_nothing_from_others() -> None:
    log: list[tuple[str, bytes]] = []
    outbox, gone, here = Outbox(asyncio.get_running_loop()), Wire("gone", log), Wire("here", log)
    outbox.write(gone, b"a")
    outbox.write(here, b"b")
    gone.closing = True
    await asyncio.sleep(0)
    assert log == [("here", b"b")]


async def test_a_writer_that_never_rests_does_not_fill_the_memory() -> None:
    log: list[tuple[str, bytes]] = []
    outbox, wire = Outbox(asyncio.get_running_loop()), Wire("one", log)
    for _ in range(MOST * 10):
        outbox.write(wire, b"x")
    assert len(log) > MOST * 8
    await asyncio.sleep(0)
    assert len(log) == MOST * 10
