"""A referral's transition from end to end: its target accepts by PUT, its requester hears of it by rest-hook.

From the moment when the request is sent, so that the write itself counts. CPU: of all that follows from one transition,
jobs and delivery included.
"""

import asyncio
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import psutil

from bench.county import LARGE, OWNER, County, ref
from bench.deliveries import RATE, TARGET_MS, _of, _post, _shaken, _subscribe, _wait
from bench.processes import service
from bench.results import Row
from service.store.engine import open_store
from tests.scenarios.notify.receiving import receiver
from tests.service.world import access_token

ENDS = {"output": [{"type": {"text": "resulting-activity"}, "valueString": "Made up: food for a month."}]}
STEPS: tuple[tuple[str, dict[str, Any]], ...] = (("accepted", {}), ("in-progress", {}), ("completed", ENDS))


def measure(
    county: County,
    url: str,
    folder: Path,
    database: psutil.Process | None,
    *,
    referrals: int,
    floor_ms: float = TARGET_MS,
) -> list[Row]:
    """A row for each step that the target takes of so many referrals."""
    asks, does = asyncio.run(_tokens(url))
    rows: list[Row] = []
    with receiver(folder, 1) as hooks, service(url, folder, ENLACE_EGRESS_ALLOW=hooks.address(0)) as server:
        base = f"http://127.0.0.1:{server.port}/fhir"
        tasks = [_refer(base, asks, number % (county.members // 2)) for number in range(referrals)]
        _subscribe(base, asks, hooks.endpoint(0, "/h"), None)
        _wait(lambda: _shaken(hooks) >= 1, "handshake")
        client = httpx.Client(headers={"Authorization": f"Bearer {does}"}, timeout=30)
        for status, more in STEPS:
            before, database_before, began = server.cpu_us(), _of(database), time.monotonic()
            sent = dict[str, float]()
            for number, task in enumerate(tasks):
                time.sleep(max(0.0, began + number / RATE - time.monotonic()))
                sent[task["id"]] = time.time()
                tasks[number] = _moved(client, base, {**task, "status": status, **more})
            _wait(lambda sent=sent: len(_last(hooks, sent)) == referrals, "deliveries")  # type: ignore[misc]
            arrived = _last(hooks, sent)
            cuts = quantiles([max(0.0, arrived[name] - at) * 1000 for name, at in sent.items()], n=100)
            row = Row(f"referral {status} to heard by its requester", p50_ms=cuts[49], p99_ms=cuts[98])
            row.server_us = (server.cpu_us() - before) / referrals
            row.database_us = (_of(database) - database_before) / referrals
            row.floor, row.reached = f"p50 <= {floor_ms:,.0f} ms", cuts[49] <= floor_ms
            rows.append(row)
        client.close()
    return rows


async def _tokens(url: str) -> tuple[str, str]:
    store = await open_store(url)
    try:
        return await access_token(store, "ecm-provider", LARGE), await access_token(store, "cbo", OWNER)
    finally:
        await store.close()


def _refer(base: str, token: str, member: int) -> dict[str, Any]:
    """The Task of a new referral."""
    request = _post(
        base,
        token,
        "ServiceRequest",
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "code": {"text": "Food, made up for a measurement of speed"},
            "subject": ref(f"Patient/m{member}"),
            "requester": ref(LARGE),
        },
    )
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": ref(f"ServiceRequest/{request}"),
        "for": ref(f"Patient/m{member}"),
        "requester": ref(LARGE),
        "owner": ref(OWNER),
        "authoredOn": "2026-03-01T10:00:00Z",
    }
    return {**task, "id": _post(base, token, "Task", task), "meta": {"versionId": "1"}}


def _moved(client: httpx.Client, base: str, task: dict[str, Any]) -> dict[str, Any]:
    answer = client.put(
        f"{base}/Task/{task['id']}", json=task, headers={"If-Match": f'W/"{task["meta"]["versionId"]}"'}
    )
    if answer.status_code != 200:
        raise SystemExit(f"A step of a referral was answered {answer.status_code}: {answer.text[:300]}")
    found: dict[str, Any] = answer.json()
    return found


def _last(hooks: Any, sent: dict[str, float]) -> dict[str, float]:
    """id of a Task -> when it was told first after it was sent."""
    found: dict[str, float] = {}
    for one in hooks.arrivals():
        for _, focus in one.events:
            name = focus.rsplit("/", 1)[-1]
            if name in sent and one.at >= sent[name]:
                found.setdefault(name, one.at)
    return found
