"""R6: messages of many stays, each sent 1 to 5 times, shuffled, over 10 connections, while processes are killed.

Each message has its effect once, nothing acknowledged is lost, no alert is told twice, and each stay ends as its
pathway says: one story a member, told by the simulator, which knows nothing of the reducer. REST writers go on beside.
40 messages and 2 kills, 1,000 and 30 with ENLACE_TEST_DEEP; ENLACE_TEST_SEED repeats a run.
SQLite: the one process; PostgreSQL: random victims.
"""

import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from mappers.hl7v2.simulate_faults import Delivery, faulty
from mappers.hl7v2.simulate_pathways import Expected, Sent, chosen, tell
from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from tests.scenarios.adt_truth import check_audit, check_expected, check_jobs, check_told_once
from tests.scenarios.harness import (
    HOSPITAL,
    MINUTE,
    ROSA,
    Member,
    Mllp,
    Service,
    ack_code,
    look,
    now_us,
    put_members,
    running,
    write_world,
)  # fmt: skip

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
MESSAGES, KILLS = (1000, 30) if DEEP else (40, 2)
SENDERS, WRITERS, AT_ONCE = 10, 2, 25
ACCEPTED = ("AA", "CA")
WEST = RegisteredSource("west", "EPIC", "WEST", "Organization/mercy", {"display": "West Made-up"}, True)
HOSPITALS = (HOSPITAL, {"name": "West Made-up", "application": "EPIC", "facility": "WEST", "enhanced": True})


def member(number: int) -> Member:
    surname = "".join(chr(97 + int(digit)) for digit in f"{number:04d}")
    return replace(ROSA, key=f"m{number}", cin=f"94{number:06d}A", family=f"Tarrow{surname}")


@dataclass
class Plan:
    """What is sent, and what must come of it."""

    members: list[Member] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)


def plan(rng: random.Random) -> Plan:
    made = Plan()
    while len(made.sent) < MESSAGES:
        pair = [member(len(made.members) + n) for n in range(2)]
        made.members += pair
        people = [one.said for one in pair]
        end_us = now_us() - rng.randint(1, 90) * MINUTE
        story = tell(chosen(rng), rng, people, HOSPITALS, end_us, f"K{len(made.members)}")
        made.sent += story.messages
        made.expected += story.expected
    once = faulty(rng, made.sent, {"reused-ids", "lost-acks"})
    made.deliveries = [one for one in once for _ in range(1 if one.unread else rng.randint(1, 5))]
    rng.shuffle(made.deliveries)
    return made


@dataclass
class Load:
    """Senders that end when all is acknowledged, writers that go on until then, and what they were promised."""

    service: Service
    token: str
    plan: Plan
    stop: threading.Event = field(default_factory=threading.Event)
    acked: list[bytes] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def send(self, number: int) -> None:
        """One connection, opened again when it breaks: each message until it is acknowledged, as an engine does."""
        connection: Mllp | None = None
        for one in self.plan.deliveries[number::SENDERS]:
            while True:
                try:
                    connection = connection or self.service.mllp()
                    connection.send(one.payload)
                    if one.unread:
                        connection.socket.close()
                        connection = None
                        break
                    if ack_code(connection.answer()) in ACCEPTED:
                        self.acked.append(one.payload)
                        break
                except OSError:
                    pass
                if connection:
                    connection.socket.close()
                connection = None
                time.sleep(0.2)
            time.sleep(0.02)
        if connection:
            connection.socket.close()

    def write(self, number: int) -> None:
        counter = 0
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json"}
        trusted = httpx.create_ssl_context()  # made anew for each request it takes the processor from those that start
        while not self.stop.is_set():
            counter += 1
            text = f"w{number}-{counter}"
            body = {"resourceType": "Observation", "status": "final", "code": {"text": text},
                    "subject": {"reference": "Patient/m0"}, "valueString": text}  # fmt: skip
            try:
                url = f"{self.service.base}/fhir/Observation"
                answer = httpx.post(url, json=body, headers=headers, timeout=20, verify=trusted)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            if answer.status_code == 201:
                self.written[answer.headers["location"]] = text
            elif answer.status_code != 503:
                self.failures.append(f"{answer.status_code} {answer.text[:300]}")
            time.sleep(0.05)

    def kill(self, rng: random.Random) -> None:
        """Evenly over what is to be sent, each at a random moment."""
        every = len(self.plan.deliveries) / (KILLS + 1)
        for kill in range(KILLS):
            until = time.monotonic() + 120
            while len(self.acked) < every * (kill + 0.7) and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.2))
            names = self.service.names
            victims = names if rng.random() < 0.3 else [rng.choice(names)]
            print(f"kill {kill + 1}: {' '.join(victims)} at {len(self.acked)} acknowledged")
            self.service.kill(*victims)
            time.sleep(rng.uniform(0, 0.3))
            self.service.start(*victims)

    def run(self, rng: random.Random) -> None:
        senders = [threading.Thread(target=self.send, args=(n,), daemon=True) for n in range(SENDERS)]
        writers = [threading.Thread(target=self.write, args=(n,), daemon=True) for n in range(WRITERS)]
        for thread in (*senders, *writers):
            thread.start()
        try:
            self.kill(rng)
            for thread in senders:
                thread.join(600 if DEEP else 120)
        finally:
            self.stop.set()
            for thread in writers:
                thread.join(30)
        assert not any(thread.is_alive() for thread in (*senders, *writers))
        assert self.failures == []


async def _world(store: Store, members: list[Member]) -> None:
    await store.commit(Change(statements=[sources.put(WEST)]))
    for at in range(0, len(members), AT_ONCE):
        await put_members(store, members[at : at + AT_ONCE])


@pytest.mark.timeout(3000 if DEEP else 240)
def test_every_message_has_its_effect_once(database_url: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("ENLACE_TEST_SEED", 0)) or random.randrange(1, 1_000_000)
    print(f"seed {seed}: repeat with ENLACE_TEST_SEED={seed}")
    rng = random.Random(seed)
    made = plan(rng)
    token = write_world(database_url)["north"]
    look(database_url, lambda store: _world(store, made.members))
    with running(database_url, tmp_path) as service:
        load = Load(service, token, made)
        load.run(rng)
        began = time.monotonic()
        service.drained(600 if DEEP else 120)
        print(f"{len(made.sent)} messages, {len(load.acked)} acknowledged, {len(load.written)} writes, "
              f"drained in {time.monotonic() - began:.1f} s")  # fmt: skip
        _check(service, load)
        assert "Traceback" not in service.output()


def _check(service: Service, load: Load) -> None:
    stored, sent = service.inbox(), {one.payload for one in load.plan.deliveries}
    assert set(load.acked) <= sent and len(load.written) > KILLS
    assert len(stored) == len(sent) == len(load.plan.sent), "one message, one row"
    conflicts = {id for id, n in Counter(d.sent.control_id for d in _first(load.plan)).items() if n > 1}
    assert {row["control_id"] for row in stored} >= {one.sent.control_id for one in load.plan.deliveries}
    counted = Counter(row["control_id"] for row in stored)
    assert {id for id, n in counted.items() if n > 1} == conflicts, "an id used again is another message"
    odd = Counter((row["state"], row["reason"], row["event"]) for row in stored if row["state"] != "applied")
    assert not [one for one in odd if one[0] != "ignored" or one[2] not in ("A28", "A31", "A40")], odd
    whose = {one.cin: one.reference for one in load.plan.members}
    leads = {one.reference: one.lead for one in load.plan.members}
    alerts = look(service.url, lambda store: check_expected(store, load.plan.expected, whose, leads))
    print(f"{len(load.plan.expected)} stays, {alerts} alerts stand, {len(conflicts)} control ids used again")
    look(service.url, check_told_once)
    assert look(service.url, check_audit) > len(load.plan.sent) // 2
    look(service.url, check_jobs)
    with service.client(load.token) as client:
        for location, text in load.written.items():
            answer = client.get("/" + location.split("/fhir/")[1])
            assert (answer.status_code, answer.json().get("valueString")) == (200, text), location


def _first(plan: Plan) -> list[Delivery]:
    """One delivery of each message."""
    return list({one.payload: one for one in plan.deliveries}.values())
