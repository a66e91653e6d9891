"""What discharges open, a second one begins anew, and cancellations, deaths and people end."""

import itertools
from typing import Any

import pytest

from fhir_profiles.validate import validate
from service.store.engine import Store
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.workflow.made_up import adt
from tests.service.workflow.tcs_world import DAY, Stay, clocks, drain, hospital, plans, tasks
from tests.service.world import ECM1, LCM1, LCM2, change_of, episode, make

POSTGRESQL_IN_DEEP = True
IN, OUT = adt("A01", 0, "I"), adt("A03", 60, "I", disposition="HOME")
ACTIONS = {"contact", "documents", "medication", "visit", "pcp", "services", "support"}


@pytest.fixture
async def stay(world: Store) -> Stay:
    await hospital(world)
    return Stay(world)


async def statuses(store: Store, number: int = 0) -> dict[str, str]:
    return {action: t["status"] for action, t in (await tasks(store, (await plans(store))[number])).items()}


async def done(app_client: AppClient, task: dict[str, Any], status: str = "completed") -> None:
    client = await app_client("lcm", ECM1, LCM1)
    answer = await client.get(f"/Task/{task['id']}")
    body = answer.json() | {"status": status}
    put = await client.put(f"/Task/{task['id']}", json=body, headers={"If-Match": answer.headers["ETag"]})
    assert put.status_code == 200, put.text


async def test_a_discharge_opens_the_checklist_of_the_lead_care_manager(world: Store, stay: Stay) -> None:
    await stay.hears(IN)
    assert await plans(world) == []
    await stay.hears(OUT)
    [plan] = await plans(world)
    made = await tasks(world, plan)
    assert made.keys() == ACTIONS
    assert {t["owner"]["reference"] for t in made.values()} == {LCM1} == {plan["author"]["reference"]}
    assert {t["focus"]["reference"].partition("/")[0] for t in made.values()} == {"Communication"}
    assert made["visit"]["restriction"]["period"]["end"].startswith("2024-03-14T23:59:59")
    for resource in (plan, *made.values(), (await resources(world, "PlanDefinition"))["enlace-tcs"]):
        assert validate(resource, resource["resourceType"]) == []
    running = {kind for (kind, _), states in (await clocks(world)).items() if states == ["running"]}
    assert running == {"tcs-contact", "tcs-visit", "tcs-support"}
    fu = [t for id, t in (await resources(world, "Task")).items() if id.startswith("fu-") and "visit" in str(t["code"])]
    assert not fu, "one visit, one Task"


async def test_a_cancelled_discharge_ends_it_and_the_next_opens_another(
    world: Store, stay: Stay, app_client: AppClient
) -> None:
    """Nasty input 61: the follow-up had begun when the discharge was cancelled; discharged again, it starts again."""
    await stay.hears(IN, OUT)
    await done(app_client, (await tasks(world, (await plans(world))[0]))["contact"])
    await stay.hears(adt("A13", 90, "I"))
    assert (await plans(world))[0]["status"] == "revoked"
    assert await statuses(world) == dict.fromkeys(ACTIONS, "cancelled") | {"contact": "completed"}
    assert ["running"] not in (await clocks(world)).values()
    await stay.hears(adt("A03", 2000, "I", disposition="SNF"))
    first, second = await plans(world)
    assert (first["status"], second["status"]) == ("revoked", "active")
    assert await statuses(world, 1) == dict.fromkeys(ACTIONS, "requested")


async def test_where_to_becomes_known_later_and_it_stays_the_same_checklist(world: Store, stay: Stay) -> None:
    await stay.hears(IN, adt("A03", 60, "I"))
    before = (await plans(world))[0]["id"]
    await stay.hears(adt("A08", 100, "I", disposition="SNF"))
    [plan] = await plans(world)
    assert (plan["id"], plan["status"]) == (before, "active")
    alerts = await resources(world, "Communication")
    focus = {t["focus"]["reference"].partition("/")[2] for t in (await tasks(world, plan)).values()}
    assert [alerts[one]["status"] for one in focus] == ["completed"], "the alert that stands"


async def test_a_second_discharge_within_seven_days_begins_it_anew(world: Store, stay: Stay) -> None:
    await stay.hears(IN, OUT)
    again = Stay(world, "two")
    back, out = adt("A01", 5 * DAY, "I"), adt("A03", 6 * DAY, "I", disposition="HOME")
    await again.hears(back, out)
    first, second = await plans(world)
    assert (first["status"], second["status"]) == ("revoked", "active")
    assert second["replaces"] == [{"reference": f"CarePlan/{first['id']}"}]
    assert await statuses(world, 0) == dict.fromkeys(ACTIONS, "cancelled")
    assert (await tasks(world, second))["visit"]["restriction"]["period"]["end"].startswith("2024-03-20T23:59:59")
    await again.hears(adt("A13", 6 * DAY + 30, "I"))
    first, second = await plans(world)
    assert (first["status"], second["status"]) == ("active", "revoked"), "the first goes on"
    assert await statuses(world, 0) == dict.fromkeys(ACTIONS, "requested")


async def test_after_seven_days_both_stand_under_the_same_manager(world: Store, stay: Stay) -> None:
    await world.commit(change_of(world, make("Practitioner/aa", name=[{"family": "A"}])))
    await stay.hears(IN, OUT)
    await world.commit(change_of(world, episode("EpisodeOfCare/x", "Patient/a", ECM1, "Practitioner/aa")))
    await Stay(world, "two").hears(adt("A01", 11 * DAY, "I"), adt("A03", 12 * DAY, "I", disposition="HOME"))
    first, second = await plans(world)
    assert (first["status"], second["status"]) == ("active", "active")
    assert second["author"] == {"reference": LCM1}, "who led the care before, though another stands first now"


async def test_every_order_of_stays_ends_in_the_same_plans(world: Store, stay: Stay) -> None:
    """Three discharges within a week of each other, heard of in every order; of other members each, so at once."""
    outs = {"one": (0, 60), "two": (3 * DAY, 3 * DAY + 60), "three": (9 * DAY, 9 * DAY + 60)}
    for number, order in enumerate(itertools.permutations(outs)):
        patient = f"Patient/p{number}"
        await world.commit(change_of(world, make(patient, name=[{"family": "P"}])))
        await world.commit(change_of(world, episode(f"EpisodeOfCare/p{number}", patient, ECM1, LCM1)))
        for name in order:
            start, end = outs[name]
            one = Stay(world, f"{name}-{number}", patient)
            leave = adt("A03", end, "I", disposition="HOME")
            await one.hears(adt("A01", start, "I"), leave, minute=10 * DAY)
    ends: dict[str, list[str]] = {}
    for plan in await plans(world):
        ends.setdefault(plan["subject"]["reference"], []).append(plan["status"])
    assert len(ends) == 6
    assert set(map(tuple, ends.values())) == {("revoked", "revoked", "active")}


async def test_death_closes_it_and_its_correction_opens_it_again(world: Store, stay: Stay) -> None:
    await stay.hears(IN, OUT)
    other = Stay(world, "two")
    dies = adt("A03", 2 * DAY + 60, "I", disposition="EXPIRED")
    await other.hears(adt("A01", 2 * DAY, "I"), dies)
    [plan] = await plans(world)
    assert plan["status"] == "revoked"
    assert await statuses(world) == dict.fromkeys(ACTIONS, "cancelled")
    assert not [k for (k, _), states in (await clocks(world)).items() if "running" in states and k.startswith("tcs")]
    await stay.hears(adt("A08", 80, "I"), minute=2 * DAY + 100)
    assert (await plans(world))[0]["status"] == "revoked", "what one stay said another does not take back"
    await other.hears(adt("A13", 2 * DAY + 120, "I"))
    assert (await plans(world))[0]["status"] == "active"
    assert await statuses(world) == dict.fromkeys(ACTIONS, "requested")


async def test_what_a_person_closed_stays_closed(world: Store, stay: Stay, app_client: AppClient) -> None:
    await stay.hears(IN, OUT)
    made = await tasks(world, (await plans(world))[0])
    for action in ACTIONS - {"visit"}:
        await done(app_client, made[action])
    await stay.hears(adt("A08", 120, "I"))
    assert await statuses(world) == dict.fromkeys(ACTIONS, "completed") | {"visit": "requested"}
    await done(app_client, made["visit"])
    await drain(world)
    assert (await plans(world))[0]["status"] == "completed"
    assert {tuple(s) for (kind, _), s in (await clocks(world)).items() if kind.startswith("tcs")} == {("met",)}


async def test_whoever_leads_the_care_has_the_open_tasks(world: Store, stay: Stay, app_client: AppClient) -> None:
    await stay.hears(IN, OUT)
    client = await app_client("mcp", "Organization/plan-1")
    answer = await client.get("/EpisodeOfCare/a")
    body = answer.json() | {"careManager": {"reference": LCM2}}
    headers = {"If-Match": answer.headers["ETag"]}
    assert (await client.put("/EpisodeOfCare/a", json=body, headers=headers)).status_code == 200
    await drain(world)
    [plan] = await plans(world)
    assert {t["owner"]["reference"] for t in (await tasks(world, plan)).values()} == {LCM2}
    assert plan["author"] == {"reference": LCM2}


async def test_a_reversed_match_ends_it(world: Store, stay: Stay) -> None:
    await stay.hears(IN, OUT)
    await stay.is_anothers()
    assert (await plans(world))[0]["status"] == "revoked"


@pytest.mark.parametrize("events", [(adt("A01", 0, "I", processing="T"), adt("A03", 60, "I", processing="T")), (OUT,)])
async def test_no_checklist_for_test_traffic_and_old_history(world: Store, stay: Stay, events: Any) -> None:
    await stay.hears(*events, minute=31 * DAY + 61)
    assert await plans(world) == []
    assert await clocks(world) == {}


async def test_a_repeat_changes_nothing(world: Store, stay: Stay) -> None:
    await stay.hears(IN, OUT)
    before = await resources(world, "Task"), await resources(world, "CarePlan"), await clocks(world)
    await stay.hears(adt("A08", 65, "I"))
    assert before == (await resources(world, "Task"), await resources(world, "CarePlan"), await clocks(world))


async def test_a_checklist_that_cannot_be_used_is_refused(world: Store, stay: Stay, app_client: AppClient) -> None:
    await stay.hears(IN, OUT)
    client = await app_client("admin", "Organization/op")
    answer = await client.get("/PlanDefinition/enlace-tcs")
    headers, body = {"If-Match": answer.headers["ETag"]}, answer.json()
    refused = await client.put(
        "/PlanDefinition/enlace-tcs",
        json=body | {"action": [{"title": "x"}, {"id": "y", "title": "y"}]},
        headers=headers,
    )
    assert refused.status_code == 422
    assert len(refused.json()["issue"]) == 5, "all problems at once"
    shorter = body | {"action": body["action"][:2]}
    assert (await client.put("/PlanDefinition/enlace-tcs", json=shorter, headers=headers)).status_code == 200
    later = Stay(world, "later")
    await later.hears(adt("A01", 20 * DAY, "I"), adt("A03", 21 * DAY, "I"))
    assert (await tasks(world, (await plans(world))[1])).keys() == {"contact", "documents"}
