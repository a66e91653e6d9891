"""Delivery: from the answer to a write until its notification arrives, by number of subscriptions; events per core.

The service and the receiver (tests/scenarios/notify/receiver.py, without faults) are processes of their own.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import psutil

from bench.county import LARGE, County
from bench.processes import cpu_us, service
from bench.results import Row
from service.store.engine import Store, open_store
from tests.scenarios.notify.receiver import HOSTS
from tests.scenarios.notify.receiving import Receiver, receiver
from tests.service.world import access_token

LEVELS = (1, 100, 1_000)
TOPIC = "https://enlace.example.org/fhir/SubscriptionTopic/task-updated"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
OF_CLIENT, RATE, FANNED = 100, 20, 100
TARGET_MS = 1_000.0
"""security.md R8: healthy median latency <= 1 s."""


def measure(county: County, url: str, folder: Path, database: psutil.Process | None, *, writes: int) -> list[Row]:
    """Each write is heard by one of the subscriptions; then a burst is heard by a hundred."""
    tokens = asyncio.run(_tokens(url, -(-max(LEVELS) // OF_CLIENT) + 1))
    rows: list[Row] = []
    half = county.members // 2  # those of the large provider
    with receiver(folder, 1) as hooks:
        allowed = ",".join(hooks.address(number) for number in range(HOSTS))
        with service(url, folder, ENLACE_EGRESS_ALLOW=allowed) as server:
            base, made = f"http://127.0.0.1:{server.port}/fhir", 0
            for level in LEVELS:
                for number in range(made, level):
                    _subscribe(base, tokens[number // OF_CLIENT], hooks.endpoint(number % HOSTS, "/h"), number)
                made = level
                _wait(lambda level=level: _shaken(hooks) >= level, "handshakes")  # type: ignore[misc]
                rows.append(_latency(base, county.large_token, hooks, level, min(level, half), writes))
            count = _burst(base, county.large_token, tokens[-1], hooks, writes, half)
            before, database_before, began = server.cpu_us(), _of(database), time.monotonic()
            total = count()
            row = Row(f"delivered, {FANNED} hear each of {writes} writes", total / (time.monotonic() - began))
            row.server_us = (server.cpu_us() - before) / total
            row.database_us = (_of(database) - database_before) / total
            row.note = f"{1e6 / (row.server_us + row.database_us):,.0f} events/s per core"
            rows.append(row)
    return rows


async def _tokens(url: str, count: int) -> list[str]:
    store: Store = await open_store(url)
    try:
        return [await access_token(store, "ecm-provider", LARGE) for _ in range(count)]
    finally:
        await store.close()


def _subscribe(base: str, token: str, endpoint: str, member: int | None, topic: str = TOPIC) -> str:
    """member: of whose Tasks it hears; None: of all."""
    body: dict[str, Any] = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "bench",
        "criteria": topic,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}]},
        },
    }
    if member is not None:
        text = f"Task?patient=Patient/m{member}"
        body["_criteria"] = {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": text}]}
    return _post(base, token, "Subscription", body)


def _post(base: str, token: str, rtype: str, body: dict[str, Any]) -> str:
    answer = httpx.post(f"{base}/{rtype}", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    if answer.status_code != 201:
        raise SystemExit(f"A {rtype} was answered {answer.status_code}: {answer.text[:300]}")
    return str(answer.json()["id"])


def _task(member: int) -> dict[str, Any]:
    return {"resourceType": "Task", "status": "requested", "intent": "order", "code": {"text": "bench"},
            "for": {"reference": f"Patient/m{member}"}, "requester": {"reference": LARGE},
            "authoredOn": "2026-03-01T10:00:00Z"}  # fmt: skip


def _latency(base: str, token: str, hooks: Receiver, level: int, members: int, writes: int) -> Row:
    """At 20 writes a second. A write that is told before its answer was read counts as 0."""
    answered: dict[str, float] = {}
    began = time.monotonic()
    for number in range(writes):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        answered[_post(base, token, "Task", _task(number * 7 % members))] = time.time()
    _wait(lambda: len(_arrived(hooks, answered)) == writes, "deliveries")
    arrived = _arrived(hooks, answered)
    waits = [max(0.0, arrived[name] - at) * 1000 for name, at in answered.items()]
    cuts = quantiles(waits, n=100)
    noun = "subscription" if level == 1 else "subscriptions"
    row = Row(f"commit to delivered, {level:,} {noun}", p50_ms=cuts[49], p99_ms=cuts[98])
    row.floor, row.reached = f"p50 <= {TARGET_MS:,.0f} ms", cuts[49] <= TARGET_MS
    return row


def _burst(base: str, token: str, subscriber: str, hooks: Receiver, writes: int, members: int) -> Callable[[], int]:
    """What writes as fast as it is taken, waits, and says how many events arrived: batches form, as after an outage.

    Writing and matching are part of the CPU that it costs.
    """
    shaken = _shaken(hooks)
    for number in range(FANNED):
        _subscribe(base, subscriber, hooks.endpoint(number % HOSTS, "/all"), None)
    _wait(lambda: _shaken(hooks) >= shaken + FANNED, "handshakes")
    first = 2_000 if members > 2_500 else 0  # where there are so many, none of whom the thousand others hear

    def run() -> int:
        ids = {_post(base, token, "Task", _task(first + number % 500)) for number in range(writes)}
        _wait(lambda: _told(hooks, ids) >= writes * FANNED, "deliveries", 300)
        return writes * FANNED

    return run


def _of(database: psutil.Process | None) -> float:
    return cpu_us(database) if database else 0.0


def _shaken(hooks: Receiver) -> int:
    return len({one.subscription for one in hooks.everything() if one.kind == "handshake"})


def _told(hooks: Receiver, ids: set[str]) -> int:
    return sum(
        focus.rsplit("/", 1)[-1] in ids
        for one in hooks.everything()
        if one.path == "/all" and one.kind == "event-notification"
        for _, focus in one.events
    )


def _arrived(hooks: Receiver, wanted: dict[str, float]) -> dict[str, float]:
    """id of a Task -> when a notification of it came first."""
    found: dict[str, float] = {}
    for one in hooks.arrivals():
        for _, focus in one.events:
            name = focus.rsplit("/", 1)[-1]
            if name in wanted:
                found.setdefault(name, one.at)
    return found


def _wait(ready: Callable[[], bool], what: str, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise SystemExit(f"The {what} did not come within {seconds:.0f} s.")
        time.sleep(0.2)
