"""Two browsers on one subscription: what the pages of a subscriber do with /ws."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.service.api.socketed import Socketed
from tests.service.web.test_browser import CHROMIUM, FLAGS

POSTGRESQL_IN_DEEP = True
OPEN = """([url, token]) => new Promise((done) => {
  window.got = [];
  const socket = new WebSocket(url);
  socket.onopen = () => socket.send(`bind-with-token: ${token}`);
  socket.onmessage = (event) => { window.got.push(JSON.parse(event.data)); done(window.got.length); };
  socket.onclose = (event) => done(-event.code);
})"""
NUMBERS = """() => window.got.flatMap((bundle) => bundle.entry[0].resource.parameter)
  .filter((one) => one.name === "notification-event").map((one) => one.part[0].valueString).join()"""


@pytest.mark.skipif(not os.environ.get("ENLACE_TEST_DEEP"), reason="two real clients are in test_websocket.py")
async def test_two_browsers_hear_the_same(socketed: Socketed) -> None:
    if not Path(shutil.which(CHROMIUM) or CHROMIUM).exists():
        missing("browser", "There is no Chromium here: install the package chromium.")
    api = pytest.importorskip("playwright.async_api")
    state = await socketed.subscribes()
    async with api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        pages = [await (await browser.new_context()).new_page() for _ in range(2)]
        for page in pages:
            await page.goto(socketed.url.replace("ws:", "http:").replace("/ws", "/healthz"))
            assert await page.evaluate(OPEN, [socketed.url, await socketed.token(state)]) == 1
        await socketed.news(2)
        for page in pages:
            await page.wait_for_function(f"({NUMBERS})() === '1,2'")
        await browser.close()
