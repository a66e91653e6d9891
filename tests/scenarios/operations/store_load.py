"""Reads, creates and ADT messages from threads while something happens: what each was told, how long it took."""

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from tests.scenarios.adt_truth import check_audit, check_jobs
from tests.scenarios.harness import ROSA, Mllp, Service, ack_code, adt, look, wait_for

PAUSE_S = 0.02


def observation(text: str) -> dict[str, object]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "load"}, "valueString": text,
            "subject": {"reference": ROSA.reference}}  # fmt: skip


@dataclass
class Load:
    """Goes on until stopped. `told` counts (what, answer): HTTP statuses, ACK codes, `broken` for a lost connection."""

    service: Service
    tokens: dict[str, str]
    size: int = 100
    """Length of what a create writes."""
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    last_good: dict[str, float] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)
    refusals: list[httpx.Response] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(3)]
        self._threads += [threading.Thread(target=self._create, args=(n,), daemon=True) for n in range(2)]
        self._threads += [threading.Thread(target=self._send, args=(n,), daemon=True) for n in range(2)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_facts: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    def good_since(self, instant: float) -> bool:
        """Whether a read, a create and a message have succeeded since then."""
        return all(self.last_good.get(what, 0) > instant for what in ("read", "create", "adt"))

    def settle(self, more: int = 20, seconds: float = 30) -> None:
        """Waits until so many more answers came."""
        goal = sum(self.told.values()) + more
        wait_for(lambda: sum(self.told.values()) >= goal, seconds)

    def counts(self) -> dict[str, int]:
        return {f"{what} {answer}": count for (what, answer), count in sorted(self.told.items())}

    def _tell(self, what: str, answer: str, began: float, *, good: bool) -> None:
        now = time.monotonic()
        with self._lock:
            self.told[what, answer] += 1
            self.slowest[what] = max(self.slowest.get(what, 0.0), now - began)
            if good:
                self.last_good[what] = now

    def _http(self, what: str, client: httpx.Client, method: str, path: str, **more: object) -> httpx.Response | None:
        began = time.monotonic()
        try:
            answer = client.request(method, path, **more)  # type: ignore[arg-type]
        except httpx.TransportError as error:
            self._tell(what, "broken", began, good=False)
            self.odd.append(repr(error))
            return None
        self._tell(what, str(answer.status_code), began, good=answer.is_success)
        if answer.status_code == 503:
            self.refusals.append(answer)
        elif not answer.is_success:
            self.odd.append(f"{what} {answer.status_code} {answer.text[:300]}")
        return answer

    def _read(self) -> None:
        paths = [f"/{ROSA.reference}", f"/Observation?patient={ROSA.reference}&_count=3", "/CareTeam"]
        with self.service.client(self.tokens["north"]) as client:
            while not self._stop.wait(PAUSE_S):
                self._http("read", client, "GET", random.choice(paths))

    def _create(self, number: int) -> None:
        counter = 0
        with self.service.client(self.tokens["north"]) as client:
            while not self._stop.wait(PAUSE_S):
                counter += 1
                text = f"w{number}-{counter}-" + "x" * self.size
                answer = self._http("create", client, "POST", "/Observation", json=observation(text))
                if answer is not None and answer.status_code == 201:
                    self.written[answer.headers["location"].split("/fhir")[1]] = text

    def _send(self, number: int) -> None:
        """One sending system: the same message until it is acknowledged, a connection for as long as it lasts."""
        counter, connection = 0, None
        while not self._stop.wait(PAUSE_S * 20):  # all are of one member, whose stays are decided together
            counter += 1
            control_id = f"L{number}-{counter}"
            message = adt("A01" if counter % 2 else "A08", visit=f"S{number}V{counter // 2}", control_id=control_id)
            code = ""
            while code != "AA" and not self._stop.is_set():
                began = time.monotonic()
                with suppress(OSError):
                    connection = connection or Mllp(self.service.mllp_port)
                    code = ack_code(connection.exchange(message))
                self._tell("adt", code or "broken", began, good=code == "AA")
                if not code:
                    connection = None
                if code == "AA":
                    self.acked.add(control_id)
                else:
                    time.sleep(PAUSE_S * 5)
        if connection is not None:
            connection.socket.close()


def check_kept(load: Load, drained_s: float = 120) -> None:
    """After the trouble: all that was acknowledged is there and done, no request failed by our fault, nobody died."""
    service = load.service
    print(load.counts(), {what: round(seconds, 2) for what, seconds in load.slowest.items()})
    assert load.odd == []
    assert {answer for what, answer in load.told if what != "adt"} <= {"200", "201", "503"}
    assert {answer for what, answer in load.told if what == "adt"} <= {"AA", "AE"}
    assert service.alive()
    service.drained(drained_s)
    stored = service.inbox()
    assert load.acked - {row["control_id"] for row in stored} == set(), "acknowledged and gone"
    assert len(stored) == len({row["control_id"] for row in stored}), "one message, two rows"
    assert {row["state"] for row in stored} <= {"applied"}
    with service.client(load.tokens["north"]) as client:
        for location, text in load.written.items():
            answer = wait_for(lambda location=location: _settled(client, location))  # type: ignore[misc]
            assert (answer.status_code, answer.json().get("valueString")) == (200, text), location
    look(service.url, check_audit)
    look(service.url, check_jobs)
    output = service.output()
    assert "Traceback" not in output
    failed = [line for line in output.splitlines() if '"request.failed"' in line or '"job.dead"' in line]
    assert failed == []


def _settled(client: httpx.Client, path: str) -> httpx.Response | None:
    answer = client.get(path)
    return answer if answer.status_code != 503 else None
