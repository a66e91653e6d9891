"""The first page of a sandbox: four roles, curl lines, links; an empty database; nothing of it in production."""

import httpx

from service.auth.sandbox import curl_lines
from service.cli.seed import LOGINS, sonja_reference
from service.cli.seed import curl_lines as seeded_lines
from service.store.engine import Store
from tests.service.web.browsing import BASE, Browser, Forms, text_of
from tests.service.web.county import episode, patient, put, settings

POSTGRESQL_IN_DEEP = True

SANDBOX_WORDS = ("sandbox", "Sign in as", "curl ", "A01")


async def test_four_roles_first_then_the_fold(sandbox: Browser) -> None:
    page = await sandbox.get("/")
    before, after = page.text.split("<details>")
    assert [form[2] for form in Forms(before).found] == [
        "Sign in as Ana Quispe",
        "Sign in as Made-up Care Collective",
        "Sign in as Made-up Plan",
        "Sign in as Made-up Steps",
    ]
    assert [form[2] for form in Forms(after).found] == ["Sign in as Ben Okafor"]
    for words in (
        "Lead care manager",
        "ECM provider, its record system",
        "Managed care plan",
        "Community organization",
    ):
        assert words in text_of(page)


async def test_the_links_lead_somewhere(sandbox: Browser) -> None:
    page = await sandbox.get("/")
    for address in ("/fhir/metadata", "/docs", "/sandbox", "/sandbox/token?role=lcm"):
        assert f'href="{address}"' in page.text
        answer = await sandbox.get(address, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert answer.status_code == 200, address
    assert "docs/" in text_of(page)


async def test_the_curl_lines_name_sonja_and_these_logins(sandbox: Browser, store: Store) -> None:
    assert "curl" not in text_of(await sandbox.get("/")), "nobody is there to be looked at"
    await put(store, patient("s-1", "Sonja", "Made-up"), episode("e-s", "s-1", "ana"))
    shown = text_of(await sandbox.get("/"))
    for _, command in curl_lines(BASE, "Patient/s-1", "ana", "steps"):
        assert command in shown


def test_they_are_the_lines_of_the_seed() -> None:
    clients = {login.role: login.client for login in LOGINS}
    made = curl_lines("http://x:1", sonja_reference(), clients["lcm"], clients["cbo"])
    assert made == seeded_lines("http://x:1")


async def test_each_role_comes_to_its_own_page(sandbox: Browser) -> None:
    assert "Inbox" in text_of(await sandbox.sign_in("Ana Quispe"))
    for name in ("Made-up Care Collective", "Made-up Plan", "Made-up Steps"):
        await sandbox.press(await sandbox.get("/"), "Sign out")
        assert "What this organization sees" in text_of(await sandbox.sign_in(name))


async def test_production_shows_and_answers_nothing_of_it(production: Browser, store: Store) -> None:
    page = await production.get("/")
    assert page.status_code == 200 and not Forms(page.text).found
    assert not [word for word in SANDBOX_WORDS if word in page.text]
    before = await store.fetch("SELECT count(*) FROM audit")
    unknown = await production.get("/no-such-page")
    for method, address in ALL_ADDRESSES:
        answer: httpx.Response = await production.request(method, address)
        assert (answer.status_code, answer.content) == (404, unknown.content), address
    assert await store.fetch("SELECT count(*) FROM audit") == before


async def test_an_unknown_address_says_where_fhir_is(production: Browser) -> None:
    for path in ("/Patient", "/Patient/rosa", "/Patient/"):
        answer = await production.get(path)
        assert (answer.status_code, answer.json()["detail"].partition("FHIR")[2]) == (404, " is at /fhir/Patient."), (
            path
        )
    assert "FHIR is at /fhir," in (await production.get("/inbox")).json()["detail"]
    page = await production.get("/Task/1", headers={"Accept": "text/html,*/*"})
    assert page.status_code == 404 and page.headers["content-type"].startswith("text/html")
    assert "Not found" in text_of(page) and "FHIR is at /fhir/Task." in text_of(page)
    shown = {"Accept": "text/html"}
    hidden, absent = await production.get("/sees/Patient", headers=shown), await production.get("/x", headers=shown)
    assert hidden.content == absent.content and "Not found" in text_of(hidden)
    assert "rosa" not in (await production.get("/Patient/rosa", headers=shown)).text


ALL_ADDRESSES = (
    *(
        ("GET", path)
        for path in ("/sandbox", "/sandbox/token?role=lcm", "/sees", "/sees/Patient", "/sees/Patient/rosa")
    ),
    *(("POST", f"/sandbox/{action}") for action in ("admit", "discharge", "accept", "complete", "refer", "x")),
)


async def test_a_systems_session_ends_where_production_begins(
    sandbox: Browser, store: Store, tmp_path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    await sandbox.sign_in("Made-up Plan")
    key = tmp_path / "key"
    key.write_bytes(b"k" * 64)
    key.chmod(0o600)
    async with Browser(store, settings(env="production", public_url="https://enlace.test", secret_key_file=key)) as web:
        web.cookies.set("__Host-enlace", sandbox.cookies["enlace"], domain="enlace.test")
        assert "identity provider is not set up" in text_of(await web.get("/"))


async def test_no_script_and_no_style_of_its_own(sandbox: Browser) -> None:
    page = await sandbox.get("/")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "<style" not in page.text and "onclick" not in page.text and "style=" not in page.text
