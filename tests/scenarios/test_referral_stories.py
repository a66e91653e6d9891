"""The told stories as proofs: what stands at the end of a referral, over HTTP with real processes (C.8 1-4, 11, 12).

A story itself fails where a party sees what it should not (service/cli/stories). Here: the closed loop with its dates,
clocks, notices to member and referrer, outcome in the care plan, who saw what, the measures, and a food pantry without
software that answers by a link.
"""

import asyncio
import io
import json
import re
import threading
from collections.abc import Iterator

import pytest
from aiosmtpd.smtp import SMTP

from service.auth.sandbox import issue_sandbox_token
from service.cli.seed import seed
from service.cli.seed.directory import CBOS, CLINIC
from service.cli.stories import albert
from service.cli.stories.acts import plan_file
from service.cli.stories.referral import request, task
from service.cli.stories.shown import Shown
from service.cli.stories.stage import Stage
from service.cli.stories.wire import Wire
from service.clock import instant
from service.settings import load
from service.store.engine import open_store
from service.workflow.reply_links import BY_LINK
from tests.scenarios.harness import ALL, THREE, look, now_us, put, rows, running
from tests.scenarios.told_county import (
    DESK,
    PANTRY,
    County,
    Desk,
    at_rest,
    counted,
    in_order,
    recipients,
    rules_of,
    seen_by,
)
from tests.service.notify.channels.receivers import Mailbox

POSTGRESQL_IN_DEEP = True


@pytest.fixture(scope="module")
def mail() -> Iterator[tuple[int, Mailbox]]:
    """An SMTP server in a thread of its own: the tests are synchronous."""
    box, loop = Mailbox(), asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: SMTP(box, hostname="mx"), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server.sockets[0].getsockname()[1], box
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    server.close()
    loop.close()


@pytest.fixture(scope="module")
def county(shared_url: str, mail: tuple[int, Mailbox], tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    look(shared_url, lambda store: seed(store, members=1, seed=1, now_us=now_us()))
    pantry = {"resourceType": "Organization", "id": "corner-pantry", "active": True, "name": "Corner Pantry"}
    pantry |= {"telecom": [{"system": "email", "value": DESK}], "extension": [{"url": BY_LINK, "valueBoolean": True}]}
    look(shared_url, lambda store: put(store, pantry))
    env = {"ENLACE_SMTP_URL": f"smtp://127.0.0.1:{mail[0]}", "ENLACE_PUBLIC_URL": "http://enlace.test"}
    env["ENLACE_MEASURE_SMALL_CELL"] = "0"
    mail[1].taken.clear()
    parts = (ALL,) if shared_url.startswith("sqlite") else THREE
    with running(shared_url, tmp_path_factory.mktemp("home"), parts=parts, **env) as service:
        settings = load({name: value for name, value in service._env.items() if name.startswith("ENLACE_")})
        token = look(shared_url, lambda store: issue_sandbox_token(store, "sandbox", "admin", "enlace-admin", 3600))
        yield County(service, settings, token, mail[1], {}, instant(now_us()))


# ---- 1: Sonja


def test_sonja_the_home_modification_closes_with_its_dates(county: County) -> None:
    s = county.play("sonja")
    whole, part = s.made["task-home"], s.made["task-home-part"]
    assert county.steps(part) == ["requested", "accepted", "on-hold", "in-progress", "completed"]
    assert county.steps(whole) == ["requested", "accepted", "on-hold", "in-progress", "completed"]
    assert county.steps(s.made["request-home"]) == county.steps(s.made["request-home-part"]) == ["active", "completed"]
    loop = county.loop(part)
    assert list(loop) == ["pending", "accepted", "outreach-initiated", "referral-loop-closed"]
    assert in_order(*loop.values())
    reasons = county.get(part)["statusReason"]["coding"]
    assert [c["code"] for c in reasons if c["system"].endswith("clr-closure-reason")] == ["services-received"]
    assert "referral-chain" in rules_of(county, whole)
    assert county.get(s.made["request-home-part"])["basedOn"] == [{"reference": s.made["request-home"]}]


def test_sonja_clocks_of_the_plan_and_of_the_stall(county: County) -> None:
    s = county.play("sonja")
    clocks = county.timers(s.made["task-home"])
    assert clocks["authorization-decision"] == clocks["provider-hand-off"] == "met"
    assert clocks["referral-stalled-again"] in ("met", "breached") and "referral-acknowledge" not in clocks
    late = rows(county.service.url, "SELECT count(*) FROM timer WHERE subject = ? AND state = 'breached'",
                s.made["task-home"])  # fmt: skip
    assert late[0][0] == 1, "one breach was told, and told once"
    at_rest(county, s.made["task-home"], s.made["task-home-part"], s.made["task-ecm"])
    item = county.get(s.made["late-home"])
    assert (item["status"], item["reasonCode"]["coding"][0]["code"]) == ("cancelled", "stalled")
    warned = county.found(f"Communication?category=referral-overdue&subject={s.made['patient']}")
    assert {one["recipient"][0]["reference"] for one in warned} == {s.story.plan.reference}


def test_sonja_who_referred_is_told_and_the_member_is_not_written_to_without_her_word(county: County) -> None:
    s = county.play("sonja")
    told = county.notices(s, s.story.ecm.reference)
    assert {name.partition(" ")[0] for name in told} == {"authorized", "assigned", "closed"} and len(told) == 3
    assert all(one["status"] == "completed" and one["sent"] for one in told.values())
    [assigned] = [one for name, one in told.items() if name.startswith("assigned")]
    assert "Safe Steps Home Repair" in assigned["payload"][0]["contentString"]
    member = county.notices(s, s.made["patient"])
    assert {name.partition(" ")[0] for name in member} == {"authorized", "assigned"}
    for one in member.values():
        assert one["status"] == "not-done" and one["statusReason"]["coding"][0]["code"] == "recipient-unavailable"
    clinic = county.notices(s, CLINIC.reference, "clinic-patient")
    assert {name.partition(" ")[0] for name in clinic} == {"authorized", "closed"}
    assert not any(s.row.last_name in words or s.row.cin in words for _, words in county.letters()), "no mail names her"


def test_sonja_the_outcome_is_in_her_plan_and_who_saw_her(county: County) -> None:
    s = county.play("sonja")
    plan = county.get(s.made["care-plan"])
    [activity] = plan["activity"]
    assert activity["reference"] == {"reference": s.made["request-home"]}
    assert [one["reference"] for one in activity["outcomeReference"]] == [s.made["done-home"]]
    [note] = activity["progress"]
    assert note["text"].startswith("The referral was completed.")
    assert rules_of(county, s.made["care-plan"]) == {"referral-outcome"}
    saw = recipients(county, s)
    assert {s.story.plan.reference, CBOS[4].reference} <= saw
    assert not saw & {one.reference for one in CBOS if one is not CBOS[4]}
    assert county.get(s.made["goal-bath"])["lifecycleStatus"] == "completed"
    alert = county.get(s.made["admission"])
    assert alert["received"] and alert["recipient"][0]["reference"] == "Practitioner/maria-lopez"


# ---- 2 and 11: Felix, and a provider that declines


def test_felix_declined_for_capacity_and_handed_to_another(county: County) -> None:
    """C.8 number 11."""
    s = county.play("felix")
    kitchen, food = CBOS[2], CBOS[0]
    parts = {one["owner"]["reference"]: one for one in county.found(f"Task?part-of={s.made['task-meals']}")
             if one.get("focus", {}).get("reference", "").startswith("ServiceRequest/")}  # fmt: skip
    first, second = parts[kitchen.reference], parts[food.reference]
    assert (first["status"], second["status"]) == ("rejected", "completed")
    assert first["statusReason"]["text"] == "The kitchen is full until May"
    assert first["focus"] == second["focus"], "the same request goes on"
    assert county.steps(s.made["request-meals"]) == ["active", "completed"]
    assert list(county.loop(f"Task/{first['id']}")) == ["pending", "declined"]
    assert county.get(s.made["re-route-meals"])["status"] == "completed"
    told = county.notices(s, s.story.ecm.reference)
    about = {n for n in told if n.split()[1] in {f"Task/{one['id']}" for one in parts.values()}}
    assert {name.partition(" ")[0] for name in about} >= {"declined", "assigned"}
    [why] = [told[n]["payload"][0]["contentString"] for n in about if n.startswith("declined")]
    assert kitchen.name in why and "full until May" in why
    member = county.notices(s, s.made["patient"])
    assert f"assigned Task/{second['id']}" in member and f"assigned Task/{first['id']}" not in member
    at_rest(county, s.made["task-meals"], *(f"Task/{one['id']}" for one in parts.values()))


def test_felix_four_at_once_each_in_its_own_part(county: County) -> None:
    s = county.play("felix")
    names = ("transition", "meals", "personal-care", "respite")
    parts = [county.get(s.made[f"task-{name}-part"]) for name in names]
    assert len({one["owner"]["reference"] for one in parts}) == 4 and {p["status"] for p in parts} == {"completed"}
    plan = county.get(s.made["care-plan"])
    done = {a["reference"]["reference"]: a["outcomeReference"][0]["reference"] for a in plan["activity"]}
    assert done == {s.made[f"request-{name}"]: s.made[f"done-{name}"] for name in names}
    begun = [county.versions(s.made[f"task-{name}"]) for name in names]
    left = county.get(s.made["stay"])["period"]["end"]
    assert county.get(s.made["stay"])["status"] == "finished" and left
    for versions in begun:
        started = next(v["meta"]["lastUpdated"] for v in versions if v["status"] == "in-progress")
        ended = next(v["meta"]["lastUpdated"] for v in versions if v["status"] == "completed")
        assert started < ended
    used = rows(county.service.url, "SELECT service, units, state FROM service_use WHERE patient = ?",
                s.made["patient"])  # fmt: skip
    assert {str(row[2]) for row in used} == {"used"} and len(used) == 4
    assert {row[0]: row[1] > 0 for row in used}["caregiver-respite"]


# ---- 3: Albert, the food bank with software and the pantry without


def test_albert_no_authorization_and_a_promise_that_was_kept(county: County) -> None:
    s = county.play("albert")
    assert county.steps(s.made["task-fridge"]) == ["requested", "accepted", "in-progress", "completed"]
    asked = county.get(s.made["request-fridge"])
    assert "insurance" not in asked and "coding" not in asked["code"]
    clocks = county.timers(s.made["task-fridge"])
    assert "authorization-decision" not in clocks and clocks["referral-acknowledge"] == "met"
    assert not county.notices(s, s.story.ecm.reference), "the closed loop of the state is for ECM and its supports"
    handed = county.get(s.made["handed-fridge"])
    assert {one["reference"] for one in handed["recipient"]} >= {CBOS[0].reference}
    promise = county.get(s.made["asked-fridge"])
    assert promise["status"] == "completed" and len(promise["output"]) == 2
    at_rest(county, s.made["task-fridge"], s.made["asked-fridge"])
    [activity] = county.get(s.made["care-plan"])["activity"]
    assert activity["outcomeReference"][0]["reference"] == s.made["done-fridge"]


async def _referred(county: County) -> Stage:
    """Another Albert, referred to a pantry that has a mail address and nothing else."""
    store = await open_store(county.settings.database_url.get_secret_value())
    wire = Wire(store, county.settings)
    try:
        s = Stage(albert.STORY, wire, Shown(io.StringIO()))
        await plan_file()(s)
        owner = {"reference": PANTRY, "display": "Corner Pantry"}
        words = albert.Service("Food boxes", "food-insecurity")
        await s.create(s.lead, "request-box", request(s, words, s.patient, s.works_as, owner))
        await s.create(s.lead, "task-box", task(s, "box", words.words, s.patient, s.provider, owner))
        return s
    finally:
        await wire.close()
        await store.close()


def test_albert_a_pantry_without_software_answers_by_a_link(county: County) -> None:
    s, desk = asyncio.run(_referred(county)), Desk(county)
    page = desk.press(desk.http.get(desk.link()), "Send me the code")
    page = desk.press(page, "Open the referral", code=desk.code())
    assert "Food boxes" in page.text and s.row.last_name in page.text and s.row.cin not in page.text
    page = desk.press(page, "Accept")
    page = desk.press(page, "We reached the person")
    page = desk.press(page, "Done", on=s.day())
    for word in (s.row.first_name, s.row.last_name, s.row.cin, s.row.phone or "209-555"):
        assert not any(word in one for one in desk.words()), "no word of the member in a mail"
        assert word not in county.service.output()
    found = county.get(s.made["task-box"])
    assert found["status"] == "completed" and county.steps(s.made["task-box"])[:2] == ["requested", "accepted"]
    done = county.get(found["output"][0]["valueReference"]["reference"])
    assert done["basedOn"] == [{"reference": s.made["request-box"]}]
    sql = "SELECT DISTINCT organization FROM audit WHERE actor = 'reply-link' AND target = ?"
    assert rows(county.service.url, sql, s.made["task-box"]) == [(PANTRY,)]
    desk.http.close()
    county.service.drained()
    at_rest(county, s.made["task-box"])


# ---- 4 and 12: Susan, and what she takes back


SUBSTANCE = re.compile(r"opioid|overdose|\bF11(\.|\b)", re.IGNORECASE)
"""Words, and codes of ICD-10-CM; ids hold any digits."""


def test_susan_substance_use_is_known_to_those_who_treat_her_alone(county: County) -> None:
    s = county.play("susan")
    for name in ("opioids", "goal-safe"):
        for who in (CBOS[0], CBOS[1], "golden-poppy-mcp"):
            assert seen_by(county, who, s.made[name], s.made["patient"]) == set(), (name, who)
    texts = [county.get(s.made[name]) for name in ("task-food", "request-food", "task-housing", "task-housing-part")]
    told = county.found(f"Communication?category=clr-notice&subject={s.made['patient']}")
    assert told and not any(SUBSTANCE.search(str(one)) for one in [*texts, *told])
    loop = county.loop(s.made["task-housing-part"])
    assert list(loop) == ["pending", "accepted", "outreach-initiated", "referral-loop-closed"]
    assert in_order(*loop.values())
    assert county.get(s.made["opioids"])["meta"]["security"][0]["code"] == "OPIOIDUD"
    assert county.get(s.made["left"])["priority"] == "stat"
    at_rest(county, s.made["task-food"], s.made["task-housing"], s.made["task-housing-part"])


def test_susan_takes_her_form_back_and_what_went_before_is_listed(county: County) -> None:
    """C.8 number 12: over no way of the API, at once; what the plan read meanwhile stays in the accounting."""
    s = county.play("susan")
    assert county.get(s.made["form"])["status"] == "inactive"
    assert seen_by(county, "golden-poppy-mcp", s.made["goal-safe"], s.made["patient"]) == set()
    assert seen_by(county, "golden-poppy-mcp", s.made["goal-home"], s.made["patient"]), "the rest goes on"
    listed = json.loads(county.service.cli("audit", "disclosures", s.made["patient"], "--json"))
    by_form = [one for one in listed if "Goal" in str(one["what"]) and one["recipient_reference"]
               == s.story.plan.reference and s.made["form"] in str(one["basis"])]  # fmt: skip
    assert by_form, [(one["recipient_reference"], one["what"], one["basis"]) for one in listed]


# ---- what is counted in the end


def test_the_measures_count_what_was_played(county: County) -> None:
    """Each referral once, whoever passed it on; as of the beginning none of them; a plan counts its own members'."""
    for name in ("sonja", "felix", "albert", "susan"):
        county.play(name)
    expected = {"home-modifications", "meals-supportive-food", "community-home-transition", "personal-care-homemaker"}
    expected |= {"caregiver-respite", "housing-transition-navigation", "ecm"}
    for measure in ("referrals-made", "service-received"):
        new = counted(county, measure)
        new.subtract(counted(county, measure, county.began))
        assert {code: new[code] for code in expected} == dict.fromkeys(expected, 1), (measure, new)
    mine = counted(county, "service-received", token=county.token("mcp", "sierra-valley-mcp"))
    assert mine["meals-supportive-food"] == mine["caregiver-respite"] == 1 and not mine["home-modifications"], mine
