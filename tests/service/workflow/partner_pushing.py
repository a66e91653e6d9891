"""A referral that is pushed to a partner's server, by the requester's client here and the worker's loop, for tests."""

import json
from typing import Any

from service.access.context import parse
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.workflow.partner_world import HOUR, FakePartner, worker
from tests.service.world import BASE, CBO1, ECM1, task

Resource = dict[str, Any]


async def opened(app_client: AppClient, **more: Any) -> str:
    """The id of a Task that the ECM provider opens for the partner's organization."""
    http = await app_client("ecm-provider", ECM1)
    body = task("Task/x", "Patient/a", "ServiceRequest/a", ECM1, CBO1, **more)
    answer = await http.post("/Task", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def here(store: Store, fhir_id: str, rtype: str = "Task") -> Resource:
    found = await read.head(store, rtype, fhir_id, EVERYTHING)
    assert found is not None
    return parse(found.body)


async def statuses(store: Store, fhir_id: str) -> list[str]:
    """Of all versions, oldest first."""
    found = await store.fetch(
        "SELECT body FROM version WHERE rtype = 'Task' AND fhir_id = ? ORDER BY version", (fhir_id,)
    )
    return [json.loads(bytes(body))["status"] for (body,) in found]


async def look(store: Store, clock: FrozenClock, there: FakePartner) -> None:
    """An hour later."""
    clock.advance(HOUR)
    await worker(store, there).drain()


async def withdraw(app_client: AppClient, fhir_id: str, status: str = "cancelled") -> None:
    http = await app_client("ecm-provider", ECM1)
    stands = await http.get(f"/Task/{fhir_id}")
    body = stands.json() | {"status": status, "statusReason": {"text": "Moved away."}}
    answer = await http.put(f"/Task/{fhir_id}", json=body, headers={"If-Match": stands.headers["etag"]})
    assert answer.status_code == 200, answer.text


def procedure(subject: str = f"{BASE}/Patient/a", **more: Any) -> Resource:
    body = {"resourceType": "Procedure", "id": "p1", "status": "completed", "code": {"text": "Food box"}}
    body |= {"subject": {"reference": subject}, "performedDateTime": "2026-03-08"}
    return {**body, "recorder": {"reference": "Practitioner/theirs"}, **more}
