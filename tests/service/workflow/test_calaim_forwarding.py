"""Rule forward-on-approval: what a plan approves goes to the provider that the request names, once, and as its own."""

from typing import Any

import pytest

from service.access.context import Context, Settings
from service.caller import system_caller
from service.search.restriction import EVERYTHING
from service.store import read, timers
from service.store.change import Stale
from service.store.engine import Store
from service.workflow import calaim_forwarding
from service.workflow.referral_law import RULE
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.workflow.calaim_world import coded, parameters
from tests.service.workflow.chain_world import forward
from tests.service.workflow.test_calaim_overlap import again
from tests.service.workflow.test_calaim_work import drained
from tests.service.world import BASE, CBO1, CBO2, ECM1, PLAN1, SUD, Resource, change_of, make, put, ref, request, task

POSTGRESQL_IN_DEEP = True
DECISION = parameters(outcome="approved", number="1", period={"start": "2026-03-09", "end": "2026-05-31"})
FOOD = make("HealthcareService/food", active=True, providedBy=ref(CBO1), name="food")


async def ruled(store: Store) -> None:
    head = (await read.heads(store, [PLAN1], EVERYTHING)).get(PLAN1)
    body = make(PLAN1, active=True, name="plan-1", extension=[{"url": RULE, "valueCode": "forward-on-approval"}])
    await store.commit(change_of(store, body, "Organization/op", expect=head.version if head else 0))
    await put(store, FOOD, source="Organization/op")


async def approved(store: Store, app_client: AppClient, *performers: str, **more: Any) -> str:
    """Id of the plan's Task, and of the request."""
    number = store.clock.new_id()
    asks = {"code": coded("meals-supportive-food"), "performer": [ref(one) for one in performers], **more}
    body = request(f"ServiceRequest/{number}", "Patient/a", ECM1, **asks)
    sent = task(f"Task/{number}", "Patient/a", f"ServiceRequest/{number}", ECM1, PLAN1, priority="urgent")
    await put(store, body, sent, source=ECM1)
    plan = await app_client("mcp", PLAN1)
    answer = await plan.post(f"/Task/{number}/$authorize", json=DECISION)
    assert answer.status_code == 200, answer.text
    return number


async def parts(store: Store, number: str) -> list[Resource]:
    found = (await resources(store, "Task")).values()
    whole = {"reference": f"Task/{number}"}
    return [one for one in found if whole in one.get("partOf", ()) and one["focus"] != whole]


async def test_the_provider_is_asked_once_by_the_plan(world: Store, app_client: AppClient) -> None:
    await ruled(world)
    number = await approved(world, app_client, CBO1, "HealthcareService/food", patientInstruction="Bring a bag")
    await drained(world)
    (part,) = await parts(world, number)
    assert (part["owner"]["reference"], part["requester"]) == (CBO1, ref(PLAN1)) and part["priority"] == "urgent"
    own = (await resources(world, "ServiceRequest"))[part["focus"]["reference"].partition("/")[2]]
    assert own["intent"] == "filler-order" and own["basedOn"] == [ref(f"ServiceRequest/{number}")]
    assert [one["reference"] for one in own["performer"]] == [CBO1, "HealthcareService/food"]
    assert own["patientInstruction"] == "Bring a bag"
    cbo, plan = await app_client("cbo", CBO1), await app_client("mcp", PLAN1)
    for client in (cbo, plan):
        for name in (f"Task/{part['id']}", f"ServiceRequest/{own['id']}"):
            assert (await client.get(f"/{name}")).status_code == 200, name
    rows = await world.fetch("SELECT count(*) FROM audit WHERE reason = 'forward-on-approval'")
    assert rows[0][0] == 2, "each version names the rule"
    assert not [one for one in await timers.listed(world, "", "running", 100) if "hand-off" in one.kind]
    ctx = Context(world, system_caller(), world.clock.now_us(), Settings(base_url=BASE))
    assert (await calaim_forwarding.forward(ctx, {"task": f"Task/{number}"})).writes == []
    change = parameters(
        outcome="approved-modified", number="1", reason="more", period={"start": "2026-03-09", "end": "2026-06-30"}
    )
    assert (await plan.post(f"/Task/{number}/$authorize", json=change)).status_code == 200
    await drained(world)
    assert len(await parts(world, number)) == 1
    await again(cbo, part, status="accepted")
    await drained(world)
    assert "accepted" in str((await resources(world, "Task"))[number]["businessStatus"])


@pytest.mark.parametrize(
    ("performers", "rule"),
    [((), True), ((CBO1, CBO2), True), ((PLAN1,), True), (("Practitioner/lcm-1",), True), ((CBO1,), False)],
)
async def test_where_nobody_or_several_are_named_a_person_forwards(
    world: Store, app_client: AppClient, performers: tuple[str, ...], rule: bool
) -> None:
    if rule:
        await ruled(world)
    number = await approved(world, app_client, *performers)
    await drained(world)
    assert await parts(world, number) == []
    assert rule or not await world.fetch("SELECT 1 FROM job WHERE kind = 'calaim.forward'")


async def test_the_consents_of_the_member_hold(world: Store, app_client: AppClient) -> None:
    await ruled(world)
    number = await approved(world, app_client, CBO1)
    body = (await resources(world, "ServiceRequest"))[number] | {"meta": SUD}
    await world.commit(change_of(world, body, ECM1, expect=1))
    await drained(world)
    assert await parts(world, number) == []


async def test_a_person_who_forwards_meanwhile_is_first(world: Store, app_client: AppClient) -> None:
    await ruled(world)
    number = await approved(world, app_client, CBO1)
    ctx = Context(world, system_caller(), world.clock.now_us(), Settings(base_url=BASE))
    late = await calaim_forwarding.forward(ctx, {"task": f"Task/{number}"})
    assert len(late.writes) == 2
    await forward(await app_client("mcp", PLAN1), CBO2, parent=f"Task/{number}")
    with pytest.raises(Stale):
        await world.commit(late)
    await drained(world)
    assert [one["owner"]["reference"] for one in await parts(world, number)] == [CBO2]
