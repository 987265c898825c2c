"""The life of a task and of a workstream: which status may follow which. Nothing about statuses is decided elsewhere.

    queued ──▶ running ──▶ done | failed
      ▲           │
      │           ├──▶ waiting_for_model      no model can serve now; ends as soon as one can
      │           ├──▶ waiting_for_approval   a person must decide
      └───────────┴──▶ queued again           to be tried later, at a time or when an event comes

A task may be cancelled, and its deadline may pass, wherever it stands before its end.
"""

from typing import Literal, get_args

Status = Literal["queued", "waiting_for_model", "running", "waiting_for_approval", "done", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)

TRANSITIONS: dict[Status, tuple[Status, ...]] = {
    "queued": ("queued", "running", "failed", "cancelled"),  # queued anew: woken, or its time changed
    # running anew: the worker that was at it died
    "running": ("running", "queued", "waiting_for_model", "waiting_for_approval", "done", "failed", "cancelled"),
    "waiting_for_model": ("waiting_for_model", "queued", "running", "failed", "cancelled"),
    "waiting_for_approval": ("queued", "running", "failed", "cancelled"),  # queued: somebody has decided
    "done": (),
    "failed": ("queued",),  # a person wants it tried again
    "cancelled": ("queued",),
}

TERMINAL: tuple[Status, ...] = ("done", "failed", "cancelled")
OPEN: tuple[Status, ...] = tuple(each for each in STATUSES if each not in TERMINAL)


def before(status: Status) -> tuple[Status, ...]:
    """The statuses from which a task may come to `status`."""
    return tuple(each for each, following in TRANSITIONS.items() if status in following)


StreamStatus = Literal["running", "paused", "done", "failed", "cancelled"]
STREAM_STATUSES: tuple[StreamStatus, ...] = get_args(StreamStatus)

# `paused` starts nothing new; what runs comes to its end. `failed` and `cancelled` may be resumed: what failed in
# them is tried again.
STREAM_TRANSITIONS: dict[StreamStatus, tuple[StreamStatus, ...]] = {
    "running": ("paused", "done", "failed", "cancelled"),
    "paused": ("running", "failed", "cancelled"),
    "done": (),
    "failed": ("running",),
    "cancelled": ("running",),
}


def stream_before(status: StreamStatus) -> tuple[StreamStatus, ...]:
    """The statuses from which a workstream may come to `status`."""
    return tuple(each for each, following in STREAM_TRANSITIONS.items() if status in following)
