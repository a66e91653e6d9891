"""Who is told, who stands in, and how an alert that nobody acknowledges goes on within working hours."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.access.context import Context, Settings
from service.caller import system_caller
from service.store import alert_work, notices
from service.store.alert_work import Work
from service.store.change import Change, Job
from service.store.engine import Store
from service.worker import GIVEN_UP
from service.workflow import alert_escalation, alert_routing
from service.workflow.working_time import ZONE
from tests.frozen_clock import FrozenClock
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import Sender, adt_world
from tests.service.notify.notice_world import role
from tests.service.world import BASE, ECM1, LCM1, make, put, ref, team

POSTGRESQL_IN_DEEP = True
COVER, BOSS, STAND_IN = "Practitioner/cover", "Practitioner/boss", "Practitioner/stand-in"
TEAM_ROLE = "https://enlace.example.org/fhir/CodeSystem/team-role"
MINUTE = 60_000_000


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp()) * 1_000_000


@pytest.fixture
async def send(store: Store, clock: FrozenClock) -> Sender:
    clock.advance(us("2026-11-24T10:00:00") - clock.now_us())  # a Tuesday, two days before Thanksgiving
    await adt_world(store)
    await put(store, make(COVER), make(BOSS), make(STAND_IN))
    return Sender(store)


def ctx_of(store: Store) -> Context:
    return Context(store, system_caller(), store.clock.now_us(), Settings(base_url=BASE))


def participant(person: str, code: str, **period: str) -> dict[str, Any]:
    return {"member": ref(person), "role": [{"coding": [{"system": TEAM_ROLE, "code": code}]}], "period": period}


async def cover_team(store: Store, **period: str) -> None:
    one = {**team("CareTeam/rosa", "Patient/rosa"), "participant": [participant(COVER, "cover", **period)]}
    await put(store, {**one, "managingOrganization": [ref(ECM1)]}, source=ECM1)


async def the_alert(store: Store) -> dict[str, Any]:
    [found] = [one for one in (await resources(store, "Communication")).values() if one["id"].startswith("al-")]
    return found


async def names(store: Store) -> list[str]:
    return [one["reference"].partition("/")[2] for one in (await the_alert(store))["recipient"]]


async def tick(store: Store) -> list[Job]:
    """What the worker does every minute; the jobs that came of it."""
    change = await alert_escalation.overdue(ctx_of(store), {})
    jobs = list(change.jobs)
    for job in jobs:
        await store.commit(await alert_escalation.escalate(ctx_of(store), job.payload))
    return jobs


async def work(store: Store) -> alert_work.Work:
    found = await alert_work.of_alert(store, f"Communication/{(await the_alert(store))['id']}")
    assert found is not None
    return found


async def test_lead_cover_provider_supervisor_each_half_an_hour(store: Store, send: Sender, clock: FrozenClock) -> None:
    await cover_team(store, start="2026-11-01", end="2026-11-30")
    await put(store, role("boss", BOSS, ECM1, "ecm-director"), source=ECM1)
    await send(send.adt("A01"))
    assert await names(store) == ["lcm-1"]
    assert not await tick(store), "half an hour is not over"
    for expected in (["cover"], ["ecm-1"], ["boss"]):
        clock.advance(30 * MINUTE)
        before = await names(store)
        assert await tick(store)
        assert await names(store) == [*before, *expected]
        assert not await tick(store)
    clock.advance(30 * MINUTE)
    assert await tick(store)
    assert ((await work(store)).state, (await work(store)).outcome) == ("ended", "unanswered")
    rows = await store.fetch("SELECT count(*) FROM audit WHERE kind = 'alert-escalated'")
    assert int(rows[0][0]) == 4
    await send(send.adt("A11", ago=1))
    corrections = [c for c in (await resources(store, "Communication")).values() if c["id"].startswith("co-")]
    assert [len(one["recipient"]) for one in corrections] == [4], "all who heard of it hear that it was wrong"


async def test_levels_without_anybody_are_passed_over(store: Store, send: Sender, clock: FrozenClock) -> None:
    await send(send.adt("A01"))
    clock.advance(30 * MINUTE)
    await tick(store)
    assert await names(store) == ["lcm-1", "ecm-1"]


async def test_acknowledged_goes_nowhere(store: Store, send: Sender, clock: FrozenClock) -> None:
    await send(send.adt("A01"))
    alert = await the_alert(store)
    ctx = ctx_of(store)
    change = await alert_escalation.escalate(ctx, {"alert": f"Communication/{alert['id']}"})
    assert not change.writes, "not due yet"
    change.writes.append(ctx.write({**alert, "received": "2026-11-24T10:05:00-08:00"}, 1))
    await store.commit(change)
    clock.advance(31 * MINUTE)
    await tick(store)
    assert await names(store) == ["lcm-1"]
    assert (await work(store)).state == "acknowledged"


@pytest.mark.parametrize(
    ("sent", "due"),
    [
        ("2026-11-24T17:45:00", "2026-11-25T08:00:00"),
        ("2026-11-25T19:00:00", "2026-11-30T08:00:00"),  # Thanksgiving, the day after, the weekend
    ],
)
async def test_outside_working_hours_it_waits_for_the_next_morning(
    store: Store, send: Sender, clock: FrozenClock, sent: str, due: str
) -> None:
    clock.advance(us(sent) - clock.now_us())
    await send(send.adt("A01"))
    assert (await work(store)).due_us == us(due)
    clock.advance(us(due) - MINUTE - clock.now_us())
    assert not await tick(store)
    clock.advance(MINUTE)
    assert await tick(store)


async def test_what_was_due_at_night_waits_for_the_morning(store: Store, send: Sender, clock: FrozenClock) -> None:
    """The workers were down when it was due."""
    await send(send.adt("A01"))
    clock.advance(us("2026-11-24T23:00:00") - clock.now_us())
    assert not await tick(store)


async def test_who_is_away_has_the_alert_together_with_the_cover(store: Store, send: Sender) -> None:
    await cover_team(store)
    away = [{"description": "leave", "during": {"start": "2026-11-20", "end": "2026-11-27"}}]
    await put(store, role("lcm-1", LCM1, ECM1, "lead-care-manager", notAvailable=away), source=ECM1)
    await send(send.adt("A01"))
    assert await names(store) == ["lcm-1", "cover"]


async def test_a_cover_whose_time_is_over_is_none(store: Store, send: Sender) -> None:
    await cover_team(store, end="2026-11-01")
    assert await alert_routing.at_level(ctx_of(store), "Patient/rosa", "cover") == []


async def test_who_stands_in_for_the_provider_gets_a_task_and_so_the_alert_alone(
    store: Store, send: Sender, clock: FrozenClock
) -> None:
    await put(store, role("si", STAND_IN, ECM1, "cover", period={"start": "2026-11-24"}), source=ECM1)
    await put(store, role("old", BOSS, ECM1, "cover", period={"end": "2026-11-01"}), source=ECM1)
    await send(send.adt("A01"))
    clock.advance(30 * MINUTE)
    await tick(store)
    assert await names(store) == ["lcm-1", "stand-in"]
    mine = [one for one in (await resources(store, "Task")).values() if one["owner"]["reference"] == STAND_IN]
    assert [one["code"]["coding"][0]["code"] for one in mine] == ["answer-alert"]
    await send(send.adt("A11", ago=1))
    tasks = await resources(store, "Task")
    assert {one["status"] for one in tasks.values()} == {"cancelled"}


async def test_after_a_snooze_the_recipients_are_reminded(store: Store, send: Sender, clock: FrozenClock) -> None:
    await send(send.adt("A01"))
    alert = f"Communication/{(await the_alert(store))['id']}"
    until = clock.now_us() + 60 * MINUTE
    await store.commit(
        _of(alert_work.waits(alert, state="snoozed", due_us=until, by=LCM1)),
    )
    clock.advance(45 * MINUTE)
    assert not await tick(store), "put off"
    clock.advance(15 * MINUTE)
    await tick(store)
    assert await names(store) == ["lcm-1"], "reminded, not escalated"
    assert (await work(store)).state == "open"
    [told] = await notices.listed(store, target=alert)
    assert (told.recipient, told.kind, told.state) == (LCM1, "alert", "waiting")
    clock.advance(30 * MINUTE)
    await tick(store)
    assert await names(store) == ["lcm-1", "ecm-1"]


async def test_a_newer_alert_of_the_stay_takes_the_clock_over(store: Store, send: Sender, clock: FrozenClock) -> None:
    await send(send.adt("A04", PV1_2="E", ago=5))
    clock.advance(20 * MINUTE)
    await send(send.adt("A01", ago=1))
    rows = await alert_work.listed(store)
    assert sorted((one.state, one.outcome) for one in rows) == [("ended", "superseded"), ("open", "")]
    [standing] = [one for one in rows if one.state == "open"]
    assert standing.due_us == us("2026-11-24T10:30:00"), "the first word of this stay counts"


async def test_a_death_goes_to_the_supervisor_at_once_and_closes_the_outreach(store: Store, send: Sender) -> None:
    await put(store, role("boss", BOSS, ECM1, "ecm-director"), source=ECM1)
    await send(send.adt("A01", ago=60), send.adt("A03", ago=5, disposition="20"))
    alerts = (await resources(store, "Communication")).values()
    [death] = [one for one in alerts if "died" in one["payload"][0]["contentString"]]
    assert [one["reference"] for one in death["recipient"]] == [LCM1, BOSS]
    tasks = {one["code"]["coding"][0]["code"]: one["status"] for one in (await resources(store, "Task")).values()
             if one["id"].startswith("fu-")}  # fmt: skip
    assert tasks == {"contact-hospital": "cancelled", "close-outreach": "requested"}


def _of(*statements: Any) -> Any:
    from service.store.change import Change

    return Change(statements=list(statements))


async def test_an_alert_that_cannot_be_escalated_lets_the_others_pass(store: Store) -> None:
    now_us = store.clock.now_us()
    rows = [
        Work(f"Communication/{name}", "Patient/x", 0, state, now_us - late, now_us) for name, state, late in WAITING
    ]
    await store.commit(Change(statements=[alert_work.put(one) for one in rows]))
    assert await alert_work.due(store, now_us, 2) == ["Communication/broken", "Communication/snoozed"]
    given_up = GIVEN_UP["alert.escalate"]({"alert": "Communication/broken"}, 1, "Error")
    await store.commit(Change(statements=[given_up]))
    assert await alert_work.due(store, now_us, 2) == ["Communication/snoozed", "Communication/other"]


WAITING = (("broken", "open", 30), ("other", "open", 10), ("snoozed", "snoozed", 20))
