"""The checklist of a member whose care nobody leads: the plan has it, until there is a care manager again."""

import pytest

from service.store.change import Change, Job
from service.store.engine import Store
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.workflow.made_up import adt
from tests.service.workflow.tcs_world import DAY, Stay, drain, hospital, plans, tasks
from tests.service.world import LCM2, PLAN1, PLAN2, change_of, coverage

POSTGRESQL_IN_DEEP = True
IN, OUT = adt("A01", 0, "I"), adt("A03", 60, "I", disposition="HOME")


@pytest.fixture
async def stay(world: Store) -> Stay:
    await hospital(world)
    return Stay(world)


async def change(app_client: AppClient, reference: str, **elements: object) -> None:
    client = await app_client("mcp", PLAN1)
    answer = await client.get(f"/{reference}")
    put = await client.put(f"/{reference}", json=answer.json() | elements, headers={"If-Match": answer.headers["ETag"]})
    assert put.status_code == 200, put.text


async def owners(store: Store) -> set[str]:
    await drain(store)
    [plan] = await plans(store)
    found = {(t.get("owner") or {}).get("reference", "") for t in (await tasks(store, plan)).values()}
    assert found == {(plan.get("author") or {}).get("reference", "")}
    return found


async def test_after_a_disenrollment_a_discharge_is_the_plans(world: Store, stay: Stay, app_client: AppClient) -> None:
    await stay.hears(IN)
    await change(app_client, "EpisodeOfCare/a", status="finished")
    await stay.hears(OUT)
    assert await owners(world) == {PLAN1}
    [plan] = await plans(world)
    contact = (await tasks(world, plan))["contact"]["id"]
    world.clock.advance(3 * DAY * 60_000_000)  # type: ignore[attr-defined]
    await world.commit(Change(jobs=[Job("timer.due", {})]))
    await drain(world)
    told = [c for c in (await resources(world, "Communication")).values() if {"reference": PLAN1} in c["recipient"]]
    [late] = [one for one in told if "not been contacted" in one["payload"][0]["contentString"]]
    assert {"reference": f"Task/{contact}"} in late["about"]
    await change(app_client, f"Task/{contact}", status="completed")


async def test_the_plan_has_it_between_two_care_managers(world: Store, stay: Stay, app_client: AppClient) -> None:
    await stay.hears(IN, OUT)
    await change(app_client, "EpisodeOfCare/a", status="finished")
    assert await owners(world) == {PLAN1}
    await change(app_client, "EpisodeOfCare/a", status="active", careManager={"reference": LCM2})
    assert await owners(world) == {LCM2}


async def test_it_goes_with_the_member_to_another_plan_and_waits_where_there_is_none(
    world: Store, stay: Stay, app_client: AppClient
) -> None:
    await stay.hears(IN)
    await change(app_client, "EpisodeOfCare/a", status="finished")
    await change(app_client, "Coverage/a", status="cancelled")
    await stay.hears(OUT)
    assert await owners(world) == {""}
    await world.commit(change_of(world, coverage("Coverage/a2", "Patient/a", PLAN2), PLAN2))
    assert await owners(world) == {""}, "an import without the hooks says nothing"
    client = await app_client("mcp", PLAN2)
    found = await client.get("/Coverage/a2")
    headers = {"If-Match": found.headers["ETag"]}
    moved = await client.put("/Coverage/a2", json=found.json() | {"policyHolder": {"display": "x"}}, headers=headers)
    assert moved.status_code == 200, moved.text
    assert await owners(world) == {PLAN2}
