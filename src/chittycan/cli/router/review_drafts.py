"""What a key does to the draft of a mail that is reviewed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.control.review import WaitingDraft

# What is done to the draft; the draft as it waits then, None where it waits no more.
Does = Callable[["Session", "WaitingDraft"], Awaitable["WaitingDraft | None"]]

KEYS: Mapping[str, Does] = {}
