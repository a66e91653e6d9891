"""`enlace doctor` on the service directory: how many services nobody verified for long."""

from pathlib import Path

import pytest

from service.cli import doctor_checks
from service.cli.doctor_directory import MOST_STALE
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.cli.installation import Patient
from tests.service.search.test_directory import place, service
from tests.service.world import put

POSTGRESQL_IN_DEEP = True


def test_directory(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tuple(check for check in doctor_checks.CHECKS if check.name in ("database", "directory"))
    monkeypatch.setattr(doctor_checks, "CHECKS", mine)
    patient = Patient(database_url, tmp_path, FrozenClock())
    assert patient.well("directory"), "of an empty directory nothing is stale"

    async def fresh(store: Store) -> None:
        known = [service(f"fresh-{number}", verified="2026-03-01") for number in range(MOST_STALE - 1)]
        await put(store, place("lodi"), *known, service("old", verified="2025-08-01"))
        await put(store, {**service("ended"), "active": False})

    patient.do(fresh)
    assert patient.well("directory"), "one of four; what is not active does not count"
    patient.do(lambda store: put(store, service("never")))
    late = patient.ill("directory")
    assert late.level == "warn" and "directory: 5; not verified for 180 days, or never: 2." in late.sentence
