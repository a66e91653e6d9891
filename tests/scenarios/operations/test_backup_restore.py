"""Backup under load, SIGKILL, restore into a new database, service on it: nothing is lost, nothing happens twice.

1 round, 6 with ENLACE_TEST_DEEP; ENLACE_TEST_SEED repeats a run.
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.clock import SystemClock
from service.store import chain
from service.store.backup import check, take
from service.store.backup_archive import Manifest
from service.store.backup_restore import restore
from service.store.engine import Store
from tests import postgres_server
from tests.scenarios.adt_truth import check_alerts, check_audit, check_jobs
from tests.scenarios.harness import Service, adt, look, put_member, rows, running, wait_for, write_world
from tests.scenarios.operations.message_load import Load, members

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
ROUNDS = 6 if DEEP else 1
ENOUGH = 200 if DEEP else 12
"""Messages that were acknowledged before the backup begins, and half as many writes."""


class Stoppable(Load):
    """Its senders give up when they are told to: their service will not come back."""

    def _once(self, message: bytes) -> str:
        return "AA" if self.stop.is_set() else super()._once(message)


@pytest.fixture
def new_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[str]:
    """An absent or empty database of the same engine."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/restored.db"
        return
    url = postgres_server.new_database(request.getfixturevalue("postgres_url"))
    yield url
    postgres_server.drop_database(url)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("round", range(ROUNDS))
def test_a_backup_under_load_is_a_whole_service(database_url: str, new_url: str, tmp_path: Path, round: int) -> None:
    seed = int(os.environ.get("ENLACE_TEST_SEED", 0)) or random.randrange(1, 1_000_000)
    print(f"seed {seed}: repeat with ENLACE_TEST_SEED={seed}")
    rng = random.Random(seed)
    token = write_world(database_url)["north"]
    look(database_url, _members)
    path = tmp_path / "night.backup"
    with running(database_url, tmp_path) as service:
        load = Stoppable(service, token, seed)
        threads = load.run()
        try:
            wait_for(lambda: min(len(load.acked), 2 * len(load.written)) >= ENOUGH, 60)
            time.sleep(rng.uniform(0, 0.3))
            acked, written = set(load.acked), dict(load.written)
            manifest = asyncio.run(take(database_url, path, SystemClock(), "test")).manifest
            wait_for(lambda: len(load.written) > len(written) + 2, 20)  # the service goes on
        finally:
            service.kill()
            load.stop.set()
            for thread in threads:
                thread.join(60)
        assert load.failures == []
    assert check(path) == manifest
    done = asyncio.run(restore(new_url, path, SystemClock()))
    assert (done.manifest, done.audit.broken) == (manifest, ())
    _same_rows(new_url, manifest, tmp_path)
    assert look(new_url, check_audit) == done.audit.rows >= len(written)
    print(f"{len(acked)} messages and {len(written)} writes before, {manifest.rows} rows, {_states(new_url)}")
    if not DEEP:  # what was leased comes again when its lease ends: that is 20 s later
        look(new_url, lambda store: store.db.execute("UPDATE job SET due_us = 0 WHERE state = 'leased'"))
    with running(new_url, tmp_path) as service:
        service.drained(60)
        _nothing_lost(service, token, acked, written)
        _nothing_twice(service, manifest)
        _goes_on(service, token)
        assert "Traceback" not in service.output()


async def _members(store: Store) -> None:
    for member in members():
        await put_member(store, member)


def _same_rows(url: str, manifest: Manifest, folder: Path) -> None:
    """A backup of what was restored has the digests of the first; meta and slots hold what changed by restoring."""
    again = asyncio.run(take(url, folder / "again.backup", SystemClock(), "test")).manifest

    def digests(one: Manifest) -> dict[str, str]:
        return {t.table.name: t.sha256 for t in one.tables if t.table.name not in ("meta", "worker_slot")}

    assert digests(again) == digests(manifest)
    assert again.audit_heads == manifest.audit_heads


def _states(url: str) -> list[tuple[Any, ...]]:
    return [*rows(url, "SELECT state, count(*) FROM job GROUP BY state ORDER BY state"),
            *rows(url, "SELECT state, count(*) FROM inbox GROUP BY state ORDER BY state")]  # fmt: skip


def _nothing_lost(service: Service, token: str, acked: set[str], written: dict[str, str]) -> None:
    """What was acknowledged before the backup began is there; every message of the snapshot came to its end."""
    stored = service.inbox()
    assert acked - {row["control_id"] for row in stored} == set(), "acknowledged and gone"
    assert {row["state"] for row in stored} == {"applied"}
    look(service.url, check_jobs)
    with service.client(token) as client:
        for location, text in written.items():
            answer = client.get("/" + location.split("/fhir/")[1])
            assert (answer.status_code, answer.json().get("valueString")) == (200, text), location


def _nothing_twice(service: Service, manifest: Manifest) -> None:
    stored = service.inbox()
    assert len(stored) == len({row["control_id"] for row in stored}), "one message, two rows"
    assert len(stored) == next(held.rows for held in manifest.tables if held.table.name == "inbox")
    leads = {member.reference: member.lead for member in members()}
    assert look(service.url, lambda store: check_alerts(store, leads, at_most=2))


def _goes_on(service: Service, token: str) -> None:
    """New writes, new messages, and chains that continue where the snapshot ended."""
    body = {"resourceType": "Observation", "status": "final", "code": {"text": "after"},
            "subject": {"reference": "Patient/m0"}}  # fmt: skip
    with service.client(token) as client:
        made = client.post("/Observation", json=body)
        assert made.status_code == 201, made.text
    alerts = "SELECT count(*) FROM resource WHERE rtype = 'Communication' AND fhir_id LIKE 'al-%'"
    before = rows(service.url, alerts)[0][0]
    assert service.send(adt("A01", members()[1].said, visit="after", control_id="after")) == ["AA"]
    service.drained()
    assert rows(service.url, alerts)[0][0] == before + 1
    assert look(service.url, chain.verify).whole
