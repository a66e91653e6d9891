"""$no-service: the requester says why, it is counted, a Task that opens takes it away; who may not, and when not."""

import copy
from typing import Any

import httpx
import pytest

from service.access.context import Settings
from service.store.engine import Store
from service.worker import Worker
from service.workflow.unmet_needs import URL
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, request, task

POSTGRESQL_IN_DEEP = True
pytestmark = pytest.mark.asyncio
WHY = {"name": "reason", "valueCode": "no-capacity"}
SEARCHED = {"name": "searched", "valueString": "food within 10 miles"}


def said(*parameters: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(parameters)}


async def open_request(client: httpx.AsyncClient) -> str:
    body = {k: v for k, v in request("ServiceRequest/x", "Patient/a", ECM1).items() if k != "id"}
    answer = await client.post("/ServiceRequest", json=body)
    assert answer.status_code == 201, answer.text
    return f"ServiceRequest/{answer.json()['id']}"


def need(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in resource.get("extension", ()) if one["url"] == URL]


async def events(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await store.fetch("SELECT request, reason FROM referral_event WHERE kind = 'unmet'")]


async def drained(store: Store) -> None:
    await Worker(store, Settings()).drain()


async def test_it_is_written_counted_and_taken_away(world: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM1)
    reference = await open_request(client)
    answer = await client.post(f"/{reference}/$no-service", json=said(WHY, SEARCHED))
    assert answer.status_code == 200, answer.text
    (found,) = need(answer.json())
    assert {one["url"] for one in found["extension"]} == {"reason", "at", "searched"}
    assert await events(world) == [(reference.partition("/")[2], "no-capacity")]
    again = await client.post(f"/{reference}/$no-service", json=said({"name": "reason", "valueCode": "too-far"}))
    assert len(need(again.json())) == 1 and "too-far" in again.text
    body = {k: v for k, v in task("Task/x", "Patient/a", reference, ECM1, CBO1).items() if k != "id"}
    assert (await client.post("/Task", json=body)).status_code == 201
    await drained(world)
    after = (await client.get(f"/{reference}")).json()
    assert need(after) == [] and "extension" not in after
    await drained(world)
    assert (await client.get(f"/{reference}")).json()["meta"]["versionId"] == after["meta"]["versionId"]


async def test_not_while_a_referral_is_open_nor_when_the_request_is_not(world: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM1)
    answer = await client.post("/ServiceRequest/a/$no-service", json=said(WHY))
    assert answer.status_code == 422 and "still" not in answer.text and "is open" in answer.text
    reference = await open_request(client)
    resource = (await client.get(f"/{reference}")).json()
    assert (await client.put(f"/{reference}", json=resource | {"status": "revoked"})).status_code == 200
    answer = await client.post(f"/{reference}/$no-service", json=said(WHY))
    assert answer.status_code == 422 and "revoked" in answer.text
    assert await events(world) == []


@pytest.mark.parametrize(
    "parameters",
    [
        (),
        ({"name": "reason", "valueCode": "because"},),
        (WHY, WHY),
        (WHY, {"name": "searched", "valueString": "x" * 1001}),
        (WHY, {"name": "where", "valueString": "x"}),
        ({"name": "reason", "valueBoolean": True},),
    ],
)
async def test_what_cannot_be_said(world: Store, app_client: AppClient, parameters: Any) -> None:
    client = await app_client("ecm-provider", ECM1)
    answer = await client.post("/ServiceRequest/a/$no-service", json=said(*copy.deepcopy(parameters)))
    assert answer.status_code == 400, answer.text


async def test_only_the_requester(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", "Organization/plan-1")
    reference = await open_request(await app_client("ecm-provider", ECM1))
    assert (await plan.post(f"/{reference}/$no-service", json=said(WHY))).status_code in (403, 404)
    cbo = await app_client("cbo", CBO1)
    assert (await cbo.post("/ServiceRequest/a/$no-service", json=said(WHY))).status_code == 403
    assert (await plan.post("/ServiceRequest/b/$no-service", json=said(WHY))).status_code == 404
    reader = await app_client("ecm-provider", ECM1, scopes="system/*.rs")
    assert (await reader.post(f"/{reference}/$no-service", json=said(WHY))).status_code == 403


async def test_a_job_that_comes_late_leaves_what_was_told_anew(world: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM1)
    reference = await open_request(client)
    assert (await client.post(f"/{reference}/$no-service", json=said(WHY))).status_code == 200
    body = {k: v for k, v in task("Task/x", "Patient/a", reference, ECM1, CBO1).items() if k != "id"}
    made = (await client.post("/Task", json=body)).json()
    ended = made | {"status": "cancelled", "statusReason": {"text": "asked the wrong one"}}
    answer = await client.put(f"/Task/{made['id']}", json=ended, headers={"If-Match": 'W/"1"'})
    assert answer.status_code == 200, answer.text
    assert (await client.post(f"/{reference}/$no-service", json=said(WHY))).status_code == 200
    await drained(world)
    assert len(need((await client.get(f"/{reference}")).json())) == 1
