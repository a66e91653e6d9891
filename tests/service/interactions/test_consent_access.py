"""Consents over HTTP: what another organization sees of labelled data, by what was written and how."""

import asyncio
import os
from typing import Any

import httpx
import pytest

from service.store.engine import Store
from tests.service.access.consent.consents import consent, of_data, rule
from tests.service.conftest import AppClient
from tests.service.world import ECM1, ECM2, PLAN1, condition, episode, make, put, ref

POSTGRESQL_IN_DEEP = True
pytestmark = pytest.mark.timeout(1_800)
RACES = 1_000 if os.environ.get("ENLACE_TEST_DEEP") else 10
SUD = "Condition/sud-a"


@pytest.fixture
async def two(world: Store, app_client: AppClient) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """ECM 1, which wrote the labelled Condition, and ECM 2, which has the same member."""
    await put(world, episode("EpisodeOfCare/a2", "Patient/a", ECM2))
    observation = make("Observation/of-sud", status="final", code={"text": "x"}, subject=ref("Patient/a"))
    await put(world, {**observation, "focus": [ref(SUD)]}, source=ECM1)
    return await app_client(), await app_client("ecm-provider", ECM2)


async def posted(client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    answer = await client.post("/Consent", json={k: v for k, v in body.items() if k != "id"})
    assert answer.status_code == 201, answer.text
    return answer


async def changed(client: httpx.AsyncClient, answer: httpx.Response, **elements: Any) -> httpx.Response:
    body = {**answer.json(), **elements}
    again = await client.put(f"/Consent/{body['id']}", json=body, headers={"If-Match": answer.headers["ETag"]})
    assert again.status_code == 200, again.text
    return again


PERMIT = rule("permit", to=(ECM2,), purpose=("TREAT",), label=("SUD",))


@pytest.mark.parametrize(
    ("provision", "seen"),
    [
        (rule("permit", to=(ECM2,), label=("SUD",)), True),
        (rule("permit", label=("ETHUD",)), True),
        (rule("permit", label=("SUD",), period={"end": "2026-03-06"}), False),
        (rule("permit", label=("SUD",), period={"start": "2026-03-08"}), False),
        (rule("permit", label=("SUD",), period={"end": "2026-03-07"}), True),
        (rule("permit", to=(PLAN1,), label=("SUD",)), False),
        (rule("permit", to=(ECM2,), label=("MH",)), False),
        (rule("permit", to=(ECM2,), purpose=("HPAYMT",), label=("SUD",)), False),
        (rule("permit", to=(ECM2,)), False),
        (rule("permit", to=("CareTeam/two",), label=("SUD",)), True),
        (rule("permit", to=("CareTeam/a",), label=("SUD",)), False),
        (rule("permit", label=("SUD",), data=of_data("instance", SUD)), True),
        (rule("permit", label=("SUD",), data=of_data("authoredby", ECM1)), True),
        (rule("permit", label=("SUD",), data=of_data("authoredby", ECM2)), False),
        (rule("permit", label=("SUD",), data=of_data("dependents", "Patient/a")), True),
        (rule("permit", label=("SUD",), data=of_data("related", "Observation/of-sud")), True),
        (rule("permit", label=("SUD",), dataPeriod={"start": "2020"}), False),
    ],
)
async def test_what_a_provision_opens(world: Store, two: Any, provision: Any, seen: bool) -> None:
    ours, theirs = two
    team = make("CareTeam/two", status="active", subject=ref("Patient/a"), participant=[{"member": ref(ECM2)}])
    await put(world, team, source=ECM1)
    await posted(ours, consent("Consent/c", provision))
    assert (await theirs.get(f"/{SUD}")).status_code == (200 if seen else 404)


async def test_a_refusal_hides_the_record_from_all_but_its_author(two: Any) -> None:
    ours, theirs = two
    given = await posted(ours, consent("Consent/c", rule("deny", to=(ECM2,))))
    assert (await theirs.get("/Condition/a")).status_code == 404
    assert (await theirs.get("/Condition?patient=Patient/a&_total=accurate")).json()["total"] == 0
    assert (await ours.get("/Condition/a")).status_code == 200
    answer = await ours.delete(f"/Consent/{given.json()['id']}", headers={"If-Match": given.headers["ETag"]})
    assert answer.status_code == 204
    assert (await theirs.get("/Condition/a")).status_code == 200


async def test_a_successor_takes_the_place_of_its_source_and_its_end_does_not_bring_it_back(two: Any) -> None:
    ours, theirs = two
    first = await posted(ours, consent("Consent/c", PERMIT))
    source = ref(f"Consent/{first.json()['id']}")
    second = await posted(ours, consent("Consent/d", rule("permit", label=("MH",)), sourceReference=source))
    assert (await theirs.get(f"/{SUD}")).status_code == 404
    second = await changed(ours, second, status="inactive")
    assert (await theirs.get(f"/{SUD}")).status_code == 404
    first = await changed(ours, first, dateTime="2026-03-01T10:00:00Z")
    assert (await theirs.get(f"/{SUD}")).status_code == 404
    await changed(ours, second, status="entered-in-error")
    assert (await theirs.get(f"/{SUD}")).status_code == 200


async def test_the_successor_of_another_organization_takes_permits_but_no_refusals(two: Any) -> None:
    ours, theirs = two
    both = rule("permit", rule("deny", to=(ECM2,), label=("HIV",)), to=(ECM2,), label=("SUD", "HIV"))
    first = await posted(ours, consent("Consent/c", both))
    source = ref(f"Consent/{first.json()['id']}")
    await posted(theirs, consent("Consent/d", rule("permit", label=("HIV",)), sourceReference=source))
    assert (await theirs.get(f"/{SUD}")).status_code == 404


async def test_in_a_transaction_and_by_patch(two: Any) -> None:
    ours, theirs = two
    first, second = consent("Consent/c", PERMIT), consent("Consent/d", rule("permit", label=("MH",)))
    second["sourceReference"] = ref("urn:uuid:6f2c2e0a-64a1-4a40-9a0a-1d8f0f5b0001")
    entries = [
        {
            "fullUrl": f"urn:uuid:6f2c2e0a-64a1-4a40-9a0a-1d8f0f5b000{n}",
            "resource": {k: v for k, v in one.items() if k != "id"},
            "request": {"method": "POST", "url": "Consent"},
        }
        for n, one in ((2, second), (1, first))
    ]
    answer = await ours.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text
    assert (await theirs.get(f"/{SUD}")).status_code == 404
    place = answer.json()["entry"][0]["response"]
    patch = [{"op": "replace", "path": "/status", "value": "entered-in-error"}]
    answer = await ours.patch(
        "/" + place["location"].split("/fhir/")[-1].split("/_history")[0],
        json=patch,
        headers={"If-Match": place["etag"], "Content-Type": "application/json-patch+json"},
    )
    assert answer.status_code == 200, answer.text
    assert (await theirs.get(f"/{SUD}")).status_code == 200


async def test_what_cannot_be_interpreted_denies_and_opens_a_task_until_it_can(two: Any) -> None:
    ours, theirs = two
    await posted(ours, consent("Consent/p", PERMIT))
    assert (await theirs.get(f"/{SUD}")).status_code == 200
    unclear = rule("permit", to=(ECM2,), label=("SUD",), code=[{"text": "some"}])
    bad = await posted(ours, consent("Consent/c", unclear, organization=[ref(ECM1)]))
    assert (await theirs.get(f"/{SUD}")).status_code == 404
    assert (await theirs.get("/Condition/a")).status_code == 200
    assert (await ours.get(f"/{SUD}")).status_code == 200
    code = "https://enlace.example.org/fhir/CodeSystem/review-task|consent-review"
    found = (await ours.get("/Task", params={"code": code})).json()["entry"]
    task = found[0]["resource"]
    assert task["focus"]["reference"] == f"Consent/{bad.json()['id']}" and task["owner"] == ref(ECM1)
    assert "Consent.provision.code" in task["description"] and len(found) == 1
    answer = await ours.post("/Task/$validate", json=task)
    assert not [i for i in answer.json()["issue"] if i["severity"] in ("error", "fatal")], answer.text
    bad = await changed(ours, bad, provision={**unclear, "dataPeriod": {"start": "2020"}})
    task = (await ours.get(f"/Task/{task['id']}")).json()
    assert "dataPeriod" in task["description"] and task["meta"]["versionId"] == "2"
    bad = await changed(ours, bad, provision=PERMIT)
    assert (await ours.get(f"/Task/{task['id']}")).json()["status"] == "completed"
    assert (await theirs.get(f"/{SUD}")).status_code == 200
    await changed(ours, bad, provision=unclear)
    assert (await ours.get(f"/Task/{task['id']}")).json()["status"] == "requested"


async def test_a_revocation_acts_on_the_next_request(two: Any) -> None:
    """Readers race with the revocation: who starts after its answer sees nothing, whatever was under way."""
    ours, theirs = two
    given = await posted(ours, consent("Consent/c", PERMIT))
    for _ in range(RACES):
        given = await changed(ours, given, status="active")
        racing = [asyncio.create_task(theirs.get(f"/{SUD}")) for _ in range(3)]
        given = await changed(ours, given, status="inactive")
        assert (await theirs.get(f"/{SUD}")).status_code == 404
        assert {answer.status_code for answer in await asyncio.gather(*racing)} <= {200, 404}


async def test_two_consents_written_at_once_both_count(two: Any) -> None:
    ours, theirs = two
    first = await posted(ours, consent("Consent/c", rule("permit", label=("MH",))))
    source = ref(f"Consent/{first.json()['id']}")
    for _ in range(RACES):
        second = consent("Consent/d", rule("permit", label=("MH",)), sourceReference=source)
        again = {**first.json(), "provision": PERMIT, "dateTime": f"20{10 + _ % 10}-01-01"}
        answers = await asyncio.gather(
            ours.post("/Consent", json={k: v for k, v in second.items() if k != "id"}),
            ours.put(f"/Consent/{again['id']}", json=again, headers={"If-Match": first.headers["ETag"]}),
        )
        assert answers[0].status_code == 201 and answers[1].status_code in (200, 412)
        assert (await theirs.get(f"/{SUD}")).status_code == 404
        gone = answers[0].json()["id"]
        await ours.delete(f"/Consent/{gone}", headers={"If-Match": answers[0].headers["ETag"]})
        first = await ours.get(f"/Consent/{again['id']}")


async def test_searches_of_consents_go_on(two: Any) -> None:
    ours, _ = two
    await posted(ours, consent("Consent/c", PERMIT))
    for query in (f"actor={ECM2}", "purpose=TREAT", "security-label=SUD", "status=active", "scope=patient-privacy"):
        assert (await ours.get(f"/Consent?{query}&_total=accurate")).json()["total"] == 1, query


async def test_labels_of_a_former_version_count(world: Store, two: Any) -> None:
    ours, theirs = two
    await put(world, condition("Condition/plain", "Patient/a"), source=ECM1)
    await posted(ours, consent("Consent/c", rule("permit", to=(ECM2,), label=("SUD",))))
    found = (await ours.get(f"/{SUD}")).json()
    hiv = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]
    body = {**found, "meta": {"security": [*found["meta"]["security"], *hiv]}}
    assert (await ours.put(f"/{SUD}", json=body, headers={"If-Match": 'W/"1"'})).status_code == 200
    for path in ("", "/_history/1", "/_history/2", "/_history"):
        assert (await theirs.get(f"/{SUD}{path}")).status_code == 404, path
