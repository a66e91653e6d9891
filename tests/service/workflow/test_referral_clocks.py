"""Clocks of a referral: which run, what their breach writes once, what ends them, and that a mark moves nothing."""

import asyncio
from typing import Any

import pytest

from fhir_profiles.validate import validate
from service.store import timers as rows
from service.store.change import Change, Job, Stale
from service.store.engine import Store
from service.workflow import follow_ups, referral_clocks, timers
from service.workflow.referral_clocks import OVERDUE, overdue_of, running
from service.workflow.timer_kinds import TimersError, fitting, kinds, kinds_of
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.workflow.calaim_world import asked
from tests.service.workflow.referral_world import DAY, DONE, HOUR, WHY, drain, pass_by, referral
from tests.service.workflow.tcs_world import context
from tests.service.world import CBO1, ECM1, PLAN1, change_of, make, put, ref, request, task

POSTGRESQL_IN_DEEP = True
ALL = ["acknowledge", "close", "stalled", "stalled-again"]
LATER = ["close", "stalled", "stalled-again"]


@pytest.mark.parametrize(
    ("status", "business", "before", "expected"),
    [
        ("draft", "", "", ""),
        ("requested", "", "", "acknowledge"),
        ("accepted", "", "acknowledge", "first-contact"),
        ("accepted", "5.1.1", "first-contact", ""),
        ("in-progress", "", "first-contact", ""),
        ("on-hold", "", "first-contact", "first-contact"),
        ("on-hold", "", "", ""),
        ("completed", "", "", None),
        ("rejected", "", "acknowledge", None),
        ("entered-in-error", "", "", None),
    ],
)
def test_which_clocks_run(status: str, business: str, before: str, expected: str | None) -> None:
    task: dict[str, Any] = {"status": status}
    if business:
        task["businessStatus"] = {"coding": [{"code": business}]}
    found = {one.removeprefix("referral-") for one in running(task, (f"referral-{before}",))}
    whole = set() if expected is None or status == "draft" else {*LATER, *filter(None, [expected])}
    assert found == whole


def test_amounts_by_priority_and_kind_of_service() -> None:
    row = kinds()["referral-first-contact"]
    assert fitting(row, "routine", ()).unit == "working-days" == fitting(row, "urgent", {"cs"}).unit
    assert (fitting(row, "routine", {"cs"}).amount, fitting(row, "stat", {"cs"}).amount) == (24, 8)
    good = {"what": "", "amount": 1, "unit": "days", "met_by": "task", "death": True, "told": "requester"}
    bad = good | {"priority": "urgent", "text": "", "by": [{"amount": 0, "unit": "days"}, {"amount": 1, "unit": "x"}]}
    with pytest.raises(TimersError) as told:
        kinds_of({"kinds": {"a": bad}})
    assert "a row of by" in str(told.value) and "each row of by" in str(told.value)


async def test_they_start_and_end_with_the_task(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    assert await one.clocks() == ALL
    await one.step("accepted")
    assert await one.clocks() == sorted([*LATER, "first-contact"])
    assert (await one.put(note=[{"text": "x"}])).status_code == 200
    assert len(await one.clocks("")) == 7, "what does not move it starts nothing"
    await one.step("in-progress")
    assert await one.clocks() == LATER
    await one.step("completed", **DONE)
    assert await one.clocks() == [] == await one.clocks("breached")


async def test_a_breach_is_marked_and_told_once(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    for _ in range(3):
        await pass_by(world, 5 * DAY // 2)
    task = await one.task()
    assert await one.overdue() == ["acknowledge"] and task["meta"]["versionId"] == "2"
    [item] = await one.items()
    assert (item["owner"], item["focus"]) == (ref(ECM1), ref(one.reference))
    [message] = await one.told("referral-overdue")
    assert message["recipient"] == [ref(CBO1)] and message["about"] == [ref(one.reference)]
    assert [validate(r, r["resourceType"]) for r in (item, message, task)] == [[], [], []]
    assert (await (await one.ecm()).get(f"/Task/{item['id']}")).status_code == 200
    assert (await (await one.cbo()).get(f"/Task/{item['id']}")).status_code == 404
    assert (await (await one.cbo()).get(f"/Communication/{message['id']}")).status_code == 200
    for code, total in (("acknowledge", 1), ("close", 0), ("acknowledge,close", 1)):
        found = (await (await one.ecm()).get(f"/Task?overdue={code}&_total=accurate")).json()
        assert found["total"] == total
    assert "stalled" in await one.clocks(), "the mark is no move"


async def test_it_goes_when_it_is_no_longer_so(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    await pass_by(world, 5 * DAY)
    await one.step("accepted")
    assert await one.overdue() == [] and await one.items() == []
    [item] = await one.items("cancelled")
    assert item["statusReason"]["text"]
    await pass_by(world, 8 * DAY)
    assert await one.overdue() == ["first-contact"]
    await one.step("on-hold", **WHY)
    assert await one.overdue() == ["first-contact"], "a hold is no contact"
    await one.step("in-progress", statusReason=None)
    assert await one.overdue() == []


async def test_a_contact_is_waited_for_while_it_is_on_hold(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    await one.step("accepted")
    await one.step("on-hold", **WHY)
    assert await one.clocks() == sorted([*LATER, "first-contact"])
    assert (await one.put(note=[{"text": "x"}])).status_code == 200
    await pass_by(world, 8 * DAY)
    assert await one.overdue() == ["first-contact"]
    assert (await one.put(note=[{"text": "y"}])).status_code == 200
    assert await one.overdue() == ["first-contact"], "nobody spoke with the member"
    await one.step("in-progress", statusReason=None)
    assert await one.clocks() == LATER and await one.overdue() == []
    other = await referral(world, app_client)
    for status, needs in (("accepted", {}), ("on-hold", WHY), ("completed", DONE)):
        await other.step(status, **needs)
    assert await other.clocks() == [], "the first contact of a closed referral is not waited for"


async def test_a_step_that_ended_no_clock_is_no_breach(world: Store, app_client: AppClient) -> None:
    """A process of the release before, beside the new one during an upgrade, moves a Task and knows no clocks."""
    one = await referral(world, app_client)
    accepted = await one.task() | {"status": "accepted"}
    await world.commit(change_of(world, accepted, ECM1, expect=1))
    await pass_by(world, 10 * DAY)
    assert "acknowledge" in await one.clocks("breached") and await one.overdue() == []
    await pass_by(world, 10 * DAY)
    assert await one.overdue() == ["stalled"]


async def test_stalled_after_14_days_and_again_after_30(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    await one.step("accepted")
    await one.step("in-progress")
    await pass_by(world, 16 * DAY)
    assert await one.overdue() == ["stalled"] and len(await one.told("referral-overdue")) == 1
    await pass_by(world, 16 * DAY)
    assert await one.overdue() == ["stalled"] and len(await one.told("referral-overdue")) == 2
    assert len(await one.items()) == 1, "one work item while it is open"
    await one.step("on-hold", **WHY)
    assert await one.overdue() == []
    await pass_by(world, 16 * DAY)
    assert await one.overdue() == ["stalled"], "counted anew with each move"
    await one.step("completed", **DONE)
    assert await one.overdue() == [] == await one.items()
    await pass_by(world, 90 * DAY)
    assert len(await one.told("referral-overdue")) == 3 and (await one.task())["status"] == "completed"


async def test_the_day_that_the_requester_set(world: Store, app_client: AppClient) -> None:
    def until(day: str) -> dict[str, Any]:
        return {"restriction": {"period": {"end": day}}}

    one = await referral(world, app_client, **until("2026-03-20"))
    await one.step("accepted")
    [clock] = await rows.listed(world, "referral-close", "running", 9)
    assert (await one.put(await one.ecm(), **until("2026-04-20"))).status_code == 200
    [later] = await rows.listed(world, "referral-close", "running", 9)
    assert later.due_us - clock.due_us == 31 * DAY
    await pass_by(world, later.due_us - world.clock.now_us() + HOUR)
    assert "close" in await one.overdue()
    await one.step("in-progress")
    assert await one.overdue() == ["close"], "its day has passed all the same"


async def test_only_the_service_sets_it(world: Store, app_client: AppClient) -> None:
    mark = [{"url": OVERDUE, "valueCode": "close"}]
    one = await referral(world, app_client, extension=mark)
    assert await one.overdue() == []
    assert (await one.put(extension=[*mark, {"url": "http://example.org/x", "valueString": "kept"}])).status_code == 200
    assert [e["url"] for e in (await one.task())["extension"]] == ["http://example.org/x"]
    await pass_by(world, 5 * DAY)
    assert (await one.put(await one.ecm(), extension=None)).status_code == 200
    assert await one.overdue() == ["acknowledge"]


async def test_no_breach_where_the_member_died_or_the_task_is_over(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    [clock] = await rows.listed(world, "referral-acknowledge", "running", 9)
    await one.step("rejected", **WHY)
    world.clock.advance(9 * DAY)  # type: ignore[attr-defined]
    again = await timers.fire(context(world), {"timer": clock.dedupe})
    assert not again.writes
    two = await referral(world, app_client)
    patient = (await resources(world, "Patient"))["a"]
    await world.commit(change_of(world, patient | {"deceasedBoolean": True}, expect=1))
    await pass_by(world, 40 * DAY)
    assert await two.overdue() == [] and not await two.told("referral-overdue") and not await two.items()


async def test_what_it_says_of_labelled_referrals_bears_the_label(world: Store, app_client: AppClient) -> None:
    sud = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}]}
    one = await referral(world, app_client, meta=sud)
    await pass_by(world, 5 * DAY)
    [item], [message] = await one.items(), await one.told("referral-overdue")
    assert "SUD" in str(item["meta"]) and "SUD" in str(message["meta"])


async def test_other_tasks_have_no_clocks(world: Store) -> None:
    await put(world, make("Task/x", status="requested", intent="order", focus=ref("CarePlan/x"), owner=ref(ECM1)))
    assert await rows.listed(world, "", "", 9) == []


async def test_referrals_that_came_without_clocks_get_theirs_from_now_on(
    world: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referral_clocks, "LOOKED_AT_ONCE", 1)
    stands = {name: request(f"ServiceRequest/{name}", "Patient/a", ECM1) for name in ("held", "done")}
    held = task("Task/held", "Patient/a", "ServiceRequest/held", ECM1, CBO1, status="on-hold")
    done = task("Task/done", "Patient/a", "ServiceRequest/done", ECM1, CBO1, status="completed")
    await put(world, *stands.values(), held, done, make("Task/other", status="requested", intent="order"), source=ECM1)
    for _ in range(2):
        await world.commit(Change(jobs=[Job("referral.clocks", {})]))
        await drain(world)
    found = await rows.listed(world, "", "", 99)
    assert sorted({one.subject for one in found}) == ["Task/a", "Task/b", "Task/held"] and len(found) == 4 + 4 + 3
    assert {one.start_us for one in found} == {world.clock.now_us()}


async def test_a_move_and_a_breach_at_once(world: Store, app_client: AppClient) -> None:
    """Whatever commits first, a referral that was accepted is not marked as waiting for it."""
    one = await referral(world, app_client)
    [clock] = await rows.listed(world, "referral-acknowledge", "running", 9)
    world.clock.advance(5 * DAY)  # type: ignore[attr-defined]
    decided = [await timers.fire(context(world), {"timer": clock.dedupe}) for _ in range(2)]
    assert all(len(change.writes) == 3 for change in decided)
    await one.step("accepted")
    for change in decided:
        with pytest.raises(Stale):
            await world.commit(change)
    assert await one.overdue() == [] and not await one.items() and not await one.told("referral-overdue")


async def test_of_two_workers_one_tells(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    [clock] = await rows.listed(world, "referral-acknowledge", "running", 9)
    world.clock.advance(5 * DAY)  # type: ignore[attr-defined]
    decided = [await timers.fire(context(world), {"timer": clock.dedupe}) for _ in range(2)]
    done = await asyncio.gather(*(world.commit(change) for change in decided), return_exceptions=True)
    assert sum(isinstance(outcome, Stale) for outcome in done) == 1
    assert (await one.task())["meta"]["versionId"] == "2" and len(await one.items()) == 1


async def test_a_promise_that_a_client_writes_has_its_clock(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    code = {"coding": [{"system": follow_ups.SYSTEM, "code": follow_ups.PROMISED}]}
    body = {"resourceType": "Task", "status": "requested", "intent": "order", "code": code, "owner": ref(ECM1)}
    body |= {"for": ref("Patient/a"), "requester": ref(ECM1), "focus": ref(one.reference)}
    ecm = await one.ecm()
    answer = await ecm.post("/Task", json=body | {"restriction": {"period": {"end": "2026-03-10"}}})
    assert answer.status_code == 201, answer.text
    [first] = await rows.listed(world, "referral-follow-up", "running", 9)
    moved = answer.json() | {"restriction": {"period": {"end": "2026-03-12"}}}
    put_ = await ecm.put(f"/Task/{moved['id']}", json=moved, headers={"If-Match": 'W/"1"'})
    assert put_.status_code == 200, put_.text
    [later] = await rows.listed(world, "referral-follow-up", "running", 9)
    assert later.due_us > first.due_us
    await pass_by(world, 30 * DAY)
    assert overdue_of((await resources(world, "Task"))[moved["id"]]) == ["follow-up"]
    [message] = [m for m in await one.told("referral-overdue") if m["about"] == [ref(f"Task/{moved['id']}")]]
    assert message["recipient"] == [ref(ECM1)]


async def test_a_promise_without_its_day_has_no_clock(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    code = {"coding": [{"system": follow_ups.SYSTEM, "code": follow_ups.PROMISED}]}
    body = {"resourceType": "Task", "status": "requested", "intent": "order", "code": code, "owner": ref(ECM1)}
    body |= {"for": ref("Patient/a"), "requester": ref(ECM1), "focus": ref(one.reference)}
    ecm, day = await one.ecm(), {"restriction": {"period": {"end": "2026-03-10"}}}
    made = (await ecm.post("/Task", json=body | day)).json()
    for version, more, running_ in (("1", {}, 0), ("2", day, 1), ("3", day | {"note": [{"text": "x"}]}, 1)):
        wanted = {name: value for name, value in made.items() if name != "restriction"} | more
        answer = await ecm.put(f"/Task/{made['id']}", json=wanted, headers={"If-Match": f'W/"{version}"'})
        assert answer.status_code == 200, answer.text
        assert len(await rows.listed(world, "referral-follow-up", "running", 9)) == running_


@pytest.mark.parametrize(
    ("service", "owner", "waits"), [("housing-deposits", PLAN1, False), ("housing-deposits", CBO1, True)]
)
async def test_a_plan_that_decides_has_its_own_clock(
    world: Store, app_client: AppClient, service: str, owner: str, waits: bool
) -> None:
    number = await asked(world, app_client, service, owner)
    found = [one.kind for one in await rows.listed(world, "", "running", 99) if one.subject == f"Task/{number}"]
    assert ("referral-acknowledge" in found) is waits and "referral-stalled" in found
