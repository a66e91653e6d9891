"""ServiceRequest/$refer: Tasks to targets, one that is open to candidates, warnings, refusals, two at once."""

import asyncio
from typing import Any

import pytest

from service.store.engine import Store
from service.workflow.directory_capacity import CAPACITY_URL, CODES
from tests.service.conftest import AppClient
from tests.service.world import CBO1, CBO2, ECM1, make, put, ref, request

PATH = "/ServiceRequest/r/$refer"


def service(name: str, organization: str | None, standing: str = "", **more: Any) -> dict[str, Any]:
    body = make(f"HealthcareService/{name}", active=True, **more)
    if organization:
        body["providedBy"] = ref(organization)
    if standing:
        status = {"coding": [{"system": CODES, "code": standing}]}
        body["extension"] = [
            {"url": CAPACITY_URL, "extension": [{"url": "capacityStatus", "valueCodeableConcept": status}]}
        ]
    return body


@pytest.fixture
async def asked(world: Store) -> Store:
    await put(world, request("ServiceRequest/r", "Patient/a", ECM1, priority="urgent"), source=ECM1)
    await put(
        world,
        service("food", CBO1, "capacity"),
        service("beds", CBO2, "waitlist"),
        service("nobodys", None),
        service("gone", CBO2) | {"active": False},
        source="Organization/op",
    )
    return world


def parameters(**several: Any) -> dict[str, Any]:
    found = []
    for name, values in several.items():
        for value in values if isinstance(values, tuple) else (values,):
            kind = "valueReference" if name in ("target", "candidate") else "valueString"
            found.append({"name": name, kind: ref(value) if kind == "valueReference" else value})
    return {"resourceType": "Parameters", "parameter": found}


def made(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 201, answer.text
    return [one["resource"] for one in answer.json()["parameter"] if one["name"] == "task"]


async def test_a_task_to_each_target_by_the_law(asked: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)
    more = {"note": "Please call in the morning.", "due": "2026-04-01", "priority": "asap"}
    answer = await ecm.post(PATH, json=parameters(target=(CBO1, "HealthcareService/beds"), **more))
    first, second = made(answer)
    assert (first["status"], first["owner"], first["requester"]) == ("requested", ref(CBO1), ref(ECM1))
    assert first["focus"] == ref("ServiceRequest/r") and first["for"] == ref("Patient/a")
    assert first["restriction"] == {"period": {"end": "2026-04-01"}} and first["priority"] == "asap"
    assert first["note"] == [{"text": "Please call in the morning."}] and "input" not in first
    assert second["owner"] == ref(CBO2) and second["input"][0]["valueReference"] == ref("HealthcareService/beds")
    (outcome,) = [one["resource"] for one in answer.json()["parameter"] if one["name"] == "outcome"]
    assert outcome["issue"][0]["severity"] == "warning" and "waitlist" in outcome["issue"][0]["diagnostics"]
    assert (await cbo.get(f"/Task/{first['id']}")).json()["status"] == "requested"
    assert (await cbo.get(f"/Task/{second['id']}")).status_code == 404
    kinds = await asked.fetch("SELECT kind FROM audit WHERE target = 'ServiceRequest/r' AND kind = 'refer'")
    assert len(kinds) == 1


async def test_an_open_one_to_candidates_or_to_whom_the_request_names(asked: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO2)
    (task,) = made(await ecm.post(PATH, json=parameters(candidate=(CBO1, "HealthcareService/beds"))))
    assert "owner" not in task and task["restriction"]["recipient"] == [ref(CBO1), ref(CBO2)]
    assert task["priority"] == "urgent"
    assert (await cbo.get(f"/Task/{task['id']}")).status_code == 200
    nobody = await ecm.post(PATH)
    assert nobody.status_code == 422 and "ServiceRequest.performer" in nobody.text
    named = request("ServiceRequest/n", "Patient/a", ECM1, performer=[ref(CBO2), ref("Practitioner/lcm-1")])
    await put(asked, named, source=ECM1)
    (task,) = made(await ecm.post("/ServiceRequest/n/$refer", json={"resourceType": "Parameters"}))
    assert task["restriction"]["recipient"] == [ref(CBO2)]


WRONG: list[tuple[Any, int, str]] = [
    ({"resourceType": "Task"}, 400, "Parameters"),
    (parameters(elsewhere="x"), 400, "one of target"),
    (parameters(note=("a", "b")), 400, "once"),
    (parameters(note="x" * 2001), 400, "2000"),
    (parameters(priority="soon"), 400, "routine"),
    (parameters(target="Practitioner/lcm-1"), 400, "HealthcareService"),
    (parameters(target="https://elsewhere.example/Organization/x"), 400, "HealthcareService"),
    (parameters(target=tuple(f"Organization/x{n}" for n in range(21))), 400, "at most 20"),
    (parameters(target=CBO1, candidate=CBO2), 400, "not both"),
    ({"resourceType": "Parameters", "parameter": [{"name": "target"}]}, 400, "target"),
    ({"resourceType": "Parameters", "parameter": [{"name": "target", "valueInteger": 3}]}, 400, "target"),
    (parameters(target="Organization/none"), 422, "target 1 is not in this directory"),
    (parameters(target=(CBO1, "HealthcareService/nobodys")), 422, "providedBy"),
    (parameters(target="HealthcareService/gone"), 422, "no longer active"),
    (parameters(target=CBO1, due="tomorrow"), 400, ""),
]


async def test_what_cannot_be_referred(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    for body, status, words in WRONG:
        answer = await ecm.post(PATH, json=body)
        assert answer.status_code == status and words in answer.text, (body, answer.text)
    assert not await asked.fetch("SELECT 1 FROM audit WHERE kind = 'refer'")
    for state in ("draft", "on-hold", "completed", "revoked"):
        await put(asked, request(f"ServiceRequest/{state}", "Patient/a", ECM1, status=state), source=ECM1)
        answer = await ecm.post(f"/ServiceRequest/{state}/$refer", json=parameters(target=CBO1))
        assert answer.status_code == 422 and "must be active" in answer.text


async def test_only_the_requester_refers(asked: Store, app_client: AppClient) -> None:
    body = parameters(target=CBO2)
    for role, organization, path, status in (
        ("cbo", CBO2, PATH, 404), ("cbo", CBO1, "/ServiceRequest/a/$refer", 403),
        ("mcp", "Organization/plan-1", PATH, 403), ("mcp", "Organization/plan-2", PATH, 404),
        ("hospital", "Organization/h", PATH, 403),
    ):  # fmt: skip
        client = await app_client(role, organization)
        assert (await client.post(path, json=body)).status_code == status, (role, organization)
    reader = await app_client(scopes="system/*.rs")
    assert (await reader.post(PATH, json=body)).status_code == 403


async def test_of_two_at_once_to_one_target_one_opens_it(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    answers = await asyncio.gather(*(ecm.post(PATH, json=parameters(target=CBO1)) for _ in range(3)))
    assert sorted(one.status_code for one in answers) == [200, 200, 201]
    assert len({one.json()["parameter"][0]["resource"]["id"] for one in answers}) == 1


async def test_of_two_at_once_to_two_targets_one_opens_it(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    answers = await asyncio.gather(*(ecm.post(PATH, json=parameters(target=one)) for one in (CBO1, CBO2, CBO1)))
    assert sorted(one.status_code for one in answers) in ([200, 201, 422], [201, 422, 422])
    assert len(await asked.fetch("SELECT 1 FROM resource WHERE rtype = 'Task' AND fhir_id NOT IN ('a', 'b')")) <= 1
