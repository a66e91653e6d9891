"""Signing in through an OpenID Provider, and who one is then: B11, B12, A30 of ../shared/facts/security.md 1.5."""

import httpx
import pytest

from service.auth import identities as rules
from service.store.engine import Store
from service.web.signin import WORDS
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import Forms, shown, text_of
from tests.service.web.county import practitioner, put
from tests.service.web.openid_provider import CLIENT_ID, ISSUER, FakeProvider
from tests.service.web.visiting import CALLBACK, SECRET, Visitor, reasons, register_provider, role, sessions

POSTGRESQL_IN_DEEP = True


async def test_b11_a_person_signs_in_and_out(visitor: Visitor, store: Store) -> None:
    page = await visitor.get("/login?next=%2Flogin%3Fa%3Db")
    assert "Made-up Care sign-in" in text_of(page) and "/login/p1?next=" in page.text
    done = await visitor.through()
    assert (done.status_code, done.headers["location"]) == (303, "/")
    given = next(c for c in done.headers.get_list("set-cookie") if c.startswith("enlace="))
    assert "HttpOnly" in given and "SameSite=lax" in given
    inbox = await visitor.get("/")
    assert "Ana Quispe" in text_of(inbox) and shown(inbox) == ["a-1"]
    rows = await store.fetch("SELECT actor, organization, outcome FROM audit WHERE kind = 'login'")
    assert rows == [("Practitioner/ana", "Organization/ecm-1", 0)]
    cookie = visitor.cookies["enlace"]
    out = await visitor.press(inbox, "Sign out")
    assert out.status_code == 200 and f"{ISSUER}/leave?ui=plain&amp;client_id={CLIENT_ID}" in out.text
    visitor.cookies.set("enlace", cookie, domain="enlace.test")
    assert "Ana Quispe" not in text_of(await visitor.get("/inbox/list")) and await sessions(store) == 0


async def test_nothing_of_the_protocol_is_kept(visitor: Visitor, store: Store) -> None:
    """Neither secret, state, nonce, verifier nor token stands in the database."""
    address = await visitor.to_provider()
    rows = await store.fetch("SELECT payload FROM login_attempt")
    asked = dict(httpx.URL(address).params)
    assert all(asked[name] not in rows[0][0] for name in ("state", "nonce", "code_challenge"))
    secret = (await store.fetch("SELECT client_secret FROM identity_provider"))[0][0]
    assert SECRET.encode() not in bytes(secret)
    await visitor.back(address)
    assert await store.fetch("SELECT payload FROM login_attempt") == []


async def test_b11_cookies_over_https(store: Store, provider: FakeProvider) -> None:
    async with Visitor(store, provider, "https://enlace.test", public_url="https://enlace.test") as browser:
        answer = await browser.get("/login/p1")
        begun = answer.headers["set-cookie"]
        assert begun.startswith("__Host-enlace-login=")
        assert all(word in begun for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=600"))
        done = await browser.back(answer.headers["location"])
        given = done.headers.get_list("set-cookie")
        assert any(one.startswith("__Host-enlace=") and "Secure" in one for one in given)
        assert any(one.startswith('__Host-enlace-login=""') for one in given)


async def test_b11_fixation(visitor: Visitor, store: Store) -> None:
    """A planted cookie is not what the session is known by; who signs in anew ends the former session."""
    visitor.cookies.set("enlace", "A" * 43, domain="enlace.test")
    await visitor.through()
    first = visitor.cookies["enlace"]
    assert first != "A" * 43
    await visitor.through()
    assert visitor.cookies["enlace"] != first and await sessions(store) == 1


async def test_a30_who_is_not_known_gets_one_answer(visitor: Visitor, store: Store) -> None:
    """Unknown, ended, without a role: nobody can tell which. Their number at the provider is told, nothing of ours."""
    provider = visitor.provider
    registered = await rules.named(store, "p1")
    await rules.bind(store, registered, "ben", "Practitioner/ben")
    await rules.bind(store, registered, "gone", "Practitioner/ana")
    await rules.remove(store, registered, "gone")
    pages = []
    for subject in ("nobody", "ben", "gone", "<script>x"):
        provider.subject = subject
        answer = await visitor.through()
        assert answer.status_code == 403 and WORDS["unknown"] in text_of(answer) and "<script>" not in answer.text
        pages.append(text_of(answer).replace(subject, "?"))
    assert len(set(pages)) == 1 and await sessions(store) == 0
    assert await reasons(store) == ["account", "no-role", "account", "account"]


EVIL = ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)"]
EVIL += ["/ok\r\nSet-Cookie: a=b", "/" + "a" * 4096, "", "evil.example"]


async def test_no_open_redirect(visitor: Visitor) -> None:
    ours = "/auth/authorize?a=b&c=d%20e"
    for asked in (ours, *EVIL):
        to = ours if asked == ours else "/"
        address = await visitor.get("/login/p1", params={"next": asked})
        assert (await visitor.back(address.headers["location"])).headers["location"] == to, asked
        if len(asked) < 4096:
            signed = await visitor.press(await visitor.get("/login"), "Sign in as Ana", next=asked)
            assert signed.headers["location"] == to, asked


async def test_b12_two_organizations_are_a_choice(visitor: Visitor, store: Store) -> None:
    """Never both at once; the choice is a form of this browser, used once."""
    await put(store, {"resourceType": "Organization", "id": "branch", "partOf": {"reference": "Organization/ecm-1"}})
    await put(store, role("r-branch", "ana", "branch"))
    chosen = await visitor.through("/login/p1?next=/inbox/list")
    assert chosen.headers["location"] == "/login/organization" and await sessions(store) == 0
    page = await visitor.get("/login/organization")
    assert [form[2] for form in Forms(page.text).found] == ["Organization/branch", "Made-up Care Collective"]
    cookie = visitor.cookies["enlace-login"]
    assert (await visitor.press(page, "Made-up", csrf="x")).status_code == 403
    done = await visitor.press(page, "Made-up")
    assert (done.status_code, done.headers["location"]) == (303, "/inbox/list")
    rows = await store.fetch("SELECT organization, role, person FROM login_session")
    assert rows == [("Organization/ecm-1", "lcm", "Practitioner/ana")]
    visitor.cookies.set("enlace-login", cookie, domain="enlace.test")
    assert (await visitor.press(page, "Organization/branch")).status_code == 403
    assert await sessions(store) == 1


@pytest.mark.parametrize("acting", ["Organization/steps lcm", "Organization/ecm-1 admin", ""])
async def test_b12_only_what_is_offered_can_be_chosen(visitor: Visitor, store: Store, acting: str) -> None:
    await put(store, {"resourceType": "Organization", "id": "branch", "partOf": {"reference": "Organization/ecm-1"}})
    await put(store, role("r-branch", "ana", "branch"))
    await visitor.through()
    answer = await visitor.press(await visitor.get("/login/organization"), "Made-up", acting=acting)
    assert answer.status_code == 403 and await sessions(store) == 0


async def test_the_choice_needs_its_browser(visitor: Visitor) -> None:
    assert WORDS["state"] in text_of(await visitor.get("/login/organization"))
    assert (await visitor.post("/login/organization", data={"csrf": "x"})).status_code == 403


async def test_a_sign_in_on_its_way_is_no_choice(visitor: Visitor) -> None:
    """Nor the other way round: each step takes its own kind only."""
    state = dict(httpx.URL(await visitor.to_provider()).params)["state"]
    cookie = visitor.cookies["enlace-login"]
    visitor.cookies.set("enlace-login", f"{state}.{cookie}", domain="enlace.test")
    answer = await visitor.get("/login/organization")
    assert answer.status_code == 403 and WORDS["state"] in text_of(answer)


async def test_rights_that_end_act_on_the_next_request(visitor: Visitor, store: Store, clock: FrozenClock) -> None:
    await visitor.through()
    assert shown(await visitor.get("/")) == ["a-1"]
    ended = role("r-ana", "ana", "ecm-1", period={"end": "2020-01-01"})
    await put(store, ended, expect=1)
    assert "Ana Quispe" not in (await visitor.get("/inbox/list")).text
    await put(store, role("r-ana", "ana", "ecm-1"), expect=2)
    assert (await visitor.get("/inbox/list")).status_code == 200
    await rules.disable(store, await rules.named(store, "p1"))
    assert (await visitor.get("/inbox/list")).status_code == 401
    assert (await visitor.get("/login/p1")).status_code == 404


async def test_a30_too_many_tries(visitor: Visitor) -> None:
    statuses = [(await visitor.get(f"{CALLBACK}?state=x")).status_code for _ in range(121)]
    assert statuses == [403] * 120 + [429]


async def test_an_unknown_provider_is_no_address(visitor: Visitor) -> None:
    assert (await visitor.get("/login/p2")).status_code == 404


async def test_staff_of_a_community_organization_see_no_alerts(visitor: Visitor, store: Store) -> None:
    """The role follows from the code, within what the operator gave the provider; the pages do not fail for it."""
    await put(store, {"resourceType": "Organization", "id": "steps", "name": "Made-up Steps"})
    await put(store, practitioner("cleo", "Cleo", "Ramos"))
    await put(store, role("r-steps", "cleo", "steps", "cbo-staff"), role("r-more", "cleo", "steps", "ecm-director"))
    await register_provider(store, "steps", SECRET, name="Steps", organization="Organization/steps", roles=["cbo"])
    await rules.bind(store, await rules.named(store, "steps"), "cleo", "Practitioner/cleo")
    visitor.provider.subject = "cleo"
    assert (await visitor.through("/login/steps")).headers["location"] == "/"
    page = await visitor.get("/")
    assert page.status_code == 200 and "Cleo Ramos" in text_of(page) and shown(page) == []
    assert await store.fetch("SELECT role FROM login_session") == [("cbo",)]
