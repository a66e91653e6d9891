"""JWTs of an external issuer: what is good is let in, 40 and more forged ones are not; A2 of security.md 5."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes

from service.auth.issuer_file import CLAIMS, Issuer, read_issuer
from service.auth.key_sets import Fetched, KeySets
from service.auth.resource_server import MAX_LIFE_S, ResourceServer, standing
from service.caller import Caller, Role
from service.errors import FhirError
from service.main import build
from service.settings import Settings, SettingsError, load
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.auth.smart_client import ec_key, jwt, part, public_jwk, rsa_key
from tests.service.world import build_world, change_of, make

ISSUER = "https://idp.example.org/realms/ecm"
FHIR = "https://enlace.example.org/fhir"
FILE: dict[str, Any] = {
    "issuer": ISSUER,
    "jwks_url": f"{ISSUER}/certs",
    "token_endpoint": f"{ISSUER}/token",
    "authorization_endpoint": f"{ISSUER}/auth",
    "claims": {"organization": "org", "role": "enlace_role"},
    "organizations": {"valley-oak": "Organization/ecm-1"},
    "roles": {"care-manager": "lcm", "system": "ecm-provider"},
    "people": {"p-1": "Practitioner/lcm-1"},
}
POSTGRESQL_IN_DEEP = True
NOW_S = 1_800_000_000
NOW_US = NOW_S * 1_000_000
DOUBLE = ',"iss":"https://idp.example.org/realms/ecm"}'
SHA256, SHA384 = hashes.SHA256(), hashes.SHA384()
KEYS = [
    public_jwk(rsa_key(), "rsa-1", use="sig"),
    public_jwk(ec_key(), "ec-384"),
    public_jwk(ec_key("P-256"), "ec-256"),
    public_jwk(rsa_key(2048, 2), "enc-1", use="enc"),
    public_jwk(rsa_key(2048, 3), "twice"),
    public_jwk(rsa_key(2048, 4), "twice"),
]


def header(**changes: Any) -> dict[str, Any]:
    good = {"alg": "RS256", "kid": "rsa-1", "typ": "at+jwt"} | changes
    return {name: value for name, value in good.items() if value is not None}


def claims(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "iss": ISSUER,
        "aud": FHIR,
        "exp": NOW_S + 300,
        "iat": NOW_S,
        "client_id": "ehr-app",
        "org": "valley-oak",
        "enlace_role": "care-manager",
        "fhirUser": "p-1",
        "scope": "openid user/*.rs system/*.cruds",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(head: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt(head or header(), claims(**changes), rsa_key(), SHA256)


def server(keys: list[dict[str, Any]] | None = None) -> ResourceServer:
    async def fetch(url: str) -> Fetched:
        assert url == f"{ISSUER}/certs"
        return Fetched({"keys": KEYS if keys is None else keys})

    issuer = Issuer(**FILE | {"audience": FHIR, "claims": CLAIMS | FILE["claims"]})
    return ResourceServer(issuer, KeySets(fetch))


async def caller(token: str, now_us: int = NOW_US) -> Caller:
    return await server().caller(f"Bearer {token}", (), now_us)


async def test_a_good_token_is_mapped_by_the_table() -> None:
    found = await caller(signed())
    assert (found.client_id, found.role, found.organization) == ("ehr-app", Role.LCM, "Organization/ecm-1")
    assert (found.person, found.scopes, found.purpose) == ("Practitioner/lcm-1", "user/*.rs", "TREAT")
    assert found.allows("r", "Task") and not found.allows("c", "Task")


async def test_a_system_has_system_scopes_alone() -> None:
    found = await caller(signed(fhirUser=None, enlace_role="system", scope=["system/Task.rs", "user/*.cruds"]))
    assert (found.role, found.person, found.scopes) == (Role.ECM_PROVIDER, None, "system/Task.rs")


async def test_the_four_algorithms() -> None:
    body = claims()
    for alg, kid, key, digest in (
        ("RS256", "rsa-1", rsa_key(), SHA256),
        ("RS384", "rsa-1", rsa_key(), SHA384),
        ("ES256", "ec-256", ec_key("P-256"), SHA256),
        ("ES384", "ec-384", ec_key(), SHA384),
    ):
        assert (await caller(jwt(header(alg=alg, kid=kid), body, key, digest))).client_id == "ehr-app"


async def test_a_launch_patient_comes_with_or_without_its_type() -> None:
    for value in ("a", "Patient/a"):
        assert (await caller(signed(patient=value, scope="patient/*.rs"))).patient == "Patient/a"


def forged() -> dict[str, str]:
    """Tokens that must not be let in, by what is wrong with them."""
    good = signed()
    head, body, signature = good.split(".")
    secret = json.dumps(KEYS[0]).encode()
    other = rsa_key(2048, 9)
    bad_heads: dict[str, dict[str, Any]] = {
        "alg none": header(alg="none"),
        "alg None": header(alg="NONE"),
        "alg RS512": header(alg="RS512"),
        "alg PS256": header(alg="PS256"),
        "alg a list": header(alg=["RS256"]),
        "alg absent": header(alg=None),
        "typ absent": header(typ=None),
        "typ of another kind": header(typ="dpop+jwt"),
        "typ id token": header(typ="logout+jwt"),
        "kid absent": header(kid=None),
        "kid empty": header(kid=""),
        "kid unknown": header(kid="rsa-2"),
        "kid a number": header(kid=1),
        "kid twice in the set": header(kid="twice"),
        "kid of an encryption key": header(kid="enc-1"),
        "kid of another type of key": header(kid="ec-256"),
        "crit": header(crit=["exp"]),
        "jwk of its own": header(jwk=public_jwk(other, "rsa-1")),
        "jku of its own": header(jku="https://evil.test/keys"),
        "x5u": header(x5u="https://evil.test/cert"),
        "zip": header(zip="DEF"),
        "b64": header(b64=False),
    }
    bad_claims: dict[str, dict[str, Any]] = {
        "iss absent": {"iss": None},
        "iss with a slash more": {"iss": f"{ISSUER}/"},
        "iss another": {"iss": "https://evil.test"},
        "aud absent": {"aud": None},
        "aud another": {"aud": "https://other.example.org/fhir"},
        "aud with a slash more": {"aud": f"{FHIR}/"},
        "aud a prefix": {"aud": "https://enlace.example.org"},
        "aud two": {"aud": [FHIR, "https://other.example.org"]},
        "aud empty": {"aud": []},
        "exp absent": {"exp": None},
        "exp now": {"exp": NOW_S},
        "exp text": {"exp": str(NOW_S + 300)},
        "exp true": {"exp": True},
        "iat absent": {"iat": None},
        "iat ahead": {"iat": NOW_S + 31, "exp": NOW_S + 300},
        "lives too long": {"exp": NOW_S + MAX_LIFE_S + 1},
        "exp before iat": {"iat": NOW_S + 20, "exp": NOW_S + 10},
        "nbf ahead": {"nbf": NOW_S + 31},
        "nbf text": {"nbf": "now"},
        "client absent": {"client_id": None},
        "client of another shape": {"client_id": "a b"},
        "organization absent": {"org": None},
        "organization unknown": {"org": "Organization/ecm-1"},
        "organization a list": {"org": ["valley-oak"]},
        "role absent": {"enlace_role": None},
        "role unknown": {"enlace_role": "admin"},
        "role of the service": {"enlace_role": "lcm"},
        "person unknown": {"fhirUser": "Practitioner/lcm-1"},
        "person null of a care manager": {"fhirUser": None},
        "patient a list": {"patient": ["a"]},
        "patient a path": {"patient": "Patient/a/b"},
        "scope absent": {"scope": None},
        "scope an object": {"scope": {"user/*.rs": True}},
    }
    return {
        **{name: jwt(one, claims(), rsa_key(), SHA256) for name, one in bad_heads.items()},
        **{name: signed(**one) for name, one in bad_claims.items()},
        "HMAC with the public key": jwt(header(alg="HS256"), claims(), secret, SHA256),
        "HMAC named RS256": jwt(header(), claims(), secret, SHA256),
        "another's key": jwt(header(), claims(), other, SHA256),
        "another digest": jwt(header(), claims(), rsa_key(), SHA384),
        "RS256 by a key for ES256": jwt(header(alg="ES256", kid="rsa-1"), claims(), rsa_key(), SHA256),
        "no signature": f"{head}.{body}.",
        "signature of other claims": f"{head}.{part(claims(org='other'))}.{signature}",
        "signature cut": good[:-8],
        "signature with padding": good + "==",
        "four parts": good + ".x",
        "two parts": f"{head}.{body}",
        "a claim twice": f"{head}.{part(json.dumps(claims())[:-1] + DOUBLE)}.{signature}",
        "too long": jwt(header(), claims(more="x" * 9000), rsa_key(), SHA256),
        "opaque": "x" * 43,
    }


async def test_forged_tokens_are_refused() -> None:
    vectors = forged()
    assert len(vectors) >= 40
    reasons = {}
    for name, token in vectors.items():
        with pytest.raises(FhirError) as refused:
            await caller(token)
        assert refused.value.category.status == 401, name
        assert refused.value.reason != "unexpected", name
        assert set(refused.value.headers) == {"WWW-Authenticate"}
        reasons[name] = refused.value.outcome()
    assert len({json.dumps(outcome) for outcome in reasons.values()}) == 1, "one answer for every reason"


async def test_expiry_is_kept_to_the_second_and_the_clock_may_be_half_a_minute_behind() -> None:
    token = signed(iat=NOW_S + 30, nbf=NOW_S + 30)
    assert await caller(token)
    with pytest.raises(FhirError):
        await caller(token, NOW_US - 1_000_000)
    assert await caller(token, (NOW_S + 300) * 1_000_000 - 1)
    with pytest.raises(FhirError):
        await caller(token, (NOW_S + 300) * 1_000_000)


async def test_a_token_in_the_url_or_under_another_scheme_is_refused() -> None:
    token = signed()
    for given, keys, status in (
        (f"Bearer {token}", ("access_token",), 400),
        (f"Basic {token}", (), 401),
        (None, (), 401),
        ("", (), 401),
        (f"Bearer {token} x", (), 401),
    ):
        with pytest.raises(FhirError) as refused:
            await server().caller(given, keys, NOW_US)
        assert refused.value.category.status == status


async def test_without_keys_nobody_is_refused_for_good() -> None:
    async def fetch(_url: str) -> Fetched:
        raise OSError

    broken = ResourceServer(server().issuer, KeySets(fetch))
    with pytest.raises(FhirError) as refused:
        await broken.caller(f"Bearer {signed()}", (), NOW_US)
    assert (refused.value.category.status, refused.value.reason) == (503, "issuer-keys")


async def test_a_rotated_key_is_fetched_and_a_removed_one_is_dropped() -> None:
    held = [KEYS[0]]
    fetches = 0

    async def fetch(_url: str) -> Fetched:
        nonlocal fetches
        fetches += 1
        return Fetched({"keys": list(held)}, 60)

    one = ResourceServer(server().issuer, KeySets(fetch))
    old, new = signed(), jwt(header(alg="ES384", kid="ec-384"), claims(), ec_key(), SHA384)
    await one.caller(f"Bearer {old}", (), NOW_US)
    held[:] = [KEYS[1]]
    with pytest.raises(FhirError):
        await one.caller(f"Bearer {new}", (), NOW_US + 1_000_000)
    await one.caller(f"Bearer {new}", (), NOW_US + 31_000_000)
    with pytest.raises(FhirError):
        await one.caller(f"Bearer {old}", (), NOW_US + 92_000_000)
    assert fetches == 3


def _settings(store: Store, tmp_path: Path, **changes: Any) -> Settings:
    path = tmp_path / "issuer.json"
    path.write_text(json.dumps(FILE | changes))
    names = {"AUTH_MODE": "resource-server", "ISSUER_FILE": str(path), "SECRET_KEY_FILE": str(tmp_path / "key")}
    return load({"ENLACE_DATABASE_URL": store.url} | {f"ENLACE_{name}": value for name, value in names.items()})


@pytest.fixture
async def county(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    await build_world(opened)
    yield opened
    await opened.close()


async def test_in_this_mode_nothing_is_issued_here(county: Store, clock: FrozenClock, tmp_path: Path) -> None:
    app = build(county, _settings(county, tmp_path, audience=FHIR))
    issuer = app.state.enlace.issuer

    async def fetch(_url: str) -> Fetched:
        return Fetched({"keys": KEYS})

    issuer._key_sets = KeySets(fetch)
    now_s = clock.now_us() // 1_000_000
    token = signed(iat=now_s, exp=now_s + 300)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await http.get("/fhir/Patient/a", headers=bearer)).status_code == 200
        assert (await http.get("/fhir/Patient/b", headers=bearer)).status_code == 404
        assert (await http.get("/fhir/Patient/a", headers={"Authorization": "Bearer " + "x" * 43})).status_code == 401
        for path in ("/auth/token", "/auth/introspect", "/auth/revoke"):
            assert (await http.post(path, data={"grant_type": "client_credentials"})).status_code == 404
        for path in (
            "/auth/clients",
            "/auth/clients/c",
            "/auth/jwks",
            "/auth/authorize",
            "/.well-known/openid-configuration",
        ):
            assert (await http.get(path)).status_code == 404
        smart = (await http.get("/fhir/.well-known/smart-configuration")).json()
        assert (smart["issuer"], smart["token_endpoint"]) == (ISSUER, FILE["token_endpoint"])
        statement = (await http.get("/fhir/metadata")).json()
    urls = re.findall(r'"valueUri": ?"([^"]+)"', json.dumps(statement["rest"][0]["security"]))
    assert urls == [FILE["authorization_endpoint"], FILE["token_endpoint"]]


@pytest.mark.parametrize("reference", ["Organization/ecm-1", "Practitioner/lcm-1"])
async def test_t22_whatever_the_issuer_says_who_is_inactive_here_is_out(
    county: Store, clock: FrozenClock, tmp_path: Path, reference: str
) -> None:
    app = build(county, _settings(county, tmp_path, audience=FHIR))

    async def fetch(_url: str) -> Fetched:
        return Fetched({"keys": KEYS})

    app.state.enlace.issuer._key_sets = KeySets(fetch)
    now_s = clock.now_us() // 1_000_000
    bearer = {"Authorization": f"Bearer {signed(iat=now_s, exp=now_s + 300)}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        assert (await http.get("/fhir/Patient/a", headers=bearer)).status_code == 200
        known = await county.fetch("SELECT version FROM resource WHERE key = ?", (county.keys.resource(reference),))
        expect = int(known[0][0]) if known else 0
        await county.commit(change_of(county, make(reference, active=False), expect=expect))
        refused = await http.get("/fhir/Patient/a", headers=bearer)
        assert refused.status_code == 401 and 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


def test_what_an_organization_is_part_of_comes_from_the_directory() -> None:
    """As with our own tokens: what a Consent permits those above it permits the caller."""
    known = Caller("c", Role.MCP, "Organization/o")
    assert standing(known, (True, True, ("a", "b"))).above == ("Organization/a", "Organization/b")


def test_every_mistake_in_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "issuer.json"
    for changes, words in (
        ({"issuer": "http://idp"}, "`issuer`"),
        ({"jwks_url": None}, "`jwks_url`"),
        ({"claims": {"org": "x"}}, "`claims`"),
        ({"roles": {"x": "system"}}, "`roles`"),
        ({"roles": {}}, "`roles` must map at least one"),
        ({"organizations": {"x": "ecm-1"}}, "`organizations`"),
        ({"people": {"x": "Patient/a"}}, "`people`"),
        ({"audience": ""}, "`audience`"),
        ({"claims": {"purpose": "p"}}, "`purposes`"),
        ({"surprise": 1}, "not known"),
    ):
        path.write_text(json.dumps({name: value for name, value in (FILE | changes).items() if value is not None}))
        with pytest.raises(SettingsError, match=words):
            read_issuer(path, FHIR)
    path.write_text(json.dumps(FILE))
    assert read_issuer(path, FHIR).audience == FHIR
    path.write_text("[]")
    with pytest.raises(SettingsError, match="one JSON object"):
        read_issuer(path, FHIR)


def test_the_mode_needs_its_file() -> None:
    with pytest.raises(SettingsError, match="ENLACE_ISSUER_FILE"):
        load({"ENLACE_AUTH_MODE": "resource-server"}).check()
