"""A18, A19 of ../shared/facts/security.md 5: text stored through API and ADT never becomes markup of a page.

Refused at the write, or shown as text: the pages that show it are parsed, and hold no element, attribute or address
that the same pages do not hold without it. Chromium looks once at them where ENLACE_TEST_DEEP is set.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from fhir_profiles.narrative import narrative_problem
from mappers.hl7v2.simulate import message as er7
from service.access.context import Settings as Behaviour
from service.interactions.receive_hl7v2 import Receiver
from service.main import build
from service.store.engine import Store
from service.worker import Worker
from tests.service.web.browsing import BASE, Browser
from tests.service.web.county import alert, follow_up, settings
from tests.service.web.xss_vectors import ALERT, HOST, VECTORS
from tests.service.world import access_token

POSTGRESQL_IN_DEEP = True
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
ADDRESSES = frozenset({"href", "src", "action", "formaction", "data", "srcset", "poster", "background", "cite"})
PAGES = ("/", "/?show=all", "/sees", "/sees/Patient", "/sees/Communication", "/sees/Task", "/members/maria/disclosures")
TEMPLATES = {("a", "rel"), ("p", "class"), ("span", "class"), ("nav", ""), ("strong", "")}
"""What pages of more alerts hold beside those of a few."""
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


class Markup(HTMLParser):
    """(element, attribute) pairs of a page, and addresses in it that lead or load from elsewhere."""

    def __init__(self, page: str):
        super().__init__()
        self.pairs: set[tuple[str, str]] = set()
        self.elsewhere: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pairs |= {(tag, ""), *((tag, name) for name, _ in attrs)}
        for name, value in attrs:
            own = not value or value == BASE or value.startswith((f"{BASE}/", "#", "?"))
            path = (value or "").startswith("/") and not (value or "").startswith(("//", "/\\"))
            if name in ADDRESSES and not own and not path:
                self.elsewhere.append(f"{tag} {name}={value}")


@pytest.fixture
async def stored(sandbox: Browser, store: Store) -> AsyncIterator[tuple[Browser, set[tuple[str, str]], list[str]]]:
    """Ana, signed in; the markup of her pages before; ids of what was stored then through the API, a vector each."""
    await sandbox.sign_in()
    page, message = await sandbox.get("/sees/Patient/maria"), await sandbox.get("/sees/Communication/a-1")
    before = [page, message, *[await sandbox.get(path) for path in PAGES]]
    assert [one.status_code for one in before] == [200] * len(before)
    pairs = set().union(*(Markup(one.text).pairs for one in before)) | TEMPLATES
    yield sandbox, pairs, await through_the_api(sandbox, store)


async def through_the_api(browser: Browser, store: Store) -> list[str]:
    """Each vector in the strings that pages show: name, alert, sender, reason, facility, task."""
    bearer = {"Authorization": f"Bearer {await access_token(store, 'ecm-provider', 'Organization/ecm-1')}"}
    made, entries = [], []
    for number, text in enumerate(one for one in VECTORS if "\x0c" not in one):  # a control character: refused whole
        body = alert("x", "maria", "Practitioner/ana", store.clock.now_us() - number, payload=[{"contentString": text}])
        body |= {"sender": {"display": text}, "statusReason": {"text": text}, "note": [{"text": text}]}
        body["subject"]["display"] = text
        person = {"resourceType": "Patient", "name": [{"family": text, "given": [text], "text": text}]}
        person |= {"gender": "unknown", "address": [{"line": [text], "city": text}], "link": []}
        task = follow_up("x", "a-1", "maria", "2026-03-09", code={"text": text}, description=text)
        for resource in (body, person, task):
            kept = {k: v for k, v in resource.items() if k not in ("id", "encounter") and v != []}
            request = {"method": "POST", "url": kept["resourceType"]}
            entries.append({"resource": kept, "request": request})
    for start in range(0, len(entries), 108):
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries[start : start + 108]}
        answer = await browser.post("/fhir", json=bundle, headers=bearer)
        assert answer.status_code == 200, answer.text
        for told in answer.json()["entry"]:
            assert told["response"]["status"][:3] == "201", told
            made.append("/".join(told["response"]["location"].split("/")[-4:-2]))
    return made


def clean(page: httpx.Response, pairs: set[tuple[str, str]]) -> None:
    markup = Markup(page.text)
    assert page.status_code == 200, page.url
    assert markup.pairs <= pairs, (str(page.url), markup.pairs - pairs)
    assert markup.elsewhere == [], page.url
    assert "7 * 73" in page.text or "511" not in page.text, "a template was run"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'self'" in policy


def test_a18_a19_no_narrative_is_active() -> None:
    """What the allow-list lets through holds no element beside those of plain text."""
    passed = 0
    for text in VECTORS:
        for inner in (text, f"<p>{text}</p>", f'<p title="{text}">x</p>', f'<a href="{text}">x</a>'):
            div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'
            if narrative_problem(div) is None:
                passed += 1
                markup = Markup(div)
                assert {tag for tag, _ in markup.pairs} <= {"div", "p", "a"}, inner
                assert {name for _, name in markup.pairs} <= {"", "xmlns", "title", "href"}, inner
                assert not [one for one in markup.elsewhere if ":" in one or "=//" in one], inner
    assert 0 < passed < len(VECTORS)


async def test_a18_a19_what_the_api_stored_is_text_on_every_page(stored: Any) -> None:
    browser, pairs, made = stored
    assert len(made) >= 3 * (len(VECTORS) - 2)
    for path in PAGES:
        clean(await browser.get(path), pairs)
    page = await browser.get("/?show=all")
    for _ in range(3):
        older = [one for one in page.text.split('"') if "before=" in one and "older" not in one]
        if older:
            page = await browser.get(older[-1].replace("&amp;", "&"))
            clean(page, pairs)
    shown = 0
    for reference in made if DEEP else made[::4]:
        one = await browser.get(f"/sees/{reference}")
        clean(one, pairs)
        shown += ALERT in one.text or HOST in one.text
    assert shown


async def test_a18_what_a_hospital_sent_is_text(sandbox: Browser, store: Store) -> None:
    """In the name, the facility, the location and the reason of a message that makes an alert."""
    await sandbox.sign_in()
    pairs = Markup((await sandbox.get("/?show=all")).text).pairs | TEMPLATES
    receiver, worker, now = Receiver(store), Worker(store, Behaviour()), store.clock.now_us()
    for number, text in enumerate(VECTORS if DEEP else VECTORS[::4]):
        who = {"cin": "90000011A", "mrn": f"M{number}", "family": "Quill-Made-up", "given": "Rosita", "sex": "F"}
        who |= {"birth_date": "1970-02-03", "phone": text[:40]}
        hospital = {"name": text, "application": "WARDADT", "facility": "WARD"}
        raw = er7("A01", who, hospital, control_id=f"X{number}", at_us=now, occurred_us=now - 60_000_000)
        marked = raw.replace(b"\rPV1", b"\rPV2|||" + text.encode().replace(b"|", b"").replace(b"\n", b" ") + b"\rPV1")
        assert await receiver.receive(marked)
    await worker.drain()
    page = await sandbox.get("/?show=all")
    assert "Rosita" in page.text
    clean(page, pairs)
    clean(await sandbox.get("/sees/Encounter"), pairs | Markup((await sandbox.get("/sees/Patient")).text).pairs)


async def test_a18_no_answer_of_the_api_is_a_page(stored: Any, store: Store) -> None:
    """FHIR answers and attachments go out as FHIR, with nosniff, whatever a browser asks for."""
    browser, _, made = stored
    bearer = {"Authorization": f"Bearer {await access_token(store, 'ecm-provider', 'Organization/ecm-1')}"}
    file = {"contentType": "text/html", "data": "PHNjcmlwdD4=", "url": f"javascript:{ALERT}"}
    sent = {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": file}]}
    sent["subject"] = {"reference": "Patient/maria"}
    kept = await browser.post("/fhir/DocumentReference", json=sent, headers=bearer)
    places = [f"/fhir/{one}" for one in made[:6]] + ["/fhir/<script>", f"/fhir/Patient?name=<svg onload={ALERT}>"]
    if kept.status_code == 201:
        places.append(f"/fhir/DocumentReference/{kept.json()['id']}")
    for place in places:
        for accept in ("*/*", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "image/svg+xml, */*"):
            answer = await browser.get(place, headers={**bearer, "Accept": accept})
            assert answer.headers["content-type"].startswith(("application/fhir+json", "application/fhir+xml")), accept
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.skipif(not DEEP, reason="a browser, with ENLACE_TEST_DEEP")
async def test_a18_a19_chromium_runs_and_loads_nothing(stored: Any, store: Store, free_port: int) -> None:
    assert stored
    api = pytest.importorskip("playwright.async_api")
    if not Path(CHROMIUM).exists():
        pytest.skip("There is no Chromium here.")
    address = f"http://127.0.0.1:{free_port}"
    server = uvicorn.Server(uvicorn.Config(build(store, settings(public_url=address)), port=free_port, log_config=None))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    dialogs: list[str] = []
    asked: list[str] = []
    async with api.async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], headless=True)
        page = await chromium.new_page()
        page.on("dialog", lambda one: (dialogs.append(one.message), asyncio.ensure_future(one.dismiss())))
        page.on("request", lambda one: asked.append(one.url))
        await page.goto(address)
        await page.get_by_role("button", name="Sign in as Ana Quispe").first.click()
        for path in (*PAGES, "/sees/Patient", "/sees/Communication"):
            await page.goto(address + path, wait_until="load")
        await chromium.close()
    server.should_exit = True
    await asyncio.wait_for(serving, 10)
    assert dialogs == [] and [one for one in asked if not one.startswith((address, "data:"))] == []
