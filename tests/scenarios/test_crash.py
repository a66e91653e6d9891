"""SIGKILL under load: what was acknowledged is there and has its effect once; what was answered 2xx is readable.

2 kills, 30 with ENLACE_TEST_DEEP; ENLACE_TEST_SEED repeats a run. SQLite: the one process; PostgreSQL: random victims.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.store.engine import Store
from tests.scenarios.adt_truth import check_alerts, check_audit, check_jobs
from tests.scenarios.harness import ROSA, Member, Service, ack_code, adt, look, put_member, running, write_world

KILLS = 30 if os.environ.get("ENLACE_TEST_DEEP") else 2
MEMBERS, SENDERS, WRITERS = 9, 3, 2


def members() -> list[Member]:
    return [
        replace(ROSA, key=f"m{n}", cin=f"9400000{n}A", family=f"Tarrow{chr(97 + n) * 3}", lead="Practitioner/ada")
        for n in range(MEMBERS)
    ]


@dataclass
class Load:
    """Senders and writers that go on until they are stopped, and what they were promised."""

    service: Service
    token: str
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    acked: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def messages(self, rng: random.Random, who: Member, visit: str) -> Iterator[tuple[str, bytes]]:
        stories: list[list[tuple[str, float, dict[str, Any]]]] = [
            [("A01", 90, {}), ("A08", 80, {}), ("A03", 20, {"disposition": "01"})],
            [("A01", 90, {}), ("A11", 60, {})],
            [("A01", 90, {}), ("A03", 30, {"disposition": "01"}), ("A13", 20, {"PV1_36": '""', "PV1_45": '""'})],
        ]
        for number, (event, ago, more) in enumerate(rng.choice(stories)):
            control_id = f"{visit}-{number}"
            yield control_id, adt(event, who.said, ago=ago, visit=visit, control_id=control_id, **more)

    def send(self, number: int) -> None:
        """One sending system's connection: in order, again and again until acknowledged, as an engine does."""
        rng = random.Random(f"{self.seed}-{number}")
        mine = members()[number::SENDERS]
        visits = 0
        while not self.stop.is_set():
            visits += 1
            visit = f"S{number}V{visits}"
            for control_id, message in self.messages(rng, rng.choice(mine), visit):
                while (code := self._once(message)) not in ("AA", "CA"):
                    time.sleep(0.02)
                self.acked[control_id] = code
                time.sleep(0.08)  # no faster than the worker: the backlog is to end in the time of a test

    def _once(self, message: bytes) -> str:
        try:
            with self.service.mllp() as connection:
                return ack_code(connection.exchange(message))
        except OSError:
            time.sleep(0.05)
            return ""

    def write(self, number: int) -> None:
        counter = 0
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json"}
        while not self.stop.is_set():
            counter += 1
            text = f"w{number}-{counter}"
            body = {"resourceType": "Observation", "status": "final", "code": {"text": text},
                    "subject": {"reference": "Patient/m0"}, "valueString": text}  # fmt: skip
            try:
                answer = httpx.post(f"{self.service.base}/fhir/Observation", json=body, headers=headers, timeout=20)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 201:
                self.written[answer.headers["location"]] = text
            elif answer.status_code != 503:
                self.failures.append(f"{answer.status_code} {answer.text[:300]}")

    def run(self) -> list[threading.Thread]:
        threads = [threading.Thread(target=self.send, args=(n,), daemon=True) for n in range(SENDERS)]
        threads += [threading.Thread(target=self.write, args=(n,), daemon=True) for n in range(WRITERS)]
        for thread in threads:
            thread.start()
        return threads


async def _members(store: Store) -> None:
    for member in members():
        await put_member(store, member)


@pytest.mark.timeout(1800 if KILLS > 2 else 240)
def test_nothing_acknowledged_is_lost_and_no_alert_doubles(database_url: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("ENLACE_TEST_SEED", 0)) or random.randrange(1, 1_000_000)
    print(f"seed {seed}: repeat with ENLACE_TEST_SEED={seed}")
    rng = random.Random(seed)
    token = write_world(database_url)["north"]
    look(database_url, _members)
    with running(database_url, tmp_path) as service:
        load = Load(service, token, seed)
        threads = load.run()
        try:
            for kill in range(KILLS):
                time.sleep(rng.uniform(0.3, 2.0))
                names = service.names
                victims = names if rng.random() < 0.3 else [rng.choice(names)]
                print(f"kill {kill + 1}: {' '.join(victims)} at {len(load.acked)} acknowledged")
                service.kill(*victims)
                time.sleep(rng.uniform(0, 0.3))
                service.start(*victims)
            time.sleep(1)
        finally:
            load.stop.set()
            for thread in threads:
                thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert load.failures == []
        began = time.monotonic()
        service.drained(120)
        print(f"{len(load.acked)} messages, {len(load.written)} writes, drained in {time.monotonic() - began:.1f} s")
        _check(service, load)
        assert "Traceback" not in service.output()


def _check(service: Service, load: Load) -> None:
    assert len(load.acked) > 3 * KILLS
    assert len(load.written) > KILLS
    stored = service.inbox()
    lost = load.acked.keys() - {row["control_id"] for row in stored}
    assert lost == set(), "acknowledged and gone"
    assert {row["state"] for row in stored} == {"applied"}
    assert len(stored) == len({row["control_id"] for row in stored}), "one message, two rows"
    leads = {member.reference: member.lead for member in members()}
    look(service.url, lambda store: check_alerts(store, leads, at_most=2))
    assert look(service.url, check_audit) > len(load.acked)
    look(service.url, check_jobs)
    with service.client(load.token) as client:
        for location, text in load.written.items():
            answer = client.get("/" + location.split("/fhir/")[1])
            assert (answer.status_code, answer.json().get("valueString")) == (200, text), location
