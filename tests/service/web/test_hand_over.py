"""After a change of the lead care manager nothing is left behind: the new one has the predecessor's alerts."""

import pytest

from service.store.engine import Store
from tests.service.web.browsing import Browser, shown, text_of
from tests.service.web.county import SECOND, alert, episode, patient, put, settings

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


async def test_the_former_one_has_it_no_more(ana: Browser, handed: Store) -> None:
    async with Browser(handed, settings()) as ben:
        assert shown(await ben.sign_in("Ben Okafor")) == ["b-4"]


async def test_who_leads_still_keeps_the_own_alerts(ana: Browser, store: Store) -> None:
    """Ben stays and Ana comes beside him: an alert is told to each, and each answers for the own one."""
    await put(store, episode("e-joe-too", "joe", "ana"))
    assert shown(await ana.sign_in()) == ["a-1"]


async def test_an_assignment_that_ended_or_is_to_come_hands_nothing_over(ana: Browser, store: Store) -> None:
    ended = {"period": {"start": "2026-01-01", "end": "2026-02-01"}}
    to_come = {"period": {"start": "2026-05-01"}}
    await put(store, episode("e-joe", "joe", "ben", status="finished"), expect=1)
    await put(store, episode("e-joe-2", "joe", "ana", **ended), episode("e-joe-3", "joe", "ana", **to_come))
    assert shown(await ana.sign_in()) == ["a-1"]


async def test_an_open_page_notices_the_hand_over(ana: Browser, store: Store) -> None:
    def mark(text: str) -> str:
        return text.split('data-seen="')[1].split('"')[0]

    before = mark((await ana.sign_in()).text)
    assert mark((await ana.get("/inbox/list")).text) == before
    await put(store, episode("e-joe", "joe", "ana"), expect=1)
    assert mark((await ana.get("/inbox/list")).text) != before
