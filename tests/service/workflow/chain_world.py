"""A chain of referrals to test with: ECM 1 refers patient A to a platform, which forwards it to organizations."""

from typing import Any

import httpx

from service.access.context import Context, parse
from service.access.context import Settings as Behaviour
from service.caller import system_caller
from service.search.restriction import EVERYTHING
from service.store import read
from service.store import referral_chains as rows
from service.store.engine import Store
from service.worker import Worker
from tests.service.world import ECM1, Resource, make, put, ref, request, task

PLATFORM = "Organization/platform"
FOOD, RIDES, BEDS = "Organization/food", "Organization/rides", "Organization/beds"
SOURCE, PARENT = "ServiceRequest/source", "Task/parent"
RESULT = {"type": {"text": "result"}, "valueString": "done"}
OUTPUT = {"output": [RESULT]}
NEEDS: dict[str, Resource] = {
    "completed": OUTPUT,
    **{status: {"statusReason": {"text": f"because {status}"}} for status in ("rejected", "cancelled", "failed")},
    "on-hold": {"statusReason": {"text": "because on-hold"}},
}
WAYS = {
    "requested": (),
    "accepted": ("accepted",),
    "in-progress": ("accepted", "in-progress"),
    "on-hold": ("accepted", "on-hold"),
    "completed": ("accepted", "in-progress", "completed"),
    "completed at once": ("accepted", "completed"),
    "failed": ("accepted", "failed"),
    "rejected": ("rejected",),
    "cancelled": ("cancelled",),
    "cancelled later": ("accepted", "in-progress", "cancelled"),
}
"""How a child gets to a status."""


async def chain_world(store: Store, **source: Any) -> None:
    organizations = (PLATFORM, FOOD, RIDES, BEDS)
    await put(store, *(make(o, name=o.partition("/")[2], active=True) for o in organizations), source="Organization/op")
    await put(
        store,
        request(SOURCE, "Patient/a", ECM1, code={"text": "Meals"}, **source),
        task(PARENT, "Patient/a", SOURCE, ECM1, PLATFORM),
        source=ECM1,
    )


def parameters(*targets: str, **more: str) -> Resource:
    listed: list[Resource] = [{"name": "target", "valueReference": ref(one)} for one in targets]
    kinds = {"policy": "valueCode", "priority": "valueCode", "note": "valueString", "due": "valueDateTime"}
    listed += [{"name": name, kinds[name]: value} for name, value in more.items() if name in kinds]
    if "request" in more:
        listed.append({"name": "request", "valueReference": ref(more["request"])})
    if "code" in more:
        listed.append({"name": "code", "valueCodeableConcept": {"text": more["code"]}})
    return {"resourceType": "Parameters", "parameter": listed}


async def forward(client: httpx.AsyncClient, *targets: str, parent: str = PARENT, **more: str) -> list[Resource]:
    """The Tasks that were opened."""
    answer = await client.post(f"/{parent}/$forward", json=parameters(*targets, **more))
    assert answer.status_code == 201, answer.text
    return [one["resource"] for one in answer.json()["parameter"] if one["name"] == "task"]


async def move(client: httpx.AsyncClient, reference: str, *statuses: str, **more: Any) -> Resource:
    """The Task after these steps of its party, each over REST with If-Match."""
    body: Resource = {}
    for status in statuses:
        now = await client.get(f"/{reference}")
        assert now.status_code == 200, now.text
        wanted = {**now.json(), "status": status, **NEEDS.get(status, {}), **more}
        answer = await client.put(f"/{reference}", json=wanted, headers={"If-Match": now.headers["etag"]})
        assert answer.status_code == 200, answer.text
        body = answer.json()
    return body


async def drain(store: Store) -> None:
    await Worker(store, Behaviour()).drain()
    dead = await store.fetch("SELECT kind, last_error FROM job WHERE state <> 'done'")
    assert not [tuple(row) for row in dead if str(row[0]).startswith("referral.")], dead


def system(store: Store) -> Context:
    return Context(store, system_caller(), store.clock.now_us())


async def stored(store: Store, reference: str) -> Resource:
    rtype, _, fhir_id = reference.partition("/")
    found = await read.head(store, rtype, fhir_id, EVERYTHING)
    assert found is not None and found.body is not None
    return parse(found.body)


async def statuses(store: Store, reference: str) -> list[str]:
    """Of all versions of a resource, oldest first."""
    rtype, _, fhir_id = reference.partition("/")
    found = await read.history(store, rtype, fhir_id, EVERYTHING, limit=100)
    return [str(parse(one.body)["status"]) for one in reversed(found)]


async def below(store: Store, reference: str = PARENT) -> list[Resource]:
    return [parse(one.body) for one in await rows.parts(store, reference)]
