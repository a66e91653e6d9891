"""Sandbox events over the pages: A01 and A03 through the receiver, a referral through its whole loop; both engines."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx

from service.access.context import Settings as Behaviour
from service.store import inbox, sources
from service.store.change import Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.worker import Worker
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import Browser, Forms, shown, text_of
from tests.service.web.county import CBO, ECM, SECOND

POSTGRESQL_IN_DEEP = True


async def press(browser: Browser, words: str, page: httpx.Response | None = None) -> httpx.Response:
    """The page after the button."""
    answer = await browser.press(page or await browser.get("/sandbox"), words)
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"].partition("#")[0])


async def work(store: Store) -> None:
    await Worker(store, Behaviour()).drain()


async def test_an_a01_for_ana_then_the_discharge(sandbox: Browser, store: Store, clock: FrozenClock) -> None:
    first = await press(sandbox, "Send an A01 for Ana")
    assert "A01 was acknowledged with AA" in text_of(first) and "waits for the worker" in text_of(first)
    await work(store)
    again = await sandbox.get(re.findall(r'href="(/sandbox\?for=[^"#]*)', first.text)[0].replace("&amp;", "&"))
    assert "Rosita Q. was admitted to Made-up Ward" in text_of(again)
    inbox_page = await sandbox.get((await sandbox.press(again, "Sign in as Ana Quispe and see it")).headers["location"])
    alert = shown(inbox_page)[0]
    here = await sandbox.get(str(again.url))
    assert f'href="/#a-{alert}"' in here.text, "her own inbox is a link"
    clock.advance(60 * SECOND)
    await press(sandbox, "Discharge them (A03)", here)
    await work(store)
    assert "was discharged home from Made-up Ward" in text_of(await sandbox.get("/"))
    rows = await inbox.listed(store, state=None, limit=5)
    assert [(row.event, row.state) for row in rows] == [("A03", "applied"), ("A01", "applied")]
    assert rows[0].stay == rows[1].stay
    audits = await store.fetch("SELECT actor FROM audit WHERE kind = 'hl7v2'")
    assert audits == [("sandbox",), ("sandbox",)]


async def test_each_click_is_the_next_member_until_all_are_inside(
    sandbox: Browser, store: Store, clock: FrozenClock
) -> None:
    for _ in range(2):
        await press(sandbox, "Send an A01")
        await work(store)
        clock.advance(SECOND)
    stays = await inbox.listed(store, state="applied", limit=5)
    assert {row.patient for row in stays} == {"Patient/rosa", "Patient/tia"}
    page = await press(sandbox, "Send an A01")
    assert "Nothing was done" in text_of(page) and "discharge somebody first" in text_of(page)
    await press(sandbox, "Discharge somebody", page)
    await work(store)
    last = (await inbox.listed(store, state=None, limit=1))[0]
    assert (last.event, last.patient) == ("A03", stays[0].patient)
    clock.advance(SECOND)
    await press(sandbox, "Send an A01")
    await work(store)
    assert (await inbox.listed(store, state=None, limit=1))[0].patient == last.patient, "who is outside goes in again"


async def test_each_discharge_is_the_next_one_though_a_hospital_has_two_sources(
    sandbox: Browser, store: Store, clock: FrozenClock
) -> None:
    """The second source comes first by name: a discharge must still come from where its admission came."""
    second = RegisteredSource("a-new-adt", "NEWADT", "WARD", "Organization/ward", {"display": "Made-up Ward"}, True)
    await store.commit(Change(statements=[sources.put(second)]))
    for words in ["Send an A01"] * 2 + ["Discharge them"] * 2:
        await press(sandbox, words)
        await work(store)
        clock.advance(SECOND)
    rows = (await inbox.listed(store, state=None, limit=9))[::-1]
    assert [(row.event, row.state, row.reason) for row in rows] == [
        (event, "applied", rows[n].reason) for n, event in enumerate(["A01", "A01", "A03", "A03"])
    ]
    assert len({row.control_id for row in rows}) == 4 and not any("control-id" in row.reason for row in rows)
    assert len({row.source for row in rows[:2]}) == 2, "both sources admit"
    assert [(row.stay, row.source, row.patient) for row in rows[2:]] == [
        (row.stay, row.source, row.patient) for row in rows[1::-1]
    ]
    assert "send an A01 first" in text_of(await press(sandbox, "Discharge them"))


async def test_a_discharge_that_waits_for_the_worker_is_not_sent_again(
    sandbox: Browser, store: Store, clock: FrozenClock
) -> None:
    await press(sandbox, "Send an A01")
    await work(store)
    clock.advance(SECOND)
    await press(sandbox, "Discharge them")
    clock.advance(SECOND)
    assert "send an A01 first" in text_of(await press(sandbox, "Discharge them"))
    assert len(await inbox.listed(store, state=None, limit=9)) == 2


async def test_another_lead_care_manager_has_her_own_panel(sandbox: Browser) -> None:
    page = await sandbox.get("/sandbox?for=ben")
    assert "Send an A01 for Ben" in text_of(page)
    after = await press(sandbox, "Send an A01 for Ben", page)
    assert "Nothing was done" in text_of(after), "Joe has no CIN, so no hospital can name him"
    assert "send an A01 first" in text_of(await press(sandbox, "Discharge them"))


async def test_a_referral_from_nothing_to_its_end(sandbox: Browser, store: Store) -> None:
    nothing = await press(sandbox, "Let Made-up Steps accept")
    assert "No referral waits" in text_of(nothing)
    made = await press(sandbox, "Make a new referral", nothing)
    assert "The referral is requested" in text_of(made)
    accepted = await press(sandbox, "Let Made-up Steps accept", made)
    assert "The referral is accepted" in text_of(accepted)
    done = await press(sandbox, "Let Made-up Steps complete it", accepted)
    assert "The referral is completed" in text_of(done)
    task = parse_qs(urlsplit(str(done.url)).query)["task"][0]
    rows = await store.fetch(
        "SELECT kind, actor FROM audit WHERE target = ? AND action IN ('C', 'U') ORDER BY slot, seq", (f"Task/{task}",)
    )
    assert rows == [("create", "Practitioner/ana"), ("update", "steps"), ("update", "steps")]
    await sandbox.sign_in("Made-up Steps")
    text = text_of(await sandbox.get(f"/sees/Task/{task}"))
    assert '"status": "completed"' in text and '"output"' in text and CBO in text and ECM in text
    assert '"display": "Maria Lopez-Made-up"' in text, "a community organization reads no Patient: it needs the name"
    assert "accepted and open" in text_of(await press(sandbox, "Let it complete"))


async def test_a_form_that_the_page_did_not_send(sandbox: Browser, store: Store) -> None:
    page = await sandbox.get("/sandbox")
    assert (await sandbox.press(page, "Send an A01", csrf="")).status_code == 403
    assert (await sandbox.post("/sandbox/admit")).status_code in (403, 415)
    async with Browser(store, sandbox.app.state.enlace.settings) as thief:
        stolen = Forms((await thief.get("/sandbox")).text).found[0][1]
    assert (await sandbox.post("/sandbox/admit", data=stolen)).status_code == 403
    elsewhere = Forms(page.text).found[0][1]
    answer = await sandbox.post("/sandbox/admit", data=elsewhere, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert await inbox.listed(store, state=None, limit=1) == []


async def test_an_open_tab_outlives_signing_in(sandbox: Browser) -> None:
    page = await sandbox.get("/sandbox")
    await sandbox.sign_in("Made-up Steps")
    assert (await sandbox.press(page, "Make a new referral")).status_code == 303


async def test_what_nobody_asked_for(sandbox: Browser) -> None:
    page = await sandbox.get("/sandbox")
    fields = Forms(page.text).found[0][1]
    assert (await sandbox.post("/sandbox/nonsense", data=fields)).status_code == 404
    assert (await sandbox.get("/sandbox/admit")).status_code == 405
    odd = await sandbox.get("/sandbox?for=x&message=99999999999999999999&task=<b>&none=<b>")
    assert odd.status_code == 200 and "<b>" not in odd.text and 'id="done"' not in odd.text


async def test_not_more_than_sixty_a_minute(sandbox: Browser) -> None:
    page = await sandbox.get("/sandbox")
    statuses = [(await sandbox.press(page, "Discharge them")).status_code for _ in range(61)]
    assert statuses == [303] * 60 + [429]


async def test_an_empty_sandbox(database_url: str, clock: FrozenClock) -> None:
    from service.store.engine import open_store
    from tests.service.web.county import settings

    opened = await open_store(database_url, clock)
    async with Browser(opened, settings()) as browser:
        page = await browser.get("/sandbox")
        assert "enlace seed" in text_of(page) and not Forms(page.text).found
        assert "enlace seed" in text_of(await browser.get("/"))
    await opened.close()
