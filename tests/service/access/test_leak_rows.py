"""Rows of the table of leak channels that no other file proves: ../shared/facts/security.md 2.4.

What is foreign is ECM 2's patient B; what is asked is asked by ECM 1, mostly. tests/service/access/security_rows.py
says where the other rows are.
"""

import asyncio
import json
import os
import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.clock import SystemClock
from service.interactions.receive_hl7v2 import Receiver
from service.main import build
from service.settings import load
from service.store.database import Unavailable
from service.store.engine import Store
from tests.service.adt_world import Sender, adt_world, said
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import (
    CBO1,
    ECM1,
    ECM2,
    LCM1,
    PLAN1,
    PLAN2,
    SUD,
    access_token,
    change_of,
    condition,
    coverage,
    episode,
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


def ids(answer: httpx.Response) -> list[str]:
    entries = answer.json().get("entry", [])
    return sorted(f"{e['resource']['resourceType']}/{e['resource'].get('id')}" for e in entries)


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


async def test_l48_a_merge_moves_no_right(store: Store, app_client: AppClient) -> None:
    """Neither an A40, nor a link that a plan writes: rights follow each record until a person has decided."""
    await adt_world(store)
    send = Sender(store)
    merge = send.adt("A08").replace(b"ADT^A08", b"ADT^A40").replace(b"\rPV1", b"\rMRG|M-91000002A\rPV1")
    await send(merge)
    client = await app_client("ecm-provider", ECM1)
    assert (await client.get("/Patient/rosa")).status_code == 200
    assert (await client.get("/Patient/luis")).status_code == 404
    linked = patient("Patient/rosa", link=[{"other": ref("Patient/luis"), "type": "replaces"}])
    body = linked | {"link": [{"other": ref("Patient/{id}"), "type": "replaced-by"}]}
    assert (await same_answers(client, "PUT", "/Patient/rosa", "luis", json=body)).status_code in (403, 422)
    version = (await store.fetch("SELECT version FROM resource WHERE fhir_id = 'rosa' AND rtype = 'Patient'"))[0][0]
    await store.commit(change_of(store, linked, PLAN1, expect=version))
    assert (await client.get("/Patient/luis")).status_code == 404
    assert ids(await client.get("/Patient?_id=rosa&_include=Patient:link")) == ["Patient/rosa"]


async def test_l50_a_person_of_two_organizations_acts_for_one(world: Store, app_client: AppClient) -> None:
    """No header and no parameter adds the rights of the other one."""
    await put(world, episode("EpisodeOfCare/b1", "Patient/b", ECM2, LCM1), source=PLAN2)
    for organization, ours, other in ((ECM1, "a", "b"), (ECM2, "b", "a")):
        client = await app_client("lcm", organization, LCM1)
        whose = ECM2 if organization == ECM1 else ECM1
        for headers in (
            {},
            {"On-Behalf-Of": whose},
            {"X-On-Behalf-Of": whose, "X-Organization": whose, "X-Medplum-On-Behalf-Of": whose},
            {"X-Patient": f"Patient/{other}", "X-User": LCM1, "Cookie": f"organization={whose}"},
        ):
            assert (await client.get(f"/Patient/{ours}", headers=headers)).status_code == 200
            assert (await client.get(f"/Patient/{other}", headers=headers)).status_code == 404, headers
            found = ids(await client.get("/Patient", headers=headers))
            assert found == [f"Patient/{ours}"], (organization, headers)


ABSENT = (
    ("GET", "/Patient/{id}", None),
    ("GET", "/Patient/{id}/_history", None),
    ("GET", "/Patient/{id}/_history/1", None),
    ("GET", "/Patient/{id}/$everything", None),
    ("GET", "/Patient?_id={id}&_total=accurate", None),
    ("GET", "/Patient?identifier=mrn-{id}", None),
    ("GET", "/Task?patient={id}&_include=*&_revinclude=*", None),
    ("GET", "/Task?patient.identifier=mrn-{id}", None),
    ("GET", "/Patient/{id}/Observation", None),
    ("GET", "/AuditEvent?patient={id}", None),
    ("PUT", "/Observation/{id}", observation("Observation/{id}", "Patient/a")),
    ("DELETE", "/Observation/{id}", None),
    ("POST", "/Observation", {k: v for k, v in observation("Observation/x", "Patient/{id}").items() if k != "id"}),
)


async def test_l51_foreign_costs_as_many_statements_as_absent(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a clock could measure is what the store is asked: the same texts, in the same order."""
    said_: list[str] = []
    real = world.db.fetch

    async def listening(sql: str, *more: Any, **how: Any) -> Any:
        said_.append(re.sub(r"[0-9]+", "#", sql))
        return await real(sql, *more, **how)

    monkeypatch.setattr(world.db, "fetch", listening)
    for role, organization in (("ecm-provider", ECM1), ("mcp", PLAN1), ("cbo", CBO1)):
        client = await app_client(role, organization)
        for method, url, body in ABSENT:
            texts = []
            for fhir_id in "zbz":
                said_.clear()
                sent = None if body is None else json.loads(json.dumps(body).replace("{id}", fhir_id))
                answer = await client.request(method, url.replace("{id}", fhir_id), json=sent)
                texts.append((answer.status_code, list(said_)))
            assert texts[1] == texts[2], (role, method, url)


async def test_l52_no_number_tells_how_much_others_do(world: Store, tmp_path: Path) -> None:
    """Ids, versions, request ids and allowances: fifty foreign requests and writes leave no trace in ours."""
    environ = {"ENLACE_DATABASE_URL": world.url, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "key")}
    app = build(world, load(environ))
    token = await access_token(world, "ecm-provider", ECM1)
    theirs = await access_token(world, "ecm-provider", ECM2)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/fhir") as http:

        async def ours() -> httpx.Response:
            body = {k: v for k, v in observation("Observation/x", "Patient/a").items() if k != "id"}
            return await http.post("/Observation", json=body, headers={"Authorization": f"Bearer {token}"})

        async def others(count: int) -> None:
            for _ in range(count):
                await http.get("/Patient/b", headers={"Authorization": f"Bearer {theirs}"})

        answers = [await ours(), await ours()]
        await others(50)
        answers.append(await ours())
    left = [int(one.headers["X-RateLimit-Remaining"]) for one in answers]
    assert left[0] - left[1] == left[1] - left[2]
    assert [one.headers["ETag"] for one in answers] == ['W/"1"'] * 3
    told = [one.headers["X-Request-Id"] for one in answers]
    assert len(set(told)) == 3 and len({one[:8] for one in told}) == 3, f"request ids in a row: {told}"
    drawn = [SystemClock().new_id() for _ in range(3)]
    assert [uuid.UUID(one).version for one in drawn] == [4] * 3


async def test_l55_a_hospital_learns_nothing_by_posting(store: Store) -> None:
    """Of a member of one provider, of another, and of nobody: one acknowledgement, and the jobs run later."""
    await adt_world(store)
    send, acks = Sender(store), []
    people = (said(), said("91000002A", "Brambleton"), said("99999999A", "Nobodyatall"), said("", "Nobodyatall"))
    for who in people:
        answer = await Receiver(store).receive(send.adt("A01", who, control_id=f"X{len(acks)}"))
        assert answer is not None
        acks.append(re.sub(rb"\|(X[0-9]|[0-9a-f-]{16,40}|[0-9]{14}[^|]*)(?=[|\r])", b"|#", answer))
    assert len(set(acks)) == 1 and b"MSA|AA|#" in acks[0]
    states = {row[0] for row in await store.fetch("SELECT state FROM inbox")}
    assert states == {"stored"}, "decided while the hospital waits"


async def test_l56_what_a_party_adds_is_its_own_and_says_so(world: Store, app_client: AppClient) -> None:
    """Who may not write a type pollutes nobody's record; what is written names who did, and merges into nothing."""
    cbo, hospital = await app_client("cbo", CBO1), await app_client("hospital", "Organization/mercy")
    body = {k: v for k, v in condition("Condition/x", "Patient/a").items() if k != "id"}
    assert (await cbo.post("/Condition", json=body)).status_code == 403
    assert (await hospital.post("/Condition", json=body)).status_code == 403
    assert (await cbo.put("/Observation/a", json=observation("Observation/a", "Patient/a"))).status_code == 404
    result = {"resourceType": "Procedure", "status": "completed", "subject": ref("Patient/a")}
    made = await cbo.post("/Procedure", json=result)
    assert made.status_code == 201
    ecm = await app_client("ecm-provider", ECM1)
    [shown] = (await ecm.get(f"/Provenance?target=Procedure/{made.json()['id']}")).json()["entry"]
    assert CBO1 in json.dumps(shown["resource"]["agent"])
    foreign = {**result, "subject": ref("Patient/b")}
    assert (await cbo.post("/Procedure", json=foreign)).status_code == 422


async def test_l57_what_the_service_says_of_itself_holds_no_data(world: Store, app_client: AppClient) -> None:
    """The same for every caller and before and after writes; OPTIONS of foreign and absent are alike."""
    paths = ("/metadata", "http://test/fhir/.well-known/smart-configuration", "http://test/healthz")
    callers = [
        await app_client("ecm-provider", ECM1),
        await app_client("cbo", CBO1),
        await app_client("hospital", "Organization/mercy"),
    ]

    async def told() -> set[tuple[str, ...]]:
        return {tuple([(await one.get(path)).text for path in paths[:2]]) for one in callers}

    before = await told()
    await put(world, coverage("Coverage/more", "Patient/b", PLAN2), source=PLAN2)
    assert await told() == before and len(before) == 1
    for url in ("/Patient/{id}", "/Patient/{id}/_history/1", "/Observation/{id}"):
        await same_answers(callers[0], "OPTIONS", url, "b")


async def test_l58_what_waits_in_the_store_holds_no_bodies(store: Store) -> None:
    """Jobs, dead or alive, name the message by its number; the message itself lies in the inbox alone."""
    await adt_world(store)
    send = Sender(store)
    who = said("99999998A", "Zqvanary")
    for raw in (send.adt("A01", who), send.adt("A01", who)[:60]):
        await send.receiver.receive(raw)
    rows = await store.fetch("SELECT * FROM job")
    assert rows and "Zqvanary" not in str(rows) and "99999998A" not in str(rows)
