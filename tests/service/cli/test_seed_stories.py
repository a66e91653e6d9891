"""The stories of Felix, Susan and Albert beside Sonja: told to their end, valid, and no word where it must not be."""

import base64
import json
from datetime import datetime
from typing import Any

import pytest
from fastapi import FastAPI

from service.access.context import Settings as Behaviour
from service.access.labels import labels
from service.access.roles import OWN_TYPES, PARTY_TYPES, PLAN_TYPES
from service.cli.seed import hospital_history, seed
from service.cli.seed.directory import CBOS, LEAD_CARE_MANAGERS, PLANS
from service.cli.seed.members import entries
from service.cli.seed.people import Member, member
from service.cli.seed.story_people import ALBERT, FELIX, SONJA, STORY_PEOPLE, SUSAN
from service.interactions.receive_hl7v2 import Receiver
from service.store.engine import Store
from service.worker import Worker
from tests.service.cli.county import DAYS, NOW, Roles, bodies, county, of, seeded

FOOD_BANK = CBOS[0]
SAID = ("opioid", "overdose", "naloxone", "buprenorphine", "substance", "recovery", "part 2", "42cfr", "f11.", "t40.")
"""Words and codes of what the program under 42 CFR Part 2 knows of Susan."""


def person(number: int) -> Member:
    return member(1, number, DAYS)


def story(number: int) -> dict[str, Any]:
    return {f"{r['resourceType']}/{r['id']}": r for _, r in entries(1, number, DAYS)}


def named(number: int, rtype: str, *role: str) -> Any:
    return story(number)[f"{rtype}/{person(number).id(*role)}"]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("number", [SONJA, FELIX, SUSAN, ALBERT])
def test_a_story_holds_all_that_ecm_writes(number: int) -> None:
    who, made = person(number), entries(1, number, DAYS)
    (episode,), (team,) = of("EpisodeOfCare", made), of("CareTeam", made)
    assert (episode["status"], episode["careManager"]["reference"]) == ("active", who.lcm.reference)
    extensions = {e["url"].rsplit("/", 1)[-1]: e for e in episode["extension"]}
    assert extensions["enlace-authorization"]["valueIdentifier"]["assigner"]["reference"] == who.plan.reference
    assert who.lcm.reference in {p["member"]["reference"] for p in team["participant"]}
    for rtype in (
        "Consent",
        "QuestionnaireResponse",
        "Condition",
        "Goal",
        "CarePlan",
        "DocumentReference",
        "Encounter",
    ):
        assert of(rtype, made), rtype
    assert "reached-engaged" in json.dumps(of("Communication", made))
    asked = {reference["reference"] for plan in of("CarePlan", made) for reference in plan["goal"]}
    assert asked == {f"Goal/{goal['id']}" for goal in of("Goal", made)}, "every goal stands in a plan"
    (copy,) = of("DocumentReference", made)
    text = base64.b64decode(copy["content"][0]["attachment"]["data"]).decode()
    assert all(goal["description"]["text"] in text for goal in of("Goal", made))
    assert "Copy of the plan given" in json.dumps(of("CarePlan", made))


@pytest.mark.parametrize(
    ("number", "roles"),
    [
        (FELIX, ("ecm-referral", "home-transition", "meals", "personal-care", "respite")),
        (SUSAN, ("ecm-referral", "housing", "food")),
        (ALBERT, ("ecm-referral", "fridge")),
    ],
)
def test_the_loops_of_the_story_are_closed(number: int, roles: tuple[str, ...]) -> None:
    made = story(number)
    for role in roles:
        task, request = named(number, "Task", role, "task"), named(number, "ServiceRequest", role, "request")
        assert (task["status"], request["status"]) == ("completed", "completed"), role
        assert task["focus"]["reference"] == f"ServiceRequest/{request['id']}"
        assert task["businessStatus"]["coding"][0]["code"] == "referral-loop-closed"
        assert task["output"][0]["valueReference"]["reference"] in made
    for task in of("Task", entries(1, number, DAYS)):
        about = made[task["focus"]["reference"]]
        if about["resourceType"] == "ServiceRequest":
            assert (about["status"] == "completed") == (task["status"] == "completed")


# --- Felix -----------------------------------------------------------------------------------------------------------


def test_felix_is_referred_by_the_plans_manager_of_transitions_after_his_wish() -> None:
    request, wish = (
        named(FELIX, "ServiceRequest", "ecm-referral", "request"),
        named(FELIX, "Observation", "wish-to-return"),
    )
    assert request["requester"]["reference"] == "PractitionerRole/gil-paredes-role"
    assert request["reasonCode"][0]["coding"][0]["code"] == "6"
    stay = named(FELIX, "Encounter", "snf-stay")
    days = moment(stay["period"]["end"]) - moment(stay["period"]["start"])
    assert "Section Q" in wish["code"]["text"] and wish["valueBoolean"] is True and days.days > 60
    assert stay["period"]["start"] < wish["effectiveDateTime"] < request["authoredOn"] < stay["period"]["end"]


def test_felix_comes_home_only_when_all_four_supports_have_begun() -> None:
    made = story(FELIX)
    home, stay = named(FELIX, "Task", "return-home"), named(FELIX, "Encounter", "snf-stay")
    waits = [made[one["valueReference"]["reference"]] for one in home["input"]]
    requests = [made[task["focus"]["reference"]] for task in waits]
    assert {r["code"]["coding"][0]["code"] for r in requests} == {
        *("community-home-transition", "meals-supportive-food", "personal-care-homemaker", "caregiver-respite")
    }
    assert len({json.dumps(r["requisition"]) for r in requests}) == len({r["authoredOn"] for r in requests}) == 1
    left = moment(home["executionPeriod"]["start"])
    assert left == moment(stay["period"]["end"])
    assert max(moment(task["executionPeriod"]["start"]) for task in waits) < left
    approved = named(FELIX, "Task", "cs-authorization")
    assert {one["valueReference"]["reference"] for one in approved["input"]} == {t["focus"]["reference"] for t in waits}
    assert approved["owner"]["reference"] == PLANS[1].reference
    assert approved["businessStatus"]["coding"][0]["code"] == "approved"
    assert all(moment(approved["lastModified"]) < moment(task["executionPeriod"]["start"]) for task in waits)


def test_teresa_is_caregiver_with_consent_and_support_of_her_own() -> None:
    teresa = f"RelatedPerson/{person(FELIX).id('teresa')}"
    assert story(FELIX)[teresa]["relationship"][0]["coding"][0]["code"] == "WIFE"
    consent = named(FELIX, "Consent", "consent-teresa")
    assert consent["provision"]["actor"][0]["reference"]["reference"] == teresa
    assert teresa in json.dumps(named(FELIX, "CareTeam", "team"))
    assert named(FELIX, "Task", "caregiver-support", "task")["status"] == "in-progress"
    assert named(FELIX, "Observation", "caregiver-capacity")


# --- Albert ----------------------------------------------------------------------------------------------------------


def test_alberts_fridge_needs_no_authorization_and_is_closed_by_the_promised_follow_up() -> None:
    made, request = story(ALBERT), named(ALBERT, "ServiceRequest", "fridge", "request")
    assert "coding" not in request["code"] and "authorization" not in json.dumps(request).lower()
    tasks = of("Task", entries(1, ALBERT, DAYS))
    to_plan = [t["focus"]["reference"] for t in tasks if t["owner"]["reference"] == person(ALBERT).plan.reference]
    assert to_plan == [f"ServiceRequest/{person(ALBERT).id('ecm-referral', 'request')}"]
    task, promise = named(ALBERT, "Task", "fridge", "task"), named(ALBERT, "Task", "promise")
    assert task["owner"]["reference"] == FOOD_BANK.reference
    answer = made[promise["output"][0]["valueReference"]["reference"]]
    assert moment(task["lastModified"]) < moment(answer["sent"]) < moment(request["note"][-1]["time"])
    assert "Need met" in answer["payload"][0]["contentString"] and promise["status"] == "completed"
    said = json.dumps([request, task, named(ALBERT, "Procedure", "fridge", "procedure")]).lower()
    assert not [word for word in ("insulin", "diabetes", "heart", "pressure", "e11.") if word in said]


# --- Susan -----------------------------------------------------------------------------------------------------------


def test_susans_words_stand_only_in_labelled_resources() -> None:
    hidden = {key for key, r in story(SUSAN).items() if labels(r)}
    assert {key.split("/")[0] for key in hidden} == {
        *("Consent", "Condition", "Procedure", "Goal", "CarePlan", "DocumentReference")
    }
    for author, r in entries(1, SUSAN, DAYS):
        reference, text = f"{r['resourceType']}/{r['id']}", json.dumps(r, default=str).lower()
        assert (author == person(SUSAN).ecm.reference) or reference not in hidden
        if reference in hidden:
            assert {c["code"] for c in r["meta"]["security"]} == {"OPIOIDUD", "42CFRPart2"}
        else:
            assert not [word for word in SAID if word in text], reference


def test_susans_form_opens_the_labelled_data_to_her_ecm_provider_and_her_plan_alone() -> None:
    provision = named(SUSAN, "Consent", "consent-part-2")["provision"]
    partners = {person(SUSAN).ecm.reference, person(SUSAN).plan.reference}
    assert {a["reference"]["reference"] for a in provision["actor"]} == partners
    ((box,),) = ([one["securityLabel"] for one in provision["provision"]],)
    assert {c["code"] for c in box} == {"SUD", "42CFRPart2"}
    assert provision["type"] == "permit" and provision["period"]["end"] > DAYS.on(0)
    assert "securityLabel" not in json.dumps(named(SUSAN, "Consent", "consent"))


@pytest.fixture
async def roles(store: Store, app: FastAPI) -> Roles:
    await seed(store, members=4, seed=1, now_us=NOW)
    return Roles(store, app)


async def test_the_food_bank_sees_its_referral_and_no_word_of_the_diagnosis(roles: Roles) -> None:
    hidden = [r for r in story(SUSAN).values() if labels(r)]
    client = ("cbo", f"{FOOD_BANK.slug}-cbo")
    seen = [r for t in (*PARTY_TYPES, *OWN_TYPES) for r in await roles.found(*client, f"{t}?_count=100")]
    seen += await roles.found(*client, "Task?_include=Task:focus&_include=Task:patient&_count=100")
    ids = {r["id"] for r in seen}
    assert {person(SUSAN).id("food", "task"), person(SUSAN).id("food", "request")} <= ids
    assert not ids & {r["id"] for r in hidden}
    text = json.dumps(seen).lower()
    assert not [word for word in (*SAID, "diabet", "e11.", "insulin", "heart") if word in text]
    assert "weekly box" in text, "there is something to read"
    for r in hidden:
        assert await roles.status(*client, f"{r['resourceType']}/{r['id']}") in (403, 404), r["resourceType"]


async def test_susans_plan_reads_what_her_form_opens_and_the_housing_navigators_do_not(roles: Roles) -> None:
    for r in (r for r in story(SUSAN).values() if labels(r)):
        where = f"{r['resourceType']}/{r['id']}"
        assert await roles.status("lcm", f"{LEAD_CARE_MANAGERS[SUSAN].slug}-lcm", where) == 200
        expected = {200} if r["resourceType"] in PLAN_TYPES else {403, 404}
        assert await roles.status("mcp", "golden-poppy-mcp", where) in expected
        assert await roles.status("mcp", f"{PLANS[1].slug.removeprefix('plan-')}-mcp", where) in (403, 404)
        assert await roles.status("cbo", f"{CBOS[1].slug}-cbo", where) in (403, 404)


async def test_what_the_form_opened_is_closed_when_susan_takes_it_back(roles: Roles) -> None:
    form = named(SUSAN, "Consent", "consent-part-2")
    where = f"Goal/{person(SUSAN).id('goal-recovery')}"
    assert await roles.status("mcp", "golden-poppy-mcp", where) == 200
    await roles.put("ecm-provider", f"{person(SUSAN).ecm.slug}-ehr", form | {"status": "inactive"})
    assert await roles.status("mcp", "golden-poppy-mcp", where) == 404
    assert await roles.status("lcm", f"{LEAD_CARE_MANAGERS[SUSAN].slug}-lcm", where) == 200, "its author"


# --- how many --------------------------------------------------------------------------------------------------------


def test_the_stories_are_spread_over_providers_managers_and_plans() -> None:
    people = [person(number) for number in STORY_PEOPLE]
    assert {p.ecm.slug for p in people} == {"valley-oak", "river-bend", "sunrise-street"}
    assert len({p.lcm for p in people}) == 4 and {p.plan for p in people} == set(PLANS)


@pytest.mark.parametrize("members", [1, 2, 4, 5])
async def test_small_counties_hold_the_first_stories_and_their_stays(sqlite_url: str, members: int) -> None:
    async with seeded(sqlite_url, members) as store:
        assert {f"{r['resourceType']}/{r['id']}" for _, r in county(members=members)} == set(await bodies(store))
        receiver = Receiver(store)
        for _, message in await hospital_history(store, members=members, seed=1, now_us=NOW):
            assert await receiver.receive(message)
        await Worker(store, Behaviour(), concurrency=4).drain()
        stored = (await bodies(store)).values()
        stays = {r["subject"]["reference"]: r for r in stored if r["id"].startswith("stay-")}
        told = [number for number in (SONJA, FELIX, SUSAN) if number < members]
        assert {person(number).reference for number in told} <= set(stays)
        for number in told:
            assert stays[person(number).reference]["status"] == "finished"
        names = {r["name"][0]["given"][0] for r in stored if r["resourceType"] == "Patient"}
        assert {person(number).row.first_name for number in range(min(members, 4))} <= names
        text = json.dumps(stays.get(person(SUSAN).reference, {})).lower()
        assert not [word for word in SAID if word in text], "the hospital withholds the reason"
