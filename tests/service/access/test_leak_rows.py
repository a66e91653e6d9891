"""Rows of the table of leak channels that no other file proves: ../shared/facts/security.md 2.4.

What is foreign is ECM 2's patient B; what is asked is asked by ECM 1, mostly. tests/service/access/security_rows.py
says where the other rows are.
"""

import asyncio
import json
import os
from typing import Any

import httpx
import pytest

from service.store.database import Unavailable
from service.store.engine import Store
from tests.service.access.answered import ids
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import (
    ECM1,
    ECM2,
    PLAN1,
    SUD,
    condition,
    make,
    observation,
    patient,
    put,
    ref,
    task,
)

POSTGRESQL_IN_DEEP = True
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
Resource = dict[str, Any]
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


async def test_l05_l06_a_hundred_foreign_resources_change_no_total(world: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM1)
    ways = ("_total=accurate", "_total=estimate", "_summary=count", "_total=accurate&_count=1", "_id:missing=false")
    asked = [f"/{rtype}?{how}" for rtype in ("Patient", "Task", "Observation", "Condition") for how in ways]

    async def told() -> list[tuple[Any, list[str]]]:
        answers = [await client.get(path) for path in asked]
        return [(one.json().get("total"), ids(one)) for one in answers]

    before = await told()
    assert before[0][0] == 1 and all("/b" not in one for _, found in before for one in found)
    foreign = [patient(f"Patient/f{n}") for n in range(25)]
    foreign += [task(f"Task/f{n}", f"Patient/f{n}", "ServiceRequest/b", ECM2, None) for n in range(25)]
    foreign += [observation(f"Observation/f{n}", f"Patient/f{n}") for n in range(25)]
    foreign += [condition(f"Condition/f{n}", "Patient/a", meta=SUD) for n in range(25)]
    await put(world, *foreign, source=ECM2)
    assert await told() == before
    assert (await (await app_client("ecm-provider", ECM2)).get("/Task?_summary=count")).json()["total"] == 26


async def test_l14_what_is_contained_goes_with_its_container(world: Store, app_client: AppClient) -> None:
    """A contained diagnosis labels the whole, is found by nobody as a resource, and is gone with what holds it."""
    label = {"resourceType": "Condition", "id": "c1", "meta": SUD, "subject": ref("Patient/a"), "code": {"text": "zq"}}
    inner = {**label, "meta": {}}
    await put(
        world,
        observation("Observation/hid", "Patient/a", contained=[label], focus=[ref("#c1")]),
        observation("Observation/theirs", "Patient/b", contained=[inner], focus=[ref("#c1")]),
        source=ECM2,
    )
    client = await app_client("ecm-provider", ECM1)
    for path in ("/Observation/hid", "/Observation/theirs", "/Condition/c1", "/Observation/hid/_history/1"):
        assert (await client.get(path)).status_code == 404, path
    for path in (
        "/Observation?_id=hid,theirs&_total=accurate",
        "/Condition?_id=c1&_total=accurate",
        "/Condition?code:text=zq&_total=accurate",
        "/Observation?focus:Condition.code:text=zq&_total=accurate",
    ):
        answer = await client.get(path)
        assert answer.json().get("total", 0) == 0 and "zq" not in answer.text.replace(path[1:], "").replace(
            "text=zq", ""
        ), path
    theirs = await app_client("ecm-provider", ECM2)
    assert (await theirs.get("/Observation/hid")).json()["contained"][0]["id"] == "c1"


async def test_l22_lists_and_groups_name_nobody_foreign(world: Store, app_client: AppClient) -> None:
    """A Group is its author's alone; what a List of ours holds is checked at the write; includes do not follow."""
    await put(
        world,
        make(
            "Group/g", type="person", actual=True, member=[{"entity": ref("Patient/a")}, {"entity": ref("Patient/b")}]
        ),
        make("List/b", status="current", mode="working", subject=ref("Patient/b"), entry=[{"item": ref("Patient/a")}]),
        source=ECM2,
    )
    client = await app_client("ecm-provider", ECM1)
    for path in ("/Group/g", "/List/b", "/Group/g/_history", "/List/b/_history/1"):
        assert (await client.get(path)).status_code == 404, path
    for path in ("/Patient?_id=a&_revinclude=Group:member&_revinclude=List:item", "/Patient?_has:Group:member:_id=g"):
        assert not [one for one in ids(await client.get(path)) if not one.startswith("Patient/a")], path
    body = {"resourceType": "List", "status": "current", "mode": "working", "subject": ref("Patient/a")}
    refused = await same_answers(client, "POST", "/List", "b", json={**body, "entry": [{"item": ref("Patient/{id}")}]})
    assert refused.status_code == 422
    group = {"resourceType": "Group", "type": "person", "actual": True, "member": [{"entity": ref("Patient/{id}")}]}
    assert (await same_answers(client, "POST", "/Group", "b", json=group)).status_code == 422
    team = {"resourceType": "CareTeam", "status": "active", "subject": ref("Patient/{id}")}
    assert (await same_answers(client, "POST", "/CareTeam", "b", json=team)).status_code == 422


async def test_l28_l29_preconditions_come_after_visibility(world: Store, app_client: AppClient) -> None:
    """No 412, 409, 410 or 422 of a foreign resource: whatever version is named, it is absent."""
    client = await app_client("ecm-provider", ECM1)
    theirs = await app_client("ecm-provider", ECM2)
    for _ in range(2):
        patched = await theirs.patch(
            "/Observation/b",
            content=json.dumps([{"op": "add", "path": "/note", "value": [{"text": "n"}]}]),
            headers=JSON_PATCH,
        )
        assert patched.status_code == 200
    for tag in ('W/"1"', 'W/"2"', 'W/"9"', "*", 'W/"x"'):
        for header in ("If-Match", "If-None-Match"):
            more: Resource = {"headers": {header: tag}}
            await same_answers(client, "GET", "/Observation/{id}", "b", **more)
            body = {"json": {**observation("Observation/{id}", "Patient/a")}}
            await same_answers(client, "PUT", "/Observation/{id}", "b", **more, **body)
            gone = await same_answers(client, "DELETE", "/Observation/{id}", "b", **more)
            assert gone.status_code in (404, 204), tag
            patch = {"content": '[{"op":"test","path":"/status","value":"final"}]'}
            answer = await same_answers(
                client, "PATCH", "/Observation/{id}", "b", headers={header: tag, **JSON_PATCH}, **patch
            )
            assert answer.status_code == 404, tag
    assert (await theirs.get("/Observation/b")).status_code == 200


async def test_l32_one_foreign_entry_of_many_is_told_as_an_absent_one(world: Store, app_client: AppClient) -> None:
    """Wherever it stands among good entries, and nothing of the others is written."""
    client = await app_client("ecm-provider", ECM1)
    good = {"resource": {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "x"}}}
    good["resource"]["subject"] = ref("Patient/a")
    good["request"] = {"method": "POST", "url": "Goal"}
    bad: list[Resource] = [
        {"request": {"method": "GET", "url": "Patient/{id}"}},
        {"request": {"method": "DELETE", "url": "Observation/{id}"}},
        {
            "request": {"method": "POST", "url": "Goal"},
            "resource": {**good["resource"], "subject": ref("Patient/{id}")},
        },
        {
            "request": {"method": "PUT", "url": "Observation/{id}", "ifMatch": 'W/"1"'},
            "resource": observation("Observation/{id}", "Patient/a"),
        },
    ]
    for one in bad:
        for place in (0, 1, 2):
            entries = [good, good]
            entries.insert(place, one)
            body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answers = []
            for fhir_id in "bz":
                text = json.dumps(body).replace("{id}", fhir_id)
                answers.append(await client.post("", content=text, headers={"Content-Type": "application/fhir+json"}))
            first, second = answers
            assert first.status_code == second.status_code, one
            if first.status_code >= 400:
                assert first.text.replace("/b", "/z") == second.text.replace("/b", "/z"), one
    written = (await client.get("/Goal?_summary=count")).json()["total"]
    reads = sum(1 for one in bad if one["request"]["method"] in ("GET", "DELETE"))
    assert written % 2 == 0 and written <= reads * 3 * 2 * 2


ROUNDS = 1_000 if DEEP else 25
SHARED = (
    "/Patient/a",
    "/Patient/b",
    "/Patient?_total=accurate",
    "/Task?_sort=_id&_include=*",
    "/Observation/a/_history",
    "/Patient/a/$everything",
)


async def test_l45_two_callers_of_one_url_get_each_their_own(world: Store, app_client: AppClient) -> None:
    """At the same moment, with each other's entry tags: no answer and no 304 of one reaches the other."""
    callers = [await app_client("ecm-provider", ECM1), await app_client("ecm-provider", ECM2)]

    def shown(answer: httpx.Response) -> tuple[int, list[str]]:
        body = answer.json()
        return answer.status_code, ids(answer) if body["resourceType"] == "Bundle" else [body.get("id", "")]

    alone = {(who, path): shown(await callers[who].get(path)) for who in (0, 1) for path in SHARED}
    assert alone[0, "/Patient/a"][0] == 200 and alone[1, "/Patient/a"][0] == 404
    tags = {"If-None-Match": 'W/"1"', "If-Modified-Since": "Sun, 01 Jan 2040 00:00:00 GMT"}
    for number in range(ROUNDS):
        path = SHARED[number % len(SHARED)]
        answers = await asyncio.gather(*(callers[n % 2].get(path) for n in range(4)))
        for n, answer in enumerate(answers):
            assert answer.headers["Cache-Control"] == "no-store"
            assert shown(answer) == alone[n % 2, path]
        if alone[1, path][0] == 404:
            assert (await callers[1].get(path, headers=tags)).status_code == 404
        if alone[0, path][0] == 404:
            assert (await callers[0].get(path, headers=tags)).status_code == 404


READS = (
    "/Patient/a",
    "/Patient/a/_history",
    "/Patient/a/_history/1",
    "/Patient?_total=accurate&_revinclude=*",
    "/Task?patient.gender=female&_include=*",
    "/Patient/a/$everything",
    "/?_type=Patient,Task",
    "/AuditEvent?patient=a",
)
WORDS = ("Made", "weight", "mrn-a", '"Patient"')


@pytest.mark.parametrize("fault", [Unavailable("gone"), RuntimeError("broken")])
async def test_l46_what_cannot_be_decided_is_not_shown(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """The store fails at each statement of a request in turn: token, directory, panel, consents, facts, audit."""
    client = await app_client("ecm-provider", ECM1)
    for path in READS:
        real, count, at = world.db.fetch, 0, 0

        async def failing(sql: str, *more: Any, real: Any = real, **how: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:  # noqa: B023 (as it stands at the call)
                raise fault
            return await real(sql, *more, **how)

        with monkeypatch.context() as patched:
            patched.setattr(world.db, "fetch", failing)
            await client.get(path)  # what the process reads once
            count = 0
            whole = await client.get(path)
            statements = count
            assert whole.status_code == 200 and statements >= 2, path
            for at in range(1, statements + 1):
                count = 0
                answer = await client.get(path)
                assert answer.status_code in (500, 503), (path, at, answer.status_code)
                assert not [word for word in WORDS if word in answer.text], (path, at)
        assert (await client.get(path)).status_code == 200


async def test_l46_without_rows_of_a_panel_nothing_is_shown(world: Store, app_client: AppClient) -> None:
    """An empty table of rights is no right."""
    client = await app_client("mcp", PLAN1)
    await put(world, observation("Observation/x", "Patient/a"), source=ECM2)
    assert (await client.get("/Task/a")).status_code == 200
    await world.db.execute("DELETE FROM panel RETURNING subject")
    assert (await client.get("/Task/a")).status_code == 404
    assert (await client.get("/Task?_total=accurate")).json()["total"] == 0
