"""Who is told of what over which channel: as each would see it at the moment of sending, and nothing is lost."""

from typing import Any

import pytest

from service.auth.registration import insertion, new_client
from service.notify import people
from service.notify.matching import match
from service.notify.model import Outcome, Result
from service.store import notices
from service.store.engine import Store
from service.store.notice_preferences import Preference
from tests.frozen_clock import FrozenClock
from tests.service.notify.notice_world import (
    BEHAVIOUR,
    DIRECTOR,
    HOUR,
    MINUTE,
    SECOND,
    World,
    alert,
    correction,
    populate,
    put_alert,
)
from tests.service.world import ECM1, LCM1, LCM2, PLAN1, change_of, episode, put, task, team

POSTGRESQL_IN_DEEP = True
REFUSED = Result(Outcome.REFUSED, 550, "recipient")


@pytest.fixture
async def told(world: Store) -> World:
    return await populate(world)


# --- whom and how ---------------------------------------------------------------------------------------------------


async def test_an_urgent_alert_is_listed_and_mailed_without_a_preference(told: World) -> None:
    await put_alert(told, alert("one"))
    await told.run()
    assert await told.states(target="Communication/one") == ["email sent", "in-app sent"]
    (mail,) = told.email.got
    assert mail.to == "lcm1@ecm.example" and mail.id.startswith("notice-")
    assert "Made" not in mail.text + mail.subject and "Communication/" not in mail.text, "no PHI"
    sql = "SELECT outcome, patients FROM audit WHERE kind = 'notice' AND target = ?"
    rows = await told.store.fetch(sql, ("Communication/one",))
    assert [tuple(row) for row in rows] == [(0, "Patient/a")] * 2


async def test_a_routine_alert_is_listed_only(told: World) -> None:
    await put_alert(told, alert("one", priority="routine"))
    await told.run()
    assert await told.states(target="Communication/one") == ["in-app sent"] and not told.email.got


async def test_an_acknowledgement_is_no_news_and_truth_again_is(told: World) -> None:
    await put_alert(told, alert("one", priority="routine"))
    await told.run()
    await told.change(alert("one", priority="routine", received="2026-03-07T23:30:00-08:00"), 1)
    await told.run()
    assert len(await told.rows(target="Communication/one")) == 1
    await told.change(alert("one", priority="routine", status="entered-in-error"), 2)
    await told.change(alert("one", priority="routine"), 3)
    await told.run()
    assert len(await told.rows(target="Communication/one")) == 2


async def test_a_client_of_a_person_counts_as_its_role(told: World) -> None:
    """LCM 2 has no PractitionerRole: told only once a client stands for the person."""
    await put_alert(told, alert("one", "Patient/b", LCM2))
    await told.run()
    assert await told.states(target="Communication/one") == ["in-app suppressed no-role"]
    client = new_client(
        "two", name="two", organization="Organization/ecm-2", role="lcm", scope="user/*.cruds", person=LCM2,
        now_us=told.store.clock.now_us(),
    )  # fmt: skip
    await told.store.commit(insertion(client))
    await put_alert(told, alert("two", "Patient/b", LCM2))
    await told.run()
    assert await told.states(target="Communication/two") == ["in-app sent"]


async def test_what_is_to_be_done_about_an_alert_is_told_with_it(told: World) -> None:
    await put_alert(told, alert("one"))
    await put(told.store, task("Task/f", "Patient/a", "Communication/one", LCM1, LCM1), source="Device/enlace")
    await told.run()
    assert not await told.rows(kind="task-assigned", target="Task/f")


# --- access, as it is at the moment of sending ----------------------------------------------------------------------


async def test_who_may_not_see_it_is_not_told_and_the_auditor_sees_why(told: World) -> None:
    await put_alert(told, alert("one", "Patient/b"))
    await told.run()
    assert await told.states(target="Communication/one") == ["in-app suppressed no-access"] and not told.email.got
    sql = "SELECT outcome, reason, patients FROM audit WHERE kind = 'notice' AND target = ?"
    rows = await told.store.fetch(sql, ("Communication/one",))
    assert [tuple(row) for row in rows] == [(4, "no-access", "Patient/b")]


async def test_a_right_that_ends_before_the_digest_stops_the_mail(told: World, clock: FrozenClock) -> None:
    await told.wish(LCM1, Preference(LCM1, "", "*", "in-app email", digest="08:00"))
    await put_alert(told, alert("one", priority="routine"))
    await told.run()
    ended = {**episode("EpisodeOfCare/a", "Patient/a", ECM1, LCM1), "status": "finished"}
    await told.store.commit(change_of(told.store, ended, PLAN1, 1))
    await told.store.commit(change_of(told.store, {**team("CareTeam/a", "Patient/a"), "status": "inactive"}, ECM1, 1))
    clock.advance(9 * HOUR)
    await told.run()
    assert await told.states(target="Communication/one") == ["email suppressed no-access", "in-app sent"]
    assert not told.email.got


# --- retraction -----------------------------------------------------------------------------------------------------


async def test_an_alert_taken_back_before_sending_is_not_sent(told: World, clock: FrozenClock) -> None:
    await told.wish(LCM1, Preference(LCM1, "", "alert", "default email", quiet="22:00-06:00 all"))
    await put_alert(told, alert("one"))
    await told.run()
    await told.change(alert("one", status="entered-in-error"), 1)
    await put_alert(told, correction("back", "one"))
    await told.run()
    clock.advance(8 * HOUR)
    await told.run()
    assert await told.states(target="Communication/one") == ["email suppressed retracted", "in-app sent"]
    assert await told.states(target="Communication/back") == ["in-app sent"] and not told.email.got


async def test_after_sending_the_correction_takes_the_same_way(told: World) -> None:
    await put_alert(told, alert("one"))
    await told.run()
    await told.change(alert("one", status="entered-in-error"), 1)
    await put_alert(told, correction("back", "one", priority="routine"))
    await told.run()
    assert await told.states(target="Communication/back") == ["email sent", "in-app sent"]
    assert [m.to for m in told.email.got] == ["lcm1@ecm.example"] * 2


async def test_a_correction_after_a_hand_over_goes_to_the_new_lead_too(told: World) -> None:
    """In the list, without a mail: the new lead never read of it in a mail. And to nobody who leads another member."""
    await put_alert(told, alert("one"))
    await told.run()
    await hand_over(told, DIRECTOR)
    await put_alert(told, correction("back", "one"))
    await told.change(alert("one", status="entered-in-error"), 1)
    await told.run()
    found = {(n.recipient, n.channel, n.state) for n in await told.rows(target="Communication/back")}
    assert {one for one in found if one[0] == DIRECTOR} == {(DIRECTOR, "in-app", "sent")}
    assert {one[0] for one in found} == {LCM1, DIRECTOR}
    assert [m.to for m in told.email.got].count("director@ecm.example") == 0
    await told.change(correction("back", "one", received="2026-03-07T23:40:00-08:00"), 1)
    await told.run()
    assert len(await told.rows(target="Communication/back", recipient=DIRECTOR)) == 1, "once"


async def test_a_correction_without_a_hand_over_is_told_to_its_recipients_only(told: World) -> None:
    """Another one leads beside: that one has copies of the own. And an alert handed over is no news by itself."""
    await put(told.store, episode("EpisodeOfCare/beside", "Patient/a", ECM1, DIRECTOR), source=PLAN1)
    await put_alert(told, alert("one"))
    await put_alert(told, correction("back", "one"))
    await told.run()
    assert not await told.rows(target="Communication/back", recipient=DIRECTOR)
    await hand_over(told, DIRECTOR)
    await put_alert(told, alert("two"))
    await told.run()
    assert not await told.rows(recipient=DIRECTOR, kind="alert")


async def hand_over(told: World, to: str) -> None:
    await told.store.commit(change_of(told.store, episode("EpisodeOfCare/a", "Patient/a", ECM1, to), PLAN1, 1))


# --- quiet hours, digests, preferences ------------------------------------------------------------------------------


async def test_urgent_alerts_pass_quiet_hours_and_others_wait(told: World, clock: FrozenClock) -> None:
    await told.wish(LCM1, Preference(LCM1, "", "*", "in-app email", quiet="22:00-06:00"))
    await put_alert(told, alert("now"))
    await put_alert(told, alert("one", priority="routine"))
    await put_alert(told, alert("two", priority="routine"))
    await told.run()
    assert len(told.email.got) == 1 and await told.states(target="Communication/one") == [
        "email waiting",
        "in-app sent",
    ]
    assert await notices.counts(told.store) == {("email", "waiting"): 2}
    assert await notices.unsent_since_us(told.store) is None, "it waits for its hour"
    clock.advance(5 * HOUR + 30 * MINUTE - 1)  # 05:59:59 in Los Angeles: the clocks went forward
    await told.run()
    assert len(told.email.got) == 1
    clock.advance(1)
    await told.run()
    (_, digest) = told.email.got
    assert "Alerts: 2" in digest.text and digest.id.startswith("digest-")
    (sent,) = await told.rows(kind="digest")
    collected = await notices.in_digest(told.store, sent.id)
    assert sorted((n.target, n.state) for n in collected) == [
        ("Communication/one", "collected"),
        ("Communication/two", "collected"),
    ]


async def test_a_preference_of_now_counts(told: World, clock: FrozenClock) -> None:
    await told.wish(LCM1, Preference(LCM1, "", "*", "in-app email", digest="08:00"))
    await put_alert(told, alert("one", priority="routine"))
    await told.run()
    await told.wish(LCM1, Preference(LCM1, "", "*", "in-app"))
    clock.advance(9 * HOUR)
    await told.run()
    assert await told.states(target="Communication/one") == ["email suppressed preference", "in-app sent"]


async def test_the_most_particular_row_counts_and_none_is_none(told: World) -> None:
    await told.wish(
        LCM1,
        Preference(LCM1, "", "*", "in-app email"),
        Preference(LCM1, "lcm", "alert", "sms"),
        Preference(LCM1, "cbo", "alert", ""),
    )
    await put_alert(told, alert("one"))
    await told.run()
    assert await told.states(target="Communication/one") == ["in-app suppressed preference", "sms failed no-contact"]
    await told.wish(LCM1, Preference(LCM1, "", "alert", ""))
    await put_alert(told, alert("two"))
    await told.run()
    assert await told.states(target="Communication/two") == ["in-app suppressed preference"]


async def test_a_channel_that_is_not_there_is_a_visible_failure(
    told: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await told.wish(LCM1, Preference(LCM1, "", "alert", "in-app email"))
    await put_alert(told, alert("one"))
    await told.run()
    await put_alert(told, alert("two"))
    await match(told.store, BEHAVIOUR.base_url)
    while await people.deliver_due(told.store, BEHAVIOUR, {}, told.store.clock.now_us()):
        pass
    assert await told.states(target="Communication/two") == ["email failed not-configured", "in-app sent"]
    assert "notice.no-way" not in capsys.readouterr().err  # doctor says it once, not a log line for each


async def test_spanish(told: World) -> None:
    await told.wish(LCM1, Preference(LCM1, "", "*", "default", language="es"))
    await put_alert(told, alert("one"))
    await told.run()
    assert "alerta" in told.email.got[0].text and told.email.got[0].language == "es"


# --- escalation -----------------------------------------------------------------------------------------------------


async def escalating(told: World, **more: Any) -> None:
    row = Preference(LCM1, "", "alert", escalate_to=DIRECTOR, escalate_min=30)
    await told.wish(LCM1, row)
    await put_alert(told, alert("one"))
    await told.run()


async def test_what_nobody_acknowledges_goes_to_the_next(told: World, clock: FrozenClock) -> None:
    await escalating(told)
    clock.advance(30 * MINUTE - 1)
    await told.run()
    assert await told.states(kind="escalation") == ["in-app waiting"]
    clock.advance(1)
    await told.run()
    assert await told.states(kind="escalation") == ["email sent", "in-app sent"]
    assert told.email.got[-1].to == "director@ecm.example"


async def test_what_was_acknowledged_does_not(told: World, clock: FrozenClock) -> None:
    await escalating(told)
    await told.change(alert("one", received="2026-03-07T23:40:00-08:00"), 1)
    clock.advance(30 * MINUTE)
    await told.run()
    assert await told.states(kind="escalation") == ["in-app suppressed acknowledged"]


async def test_escalation_as_the_person_wants_it_now(told: World, clock: FrozenClock) -> None:
    await escalating(told)
    await told.wish(LCM1)
    clock.advance(30 * MINUTE)
    await told.run()
    assert await told.states(kind="escalation") == ["in-app suppressed preference"]


async def test_an_address_that_does_not_exist_is_given_up_sooner(told: World, clock: FrozenClock) -> None:
    told.email.results = [REFUSED] * 9
    await put_alert(told, alert("one"))
    for _ in range(10):
        await told.run()
        clock.advance(10 * SECOND)
    assert len(told.email.got) == 3 and "email failed recipient" in await told.states(target="Communication/one")


async def test_a_dead_mail_server_is_asked_once_in_a_pass(told: World, clock: FrozenClock) -> None:
    """And nobody's list waits for it."""
    await told.wish(LCM1, Preference(LCM1, "", "*", "in-app email"))
    await told.wish(DIRECTOR, Preference(DIRECTOR, "", "*", "in-app email"))
    told.email.results = [Result(Outcome.FAILED, 0, "connect")] * 50
    for number in range(4):
        await put_alert(told, alert(f"n{number}"))
    await match(told.store, BEHAVIOUR.base_url)
    now = told.store.clock.now_us()
    await people.deliver_due(told.store, BEHAVIOUR, told.channels, now)
    assert [n.state for n in await told.rows(kind="alert") if n.channel == "in-app"] == ["sent"] * 4
    await people.deliver_due(told.store, BEHAVIOUR, told.channels, now)
    waiting = [n for n in await told.rows(kind="alert") if n.channel == "email"]
    assert {n.state for n in waiting} == {"waiting"} and {n.attempts for n in waiting} == {1}


async def test_a_broken_row_holds_up_nobody(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await put_alert(told, alert("one"))
    await put_alert(told, alert("two", to=DIRECTOR))
    real = people.telling.tell

    async def tell(desk: Any, rows: Any) -> None:
        if rows[0].recipient == LCM1:
            raise RuntimeError("a defect")
        await real(desk, rows)

    monkeypatch.setattr(people.telling, "tell", tell)
    await told.run()
    assert await told.states(target="Communication/two") == ["email sent", "in-app sent"]
    assert await told.states(target="Communication/one") == ["in-app waiting"]
