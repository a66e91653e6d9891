"""Requests of several clients at once against a running service, and what each of them was answered."""

import threading
import time
from collections import Counter
from typing import Any

import httpx


class Traffic:
    """Readers, searchers and writers with kept-alive connections. answers: status or failure -> count."""

    def __init__(self, base: str, token: str, read: str, *, threads: int = 2, patient: str = "Patient/m0"):
        self._base, self._read, self._patient = base, read, patient
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.answers: Counter[str] = Counter()
        self.written: dict[str, str] = {}
        """Location -> text of the Observation that was acknowledged."""
        work = [self._reads, self._searches, self._writes]
        self._threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(threads) for one in work]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_facts: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)

    def settle(self, more: int = 20, seconds: float = 30) -> None:
        """Waits until so many more requests were answered."""
        goal, until = self.total + more, time.monotonic() + seconds
        while self.total < goal and time.monotonic() < until:
            time.sleep(0.02)
        assert self.total >= goal, self.answers

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=f"{self._base}/fhir", headers=self._headers, timeout=30)

    def _count(self, what: str) -> None:
        with self._lock:
            self.answers[what] += 1

    def _once(self, client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response | None:
        try:
            answer = client.request(method, path, **more)
        except httpx.TransportError as error:
            self._count(type(error).__name__)
            return None
        ours = answer.headers.get("content-type", "").startswith("application/fhir+json")
        self._count(str(answer.status_code) if ours else f"{answer.status_code} of the proxy")
        return answer

    def _reads(self, _number: int) -> None:
        with self._client() as client:
            while not self._stop.is_set():
                self._once(client, "GET", f"/{self._read}")
                time.sleep(0.005)

    def _searches(self, _number: int) -> None:
        with self._client() as client:
            while not self._stop.is_set():
                self._once(client, "GET", f"/Observation?patient={self._patient}&_count=5")
                time.sleep(0.01)

    def _writes(self, number: int) -> None:
        counter = 0
        with self._client() as client:
            while not self._stop.is_set():
                counter += 1
                text = f"t{number}-{counter}"
                answer = self._once(client, "POST", "/Observation", json=_observation(text, self._patient))
                if answer is not None and answer.status_code == 201:
                    self.written[answer.headers["location"].split("/_history/")[0].split("/fhir/")[1]] = text
                time.sleep(0.005)

    def check_written(self, base: str) -> None:
        """The acknowledged writes are there: 200 of them, spread over the run."""
        step = max(1, len(self.written) // 200)
        with httpx.Client(base_url=f"{base}/fhir", headers=self._headers, timeout=30) as client:
            for reference, text in list(self.written.items())[::step]:
                assert client.get(f"/{reference}").json().get("valueString") == text, reference


def _observation(text: str, patient: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": text},
        "subject": {"reference": patient},
        "valueString": text,
    }
