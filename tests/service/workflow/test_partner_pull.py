"""A Task that a partner's client opens here: what it points to is fetched, and then it is a referral like any other.

The shapes are those of the Gravity reference server (facts/closed-loop.md 1.3: status `received`, absolute URLs, a
Practitioner as requester), with made-up people.
"""

import json
from typing import Any

import httpx
import pytest

from service.access.context import parse
from service.search.restriction import EVERYTHING
from service.store import partners, read
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.workflow.partner_world import HOUR, THERE, FakePartner, add_partner, row, worker
from tests.service.world import CBO1, SUD, change_of, make, patient

POSTGRESQL_IN_DEEP = True
Resource = dict[str, Any]
CLINIC = "Organization/clinic"
CIN = "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin"
SDOHCC = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/"
FHIR = "http://hl7.org/fhir"


def recorded(rtype: str) -> Resource:
    """What the reference server shows of its side."""
    return {
        "Task": {
            "resourceType": "Task",
            "meta": {"profile": [f"{SDOHCC}SDOHCC-TaskForReferralManagement"]},
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"{THERE}/Task/2001"}],
            "status": "received",
            "intent": "order",
            "priority": "asap",
            "code": {"coding": [{"system": f"{FHIR}/CodeSystem/task-code", "code": "fulfill"}]},
            "focus": {"reference": f"{THERE}/ServiceRequest/1001"},
            "for": {"reference": f"{THERE}/Patient/smart-1288992"},
            "authoredOn": "2026-03-07T20:00:00.000+00:00",
            "requester": {"reference": f"{THERE}/Practitioner/11", "display": "Dr. Made Up"},
            "owner": {"reference": CBO1},
        },
        "ServiceRequest": {
            "resourceType": "ServiceRequest",
            "id": "1001",
            "meta": {"versionId": "1", "profile": [f"{SDOHCC}SDOHCC-ServiceRequest"]},
            "status": "active",
            "intent": "order",
            "category": [{"coding": [{"system": "http://x.example.org", "code": "food-insecurity"}]}],
            "priority": "urgent",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "467771000124109"}], "text": "Food"},
            "subject": {"reference": "Patient/smart-1288992", "display": "Made Up"},
            "occurrencePeriod": {"start": "2026-03-08"},
            "authoredOn": "2026-03-07T20:00:00Z",
            "requester": {"reference": "PractitionerRole/9"},
            "reasonReference": [{"reference": "Condition/4"}],
            "supportingInfo": [{"reference": "Consent/77"}, {"reference": "Condition/4"}],
        },
        "Patient": {
            "resourceType": "Patient",
            "id": "smart-1288992",
            "identifier": [{"system": CIN, "value": "91234567A"}, {"system": "urn:mrn", "value": "77"}],
            "name": [{"family": "Mustermade", "given": ["Colleen"]}],
            "telecom": [{"system": "phone", "value": "(555) 555-0101"}],
            "gender": "female",
            "birthDate": "1970-04-04",
            "managingOrganization": {"reference": "Organization/1"},
        },
        "Consent": {
            "resourceType": "Consent",
            "id": "77",
            "status": "active",
            "patient": {"reference": "Patient/smart-1288992"},
            "provision": {"type": "permit"},
        },
    }[rtype]


@pytest.fixture
async def there(world: Store) -> FakePartner:
    await world.commit(change_of(world, make(CLINIC, name="Clinic", active=True), "Organization/op"))
    await add_partner(world, name="clinic", organization=CLINIC, direction="pull")
    found = FakePartner()
    for rtype in ("ServiceRequest", "Patient", "Consent"):
        found.put(recorded(rtype))
    return found


async def clinic(app_client: AppClient) -> httpx.AsyncClient:
    return await app_client("ecm-provider", CLINIC)


async def sent(app_client: AppClient, **more: Any) -> httpx.Response:
    return await (await clinic(app_client)).post("/Task", json={**recorded("Task"), **more})


async def stands(store: Store, reference: str) -> Resource:
    found = await read.head(store, *reference.split("/"), EVERYTHING)  # type: ignore[call-arg, arg-type]
    assert found is not None
    return parse(found.body)


async def test_it_becomes_a_referral_that_its_owner_closes(
    world: Store, app_client: AppClient, there: FakePartner
) -> None:
    answer = await sent(app_client)
    assert answer.status_code == 201, answer.text
    taken = answer.json()
    assert taken["status"] == "requested" and taken["requester"]["reference"] == CLINIC
    assert taken["requester"]["identifier"]["value"] == f"{THERE}/Practitioner/11"
    cbo = await app_client("cbo", CBO1)
    early = {**taken, "status": "accepted"}
    refused = await cbo.put(f"/Task/{taken['id']}", json=early, headers={"If-Match": 'W/"1"'})
    assert refused.status_code in (404, 422)
    await worker(world, there).drain()

    mine = (await cbo.get(f"/Task/{taken['id']}")).json()
    focus, member = mine["focus"]["reference"], mine["for"]["reference"]
    assert mine["focus"]["identifier"]["value"] == f"{THERE}/ServiceRequest/1001"
    request = (await cbo.get(f"/{focus}")).json()
    assert request["requester"] == {"reference": CLINIC} and request["code"]["text"] == "Food"
    assert request["supportingInfo"] == [
        {"reference": f"{THERE}/Consent/77", "display": "Consent on the partner's server, active"}
    ]
    assert "reasonReference" not in request
    person = (await cbo.get(f"/{member}")).json()
    assert person["name"][0]["family"] == "Mustermade"
    whole = await stands(world, member)
    assert CIN not in json.dumps(whole) and "managingOrganization" not in whole

    for step in ({"status": "accepted"}, {"status": "in-progress"}, {"status": "completed", "output": done()}):
        answer = await cbo.put(f"/Task/{taken['id']}", json=mine | step, headers={"If-Match": answer_tag(mine)})
        assert answer.status_code == 200, answer.text
        mine = answer.json()
    seen = (await (await clinic(app_client)).get(f"/Task/{taken['id']}")).json()
    assert seen["status"] == "completed" and (await row(world, taken["id"])).state == "fetched"
    assert not await world.fetch("SELECT 1 FROM clearance")


def answer_tag(resource: Resource) -> str:
    return f'W/"{resource["meta"]["versionId"]}"'


def done() -> list[Resource]:
    return [{"type": {"text": "resulting-activity"}, "valueString": "Two boxes."}]


async def test_the_codes_of_what_was_done_stand_in_the_task(
    world: Store, app_client: AppClient, there: FakePartner
) -> None:
    fhir_id = (await sent(app_client)).json()["id"]
    await worker(world, there).drain()
    cbo = await app_client("cbo", CBO1)
    mine = (await cbo.get(f"/Task/{fhir_id}")).json()
    output = []
    for text, more in (("Boxes", {}), ("Counselling", {"meta": SUD})):
        body = {"resourceType": "Procedure", "status": "completed", "code": {"text": text}, "subject": mine["for"]}
        made = (await cbo.post("/Procedure", json={**body, **more})).json()
        output.append({"type": {"text": "x"}, "valueReference": {"reference": f"Procedure/{made['id']}"}})
    for step in ({"status": "accepted"}, {"status": "completed", "output": output}):
        answer = await cbo.put(f"/Task/{fhir_id}", json=mine | step, headers={"If-Match": answer_tag(mine)})
        mine = answer.json()
    seen = (await (await clinic(app_client)).get(f"/Task/{fhir_id}")).json()
    assert [one.get("valueCodeableConcept") for one in seen["output"]] == [None, None, {"text": "Boxes"}]


async def test_the_same_person_twice_is_one_record(world: Store, app_client: AppClient, there: FakePartner) -> None:
    first = (await sent(app_client)).json()["id"]
    await worker(world, there).drain()
    there.put({**recorded("ServiceRequest"), "id": "1002"})
    there.put({**recorded("Patient"), "telecom": [{"system": "phone", "value": "(555) 555-0202"}]})
    second = (
        await sent(app_client, identifier=[{"value": "other"}], focus={"reference": f"{THERE}/ServiceRequest/1002"})
    ).json()["id"]
    await worker(world, there).drain()
    one, two = await stands(world, f"Task/{first}"), await stands(world, f"Task/{second}")
    assert one["for"] == two["for"] and one["focus"] != two["focus"]
    assert (await stands(world, one["for"]["reference"]))["telecom"][0]["value"] == "(555) 555-0202"


@pytest.mark.parametrize(
    ("ours", "matched"),
    [
        ({"birthDate": "1970-04-04", "name": [{"family": "MUSTERMADE"}]}, True),
        ({"birthDate": "1970-04-05", "name": [{"family": "Mustermade"}]}, False),
        ({"birthDate": "1970-04-04", "name": [{"family": "Other"}]}, False),
        ({"name": [{"family": "Mustermade"}]}, False),
    ],
)
async def test_a_member_is_matched_by_cin_and_what_else_agrees(
    world: Store, app_client: AppClient, there: FakePartner, ours: Resource, matched: bool
) -> None:
    body = patient("Patient/member") | {"identifier": [{"system": CIN, "value": "91234567A"}]}
    body.pop("name")
    await world.commit(change_of(world, {**body, **ours}))
    fhir_id = (await sent(app_client)).json()["id"]
    await worker(world, there).drain()
    task = await stands(world, f"Task/{fhir_id}")
    assert (task["for"]["reference"] == "Patient/member") == matched
    assert (await (await clinic(app_client)).get("/Patient/member")).status_code == 404
    assert await stands(world, "Patient/member") == {
        **body, **ours, "meta": (await stands(world, "Patient/member"))["meta"],
    }  # fmt: skip


@pytest.mark.parametrize("matched", [True, False])
async def test_an_address_that_stands_for_another_person_later_is_not_taken(
    world: Store, app_client: AppClient, there: FakePartner, matched: bool
) -> None:
    body = patient("Patient/member", birthDate="1970-04-04") | {"name": [{"family": "Mustermade"}]}
    if matched:
        await world.commit(change_of(world, body | {"identifier": [{"system": CIN, "value": "91234567A"}]}))
    await sent(app_client)
    await worker(world, there).drain()
    there.put({**recorded("Patient"), "name": [{"family": "Else"}], "birthDate": "1988-08-08", "identifier": []})
    there.put({**recorded("ServiceRequest"), "id": "1002"})
    focus = {"reference": f"{THERE}/ServiceRequest/1002"}
    second = (await sent(app_client, identifier=[{"value": "other"}], focus=focus)).json()["id"]
    await worker(world, there).drain()
    task = await stands(world, f"Task/{second}")
    assert task["status"] == "rejected" and "another person" in task["statusReason"]["text"]
    assert task["for"]["reference"].startswith(THERE)
    bodies = await world.fetch("SELECT body FROM version WHERE rtype = 'Patient'")
    assert bodies and not any(b"Else" in bytes(one[0]) for one in bodies)


REFUSED = {
    "focus elsewhere": ({"focus": {"reference": "https://elsewhere.example.org/fhir/ServiceRequest/1"}}, "Task.focus"),
    "focus of a type": ({"focus": {"reference": f"{THERE}/Patient/1"}}, "Task.focus"),
    "focus up": ({"focus": {"reference": f"{THERE}/ServiceRequest/../../x"}}, "Task.focus"),
    "prefix only": ({"focus": {"reference": f"{THERE}.evil.example.org/ServiceRequest/1"}}, "Task.focus"),
    "member elsewhere": ({"for": {"reference": "https://elsewhere.example.org/fhir/Patient/1"}}, "Task.for"),
    "requester elsewhere": ({"requester": {"reference": "https://e.example.org/Organization/1"}}, "Task.requester"),
    "no owner": ({"owner": None}, "Task.owner"),
    "completed": ({"status": "completed"}, "Task.status"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_at_once(world: Store, app_client: AppClient, there: FakePartner, name: str) -> None:
    more, element = REFUSED[name]
    body = {key: value for key, value in {**recorded("Task"), **more}.items() if value is not None}
    answer = await (await clinic(app_client)).post("/Task", json=body)
    assert answer.status_code == 422 and element in answer.text, answer.text
    await worker(world, there).drain()
    assert not there.asked


async def test_nobody_else_makes_us_fetch(world: Store, app_client: AppClient, there: FakePartner) -> None:
    other = await app_client("ecm-provider", "Organization/ecm-1")
    answer = await other.post("/Task", json=recorded("Task") | {"status": "requested"})
    await worker(world, there).drain()
    assert answer.status_code in (201, 403, 422) and not there.asked


STRANGE = {
    "other patient": ("ServiceRequest", {"subject": {"reference": "Patient/stranger"}}, "another Patient"),
    "draft": ("ServiceRequest", {"status": "draft"}, "not active"),
    "no code": ("ServiceRequest", {"intent": 7}, "no valid FHIR R4"),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_what_is_rejected_with_a_reason_that_the_partner_sees(
    world: Store, app_client: AppClient, there: FakePartner, name: str
) -> None:
    rtype, more, words = STRANGE[name]
    there.put({**recorded(rtype), **more})
    fhir_id = (await sent(app_client)).json()["id"]
    await worker(world, there).drain()
    seen = (await (await clinic(app_client)).get(f"/Task/{fhir_id}")).json()
    assert seen["status"] == "rejected" and words in seen["statusReason"]["text"]
    assert not await world.fetch("SELECT 1 FROM resource WHERE fhir_id LIKE 'pt-%' OR fhir_id LIKE 'sr-%'")


async def test_an_answer_with_another_id(world: Store, app_client: AppClient, there: FakePartner) -> None:
    there.resources["ServiceRequest/1001"]["id"] = "1002"
    fhir_id = (await sent(app_client)).json()["id"]
    await worker(world, there).drain()
    assert (await stands(world, f"Task/{fhir_id}"))["status"] == "rejected"


async def test_what_cannot_be_fetched_yet_is_fetched_later(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    kept = there.resources.pop("ServiceRequest/1001")
    fhir_id = (await sent(app_client)).json()["id"]
    await worker(world, there).drain()
    there.down = "connect"
    for _ in range(30):
        clock.advance(HOUR)
        await worker(world, there).drain()
    there.down = None
    there.resources["ServiceRequest/1001"] = kept
    clock.advance(HOUR)
    await worker(world, there).drain()
    assert (await stands(world, f"Task/{fhir_id}"))["focus"]["reference"].startswith("ServiceRequest/sr-")


async def test_what_never_appears_is_rejected(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    there.resources.pop("Patient/smart-1288992")
    fhir_id = (await sent(app_client)).json()["id"]
    for _ in range(12):
        await worker(world, there).drain()
        clock.advance(HOUR)
    task = await stands(world, f"Task/{fhir_id}")
    assert task["status"] == "rejected" and "status-404" in task["statusReason"]["text"]


async def test_taken_back_while_it_is_fetched(world: Store, app_client: AppClient, there: FakePartner) -> None:
    taken = (await sent(app_client)).json()
    http = await clinic(app_client)
    body = {**taken, "status": "cancelled", "statusReason": {"text": "A mistake."}}
    other = {**body, "focus": {"reference": f"{THERE}/ServiceRequest/2"}}
    assert (await http.put(f"/Task/{taken['id']}", json=other, headers={"If-Match": 'W/"1"'})).status_code == 422
    assert (await http.put(f"/Task/{taken['id']}", json=body, headers={"If-Match": 'W/"1"'})).status_code == 200
    await worker(world, there).drain()
    assert (await stands(world, f"Task/{taken['id']}"))["status"] == "cancelled"
    assert not await world.fetch("SELECT 1 FROM resource WHERE fhir_id LIKE 'pt-%'")


async def test_if_none_exist_takes_it_once(world: Store, app_client: AppClient, there: FakePartner) -> None:
    http = await clinic(app_client)
    asked = {"If-None-Exist": f"identifier=urn:ietf:rfc:3986|{THERE}/Task/2001"}
    first = await http.post("/Task", json=recorded("Task"), headers=asked)
    await worker(world, there).drain()
    second = await http.post("/Task", json=recorded("Task"), headers=asked)
    assert (first.status_code, second.status_code) == (201, 200) and first.json()["id"] == second.json()["id"]
    assert len(await partners.listed(world, "clinic", "", 10)) == 1


async def test_labels_of_the_other_server_go_with_the_copies(
    world: Store, app_client: AppClient, there: FakePartner
) -> None:
    """What it calls sensitive stays so here: who owns the Task sees it where a Consent lets it."""
    there.put(recorded("ServiceRequest") | {"meta": SUD})
    answer = await sent(app_client)
    await worker(world, there).drain()
    name = (await stands(world, f"Task/{answer.json()['id']}"))["focus"]["reference"]
    assert (await stands(world, name))["meta"]["security"] == SUD["security"]
    assert (await (await app_client("cbo", CBO1)).get(f"/{name}")).status_code == 404
    assert (await (await clinic(app_client)).get(f"/{name}")).status_code == 200
