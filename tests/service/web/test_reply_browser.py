"""A reply link on a telephone: 320 px, JavaScript off, three taps, in both languages. Pictures where asked for."""

import os
from typing import Any

import pytest

from tests.service.web.replying import Desk, people_of
from tests.service.web.test_browser import MEASURE, chromium, county, watched

__all__ = ["chromium", "county"]
SHOTS = os.environ.get("ENLACE_TEST_SHOTS", "")
NARROW = {"width": 320, "height": 640}


@pytest.fixture
async def desk(county: Any) -> Desk:
    address, store = county
    await people_of(store)
    return Desk(store, public_url=address)


async def fits(page: Any, name: str) -> None:
    """No script ran, nothing is cut off; a picture."""
    wide = "document.documentElement.scrollWidth"
    assert await page.evaluate(wide) <= 320 if page.scripts else True
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/reply-{name}.png", full_page=True)


async def phone(chromium: Any, desk: Desk, **options: Any) -> Any:
    base = desk.settings.base_url
    scripts = bool(options.pop("scripts", False))
    context = await chromium.new_context(base_url=base, viewport=NARROW, java_script_enabled=scripts, **options)
    page = await watched(context)
    page.scripts = scripts
    return page


async def test_three_taps_without_javascript(chromium: Any, desk: Desk) -> None:
    task = await desk.refer(priority="urgent")
    await desk.work()
    page = await phone(chromium, desk)
    await page.goto(desk.link())
    await fits(page, "1-gate")
    await page.get_by_role("button", name="Send me the code").click()  # first tap
    await desk.work()
    await page.get_by_label("Code (6 digits)").fill(desk.code())
    await fits(page, "2-code")
    await page.get_by_role("button", name="Open the referral").click()  # second
    await page.get_by_text("Rosita Quill").wait_for()
    await fits(page, "3-referral")
    await page.get_by_role("button", name="Accept").click()  # third
    await page.get_by_text("Accepted. Thank you").wait_for()
    await fits(page, "4-accepted")
    assert (await desk.task(task["id"]))["status"] == "accepted"
    await page.get_by_role("button", name="We reached the person").click()
    await page.get_by_text("Noted: you reached the person.").wait_for()
    await page.get_by_role("button", name="Done").click()
    await page.get_by_text("who referred knows that the person received").wait_for()
    await fits(page, "5-done")
    await page.go_back()  # nothing is kept by the browser: the page as it stands now
    await page.get_by_text("Nothing more to do").wait_for()
    await fits(page, "6-back-button")
    await page.get_by_role("link", name="Print the referral").click()
    await page.get_by_role("heading", name="Referral sheet").wait_for()
    await fits(page, "7-sheet")
    assert page.problems == []


async def test_in_spanish_declined(chromium: Any, desk: Desk) -> None:
    await desk.refer()
    await desk.work()
    page = await phone(chromium, desk, locale="es-MX")
    await page.goto(f"{desk.link()}?a=decline")
    await page.get_by_role("button", name="Envíenme el código").click()
    await desk.work()
    await page.get_by_label("Código (6 cifras)").fill(desk.code())
    await page.get_by_role("button", name="Abrir la derivación").click()
    await fits(page, "8-es")
    await page.get_by_role("button", name="No hay plaza ahora").click()
    await page.get_by_role("heading", name="No aceptada").wait_for()
    await fits(page, "9-es-declined")
    assert page.problems == []


async def test_contrast_targets_and_width(chromium: Any, desk: Desk) -> None:
    """Measured by a script of the test, so with scripts on; the pages have none."""
    await desk.refer()
    await desk.work()
    page = await phone(chromium, desk, scripts=True)
    await page.goto("/r/ABCD-EFGH-JKMN-PQRS-TVWX")
    assert await page.evaluate(MEASURE) == []
    await page.goto(desk.link())
    assert await page.evaluate(MEASURE) == []
    await page.get_by_role("button", name="Send me the code").click()
    await desk.work()
    await page.get_by_label("Code (6 digits)").fill("1")
    await page.get_by_role("button", name="Open the referral").click()
    assert await page.get_by_label("Code (6 digits)").get_attribute("aria-invalid") == "true"
    assert await page.evaluate(MEASURE) == []
    await page.get_by_label("Code (6 digits)").fill(desk.code())
    await page.get_by_role("button", name="Open the referral").click()
    for name in ("Accept", "Done"):
        await page.get_by_role("button", name=name).wait_for()
        assert await page.evaluate(MEASURE) == []
        await fits(page, "measured")
        await page.get_by_role("button", name=name).click()
    await page.get_by_text("Nothing more to do").wait_for()
    assert await page.evaluate(MEASURE) == []
