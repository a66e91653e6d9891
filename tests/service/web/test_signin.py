"""Signing in through an OpenID Provider that may lie: B11, B12, A30 of ../shared/facts/security.md 1.5 and 5."""

import json
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from service.auth import identities as rules
from service.auth.identities import new_provider
from service.auth.openid import RelyingParty
from service.auth.openid_metadata import BadProvider, check_issuer
from service.egress import Answer, EgressFailed
from service.store.engine import Store
from service.web.signin import WORDS
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import BASE, Browser, Forms, shown, text_of
from tests.service.web.county import SECOND, practitioner, put, settings
from tests.service.web.openid_provider import CLIENT_ID, EC, ISSUER, KEYS, TOO_LARGE, FakeProvider, b64

POSTGRESQL_IN_DEEP = True
AT_HASH = b64(sha256(b"opaque").digest()[:16])
ROLE = "https://enlace.example.org/fhir/CodeSystem/team-role"
KEY = b"k" * 64
SECRET = "s3:c+r%t"
CALLBACK = "/login/callback/ecm-1"
with warnings.catch_warnings():  # the library warns of what it makes here
    warnings.simplefilter("ignore")
    SHORT = RSAKey.generate_key(1024, {"kid": "s"})


def role(fhir_id: str, person: str, organization: str, code: str = "lead-care-manager", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "PractitionerRole",
        "id": fhir_id,
        "active": True,
        "practitioner": {"reference": f"Practitioner/{person}"},
        "organization": {"reference": f"Organization/{organization}"},
        "code": [{"coding": [{"system": ROLE, "code": code}]}],
        **more,
    }


@pytest.fixture
async def provider(store: Store, clock: FrozenClock) -> FakeProvider:
    """Registered for Organization/ecm-1 and known to Ana, who is its lead care manager."""
    await register_provider(store, "p1", secret=SECRET)
    await put(store, role("r-ana", "ana", "ecm-1"))
    await rules.bind(store, await rules.named(store, "p1"), "ana-at-work", "Practitioner/ana")
    return FakeProvider(clock, secret=SECRET)


async def register_provider(store: Store, provider_id: str, secret: str | None = None, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "name": "Made-up Care sign-in",
        "issuer": ISSUER,
        "organization": "Organization/ecm-1",
        "client_id": CLIENT_ID,
        "roles": ["lcm"],
        "key": KEY,
        "now_us": store.clock.now_us(),
        "client_secret": secret,
    }
    await rules.add_provider(store, new_provider(provider_id, **facts | changes))


class Visitor(Browser):
    """A browser before our pages, whose way to the provider is the fake one."""

    def __init__(self, store: Store, provider: FakeProvider, base: str = BASE, **changes: Any):
        super().__init__(store, settings(**changes), base)
        self.app.state.enlace.page_key = KEY
        self.provider = provider
        self.app.state.relying_party = RelyingParty(provider, KEY, base)

    def becomes(self, **facts: Any) -> None:
        """The same provider, with these lies and no others."""
        self.provider = replace(FakeProvider(self.provider.clock, secret=self.provider.secret), **facts)
        self.app.state.relying_party.outbound = self.provider

    async def to_provider(self, path: str = "/login/p1") -> str:
        answer = await self.get(path)
        assert answer.status_code == 303, text_of(answer)
        return answer.headers["location"]

    async def back(self, address: str, **changes: str | None) -> httpx.Response:
        [to] = parse_qs(urlsplit(address).query)["redirect_uri"]
        return await self.get(urlsplit(to).path, params=self.provider.sign_in(address, **changes))

    async def through(self, path: str = "/login/p1") -> httpx.Response:
        return await self.back(await self.to_provider(path))


@pytest.fixture
async def visitor(store: Store, provider: FakeProvider) -> AsyncIterator[Visitor]:
    async with Visitor(store, provider) as browser:
        yield browser


async def reasons(store: Store) -> list[str]:
    rows = await store.fetch("SELECT reason FROM audit WHERE kind = 'login' AND outcome = 4 ORDER BY slot, seq")
    return [row[0] for row in rows]


async def sessions(store: Store) -> int:
    return int((await store.fetch("SELECT COUNT(*) FROM login_session"))[0][0])


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


LIES: dict[str, dict[str, Any]] = {
    "wrong nonce": {"claims": {"nonce": "n" * 43}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "another"}},
    "two audiences without azp": {"claims": {"aud": [CLIENT_ID, "another"]}},
    "azp is another": {"claims": {"aud": [CLIENT_ID, "another"], "azp": "another"}},
    "expired": {"claims": {"exp": 1}},
    "exp is text": {"claims": {"exp": "soon"}},
    "exp is true": {"claims": {"exp": True}},
    "no iat": {"claims": {"iat": None}},
    "made long ago": {"claims": {"iat": 1}},
    "made tomorrow": {"claims": {"iat": 4_000_000_000}},
    "foreign issuer": {"claims": {"iss": "https://login.evil.example"}},
    "no subject": {"claims": {"sub": None}},
    "empty subject": {"claims": {"sub": ""}},
    "subject is a number": {"claims": {"sub": 7}},
    "at_hash of another token": {"claims": {"at_hash": "AAAA"}},
    "alg none": {"header": {"alg": "none"}},
    "the public key as a secret": {"header": {"alg": "HS256"}},
    "another key under the same kid": {"key": RSAKey.generate_key(2048, {"kid": "k1"})},
    "unknown kid": {"key": KEYS["other"]},
    "a short key": {"key": SHORT, "keys": [SHORT]},
    "no kid and two keys": {"header": {"kid": None}, "keys": list(KEYS.values())},
    "no token": {"id_token": ""},
    "no JWT": {"id_token": "a.b"},
    "a long token": {"id_token": f"{'a' * 9000}.b.c"},
}


TRUE: list[dict[str, Any]] = [
    {"header": {"kid": None}},
    {"key": EC, "keys": [EC, KEYS["rsa"]], "header": {"alg": "ES256"}},
    {"header": {"alg": "PS256"}},
    {"claims": {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}},
    {"claims": {"at_hash": AT_HASH}},
]


async def test_a_lying_id_token_opens_nothing(visitor: Visitor, store: Store) -> None:
    for lie, facts in LIES.items():
        visitor.becomes(**facts)
        answer = await visitor.through()
        assert (lie, answer.status_code) == (lie, 403) and WORDS["answer"] in text_of(answer)
        assert not any(c.startswith("enlace=") for c in answer.headers.get_list("set-cookie")), lie
    assert await sessions(store) == 0
    told = await reasons(store)
    assert len(told) == len(LIES) and all(reason.startswith("id-token-") for reason in told), told


async def test_what_a_provider_may_do(visitor: Visitor) -> None:
    for facts in TRUE:
        visitor.becomes(**facts)
        assert (await visitor.through()).headers.get("location") == "/", facts


async def test_keys_that_rotate(visitor: Visitor) -> None:
    assert (await visitor.through()).status_code == 303
    visitor.provider.key, visitor.provider.keys = KEYS["other"], [KEYS["other"], KEYS["rsa"]]
    assert (await visitor.through()).status_code == 303
    visitor.provider.key, visitor.provider.keys = KEYS["rsa"], [KEYS["other"]]
    assert (await visitor.through()).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "A" * 43},
        {"state": None},
        {"state": "é"},
        {"iss": "https://login.evil.example", "reason": "iss-parameter"},
        {"iss": None, "reason": "iss-parameter"},
        {"code": "stolen", "reason": "code"},
        {"code": None, "reason": "code"},
        {"code": "c" * 5000, "reason": "code"},
        {"error": "access_denied", "reason": "denied"},
    ],
)
async def test_an_answer_that_does_not_fit(visitor: Visitor, store: Store, changes: dict[str, Any]) -> None:
    """The mix-up of providers is refused before any code leaves."""
    reason = changes.pop("reason", "state")
    address = await visitor.to_provider()
    sent = len(visitor.provider.sent)
    answer = await visitor.back(address, **changes)
    assert answer.status_code == 403 and await sessions(store) == 0
    assert await reasons(store) == [reason]
    if changes != {"code": "stolen"}:
        assert visitor.provider.sent[sent:] == []


async def test_a_state_is_used_once(visitor: Visitor, store: Store) -> None:
    address = await visitor.to_provider()
    answer = visitor.provider.sign_in(address)
    cookie = visitor.cookies["enlace-login"]
    assert (await visitor.get(CALLBACK, params=answer)).status_code == 303
    visitor.cookies.set("enlace-login", cookie, domain="enlace.test")
    again = await visitor.get(CALLBACK, params=answer)
    assert again.status_code == 403 and WORDS["state"] in text_of(again)
    assert await sessions(store) == 1


async def test_a_state_of_another_browser(visitor: Visitor, store: Store, provider: FakeProvider) -> None:
    """Login CSRF: the thief's own answer, put before the victim, signs nobody in."""
    async with Visitor(store, provider) as thief:
        address = await thief.to_provider()
        answer = provider.sign_in(address)
        await visitor.to_provider()
        for browser, status in ((visitor, 403), (thief, 303)):
            given = await browser.get(CALLBACK, params=answer)
            assert given.status_code == status
    assert await sessions(store) == 1


async def test_a_code_of_another_provider_is_handed_to_nobody(visitor: Visitor, store: Store) -> None:
    """Mix-up: p1 leads the browser on to the provider of another organization, whose answer comes back to that
    organization's address, with the state of p1 and without `iss`. The code in it would open the person's session."""
    await register_provider(store, "p2", name="Another", organization="Organization/ecm-2")
    answer = visitor.provider.sign_in(await visitor.to_provider(), iss=None)
    sent = len(visitor.provider.sent)
    mixed = await visitor.get("/login/callback/ecm-2", params=answer)
    assert mixed.status_code == 403 and WORDS["state"] in text_of(mixed)
    assert ("POST", "/token") not in visitor.provider.sent[sent:]
    assert (await visitor.get(CALLBACK, params=answer)).status_code == 403, "and it is used up"
    assert "callback%2Fecm-2" in await visitor.to_provider("/login/p2")


async def test_a_sign_in_takes_ten_minutes_at_most(visitor: Visitor, clock: FrozenClock) -> None:
    address = await visitor.to_provider()
    clock.advance(600 * SECOND)
    assert WORDS["state"] in text_of(await visitor.back(address))


async def test_one_answer_with_two_states(visitor: Visitor) -> None:
    given = visitor.provider.sign_in(await visitor.to_provider())
    answer = await visitor.get(CALLBACK, params=[*given.items(), ("code", "another")])
    assert answer.status_code == 403 and WORDS["state"] in text_of(answer)


DOWN: dict[str, dict[str, Any]] = {
    "nobody there": {"answers": {"/.well-known/openid-configuration": EgressFailed("connect")}},
    "document too large": {"answers": {"/.well-known/openid-configuration": TOO_LARGE}},
    "no document": {"answers": {"/.well-known/openid-configuration": Answer(404, {}, b"")}},
    "a redirect": {"answers": {"/.well-known/openid-configuration": Answer(302, {"location": "http://x"}, b"")}},
    "no JSON": {"answers": {"/.well-known/openid-configuration": Answer(200, {}, b"[" * 9000)}},
    "another issuer": {"metadata": {"issuer": "https://login.evil.example"}},
    "inside our network": {"metadata": {"token_endpoint": "http://169.254.169.254/token"}},
    "keys over http": {"metadata": {"jwks_uri": "http://login.made-up.example/jwks"}},
    "plain PKCE": {"metadata": {"code_challenge_methods_supported": ["plain"]}},
    "no addresses": {"metadata": {"authorization_endpoint": None}},
}


@pytest.mark.parametrize("trouble", DOWN)
async def test_a_provider_that_cannot_be_used_is_a_page(visitor: Visitor, store: Store, trouble: str) -> None:
    for name, value in DOWN[trouble].items():
        setattr(visitor.provider, name, value)
    answer = await visitor.get("/login/p1")
    assert answer.status_code == 503 and WORDS["down"] in text_of(answer) and answer.headers["retry-after"] == "30"
    assert await store.fetch("SELECT hash FROM login_attempt") == []
    asked = len(visitor.provider.sent)
    await visitor.get("/login/p1")
    assert len(visitor.provider.sent) == asked  # a crowd at the door is no flood at the provider's


@pytest.mark.parametrize(
    ("path", "answer", "status"),
    [
        ("/token", EgressFailed("timeout"), 503),
        ("/token", TOO_LARGE, 503),
        ("/token", Answer(502, {}, b"<html>"), 503),
        ("/token", Answer(200, {}, b"<html>"), 403),
        ("/token", Answer(200, {}, b'{"id_token": 5}'), 403),
        ("/token", Answer(400, {}, b'{"error": "invalid_client"}'), 403),
        ("/jwks", EgressFailed("connect"), 503),
        ("/jwks", Answer(200, {}, b"{}"), 503),
        ("/jwks", Answer(200, {}, json.dumps({"keys": [KEYS["rsa"].as_dict(private=True)]}).encode()), 503),
    ],
)
async def test_a_provider_that_fails_on_the_way(
    visitor: Visitor, store: Store, path: str, answer: Answer | Exception, status: int
) -> None:
    visitor.provider.answers[path] = answer
    page = await visitor.through()
    assert page.status_code == status and await sessions(store) == 0
    assert "Traceback" not in page.text and "html>" not in text_of(page)


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


@pytest.mark.parametrize(
    ("issuer", "sandbox", "good"),
    [
        (ISSUER, False, True),
        (f"{ISSUER}/tenant/", False, True),
        ("http://127.0.0.1:9000", True, True),
        ("http://127.0.0.1:9000", False, False),
        ("http://127.0.0.1:9001", True, False),
        ("http://10.0.0.7:9000", True, False),
        ("http://login.made-up.example", True, False),
        ("https://user@login.made-up.example", True, False),
        (f"{ISSUER}?a=b", True, False),
        (f"{ISSUER}#a", True, False),
        ("https://10.0.0.7", True, False),
        ("", True, False),
    ],
)
def test_which_issuers_can_be_registered(issuer: str, sandbox: bool, good: bool) -> None:
    allow = ("127.0.0.1:9000", "10.0.0.7:9000")
    if good:
        assert check_issuer(issuer, allow, sandbox=sandbox) == issuer
    else:
        with pytest.raises(BadProvider, match="--issuer"):
            check_issuer(issuer, allow, sandbox=sandbox)


async def test_the_ways_to_authenticate_at_the_token_endpoint(visitor: Visitor, store: Store) -> None:
    """And no secret stays behind where the next provider would be sent it."""
    from authlib.oauth2.client import DEFAULT_HEADERS  # type: ignore[import-untyped]

    assert (await visitor.through()).status_code == 303
    assert visitor.provider.tokens[-1].startswith("Basic ")
    assert "Authorization" not in DEFAULT_HEADERS and "authorization" not in DEFAULT_HEADERS
    visitor.becomes(metadata={"token_endpoint_auth_methods_supported": ["client_secret_post"]}, secret=None)
    visitor.app.state.relying_party = RelyingParty(visitor.provider, KEY, BASE)
    assert (await visitor.through()).status_code == 303
    assert visitor.provider.tokens[-1] == "post"
    await register_provider(store, "public", name="Public")
    await rules.bind(store, await rules.named(store, "public"), "ana-at-work", "Practitioner/ana")
    assert (await visitor.through("/login/public")).status_code == 303
    assert visitor.provider.tokens[-1] == "none"


async def test_a_secret_that_cannot_be_opened(visitor: Visitor, store: Store) -> None:
    """Another key file than the one with which it was sealed."""
    visitor.app.state.relying_party.key = b"another" * 8
    page = await visitor.through()
    assert page.status_code == 503 and WORDS["down"] in text_of(page)


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
