"""Mails as they come from a source, one after the other, whether it blocks or not."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


async def first(source: Iterable[T] | AsyncIterable[T], limit: int | None) -> AsyncGenerator[T]:
    """The first `limit` of `source`; one that blocks does so on a thread."""
    found = aiter(source) if isinstance(source, AsyncIterable) else _on_thread(iter(source))
    number = 0
    while limit is None or number < limit:
        number += 1
        each = await anext(found, None)
        if each is None:
            return
        yield each


async def _on_thread(source: Iterator[T]) -> AsyncIterator[T]:
    while (each := await asyncio.to_thread(next, source, None)) is not None:
        yield each
