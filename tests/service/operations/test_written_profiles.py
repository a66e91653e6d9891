"""What the service writes of a referral, by $refer, $forward, $authorize and by jobs, fits Gravity's profiles."""

import json

import pytest

from fhir_profiles import Resource
from service.store.engine import Store
from tests.fhir_profiles.profile_shape import faults
from tests.fhir_profiles.test_gravity import BASE, BOTH, PROFILES
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.workflow.chain_world import FOOD, PLATFORM, RIDES, chain_world, drain, forward, move
from tests.service.workflow.test_patient_tasks import a_task
from tests.service.world import CBO1, ECM1, PLAN1, put, ref, request

RESULTING = {"coding": [{"system": f"{BASE}/CodeSystem/SDOHCC-CodeSystemTemporaryCodes", "code": "resulting-activity"}]}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is written is the same in both databases."""
    return sqlite_url


def unfit(rtype: str, body: Resource) -> list[str]:
    plain = json.loads(json.dumps(body))
    return faults(plain, PROFILES[rtype], *BOTH)


async def all_unfit(store: Store) -> dict[str, list[str]]:
    """Reference -> what is wrong, of every referral Task, its requests and what was done."""
    found = {}
    for rtype in ("Task", "ServiceRequest", "Procedure"):
        for fhir_id, body in (await resources(store, rtype)).items():
            referral = rtype != "Task" or body["code"].get("coding", [{}])[0].get("code") == "fulfill"
            if referral and fhir_id not in ("a", "b"):  # of the made-up world, which says the least
                found[f"{rtype}/{fhir_id}"] = unfit(rtype, body)
    return {reference: one for reference, one in found.items() if one}


async def test_a_chain_from_its_opening_to_its_end(world: Store, app_client: AppClient) -> None:
    await chain_world(world)
    platform = await app_client("ecm-provider", PLATFORM)
    food, rides = await app_client("cbo", FOOD), await app_client("cbo", RIDES)
    await move(platform, "Task/parent", "accepted")
    children = await forward(platform, FOOD, RIDES, note="Please call first.", due="2026-06-01", priority="urgent")
    by = {one["owner"]["reference"]: f"Task/{one['id']}" for one in children}
    assert [unfit("Task", one) for one in children] == [[], []]
    done = {
        "resourceType": "Procedure",
        "status": "completed",
        "basedOn": [children[0]["focus"]],
        "code": {"text": "Meals"},
        "subject": ref("Patient/a"),
        "performedDateTime": "2026-03-07",
        "performer": [{"actor": ref(FOOD)}],
    }
    await move(rides, by[RIDES], "accepted", "cancelled")
    await move(food, by[FOOD], "accepted", "in-progress")
    made = await food.post("/Procedure", json=done)
    assert made.status_code == 201, made.text
    output = {"type": RESULTING, "valueReference": ref(f"Procedure/{made.json()['id']}")}
    await move(food, by[FOOD], "completed", output=[output])
    await drain(world)
    parent = (await resources(world, "Task"))["parent"]
    assert parent["output"]
    requests = (await resources(world, "ServiceRequest")).values()
    assert {one["intent"] for one in requests if one.get("basedOn")} == {"filler-order"}
    assert await all_unfit(world) == {}


async def test_what_refer_opens_and_what_the_plan_decides(world: Store, app_client: AppClient) -> None:
    cs = "https://enlace.example.org/fhir/CodeSystem/cs-service"
    code = {"coding": [{"system": cs, "code": "asthma-remediation"}]}
    await put(world, request("ServiceRequest/r", "Patient/a", ECM1, code=code), source=ECM1)
    ecm, plan = await app_client(), await app_client("mcp", PLAN1)
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "target", "valueReference": ref(PLAN1)}, {"name": "due", "valueString": "2026-04-01"}]}  # fmt: skip
    answer = await ecm.post("/ServiceRequest/r/$refer", json=body)
    assert answer.status_code == 201, answer.text
    (opened,) = [one["resource"] for one in answer.json()["parameter"] if one["name"] == "task"]
    decision = {"resourceType": "Parameters", "parameter": [
        {"name": "outcome", "valueCode": "approved"}, {"name": "number", "valueString": "A-1"},
        {"name": "period", "valuePeriod": {"start": "2026-03-09", "end": "2026-09-08"}},
        {"name": "quantity", "valueQuantity": {"value": 1500, "unit": "USD"}}]}  # fmt: skip
    answer = await plan.post(f"/Task/{opened['id']}/$authorize", json=decision)
    assert answer.status_code == 200, answer.text
    await put(world, request("ServiceRequest/open", "Patient/a", ECM1), source=ECM1)
    offer = {"resourceType": "Parameters", "parameter": [{"name": "candidate", "valueReference": ref(CBO1)}]}
    assert (await ecm.post("/ServiceRequest/open/$refer", json=offer)).status_code == 201
    await drain(world)
    assert await all_unfit(world) == {}


def test_a_task_for_the_member_fits_its_profile() -> None:
    assert faults(a_task(), f"{BASE}/StructureDefinition/SDOHCC-TaskForPatient", *BOTH) == []
