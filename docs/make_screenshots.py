"""Pictures of the pages for the documents: `python docs/make_screenshots.py [URL]`, by default of a demo of its own.

Playwright drives the installed Chromium (CHROMIUM names another). Each picture stays under 200 KB.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

TO = Path(__file__).parent / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
DESK, PHONE = {"width": 1100, "height": 720}, {"width": 320, "height": 640}
MOST_BYTES = 200_000


async def pictures(browser: Browser, url: str) -> None:
    page = await browser.new_page(viewport=DESK)
    await page.goto(url)
    await _keep(page, "sign-in")
    await page.goto(f"{url}/sandbox")
    await _keep(page, "sandbox")
    await page.goto(f"{url}/docs")
    await page.wait_for_selector("[class*=opblock]")
    await _keep(page, "openapi")
    await page.goto(url)
    await page.get_by_role("button", name="Sign in as Maria Lopez").first.click()
    await page.wait_for_selector("article.alert")
    await _keep(page, "inbox")
    await page.set_viewport_size(PHONE)
    await _keep(page, "inbox-320")
    await page.set_viewport_size(DESK)
    await page.get_by_role("button", name="Acknowledge").first.click()
    await page.get_by_role("button", name="Undo").first.wait_for()
    await _keep(page, "inbox-acknowledged")


async def _keep(page: Page, name: str) -> None:
    path = TO / f"{name}.png"
    await page.screenshot(path=path, animations="disabled")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{path} has {size} bytes: make the window smaller.")
    print(f"{path.name}  {size // 1000} KB")


@contextmanager
def demo() -> Iterator[str]:
    """A demo without feed in a temporary folder, so that each run shows the same people."""
    ports = [_free_port(), _free_port()]
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if not name.startswith("ENLACE_")} | {
            "ENLACE_DATABASE_URL": f"sqlite:///{folder}/enlace.db",
            "ENLACE_SECRET_KEY_FILE": f"{folder}/secret.key",
            "ENLACE_AUDIT_KEY_FILE": f"{folder}/audit.key",
            "ENLACE_HTTP_PORT": str(ports[0]),
            "ENLACE_MLLP_PORT": str(ports[1]),
        }
        command = [sys.executable, "-m", "service.cli", "demo", "--no-feed"]
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            _wait(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=2)
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise SystemExit("The demo did not start: try `enlace demo` by hand.")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def run(url: str) -> None:
    TO.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            await pictures(browser, url.rstrip("/"))
        finally:
            await browser.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(run(sys.argv[1]))
    else:
        with demo() as started:
            asyncio.run(run(started))
