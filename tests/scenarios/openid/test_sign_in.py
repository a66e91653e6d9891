"""People sign in through a real OpenID Provider (npm oidc-provider) to a running service, with and without a browser.

The provider is another site (localhost) than the service (127.0.0.1), so that cookies and the Content-Security-Policy
are tried as they will be used. It needs Node.js and `npm ci` in this folder.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from service.cli.processes import die_with_parent
from service.store.engine import Store
from tests.conftest import missing
from tests.postgres_server import free_port
from tests.scenarios.harness import Service, look, put, rows, running, wait_for, write_world
from tests.service.web.browsing import Forms
from tests.service.world import make, ref

HERE = Path(__file__).parent
SECRET = "a-made-up-secret-of-a-test-0123456789"
NAME = "North sign-in"
ROLE = "https://enlace.example.org/fhir/CodeSystem/team-role"


@dataclass
class World:
    service: Service
    issuer: str


def _role(fhir_id: str, organization: str) -> dict[str, Any]:
    code = [{"coding": [{"system": ROLE, "code": "lead-care-manager"}]}]
    facts = {"practitioner": ref("Practitioner/ada"), "organization": ref(organization), "code": code}
    return make(f"PractitionerRole/{fhir_id}", active=True, **facts)


async def _roles(store: Store) -> None:
    await put(store, _role("ada-north", "Organization/north"), _role("ada-south", "Organization/south"))


@pytest.fixture(scope="module")
def world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    node = shutil.which("node")
    if not node or not (HERE / "node_modules" / "oidc-provider").exists():
        missing("node", "The OpenID Provider is missing: Node.js, and `npm ci` in tests/scenarios/openid.")
    home = tmp_path_factory.mktemp("openid")
    for part in sqlite_template.parent.glob("template.db*"):
        shutil.copy(part, home / part.name.replace("template", "enlace"))
    url, port = f"sqlite:///{home / 'enlace.db'}", free_port()
    write_world(url)
    look(url, _roles)
    with running(url, home, ENLACE_EGRESS_ALLOW=f"localhost:{port}") as service:
        facts = {"port": port, "redirect_uri": f"{service.base}/login/callback/north", "secret": SECRET}
        command = [str(node), str(HERE / "provider.mjs"), json.dumps(facts)]
        log = home / "provider.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=HERE, preexec_fn=die_with_parent)
        try:
            wait_for(lambda: "ready" in log.read_text(errors="replace"))
            yield _connected(World(service, f"http://localhost:{port}"), home)
        finally:
            process.kill()
            process.wait()


def _connected(world: World, home: Path) -> World:
    """As an operator does it."""
    secret = home / "client-secret"
    secret.write_text(f"{SECRET}\n")
    given = ("--issuer", world.issuer, "--client-id", "enlace", "--client-secret-file", str(secret))
    world.service.cli("identity", "add", NAME, "--organization", "Organization/north", *given)
    said = world.service.cli("identity", "check", NAME)
    assert f"{world.service.base}/login/callback/north" in said
    world.service.cli("identity", "person", NAME, "ada@north", "Practitioner/ada")
    assert "ada@north" in world.service.cli("identity", "people")
    return world


def through(world: World, browser: httpx.Client, login: str) -> httpx.Response:
    """The whole way as a browser goes it: our page, the provider's form, its question, our answer."""
    page = browser.get(f"{world.service.base}/login")
    link = next(part for part in page.text.split('"') if part.startswith("/login/"))
    page = browser.get(f"{world.service.base}{link}")
    while str(page.url).startswith(world.issuer):
        assert page.status_code == 200, page.text
        action, fields, _ = Forms(page.text).found[0]
        filled = {name: login if name in ("login", "password") else value for name, value in fields.items()}
        page = browser.post(page.url.join(action), data=filled)
    return page


def browser() -> httpx.Client:
    return httpx.Client(follow_redirects=True, timeout=15)


def test_a_person_of_the_organization_signs_in_and_out(world: World) -> None:
    with browser() as one:
        inbox = through(world, one, "ada@north")
        assert str(inbox.url) == f"{world.service.base}/" and "Adair" in inbox.text and "Inbox" in inbox.text
        action, fields, _ = next(form for form in Forms(inbox.text).found if form[0] == "/logout")
        out = one.post(f"{world.service.base}{action}", data=fields)
        assert f"{world.issuer}/session/end?client_id=enlace" in out.text
        assert "Sign in through your organization" in one.get(f"{world.service.base}/").text
    found = rows(world.service.url, "SELECT actor, organization FROM audit WHERE kind = 'login' AND outcome = 0")
    # Ada works for two; this provider speaks for one of them only.
    assert found == [("Practitioner/ada", "Organization/north")]
    assert rows(world.service.url, "SELECT hash FROM login_session") == []


def test_who_is_not_known_here_is_told_so(world: World) -> None:
    with browser() as one:
        page = through(world, one, "stranger@north")
        assert page.status_code == 403 and "you are not known here" in page.text and "stranger@north" in page.text
    assert ("account",) in rows(world.service.url, "SELECT reason FROM audit WHERE kind = 'login' AND outcome = 4")


def test_a_code_that_came_by_is_worth_nothing(world: World) -> None:
    """The provider's answer, put before another browser and then before its own, twice."""
    with browser() as one, browser() as thief:
        answers: list[str] = []

        def keep(request: httpx.Request) -> None:
            if request.url.path == "/login/callback/north" and not answers:
                answers.append(str(request.url))
                assert "you are not known" not in thief.get(str(request.url)).text

        one.event_hooks = {"request": [keep]}
        assert "Adair" in through(world, one, "ada@north").text
        for again in (one, thief):
            page = again.get(answers[0])
            assert page.status_code == 403 and "no longer valid" in page.text
        assert not any(urlsplit(answers[0]).query in line for line in world.service.output().splitlines())


def test_a_provider_that_is_away_is_a_page(world: World) -> None:
    given = ("--issuer", f"http://localhost:{free_port()}", "--client-id", "enlace", "--organization")
    said = world.service.cli("identity", "add", "Away", *given, "Organization/north", code=1)
    assert "It is refused: not-https." in said
    away = world.service.environment["ENLACE_EGRESS_ALLOW"].replace("localhost", "127.0.0.1")
    world.service.use(ENLACE_EGRESS_ALLOW=away)  # of the command line; the service itself allows the provider only
    issuer = f"http://{away}"
    fhir_id = world.service.cli("identity", "add", "Away", "--issuer", issuer, *given[2:], "Organization/north").strip()
    page = httpx.get(f"{world.service.base}/login/{fhir_id}")
    assert page.status_code == 503 and "cannot be reached now" in page.text
    world.service.cli("identity", "disable", "Away")
    assert httpx.get(f"{world.service.base}/login/{fhir_id}").status_code == 404


async def test_in_a_real_browser(world: World) -> None:
    """SameSite cookies over two sites, and no step that our Content-Security-Policy forbids."""
    api = pytest.importorskip("playwright.async_api")
    chromium = shutil.which("chromium")
    if not chromium:
        missing("browser", "There is no Chromium here: install the package chromium.")
    async with api.async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], headless=True)
        page = await (await started.new_context()).new_page()
        problems: list[str] = []
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        await page.goto(f"{world.service.base}/login?next=/inbox/list")
        await page.get_by_role("link", name=NAME).click()
        await page.locator("input[name=login]").fill("ada@north")
        await page.locator("input[name=password]").fill("anything")
        await page.locator("button[type=submit]").click()
        await page.locator("button[type=submit]").click()
        await page.wait_for_url(f"{world.service.base}/inbox/list")
        await page.goto(f"{world.service.base}/")
        await page.get_by_text("Adair").first.wait_for()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("link", name=f"Sign out at {NAME}").click()
        await page.wait_for_url(f"{world.issuer}/session/end**")
        await started.close()
    assert [text for text in problems if world.service.base in text] == []
