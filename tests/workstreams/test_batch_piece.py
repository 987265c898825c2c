"""One pass over a piece: what is asked, what is written down, what is left for later."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from chittycan.clock import SystemClock
from chittycan.errors import Unavailable
from chittycan.store import batches as rows
from chittycan.store.database import Database
from chittycan.workstreams import batch_piece
from chittycan.workstreams.batch import Answered, Batch, Detail, Elsewhere, Line, Reason, Unserved, to_row
from chittycan.workstreams.batch_piece import Pass, Stopped
from chittycan.workstreams.files import Files

LINES = 120
PATIENCE = 20.0


class QuickClock(SystemClock):
    """Pauses pass at once."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.001)


class Clerk:
    """Answers as the test says: by number of the line, given how often it was asked before."""

    def __init__(self, does: Callable[[int, int], Answered | Unserved | Elsewhere]) -> None:
        self.asked: Counter[int] = Counter()
        self._does = does

    def model(self, line: Line) -> str:
        return str(json.loads(line.body)["model"])

    async def answer(self, batch: Batch, line: Line) -> Answered | Unserved | Elsewhere:
        await asyncio.sleep(0)
        self.asked[line.number] += 1
        return self._does(line.number, self.asked[line.number])

    def unanswered(self, batch: Batch, line: Line, reason: Reason) -> bytes:
        raise NotImplementedError


def good(number: int) -> Answered:
    return Answered(good=True, line=b"%d" % number)


def bad(number: int) -> Answered:
    return Answered(good=False, line=b"%d" % number)


def model_of(number: int) -> str:
    return "odd" if number % 2 else "even"


class Bench:
    """A batch of one piece in a database."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, QuickClock()
        self.files = Files(database, self.clock)
        self.batch: Any = None

    async def prepare(self) -> None:
        lines = [
            json.dumps({"custom_id": str(n), "url": "/v1/messages", "body": {"model": model_of(n)}}) + "\n\n"
            for n in range(LINES)
        ]
        data = "".join(lines).encode()
        file = await self.files.create(data, name="in", purpose="batch")
        now = self.clock.now()
        self.batch = Batch(id="batch_1", surface="openai", endpoint="/v1/messages", status="in_progress", key_id=None,
                           input_file=file.id, total=LINES, detail=Detail(), created=now, expires=now + 99)  # fmt: skip
        await self.database.run(rows.add, to_row(self.batch))
        await self.database.run(rows.add_pieces, "batch_1", [(0, len(data), LINES)])

    async def pass_(self, does: Callable[[int, int], Answered | Unserved | Elsewhere]) -> tuple[Pass, Clerk]:
        """A pass over what is left."""
        clerk = Clerk(does)
        piece = await self.database.read(rows.piece, "batch_1", 0)
        assert piece is not None
        return Pass(self.database, self.files, self.clock, clerk, self.batch, piece), clerk

    async def results(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {"output": [], "errors": []}
        last = (-1, -1)
        while (row := await self.database.read(rows.results_after, "batch_1", last)) is not None:
            for name in found:
                found[name] += map(int, row[name].split())
            last = (row["piece"], row["number"])
        return {name: sorted(numbers) for name, numbers in found.items()}

    async def counts(self) -> tuple[int, int]:
        row = await self.database.read(rows.get, "batch_1")
        assert row is not None
        return row["completed"], row["failed"]


@pytest.fixture
async def bench(database: Database) -> Bench:
    made = Bench(database)
    await made.prepare()
    return made


async def test_every_line_is_asked_once_and_written_down(bench: Bench) -> None:
    pass_, clerk = await bench.pass_(lambda number, _: bad(number) if number == 7 else good(number))
    await pass_.go()
    assert (pass_.left, pass_.progress) == (0, LINES)
    assert clerk.asked == Counter(range(LINES))
    assert await bench.results() == {"output": [n for n in range(LINES) if n != 7], "errors": [7]}
    assert await bench.counts() == (LINES - 1, 1)


async def test_lines_of_a_model_that_rests_are_left_for_a_later_pass(bench: Bench) -> None:
    def does(number: int, _: int) -> Answered | Unserved:
        resting = Unserved(failed=bad(number), resting=True, until=1e12)
        return resting if model_of(number) == "odd" else good(number)

    first, clerk = await bench.pass_(does)
    await first.go()
    assert (first.left, first.progress, first.until) == (LINES // 2, LINES // 2, 1e12)
    assert sum(count for number, count in clerk.asked.items() if number % 2) <= batch_piece.CALLS_AT_ONCE

    second, clerk = await bench.pass_(lambda number, _: good(number))
    await second.go()
    assert second.left == 0
    assert clerk.asked == Counter(range(1, LINES, 2))
    assert (await bench.results())["output"] == list(range(LINES))


async def test_a_line_that_fails_while_its_model_answers_others_fails_alone(bench: Bench) -> None:
    def does(number: int, _: int) -> Answered | Unserved:
        return Unserved(failed=bad(number), resting=False) if number == 3 else good(number)

    pass_, clerk = await bench.pass_(does)
    await pass_.go()
    assert pass_.left == 0
    assert clerk.asked[3] == 1 + len(batch_piece.AGAIN_SECONDS)
    assert (await bench.results())["errors"] == [3]


async def test_an_outage_fails_nothing(bench: Bench) -> None:
    pass_, _ = await bench.pass_(lambda number, _: Unserved(failed=bad(number), resting=False))
    await pass_.go()
    assert (pass_.left, pass_.progress) == (LINES, 0)
    assert await bench.results() == {"output": [], "errors": []}


async def test_a_death_repeats_no_more_than_what_was_not_written_down(bench: Bench) -> None:
    class Death(BaseException):
        pass

    def does(number: int, _: int) -> Answered:
        if number == 110:
            pass_._answers.clear()  # what a killed process had in its memory
            raise Death
        return good(number)

    pass_, clerk = await bench.pass_(does)
    with pytest.raises(BaseExceptionGroup):
        await pass_.go()
    again, more = await bench.pass_(lambda number, _: good(number))
    assert again.left < LINES, "nothing was written down before the death"
    await again.go()
    # What was answered while the last checkpoint was on its way, and what was just being asked.
    assert sum((clerk.asked + more.asked).values()) <= (
        LINES + 2 * batch_piece.CHECKPOINT_LINES + batch_piece.CALLS_AT_ONCE
    )
    assert (await bench.results())["output"] == list(range(LINES))


async def test_a_second_run_of_the_same_piece_stops_and_counts_for_nothing(bench: Bench) -> None:
    first, _ = await bench.pass_(lambda number, _: good(number))
    second, _ = await bench.pass_(lambda number, _: good(number))
    await first.go()
    with pytest.raises(Stopped):
        await second.go()
    assert await bench.counts() == (LINES, 0)
    assert (await bench.results())["output"] == list(range(LINES))


async def held_up(bench: Bench) -> "asyncio.Task[None]":
    """A pass that stands still at line 20."""
    pass_, clerk = await bench.pass_(lambda number, _: good(number))
    held = asyncio.Event()

    async def answer(batch: Batch, line: Line) -> Answered:
        if line.number >= 20:
            held.set()
            await asyncio.Event().wait()
        return good(line.number)

    clerk.answer = answer  # type: ignore[method-assign]
    going = asyncio.create_task(pass_.go())
    await held.wait()
    return going


@pytest.mark.parametrize(
    ("change", "kept"), [({"status": "cancelling"}, True), ({"status": "finalizing", "run": 2}, False)]
)
async def test_a_pass_ends_with_the_batch_and_keeps_what_still_counts(
    bench: Bench, change: dict[str, Any], kept: bool
) -> None:
    going = await held_up(bench)
    await bench.database.run(rows.change, "batch_1", change)
    with pytest.raises(Stopped):
        await going
    assert (await bench.results())["output"] == (list(range(20)) if kept else [])


async def test_a_worker_that_stops_writes_down_what_it_has(bench: Bench) -> None:
    going = await held_up(bench)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert (await bench.results())["output"] == list(range(20))


async def test_a_worker_that_stops_does_not_wait_for_a_database_that_is_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("the database is away")

    going = await held_up(bench)
    monkeypatch.setattr(bench.database, "run", away)
    monkeypatch.setattr(batch_piece, "LEAVE_SECONDS", 0.0)
    going.cancel()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait((going,))
    assert going.cancelled()


async def test_a_piece_gives_its_place_back_when_its_turn_is_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_piece, "TURN_SECONDS", 0.0)
    pass_, _ = await bench.pass_(lambda number, _: good(number))
    await pass_.go()
    assert pass_.over
    assert pass_.left == LINES


async def test_lines_of_another_region_are_left_to_its_workers_and_keep_nobody_else_waiting(bench: Bench) -> None:
    def does(number: int, _asked: int) -> Answered | Elsewhere:
        return Elsewhere("eu-west") if number % 10 == 0 else good(number)

    first, clerk = await bench.pass_(does)
    await first.go()
    assert (first.left, first.progress, first.region) == (LINES // 10, LINES - LINES // 10, "eu-west")
    assert set(clerk.asked.values()) == {1}
    there, _ = await bench.pass_(lambda number, _: good(number))
    await there.go()
    assert (there.left, there.region) == (0, None)


async def test_a_piece_goes_to_no_region_as_long_as_others_could_do_something_of_it(bench: Bench) -> None:
    def does(number: int, _asked: int) -> Unserved | Elsewhere:
        return Elsewhere("eu-west") if number % 2 else Unserved(failed=bad(number), resting=True)

    pass_, _ = await bench.pass_(does)
    await pass_.go()
    assert (pass_.left, pass_.region) == (LINES, None)
