"""What `bench.inbox` measures, in small."""

from collections import Counter
from typing import get_args

from bench import inbox
from chittycan.agents.words import Category


async def test_every_mail_goes_through_once() -> None:
    found = await inbox.throughput(40)
    assert sum(found["states"].values()) == 40
    assert set(found["states"]) <= {"processed", "settled"}


def test_the_labelled_mails_are_of_every_kind_and_several_languages() -> None:
    rows = [row for row, _ in inbox.office()]
    kinds = Counter(row["category"] for row in rows)
    assert set(kinds) == set(get_args(Category))
    assert min(kinds.values()) >= 3
    assert len({row["language"] for row in rows}) >= 5
    assert len({row["text"] for row in rows}) == len(rows) >= 60


async def test_a_model_is_scored_beside_rules_on_the_same_mails() -> None:
    found = await inbox.by_model(inbox.at_once, 10, 1)
    assert found["mails"] == found["rules_on_the_same"]["mails"] == 10
    assert found["answers_by_rules"] == 0
    assert 0 <= found["category"] <= 0.5
