"""update: versions, preconditions, what only the author changes; foreign is absent; no update is lost."""

import asyncio
import os
import random
from itertools import pairwise
from typing import Any

import orjson
import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import BASE, CBO1, ECM1, SUD, condition, make, observation, patient, put, ref, task, team

WRITERS = 50
EACH = 20 if os.environ.get("ENLACE_TEST_DEEP") else 2


async def test_an_update_makes_a_version(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answer = await client.put("/Observation/a", json=observation("Observation/a", "Patient/a", status="amended"))
    assert answer.status_code == 200 and answer.headers["etag"] == 'W/"2"'
    assert answer.headers["location"].endswith("/fhir/Observation/a/_history/2")
    again = await client.put("/Observation/a", json=observation("Observation/a", "Patient/a", status="amended"))
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"2"')


@pytest.mark.parametrize("tag", ['W/"1"', '"1"', "1", 'W/"9", W/"1"', '"9","1"'])
async def test_if_match_forms(world: Store, app_client: AppClient, tag: str) -> None:
    client = await app_client()
    body = (await client.get("/CareTeam/a")).json() | {"name": "n"}
    assert (await client.put("/CareTeam/a", json=body, headers={"If-Match": tag})).status_code == 200
    stale = await client.put("/CareTeam/a", json=body, headers={"If-Match": tag})
    assert stale.status_code == 412 and stale.headers["etag"] == 'W/"2"'


async def test_a_star_names_no_version(world: Store, app_client: AppClient) -> None:
    """It would overwrite what the client has not read: as good as no If-Match."""
    client = await app_client()
    body = (await client.get("/CareTeam/a")).json()
    assert (await client.put("/CareTeam/a", json=body, headers={"If-Match": "*"})).status_code == 428


@pytest.mark.parametrize("tag", ['W/"2"', "x", '""', "W/1x"])
async def test_if_match_that_matches_no_version(world: Store, app_client: AppClient, tag: str) -> None:
    client = await app_client()
    body = (await client.get("/CareTeam/a")).json()
    assert (await client.put("/CareTeam/a", json=body, headers={"If-Match": tag})).status_code == 412


@pytest.mark.parametrize("rtype", ["Task", "CarePlan", "CareTeam", "Consent"])
async def test_if_match_is_law_where_several_write(world: Store, app_client: AppClient, rtype: str) -> None:
    await put(
        world, make("CarePlan/a", status="active", intent="plan", subject=ref("Patient/a")), source="Organization/ecm-1"
    )
    coding = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "treatment"}]}
    consent = make("Consent/a", status="active", scope=coding, category=[coding], patient=ref("Patient/a"))
    await put(world, consent, source="Organization/ecm-1")
    client = await app_client()
    body = (await client.get(f"/{rtype}/a")).json()
    answer = await client.put(f"/{rtype}/a", json=body)
    assert answer.status_code == 428 and answer.json()["issue"][0]["code"] == "required"


async def test_foreign_is_absent(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for rtype in ("Observation", "Task", "CareTeam", "Patient", "ServiceRequest"):
        body = {"resourceType": rtype, "id": "{id}", "status": "final", "subject": {"reference": "Patient/a"}}
        for headers in ({}, {"If-Match": 'W/"1"'}, {"If-Match": 'W/"7"'}):
            answer = await same_answers(client, "PUT", f"/{rtype}/{{id}}", "b", json=body, headers=headers)
            assert answer.status_code == 404


async def test_references_to_foreign_and_to_absent_are_the_same(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = observation("Observation/a", "Patient/a")
    body["focus"] = [{"reference": "Condition/{id}"}, {"reference": "Patient/{id}"}]
    body["derivedFrom"] = [{"reference": "Observation/{id}"}]
    answer = await same_answers(client, "PUT", "/Observation/a", "b", json=body)
    assert answer.status_code == 422
    places = [issue["expression"] for issue in answer.json()["issue"]]
    assert places == [["Observation.derivedFrom[0]"], ["Observation.focus[0]"], ["Observation.focus[1]"]]


async def test_a_resource_stays_with_its_patient(world: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    moved = observation("Observation/a", "Patient/b")
    assert (await client.put("/Observation/a", json=moved)).status_code == 422


async def test_a_resource_stays_with_its_patient_however_that_is_written(world: Store, app_client: AppClient) -> None:
    """An absolute reference below our base is ours: it moves no record, and the audit row names whom it is about."""
    await put(world, patient("Patient/c"), team("CareTeam/c", "Patient/c", ECM1), source=ECM1)
    client = await app_client()
    made = (
        await client.post("/Goal", json={"resourceType": "Goal", **_goal(), "subject": ref(f"{BASE}/Patient/a")})
    ).json()
    moved = {**made, "subject": ref(f"{BASE}/Patient/c")}
    assert (await client.put(f"/Goal/{made['id']}", json=moved)).status_code == 422
    path = [{"op": "replace", "path": "/subject/reference", "value": "Patient/c"}]
    kind = {"Content-Type": "application/json-patch+json"}
    assert (await client.patch(f"/Goal/{made['id']}", json=path, headers=kind)).status_code == 422
    assert (await client.put(f"/Goal/{made['id']}", json={**made, "lifecycleStatus": "accepted"})).status_code == 200
    seen = (await client.get(f"/AuditEvent?patient=a&entity=Goal/{made['id']}&_summary=count")).json()
    assert seen["total"] == 2


async def test_only_the_author_changes_most_types(world: Store, app_client: AppClient) -> None:
    await put(world, condition("Condition/theirs", "Patient/a"), source="Organization/ecm-2")
    client = await app_client()
    body = condition("Condition/theirs", "Patient/a", note=[{"text": "x"}])
    assert (await client.put("/Condition/theirs", json=body)).status_code == 403


async def test_nobody_else_takes_a_label_off(world: Store, app_client: AppClient) -> None:
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}]}
    await put(world, make("Goal/g", **_goal(), meta=label), source="Organization/ecm-2")
    client = await app_client()
    answer = await client.put("/Goal/g", json=make("Goal/g", **_goal(), note=[{"text": "x"}]))
    assert answer.status_code == 200 and answer.json()["meta"]["security"] == label["security"]
    await put(world, make("Goal/h", **_goal(), meta=SUD), source="Organization/ecm-1")
    assert (await client.put("/Goal/h", json=make("Goal/h", **_goal()))).status_code == 200


def _goal() -> dict[str, Any]:
    return {"lifecycleStatus": "active", "description": {"text": "d"}, "subject": ref("Patient/a")}


async def test_the_body_must_be_of_the_url(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for body in (observation("Observation/other", "Patient/a"), {**observation("Observation/a", "Patient/a"), "id": 5}):
        answer = await client.put("/Observation/a", json=body)
        assert answer.status_code == 400
    wrong = await client.put("/Observation/a", json={"resourceType": "Condition", "id": "a"})
    assert wrong.status_code == 400


@pytest.mark.timeout(900)
async def test_many_writers_on_one_task_lose_nothing(world: Store, app_client: AppClient) -> None:
    """Each reads, writes its note with If-Match and tries again on 412, until it is in: every note is one version."""
    client, chance = await app_client("cbo", CBO1), random.Random(3)
    await put(world, task("Task/hot", "Patient/a", "Observation/a", "Organization/ecm-1", CBO1), source=ECM1)

    async def writer(number: int) -> None:
        for turn in range(EACH):
            for tries in range(10_000):
                now = await client.get("/Task/hot")
                wanted = {**now.json(), "note": [{"text": f"{number}.{turn}"}]}
                done = await client.put("/Task/hot", json=wanted, headers={"If-Match": now.headers["etag"]})
                if done.status_code == 200:
                    break
                assert done.status_code == 412, done.text
                await asyncio.sleep(chance.uniform(0, min(0.05 * 2**tries, 1.6)))

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    rows = await world.fetch("SELECT version, vid, body FROM version WHERE fhir_id = 'hot' ORDER BY version")
    assert [row[0] for row in rows] == list(range(1, 2 + WRITERS * EACH))
    assert all(a[1] < b[1] for a, b in pairwise(rows))
    notes = [orjson.loads(row[2])["note"][0]["text"] for row in rows[1:]]
    assert sorted(notes) == sorted(f"{n}.{t}" for n in range(WRITERS) for t in range(EACH))


async def test_updates_without_if_match_are_decided_again(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answers = await asyncio.gather(
        *(
            client.put("/Observation/a", json=observation("Observation/a", "Patient/a", note=[{"text": str(n)}]))
            for n in range(6)
        )
    )
    assert {a.status_code for a in answers} <= {200, 409} and [a.status_code for a in answers].count(200) >= 4


# --- update-as-create: the directory takes ids of clients, patients' data does not -----------------------------------


def _place(**more: Any) -> dict[str, Any]:
    return make("Location/ours-1", name="Clinic", managingOrganization=ref(ECM1), **more)


async def test_a_directory_entry_is_created_under_its_id(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    made = await client.put("/Location/ours-1", json=_place(), headers={"If-None-Match": "*"})
    assert (made.status_code, made.json()["id"], made.headers["etag"]) == (201, "ours-1", 'W/"1"')
    assert made.headers["location"].endswith("/fhir/Location/ours-1/_history/1")
    assert (await client.put("/Location/ours-1", json=_place(status="active"))).status_code == 200
    again = await client.put("/Location/ours-1", json=_place(), headers={"If-None-Match": "*"})
    assert again.status_code == 412 and again.headers["etag"] == 'W/"2"'
    theirs = await app_client("ecm-provider", "Organization/ecm-2")
    assert (await theirs.put("/Location/ours-2", json={**_place(), "id": "ours-2"})).status_code == 403


async def test_a_deleted_entry_comes_back_as_its_next_version_for_its_author(
    world: Store, app_client: AppClient
) -> None:
    client, other = await app_client(), await app_client("ecm-provider", "Organization/ecm-2")
    person = make("Practitioner/new", name=[{"family": "Made"}])
    assert (await client.put("/Practitioner/new", json=person)).status_code == 201
    assert (await client.delete("/Practitioner/new")).status_code == 204
    assert (await other.put("/Practitioner/new", json=person)).status_code == 403
    back = await client.put("/Practitioner/new", json=person)
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"3"')
    assert (await client.get("/Practitioner/new/_history/1")).json()["name"] == [{"family": "Made"}]
    assert (await client.get("/Practitioner/new/_history/2")).status_code == 410
    found = await client.get("/Practitioner?family=made&_total=accurate")
    assert found.json()["total"] == 1


async def test_an_id_is_not_chosen_without_right_version_or_equal_body(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    assert (await client.put("/Location/ours-1", json=_place(), headers={"If-Match": 'W/"1"'})).status_code == 412
    assert (await client.put("/Location/other", json=_place())).status_code == 400
    updater = await app_client(scopes="system/Location.ru")
    assert (await updater.put("/Location/ours-1", json=_place())).status_code == 403
    for url in ("/Location/" + "x" * 65, "/Location/a_b"):
        assert (await client.put(url, json=_place())).status_code == 404


async def test_ids_of_patients_data_are_the_services_own(world: Store, app_client: AppClient) -> None:
    """The sentence says what to do, and says the same of a foreign id and of one that nobody has."""
    for client in (await app_client(), await app_client("admin", "Organization/op")):
        answer = await client.put("/Patient/unheard-of", json=make("Patient/unheard-of"))
        assert answer.status_code == 404 and "POST" in answer.json()["issue"][0]["diagnostics"]
    ours = await app_client()
    for headers in ({}, {"If-None-Match": "*"}):
        body = make("Patient/{id}")
        assert (await same_answers(ours, "PUT", "/Patient/{id}", "b", json=body, headers=headers)).status_code == 404
    taken = await ours.put("/Patient/a", json=make("Patient/a"), headers={"If-None-Match": "*"})
    assert taken.status_code == 412


async def test_parallel_puts_to_a_new_id_make_one(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answers = await asyncio.gather(
        *(client.put("/Location/ours-1", json=_place(), headers={"If-None-Match": "*"}) for _ in range(10))
    )
    assert sorted(a.status_code for a in answers) == [201] + [412] * 9


async def test_a_part_of_a_resource_is_not_written_back(store: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    await put(store, make("Organization/x", name="Made up"))
    made = {"resourceType": "Organization", "id": "x", "name": "Made up"}
    body = {
        **made,
        "meta": {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]},
    }
    answer = await client.put(f"/Organization/{made['id']}", json=body)
    assert answer.status_code == 422 and answer.json()["issue"][0]["expression"] == ["Organization.meta.tag"]
