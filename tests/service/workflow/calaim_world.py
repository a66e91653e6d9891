"""Requests for CalAIM services in the made-up world: asked for over HTTP, or written past the rules."""

from typing import Any

import httpx

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, PLAN1, put, request, task

CS = "https://enlace.example.org/fhir/CodeSystem/cs-service"
EPISODE = "https://enlace.example.org/fhir/CodeSystem/episode-type"


def advance(store: Store, seconds: int = 60) -> None:
    store.clock.advance(seconds * 1_000_000)  # type: ignore[attr-defined]


def coded(code: str, system: str = CS) -> dict[str, Any]:
    return {"coding": [{"system": EPISODE if code == "ecm" else system, "code": code}]}


async def opened(store: Store, service: str = "housing-deposits", owner: str | None = CBO1, **more: Any) -> str:
    """A Task about a request for this service, as it is stored: written past the rules."""
    number = store.clock.new_id()
    body = request(f"ServiceRequest/{number}", "Patient/a", ECM1, code=coded(service))
    sent = task(f"Task/{number}", "Patient/a", f"ServiceRequest/{number}", ECM1, owner, **more)
    await put(store, body, sent, source=ECM1)
    return number


async def asked(store: Store, app_client: AppClient, service: str, owner: str = PLAN1, **more: Any) -> str:
    """The ECM provider asks the plan for a service; id of the Task, which is that of the request as well."""
    ecm = await app_client()
    body = request("ServiceRequest/x", "Patient/a", ECM1, code=coded(service))
    made = await ecm.post("/ServiceRequest", json=body)
    assert made.status_code == 201, made.text
    sent = task("Task/x", "Patient/a", f"ServiceRequest/{made.json()['id']}", ECM1, owner, **more)
    answer = await ecm.post("/Task", json=sent)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def moved(client: httpx.AsyncClient, number: str, **changes: Any) -> httpx.Response:
    now = await client.get(f"/Task/{number}")
    body = {k: v for k, v in {**now.json(), **changes}.items() if v is not None}
    return await client.put(f"/Task/{number}", json=body, headers={"If-Match": now.headers["etag"]})


def code_of(body: dict[str, Any], element: str, system: str) -> str:
    found = [c["code"] for c in (body.get(element) or {}).get("coding", ()) if c["system"] == system]
    return found[0] if len(found) == 1 else str(found or "")


_VALUES = {
    "outcome": "valueCode",
    "period": "valuePeriod",
    "quantity": "valueQuantity",
    "notice": "valueReference",
}


def parameters(**values: Any) -> dict[str, Any]:
    made = [{"name": name, _VALUES.get(name, "valueString"): value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": made}
