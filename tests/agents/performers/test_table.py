"""What holds for all performers."""

from typing import get_args

import pytest

from chittycan.agents.performers.table import performers
from chittycan.errors import ChittyError, Unavailable
from chittycan.store.database import AWAY, Database
from chittycan.workstreams.recipe import LEAVES
from chittycan.workstreams.task import Failed, Later, Type
from performing import MakeOffice


async def test_every_type_of_task_has_one_who_does_it(office: MakeOffice) -> None:
    made = await office()
    known = set(performers(made.parts))
    assert set(LEAVES) <= known
    assert set(get_args(Type)) == known


async def test_while_the_database_is_away_nothing_has_failed(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await office()

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the database did not answer", code=AWAY)

    monkeypatch.setattr(Database, "read", away)
    for type, spec in (("task", {"prompt": "x"}), ("agent", {"name": "triage", "mail": {"id": "x"}})):
        outcome = await made.perform(type, spec=spec)
        assert isinstance(outcome, Later), type
        assert outcome.until is not None


async def test_what_a_performer_raises_is_a_failure_that_says_why(office: MakeOffice) -> None:
    made = await office()
    outcome = await made.perform(spec={"prompt": "x", "files": [{}]})
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ChittyError)
    assert not outcome.again
