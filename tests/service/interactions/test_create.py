"""create: the server's id, all problems at once, references, conditional create once and only once."""

import asyncio
from typing import Any

import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import CBO1, make, observation, put, ref

MRN = {"identifier": [{"system": "http://example.org/mrn", "value": "new-1"}], "resourceType": "Patient"}
QUERY = {"If-None-Exist": "identifier=http://example.org/mrn|new-1"}


async def test_a_create_answers_with_what_is_stored(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = observation("Observation/mine", "Patient/a")
    answer = await client.post("/Observation", json=body)
    made = answer.json()
    assert answer.status_code == 201 and made["id"] != "mine" and made["meta"]["versionId"] == "1"
    assert answer.headers["location"].endswith(f"/fhir/Observation/{made['id']}/_history/1")
    assert answer.headers["etag"] == 'W/"1"'
    assert (await client.get(f"/Observation/{made['id']}")).content == answer.content


@pytest.mark.parametrize(
    ("prefer", "body"), [("minimal", ""), ("OperationOutcome", "OperationOutcome"), ("representation", "Observation")]
)
async def test_prefer(world: Store, app_client: AppClient, prefer: str, body: str) -> None:
    client = await app_client()
    answer = await client.post(
        "/Observation", json=observation("Observation/x", "Patient/a"), headers={"Prefer": f"return={prefer}"}
    )
    assert answer.status_code == 201 and answer.headers["location"]
    assert (answer.json()["resourceType"] if answer.content else "") == body


async def test_all_problems_at_once_with_their_places(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = {"resourceType": "Patient", "birthDate": "1980-02-30", "gender": "f", "active": "yes", "shoe": 1}
    answer = await client.post("/Patient", json=body)
    assert answer.status_code == 400
    places = {issue["expression"][0] for issue in answer.json()["issue"]}
    assert {"Patient.birthDate", "Patient.gender", "Patient.active"} <= places and len(places) >= 4
    assert "1980-02-30" not in answer.text
    rule = await client.post("/Patient", json={"resourceType": "Patient", "gender": "f"})
    assert rule.status_code == 422


async def test_references_to_foreign_and_to_absent_are_the_same(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = make("Observation/x", status="final", code={"text": "x"}, subject={"reference": "Patient/{id}"})
    answer = await same_answers(client, "POST", "/Observation", "b", json=body)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Observation.subject"]


async def test_a_cbo_writes_about_its_member_whom_it_may_not_read(world: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    ours = {"resourceType": "Procedure", "status": "completed", "subject": ref("Patient/a")}
    assert (await cbo.post("/Procedure", json=ours)).status_code == 201
    theirs = {**ours, "subject": {"reference": "Patient/{id}"}}
    assert (await same_answers(cbo, "POST", "/Procedure", "b", json=theirs)).status_code == 422
    assert (
        await cbo.post("/Condition", json={"resourceType": "Condition", "subject": ref("Patient/a")})
    ).status_code == 403


async def test_conditional_create_finds_what_is_there(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    first = await client.post("/Patient", json=MRN, headers=QUERY)
    second = await client.post("/Patient", json=MRN, headers=QUERY)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]


async def test_parallel_conditional_creates_make_one(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answers = await asyncio.gather(*(client.post("/Patient", json=MRN, headers=QUERY) for _ in range(20)))
    assert sorted(a.status_code for a in answers) == [200] * 19 + [201]
    assert len({a.json()["id"] for a in answers}) == 1
    rows = await world.fetch("SELECT count(*) FROM resource WHERE rtype = 'Patient'")
    assert rows[0][0] == 3


async def test_conditional_create_after_the_first_was_deleted(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    first = (await client.post("/Patient", json=MRN, headers=QUERY)).json()["id"]
    assert (await client.delete(f"/Patient/{first}")).status_code == 204
    second = await client.post("/Patient", json=MRN, headers=QUERY)
    assert second.status_code == 201 and second.json()["id"] != first


async def test_conditional_create_sees_only_what_the_caller_sees(world: Store, app_client: AppClient) -> None:
    """An identifier that a foreign patient has is free for us: nothing is revealed."""
    client = await app_client()
    body = {"resourceType": "Patient", "identifier": [{"system": "http://example.org/mrn", "value": "mrn-b"}]}
    header = {"If-None-Exist": "identifier=http://example.org/mrn|mrn-b"}
    assert (await client.post("/Patient", json=body, headers=header)).status_code == 201


@pytest.mark.parametrize(
    ("header", "status"),
    [("gender=female", 412), ("", 412), ("_count=1", 412), ("nonsense=1", 400), ("identifier=", 400), ("%FF=1", 400)],
)
async def test_conditions_that_cannot_be_used(world: Store, app_client: AppClient, header: str, status: int) -> None:
    await put(world, make("Patient/a2", gender="female"), source="Organization/ecm-1")
    client = await app_client()
    answer = await client.post("/Patient", json=MRN, headers={"If-None-Exist": header})
    assert answer.status_code == status, answer.text


async def test_what_a_role_does_not_write(world: Store, app_client: AppClient) -> None:
    for role, rtype in (("hospital", "Patient"), ("cbo", "Patient"), ("mcp", "Observation"), ("referrer", "Coverage")):
        client = await app_client(role, "Organization/x")
        assert (await client.post(f"/{rtype}", json={"resourceType": rtype})).status_code == 403


SCOPES: dict[str, tuple[str, str]] = {
    "c": ("POST", "/Observation"),
    "r": ("GET", "/Observation/a"),
    "u": ("PUT", "/Observation/a"),
    "d": ("DELETE", "/Observation/a"),
    "s": ("GET", "/Observation"),
}


@pytest.mark.parametrize("letter", SCOPES)
async def test_each_letter_of_a_scope_allows_its_interaction_alone(
    world: Store, app_client: AppClient, letter: str
) -> None:
    body: dict[str, Any] = observation("Observation/a", "Patient/a", status="amended")
    method, path = SCOPES[letter]
    json = {"json": body} if method in ("POST", "PUT") else {}
    allowed = await app_client(scopes=f"system/Observation.{letter}")
    others = "".join(one for one in SCOPES if one != letter)
    refused = await app_client(scopes=f"system/Observation.{others} system/Patient.cruds")
    answer = await refused.request(method, path, **json)  # type: ignore[arg-type]
    assert answer.status_code == 403 and "insufficient_scope" in answer.headers["www-authenticate"]
    assert (await allowed.request(method, path, **json)).is_success  # type: ignore[arg-type]
