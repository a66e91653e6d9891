"""The token endpoint over HTTP: checks T1-T5, T12, T13 and T21-T23 of ../shared/facts/security.md 1.1."""

import base64
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from service.auth import registration
from service.auth.backend_services import ASSERTION_TYPE, AuthServer
from service.auth.bearer import authenticate
from service.auth.key_sets import Fetched, KeySets
from service.clock import SystemClock
from service.store import credentials
from service.store.body import with_hole
from service.store.change import Change, Statement, Write
from service.store.engine import Store, open_store
from tests.service.api.smart.oauth import BASE, app_of, audit, check_refused, client_of, form, register
from tests.service.auth.smart_client import CLIENT, TOKEN_URL, claims, ec_key, header, jwt, key_set, rsa_key

POSTGRESQL_IN_DEEP = True
JWKS_URL = "https://ehr.example.org/jwks.json"


async def refused(
    http: httpx.AsyncClient, store: Store, status: int, error: str, reason: str, **changes: str | None
) -> None:
    check_refused(await http.post("/auth/token", data=form(store.clock.now_us(), **changes)), status, error)
    assert (await audit(store))[-1][::5] == (4, reason)
    assert await store.fetch("SELECT 1 FROM token") == []


async def test_t23_success(http: httpx.AsyncClient, store: Store) -> None:
    answer = await http.post("/auth/token", data=form(store.clock.now_us()))
    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    body = answer.json()
    token = body.pop("access_token")
    assert body == {"token_type": "bearer", "expires_in": 300, "scope": "system/Task.rs"}
    caller = await authenticate(store, f"Bearer {token}", store.clock.now_us())
    assert caller.client_id == CLIENT and caller.allows("r", "Task") and not caller.allows("c", "Task")


async def test_t1_only_post(http: httpx.AsyncClient, store: Store) -> None:
    for method in ("GET", "PUT", "DELETE", "HEAD", "PATCH"):
        assert (await http.request(method, "/auth/token")).status_code == 405


T1_ONLY_FORMS = ["application/json", "multipart/form-data; boundary=x", "text/plain", ""]


async def test_t1_only_forms(http: httpx.AsyncClient, store: Store) -> None:
    body = urlencode(form(store.clock.now_us()))
    for media_type in T1_ONLY_FORMS:
        answer = await http.post("/auth/token", content=body, headers={"Content-Type": media_type})
        check_refused(answer, 415, "invalid_request")
    good = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    assert (await http.post("/auth/token", content=body, headers=good)).status_code == 200


async def test_t1_no_compressed_body(http: httpx.AsyncClient, store: Store) -> None:
    answer = await http.post("/auth/token", data=form(store.clock.now_us()), headers={"Content-Encoding": "gzip"})
    check_refused(answer, 415, "invalid_request")


async def test_t1_size(http: httpx.AsyncClient, store: Store) -> None:
    body = urlencode(form(store.clock.now_us())) + "&x="
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    over = body + "x" * (16_385 - len(body))
    check_refused(await http.post("/auth/token", content=over, headers=headers), 413, "invalid_request")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    check_refused(await http.post("/auth/token", content=chunks(), headers=headers), 413, "invalid_request")
    assert (await http.post("/auth/token", content=over[:-1], headers=headers)).status_code == 200


async def test_t2_no_parameter_twice_and_none_in_the_url(http: httpx.AsyncClient, store: Store) -> None:
    now = store.clock.now_us()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for name in form(now):
        body = urlencode([*form(now).items(), (name, "x")])
        check_refused(await http.post("/auth/token", content=body, headers=headers), 400, "invalid_request")
    for query in ("scope=system/Task.rs", "grant_type=client_credentials", "x"):
        check_refused(await http.post("/auth/token?" + query, data=form(now)), 400, "invalid_request")
    assert (await http.post("/auth/token", data=form(now))).status_code == 200


T2_NO_STRANGE_FORMS = [b"\xff=1", b"a=%ff", b"a", b"&".join(b"a%d=1" % n for n in range(60)), b"a=1&&b"]


async def test_t2_no_strange_forms(http: httpx.AsyncClient, store: Store) -> None:
    for body in T2_NO_STRANGE_FORMS:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        check_refused(await http.post("/auth/token", content=body, headers=headers), 400, "invalid_request")


T3_GRANT_TYPE = ["", "password", "implicit", "CLIENT_CREDENTIALS"]


async def test_t3_grant_type(http: httpx.AsyncClient, store: Store) -> None:
    for grant in T3_GRANT_TYPE:
        await refused(http, store, 400, "unsupported_grant_type", "grant-type", grant_type=grant)


async def test_t3_an_app_is_not_registered_for_client_credentials(http: httpx.AsyncClient, store: Store) -> None:
    uris = ("https://app.example.org/callback",)
    facts = {"kind": "confidential", "redirect_uris": uris, "role": "", "scope": "user/Task.rs"}
    await register(store, "app-1", **facts)
    text = jwt(header(), claims(store.clock.now_us(), iss="app-1", sub="app-1"))
    await refused(http, store, 400, "unauthorized_client", "kind", assertion=text)


async def test_t3_grant_type_is_required(http: httpx.AsyncClient, store: Store) -> None:
    await refused(http, store, 400, "invalid_request", "grant-type-missing", grant_type=None)


T4_ASSERTION_TYPE: list[dict[str, str | None]] = [
    {"client_assertion_type": None},
    {"client_assertion_type": ""},
    {"client_assertion_type": ASSERTION_TYPE.upper()},
    {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
    {"client_assertion": None},
    {"client_assertion": ""},
    {"client_assertion": None, "client_assertion_type": None, "client_id": CLIENT, "client_secret": "x"},
]


async def test_t4_assertion_type(http: httpx.AsyncClient, store: Store) -> None:
    for changes in T4_ASSERTION_TYPE:
        facts: dict[str, str | None] = {**form(store.clock.now_us()), **changes}
        answer = await http.post("/auth/token", data={k: v for k, v in facts.items() if v is not None})
        check_refused(answer, 401, "invalid_client")


async def test_t5_one_mechanism(http: httpx.AsyncClient, store: Store) -> None:
    now = store.clock.now_us()
    basic = {"Authorization": "Basic " + base64.b64encode(b"client-1:x").decode()}
    check_refused(await http.post("/auth/token", data=form(now), headers=basic), 400, "invalid_request")
    check_refused(await http.post("/auth/token", data=form(now, client_secret="")), 400, "invalid_request")


async def test_t12_the_client_is_known_and_the_one_named(http: httpx.AsyncClient, store: Store) -> None:
    now = store.clock.now_us()
    for name in ("client-2", "", "a b", "x" * 65, "nul\u0000", "' OR 1=1 --", "\u00e9", "Client-1"):
        text = jwt(header(), claims(now, iss=name, sub=name))
        check_refused(await http.post("/auth/token", data=form(now, text)), 401, "invalid_client")
    await refused(http, store, 401, "invalid_client", "client-id-differs", client_id="client-2")
    assert (await http.post("/auth/token", data=form(now, client_id=CLIENT))).status_code == 200


async def test_t12_t22_an_ended_client_gets_nothing(http: httpx.AsyncClient, store: Store) -> None:
    await store.commit(Change(statements=[credentials.deactivate_client(CLIENT)]))
    await refused(http, store, 401, "invalid_client", "client-inactive")


async def test_t22_a_suspended_client_gets_nothing_until_it_is_resumed(http: httpx.AsyncClient, store: Store) -> None:
    client = await credentials.client_by_id(store, CLIENT)
    assert client is not None
    await registration.suspend(store, client)
    await refused(http, store, 401, "invalid_client", "client-inactive")
    await registration.resume(store, client)
    assert (await http.post("/auth/token", data=form(store.clock.now_us()))).status_code == 200


@pytest.mark.parametrize("ended", ["inactive", "deleted"])
async def test_t22_the_organization_is_active(http: httpx.AsyncClient, store: Store, ended: str) -> None:
    now = store.clock.now_us()
    body: dict[str, Any] = {"resourceType": "Organization", "id": "ecm-1", "active": True}
    await store.commit(Change(writes=[Write("Organization", "ecm-1", 0, body, with_hole(body))]))
    assert (await http.post("/auth/token", data=form(now))).status_code == 200
    await store.commit(Change(statements=[Statement("DELETE FROM token WHERE client_id = ?", (CLIENT,))]))
    off = body | {"active": False}
    gone = (off, with_hole(off)) if ended == "inactive" else (None,)
    await store.commit(Change(writes=[Write("Organization", "ecm-1", 1, *gone)]))
    text = jwt(header(), claims(now, jti="jti-2"))
    await refused(http, store, 401, "invalid_client", "organization-inactive", assertion=text)


async def test_t13_keys_behind_a_registered_url_and_never_behind_jku(store: Store) -> None:
    asked: list[str] = []

    async def fetch(url: str) -> Fetched:
        asked.append(url)
        if url != JWKS_URL:
            raise AssertionError("a URL of the token was fetched")
        return Fetched({"keys": key_set()})

    await register(store, "by-url", jwks=None, jwks_url=JWKS_URL)
    now = store.clock.now_us()

    def text(jti: str, **head: str) -> str:
        return jwt(header(**head), claims(now, iss="by-url", sub="by-url", jti=jti))

    async with client_of(AuthServer(store, BASE, key_sets=KeySets(fetch))) as http:
        evil = await http.post("/auth/token", data=form(now, text("1", jku="https://evil.example.org/jwks.json")))
        check_refused(evil, 401, "invalid_client")
        assert asked == []
        assert (await http.post("/auth/token", data=form(now, text("2")))).status_code == 200
        assert (await http.post("/auth/token", data=form(now, text("3", jku=JWKS_URL)))).status_code == 200
        assert asked == [JWKS_URL]


async def test_t13_a_failed_fetch_is_401(store: Store) -> None:
    async def fetch(_url: str) -> Fetched:
        raise OSError("no route")

    await register(store, "by-url", jwks=None, jwks_url=JWKS_URL)
    text = jwt(header(), claims(store.clock.now_us(), iss="by-url", sub="by-url"))
    async with client_of(AuthServer(store, BASE, key_sets=KeySets(fetch))) as http:
        await refused(http, store, 401, "invalid_client", "keys-fetch", assertion=text)


async def test_every_authentication_failure_looks_alike(http: httpx.AsyncClient, store: Store) -> None:
    now = store.clock.now_us()
    good = jwt(header(), claims(now))
    assert (await http.post("/auth/token", data=form(now, good))).status_code == 200
    texts = [
        good,
        "x",
        jwt(header(), claims(now), rsa_key(2048, 1)),
        jwt(header(kid="nobody"), claims(now)),
        jwt(header(), claims(now, iss="nobody", sub="nobody")),
        jwt(header(), claims(now, exp=1)),
        jwt(header(), claims(now, aud=BASE)),
    ]
    answers = [await http.post("/auth/token", data=form(now, text)) for text in texts]
    for answer in answers:
        check_refused(answer, 401, "invalid_client")
    assert len({answer.content for answer in answers}) == 1
    reasons = [row[-1] for row in await audit(store)]
    assert reasons == ["", "replay", "malformed-parts", "signature", "kid-unknown", "client-unknown", "exp-past", "aud"]


async def test_t17_the_host_header_does_not_make_the_audience(http: httpx.AsyncClient, store: Store) -> None:
    now = store.clock.now_us()
    text = jwt(header(), claims(now, aud="https://evil.example.org/auth/token"))
    headers = {"Host": "evil.example.org", "X-Forwarded-Host": "evil.example.org"}
    check_refused(await http.post("/auth/token", data=form(now, text), headers=headers), 401, "invalid_client")


T21_SCOPE_REFUSED = [
    None,
    "",
    " ",
    "openid",
    "system/Task.dus",
    "system/Goal.rs",
    "system/Patient.c",
    "user/Task.rs",
    "patient/Task.rs",
    "system/Task.rs?status:not=requested",
    "system/Task.rs system/Task.rs?owner.name=x",
    "system/Goal.rs?category=x",
    "system/Task.rs " + "x" * 4096,
]


async def test_t21_scope_refused(http: httpx.AsyncClient, store: Store) -> None:
    for number, scope in enumerate(T21_SCOPE_REFUSED):
        text = jwt(header(), claims(store.clock.now_us(), jti=f"j{number}"))
        await refused(http, store, 400, "invalid_scope", "scope", assertion=text, scope=scope)
        again = await http.post("/auth/token", data=form(store.clock.now_us(), text))
        check_refused(again, 401, "invalid_client")  # the assertion was good, and is used up


T21_SCOPE_GRANTED = [
    ("system/*.cruds", "system/Task.cruds system/Patient.rs"),
    ("system/*.read", "system/Task.read system/Patient.read"),
    ("system/Patient.cruds system/Goal.rs openid", "system/Patient.rs"),
    ("system/Task.*  system/Patient.read", "system/Task.* system/Patient.read"),
    ("system/Task.rs?status=requested", "system/Task.rs?status=requested"),
]


async def test_t21_scope_granted(http: httpx.AsyncClient, store: Store) -> None:
    for number, (scope, granted) in enumerate(T21_SCOPE_GRANTED):
        text = jwt(header(), claims(store.clock.now_us(), jti=f"j{number}"))
        answer = await http.post("/auth/token", data=form(store.clock.now_us(), text, scope=scope))
        assert answer.json()["scope"] == granted


async def test_authlib_as_an_independent_client(database_url: str) -> None:
    """Authlib's private_key_jwt over the same transport, with both algorithms."""
    from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
    from authlib.oauth2.rfc7523 import PrivateKeyJWT  # type: ignore[import-untyped]
    from joserfc.jwk import ECKey, RSAKey

    store = await open_store(database_url, SystemClock())
    await register(store, CLIENT)
    transport = httpx.ASGITransport(app=app_of(AuthServer(store, BASE)))
    keys: list[tuple[str, str, Any]] = [
        ("RS384", "rsa-1", RSAKey.import_key(_pem(rsa_key()))),
        ("ES384", "ec-1", ECKey.import_key(_pem(ec_key()))),
    ]
    for alg, kid, key in keys:
        method = PrivateKeyJWT(
            TOKEN_URL, claims={"exp": int(time.time()) + 240}, headers={"kid": kid, "typ": "JWT"}, alg=alg
        )
        async with AsyncOAuth2Client(
            CLIENT, key, token_endpoint_auth_method=method, scope="system/Task.rs", transport=transport
        ) as client:
            token = await client.fetch_token(TOKEN_URL, grant_type="client_credentials")
            assert (token["token_type"], token["scope"]) == ("bearer", "system/Task.rs")
            assert await authenticate(store, f"Bearer {token['access_token']}", store.clock.now_us())
    await store.close()


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
