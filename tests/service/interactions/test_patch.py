"""patch: the three formats through HTTP, the way of an update, what a receiving party may change of a Task."""

import asyncio
from typing import Any

import orjson
import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.patching.samples import parameters
from tests.service.world import CBO1, SUD, condition, make, put, ref

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
FHIR = {"Content-Type": "application/fhir+json"}
AMENDED = [{"op": "replace", "path": "/status", "value": "amended"}]
PARAMETERS = parameters({"type": "replace", "path": "Observation.status", "value": {"valueCode": "amended"}})
XML = (
    b'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
    b'<part><name value="type"/><valueCode value="replace"/></part>'
    b'<part><name value="path"/><valueString value="Observation.status"/></part>'
    b'<part><name value="value"/><valueCode value="amended"/></part></parameter></Parameters>'
)

POSTGRESQL_IN_DEEP = True


def tag(version: int) -> dict[str, str]:
    return {"If-Match": f'W/"{version}"'}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (orjson.dumps(AMENDED), {"Content-Type": "application/json-patch+json; charset=UTF-8"}),
        (orjson.dumps(AMENDED), {"Content-Type": "application/json"}),
        (b'{"status":"amended"}', MERGE),
        (b'{"status":"amended"}', {"Content-Type": "application/json"}),
        (orjson.dumps(PARAMETERS), FHIR),
        (orjson.dumps(PARAMETERS), {"Content-Type": "application/json"}),
        (XML, {"Content-Type": "application/fhir+xml"}),
    ],
)
async def test_a_patch_makes_a_version(
    world: Store, app_client: AppClient, body: bytes, headers: dict[str, str]
) -> None:
    client = await app_client()
    before = (await client.get("/Observation/a")).json()
    answer = await client.patch("/Observation/a", content=body, headers=headers)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"'), answer.text
    assert answer.headers["location"].endswith("/fhir/Observation/a/_history/2")
    assert {**answer.json(), "meta": 0} == {**before, "status": "amended", "meta": 0}
    again = await client.patch("/Observation/a", content=body, headers=headers)
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"2"')
    rows = await world.fetch("SELECT action, kind, target, patients FROM audit ORDER BY seq DESC LIMIT 2")
    assert [tuple(row) for row in rows] == [
        ("U", "update-unchanged", "Observation/a", "Patient/a"),
        ("U", "patch", "Observation/a", "Patient/a"),
    ]


async def test_prefer_and_content_types(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    quiet = await client.patch("/Observation/a", json=AMENDED, headers={**JSON_PATCH, "Prefer": "return=minimal"})
    assert (quiet.status_code, quiet.content) == (200, b"") and quiet.headers["etag"] == 'W/"2"'
    other = await client.patch("/Observation/a", json=AMENDED, headers={**JSON_PATCH, "Prefer": "return=presentation"})
    assert other.json()["status"] == "amended"
    for headers in (FHIR, {"Content-Type": "text/plain"}, {"Content-Type": "application/xml-patch+xml"}):
        answer = await client.patch("/Observation/a", json=AMENDED, headers=headers)
        assert answer.status_code == 415 and "application/merge-patch+json" in answer.headers["accept-patch"]


async def test_faults_of_all_operations_at_once(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    rows = [
        {"op": "test", "path": "/status", "value": "draft"},
        {"op": "remove", "path": "/note/0"},
        {"op": "replace", "path": "/code/text", "value": "x"},
    ]
    answer = await client.patch("/Observation/a", json=rows, headers=JSON_PATCH)
    issues = answer.json()["issue"]
    assert answer.status_code == 422 and [i["diagnostics"].split(":")[0] for i in issues] == [
        "operation[0] (test)",
        "operation[1] (remove)",
    ]
    assert issues[0]["expression"] == ["Observation.status"]
    malformed = await client.patch("/Observation/a", json=[{"op": "x"}, {}], headers=JSON_PATCH)
    assert malformed.status_code == 400 and len(malformed.json()["issue"]) == 2
    assert (await client.get("/Observation/a")).headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("patch", "status", "place"),
    [
        ({"status": "nonsense"}, 422, "Observation.status"),
        ({"status": None}, 400, "Observation.status"),
        ({"shoe": 1}, 400, "Observation.shoe"),
        ({"subject": {"reference": "Patient/zz"}}, 422, "Observation"),
        ({"focus": [{"reference": "Condition/b"}]}, 422, "Observation.focus[0]"),
        ({"id": "other"}, 422, "Observation.id"),
        ({"resourceType": "Condition"}, 422, "Observation.resourceType"),
    ],
)
async def test_the_result_is_checked_as_an_update(
    world: Store, app_client: AppClient, patch: dict[str, Any], status: int, place: str
) -> None:
    client = await app_client()
    answer = await client.patch("/Observation/a", json=patch, headers=MERGE)
    assert answer.status_code == status, answer.text
    assert place in [e for issue in answer.json()["issue"] for e in issue.get("expression", [])]


async def test_the_version_is_the_services_own(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    rows = [
        {"op": "test", "path": "/meta/versionId", "value": "1"},
        {"op": "replace", "path": "/meta/versionId", "value": "9"},
    ]
    same = await client.patch("/Observation/a", json=rows, headers=JSON_PATCH)
    assert (same.status_code, same.headers["etag"]) == (200, 'W/"1"')
    done = await client.patch("/Observation/a", json=[*rows, *AMENDED], headers=JSON_PATCH)
    assert done.json()["meta"]["versionId"] == "2"


async def test_foreign_is_absent_and_deleted_is_gone(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for rtype in ("Observation", "Task", "Patient", "CareTeam"):
        for headers in (MERGE, {**MERGE, **tag(1)}, {**MERGE, **tag(9)}):
            answer = await same_answers(client, "PATCH", f"/{rtype}/{{id}}", "b", json={}, headers=headers)
            assert answer.status_code == 404
    refused = {"focus": [{"reference": "Condition/{id}"}]}
    assert (await same_answers(client, "PATCH", "/Observation/a", "b", json=refused, headers=MERGE)).status_code == 422
    assert (await client.delete("/Observation/a")).status_code == 204
    assert (await client.patch("/Observation/a", json={}, headers=MERGE)).status_code == 410


async def test_only_the_author_and_labels_stay(world: Store, app_client: AppClient) -> None:
    await put(world, condition("Condition/theirs", "Patient/a"), source="Organization/ecm-2")
    goal = {"lifecycleStatus": "active", "description": {"text": "d"}, "subject": ref("Patient/a")}
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}]}
    await put(world, make("Goal/g", **goal, meta=label), source="Organization/ecm-2")
    client = await app_client()
    assert (await client.patch("/Condition/theirs", json={"code": None}, headers=MERGE)).status_code == 403
    bare = await client.patch("/Goal/g", json={"meta": {"security": None}, "note": [{"text": "x"}]}, headers=MERGE)
    assert bare.status_code == 200 and bare.json()["meta"]["security"] == label["security"]
    own = await client.patch("/Condition/a", json={"meta": SUD}, headers=MERGE)
    assert own.json()["meta"]["security"] == SUD["security"]


async def test_a_cbo_changes_the_status_of_its_task_alone(world: Store, app_client: AppClient) -> None:
    """If-Match is law here too, a test operation does not stand for it; steps and fixed elements are those of PUT."""
    cbo = await app_client("cbo", CBO1)
    accept = [
        {"op": "test", "path": "/status", "value": "requested"},
        {"op": "replace", "path": "/status", "value": "accepted"},
    ]
    assert (await cbo.patch("/Task/a", json=accept, headers=JSON_PATCH)).status_code == 428
    leap = [{"op": "replace", "path": "/status", "value": "completed"}]
    assert (await cbo.patch("/Task/a", json=leap, headers={**JSON_PATCH, **tag(1)})).status_code == 422
    fixed = [{"op": "replace", "path": "/intent", "value": "plan"}]
    assert (await cbo.patch("/Task/a", json=fixed, headers={**JSON_PATCH, **tag(1)})).status_code == 422
    done = await cbo.patch("/Task/a", json=accept, headers={**JSON_PATCH, **tag(1)})
    assert (done.status_code, done.json()["status"], done.headers["etag"]) == (200, "accepted", 'W/"2"')
    stale = await cbo.patch("/Task/a", json=accept, headers={**JSON_PATCH, **tag(1)})
    assert stale.status_code == 412 and stale.headers["etag"] == 'W/"2"'
    lists = {**JSON_PATCH, "If-Match": 'W/"1", W/"2"', "If-None-Match": 'W/"2"'}
    assert (await cbo.patch("/Task/a", json=accept, headers=lists)).status_code == 412


async def test_scope_and_role(world: Store, app_client: AppClient) -> None:
    reader = await app_client(scopes="system/Observation.crds")
    assert (await reader.patch("/Observation/a", json=AMENDED, headers=JSON_PATCH)).status_code == 403
    plan = await app_client("mcp", "Organization/plan-1")
    assert (await plan.patch("/Observation/a", json=AMENDED, headers=JSON_PATCH)).status_code == 403


async def test_digits_of_decimals_survive_a_patch(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    text = '{"valueQuantity":{"value":1.500},"referenceRange":[{"low":{"value":0.00000010}}]}'
    first = await client.patch("/Observation/a", content=text, headers=MERGE)
    second = await client.patch("/Observation/a", json=AMENDED, headers=JSON_PATCH)
    for answer in (first, second):
        assert b'"value":1.500}' in answer.content and b'"value":0.00000010}' in answer.content


async def test_parallel_appends_are_all_kept(world: Store, app_client: AppClient) -> None:
    """A patch without If-Match is applied again to what another one made."""
    client = await app_client()
    await client.patch("/Observation/a", json={"note": [{"text": "first"}]}, headers=MERGE)

    async def append(number: int) -> int:
        rows = [{"op": "add", "path": "/note/-", "value": {"text": str(number)}}]
        return (await client.patch("/Observation/a", json=rows, headers=JSON_PATCH)).status_code

    statuses = await asyncio.gather(*(append(n) for n in range(8)))
    notes = (await client.get("/Observation/a")).json()["note"]
    assert set(statuses) <= {200, 409} and len(notes) == 1 + statuses.count(200) > 1
