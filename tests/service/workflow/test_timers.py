"""A timer is started once with its cause, met or cancelled once, and its breach is told once: also by two workers."""

import asyncio
from datetime import datetime

import pytest

from fhir_profiles.validate import validate
from service.access.context import Context, Settings
from service.store import alert_work
from service.store import timers as rows
from service.store.change import Change, Job
from service.store.engine import Store
from service.worker import Worker
from service.workflow import timer_kinds, timers
from service.workflow.timer_kinds import TimerKind, TimersError, due_us, kinds, kinds_of
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.notify.notice_world import role
from tests.service.workflow.tcs_world import context
from tests.service.world import ECM1, LCM1, PLAN1, change_of, episode, make, put, ref

POSTGRESQL_IN_DEEP = True

HOUR = 3_600_000_000
ZONE = "America/Los_Angeles"


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def row(amount: int, unit: str) -> TimerKind:
    return TimerKind("x", "", amount, unit, "task", False, "lead", "routine", "")


@pytest.mark.parametrize(
    ("amount", "unit", "start", "due"),
    [
        (24, "hours", "2026-03-07T12:00:00-08:00", "2026-03-08T13:00:00-07:00"),
        (7, "days", "2026-03-07T00:01:00-08:00", "2026-03-15T00:00:00-07:00"),
        (1, "days", "2026-03-07T23:59:00-08:00", "2026-03-09T00:00:00-07:00"),
        (2, "working-days", "2026-03-06T17:00:00-08:00", "2026-03-11T00:00:00-07:00"),
    ],
)
def test_when_it_is_due(amount: int, unit: str, start: str, due: str) -> None:
    assert due_us(row(amount, unit), us(start), ZONE) in (us(due), us(due) - 1)


def test_every_row_is_usable_and_a_bad_table_says_all_that_is_wrong() -> None:
    assert {"adt-relay", "tcs-contact", "tcs-visit", "tcs-support", "snf-notice", "match-review"} <= kinds().keys()
    assert {kind.told for kind in kinds().values()} <= timers.TELLS.keys()
    good = {"what": "", "amount": 1, "unit": "days", "met_by": "task", "death": True, "told": "lead"}
    bad = good | {"unit": "years", "amount": 0, "priority": "high", "text": "{name}"}
    with pytest.raises(TimersError) as told:
        kinds_of({"kinds": {"a": bad, "b": good}})
    assert str(told.value).count(";") >= 4
    with pytest.raises(TimersError):
        timer_kinds.kinds("/nowhere.json")


async def begin(store: Store, kind: str = "tcs-visit", subject: str = "Task/t", ago: int = 0) -> str:
    ctx, change = context(store), Change()
    timer = timers.start(ctx, change, kind, subject, "Patient/a", ctx.now_us - ago, {"what": "w"})
    await store.commit(change)
    return timer.dedupe


async def pass_by(store: Store, us: int) -> None:
    store.clock.advance(us)  # type: ignore[attr-defined]
    await store.commit(Change(jobs=[Job("timer.due", {})]))
    await Worker(store, Settings()).drain()


async def state(store: Store, dedupe: str) -> str:
    found = await rows.one(store, dedupe)
    assert found is not None
    return found.state


async def test_a_breach_is_told_to_the_lead_once(world: Store) -> None:
    dedupe = await begin(world)
    await pass_by(world, 6 * 24 * HOUR)
    assert await state(world, dedupe) == "running"
    for _ in range(3):
        await pass_by(world, 48 * HOUR)
    assert await state(world, dedupe) == "breached"
    [alert] = (await resources(world, "Communication")).values()
    assert alert["recipient"] == [{"reference": LCM1}]
    assert "7 days" in alert["payload"][0]["contentString"] and "Made" not in str(alert)
    assert validate(alert, "Communication") == []
    assert len(await world.fetch("SELECT 1 FROM audit WHERE kind = 'timer-breached'")) == 1


async def test_who_does_not_answer_a_breach_is_passed_over_until_its_task_is_done(
    world: Store, app_client: AppClient
) -> None:
    """The alert of a breach escalates as any other, and rests once the Task is closed."""
    await put(world, role("boss", "Practitioner/boss", ECM1, "ecm-director"), source=ECM1)
    task = make("Task/mine", status="requested", intent="order", owner=ref(LCM1), code={"text": "x"})
    await put(world, task | {"for": ref("Patient/a")}, source=ECM1)
    await begin(world, "tcs-contact", "Task/mine")
    await pass_by(world, 3 * 24 * HOUR)
    [alert] = (await resources(world, "Communication")).values()
    reference = f"Communication/{alert['id']}"
    work = await alert_work.of_alert(world, reference)
    assert work is not None and (work.state, work.level) == ("open", 0)
    await escalated(world, work.due_us)
    [alert] = (await resources(world, "Communication")).values()
    assert len(alert["recipient"]) == 2
    client = await app_client("lcm", ECM1, LCM1)
    body = task | {"for": ref("Patient/a"), "status": "completed"}
    assert (await client.put("/Task/mine", json=body, headers={"If-Match": 'W/"1"'})).status_code == 200
    work = await alert_work.of_alert(world, reference)
    assert work is not None
    await escalated(world, work.due_us)
    work = await alert_work.of_alert(world, reference)
    assert work is not None and (work.state, work.outcome) == ("ended", "done")


async def test_an_answer_stops_the_clock_of_a_breach(world: Store, app_client: AppClient) -> None:
    await begin(world, "tcs-contact")
    await pass_by(world, 3 * 24 * HOUR)
    [alert] = (await resources(world, "Communication")).values()
    client = await app_client("lcm", ECM1, LCM1)
    assert (await client.post(f"/Communication/{alert['id']}/$acknowledge")).status_code == 200
    work = await alert_work.of_alert(world, f"Communication/{alert['id']}")
    assert work is not None and work.state == "acknowledged"


async def test_what_one_change_says_of_a_timer_holds_in_its_order(world: Store) -> None:
    """Ended and begun anew, begun and ended: also where others of the same commit say it the other way round."""

    def acts(ctx: Context, subject: str, *told: str) -> Change:
        change = Change()
        for one in told:
            if one in ("met", "cancelled"):
                getattr(timers, one)(ctx, change, "plan-relay", subject)
            else:
                timers.start(ctx, change, "plan-relay", subject, "", ctx.now_us, cause=f"{subject} {one}")
        return change

    subjects = [f"Task/t{number}" for number in range(6)]
    ctx, orders = context(world), (("cancelled", "a"), ("a", "cancelled"), ("a", "met", "b"))
    for expected in ((("a",), (), ("b",)), (("a",), (), ())):  # what was met is not begun again by the same cause
        changes = [acts(ctx, one, *orders[number % 3]) for number, one in enumerate(subjects)]
        await asyncio.gather(*(world.commit(change) for change in changes))
        runs = sorted(timer.dedupe for timer in await rows.listed(world, "plan-relay", "running", 99))
        wanted = [f"plan-relay|{one} {cause}" for n, one in enumerate(subjects) for cause in expected[n % 3]]
        assert runs == sorted(wanted)


async def test_thousands_that_are_over_at_once_are_told_batch_by_batch(
    world: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one batch a minute; and never more than one of them before whatever else waits in the queue."""
    monkeypatch.setattr(timers, "BATCH", 3)
    for number in range(7):
        await begin(world, "plan-relay", f"Task/t{number}")
    await pass_by(world, 25 * HOUR)
    for left in (4, 1, 0, 0):
        assert len(await rows.listed(world, "plan-relay", "running", 9)) == left
        world.clock.advance(timers.AGAIN_US)  # type: ignore[attr-defined]
        await Worker(world, Settings()).drain()


async def escalated(store: Store, due_us: int) -> None:
    store.clock.advance(max(0, due_us - store.clock.now_us()))  # type: ignore[attr-defined]
    await store.commit(Change(jobs=[Job("alert.overdue", {})]))
    await Worker(store, Settings()).drain()


async def test_the_plan_is_told_where_nobody_could_be(world: Store) -> None:
    await begin(world, "adt-relay", "Encounter/e")
    await pass_by(world, 25 * HOUR)
    [message] = (await resources(world, "Communication")).values()
    assert message["recipient"] == [{"reference": PLAN1}]
    assert message["category"][0]["coding"][0]["code"] == "care-coordination"


async def test_it_starts_once_for_a_cause_and_again_after_it_was_cancelled(world: Store) -> None:
    dedupe = await begin(world)
    await begin(world)
    assert len(await rows.listed(world, "", "", 10)) == 1
    change = Change()
    timers.cancelled(context(world), change, "tcs-visit", "Task/t")
    await world.commit(change)
    assert await state(world, dedupe) == "cancelled"
    await begin(world)
    assert await state(world, dedupe) == "running"
    change = Change()
    timers.met(context(world), change, "tcs-visit", "Task/t")
    await world.commit(change)
    await begin(world)
    assert await state(world, dedupe) == "met", "what was done is not asked for again"
    await pass_by(world, 30 * 24 * HOUR)
    assert await resources(world, "Communication") == {}


async def test_of_a_breach_and_its_end_at_once_one_wins(world: Store) -> None:
    """Two workers fire the same timer while it is met: whatever commits first, nobody is told of what was done."""
    dedupe = await begin(world)
    world.clock.advance(9 * 24 * HOUR)  # type: ignore[attr-defined]
    ctx = context(world)
    fired = [await timers.fire(ctx, {"timer": dedupe}) for _ in range(2)]
    change = Change()
    timers.met(ctx, change, "tcs-visit", "Task/t")
    await world.commit(change)
    outcomes = await asyncio.gather(*(world.commit(one) for one in fired), return_exceptions=True)
    assert [type(o).__name__ for o in outcomes] == ["Stale", "Stale"]
    found = await rows.one(world, dedupe)
    assert found is not None and found.state == "breached" and found.ended_us is not None, "done, but late"
    assert await resources(world, "Communication") == {}


async def test_what_is_heard_of_late_leaves_time_to_act(world: Store) -> None:
    dedupe = await begin(world, ago=20 * 24 * HOUR)
    found = await rows.one(world, dedupe)
    assert found is not None and found.due_us == world.clock.now_us() + 24 * HOUR


@pytest.mark.parametrize(("status", "expected"), [("completed", "met"), ("cancelled", "cancelled")])
async def test_a_task_meets_its_timer(world: Store, app_client: AppClient, status: str, expected: str) -> None:
    task = make("Task/mine", status="requested", intent="order", owner=ref(LCM1), code={"text": "x"})
    await put(world, task | {"for": ref("Patient/a")}, source=ECM1)
    dedupe = await begin(world, subject="Task/mine")
    client = await app_client("lcm", ECM1, LCM1)
    body = task | {"for": ref("Patient/a"), "status": status}
    answer = await client.put("/Task/mine", json=body, headers={"If-Match": 'W/"1"'})
    assert answer.status_code == 200, answer.text
    assert await state(world, dedupe) == expected


async def test_a_fire_that_never_ends_is_tried_again_in_an_hour(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    dedupe = await begin(world)
    real = timers.TELLS["lead"]

    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setitem(timers.TELLS, "lead", broken)
    await pass_by(world, 9 * 24 * HOUR)
    for _ in range(10):
        await pass_by(world, 301_000_000)
    assert await world.fetch("SELECT 1 FROM job WHERE kind = 'timer.fire' AND state = 'dead'")
    monkeypatch.setitem(timers.TELLS, "lead", real)
    await pass_by(world, HOUR)
    assert await state(world, dedupe) == "breached"
    assert len(await resources(world, "Communication")) == 1


async def test_nobody_to_tell_is_no_error(world: Store) -> None:
    await world.commit(change_of(world, make("Patient/z", name=[{"family": "Z"}])))
    await world.commit(change_of(world, episode("EpisodeOfCare/z", "Patient/z", ECM1)))
    dedupe = await begin(world, "match-review", "match_review/1")
    await pass_by(world, 9 * 24 * HOUR)
    assert await state(world, dedupe) == "breached"
