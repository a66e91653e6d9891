"""`enlace doctor` on subscribers: which are in error, and since when one waits."""

from pathlib import Path

import pytest

from service.cli import doctor_checks
from service.cli.doctor_subscriptions import LATE_FAIL, LATE_WARN
from service.store import deliveries, subscriptions
from service.store.change import Change
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.cli.installation import Patient
from tests.service.notify.subscribed import subscribe
from tests.service.world import CBO1

POSTGRESQL_IN_DEEP = True


def test_subscriptions(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tuple(check for check in doctor_checks.CHECKS if check.name in ("database", "subscriptions"))
    monkeypatch.setattr(doctor_checks, "CHECKS", mine)
    clock = FrozenClock()
    patient = Patient(database_url, tmp_path, clock)
    keys: list[int] = []

    async def one(store: Store) -> None:
        keys.append(await subscribe(store, "one", CBO1))
        await store.commit(Change(statements=deliveries.test_event(keys[0], clock.now_us(), 1)))

    async def turned(store: Store, **columns: object) -> None:
        await store.commit(Change(statements=[subscriptions.changed(keys[0], **columns)]))

    assert patient.well("subscriptions")
    patient.do(one)
    assert patient.well("subscriptions"), "it has come just now"
    clock.advance(LATE_WARN + 1)
    late = patient.ill("subscriptions")
    assert late.level == "warn" and "15 min" in late.sentence
    clock.advance(LATE_FAIL)
    assert patient.ill("subscriptions").level == "fail"
    patient.do(lambda store: turned(store, paused=True))
    assert patient.well("subscriptions"), "its client paused it"
    patient.do(lambda store: turned(store, paused=False, status="error"))
    gone = patient.ill("subscriptions")
    assert (gone.level, gone.sentence[-3:]) == ("warn", " 1.") and "--status error" in gone.next
