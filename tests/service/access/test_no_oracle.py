"""No answer tells that something foreign is there: path x caller, foreign and absent give equal answers.

Equal: status, headers and bytes, ids that are made for each answer, times and the id that was asked for aside. What is
foreign: all of another organization's patient, and what another organization labelled in the record of our own patient.
Source: ../shared/facts/security.md L1-L38.
"""

import json
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import VARY
from tests.service.world import (
    BASE,
    CBO1,
    CBO2,
    ECM1,
    ECM2,
    LCM1,
    LCM2,
    PLAN1,
    SUD,
    change_of,
    condition,
    make,
    observation,
    put,
    ref,
    request,
    task,
)

CALLERS = (
    ("ecm-provider", ECM1, None),
    ("lcm", ECM1, LCM1),
    ("mcp", PLAN1, None),
    ("cbo", CBO1, None),
    ("referrer", ECM1, None),
    ("hospital", ECM1, None),
)
ON_POSTGRESQL = ("ecm-provider", "cbo")
"""The other callers differ in their rules, which are SQL on SQLite already: with ENLACE_TEST_DEEP on both."""
_MADE = re.compile(
    r'"Bundle","id":"[^"]+"|_page=[A-Za-z0-9_-]+|"lastUpdated":"[^"]+"|"lastModified":"[^"]+"'
    r'|"query":"[A-Za-z0-9+/=]+"'  # an AuditEvent repeats the request, with the id that was asked for
    r"|AuditEvent/[0-9a-f-]+|\"id\":\"[0-9a-f]{16}-[0-9]+\"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)


@pytest.fixture
async def people(world: Store) -> Store:
    """Beside the world: ours that lead to a foreign and to an absent patient, and foreign ones in our patient's record.

    hid-b: labelled by another organization, its first version was not. del-b: the same, then deleted by its author.
    """
    for letter in "bz":
        await put(world, observation(f"Observation/to-{letter}", f"Patient/{letter}"), source=ECM1)
    listed = [{"item": ref("Task/a")}, {"item": ref("Patient/a")}]
    await put(
        world,
        make("List/lst-b", status="current", mode="working", subject=ref("Patient/b"), entry=listed),
        observation("Observation/spy-b", "Patient/b", hasMember=[ref("Observation/a")]),
        make("Group/grp-b", type="person", actual=True, member=[{"entity": ref("Patient/a")}]),
        source=ECM2,
    )
    for rtype, name in (("Condition", "hid-b"), ("Observation", "hid-b"), ("Condition", "del-b")):
        await labelled(world, rtype, name)
    await put(
        world,
        request("ServiceRequest/hid-b", "Patient/a", ECM2, meta=SUD),
        task("Task/hid-b", "Patient/a", "ServiceRequest/hid-b", ECM2, CBO2, meta=SUD),
        source=ECM2,
    )
    return world


async def labelled(store: Store, rtype: str, fhir_id: str) -> None:
    """About our patient, by another organization: labelled from its second version on, deleted where named so."""
    body = (condition if rtype == "Condition" else observation)(f"{rtype}/{fhir_id}", "Patient/a")
    body["identifier"] = [{"system": "http://example.org/c", "value": f"c-{fhir_id}"}]
    await put(store, body, source=ECM2)
    await store.commit(change_of(store, {**body, "meta": SUD}, ECM2, expect=1))


class Path(NamedTuple):
    """{id}: that of what is foreign, and of what is not there. body: JSON."""

    method: str
    url: str
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **more}} | ({"resource": resource} if resource else {})


def goal(member: str, **more: Any) -> dict[str, Any]:
    body = {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "x"}, "subject": ref(member)}
    return body | more


def task_about(member: str, owner: str, **more: Any) -> dict[str, Any]:
    body = task("Task/{id}", member, "ServiceRequest/a", owner, owner)
    return {k: v for k, v in body.items() if k not in ("id", "focus")} | more


MRN = "identifier=http://example.org/mrn|mrn-{id}"
LABELLED = "identifier=http://example.org/c|c-hid-{id}"
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
MATCH = {"W": 'W/"1"'}

READS = [
    f"/{place}{tail}"
    for place in ("Patient/{id}", "Task/{id}", "Condition/hid-{id}", "Condition/del-{id}", "ServiceRequest/hid-{id}")
    for tail in ("", "/_history", "/_history/1", "/_history/2", "/_history/3", "/_history?_at=2026", "/$everything")
]
SEARCHES = [
    "/Patient?_id={id}",
    "/Patient?_id={id}&_total=accurate&_summary=count",
    f"/Patient?{MRN}&_total=estimate",
    "/Patient?link={id}",
    "/Patient/{id}/*",
    "/Patient/{id}/Task?_total=accurate",
    "/Patient/{id}/Observation?_sort=-date&_total=accurate&_id=a",
    "/Patient/{id}/AuditEvent",
    "/AuditEvent?patient={id}",
    "/AuditEvent?entity=Patient/{id}&_total=accurate",
    "/?_id={id}",
    "/?_type=Patient,Task&_id={id}&_total=accurate",
    "/Task?_list=lst-{id}&_total=accurate",
    "/Task?patient={id}&_total=accurate",
    "/Task?patient=Patient/{id}&_include=*&_revinclude=*",
    f"/Task?patient.{MRN}",
    f"/Task?subject:Patient.{MRN}",
    "/Task?focus:ServiceRequest.subject:Patient._id={id}",
    "/Task?_filter=patient._id eq {id}",
    "/Task?_filter=not (patient._id eq {id})&_total=accurate",
    "/Task?_has:Communication:about:_id={id}",
    "/Observation?_id=to-{id}&_include=*&_elements=id",
    "/Observation?_id=to-{id}&patient.gender=female",
    "/Observation?_id=to-{id}&patient._security=SUD",
    "/Observation?_id=to-{id}&subject:Patient.gender:missing=false",
    "/Observation?_id=to-{id}&patient._has:Task:patient:status=requested",
    "/Observation?_id=to-{id}&_filter=patient.gender eq female or patient.gender ne female",
    "/Observation?_id=to-{id}&_filter=not (patient.gender pr true)",
    "/Observation?_id=to-{id}&_sort=patient,subject&_elements=id",
    "/Observation?_id=to-{id}&_include:iterate=Observation:patient&_revinclude:iterate=Task:patient&_elements=id",
    "/Observation?_has:Observation:has-member:_id=spy-{id}",
    "/Observation?_has:Observation:has-member:subject:Patient._id={id}",
    "/Organization?_has:Task:owner:patient._id={id}",
    "/Organization?_has:Task:owner:_has:Communication:about:subject=Patient/{id}",
    "/Practitioner?_has:EpisodeOfCare:care-manager:patient={id}",
    "/Organization?_has:Observation:performer:_security=SUD&_id={id}",
    "/Patient?_has:Group:member:_id=grp-{id}",
    "/Patient?_has:Condition:patient:_id=hid-{id}&_total=accurate",
    f"/Patient?_has:Condition:patient:{LABELLED}",
    f"/Patient?_has:Observation:patient:_has:Condition:evidence-detail:{LABELLED}",
    "/Patient?_filter=_has:Condition:patient:_id eq hid-{id}",
    f"/Condition?{LABELLED}&_total=accurate",
    "/Condition?_id=hid-{id},del-{id}&_total=accurate&_sort=code",
    "/Task?focus=ServiceRequest/hid-{id}&_total=accurate",
    "/ServiceRequest?_has:Task:focus:_id=hid-{id}",
    "/Task?_security=SUD&_id={id}",
    "/Patient/{id}/_history?_since=2020-01-01T00:00:00Z&_count=1",
]
WRITES = [
    Path("PUT", "/Patient/{id}", {"resourceType": "Patient", "id": "{id}"}),
    Path("PUT", "/Task/{id}", {"resourceType": "Task", "id": "{id}"}, {"If-Match": 'W/"1"'}),
    Path("PUT", "/Condition/hid-{id}", condition("Condition/hid-{id}", "Patient/a"), {"If-Match": 'W/"9"'}),
    Path("PUT", "/Condition/del-{id}", condition("Condition/del-{id}", "Patient/a")),
    Path("PATCH", "/Patient/{id}", [{"op": "test", "path": "/gender", "value": "female"}], JSON_PATCH),
    Path("PATCH", "/Condition/del-{id}", [{"op": "remove", "path": "/meta/security"}], JSON_PATCH),
    Path("DELETE", "/Patient/{id}"),
    Path("DELETE", "/Condition/hid-{id}", None, {"If-Match": 'W/"1"'}),
    Path("DELETE", "/Condition/del-{id}"),
    Path("DELETE", f"/Patient?{MRN}"),
    Path("DELETE", f"/Condition?{LABELLED}"),
    Path("DELETE", f"/Task?patient.{MRN}"),
    Path("DELETE", "/Task?_security=SUD&_id={id}"),
    Path("PATCH", f"/Patient?{MRN}", [{"op": "replace", "path": "/gender", "value": "male"}], JSON_PATCH),
    Path("PATCH", f"/Condition?{LABELLED}", {"code": {"text": "y"}}, {"Content-Type": "application/merge-patch+json"}),
    Path("PUT", f"/Patient?{MRN}", {"resourceType": "Patient", "id": "{id}"}),
    Path("PUT", f"/Patient?{MRN}", {"resourceType": "Patient"}, {"If-Match": 'W/"1"'}),
    Path("PUT", f"/Condition?{LABELLED}", {"resourceType": "Condition", "id": "hid-{id}", "subject": ref("Patient/a")}),
    Path("POST", "/Goal", goal("Patient/{id}")),
    Path("POST", "/Goal", goal(f"{BASE}/Patient/{{id}}")),
    Path("POST", "/Goal", goal("Patient/{id}/_history/1")),
    Path("POST", "/Goal", goal("Patient/a", addresses=[ref("Condition/hid-{id}")])),
    Path("POST", "/Goal", goal("Patient/a", addresses=[ref("Condition/del-{id}")])),
    Path("POST", "/Task", task_about("Patient/{id}", ECM1)),
    Path("POST", "/Task", task_about("Patient/{id}", CBO1)),
    Path("POST", "/Task", task_about("Patient/a", CBO1, partOf=[ref("Task/{id}")])),
    Path("POST", "/Procedure", make("Procedure/x", status="completed", subject=ref("Patient/{id}"))),
    Path("POST", "/Communication", make("Communication/x", status="completed", subject=ref("Patient/{id}"))),
    Path("POST", "/Coverage", make("Coverage/x", status="active", beneficiary=ref("Patient/{id}"), payor=[ref(PLAN1)])),
    Path("POST", "/Patient/$validate?mode=update", {"resourceType": "Patient", "id": "{id}"}),
    Path("POST", "/Patient/{id}/$validate?mode=delete"),
    Path("POST", "/Condition/$validate?mode=delete", {"resourceType": "Condition", "id": "hid-{id}"}),
    Path("POST", "/Goal/$validate", goal("Patient/{id}")),
    Path("POST", "/Patient/$match", {"resourceType": "Patient", "identifier": [
        {"system": "http://example.org/mrn", "value": "mrn-{id}"}]}),
    Path("POST", "/Patient/{id}/$everything", {"resourceType": "Parameters"}),
]  # fmt: skip
IN_BUNDLES = [
    *(entry("GET", url.lstrip("/")) for url in (*READS[:9], *SEARCHES[:30:3])),
    *(entry(one.method, one.url.lstrip("/"), one.body, **(
        {"ifMatch": one.headers["If-Match"]} if "If-Match" in one.headers else {}))
      for one in WRITES if one.method != "PATCH"),
    entry("POST", "Goal", goal(f"Patient?{MRN}")),
    entry("POST", "Goal", goal("Patient/a", addresses=[ref(f"Condition?{LABELLED}")])),
    entry("POST", "Goal", goal("Patient/a", addresses=[ref("Condition?_security=SUD&_id={id}")])),
    entry("POST", "Goal", goal("Patient/a", addresses=[ref(f"Condition?patient.{MRN}")])),
]  # fmt: skip


def filled(value: Any, one: str) -> Any:
    if isinstance(value, dict):
        return {key: filled(inner, one) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, one) for inner in value]
    return value.replace("{id}", one) if isinstance(value, str) else value


def shown(answer: httpx.Response, one: str) -> tuple[int, str, dict[str, str]]:
    """What a caller sees of an answer, the id that it asked for and what is new in each answer aside."""
    headers = {name: value for name, value in answer.headers.items() if name not in {*VARY, "last-modified"}}
    headers["location"] = _MADE.sub("#", headers.get("location", ""))
    text = _MADE.sub("#", answer.text)
    for name in ("Patient/", "Task/", "hid-", "del-", "to-", "lst-", "spy-", "grp-", "mrn-", "_id=", "_id%3D"):
        text = text.replace(name + one, name + "#")
    return answer.status_code, re.sub(rf"(eq%20|eq |patient=|link=){one}\b", r"\1#", text), headers


async def compared(client: httpx.AsyncClient, path: Path) -> str:
    """ "" where foreign and absent are answered alike, else both answers."""
    sides = []
    for one in "bz":
        url, body, headers = filled(path.url, one), filled(path.body, one), path.headers
        content = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/fhir+json"}
        # AuditEvents hold the request's id.
        answer = await client.request(
            path.method, url, content=content, headers={"X-Request-Id": "same", **kind, **headers}
        )
        assert answer.status_code < 500, (path, answer.text)
        sides.append(shown(answer, one))
    return "" if sides[0] == sides[1] else f"{path.method} {path.url}:\n  {sides[0]}\n  {sides[1]}"


def once_is_enough(store: Store, role: str) -> None:
    if store.db.name == "postgresql" and role not in ON_POSTGRESQL and not os.environ.get("ENLACE_TEST_DEEP"):
        pytest.skip("SQLite has this caller")


@pytest.mark.parametrize(("role", "organization", "person"), CALLERS)
async def test_foreign_is_answered_as_absent(
    people: Store, app_client: AppClient, role: str, organization: str, person: str | None
) -> None:
    once_is_enough(people, role)
    theirs = await app_client("ecm-provider", ECM2)
    assert (await theirs.delete("/Condition/del-b")).status_code == 204
    client = await app_client(role, organization, person)
    paths = [Path("GET", url) for url in (*READS, *SEARCHES)] + WRITES
    paths += [Path("POST", "", bundle("transaction", one)) for one in IN_BUNDLES if one["request"]["method"] != "GET"]
    paths += [Path("POST", "", bundle(kind, *IN_BUNDLES)) for kind in ("batch", "transaction")]
    paths += [Path("POST", "", bundle("transaction", entry("POST", "Goal", goal("Patient/a")), *IN_BUNDLES))]
    told = [text for path in paths if (text := await compared(client, path))]
    assert not told, "\n".join(told)


SUMS = [
    "/?_total=accurate&_count=3",
    "/_history?_count=200",
    "/Patient/a/*?_total=accurate",
    "/Patient/a/$everything",
    "/Condition?_total=accurate&_sort=-code,subject&_count=1",
    "/Condition?_summary=count",
    "/Condition?_filter=not (patient._id eq none)&_total=accurate",
    "/Condition/_history?_at=2026",
    "/Task?_total=accurate&_include=*&_revinclude=*",
    "/Patient?_total=accurate&_revinclude=*",
    "/Patient?_has:Condition:patient:category:text=spy&_total=accurate",
    "/Patient?_has:Condition:patient:category:missing=false&_total=accurate",
    "/Organization?_has:Task:owner:status=requested&_total=accurate",
    "/Organization?_sort=name&_total=estimate&_revinclude=Task:owner&_revinclude=Task:requester",
    "/Practitioner?_revinclude=EpisodeOfCare:care-manager&_include:iterate=EpisodeOfCare:patient",
]
"""Answers that count, sort or gather; Organizations are everyone's, what leads to them is not."""


@pytest.mark.parametrize(("role", "organization", "person"), CALLERS)
async def test_foreign_resources_change_no_sum(
    people: Store, app_client: AppClient, role: str, organization: str, person: str | None
) -> None:
    once_is_enough(people, role)
    client = await app_client(role, organization, person)

    async def sums() -> list[tuple[int, str, dict[str, str]]]:
        return [shown(await client.get(url), "b") for url in SUMS]

    before = await sums()
    told = [{"text": "spy"}]
    for number in range(5):
        await put(
            people,
            condition(f"Condition/n{number}", "Patient/b", category=told),
            condition(f"Condition/s{number}", "Patient/a", meta=SUD, category=told),
            task(f"Task/n{number}", "Patient/b", "ServiceRequest/b", ECM2, CBO2),
            task(f"Task/s{number}", "Patient/a", "ServiceRequest/hid-b", ECM2, CBO2, meta=SUD),
            make(
                f"EpisodeOfCare/s{number}", status="finished", patient=ref("Patient/a"), careManager=ref(LCM2), meta=SUD
            ),
            source=ECM2,
        )
    after = await sums()
    changed = [url for url, one, other in zip(SUMS, before, after, strict=True) if one != other]
    assert not changed
