"""A person acts for one organization at a time: what another assigned to the person is not seen in its name (B12)."""

from typing import Any

import httpx
import pytest

from service.access.panels import SELF
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import (
    CBO1,
    ECM1,
    ECM2,
    LCM1,
    PLAN1,
    change_of,
    coverage,
    episode,
    make,
    observation,
    patient,
    put,
    ref,
    team,
)

POSTGRESQL_IN_DEEP = True
SERVICE = "Organization/service"
BELOW = "Organization/branch"


def alert(reference: str, member: str, recipient: str) -> dict[str, Any]:
    return make(reference, status="in-progress", subject=ref(member), recipient=[ref(recipient)], sender=ref(SERVICE))


async def found(client: httpx.AsyncClient, *paths: str) -> list[bool]:
    """Of each path Type/id: whether a read, a search and its count all find it, or none does."""
    told = []
    for path in paths:
        rtype, _, fhir_id = path.strip("/").partition("/")
        bundle = (await client.get(f"/{rtype}?_id={fhir_id}&_total=accurate")).json()
        read = (await client.get(path)).status_code == 200
        assert read == bool(bundle["total"]) == bool(bundle.get("entry")), path
        told.append(read)
    return told


@pytest.fixture
async def both(world: Store) -> Store:
    """Care manager 1 works for both providers: each has a member of its own who is assigned to her."""
    await put(world, patient("Patient/m"), episode("EpisodeOfCare/m", "Patient/m", ECM2, LCM1), source=PLAN1)
    await put(world, observation("Observation/m", "Patient/m"), source=ECM2)
    for letter in ("a", "m"):
        await put(world, alert(f"Communication/{letter}", f"Patient/{letter}", LCM1), source=SERVICE)
    return world


@pytest.mark.parametrize("role", ["lcm", "ecm-provider"])
async def test_b12_a_person_sees_what_she_has_for_whom_she_acts(both: Store, app_client: AppClient, role: str) -> None:
    one, two = await app_client(role, ECM1, LCM1), await app_client(role, ECM2, LCM1)
    first, second = ("/Patient/a", "/Communication/a"), ("/Patient/m", "/Observation/m", "/Communication/m")
    assert await found(one, *first, *second) == [True, True, False, False, False]
    assert await found(two, *first, *second) == [False, False, True, True, True]
    assert (await one.get("/Patient/m/$everything")).status_code == 404
    assert (await one.get("/Patient/m/_history")).status_code == 404
    linked = (await one.get("/Observation?subject:Patient.identifier=mrn-m&_total=accurate")).json()
    assert linked["total"] == 0


async def test_b12_a_task_of_the_organization_is_no_assignment_of_hers(both: Store, app_client: AppClient) -> None:
    """The first provider has a referral of the member whom the second one assigned to her: it learns of that alone."""
    body = {"resourceType": "Task", "id": "t", "status": "requested", "intent": "order", "for": ref("Patient/m")}
    await put(both, body | {"requester": ref(ECM2), "owner": ref(ECM1)}, source=ECM2)
    one = await app_client("lcm", ECM1, LCM1)
    assert await found(one, "/Patient/m", "/Observation/m") == [False, False]


async def test_b12_who_acts_for_a_branch_has_what_its_organization_has(both: Store, app_client: AppClient) -> None:
    await put(both, make(BELOW, name="Branch", active=True, partOf=ref(ECM2)), source=ECM2)
    branch, system = await app_client("lcm", BELOW, LCM1), await app_client("ecm-provider", BELOW)
    assert await found(branch, "/Patient/m", "/Observation/m", "/Patient/a") == [True, True, False]
    assert await found(system, "/Patient/m", "/Observation/m") == [False, False], "nobody there has the member"


async def test_b12_what_a_person_has_elsewhere_is_not_given_on(both: Store, app_client: AppClient) -> None:
    one = await app_client("lcm", ECM1, LCM1)
    gift = {key: value for key, value in team("CareTeam/x", "Patient/m", CBO1).items() if key != "id"}
    assert (await one.post("/CareTeam", json=gift)).status_code == 422, "the member is not there"


# --- what an organization gives itself ------------------------------------------------------------------------------


def bodies() -> list[dict[str, Any]]:
    made = (
        team("CareTeam/x", "Patient/m", ECM1, LCM1),
        episode("EpisodeOfCare/x", "Patient/m", ECM1, LCM1),
        coverage("Coverage/x", "Patient/m", ECM1),
    )
    return [{key: value for key, value in one.items() if key != "id"} for one in made]


@pytest.mark.parametrize("at", range(3))
async def test_l47_what_a_provider_writes_of_itself_outlives_no_assignment(
    world: Store, app_client: AppClient, at: int
) -> None:
    await put(world, patient("Patient/m"), episode("EpisodeOfCare/m", "Patient/m", ECM1, LCM1), source=PLAN1)
    await put(world, observation("Observation/m", "Patient/m"), source=PLAN1)
    system, person = await app_client("ecm-provider", ECM1), await app_client("lcm", ECM1, LCM1)
    body = bodies()[at]
    made = await system.post(f"/{body['resourceType']}", json=body)
    assert made.status_code == 201
    for client in (system, person):
        assert await found(client, "/Patient/m", "/Observation/m") == [True, True]
    ended = episode("EpisodeOfCare/m", "Patient/m", ECM1, LCM1) | {"status": "finished"}
    await world.commit(change_of(world, ended, PLAN1, expect=1))
    for client in (system, person):
        assert await found(client, "/Patient/m", "/Observation/m") == [False, False]
    path = f"/{body['resourceType']}/{made.json()['id']}"
    unchanged = await system.put(path, json={**made.json(), "language": "en"}, headers={"If-Match": 'W/"1"'})
    assert unchanged.status_code == 200, "its own entry stays its own to write"
    assert await found(system, "/Patient/m", "/Observation/m") == [False, False]


async def test_a_provider_does_not_prolong_what_the_plan_gave(world: Store, app_client: AppClient, clock: Any) -> None:
    """The plan's assignment ends in June; the provider writes another end into it."""
    period = {"start": "2026-01-01", "end": "2026-03-31"}
    given = episode("EpisodeOfCare/m", "Patient/m", ECM1, LCM1, period=period)
    await put(world, patient("Patient/m"), given, coverage("Coverage/m", "Patient/m", PLAN1), source=PLAN1)
    await put(world, team("CareTeam/m", "Patient/m", ECM1, period=period), source=PLAN1)
    ecm = await app_client("ecm-provider", ECM1)
    longer = await ecm.put("/EpisodeOfCare/m", json={**given, "period": {"start": "2026-01-01"}})
    assert longer.status_code in (200, 403)
    assert await found(ecm, "/Patient/m", "/Coverage/m") == [True, True], "what it has it keeps to its end"
    clock.advance(60 * 86_400_000_000)
    assert await found(await app_client("ecm-provider", ECM1), "/Patient/m", "/Coverage/m") == [False, False]


async def test_a_plan_renews_its_own_enrolment(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", PLAN1)
    body = {key: value for key, value in coverage("Coverage/x", "Patient/a", PLAN1).items() if key != "id"}
    assert (await plan.post("/Coverage", json=body)).status_code == 201
    await world.commit(change_of(world, coverage("Coverage/a", "Patient/a", PLAN1) | {"status": "cancelled"}, PLAN1, 1))
    assert await found(plan, "/Patient/a") == [True]


async def test_who_wrote_the_patient_assigns_itself(world: Store, app_client: AppClient) -> None:
    """A provider without a plan: it has what others write of its own members."""
    ecm = await app_client("ecm-provider", ECM2)
    member = f"Patient/{(await ecm.post('/Patient', json={'resourceType': 'Patient'})).json()['id']}"
    body = {key: value for key, value in episode("EpisodeOfCare/x", member, ECM2).items() if key != "id"}
    assert (await ecm.post("/EpisodeOfCare", json=body)).status_code == 201
    await put(world, observation("Observation/o", member), source=SERVICE)
    assert await found(ecm, "/Observation/o") == [True]
    rows = await world.fetch("SELECT role FROM panel WHERE patient = ?", (world.keys.resource(member),))
    assert [tuple(row) for row in rows] != [(SELF,)]
