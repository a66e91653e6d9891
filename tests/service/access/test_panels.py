"""Panel rows, and how a relationship starts, ends and is noticed by the next request."""

from typing import Any

import pytest

from service.access.panels import AFTER_CLOSE_US, panel_rows
from service.search.dates import MAX_US, MIN_US, parse
from service.search.keys import Keys
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import (
    CBO1,
    ECM1,
    LCM1,
    PLAN1,
    change_of,
    coverage,
    episode,
    patient,
    put,
    request,
    task,
    team,
)

KEYS = Keys(b"k")
NOW = 1_772_955_000_000_000
DAY = 86_400_000_000


def parties(resource: dict[str, Any]) -> dict[int, tuple[str, str, int, int]]:
    rows = panel_rows(resource, "Patient/a", KEYS, NOW)
    assert {row.patient for row in rows} <= {KEYS.resource("Patient/a")}
    return {row.subject: (row.basis, row.role, row.start_us, row.end_us) for row in rows}


def test_who_is_a_party_by_type() -> None:
    key = KEYS.resource
    assert set(parties(coverage("Coverage/x", "Patient/a", PLAN1))) == {key(PLAN1)}
    assert set(parties(episode("EpisodeOfCare/x", "Patient/a", ECM1, LCM1))) == {key(ECM1), key(LCM1)}
    assert set(parties(team("CareTeam/x", "Patient/a", LCM1, CBO1, "Patient/a"))) == {key(LCM1), key(CBO1)}
    assert set(parties(task("Task/x", "Patient/a", "x/y", ECM1, CBO1))) == {key(ECM1), key(CBO1)}
    assert parties({"resourceType": "Observation"}) == {}


def test_a_period_bounds_the_rows() -> None:
    body = coverage("Coverage/x", "Patient/a", PLAN1, period={"start": "2026-01-01", "end": "2026-03-31"})
    (row,) = parties(body).values()
    assert row[2:] == (parse("2026-01-01")[0], parse("2026-03-31")[1])
    assert next(iter(parties(coverage("Coverage/x", "Patient/a", PLAN1)).values()))[2:] == (MIN_US, MAX_US)


@pytest.mark.parametrize(
    "body",
    [
        coverage("Coverage/x", "Patient/a", PLAN1) | {"status": "cancelled"},
        episode("EpisodeOfCare/x", "Patient/a", ECM1) | {"status": "cancelled"},
        team("CareTeam/x", "Patient/a", LCM1) | {"status": "entered-in-error"},
        task("Task/x", "Patient/a", "x/y", ECM1, CBO1, status="rejected"),
        task("Task/x", "Patient/a", "x/y", ECM1, CBO1, status="draft"),
        task("Task/x", "Patient/a", "x/y", ECM1, CBO1, status="entered-in-error"),
        coverage("Coverage/x", "Patient/a", PLAN1, period={"start": "2027-01-01", "end": "2026-01-01"}),
    ],
)
def test_what_gives_no_rows(body: dict[str, Any]) -> None:
    assert parties(body) == {}


def test_a_closed_task_keeps_its_parties_for_thirty_days() -> None:
    rows = parties(task("Task/x", "Patient/a", "x/y", ECM1, CBO1, status="completed"))
    assert {row[3] for row in rows.values()} == {NOW + AFTER_CLOSE_US} and AFTER_CLOSE_US == 30 * DAY


async def statuses(client: Any, *paths: str) -> list[int]:
    return [(await client.get(path)).status_code for path in paths]


async def test_a_coverage_counts_from_its_start_to_its_end(store: Store, app_client: AppClient, clock: Any) -> None:
    """The clock stands at 2026-03-07T23:30 Pacific; nothing has to run when a period ends."""
    await put(store, patient("Patient/m"), source="Organization/else")
    body = coverage("Coverage/m", "Patient/m", PLAN1, period={"start": "2026-03-09", "end": "2026-03-10"})
    await put(store, body, source="Organization/else")
    seen = []
    for _ in range(4):
        plan = await app_client("mcp", PLAN1)
        seen.append((await plan.get("/Patient/m")).status_code)
        found = (await plan.get("/Patient?_total=accurate")).json()["total"]
        assert found == (1 if seen[-1] == 200 else 0)
        clock.advance(DAY)
    assert seen == [404, 200, 200, 404]  # the 7th 23:30, then (DST began on the 8th) 9th, 10th and 11th 00:30


async def test_an_ended_coverage_closes_the_record_at_once(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", PLAN1)
    await put(world, patient("Patient/m"), coverage("Coverage/m", "Patient/m", PLAN1), source="Organization/else")
    assert await statuses(plan, "/Patient/m", "/Coverage/m") == [200, 200]
    ended = coverage("Coverage/m", "Patient/m", PLAN1) | {"status": "cancelled"}
    await world.commit(change_of(world, ended, "Organization/else", expect=1))
    assert await statuses(plan, "/Patient/m", "/Coverage/m", "/Patient/m/_history") == [404, 404, 404]


async def test_a_closed_referral_stays_open_to_its_target_for_thirty_days(
    world: Store, app_client: AppClient, clock: Any
) -> None:
    closed = task("Task/a", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status="completed")
    await world.commit(change_of(world, closed, ECM1, expect=1))
    cbo = await app_client("cbo", CBO1)
    assert await statuses(cbo, "/Task/a", "/ServiceRequest/a") == [200, 200]
    clock.advance(30 * DAY + 1)
    cbo = await app_client("cbo", CBO1)
    assert await statuses(cbo, "/Task/a", "/ServiceRequest/a") == [404, 404]
    assert await statuses(cbo, "/Procedure/a") == [200]


async def test_a_cbo_sees_its_own_referral_and_no_other_of_the_same_member(world: Store, app_client: AppClient) -> None:
    await put(
        world,
        request("ServiceRequest/a2", "Patient/a", ECM1),
        task("Task/a2", "Patient/a", "ServiceRequest/a2", ECM1, "Organization/cbo-9"),
        source=ECM1,
    )
    cbo = await app_client("cbo", CBO1)
    assert await statuses(cbo, "/Task/a", "/ServiceRequest/a", "/Task/a2", "/ServiceRequest/a2") == [200, 200, 404, 404]
    assert await statuses(cbo, "/Coverage/a", "/CareTeam/a", "/Observation/a", "/Patient/a/_history") == [404] * 4
    assert (await cbo.get("/Patient/a")).json()["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_a_lead_care_manager_who_leaves_the_team_and_episode_sees_no_more(
    world: Store, app_client: AppClient
) -> None:
    lcm = await app_client("lcm", ECM1, LCM1)
    assert await statuses(lcm, "/Patient/a") == [200]
    await world.commit(change_of(world, team("CareTeam/a", "Patient/a", ECM1), ECM1, expect=1))
    assert await statuses(lcm, "/Patient/a") == [200]
    await world.commit(change_of(world, episode("EpisodeOfCare/a", "Patient/a", ECM1), PLAN1, expect=1))
    assert await statuses(lcm, "/Patient/a") == [404]
