"""Task/[id]/$forward: who may, what is written and what not, what the targets see of it, and races."""

import asyncio
from typing import Any

import httpx
import pytest

from service.access.context import Context
from service.caller import Caller, Role
from service.interactions.decision import Preconditions
from service.interactions.update import update
from service.operations.forward import forward as decide
from service.operations.forward_asked import read as read_asked
from service.store.change import Stale
from service.store.engine import Store
from tests.service.access.consent.consents import consent, rule
from tests.service.conftest import AppClient
from tests.service.workflow.chain_world import (
    FOOD,
    PARENT,
    PLATFORM,
    RIDES,
    SOURCE,
    below,
    chain_world,
    drain,
    forward,
    move,
    parameters,
    stored,
)
from tests.service.world import BASE, ECM1, PLAN1, make, put, ref, task

POSTGRESQL_IN_DEEP = True
SUD = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}]}
NO_CONTACT = {"coding": [{"code": "contacting-subject-prohibited"}]}


async def sent(client: httpx.AsyncClient, *targets: str, parent: str = PARENT, **more: str) -> httpx.Response:
    return await client.post(f"/{parent}/$forward", json=parameters(*targets, **more))


async def test_what_is_written_for_others(world: Store, app_client: AppClient) -> None:
    await put(world, make("HealthcareService/meals", active=True, providedBy=ref(FOOD)), source=FOOD)
    more: dict[str, Any] = {
        "priority": "urgent",
        "patientInstruction": "Call before noon",
        "orderDetail": [NO_CONTACT],
        "reasonCode": [{"text": "Food"}],
        "note": [{"text": "for you only"}],
        "insurance": [ref("Coverage/a")],
        "identifier": [{"value": "source-number"}],
        "reasonReference": [ref("Condition/a", display="words"), ref("Condition/sud-a")],
        "supportingInfo": [ref("Consent/c", display="signed"), ref("https://elsewhere.example/Observation/1")],
    }
    await put(world, consent("Consent/c", rule("permit")), source=ECM1)
    await chain_world(world, **more)
    platform = await app_client("mcp", PLATFORM)
    due = {"due": "2026-04-01", "note": "Ring twice"}
    answer = await sent(platform, "HealthcareService/meals", RIDES, policy="first-completes", **due)
    assert answer.status_code == 201, answer.text
    names = [one["name"] for one in answer.json()["parameter"]]
    assert names == ["request", "task", "task"]
    filler, child, other = (one["resource"] for one in answer.json()["parameter"])
    kept = {name: filler[name] for name in ("priority", "patientInstruction", "orderDetail", "reasonCode", "code")}
    assert kept == {name: more[name] for name in kept if name != "code"} | {"code": {"text": "Meals"}}
    assert not {"insurance", "identifier", "reasonReference"} & {*filler}  # this caller sees no Condition of the member
    assert filler["note"] == [{"text": "Ring twice"}] and "for you only" not in answer.text
    assert (filler["intent"], filler["basedOn"], filler["requester"]) == ("filler-order", [ref(SOURCE)], ref(PLATFORM))
    assert [one["reference"] for one in filler["performer"]] == [FOOD, "HealthcareService/meals", RIDES]
    for one, owner in ((child, FOOD), (other, RIDES)):
        assert one["partOf"] == [ref(PARENT)] and one["owner"]["reference"] == owner
        assert one["focus"] == ref(f"ServiceRequest/{filler['id']}") and one["requester"] == ref(PLATFORM)
        assert (one["status"], one["restriction"]) == ("requested", {"period": {"end": "2026-04-01"}})


async def test_references_travel_as_far_as_the_target_may_follow(world: Store, app_client: AppClient) -> None:
    refers = [ref("Condition/a", display="words"), ref("Condition/sud-a", display="opioids")]
    await put(world, consent("Consent/c", rule("permit")), source=ECM1)
    await chain_world(world, reasonReference=refers, supportingInfo=[ref("Consent/c", display="signed")])
    await put(world, task("Task/own", "Patient/a", SOURCE, PLAN1, ECM1), source=PLAN1)
    (child,) = await forward(await app_client(), FOOD, parent="Task/own")
    filler = await stored(world, child["focus"]["reference"])
    assert filler["reasonReference"] == [ref("Condition/a")] and filler["supportingInfo"] == [ref("Consent/c")]


async def test_what_the_target_sees(world: Store, app_client: AppClient) -> None:
    await chain_world(world)
    food, rides = await app_client("cbo", FOOD), await app_client("cbo", RIDES)
    assert (await food.get("/Patient/a")).status_code == 404
    (child,) = await forward(await app_client("referrer", PLATFORM), FOOD)
    wanted = {f"/Task/{child['id']}": 200, f"/{child['focus']['reference']}": 200, "/Patient/a": 200}
    wanted |= {f"/{PARENT}": 404, f"/{SOURCE}": 404, "/Condition/a": 404}
    assert {path: (await food.get(path)).status_code for path in wanted} == wanted
    assert (await rides.get(f"/Task/{child['id']}")).status_code == 404


async def test_a_label_goes_with_the_copy_and_stops_it_where_no_consent_opens_it(
    world: Store, app_client: AppClient
) -> None:
    await chain_world(world, meta=SUD)
    permit = rule("permit", label=("SUD",), to=(PLATFORM,))
    ecm, platform = await app_client(), await app_client("referrer", PLATFORM)
    first = {k: v for k, v in consent("Consent/x", permit).items() if k != "id"}
    assert (await ecm.post("/Consent", json=first)).status_code == 201
    assert (await platform.get(f"/{SOURCE}")).status_code == 200
    answer = await sent(platform, FOOD)
    assert answer.status_code == 403 and answer.json()["issue"][0]["code"] == "suppressed", answer.text
    assert "SUD" not in answer.text and not await below(world)
    both = rule("permit", label=("SUD",), to=(PLATFORM, FOOD))
    second = {k: v for k, v in consent("Consent/y", both).items() if k != "id"}
    assert (await ecm.post("/Consent", json=second)).status_code == 201
    (child,) = await forward(platform, FOOD)
    for reference in (f"Task/{child['id']}", child["focus"]["reference"]):
        security = (await stored(world, reference))["meta"]["security"]
        assert {one["code"] for one in security} == {"SUD"}
        assert (await (await app_client("cbo", FOOD)).get(f"/{reference}")).status_code == 200


async def test_what_a_child_says_under_a_label_of_its_own_stays_below(world: Store, app_client: AppClient) -> None:
    await chain_world(world)
    platform, food = await app_client("referrer", PLATFORM), await app_client("cbo", FOOD)
    (child,) = await forward(platform, FOOD)
    permit = consent("Consent/x", rule("permit", label=("SUD",), to=(PLATFORM, FOOD)))
    assert (await (await app_client()).post("/Consent", json={k: v for k, v in permit.items() if k != "id"})).is_success
    now = await platform.get(f"/Task/{child['id']}")
    labelled = {**now.json(), "meta": SUD}
    headers = {"If-Match": now.headers["etag"]}
    assert (await platform.put(f"/Task/{child['id']}", json=labelled, headers=headers)).status_code == 200
    await move(food, f"Task/{child['id']}", "accepted", "on-hold", statusReason={"text": "CANARY"})
    await drain(world)
    assert (await stored(world, PARENT))["statusReason"]["text"].startswith("The organization that this was forwarded")
    await move(food, f"Task/{child['id']}", "completed", output=[{"type": {"text": "x"}, "valueString": "CANARY"}])
    await drain(world)
    parent = await stored(world, PARENT)
    assert parent["status"] == "completed" and parent["output"] and "CANARY" not in str(parent)


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("nobody named", {"targets": ()}, 400, "at least one target"),
    ("itself", {"targets": (PLATFORM,)}, 422, "your own organization"),
    ("unknown", {"targets": ("Organization/none",)}, 422, "not in this directory"),
    ("a person", {"targets": ("Practitioner/lcm-1",)}, 400, "Organization or a HealthcareService"),
    ("policy", {"policy": "any"}, 400, "policy is one of"),
    ("priority", {"priority": "soon"}, 400, "priority is one of"),
    ("request", {"request": "ServiceRequest/a"}, 422, "was forwarded with before"),
    ("due", {"due": "soon"}, 400, "restriction.period.end"),
    ("too many", {"targets": tuple(f"Organization/{n}" for n in range(21))}, 400, "at most 20"),
    ("unknown Task", {"parent": "Task/none"}, 404, "not known"),
    ("no referral", {"parent": "Task/other"}, 422, "Only a referral"),
    ("closed", {"parent": "Task/closed"}, 422, "only one that is open"),
    ("another's", {"who": ("cbo", FOOD)}, 403, "do not write ServiceRequest"),
    ("its requester", {"who": ("ecm-provider", ECM1)}, 403, "was sent to"),
    ("stranger", {"who": ("ecm-provider", "Organization/ecm-2")}, 404, "not known"),
]


@pytest.mark.parametrize(("name", "asked", "status", "words"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_refusals(
    world: Store, app_client: AppClient, name: str, asked: dict[str, Any], status: int, words: str
) -> None:
    await chain_world(world)
    await put(
        world,
        make("Task/other", status="requested", intent="order", owner=ref(PLATFORM), **{"for": ref("Patient/a")}),
        task("Task/closed", "Patient/a", SOURCE, ECM1, PLATFORM, status="failed"),
        source=PLATFORM,
    )
    rest = {key: value for key, value in asked.items() if key not in ("who", "targets")}
    client = await app_client(*asked.get("who", ("referrer", PLATFORM)))
    answer = await sent(client, *asked.get("targets", (FOOD,)), **rest)
    assert answer.status_code == status and words in answer.text, answer.text
    assert not await below(world)


async def test_the_same_target_is_not_asked_twice_for_the_same(world: Store, app_client: AppClient) -> None:
    await chain_world(world)
    platform = await app_client("referrer", PLATFORM)
    await forward(platform, FOOD, RIDES)
    answer = await sent(platform, FOOD)
    assert answer.status_code == 422 and "target 1 has this already" in answer.text
    (other,) = await forward(platform, FOOD, code="Rent help")
    assert (await stored(world, other["focus"]["reference"]))["code"] == {"text": "Rent help"}
    for child in await below(world):
        await move(await app_client("cbo", child["owner"]["reference"]), f"Task/{child['id']}", "rejected")
    await drain(world)
    answer = await sent(platform, "Organization/beds")
    assert answer.status_code == 422 and "Several pieces" in answer.text
    (again,) = await forward(platform, "Organization/beds", request=other["focus"]["reference"])
    assert again["focus"] == other["focus"]


async def test_no_room_is_a_warning(world: Store, app_client: AppClient) -> None:
    await chain_world(world)
    url = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-ExtensionHealthcareServiceCapacityStatus"
    codes = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
    full = {"url": "capacityStatus", "valueCodeableConcept": {"coding": [{"system": codes, "code": "no-capacity"}]}}
    service = make(
        "HealthcareService/full", active=True, providedBy=ref(FOOD), extension=[{"url": url, "extension": [full]}]
    )
    await put(world, service, source=FOOD)
    answer = await sent(await app_client("referrer", PLATFORM), "HealthcareService/full")
    outcome = answer.json()["parameter"][-1]["resource"]
    assert answer.status_code == 201 and outcome["issue"][0]["severity"] == "warning"
    assert "no-capacity" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("first", ["forward", "cancel", "together"])
async def test_of_forwarding_and_taking_back_at_once_one_is_decided_again(world: Store, first: str) -> None:
    await chain_world(world)
    allowed: dict[str, Any] = {"allows": lambda _letter, _type: True}
    mine = Context(world, Caller("p", Role.REFERRER, PLATFORM, **allowed), world.clock.now_us())
    ecm = Context(world, Caller("e", Role.ECM_PROVIDER, ECM1, **allowed), world.clock.now_us())
    handed = (await decide(mine, "parent", read_asked(parameters(FOOD), BASE))).change
    back = task(PARENT, "Patient/a", SOURCE, ECM1, PLATFORM, status="cancelled", statusReason={"text": "why"})
    taken = (await update(ecm, "Task", "parent", back, Preconditions(if_match=(1,)))).change
    order = [handed, taken] if first == "forward" else [taken, handed]
    if first == "together":
        results = await asyncio.gather(*(world.commit(one) for one in order), return_exceptions=True)
    else:
        results = [(await asyncio.gather(world.commit(one), return_exceptions=True))[0] for one in order]
    assert sorted(type(one).__name__ for one in results) == ["Committed", "Stale"], results
    assert first != "forward" or isinstance(results[1], Stale)
    await drain(world)
    if first == "forward":
        again = Context(world, ecm.caller, world.clock.now_us())
        await world.commit((await update(again, "Task", "parent", back, Preconditions(if_match=(1,)))).change)
        await drain(world)
    assert all(child["status"] == "cancelled" for child in await below(world))


async def test_two_of_the_same_at_once_are_one(world: Store, app_client: AppClient) -> None:
    await chain_world(world)
    platform = await app_client("referrer", PLATFORM)
    answers = await asyncio.gather(*(sent(platform, FOOD) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [201, 422, 422, 422]
    assert len(await below(world)) == 1
