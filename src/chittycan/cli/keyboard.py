"""Single keys from a terminal, without Enter and without an echo."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

ReadKey = Callable[[], Awaitable[str]]
END = "\x04"  # what is read where the terminal is gone


@asynccontextmanager
async def keyboard() -> AsyncGenerator[ReadKey]:
    """`await read()` gives the next key; keys pressed meanwhile are kept. Ctrl-C interrupts as ever."""
    try:
        import termios
        import tty
    except ImportError:  # not a POSIX system
        yield _click_key
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSADRAIN)

    async def read() -> str:
        loop = asyncio.get_running_loop()
        pressed: asyncio.Future[str] = loop.create_future()
        loop.add_reader(terminal, _take, terminal, pressed)
        try:
            return await pressed
        finally:
            loop.remove_reader(terminal)

    try:
        yield read
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _take(terminal: int, pressed: "asyncio.Future[str]") -> None:
    try:
        found = os.read(terminal, 1)
    except OSError:
        found = b""
    if not pressed.done():
        pressed.set_result(found.decode("latin-1") or END)


async def _click_key() -> str:
    import click

    return await asyncio.to_thread(click.getchar)
