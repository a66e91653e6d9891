"""Notices of the closed loop: who is told what, in which language, once; what is not sent is kept with its reason."""

import json
from typing import Any

import pytest

from fhir_profiles.validate import validate
from service.notify.contact import DO_NOT_CONTACT, PROHIBITED, SDOHCC_CODES
from service.store.change import Change, Job
from service.store.engine import Store
from service.workflow.calaim_catalogue import CS_SYSTEM, catalogue
from service.workflow.calaim_tasks import OUTCOMES, OUTPUTS
from service.workflow.referral_notice_texts import contact_of, service_name, texts
from service.workflow.referral_notices import EVENTS, REASONS, event_of
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.notify.notice_world import World
from tests.service.workflow.calaim_world import asked, moved, parameters
from tests.service.workflow.referral_world import WHY, drain, referral
from tests.service.world import CBO1, CBO2, ECM1, PLAN1, SUD, change_of, patient, put, ref, request, task

POSTGRESQL_IN_DEEP = True
MAIL = {"system": "email", "value": "member@home.example", "rank": 1}
SPANISH = [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es-MX"}]}, "preferred": True}]
CODE = {"coding": [{"system": CS_SYSTEM, "code": "meals-supportive-food"}]}


def outcome(code: str) -> dict[str, Any]:
    return {"businessStatus": {"coding": [{"system": OUTCOMES, "code": code}]}}


def test_each_event_has_its_words_in_each_language() -> None:
    keys = {f"{event}.{to}" for event, both in EVENTS.items() for to in both}
    for language in ("en", "es"):
        assert keys <= texts()[language].keys()
        assert set(texts()[language]) == set(texts()["en"])
    exempt = {code for code, row in catalogue().items() if not row.closed_loop}
    assert texts()["services"]["es"].keys() == catalogue().keys() - exempt
    assert (
        service_name("ecm", "es-MX").startswith("Administración")
        and service_name("ecm", "vi") == "Enhanced Care Management"
    )


@pytest.mark.parametrize(
    ("now", "status", "decided", "plan", "event"),
    [
        ({"status": "in-progress", **outcome("approved")}, "", "approved", True, "authorized"),
        ({"status": "in-progress", **outcome("approved-modified")}, "", "approved", True, ""),
        ({"status": "rejected", **outcome("denied")}, "rejected", "denied", True, "not-authorized"),
        ({"status": "rejected"}, "rejected", "", True, "not-authorized"),
        ({"status": "accepted"}, "accepted", "", True, ""),
        ({"status": "completed"}, "completed", "", True, "closed"),
        ({"status": "accepted"}, "accepted", "", False, "assigned"),
        ({"status": "in-progress"}, "accepted", "", False, "assigned"),
        ({"status": "cancelled"}, "accepted", "", False, ""),
        ({"status": "rejected"}, "rejected", "", False, "declined"),
        ({"status": "completed", "partOf": [ref("Task/p")]}, "completed", "", False, ""),
        ({"status": "failed"}, "failed", "", False, "closed"),
    ],
)
def test_what_is_told_of_a_step(now: dict[str, Any], status: str, decided: str, plan: bool, event: str) -> None:
    assert event_of(now, status, decided, plan=plan) == event


async def county(store: Store, **member: Any) -> None:
    """ECM 1 refers to plan 1, which forwards to CBO 1."""
    changed = patient("Patient/a", **({"telecom": [MAIL], "communication": SPANISH} | member))
    await store.commit(change_of(store, changed, expect=1))
    phone = [{"system": "phone", "value": "(555) 555-0101"}]
    cbo = (await resources(store, "Organization"))["cbo-1"] | {"name": "Made-up Kitchen", "telecom": phone}
    await store.commit(change_of(store, cbo, expect=1))
    await put(store, request("ServiceRequest/s", "Patient/a", ECM1, code=CODE), source=ECM1)
    await put(store, request("ServiceRequest/f", "Patient/a", PLAN1, code=CODE), source=PLAN1)
    await put(store, task("Task/plan", "Patient/a", "ServiceRequest/s", ECM1, PLAN1), source=ECM1)
    child = task("Task/child", "Patient/a", "ServiceRequest/f", PLAN1, CBO1, partOf=[ref("Task/plan")])
    await put(store, child, source=PLAN1)


async def becomes(store: Store, fhir_id: str, status: str = "", decided: str = "", **more: Any) -> None:
    """The Task as it stands then, and its job twice."""
    now = (await resources(store, "Task"))[fhir_id]
    changed = now | ({"status": status} if status else {}) | (outcome(decided) if decided else {}) | more
    await store.commit(change_of(store, changed, expect=int(now.get("meta", {}).get("versionId", 1))))
    for _ in range(2):
        payload = {"task": f"Task/{fhir_id}", "status": status, "outcome": decided}
        await store.commit(Change(jobs=[Job("referral.notice", payload)]))
        await drain(store)


async def notices(store: Store) -> list[dict[str, Any]]:
    return list((await resources(store, "Communication")).values())


async def by(store: Store, recipient: str) -> list[dict[str, Any]]:
    return [one for one in await notices(store) if one["recipient"] == [ref(recipient)]]


async def test_the_member_and_who_referred_are_told_each_thing_once(world: Store) -> None:
    await county(world)
    await becomes(world, "plan", decided="approved", status="accepted")
    [to_member], [to_ecm] = await by(world, "Patient/a"), await by(world, ECM1)
    assert to_member["language"] == "es" and "aprobó comidas" in to_member["payload"][0]["contentString"]
    assert to_ecm["language"] == "en" and "was authorized" in to_ecm["payload"][0]["contentString"]
    assert to_member["status"] == "completed" and to_member["sender"] == ref(PLAN1)
    await becomes(world, "child", "accepted")
    both = [(await by(world, who))[-1]["payload"][0]["contentString"] for who in ("Patient/a", ECM1)]
    assert all("Made-up Kitchen" in text and "(555) 555-0101" in text for text in both)
    await becomes(world, "plan", "completed")
    texts = [one["payload"][0]["contentString"] for one in await by(world, ECM1)]
    assert any("is closed. Reason: the service was received." in text for text in texts)
    assert len(await by(world, "Patient/a")) == 2 and len(texts) == 3
    assert [validate(one, "Communication") for one in await notices(world)] == [[]] * 5


async def test_a_denial_tells_who_referred_why_with_the_plans_letter(world: Store) -> None:
    await county(world)
    letter = {"type": {"coding": [{"system": OUTPUTS, "code": "notice-of-action"}]}}
    letter |= {"valueReference": ref("DocumentReference/noa")}
    reason = {"statusReason": {"text": "Criteria not met."}}
    await becomes(world, "plan", "rejected", "denied", output=[letter], **reason)
    [notice] = await notices(world)
    assert notice["recipient"] == [ref(ECM1)]
    assert notice["payload"][0]["contentString"].endswith("was not authorized by the plan. Reason: Criteria not met.")
    assert notice["payload"][1] == {"contentReference": ref("DocumentReference/noa")}


async def test_a_decline_is_told_and_closes_nothing(world: Store) -> None:
    await county(world)
    await becomes(world, "child", "rejected", **WHY)
    [notice] = await notices(world)
    assert notice["recipient"] == [ref(ECM1)] and "stays open" in notice["payload"][0]["contentString"]


@pytest.mark.parametrize(
    ("member", "prohibits", "reason"),
    [
        ({"extension": [{"url": DO_NOT_CONTACT, "valueBoolean": True}]}, {}, "do-not-contact"),
        ({}, {"orderDetail": [{"coding": [{"system": SDOHCC_CODES, "code": PROHIBITED}]}]}, "do-not-contact"),
        ({"deceasedBoolean": True}, {}, "deceased"),
        ({"telecom": [{"system": "phone", "value": "(555) 555-0102"}]}, {}, "no-preferred-channel"),
        ({"telecom": [{"system": "fax", "value": "(555) 555-0103"}]}, {}, "no-preferred-channel"),
    ],
)
async def test_what_is_not_sent_is_kept_with_its_reason(
    world: Store, member: dict[str, Any], prohibits: dict[str, Any], reason: str
) -> None:
    await county(world, **member)
    await put(world, request("ServiceRequest/other", "Patient/a", ECM1, **prohibits), source=ECM1)
    await becomes(world, "plan", decided="approved")
    [notice] = await by(world, "Patient/a")
    assert notice["status"] == "not-done" and "sent" not in notice
    assert notice["statusReason"]["text"] == REASONS[reason][1]
    assert validate(notice, "Communication") == [] and len(await by(world, ECM1)) == 1
    people = World(world)
    await people.run()
    assert not people.email.got + people.sms.got and await people.states(kind="member-message") == []


async def test_what_goes_out_says_nothing(world: Store) -> None:
    await county(world)
    people = World(world)
    world.clock.advance(9 * 3_600_000_000)  # type: ignore[attr-defined]
    await becomes(world, "plan", decided="approved")
    await people.run()
    [sent] = people.email.got
    assert sent.to == MAIL["value"] and sent.language == "es-MX"
    assert not any(word in f"{sent.subject} {sent.text}" for word in ("comidas", "plan", "Made", "aprob"))


async def test_only_services_of_the_closed_loop(world: Store) -> None:
    await county(world)
    sobering = {"coding": [{"system": CS_SYSTEM, "code": "sobering-centers"}]}
    for fhir_id, code in (("x", {"text": "A fridge"}), ("y", sobering)):
        await put(world, request(f"ServiceRequest/{fhir_id}", "Patient/a", ECM1, code=code), source=ECM1)
        await put(world, task(f"Task/{fhir_id}", "Patient/a", f"ServiceRequest/{fhir_id}", ECM1, CBO1), source=ECM1)
        await becomes(world, fhir_id, "accepted")
    assert await notices(world) == []


async def test_the_step_itself_puts_up_the_job(world: Store, app_client: AppClient) -> None:
    await county(world)
    await put(world, request("ServiceRequest/d", "Patient/a", ECM1, code=CODE), source=ECM1)
    one = await referral(world, app_client, focus=ref("ServiceRequest/d"))
    await one.step("accepted")
    found = await notices(world)
    assert {json.dumps(notice["recipient"]) for notice in found} == {json.dumps([ref(r)]) for r in ("Patient/a", ECM1)}
    [mine] = await by(world, ECM1)
    assert (await (await one.ecm()).get(f"/Communication/{mine['id']}")).status_code == 200


async def test_of_a_labelled_referral_the_notice_is_labelled(world: Store) -> None:
    await county(world)
    await becomes(world, "child", "accepted", meta=SUD)
    assert len(await notices(world)) == 2 and all("SUD" in str(one["meta"]) for one in await notices(world))


async def test_of_a_labelled_request_the_notice_that_names_its_service_is_labelled(world: Store) -> None:
    await county(world)
    labelled = (await resources(world, "ServiceRequest"))["f"] | {"meta": SUD}
    await world.commit(change_of(world, labelled, PLAN1, expect=1))
    await becomes(world, "child", "accepted")
    assert len(await notices(world)) == 2 and all("SUD" in str(one["meta"]) for one in await notices(world))


def test_contacts_of_the_directory() -> None:
    points = [
        {"system": "fax", "value": "1"},
        {"system": "phone", "value": "2", "use": "old"},
        {"system": "email", "value": "3", "rank": 2},
        {"system": "phone", "value": "4", "rank": 1},
        {"system": "url", "value": "5", "period": {"end": "2020"}},
    ]
    assert contact_of({"name": "N", "telecom": points}, "en", 1_772_955_000_000_000) == ("N", "4, 3")
    assert contact_of({}, "es", 0) == ("Un proveedor", texts()["es"]["no-contact"])


async def test_a_decline_is_rerouted_and_everybody_hears_of_it(world: Store, app_client: AppClient) -> None:
    """C.8 number 11, over HTTP: authorized, declined for capacity, taken on by another, done."""
    await county(world)
    ecm, plan = await app_client("ecm-provider", ECM1), await app_client("mcp", PLAN1)
    number = await asked(world, app_client, "meals-supportive-food")
    said = parameters(outcome="approved", number="A-1", period={"start": "2026-03-09", "end": "2026-09-08"})
    assert (await plan.post(f"/Task/{number}/$authorize", json=said)).status_code == 200
    children = []
    for owner, status in ((CBO1, "rejected"), (CBO2, "accepted")):
        target = {"name": "target", "valueReference": ref(owner)}
        sent = await plan.post(f"/Task/{number}/$forward", json={"resourceType": "Parameters", "parameter": [target]})
        assert sent.status_code in (200, 201), sent.text
        await drain(world)
        tasks = (await resources(world, "Task")).values()
        parts = [one for one in tasks if one.get("partOf") == [ref(f"Task/{number}")]]
        [child] = [one for one in parts if one["owner"]["reference"] == owner]
        children.append(child["id"])
        why = {"statusReason": {"text": "No room before May"}} if status == "rejected" else {}
        answer = await moved(await app_client("cbo", owner), child["id"], status=status, **why)
        assert answer.status_code == 200, answer.text
        await drain(world)
    told = [one["category"][0]["text"] for one in await by(world, ECM1)]
    assert sorted(told) == ["assigned", "authorized", "declined"]
    assert sorted(one["category"][0]["text"] for one in await by(world, "Patient/a")) == ["assigned", "authorized"]
    [declined] = [one for one in await by(world, ECM1) if one["category"][0]["text"] == "declined"]
    assert "No room before May" in declined["payload"][0]["contentString"]
    last = await moved(await app_client("cbo", CBO2), children[1], status="in-progress")
    assert last.status_code == 200, last.text
    await drain(world)
    assert (await ecm.get(f"/Task/{number}")).json()["status"] == "in-progress"
    assert len(await by(world, ECM1)) == 3
