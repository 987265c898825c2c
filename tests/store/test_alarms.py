"""Alarms are given once, and what was spent leaves out what is only held."""

from chittycan.store import alarms, meters
from chittycan.store.database import Database
from chittycan.store.meters import Draw, Meter, Report

METER = Meter("total", "nano", "day", 0, 86_400)
TODAY = ("total", "day", 0)


def test_an_alarm_is_claimed_once(database: Database) -> None:
    assert database.run_sync(alarms.claim, TODAY, 800, 10.0)
    assert not database.run_sync(alarms.claim, TODAY, 800, 20.0)
    assert database.run_sync(alarms.claim, TODAY, 1000, 20.0)
    assert database.run_sync(alarms.claim, ("total", "day", 86_400), 800, 20.0)


def test_what_processes_hold_is_not_spent(database: Database) -> None:
    ask = Draw(owner="me", cap=1_000, near=900, debt=0, need=300, wanted=300, slice=300, expires=100.0)
    database.run_sync(meters.draw, METER, ask)
    assert database.run_sync(alarms.spending, 50.0) == {TODAY: 0}
    database.run_sync(meters.report, "me", [Report(METER, 0, 100)], 200.0)
    assert database.run_sync(alarms.spending, 50.0) == {TODAY: 200}
    assert database.run_sync(alarms.spending, 50_000.0) == {TODAY: 300}  # who held it has died
    assert database.run_sync(alarms.spending, 90_000.0) == {}
