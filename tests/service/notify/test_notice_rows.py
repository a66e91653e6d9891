"""Notices as rows, on both databases: each once, under its lease, tried again, found by who asked."""

import pytest

from service.notify.model import Outcome, Result
from service.store import notices
from service.store.change import Change
from service.store.engine import Store
from service.store.notice_preferences import Preference
from tests.frozen_clock import FrozenClock
from tests.service.notify.notice_world import (
    DIRECTOR,
    HOUR,
    Killed,
    World,
    alert,
    populate,
    put_alert,
)
from tests.service.world import CBO1, ECM1, LCM1, PLAN1, change_of, episode, put, ref, request, task, team

FAILED = Result(Outcome.FAILED, 451, "later")


@pytest.fixture
async def told(world: Store) -> World:
    return await populate(world)


async def test_the_same_version_matched_twice_is_told_once(told: World) -> None:
    await put_alert(told, alert("one"))
    rows = await told.store.fetch("SELECT vid FROM outbox")
    await told.run()
    for (vid,) in rows:
        await told.store.db.execute("INSERT INTO outbox (vid) VALUES (?) RETURNING vid", (vid,))
    await told.run()
    assert len(told.email.got) == 1 and len(await told.rows(target="Communication/one")) == 2


async def test_tasks_referrals_and_assignments(told: World) -> None:
    store = told.store
    await put(store, request("ServiceRequest/t", "Patient/a", LCM1), source=ECM1)
    mine = task("Task/t", "Patient/a", "ServiceRequest/t", LCM1, LCM1)
    await put(store, mine, source=ECM1)
    await told.run()
    assert [n.kind for n in await told.rows(target="Task/t")] == ["task-assigned"]
    await store.commit(change_of(store, {**mine, "status": "in-progress"}, ECM1, 1))
    await told.run()
    assert sorted(n.kind for n in await told.rows(target="Task/t")) == ["referral-status", "task-assigned"]
    await store.commit(change_of(store, {**mine, "status": "in-progress", "description": "x"}, ECM1, 2))
    await told.run()
    assert len(await told.rows(target="Task/t")) == 2
    (first,) = await told.rows(kind="assignment", recipient=LCM1)
    assert first.target == "EpisodeOfCare/a", "from the world itself"
    again = episode("EpisodeOfCare/a2", "Patient/a", ECM1, LCM1)
    lead = {"coding": [{"system": "https://enlace.example.org/fhir/CodeSystem/team-role", "code": "lead-care-manager"}]}
    with_role = team("CareTeam/a2", "Patient/a")
    with_role["participant"] = [{"member": ref(LCM1), "role": [lead]}]
    await put(store, again, with_role)
    await told.run()
    assert len(await told.rows(kind="assignment", recipient=LCM1)) == 2, "one more for the two"


@pytest.mark.parametrize("first", ["CareTeam/a2", "EpisodeOfCare/a2"])
async def test_an_assignment_taken_back_in_the_same_batch_does_not_silence_another(told: World, first: str) -> None:
    await told.run()
    before = len(await told.rows(kind="assignment", recipient=LCM1))
    with_role = team("CareTeam/a2", "Patient/a")
    lead = {"coding": [{"system": "https://enlace.example.org/fhir/CodeSystem/team-role", "code": "lead-care-manager"}]}
    with_role["participant"] = [{"member": ref(LCM1), "role": [lead]}]
    made = {"CareTeam/a2": with_role, "EpisodeOfCare/a2": episode("EpisodeOfCare/a2", "Patient/a", ECM1, LCM1)}
    (other,) = made.keys() - {first}
    await put(told.store, made[first])
    await put(told.store, made[other])
    back = {"CareTeam/a2": {"participant": []}, "EpisodeOfCare/a2": {"status": "cancelled"}}[first]
    await told.store.commit(change_of(told.store, made[first] | back, ECM1, 1))
    await told.run()
    found = await told.rows(kind="assignment", recipient=LCM1)
    assert len(found) == before + 1
    assert [(n.target, n.state) for n in found if n.target in made] == [(other, "sent")]


async def test_of_an_organization_those_are_told_who_asked(told: World) -> None:
    await told.wish(DIRECTOR, Preference(DIRECTOR, "", "task-assigned", "email"))
    await told.wish(LCM1, Preference(LCM1, "", "*", "email"))
    await put(told.store, task("Task/o", "Patient/a", "ServiceRequest/a", CBO1, ECM1), source=PLAN1)
    await told.run()
    found = await told.rows(target="Task/o")
    assert {(n.recipient, n.channel, n.state, n.reason) for n in found} == {
        (DIRECTOR, "in-app", "suppressed", "preference"),
        (DIRECTOR, "email", "sent", ""),
    }
    assert [m.to for m in told.email.got] == ["director@ecm.example"]


async def test_who_left_is_not_told(told: World) -> None:
    ended = {"resourceType": "PractitionerRole", "id": "lcm-1", "active": False}
    ended |= {"practitioner": ref(LCM1), "organization": ref(ECM1)}
    await told.store.commit(change_of(told.store, ended, ECM1, 1))
    await put_alert(told, alert("one"))
    await told.run()
    assert await told.states(target="Communication/one") == ["in-app suppressed no-role"]


async def test_a_digest_killed_before_its_record_is_sent_again_whole(told: World, clock: FrozenClock) -> None:
    await told.wish(LCM1, Preference(LCM1, "", "*", "in-app email", digest="08:00 17:00"))
    for number in range(3):
        await put_alert(told, alert(f"n{number}", priority="routine"))
    await told.run()
    clock.advance(9 * HOUR)
    told.email.results = [Killed()]
    with pytest.raises(Killed):
        await told.run()
    assert len(told.email.got) == 1 and not await told.rows(kind="digest")
    await told.run()
    assert len(told.email.got) == 1, "under its lease nobody else takes it"
    clock.advance(notices.LEASE_US)
    await told.run()
    first, second = told.email.got
    assert first.id == second.id and "Alerts: 3" in second.text
    assert [n.state for n in await told.rows(kind="alert") if n.channel == "email"] == ["collected"] * 3


async def test_a_failed_mail_is_tried_for_72_hours_and_then_visible(told: World, clock: FrozenClock) -> None:
    told.email.results = [FAILED] * 400
    await put_alert(told, alert("one"))
    await told.run()
    for _ in range(90):
        clock.advance(HOUR)
        await told.run()
    (mail,) = await told.rows(target="Communication/one", state="failed")
    assert (mail.channel, mail.reason) == ("email", "later") and mail.attempts == len(told.email.got) > 60
    assert len({m.id for m in told.email.got}) == 1, "the same id each time"
    assert await notices.counts(told.store) == {("email", "failed"): 1}
    told.email.results = []
    await told.store.commit(Change(statements=[notices.again(mail, clock.now_us())]))
    await told.run()
    assert "email sent" in await told.states(target="Communication/one")
