"""Facts of referrals are told with the write, by whatever path, and are those that the raw versions tell."""

from typing import Any

import pytest

from service.access.context import Context
from service.caller import system_caller
from service.store.change import Change
from service.store.engine import Store
from service.store.slots import updated_us
from service.workflow import measure_fill, referral_facts
from tests.service.conftest import AppClient
from tests.service.workflow.measure_world import answered, request, task
from tests.service.world import BASE, CBO1, ECM1, PLAN1, SUD, put

COLUMNS = (
    "task, request, parent, kind, was, status, business, reason, need, service, patient, requester, owner, plan, vid, "
    "at_us, member, labels"
)
REASON = {"text": "full", "coding": [{"system": referral_facts.CLOSURE, "code": "other"}, {"code": "not-appropriate"}]}


async def events(store: Store) -> list[dict[str, Any]]:
    names = COLUMNS.replace(" ", "").split(",")
    rows = await store.fetch(f"SELECT {COLUMNS} FROM referral_event ORDER BY at_us, id")
    return [dict(zip(names, row, strict=True)) for row in rows]


async def posted(client: Any, resource: dict[str, Any]) -> dict[str, Any]:
    body = {name: value for name, value in resource.items() if name != "id"}
    answer = await client.post(f"/{resource['resourceType']}", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def changed(client: Any, old: dict[str, Any], **more: Any) -> dict[str, Any]:
    headers = {"If-Match": f'W/"{old["meta"]["versionId"]}"'}
    answer = await client.put(f"/{old['resourceType']}/{old['id']}", json={**old, **more}, headers=headers)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_each_change_of_a_referral_is_told_with_its_version(world: Store, app_client: AppClient):
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)
    asked = await posted(ecm, request("x", "Patient/a", ECM1, "food-insecurity", "meals-supportive-food"))
    made = await posted(ecm, task("x", "Patient/a", ECM1, CBO1, asked["id"]))
    made = await changed(cbo, made, status="accepted")
    made = await changed(cbo, made, businessStatus={"coding": [{"code": "2.0"}], "text": "on its way"})
    made = await changed(cbo, made, note=[{"text": "nothing that is counted"}])
    made = await changed(cbo, made, status="failed", statusReason=REASON)
    told = await events(world)
    assert [(e["kind"], e["was"], e["status"]) for e in told] == [
        ("request", "", "active"),
        ("opened", "", "requested"),
        ("moved", "requested", "accepted"),
        ("business", "accepted", "accepted"),
        ("moved", "accepted", "failed"),
    ]
    assert {(e["request"], e["need"], e["service"], e["plan"]) for e in told} == {
        (asked["id"], "food-insecurity", "meals-supportive-food", PLAN1)
    }
    assert [e["business"] for e in told[3:]] == ["2.0", "2.0"]
    assert told[-1]["reason"] == "not-appropriate", "what measures ask for goes before the first"
    assert {(e["patient"], e["requester"]) for e in told} == {("Patient/a", ECM1)}
    assert {e["owner"] for e in told[1:]} == {CBO1}
    key = world.keys.resource("Patient/a")
    assert all(e["at_us"] == updated_us(e["vid"]) and e["member"] == key for e in told)
    vids = await world.fetch("SELECT vid FROM version WHERE fhir_id = ? ORDER BY vid", (made["id"],))
    assert [e["vid"] for e in told[1:]] == [vids[place][0] for place in (0, 1, 2, 4)]


async def test_what_is_told_with_the_write_is_what_the_versions_tell(world: Store, app_client: AppClient):
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)
    asked = await posted(ecm, request("x", "Patient/a", ECM1, "food-insecurity", ""))
    draft = await posted(ecm, task("x", "Patient/a", ECM1, CBO1, asked["id"], status="draft"))
    assert [e["kind"] for e in await events(world)] == ["request"], "a draft is no referral"
    opened = await changed(ecm, draft, status="requested")
    await changed(cbo, opened, status="rejected", statusReason=REASON)
    told = await events(world)
    await world.db.execute("DELETE FROM referral_event RETURNING id")
    await measure_fill.settled(world, world.clock.now_us() + 100, BASE)
    again = [e for e in await events(world) if e["request"] == asked["id"]]
    assert again == told and [e["was"] for e in told] == ["", "draft", "requested"]


async def test_a_follow_up_tells_what_the_member_said(world: Store):
    said = {"used-service": True, "still-receiving": False, "applied": True}
    await put(world, answered("f1", "Patient/a", "a", ECM1, said), source=ECM1)
    await put(world, {**answered("f2", "Patient/a", "a", ECM1, said), "code": {"text": "another"}}, source=ECM1)
    await measure_fill.settled(world, world.clock.now_us() + 100, BASE)
    told = [e for e in await events(world) if e["kind"] == "follow-up"]
    assert [(e["task"], e["reason"], e["status"]) for e in told] == [
        ("a", "used-service", "completed"),
        ("a", "no-still-receiving", "completed"),
    ]


async def test_who_acts_for_an_organization_is_counted_as_the_organization(world: Store):
    role = {"resourceType": "PractitionerRole", "id": "r", "organization": {"reference": CBO1}}
    service = {"resourceType": "HealthcareService", "id": "h", "providedBy": {"reference": f"{BASE}/{CBO1}"}}
    await put(world, role, service)
    for name, owner in (("t1", "PractitionerRole/r"), ("t2", "HealthcareService/h"), ("t3", "Practitioner/lcm-1")):
        whole = {"partOf": [{"reference": f"{BASE}/Task/a/_history/1"}]}
        await put(world, task(name, "Patient/a", ECM1, owner, "a", **whole, meta=SUD), source=ECM1)
    await measure_fill.settled(world, world.clock.now_us() + 100, BASE)
    told = {e["task"]: e for e in await events(world) if e["kind"] == "opened"}
    assert [told[name]["owner"] for name in ("t1", "t2", "t3")] == [CBO1, CBO1, "Practitioner/lcm-1"]
    assert told["t1"]["parent"] == "a" and told["t1"]["labels"] != 0 and told["a"]["labels"] == 0


@pytest.mark.parametrize(("code", "service"), [("G9008", "ecm"), ("ecm", "ecm"), ("A1234", "")])
def test_services_by_code(code: str, service: str):
    assert referral_facts.service_of({"code": {"coding": [{"code": code}]}}) == service


async def test_unmet_needs_and_authorizations_are_told_with_their_change(world: Store):
    ctx = Context(world, system_caller(), world.clock.now_us())
    change = Change()
    asked = request("n", "Patient/a", ECM1, "housing-instability", "housing-deposits")
    of_plan = task("n", "Patient/a", ECM1, PLAN1, "n")
    change.writes += [ctx.write(asked, 0), ctx.write(of_plan, 0)]
    await referral_facts.unmet(ctx, change, asked, "no-provider")
    await referral_facts.authorized(ctx, change, of_plan, "approved")
    await world.commit(change)
    told = {e["kind"]: e for e in await events(world)}
    assert (told["unmet"]["task"], told["unmet"]["request"], told["unmet"]["reason"]) == ("", "n", "no-provider")
    assert (told["unmet"]["need"], told["unmet"]["service"]) == ("housing-instability", "housing-deposits")
    assert (told["authorized"]["task"], told["authorized"]["reason"], told["authorized"]["owner"]) == (
        *("n", "approved"),
        PLAN1,
    )
    assert all(e["at_us"] == updated_us(e["vid"]) for e in told.values())
