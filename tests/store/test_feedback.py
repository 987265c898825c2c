"""What was said of answers, as it is kept."""

from chittycan.store import feedback
from chittycan.store.database import Database
from chittycan.store.feedback import Sketch, Word
from chittycan.store.ledger import insert
from chittycan.usage.ledger import Attempt


def answer(request: str, **fields: object) -> Attempt:
    values: dict[str, object] = {
        "request_id": request, "position": 0, "at": 1_000.0, "surface": "openai", "model": "gpt-4",
        "provider": "openai", "upstream": "gpt-4", "outcome": "ok", "kind": "code", "cost_nano": 5, **fields,
    }  # fmt: skip
    return Attempt(**values)  # type: ignore[arg-type]


def word(request: str, score: float, source: feedback.Source = "person", at: float = 1.0) -> Word:
    return Word(request_id=request, source=source, score=score, at=at)


def test_the_latest_word_of_a_source_counts(database: Database) -> None:
    database.run_sync(insert, [answer("req_1")])
    database.run_sync(feedback.say, word("req_1", 0.0))
    database.run_sync(feedback.say, word("req_1", 1.0, at=2.0))
    assert [row.score for row in database.run_sync(feedback.scored, 0.0)] == [1.0]


def test_a_persons_word_counts_before_an_outcome_and_that_before_a_check(database: Database) -> None:
    database.run_sync(insert, [answer("req_1"), answer("req_2"), answer("req_3")])
    for request, said in (("req_1", "check outcome person"), ("req_2", "check outcome"), ("req_3", "check")):
        for source, score in (("check", 1.0), ("outcome", 0.5), ("person", 0.2)):
            if source in said:
                database.run_sync(feedback.say, word(request, score, source))  # type: ignore[arg-type]
    assert sorted(row.score for row in database.run_sync(feedback.scored, 0.0)) == [0.2, 0.5, 1.0]
    (judged,) = database.run_sync(feedback.judged, 0.0, None)
    assert (judged.model, judged.kind, judged.scored, round(judged.mean, 4)) == ("gpt-4", "code", 3, 0.5667)


def test_a_keys_word_can_be_left_out_and_then_the_next_source_counts(database: Database) -> None:
    database.run_sync(insert, [answer("req_1"), answer("req_2")])
    for request in ("req_1", "req_2"):
        said = Word(request_id=request, source="person", score=0.0, key_id="key_1", at=1.0)
        database.run_sync(feedback.say, said)
    database.run_sync(feedback.say, word("req_1", 1.0, "check"))
    assert [row.score for row in database.run_sync(feedback.scored, 0.0)] == [0.0, 0.0]
    assert [row.score for row in database.run_sync(feedback.scored, 0.0, of_keys=False)] == [1.0]


def test_scored_answers_carry_their_sketch_kind_and_cost(database: Database) -> None:
    database.run_sync(insert, [answer("req_1", kind=None), answer("req_2", model="small", cost_nano=None)])
    database.run_sync(feedback.keep, [Sketch(request_id="req_1", kind="maths", sketch=b"abcd", at=1_000.0)])
    database.run_sync(feedback.say, word("req_1", 1.0))
    database.run_sync(feedback.say, word("req_2", 0.5))
    database.run_sync(feedback.say, word("req_unknown", 0.5))
    first, second = sorted(database.run_sync(feedback.scored, 0.0), key=lambda row: row.model)
    assert (first.model, first.kind, first.sketch, first.cost_nano) == ("gpt-4", "maths", b"abcd", 5)
    assert (second.model, second.kind, second.sketch, second.cost_nano) == ("small", "code", None, None)
    assert database.run_sync(feedback.scored, 1_001.0) == []


def test_only_the_attempt_that_answered_is_scored(database: Database) -> None:
    failed = answer("req_1", outcome="absorbed", model="broken")
    database.run_sync(insert, [failed, answer("req_1", position=1)])
    database.run_sync(feedback.say, word("req_1", 1.0))
    assert [row.model for row in database.run_sync(feedback.scored, 0.0)] == ["gpt-4"]


def test_what_became_of_a_task_is_said_of_its_last_answer(database: Database) -> None:
    database.run_sync(insert, [answer("req_1", task="task_1"), answer("req_2", task="task_1", at=2_000.0)])
    assert database.run_sync(feedback.of_task, "task_1", 0.0, 5.0) == 1
    assert database.run_sync(feedback.of_task, "task_2", 0.0, 5.0) == 0
    assert [(row.request_id, row.source, row.score) for row in database.run_sync(feedback.listing, 9, None)] == [
        ("req_2", "outcome", 0.0)
    ]


def test_old_sketches_are_forgotten(database: Database) -> None:
    rows = [Sketch(request_id=f"req_{at}", kind=None, sketch=b"abcd", at=at) for at in (1.0, 2.0, 3.0)]
    database.run_sync(feedback.keep, rows)
    database.run_sync(feedback.keep, rows[:1])
    assert database.run_sync(feedback.forget, 2.5) == 2
    assert database.run_sync(feedback.forget, 9.9) == 1


def test_a_key_sees_what_was_said_of_its_own_answers(database: Database) -> None:
    database.run_sync(insert, [answer("req_1", key_id="key_1"), answer("req_2", key_id="key_2")])
    for request in ("req_1", "req_2"):
        database.run_sync(feedback.say, word(request, 1.0))
    assert [row.request_id for row in database.run_sync(feedback.listing, 9, "key_2")] == ["req_2"]
    assert len(database.run_sync(feedback.listing, 9, None)) == 2
    assert database.run_sync(feedback.last_answer, "key_1") == "req_1"
