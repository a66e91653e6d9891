"""The inbox in a real browser: live, by keyboard, without JavaScript, on a narrow screen. Pictures into /tmp/shots."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from service.access.context import Settings as Behaviour
from service.clock import SystemClock
from service.main import build
from service.store.engine import Store, open_store
from service.worker import Worker
from tests.conftest import missing
from tests.service.web.county import (
    EVIL,
    SECOND,
    alert,
    episode,
    follow_up,
    patient,
    populate,
    populate_sandbox,
    put,
    settings,
)

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SHOTS = os.environ.get("ENLACE_TEST_SHOTS", "")
"""Folder for pictures of the pages; none are made where it is not set."""

# Smallest contrast of text to its ground, and controls smaller than 24 px, as WCAG 2.2 (1.4.3, 2.5.8) count them.
MEASURE = """() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = rgb(getComputedStyle(n).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const problems = [];
  for (const node of document.querySelectorAll("main *, header *")) {
    const style = getComputedStyle(node), box = node.getBoundingClientRect();
    if (style.display === "none" || !box.width || box.width < 2) continue;
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (own) {
      const [a, b] = [light(rgb(style.color)), light(ground(node))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
    }
    const control = "button, summary, .button, .sub a, .links a, tbody a, .tabs a, .older a";
    if (node.matches(control) && (box.height < 24 || box.width < 24)) {
      problems.push(`small ${box.width}x${box.height}: ${node.textContent.trim().slice(0, 40)}`);
    }
    if (box.right > innerWidth + 1) problems.push(`too wide: ${node.tagName} ${node.className}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((n) => n.id);
  if (new Set(ids).size !== ids.length) problems.push("an id stands twice");
  return problems;
}"""


@pytest.fixture
async def county(
    sqlite_url: str, free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """(address, store) of a running service over the real clock."""
    if not Path(CHROMIUM).exists():
        missing("browser", "There is no Chromium here: install the package chromium.")
    monkeypatch.chdir(tmp_path)
    store = await open_store(sqlite_url, SystemClock())
    await populate(store)
    address = f"http://127.0.0.1:{free_port}"
    app = build(store, settings(public_url=address))
    server = uvicorn.Server(uvicorn.Config(app, port=free_port, log_config=None))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    yield address, store
    app.state.enlace.ready = False
    server.should_exit = True
    await asyncio.wait_for(task, 10)
    await store.close()


@pytest.fixture
async def chromium(county: Any, tmp_path: Path) -> AsyncIterator[Any]:
    api = pytest.importorskip("playwright.async_api")
    async with api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield browser
        await browser.close()


async def shot(page: Any, name: str) -> None:
    if SHOTS:
        for width in (1280, 375):
            await page.set_viewport_size({"width": width, "height": 800})
            await page.screenshot(path=f"{SHOTS}/{name}-{width}.png", full_page=True)
        await page.set_viewport_size({"width": 1280, "height": 720})


async def check(page: Any) -> None:
    for width in (1280, 375, 320):
        await page.set_viewport_size({"width": width, "height": 720})
        assert await page.evaluate(MEASURE) == []
    await page.set_viewport_size({"width": 1280, "height": 720})


async def fill(store: Store) -> None:
    """A day's worth: each priority, a correction, follow-ups due and overdue, a member with a hostile name."""
    now = store.clock.now_us()
    to = "Practitioner/ana"
    words = "Maria Lopez-Made-up left Valley Made-up Hospital before the care was finished."
    wrong = {"status": "entered-in-error", "statusReason": {"text": "Correction: the visit was cancelled."}}
    await put(
        store,
        patient("mallory", EVIL, '"><img src=x onerror=alert(1)>'),
        episode("e-mallory", "mallory", "ana"),
        alert("ama", "maria", to, now - 3600 * SECOND, priority="stat", payload=[{"contentString": words}]),
        alert("home", "mallory", to, now - 7200 * SECOND, priority="asap"),
        alert("info", "maria", to, now - 9000 * SECOND, priority="routine"),
        alert("gone", "maria", to, now - 9900 * SECOND, **wrong),
        follow_up("t-1", "ama", "maria", "2030-03-07T22:00:00-08:00"),
        follow_up("t-2", "home", "mallory", "2026-03-07T22:00:00-08:00"),
    )


async def watched(context: Any) -> Any:
    """A new page that gathers what its console says."""
    page = await context.new_page()
    page.problems = []
    page.on("console", lambda m: page.problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("dialog", lambda dialog: page.problems.append("a dialog: stored script ran"))
    return page


async def signed_in(chromium: Any, address: str, **options: Any) -> Any:
    page = await watched(await chromium.new_context(base_url=address, **options))
    await page.goto("/")
    await shot(page, "signin")
    await check(page) if options.get("java_script_enabled", True) else None
    await page.get_by_role("button", name="Sign in as Ana Quispe").click()
    await page.get_by_role("heading", name="Inbox").wait_for()
    return page


async def test_live_and_by_keyboard(chromium: Any, county: Any) -> None:
    address, store = county
    page = await signed_in(chromium, address)
    await page.locator("#mark.live").wait_for()
    assert await page.get_by_text("Live", exact=True).is_visible()
    assert await page.locator(".alert").count() == 1
    await page.get_by_role("button", name="Acknowledge the alert about Maria").focus()
    await fill(store)
    await page.locator("#a-ama").wait_for(timeout=5000)
    assert await page.evaluate("document.activeElement.id") == "acknowledge-a-1"
    assert await page.title() == "(4) Inbox - Enlace"
    assert "3 new alerts" in str(await page.locator("#said").text_content())
    await check(page)
    await shot(page, "inbox")
    await page.keyboard.press("Enter")
    await page.get_by_text("Acknowledged: the alert about").wait_for()
    assert await page.locator("#a-a-1").count() == 0 and await page.title() == "(3) Inbox - Enlace"
    assert await page.evaluate("document.activeElement.id") == "acknowledge-ama"
    await check(page)
    await shot(page, "acknowledged")
    await page.get_by_role("button", name="Undo the alert").press("Enter")
    await page.locator("#a-a-1").wait_for()
    await page.get_by_role("link", name="All").click()
    await page.locator("#a-gone").wait_for()
    await page.locator("#acknowledge-home").click()
    await page.locator("#unacknowledge-home").wait_for()
    await check(page)
    await shot(page, "all")
    assert page.problems == []


async def test_focus_order(chromium: Any, county: Any) -> None:
    """Skip link, brand, sign out, pages, tabs, alerts: the way through the page by Tab alone."""
    page = await signed_in(chromium, county[0])
    order = []
    for _ in range(9):
        await page.keyboard.press("Tab")
        order.append(await page.evaluate("document.activeElement.innerText.trim().split('\\n')[0]"))
    assert order[:3] == ["Skip to the content", "Enlace", "Sign out"]
    assert order[3:6] == ["Inbox", "What you see", "Sandbox events"]
    assert order[6].startswith("New") and order[7] == "All" and order[8].startswith("Acknowledge")


async def test_the_place_is_kept(chromium: Any, county: Any) -> None:
    address, store = county
    now = store.clock.now_us()
    await put(store, *(alert(f"n-{n:02}", "maria", "Practitioner/ana", now - n * 60 * SECOND) for n in range(20)))
    page = await signed_in(chromium, address)
    await page.locator("#mark.live").wait_for()
    await page.evaluate("document.getElementById('a-n-09').scrollIntoView()")
    before = await page.evaluate("document.getElementById('a-n-09').getBoundingClientRect().top")
    await put(store, alert("late", "maria", "Practitioner/ana", now + SECOND))
    await page.locator("#a-late").wait_for(state="attached", timeout=5000)
    after = await page.evaluate("document.getElementById('a-n-09').getBoundingClientRect().top")
    assert abs(before - after) <= 2


async def test_the_session_that_ends_elsewhere(chromium: Any, county: Any) -> None:
    page = await signed_in(chromium, county[0])
    await page.locator("#mark.live").wait_for()
    other = await page.context.new_page()
    await other.goto("/")
    await other.get_by_role("button", name="Sign out").click()
    await page.get_by_role("heading", name="Enlace sandbox").wait_for(timeout=8000)


async def test_reconnecting_is_shown_and_catches_up(chromium: Any, county: Any) -> None:
    address, store = county
    page = await signed_in(chromium, address)
    await page.locator("#mark.live").wait_for()
    await page.context.set_offline(True)
    await page.evaluate("document.querySelector('#mark')")
    await put(store, alert("a-2", "maria", "Practitioner/ana", store.clock.now_us()))
    await page.context.set_offline(False)
    await page.locator("#a-a-2").wait_for(timeout=15000)
    await page.locator("#mark.live").wait_for(timeout=15000)


async def test_without_javascript(chromium: Any, county: Any) -> None:
    address, store = county
    await fill(store)
    page = await signed_in(chromium, address, java_script_enabled=False)
    assert await page.get_by_text("Updates every minute.").is_visible()
    await page.get_by_role("link", name="Refresh").click()
    await page.locator("#acknowledge-ama").click()
    await page.get_by_text("Acknowledged: the alert about Maria").wait_for()
    assert page.url.endswith("/?done=ama")
    await shot(page, "noscript")
    await page.get_by_role("button", name="Undo the alert").click()
    await page.locator("#acknowledge-ama").wait_for()
    await page.get_by_role("link", name="All").click()
    await page.locator("#a-gone").wait_for()
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("heading", name="Enlace sandbox").wait_for()
    assert page.problems == []


async def test_the_first_page_and_what_a_system_sees(chromium: Any, county: Any) -> None:
    address, store = county
    await populate_sandbox(store)
    await put(store, patient("s-1", "Sonja", "Made-up"), episode("e-s", "s-1", "ana"))
    context = await chromium.new_context(base_url=address, permissions=["clipboard-read", "clipboard-write"])
    page = await watched(context)
    await page.goto("/")
    await page.get_by_role("button", name="Copy").first.click()
    await page.get_by_role("button", name="Copied").wait_for()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -s -H ") and copied.endswith(f"'{address}/fhir/Patient/s-1'")
    await page.get_by_text("Other people and organizations").press("Enter")
    assert await page.get_by_role("button", name="Sign in as Ben Okafor").is_visible()
    await check(page)
    await shot(page, "first")
    await page.get_by_role("button", name="Sign in as Made-up Care Collective").press("Enter")
    await page.get_by_role("heading", name="What this organization sees").wait_for()
    await check(page)
    await shot(page, "sees")
    await page.get_by_role("link", name="Patient", exact=True).press("Enter")
    await page.get_by_role("heading", name="Patient", exact=True).wait_for()
    await check(page)
    await page.get_by_role("link", name="Rosita Quill-Made-up").press("Enter")
    await page.get_by_text('"resourceType": "Patient"').wait_for()
    await check(page)
    await shot(page, "resource")
    assert page.problems == []


async def test_sandbox_events_without_javascript(chromium: Any, county: Any) -> None:
    address, store = county
    await populate_sandbox(store)
    worker = Worker(store, Behaviour())
    working = asyncio.create_task(worker.run())
    try:
        page = await watched(await chromium.new_context(base_url=address, java_script_enabled=False))
        await page.goto("/sandbox")
        await page.get_by_role("button", name="Send an A01 for Ana").click()
        await page.get_by_text("was admitted to Made-up Ward").wait_for()
        assert await page.get_by_role("heading", name="A01 was acknowledged with AA").is_visible()
        await shot(page, "admitted")
        await page.locator("#done").get_by_role("button", name="Discharge them").click()
        await page.get_by_text("was discharged home from Made-up Ward").wait_for()
        await page.get_by_role("button", name="Let Made-up Steps accept").click()
        for button, status in (("Make a new", "requested"), ("accept", "accepted"), ("complete it", "completed")):
            await page.locator("#done").get_by_role("button", name=button).click()
            await page.get_by_role("heading", name=f"The referral is {status}").wait_for()
        await shot(page, "completed")
        assert page.problems == []
        scripted = await watched(await chromium.new_context(base_url=address))
        await scripted.goto("/sandbox?none=accept")
        await check(scripted)
        assert scripted.problems == []
    finally:
        worker.stop()
        await working
