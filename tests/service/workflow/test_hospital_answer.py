"""The hospital hears who leads the care of its patient: once for each manager, and of its own patients only."""

import pytest

from fhir_profiles import Resource
from fhir_profiles.validate import validate
from service.access.context import Context, Settings
from service.caller import system_caller
from service.store.change import Stale
from service.store.engine import Store
from service.workflow.hospital_answer import answer
from service.workflow.hospital_contact import team_of
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.workflow.made_up import adt
from tests.service.workflow.tcs_world import DAY, MERCY, Stay, context, drain, hospital
from tests.service.world import ECM1, ECM2, LCM1, LCM2, PLAN1, change_of, make, put, ref


async def answers(store: Store) -> list[dict[str, object]]:
    found = await resources(store, "Communication")
    return [one for id, one in sorted(found.items()) if id.startswith("ha-")]


@pytest.fixture
async def stay(world: Store) -> Stay:
    await hospital(world)
    return Stay(world)


async def test_name_and_number_once_for_a_stay_and_manager(world: Store, stay: Stay, app_client: AppClient) -> None:
    await stay.hears(adt("A01", 0, "I"))
    await stay.hears(adt("A03", 60, "I", disposition="HOME"))
    [one] = await answers(world)
    assert "Ana Ruiz, (555) 555-0100" in str(one["payload"])
    assert one["encounter"]["identifier"]["value"] == "V1", "the hospital's own number"  # type: ignore[index]
    assert validate(one, "Communication") == []
    assert len(await world.fetch("SELECT 1 FROM audit WHERE kind = 'hospital-answered'")) == 1
    client = await app_client("mcp", PLAN1)
    answer = await client.get("/EpisodeOfCare/a")
    body = answer.json() | {"careManager": {"reference": LCM2}}
    put = await client.put("/EpisodeOfCare/a", json=body, headers={"If-Match": answer.headers["ETag"]})
    assert put.status_code == 200
    await stay.hears(adt("A13", 90, "I"))
    await drain(world)
    assert len(await answers(world)) == 2


async def test_a_hospital_reads_its_own_only(world: Store, stay: Stay, app_client: AppClient) -> None:
    await stay.hears(adt("A01", 0, "I"))
    other = "Organization/other"
    await world.commit(change_of(world, make(other, name="Other")))
    await Stay(world, "two", "Patient/a", other).hears(adt("A01", 2 * DAY, "I"))
    assert len(await answers(world)) == 2
    mercy = await app_client("hospital", MERCY)
    found = (await mercy.get("/Communication")).json()
    assert [e["resource"]["recipient"] for e in found["entry"]] == [[{"reference": MERCY}]]
    for reference in ("Patient/a", stay.encounter, "CareTeam/a"):
        assert (await mercy.get(f"/{reference}")).status_code in (403, 404)
    [theirs] = [one for one in await answers(world) if one["recipient"] != [{"reference": MERCY}]]
    missing = await mercy.get("/Communication/nowhere")
    foreign = await mercy.get(f"/Communication/{theirs['id']}")
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert (await mercy.post("/Communication", json=make("Communication/x", status="completed"))).status_code == 403


async def test_what_was_told_of_another_is_taken_back(world: Store, stay: Stay) -> None:
    await stay.hears(adt("A01", 0, "I"))
    await stay.is_anothers()
    assert [one["status"] for one in await answers(world)] == ["entered-in-error"]


async def test_nothing_of_test_traffic_or_of_stays_long_over(world: Store, stay: Stay) -> None:
    await stay.hears(adt("A01", 0, "I", processing="T"))
    leave = adt("A03", 60, "I", disposition="HOME")
    await Stay(world, "two").hears(adt("A01", 0, "I"), leave, minute=10 * DAY)
    assert await answers(world) == []


async def test_a_manager_who_is_named_while_an_answer_is_made_is_not_missed(
    world: Store, stay: Stay, app_client: AppClient
) -> None:
    """The job that runs has read the former manager, and the one that is put up meanwhile is dropped as its repeat."""
    await stay.hears(adt("A01", 0, "I"))
    ctx = Context(world, system_caller(), world.clock.now_us(), Settings())
    running = await answer(ctx, {"encounter": stay.encounter})
    client = await app_client("mcp", PLAN1)
    known = await client.get("/EpisodeOfCare/a")
    body = known.json() | {"careManager": {"reference": LCM2}}
    headers = {"If-Match": known.headers["ETag"]}
    assert (await client.put("/EpisodeOfCare/a", json=body, headers=headers)).status_code == 200
    with pytest.raises(Stale):
        await world.commit(running)


def number(value: str, use: str = "work") -> Resource:
    return {"telecom": [{"system": "phone", "value": value, "use": use}]}


@pytest.mark.parametrize(
    ("person", "role", "organization", "words"),
    [
        (number("1"), number("2"), number("3"), "Ana Ruiz, 1"),
        (number("1", "home"), number("2"), number("3"), "Ana Ruiz, 2"),
        ({}, {}, number("3"), "Ana Ruiz, 3"),
        ({}, {}, {}, "Ana Ruiz"),
        ({"name": []}, number("2"), {}, ""),
    ],
)
async def test_the_number_is_the_persons_else_of_the_role_else_of_the_provider(
    store: Store, person: Resource, role: Resource, organization: Resource, words: str
) -> None:
    works = {"practitioner": ref(LCM1), "organization": ref(ECM2)}
    await put(store, make(LCM1, **{"name": [{"given": ["Ana"], "family": "Ruiz"}], **person}))
    await put(store, make(ECM1, **organization), make("PractitionerRole/one", **works, **role))
    team = await team_of(context(store), LCM1, [ECM1])
    assert (team.contact(), team.places()) == (words, {LCM1, ECM1, ECM2})
    nobody = await team_of(context(store), LCM2, [ECM1])
    assert (nobody.contact(), nobody.places()) == ("", {LCM2, ECM1})
    assert (await team_of(context(store), ECM1, [ECM1])).contact() == ""
