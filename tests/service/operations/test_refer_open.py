"""$refer while a Task about the request is open: the same again, somebody else, several, drafts, labels, Consents."""

import httpx
import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.operations.test_refer import PATH, made, parameters, service
from tests.service.world import CBO1, CBO2, ECM1, PLAN1, SUD, change_of, make, put, request, task

POSTGRESQL_IN_DEEP = True
CBO3 = "Organization/cbo-3"


@pytest.fixture
async def asked(world: Store) -> Store:
    await put(world, request("ServiceRequest/r", "Patient/a", ECM1), source=ECM1)
    entries = (service("food", CBO1), service("beds", CBO1), make(CBO3, name="cbo-3", active=True))
    await put(world, *entries, source="Organization/op")
    return world


async def versions(store: Store) -> int:
    return len(await store.fetch("SELECT 1 FROM version"))


def ids(answer: httpx.Response, status: int) -> list[str]:
    assert answer.status_code == status, answer.text
    return sorted(one["resource"]["id"] for one in answer.json()["parameter"] if one["name"] == "task")


async def test_the_same_again_is_answered_by_what_is_open(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    first = ids(await ecm.post(PATH, json=parameters(target=CBO1)), 201)
    before = await versions(asked)
    for more in ({}, {"note": "once more"}):
        assert ids(await ecm.post(PATH, json=parameters(target=CBO1, **more)), 200) == first
    assert ids(await ecm.post(PATH, json=parameters(target="HealthcareService/food")), 200) == first
    assert await versions(asked) == before, "nothing is written"
    (row,) = await asked.fetch("SELECT count(*) FROM audit WHERE kind = 'refer'")
    assert row[0] == 4
    cbo, plan = await app_client("cbo", CBO1), await app_client("mcp", PLAN1)
    for other in (cbo, plan):  # they see the request; what is open is told to its requester only
        assert (await other.post(PATH, json=parameters(target=CBO1))).status_code == 403


async def test_somebody_else_is_asked_when_the_open_one_ended(asked: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)
    (first,) = ids(await ecm.post(PATH, json=parameters(target=CBO1)), 201)
    for body in (parameters(target=CBO2), parameters(candidate=(CBO1, CBO2))):
        answer = await ecm.post(PATH, json=body)
        assert answer.status_code == 422 and f"Task/{first}" in answer.text
        assert "cancel it" in answer.text and "$forward" in answer.text
    body = (await cbo.get(f"/Task/{first}")).json() | {"status": "rejected", "statusReason": {"text": "full"}}
    assert (await cbo.put(f"/Task/{first}", json=body, headers={"If-Match": 'W/"1"'})).status_code == 200
    assert ids(await ecm.post(PATH, json=parameters(target=CBO2)), 201)


async def test_several_at_once_are_asked_in_one_call(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    both = ids(await ecm.post(PATH, json=parameters(target=(CBO1, CBO2))), 201)
    assert ids(await ecm.post(PATH, json=parameters(target=(CBO2, CBO1))), 200) == both
    three = ids(await ecm.post(PATH, json=parameters(target=(CBO1, CBO2, CBO3))), 201)
    assert len(three) == 3 and {*both} < {*three}
    services = parameters(target=("HealthcareService/food", "HealthcareService/beds"))
    assert len(ids(await ecm.post(PATH, json=services), 200)) == 1, "CBO 1 was asked without naming a service"


async def test_two_services_of_one_organization_are_two(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    ids(await ecm.post(PATH, json=parameters(target="HealthcareService/food")), 201)
    answer = await ecm.post(PATH, json=parameters(target="HealthcareService/beds"))
    assert answer.status_code == 422 and "is open" in answer.text


async def test_an_offer_to_the_same_candidates(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    first = ids(await ecm.post(PATH, json=parameters(candidate=(CBO1, CBO2))), 201)
    assert ids(await ecm.post(PATH, json=parameters(candidate=(CBO2, CBO1))), 200) == first
    for body in (parameters(candidate=CBO2), parameters(target=CBO1)):
        assert (await ecm.post(PATH, json=body)).status_code == 422


async def test_a_draft_is_sent_and_a_posted_task_stays_lawful(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    draft = await ecm.post("/Task", json=task("Task/x", "Patient/a", "ServiceRequest/r", ECM1, CBO1, status="draft"))
    answer = await ecm.post(PATH, json=parameters(target=CBO1))
    assert answer.status_code == 422 and draft.json()["id"] in answer.text and "status requested" in answer.text
    ids(await ecm.post(PATH, json=parameters(target=CBO2)), 201)
    posted = await ecm.post("/Task", json=task("Task/x", "Patient/a", "ServiceRequest/r", ECM1, CBO3))
    assert posted.status_code == 201, "who writes Tasks itself may fan out one by one"


async def test_the_labels_of_the_request_go_along(asked: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    labelled = request("ServiceRequest/r", "Patient/a", ECM1, meta=SUD)
    await asked.commit(change_of(asked, labelled, ECM1, expect=1))
    answer = await ecm.post(PATH, json=parameters(target=CBO1))
    assert answer.status_code == 403 and "Consents" in answer.text, "nobody would see it there"
    (offered,) = made(await ecm.post(PATH, json=parameters(candidate=CBO1)))
    codes = {one["code"] for one in offered["meta"]["security"]}
    assert SUD["security"][0]["code"] in codes
