"""Who of a person's members is in hospital now: in the person's own list with names, in a digest in numbers."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.access.context import Settings
from service.access.labels import BITS
from service.notify import in_hospital, people
from service.notify.matching import match
from service.notify.notices import CATEGORY, CATEGORY_SYSTEM
from service.store import label_rules, notice_preferences
from service.store.change import Change, Job
from service.store.engine import Store
from service.store.notice_preferences import Preference
from service.store.stay_rows import AccountRow, ThreadRow, put_account, put_thread
from service.worker import Worker
from tests.frozen_clock import FrozenClock
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import MINUTE, Sender, adt_world
from tests.service.conftest import AppClient
from tests.service.notify.notice_world import Recorder, role
from tests.service.world import BASE, ECM1, ECM2, LCM1, LCM2, change_of, make, put

POSTGRESQL_IN_DEEP = True
DAY = 1440 * MINUTE


@pytest.fixture
async def stay(store: Store) -> str:
    """Rosa is in hospital for two days and is expected to leave tomorrow."""
    await adt_world(store)
    await put(store, role("lcm-1", LCM1, ECM1, "lead-care-manager"), source=ECM1)
    send = Sender(store)
    tomorrow = store.clock.now_us() + DAY
    await send(send.adt("A01", ago=2 * 1440 + 5, PV2_9=er7_time(tomorrow)))
    [encounter] = await resources(store, "Encounter")
    now = store.clock.now_us()
    rows = [
        put_account(AccountRow(*_account(encounter, now))),
        put_thread(
            ThreadRow(encounter, "Patient/rosa", encounter, now - 2 * DAY - 5 * MINUTE, None, "in-progress",
                      "INPATIENT", "", "Mercy", now)
        ),
    ]  # fmt: skip
    await store.commit(Change(statements=rows))
    return encounter


def _account(encounter: str, now: int) -> list[Any]:
    from dataclasses import fields

    known = {"stay": encounter, "account": encounter, "encounter": encounter, "patient": "Patient/rosa",
             "start_us": now - 2 * DAY, "end_us": None, "seen_us": now}  # fmt: skip
    return [known.get(field.name, "") for field in fields(AccountRow)]


def er7_time(us: int) -> str:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.fromtimestamp(us / 1e6, ZoneInfo("America/Los_Angeles")).strftime("%Y%m%d%H%M%S")


def facts(answer: Any) -> list[dict[str, Any]]:
    def value(part: dict[str, Any]) -> Any:
        return next(part[name] for name in part if name.startswith("value"))

    return [{p["name"]: value(p) for p in one["part"]} for one in answer.json().get("parameter", [])]


async def test_the_own_list(store: Store, stay: str, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    answer = await ana.get(f"/{LCM1}/$in-hospital")
    [one] = facts(answer)
    assert one["encounter"] == {"reference": f"Encounter/{stay}"}
    assert one["member"]["display"] == "Rosalind Q."
    assert (one["days"], one["class"]["code"], one["hospital"]["display"]) == (3, "IMP", "Mercy Made-up")
    assert one["expectedDischarge"].startswith("2026-03-0")
    assert (await store.fetch("SELECT count(*) FROM audit WHERE kind = 'in-hospital'"))[0][0] == 1
    other = await app_client("lcm", ECM2, LCM2)
    assert facts(await other.get(f"/{LCM2}/$in-hospital")) == []
    assert (await other.get(f"/{LCM1}/$in-hospital")).status_code == 403
    assert (await ana.get(f"/{LCM1}/$in-hospital?x=1")).status_code == 400


async def test_who_may_not_read_the_stay_does_not_see_it(store: Store, stay: str, app_client: AppClient) -> None:
    narrow = await app_client("lcm", ECM1, LCM1, scopes="user/Practitioner.rs")
    assert facts(await narrow.get(f"/{LCM1}/$in-hospital")) == []


async def test_a_digest_says_it_in_numbers(store: Store, stay: str, clock: FrozenClock) -> None:
    text = await _digest(store, clock)
    assert "In hospital now, of your members: 1. The longest stay has 3 days." in text
    assert "Rosalind" not in text and "Mercy" not in text


async def test_a_digest_does_not_count_a_stay_that_is_hidden(store: Store, stay: str, clock: FrozenClock) -> None:
    """One in numbers and none in the list would tell that there is a stay at such a place."""
    key = store.keys.resource(f"Encounter/{stay}")
    [(vid,)] = await store.fetch("SELECT vid FROM resource WHERE key = ?", (key,))
    await store.commit(Change(statements=label_rules.relabel(vid, key, BITS["sud"])))
    assert "In hospital now" not in await _digest(store, clock)


async def _digest(store: Store, clock: FrozenClock) -> str:
    """The alert of the admission came too late for an alarm, so that it waits for the digest."""
    person = make(LCM1, name=[{"family": "One"}], telecom=[{"system": "email", "value": "lcm1@ecm.example"}])
    await store.commit(change_of(store, person, ECM1, 1))
    wish = Preference(LCM1, "", "alert", channels="in-app email", digest="07:30")
    await store.commit(Change(statements=notice_preferences.replaced(LCM1, [wish])))
    concept = {"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}]}
    body = {"status": "completed", "category": [concept], "priority": "routine", "recipient": [{"reference": LCM1}]}
    await put(store, make("Communication/later", subject={"reference": "Patient/rosa"}, **body), source="Device/enlace")
    mail = Recorder()
    clock.advance(1)
    for _ in range(2):
        while await match(store, BASE):
            pass
        while await people.deliver_due(store, Settings(base_url=BASE), {"email": mail}, clock.now_us()):
            pass
        clock.advance(8 * 60 * MINUTE)
    return mail.got[-1].text


async def _morning(store: Store, clock: FrozenClock, *wishes: Preference, days: int = 1) -> list[Any]:
    """What went out in so many days, hour by hour, as the jobs and the notifier do it."""
    person = make(LCM1, name=[{"family": "One"}], telecom=[{"system": "email", "value": "lcm1@ecm.example"}])
    await store.commit(change_of(store, person, ECM1, 1))
    await store.commit(Change(statements=notice_preferences.replaced(LCM1, list(wishes))))
    while await match(store, BASE):
        pass
    mail, worker = Recorder(), Worker(store, Settings())
    for _ in range(24 * days * 2):
        await store.commit(Change(jobs=[Job("notice.morning", {})]))
        await worker.drain()
        while await people.deliver_due(store, Settings(base_url=BASE), {"email": mail}, clock.now_us()):
            pass
        clock.advance(30 * MINUTE)
    return [one for one in mail.got if one.id.startswith("morning")]


async def test_each_morning_without_being_asked(store: Store, stay: str, clock: FrozenClock) -> None:
    """To who leads the care of somebody in hospital, at 07:30 of their zone, in numbers."""
    got = await _morning(store, clock, days=2)
    assert [one.to for one in got] == ["lcm1@ecm.example"] * 2
    at = [datetime.fromtimestamp(one.at_us / 1e6, ZoneInfo("America/Los_Angeles")) for one in got]
    assert all((one.hour, one.minute) in ((7, 30), (7, 31)) for one in at) and at[0].date() < at[1].date()
    assert "In hospital now, of your members: 1." in got[0].text and BASE.removesuffix("/fhir") in got[0].text
    assert "Rosalind" not in str(got) and "Mercy" not in str(got)
    rows = await store.fetch("SELECT state FROM notice WHERE kind = 'in-hospital' AND recipient = ?", (LCM1,))
    assert {row[0] for row in rows} <= {"sent", "waiting"}


@pytest.mark.parametrize("kind", ["in-hospital", "*"])
async def test_a_person_may_turn_the_morning_off(store: Store, stay: str, clock: FrozenClock, kind: str) -> None:
    assert await _morning(store, clock, Preference(LCM1, "", kind, channels="")) == []


async def test_a_person_may_have_it_at_another_hour(store: Store, stay: str, clock: FrozenClock) -> None:
    [one] = await _morning(store, clock, Preference(LCM1, "", "in-hospital", digest="16:00", zone="America/New_York"))
    assert datetime.fromtimestamp(one.at_us / 1e6, ZoneInfo("America/New_York")).hour == 16


async def test_the_morning_says_nothing_of_a_stay_that_is_hidden_or_over(
    store: Store, stay: str, clock: FrozenClock
) -> None:
    key = store.keys.resource(f"Encounter/{stay}")
    [(vid,)] = await store.fetch("SELECT vid FROM resource WHERE key = ?", (key,))
    await store.commit(Change(statements=label_rules.relabel(vid, key, BITS["sud"])))
    assert await _morning(store, clock) == []


def test_nobody_in_hospital_is_no_line() -> None:
    assert in_hospital.line([], "en", 0) is None
    one = in_hospital.Present("Encounter/a", "Patient/a", "ED", 0, None)
    said = in_hospital.line([one, one], "es", 0)
    assert said is not None and "Miembros suyos que están ahora en el hospital: 1." in said.text
