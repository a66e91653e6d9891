"""Signing in and out over HTTP: B11, A28, A30 of ../shared/facts/security.md, on both engines."""

import pytest

from service.auth.login import IDLE_S
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import BASE, Browser, Forms, shown, text_of
from tests.service.web.county import SECOND, register, settings

POSTGRESQL_IN_DEEP = True


async def kinds(store: Store) -> list[tuple[str, int, str, str]]:
    rows = await store.fetch("SELECT kind, outcome, actor, reason FROM audit ORDER BY slot, seq")
    return [row for row in rows if row[0] in ("login", "logout", "refusal")]


async def test_the_sandbox_offers_its_lead_care_managers(ana: Browser) -> None:
    page = await ana.get("/")
    assert page.status_code == 200
    assert "Sign in as Ana Quispe Lead care manager, Made-up Care Collective" in text_of(page)
    assert [form[2] for form in Forms(page.text).found] == [
        "Sign in as Ana Quispe",
        "Sign in as Made-up Care Collective",
        "Sign in as Ben Okafor",
    ]


async def test_an_empty_sandbox_says_what_to_do(database_url: str, clock: FrozenClock) -> None:
    from service.store.engine import open_store

    opened = await open_store(database_url, clock)
    async with Browser(opened, settings()) as browser:
        assert "enlace seed" in text_of(await browser.get("/"))
    await opened.close()


async def test_signing_in_and_out_leaves_audit_rows(ana: Browser, store: Store) -> None:
    page = await ana.sign_in()
    assert "Ana Quispe" in text_of(page) and shown(page) == ["a-1"]
    cookie = ana.cookies["enlace"]
    out = await ana.press(page, "Sign out")
    assert out.status_code == 303 and out.headers["location"] == "/"
    assert "Sign in as" in text_of(await ana.get("/"))
    ana.cookies.set("enlace", cookie, domain="enlace.test")
    assert "Sign in as" in text_of(await ana.get("/"))
    assert await kinds(store) == [("login", 0, "Practitioner/ana", ""), ("logout", 0, "Practitioner/ana", "")]


async def test_the_cookie_over_http(ana: Browser) -> None:
    answer = await ana.press(await ana.get("/"), "Sign in as Ana")
    given = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("enlace="))
    assert "HttpOnly" in given and "SameSite=lax" in given and "Path=/" in given
    assert "Secure" not in given and "Domain" not in given


async def test_the_cookie_over_https(store: Store) -> None:
    async with Browser(store, settings(public_url="https://enlace.test"), "https://enlace.test") as browser:
        answer = await browser.press(await browser.get("/"), "Sign in as Ana")
        given = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-enlace="))
        assert all(word in given for word in ("HttpOnly", "SameSite=lax", "Path=/", "Secure"))
        assert shown(await browser.get("/")) == ["a-1"]


async def test_fixation(ana: Browser, store: Store) -> None:
    """A cookie planted before sign-in is not what the session is known by, and the former session ends."""
    ana.cookies.set("enlace", "A" * 43, domain="enlace.test")
    await ana.sign_in()
    first = ana.cookies["enlace"]
    assert first != "A" * 43
    # Signing in again in the same browser, as from a page left open.
    async with Browser(store, settings()) as other:
        form = await other.get("/")
        other.cookies.set("enlace", first, domain="enlace.test")
        answer = await other.press(form, "Sign in as Ben")
        assert answer.status_code == 303
    assert "Sign in as" in text_of(await ana.get("/"))


async def test_production_has_no_sandbox_login(store: Store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    key = tmp_path / "key"
    key.write_bytes(b"k" * 64)
    key.chmod(0o600)
    async with Browser(store, settings(env="production", public_url="https://enlace.test", secret_key_file=key)) as web:
        page = await web.get("/")
        assert "identity provider is not set up" in text_of(page) and not Forms(page.text).found
        from service.auth.login import signin_token

        nonce = web.cookies.get("enlace-signin") or "n"
        web.cookies.set("enlace-signin", nonce, domain="enlace.test")
        fields = {"client": "ana", "csrf": signin_token(web.app.state.enlace.page_key, nonce)}
        answer = await web.post("/login", data=fields)
        assert answer.status_code == 403 and "through your organization" in text_of(answer)
        assert not any("enlace=" in c for c in answer.headers.get_list("set-cookie"))
    assert await kinds(store) == [("login", 4, "anonymous", "production")]


@pytest.mark.parametrize("client", ["ward", "operator", "nobody", ""])
async def test_whoever_has_no_pages_is_refused(ana: Browser, store: Store, client: str) -> None:
    """A hospital and the operator are no visitors; a lead care manager's client without a person is nobody."""
    await register(store, "ward", role="hospital")
    await register(store, "operator", role="admin")
    answer = await ana.press(await ana.get("/"), "Sign in as Ana", client=client)
    assert answer.status_code == 403 and "choose again" in text_of(answer)
    assert await kinds(store) == [("login", 4, "anonymous", "unknown")]


async def test_a_sign_in_that_the_page_did_not_send(ana: Browser, store: Store) -> None:
    page = await ana.get("/")
    assert (await ana.press(page, "Sign in as Ana", csrf="")).status_code == 403
    assert (await ana.press(page, "Sign in as Ana", csrf="é" * 64)).status_code == 403
    async with Browser(store, settings()) as thief:
        stolen = Forms((await thief.get("/")).text).found[0][1]
    refused = await ana.post("/login", data=stolen)
    assert refused.status_code == 403 and "no longer valid" in text_of(refused)
    ana.cookies.clear()
    assert (await ana.press(page, "Sign in as Ana")).status_code == 403
    assert "enlace" not in ana.cookies
    assert {row[3] for row in await kinds(store)} == {"csrf"}


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]
)
async def test_forms_from_elsewhere(ana: Browser, headers: dict[str, str]) -> None:
    page = await ana.sign_in()
    action, fields, _ = next(form for form in Forms(page.text).found if form[2].startswith("Acknowledge"))
    assert (await ana.post(action, data=fields, headers=headers)).status_code == 403
    assert (await ana.post(action, data=fields, headers={"Origin": BASE})).status_code == 303


async def test_other_bodies_are_refused_in_words(ana: Browser) -> None:
    await ana.sign_in()
    for body, kind, status in (
        (b"{}", "application/json", 415),
        (b"a" * 9000, "application/x-www-form-urlencoded", 413),
        (b"\xff=1", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=1" % n for n in range(30)), "application/x-www-form-urlencoded", 400),
    ):
        answer = await ana.post("/logout", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status and "reload the page" in text_of(answer)


async def test_too_many_tries(ana: Browser) -> None:
    page = await ana.get("/")
    statuses = [(await ana.press(page, "Sign in as Ana", client="nobody")).status_code for _ in range(31)]
    assert statuses == [403] * 30 + [429]


async def test_idle_sessions_end_and_the_page_asking_by_itself_keeps_none(ana: Browser, clock: FrozenClock) -> None:
    await ana.sign_in()
    step = IDLE_S["sandbox"] * SECOND // 2
    clock.advance(step)
    assert shown(await ana.get("/")) == ["a-1"]
    clock.advance(step)
    assert (await ana.get("/inbox/list")).status_code == 200
    assert shown(await ana.get("/?auto=1")) == ["a-1"]
    clock.advance(step)
    assert (await ana.get("/inbox/list")).status_code == 401
    assert "Sign in as" in text_of(await ana.get("/"))
