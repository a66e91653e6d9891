"""Who begins to care for a member in hospital is told so, once; and what alerts say beside their transition."""

from typing import Any

import pytest

from service.access.context import Context
from service.caller import system_caller
from service.store import alert_work
from service.store.change import Change, Job, Stale, Statement
from service.store.engine import Store
from service.workflow.alert_catch_up import catch_up
from service.workflow.alert_text import date_time
from service.workflow.transitions_of_care import THREAD_SYSTEM, TIMES
from tests.frozen_clock import FrozenClock
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import MINUTE, Sender, adt_world, member, said
from tests.service.conftest import AppClient
from tests.service.world import ECM1, ECM2, LCM1, LCM2, PLAN1, episode, put

POSTGRESQL_IN_DEEP = True
DAY = 1440 * MINUTE
COLUMNS = "stay, patient, thread, start_us, end_us, status, klass, disposition, facility, seen_us"


@pytest.fixture
async def send(store: Store) -> Sender:
    await adt_world(store)
    return Sender(store)


async def transition(store: Store, stay: str, **more: Any) -> None:
    """A row of care_transition, also where the service writes one by itself."""
    now = store.clock.now_us()
    row = {"stay": stay, "patient": "Patient/rosa", "thread": stay, "start_us": now - DAY, "end_us": None}
    row |= {"status": "in-progress", "klass": "INPATIENT", "disposition": "", "facility": "Mercy", "seen_us": now}
    row |= more
    sql = f"INSERT INTO care_transition ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    delete = Statement("DELETE FROM care_transition WHERE stay = ?", (stay,))
    await store.commit(Change(statements=[delete, Statement(sql, tuple(row[name] for name in COLUMNS.split(", ")))]))


async def alerts(store: Store) -> list[dict[str, Any]]:
    found = (await resources(store, "Communication")).values()
    return sorted((one for one in found if one["id"].startswith("al-")), key=lambda one: str(one["sent"]))


async def the_stay(store: Store) -> str:
    [stay] = await resources(store, "Encounter")
    return str(stay)


async def admitted(store: Store, send: Sender, who: dict[str, Any] | None = None) -> str:
    await send(send.adt("A01", who))
    stay = await the_stay(store)
    patient = (await resources(store, "Encounter"))[stay]["subject"]["reference"]
    await transition(store, stay, patient=patient)
    return stay


async def lead(app_client: AppClient, patient: str, person: str, ecm: str = ECM1, **more: Any) -> Any:
    plan = await app_client("mcp", PLAN1)
    body = {"resourceType": "EpisodeOfCare", "status": "active", "patient": {"reference": patient}}
    body |= {"managingOrganization": {"reference": ecm}, "careManager": {"reference": person}, **more}
    answer = await plan.post("/EpisodeOfCare", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_lead_who_comes_after_the_admission_hears_of_it(
    store: Store, send: Sender, app_client: AppClient
) -> None:
    who = said("91000003A", "Larkspurling")
    await member(store, "solo", who, None, None)
    stay = await admitted(store, send, who)
    assert await alerts(store) == [], "nobody to tell"
    made = await lead(app_client, "Patient/solo", LCM1)
    await send()
    [alert] = await alerts(store)
    assert alert["recipient"] == [{"reference": LCM1}]
    assert "is already an inpatient of Mercy Made-up; admitted" in alert["payload"][0]["contentString"]
    assert alert["encounter"] == {"reference": f"Encounter/{stay}"}
    row = await alert_work.of_alert(store, f"Communication/{alert['id']}")
    assert row is not None and row.state == "open"
    plan = await app_client("mcp", PLAN1)
    etag = {"If-Match": f'W/"{made["meta"]["versionId"]}"'}
    again = await plan.put(f"/EpisodeOfCare/{made['id']}", json={**made, "status": "onhold"}, headers=etag)
    assert again.status_code == 200
    await send()
    assert len(await alerts(store)) == 1, "told once"
    await send(send.adt("A11", who, ago=1))
    [gone] = await alerts(store)
    assert gone["status"] == "entered-in-error"


async def test_a_second_lead_has_an_alert_of_its_own(store: Store, send: Sender, app_client: AppClient) -> None:
    await admitted(store, send)
    await lead(app_client, "Patient/rosa", LCM2)
    await send()
    assert {one["recipient"][0]["reference"]: len(one["recipient"]) for one in await alerts(store)} == {
        LCM1: 1,
        LCM2: 1,
    }


async def test_a_handed_over_member_brings_the_open_alert_along(
    store: Store, send: Sender, app_client: AppClient
) -> None:
    await admitted(store, send)
    await _ended(store, app_client)
    await lead(app_client, "Patient/rosa", LCM2, ECM2)
    await send()
    [alert] = await alerts(store)
    assert [one["reference"] for one in alert["recipient"]] == [LCM1, LCM2]


async def test_after_an_acknowledgement_the_new_lead_has_an_alert_of_its_own(
    store: Store, send: Sender, app_client: AppClient
) -> None:
    await admitted(store, send)
    ana = await app_client("lcm", ECM1, LCM1)
    [alert] = await alerts(store)
    assert (await ana.post(f"/Communication/{alert['id']}/$acknowledge")).status_code == 200
    await _ended(store, app_client)
    await lead(app_client, "Patient/rosa", LCM2, ECM2)
    await send()
    texts = [one["payload"][0]["contentString"] for one in await alerts(store)]
    assert len(texts) == 2 and any("already an inpatient" in one for one in texts)


async def test_whose_stay_is_over_brings_no_alert(store: Store, send: Sender, app_client: AppClient) -> None:
    who = said("91000003A", "Larkspurling")
    await member(store, "solo", who, None, None)
    stay = await admitted(store, send, who)
    await transition(store, stay, patient="Patient/solo", end_us=store.clock.now_us(), status="finished")
    await lead(app_client, "Patient/solo", LCM1)
    await send()
    assert await alerts(store) == []


async def test_told_days_after_it_came_it_says_already(store: Store, send: Sender, clock: FrozenClock) -> None:
    """The message was in time; nobody could be told then."""
    who = said("91000003A", "Larkspurling")
    await member(store, "solo", who, None, None)
    await send(send.adt("A01", who))
    clock.advance(3 * DAY)
    await put(store, episode("EpisodeOfCare/solo", "Patient/solo", ECM1, LCM1))
    [[number]] = await store.fetch("SELECT id FROM inbox")
    await store.commit(Change(jobs=[Job("adt.apply", {"inbox": number})]))
    await send()
    [alert] = await alerts(store)
    assert "is already an inpatient of Mercy Made-up" in alert["payload"][0]["contentString"]
    assert alert["priority"] == "urgent"


async def test_an_alert_names_its_thread_and_its_times(store: Store, send: Sender) -> None:
    await send(send.adt("A01", ago=60))
    [alert] = await alerts(store)
    [thread] = [one["value"] for one in alert["identifier"] if one["system"] == THREAD_SYSTEM]
    assert thread
    [times] = alert["extension"]
    assert times["url"] == TIMES
    event, came = times["extension"]
    assert event == {"url": "event", "valueDateTime": date_time(store.clock.now_us() - 60 * MINUTE)}
    assert came["valueInstant"] == "2026-03-08T07:30:00Z"


async def test_an_emergency_visit_of_minutes_is_one_alarm(store: Store, send: Sender, clock: FrozenClock) -> None:
    await send(send.adt("A04", patient_class="E", ago=5))
    clock.advance(5 * MINUTE)
    await send(send.adt("A03", patient_class="E", ago=1, disposition="01"))
    arrival, left = await alerts(store)
    if arrival["priority"] == "routine":
        arrival, left = left, arrival
    assert (arrival["priority"], left["priority"]) == ("urgent", "routine")
    assert "went home from the emergency department" in left["payload"][0]["contentString"]
    assert "The visit began" in left["payload"][0]["contentString"]


async def test_a_frequent_visitor_is_an_alarm_all_the_same(store: Store, send: Sender, clock: FrozenClock) -> None:
    now = clock.now_us()
    for n in (1, 2):
        ended = now - n * 5 * DAY
        await transition(store, f"old{n}", klass="ED", start_us=ended - DAY, end_us=ended, status="finished")
    await send(send.adt("A04", patient_class="E", ago=5))
    clock.advance(5 * MINUTE)
    await send(send.adt("A03", patient_class="E", ago=1, disposition="01"))
    for alert in await alerts(store):
        assert alert["reasonCode"][0]["coding"][0]["code"] == "high-utilizer"
        assert alert["priority"] == "urgent"
        assert "3 emergency visits in 60 days." in alert["payload"][0]["contentString"]


async def _ended(store: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", PLAN1)
    found = (await plan.get("/EpisodeOfCare/rosa")).json()
    etag = {"If-Match": f'W/"{found["meta"]["versionId"]}"'}
    answer = await plan.put("/EpisodeOfCare/rosa", json={**found, "status": "finished"}, headers=etag)
    assert answer.status_code == 200, answer.text


async def test_a_lead_who_is_named_while_one_catches_up_is_not_missed(
    store: Store, send: Sender, app_client: AppClient
) -> None:
    """The job that runs has read the former lead, and the new one's job is dropped as its repeat."""
    who = said("91000003A", "Larkspurling")
    await member(store, "pia", who, None, ECM1)
    await admitted(store, send, who)
    await lead(app_client, "Patient/pia", LCM1)
    ctx = Context(store, system_caller(), store.clock.now_us(), send.worker._behaviour)
    running = await catch_up(ctx, {"patient": "Patient/pia"})
    await lead(app_client, "Patient/pia", LCM2)
    with pytest.raises(Stale):
        await store.commit(running)
    await send.worker.drain()
    assert LCM2 in {r["reference"] for one in await alerts(store) for r in one["recipient"]}
