"""What is kept of what `auto` was asked: hashes, where the owner wants it, and of nothing private."""

from typing import Any

from chittycan.chat import ChatRequest, user
from chittycan.gateway.call import Call
from chittycan.gateway.sketches import KEPT_SECONDS, MOST, Sketches
from chittycan.routing.decide import Decision
from chittycan.store import feedback
from chittycan.store.database import Database
from chittycan.store.feedback import Sketch
from chittycan.testing import FakeClock

TEXT = "Prove that there are infinitely many primes."


def asked(model: str = "auto", text: str = TEXT, number: int = 1, **more: Any) -> Call:
    chat = ChatRequest(model=model, messages=[user(text)])
    return Call(request_id=f"req_{number}", model=model, parsed=chat, **more)


def decision(label: str = "public") -> Decision:
    return Decision((), (), "auto", label, kind="maths")


def kept(database: Database) -> list[Any]:
    from sqlalchemy import select

    return database.run_sync(lambda connection: [*connection.execute(select(feedback.sketches))])


async def test_a_sketch_is_kept_with_its_kind_and_no_text(database: Database) -> None:
    sketches = Sketches(database, FakeClock(), lambda: True)
    sketches.note(asked(), decision())
    await sketches.flush()
    (row,) = kept(database)
    assert (row.request_id, row.kind, len(row.sketch) % 4) == ("req_1", "maths", 0)
    assert all(word.encode() not in bytes(row.sketch).lower() for word in TEXT.lower().split() if len(word) > 3)


async def test_nothing_is_kept_of_what_is_private_named_ruled_or_unwanted(sqlite: Database) -> None:
    wanted = False
    sketches = Sketches(sqlite, FakeClock(), lambda: wanted)
    sketches.note(asked(), decision())
    wanted = True
    sketches.note(asked(), decision("private"))
    sketches.note(asked(), decision("redacted"))
    sketches.note(asked("gpt-4"), decision())
    sketches.note(asked(ruled="night"), decision())
    sketches.note(asked(text=""), decision())
    await sketches.flush()
    assert kept(sqlite) == []


async def test_old_sketches_go_and_too_many_are_not_waited_for(sqlite: Database) -> None:
    clock = FakeClock()
    sqlite.run_sync(feedback.keep, [Sketch(request_id="old", kind=None, sketch=b"", at=clock.now() - KEPT_SECONDS - 1)])
    sketches = Sketches(sqlite, clock, lambda: True)
    for number in range(MOST + 5):
        sketches.note(asked(number=number), decision())
    await sketches.flush()
    ids = {row.request_id for row in kept(sqlite)}
    assert (len(ids), "old" in ids) == (MOST, False)
