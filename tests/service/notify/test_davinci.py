"""Care transitions as Da Vinci message Bundles: what is one, what stands in it, and who gets it."""

from typing import Any

import orjson
import pytest

from fhir_profiles.validate import validate
from service.notify.davinci import event_of
from service.store import timers
from service.store.engine import Store
from service.workflow.timer_measure import measure
from tests.service.conftest import AppClient
from tests.service.notify.asking import expressions, post
from tests.service.notify.fake_receiver import DOWN, OK, Desk
from tests.service.notify.subscription_samples import extension, subscription
from tests.service.workflow.made_up import adt
from tests.service.workflow.tcs_world import DAY, Stay, at
from tests.service.world import PLAN1, make, put, ref

POSTGRESQL_IN_DEEP = True
TOPIC = "https://enlace.example.org/fhir/SubscriptionTopic/care-transition"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
FORM = {
    "url": "https://enlace.example.org/fhir/StructureDefinition/enlace-notification-format",
    "valueCode": "davinci-alert",
}
CONTENT = extension("backport-payload-content", valueCode="full-resource")


def encounter(status: str = "in-progress", klass: str = "IMP", left: str = "", **more: Any) -> dict[str, Any]:
    made = make("Encounter/e", status=status, subject=ref("Patient/a"), serviceProvider=ref("Organization/ecm-1"))
    made |= more
    made["class"] = {"system": ACT, "code": klass}
    if left:
        system = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
        made["hospitalization"] = {"dischargeDisposition": {"coding": [{"system": system, "code": left}]}}
    return made


@pytest.mark.parametrize(
    ("before", "now", "event"),
    [
        (None, encounter(), "admit"),
        (None, encounter(klass="EMER", status="arrived"), "admit"),
        (encounter(status="arrived", klass="EMER"), encounter(klass="EMER"), ""),
        (encounter(klass="EMER"), encounter(), "admit"),
        (encounter(), encounter(location=[{"location": {"display": "4 West"}}]), ""),
        (encounter(), encounter(serviceProvider=ref("Organization/x")), "transfer"),
        (encounter(), encounter("finished", left="home"), "discharge"),
        (encounter(), encounter("finished", left="other-hcf"), "transfer"),
        (encounter("finished"), encounter("finished", left="home"), "discharge"),
        (encounter("finished", left="home"), encounter("finished", left="home"), ""),
        (encounter("finished"), encounter(), "admit"),
        (encounter(), encounter("entered-in-error"), "admit"),
        (encounter("finished"), encounter("cancelled"), "discharge"),
        (encounter("planned"), encounter("cancelled"), ""),
        (None, encounter("planned"), ""),
        (encounter(), encounter("unknown"), ""),
    ],
)
def test_what_happened(before: dict[str, Any] | None, now: dict[str, Any], event: str) -> None:
    assert event_of(now, before) == event


def asked(**more: Any) -> dict[str, Any]:
    made = subscription(content=None, criteria=TOPIC, **more)
    made["channel"]["_payload"] = {"extension": [CONTENT, FORM]}
    return made


async def subscribed(desk: Desk, app_client: AppClient) -> Any:
    client = await app_client("mcp", PLAN1)
    answer = await post(client, asked())
    assert answer.status_code == 201, answer.text
    await desk.work()
    return await desk.state(answer.json()["id"])


async def test_a_stay_goes_out_as_messages(desk: Desk, app_client: AppClient) -> None:
    state = await subscribed(desk, app_client)
    assert state.status == "active" and desk.receiver.sent == [], "no handshake: $process-message would refuse it"
    await put(desk.store, encounter())
    await desk.work()
    desk.receiver.answers = [DOWN, OK]
    await desk.changes("Encounter/e", location=[{"location": {"display": "4 West"}}])
    await desk.changes("Encounter/e", status="finished", hospitalization=encounter(left="home")["hospitalization"])
    await desk.work()
    await desk.work(after_s=2)
    bundles = [orjson.loads(one.body) for one in desk.receiver.sent]
    assert [b["entry"][0]["resource"]["eventCoding"]["code"] for b in bundles] == [
        "notification-admit",
        "notification-discharge",
        "notification-discharge",
    ], "a bed move is none"
    assert bundles[1] == bundles[2], "the same again, ids too"
    first = bundles[0]
    assert validate(first, "Bundle") == []
    assert (first["type"], {"total", "link"} & first.keys()) == ("message", set())
    header, focus = first["entry"][0], first["entry"][1]
    assert header["resource"]["resourceType"] == "MessageHeader" and "response" not in header["resource"]
    assert header["resource"]["focus"] == [{"reference": focus["fullUrl"]}]
    assert focus["resource"]["resourceType"] == "Encounter"
    assert {e["resource"]["resourceType"] for e in first["entry"][2:]} == {"Patient", "Organization"}
    assert not any({"request", "response"} & entry.keys() for entry in first["entry"])
    kept = await desk.state(state.fhir_id)
    assert (kept.numbered, kept.delivered, kept.status) == (3, 3, "active")


async def test_what_does_not_fit_the_format_is_refused(world: Store, app_client: AppClient) -> None:
    client = await app_client("mcp", PLAN1, scopes="system/Encounter.rs system/Subscription.cruds")
    bad = asked(more=(extension("backport-heartbeat-period", valueUnsignedInt=60),))
    bad["channel"]["_payload"]["extension"] = [{**FORM, "valueCode": "hl7v2"}]
    found = expressions(await post(client, bad))
    assert found == ["Subscription.channel.payload.extension[0]"] * 4, "code, content, heartbeat, Patient"


async def test_it_is_measured_when_the_plan_was_told(desk: Desk, app_client: AppClient) -> None:
    """24-hour rule: a timer for the plan of each event, met when a notification of that event arrived, not before."""
    at(desk.store, 0)
    await subscribed(desk, app_client)
    stay = Stay(desk.store, "one", facility="Organization/ecm-1")
    await stay.hears(adt("A01", 0, "I"), minute=5)
    assert await told_plan(desk.store) == [("admission", "running")]
    desk.receiver.answers = [DOWN, OK]
    await desk.work()
    assert await told_plan(desk.store) == [("admission", "running")], "it did not arrive"
    await desk.work(after_s=60)
    assert await told_plan(desk.store) == [("admission", "met")]
    await stay.hears(adt("A03", 60, "I", disposition="HOME"), minute=60 + 2 * DAY)
    assert await told_plan(desk.store) == [("admission", "met"), ("discharge", "running")]
    await desk.work()
    assert await told_plan(desk.store) == [("admission", "met"), ("discharge", "breached")], "told, but known too late"
    found = measure(await timers.ended_since(desk.store, "plan-relay", 0), desk.store.clock.now_us())
    assert (found.count, found.within, found.late, found.waiting) == (2, 1, 1, 0)


async def test_what_went_out_without_content_told_the_plan_nothing(desk: Desk, app_client: AppClient) -> None:
    at(desk.store, 0)
    await subscribed(desk, app_client)
    stay = Stay(desk.store, "one", facility="Organization/ecm-1")
    await stay.hears(adt("A01", 0, "I"), minute=5)
    await stay.is_anothers()
    await desk.work()
    assert await told_plan(desk.store) == [("admission", "cancelled")]


async def told_plan(store: Store) -> list[tuple[str, str]]:
    return [(str(one.payload["event"]), one.state) for one in await timers.listed(store, "plan-relay", "", 9)]
