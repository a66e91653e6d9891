"""The minimum view of a member: what a party to a Task reads, and by what it never learns more.

Source: ../shared/facts/security.md 2.1, 2.4.
"""

import json
from typing import Any

import httpx
import pytest

from service.access.views import VIEWS, view_of
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import CBO1, CBO2, ECM1, ECM2, PLAN1, SUD, change_of, make, patient, put, ref, request, task

INTERPRETER = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"
LABEL = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
POSTGRESQL_IN_DEEP = True
HIDDEN = ("1991-02-03", "mrn-m", "Secret", "12 Hidden", "93001", "spouse", "lcm-1", "marital")


def member(**more: Any) -> dict[str, Any]:
    """Made up; what a view must not show bears a word of HIDDEN."""
    body = patient("Patient/m", birthDate="1991-02-03", generalPractitioner=[ref("Practitioner/lcm-1")])
    body |= {
        "meta": {"profile": ["http://example.org/Secret"], "tag": [{"system": "x", "code": "Secret"}]},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Secret</div>'},
        "extension": [
            {"url": INTERPRETER, "valueBoolean": True},
            {"url": "http://example.org/housing", "valueString": "Secret"},
        ],
        "_birthDate": {"extension": [{"url": "http://example.org/time", "valueString": "Secret"}]},
        "name": [
            {"use": "official", "family": "Marwick", "given": ["Ines"]},
            {"use": "maiden", "family": "Secret"},
            {"use": "nickname", "given": ["Secret"], "_given": [{"extension": [{"url": "x", "valueString": "y"}]}]},
        ],
        "telecom": [{"system": "phone", "value": "555-0101", "use": "mobile"}, {"system": "phone", "use": "old"}],
        "address": [
            {"use": "home", "line": ["12 Hidden Way"], "city": "Ventura", "state": "CA", "postalCode": "93001"},
            {"use": "home", "city": "Secret", "extension": [{"url": LABEL, "valueCoding": {"code": "SDV"}}]},
        ],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}, "preferred": True}],
        "contact": [{"relationship": [{"text": "spouse"}], "name": {"family": "Secret"}}],
        "maritalStatus": {"text": "marital"},
    }
    return body | more


@pytest.fixture
async def referred(world: Store) -> Store:
    await put(world, member())
    await put(
        world,
        request("ServiceRequest/m", "Patient/m", ECM1),
        task("Task/m", "Patient/m", "ServiceRequest/m", ECM1, CBO1),
        source=ECM1,
    )
    return world


async def changed(store: Store, **more: Any) -> None:
    version = (await store.fetch("SELECT version FROM resource WHERE fhir_id = 'm' AND rtype = 'Patient'"))[0][0]
    await store.commit(change_of(store, member(**more), expect=version))


def test_l19_l20_a_view_is_built_of_what_the_table_names() -> None:
    view = json.loads(view_of(member()).body)
    assert view == {
        "resourceType": "Patient",
        "id": "m",
        "meta": {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]},
        "extension": [{"url": INTERPRETER, "valueBoolean": True}],
        "name": [{"use": "official", "family": "Marwick", "given": ["Ines"]}],
        "telecom": [{"system": "phone", "value": "555-0101", "use": "mobile"}],
        "address": [{"use": "home", "city": "Ventura", "state": "CA"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}, "preferred": True}],
    }


def test_a_view_survives_any_shape() -> None:
    """What is shaped otherwise than R4 says is not there, and nothing fails."""
    for odd in (None, 1, "x", [], [1], {}, {"a": 1}, [{"family": {"x": 1}}], [[{"family": "Secret"}]]):
        body = {"resourceType": "Patient", "id": "m", **dict.fromkeys(VIEWS["Patient"], odd)}
        assert b"Secret" not in view_of(body).body


async def test_l13_l15_a_view_is_the_same_wherever_it_leaves(referred: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    view = (await cbo.get("/Patient/m")).json()
    assert view == json.loads(view_of(member()).body)
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient/m"}}]}
    by_batch = await cbo.post("", json=batch)
    assert [e["resource"] for e in by_batch.json()["entry"]] == [view]
    assert "lastModified" not in by_batch.text
    for path in ("/Patient?_id=m", "/Task?_id=m&_include=Task:patient", "/ServiceRequest?_id=m&_include=*"):
        found = [e["resource"] for e in (await cbo.get(path)).json()["entry"]]
        assert [one for one in found if one["resourceType"] == "Patient"] == [view], path
    assert (await cbo.get("/Patient?_id=m,b,none&_total=accurate")).json()["total"] == 1
    whole = ("_elements=birthDate,identifier,address", "_summary=data", "_summary=text", "_summary=true")
    for path in ("/Patient/m", *(f"/Patient/m?{one}" for one in whole), *(f"/Patient?_id=m&{one}" for one in whole)):
        text = (await cbo.get(path)).text
        assert "Patient" in text and not [word for word in HIDDEN if word in text.replace(path, "")], path


async def test_l18_what_is_hidden_changes_without_a_trace(referred: Store, app_client: AppClient, clock: Any) -> None:
    cbo = await app_client("cbo", CBO1)
    await put(referred, patient("Patient/n"))
    await put(
        referred,
        request("ServiceRequest/n", "Patient/n", ECM1),
        task("Task/n", "Patient/n", "ServiceRequest/n", ECM1, CBO1),
        source=ECM1,
    )
    paths = ("/Patient/m", "/Patient?_id=m,n", "/Patient?_id=n,m&_count=1", "/Task?_include=Task:patient")

    async def told() -> list[Any]:
        answers = [await cbo.get(path) for path in paths]
        bundles = [(one["resource"], one["search"]) for a in answers[1:] for one in a.json()["entry"]]
        return [answers[0].json(), dict(answers[0].headers, **{"x-request-id": ""}), bundles]

    before = await told()
    etag = (await cbo.get("/Patient/m")).headers["ETag"]
    clock.advance(5_000_000)
    await changed(referred, birthDate="1980-01-01", maritalStatus={"text": "other"})
    assert await told() == before
    assert "Last-Modified" not in (await cbo.get("/Patient/m")).headers
    assert (await cbo.get("/Patient/m", headers={"If-None-Match": etag})).status_code == 304
    since = {"If-Modified-Since": "Sun, 01 Jan 2040 00:00:00 GMT"}
    assert (await cbo.get("/Patient/m", headers=since)).status_code == 200
    await changed(referred, telecom=[{"system": "phone", "value": "555-0199"}])
    assert (await cbo.get("/Patient/m", headers={"If-None-Match": etag})).status_code == 200


ASKED = [
        "birthdate=1991-02-03", "identifier=mrn-m", "_id=m&birthdate=1991", "_id=m&gender=female", "_id:not=x",
        "_id=m&_sort=birthdate", "_id=m&_sort=_lastUpdated", "_id=m&_lastUpdated=gt2020", "_lastUpdated=gt2020",
        "_id=m&general-practitioner=Practitioner/lcm-1", "_id=m&birthdate:missing=false", "_id=m&gender:not=male",
        "_id=m&_filter=birthdate pr true", "_id=m&_has:Task:patient:status=requested", "_id=m&_list=x",
        "_id=m&general-practitioner.family=One", "_id=m&_security=SUD", "_id=m&_tag=Secret", "", "_count=5",
]  # fmt: skip


async def test_l08_l12_l16_l17_a_view_is_searched_by_id_only(referred: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    for query in ASKED:
        for answer in (
            await cbo.get(f"/Patient?{query}"),
            await cbo.post("/Patient/_search", data=dict(httpx.QueryParams(query))),
        ):
            assert answer.status_code == 400, query
            assert "_id" in answer.json()["issue"][0]["diagnostics"]


THROUGH = [
        "/Task?patient.birthdate=1991-02-03", "/Task?subject:Patient.gender=female", "/Task?patient._id=m",
        "/Task?_filter=patient.gender eq female", "/Practitioner?_has:Patient:general-practitioner:_id=m",
        "/Practitioner?_has:Patient:general-practitioner:gender=female", "/ServiceRequest?patient.name=Marwick",
        "/?_type=Patient&_id=m", "/Patient/m/*?_type=Patient", "/Organization?_has:Task:owner:patient.gender=female",
]  # fmt: skip


async def test_l09_l10_l11_nothing_is_asked_through_a_view(referred: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    assert [path for path in THROUGH if (await cbo.get(path)).json().get("entry", [])] == []


async def test_l13_l22_includes_do_not_follow_what_a_view_hides(referred: Store, app_client: AppClient) -> None:
    """lcm-1 is the member's general practitioner, which the view does not say."""
    cbo = await app_client("cbo", CBO1)
    paths = (
        "/Patient?_id=m&_include=Patient:general-practitioner",
        "/Patient?_id=m&_include=*&_revinclude=*",
        "/Task?_id=m&_include=Task:patient&_include:iterate=Patient:general-practitioner",
    )
    for path in paths:
        found = [e["resource"]["resourceType"] for e in (await cbo.get(path)).json()["entry"]]
        assert "Practitioner" not in found, path
    back = await cbo.get("/Practitioner?_id=lcm-1&_revinclude=Patient:general-practitioner")
    assert [e["resource"]["id"] for e in back.json()["entry"]] == ["lcm-1"]


async def test_l02_l03_l36_a_view_has_no_history_and_no_record(referred: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    for path in ("/Patient/m/_history", "/Patient/m/_history/1", "/Patient/m/$everything"):
        assert (await cbo.get(path)).status_code == 404, path
    for path in ("/_history", "/Patient/_history"):
        answer = await cbo.get(path)
        assert not [e for e in answer.json().get("entry", []) if e["fullUrl"].endswith("/Patient/m")]


@pytest.mark.parametrize(("role", "status"), [("cbo", 403), ("referrer", 403)])
async def test_l30_l31_a_view_is_not_written(referred: Store, app_client: AppClient, role: str, status: int) -> None:
    client = await app_client(role, CBO1)
    body = (await client.get("/Patient/m")).json()
    assert body["meta"]["tag"][0]["code"] == "SUBSETTED"
    patch = json.dumps([{"op": "test", "path": "/birthDate", "value": "1991-02-03"}])
    answers = [
        await client.put("/Patient/m", json=body),
        await client.put("/Patient/m", json={"resourceType": "Patient", "id": "m"}),
        await client.patch("/Patient/m", content=patch, headers={"Content-Type": "application/json-patch+json"}),
        await client.delete("/Patient/m"),
    ]
    assert [one.status_code for one in answers] == [status] * 4
    assert not [one for one in answers if "1991" in one.text]


async def test_l25_l26_l27_no_condition_finds_a_view(referred: Store, app_client: AppClient) -> None:
    referrer = await app_client("referrer", CBO1)
    mrn = "identifier=http://example.org/mrn|mrn-m"
    body = {"resourceType": "Patient", "gender": "male"}
    made = await referrer.post("/Patient", json=body, headers={"If-None-Exist": mrn})
    assert made.status_code == 201
    assert (await referrer.delete(f"/Patient?{mrn}")).status_code == 204
    assert (await referrer.get("/Patient/m")).status_code == 200
    assert (await referrer.get(f"/Patient/{made.json()['id']}")).json()["gender"] == "male"
    found = await referrer.get("/Patient?gender=male")
    assert [e["resource"]["id"] for e in found.json()["entry"]] == [made.json()["id"]]


async def test_who_has_a_view(referred: Store, app_client: AppClient, clock: Any) -> None:
    assert (await (await app_client("cbo", CBO1)).get("/Patient/m")).status_code == 200
    for role, organization in (("cbo", CBO2), ("cbo", ECM1), ("referrer", ECM1), ("ecm-provider", CBO1)):
        client = await app_client(role, organization)
        assert (await client.get("/Patient/m")).status_code == 404, (role, organization)
    for status, expected in (("rejected", 404), ("requested", 200), ("entered-in-error", 404)):
        version = (await referred.fetch("SELECT version FROM resource WHERE rtype = 'Task' AND fhir_id = 'm'"))[0][0]
        body = task("Task/m", "Patient/m", "ServiceRequest/m", ECM1, CBO1, status=status)
        await referred.commit(change_of(referred, body, ECM1, expect=version))
        assert (await (await app_client("cbo", CBO1)).get("/Patient/m")).status_code == expected, status


async def test_l04_a_deleted_member_is_absent(referred: Store, app_client: AppClient) -> None:
    from service.access.new_version import deletion
    from service.store.change import Change

    keys = referred.keys
    write = deletion("Patient", "m", 1, patient=keys.resource("Patient/m"), source_org=keys.resource(PLAN1))
    await referred.commit(Change(writes=[write]))
    cbo = await app_client("cbo", CBO1)
    assert (await cbo.get("/Patient/m")).status_code == 404
    assert (await cbo.get("/Patient?_id=m&_total=accurate")).json()["total"] == 0


async def test_a_labelled_member_needs_consent_for_a_view_too(world: Store, app_client: AppClient) -> None:
    await put(world, patient("Patient/s", meta=SUD))
    await put(
        world,
        request("ServiceRequest/s", "Patient/s", ECM2),
        task("Task/s", "Patient/s", "ServiceRequest/s", ECM2, CBO1),
        make("Observation/s", status="final", code={"text": "x"}, subject=ref("Patient/s")),
        source=ECM2,
    )
    cbo = await app_client("cbo", CBO1)
    assert (await cbo.get("/Task/s")).status_code == 200
    assert (await cbo.get("/Patient/s")).status_code == 404
    assert (await cbo.get("/Patient?_id=s&_total=accurate")).json()["total"] == 0
