"""Stories of made-up members over three connections, and writers beside, until they are stopped."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.scenarios.harness import ROSA, Member, Service, ack_code, adt

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
        trusted = httpx.create_ssl_context()  # made anew for each request it takes the processor from the service
        while not self.stop.is_set():
            counter += 1
            text = f"w{number}-{counter}"
            body = {"resourceType": "Observation", "status": "final", "code": {"text": text},
                    "subject": {"reference": "Patient/m0"}, "valueString": text}  # fmt: skip
            try:
                answer = httpx.post(
                    f"{self.service.base}/fhir/Observation", json=body, headers=headers, timeout=20, verify=trusted
                )
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
