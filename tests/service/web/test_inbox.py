"""The inbox over HTTP: whose alerts, what is said, paging, refusals; on both engines."""

import pytest

from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import BASE, Browser, shown, text_of
from tests.service.web.county import (
    EVIL,
    SECOND,
    alert,
    episode,
    follow_up,
    patient,
    put,
    register,
    settings,
)

POSTGRESQL_IN_DEEP = True

ANA = "Practitioner/ana"


async def test_a_person_sees_the_own_members_alerts_only(ana: Browser, store: Store) -> None:
    now = store.clock.now_us()
    await put(
        store,
        episode("e-maria-too", "maria", "ben"),
        alert("to-ben", "maria", "Practitioner/ben", now),
        alert("not-on-panel", "joe", ANA, now),
        alert("to-the-organization", "maria", "Organization/ecm-1", now - 90 * SECOND),
        {
            "resourceType": "PractitionerRole",
            "id": "ana-role",
            "practitioner": {"reference": ANA},
            "organization": {"reference": "Organization/ecm-1"},
        },
        alert("to-the-role", "maria", "PractitionerRole/ana-role", now - 80 * SECOND),
        {**alert("no-alert", "maria", ANA, now), "category": [{"text": "a letter"}]},
    )
    page = await ana.sign_in()
    assert shown(page) == ["a-1", "to-the-role", "to-the-organization"]
    assert shown(await ana.get("/?show=all")) == shown(page)


async def test_a_member_who_left_the_panel_is_gone(ana: Browser, store: Store) -> None:
    page = await ana.sign_in()
    await put(store, episode("e-maria", "maria", "ana", status="finished"), expect=1)
    assert shown(await ana.get("/")) == []
    refused = await ana.press(page, "Acknowledge")
    assert refused.status_code == 404


async def test_what_an_alert_says(ana: Browser, store: Store) -> None:
    await put(store, follow_up("t-1", "a-1", "maria", "2026-03-08T21:05:00-07:00"))
    page = text_of(await ana.sign_in())
    assert "Maria Lopez-Made-up Urgent The member was admitted, as alert a-1 says." in page
    assert "Facility Valley Made-up Hospital" in page
    assert "Visit began Mar 7, 2026, 9:05 PM PST" in page and "Told Mar 7, 2026, 11:29 PM PST" in page
    assert "To do: Contact the hospital and the member. Due Mar 8, 2026, 9:05 PM PDT" in page


async def test_what_is_still_to_do_says_how_the_stay_went_on(ana: Browser, store: Store) -> None:
    now = store.clock.now_us()
    later = [alert(f"a-{n}", "maria", ANA, now + n * SECOND) for n in (2, 3)]
    elsewhere = alert("a-4", "maria", ANA, now + 4 * SECOND, encounter={"reference": "Encounter/another"})
    undone = alert("a-5", "maria", ANA, now + 5 * SECOND, status="entered-in-error")
    tasks = [
        follow_up(f"t-{n}", f"a-{n}", "maria", "2026-03-08T21:05:00-07:00", status=status)
        for n, status in ((1, "requested"), (2, "completed"), (3, "requested"))
    ]
    await put(store, *later, elsewhere, undone, *tasks)
    await ana.sign_in()
    page = text_of(await ana.get("/?show=all"))
    assert page.count("Followed by:") == 1, "neither what is done nor the newest is followed by anything"
    first = page[page.index("as alert a-1 says") :]
    assert "To do:" in first and "Followed by: The member was admitted, as alert a-3 says." in first


async def test_new_and_all(ana: Browser, store: Store) -> None:
    now = store.clock.now_us()
    await put(
        store,
        alert("a-2", "maria", ANA, now - 50 * SECOND, received="2026-03-07T23:29:30-08:00"),
        alert(
            *("a-3", "maria", ANA, now - 40 * SECOND),
            status="entered-in-error",
            statusReason={"text": "Correction: the hospital cancelled the visit."},
        ),
    )
    new = await ana.sign_in()
    assert shown(new) == ["a-1"] and "(1) Inbox" in new.text
    every = await ana.get("/?show=all")
    assert shown(every) == ["a-3", "a-2", "a-1"]
    assert "Acknowledged Mar 7, 2026, 11:29 PM PST" in text_of(every)
    assert "Retracted" in text_of(every) and "the hospital cancelled the visit" in text_of(every)
    assert every.text.count(">Acknowledge<") == 1


async def test_pages_by_position_hold_still(ana: Browser, store: Store) -> None:
    """Alerts of one second too; what arrives or is acknowledged meanwhile moves nothing between the pages."""
    now = store.clock.now_us()
    await put(store, *(alert(f"n-{n:03}", "maria", ANA, now - n // 3 * SECOND) for n in range(60)))
    page = await ana.sign_in()
    seen = shown(page)
    assert len(seen) == 25 and "Older alerts" in page.text
    await ana.press(page, "Acknowledge")
    await put(store, alert("late", "maria", ANA, now + SECOND))
    page = await ana.get(f"/?before={seen[-1]}")
    seen += shown(page)
    page = await ana.get(f"/?before={seen[-1]}")
    assert "Older alerts" not in page.text and "Back to the newest" in page.text
    seen += shown(page)
    assert len(seen) == len(set(seen)) == 61 and seen[-1] == "a-1" and "late" not in seen


@pytest.mark.parametrize("before", ["b-1", "unknown", "../x", "%3Cscript%3E", "a" * 65])
async def test_a_position_that_is_not_ones_own_is_the_first_page(ana: Browser, before: str) -> None:
    await ana.sign_in()
    assert shown(await ana.get(f"/?before={before}")) == ["a-1"]


async def test_empty_inboxes_say_what_to_do(store: Store) -> None:
    await register(store, "cleo", name="Cleo", person="Practitioner/cleo")
    async with Browser(store, settings()) as browser:
        page = await browser.sign_in("Cleo")
        assert "Nothing new" in text_of(page) and "Look at all alerts" in text_of(page)
        assert "Ask your supervisor" in text_of(await browser.get("/?show=all"))


async def test_stored_markup_is_text(store: Store) -> None:
    now = store.clock.now_us()
    evil = alert("evil", "mallory", ANA, now, payload=[{"contentString": f"{EVIL} <img src=x onerror=alert(1)>"}])
    await put(
        store,
        patient("mallory", EVIL, '"><svg onload=alert(1)>'),
        episode("e-mallory", "mallory", "ana"),
        {**evil, "sender": {"display": EVIL}, "statusReason": {"text": EVIL}},
        follow_up("t-evil", "evil", "mallory", "2026-03-09", code={"text": EVIL}),
    )
    await register(store, "eve", name=EVIL, person="Practitioner/eve")
    async with Browser(store, settings()) as browser:
        for page in (await browser.get("/"), await browser.sign_in(), await browser.get("/inbox/list?show=all")):
            assert page.status_code == 200
            for bad in ("<script>", "<img src=x", "<svg"):
                assert bad not in page.text
        assert text_of(page).count("alert(") >= 5


async def test_nothing_is_cached_framed_or_loaded_from_elsewhere(ana: Browser) -> None:
    for page in (await ana.get("/"), await ana.sign_in(), await ana.get("/inbox/list"), await ana.post("/logout")):
        assert page.headers["cache-control"] == "no-store"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        shown = page.text.replace(BASE, "")  # our own address stands in the lines to paste
        assert "http://" not in shown and "https://" not in shown and " style=" not in shown
        assert f'src="{BASE}' not in page.text


async def test_addresses_hold_ids_only(ana: Browser, store: Store) -> None:
    page = await ana.sign_in()
    answer = await ana.press(page, "Acknowledge")
    assert answer.headers["location"] == "/?done=a-1"


async def test_who_is_not_signed_in(ana: Browser) -> None:
    for path in ("/inbox/list", "/inbox/events"):
        assert (await ana.get(path)).status_code == 401
    for path in ("/inbox/a-1/acknowledge", "/inbox/a-1/unacknowledge", "/logout"):
        answer = await ana.post(path, data={"csrf": "x"})
        assert answer.status_code == 303 and answer.headers["location"] == "/"


async def test_a_look_is_audited_with_its_patients(ana: Browser, store: Store) -> None:
    await ana.sign_in()
    rows = await store.fetch("SELECT actor, kind, target, patients FROM audit ORDER BY slot, seq")
    actor, kind, target, patients = rows[-1]
    assert (actor, kind) == (ANA, "search-type") and target.startswith("Communication?_count&_id")
    assert "Patient/maria" in patients and "joe" not in patients


async def test_a_client_without_the_scope_is_told_so(store: Store) -> None:
    await register(store, "dan", name="Dan", person="Practitioner/dan", scope="user/Patient.rs")
    async with Browser(store, settings()) as browser:
        page = await browser.sign_in("Dan")
        assert page.status_code == 403 and "Ask your supervisor" in text_of(page)


async def test_our_own_faults_are_said_in_words(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    page = await ana.sign_in()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("Maria Lopez-Made-up")

    monkeypatch.setattr("service.web.inbox.load", broken)
    failed = await ana.get("/")
    assert failed.status_code == 500 and "wrong on our side" in text_of(failed)
    assert failed.headers["x-request-id"] in failed.text
    assert "Maria" not in failed.text and "Traceback" not in failed.text
    assert page.headers["x-request-id"] != failed.headers["x-request-id"]


async def test_overdue_follow_ups(ana: Browser, store: Store, clock: FrozenClock) -> None:
    await put(
        store,
        follow_up("t-0", "a-1", "maria", "2026-03-09T22:00:00-08:00", code={"text": "Later."}),
        follow_up("t-1", "a-1", "maria", "2026-03-07T22:00:00-08:00"),
        follow_up("t-2", "a-1", "maria", "2026-03-07T22:00:00-08:00", status="completed", code={"text": "Visit."}),
    )
    page = text_of(await ana.sign_in())
    assert "Overdue since Mar 7, 2026, 10:00 PM PST" in page and "Visit. Done" in page
    assert page.index("Overdue since Mar 7") < page.index("Later."), "what is due first stands first"


async def test_static_files(ana: Browser) -> None:
    page = await ana.get("/")
    address = page.text.split('stylesheet" href="')[1].split('"')[0]
    style = await ana.get(address)
    assert style.headers["content-type"].startswith("text/css") and "immutable" in style.headers["cache-control"]
    assert (await ana.get("/static/enlace.css?v=other")).headers["cache-control"] == "no-cache"
    for name in ("nothing.css", "..%2f__init__.py", "%2e%2e/inbox.py"):
        assert (await ana.get(f"/static/{name}")).status_code == 404
