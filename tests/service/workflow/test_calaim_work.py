"""Work that follows by jobs: overlaps of programs, another provider after a decline, the streamlined 30 days."""

from typing import Any

import pytest

from fhir_profiles.validate import validate
from service.access.context import Context, Settings, parse
from service.caller import system_caller
from service.search.restriction import EVERYTHING
from service.store import read, timers
from service.store.change import Change, Job, Stale
from service.store.engine import Store
from service.worker import Worker
from service.workflow import calaim_overlap, calaim_reroute
from service.workflow.calaim_catalogue import catalogue
from service.workflow.calaim_overlap import rule_of, rules
from service.workflow.calaim_tasks import OUTCOMES
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.workflow.calaim_world import advance, asked, code_of, coded, moved, parameters
from tests.service.world import (
    BASE,
    CBO1,
    CBO2,
    ECM1,
    ECM2,
    PLAN1,
    SUD,
    change_of,
    coverage,
    episode,
    make,
    put,
    ref,
    request,
    task,
)

POSTGRESQL_IN_DEEP = True
PROGRAM = "https://enlace.example.org/fhir/CodeSystem/overlap-program"
DAY = 86_400


async def drained(store: Store) -> None:
    await Worker(store, Settings(base_url=BASE)).drain()


async def items(store: Store, code: str) -> list[dict[str, Any]]:
    found = [
        one for one in (await resources(store, "Task")).values() if code in str((one.get("code") or {}).get("coding"))
    ]
    assert all(validate(one, "Task") == [] for one in found)
    return found


# --- overlaps --------------------------------------------------------------------------------------------------------


def test_every_rule_of_the_table() -> None:
    told = {"both": 21, "either": 9, "not-eligible": 6}
    assert {rule: sum(r == rule for r, _ in rules().values()) for rule in told} == told
    care, respite = catalogue()["personal-care-homemaker"], catalogue()["caregiver-respite"]
    assert [rule_of("hcba", one) for one in (catalogue()["ecm"], care, respite)] == ["either", "either", ""]
    assert [rule_of(one, catalogue()["ecm"]) for one in ("ihss", "pace", "unheard")] == ["both", "not-eligible", ""]


async def test_a_program_that_comes_on_a_feed_makes_one_item_for_the_plan(world: Store, app_client: AppClient) -> None:
    await asked(world, app_client, "ecm")
    await drained(world)
    assert await items(world, "program-overlap") == []
    plan = await app_client("mcp", PLAN1)
    body = coverage("Coverage/n", "Patient/a", PLAN1, type=coded("d-snp", PROGRAM))
    for _ in range(2):
        answer = await plan.post("/Coverage", json=body)
        assert answer.status_code == 201, answer.text  # never refused
        await drained(world)
    found = await items(world, "program-overlap")
    assert len(found) == 2 and {one["owner"]["reference"] for one in found} == {PLAN1}
    assert {one["focus"]["reference"].partition("/")[0] for one in found} == {"Coverage"}
    assert "D-SNP" in found[0]["description"] and found[0]["reasonReference"]["reference"].startswith("ServiceRequest/")
    ctx = Context(world, system_caller(), world.clock.now_us(), Settings(base_url=BASE))
    assert (await calaim_overlap.look(ctx, {"patient": "Patient/a"})).writes == []  # twice is once
    seen = await plan.get(f"/Task/{found[0]['id']}")
    assert seen.status_code == 200
    assert (await (await app_client("cbo", CBO1)).get(f"/Task/{found[0]['id']}")).status_code == 404


async def test_a_request_is_looked_at_against_what_is_there(world: Store, app_client: AppClient) -> None:
    enrolled = {"coding": [{"code": "enrolled"}]}
    observed = make("Observation/p", status="final", code=coded("hcba", PROGRAM), subject=ref("Patient/a"))
    await put(world, observed | {"valueCodeableConcept": enrolled}, source=ECM1)
    for service, count in (("caregiver-respite", 0), ("personal-care-homemaker", 1), ("ecm", 2)):
        await asked(world, app_client, service)
        await drained(world)
        assert len(await items(world, "program-overlap")) == count, service


async def test_a_labelled_program_is_not_named(world: Store, app_client: AppClient) -> None:
    enrolled = {"valueCodeableConcept": {"coding": [{"code": "enrolled"}]}}
    observed = make("Observation/p", status="final", code=coded("mcwp", PROGRAM), subject=ref("Patient/a"), meta=SUD)
    await put(world, observed | enrolled, source=ECM1)
    await asked(world, app_client, "ecm")
    await drained(world)
    (one,) = await items(world, "program-overlap")
    assert "focus" not in one and "MCWP" not in str(one) and "Another program" in one["description"]
    statuses = {role: (await (await app_client(role, who)).get(f"/Task/{one['id']}")).status_code
                for role, who in (("mcp", PLAN1), ("ecm-provider", ECM1))}  # fmt: skip
    assert statuses == {"mcp": 404, "ecm-provider": 200}, "that there is such a record is as secret as the record"


async def test_an_open_authorization_elsewhere_is_told_on_day_0(world: Store, app_client: AppClient) -> None:
    number = {"url": "https://enlace.example.org/fhir/StructureDefinition/enlace-authorization"}
    number["valueIdentifier"] = {"value": "E-7"}  # type: ignore[assignment]
    other = episode("EpisodeOfCare/o", "Patient/a", ECM2, type=[coded("ecm")], extension=[number])
    await put(world, other, source=PLAN1)
    await asked(world, app_client, "ecm")
    await drained(world)
    (one,) = await items(world, "program-overlap")
    assert "another provider" in one["description"] and one["focus"]["reference"] == "EpisodeOfCare/o"


# --- another provider ------------------------------------------------------------------------------------------------


def offer(number: str, provider: str, service: str, **more: Any) -> dict[str, Any]:
    body = make(
        f"HealthcareService/{number}", active=True, providedBy=ref(provider), name=number, type=[coded(service)]
    )
    return body | more


def capacity(code: str) -> dict[str, Any]:
    url = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/"
    system = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
    value = {"url": "capacityStatus", "valueCodeableConcept": {"coding": [{"system": system, "code": code}]}}
    return {"extension": [{"url": f"{url}SDOHCC-ExtensionHealthcareServiceCapacityStatus", "extension": [value]}]}


async def test_after_a_decline_the_plan_gets_others_to_ask(world: Store, app_client: AppClient) -> None:
    for number in range(3, 8):
        await put(
            world, make(f"Organization/cbo-{number}", name=f"cbo-{number}", active=True), source="Organization/op"
        )
    await put(
        world,
        offer("declined", CBO1, "meals-supportive-food"),
        offer("waits", CBO2, "meals-supportive-food", **capacity("waitlist")),
        offer("room", "Organization/cbo-3", "produce-rx-box", **capacity("capacity")),
        offer("full", "Organization/cbo-4", "meals-supportive-food", **capacity("no-capacity")),
        offer("closed", "Organization/cbo-5", "meals-supportive-food", active=False),
        offer("else", "Organization/cbo-6", "caregiver-respite"),
        source="Organization/op",
    )
    parent = await asked(world, app_client, "meals-supportive-food")
    plan, cbo = await app_client("mcp", PLAN1), await app_client("cbo", CBO1)
    period = {"start": "2026-03-09", "end": "2026-05-31"}
    decision = parameters(outcome="approved", number="1", period=period)
    assert (await plan.post(f"/Task/{parent}/$authorize", json=decision)).status_code == 200
    focus = (await plan.get(f"/Task/{parent}")).json()["focus"]
    own = request("ServiceRequest/own", "Patient/a", PLAN1, basedOn=[focus])
    made = (await plan.post("/ServiceRequest", json=own)).json()
    chain = {"partOf": [{"reference": f"Task/{parent}"}]}

    async def sent(owner: str) -> str:
        body = task("Task/x", "Patient/a", f"ServiceRequest/{made['id']}", PLAN1, owner, **chain)
        return str((await plan.post("/Task", json=body)).json()["id"])

    child = await sent(CBO1)
    answer = await moved(cbo, child, status="rejected", statusReason={"text": "no room"})
    assert answer.status_code == 200, answer.text
    await drained(world)
    (item,) = await items(world, "re-route")
    assert item["owner"]["reference"] == PLAN1 and "no room" in item["description"]
    assert [one["valueReference"]["display"] for one in item["input"]] == ["room", "waits"]
    assert (await plan.get(f"/ServiceRequest/{made['id']}")).json()["status"] == "active"
    await sent("Organization/cbo-3")
    await drained(world)
    assert [one["status"] for one in await items(world, "re-route")] == ["completed"]


async def test_who_referred_without_the_plan_is_asked_itself(world: Store, app_client: AppClient) -> None:
    number = await asked(world, app_client, "day-habilitation", CBO1)
    await moved(await app_client("cbo", CBO1), number, status="rejected", statusReason={"text": "full"})
    await drained(world)
    (item,) = await items(world, "re-route")
    assert item["owner"]["reference"] == ECM1 and "nobody else" in item["description"] and "input" not in item


async def test_why_a_labelled_referral_was_declined_is_labelled(world: Store, app_client: AppClient) -> None:
    number = await asked(world, app_client, "day-habilitation", CBO1)
    task_ = (await resources(world, "Task"))[number] | {"status": "rejected", "statusReason": {"text": "why"}}
    await world.commit(change_of(world, task_ | {"meta": SUD}, ECM1, expect=1))
    await world.commit(Change(jobs=[Job("calaim.reroute", {"task": f"Task/{number}"})]))
    await drained(world)
    (item,) = await items(world, "re-route")
    assert (await (await app_client("ecm-provider", ECM1)).get(f"/Task/{item['id']}")).status_code == 200
    assert (await (await app_client("mcp", PLAN1)).get(f"/Task/{item['id']}")).status_code == 404


async def test_another_that_is_opened_meanwhile_leaves_no_item(world: Store, app_client: AppClient) -> None:
    number = await asked(world, app_client, "day-habilitation", CBO1)
    await moved(await app_client("cbo", CBO1), number, status="rejected", statusReason={"text": "full"})
    ctx = Context(world, system_caller(), world.clock.now_us(), Settings(base_url=BASE))
    late = await calaim_reroute.ask(ctx, {"task": f"Task/{number}"})
    ecm = await app_client("ecm-provider", ECM1)
    focus = (await ecm.get(f"/Task/{number}")).json()["focus"]["reference"]
    made = await ecm.post("/Task", json=task("Task/x", "Patient/a", focus, ECM1, CBO2))
    assert made.status_code == 201, made.text
    with pytest.raises(Stale):
        await world.commit(late)
    await drained(world)
    assert await items(world, "re-route") == []


@pytest.mark.parametrize("before", [True, False])
async def test_nobody_looks_further_for_a_request_that_ended(world: Store, app_client: AppClient, before: bool) -> None:
    """before: it ends before the job of the decline comes by."""
    number = await asked(world, app_client, "day-habilitation", CBO1)
    await moved(await app_client("cbo", CBO1), number, status="rejected", statusReason={"text": "full"})
    if not before:
        await drained(world)
        assert len(await items(world, "re-route")) == 1
    ecm = await app_client("ecm-provider", ECM1)
    focus = (await ecm.get(f"/Task/{number}")).json()["focus"]["reference"]
    body = (await ecm.get(f"/{focus}")).json()
    assert (await ecm.put(f"/{focus}", json=body | {"status": "revoked"})).status_code == 200
    await drained(world)
    assert [one["status"] for one in await items(world, "re-route")] == ([] if before else ["completed"])


# --- streamlined -----------------------------------------------------------------------------------------------------


STREAMLINED = {"businessStatus": {"coding": [{"system": OUTCOMES, "code": "streamlined-active"}]}}
FIRST = {"executionPeriod": {"start": "2026-03-01"}}


async def test_the_streamlined_window_warns_and_ends(world: Store, app_client: AppClient) -> None:
    number = await asked(world, app_client, "ecm", **STREAMLINED, **FIRST)
    rows = {one.kind: one for one in await timers.listed(world, "", "", 100) if one.subject == f"Task/{number}"}
    assert (rows["streamlined-end"].due_us - rows["streamlined-warning"].due_us) == 7 * DAY * 1_000_000
    world.clock.advance(rows["streamlined-end"].due_us - world.clock.now_us() + 1)  # type: ignore[attr-defined]
    await world.commit(Change(jobs=[Job("timer.due", {})]))
    await drained(world)
    found = await read.head(world, "Task", number, EVERYTHING)
    body = parse(found.body) if found else {}
    assert code_of(body, "businessStatus", OUTCOMES) == "streamlined-expired"
    told = [
        one for one in (await resources(world, "Communication")).values() if "streamlined" in str(one.get("payload"))
    ]
    assert len(told) == 2  # five working days before, and at the end
    plan = await app_client("mcp", PLAN1)
    answer = await plan.post(f"/Task/{number}/$authorize", json=parameters(outcome="approved", number="1"))
    assert answer.status_code == 200, answer.text


async def test_a_decision_ends_the_window(world: Store, app_client: AppClient) -> None:
    number = await asked(world, app_client, "ecm", **STREAMLINED, **FIRST)
    plan = await app_client("mcp", PLAN1)
    advance(world)
    answer = await plan.post(f"/Task/{number}/$authorize", json=parameters(outcome="approved", number="1"))
    assert answer.status_code == 200, answer.text
    (extension,) = answer.json()["extension"]
    assert extension["valueIdentifier"]["period"]["start"] == "2026-03-01"  # from the first service on
    rows = [one for one in await timers.listed(world, "", "running", 100) if one.subject == f"Task/{number}"]
    assert not {one.kind for one in rows} & {"streamlined-end", "streamlined-warning", "authorization-decision"}


@pytest.mark.parametrize(
    ("service", "more"),
    [
        ("caregiver-respite", FIRST),
        ("ecm", {}),
        ("ecm", {"executionPeriod": {"start": "2026-03-20"}}),
        ("ecm", {"executionPeriod": {"start": "2026-01-20"}}),
    ],
)
async def test_what_cannot_be_streamlined(
    world: Store, app_client: AppClient, service: str, more: dict[str, Any]
) -> None:
    ecm = await app_client()
    await put(world, request("ServiceRequest/s", "Patient/a", ECM1, code=coded(service)), source=ECM1)
    body = task("Task/x", "Patient/a", "ServiceRequest/s", ECM1, PLAN1, **STREAMLINED, **more)
    answer = await ecm.post("/Task", json=body)
    assert answer.status_code == 422, answer.text


async def test_a_renewal_is_not_streamlined_nor_is_an_open_request(world: Store, app_client: AppClient) -> None:
    plan, ecm = await app_client("mcp", PLAN1), await app_client()
    number = await asked(world, app_client, "ecm")
    assert (await moved(ecm, number, **STREAMLINED)).status_code == 422
    assert (await plan.post(f"/Task/{number}/$authorize", json=parameters(outcome="approved", number="1"))).is_success
    await put(world, request("ServiceRequest/s", "Patient/a", ECM1, code=coded("ecm")), source=ECM1)
    body = task("Task/x", "Patient/a", "ServiceRequest/s", ECM1, PLAN1, **STREAMLINED, **FIRST)
    answer = await ecm.post("/Task", json=body)
    assert answer.status_code == 422 and "initial" in answer.text
