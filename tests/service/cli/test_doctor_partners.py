"""`enlace doctor` on partners' servers: which cannot be used, and which referrals need a person."""

from pathlib import Path

import pytest

from service.cli import doctor_checks
from service.cli.doctor_partners import LATE_FAIL_US
from service.store import partners
from service.store.change import Change, Statement
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.cli.installation import Patient
from tests.service.workflow.partner_world import add_partner

POSTGRESQL_IN_DEEP = True


def test_partners(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tuple(check for check in doctor_checks.CHECKS if check.name in ("database", "partners"))
    monkeypatch.setattr(doctor_checks, "CHECKS", mine)
    clock = FrozenClock()
    patient = Patient(database_url, tmp_path, clock)

    async def said(store: Store, *statements: Statement) -> None:
        await store.commit(Change(statements=list(statements)))

    async def fails(store: Store) -> None:
        one = await add_partner(store)
        await said(store, partners.unreached(one, clock.now_us(), clock.now_us(), "connect"))

    assert patient.well("partners")
    patient.do(fails)
    clock.advance(60_000_000)
    late = patient.ill("partners")
    assert late.level == "warn" and "food-bank" in late.sentence and "connect" in late.sentence
    clock.advance(LATE_FAIL_US)
    assert patient.ill("partners").level == "fail"
    patient.do(lambda store: said(store, partners.stands("food-bank", "active"), partners.opened("t", "food-bank")))
    assert patient.well("partners")
    patient.do(lambda store: said(store, partners.ended("t", "refused", "status-422", 1)))
    assert "need a person: 1" in patient.ill("partners").sentence
