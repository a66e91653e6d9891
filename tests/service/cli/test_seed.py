"""The synthetic county: reproducible, valid, in every state of a referral, and seen by each role as it should be."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest
from fastapi import FastAPI

from fhir_profiles.validate import validate
from mappers.hl7v2.header import Header, peek
from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.access.new_version import new_version
from service.caller import Role, system_caller
from service.cli.seed import LOGINS, SeedRefused, curl_lines, hospital_history, seed, sonja_reference
from service.cli.seed.directory import CBOS, ECM_PROVIDERS, HOSPITALS, LEAD_CARE_MANAGERS, PLANS
from service.cli.seed.hospitals import registered
from service.cli.seed.members import entries
from service.cli.seed.parts import Days, made_up_npi
from service.cli.seed.people import cin, member
from service.interactions.receive_hl7v2 import Receiver
from service.store import credentials
from service.store.change import Change
from service.store.engine import Store
from service.worker import Worker
from service.workflow import referrals
from service.workflow.steps import Step
from tests.service.cli.county import DAYS, NOW, SOME, Roles, bodies, county, of, references, seeded
from tests.service.world import put

POSTGRESQL_IN_DEEP = True

HOUR = 3_600_000_000


def times(value: Any, ahead: frozenset[str] = frozenset({"end"})) -> Iterator[str]:
    """Every date or dateTime but the ends of periods, which may lie ahead."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ahead:
                yield from times(inner, ahead)
    elif isinstance(value, list):
        for inner in value:
            yield from times(inner, ahead)
    elif isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        yield value


# --- what is made --------------------------------------------------------------------------------------------------


def test_every_resource_is_valid_and_refers_to_what_came_before() -> None:
    written: set[str] = set()
    for author, resource in county():
        reference = f"{resource['resourceType']}/{resource['id']}"
        assert validate(resource, resource["resourceType"]) == [], reference
        assert reference not in written, reference
        assert set(references(resource)) <= written, reference
        assert author in written or author == reference
        written.add(reference)


def test_the_county_is_complete() -> None:
    made = county()
    counts = Counter(resource["resourceType"] for _, resource in made)
    for rtype in ("Patient", "Coverage", "EpisodeOfCare", "CareTeam"):
        assert counts[rtype] == 200
    assert (len(PLANS), len(ECM_PROVIDERS), len(CBOS), len(HOSPITALS), len(LEAD_CARE_MANAGERS)) == (2, 3, 8, 3, 6)
    assert counts["HealthcareService"] == 16 and counts["CarePlan"] > 100 and counts["Goal"] > 250
    states = Counter(task["status"] for task in of("Task", made))
    assert set(states) == {row.new for row in referrals.TRANSITIONS} | {"draft"} and min(states.values()) >= 5
    consents = Counter((c["status"], c["provision"]["type"]) for c in of("Consent", made))
    assert set(consents) == {("active", "permit"), ("active", "deny"), ("inactive", "permit")}
    assert len({cin(1, number) for number in range(20_000)}) == 20_000


def test_each_lead_care_manager_has_members_and_an_open_referral() -> None:
    for members in (6, 200):
        made = county(members=members)
        managed = Counter(e["careManager"]["reference"] for e in of("EpisodeOfCare", made) if e["status"] == "active")
        manager = {e["patient"]["reference"]: e["careManager"]["reference"] for e in of("EpisodeOfCare", made)}
        board = {manager[t["for"]["reference"]] for t in of("Task", made) if t["status"] in referrals.OPEN}
        assert set(managed) == board == {person.reference for person in LEAD_CARE_MANAGERS}


def test_same_seed_and_day_same_bytes() -> None:
    again = county.__wrapped__()
    assert json.dumps(county(), default=str) == json.dumps(again, default=str)
    few, many = county(members=12), county(members=30)
    assert [entry for entry in many if entry in few] == few, "more members change nothing of the others"
    other = {r["id"] for r in of("Patient", county(2, 12))}
    assert not other & {r["id"] for r in of("Patient", few)}


@pytest.mark.parametrize("today", [date(2026, 3, 8), date(2028, 2, 29), date(2026, 11, 1), date(2027, 1, 1)])
def test_nothing_is_dated_ahead(today: date) -> None:
    for _, resource in county(members=60, days=Days(today)):
        assert validate(resource, resource["resourceType"]) == []
        assert max([*times(resource), ""])[:10] < today.isoformat(), resource["resourceType"]


def test_referrals_are_dated_in_order() -> None:
    for task in of("Task", county()):
        when = [task["authoredOn"], *(n["time"] for n in task.get("note", [])), task["lastModified"]]
        moments = [datetime.fromisoformat(text) for text in when]
        assert moments == sorted(moments), task["status"]


def test_sonjas_story_is_told() -> None:
    made = entries(1, 0, DAYS)
    (episode,) = of("EpisodeOfCare", made)
    codes = {e["url"].rsplit("/", 1)[-1]: e for e in episode["extension"]}
    assert codes["enlace-population-of-focus"]["valueCodeableConcept"]["coding"][0]["code"] == "5"
    granted = codes["enlace-authorization"]["valueIdentifier"]["period"]
    assert (date.fromisoformat(granted["end"]) - date.fromisoformat(granted["start"])).days == 364
    tasks = {task["description"].split(":")[0]: task for task in of("Task", made)}
    stalled = tasks["Home modifications"]
    noted = [datetime.fromisoformat(n["time"]) for n in stalled["note"]]
    assert stalled["status"] == "completed" and (noted[1] - noted[0]).days in (29, 30)
    assert {name.split(" (")[0]: task["status"] for name, task in tasks.items()} == {
        "Enhanced Care Management": "completed",
        "Rides to appointments": "completed",
        "Home modifications": "completed",
        "Short-Term Post-Hospitalization Housing": "completed",
        "Home health": "in-progress",
        "In-Home Supportive Services application": "accepted",
        "Community-Based Adult Services": "in-progress",
    }
    assert [c["status"] for c in of("Communication", made)].count("not-done") == 4
    assert any(r["provision"].get("actor") for r in of("Consent", made)) and of("RelatedPerson", made)
    assert of("QuestionnaireResponse", made) and of("DocumentReference", made)
    assert len(of("Encounter", made)) == 3, "two visits and the nursing facility; the hospital comes by ADT"


def test_numbers_are_made_up_and_pass_their_check() -> None:
    assert made_up_npi(11).startswith("155500011")
    for serial in range(100):
        digits = [int(d) for d in "80840" + made_up_npi(serial)]
        doubled = [d * 2 if place % 2 else d for place, d in enumerate(reversed(digits))]
        assert sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0
    for _, resource in county():
        for contact in resource.get("telecom", []):
            value = contact["value"]
            assert "555-01" in value if contact["system"] == "phone" else value.endswith("example.org")


# --- what is stored ------------------------------------------------------------------------------------------------


async def test_stored_is_what_was_made_and_a_second_run_changes_nothing(database_url: str) -> None:
    async with seeded(database_url, 12) as store:
        first = await bodies(store)
        made = county(members=12)
        assert {f"{r['resourceType']}/{r['id']}" for _, r in made} == set(first)
        counts = "SELECT (SELECT count(*) FROM version), (SELECT count(*) FROM client), (SELECT count(*) FROM audit)"
        before = await store.fetch(counts)
        assert await seed(store, members=12, seed=1, now_us=NOW + 72 * HOUR) == {}
        assert await store.fetch(counts) == before
        more = await seed(store, members=14, seed=1, now_us=NOW + 72 * HOUR)
        assert more["Patient"] == 2 and "Organization" not in more and "clients" not in more
        assert {k: v for k, v in (await bodies(store)).items() if k in first} == first


async def test_two_databases_hold_the_same(sqlite_url: str, postgresql_url: str) -> None:
    async with seeded(sqlite_url, 6) as one, seeded(postgresql_url, 6) as other:
        assert await bodies(one) == await bodies(other)


async def test_a_change_by_a_user_stays(sqlite_url: str) -> None:
    async with seeded(sqlite_url, 6) as store:
        reference, body = next((k, v) for k, v in (await bodies(store)).items() if k.startswith("Goal/"))
        await store.commit(
            Change(writes=[new_version(body | {"statusReason": "moved"}, 1, store.keys, source_org=1, now_us=NOW)])
        )
        assert await seed(store, members=6, seed=1, now_us=NOW) == {}
        assert (await bodies(store))[reference]["statusReason"] == "moved"


async def test_other_data_is_never_touched(store: Store) -> None:
    await put(store, {"resourceType": "Organization", "id": "real", "name": "Made-up"})
    with pytest.raises(SeedRefused, match="other data"):
        await seed(store, members=6, seed=1, now_us=NOW)
    assert set(await bodies(store)) == {"Organization/real"} and not await credentials.clients(store)


async def test_another_seed_is_refused(sqlite_url: str) -> None:
    async with seeded(sqlite_url, 6) as store:
        with pytest.raises(SeedRefused, match="--seed 1"):
            await seed(store, members=6, seed=2, now_us=NOW)
        with pytest.raises(SeedRefused, match="at least one"):
            await seed(store, members=0, seed=1, now_us=NOW)


async def test_stored_tasks_keep_the_rules_of_referrals(sqlite_url: str) -> None:
    """Each Task is accepted as the last step from a state before it, without the reason and output it has now."""
    async with seeded(sqlite_url, 200) as store:
        ctx = Context(store, system_caller(), NOW)
        checked = set()
        for task in of("Task", county()):
            for row in referrals.TRANSITIONS:
                if row.new == task["status"]:
                    old = {k: v for k, v in task.items() if k not in ("statusReason", "output")} | {"status": row.old}
                    await referrals.check_transition(Step(ctx, "update", task, old, Change()))
                    checked.add(row.new)
            request = await ctx.resource(task["focus"]["reference"])
            assert request and request[0]["subject"]["reference"] == task["for"]["reference"]
        assert len(checked) == 9


# --- what each role sees ---------------------------------------------------------------------------------------------


@pytest.fixture
async def roles(store: Store, app: FastAPI) -> Roles:
    await seed(store, members=SOME, seed=1, now_us=NOW)
    return Roles(store, app)


def live(slug: str | None = None) -> set[str]:
    """Ids of the members in ECM (or on the way) with this ECM provider or lead care manager."""
    people = [member(1, number, DAYS) for number in range(SOME)]
    over = {"graduated", "discontinued", "declined", "unable-to-reach"}
    mine = [p for p in people if slug in (p.ecm.slug, p.lcm.slug) and p.row.ecm_status not in over]
    return {p.id("patient") for p in mine}


async def test_care_providers_see_their_members_only(roles: Roles) -> None:
    for person in LEAD_CARE_MANAGERS:
        found = await roles.found("lcm", f"{person.slug}-lcm", "Patient?_count=100")
        assert {p["id"] for p in found} == live(person.slug) and found
        assert await roles.found("lcm", f"{person.slug}-lcm", "Task?status=requested,accepted,in-progress,on-hold")
    for party in ECM_PROVIDERS:
        found = await roles.found("ecm-provider", f"{party.slug}-ehr", "Patient?_count=100")
        assert {p["id"] for p in found} == live(party.slug)


async def test_plans_see_their_members_and_the_hospital_nobody(roles: Roles) -> None:
    people = [member(1, number, DAYS) for number in range(SOME)]
    for party in PLANS:
        found = await roles.found("mcp", f"{party.slug.removeprefix('plan-')}-mcp", "Coverage?_count=100")
        assert {c["payor"][0]["reference"] for c in found} == {party.reference}
        assert len(found) == sum(person.plan is party for person in people) > SOME / 3
    assert await roles.found("hospital", "poppy-general-hospital", "Organization") == []


async def test_services_near_a_town_are_found_the_nearest_first(roles: Roles) -> None:
    """The places of docs/directory.md: no two at one spot, each within two miles of the middle of its town."""
    spots = {(p["latitude"], p["longitude"]) for p in (place["position"] for place in of("Location", county()))}
    assert len(spots) == len(of("Location", county()))
    near = "near=37.95%7C-121.29%7C2%7Cmi"
    sites = await roles.found("lcm", "maria-lopez-lcm", f"Location?{near}&_count=100")
    assert {one["address"]["city"] for one in sites} == {"Rio Dorado"}
    in_town = {one["id"] for one in of("Location", county()) if one["address"]["city"] == "Rio Dorado"}
    assert {one["id"] for one in sites} == in_town
    meals = await roles.found("lcm", "maria-lopez-lcm", f"HealthcareService?{near}&_sort=near&communication=es")
    assert meals[0]["providedBy"]["reference"].removeprefix("Organization/") + "-site" in in_town


async def test_community_organizations_see_their_tasks_only(roles: Roles) -> None:
    made = county(members=SOME)
    for cbo in CBOS:
        name = f"{cbo.slug}-cbo"
        found = {task["id"]: task for task in await roles.found("cbo", name, "Task?_count=100")}
        assert {task["owner"]["reference"] for task in found.values()} == {cbo.reference}
        mine = [task for task in of("Task", made) if task["owner"]["reference"] == cbo.reference]
        assert {task["id"] for task in mine if task["status"] in referrals.OPEN} <= set(found)
        focused = {r["id"] for r in await roles.found("cbo", name, "ServiceRequest?_count=100")}
        assert focused == {task["focus"]["reference"].split("/")[1] for task in found.values()}
        viewed = await roles.found("cbo", name, "Task?_include=Task:patient&_count=100")
        shown = [one for one in viewed if one["resourceType"] == "Patient"]
        assert shown and not [one for one in shown if one.keys() & {"birthDate", "identifier", "extension"}]


async def test_the_logins_are_the_first_of_their_role_and_have_something_to_see(roles: Roles, store: Store) -> None:
    assert sorted(login.role for login in LOGINS) == sorted(set(Role) - {Role.SYSTEM})
    for login in LOGINS:
        first = (await credentials.clients_by_role(store, login.role))[0]
        assert (first.id, first.name, first.jwks) == (login.client, login.client, None)
    for _, command in curl_lines("http://test"):
        words = command.replace(")", " ").split()
        role, name = words[words.index("--role") + 1], words[words.index("--client") + 1].strip('"')
        query = command.split("/fhir/")[1].rstrip("'")
        if query == sonja_reference():
            query = f"Patient?_id={query.split('/')[1]}"
        if not query.startswith("Communication"):  # alerts come with the hospital messages, not with the seed
            assert await roles.found(role, name, query), command
    assert await roles.found("referrer", "almond-grove-clinic-referrer", "Task")


# --- what the hospitals send -----------------------------------------------------------------------------------------


async def test_hospital_messages_are_the_same_each_time_and_in_order(sqlite_url: str) -> None:
    async with seeded(sqlite_url) as store:
        sent = await hospital_history(store, members=SOME, seed=1, now_us=NOW)
        assert sent == await hospital_history(store, members=SOME, seed=1, now_us=NOW + 50 * HOUR)
        more = await hospital_history(store, members=200, seed=1, now_us=NOW)
        assert set(sent) <= set(more), "more members change nothing of the others"
        senders = {source.name: (source.application, source.facility) for source in registered()}
        assert {name for name, _ in sent} == set(senders)
        for name, message in sent:
            header = peek(message)
            assert isinstance(header, Header) and header.sender == senders[name]
        assert sum(b"|AL|NE" in message for _, message in sent) == sum(n == "poppy-general-adt" for n, _ in sent)


async def test_the_messages_make_stays_and_alerts(sqlite_url: str) -> None:
    async with seeded(sqlite_url) as store:
        receiver = Receiver(store)
        for _, message in await hospital_history(store, members=SOME, seed=1, now_us=NOW):
            assert await receiver.receive(message)
        await Worker(store, Behaviour(), concurrency=4).drain()
        states: dict[str, int] = dict(await store.fetch("SELECT state, count(*) FROM inbox GROUP BY state"))
        assert set(states) == {"applied", "unmatched"} and states["unmatched"] == 1
        stored = (await bodies(store)).values()
        alerts = [r for r in stored if r["resourceType"] == "Communication" and "enlace-alert" in json.dumps(r)]
        told = {recipient["reference"] for alert in alerts for recipient in alert["recipient"]}
        assert told == {person.reference for person in LEAD_CARE_MANAGERS}
        sonja = [
            r for r in stored if r["resourceType"] == "Encounter" and r["subject"]["reference"] == sonja_reference()
        ]
        assert sum(r["id"].startswith("stay-") for r in sonja) == 1
