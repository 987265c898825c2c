"""Slots in the database: never more than the limit among the living, shared fairly."""

from hypothesis import given
from hypothesis import strategies as st

from chittycan.store.database import Database
from chittycan.store.slots import Ask, Holder, Standing, exchange, held, shares, surrender

SCOPE = "model:m"


def ask(database: Database, owner: str, wanted: int, *, keep: int = 0, limit: int = 4, now: float = 0.0) -> Standing:
    asks = [Ask(SCOPE, limit, keep, wanted)]
    return database.run_sync(exchange, owner, asks, now, now + 20.0)[SCOPE]


def test_a_process_alone_gets_what_it_wants_up_to_the_limit(database: Database) -> None:
    assert ask(database, "a", 3).held == 3
    assert ask(database, "a", 9, keep=3).held == 4


def test_what_one_holds_another_cannot_take(database: Database) -> None:
    ask(database, "a", 3)
    assert ask(database, "b", 4) == Standing(held=1, quota=2)
    assert database.run_sync(held, 0.0) == {SCOPE: 4}


def test_who_has_more_than_its_share_gives_back_what_is_not_in_use(database: Database) -> None:
    ask(database, "a", 4)
    ask(database, "b", 4)
    assert ask(database, "a", 4, keep=3) == Standing(held=3, quota=2)
    assert ask(database, "b", 4).held == 1
    assert ask(database, "a", 4, keep=0).held == 2
    assert ask(database, "b", 4, keep=1).held == 2


def test_slots_of_a_dead_process_come_free_when_its_lease_ends(database: Database) -> None:
    ask(database, "dead", 4)
    assert ask(database, "b", 4, now=19.0).held == 0
    assert ask(database, "b", 4, now=20.5) == Standing(held=4, quota=4)


def test_who_was_taken_for_dead_still_counts_its_open_calls(database: Database) -> None:
    ask(database, "late", 4)
    ask(database, "b", 4, now=30.0)
    assert ask(database, "late", 4, keep=3, now=31.0).held == 3
    assert ask(database, "b", 4, keep=0, now=31.0).held == 1


def test_limits_do_not_mind_each_other(database: Database) -> None:
    asks = [Ask("provider:p", 2, 0, 2), Ask("model:m", 1, 0, 1)]
    assert {scope: one.held for scope, one in database.run_sync(exchange, "a", asks, 0.0, 20.0).items()} == {
        "provider:p": 2,
        "model:m": 1,
    }


def test_who_leaves_leaves_nothing_behind(database: Database) -> None:
    ask(database, "a", 4)
    database.run_sync(surrender, "a")
    assert database.run_sync(held, 0.0) == {}
    assert ask(database, "b", 4) == Standing(held=4, quota=4)


def test_a_single_slot_goes_round_among_all_who_wait(database: Database) -> None:
    served = []
    for now in range(12):
        for owner in ("a", "b", "c"):
            standing = ask(database, owner, 1, limit=1, now=float(now))
            if standing.held:
                served.append(owner)  # its call ends before the next turn
    assert len(served) >= 6
    assert {served.count(owner) for owner in "abc"} == {len(served) // 3}


holder = st.tuples(st.integers(0, 9), st.integers(0, 30), st.none() | st.floats(0, 100))


@given(limit=st.integers(1, 40), rows=st.lists(holder, min_size=1, max_size=8))
def test_shares_are_equal_complete_and_no_more_than_wanted(
    limit: int, rows: list[tuple[int, int, float | None]]
) -> None:
    holders = [Holder(str(place), *row) for place, row in enumerate(rows)]
    parts = shares(limit, holders)
    assert sum(parts.values()) == min(limit, sum(one.wanted for one in holders))
    for one in holders:
        assert parts[one.owner] <= one.wanted
        if parts[one.owner] < one.wanted:  # whoever goes short has at most one less than anybody else
            assert all(part <= parts[one.owner] + 1 for part in parts.values())
