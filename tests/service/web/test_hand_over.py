"""After a change of the lead care manager nothing is left behind: the new one has the predecessor's alerts."""

import pytest

from service.access.context import Settings as Behaviour
from service.notify import people
from service.notify.matching import match
from service.notify.notices import CATEGORY, CATEGORY_SYSTEM, TEAM_ROLE
from service.store import break_glass
from service.store.break_glass import Taken
from service.store.change import AuditRow, Change
from service.store.engine import Store
from tests.service.web.browsing import BASE, Browser, Forms, shown, text_of
from tests.service.web.county import (
    ECM,
    SECOND,
    Resource,
    alert,
    episode,
    follow_up,
    patient,
    practitioner,
    put,
    register,
    settings,
)
from tests.service.web.test_acknowledge import stored

POSTGRESQL_IN_DEEP = True

BEN = "Practitioner/ben"


@pytest.fixture
async def handed(store: Store) -> Store:
    """Joe goes from Ben to Ana; Ben's alerts about him: one new, one acknowledged, one taken back."""
    now = store.clock.now_us()
    await put(
        store,
        alert("b-2", "joe", BEN, now - 40 * SECOND, received="2026-03-07T23:29:30-08:00"),
        alert("b-3", "joe", BEN, now - 20 * SECOND, status="entered-in-error"),
        patient("kim", "Kim", "Stays-Made-up"),
        episode("e-kim", "kim", "ben"),
        alert("b-4", "kim", BEN, now),
    )
    await put(store, episode("e-joe", "joe", "ana"), expect=1)
    return store


async def test_the_new_one_sees_what_is_new_and_for_whom_it_was(ana: Browser, handed: Store) -> None:
    page = await ana.sign_in()
    assert shown(page) == ["b-1", "a-1"] and "(2) Inbox" in page.text
    text = text_of(page)
    assert text.count("This alert went to Ben Okafor, who is not this member's lead care manager now.") == 1
    assert text.index("Ben Okafor") < text.index("alert a-1 says"), "at the alert that it is about"


async def test_the_new_one_acknowledges_it(ana: Browser, handed: Store) -> None:
    answer = await ana.press(await ana.sign_in(), "Acknowledge")
    assert answer.status_code == 303
    page = await ana.get(answer.headers["location"])
    assert shown(page) == ["a-1"] and "Acknowledged: the alert about Joe" in text_of(page)
    assert (await ana.press(page, "Undo")).status_code == 303
    assert shown(await ana.get("/")) == ["b-1", "a-1"]


async def test_of_all_alerts_only_what_is_open_is_handed_over(ana: Browser, handed: Store) -> None:
    """The one taken back with its mark; the one that Ben acknowledged is done."""
    await ana.sign_in()
    page = await ana.get("/?show=all")
    assert shown(page) == ["b-3", "b-1", "a-1"] and "Retracted" in text_of(page)


async def test_what_the_former_one_acknowledged_stays_acknowledged(ana: Browser, handed: Store) -> None:
    fields = Forms((await ana.sign_in()).text).found[-1][1]
    assert (await ana.post("/inbox/b-2/unacknowledge", data=fields)).status_code == 403
    version, known = await stored(handed, "b-2")
    assert version == 1 and known["received"]


async def test_a_word_of_ones_own_is_taken_back_and_another_ones_is_not(ana: Browser, handed: Store) -> None:
    page = await ana.sign_in()
    fields = Forms(page.text).found[-1][1]
    assert (await ana.post("/inbox/b-1/acknowledge", data=fields)).status_code == 303
    await handed.commit(Change(audit=[AuditRow("U", "update", 0, BEN, ECM, "Communication/b-1", ("Patient/joe",))]))
    assert (await ana.post("/inbox/b-1/unacknowledge", data=fields)).status_code == 403
    version, known = await stored(handed, "b-1")
    assert version == 2 and known["received"]


async def test_a_correction_that_comes_later_reaches_the_new_one(ana: Browser, handed: Store) -> None:
    """It goes to whom the alert went. The open page notices once the notice is in the list."""
    mark = seen((await ana.sign_in()).text)
    _, known = await stored(handed, "b-1")
    now = handed.clock.now_us()
    both = [{"coding": [{"system": CATEGORY_SYSTEM, "code": code}]} for code in (CATEGORY, "correction")]
    answers = [{"reference": "Communication/b-1"}]
    await put(handed, {**known, "status": "entered-in-error"}, expect=1)
    await put(handed, alert("co-1", "joe", BEN, now, category=both, inResponseTo=answers))
    assert seen((await ana.get("/inbox/list")).text) == mark
    while await match(handed, BASE):
        pass
    while await people.deliver_due(handed, Behaviour(base_url=f"{BASE}/fhir"), {}, now):
        pass
    page = await ana.get("/")
    assert shown(page) == ["co-1", "a-1"] and seen(page.text) != mark
    assert "This alert went to Ben Okafor" in text_of(page)
    answer = await ana.press(page, "Acknowledge")
    assert shown(await ana.get(answer.headers["location"])) == ["a-1"]


async def test_the_former_one_has_it_no_more(ana: Browser, handed: Store) -> None:
    async with Browser(handed, settings()) as ben:
        assert shown(await ben.sign_in("Ben Okafor")) == ["b-4"]


async def test_who_leads_still_keeps_the_own_alerts(ana: Browser, store: Store) -> None:
    """Ben stays and Ana comes beside him: an alert is told to each, and each answers for the own one."""
    await put(store, episode("e-joe-too", "joe", "ana"))
    assert shown(await ana.sign_in()) == ["a-1"]


async def left_behind(store: Store, *assignments: Resource) -> None:
    """Ben leads Joe no more; his alert b-1 is open. Then these come."""
    await put(store, episode("e-joe", "joe", "ben", status="finished"), expect=1)
    await put(store, *assignments)


async def refused(browser: Browser, *, status: int) -> bool:
    """Whether the person neither has Ben's alert in the list nor may acknowledge it."""
    page = await browser.get("/")
    csrf = {"csrf": page.text.split('name="csrf" value="')[1].split('"')[0]}
    answer = await browser.post("/inbox/b-1/acknowledge", data=csrf)
    every = shown(await browser.get("/?show=all"))
    return answer.status_code == status and "b-1" not in shown(page) + every


ENDED = {"status": "finished", "period": {"start": "2026-01-01", "end": "2026-02-01"}}
JUST_ENDED = {"status": "finished", "period": {"start": "2026-01-01", "end": "2026-03-07"}}
TO_COME = {"period": {"start": "2026-05-01"}}


@pytest.mark.parametrize("period", [ENDED, JUST_ENDED, TO_COME], ids=["ended", "just ended", "to come"])
async def test_an_assignment_that_is_not_in_force_hands_nothing_over(
    ana: Browser, store: Store, period: Resource
) -> None:
    await left_behind(store, episode("e-joe-2", "joe", "ana", **period))
    await ana.sign_in()
    assert await refused(ana, status=404)
    assert (await stored(store, "b-1"))[0] == 1


async def test_who_sees_the_member_without_leading_takes_nothing_over(ana: Browser, store: Store) -> None:
    """Of the team, by a Task, in an emergency: the record is open, the alert is not in the list and stays as it is."""
    joe, now = {"reference": "Patient/joe"}, store.clock.now_us()
    me = {"reference": "Practitioner/ana"}
    lead = {"coding": [{"system": TEAM_ROLE, "code": "lead-care-manager"}]}
    team: Resource = {"resourceType": "CareTeam", "id": "t-joe", "status": "active", "subject": joe}
    team |= {"participant": [{"member": me, "role": [lead]}, {"member": {"reference": ECM}}]}
    task = follow_up("t-1", "b-1", "joe", "2026-03-09", owner=me)
    await left_behind(store, team, task)
    taken = Taken("bg-1", "Practitioner/ana", ECM, "Patient/joe", "x", "", now - SECOND, now + 3600 * SECOND)
    await store.commit(Change(statements=break_glass.opened(store, taken, 0)))
    await ana.sign_in()
    assert await refused(ana, status=403)
    assert (await stored(store, "b-1"))[0] == 1


async def test_another_organizations_lead_takes_nothing_over(store: Store) -> None:
    """Eve leads Joe for another organization: since before the alert, so that she has her own copy; or since then,
    while Ben's organization has a lead of its own. Of members whom she does not lead she sees nothing at all."""
    south: Resource = {"resourceType": "Organization", "id": "south", "name": "South"}
    await put(store, south, practitioner("eve", "Eve", "Else"), patient("sam", "Sam", "South"))
    theirs = {"managingOrganization": {"reference": "Organization/south"}}
    await put(store, episode("e-sam", "sam", "eve", **theirs))
    await register(store, "eve", name="Eve Lead", person="Practitioner/eve", organization="Organization/south")
    await put(store, episode("e-joe", "joe", "ana"), expect=1)
    async with Browser(store, settings()) as eve:
        await eve.sign_in("Eve Else")
        assert await refused(eve, status=404)
        await put(store, episode("e-joe-south", "joe", "eve", **theirs))
        works = {"practitioner": {"reference": BEN}, "organization": {"reference": ECM}, "active": False}
        await put(store, {"resourceType": "PractitionerRole", "id": "ben-role", **works})
        assert await refused(eve, status=403)
        await put(store, episode("e-joe", "joe", "ana", status="finished"), expect=2)
        assert shown(await eve.get("/")) == ["b-1"], "now she is the only one who leads the care"
        _, known = await stored(store, "b-1")
        sent = {"sent": known["sent"], "recipient": [{"reference": "Practitioner/eve"}]}
        await put(store, {**known, "id": "c-1", **sent})
        assert shown(await eve.get("/")) == ["c-1"], "her own copy"


async def test_an_open_page_notices_the_hand_over(ana: Browser, store: Store) -> None:
    before = seen((await ana.sign_in()).text)
    assert seen((await ana.get("/inbox/list")).text) == before
    await put(store, episode("e-joe", "joe", "ana"), expect=1)
    assert seen((await ana.get("/inbox/list")).text) != before


def seen(text: str) -> str:
    return text.split('data-seen="')[1].split('"')[0]
