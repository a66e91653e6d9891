"""Acknowledging and taking it back: once, twice, at the same time, late, of somebody else; on both engines."""

import asyncio
import json

from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import Browser, Forms, shown, text_of
from tests.service.web.county import SECOND, alert, episode, put, settings

POSTGRESQL_IN_DEEP = True


async def stored(store: Store, fhir_id: str = "a-1") -> tuple[int, dict[str, object]]:
    rows = await store.fetch(
        "SELECT v.version, v.body FROM resource r JOIN version v ON v.vid = r.vid WHERE r.key = ?",
        (store.keys.resource(f"Communication/{fhir_id}"),),
    )
    return rows[0][0], json.loads(rows[0][1])


async def test_acknowledging(ana: Browser, store: Store) -> None:
    answer = await ana.press(await ana.sign_in(), "Acknowledge")
    assert answer.status_code == 303
    version, alert = await stored(store)
    assert (version, alert["received"]) == (2, "2026-03-07T23:30:00-08:00")
    page = await ana.get(answer.headers["location"])
    assert shown(page) == [] and "Acknowledged: the alert about Maria Lopez-Made-up." in text_of(page)
    rows = await store.fetch("SELECT actor, kind, target FROM audit WHERE kind = 'update'")
    assert rows == [("Practitioner/ana", "update", "Communication/a-1")]


async def test_twice_changes_nothing(ana: Browser, store: Store, clock: FrozenClock) -> None:
    page = await ana.sign_in()
    await ana.press(page, "Acknowledge")
    clock.advance(90 * SECOND)
    assert (await ana.press(page, "Acknowledge")).status_code == 303
    version, alert = await stored(store)
    assert (version, alert["received"]) == (2, "2026-03-07T23:30:00-08:00")


async def test_at_the_same_time(ana: Browser, store: Store) -> None:
    page = await ana.sign_in()
    answers = await asyncio.gather(*(ana.press(page, "Acknowledge") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {303}
    assert (await stored(store))[0] == 2


async def test_a_retraction_that_comes_in_between_stays(ana: Browser, store: Store) -> None:
    page = await ana.sign_in()
    _, known = await stored(store)
    await put(store, {**known, "status": "entered-in-error"}, expect=1)
    assert (await ana.press(page, "Acknowledge")).status_code == 303
    version, now = await stored(store)
    assert version == 3 and now["status"] == "entered-in-error" and now["received"]


async def test_undo_within_fifteen_minutes(ana: Browser, store: Store, clock: FrozenClock) -> None:
    page = await ana.sign_in()
    answer = await ana.press(page, "Acknowledge")
    clock.advance(14 * 60 * SECOND)
    page = await ana.get(answer.headers["location"])
    back = await ana.press(page, "Undo")
    assert back.status_code == 303 and shown(await ana.get(back.headers["location"])) == ["a-1"]
    assert "received" not in (await stored(store))[1]
    assert (await ana.press(page, "Undo")).status_code == 303
    assert (await stored(store))[0] == 3


async def test_undo_later_is_refused_in_words(ana: Browser, store: Store, clock: FrozenClock) -> None:
    answer = await ana.press(await ana.sign_in(), "Acknowledge")
    page = await ana.get(answer.headers["location"])
    clock.advance(15 * 60 * SECOND)
    assert "Undo" not in text_of(await ana.get("/?show=all"))
    late = await ana.press(page, "Undo")
    assert late.status_code == 409 and "15 minutes" in text_of(late)
    assert (await stored(store))[0] == 2


async def test_foreign_and_unknown_look_the_same(ana: Browser, store: Store) -> None:
    await put(
        store, {**alert("letter", "maria", "Practitioner/ana", store.clock.now_us()), "category": [{"text": "x"}]}
    )
    fields = Forms((await ana.sign_in()).text).found[-1][1]
    pages = [
        await ana.post(f"/inbox/{fhir_id}/{action}", data=fields)
        for fhir_id in ("b-1", "unknown", "letter", "a" * 70, "%3Cb%3E")
        for action in ("acknowledge", "unacknowledge")
    ]
    assert {page.status_code for page in pages} == {404}
    assert len({page.text for page in pages}) == 1 and "not yours to see" in text_of(pages[0])
    assert (await stored(store, "b-1"))[0] == 1
    refused = await store.fetch("SELECT actor, outcome, target FROM audit WHERE kind = 'refusal'")
    assert set(refused) == {("Practitioner/ana", 4, "")} and len(refused) == len(pages)


async def test_another_recipients_alert_is_not_ones_own(ana: Browser, store: Store) -> None:
    """Ana sees the member, but the alert went to Ben, who leads as well: she may not acknowledge it for him."""
    now = store.clock.now_us()
    await put(store, episode("e-maria-too", "maria", "ben"), alert("to-ben", "maria", "Practitioner/ben", now))
    fields = Forms((await ana.sign_in()).text).found[-1][1]
    assert (await ana.post("/inbox/to-ben/acknowledge", data=fields)).status_code == 403
    assert (await stored(store, "to-ben"))[0] == 1


async def test_without_the_token_nothing_happens(ana: Browser, store: Store) -> None:
    page = await ana.sign_in()
    async with Browser(store, settings()) as ben:
        theirs = Forms((await ben.sign_in("Ben Okafor")).text).found[-1][1]["csrf"]
    for csrf in ("", "wrong", theirs):
        refused = await ana.press(page, "Acknowledge", csrf=csrf)
        assert refused.status_code == 403 and "no longer valid" in text_of(refused)
    assert (await stored(store))[0] == 1
    assert (await ana.get("/inbox/a-1/acknowledge")).status_code == 405


async def test_the_script_gets_the_list(ana: Browser) -> None:
    page = await ana.sign_in()
    action, fields, _ = next(form for form in Forms(page.text).found if form[2].startswith("Acknowledge"))
    answer = await ana.post(action, data=fields, headers={"X-Fragment": "1"})
    assert answer.status_code == 200 and "<html" not in answer.text and 'data-done="a-1"' in answer.text


async def test_in_the_list_of_all_it_stays_in_its_place(ana: Browser, store: Store) -> None:
    await put(store, alert("a-0", "maria", "Practitioner/ana", store.clock.now_us() - 99 * SECOND))
    await ana.sign_in()
    page = await ana.get("/?show=all")
    action, fields, _ = [form for form in Forms(page.text).found if form[2].startswith("Acknowledge")][1]
    assert action == "/inbox/a-0/acknowledge"
    answer = await ana.post(action, data=fields)
    page = await ana.get(answer.headers["location"])
    assert shown(page) == ["a-1", "a-0"] and page.text.count('id="unacknowledge-a-0"') == 1
