"""Whom a referral lets in, and what it tells whom: the attacker's eye on forwarding, open pools, rules, partners."""

from typing import Any

from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.caller import system_caller
from service.store.change import Change
from service.store.engine import Store
from service.workflow import derived
from tests.service.conftest import AppClient
from tests.service.world import BASE, CBO1, CBO2, ECM1, make, put, ref, request, task

POSTGRESQL_IN_DEEP = True
REFERRER = "Organization/referrer"


def posted(resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "id"} | more


async def test_who_fulfils_a_task_hands_the_member_on_under_no_request_of_another_server(
    world: Store, app_client: AppClient
) -> None:
    one, other = await app_client("cbo", CBO1), await app_client("cbo", CBO2)
    for focus in ("https://elsewhere.example.org/fhir/ServiceRequest/1", "urn:x:ServiceRequest/1", "#ServiceRequest/"):
        more = {"contained": [{"resourceType": "ServiceRequest", "id": "ServiceRequest"}]} if focus[0] == "#" else {}
        body = posted(task("Task/x", "Patient/a", focus, CBO1, CBO2), **more)
        assert (await one.post("/Task", json=body)).status_code in (400, 403, 422), focus
        assert (await other.get("/Patient/a")).status_code == 404, focus


async def test_what_the_service_writes_gives_nobody_what_its_own_write_did_not(
    world: Store, app_client: AppClient
) -> None:
    await put(world, make(REFERRER, name="referrer", active=True), source=ECM1)
    await put(world, make("PractitionerRole/r", organization=ref(REFERRER)), source=REFERRER)
    await put(world, task("Task/in", "Patient/a", "ServiceRequest/a", ECM1, REFERRER), source=ECM1)
    client = await app_client("referrer", REFERRER)
    made = await client.post("/ServiceRequest", json=posted(request("ServiceRequest/x", "Patient/a", REFERRER)))
    assert made.status_code == 201, made.text
    name = f"ServiceRequest/{made.json()['id']}"
    sent = await client.post("/Task", json=posted(task("Task/x", "Patient/a", name, "PractitionerRole/r", REFERRER)))
    assert sent.status_code == 201, sent.text
    own = world.keys.resource(f"Task/{sent.json()['id']}")
    sql = "SELECT role FROM panel WHERE source = ? AND subject = ? AND role = 'task-owner'"
    assert await world.fetch(sql, (own, world.keys.resource(REFERRER))) == []
    ctx = Context(world, system_caller(), world.clock.now_us(), Behaviour(base_url=BASE))
    found = await ctx.resource(f"Task/{sent.json()['id']}")
    assert found is not None
    change = Change()
    await derived.put(ctx, change, {**found[0], "extension": []} | {"description": "x"}, found[1], "test")
    await world.commit(change)
    assert await world.fetch(sql, (own, world.keys.resource(REFERRER))) == []


async def test_who_claims_an_open_referral_reaches_its_member(world: Store, app_client: AppClient) -> None:
    await put(world, request("ServiceRequest/o", "Patient/a", ECM1), source=ECM1)
    body = task("Task/o", "Patient/a", "ServiceRequest/o", ECM1, None) | {"restriction": {"recipient": [ref(CBO2)]}}
    made = await (await app_client()).post("/Task", json=posted(body))
    cbo = await app_client("cbo", CBO2)
    path = f"/Task/{made.json()['id']}"
    seen = (await cbo.get(path)).json()
    taken = await cbo.put(path, json=seen | {"status": "accepted", "owner": ref(CBO2)}, headers={"If-Match": 'W/"1"'})
    assert taken.status_code == 200, taken.text
    assert (await cbo.get("/Patient/a")).status_code == 200


async def test_an_open_referral_names_no_member_to_its_candidates(world: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    named = request("ServiceRequest/o", "Patient/a", ECM1, subject=ref("Patient/a", display="Made Up"))
    sr = (await ecm.post("/ServiceRequest", json=posted(named))).json()
    open_ = posted(task("Task/o", "Patient/a", f"ServiceRequest/{sr['id']}", ECM1, None))
    open_ |= {"restriction": {"recipient": [ref(CBO2)]}}
    told = await ecm.post("/Task", json=open_ | {"for": ref("Patient/a", identifier={"value": "CIN"})})
    assert told.status_code == 422 and "Task.for says" in told.text and "ServiceRequest.subject says" in told.text
    asked = {"resourceType": "Parameters", "parameter": [{"name": "candidate", "valueReference": ref(CBO2)}]}
    assert (await ecm.post(f"/ServiceRequest/{sr['id']}/$refer", json=asked)).status_code == 422
    bare = posted(named, subject=ref("Patient/a"))
    sr = (await ecm.post("/ServiceRequest", json=bare)).json()
    open_["focus"] = ref(f"ServiceRequest/{sr['id']}")
    assert (await ecm.post("/Task", json=open_)).status_code == 201
    assert "Made Up" not in (await (await app_client("cbo", CBO2)).get(f"/ServiceRequest/{sr['id']}")).text
