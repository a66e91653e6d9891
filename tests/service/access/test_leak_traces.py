"""Rows L48 to L58 of ../shared/facts/security.md 2.4 that no other file proves: rights that move, and traces.

What is foreign is ECM 2's patient B; what is asked is asked by ECM 1, mostly.
"""

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
from service.store.engine import Store
from tests.service.access.answered import ids
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
    access_token,
    change_of,
    condition,
    coverage,
    episode,
    observation,
    patient,
    put,
    ref,
)

POSTGRESQL_IN_DEEP = True
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
Resource = dict[str, Any]
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


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
